"""Networks that put a picture into words by a method of its own: one training for all, on cached pictures of the world.

What is learnt, and how, is the method's module: `build` makes its network, `step` says the loss of a step, `says` what
the network says of held-out pictures, so that the log tells how well edits are found.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cir.models.network_files import save_network
from cir.training.loop import Run, RunSettings
from cir.training.seen import SeenPictures

MODULES = {
    "palavra": "cir.training.palavra",
    "context-i2w": "cir.training.context_i2w",
    "isa": "cir.training.isa",
    "keds": "cir.training.keds",
}
RATE = 1.5e-3
Step = Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]]


def train_token_learner(settings: RunSettings, rank: int) -> None:
    """`settings.extra`: recipe (one of `MODULES`), clip, pictures, held_out (folders), out, the program's version."""
    extra: dict[str, Any] = settings.extra
    torch.manual_seed(settings.seed)
    method = import_module(MODULES[extra["recipe"]])
    seen = SeenPictures(Path(extra["pictures"]), Path(extra["clip"]))
    network = method.build(seen, np.random.default_rng(settings.seed))
    step = method.step(network, seen)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    run = Run(settings, network, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    while run.running():
        network.train()
        run.step(*step(rng), samples=method.BATCH, clip=1.0)
    if rank != 0:
        return
    network.eval()
    held_out = SeenPictures(Path(extra["held_out"]), Path(extra["clip"]))
    recalls = held_out.held_out_recalls(method.template, method.says(network, held_out))
    run.log({"final": True, **recalls})
    manifest = {
        "recipe": extra["recipe"],
        "trained_for": seen.clip.fingerprint,
        "normalise_input": True,
        "held_out": {name: round(value, 1) for name, value in recalls.items()},
        "seconds": run.elapsed,
        "steps": run.steps,
        "samples": run.samples,
        "pictures": len(seen),
        "version": extra.get("version", ""),
        **{key: value for key, value in settings.manifest().items() if key in ("seed", "torch")},
    }
    Path(extra["out"]).parent.mkdir(parents=True, exist_ok=True)
    save_network(network.half(), Path(extra["out"]), manifest)
