"""A captioning model of transformers, read from its folder and whole, or refused in words.

transformers answers absent weights with random ones and a warning, and damaged files with errors of many kinds. Only
safetensors are read, and no code that lies beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cir.errors import MissingModel, UnsafeFile
from cir.models.runtime import without_progress_bar


@contextmanager
def told_in_words(source: str) -> Iterator[None]:
    """What goes wrong while the captioner `source` is read, as an error for people.

    Raises:
        MissingModel: nothing there, and nothing to fetch it with.
        UnsafeFile: a folder whose files are damaged or do not fit each other.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise UnsafeFile(f"The captioner {source} is damaged: {error}", fetch_again(source)) from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        problem = UnsafeFile if Path(source).is_dir() else MissingModel
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise problem(f"The captioner {source} could not be loaded: {first}", fetch_again(source)) from error


def read_pretrained(model_class: Any, source: str, **options: Any) -> Any:
    """A model of this class with every one of its weights.

    Args:
        model_class: of transformers.
        source: a folder, or a hub id.
        options: for `from_pretrained`.

    Raises:
        UnsafeFile: weights are absent, or of another shape.
    """
    with without_progress_bar():
        model, report = model_class.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, **options
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


def fetch_again(source: str) -> str:
    """What to do about a captioner that cannot be used."""
    return f"Fetch it again (python -m cir models pull NAME), or give another folder than {source}."


def json_beside(folder: Path, stem: str) -> Any:
    """A JSON file beside the weights, or None."""
    path = folder / f"{stem}.json"
    return json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else None


def preparation(source: str) -> dict[str, Any]:
    """How a folder says that pictures are prepared, for a fingerprint; nothing of a hub id."""
    return {stem: json_beside(Path(source), stem) for stem in ("preprocessor_config", "processor_config")}
