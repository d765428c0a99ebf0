"""HyCIR's ablations: every row of a table trained with every seed, and measured on the world benchmark."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cir import __version__
from cir.application import build_models, drawn_gallery, gallery_cache, open_for
from cir.cache_keys import code_digest, digest_of, keyed_folder
from cir.errors import CirError
from cir.evaluation.benchmark import read_benchmark
from cir.evaluation.encoders import Encoders, unit
from cir.evaluation.measures import recalls
from cir.measuring.bench import say
from cir.models.blip_towers import BlipTowers
from cir.syncir.query_text import SpotInput, TemplateSpoter
from cir.text import counted
from cir.training.hycir import HycirSettings, TripletFeatures, composed_rows, train_hycir, training_inputs
from cir.training.on_gallery import features_of, kept_of_gallery, unlabelled, world_triplets
from cir.types import Triplet

if TYPE_CHECKING:
    from cir.models.mapping import MappingNetwork

SOURCES = {"syncir": "SynCir's triplets", "world": "true edits"}
# Row name -> what differs from the default (hybrid, 4 words, filtered, near pairs). Source: HyCIR, Tables 3, 4
# and 5; the rows of near pairs are ours, that of SPN's templates is of its Table 1, which has no numbers.
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "3": {
        "no synthetic data": {"loss": "zs-cir"},
        "SynCir without filter": {"unfiltered": True, "far": True},
        "SynCir with filter": {"far": True},
        "SynCir with filter, near pairs": {},
        "SPN's templates, near pairs": {"templates": True},
    },
    "4": {f"{n} word{'s' if n > 1 else ''}": {"tokens": n} for n in range(1, 9)},
    "5": {"L_ZS-CIR": {"loss": "zs-cir"}, "L_triplet": {"loss": "triplet"}, "L_hybrid": {}},
}


def in_template(triplet: Triplet) -> Triplet:
    """The triplet with the text that SPN's templates make of its captions."""

    def unseen() -> Image.Image:
        raise AssertionError("templates are filled with captions alone")

    pair = (SpotInput(caption, unseen) for caption in (triplet.reference_caption, triplet.target_caption))
    return replace(triplet, text=TemplateSpoter().spot(*pair))


def _applies(change: dict[str, Any], source: str) -> bool:
    """True edits need no filter and have texts of their own, and without triplets there is no source of them."""
    without = change.get("far") or change.get("templates") or change.get("loss") == "zs-cir"
    return source == "syncir" or not without


class Ablation:
    """The benchmark, the data, and what was measured already: runs/ablation/*.json, by settings."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.models = build_models(options.models, llm="none")
        self.clip = self.models.tower
        self.gallery = drawn_gallery(self.models, open_for(self.models, options.gallery))
        self.pool = unlabelled(options.pictures, self.gallery, self.clip)
        self._data: dict[str, TripletFeatures] = {}

    @property
    def encoder(self) -> str:
        """ "CLIP" or "BLIP"."""
        return "BLIP" if isinstance(self.clip.model, BlipTowers) else "CLIP"

    def rows(self, table: str) -> dict[str, dict[str, list[dict[str, float]]]]:
        """Row -> source of triplets -> the measures of every seed, of one of the paper's tables.

        Raises:
            CirError: there is no such table.
        """
        if table not in TABLES:
            raise CirError(f"HyCIR has no table {table} of this kind.", f"Choose from {', '.join(TABLES)}.")
        return {
            row: {source: list(self.runs(change, source)) for source in SOURCES if _applies(change, source)}
            for row, change in TABLES[table].items()
        }

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
        kind = "-templates" if change.get("templates") else kind
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
                lambda s: say(f"{data}, {change}, {seed}: {s}"),
            )
            draft = done.with_suffix(".tmp")
            draft.write_text(json.dumps(self.measure(network)), encoding="utf-8")
            os.replace(draft, done)
            (folder / "checkpoint.pt").unlink(missing_ok=True)
        return json.loads(done.read_text(encoding="utf-8"))

    @cached_property
    def _benchmark(self) -> str:
        """What a network is measured on, and how."""
        return digest_of(read_benchmark("world").digest, code_digest("evaluation/measures.py"))

    def _triplets(self, data: str) -> TripletFeatures:
        """ "world": true edits; "syncir": kept near pairs; "syncir-far": all kept; "syncir-all": unfiltered.

        "syncir-templates": the kept near pairs with SPN's sentences around their captions.
        """
        if data not in self._data:
            if data == "world":  # as many as SynCir's: their number is not what is compared
                count = len(self._triplets("syncir"))
                self._data[data] = world_triplets(self.options.pictures, self.clip, count, 0)
            else:
                every = data == "syncir-all"
                rows = kept_of_gallery(self.options.triplets, self.gallery, say, unfiltered=every)
                if data == "syncir-templates":
                    rows = [retold for row in rows if (retold := in_template(row)).text]
                found = features_of(rows, self.gallery)
                near = data in ("syncir", "syncir-templates")
                self._data[data] = found.near(self.options.min_similarity) if near else found
        return self._data[data]

    def measure(self, network: MappingNetwork) -> dict[str, float]:
        """Recall@K on the world benchmark, the reference left out, and HyCIR's "Avg", in percent."""
        benchmark = read_benchmark("world")
        ids = list(benchmark.scenes)
        place = {image_id: i for i, image_id in enumerate(ids)}
        assert self.models.captioner is not None, "sets that read the world ship with a captioner"
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
