"""What a scene says, in words: captions with paraphrases, and captions that leave things out.

Source: our own; the closed grammar is chosen so that CLIP's BPE needs few tokens for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cir.world.scene import ObjectGroup, Scene
from cir.world.vocabulary import BACKGROUNDS, COUNT_WORDS, SIZES, TIMES, load_nouns

OPENINGS = ("", "", "", "a photo of ", "a picture of ", "an image of ")
VOWELS = frozenset("aeiou")
# Words that begin with a vowel letter but not with a vowel sound.
CONSONANT_SOUNDS = ("unicorn", "unicycle", "ukulele", "one", "uniform")


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase."""
    vowel = phrase[0] in VOWELS and not phrase.startswith(CONSONANT_SOUNDS)
    return f"{'an' if vowel else 'a'} {phrase}"


def choose(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of `options`, uniformly: Generator.choice is ten times slower on short sequences."""
    return options[int(rng.integers(len(options)))]


def group_phrase(
    group: ObjectGroup,
    rng: np.random.Generator,
    *,
    say_size: bool = True,
    say_colour: bool = True,
    canonical: bool = False,
) -> str:
    """A noun phrase for a group: "two small red umbrellas". `canonical` takes no synonym and one word for each size."""
    names = load_nouns()[group.noun].names
    singular, plural = (
        names[0]
        if canonical or len(names) == 1 or rng.random() < 0.6
        else names[int(rng.integers(len(names)))]
    )
    words = []
    if say_size and SIZES[group.size]:
        words.append(SIZES[group.size][0] if canonical else choose(rng, SIZES[group.size]))
    if say_colour and group.colour:
        words.append(group.colour)
    words.append(singular if group.count == 1 else plural)
    phrase = " ".join(words)
    return with_article(phrase) if group.count == 1 else f"{COUNT_WORDS[group.count]} {phrase}"


def join_phrases(phrases: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _object_words(scene: Scene, rng: np.random.Generator, drop: float) -> str:
    phrases = [
        group_phrase(g, rng, say_size=rng.random() >= drop, say_colour=rng.random() >= drop)
        for g in scene.groups
    ]
    if len(phrases) == 2 and rng.random() < 0.25:
        left, right = phrases
        return f"{left} to the left of {right}" if rng.random() < 0.5 else f"{right} to the right of {left}"
    if len(phrases) > 1 and rng.random() < 0.25:
        phrases = [
            f"{p} in the middle" if place == "middle" else f"{p} on the {place}"
            for p, place in zip(phrases, scene.places, strict=True)
        ]
    order = rng.permutation(len(phrases))
    return join_phrases([phrases[int(i)] for i in order])


def caption_scene(scene: Scene, rng: np.random.Generator, *, drop: float = 0.1) -> str:
    """A caption of the scene.

    Args:
        scene: what to say.
        rng: chooses among the paraphrases.
        drop: probability of leaving out each of: a size, a colour, the time. Objects, their numbers and
            the background are always said.
    """
    objects = _object_words(scene, rng, drop)
    where = choose(rng, BACKGROUNDS[scene.background])
    when = choose(rng, TIMES[scene.time]) if scene.time and rng.random() >= drop else ""
    if rng.random() < 0.12:
        return f"{where}, {objects}{' ' + when if when else ''}"
    return f"{choose(rng, OPENINGS)}{objects} {where}{' ' + when if when else ''}"


def describe_scene(scene: Scene) -> str:
    """The one full, canonical caption: every attribute said, no synonym: the oracle of the benchmark."""
    rng = np.random.default_rng(0)  # nothing is drawn from it in canonical wording
    objects = join_phrases([group_phrase(g, rng, canonical=True) for g in scene.groups])
    when = f" {TIMES[scene.time][0]}" if scene.time else ""
    return f"{objects} {BACKGROUNDS[scene.background][0]}{when}"
