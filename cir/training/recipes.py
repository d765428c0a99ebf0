"""From nothing to the shipped weights: which stage needs which, for how long, and what it leaves behind.

Every stage is resumable: started again on the same inputs it goes on from its checkpoint; on others it begins anew, in
another folder. `minutes` are wall time on whatever machine there is; the defaults are those of the shipped weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cir.cache_keys import (
    code_digest,
    file_digest,
    folder_digest,
    folders_of,
    keyed_folder,
    what_else_there_is,
)
from cir.errors import CirError
from cir.models.runtime import fingerprint_of
from cir.places import ASSETS, made_anew
from cir.training.loop import RunSettings, launch

RUNS = Path("runs")
SHIPPED = ASSETS / "models"
PICTURES = {"pictures": (30_000, 1, False), "held_out": (3_000, 77, True)}  # pairs, seed, held out
CODE = (
    "training",
    "world",
    "models/palavra.py",
    "models/patch_networks.py",
    "models/keds.py",
    "models/blip_towers.py",
    "models/low_rank.py",
    "models/text_tower.py",
    "models/mapping.py",
    "models/trunk_blip2.py",
    "models/delta_generator.py",
    "models/words.py",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage is told.

    Attributes:
        runs: the folder of all runs.
        minutes: wall time; None takes the default.
        steps: after how many to end, in place of the time.
        ranks: processes that average their gradients.
        seed: of everything drawn.
        trunk_weights: the published ImageNet weights, for the trunk's first stage.
        recipe: of the mapping network.
        words: pseudo-words for one image.
        composed_share: of the text tower's targets that are described as an edit; None takes that of the shipped one.
        out: where the CLIP, the BLIP or the mapping network goes; None takes the place of the shipped one.
        version: of the program, for what is written down.
        say: told what a stage goes on with, and what it leaves alone.
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
    version: str = ""
    steps: int | None = None
    say: Callable[[str], None] = field(default=lambda _: None)

    def settings(self, name: str, minutes: float, **extra: Any) -> RunSettings:
        """Settings of the run `name`, in the folder of all that it depends on."""
        wanted = self.minutes or minutes
        until = {"minutes": wanted} if self.steps is None else {"steps": self.steps}
        inputs = {**until, "ranks": self.ranks, "seed": self.seed, "torch": torch.__version__}
        made_of = {key: _content(value) for key, value in extra.items() if key not in ("out", "version")}
        folder = self.folder(name, {**inputs, **made_of})
        return RunSettings(folder, wanted, self.ranks, self.seed, device="cpu", steps=self.steps, extra=extra)

    def folder(self, name: str, inputs: Mapping[str, Any]) -> Path:
        """Where the stage `name` works on these inputs; what lies beside it is said."""
        folder = keyed_folder(self.runs, name, {**inputs, "program": code_digest(*CODE)})
        self.say(f"Works in {folder}. {what_else_there_is(folder, name)}".strip())
        return folder

    def checkpoint(self, name: str) -> Path:
        """The checkpoint of the run `name` that was trained last.

        Raises:
            CirError: there is none.
        """
        return self.last(name, "checkpoint.pt") / "checkpoint.pt"

    def trunk(self) -> Path:
        """The trunk that was trained last: its checkpoint, or the folder of the shipped CLIP, which stands on one."""
        if any((folder / "checkpoint.pt").exists() for folder in folders_of(self.runs, "scenes")):
            return self.checkpoint("scenes")
        self.say(f"There is no trunk of one's own in {self.runs}: goes on with that of {SHIPPED / 'clip'}.")
        return SHIPPED / "clip"

    def last(self, name: str, holds: str) -> Path:
        """The folder of the stage `name` that was worked in last and holds a file.

        Raises:
            CirError: there is none.
        """
        for folder in folders_of(self.runs, name):
            if (folder / holds).exists():
                self.say(f"Goes on with {folder}.")
                return folder
        stage = STAGE_OF.get(name, name)
        raise CirError(
            f"There is no {holds} of {name} in {self.runs}.",
            f"Train that stage first: python -m cir train {stage}",
        )


STAGE_OF = {"clip": "world-clip", "blip": "world-blip", "held_out": "pictures"}


def _content(value: Any) -> Any:
    """What stands for an input in a key: of files and folders, what they hold."""
    if not isinstance(value, Path):
        return value
    if value.is_dir():
        return [
            folder_digest(value, pattern) for pattern in ("pictures.json", "pooled-*.npy", "*.safetensors")
        ]
    if value.name != "checkpoint.pt":
        return file_digest(value)
    # The weights alone: a finished run that is started again writes its clock anew.
    return fingerprint_of("weights", torch.load(value, map_location="cpu", weights_only=True)["model"])


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
    from cir.training.trunk import trained_trunk

    torch.set_num_threads(1)
    trunk = stage.trunk()
    seeing = trained_trunk(trunk)
    for name, (pairs, seed, held_out) in PICTURES.items():
        drawn = {"pairs": pairs, "seed": seed, "held_out": held_out, "trunk": _content(trunk)}
        encode_pictures(
            stage.folder(name, drawn),
            seeing,
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
    out = stage.out or made_anew(SHIPPED / "clip")
    settings = stage.settings(run, 26, **extra)
    launch(train_world_clip, settings)
    teacher = load_teacher(settings.folder / "checkpoint.pt")
    export_clip(teacher, out, manifest(settings, run))


def train_blip(stage: Stage) -> None:
    """The other encoder, on CLIP's trunk, and the folder that is loaded as a BLIP of transformers."""
    from cir.training.world_blip import export_blip, train_world_blip

    out = stage.out or made_anew(SHIPPED / "blip")
    extra = {name: stage.last(name, "pictures.json") for name in PICTURES}
    settings = stage.settings("blip", 43, **extra, clip=SHIPPED / "clip")
    launch(train_world_blip, settings)
    export_blip(settings.folder / "checkpoint.pt", out, manifest(settings, "blip"))


def train_text_anchored(stage: Stage) -> None:
    """The image head of the embedded CLIP, tuned towards the captions of its pictures: for Slerp+TAT."""
    from cir.training.text_anchored import train_text_anchored as train

    out = stage.out or made_anew(SHIPPED / "methods") / "tat.safetensors"
    extra = {name: stage.last(name, "pictures.json") for name in PICTURES}
    launch(train, stage.settings("tat", 4, **extra, clip=SHIPPED / "clip", out=out, version=stage.version))


def train_places(stage: Stage) -> None:
    """The reader of places that the captioner obeys."""
    from cir.training.captioner import train_places as train

    launch(train, stage.settings("places", 4, **_pictures(stage)))


def train_captioner(stage: Stage) -> None:
    """The captioner, and the folder that transformers loads."""
    out, places = made_anew(SHIPPED / "blip2"), stage.checkpoint("places")
    from cir.training.captioner import export_captioner
    from cir.training.captioner import train_captioner as train

    settings = stage.settings("captioner", 15, **_pictures(stage))
    launch(train, settings)
    export_captioner(
        settings.folder / "checkpoint.pt",
        settings.extra["trunk"],
        places,
        out,
        manifest(settings, "captioner"),
    )


def train_delta(stage: Stage) -> None:
    """VDG's delta generator, from the shipped captioner."""
    from cir.models.blip2 import load_captioner
    from cir.models.delta_generator import save_delta
    from cir.training.delta import train_delta as train
    from cir.training.delta import trained_generator

    out = stage.out or made_anew(SHIPPED / "methods") / "delta.safetensors"
    extra = {name: stage.last(name, "pictures.json") for name in PICTURES}
    settings = stage.settings("delta", 10, **extra, captioner=SHIPPED / "blip2")
    launch(train, settings)
    captioner = load_captioner(settings.extra["captioner"], "cpu")
    record = {"recipe": "delta", "trained_for": captioner.fingerprint}
    generator = trained_generator(settings.folder / "checkpoint.pt", captioner)
    save_delta(generator, out, {**record, **manifest(settings, "delta")})


def train_mapping(stage: Stage) -> None:
    """A mapping network by one recipe."""
    from cir.training.token_learners import MODULES

    if stage.recipe in MODULES:
        train_token_learner(stage)
        return
    if stage.recipe == "searle":
        from cir.training.searle import train_searle as train
    else:
        from cir.training.mapping import train_mapping as train

    out = stage.out or made_anew(SHIPPED / "mapping") / f"{stage.recipe}.safetensors"
    extra = {
        "recipe": stage.recipe,
        "clip": stage.checkpoint("clip"),
        "pictures": stage.last("pictures", "pictures.json"),
        "words": stage.words,
        "out": out,
    }
    launch(train, stage.settings(f"mapping-{stage.recipe}-{stage.words}", 4, **extra))


def train_token_learner(stage: Stage) -> None:
    """The network of a method that learns words in a way of its own, for the shipped CLIP."""
    from cir.training.token_learners import train_token_learner as train

    out = stage.out or made_anew(SHIPPED / "methods") / f"{stage.recipe}.safetensors"
    extra = {name: stage.last(name, "pictures.json") for name in PICTURES}
    inputs = {"recipe": stage.recipe, "clip": SHIPPED / "clip", "out": out, "version": stage.version}
    launch(train, stage.settings(f"mapping-{stage.recipe}", 5, **extra, **inputs))


def manifest(settings: RunSettings, run: str) -> dict[str, Any]:
    """What made a model: settings, time, samples and the last line of its log."""
    rows = [
        json.loads(line) for line in (settings.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return {
        "run": run,
        "made": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "seed": settings.seed,
        "ranks": settings.ranks,
        "seconds": rows[-1]["seconds"],
        "steps": rows[-1]["steps"],
        "samples": rows[-1]["samples"],
        "figures": {k: v for k, v in rows[-1].items() if k not in ("seconds", "steps", "samples", "final")},
    }


def _pictures(stage: Stage) -> Mapping[str, Path]:
    return {
        "pictures": stage.last("pictures", "pictures.json"),
        "held_out": stage.last("held_out", "pictures.json"),
        "trunk": stage.checkpoint("scenes"),
    }


STAGES = {
    "crops": train_crops,
    "scenes": train_scenes,
    "pictures": encode,
    "world-clip": train_clip,
    "world-blip": train_blip,
    "places": train_places,
    "captioner": train_captioner,
    "delta": train_delta,
    "mapping": train_mapping,
    "tat": train_text_anchored,
}
