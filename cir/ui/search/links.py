"""A search as an address, and back. Everything that an address says is checked; an upload cannot be in it.

Plain functions; no gradio, no HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cir.errors import BadQuery
from cir.text import clean_text
from cir.types import Weights
from cir.ui.reading import read_method, read_top_k

if TYPE_CHECKING:
    from cir.retriever import Retriever
    from cir.ui.session import Session


@dataclass(frozen=True, slots=True)
class Linked:
    """A search that an address describes: in which gallery, with which of its images, and the rest of the fields."""

    gallery: str
    image_id: str
    text: str
    method: str
    weights: Weights
    top_k: int


def link_to(session: Session) -> str:
    """The present search as the query of an address, "?image=...&text=...".

    Raises:
        BadQuery: there is none, or its picture was uploaded: no address leads to that.
    """
    if session.composed is None:
        raise BadQuery("There is no search to link to yet.", "Search first.")
    if session.image_path is not None and not session.reference_id:
        raise BadQuery(
            "A link cannot carry a picture of your own.",
            "Start from a picture of the gallery, and link to that.",
        )
    weights = session.settings.weights
    fields = {
        "gallery": session.gallery,
        "image": session.reference_id,
        "text": session.text,
        "method": session.method,
        "a": f"{weights.alpha:g}",
        "b": f"{weights.beta:g}",
        "g": f"{weights.gamma:g}",
        "k": str(session.settings.top_k),
    }
    return "?" + urlencode({name: value for name, value in fields.items() if value})


def read_link(
    sent: Mapping[str, object], retriever_of: Callable[[str], Retriever], usual: Weights, usual_k: int
) -> Linked | None:
    """The search that an address asks for; None when it asks for none.

    Args:
        sent: the fields of the address; those that are not ours are left alone.
        retriever_of: the retriever over a gallery by its name.
        usual, usual_k: what holds where the address says nothing.

    Raises:
        CirError: a gallery, image, method or number that is not there or cannot be.
    """
    image_id, text = _field(sent, "image"), clean_text(_field(sent, "text"))[0]
    if not image_id and not text:
        return None
    gallery = _field(sent, "gallery")
    retriever = retriever_of(gallery)
    if image_id:
        retriever.gallery.find(image_id)
    weights = Weights(
        _number(sent, "a", usual.alpha), _number(sent, "b", usual.beta), _number(sent, "g", usual.gamma)
    )
    method = read_method(retriever.methods, _field(sent, "method") or retriever.methods[0])
    return Linked(gallery, image_id, text, method, weights, read_top_k(_number(sent, "k", usual_k))[0])


def _field(sent: Mapping[str, object], name: str) -> str:
    value = sent.get(name)
    return value if isinstance(value, str) else ""


def _number(sent: Mapping[str, object], name: str, usual: float) -> float:
    text = _field(sent, name)
    if not text:
        return usual
    try:
        return float(text[:20])
    except ValueError as error:
        message = f"The link's {name} is {text[:20]!r}, which is no number."
        raise BadQuery(message, "Set the sliders by hand, then copy the link again.") from error
