"""A training run: two ranks that average gradients, a schedule by the clock, checkpoints, a log.

Knows nothing of what is trained. The schedule follows wall time rather than steps because these models are
meant to be made on whatever machine there is: "40 minutes" means the same on all of them. To make one
again with another seed beside other programs, it follows steps.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from cir.whole_files import replacing


@dataclass(slots=True)
class RunSettings:
    """What every training command shares. With `steps` a run ends after so many, however long they take."""

    folder: Path
    minutes: float = 10.0
    ranks: int = 1
    seed: int = 0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    log_every_seconds: float = 20.0
    save_every_seconds: float = 120.0
    steps: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def manifest(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return {
            **asdict(self),
            "folder": self.folder.name,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }


def cosine_factor(progress: float, *, warm_up: float = 0.03, floor: float = 0.02) -> float:
    """Learning-rate factor at `progress` in [0, 1]: linear warm-up, then a cosine down to `floor`."""
    if progress < warm_up:
        return max(progress / warm_up, 0.01)
    done = min(1.0, (progress - warm_up) / (1.0 - warm_up))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done))


def fast_half_precision(device: str = "cpu") -> AbstractContextManager[object]:
    """bfloat16 where the hardware computes in it; nothing elsewhere.

    A CPU without such instructions emulates them: on one, a matrix product took 46 times as long as in float32.
    """
    fast = device == "cuda" or bool(
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    return torch.autocast(device, dtype=torch.bfloat16, enabled=fast)


def average_gradients(parameters: Iterable[nn.Parameter], ranks: int) -> None:
    """Replace every gradient by its mean over the ranks (one flat all-reduce)."""
    if ranks == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= ranks
    offset = 0
    for g in gradients:
        g.copy_(flat[offset : offset + g.numel()].view_as(g))
        offset += g.numel()


class Run:
    """One rank's view of a run: the clock, the optimiser's schedule, checkpoints and the log.

    Usage: `while run.running(): loss = ...; run.step(loss, {"accuracy": ...})`.
    """

    def __init__(
        self, settings: RunSettings, model: nn.Module, optimiser: torch.optim.Optimizer, rank: int = 0
    ) -> None:
        self.settings, self.model, self.optimiser, self.rank = settings, model, optimiser, rank
        self.parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self.base_rates = [group["lr"] for group in optimiser.param_groups]
        self.steps, self.samples, self.elapsed = 0, 0, 0.0
        self._sums: dict[str, float] = {}
        self._since_log = 0
        self._resume()
        self._mark = time.monotonic()
        self._logged = self._saved = self.elapsed

    @property
    def progress(self) -> float:
        """Share of the time budget that is used, or of the steps, 0 to 1. The same on all ranks."""
        if self.settings.steps is not None:
            return min(1.0, self.steps / self.settings.steps)
        return min(1.0, self.elapsed / (60.0 * self.settings.minutes))

    def running(self) -> bool:
        """Whether there is time for another step; also moves the clock and the learning rates."""
        now = time.monotonic()
        self.elapsed += now - self._mark
        self._mark = now
        if self.settings.ranks > 1:  # ranks have to agree on when to stop
            clock = torch.tensor([self.elapsed])
            dist.broadcast(clock, 0)
            self.elapsed = float(clock)
        for group, rate in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * cosine_factor(self.progress)
        if self.rank == 0 and (
            self.elapsed - self._saved > self.settings.save_every_seconds or self.progress >= 1.0
        ):
            self.save()
        return self.progress < 1.0

    def step(
        self, loss: torch.Tensor, measures: dict[str, float], *, samples: int, clip: float = 2.0
    ) -> None:
        """Backward, average over ranks, clip, step, log."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.parameters, self.settings.ranks)
        nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimiser.step()
        self.steps += 1
        self.samples += samples * self.settings.ranks
        for name, value in {"loss": float(loss.detach()), **measures}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._since_log += 1
        if self.rank == 0 and self.elapsed - self._logged > self.settings.log_every_seconds:
            self.log({name: total / self._since_log for name, total in self._sums.items()})
            self._sums, self._since_log, self._logged = {}, 0, self.elapsed

    def log(self, row: dict[str, Any]) -> None:
        """Append one JSON line to the run's log."""
        row = {"seconds": round(self.elapsed, 1), "steps": self.steps, "samples": self.samples} | {
            k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()
        }
        with (self.settings.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        path = self.settings.folder / "checkpoint.pt"
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "samples": self.samples,
            "elapsed": self.elapsed,
        }
        with replacing(path) as draft:
            torch.save(state, draft)
        self._saved = self.elapsed

    def _resume(self) -> None:
        path = self.settings.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.samples, self.elapsed = state["steps"], state["samples"], state["elapsed"]


def _entry(rank: int, settings: RunSettings, port: int, train: Callable[[RunSettings, int], None]) -> None:
    torch.set_num_threads(1)  # two pools that spin on two cores slow each other down several times
    if settings.ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        dist.init_process_group("gloo", rank=rank, world_size=settings.ranks)
    try:
        train(settings, rank)
    finally:
        if settings.ranks > 1:
            dist.destroy_process_group()


def launch(train: Callable[[RunSettings, int], None], settings: RunSettings) -> None:
    """Run `train(settings, rank)` on every rank and wait. One rank runs in this process."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    if settings.ranks == 1:
        _entry(0, settings, 0, train)
        return
    port = 20000 + os.getpid() % 20000
    torch.multiprocessing.spawn(
        _entry, (settings, port, train), nprocs=settings.ranks, join=True, daemon=True
    )
