"""Captions of photographs from what is known of their classes and their light, and a captioner for both worlds.

What is likelier right than wrong is said, and where nothing is, the one thing that is likeliest (`sureness`): among dogs
that look alike it says "dog". What pixels alone make likely (water, snow, plants, sunset, night) is not said: it was wrong
more often than right. Every caption of a photograph begins with `OPENING`, so that it is seen as which of the two a picture was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from cir.models.photographs.lexicon import ATTRIBUTES
from cir.models.photographs.light import light_of
from cir.models.photographs.reading import PhotographReader
from cir.models.photographs.seen import Seen
from cir.models.photographs.sureness import LEARNT, SURE, Named, Names, Sureness, choose_names
from cir.models.protocols import Captioner

OPENING = "a photograph of"
CALLED: Mapping[str, str] = {  # attribute -> what is shown
    "people": "people",
    "building": "buildings",
    "mountain": "mountains",
    "flower": "flowers",
}
PLACES: Mapping[str, str] = {"snow": "in the snow", "water": "by the water", "greenery": "among green plants"}
INDOORS = 0.8  # from where groups of classes tell of a room
UNCOUNTED = frozenset({"bread", "clothing", "fabric", "food", "furniture"})  # names without an article
COLOURS = tuple(
    name for name in ATTRIBUTES[: ATTRIBUTES.index("monochrome")] if name not in ("brown", "grey")
)
MOST_COLOURS = 2
STRONG, COLOURFUL = 0.6, 0.75  # from where it is said that there is no colour, or which


@dataclass(frozen=True, slots=True)
class Look:
    """What a caption is made of.

    Attributes:
        seen: by the network.
        light: attribute -> its strength, as pixels tell.
    """

    seen: Seen
    light: Mapping[str, float]


class PhotographCaptioner:
    """Says what a photograph shows.

    Args:
        reader: reads it.
        sureness: how likely names are right.
    """

    def __init__(self, reader: PhotographReader, sureness: Sureness = LEARNT) -> None:
        self.reader, self.sureness = reader, sureness

    @cached_property
    def names(self) -> Names:
        """What it can say; not asked for before the first picture, as a page is served before its models are loaded."""
        return Names(self.reader.knowledge)

    def caption(self, image: Image.Image, per_image: int) -> list[str]:
        """`per_image` captions: the whole one first, then shorter ones and the same again."""
        found = self.describe(self.look(image))
        return [found[i % len(found)] for i in range(per_image)]

    def look(self, image: Image.Image) -> Look:
        """Everything that is read of a photograph."""
        (seen,) = self.reader.recogniser.look([image])
        return Look(seen, light_of(image))

    def describe(self, look: Look) -> list[str]:
        """Different captions, the whole one first."""
        things = self.sureness.of_things(self.names.things(look.seen))
        scenes = self.sureness.of_scenes(self.names.scenes(look.seen))
        least = min(SURE, max([0.0, *things.values(), *scenes.values()]))
        named = choose_names(things, self.names.members, least)
        told = [one for one, chance in scenes.items() if chance >= least]
        shown = [_phrase(one) for one in named]
        shown += [
            CALLED[one]
            for one in told
            if one in CALLED and not self._speak_of([thing.name for thing in named], one)
        ]
        said = [PLACES[one] for one in told if one in PLACES]
        said += ["indoors"] if self._indoors(look.seen) else []
        said += ["in black and white"] if look.light["monochrome"] >= STRONG else []
        return _sentences(shown or ["a scene"], said, _colours(look.light))

    def _indoors(self, seen: Seen) -> bool:
        groups = self.reader.groups(seen.classes(1.0)[None])[0]
        return bool(groups[ATTRIBUTES.index("indoors")] >= INDOORS)

    def _speak_of(self, names: Sequence[str], attribute: str) -> bool:
        """Whether one of the named things tells of an attribute by itself, as a castle does of buildings."""
        knowledge, column = self.reader.knowledge, ATTRIBUTES.index(attribute)
        return any(knowledge.groups[knowledge.members[name], column].mean() > 0.5 for name in names)


def _colours(light: Mapping[str, float]) -> list[str]:
    """The strongest ones; brown and grey are hardly ever named."""
    strong = [name for name in COLOURS if light[name] >= COLOURFUL]
    return sorted(strong, key=lambda name: -light[name])[:MOST_COLOURS]


def _sentences(things: Sequence[str], said: Sequence[str], colours: Sequence[str]) -> list[str]:
    """The whole one, without colours, and without places; none twice."""
    parts = ((said, colours), (said, ()), ((), colours))
    return list(dict.fromkeys(_sentence(things, *one) for one in parts))


def _sentence(things: Sequence[str], said: Sequence[str], colours: Sequence[str]) -> str:
    shown = " and ".join(things)
    coloured = f", {' and '.join(colours)}" if colours else ""
    return " ".join([OPENING, shown, *said]) + coloured


def _phrase(thing: Named) -> str:
    perhaps = f" (perhaps {_with_article(thing.perhaps)})" if thing.perhaps else ""
    return _with_article(thing.name) + perhaps


def _with_article(name: str) -> str:
    if name in UNCOUNTED or name.endswith("equipment"):
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


class JoinedCaptioner:
    """A captioner of drawings and that of photographs behind the protocol Captioner.

    Its fingerprint is that of the captioner of drawings, so that what was written of drawings stays valid.

    Args:
        drawings: captions drawings.
        photographs: captions photographs.
    """

    def __init__(self, drawings: Captioner, photographs: PhotographCaptioner) -> None:
        self.drawings, self.photographs = drawings, photographs
        self.fingerprint = drawings.fingerprint

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """As the protocol says; what is rather a photograph than a drawing is captioned as one."""
        shares = self.photographs.reader.shares(images)
        drawn = np.flatnonzero(shares < 0.5).tolist()
        found: list[list[str]] = [[] for _ in images]
        if len(drawn):
            said = self.drawings.caption([images[i] for i in drawn], per_image=per_image, seed=seed)
            for i, captions in zip(drawn, said, strict=True):
                found[i] = captions
        for i in np.flatnonzero(shares >= 0.5).tolist():
            found[i] = self.photographs.caption(images[i], per_image)
        return found
