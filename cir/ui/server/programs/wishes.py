"""What more and what less is wanted, as terms beside a query."""

from __future__ import annotations

from collections.abc import Mapping

from cir.errors import BadQuery
from cir.ranking.retriever import Retriever
from cir.ranking.wishes import TERM_WEIGHTS, like_image, without
from cir.types import SignedTerm
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.server.programs import arguments


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
                terms.append(without(content.text_encoder, wish.what, wish.weight))
            else:
                with arguments.about(name, "Send the image_id of a result in this gallery."):
                    retriever.gallery.find(wish.what)
                words = handlers.in_words(retriever.gallery, wish.what)
                terms.append(like_image(retriever, name, wish.what, words, wish.weight))
    return tuple(terms)
