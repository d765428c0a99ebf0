"""How likely each name is right for a photograph, and which names are therefore said. Knows no captions.

A name is the likelier right, the more of the softened probability its classes have, the more the whole picture is like
them, the surer the network is of one of them, and the more of them there are: "dog" holds where "pug" may not. So two
sources have to agree, the surest classes and what all second guesses together are like. What a scene has besides its
things (people, water) is told by groups of classes in the same way, each rarer or more common by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.models.photographs.knowledge import Floats, Knowledge
from cir.models.photographs.lexicon import ATTRIBUTES
from cir.models.photographs.seen import Seen
from cir.models.photographs.space import unit

SCENES = ("people", "building", "mountain", "flower", "snow", "water", "greenery")  # attributes
SURE = 0.5  # what is likelier right than wrong is said
NARROWER = 0.1  # how much less likely right a narrower name may be than the surest one of its line
MOST = 3  # things
LEAST, LEAST_SHARP = 0.02, 0.2  # softened and sharp probability: what has less of both is no candidate
SMALLEST, LARGEST = 1e-4, 1e-3  # how near to 0 and 1 a probability may come before its logit is taken


@dataclass(frozen=True)
class Sureness:
    """Logistic regressions on evidence: logits are its products with these, and the bias.

    Attributes:
        things: (5,) of `Names.things`, the last is the bias.
        scenes: (2,) of `Names.scenes`.
        biases: attribute -> its own.
    """

    things: tuple[float, ...]
    scenes: tuple[float, ...]
    biases: Mapping[str, float]

    def of_things(self, evidence: Mapping[str, Floats]) -> dict[str, float]:
        """Name -> how likely it is right."""
        *weights, bias = self.things
        return {name: _chance(float(row @ weights) + bias) for name, row in evidence.items()}

    def of_scenes(self, evidence: Mapping[str, Floats]) -> dict[str, float]:
        """Attribute -> how likely what it tells of is right."""
        return {one: _chance(float(row @ self.scenes) + self.biases[one]) for one, row in evidence.items()}


# learnt from the half to choose by: python -m benchmarks.photographs.sureness prints them
LEARNT = Sureness(
    things=(0.122, 0.544, 1.64, 0.293, -0.859),
    scenes=(2.307, 0.899),
    biases={
        "people": 4.525,
        "building": 4.5,
        "mountain": 5.942,
        "flower": 6.198,
        "snow": 6.202,
        "water": 6.106,
        "greenery": 8.027,
    },
)


class Names:
    """Everything that a photograph may be said to show.

    Args:
        knowledge: of the classes.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.members = knowledge.members
        groups = {one: np.flatnonzero(knowledge.groups[:, ATTRIBUTES.index(one)] > 0.5) for one in SCENES}
        self.groups = {one: rows for one, rows in groups.items() if len(rows)}
        self._middles = {
            key: unit(knowledge.concepts[rows].mean(axis=0, keepdims=True))[0]
            for key, rows in (*self.members.items(), *self.groups.items())
        }

    def things(self, seen: Seen) -> dict[str, Floats]:
        """Name -> (4,) evidence: logits of its mass and of its surest class, how like it the picture is, its classes' logarithm."""
        softened, sharp = seen.classes(), seen.classes(1.0)
        shown = self._shown(softened)
        return {
            name: np.array(
                [
                    _logit(softened[rows].sum()),
                    _logit(sharp[rows].max()),
                    shown @ self._middles[name],
                    np.log(len(rows)),
                ],
                np.float32,
            )
            for name, rows in self.members.items()
            if softened[rows].sum() >= LEAST or sharp[rows].sum() >= LEAST_SHARP
        }

    def scenes(self, seen: Seen) -> dict[str, Floats]:
        """Attribute -> (2,) evidence: the logit of its group's mass, and how like that group the picture is."""
        softened = seen.classes()
        shown = self._shown(softened)
        return {
            one: np.array([_logit(softened[rows].sum()), shown @ self._middles[one]], np.float32)
            for one, rows in self.groups.items()
        }

    def _shown(self, softened: Floats) -> Floats:
        return unit((softened @ self.knowledge.concepts)[None])[0]


@dataclass(frozen=True, slots=True)
class Named:
    """One thing: its name, and a narrower one that is less sure; "" for none."""

    name: str
    perhaps: str = ""


def choose_names(
    sureness: Mapping[str, float], members: Mapping[str, NDArray[np.intp]], least: float = SURE
) -> list[Named]:
    """The things that are sure enough, the surest line of kinds first: of each the narrowest name that is nearly as sure."""
    left = {name: chance for name, chance in sureness.items() if chance >= least}
    found: list[Named] = []
    while left and len(found) < MOST:
        surest = max(left, key=lambda name: left[name])
        line = [name for name in left if _within(members[name], members[surest])]
        line.sort(key=lambda name: (len(members[name]), -left[name]))
        name = next(one for one in line if left[one] >= left[surest] - NARROWER)
        perhaps = next(one for one in line if _within(members[one], members[name]))
        found.append(Named(name, perhaps if len(members[perhaps]) < len(members[name]) else ""))
        left = {one: left[one] for one in left if not np.isin(members[one], members[surest]).any()}
    return found


def _within(rows: NDArray[np.intp], others: NDArray[np.intp]) -> bool:
    return bool(np.isin(rows, others).all())


def _logit(probability: float) -> float:
    inside = min(max(float(probability), SMALLEST), 1 - LARGEST)
    return float(np.log(inside / (1 - inside)))


def _chance(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
