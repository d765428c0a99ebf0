"""What more and what less is wanted, as terms beside a query."""

from __future__ import annotations

from collections.abc import Mapping

from cir.composers.composer import unit_row
from cir.errors import BadQuery
from cir.retriever import Retriever
from cir.types import SignedTerm
from cir.ui import handlers
from cir.ui.layout import PageContent
from cir.ui.programs import arguments
from cir.ui.search.changing import TERM_WEIGHTS


def read_wishes(
    content: PageContent, retriever: Retriever, given: Mapping[str, object]
) -> tuple[SignedTerm, ...]:
    """The terms of what more and what less is wanted.

    Raises:
        BadQuery: an id that the gallery does not have, or nothing that can be read.
    """
    terms = []
    for name, value in given.items():
        for wish in arguments.read_wishes(name, value, TERM_WEIGHTS[name]):
            if name == "without":
                if content.text_encoder is None:
                    raise BadQuery("without is not offered by this server.", "Leave it out.")
                row, words = unit_row(content.text_encoder.encode_texts([wish.what])), wish.what
            else:
                with arguments.about(name, "Send the image_id of a result in this gallery."):
                    row = retriever.gallery.image_features[retriever.gallery.find(wish.what)]
                words = handlers.in_words(retriever.gallery, wish.what)
            terms.append(SignedTerm(name, words, row, wish.weight))
    return tuple(terms)
