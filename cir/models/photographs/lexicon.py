"""Which words speak of what pixels and coarse groups of classes tell: colours, light, weather, and kinds of scene.

Written from a general knowledge of English, before any caption of the benchmark was seen. It knows no model; words
that are not here are compared with `SAID_AS` by whoever has a sentence encoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

# attribute -> a phrase that a sentence encoder can compare other words with
SAID_AS: Mapping[str, str] = {
    "red": "red",
    "orange": "orange colour",
    "yellow": "yellow",
    "green": "green",
    "blue": "blue",
    "purple": "purple",
    "pink": "pink",
    "brown": "brown",
    "black": "black",
    "white": "white",
    "grey": "grey",
    "monochrome": "a black and white photograph",
    "night": "at night",
    "dark": "dark",
    "bright": "bright sunlight",
    "sunset": "sunset",
    "snow": "snow",
    "sky": "sky",
    "greenery": "green plants",
    "water": "water",
    "people": "people",
    "building": "building",
    "mountain": "mountains",
    "flower": "flowers",
    "street": "city street",
    "indoors": "inside a room",
    "food": "food",
    "animal": "animal",
    "vehicle": "vehicle",
}
ATTRIBUTES = tuple(SAID_AS)

_WORDS: Mapping[str, str] = {
    "red": "red reddish crimson scarlet ruby maroon burgundy",
    "orange": "orange amber copper rusty tangerine",
    "yellow": "yellow yellowish golden gold lemon mustard",
    "green": "green greenish emerald olive lime mossy",
    "blue": "blue bluish navy azure turquoise cyan indigo teal",
    "purple": "purple violet lilac lavender magenta mauve",
    "pink": "pink pinkish rosy fuchsia salmon",
    "brown": "brown brownish beige tan wooden wood leather chocolate bronze earthy muddy sandy",
    "black": "black blackish",
    "white": "white whitish ivory cream pale",
    "grey": "grey gray greyish grayish silver silvery concrete metallic",
    "monochrome": "monochrome monochromatic greyscale grayscale black-and-white b&w sepia colourless colorless",
    "night": "night nighttime midnight moonlit starry stars moon lights illuminated nocturnal fireworks neon galaxy aurora",
    "dark": "dark darkness dim shadowy gloomy shadow shadows silhouette silhouettes silhouetted unlit black",
    "bright": "bright sunny sunlit sunshine daylight glowing overexposed airy noon",
    "sunset": "sunset sundown dusk sunrise dawn twilight evening daybreak afterglow",
    "snow": "snow snowy snowfall snowfield ice icy glacier frost frosty frozen winter ski skiing skier",
    "sky": "sky skies cloud clouds cloudy overcast horizon heaven flying airborne",
    "greenery": "grass grassy lawn meadow field forest woods woodland trees tree leaf leaves foliage jungle bush bushes shrub "
    "shrubs plant plants fern moss greenery garden park vegetation pasture hedge pine pines palm palms vineyard farmland countryside",
    "water": "water sea ocean lake river pond beach coast coastal shore bay harbour harbor wave waves waterfall stream "
    "lagoon seaside seashore underwater canal reflection swimming pier island surf surfing underwater rain",
    "people": "person people man men woman women boy boys girl girls child children kid kids baby babies lady guy crowd face faces "
    "portrait selfie couple family human humans someone player players rider cyclist skier surfer tourist tourists worker "
    "musician singer dancer soldier bride groom student students wearing smiling audience team passenger passengers pedestrians",
    "building": "building buildings house houses church cathedral tower towers castle palace temple mosque skyscraper skyscrapers "
    "architecture roof roofs facade skyline cottage cabin hut barn monument ruins dome city town village bridge hotel pagoda",
    "mountain": "mountain mountains mountainous hill hills peak peaks cliff cliffs valley canyon alps volcano rock rocks rocky "
    "landscape ridge summit range gorge desert dunes fjord",
    "flower": "flower flowers floral blossom blossoms bloom blooms blooming petal petals rose roses tulip tulips daisy orchid "
    "sunflower bouquet lily dandelion poppy poppies",
    "street": "street streets road roads highway traffic pavement sidewalk city urban alley lane crossing square downtown",
    "indoors": "indoor indoors inside room kitchen office desk table bedroom interior living-room bathroom shelf floor wall shop store",
    "food": "food meal dish plate fruit fruits vegetable vegetables breakfast lunch dinner dessert cake bread drink coffee tea "
    "pizza soup salad snack cheese meat berries",
    "animal": "animal animals pet pets wildlife dog dogs puppy cat cats kitten bird birds insect insects fish horse horses cow cows "
    "sheep butterfly bee beetle creature monkey bear lion tiger elephant deer fox squirrel duck ducks frog snake lizard",
    "vehicle": "vehicle vehicles car cars truck trucks bus buses van motorcycle motorbike bicycle bike bikes train trains tram "
    "boat boats ship ships yacht plane planes airplane aeroplane aircraft helicopter tractor taxi scooter ferry",
}
_PHRASES: Mapping[str, str] = {"black and white": "monochrome", "at night": "night", "night sky": "night"}

_KNOWN: dict[str, frozenset[str]] = {}
for _attribute, _line in _WORDS.items():
    for _word in _line.split():
        _KNOWN[_word] = _KNOWN.get(_word, frozenset()) | {_attribute}

WORD = re.compile(r"[a-z&]+(?:-[a-z&]+)*")
_SILENT = (  # words of a sentence that show nothing by themselves
    "a an the of in on at with and or to is are its it this that there from for by near under over behind beside next "
    "some many several few two three four one out up down into onto his her their very same but not no without be has have "
    "make made change replace add remove instead more less photo picture image view scene photograph"
)
SILENT = frozenset(_SILENT.split())


def words_of(text: str) -> list[str]:
    """The words of a text in small letters that may show something, in their order, each once."""
    return [word for word in dict.fromkeys(WORD.findall(text.lower())) if word not in SILENT]


def shares_known(texts: Sequence[str], knows: Callable[[str], bool]) -> list[float]:
    """The share of each text's words that are known; 1 for a text that says nothing."""
    split = [words_of(text) for text in texts]
    return [sum(map(knows, words)) / len(words) if words else 1.0 for words in split]


def attributes_of_word(word: str) -> frozenset[str]:
    """The attributes that a word is known to speak of; none for a word that is not here."""
    return _KNOWN.get(word, frozenset())


def take_phrases(text: str) -> tuple[frozenset[str], str]:
    """The attributes that whole phrases of a text speak of, and the text without those phrases."""
    found, rest = set(), text.lower()
    for phrase, attribute in _PHRASES.items():
        if phrase in rest:
            found.add(attribute)
            rest = rest.replace(phrase, " ")
    return frozenset(found), rest
