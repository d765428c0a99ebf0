"""The fixtures of tests/data as whole benchmarks: their pictures drawn, and the toys as a model set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace

import pytest

from cir.commands import evaluating_datasets
from cir.composers.baselines import ImageOnly, Sum
from cir.composers.cvsi import Cvsi
from cir.composers.ingredients import Ingredients
from cir.measuring import bench
from cir.picture_memory import ReferenceEncoder
from tests.fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, ToyLanguageModel, ToyPhi, draw

DATA = Path(__file__).resolve().parent / "data"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "datasets"
NAMES = [f"{colour}-{shape}" for colour in COLOURS for shape in SHAPES]


def _draw_into(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for file, name in files.items():
        draw(name.split("-")[0], name.split("-")[1]).save(folder / file)


def lay_out(name: str, root: Path) -> Path:
    """A benchmark of tests/data below `root`, with its twelve pictures."""
    shutil.copytree(DATA / name, root)
    if name == "cirr":
        for split in ("dev", "test1"):
            _draw_into(root / split, {f"{split}-{one}.png": one for one in NAMES})
    elif name == "circo":
        files = {f"{101 + i:012d}.png": one for i, one in enumerate(NAMES)}
        _draw_into(root / "COCO2017_unlabeled" / "unlabeled2017", files)
    else:
        _draw_into(root / "images", {f"{one}.png": one for one in NAMES})
    return root


class CountingModel(ToyLanguageModel):
    """Calls `at_call` before each answer. With a log its calls are counted over processes."""

    deadline_seconds = 20.0

    def __init__(self, log: Path | None = None, at_call: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.log, self.at_call = log, at_call

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        if self.at_call:
            self.at_call(len(self.prompts))
        if self.log:
            with self.log.open("a") as file:
                file.write("x")
        return super().complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)


class ToyModels:
    """The toys, as `cir.models.model_set.Models` offers its own."""

    name, llm = "embedded", "toy"

    def __init__(self, language_model: CountingModel | None = None) -> None:
        self.clip = self.tower = self.text_encoder = ToyClip()
        self.references = ReferenceEncoder(self.clip)
        self.captions_fingerprint = self.clip.fingerprint
        self.photographs = None
        self.captioner: ToyCaptioner | None = ToyCaptioner()
        self.language_model = language_model or CountingModel()
        self.missing: dict[str, str] = {}
        self.set = SimpleNamespace(mapping={}, photographs=None, reads="photographs")
        self.closed = False

    where_asked = ""

    def phi(self, recipe: str | None = None) -> None:
        return None

    words = fusion = encoder = patch_words = towers = published = phi

    @property
    def fingerprints(self) -> dict[str, str]:
        found = {"clip": self.clip, "language_model": self.language_model}
        return {name: one.fingerprint for name, one in found.items() if one is not None}

    opened = fingerprints

    def record_of(self, fingerprint: str) -> dict[str, float]:
        """CVSI's network was trained for a minute and a half."""
        return {"seconds": 90.0} if fingerprint == ToyPhi.fingerprint else {}

    def forget_references(self) -> None:
        self.references.forget()

    def close(self) -> None:
        self.closed = True


def toy_methods(given: Ingredients, only: Collection[str] = ()) -> dict[str, object]:
    """Two methods and CVSI, as `build_methods` would make them."""
    clip = given.text_encoder
    cvsi = Cvsi(clip, clip, clip, ToyPhi(), given.captioner, given.language_model, settings=given.settings)
    wanted = {name.lower() for name in only} or {"cvsi", "sum", "image-only"}
    made = (cvsi, Sum(clip, clip), ImageOnly(clip))
    return {one.name: one for one in made if one.name.lower() in wanted}


def use(monkeypatch: pytest.MonkeyPatch, models: ToyModels) -> ToyModels:
    """These models, and the toys' methods, for `evaluate` on a data set and for `tables`."""
    for module in (bench, evaluating_datasets):
        monkeypatch.setattr(module, "build_models", lambda *_, **__: models)
        monkeypatch.setattr(module, "build_methods", toy_methods)
    return models


def die(_: object) -> None:
    """End this process at once, as a kill does."""
    os._exit(9)
