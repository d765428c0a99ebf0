"""Edits: a scene, a modification text, and the scene that it leads to.

The kinds are those of CIRR's and CIRCO's relative captions that a picture of objects can show: an object
replaced, added or removed, a number, a colour, a size, a background, a time, and two of these at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cir.world.captions import choose, group_phrase
from cir.world.scene import MAX_INSTANCES, ObjectGroup, Scene, sample_group
from cir.world.vocabulary import BACKGROUNDS, COUNT_WORDS, OUTDOOR, SIZES, TIMES, load_nouns

KINDS = ("replace", "add", "remove", "count", "colour", "size", "background", "time", "compound")
COMPOUND_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Edit:
    """A modification text of some kind, and the scene after it."""

    kind: str
    text: str
    target: Scene


def _redrawn(scene: Scene, rng: np.random.Generator, **changes: object) -> Scene:
    return replace(scene, layout_seed=int(rng.integers(2**31)), **changes)  # type: ignore[arg-type]


def _with_group(scene: Scene, index: int, group: ObjectGroup | None) -> tuple[ObjectGroup, ...]:
    rest = list(scene.groups)
    rest[index : index + 1] = [] if group is None else [group]
    return tuple(rest)


def _the(group: ObjectGroup) -> str:
    """The group as something already seen: "the dog", "the dogs"."""
    singular, plural = load_nouns()[group.noun].names[0]
    return f"the {singular if group.count == 1 else plural}"


def _pick(scene: Scene, rng: np.random.Generator) -> tuple[int, ObjectGroup]:
    index = int(rng.integers(len(scene.groups)))
    return index, scene.groups[index]


def _is_are(group: ObjectGroup) -> str:
    return "is" if group.count == 1 else "are"


def replace_object(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """One group becomes another noun; its number stays."""
    index, old = _pick(scene, rng)
    new = replace(
        sample_group(rng, exclude=frozenset(g.noun for g in scene.groups)), count=old.count, size=old.size
    )
    phrase = group_phrase(new, rng, say_size=False)
    text = choose(
        rng,
        (
            f"replace {_the(old)} with {phrase}",
            f"{phrase} instead of {_the(old)}",
            f"swap {_the(old)} for {phrase}",
            f"change {_the(old)} to {phrase}",
            f"has {phrase} in place of {_the(old)}",
        ),
    )
    return text, _redrawn(scene, rng, groups=_with_group(scene, index, new))


def add_object(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """One more group."""
    room = MAX_INSTANCES - sum(g.count for g in scene.groups)
    if len(scene.groups) == 3 or room < 1:
        return None
    new = sample_group(rng, exclude=frozenset(g.noun for g in scene.groups), max_count=min(room, 3))
    phrase = group_phrase(new, rng)
    text = choose(
        rng,
        (
            f"add {phrase}",
            f"with {phrase} too",
            f"there {_is_are(new)} also {phrase}",
            f"put {phrase} next to it",
            f"has {phrase} as well",
        ),
    )
    groups = list(scene.groups)
    groups.insert(int(rng.integers(len(groups) + 1)), new)
    return text, _redrawn(scene, rng, groups=tuple(groups))


def remove_object(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """One group less."""
    if len(scene.groups) == 1:
        return None
    index, old = _pick(scene, rng)
    text = choose(
        rng,
        (
            f"remove {_the(old)}",
            f"without {_the(old)}",
            f"take away {_the(old)}",
            f"no {_the(old).removeprefix('the ')}",
            f"{_the(old)} {_is_are(old)} gone",
        ),
    )
    return text, _redrawn(scene, rng, groups=_with_group(scene, index, None))


def change_count(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """Another number of the same objects."""
    index, old = _pick(scene, rng)
    room = MAX_INSTANCES - sum(g.count for g in scene.groups) + old.count
    counts = [c for c in (1, 2, 3) if c != old.count and c <= room]
    if not counts:
        return None
    new = replace(old, count=counts[int(rng.integers(len(counts)))])
    singular, plural = load_nouns()[new.noun].names[0]
    number, noun = COUNT_WORDS[new.count], singular if new.count == 1 else plural
    options = [
        f"{number} {noun} instead of {COUNT_WORDS[old.count]}",
        f"make it {number} {noun}",
        f"there {_is_are(new)} {number} {noun} now",
    ]
    if new.count == 1:
        options.append(f"only one {noun}")
    return choose(rng, options), _redrawn(scene, rng, groups=_with_group(scene, index, new))


def change_colour(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """Another tint for a group that may be tinted."""
    index, old = _pick(scene, rng)
    colours = [c for c in load_nouns()[old.noun].colours if c != old.colour]
    if not colours:
        return None
    new = replace(old, colour=choose(rng, colours))
    the = _the(old)
    text = choose(
        rng,
        (
            f"make {the} {new.colour}",
            f"{the} {_is_are(old)} {new.colour}",
            f"paint {the} {new.colour}",
            f"change the colour of {the} to {new.colour}",
            f"{group_phrase(new, rng, say_size=False, canonical=True)} instead",
        ),
    )
    return text, _redrawn(scene, rng, groups=_with_group(scene, index, new))


def change_size(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """Another size for a group."""
    index, old = _pick(scene, rng)
    sizes = [s for s in ("small", "large") if s != old.size]
    new = replace(old, size=choose(rng, sizes))
    word = choose(rng, SIZES[new.size])
    the = _the(old)
    comparative = "smaller" if new.size == "small" else "bigger"
    options = [f"make {the} {word}", f"{the} {_is_are(old)} {word}"]
    if old.size == "normal":
        options += [f"make {the} {comparative}", f"{the} {_is_are(old)} much {comparative}"]
    return choose(rng, options), _redrawn(scene, rng, groups=_with_group(scene, index, new))


def change_background(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """The same objects somewhere else. The time is kept where both places have one."""
    background = choose(rng, [b for b in BACKGROUNDS if b != scene.background])
    time = (scene.time or "day") if background in OUTDOOR else ""
    where = choose(rng, BACKGROUNDS[background])
    text = choose(
        rng,
        (
            f"move it {where}",
            f"the same but {where}",
            f"now {where}",
            f"{where} instead",
            f"show this {where}",
            f"the scene is {where}",
        ),
    )
    return text, _redrawn(scene, rng, background=background, time=time)


def change_time(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """Another time of day, outdoors."""
    if not scene.time:
        return None
    time = choose(rng, [t for t in TIMES if t != scene.time])
    when = choose(rng, TIMES[time])
    text = choose(
        rng,
        (
            f"the same {when}",
            f"make it {when}",
            f"{when} instead",
            f"now {when}",
            f"the same scene but {when}",
        ),
    )
    return text, _redrawn(scene, rng, time=time)


SIMPLE_EDITS: dict[str, Callable[[Scene, np.random.Generator], tuple[str, Scene] | None]] = {
    "replace": replace_object,
    "add": add_object,
    "remove": remove_object,
    "count": change_count,
    "colour": change_colour,
    "size": change_size,
    "background": change_background,
    "time": change_time,
}
JOINS = (" and ", ", ", " and then ", ", also ")


def _simple_edit(scene: Scene, rng: np.random.Generator, exclude: str = "") -> tuple[str, str, Scene]:
    while True:  # ends: background and size are possible for every scene
        kind = choose(rng, [k for k in SIMPLE_EDITS if k != exclude])
        if found := SIMPLE_EDITS[kind](scene, rng):
            return kind, *found


def sample_edit(scene: Scene, rng: np.random.Generator, *, kind: str | None = None) -> Edit | None:
    """Draw an edit of `scene`.

    Args:
        scene: the reference.
        rng: the source of every choice.
        kind: one of KINDS, or None for any (a quarter compound).

    Returns:
        The edit, or None when this scene allows no edit of the kind that was asked for (remove with a
        single group, time indoors).
    """
    compound = kind == "compound" or (kind is None and rng.random() < COMPOUND_SHARE)
    if not compound and kind is not None:
        found = SIMPLE_EDITS[kind](scene, rng)
        return None if found is None else Edit(kind, *found)
    first_kind, first_text, middle = _simple_edit(scene, rng)
    if not compound:
        return Edit(first_kind, first_text, middle)
    _, second_text, target = _simple_edit(middle, rng, exclude=first_kind)
    if target.key == scene.key:  # the second undid the first
        return None
    return Edit("compound", first_text + choose(rng, JOINS) + second_text, target)


__all__ = ["KINDS", "Edit", "sample_edit"]
