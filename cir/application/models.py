"""The set of models that a command names, and what a person is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cir.errors import BadQuery
from cir.gallery.encoding import Encoders
from cir.models.catalog import SETS
from cir.models.downloads import locate
from cir.models.model_set import WITHOUT, Models
from cir.models.server.address import Asking

ABOUT_PHOTOGRAPHS = (  # figures: docs/models.md
    "Of photographs the models of this page know the thousand things of ImageNet, main colours and light. Among 181 that were kept "
    "apart, a caption puts the right one first 49 times of 100, and among the first five 73 times. "
    "They know few words for people, faces or actions, do not count and do not read."
)
LARGER_SET = (
    " A larger set, fetched once, reads them better: python -m cir models pull laptop, then python -m cir index PHOTOS --models laptop, "
    "and python app.py --models laptop."
)


def build_models(
    name: str = "embedded",
    *,
    llm: str | None = None,
    clip: Path | None = None,
    deferred: bool = False,
    phi: str | None = None,
    device: str | None = None,
    asking: Asking | None = None,
    networks: Sequence[Path] = (),
) -> Models:
    """A model set; nothing is loaded until it is asked for. `clip`, `deferred`: see `Models`.

    Args:
        name: of the set; or a models folder from elsewhere, then the set in it; or a trained mapping network, its file
            or the folder of its training: then the set that it was trained for, with it.
        llm: see `Models`.
        clip: see `Models`.
        deferred: see `Models`.
        phi: a mapping network of one's own, likewise; a recipe's name is not looked at here.
        device: see `Models`.
        asking: see `Models`.
        networks: see `Models`.

    Raises:
        BadQuery: no such set.
        MissingModel: no such mapping network.
    """
    folder = None
    if is_place(name) and (found := set_in(Path(name).expanduser())):
        folder, name = Path(name).expanduser(), found
    elif is_place(name):
        phi, name = phi if is_place(phi) else name, set_of(name)
    own = Path(phi).expanduser() if phi is not None and is_place(phi) else None
    return Models(
        name,
        llm=llm,
        clip=clip,
        deferred=deferred,
        own_phi=own,
        device=device,
        folder=folder,
        asking=asking,
        networks=networks,
    )


def build_encoders(name: str, *, device: str | None = None, captions: bool = True) -> Encoders:
    """What of a model set takes part in indexing. `name`, `device`: see `build_models`."""
    models = build_models(name, llm=WITHOUT, device=device)
    return Encoders(models.image_encoder, models.text_encoder, models.captioner if captions else None)


def is_place(name: str | None) -> bool:
    """Whether this is a file or a folder rather than the name of a recipe or a set."""
    if not name or name in SETS or any(name in one.mapping for one in SETS.values()):
        return False
    return "/" in name or "\\" in name or "." in name or Path(name).exists()


def set_in(folder: Path) -> str:
    """The first set whose CLIP lies in a models folder, such as one that was fetched on another computer; "" for none."""
    sets = ((name, one.clip.fetched) for name, one in SETS.items() if one.clip.fetched is not None)
    return next((name for name, spec in sets if locate(spec, folder=folder) is not None), "")


def set_of(place: str) -> str:
    """The set that a trained mapping network belongs to.

    Raises:
        MissingModel: there is no network at this place.
        BadQuery: its file does not say for which set it was trained.
    """
    from cir.models.mapping_files import mapping_facts, mapping_file

    found = mapping_facts(mapping_file(place)).get("model_set")
    if not isinstance(found, str):
        raise BadQuery(
            f"{place} does not say for which model set it was trained.",
            f"Name the set, and the network beside it: --models {', '.join(SETS)} --phi {place}",
        )
    return found


def about_photographs(models: Models, *, offered: bool = False) -> str:
    """What is to be known before photographs are indexed with these models; "" when they know photographs well.

    `offered`: whether the page offers a larger set itself.
    """
    if models.set.photographs is None:
        return ""
    return ABOUT_PHOTOGRAPHS + ("" if offered else LARGER_SET)
