"""`python -m cir train mapping --recipe hycir|pic2word|lincir --gallery ...` and `python -m cir ablate`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cir import __version__
from cir.application import build_models, gallery_cache, open_for, report_path
from cir.cache_keys import (
    code_digest,
    digest_of,
    folders_of,
    gallery_digest,
    keyed_folder,
    what_else_there_is,
)
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.models.model_set import Models
from cir.text import counted
from cir.types import Triplet

if TYPE_CHECKING:
    from cir.models.clip import ClipModel
    from cir.models.mapping import MappingNetwork
    from cir.training.hycir import HycirSettings, TripletFeatures

POOL = 20_000  # unlabelled pictures of the world; more of them change nothing that can be measured here


def train_general(options: argparse.Namespace) -> int:
    """Train a mapping network on a gallery, and for HyCIR on its triplets; write it as safetensors.

    It is kept in a folder of its own for everything that it depends on, so the same command goes on with it, or finds
    it done, and any other begins anew.
    """
    from cir.models.mapping import MAPPING_FILE, save_mapping
    from cir.training.hycir import HycirTraining, run_to_end, training_inputs
    from cir.training.lincir import LincirTraining

    models = build_models(options.models, llm="none")
    clip, recipe = models.clip, options.recipe
    gallery = open_for(models, options.gallery)
    triplets, images, captions = None, np.zeros((0, clip.dim), np.float32), []
    if recipe == "lincir":
        captions = [c for image_id in gallery.image_ids for c in gallery.captions(image_id)]
    elif recipe != "hycir" or options.loss != "triplet":
        images = unlabelled(options.unlabelled, gallery, clip)
    if recipe == "hycir" and options.loss != "zs-cir":
        triplets = features_of(read_kept(options.triplets), gallery).near(options.min_similarity)
    settings = settings_for(options, len(set(captions)) or len(images), len(triplets or ()))
    data = (captions,) if recipe == "lincir" else (images, *(triplets.contents if triplets else ()))
    name = f"mapping-{recipe}-{models.name}"
    folder = keyed_folder(
        options.runs,
        name,
        {**training_inputs(clip, settings, *data), "gallery": about(gallery)["gallery_content"]},
    )
    _say_line(f"Works in {folder}. {what_else_there_is(folder, name)}".strip())
    if recipe == "lincir":
        training = LincirTraining(clip, captions, settings, folder)
        learned = {"captions": len(training.captions)}
    else:
        training = HycirTraining(clip, images, triplets, settings, folder)
        learned = {"unlabelled_images": len(images), "triplets": len(triplets) if triplets else 0}
    if training.step:
        _say_line(
            f"{'It was trained before' if training.done else 'Goes on'}: {counted(training.step, 'step')} made."
        )
    network = run_to_end(training, _say)
    record = {
        "recipe": recipe,
        "normalise_input": recipe == "lincir",
        "model_set": models.name,
        "steps": training.step,
        **training_record(settings, models, {**learned, **about(gallery)}, training.seconds),
    }
    out = folder / MAPPING_FILE
    save_mapping(network.half(), out, record)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out, options.out)
    sys.stdout.write(
        f"\n{options.out or out} is written: {counted(settings.tokens, 'pseudo-word')}, {counted(training.step, 'step')} on "
        f"{gallery.name}, {training.seconds:.0f} s.\n{next_command(options.out or folder, models.name)}"
    )
    return 0


def about(gallery: Gallery) -> dict[str, Any]:
    """What is trained on: the gallery's name and its content."""
    content = gallery_digest(gallery.image_ids, gallery.contents, gallery.texts)
    return {"gallery": gallery.name, "gallery_images": len(gallery), "gallery_content": content}


def settings_for(options: argparse.Namespace, images: int, triplets: int) -> HycirSettings:
    """The recipe's numbers; a batch that was not asked for is as large as in the paper, or as there is data.

    Args:
        options: of the command.
        images: unlabelled ones, or captions, that there are.
        triplets: that there are.
    """
    from cir.training.hycir import HycirSettings

    recipe = options.recipe
    usual = HycirSettings()
    batches = {"images": options.batch_images, "triplets": options.batch_triplets}
    for name, there in (("images", images), ("triplets", triplets)):
        if batches[name] is None:
            batches[name] = min(getattr(usual, name), there) or 1
            if 0 < there < getattr(usual, name):
                _say_line(
                    f"There are {there} to learn from, so a batch has all of them: --batch-{name} {there}."
                )
    steps = options.steps or (usual.steps if options.minutes is None else sys.maxsize)
    return HycirSettings(
        **batches,
        tokens=options.tokens or (usual.tokens if recipe == "hycir" else 1),
        loss=options.loss if recipe == "hycir" else "zs-cir",
        rate=options.rate,
        steps=steps,
        minutes=options.minutes,
        seed=options.seed,
        mixed_precision=options.mixed_precision,
    )


def next_command(network: Path | str, model_set: str) -> str:
    """How a trained network is used, as a sentence with its commands."""
    place, models = shlex.quote(str(network)), "" if model_set == "embedded" else f" --models {model_set}"
    return (
        f"Search with it: python -m cir search --image FILE --text EDIT --phi {place}{models}\n"
        f"Or in the page: python app.py --phi {place}{models}\n"
    )


def training_record(
    settings: HycirSettings, models: Models, data: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What made a network, for its file; `data`: what it has learned from."""
    from dataclasses import asdict

    return {
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        "trained_for": models.clip.fingerprint,
        "settings": asdict(settings),
        **data,
        "seconds": round(seconds, 1),
    }


def read_kept(path: Path, *, unfiltered: bool = False) -> list[Triplet]:
    """The triplets of a file that training may use: the kept ones, or all that have a text.

    Raises:
        CirError: there is no such file, or nothing in it can be used.
    """
    from cir.syncir.records import read_triplets

    if not path.is_file():
        raise CirError(f"There are no triplets at {path}.", "Make them: python -m cir synthesize --out FILE")
    found = [t for t in read_triplets(path) if t.text and (unfiltered or t.verdict == "kept")]
    if not found:
        raise CirError(f"{path} has no triplet that can be trained on.", "Lower the threshold, or make more.")
    return found


def features_of(triplets: Sequence[Triplet], gallery: Gallery) -> TripletFeatures:
    """Raw features of both images of every triplet.

    Raises:
        BadQuery: an image that the gallery does not have.
    """
    from cir.training.hycir import TripletFeatures

    targets = [gallery.find(t.target_id) for t in triplets]
    return TripletFeatures(
        np.stack([gallery.raw_features(t.reference_id) for t in triplets]),
        np.stack([gallery.raw_features(t.target_id) for t in triplets]),
        [t.text for t in triplets],
        np.array(targets),
    )


def unlabelled(source: Path | None, gallery: Gallery, clip: ClipModel) -> NDArray[np.float32]:
    """(N, D) raw features for L_ZS-CIR: of the gallery, or of pictures that `train pictures` encoded."""
    if source is None:
        return np.stack([gallery.raw_features(image_id) for image_id in gallery.image_ids])
    from cir.training.pictures import CachedPictures

    pictures = CachedPictures(encoded_pictures(source))
    return pictures.features(clip.model.visual.head, np.arange(min(POOL, 2 * len(pictures))))


def encoded_pictures(source: Path) -> Path:
    """The folder of encoded pictures of this name that was made last: `train pictures` adds a key to the name.

    Raises:
        CirError: there is none.
    """
    for folder in folders_of(source.parent, source.name):
        if (folder / "pictures.json").is_file():
            return folder
    raise CirError(f"There are no encoded pictures in {source}.", "Make them: python -m cir train pictures")


def world_triplets(source: Path, clip: ClipModel, count: int, seed: int) -> TripletFeatures:
    """True triplets: pairs of the world with the edit that was really made between them."""
    from cir.training.hycir import TripletFeatures
    from cir.training.pictures import CachedPictures

    pictures = CachedPictures(encoded_pictures(source))
    pairs: list[int] = []
    texts: list[str] = []
    for pair in np.random.default_rng(seed).permutation(len(pictures)).tolist():
        edit = pictures.describe(pair)[2]
        if edit is not None:
            pairs.append(pair)
            texts.append(edit.text)
        if len(pairs) == count:
            break
    rows = np.array(pairs)
    references, targets = (pictures.features(clip.model.visual.head, 2 * rows + i) for i in (0, 1))
    return TripletFeatures(references, targets, texts, np.arange(len(rows)))


def _say(sentence: str) -> None:
    sys.stderr.write(f"\r{sentence:<70}")
    sys.stderr.flush()


def _say_line(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


# --- the paper's ablations ------------------------------------------------------------------------------

SOURCES = {"syncir": "SynCir's triplets", "world": "true edits"}
# Row name -> what differs from the default (hybrid, 4 words, filtered, near pairs). Source: HyCIR, Tables 3, 4
# and 5; the row of near pairs is ours.
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "3": {
        "no synthetic data": {"loss": "zs-cir"},
        "SynCir without filter": {"unfiltered": True, "far": True},
        "SynCir with filter": {"far": True},
        "SynCir with filter, near pairs": {},
    },
    "4": {f"{n} word{'s' if n > 1 else ''}": {"tokens": n} for n in range(1, 9)},
    "5": {"L_ZS-CIR": {"loss": "zs-cir"}, "L_triplet": {"loss": "triplet"}, "L_hybrid": {}},
}


def ablate(options: argparse.Namespace) -> int:
    """Train every row of a table with every seed, measure it on the world benchmark, and write the table."""
    from cir.commands.ablation_tables import write_table

    bench = _Bench(options)
    for name in options.tables.split(","):
        if name not in TABLES:
            raise CirError(f"HyCIR has no table {name} of this kind.", f"Choose from {', '.join(TABLES)}.")
        rows = {
            row: {source: list(bench.runs(change, source)) for source in SOURCES if _applies(change, source)}
            for row, change in TABLES[name].items()
        }
        out = report_path(options.results)
        write_table(out, name, rows, bench.record())
        _say("")
        sys.stdout.write(f"Table {name} is written to {out}.\n")
    return 0


def _applies(change: dict[str, Any], source: str) -> bool:
    """True edits need no filter, and without triplets there is no source of them."""
    return source == "syncir" or not (change.get("far") or change.get("loss") == "zs-cir")


class _Bench:
    """The benchmark, the data, and what was measured already: runs/ablation/*.json, by settings."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.models = build_models("embedded", llm="none")
        self.clip = self.models.clip
        self.gallery = open_for(self.models)
        self.pool = unlabelled(options.pictures, self.gallery, self.clip)
        self._data: dict[str, TripletFeatures] = {}

    def runs(self, change: dict[str, Any], source: str) -> Iterator[dict[str, float]]:
        """The measures of every seed."""
        for seed in range(self.options.seeds):
            yield self._measured(change, source, seed)

    def record(self) -> dict[str, Any]:
        """What all rows share."""
        options = self.options
        return {
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "seeds": options.seeds,
            "steps": options.steps,
            "batch": f"{counted(options.batch_images, 'image')} and {counted(options.batch_triplets, 'triplet')}",
            "rate": options.rate,
            "unlabelled_images": len(self.pool),
            "min_similarity_of_near_pairs": options.min_similarity,
            "triplets": {name: len(self._triplets(name)) for name in ("syncir-all", "syncir-far", "syncir")},
            "true_edits": len(self._triplets("syncir")),
            "clip": self.clip.fingerprint,
        }

    def _measured(self, change: dict[str, Any], source: str, seed: int) -> dict[str, float]:
        from cir.training.hycir import HycirSettings, train_hycir, training_inputs

        options = self.options
        settings = HycirSettings(
            tokens=change.get("tokens", 4),
            loss=change.get("loss", "hybrid"),
            images=options.batch_images,
            triplets=options.batch_triplets,
            rate=options.rate,
            steps=options.steps,
            seed=seed,
            save_every=10**9,
        )
        kind = "-all" if change.get("unfiltered") else "-far" if change.get("far") else ""
        data = "none" if settings.loss == "zs-cir" else source + kind
        triplets = None if data == "none" else self._triplets(data)
        inputs = {
            **training_inputs(self.clip, settings, self.pool, *(triplets.contents if triplets else ())),
            "benchmark": self._benchmark,
        }
        folder = keyed_folder(options.runs / "ablation", "run", inputs)
        done = folder / "measures.json"
        if not done.exists():
            network = train_hycir(
                self.clip,
                self.pool,
                triplets,
                settings,
                folder,
                lambda s: _say(f"{data}, {change}, {seed}: {s}"),
            )
            draft = done.with_suffix(".tmp")
            draft.write_text(json.dumps(self.measure(network)), encoding="utf-8")
            os.replace(draft, done)
            (folder / "checkpoint.pt").unlink(missing_ok=True)
        return json.loads(done.read_text(encoding="utf-8"))

    @cached_property
    def _benchmark(self) -> str:
        """What a network is measured on, and how."""
        from cir.evaluation.benchmark import read_benchmark

        return digest_of(read_benchmark("world").digest, code_digest("evaluation/measures.py"))

    def _triplets(self, data: str) -> TripletFeatures:
        """ "world": true edits; "syncir": kept near pairs; "syncir-far": all kept; "syncir-all": unfiltered."""
        if data not in self._data:
            if data == "world":  # as many as SynCir's: their number is not what is compared
                count = len(self._triplets("syncir"))
                self._data[data] = world_triplets(self.options.pictures, self.clip, count, 0)
            else:
                rows = read_kept(self.options.triplets, unfiltered=data == "syncir-all")
                found = features_of(rows, self.gallery)
                self._data[data] = found.near(self.options.min_similarity) if data == "syncir" else found
        return self._data[data]

    def measure(self, network: MappingNetwork) -> dict[str, float]:
        """Recall@K on the world benchmark, the reference left out, and HyCIR's "Avg", in percent."""
        from cir.evaluation.benchmark import read_benchmark
        from cir.evaluation.encoders import Encoders, unit
        from cir.evaluation.measures import recalls
        from cir.training.hycir import composed_rows

        benchmark = read_benchmark("world")
        ids = list(benchmark.scenes)
        place = {image_id: i for i, image_id in enumerate(ids)}
        assert self.models.captioner is not None, "embedded models ship with a captioner"
        encoders = Encoders(self.clip, self.clip, self.models.captioner, gallery_cache() / "benchmark")
        raw = encoders.images("world", benchmark.drawn, lambda: (benchmark.picture(i) for i in ids))
        references = np.array([place[q.reference_id] for q in benchmark.queries])
        targets = np.array([place[q.target_ids[0]] for q in benchmark.queries])
        texts = [q.modification_text for q in benchmark.queries]
        scores = composed_rows(self.clip, network, raw[references], texts) @ unit(raw).T
        rows = np.arange(len(texts))
        scores[rows, references] = -np.inf
        found = recalls((1 + (scores > scores[rows, targets][:, None]).sum(1)).tolist(), (1, 5, 10, 50))
        return {**found, "Avg": float(np.mean(list(found.values())))}
