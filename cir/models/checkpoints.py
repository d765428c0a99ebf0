"""Checkpoints that others have published: opened as tensors alone, whatever else their files may hold.

Does not know what the tensors are; who reads a method's file has a table of its names.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cir.errors import UnsafeFile
from cir.models.mapping_files import FETCH

State = dict[str, Tensor]


def read_checkpoint(path: Path, stand_ins: Sequence[tuple[type, str]] = ()) -> Any:
    """What a file of torch holds; its tensors stay on the disk until they are used, where the file allows it.

    Args:
        path: the file.
        stand_ins: classes of ours for objects that the file names and that are of no use here, with the names that it
            has for them; nothing of theirs is run.

    Raises:
        UnsafeFile: it is none, or holds more than tensors, numbers and texts.
    """
    allowed: list[Any] = list(stand_ins)
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UnsafeFile(
            f"{path} is no checkpoint that holds tensors alone.", f"It was not opened. {FETCH}"
        ) from error


def state_in(checkpoint: Any, key: str, path: Path) -> State:
    """The tensors under a key of a checkpoint, by their names without the prefix of a parallel training.

    Raises:
        UnsafeFile: there are none.
    """
    found = checkpoint.get(key) if isinstance(checkpoint, Mapping) else None
    if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
        raise UnsafeFile(f'{path} has no "{key}" in it.', FETCH)
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}


def renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> State:
    """Tensors by our names.

    Args:
        state: by the published ones.
        names: published -> ours, of whole names or of beginnings that end in a dot; "#" stands for a number.

    Raises:
        ValueError: a tensor that has no name of ours.
    """
    rules = [(re.compile(re.escape(old).replace(r"\#", r"(\d+)")), new) for old, new in names.items()]
    found: State = {}
    for name, tensor in state.items():
        for pattern, new in rules:
            fits = pattern.match(name)
            if fits and (fits.end() == len(name) or fits.group().endswith(".")):
                for number in fits.groups():
                    new = new.replace("#", number, 1)
                found[new + name[fits.end() :]] = tensor
                break
        else:
            raise ValueError(f"it has {name}, which belongs to nothing here")
    return found


def count_of(state: Mapping[str, Tensor], name: str) -> int:
    """How many there are of what is numbered: one more than the highest number in the place of "#" in names that begin so."""
    pattern = re.compile(re.escape(name).replace(r"\#", r"(\d+)"))
    numbers = [int(fits.group(1)) for key in state if (fits := pattern.match(key))]
    return max(numbers, default=-1) + 1
