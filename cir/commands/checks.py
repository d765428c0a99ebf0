"""What is checked of a command's arguments before anything is loaded: names that there are, files that are there.

A check belongs to an option's name and holds for every command that has the option. What only a loaded model can tell
(a gallery of other models, a method without its captioner) is told later, in the same words as on the page.
Imports no model library.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cir.commands.values import known_values, read_pair
from cir.errors import BadQuery, GalleryError
from cir.models.server.address import MOST_AT_ONCE, Asking, is_server, read_address
from cir.ranking.engines import ENGINES, SERVED

if TYPE_CHECKING:
    from cir.evaluation.datasets.dataset import DatasetCard
    from cir.gallery.gallery import Gallery


def check_arguments(options: argparse.Namespace) -> None:
    """Check every argument that is given.

    Raises:
        CirError: the first that cannot be.
    """
    _refuse_file_of_galleries()
    for name, check in CHECKS.items():
        value = getattr(options, name, None)
        if value is not None and value != "":
            check(value, options)


def _refuse_file_of_galleries() -> None:
    from cir.places import gallery_cache

    place = gallery_cache()
    if place.exists() and not place.is_dir():
        raise GalleryError(
            f"Galleries are kept in a folder, and {place} is a file.", "Name a folder: CIR_CACHE=FOLDER"
        )


def refuse_unknown(kind: str, name: str, known: Iterable[str]) -> None:
    """See to it that `name` is among `known`, in capitals or not.

    Raises:
        BadQuery: it is not; the remedy names the nearest, and all.
    """
    names = {one.lower(): one for one in known}
    if name.lower() in names:
        return
    if not names:
        raise BadQuery(f"There is no {kind} called {name!r}, nor any other.", "See the help: --help")
    near = difflib.get_close_matches(name.lower(), names, n=1)
    meant = f"Did you mean {names[near[0]]}? " if near else ""
    raise BadQuery(
        f"There is no {kind} called {name!r}.", f"{meant}Choose one of: {', '.join(names.values())}."
    )


def method_names() -> list[str]:
    """Every method of the table, whatever it needs."""
    from cir.composers.registry import METHODS

    return [card.name for card in METHODS]


def own_method_names() -> list[str]:
    """The methods that are networks which a person has trained, for whatever models."""
    from cir.models.own_networks import networks_in
    from cir.places import own_networks_folder

    return [facts["method"] for _, facts in networks_in(own_networks_folder())]


def gallery_names() -> list[str]:
    """The galleries of people's own folders, by name."""
    from cir.gallery.manifest import list_galleries
    from cir.places import gallery_cache

    return [summary.name for summary in list_galleries(gallery_cache())]


def mapping_names() -> list[str]:
    """The mapping networks of every set: "embedded: pic2word, ..."."""
    from cir.models.published import SETS

    return [f"{recipe} ({name})" for name, chosen in SETS.items() for recipe in chosen.mapping]


def engines() -> list[str]:
    """The engines."""
    return [*ENGINES]


def model_sets() -> list[str]:
    """The model sets."""
    from cir.models.published import SETS

    return [*SETS]


def language_models() -> list[str]:
    """The published language models, and the word for none."""
    from cir.models.model_set import WITHOUT
    from cir.models.published import LANGUAGE_MODELS

    return [*LANGUAGE_MODELS, WITHOUT]


# What the help of a command may list: title -> its names, as they are now.
LISTS: Mapping[str, Callable[[], list[str]]] = {
    "methods": method_names,
    "galleries": gallery_names,
    "model sets": model_sets,
    "language models": language_models,
    "mapping networks": mapping_names,
    "engines": engines,
}


def _command(name: str, options: argparse.Namespace) -> None:
    if name == "search" and options.image is None and not options.reference_id:
        from cir.text import clean_text
        from cir.types import Query

        Query(None, clean_text(options.text)[0])


def _method(name: str, options: argparse.Namespace) -> None:
    own = own_method_names() if options.command == "search" else []
    refuse_unknown("method", name, [*method_names(), *own])


def _methods(names: str, _: argparse.Namespace) -> None:
    for name in filter(None, (part.strip() for part in names.split(","))):
        refuse_unknown("method", name, method_names())


def _model_set(name: str, _: argparse.Namespace) -> None:
    if not Path(name).expanduser().exists():  # a trained network names its set itself
        refuse_unknown("model set", name, model_sets())


def _device(name: str, _: argparse.Namespace) -> None:
    if not re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", name):
        raise BadQuery(
            f"There is no device called {name!r}.", "Say cpu, cuda, cuda:1 and so on, or leave it out."
        )


def _engine(name: str, options: argparse.Namespace) -> None:
    if name not in ENGINES:
        raise BadQuery(f"There is no engine called {name!r}.", f"Choose one of: {', '.join(ENGINES)}.")
    if name == SERVED and not hasattr(options, "qdrant_url"):
        raise BadQuery(
            "The engine qdrant searches galleries that are on a server, with `search` and on the page.",
            "Here, take another one: --engine exact",
        )
    if name == SERVED and not (options.qdrant_url and options.gallery):
        raise BadQuery(
            "The engine qdrant has to know the server, and the name of the gallery there.",
            "--engine qdrant --qdrant-url http://HOST:6333 --gallery NAME",
        )


def _language_model(name: str, options: argparse.Namespace) -> None:
    if is_server(name):
        read_address(name)
        asking = Asking.of(options)
        asking.key()
        if not 1 <= asking.at_once <= MOST_AT_ONCE:
            raise BadQuery(f"--llm-at-once is {asking.at_once}.", f"Give a number from 1 to {MOST_AT_ONCE}.")
    elif name.lower().endswith(".gguf"):
        _file(Path(name), options)
    else:
        refuse_unknown("language model", name, language_models())


def _phi(name: str, options: argparse.Namespace) -> None:
    from cir.models.catalog import model_set

    if not Path(name).expanduser().exists() and not Path(options.models).expanduser().exists():
        chosen = model_set(options.models)
        refuse_unknown(f"mapping network of the set {options.models}", name, chosen.mapping)


def _networks(paths: Sequence[Path], _: argparse.Namespace) -> None:
    from cir.models.fusion.facts import recipe_in

    for path in paths:
        recipe_in(path)


def _card(options: argparse.Namespace) -> DatasetCard | None:
    from cir.evaluation.datasets.registry import DATASETS

    return DATASETS.get(getattr(options, "dataset", ""))


def _gallery(name: str, options: argparse.Namespace) -> None:
    from cir.gallery.manifest import locate_gallery, read_manifest, renamed
    from cir.places import gallery_cache

    if (card := _card(options)) and any(o.flag == "--gallery" and o.name for o in card.options):
        return  # there it names something else
    if getattr(options, "engine", "") == SERVED:
        return  # what there is, the server says
    folder = locate_gallery(name, gallery_cache())
    if folder.name != name and renamed(gallery_cache(), name):
        sys.stderr.write(f"The gallery {name} is called {folder.name} now.\n")
    try:
        read_manifest(folder)
    except GalleryError as error:
        near = difflib.get_close_matches(name, gallery_names(), n=1)
        if folder.exists() or not near:
            raise
        raise GalleryError(error.message, f"Did you mean {near[0]}? {error.remedy}") from error


def _pictures(ids: str | Sequence[str], options: argparse.Namespace) -> None:
    if gallery := _as_indexed(options):
        for image_id in [ids] if isinstance(ids, str) else ids:
            gallery.find(image_id)


def _inside(name: str, options: argparse.Namespace) -> None:
    from cir.gallery.narrowing import folder_at

    if gallery := _as_indexed(options):
        folder_at(gallery, name)


def _as_indexed(options: argparse.Namespace) -> Gallery | None:
    """The gallery that is to be searched, whichever models made it; None where a server has it."""
    from cir.gallery.manifest import locate_gallery, read_manifest
    from cir.gallery.opening import open_gallery
    from cir.places import SAMPLE_GALLERY, gallery_cache

    if options.engine == SERVED:
        return None
    folder = locate_gallery(options.gallery or SAMPLE_GALLERY, gallery_cache())
    made_by = read_manifest(folder).models.fingerprints["image_encoder"]
    return open_gallery(folder, cache_root=gallery_cache(), image_encoder_fingerprint=made_by)


def _weight(name: str) -> Callable[[float, argparse.Namespace], None]:
    def check(value: float, options: argparse.Namespace) -> None:
        from cir.composers.cvsi import PARAMETERS
        from cir.composers.parameters import read_values

        given = {one: getattr(options, one, None) for one in ("alpha", "beta")}
        read_values(PARAMETERS, {**given, name: value}, {"alpha": 0.0, "beta": 0.0})

    return check


def _numbers(texts: Sequence[str], options: argparse.Namespace) -> None:
    from cir.composers.registry import METHODS

    given = dict(map(read_pair, texts))
    name = (getattr(options, "method", None) or "").lower()
    for card in METHODS:
        if card.name.lower() == name:
            known_values(card.name, card.parameters, given, {})


def _recipes(names: str, options: argparse.Namespace) -> None:
    from cir.commands.training_options import FUSION_RECIPES, TOKEN_LEARNERS

    if options.tables == "seeds":
        kind, known = "recipe of a network that learns from pictures", ("tat", *TOKEN_LEARNERS)
    else:
        kind, known = "supervised method's recipe", FUSION_RECIPES
    for name in names.split(","):
        refuse_unknown(kind, name.lower(), known)


def _picture(path: Path, _: argparse.Namespace) -> None:
    from cir.images import read_image

    read_image(path)


def _picture_folder(path: Path, _: argparse.Namespace) -> None:
    from cir.files import real_folder

    real_folder(path)


def _name(name: str, options: argparse.Namespace) -> None:
    from cir.gallery.manifest import gallery_folder
    from cir.models.published import LANGUAGE_MODELS, names_asked_for
    from cir.places import gallery_cache

    if options.command == "index":
        gallery_folder(gallery_cache(), name)
    elif options.command == "models":
        alone = names_asked_for() if options.action == "pull" else []
        refuse_unknown("model set or language model", name, [*model_sets(), *LANGUAGE_MODELS, *alone])
    elif options.command in ("galleries", "gallery") and options.action != "pull":
        refuse_unknown("gallery", name, gallery_names())


def _triplets(path: Path, options: argparse.Namespace) -> None:
    if options.command != "train" or (options.stage == "mapping" and options.recipe == "hycir"):
        _file(path, options)


def _present(path: Path, _: argparse.Namespace) -> None:
    if not path.expanduser().exists():
        raise BadQuery(f"{path} is not there.", "Check the path.")


def _file(path: Path, _: argparse.Namespace) -> None:
    if not path.expanduser().is_file():
        raise BadQuery(f"There is no file {path}.", "Check the path.")


def _files(paths: Sequence[Path], options: argparse.Namespace) -> None:
    for path in paths:
        _file(path, options)


def _queries(path: Path, options: argparse.Namespace) -> None:
    from cir.evaluation.datasets.queries_file import read_queries
    from cir.gallery.opening import picture_places
    from cir.places import SAMPLE_GALLERY, gallery_cache

    _file(path, options)
    if (card := _card(options)) and card.searches_gallery:  # elsewhere the option is refused
        read_queries(path, picture_places(options.gallery or SAMPLE_GALLERY, gallery_cache())[1])


def _folder(path: Path, _: argparse.Namespace) -> None:
    if not path.expanduser().is_dir():
        raise BadQuery(f"There is no folder {path}.", "Check the path.")


def _at_least_one(name: str) -> Callable[[int, argparse.Namespace], None]:
    def check(value: int, _: argparse.Namespace) -> None:
        if value < 1:
            raise BadQuery(f"{_flag(name)} is {value}.", "Give a number from 1.")

    return check


def _day(value: str, options: argparse.Namespace) -> None:
    from cir.gallery.narrowing import read_only_days

    read_only_days(options.since, options.until)


def _within(name: str, low: float, high: float) -> Callable[[float, argparse.Namespace], None]:
    def check(value: float, _: argparse.Namespace) -> None:
        if not low <= value <= high:
            raise BadQuery(f"{_flag(name)} is {value:g}.", f"Give a number from {low:g} to {high:g}.")

    return check


def _rate(value: float, _: argparse.Namespace) -> None:
    if not 0.0 < value < math.inf:
        raise BadQuery(f"--rate is {value:g}.", "Give a number above 0, such as 1e-4.")


def _minutes(value: float, _: argparse.Namespace) -> None:
    if not 0.0 <= value < math.inf:
        raise BadQuery(f"--minutes is {value:g}.", "Give a number of minutes, such as 10.")


def _trained(path: Path, options: argparse.Namespace) -> None:
    place = path.expanduser()
    if options.command != "train" or not place.is_file():
        return
    with place.open("rb") as file:
        begins = file.read(9)
    if begins[8:] != b"{":  # as every safetensors file does, behind the length of what follows
        raise BadQuery(
            f"{path} is there already, and it is no network.",
            "Choose another name, such as mine.safetensors.",
        )


def _seed(value: int, _: argparse.Namespace) -> None:
    if not 0 <= value <= LARGEST_SEED:
        raise BadQuery(f"--seed is {value}.", f"Give a whole number from 0 to {LARGEST_SEED}.")


def _results(value: int, options: argparse.Namespace) -> None:
    from cir.ranking.retriever import MAX_RESULTS

    _at_least_one("top_k")(value, options)
    if value > MAX_RESULTS:
        raise BadQuery(f"--top-k is {value}.", f"Give a number from 1 to {MAX_RESULTS}.")


def _places(value: int, _: argparse.Namespace) -> None:
    from cir.evaluation.run import refuse_places

    refuse_places(value)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


LARGEST_SEED = 2**32 - 1
_COUNTS = (
    "captions",
    "captions_per_image",
    "gallery_captions",
    "batch_size",
    "batch_images",
    "batch_triplets",
    "limit",
    "steps",
    "seeds",
    "ranks",
    "timed",
    "tokens",
    "max_target_rank",
    "shards",
    "replicas",
)
# Option -> its check. An option that is not given is not checked, nor is a default that is no name of anything.
CHECKS: Mapping[str, Callable[[Any, argparse.Namespace], None]] = {
    # First what needs no list of methods, which takes longest to load.
    "image": _picture,
    "since": _day,
    "until": _day,
    "folder": _picture_folder,
    "root": _folder,
    "gallery": _gallery,
    "inside": _inside,
    **dict.fromkeys(("reference_id", "more", "less"), _pictures),
    "command": _command,
    "models": _model_set,
    "llm": _language_model,
    "device": _device,
    "engine": _engine,
    "method": _method,
    "methods": _methods,
    "recipes": _recipes,
    "engine_check": _method,
    "phi": _phi,
    "networks": _networks,
    **{name: _weight(name) for name in ("alpha", "beta", "gamma")},
    **{name: _at_least_one(name) for name in _COUNTS},
    "set_values": _numbers,
    "name": _name,
    "top_k": _results,
    "k": _places,
    "at_least": _within("at_least", 0.0, 1.0),
    "min_similarity": _within("min_similarity", -1.0, 1.0),
    "composed_share": _within("composed_share", 0.0, 1.0),
    "rate": _rate,
    "minutes": _minutes,
    "seed": _seed,
    "out": _trained,
    "photographs": _folder,
    "wordnet": _folder,
    "clip": _folder,
    "annotations": _file,
    "predictions": _file,
    "subset_predictions": _file,
    "queries": _queries,
    "triplets": _triplets,
    "unlabelled": _present,
    "trunk_weights": _file,
    "file": _file,
    "network_files": _files,
}
