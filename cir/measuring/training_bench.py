"""What networks that are trained many times over learn from and are measured by: triplets of both kinds, and the world benchmark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.application import build_models, drawn_gallery, open_for
from cir.cache_keys import code_digest, digest_of
from cir.errors import CirError
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.encoders import Encoders, unit
from cir.evaluation.measures import recalls
from cir.files import file_name
from cir.images import read_image
from cir.measuring.bench import say
from cir.models.blip_towers import BlipTowers
from cir.places import gallery_cache
from cir.syncir.consistency import KEPT
from cir.syncir.query_text import SpotInput, TemplateSpoter
from cir.training.fusion import RECIPES, gallery_triplets
from cir.training.hycir import TripletFeatures
from cir.training.on_gallery import features_of, kept_of_gallery, world_triplets
from cir.training.patches import TripletPatches, encoded_patches
from cir.types import Features, Triplet
from cir.whole_files import write_whole

SOURCES = ("syncir", "world")
COLUMNS = (1, 5, 10, 50)


def in_template(triplet: Triplet) -> Triplet:
    """The triplet with the text that SPN's templates make of its captions."""

    def unseen() -> Image.Image:
        raise AssertionError("templates are filled with captions alone")

    pair = (SpotInput(caption, unseen) for caption in (triplet.reference_caption, triplet.target_caption))
    return replace(triplet, text=TemplateSpoter().spot(*pair))


def kept_measures(folder: Path, measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """What was measured of the network of a folder, or is now; its checkpoint has then done its part."""
    done = folder / "measures.json"
    if not done.exists():
        write_whole(done, json.dumps(measure()))
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return json.loads(done.read_text(encoding="utf-8"))


class TrainingBench:
    """A model set, SynCir's triplets of a gallery and true edits, and the queries of the world benchmark.

    Args:
        options: of `ablate`.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.models = build_models(options.models, llm="none")
        self.clip = self.models.tower
        self.gallery = drawn_gallery(self.models, open_for(self.models, options.gallery), say)
        self._triplets: dict[tuple[str, str | None], TripletFeatures] = {}

    @property
    def encoder(self) -> str:
        """ "CLIP" or "BLIP"."""
        return "BLIP" if isinstance(self.clip.model, BlipTowers) else "CLIP"

    @cached_property
    def digest(self) -> str:
        """What a network is measured on, and how."""
        return digest_of(self._benchmark.digest, code_digest("evaluation/measures.py"))

    @cached_property
    def _benchmark(self) -> Benchmark:
        return read_benchmark("world")

    def triplets(self, data: str, recipe: str | None = None) -> TripletFeatures:
        """Triplets by what they are.

        Args:
            data: "world": true edits; "syncir": those that the language filter keeps; "syncir-all": unfiltered;
                "syncir-templates": the kept ones with SPN's sentences around their captions.
            recipe: of a supervised method, which may learn more of them; None for what all do.
        """
        if (data, recipe) not in self._triplets:
            self._triplets[data, recipe] = (
                self._of_world(recipe) if data == "world" else self._of_syncir(data, recipe)
            )
        return self._triplets[data, recipe]

    def _of_world(self, recipe: str | None) -> TripletFeatures:
        """As many as SynCir's: their number is not what is compared."""
        captions = recipe is not None and RECIPES[recipe].captions_first
        count = len(self.triplets("syncir"))
        return world_triplets(self.options.pictures, self.clip, count, 0, captions=captions)

    def _of_syncir(self, data: str, recipe: str | None) -> TripletFeatures:
        rows = self._rows if data == "syncir-all" else [row for row in self._rows if row.verdict == KEPT]
        if data == "syncir-templates":
            rows = [retold for row in rows if (retold := in_template(row)).text]
        if not rows:
            raise CirError("Not one of these triplets is kept.", "Make more, or lower --min-similarity.")
        if recipe is None:
            return features_of(rows, self.gallery)
        return gallery_triplets(recipe, rows, self.gallery, self.clip, read_image, self.options.runs, say)

    @cached_property
    def _rows(self) -> list[Triplet]:
        """SynCir's triplets with a text, filtered or not, whose pictures are as near as is asked for."""
        rows = kept_of_gallery(self.options.triplets, self.gallery, say, unfiltered=True)
        found = features_of(rows, self.gallery)
        return [rows[int(row)] for row in found.near_rows(self.options.min_similarity)]

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """(M,) Which of "syncir-all" the language filter keeps."""
        return np.array([row.verdict == KEPT for row in self._rows])

    def target_ranks(
        self, compose: Callable[[NDArray[np.float32], Sequence[str]], Features]
    ) -> NDArray[np.int64]:
        """(M,) The place of each target of "syncir-all" among the pictures of the gallery, its reference left out.

        Args:
            compose: (M, D) raw features of references and M texts -> (M, D) unit rows.
        """
        wanted, gallery = self.triplets("syncir-all"), self.gallery
        pictures = unit(np.stack([gallery.raw_features(image_id) for image_id in gallery.image_ids]))
        scores = compose(wanted.references, wanted.texts) @ pictures.T
        each = np.arange(len(scores))
        scores[each, [gallery.find(row.reference_id) for row in self._rows]] = -np.inf
        return 1 + (scores > scores[each, wanted.target_ids][:, None]).sum(1)

    @cached_property
    def raw(self) -> NDArray[np.float32]:
        """(K, D) features of the benchmark's scenes, kept with it."""
        assert self.models.captioner is not None, "sets that read the world ship with a captioner"
        encoders = Encoders(self.clip, self.clip, self.models.captioner, gallery_cache() / "benchmark")
        scenes, picture = self._benchmark.scenes, self._benchmark.picture
        return encoders.images("world", self._benchmark.drawn, lambda: map(picture, scenes))

    @cached_property
    def asked(self) -> TripletFeatures:
        """The benchmark's queries; `target_ids` are rows of `raw`. Patches of references are encoded when they are first read."""
        place = {image_id: row for row, image_id in enumerate(self._benchmark.scenes)}
        queries = self._benchmark.queries
        references = np.array([place[q.reference_id] for q in queries])
        targets = np.array([place[q.target_ids[0]] for q in queries])
        texts = [q.modification_text for q in queries]
        patches = TripletPatches(references, targets, lambda rows: self._patches(rows))
        return TripletFeatures(self.raw[references], self.raw[targets], texts, targets, patches)

    @cached_property
    def _patches(self) -> Callable[[NDArray[np.int64]], NDArray[np.float16]]:
        """Reads patches of references, which are kept with the benchmark."""
        ids, picture = list(self._benchmark.scenes), self._benchmark.picture
        shown = np.unique([ids.index(q.reference_id) for q in self._benchmark.queries])
        name = file_name(f"patches-world-{self._benchmark.drawn}-{self.clip.fingerprint}", "_")
        path = gallery_cache() / "benchmark" / f"{name}.npy"
        kept = encoded_patches(path, self.clip, (picture(ids[row]) for row in shown), len(shown), say)
        return lambda rows: kept[np.searchsorted(shown, rows)]

    def measured(self, rows: Features) -> dict[str, float]:
        """Recalls of (N, D) unit queries in percent, the references left out, and HyCIR's "Avg"."""
        scores = rows @ unit(self.raw).T
        each, asked = np.arange(len(rows)), self.asked
        assert asked.patches is not None, "it numbers the references"
        scores[each, asked.patches.references] = -np.inf
        ranks = 1 + (scores > scores[each, asked.target_ids][:, None]).sum(1)
        found = recalls(ranks.tolist(), COLUMNS)
        return {**found, "Avg": float(np.mean(list(found.values())))}
