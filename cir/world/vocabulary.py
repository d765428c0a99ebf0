"""The words of the world: nouns (with their sprites), colours, sizes, counts, backgrounds and times.

Knows nothing of pictures. The noun table is data (`assets/world/nouns.json`, made by
`scripts/build_sprites.py`); the closed word classes are written here because captions and edits lean on
their exact wording.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cir.places import ASSETS

WORLD_FOLDER = ASSETS / "world"

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
SIZES = {  # the words of each size; "normal" is never said
    "small": ("small", "tiny", "little"),
    "normal": (),
    "large": ("large", "big", "huge"),
}
COUNT_WORDS = {1: "one", 2: "two", 3: "three"}
PLACES = ("left", "middle", "right")

# background -> phrases that name it. The first is the one that edits use.
BACKGROUNDS: Mapping[str, tuple[str, ...]] = {
    "beach": ("on the beach", "on the sand by the sea", "at the seaside"),
    "forest": ("in the forest", "among the trees", "in the woods"),
    "city": ("in the city", "on a city street", "in front of city buildings"),
    "desert": ("in the desert", "on the sand dunes", "in a sandy desert"),
    "snow": ("in the snow", "on a field of snow", "in a winter landscape"),
    "field": ("in a grassy field", "on a green meadow", "on the grass"),
    "mountains": ("in the mountains", "in front of high mountains", "below the mountain peaks"),
    "lake": ("by a lake", "on the lake shore", "at the lake"),
    "road": ("on the road", "on the highway", "on a country road"),
    "garden": ("in the garden", "in a garden full of flowers", "by the garden fence"),
    "underwater": ("under water", "under the sea", "at the bottom of the sea"),
    "space": ("in space", "among the stars of space", "in outer space"),
    "kitchen": ("in the kitchen", "on the kitchen counter", "on a kitchen table"),
    "room": ("in a living room", "indoors on a carpet", "in a room with a carpet"),
}
OUTDOOR = ("beach", "forest", "city", "desert", "snow", "field", "mountains", "lake", "road", "garden")
TIMES: Mapping[str, tuple[str, ...]] = {  # only outdoor backgrounds have a time
    "day": ("by day", "in daylight", "on a sunny day"),
    "sunset": ("at sunset", "as the sun goes down", "in the evening light"),
    "night": ("at night", "under a night sky", "in the dark"),
}


@dataclass(frozen=True, slots=True)
class Sprite:
    """One picture of a noun: its cell in the atlas, the icon set that it is from, width / height."""

    cell: int
    style: str
    aspect: float


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of object. `names` are (singular, plural) pairs, the canonical one first.

    `colours` are the tints that may be asked of it: empty where recolouring would hide what it is,
    and without its natural colour, which would change nothing to see.
    """

    name: str
    names: tuple[tuple[str, str], ...]
    colours: tuple[str, ...]
    sprites: tuple[Sprite, ...]


@lru_cache(maxsize=1)
def load_nouns(path: Path = WORLD_FOLDER / "nouns.json") -> dict[str, Noun]:
    """Read the noun table, in the file's order (the order of every noun classifier's outputs)."""
    table = json.loads(path.read_text(encoding="utf-8"))
    nouns = {}
    for name, row in table["nouns"].items():
        names = ((name, row["plural"]), *((s["word"], s["plural"]) for s in row.get("synonyms", ())))
        colours = tuple(c for c in COLOURS if c != row.get("colour")) if row["tintable"] else ()
        sprites = tuple(Sprite(s["cell"], s["style"], s["aspect"]) for s in row["sprites"])
        nouns[name] = Noun(name, names, colours, sprites)
    return nouns


ORDER_WORDS = [
    "add",
    "remove",
    "without",
    "replace",
    "swap",
    "change",
    "instead",
    "move",
    "gone",
    "smaller",
    "bigger",
    "only",
]


def words() -> tuple[str, ...]:
    """The words that say something in captions and edits of the world, each once."""
    phrases = [phrase for group in (*BACKGROUNDS.values(), *TIMES.values()) for phrase in group]
    nouns = [name for noun in load_nouns().values() for pair in noun.names for name in pair]
    sizes = [word for group in SIZES.values() for word in group]
    plain = [*COLOURS, *sizes, *COUNT_WORDS.values(), *PLACES, *ORDER_WORDS]
    said = [word for phrase in phrases for word in phrase.split() if len(word) > 2 and word != "the"]
    return tuple(dict.fromkeys([*nouns, *plain, *said]))
