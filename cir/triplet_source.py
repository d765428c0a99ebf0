"""Where the page's triplet tab is joined to SynCir: files of triplets, judgements beside them, and making more.

Shipped files are only read; whatever is written goes into a folder of the visitor's own. Knows SynCir and the
nouns of the tab, neither gradio nor a model library.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from cir.application import ROOT, gallery_cache
from cir.cache_keys import gallery_digest
from cir.errors import CirError
from cir.files import content_hash
from cir.gallery.gallery import Gallery
from cir.models.catalog import sentence_encoder_folder
from cir.models.llama import PatientModel
from cir.models.model_set import Models
from cir.models.protocols import SentenceEncoder, Spoter
from cir.ranking.engines.neighbours import Neighbours
from cir.syncir.consistency import Thresholds, judge
from cir.syncir.exchange import read_foreign, to_cirr, with_places
from cir.syncir.pairs import PAIR_RANKS, mine_subgroups, pairs_of
from cir.syncir.picture_names import pictures_of_triplets
from cir.syncir.pipeline import SynCirSettings, find_candidates, synthesize
from cir.syncir.query_text import CaptionSpoter
from cir.syncir.records import (
    Judgement,
    append_judgement,
    apply_judgements,
    funnel_from,
    judgements_path,
    manifest_path,
    read_judgements,
    read_manifest,
    read_triplets,
    write_triplets,
)
from cir.text import counted
from cir.ui.triplets import source as tab

SHIPPED = ROOT / "assets" / "triplets"
SIDECAR = ".judged.jsonl"
PATIENCE_SECONDS = 50.0  # for one text: below what a search waits for its turn at the language model


def open_triplets(models: Models, titles: Mapping[str, str] | None = None) -> TripletLibrary:
    """The shipped triplets and the visitor's own, with these models to make more; nothing is loaded yet.

    Args:
        models: which make more.
        titles: a gallery's name -> how people call it, where that is another.
    """

    def spoter() -> Spoter:
        assert models.language_model is not None, "whoever asks has asked `cannot_make` before"
        return CaptionSpoter(PatientModel(models.language_model, PATIENCE_SECONDS))

    def sentence_encoder() -> SentenceEncoder:
        from cir.models.sentence_encoder import load_sentence_encoder  # it brings torch

        return load_sentence_encoder(sentence_encoder_folder())

    def cannot_make() -> str:
        if models.language_model is None:
            missing = models.missing.get("language model", "There is no language model.")
            return f"New triplets need the language model. {missing}"
        try:
            sentence_encoder_folder()
        except CirError as error:
            return str(error)
        return ""

    own = gallery_cache() / "triplets"
    return TripletLibrary(
        SHIPPED,
        own,
        spoter=spoter,
        sentence_encoder=sentence_encoder,
        cannot_make=cannot_make,
        titles=titles or {},
    )


class TripletLibrary:
    """A `TripletSource`: what the triplet tab asks for (see there for its methods).

    Args:
        shipped: a folder of triplets that is never written to.
        own: the folder for everything that is written; it need not be there.
        spoter, sentence_encoder: build the models for making more, when they are needed for the first time.
        cannot_make: why they cannot be built, with the way out; "" when they can.
        titles: a gallery's name -> how people call it, where that is another.
    """

    def __init__(
        self,
        shipped: Path,
        own: Path,
        *,
        spoter: Callable[[], Spoter],
        sentence_encoder: Callable[[], SentenceEncoder],
        cannot_make: Callable[[], str] = lambda: "",
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self.shipped, self.own, self.titles = shipped, own, dict(titles or {})
        self._build_spoter, self._build_encoder, self._cannot_make = spoter, sentence_encoder, cannot_make
        self._neighbours: WeakKeyDictionary[Gallery, Neighbours] = WeakKeyDictionary()

    def files(self) -> Sequence[tab.TripletFile]:
        """The shipped files, then the own ones, by name."""
        return [tab.TripletFile(key, self._title(key, path)) for key, path in self._paths().items()]

    def read(self, key: str) -> tab.TripletSet:
        """One file with what people said about it.

        Raises:
            CirError: it is not there, or damaged.
        """
        path = self._path(key)
        manifest = read_manifest(path)
        funnel, limits = funnel_from(manifest), _settings_of(manifest).thresholds
        mined = tab.Mining(funnel.images, funnel.groups, funnel.pairs, funnel.repeated)
        return tab.TripletSet(
            read_triplets(path),
            _folded(read_judgements(self._judged(key))),
            tab.Thresholds(limits.consistency, limits.near_duplicate, limits.gap),
            mined if funnel.images else None,
            _part(manifest, "gallery").get("name", ""),
        )

    def judge(self, key: str, triplet_id: str, judgement: tab.Judgement) -> None:
        """Append what takes back what was said before, and what is said now, to the sidecar file."""
        self._path(key)
        place = self._judged(key)
        append_judgement(place, Judgement(triplet_id, "cleared"))
        if judgement.text:
            append_judgement(place, Judgement(triplet_id, "edited", judgement.text))
        if judgement.verdict:
            append_judgement(place, Judgement(triplet_id, judgement.verdict))

    def mine(self, key: str, gallery: Gallery, thresholds: tab.Thresholds) -> tab.Mining:
        """Subgroups and pairs at these thresholds, in the reading of the file, from neighbours found once."""
        settings = _settings_of(read_manifest(self._path(key)))
        if gallery not in self._neighbours:
            self._neighbours[gallery] = find_candidates(gallery, SynCirSettings(top=settings.top)).neighbours
        mined = mine_subgroups(
            self._neighbours[gallery],
            near_duplicate=thresholds.near_duplicate,
            gap=thresholds.gap,
            reading=settings.reading,
        )
        groups, pairs = len(mined.subgroups), len(pairs_of(mined.subgroups))
        return tab.Mining(len(gallery), groups, pairs, len(PAIR_RANKS) * groups - pairs)

    def export(self, key: str, consistency: float, schema: str, out: Path) -> None:
        """All triplets as JSON lines, or the kept ones as CIRR's rows; judged by the score, then by the person."""
        path = self._path(key)
        limits = replace(_settings_of(read_manifest(path)).thresholds, consistency=consistency)
        judged = [judge(triplet, limits) for triplet in read_triplets(path)]
        said = apply_judgements(judged, read_judgements(self._judged(key)))
        if schema == "cirr":
            _, places = pictures_of_triplets(path, said)
            out.write_text(json.dumps(to_cirr(with_places(said, places))) + "\n", encoding="utf-8")
        else:
            write_triplets(out, said)

    def take_in(self, upload: Path) -> str:
        """Copy an annotation file into the own folder as our JSON lines; the same file twice gives one."""
        found = read_triplets(upload) if upload.suffix == ".jsonl" else read_foreign(upload)
        if not found:
            raise CirError("There is no triplet in this file.", "Choose another.")
        path = self.own / f"imported-{_slug(upload.stem)}-{content_hash(upload)[:6]}.jsonl"
        write_triplets(path, found)
        return f"own/{path.name}"

    def generate(
        self, key: str, gallery: Gallery, count: int, thresholds: tab.Thresholds, stop: Callable[[], bool]
    ) -> Iterator[tab.Made]:
        """Go on with the own file of this gallery, these thresholds and these models; the first step has no triplet.

        The first time, the file that is looked at is copied to begin with, where it was made in the same way.

        Raises:
            CirError: what is missing, or went wrong; what was made before is kept.
        """
        if self._cannot_make():
            raise CirError("No triplets can be made now.", self._cannot_make())
        settings = self._settings_for(key, thresholds)
        made_by = {"spoter": self._spoter.fingerprint, "sentence_encoder": self._encoder.fingerprint}
        content = gallery_digest(gallery.image_ids, gallery.contents, gallery.texts)
        made_from = {"fingerprints": dict(gallery.fingerprints), "content": content}
        recipe = {"gallery": made_from, "settings": asdict(settings), "models": made_by}
        digest = hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=3).hexdigest()
        out = self.own / f"{_slug(gallery.name)}-{digest}.jsonl"
        if not out.exists():
            self._begin_with(key, out, gallery.name, recipe)
        there = len(read_triplets(out)) if out.exists() else 0
        run = synthesize(
            gallery, self._spoter, self._encoder, out, settings=settings, limit=there + count, stop=stop
        )
        with closing(run):  # type: ignore[type-var]
            for step in run:
                if step.total <= there:
                    raise CirError(
                        f"Every pair of {self.titles.get(gallery.name, gallery.name)} has been asked about.",
                        "Move the two sliders of the groups to find other pairs.",
                    )
                new = () if step.triplet is None else (step.triplet,)
                yield tab.Made(
                    step.done - there, step.total - there, f"own/{out.name}", new, step.eta_seconds
                )

    def cannot_generate(self) -> str:
        """Why no triplets can be made, with the way out; "" when they can."""
        return self._cannot_make()

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

    def _begin_with(self, key: str, out: Path, gallery_name: str, recipe: Mapping[str, Any]) -> None:
        """Copy the file looked at, with its judgements, when the run would have written the same."""
        paths = self._paths()
        if key not in paths:
            return
        manifest = read_manifest(paths[key])
        made_from = _part(manifest, "gallery")
        same = (
            made_from.get("name") == gallery_name
            and all(made_from.get(key) == value for key, value in recipe["gallery"].items())
            and manifest.get("settings") == recipe["settings"]
            and manifest.get("models") == recipe["models"]
        )
        if not same:
            return
        self.own.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(manifest_path(paths[key]), manifest_path(out))
        if judgements_path(self._judged(key)).exists():
            shutil.copyfile(judgements_path(self._judged(key)), judgements_path(out))
        shutil.copyfile(paths[key], out)

    def _settings_for(self, key: str, thresholds: tab.Thresholds) -> SynCirSettings:
        """The settings of the file looked at, with the thresholds of this moment."""
        manifest = read_manifest(self._paths()[key]) if key in self._paths() else {}
        limits = Thresholds(thresholds.consistency, thresholds.near_duplicate, thresholds.gap)
        return replace(_settings_of(manifest), thresholds=limits)

    def _title(self, key: str, path: Path) -> str:
        """A file's name for people, from its manifest where it has one."""
        try:
            manifest = read_manifest(path)
        except CirError:  # it is told when the file is opened
            return path.stem
        done, gallery = funnel_from(manifest).done, _part(manifest, "gallery").get("name", "")
        if not gallery:
            return path.stem.removeprefix("imported-").rpartition("-")[0] or path.stem
        limits, usual = _settings_of(manifest).thresholds, Thresholds()
        differs = (
            ""
            if limits == usual
            else f", {limits.consistency:g} / {limits.near_duplicate:g} / {limits.gap:g}"
        )
        whence = (
            "Sample triplets"
            if key.startswith("shipped")
            else f"Made here from {self.titles.get(gallery, gallery)}"
        )
        return f"{whence}: {counted(done, 'pair')}{differs}"

    @cached_property
    def _spoter(self) -> Spoter:
        return self._build_spoter()

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return self._build_encoder()


def _settings_of(manifest: Mapping[str, Any]) -> SynCirSettings:
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


def _folded(judgements: Sequence[Judgement]) -> dict[str, tab.Judgement]:
    """The last word on each triplet, as `apply_judgements` reads it."""
    said: dict[str, tab.Judgement] = {}
    for one in judgements:
        before = said.get(one.triplet_id, tab.Judgement())
        if one.action == "cleared":
            said.pop(one.triplet_id, None)
        elif one.action == "edited":
            said[one.triplet_id] = tab.Judgement("", one.text)
        else:
            said[one.triplet_id] = tab.Judgement(one.action, one.text or before.text)
    return said


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-")[:40] or "triplets"
