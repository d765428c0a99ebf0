"""What was thought on the way, changed by a person: which texts follow, and which parts have to be made again.

A changed trace makes only those parts anew whose texts changed. No captioner and no language model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Protocol, cast

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from cir import prompts
from cir.composers.composer import unit_row
from cir.errors import BadQuery
from cir.models.protocols import PseudoWordEncoder, TextEncoder
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, ComposedQuery, Features

CAPTIONS, MODIFIED, OBJECTS = "captions", "modified_captions", "added_objects"
REMOVED = "removed_objects"  # told, and not changed
THOUGHTS = (CAPTIONS, MODIFIED, OBJECTS)
REMEMBERED_TEXTS = 1024
Trace = Mapping[str, Sequence[str]]


class Revisable(Protocol):
    """A method whose thoughts can be changed after it has composed."""

    def revise(self, composed: ComposedQuery, trace: Trace) -> ComposedQuery:
        """The query with another trace; only what follows from a changed text is encoded."""
        ...


def revisable(composer: object) -> Revisable | None:
    """The method, if its thoughts can be changed."""
    return cast(Revisable, composer) if callable(getattr(composer, "revise", None)) else None


class TextMemory:
    """A text encoder that encodes each text once. Holds the last `REMEMBERED_TEXTS` rows."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._rows: LRUCache[str, NDArray[np.float32]] = LRUCache(REMEMBERED_TEXTS)
        self._lock = Lock()

    def encode(self, texts: Sequence[str]) -> Features:
        """(N, D) unit rows; the encoder is called with the texts that are new, if there are any."""
        with self._lock:
            known = {text: self._rows[text] for text in texts if text in self._rows}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, self._encoder.encode_texts(new), strict=True))
        with self._lock:
            self._rows.update(known)
        return np.stack([known[text] for text in texts])


def with_thought(
    composed: ComposedQuery, kind: str, place: int | None, text: str
) -> dict[str, tuple[str, ...]]:
    """A query's trace with one text changed, added or taken away.

    A changed caption takes its edited description with it: "caption, edit", since nothing is asked again.

    Args:
        composed: the query.
        kind: one of THOUGHTS.
        place: which of its different texts, in the order of their first appearance; None adds one.
        text: what stands there from now on; "" takes it away.

    Raises:
        BadQuery: no such kind or place, or nothing to add.
    """
    trace = {name: tuple(texts) for name, texts in composed.trace.items()}
    texts = list(dict.fromkeys(trace.get(kind, ())))
    if kind not in THOUGHTS or (place is not None and not 0 <= place < len(texts)):
        raise BadQuery("That text is not on the page any more.", "Change one of those that are shown.")
    if place is None and not text:
        raise BadQuery("There is no text to add.", "Type a few words, then press Enter.")
    if kind == CAPTIONS:
        modified = list(trace.get(MODIFIED, ()))
        paired = len(modified) == len(texts) and place is not None
        trace[MODIFIED] = tuple(_put(modified, place if paired else None, _stand_in(text, composed)))
    # A text that stands there several times counts so often, and goes on doing so.
    every = [text if place is not None and old == texts[place] else old for old in trace.get(kind, ())]
    trace[kind] = tuple(t for t in [*every, *([text] if place is None else [])] if t)
    return trace


def _stand_in(caption: str, composed: ComposedQuery) -> str:
    return f"{caption}, {composed.modification_text}" if caption else ""


def _put(texts: list[str], place: int | None, text: str) -> list[str]:
    if place is None:
        return [*texts, text] if text else texts
    return [*texts[:place], *([text] if text else []), *texts[place + 1 :]]


def revise(
    composed: ComposedQuery, trace: Trace, texts: TextMemory, pseudo_word_encoder: PseudoWordEncoder
) -> ComposedQuery:
    """Make q_m and q_f anew where their texts changed. Source: CVSI, Eq. 1-3, with texts of the person's.

    Args:
        composed: the query as it was.
        trace: what stands now.
        texts: encodes the edited descriptions; those that stayed are remembered.
        pseudo_word_encoder: for q_f, with the image's words that `composed` keeps.
    """
    parts = dict(composed.parts)
    modified, objects = list(trace.get(MODIFIED, ())), list(trace.get(OBJECTS, ()))
    if modified != list(composed.trace.get(MODIFIED, ())):
        parts.pop(MODIFIED_CAPTIONS, None)
        if modified:
            parts = {MODIFIED_CAPTIONS: unit_row(texts.encode(modified).mean(axis=0)), **parts}
    if objects != list(composed.trace.get(OBJECTS, ())) and composed.pseudo_words is not None:
        prefix, suffix, tail = prompts.cvsi_fine_grained(composed.modification_text, objects)
        row = pseudo_word_encoder.encode_spliced(prefix, composed.pseudo_words, suffix, tail)
        parts[FINE_GRAINED] = unit_row(row)
    kept = {name: tuple(found) for name, found in trace.items()}
    return replace(composed, parts=parts, trace=kept, pending="")
