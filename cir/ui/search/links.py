"""A search as the fields of an address, and back. Everything that an address says is checked like any input.

The same fields, with an upload's place beside them, are what the page keeps of the search that it shows. Plain
functions; no gradio, no HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cir.composers.parameters import Parameter, of_photographs, own_values, read_values
from cir.composers.revision import CAPTIONS, MODIFIED, OBJECTS
from cir.errors import BadQuery
from cir.gallery.narrowing import folder_key, read_only
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
        "auto": "1" if settings.automatic and of_photographs(session.parameters) else "",
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


def open_link(
    sent: Mapping[str, object],
    session: Session,
    retriever_of: Callable[[str], Retriever],
    encoder: TextEncoder | None,
    *,
    pictured: bool = False,
) -> bool:
    """Make a session ready for the search that an address asks for, as it was when it was seen.

    Args:
        sent: the fields of the address; those that are not ours are left alone.
        session: takes all of it. The next search with this picture and this text keeps the terms and the texts.
        retriever_of: the retriever over a gallery by its name.
        encoder: for "without ..."; where there is none, such terms are left out.
        pictured: whether a picture of one's own belongs to it, so that it may name no image and no text.

    Returns:
        False where the address asks for no search; then nothing has changed.

    Raises:
        CirError: a gallery, image, method, folder, day or number that is not there or cannot be.
    """
    image_id, text = _field(sent, "image"), clean_text(_field(sent, "text"))[0]
    if not image_id and not text and not pictured:
        return False
    gallery = _field(sent, "gallery")
    retriever = retriever_of(gallery)
    if image_id:
        retriever.gallery.find(image_id)
    method = read_method(retriever.methods, _field(sent, "method") or retriever.methods[0])
    parameters = retriever.composers[method].parameters
    settings = _read_settings(parameters, sent)
    folder, since, until = (_field(sent, name) for name in ("folder", "since", "until"))
    only = read_only(retriever.gallery, folder, since, until, _field(sent, "undated") == "1")
    signed = _read_terms(retriever, encoder, sent)
    session.gallery, session.only, session.settings = gallery, only, settings
    session.method, session.parameters, session.text, session.signed = method, parameters, text, signed
    session.texts = {
        kind: _lines(sent, name) for kind, name in _TEXTS.items() if isinstance(sent.get(name), str)
    }
    session.picked_id = session.reference_id = image_id
    session.image_path = reference.pick(retriever.gallery, session, image_id) if image_id else None
    return True


def _read_settings(parameters: Sequence[Parameter], sent: Mapping[str, object]) -> Settings:
    given = _given_values(parameters, sent)
    return Settings(
        read_values(parameters, given),
        read_top_k(_number(sent, "k", Settings().top_k))[0],
        leave_out_reference=_field(sent, "keep") != "1",
        at_least=read_threshold(_number(sent, "at", 0.0)),
        fold=_field(sent, "unfold") != "1",
        automatic=_field(sent, "auto") == "1" or not given,
    )


def _read_terms(
    retriever: Retriever, encoder: TextEncoder | None, sent: Mapping[str, object]
) -> tuple[SignedTerm, ...]:
    lines = list(filter(None, _field(sent, "terms").split("\n")))
    if len(lines) > changes.MAX_TERMS:
        raise BadQuery(
            f"The link has {counted(len(lines), 'term')}.", f"At most {changes.MAX_TERMS} are possible."
        )
    found = [_read_term(retriever, encoder, line) for line in lines]
    return tuple(term for term in found if term is not None)


def _read_term(retriever: Retriever, encoder: TextEncoder | None, line: str) -> SignedTerm | None:
    kind, _, rest = line.partition(" ")
    weight, _, what = rest.partition(" ")
    number = _read_number("terms", weight)
    what = clean_text(what)[0][: changes.MAX_TEXT] if kind == "without" else what
    if kind not in TERM_WEIGHTS or not what or not -1.0 <= number <= 1.0:
        raise BadQuery(f"The link asks for {line[:60]!r}, which cannot be.", "Copy the link again.")
    if kind == "without":
        return without(encoder, what, number) if encoder else None
    retriever.gallery.find(what)
    return like_image(retriever, kind, what, handlers.in_words(retriever.gallery, what), number)


def _given_values(parameters: Sequence[Parameter], sent: Mapping[str, object]) -> dict[str, float]:
    """The numbers that stand in the link; links of before carry "a", "b" and "g" for alpha, beta and gamma."""
    given: dict[str, float] = {}
    for parameter in parameters:
        for name in filter(None, (parameter.formerly, parameter.name)):
            for field_name in (_OLD_NAMES.get(name, ""), name):
                if _field(sent, field_name):
                    given[name] = _read_number(field_name, _field(sent, field_name))
    return given


def _lines(sent: Mapping[str, object], name: str) -> tuple[str, ...]:
    lines = _field(sent, name).split("\n")[:_MOST_TEXTS]
    return tuple(filter(None, (clean_text(line)[0][: changes.MAX_TEXT] for line in lines)))


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
