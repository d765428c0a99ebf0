"""Edits in anybody's words -> the words that models of the illustrated world were taught, by a phrasebook or the language model.

Their text tower knows a closed grammar and a few hundred words: "lose the hat" or "remvoe the hat" says little to it,
"remove the hat" all. An edit as that grammar writes it is left as it is. Another one is looked up in the phrasebook, at
once; what that cannot read, and has words that are not known, the language model puts into plain words. Its answer is data: it counts only where it says more
that is known, and still names the same things, and words in it that are not known give way to known ones that mean nearly
the same, as a sentence encoder sees it. Not in any paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.models.protocols import LanguageModel, SentenceEncoder
from cir.phrasebook import Phrasebook, Seen
from cir.prompts import plain_orders
from cir.replies import parse_plain_orders
from cir.types import Features, Query
from cir.world.reading import nouns_in
from cir.world.vocabulary import load_nouns

TOKENS = 40
# A place among all things in CLIP's order for a picture -> how much speaks for a thing's being there: the logarithm of how many times
# more often one that is has that place than one that is not, on the validation scenes.
ODDS = (0, 1, 2, 4, 6, 9, 15, 20, 30, 50), (4.0, 3.0, 2.6, 2.0, 1.3, 0.6, 0.0, -0.6, -1.3, -2.5)
ALIKE = 0.7  # the least cosine of a word with a known one that is taken for it
_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")


class KnownWords:
    """The words that a text tower was taught, and which of them means nearly the same as another word.

    Args:
        words: what it was taught.
        encoder: gives what tells what is alike, when it is first wanted; None where there is none.
    """

    def __init__(self, words: Sequence[str], encoder: Callable[[], SentenceEncoder | None]) -> None:
        self._words, self._encoder = words, encoder
        self.nearest = lru_cache(4096)(self._nearest)

    @cached_property
    def _rows(self) -> NDArray[np.float32]:
        encoder = self._encoder()
        assert encoder is not None
        return encoder.encode(self._words)

    def _nearest(self, word: str) -> str:
        """The known word that is most alike, if any is alike enough; "" otherwise."""
        encoder = self._encoder()
        if encoder is None:
            return ""
        cosines = self._rows @ encoder.encode([word])[0]
        best = int(cosines.argmax())
        return self._words[best] if cosines[best] >= ALIKE else ""


def things_seen(
    encode_images: Callable[[Sequence[Image.Image]], Features],
    encode_texts: Callable[[Sequence[str]], Features],
) -> Callable[[Image.Image], Seen]:
    """Picture -> which things of the world it shows, as far as a CLIP tells that by its order of all of them."""
    nouns = list(load_nouns())

    @cache
    def rows() -> Features:
        return encode_texts([f"a picture of a {noun}" for noun in nouns])

    def see(image: Image.Image) -> Seen:
        likeness = rows() @ encode_images([image])[0]
        order = np.argsort(-likeness)
        there = np.interp(np.arange(len(nouns)), *ODDS)
        return {nouns[i]: float(odds) for i, odds in zip(order, there, strict=True)}

    return see


class Rewording:
    """Puts edits into plain words.

    Args:
        model: who rewrites what the phrasebook cannot read; None where there is none.
        known: the share of a text's words that the text tower was taught.
        is_drawing: whether a reference is a picture of the illustrated world; others are not found by that tower's words.
        nearest: another word -> a known one that means nearly the same; "" where there is none.
        phrasebook: reads most edits at once; None where there is none.
        seen: a picture -> which things are in it.
    """

    def __init__(
        self,
        model: LanguageModel | None,
        known: Callable[[str], float],
        is_drawing: Callable[[Image.Image], bool] = lambda _: True,
        nearest: Callable[[str], str] = lambda _: "",
        phrasebook: Phrasebook | None = None,
        seen: Callable[[Image.Image], Seen] = lambda _: {},
    ) -> None:
        self._model, self._known, self._is_drawing = model, known, is_drawing
        self._nearest, self.phrasebook, self._seen = nearest, phrasebook, seen

    @property
    def is_alone(self) -> bool:
        """Whether there is no language model for what the phrasebook cannot read."""
        return self._model is None

    def is_plain(self, text: str) -> bool:
        """Whether the tower was taught every word of a text, and edits that are worded so."""
        return self._known(text) == 1 and (self.phrasebook is None or self.phrasebook.is_taught(text))

    def helps(self, query: Query) -> bool:
        """Whether a query's edit is in other words than the tower was taught, and about a drawing.

        A text alone is no edit: it says what a picture shows, and read as orders it would ask for something else.
        """
        text, image = query.modification_text, query.reference_image
        return image is not None and bool(text) and not self.is_plain(text) and self._is_drawing(image)

    def at_once(self, text: str, image: Image.Image | None = None) -> str:
        """The edit in plain words, where the phrasebook reads it; "" where a language model would have to be asked.

        Args:
            text: the edit.
            image: what it is about.
        """
        if self.phrasebook is None:
            return ""
        return self.phrasebook.read(text, self._seen(image) if image is not None else None)

    def prepare(self) -> None:
        """Read an edit, so that what that needs is there."""
        self.at_once("get rid of the dog", Image.new("RGB", (32, 32)))

    def asks(self, text: str) -> bool:
        """Whether there is a language model for a text that the phrasebook cannot read, with words that it could make plainer."""
        return self._model is not None and self._known(text) < 1

    def __call__(self, text: str, image: Image.Image | None = None) -> str:
        """The edit in plain words; the text itself where it is plain, or nobody has an answer that can be used. Args: as of `at_once`.

        Raises:
            LanguageModelFailed: no answer.
        """
        if self.is_plain(text):
            return text
        return self.at_once(text, image) or self.asked(text)

    def asked(self, text: str) -> str:
        """The edit in the language model's plain words; the text itself where all are known, there is none, or its answer cannot be used.

        Raises:
            LanguageModelFailed: no answer.
        """
        if self._model is None or not self.asks(text):
            return text
        before = self._known(text)
        found = parse_plain_orders(self._model.complete(plain_orders(text), max_tokens=TOKENS))
        plain = self._in_known_words(found or "")
        if not plain or self._known(plain) <= before or not nouns_in(text) <= nouns_in(plain):
            return text
        return plain

    def _in_known_words(self, text: str) -> str:
        def known(found: re.Match[str]) -> str:
            word = found[0]
            return word if self._known(word) == 1 else self._nearest(word.lower()) or word

        return _WORD.sub(known, text)
