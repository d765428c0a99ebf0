"""A folder of images -> a gallery on disk: scan, image features, captions, caption features, manifest.

The whole stream, in order, is `index_folder`. Models come in as protocols, storage is the cache's; this
module knows neither sqlite nor a model library.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cir.errors import GalleryError
from cir.exclusions import Patterns
from cir.files import WalkedFile, display_name, real_folder
from cir.gallery.cache import GalleryCache, open_cache, thumbnail_file, write_thumbnail
from cir.gallery.captioning import CaptionPage
from cir.gallery.encoding import EncodedBatch, Encoders, Reading, ThisProcess, Workers
from cir.gallery.gallery import GONE_TILE
from cir.gallery.left_out import (
    LeftOut,
    LeftOutList,
    remember_exclude,
    remembered_exclude,
    write_left_out,
)
from cir.gallery.manifest import (
    SOURCE,
    THUMBNAILS,
    Manifest,
    Models,
    as_source_root,
    gallery_folder,
    remember_source,
    write_manifest,
)
from cir.gallery.preparation import (
    earlier_manifest,
    models_of_run,
    no_images,
    note_other_models,
    refuse_without_images,
)
from cir.gallery.root_watch import RootWatch, is_replaced
from cir.gallery.shards import storage_errors
from cir.gallery.upkeep import drop_damaged, merge_shards, sweep
from cir.images import make_thumbnail
from cir.models.protocols import Captioner, ImageEncoder, TextEncoder
from cir.text import counted
from cir.walking import walk_images


@dataclass(frozen=True, slots=True)
class IndexingProgress:
    """How far indexing is.

    Attributes:
        stage: "images" or "captions".
        done, total: images settled in this stage, of how many. Unchanged ones count as done at once.
        images_per_second: of those worked on in this stage; 0 before the first.
        eta_seconds: until the stage is over, at that rate; None before it is known.
        skipped: (path inside the folder, reason) of what could not be read so far.
        left_out: everything that is no part of the gallery, counted by reason; bounded in size.
        notes: sentences about what was repaired or changed.
        images: how many the gallery held when its manifest was last written; final in the last progress.
    """

    stage: str
    done: int
    total: int
    images_per_second: float = 0.0
    eta_seconds: float | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    images: int = 0
    left_out: tuple[LeftOut, ...] = ()


class ManyVanished(GalleryError):
    """More than half of a gallery's images are gone: its disk may be away, so this has to be confirmed."""


def index_folder(
    root: Path,
    *,
    name: str,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder | None = None,
    captioner: Captioner | None = None,
    captions_per_image: int = 5,
    cache_root: Path,
    batch_size: int = 32,
    thumbnails: bool = True,
    confirm_purge: bool = False,
    rehash: bool = False,
    only: Collection[bytes] | None = None,
    exclude: Sequence[str] | None = None,
    workers: Workers | None = None,
) -> Generator[IndexingProgress]:
    """Index the images below `root`, or bring their gallery up to date.

    What is unchanged (path, size, time of change) is not opened; the same content is encoded once under any
    name. Every batch is kept when it is done, so a later call goes on where this one was stopped, however
    that happened. A file that cannot be read is listed and tried again next time; what is known of it stays. When
    the folder itself goes away, or more than half of the known files cannot be read, the run ends and the index is
    as it was. The gallery can be searched without captions as soon as the stage "images" is over.

    Args:
        root: the folder of images.
        name: what the gallery is called; it is kept in `cache_root / name`.
        image_encoder: makes image features; they are kept raw, not normalised.
        text_encoder: encodes captions; without it captions are only kept and shown.
        captioner: writes captions; without it those of an earlier run stay in use.
        captions_per_image: how many; the mean of their unit features is kept. Source: CVSI, III-D, Eq. 5.
        cache_root: where galleries are kept.
        batch_size: images that are encoded at once, and lost at most.
        thumbnails: make a small WebP of each new image.
        confirm_purge: take vanished files out of the gallery even when they are more than half of it, and go on
            when more than half cannot be read; these stay.
        rehash: read all files again, to find images that were exchanged without a change of size and time.
        only: paths inside `root`; other images are passed over. A benchmark's split is a part of its folder.
        exclude: what else is left out, as patterns of .gitignore; None for those of the run before.
        workers: who reads, encodes and captions, with models of the same fingerprints; None: this process, with these.

    Yields:
        Progress at the beginning of each stage, after each batch, and when the gallery is finished.

    Raises:
        GalleryError: the folder is missing, goes away or holds no images, too many files have vanished or cannot be
            read, the gallery is another folder's, is being indexed by another process, or cannot be written.
    """
    top, folder = real_folder(root), gallery_folder(cache_root, name).absolute()
    barred = (cache_root, folder, folder / THUMBNAILS)
    exclude = remembered_exclude(folder) if exclude is None else exclude
    if not folder.exists():
        refuse_without_images(top, barred, exclude)  # before anything is written
    with open_cache(folder, name) as cache:
        before = earlier_manifest(cache, top)
        note_other_models(cache, before, image_encoder)
        with storage_errors(name):
            remember_source(folder, top)
            remember_exclude(folder, exclude)
        models = models_of_run(image_encoder, text_encoder, captioner, captions_per_image, before)
        watch = RootWatch(top, name, known=cache.count_files(), confirmed=confirm_purge)
        reading = Reading(top, max(1, batch_size), thumbnails)
        run = _Run(cache, watch, models, before, reading, only)
        workers = workers or ThisProcess(Encoders(image_encoder, text_encoder, captioner))
        make, encode = captioner is not None, text_encoder is not None
        run.repair()
        yield run.scan(barred, Patterns(exclude), confirm_purge=confirm_purge, rehash=rehash)
        try:
            yield from run.encode_images(workers, image_encoder.dim, rehash=rehash)
        except GeneratorExit:  # stopped on purpose: what there is can be searched
            run.finish(image_encoder.dim)
            raise
        run.finish(image_encoder.dim)
        yield from run.caption_images(workers, captions_per_image, make=make, encode=encode)
        run.finish(image_encoder.dim, whole=True)
        yield run.progress()


class _Run:
    """One run over one folder: where it is, and what it has to tell."""

    def __init__(
        self,
        cache: GalleryCache,
        watch: RootWatch,
        models: Models,
        before: Manifest | None,
        reading: Reading,
        only: Collection[bytes] | None,
    ) -> None:
        self.cache, self.watch, self.root, self.only = cache, watch, watch.root, only
        self.models, self.before, self.reading = models, before, reading
        self.skipped: list[tuple[str, str]] = []
        self.left_out = LeftOutList()
        self.stage, self.done, self.total = "images", 0, 0
        self.started, self.done_before = time.monotonic(), 0
        self.images = 0

    # --- before anything is encoded ---

    def repair(self) -> None:
        """Leftovers deleted, damaged features forgotten, so that they are made again."""
        sweep(self.cache)
        keys = (self.models.image_key, self.models.caption_features_key)
        lost = sum(drop_damaged(self.cache, key) for key in keys)
        if lost:
            self.cache.notes.append(
                f"Made again, as they were damaged on the disk: {counted(lost, 'row')} of features."
            )
        if self.reading.thumbnails and not thumbnail_file(self.cache.folder, GONE_TILE).is_file():
            self._keep_thumbnail(GONE_TILE, make_thumbnail(Image.new("RGB", (160, 160), "lightgrey")))

    def scan(
        self, barred: Collection[Path], patterns: Patterns, *, confirm_purge: bool, rehash: bool
    ) -> IndexingProgress:
        """Walk the folder; let go of what has vanished, unless that looks like a disk that is not there."""
        unreadable: list[bytes] = []
        on_purpose: set[bytes] = set()

        def leave_out(relative: bytes, reason: str, pictures: int, is_folder: bool) -> None:
            on_purpose.add(relative)
            self.left_out.add(relative, reason, pictures, is_folder)

        walked = walk_images(self.root, exclude=barred, patterns=patterns, left_out=leave_out)
        total = self.cache.record_scan(self._candidates(walked, unreadable))
        self.watch.check_root()
        if not total and (on_purpose or confirm_purge):  # before anything is forgotten
            raise no_images(self.root, self.left_out.rows())
        self._forget_left_out(on_purpose)
        self._purge(unreadable, confirm_purge)
        if not total:
            raise no_images(self.root, self.left_out.rows())
        pending = self.cache.count_pending(self.models.image_key, everything=rehash)
        self._begin("images", total, total - pending)
        return self.progress()

    def _candidates(self, walked: Iterable[WalkedFile], unreadable: list[bytes]) -> Iterator[WalkedFile]:
        for file in walked:
            if file.skip_reason:
                unreadable.append(file.relative)
                self._skip(file.relative, file.skip_reason)
            elif self.only is None or file.relative in self.only:
                yield file

    def _forget_left_out(self, on_purpose: set[bytes]) -> None:
        """What is there but left out now has not vanished: it leaves the gallery without a question."""
        gone = [path for path in self.cache.vanished() if not on_purpose.isdisjoint(_with_folders(path))]
        self.cache.forget(gone)
        if gone:
            self.cache.notes.append(
                f"Left out now, though in the gallery before: {counted(len(gone), 'image')}."
            )

    def _purge(self, unreadable: Sequence[bytes], confirmed: bool) -> None:
        below = tuple(path + b"/" for path in unreadable)
        kept = {path for path in unreadable if not is_replaced(self.root / os.fsdecode(path))}
        missing = self.cache.vanished()
        gone = [p for p in missing if p not in kept and not p.startswith(below) and b"." not in kept]
        known, name = self.cache.count_files(), self.cache.name
        self.watch.count_unreadable(len(missing) - len(gone))
        if 2 * len(gone) > known and not confirmed:
            raise ManyVanished(
                f"Gone from {self.root.name}: {len(gone):,} of {counted(known, 'image')} of {name}.",
                "Is the disk connected? If they are really gone: python -m cir index PHOTOS --confirm-purge",
            )
        self.cache.forget(gone)
        if gone:
            self.cache.notes.append(
                f"Taken out of the gallery, as they have vanished: {counted(len(gone), 'image')}."
            )

    # --- images ---

    def encode_images(self, workers: Workers, dim: int, *, rehash: bool) -> Iterator[IndexingProgress]:
        """Have what is new or changed read, each new content encoded once, and keep it batch by batch."""
        key = self.models.image_key
        known = self.cache.hashes_with_features(key)
        files = self.cache.pending_files(key, everything=rehash)
        for batch in workers.encode(self.reading, files, known):
            known.update(self._keep(batch, known, dim))
            for one in batch.files:
                if one.content not in known:
                    self._skip(one.file.relative, one.reason or "its features are not finite, or zero")
            if unread := [one.file.relative for one in batch.files if not one.content]:
                self.watch.count_unreadable(self.cache.count_known(unread))
            self.done += len(batch.files)
            yield self.progress()

    def _keep(self, batch: EncodedBatch, known: Collection[str], dim: int) -> list[str]:
        """Keep a batch. Returns the new contents whose features are sound."""
        rows = np.array(list(batch.features.values()), np.float32).reshape(-1, dim)
        sound = np.isfinite(rows).all(axis=1) & (np.abs(rows).max(axis=1, initial=0.0) > 0)
        hashes = [content for content, good in zip(batch.features, sound, strict=True) if good]
        new = {one.content: one for one in batch.files if one.content in batch.features}
        for content in hashes if self.reading.thumbnails else ():
            self._keep_thumbnail(content, new[content].thumbnail)
        read = ((one.file, one.content) for one in batch.files)
        files = [(file, content) for file, content in read if content in known or content in hashes]
        taken = {content: new[content].taken for content in hashes if new[content].taken}
        self.cache.store_images(self.models.image_key, hashes, rows[sound], files, taken)
        return hashes

    def _keep_thumbnail(self, content: str, data: bytes) -> None:
        with storage_errors(self.cache.name):
            write_thumbnail(self.cache.folder, content, data)

    # --- captions ---

    def caption_images(
        self, workers: Workers, per_image: int, *, make: bool, encode: bool
    ) -> Iterator[IndexingProgress]:
        """Have captioned what has no captions, and encoded what captions have no features, page by page."""
        pending = self.cache.count_uncaptioned(self.models, make=make, encode=encode)
        if not pending:
            return
        total = self.cache.count_contents()
        self._begin("captions", total, total - pending)
        yield self.progress()
        page_size = self.reading.batch_size
        hashes = self.cache.uncaptioned(self.models, make=make, encode=encode, page=page_size)
        for page in workers.caption(self.reading, map(self._caption_page, hashes), per_image):
            for relative, reason in page.skipped:
                self._skip(relative, reason)
            self.cache.store_captions(self.models, page.made, page.hashes, page.rows)
            if page.skipped:
                self.watch.check_root()
            self.done += page.contents
            yield self.progress()

    def _caption_page(self, hashes: Sequence[str]) -> CaptionPage:
        copies = {content: self.cache.files_with(content) for content in hashes}
        return CaptionPage(copies, self.cache.captions_of(self.models, hashes))

    # --- bookkeeping ---

    def finish(self, dim: int, *, whole: bool = False) -> None:
        """Order the shards and say, last of all, what the gallery now is. `whole`: all captions were asked for."""
        for key in (self.models.image_key, self.models.caption_features_key):
            merge_shards(self.cache, key)
        models = self._searched_with(whole)
        self.images, captioned = self.cache.count_gallery(models)
        source_root = as_source_root(self.cache.folder, self.root)
        former = self.before.former_names if self.before else ()
        manifest = Manifest(
            self.cache.name, source_root, models, self.images, captioned, dim, former_names=former
        )
        with storage_errors(self.cache.name):
            write_left_out(self.cache.folder, self.left_out.rows())
            write_manifest(self.cache.folder, manifest)
            (self.cache.folder / SOURCE).unlink(missing_ok=True)

    def _searched_with(self, whole: bool) -> Models:
        """The models whose rows are searched.

        A new captioner takes over when its captions are no fewer than the earlier one's, or at the end of a run
        unless most of them could not be made.
        """
        if self.before is None:
            return self.models
        earlier = replace(
            self.models,
            captioner=self.before.models.captioner,
            captions_per_image=self.before.models.captions_per_image,
        )
        had, has = (self.cache.count_gallery(models)[1] for models in (earlier, self.models))
        return self.models if has >= had or (whole and 2 * has > had) else earlier

    def progress(self) -> IndexingProgress:
        """Where the run is."""
        worked = self.done - self.done_before
        rate = worked / max(time.monotonic() - self.started, 1e-9)
        return IndexingProgress(
            stage=self.stage,
            done=self.done,
            total=self.total,
            images_per_second=rate,
            eta_seconds=(self.total - self.done) / rate if worked else None,
            skipped=tuple(self.skipped),
            notes=tuple(self.cache.notes),
            images=self.images,
            left_out=self.left_out.rows(),
        )

    def _begin(self, stage: str, total: int, done: int) -> None:
        self.stage, self.total, self.done, self.done_before = stage, total, done, done
        self.started = time.monotonic()

    def _skip(self, relative: bytes, reason: str) -> None:
        self.skipped.append((display_name(relative), reason))
        self.left_out.add(relative, reason, is_problem=True)


def _with_folders(path: bytes) -> list[bytes]:
    """A path, and those of the folders that it lies in."""
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
