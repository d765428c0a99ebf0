"""What can be ordered of the illustrated world, and how that is said plainly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cir.world.vocabulary import BACKGROUNDS, COUNT_WORDS, TIMES, load_nouns

Seen = Mapping[
    str, float
]  # noun -> how much speaks for its being in the picture: the logarithm of odds, below 0 against it


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that an edit names, and what is said of it: "" or None where nothing is.

    `definite`: as of something known; `of_known`: as one, or another one, of such: "two of the dogs", "a second dog".
    """

    noun: str
    plural: bool
    number: int | None = None
    size: str = ""
    colour: str = ""
    definite: bool = False
    of_known: bool = False

    def known(self) -> Thing:
        """As what "it" is, once it was named."""
        many = self.plural if self.number is None else self.number > 1
        return Thing(self.noun, many, definite=True)

    def named(self) -> str:
        """The word for it: "dog", "dogs"."""
        singular, plural = load_nouns()[self.noun].names[0]
        many = self.plural if self.number is None else self.number > 1
        return plural if many else singular

    def new(self) -> str:
        """As something that is not there yet: "two big red dogs", "a dog"."""
        number = COUNT_WORDS[self.number] if self.number else ""
        said = " ".join(part for part in (number, self.size, self.colour, self.named()) if part)
        return said if number or self.plural else f"{'an' if said[0] in 'aeiou' else 'a'} {said}"

    def old(self) -> str:
        """As something that is there: "the dogs"."""
        return f"the {self.named()}"


@dataclass(frozen=True, slots=True)
class Said:
    """The words of one order, and what it names.

    Attributes:
        texts: its words as "typed", and with stand-ins for things: "bare", or with what is said of these of one kind: "counted",
            "coloured", "sized".
        things: in the order of their naming.
        number, colour: that are said anywhere: of a thing the number first, the colour last ("make the red hat blue").
        words: that name no thing.
        loose: which of "number", "colour" and "size" are said apart from things.
        sizes: "big" and "small", where something is to be so; not what is "too small".
    """

    texts: Mapping[str, str]
    things: tuple[Thing, ...]
    number: int | None
    colour: str
    loose: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    sizes: frozenset[str] = frozenset()

    @property
    def is_bare(self) -> bool:
        """Whether nothing is said but one thing, and nothing of that."""
        one = self.things[0] if len(self.things) == 1 else None
        return one is not None and not (self.words or one.number or one.colour or one.size)


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be ordered.

    Attributes:
        form: of `Said`, that its wordings are compared with; "typed" for words without stand-ins.
        things: that it names, in the order of the old one and the new one: whether each is in the picture already.
        order: the plain order, "" for what the world cannot be asked for; `value` is the place or the time of the wording, `swapped` whether the new thing is named first.
        needs: of `Said`, what must be there.
        tells: which of "number", "colour" and "size" the order says of a thing that is there.
        never: a size that is not said of what is ordered.
    """

    form: str
    things: tuple[bool, ...]
    order: Callable[[Said, str, bool], str]
    needs: str = ""
    tells: frozenset[str] = frozenset()
    never: str = ""


def _replaced(said: Said, _: str, swapped: bool) -> str:
    old, new = reversed(said.things) if swapped else said.things
    return f"replace {old.old()} with {new.new()}"


NOTHING = "the same"  # the order of words that ask for none, such as "please"
HERE, NEW = True, False  # whether a thing is in the picture already
_NUMBER, _COLOUR, _SIZE = frozenset(["number"]), frozenset(["colour"]), frozenset(["size"])
KINDS: Mapping[str, Kind] = {
    "remove": Kind("bare", (HERE,), lambda said, *_: f"remove {said.things[0].old()}"),
    "add": Kind("bare", (NEW,), lambda said, *_: f"add {said.things[0].new()}"),
    "replace": Kind("bare", (HERE, NEW), _replaced),
    "count": Kind("counted", (HERE,), lambda said, *_: f"make it {_counted(said)}", "number", _NUMBER),
    "count_of_it": Kind(
        "counted", (), lambda said, *_: f"make it {COUNT_WORDS[said.number or 1]}", "number", _NUMBER
    ),
    "colour": Kind("coloured", (HERE,), lambda said, *_: _coloured(said), "colour", _COLOUR | _NUMBER),
    "colour_of_it": Kind("coloured", (), lambda said, *_: f"make it {said.colour}", "colour", _COLOUR),
    "larger": Kind(
        "sized", (HERE,), lambda said, *_: f"make {said.things[0].old()} bigger", "", _SIZE, "small"
    ),
    "smaller": Kind(
        "sized", (HERE,), lambda said, *_: f"make {said.things[0].old()} smaller", "", _SIZE, "big"
    ),
    "background": Kind("typed", (), lambda _, place, __: f"the same but {BACKGROUNDS[place][0]}"),
    "background_of": Kind("bare", (HERE,), lambda _, place, __: f"the same but {BACKGROUNDS[place][0]}"),
    "time": Kind("typed", (), lambda _, time, __: f"the same {TIMES[time][0]}"),
    "time_of": Kind("bare", (HERE,), lambda _, time, __: f"the same {TIMES[time][0]}"),
    "nothing": Kind("typed", (), lambda *_: NOTHING),
    "nothing_of": Kind("bare", (HERE,), lambda *_: NOTHING, tells=_NUMBER | _COLOUR | _SIZE),
    "other": Kind("typed", (), lambda *_: ""),
    "other_of_one": Kind("bare", (HERE,), lambda *_: ""),
    "other_of_two": Kind("bare", (HERE, HERE), lambda *_: ""),
}


def _coloured(said: Said) -> str:
    """Of a thing of which a number was said, too, so that this is told: "three red dogs instead"."""
    thing = said.things[0]
    if thing.number and not thing.definite:
        return f"{replace(thing, colour=said.colour).new()} instead"
    return f"make {thing.old()} {said.colour}"


def _counted(said: Said) -> str:
    singular, plural = load_nouns()[said.things[0].noun].names[0]
    number = said.number or 1
    return f"{COUNT_WORDS[number]} {plural if number > 1 else singular}"
