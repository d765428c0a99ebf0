"""Edits in anybody's words -> the words that models of the illustrated world were taught, by the language model.

Their text tower knows a closed grammar and a few hundred words: "lose the hat" or "remvoe the hat" says little to it,
"remove the hat" all. An edit of known words alone is left as it is. What the language model makes of another one is data:
it counts only where it says more that is known, and still names the same things. Not in any paper.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from cir.models.protocols import LanguageModel
from cir.prompts import plain_orders
from cir.replies import parse_plain_orders
from cir.types import Query
from cir.world.reading import nouns_in

TOKENS = 40


class Rewording:
    """Puts edits into plain words.

    Args:
        model: who rewrites.
        known: the share of a text's words that the text tower was taught.
        is_drawing: whether a reference is a picture of the illustrated world; others are not found by that tower's words.
    """

    def __init__(
        self,
        model: LanguageModel,
        known: Callable[[str], float],
        is_drawing: Callable[[Image.Image], bool] = lambda _: True,
    ) -> None:
        self._model, self._known, self._is_drawing = model, known, is_drawing

    def helps(self, query: Query) -> bool:
        """Whether a query's edit has words that the tower was not taught, and is about a drawing."""
        text, image = query.modification_text, query.reference_image
        return bool(text) and self._known(text) < 1 and (image is None or self._is_drawing(image))

    def __call__(self, text: str) -> str:
        """The edit in plain words; the text itself where it is plain, or no answer can be used.

        Raises:
            LanguageModelFailed: no answer.
        """
        before = self._known(text)
        if before == 1:
            return text
        found = parse_plain_orders(self._model.complete(plain_orders(text), max_tokens=TOKENS))
        if found is None or self._known(found) <= before or not nouns_in(text) <= nouns_in(found):
            return text
        return found
