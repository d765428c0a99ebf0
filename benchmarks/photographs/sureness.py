"""How likely the names in captions are right: python -m benchmarks.photographs.sureness.

Looks at the half to choose by and learns the numbers of cir/models/photographs/sureness.py from what is written of it;
they are printed. The table is cross-validated: each tenth of the scenes has the captions that the others teach. A name is
right by the two commonest meanings of what is written; by all that a word may mean, "people" is nearly always right.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.photographs import rows
from benchmarks.photographs.captions import as_table, measure, written_of
from benchmarks.photographs.fetch import place
from benchmarks.photographs.words import COMMONEST, Nouns
from cir.images import read_image
from cir.models.catalog import SHIPPED
from cir.models.photographs.captions import Look, PhotographCaptioner
from cir.models.photographs.reading import load_reader
from cir.models.photographs.sureness import SCENES, Names, Sureness
from cir.training.wordnet import FOLDER

FOLDS = 10
PENALTY = 1.0  # of the squares of the weights of scaled evidence
STEPS = 30  # of Newton's, at most
CALLED = {  # attribute -> what WordNet calls it
    "people": "person",
    "building": "building",
    "mountain": "mountain",
    "flower": "flower",
    "snow": "snow",
    "water": "water",
    "greenery": "plant",
}
Rows = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Shown:
    """One photograph: evidence for each name, and which of them are right."""

    things: Mapping[str, Rows]
    scenes: Mapping[str, Rows]
    right: frozenset[str]


def show(names: Names, look: Look, written: Sequence[str], same: Callable[[str, str], bool]) -> Shown:
    """What there is to learn from a photograph and the things that are written of it."""
    things, scenes = names.things(look.seen), names.scenes(look.seen)
    words = {name: name.lower() for name in things} | {f"scene {one}": CALLED[one] for one in scenes}
    right = {name for name, word in words.items() if any(same(word, other) for other in written)}
    return Shown(things, scenes, frozenset(right))


def learn(shown: Sequence[Shown]) -> Sureness:
    """Two logistic regressions: of things, and of scenes with a bias for each attribute."""
    things = [(row, name in one.right) for one in shown for name, row in one.things.items()]
    scenes = [
        (np.append(row, np.array(SCENES) == name), f"scene {name}" in one.right)
        for one in shown
        for name, row in one.scenes.items()
    ]
    of_things = _regression(np.array([row for row, _ in things]), np.array([right for _, right in things]))
    of_scenes = _regression(np.array([row for row, _ in scenes]), np.array([right for _, right in scenes]))
    weights, bias = of_scenes[:-1], of_scenes[-1]
    biases = {one: round(float(weight + bias), 3) for one, weight in zip(SCENES, weights[2:], strict=True)}
    return Sureness(_rounded(of_things), _rounded(weights[:2]), biases)


def _regression(evidence: Rows, right: NDArray[np.bool_]) -> Rows:
    """Weights of evidence, and the bias, by Newton's method; evidence is scaled while it learns."""
    mean, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-9
    scaled = np.column_stack([(evidence - mean) / spread, np.ones(len(evidence))])
    penalty = PENALTY * np.eye(scaled.shape[1])
    penalty[-1, -1] = 0.0
    weights = np.zeros(scaled.shape[1])
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (chances - right) + penalty @ weights
        bend = (scaled * (chances * (1 - chances))[:, None]).T @ scaled + penalty
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    found = weights[:-1] / spread
    return np.append(found, weights[-1] - found @ mean)


def _rounded(weights: Rows) -> tuple[float, ...]:
    return tuple(round(float(weight), 3) for weight in weights)


def fold_of(group: str) -> int:
    """Which tenth a scene belongs to, by its name alone."""
    return zlib.crc32(group.encode()) % FOLDS


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs.sureness", description=__doc__.splitlines()[0]
    )
    options.add_argument("--folder", type=Path, default=rows.folder(), help="where the photographs lie")
    options.add_argument("--wordnet", type=Path, default=FOLDER, help=f"WordNet's folder (default: {FOLDER})")
    chosen = options.parse_args()
    photographs = [row for row in rows.photographs() if row.half == "tune"]
    nouns, reader = Nouns(chosen.wordnet, COMMONEST), load_reader(SHIPPED / "photographs")
    captioner = PhotographCaptioner(reader)
    looks = [captioner.look(read_image(place(chosen.folder, row))) for row in photographs]
    written = [written_of(row) for row in photographs]
    shown = [
        show(captioner.names, look, nouns.named(text), nouns.same)
        for look, text in zip(looks, written, strict=True)
    ]
    folds = [fold_of(row.group) for row in photographs]
    taught = {
        fold: PhotographCaptioner(
            reader, learn([one for one, f in zip(shown, folds, strict=True) if f != fold])
        )
        for fold in set(folds)
    }
    captions = [taught[fold].describe(look)[0] for fold, look in zip(folds, looks, strict=True)]
    sys.stdout.write(as_table(measure(captions, written, Nouns(chosen.wordnet), nouns)))
    sys.stdout.write(f"\nLEARNT = {learn(shown)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
