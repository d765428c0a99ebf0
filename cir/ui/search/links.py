"""A search as the fields of an address, and back. Everything that an address says is checked like any input.

The same fields, with an upload's place beside them, are what the page keeps of the search that it shows. Plain
functions; no gradio, no HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cir.composers.parameters import Parameter, own_values, read_values
from cir.composers.revision import CAPTIONS, MODIFIED, OBJECTS
from cir.errors import BadQuery
from cir.gallery.narrowing import Only, folder_key, read_only
from cir.ranking.wishes import TERM_WEIGHTS, like_image, without
from cir.text import clean_text, counted
from cir.types import SignedTerm
from cir.ui.reading import read_method, read_threshold, read_top_k
from cir.ui.search import changes, handlers, reference
from cir.ui.session import Settings

if TYPE_CHECKING:
    from cir.models.protocols import TextEncoder
    from cir.ranking.retriever import Retriever
    from cir.ui.session import Session

_TEXTS = {CAPTIONS: "captions", MODIFIED: "descriptions", OBJECTS: "objects"}
_OLD_NAMES = {"alpha": "a", "beta": "b", "gamma": "g"}
_MOST_TEXTS = 64


@dataclass(frozen=True, slots=True)
class Linked:
    """A search that an address describes: in which gallery, with which of its images, and all that was changed.

    Attributes:
        gallery, image_id, text, method, settings, only: as in `Session`; `image_id` "" for no picture.
        texts: kind -> texts in the place of the machine's.
        terms: (kind, weight, image id or words) of what more and what less is wanted.
    """

    gallery: str
    image_id: str
    text: str
    method: str
    settings: Settings
    only: Only = field(default_factory=Only)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    terms: tuple[tuple[str, float, str], ...] = ()


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
    return "?" + urlencode(fields_of(session))


def fields_of(session: Session) -> dict[str, str]:
    """The present search as fields; those that say nothing are left out. An upload is not among them."""
    settings, only = session.settings, session.only
    found = {
        "gallery": session.gallery,
        "image": session.reference_id,
        "text": session.text,
        "method": session.method,
        **{name: f"{number:g}" for name, number in own_values(session.parameters, settings.values).items()},
        "k": str(settings.top_k),
        "keep": "" if settings.leave_out_reference else "1",
        "at": f"{settings.at_least:g}" if settings.at_least else "",
        "unfold": "" if settings.fold else "1",
        "folder": folder_key(only),
        "since": only.since.isoformat() if only.since else "",
        "until": only.until.isoformat() if only.until else "",
        "undated": "1" if only.with_undated else "",
        "terms": "\n".join(
            f"{term.kind} {term.weight:g} {term.image_id or term.words}" for term in session.signed
        ),
    }
    texts = {
        _TEXTS[kind]: "\n".join(own)
        for kind, own in {**changes.changed_texts(session), **session.texts}.items()
    }
    return {name: value for name, value in found.items() if value} | texts


def read_link(
    sent: Mapping[str, object],
    retriever_of: Callable[[str], Retriever],
    usual_k: int,
    *,
    pictured: bool = False,
) -> Linked | None:
    """The search that an address asks for; None when it asks for none.

    Args:
        sent: the fields of the address; those that are not ours are left alone.
        retriever_of: the retriever over a gallery by its name.
        usual_k: how many results, where the address says nothing.
        pictured: whether a picture of one's own belongs to it, so that it may name no image and no text.

    Raises:
        CirError: a gallery, image, method, folder, day or number that is not there or cannot be.
    """
    image_id, text = _field(sent, "image"), clean_text(_field(sent, "text"))[0]
    if not image_id and not text and not pictured:
        return None
    gallery = _field(sent, "gallery")
    retriever = retriever_of(gallery)
    if image_id:
        retriever.gallery.find(image_id)
    method = read_method(retriever.methods, _field(sent, "method") or retriever.methods[0])
    settings = Settings(
        _read_values(retriever.composers[method].parameters, sent),
        read_top_k(_number(sent, "k", usual_k))[0],
        leave_out_reference=_field(sent, "keep") != "1",
        at_least=read_threshold(_number(sent, "at", 0.0)),
        fold=_field(sent, "unfold") != "1",
    )
    return Linked(
        gallery,
        image_id,
        text,
        method,
        settings,
        read_only(
            retriever.gallery,
            _field(sent, "folder"),
            _field(sent, "since"),
            _field(sent, "until"),
            _field(sent, "undated") == "1",
        ),
        {kind: _lines(sent, name) for kind, name in _TEXTS.items() if isinstance(sent.get(name), str)},
        _read_terms(retriever, sent),
    )


def open_linked(retriever: Retriever, encoder: TextEncoder | None, session: Session, linked: Linked) -> None:
    """Make a session ready for the search that was linked, as it was when it was seen.

    Args:
        retriever: over the gallery that is linked.
        encoder: for "without ..."; where there is none, such terms are left out.
        session: takes all of it. The next search with this picture and this text keeps the terms and the texts.
        linked: from `read_link`.

    Raises:
        GalleryError: nothing of the picture is left.
    """
    session.gallery, session.only, session.settings = linked.gallery, linked.only, linked.settings
    session.method, session.text = linked.method, linked.text
    session.parameters = retriever.composers[linked.method].parameters
    session.picked_id = session.reference_id = linked.image_id
    session.image_path = None
    if linked.image_id:
        session.image_path = reference.pick(retriever.gallery, session, linked.image_id)
    session.texts = linked.texts
    made = (_term(retriever, encoder, *term) for term in linked.terms)
    session.signed = tuple(term for term in made if term is not None)


def _term(
    retriever: Retriever, encoder: TextEncoder | None, kind: str, weight: float, what: str
) -> SignedTerm | None:
    if kind == "without":
        return without(encoder, what, weight) if encoder else None
    return like_image(retriever, kind, what, handlers.in_words(retriever.gallery, what), weight)


def _read_terms(retriever: Retriever, sent: Mapping[str, object]) -> tuple[tuple[str, float, str], ...]:
    found = []
    for line in _field(sent, "terms").split("\n"):
        kind, _, rest = line.partition(" ")
        weight, _, what = rest.partition(" ")
        if not line:
            continue
        number = _read_number("terms", weight)
        what = clean_text(what)[0][: changes.MAX_TEXT] if kind == "without" else what
        if kind not in TERM_WEIGHTS or not what or not -1.0 <= number <= 1.0:
            raise BadQuery(f"The link asks for {line[:60]!r}, which cannot be.", "Copy the link again.")
        if kind != "without":
            retriever.gallery.find(what)
        found.append((kind, number, what))
    if len(found) > changes.MAX_TERMS:
        raise BadQuery(
            f"The link has {counted(len(found), 'term')}.", f"At most {changes.MAX_TERMS} are possible."
        )
    return tuple(found)


def _read_values(parameters: Sequence[Parameter], sent: Mapping[str, object]) -> dict[str, float]:
    """The numbers of a method; links of before carry "a", "b" and "g" for alpha, beta and gamma."""
    given: dict[str, object] = {}
    for parameter in parameters:
        for name in filter(None, (parameter.formerly, parameter.name)):
            for field_name in (_OLD_NAMES.get(name, ""), name):
                if _field(sent, field_name):
                    given[name] = _read_number(field_name, _field(sent, field_name))
    return read_values(parameters, given)


def _lines(sent: Mapping[str, object], name: str) -> tuple[str, ...]:
    cleaned = (clean_text(line)[0][: changes.MAX_TEXT] for line in _split(_field(sent, name)))
    return tuple(line for line in cleaned if line)


def _split(text: str) -> Sequence[str]:
    return text.split("\n")[:_MOST_TEXTS]


def _field(sent: Mapping[str, object], name: str) -> str:
    value = sent.get(name)
    return value if isinstance(value, str) else ""


def _number(sent: Mapping[str, object], name: str, usual: float) -> float:
    text = _field(sent, name)
    return _read_number(name, text) if text else usual


def _read_number(name: str, text: str) -> float:
    try:
        number = float(text[:20])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        message = f"The link's {name} is {text[:20]!r}, which is no number."
        raise BadQuery(message, "Set the sliders by hand, then copy the link again.")
    return number
