"""Captions of photographs from what is known of their classes and their light, and a captioner for both worlds.

A class that is not sure enough gives way to what it is a kind of: among dogs that look alike it says "dog". What pixels
alone make likely (water, snow, sunset, night) is not said: it was wrong more often than right. Every caption of a
photograph begins with `OPENING`, so that it is seen as which of the two a picture was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from cir.models.photographs.knowledge import Floats, Knowledge
from cir.models.photographs.lexicon import ATTRIBUTES
from cir.models.photographs.reading import PhotographReader
from cir.models.protocols import Captioner

OPENING = "a photograph of"
LEAST = (0.45, 0.12, 0.08)  # probability from where a first, a second and a third thing is named
WIDE = 40  # classes: a second or third kind that has more of them says little
CALLED: Mapping[str, tuple[str, float]] = {  # attribute -> what is shown, and from where classes tell of it
    "people": ("people", 0.35),
    "building": ("buildings", 0.7),
    "mountain": ("mountains", 0.8),
    "flower": ("flowers", 0.3),
}
PLACES: Mapping[str, tuple[str, float]] = {  # attribute -> where it is, and from where classes tell of it
    "snow": ("in the snow", 0.6),
    "water": ("by the water", 0.2),
    "street": ("in the street", 0.3),
    "indoors": ("indoors", 0.8),
}
SEEN: Mapping[str, str] = {  # attribute -> what is said of it, where pixels or classes tell of it
    "greenery": "among green plants",
    "monochrome": "in black and white",
}
UNCOUNTED = frozenset({"bread", "clothing", "fabric", "food", "furniture"})  # names without an article
NOTHING_ELSE = (
    "sky",
    "under the sky",
)  # said where nothing else is: hardly anyone names the sky above a thing
COLOURS = tuple(
    name for name in ATTRIBUTES[: ATTRIBUTES.index("monochrome")] if name not in ("brown", "grey")
)
MOST_COLOURS = 2
STRONG, COLOURFUL = 0.6, 0.75  # from where an attribute, or a colour, is said


class PhotographCaptioner:
    """Says what a photograph shows.

    Args:
        reader: reads it.
    """

    def __init__(self, reader: PhotographReader) -> None:
        self.reader = reader

    def caption(self, image: Image.Image, per_image: int) -> list[str]:
        """`per_image` captions: the whole one first, then shorter ones and the same again."""
        classes = self.reader.recogniser.classes([image], softened=1.0)
        told = _by_name(self.reader.groups(classes)[0])
        seen = _by_name(self.reader.attributes([image], classes)[0])
        named = named_things(classes[0], self.reader.knowledge)
        things = [_with_article(name) for name in named]
        things += [
            text
            for attribute, (text, least) in CALLED.items()
            if told[attribute] >= least and not self._speak_of(named, attribute)
        ]
        said = [text for attribute, (text, least) in PLACES.items() if told[attribute] >= least]
        said += [text for attribute, text in SEEN.items() if seen[attribute] >= STRONG]
        attribute, text = NOTHING_ELSE
        said += [text] if not (things or said) and seen[attribute] >= STRONG else []
        found = _sentences(things or ["a scene"], said, _colours(seen))
        return [found[i % len(found)] for i in range(per_image)]

    def _speak_of(self, names: Sequence[str], attribute: str) -> bool:
        """Whether one of the named things tells of an attribute by itself, as a castle does of buildings."""
        knowledge, column = self.reader.knowledge, ATTRIBUTES.index(attribute)
        return any(knowledge.groups[knowledge.members[name], column].mean() > 0.5 for name in names)


def named_things(classes: Floats, knowledge: Knowledge) -> list[str]:
    """Names of what is likely shown, the surest first: each the narrowest kind that is likely enough.

    A further thing is no kind that the ones before it are of, and none of very many classes.
    """
    left, names = classes.copy(), []
    passed_over: set[str] = set()
    for least in LEAST:
        masses = knowledge.masses(left)
        likely = [name for name, mass in masses.items() if mass >= least and name not in passed_over]
        if not likely:
            break
        chosen = min(likely, key=lambda name: (len(knowledge.members[name]), -masses[name]))
        names.append(chosen)
        left[knowledge.members[chosen]] = 0.0
        passed_over |= {
            name
            for name, rows in knowledge.members.items()
            if len(rows) > WIDE or np.isin(knowledge.members[chosen], rows).all()
        }
    return names


def _by_name(strengths: Floats) -> dict[str, float]:
    """Attribute -> its strength."""
    return dict(zip(ATTRIBUTES, strengths.tolist(), strict=True))


def _colours(seen: Mapping[str, float]) -> list[str]:
    """The strongest ones; brown and grey are hardly ever named."""
    strong = [name for name in COLOURS if seen[name] >= COLOURFUL]
    return sorted(strong, key=lambda name: -seen[name])[:MOST_COLOURS]


def _sentences(things: Sequence[str], said: Sequence[str], colours: Sequence[str]) -> list[str]:
    """The whole one, without colours, and without places; none twice."""
    parts = ((said, colours), (said, ()), ((), colours))
    return list(dict.fromkeys(_sentence(things, *one) for one in parts))


def _sentence(things: Sequence[str], said: Sequence[str], colours: Sequence[str]) -> str:
    shown = " and ".join(things)
    coloured = f", {' and '.join(colours)}" if colours else ""
    return " ".join([OPENING, shown, *said]) + coloured


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
