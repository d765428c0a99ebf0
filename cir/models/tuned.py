"""A CLIP whose image tower was tuned for one method: the changes, their file, and the encoder that they make.

The text tower is the CLIP's own, so texts and tuned images share one space. Images that the CLIP itself encoded are in
another: the tuned encoder has a fingerprint of its own, and makes features of a gallery of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cir.errors import MissingModel, UnsafeFile
from cir.models.clip import ClipModel
from cir.models.low_rank import State, with_changes
from cir.models.network_files import read_tensors, write_tensors
from cir.models.runtime import fingerprint_of

LAYOUT = "recompose-tuned-1"
IMAGE_TOWER = "visual"
_KEY = "tuned"


def save_tuned(changes: Mapping[str, Tensor], path: Path, record: Mapping[str, object]) -> None:
    """Write changes of an image tower as safetensors in half precision, whole or not at all.

    Args:
        changes: from `changes_of` the image tower.
        path: where.
        record: what made them, as JSON: "recipe", "trained_for" and whatever people want to know.
    """
    half = {name: tensor.half() for name, tensor in changes.items()}
    write_tensors(path, half, _KEY, {"layout": LAYOUT, **record})


def load_tuned(path: Path, clip: ClipModel, *, again: str) -> ClipModel:
    """The tuned encoder: a CLIP with the changes of a file.

    Args:
        path: of the file.
        clip: that they are for; it stays as it is, and shares what is not changed.
        again: how the file is made, as a sentence.

    Raises:
        UnsafeFile: the file is not whole, or holds something else.
        MissingModel: it was made for another CLIP.
    """
    changes, record = _read(path, again)
    made_for = record.get("trained_for")
    if made_for != clip.fingerprint:
        raise MissingModel(
            f"The tuned image tower {path.name} was made for {made_for}, not for {clip.fingerprint}.", again
        )
    try:
        model = with_changes(clip.model, IMAGE_TOWER, changes)
    except ValueError as error:
        raise UnsafeFile(f"{path} does not fit {clip.name}: {error}.", again) from error
    fingerprint = fingerprint_of(str(record.get("recipe")), changes, clip.fingerprint)
    name = f"{clip.name}, tuned"
    return ClipModel(model, clip.tokenizer, clip.preprocess, name, fingerprint, clip.device, metadata=record)


def _read(path: Path, again: str) -> tuple[State, dict[str, Any]]:
    changes, record = read_tensors(path, _KEY, again)
    if record.get("layout") != LAYOUT:
        raise UnsafeFile(f"{path} holds no tuned image tower.", again)
    return changes, record
