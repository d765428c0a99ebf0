"""The library of triplet files: listing, opening, judging, exporting and bringing them, and making more.

Shipped files are only read; whatever is written goes into a folder of the visitor's own. Knows models by their
protocols only, and nothing of a page.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from cir.cache_keys import gallery_digest
from cir.errors import CirError
from cir.files import content_hash
from cir.gallery.gallery import Gallery
from cir.models.protocols import SentenceEncoder, Spoter
from cir.ranking.engines.neighbours import Neighbours
from cir.syncir.consistency import KEPT, Thresholds, judge
from cir.syncir.exchange import read_foreign, to_cirr, with_places
from cir.syncir.judgements import (
    SIDECAR,
    Judgement,
    apply_judgements,
    judgements_path,
    last_judgements,
    read_judgements,
    replace_judgement,
)
from cir.syncir.pairs import PAIR_RANKS, mine_subgroups, pairs_of
from cir.syncir.picture_names import pictures_of_triplets
from cir.syncir.pipeline import Progress, SynCirSettings, find_candidates, synthesize
from cir.syncir.records import (
    Funnel,
    funnel_from,
    manifest_path,
    read_manifest,
    read_triplets,
    write_triplets,
)
from cir.syncir.table import TripletTable
from cir.text import counted
from cir.types import Triplet

TABLES_KEPT = 3


@dataclass(frozen=True, slots=True)
class TripletFile:
    """A file of triplets that can be looked at: `key` names it among the others, `title` for people."""

    key: str
    title: str


class TripletLibrary:
    """The triplet files that came with the program and those of the visitor's own, read lately or not.

    Args:
        shipped: a folder of triplets that is never written to.
        own: the folder for everything that is written; it need not be there.
        spoter, sentence_encoder: build the models for making more, when they are needed for the first time.
        cannot_generate: why no triplets can be made, with the way out; "" when they can.
        titles: a gallery's name -> how people call it, where that is another.
        samples: the same for the galleries that come with the program, whose triplets the shipped files are.
    """

    def __init__(
        self,
        shipped: Path,
        own: Path,
        *,
        spoter: Callable[[], Spoter],
        sentence_encoder: Callable[[], SentenceEncoder],
        cannot_generate: Callable[[], str] = lambda: "",
        titles: Mapping[str, str] | None = None,
        samples: Mapping[str, str] | None = None,
    ) -> None:
        self.shipped, self.own, self.titles = shipped, own, dict(titles or {})
        self._samples = dict(samples or {})
        self.cannot_generate = cannot_generate
        self._build_spoter, self._build_encoder = spoter, sentence_encoder
        self._neighbours: WeakKeyDictionary[Gallery, Neighbours] = WeakKeyDictionary()
        self._tables: LRUCache[str, TripletTable] = LRUCache(TABLES_KEPT)
        self._lock = Lock()

    def files(self) -> Sequence[TripletFile]:
        """The shipped files, then the own ones, by name."""
        return [TripletFile(key, self._title(key, path)) for key, path in self._paths().items()]

    def table(self, key: str) -> TripletTable:
        """One file with what people said about it; read once, and shared by all who look at it.

        Raises:
            CirError: it is not there, or damaged.
        """
        with self._lock:
            if key not in self._tables:
                self._tables[key] = self.read(key)
            return self._tables[key]

    def read(self, key: str) -> TripletTable:
        """The same, read anew from the disk."""
        path = self._path(key)
        manifest = read_manifest(path)
        made_from = _part(manifest, "gallery")
        return TripletTable(
            read_triplets(path),
            last_judgements(read_judgements(self._judged(key))),
            settings_of(manifest).thresholds,
            funnel_from(manifest),
            made_from.get("name", ""),
            made_from.get("content", ""),
            path.parent == self.shipped,
        )

    def judge(self, key: str, row: int, judgement: Judgement) -> None:
        """Keep what a person says of a row beside the file; it takes the place of what was said before.

        Raises:
            CirError: the file is not there.
        """
        table = self.table(key)
        self._path(key)
        replace_judgement(self._judged(key), judgement)
        table.judge(row, judgement)

    def mine(self, key: str, gallery: Gallery, thresholds: Thresholds) -> Funnel:
        """Subgroups and pairs at these thresholds, in the reading of the file, from neighbours found once."""
        settings = settings_of(read_manifest(self._path(key)))
        if gallery not in self._neighbours:
            self._neighbours[gallery] = find_candidates(gallery, SynCirSettings(top=settings.top)).neighbours
        mined = mine_subgroups(
            self._neighbours[gallery],
            near_duplicate=thresholds.near_duplicate,
            gap=thresholds.gap,
            reading=settings.reading,
        )
        groups, pairs = len(mined.subgroups), len(pairs_of(mined.subgroups))
        repeated = len(PAIR_RANKS) * groups - pairs
        return Funnel(images=len(gallery), groups=groups, pairs=pairs, repeated=repeated)

    def export(self, key: str, consistency: float, schema: str, out: Path) -> None:
        """Write all triplets as JSON lines, or the kept ones as CIRR's rows; judged by the score, then by the person.

        Args:
            key: of the file.
            consistency: the threshold of the score.
            schema: "jsonl" or "cirr".
            out: what is written.
        """
        judged = self._judged_by(key, consistency)
        if schema == "cirr":
            _, places = pictures_of_triplets(self._path(key), judged)
            out.write_text(json.dumps(to_cirr(with_places(judged, places))) + "\n", encoding="utf-8")
        else:
            write_triplets(out, judged)

    def kept(self, key: str, consistency: float) -> list[Triplet]:
        """The triplets that are kept, judged likewise, and have a text: what can be learned from.

        Raises:
            CirError: the file is not there.
        """
        return [t for t in self._judged_by(key, consistency) if t.verdict == KEPT and t.text]

    def _judged_by(self, key: str, consistency: float) -> list[Triplet]:
        path = self._path(key)
        limits = replace(settings_of(read_manifest(path)).thresholds, consistency=consistency)
        by_score = [judge(triplet, limits) for triplet in read_triplets(path)]
        return apply_judgements(by_score, read_judgements(self._judged(key)))

    def take_in(self, upload: Path) -> str:
        """Copy an annotation file of CIRR, LaSCo or Laion-CIR, or our own, into the own folder as our JSON lines.

        Returns:
            The new file's key; the same file twice gives one.

        Raises:
            CirError: it cannot be read, or has no triplet.
        """
        found = read_triplets(upload) if upload.suffix.lower() == ".jsonl" else read_foreign(upload)
        if not found:
            raise CirError("There is no triplet in this file.", "Choose another.")
        path = self.own / f"imported-{_slug(upload.stem)}-{content_hash(upload)[:6]}.jsonl"
        write_triplets(path, found)
        return f"own/{path.name}"

    def generate(
        self, key: str, gallery: Gallery, count: int, thresholds: Thresholds, stop: Callable[[], bool]
    ) -> Iterator[tuple[str, Progress]]:
        """Go on with the own file of this gallery, these thresholds and these models; the first step has no triplet.

        The first time, the file that is looked at is copied to begin with, where it was made in the same way.

        Yields:
            The key of the file that they are written to, and how far this run alone is.

        Raises:
            CirError: what is missing, or went wrong; what was made before is kept.
        """
        if self.cannot_generate():
            raise CirError("No triplets can be made now.", self.cannot_generate())
        manifest = read_manifest(self._paths()[key]) if key in self._paths() else {}
        # A search for the target takes no part here, so there is no threshold for its rank.
        settings = replace(settings_of(manifest), thresholds=replace(thresholds, max_target_rank=None))
        out = self._begin(key, gallery, settings)
        there = len(read_triplets(out)) if out.exists() else 0
        run = synthesize(
            gallery, self._spoter, self._encoder, out, settings=settings, limit=there + count, stop=stop
        )
        own_key = f"own/{out.name}"
        with closing(run):  # type: ignore[type-var]
            for step in run:
                if step.total <= there:
                    raise CirError(
                        f"Every pair of {self.titles.get(gallery.name, gallery.name)} has been asked about.",
                        "Move the two sliders of the groups to find other pairs.",
                    )
                self._take_up(own_key, step)
                yield own_key, replace(step, done=step.done - there, total=step.total - there)

    def _take_up(self, key: str, step: Progress) -> None:
        """A file that is begun is read anew; after that its table grows by each new triplet."""
        with self._lock:
            if step.triplet is None:
                self._tables.pop(key, None)
            elif key in self._tables:
                self._tables[key] = self._tables[key].grown([step.triplet])

    # --- files ----------------------------------------------------------------------------------------

    def _paths(self) -> dict[str, Path]:
        found = {}
        for name, folder in (("shipped", self.shipped), ("own", self.own)):
            for path in sorted(folder.glob("*.jsonl")):
                if not path.name.endswith(SIDECAR):
                    found[f"{name}/{path.name}"] = path
        return found

    def _path(self, key: str) -> Path:
        path = self._paths().get(key)
        if path is None:
            raise CirError("That file of triplets is not here any more.", "Choose another.")
        return path

    def _judged(self, key: str) -> Path:
        """The triplets file whose sidecar holds the judgements: shipped ones have theirs in the own folder."""
        folder, _, name = key.partition("/")
        return self.own / (f"shipped-{name}" if folder == "shipped" else name)

    def _begin(self, key: str, gallery: Gallery, settings: SynCirSettings) -> Path:
        """The own file of a gallery, settings and models, begun with the file looked at where that was made alike."""
        content = gallery_digest(gallery.image_ids, gallery.contents, gallery.texts)
        recipe = {
            "gallery": {"fingerprints": dict(gallery.fingerprints), "content": content},
            "settings": asdict(settings),
            "models": {"spoter": self._spoter.fingerprint, "sentence_encoder": self._encoder.fingerprint},
        }
        digest = hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=3).hexdigest()
        out = self.own / f"{_slug(gallery.name)}-{digest}.jsonl"
        path = self._paths().get(key)
        if path is not None and not out.exists() and _is_made_by(recipe, gallery.name, read_manifest(path)):
            self.own.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(manifest_path(path), manifest_path(out))
            judgements = judgements_path(self._judged(key))
            if judgements.exists():
                shutil.copyfile(judgements, judgements_path(out))
            shutil.copyfile(path, out)
        return out

    def _title(self, key: str, path: Path) -> str:
        """A file's name for people, from its manifest where it has one."""
        try:
            manifest = read_manifest(path)
        except CirError:  # it is told when the file is opened
            return path.stem
        gallery = _part(manifest, "gallery").get("name", "")
        if not gallery:
            return path.stem.removeprefix("imported-").rpartition("-")[0] or path.stem
        limits = settings_of(manifest).thresholds
        numbers = f", {limits.consistency:g} / {limits.near_duplicate:g} / {limits.gap:g}"
        origin = f"Made here from {self.titles.get(gallery, gallery)}"
        if key.startswith("shipped"):
            origin = self._samples.get(gallery, "Sample triplets")
        pairs = counted(funnel_from(manifest).done, "pair")
        return f"{origin}: {pairs}{numbers if limits != Thresholds() else ''}"

    @cached_property
    def _spoter(self) -> Spoter:
        return self._build_spoter()

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return self._build_encoder()


def _is_made_by(recipe: Mapping[str, Any], gallery_name: str, manifest: Mapping[str, Any]) -> bool:
    """Whether a run by this recipe would have written the same file."""
    made_from = _part(manifest, "gallery")
    return (
        made_from.get("name") == gallery_name
        and all(made_from.get(name) == value for name, value in recipe["gallery"].items())
        and manifest.get("settings") == recipe["settings"]
        and manifest.get("models") == recipe["models"]
    )


def settings_of(manifest: Mapping[str, Any]) -> SynCirSettings:
    """The settings that a file was made with; the usual ones where its manifest says nothing."""
    kept = dict(_part(manifest, "settings"))
    limits = kept.pop("thresholds", None)
    try:
        return SynCirSettings(thresholds=Thresholds(**(limits or {})), **kept)
    except TypeError as error:
        raise CirError(
            f"The manifest of the triplets has settings that are unknown here: {error}."
        ) from error


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-")[:40] or "triplets"
