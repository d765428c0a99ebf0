"""An edit -> the plain order whose wordings it is most like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from cir.models.protocols import SentenceEncoder
from cir.phrasebook.book import TOKEN, encode_book, read_book, read_encoded, telling
from cir.phrasebook.cuts import cuts, is_clear
from cir.phrasebook.denials import denied, is_question, orders_one_of, says_something, without_forbidden
from cir.phrasebook.naming import Naming, numbered
from cir.phrasebook.orders import KINDS, NOTHING, Kind, Said, Seen, Thing
from cir.phrasebook.slips import corrected
from cir.phrasebook.taught import JOINS, taught

# The likeness from which on an order is read, without and with stand-ins.
LEAST = {"typed": 0.6, "bare": 0.73, "untold": 0.75}
# What each thing brings, for every unit of what speaks for its being where it should be, and what speaks against it costs.
BORNE_OUT, CONTRADICTED = 0.005, 0.02
SURE = 3.0  # what an order before says of a thing counts as much
# What a number, colour or size costs that an order does not tell: of a thing, and of none.
LOST, LOST_LOOSE = 0.06, 0.12
LONGEST = 200  # letters; what is longer asks for more than the world has
KNOWN = 0.03  # what it costs that a thing is new, and yet said as if it were known: "the dog"
SURELY = 0.85  # the likeness from which on something is surely what cannot be asked for
CUT = 0.03  # what each cut between two orders costs
ITSELF = Thing("", False)  # what "it" is, where an order names nothing
PLACED = f"{NOTHING} but "


@dataclass(frozen=True, slots=True)
class Read:
    """An order, how much its words are like those of the wording that it was read by, and its kind."""

    likeness: float
    order: str
    kind: Kind
    things: tuple[Thing, ...] = ()


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
        if self._encoder() is None or len(text) > LONGEST or is_question(text):
            return ""
        tokens = without_forbidden(corrected(text, self._is_word))
        orders = self._read(tokens, seen or {})
        rest, values = denied(tokens)
        if not orders_one_of(orders, values):
            return orders
        wanted = self._read(rest, seen or {}) if says_something(rest) else ""
        return "" if orders_one_of(wanted, values) else wanted

    def _read(self, tokens: Sequence[str], seen: Seen) -> str:
        """These words in plain orders; "" as of `read`."""
        ways = list(cuts(self._kept(tokens)))
        said = [self.naming.said(part, None) for parts in ways for part in parts]
        rows = self._encode([text for one in said for text in one.texts.values()])
        found = [read for parts in ways if (read := self._orders(parts, seen, rows)) is not None]
        likeness, orders = max(found, default=(0.0, ""))
        return "" if self._passes_over(ways, seen, rows, likeness, orders) else orders

    def has(self, text: str) -> bool:
        """Whether the book has an edit word for word, but for what it names: each of its orders, where it is cut into several."""
        return self._is_made_of(self._written, self._kept(corrected(text, self._is_word)))

    def is_taught(self, text: str) -> bool:
        """Whether an edit is worded as the models were taught."""
        words = TOKEN.findall(
            text.lower().replace(*JOINS)
        )  # with slips that are words: "to foxes" is not taught
        return self._is_made_of(taught(), numbered(self.book.shortened(words), self.book.numbers))

    @cached_property
    def _written(self) -> frozenset[str]:
        return frozenset(wording.text for wording in self.book.wordings)

    def _is_made_of(self, wordings: frozenset[str], tokens: Sequence[str]) -> bool:
        return sum(map(len, tokens)) <= LONGEST and any(
            all(not wordings.isdisjoint(self.naming.said(part, None).texts.values()) for part in parts)
            for parts in cuts(tokens)
        )

    def _kept(self, tokens: Sequence[str]) -> list[str]:
        return numbered(self.book.shortened(tokens), self.book.numbers)

    def _encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Text -> its unit row (D,)."""
        encoder, each = self._encoder(), list(dict.fromkeys(texts))
        assert encoder is not None
        return dict(zip(each, encoder.encode(each), strict=True))

    def _orders(
        self, parts: Sequence[Sequence[str]], seen: Seen, rows: dict[str, NDArray[np.float32]]
    ) -> tuple[float, str] | None:
        """(likeness, plain orders) of an edit in these parts; None where one of them cannot be read, or two want another place or time."""
        found: list[Read] = []
        there, last, added = dict(seen), None, set[str]()
        for part in parts:
            said = self.naming.said(part, last)
            rows |= self._encode([text for text in said.texts.values() if text not in rows])
            read = _carried(said, found) if said.is_bare else self._order(said, there, rows)
            if read is None or (read.kind is KINDS["count"] and read.things[0].noun in added):
                return None  # what has just been added is not counted anew
            found.append(read)
            added |= {thing.noun for thing in read.things if read.kind is KINDS["add"]}
            for thing, here in zip(read.things, read.kind.things, strict=True):
                gone = here and read.kind in (KINDS["remove"], KINDS["replace"])
                there[thing.noun] = -SURE if gone else SURE
            # of what is ordered the new thing comes last: "a fox instead of the dog, and make it red"
            named = read.things or said.things
            last = named[-1].known() if named else last
        if _contradict(found):
            return None
        orders = list(
            dict.fromkeys(read.order for read in _replacing(_recounted(found)) if read.order != NOTHING)
        )
        places = [order.startswith(PLACED) for order in orders]
        times = [order.startswith(f"{NOTHING} ") for order in orders]
        if not orders or sum(places) > 1 or sum(times) - sum(places) > 1:
            return None
        likeness = sum(read.likeness for read in found) / len(parts)
        return likeness - CUT * (len(parts) - 1), " and ".join(orders)

    def _passes_over(
        self,
        ways: Sequence[Sequence[Sequence[str]]],
        seen: Seen,
        rows: Mapping[str, NDArray[np.float32]],
        likeness: float,
        orders: str,
    ) -> bool:
        """Whether an edit in two parts has an order about a thing that these orders leave out, as the other part cannot be read.

        As a whole "make it a painting and remove the dog" is most like some order or other about a dog; only what is less like
        any than that part alone is not told.
        """
        if not orders:
            return False
        for parts in ways:
            if len(parts) != 2 or not is_clear(parts):
                continue
            if any(self._is_other(part, rows) for part in parts):
                return True
            reads = [self._order(self.naming.said(part, None), seen, rows) for part in parts]
            (read,) = found if len(found := [one for one in reads if one is not None]) == 1 else (None,)
            if (
                read is not None
                and read.things
                and read.order != NOTHING
                and read.likeness > likeness
                and read.order not in orders
            ):
                return True
        return False

    def _is_other(self, part: Sequence[str], rows: Mapping[str, NDArray[np.float32]]) -> bool:
        """Whether a part asks for what the world cannot be asked for, nearly in the book's words: "crop it"."""
        said = self.naming.said(part, None)
        others = [at for at in self._alike["other"] if not said.things]
        return any((self._rows[at] @ rows[said.texts["typed"]]).max() >= SURELY for at in others)

    def _order(
        self, said: Said, there: Mapping[str, float], rows: Mapping[str, NDArray[np.float32]]
    ) -> Read | None:
        """By the wording that is most alike among those that can be meant."""
        best = Read(0.0, "", KINDS["other"])
        for name, kind in KINDS.items():
            for at in self._can_be(said, name, kind):
                likeness = float((self._rows[at] @ rows[said.texts[kind.form]]).max())
                wording = self.book.wordings[at[0]]
                if likeness < self._least(kind, said, wording.value):
                    continue
                things = said.things if kind.things else ()
                things = things[::-1] if wording.swapped else things
                lost = _lost(said, kind, things, wording.value)
                much = likeness + _by_the_picture(kind, things, there) - lost
                if much > best.likeness:
                    best = Read(much, kind.order(said, wording.value, wording.swapped), kind, things)
        return best if best.order else None

    def _least(self, kind: Kind, said: Said, value: str) -> float:
        """The likeness from which on an order is read: with no word that is said of its place or time, it has to be greater."""
        if (
            kind.form == "typed"
            and value
            and not any(value in telling().get(word, ()) for word in said.words)
        ):
            return LEAST["untold"]
        return LEAST.get(kind.form, LEAST["bare"])

    def _likeness(self, word: str) -> NDArray[np.float32]:
        """(N,) cosines of a word with all names of things."""
        return self._encoded["nouns"] @ self._encode([word])[word]

    def _can_be(self, said: Said, name: str, kind: Kind) -> Sequence[NDArray[np.int64]]:
        """Which wordings of a kind can be meant: those of each place or time, and of each order of two things, apart."""
        if kind.needs and not getattr(said, kind.needs):
            return ()
        if kind.form != "typed":
            return self._alike[name] if len(said.things) == len(kind.things) else ()
        if not said.things:
            return self._alike[name]
        named = {thing.noun for thing in said.things}
        ours = {value for value, nouns in self.book.places.items() if named <= nouns}
        return [at for at in self._alike[name] if self.book.wordings[at[0]].value in ours]

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
    def _alike(self) -> dict[str, list[NDArray[np.int64]]]:
        """Kind -> the places in the book of its wordings that are told alike, but for their things."""
        found: dict[str, dict[tuple[str, bool], list[int]]] = {kind: {} for kind in KINDS}
        for i, wording in enumerate(self.book.wordings):
            found[wording.kind].setdefault((wording.value, wording.swapped), []).append(i)
        return {kind: [np.array(at) for at in of.values()] for kind, of in found.items()}


def _carried(said: Said, before: Sequence[Read]) -> Read | None:
    """A thing alone is ordered as the one before it: "remove the dog and the cat"; where there is none, nothing is."""
    if not before or len(before[-1].kind.things) != 1 or before[-1].kind.needs:
        return None
    kind = before[-1].kind
    return Read(before[-1].likeness, kind.order(said, "", False), kind, said.things)


def _contradict(found: Sequence[Read]) -> bool:
    """Whether the same is to be of two numbers, or of two colours: "black and white" is no order for either."""
    of = [
        (name.removesuffix("_of_it"), thing.noun)
        for read in found
        for name in ("count", "count_of_it", "colour", "colour_of_it")
        if read.kind is KINDS[name]
        for thing in read.things or (ITSELF,)
    ]
    return len(of) > len(set(of))


def _recounted(found: Sequence[Read]) -> list[Read]:
    """Of several things that are removed, and then counted, only the number is ordered: "too many dogs, one will do"."""
    counts = (KINDS["count"], KINDS["count_of_it"])
    return [
        read
        for read, after in zip_longest(found, found[1:])
        if after is None
        or after.kind not in counts
        or read.kind is not KINDS["remove"]
        or not read.things[0].plural
        or any(thing.noun != read.things[0].noun for thing in after.things)
    ]


def _replacing(found: Sequence[Read]) -> list[Read]:
    """One thing removed and one added are one thing replaced: the scene is the same, and the models find it far oftener so."""
    removed = [read for read in found if read.kind is KINDS["remove"]]
    added = [read for read in found if read.kind is KINDS["add"]]
    if len(removed) != 1 or len(added) != 1:
        return list(found)
    things = (*removed[0].things, *added[0].things)
    order = f"replace {things[0].old()} with {things[1].new()}"
    likeness = (removed[0].likeness + added[0].likeness) / 2
    both = Read(likeness, order, KINDS["replace"], things)
    return [both if read is removed[0] else read for read in found if read is not added[0]]


def _by_the_picture(kind: Kind, things: Sequence[Thing], there: Mapping[str, float]) -> float:
    """What a reading gains by things that are in the picture or not, as it takes them to be, and loses by others."""
    found = ((there.get(thing.noun, 0.0), here) for thing, here in zip(things, kind.things, strict=True))
    signed = (much if here else -much for much, here in found)
    return sum(much * (BORNE_OUT if much > 0 else CONTRADICTED) for much in signed)


def _lost(said: Said, kind: Kind, things: Sequence[Thing], value: str) -> float:
    """What a reading loses by what was said and its order does not tell: "two big dogs" are not made red, nor are two removed.

    `value`: the place or time that it orders; words of another one count as well.
    """
    elsewhere = any(value not in telling()[token] for token in said.words if token in telling())
    lost = LOST_LOOSE * (elsewhere + (kind.never in said.sizes))
    known = (thing.definite or thing.of_known for thing in things)
    lost += KNOWN * sum(a and not here for a, here in zip(known, kind.things, strict=True))
    for what in ("number", "colour", "size"):
        keeps = kind in (KINDS["nothing"], KINDS["nothing_of"])
        if what in said.loose and (keeps or (what not in kind.tells and kind.form != "typed")):
            lost += LOST_LOOSE
        if what not in kind.tells:
            lost += LOST * sum(
                bool(getattr(thing, what)) and here and not thing.definite
                for thing, here in zip(things, kind.things, strict=True)
            )
    return lost
