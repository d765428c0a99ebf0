"""What every torch model here needs: a device, batches that shrink when memory runs out, a fingerprint.

Does not know what the models compute.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch

from cir.errors import CirError, MissingModel

Item = TypeVar("Item")
Result = TypeVar("Result")
Moved = TypeVar("Moved", bound=torch.nn.Module)


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; without a wish a GPU where torch sees one, else the CPU.

    Raises:
        MissingModel: a GPU was asked for by name and torch sees none.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise MissingModel(
            f"The device {chosen} was asked for, but torch sees no GPU (no driver, or one too old).",
            "Leave the device out: the CPU is then used.",
        )
    return chosen


def moved(model: Moved, device: torch.device) -> Moved:
    """The model on a device.

    Raises:
        CirError: a GPU that does not hold it.
    """
    try:
        return cast("Moved", model.to(device))
    except torch.OutOfMemoryError as error:
        raise CirError(
            f"The memory of {device} does not hold the model.",
            "Close what else uses the GPU, choose a smaller model set, or use the CPU: --device cpu",
        ) from error


def gpu_memory_taken() -> tuple[str, int] | None:
    """The name of the GPU, and the most bytes that this process has held there; None without one."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated()


def run_in_batches(
    run: Callable[[Sequence[Item]], Result], items: Sequence[Item], batch_size: int
) -> list[Result]:
    """Apply `run` to slices of `items`; one that does not fit into memory is halved and tried again.

    Args:
        run: what to do with a slice.
        items: everything.
        batch_size: the longest slice.

    Returns:
        One result for each slice that was run, in order.

    Raises:
        CirError: even one item does not fit.
    """
    results: list[Result] = []
    start, size = 0, batch_size
    while start < len(items):
        batch = items[start : start + size]
        try:
            results.append(run(batch))
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise CirError(
                    "The graphics memory does not hold the model and one item.",
                    "Close what else uses the GPU, choose a smaller model set, or set CUDA_VISIBLE_DEVICES= "
                    "to use the CPU.",
                ) from error
            size = len(batch) // 2
        else:
            start += len(batch)
            continue
        # Outside the except block: the traceback there keeps the failed batch's tensors alive.
        torch.cuda.empty_cache()
    return results


def fingerprint_of(name: str, state: Mapping[str, torch.Tensor], description: object = None) -> str:
    """`name@` and 12 hexadecimal digits, which change with every weight and with `description`.

    The tensors are hashed, not their file: the same weights in another container keep their cache.

    Args:
        name: for people.
        state: the state dictionary.
        description: whatever else decides the output (preprocessing, decoding); has to be JSON.
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode())
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"{name}@{digest.hexdigest()[:12]}"


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """transformers does not draw on the terminal; the setting is global, so it is put back."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
