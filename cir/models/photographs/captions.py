"""Captions of photographs from what is known of their classes and their light, and a captioner for both worlds.

A class that is not sure enough gives way to what it is a kind of: among dogs that look alike it says "dog". Every
caption of a photograph begins with `OPENING`, so that it is seen as which of the two a picture was read.
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
SURE, LIKELY = 0.5, 0.3  # of the first thing, and of a second one beside it
MOST_THINGS = 2
CALLED: Mapping[str, str] = {  # attribute -> what is shown, where no class is sure enough to be named
    "people": "people",
    "building": "buildings",
    "mountain": "mountains",
    "flower": "flowers",
}
SAID_OF: Mapping[str, str] = {  # attribute -> what a caption says of it, in the order in which it is said
    "snow": "in the snow",
    "water": "by the water",
    "greenery": "among green plants",
    "street": "in the street",
    "indoors": "indoors",
    "sky": "under the sky",
    "sunset": "at sunset",
    "night": "at night",
    "monochrome": "in black and white",
}
COLOURS = ATTRIBUTES[: ATTRIBUTES.index("monochrome")]
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
        strengths = self.reader.attributes([image], classes)[0]
        strong = {name for name, strength in zip(ATTRIBUTES, strengths, strict=True) if strength >= STRONG}
        things = [_with_article(name) for name in named_things(classes[0], self.reader.knowledge)]
        things = things or [text for name, text in CALLED.items() if name in strong] or ["a scene"]
        said = [text for name, text in SAID_OF.items() if name in strong]
        colours = [name for i, name in enumerate(COLOURS) if strengths[i] >= COLOURFUL]
        found = list(
            dict.fromkeys(
                [
                    _sentence(things, said, colours),
                    _sentence(things, said, []),
                    _sentence(things, [], colours),
                ]
            )
        )
        return [found[i % len(found)] for i in range(per_image)]


def named_things(classes: Floats, knowledge: Knowledge) -> list[str]:
    """Names of what is likely shown, the surest first: each the narrowest kind that is likely enough."""
    left, names = classes.copy(), []
    for least in (SURE, LIKELY)[:MOST_THINGS]:
        masses = knowledge.masses(left)
        likely = [name for name, mass in masses.items() if mass >= least]
        if not likely:
            break
        chosen = min(likely, key=lambda name: (len(knowledge.members[name]), -masses[name]))
        names.append(chosen)
        left[knowledge.members[chosen]] = 0.0
    return names


def _sentence(things: Sequence[str], said: Sequence[str], colours: Sequence[str]) -> str:
    shown = " and ".join(things)
    coloured = f", {' and '.join(colours)}" if colours else ""
    return " ".join([OPENING, shown, *said]) + coloured


def _with_article(name: str) -> str:
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
