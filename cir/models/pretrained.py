"""A captioning model of transformers, read from its folder and whole, or refused in words.

transformers answers absent weights with random ones and a warning, and damaged files with errors of many kinds. Only
safetensors are read, and no code that lies beside them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from cir.errors import MissingModel, UnsafeFile
from cir.models.model_files import LockFile, fetch_again, sha256_of
from cir.models.runtime import without_progress_bar

SHARE_OF_MEMORY = 0.8  # of what is free, for weights; the rest is for what is computed


@contextmanager
def told_in_words(source: str) -> Iterator[None]:
    """What goes wrong while the captioner `source` is read, as an error for people.

    Raises:
        MissingModel: nothing there, and nothing to fetch it with.
        UnsafeFile: a folder whose files are damaged or do not fit each other.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise UnsafeFile(f"The captioner {source} is damaged: {error}", fetch_again(source)) from error
    except (
        OSError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        AttributeError,
        StrictDataclassError,
    ) as error:
        problem = UnsafeFile if Path(source).is_dir() else MissingModel
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise problem(f"The captioner {source} could not be loaded: {first}", fetch_again(source)) from error


def read_pretrained(
    model_class: Any, source: str, state: Mapping[str, torch.Tensor] | None = None, **options: Any
) -> Any:
    """A model of this class with every one of its weights.

    Args:
        model_class: of transformers.
        source: a folder, or a hub id.
        state: its tensors, where they are not those of the files alone.
        options: for `from_pretrained`.

    Raises:
        UnsafeFile: weights are absent, or of another shape.
    """
    with without_progress_bar():
        model, report = model_class.from_pretrained(
            source if state is None else None,
            state_dict=state,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    _refuse_absent(source, report)
    return model


def _refuse_absent(source: str, report: Mapping[str, Any]) -> None:
    missing = sorted(report.get("missing_keys", ()))
    mismatched = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or mismatched:
        listed = ", ".join([*missing, *mismatched][:3])
        raise UnsafeFile(
            f"The captioner {source} lacks {len(missing) + len(mismatched)} of its weights ({listed}).",
            fetch_again(source),
        )


def json_beside(folder: Path, stem: str) -> Any:
    """A JSON file beside the weights, or None."""
    path = folder / f"{stem}.json"
    return json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else None


def preparation(source: str) -> dict[str, Any]:
    """How a folder says that pictures are prepared, for a fingerprint; nothing of a hub id."""
    return {stem: json_beside(Path(source), stem) for stem in ("preprocessor_config", "processor_config")}


def parameters_in(folder: Path) -> int:
    """How many numbers the safetensors of a folder hold, read from their headers; 0 where there are none."""
    return sum(_parameters(path) for path in sorted(folder.glob("*.safetensors")))


def _parameters(path: Path) -> int:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(row["shape"]) for name, row in header.items() if name != "__metadata__")


def placement(folder: Path, where: torch.device, free_bytes: int | None = None) -> dict[str, Any]:
    """Options of `from_pretrained` by which a large model fits: its precision, and what lies where.

    On a GPU bfloat16; what the GPU does not hold lies in memory, and what that does not hold stays on the disk, as
    accelerate's device map has it. On a CPU float32 where that fits, else bfloat16, else that with the rest on the disk.

    Args:
        folder: of the model.
        where: the device that computes.
        free_bytes: memory that may be used; by default what is free now.
    """
    free = int(SHARE_OF_MEMORY * (psutil.virtual_memory().available if free_bytes is None else free_bytes))
    count = parameters_in(folder)
    if where.type == "cpu" and 4 * count <= free:
        return {"dtype": torch.float32}
    if where.type == "cpu" and 2 * count <= free:
        return {"dtype": torch.bfloat16}
    most: dict[int | str, int] = {"cpu": free}
    if where.type == "cuda":
        gpu, _ = torch.cuda.mem_get_info(where)
        most[where.index or 0] = int(SHARE_OF_MEMORY * gpu)
    return {
        "dtype": torch.bfloat16,
        "device_map": "auto",
        "max_memory": most,
        "offload_folder": str(folder / ".offloaded"),
    }


def weights_digest(folder: Path) -> dict[str, str]:
    """File -> SHA-256 of the safetensors of a folder; as written down at their download, where they have not changed."""
    rows = LockFile(folder.parent).read()
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        row, status = rows.get(f"{folder.name}/{path.name}", {}), path.stat()
        known = row.get("size") == status.st_size and row.get("mtime_ns") == status.st_mtime_ns
        found[path.name] = str(row["sha256"]) if known and "sha256" in row else sha256_of(path)
    return found
