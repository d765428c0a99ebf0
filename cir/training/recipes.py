"""From nothing to the shipped weights: which stage needs which, for how long, and what it leaves behind.

Every stage is resumable: started again with the same folder it goes on from its checkpoint. `minutes` are wall time
on whatever machine there is; the defaults are those of the shipped weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cir import places
from cir.errors import CirError
from cir.training.loop import RunSettings, launch

RUNS = Path("runs")
ASSETS = places.ASSETS / "models"
PICTURES = {"pictures": (30_000, 1, False), "held_out": (3_000, 77, True)}  # pairs, seed, held out
RECIPES = ("pic2word", "lincir", "searle")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage is told.

    Attributes:
        runs: the folder of all runs.
        minutes: wall time; None takes the default.
        ranks: processes that average their gradients.
        seed: of everything drawn.
        trunk_weights: the published ImageNet weights, for the trunk's first stage.
        recipe: of the mapping network.
        words: pseudo-words for one image.
        composed_share: of the text tower's targets that are described as an edit; None takes that of the shipped one.
        out: where the CLIP goes; None takes the place of the shipped one.
    """

    runs: Path = RUNS
    minutes: float | None = None
    ranks: int = 1
    seed: int = 0
    trunk_weights: Path | None = None
    recipe: str = "pic2word"
    words: int = 1
    composed_share: float | None = None
    out: Path | None = None

    def settings(self, name: str, minutes: float, **extra: Any) -> RunSettings:
        """Settings of the run `name`."""
        return RunSettings(
            self.runs / name, self.minutes or minutes, self.ranks, self.seed, device="cpu", extra=extra
        )

    def checkpoint(self, name: str) -> Path:
        """The checkpoint of a run that has to be there.

        Raises:
            CirError: it is not.
        """
        path = self.runs / name / "checkpoint.pt"
        if not path.exists():
            raise CirError(f"There is no {path}.", f"Train that stage first: python -m cir train {name}")
        return path


def train_crops(stage: Stage) -> None:
    """ImageNet trunk -> a trunk that names single objects."""
    from cir.training.trunk import train_trunk

    if stage.trunk_weights is None:
        raise CirError("The trunk starts from ImageNet weights.", "Give their file: --trunk-weights FILE.pth")
    launch(train_trunk, stage.settings("crops", 10, stage="crops", weights=stage.trunk_weights))


def train_scenes(stage: Stage) -> None:
    """A trunk that names objects -> a trunk that reads whole scenes."""
    from cir.training.trunk import train_trunk

    extra = {"stage": "scenes", "start": stage.checkpoint("crops"), "frozen": 3, "rate": 6e-4, "batch": 48}
    launch(train_trunk, stage.settings("scenes", 22, **extra))


def encode(stage: Stage, part: int = 0, parts: int = 1) -> None:
    """Scenes -> what the frozen trunk sees of them."""
    from cir.training.pictures import encode_pictures

    torch.set_num_threads(1)
    for name, (pairs, seed, held_out) in PICTURES.items():
        encode_pictures(
            stage.runs / name,
            stage.checkpoint("scenes"),
            pairs=pairs,
            seed=seed,
            held_out=held_out,
            part=part,
            parts=parts,
        )


def train_clip(stage: Stage) -> None:
    """Image head and text tower, and the folder that open_clip loads."""
    from cir.training.world_clip import export_clip, load_teacher, train_world_clip

    run, extra = "clip", _pictures(stage)
    if stage.composed_share is not None:
        run, extra = (
            f"clip-composed-{stage.composed_share:g}",
            {**extra, "composed_share": stage.composed_share},
        )
    launch(train_world_clip, stage.settings(run, 26, **extra))
    export_clip(load_teacher(stage.checkpoint(run)), stage.out or ASSETS / "clip", manifest(stage, run))


def train_places(stage: Stage) -> None:
    """The reader of places that the captioner obeys."""
    from cir.training.captioner import train_places as train

    launch(train, stage.settings("places", 4, **_pictures(stage)))


def train_captioner(stage: Stage) -> None:
    """The captioner, and the folder that transformers loads."""
    places = stage.checkpoint("places")
    from cir.training.captioner import export_captioner
    from cir.training.captioner import train_captioner as train

    launch(train, stage.settings("captioner", 15, **_pictures(stage)))
    export_captioner(
        stage.checkpoint("captioner"),
        stage.checkpoint("scenes"),
        places,
        ASSETS / "blip2",
        manifest(stage, "captioner"),
    )


def train_mapping(stage: Stage) -> None:
    """A mapping network by one recipe."""
    if stage.recipe == "searle":
        from cir.training.searle import train_searle as train
    else:
        from cir.training.mapping import train_mapping as train

    out = ASSETS / "mapping" / f"{stage.recipe}.safetensors"
    extra = {
        "recipe": stage.recipe,
        "clip": stage.checkpoint("clip"),
        "pictures": stage.runs / "pictures",
        "words": stage.words,
        "out": out,
    }
    launch(train, stage.settings(f"mapping-{stage.recipe}-{stage.words}", 4, **extra))


def manifest(stage: Stage, run: str) -> dict[str, Any]:
    """What made a model: settings, time, samples and the last line of its log."""
    rows = [
        json.loads(line) for line in (stage.runs / run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return {
        "run": run,
        "made": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "seed": stage.seed,
        "ranks": stage.ranks,
        "seconds": rows[-1]["seconds"],
        "steps": rows[-1]["steps"],
        "samples": rows[-1]["samples"],
        "figures": {k: v for k, v in rows[-1].items() if k not in ("seconds", "steps", "samples", "final")},
    }


def _pictures(stage: Stage) -> Mapping[str, Path]:
    return {
        "pictures": stage.runs / "pictures",
        "held_out": stage.runs / "held_out",
        "trunk": stage.checkpoint("scenes"),
    }


STAGES = {
    "crops": train_crops,
    "scenes": train_scenes,
    "pictures": encode,
    "world-clip": train_clip,
    "places": train_places,
    "captioner": train_captioner,
    "mapping": train_mapping,
}
