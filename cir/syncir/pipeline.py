"""SynCir from a gallery to a file of triplets: streamed, stoppable, resumable.

One line is appended for each pair as soon as its text is known, whatever becomes of it: nothing is lost and
nothing is asked twice. Given the same gallery, settings and models, a run that was killed and started again
writes the same lines as one that was not. Knows models by their protocols only.

Source: HyCIR, "Pseudo Triplet Generation for CIR", Figure 2.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL import Image

from cir.cache_keys import gallery_digest
from cir.errors import BadImage, CirError, LanguageModelFailed
from cir.gallery.gallery import Gallery
from cir.images import read_image
from cir.models.protocols import SentenceEncoder, Spoter, SpotInput
from cir.questions import at_once, in_order
from cir.syncir.candidates import Candidates, SynCirSettings, find_candidates
from cir.syncir.consistency import KEPT, consistency_scores, judge, same_captions
from cir.syncir.pairs import Pair
from cir.syncir.records import (
    DIGITS,
    VERSION,
    Funnel,
    end_last_line,
    funnel_of,
    manifest_path,
    read_manifest,
    read_triplets,
    triplet_line,
    write_manifest,
)
from cir.text import counted
from cir.types import Features, Triplet

__all__ = ["Candidates", "Progress", "SynCirSettings", "find_candidates", "synthesize", "triplet_id"]

LINES_A_SYNC = 16
TRIES = 2  # a language model that failed once has been started again


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        done, total: pairs in the file, and pairs there will be.
        kept: how many of those done are kept.
        eta_seconds: how long the rest will take; None before there is anything to go by.
        funnel: all stages.
        triplet: the one just made; None in the first report, which comes before any is made.
    """

    done: int
    total: int
    kept: int
    eta_seconds: float | None
    funnel: Funnel
    triplet: Triplet | None = None


def synthesize(
    gallery: Gallery,
    spoter: Spoter,
    encoder: SentenceEncoder,
    out: Path,
    *,
    settings: SynCirSettings | None = None,
    limit: int | None = None,
    resume: bool = True,
    target_ranker: Callable[[Triplet], int] | None = None,
    ranked_with: str = "",
    stop: Callable[[], bool] | None = None,
    features: tuple[str, Features] | None = None,
) -> Iterator[Progress]:
    """Make triplets from a gallery's images, one after the other, into a file.

    Pairs whose captions are the same are dropped without asking for a text, which nobody would read. The
    sentence scores of a pair are computed by themselves, so that a resumed run rounds as an unbroken one.

    Args:
        gallery: with captions; the first of each image is used.
        spoter: writes the text of a pair.
        encoder: of sentences.
        out: the triplets file; its manifest lies beside it.
        settings: thresholds and readings.
        limit: how many pairs the file shall have in all; None for every one.
        resume: go on with a file that is there; False puts it aside as `OUT.old` and begins anew.
        target_ranker: beyond the paper (its "Future work"): the rank of the target when the engine itself
            searches for (reference, text). Asked only for triplets that are kept so far.
        ranked_with: what stands for the target ranker in the manifest: its method, weights and models.
        stop: asked before each pair; True ends the run in good order.
        features: (fingerprint, (K, D) unit rows) of another image encoder to mine pairs with.

    Yields:
        One report before the first pair, then one for each pair.

    Raises:
        GalleryError: the gallery has nothing to make pairs of.
        CirError: the file is another run's, or in use; or a model failed. What was done is kept.
    """
    settings = settings or SynCirSettings()
    if limit is not None and limit < 1:
        raise CirError(f"{counted(limit, 'pair')} cannot be made.", "Ask for at least one: --limit 1000")
    candidates = find_candidates(gallery, settings, features=features[1] if features else None)
    header = _header(gallery, spoter, encoder, settings, features[0] if features else "")
    if target_ranker is not None:
        header["models"]["target_ranker"] = ranked_with
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            run = _Run(gallery, spoter, encoder, settings, target_ranker, candidates, out, header)
            run.begin(resume)
            yield from run.work(limit, stop or (lambda: False))
    except Timeout as error:
        raise CirError(
            f"Another run is writing {out.name}.", "Wait for it, or write another file: --out"
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CirError(f"{out.name} cannot be written: {reason}.", "Choose another place: --out") from error


class _Run:
    """One run over the candidates of one gallery."""

    def __init__(
        self,
        gallery: Gallery,
        spoter: Spoter,
        encoder: SentenceEncoder,
        settings: SynCirSettings,
        target_ranker: Callable[[Triplet], int] | None,
        candidates: Candidates,
        out: Path,
        header: dict[str, Any],
    ) -> None:
        self.gallery, self.spoter, self.encoder, self.settings = gallery, spoter, encoder, settings
        self.target_ranker, self.candidates, self.out, self.header = target_ranker, candidates, out, header
        self.funnel = Funnel()
        self.done = 0

    def begin(self, resume: bool) -> None:
        """Look at what is there already, and check that this run would have written the same."""
        if self.out.exists() and not resume:
            os.replace(self.out, self.out.with_name(self.out.name + ".old"))
            manifest_path(self.out).unlink(missing_ok=True)
        there: list[Triplet] = []
        if self.out.exists():
            end_last_line(self.out)
            there = read_triplets(self.out)
        if there:
            self._refuse_another_run(there)
        self.done = len(there)
        mined, pairs = self.candidates.mined, self.candidates.pairs
        uncaptioned = self.candidates.uncaptioned
        self.funnel = funnel_of(len(self.gallery), mined, pairs, there, uncaptioned=uncaptioned)
        self._write_manifest()

    def work(self, limit: int | None, stop: Callable[[], bool]) -> Iterator[Progress]:
        """Append a line for each pair that is not there yet."""
        pairs = self.candidates.pairs[:limit]
        began, before = time.monotonic(), self.done
        with self.out.open("a", encoding="utf-8") as file, ExitStack() as stack:
            yield self._progress(len(pairs), None, None)  # the file is there to be read
            try:
                untold = map(self._untold, pairs[self.done :])
                told = stack.enter_context(closing(in_order(self._told, untold, at_once(self.spoter))))
                while not stop() and (triplet := self._next(told)) is not None:
                    triplet = self._judged(triplet)
                    file.write(triplet_line(triplet))
                    file.flush()
                    self._count(triplet)
                    if self.done % LINES_A_SYNC == 0:
                        self._keep(file)
                    pace = (time.monotonic() - began) / (self.done - before)
                    yield self._progress(len(pairs), pace * (len(pairs) - self.done), triplet)
            finally:
                self._keep(file)

    def _untold(self, pair: Pair) -> Triplet:
        """A pair as a triplet that has no text yet."""
        ids, rows = self.gallery.image_ids, self.candidates.rows
        reference, target = ids[rows[pair.reference]], ids[rows[pair.target]]
        return Triplet(
            triplet_id=triplet_id(reference, target),
            reference_id=reference,
            target_id=target,
            text="",
            reference_caption=self.gallery.captions(reference)[0],
            target_caption=self.gallery.captions(target)[0],
            members=tuple(ids[rows[member]] for member in pair.subgroup.members),
            ranks=pair.ranks,
            similarities=tuple(round(value, DIGITS) for value in pair.subgroup.similarities),
        )

    def _told(self, triplet: Triplet) -> Triplet:
        """The triplet with its text; several may be told at once, in threads."""
        if same_captions(triplet.reference_caption, triplet.target_caption):
            return triplet
        return replace(triplet, text=self._text(triplet))

    def _next(self, told: Iterator[Triplet]) -> Triplet | None:
        try:
            return next(told, None)
        except LanguageModelFailed as error:
            message = f"{error.message} Kept in {self.out.name}: {counted(self.done, 'pair')}."
            raise LanguageModelFailed(
                message, "Start it again to go on: what is kept is not asked anew."
            ) from error

    def _judged(self, triplet: Triplet) -> Triplet:
        triplet = judge(self._score(triplet), self.settings.thresholds)
        if self.target_ranker is not None and triplet.verdict == KEPT:
            ranked = replace(triplet, target_rank=self.target_ranker(triplet))
            triplet = judge(ranked, self.settings.thresholds)
        return triplet

    def _text(self, triplet: Triplet) -> str:
        reference = self._shown(triplet.reference_id, triplet.reference_caption)
        target = self._shown(triplet.target_id, triplet.target_caption)
        for attempt in range(1, TRIES + 1):
            try:
                return self.spoter.spot(reference, target)
            except BadImage:  # a picture that is gone has no text, now or at the next start: go on
                return ""
            except LanguageModelFailed:
                if attempt == TRIES:
                    raise
        raise AssertionError("unreachable")

    def _shown(self, image_id: str, caption: str) -> SpotInput:
        return SpotInput(caption, functools.partial(_open, self.gallery, image_id))

    def _score(self, triplet: Triplet) -> Triplet:
        if not triplet.text:
            return triplet
        captions, target = [triplet.reference_caption], [triplet.target_caption]
        combine = self.settings.combine
        (score,) = consistency_scores(captions, [triplet.text], target, self.encoder, combine)
        # Judged as it is written: a later look at the file comes to the same verdict.
        return replace(triplet, consistency=round(float(score), DIGITS))

    def _count(self, triplet: Triplet) -> None:
        funnel, kept = self.funnel, triplet.verdict == KEPT
        dropped = dict(funnel.dropped)
        if not kept:
            dropped[triplet.reason] = dropped.get(triplet.reason, 0) + 1
        self.done += 1
        self.funnel = replace(
            funnel,
            done=self.done,
            texts=funnel.texts + bool(triplet.text),
            kept=funnel.kept + kept,
            dropped=dict(sorted(dropped.items())),
        )

    def _progress(self, total: int, eta: float | None, triplet: Triplet | None) -> Progress:
        return Progress(self.done, max(total, self.done), self.funnel.kept, eta, self.funnel, triplet)

    def _keep(self, file: Any) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._write_manifest()

    def _write_manifest(self) -> None:
        created = read_manifest(self.out).get("created") or datetime.now(UTC).isoformat(timespec="seconds")
        write_manifest(self.out, {**self.header, "created": created, "funnel": asdict(self.funnel)})

    def _refuse_another_run(self, there: list[Triplet]) -> None:
        """What is in the file has to be what this run would have written."""
        manifest = read_manifest(self.out)
        for part in ("gallery", "settings", "models") if manifest else ():
            changed = _changed(manifest.get(part), self.header[part], part)
            if changed:
                raise CirError(
                    f"{self.out.name} was made with another {changed}.",
                    "Write another file (--out), or begin anew (--no-resume).",
                )
        for number, triplet in enumerate(there):
            pair = self.candidates.pairs[number] if number < len(self.candidates.pairs) else None
            if pair is None or _made_of(triplet) != _made_of(self._untold(pair)):
                raise CirError(
                    f"Line {number + 1} of {self.out.name} is not the pair that comes next: the gallery changed.",
                    "Write another file (--out), or begin anew (--no-resume).",
                )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Nobody else writes this file meanwhile. A page's generator may be resumed in any thread."""
    lock = FileLock(out.with_name(f".{out.name}.lock"), thread_local=False)
    with lock.acquire(timeout=0):
        try:
            yield
        finally:
            with suppress(OSError):  # removed while it is held: who comes later makes a new one
                os.unlink(lock.lock_file)


def triplet_id(reference_id: str, target_id: str) -> str:
    """16 hexadecimal digits: the same pair has the same id in every run."""
    return hashlib.blake2b(f"{reference_id}\0{target_id}".encode(), digest_size=8).hexdigest()


def about_gallery(gallery: Gallery, mined_with: str = "") -> dict[str, Any]:
    """What a manifest says of the gallery that triplets are made from.

    Args:
        gallery: with captions.
        mined_with: the fingerprint of the image encoder that pairs were found with; "" for the gallery's own.
    """
    return {
        "name": gallery.name,
        "images": len(gallery),
        "fingerprints": dict(gallery.fingerprints),
        "mined_with": mined_with or gallery.fingerprints.get("image_encoder", ""),
        "content": gallery_digest(gallery.image_ids, gallery.contents, gallery.texts),
    }


def _header(
    gallery: Gallery, spoter: Spoter, encoder: SentenceEncoder, settings: SynCirSettings, mined_with: str
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "gallery": about_gallery(gallery, mined_with),
        "settings": asdict(settings),
        "models": {"spoter": spoter.fingerprint, "sentence_encoder": encoder.fingerprint},
    }


def _made_of(triplet: Triplet) -> tuple[object, ...]:
    """What a text was written from: the pair, its place in the subgroup, and both captions."""
    return (
        *(triplet.reference_id, triplet.target_id, triplet.members, triplet.ranks),
        *(triplet.reference_caption, triplet.target_caption),
    )


def _changed(before: object, now: Any, name: str = "") -> str:
    """The name of the first value that differs; "" for none."""
    if isinstance(now, Mapping) and isinstance(before, Mapping):
        parts = (_changed(before.get(key), value, str(key)) for key, value in now.items())
        return next((part for part in parts if part), "")
    return "" if before == now else name.replace("_", " ") or "manifest"


def _open(gallery: Gallery, image_id: str) -> Image.Image:
    return read_image(gallery.image_path(image_id))
