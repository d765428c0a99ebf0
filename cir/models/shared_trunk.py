"""The frozen trunk that the shipped models stand on: it lies in the file of the CLIP, and the files beside it leave it out.

Such a file names the trunk's fingerprint in its metadata; a CLIP with another trunk is refused. Does not know the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cir.errors import MissingModel, UnsafeFile
from cir.models.runtime import fingerprint_of
from cir.whole_files import replacing

CLIP_FOLDER, CLIP_FILE = "clip", "open_clip_model.safetensors"
_IN_CLIP, _ENTRY = "visual.trunk.", "trunk"
_REMEDY = "Restore assets/models from the repository, or make it again for this CLIP: python -m cir train"


def with_trunk(path: Path, inside: str) -> dict[str, Tensor]:
    """The tensors of a file, with those of the trunk that it leaves to the CLIP beside its folder.

    Args:
        path: of the file.
        inside: what the names of the trunk's tensors begin with, in this file.

    Raises:
        MissingModel: there is no CLIP beside it.
        UnsafeFile: the CLIP has another trunk.
    """
    state, metadata = _read(path)
    wanted, clip = metadata.get(_ENTRY), _clip_beside(path)
    if wanted is None:
        return state
    if not clip.is_file():
        raise MissingModel(f"{path} stands on the trunk of {clip}, which is not there.", _REMEDY)
    trunk = _read(clip, _IN_CLIP)[0]
    if (found := fingerprint_of("trunk", trunk)) != wanted:
        raise UnsafeFile(f"{path} stands on {wanted}, and {clip} has {found}.", _REMEDY)
    return state | {f"{inside}{name}": tensor for name, tensor in trunk.items()}


def leave_out_trunk(path: Path, inside: str) -> None:
    """Write a whole file again without its trunk, where the CLIP beside its folder has the same one, bit by bit.

    Args:
        path: of the file; it stays as it is where there is no such CLIP.
        inside: as above.
    """
    clip = _clip_beside(path)
    if not clip.is_file():
        return
    fingerprint = fingerprint_of("trunk", _read(path, inside)[0])
    if fingerprint != fingerprint_of("trunk", _read(clip, _IN_CLIP)[0]):
        return
    state, metadata = _read(path)
    rest = {name: tensor for name, tensor in state.items() if not name.startswith(inside)}
    with replacing(path) as draft:
        save_file(rest, draft, metadata={**metadata, _ENTRY: fingerprint})


def _clip_beside(path: Path) -> Path:
    return path.absolute().parents[1] / CLIP_FOLDER / CLIP_FILE


def _read(path: Path, inside: str = "") -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """The tensors of a file whose names begin so, without that beginning, and its metadata."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(inside)]  # noqa: SIM118
        return {name.removeprefix(inside): file.get_tensor(name) for name in names}, file.metadata() or {}
