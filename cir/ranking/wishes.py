"""What more and what less is wanted beside a query, as terms with a sign (Rocchio's feedback)."""

from __future__ import annotations

from cir.composers.composer import unit_row
from cir.models.protocols import TextEncoder
from cir.ranking.retriever import Retriever
from cir.types import SignedTerm

TERM_WEIGHTS = {"more": 0.3, "less": -0.3, "without": -0.3}


def like_image(
    retriever: Retriever, kind: str, image_id: str, words: str, weight: float | None = None
) -> SignedTerm:
    """More, or less, of what an image of the gallery looks like.

    Args:
        retriever: over the gallery that holds it.
        kind: "more" or "less".
        image_id: which image.
        words: what it is, for the person.
        weight: signed; None for the usual one.

    Raises:
        BadQuery: the gallery has no such image.
    """
    row = retriever.engine.features(retriever.gallery.find(image_id)).image
    return SignedTerm(kind, words, row, TERM_WEIGHTS[kind] if weight is None else weight, image_id)


def without(encoder: TextEncoder, text: str, weight: float | None = None) -> SignedTerm:
    """Less of what a text says. `weight` is negative; None for the usual one."""
    row = unit_row(encoder.encode_texts([text]))
    return SignedTerm("without", text, row, TERM_WEIGHTS["without"] if weight is None else weight)
