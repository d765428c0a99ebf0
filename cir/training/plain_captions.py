"""Captions that nobody wrote: a grammar over the nouns of ImageNet, with attributes, places and doings.

LinCIR learns a mapping network from texts alone; these are texts that carry no one's licence and no pictures. The grammar
is written here, the nouns (WordNet's) come with timm, and the text is made when it is wanted.

Does not know who learns from it. `world_captions` says the same of the illustrated world, in the world's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from cir.training.data import training_scene
from cir.world.captions import caption_scene, choose, with_article

CAPTIONS = 60_000
MAX_NOUN_WORDS = 3

COLOURS = [
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "white",
    "black",
    "grey",
    "brown",
    "beige",
    "golden",
    "silver",
    "dark",
    "pale",
]
QUALITIES = [
    "small",
    "big",
    "tiny",
    "huge",
    "old",
    "new",
    "broken",
    "wooden",
    "metal",
    "plastic",
    "glass",
    "stone",
    "leather",
    "paper",
    "knitted",
    "striped",
    "spotted",
    "plain",
    "colourful",
    "shiny",
    "dusty",
    "wet",
    "dry",
    "empty",
    "full",
    "open",
    "closed",
    "round",
    "square",
    "long",
    "short",
    "thin",
    "thick",
    "young",
    "wild",
    "sleeping",
    "happy",
    "beautiful",
    "simple",
    "modern",
    "antique",
    "handmade",
    "decorated",
    "painted",
]
PEOPLE = (
    "a man",
    "a woman",
    "a boy",
    "a girl",
    "a child",
    "a person",
    "two people",
    "a couple",
    "a group of people",
    "an old man",
    "an old woman",
    "a baby",
)
DOINGS = (
    "holding",
    "carrying",
    "looking at",
    "sitting next to",
    "standing behind",
    "walking past",
    "playing with",
    "painting",
    "selling",
    "cleaning",
    "wearing",
    "pointing at",
    "leaning on",
    "touching",
    "reaching for",
)
WHERE = (
    "on a table",
    "on the floor",
    "on a chair",
    "on a shelf",
    "in a box",
    "in the grass",
    "in a field",
    "on a beach",
    "by the sea",
    "in the water",
    "in the snow",
    "in the rain",
    "in a forest",
    "in a garden",
    "in the mountains",
    "in the desert",
    "on a road",
    "on a street",
    "in a city",
    "in front of a house",
    "near a window",
    "in a kitchen",
    "in a bedroom",
    "in a living room",
    "in a bathroom",
    "in an office",
    "in a shop",
    "in a museum",
    "in a classroom",
    "at a market",
    "in a park",
    "on a bridge",
    "on a boat",
    "under a tree",
    "against a wall",
    "against a white background",
    "against a dark background",
    "under a blue sky",
    "under a cloudy sky",
)
WHEN = (
    "at night",
    "at sunset",
    "in the morning",
    "in summer",
    "in winter",
    "in autumn",
    "on a sunny day",
    "by candlelight",
)
STYLES = (
    "a photo of",
    "a picture of",
    "a close-up of",
    "a drawing of",
    "a painting of",
    "a black and white photo of",
    "a blurry photo of",
    "an old photo of",
    "a cartoon of",
    "a sketch of",
    "a top view of",
    "a side view of",
)
BETWEEN = ("and", "with", "next to", "on top of", "in front of", "behind", "inside", "under", "without")


def plain_nouns() -> list[str]:
    """Every name of the 21,841 things of ImageNet, small letters, none twice, of at most three words of letters."""
    from timm.data import ImageNetInfo

    rows = ImageNetInfo("imagenet22k").label_descriptions(as_dict=False)
    names = [name.strip().lower() for row in rows for name in row.split(",")]
    fit = [name for name in names if name.replace(" ", "").isalpha() and name.isascii()]
    return [name for name in dict.fromkeys(fit) if len(name.split()) <= MAX_NOUN_WORDS]


def plain_captions(nouns: Sequence[str], count: int = CAPTIONS, seed: int = 0) -> list[str]:
    """`count` different captions; the same ones for the same nouns and seed.

    Args:
        nouns: what they speak of.
        count: how many.
        seed: of what is said.
    """
    return _different(lambda rng: _caption(nouns, rng), count, seed)


def world_captions(count: int = CAPTIONS, seed: int = 0) -> list[str]:
    """`count` different captions of scenes of the illustrated world that are not held out."""
    return _different(lambda rng: caption_scene(training_scene(rng), rng), count, seed)


def plain_words() -> list[str]:
    """The words of those names, and of the sentences by which ImageNet explains them."""
    from timm.data import ImageNetInfo

    explained = ImageNetInfo("imagenet22k").label_descriptions(detailed=True, as_dict=False)
    return words_of([*plain_nouns(), *(row.lower() for row in explained)])


def words_of(texts: Sequence[str]) -> list[str]:
    """Words of at least three letters, none twice."""
    return list(dict.fromkeys(word for text in texts for word in re.findall(r"[a-z]{3,}", text)))


def _different(say: Callable[[np.random.Generator], str], count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[say(rng)] = None
    return list(found)


def _caption(nouns: Sequence[str], rng: np.random.Generator) -> str:
    """A style or none, what is seen, and where or when it is, or neither."""
    what = _WHAT[int(rng.integers(len(_WHAT)))](nouns, rng)
    style = choose(rng, STYLES) + " " if rng.random() < 0.4 else ""
    where = " " + choose(rng, WHERE) if rng.random() < 0.5 else ""
    when = " " + choose(rng, WHEN) if rng.random() < 0.2 else ""
    return f"{style}{what}{where}{when}"


def _thing(nouns: Sequence[str], rng: np.random.Generator) -> str:
    """ "a small red hammer": a noun with none, one or two attributes."""
    words = [choose(rng, nouns)]
    if rng.random() < 0.35:
        words.insert(0, choose(rng, COLOURS))
    if rng.random() < 0.35:
        words.insert(0, choose(rng, QUALITIES))
    return with_article(" ".join(words))


def _two(nouns: Sequence[str], rng: np.random.Generator) -> str:
    return f"{_thing(nouns, rng)} {choose(rng, BETWEEN)} {_thing(nouns, rng)}"


def _doing(nouns: Sequence[str], rng: np.random.Generator) -> str:
    return f"{choose(rng, PEOPLE)} {choose(rng, DOINGS)} {_thing(nouns, rng)}"


_WHAT: Sequence[Callable[[Sequence[str], np.random.Generator], str]] = (_thing, _thing, _two, _doing)
