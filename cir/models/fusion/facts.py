"""The files of supervised methods' networks: what they are, without their tensors. Nothing of torch is imported."""

from __future__ import annotations

from pathlib import Path

from cir.errors import MissingModel, UnsafeFile
from cir.models.mapping_files import facts_in

NETWORK_FILE = "network.safetensors"  # in the folder of a training
RECORD = "fusion"  # the entry of the file's metadata
REMEDY = "Give another, or train one: python -m cir train fusion --recipe NAME"


def recipe_in(path: Path) -> str:
    """The recipe of a network, by its file.

    Raises:
        MissingModel: there is no such file.
        UnsafeFile: it is no network of a supervised method.
    """
    if not path.expanduser().is_file():
        raise MissingModel(f"There is no network at {path}.", REMEDY)
    recipe = facts_in(path.expanduser(), RECORD).get("recipe")
    if not isinstance(recipe, str):
        raise UnsafeFile(f"{path} is no network of a supervised method.", REMEDY)
    return recipe
