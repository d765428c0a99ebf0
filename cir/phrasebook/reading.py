"""An edit -> the plain order whose wordings it is most like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cir.models.protocols import SentenceEncoder
from cir.phrasebook.book import Wording, encode_book, read_book, read_encoded
from cir.phrasebook.cuts import cuts
from cir.phrasebook.naming import Naming
from cir.phrasebook.orders import KINDS, NOTHING, Kind, Said, Seen
from cir.phrasebook.slips import corrected

# The likeness from which on an order is read, without and with stand-ins.
LEAST = {"typed": 0.6, "bare": 0.73}
# What each thing brings that is in the picture and should not be, or the other way round; and one that is as it should be.
CONTRADICTED, BORNE_OUT = -0.08, 0.02
LONGEST = 200  # letters; what is longer asks for more than the world has
UNUSED, _WITHOUT_NUMBERS = (
    0.05,
    ("larger", "smaller", "remove"),
)  # what a number costs where it would say nothing
CUT = 0.02  # what each cut between two orders costs
PLACED = f"{NOTHING} but "


class Phrasebook:
    """Reads edits.

    Args:
        encoder: tells which wordings are alike, when it is first wanted; None where there is none: then nothing is read.
        is_word: whether something is an English word, and so no slip.
    """

    def __init__(
        self, encoder: Callable[[], SentenceEncoder | None], is_word: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._encoder, self._is_word = encoder, is_word
        self.book, self.naming = read_book(), Naming(self._likeness)

    def read(self, text: str, seen: Seen | None = None) -> str:
        """The edit in plain orders; "" where the book has nothing like it, or it is nothing that the world can be asked for.

        Args:
            text: the edit.
            seen: of the picture that it is about: things that are there are not added, and no others removed.
        """
        if self._encoder() is None or len(text) > LONGEST:
            return ""
        ways = list(cuts(corrected(text, self._is_word)))
        said = [self.naming.said(part, None) for parts in ways for part in parts]
        rows = self._encode([text for one in said for text in one.texts.values()])
        found = [read for parts in ways if (read := self._orders(parts, seen, rows)) is not None]
        return max(found, default=(0.0, ""))[1]

    def has(self, text: str) -> bool:
        """Whether the book has an edit word for word, but for what it names: each of its orders, where it is cut into several."""
        written = {wording.text for wording in self.book.wordings}
        ways = cuts(corrected(text, self._is_word))
        return any(
            all(written & {*self.naming.said(part, None).texts.values()} for part in parts) for parts in ways
        )

    def _encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Text -> its unit row (D,)."""
        encoder, each = self._encoder(), list(dict.fromkeys(texts))
        assert encoder is not None
        return dict(zip(each, encoder.encode(each), strict=True))

    def _orders(
        self, parts: Sequence[Sequence[str]], seen: Seen | None, rows: dict[str, NDArray[np.float32]]
    ) -> tuple[float, str] | None:
        """(likeness, plain orders) of an edit in these parts; None where one of them cannot be read, or two want another place or time."""
        likenesses, orders, last = [], [], None
        for part in parts:
            said = self.naming.said(part, last)
            rows |= self._encode([text for text in said.texts.values() if text not in rows])
            read = self._order(said, seen if not orders else None, rows)
            if read is None:
                return None
            likenesses.append(read[0])
            if read[1] != NOTHING and read[1] not in orders:
                orders.append(read[1])
            last = said.things[-1] if said.things else last
        places = [order.startswith(PLACED) for order in orders]
        times = [order.startswith(f"{NOTHING} ") for order in orders]
        if not orders or sum(places) > 1 or sum(times) - sum(places) > 1:
            return None
        return sum(likenesses) / len(parts) - CUT * (len(parts) - 1), " and ".join(orders)

    def _order(
        self, said: Said, seen: Seen | None, rows: Mapping[str, NDArray[np.float32]]
    ) -> tuple[float, str] | None:
        """(likeness, plain order) of the wording that is most alike among those that can be meant."""
        best: tuple[float, str, float] | None = None  # likeness, order, the least likeness that counts
        for name, kind in KINDS.items():
            at = self._of_kind[name]
            likeness = self._rows[at] @ rows[said.texts[kind.form]]
            for i in np.argsort(-likeness)[:8]:
                wording = self.book.wordings[at[i]]
                if self._can_be(said, kind, wording):
                    much = float(likeness[i]) + _by_the_picture(said, kind, wording, seen)
                    much -= UNUSED if said.number and name in _WITHOUT_NUMBERS else 0.0
                    if best is None or much > best[0]:
                        least = LEAST.get(kind.form, LEAST["bare"])
                        best = much, kind.order(said, wording.value, wording.swapped), least
                    break
        return best[:2] if best is not None and best[1] and best[0] >= best[2] else None

    def _likeness(self, word: str) -> NDArray[np.float32]:
        """(N,) cosines of a word with all names of things."""
        return self._encoded["nouns"] @ self._encode([word])[word]

    def _can_be(self, said: Said, kind: Kind, wording: Wording) -> bool:
        if kind.needs and not getattr(said, kind.needs):
            return False
        if kind.form == "typed":
            return {thing.noun for thing in said.things} <= self.book.places.get(wording.value, set())
        return len(said.things) == len(kind.things)

    @cached_property
    def _encoded(self) -> Mapping[str, NDArray[np.float32]]:
        """Unit rows of "wordings" and "nouns": as they are shipped for this encoder, else encoded now."""
        encoder = self._encoder()
        assert encoder is not None
        return read_encoded(encoder.fingerprint) or encode_book(encoder)

    @property
    def _rows(self) -> NDArray[np.float32]:
        return self._encoded["wordings"]

    @cached_property
    def _of_kind(self) -> dict[str, NDArray[np.int64]]:
        kinds = np.array([wording.kind for wording in self.book.wordings])
        return {kind: np.flatnonzero(kinds == kind) for kind in KINDS}


def _by_the_picture(said: Said, kind: Kind, wording: Wording, seen: Seen | None) -> float:
    """What a reading gains by things that are in the picture or not, as it takes them to be, and loses by others."""
    if seen is None or kind.form == "typed":
        return 0.0
    things = reversed(said.things) if wording.swapped else said.things
    found = ((seen(thing.noun), here) for thing, here in zip(things, kind.things, strict=True))
    return sum(
        BORNE_OUT if is_there == here else CONTRADICTED for is_there, here in found if is_there is not None
    )
