"""BASIC: likeness to the object of the reference times likeness to the edit, so that a result has to have both.

Source: Psomas et al., "Instance-Level Composed Image Retrieval", NeurIPS 2025 (arXiv 2510.25387). Features of images and
texts are centred, each by a mean of their own. The reference is projected on the directions in which names of objects
differ and contexts do not (contrastive PCA of two text corpora), so that its object counts and not its surroundings.
Both likenesses are shifted by their least usual value, negative ones count as 0, and they are multiplied, with a
penalty that is the Harris corner detector's: a b - lambda (a + b)^2. alpha, the number of directions and lambda are the
paper's.

Written from the abstract, from the description that the authors publish beside their (MIT) code, and from what that
code computes; the paper's own text was not at hand, so section numbers are missing here. Differences:
- The mean of images is that of the gallery (theirs: of a million images of LAION; the gallery's where there is none).
- The mean of texts is that of a corpus of edits, which is made of the other two. Edits
  are orders: centred by names of objects, what all orders have in common would count as a likeness to some images.
- The least likenesses are those among pictures of the gallery, and between these and the edits (theirs: of a
  generated set of pictures and texts, one size for both). Both factors are multiplied by the first one's size, which
  changes no order: so scores are of the size of other methods'.
- The two corpora are our own: the nouns of the illustrated world, and its places and times. Colours and sizes are in
  neither: they are the look of an object, which is not to be projected away.
- The edit is encoded as it is (theirs: together with words of the object corpus), and the query is not expanded by the
  images that are found first; their results without expansion are in their table, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cir.composers.baselines import PLAIN_TEXT, both_sides
from cir.composers.composer import unit_row
from cir.composers.method_card import MethodCard
from cir.composers.parameters import Parameter, Values
from cir.models.protocols import ImageEncoder, TextEncoder
from cir.ranking.engines.protocol import Engine
from cir.ranking.scoring import Factor, Linear, Product
from cir.types import FINE_GRAINED, REFERENCE_IMAGE, ComposedQuery, Features, Query
from cir.world.vocabulary import BACKGROUNDS, COLOURS, SIZES, TIMES, load_nouns

LAMBDA = Parameter(
    "lambda",
    "λ",
    "penalty for one side alone",
    0.1,
    high=0.2,
    meaning="How much a picture loses that is like the reference alone, or like the edit alone.",
)
ALPHA = 0.2  # what contexts count for beside objects
DIRECTIONS = 250
SAMPLE = 1024  # images of a gallery that its mean and its least likenesses are taken from
ONE_SIDE = "BASIC multiplies a likeness to an image and one to an edit; with one of them it is that one."
UNTOLD = "These models do not tell the names of objects apart, so the whole look of the reference counts."
UNBOUND = "There was no gallery to centre features by."


def objects() -> list[str]:
    """The corpus of objects: what is to count of a reference."""
    return [f"a {noun}" for noun in load_nouns()]


def contexts() -> list[str]:
    """The corpus of contexts: where and when something is shown."""
    return [phrase for phrases in (*BACKGROUNDS.values(), *TIMES.values()) for phrase in phrases]


def edits() -> list[str]:
    """The corpus of edits: orders about objects, contexts, colours and sizes."""
    orders = [f"{order} {noun}" for order in ("add", "replace it with", "without") for noun in objects()]
    looks = [*COLOURS, *(word for words in SIZES.values() for word in words)]
    return [
        *orders,
        *(f"show this {context}" for context in contexts()),
        *(f"make it {look}" for look in looks),
    ]


def object_directions(objects: Features, contexts: Features) -> NDArray[np.float64]:
    """(D, N) orthonormal directions in which objects differ more than contexts do, at most DIRECTIONS.

    The eigenvectors with the largest positive eigenvalues of (1 - alpha) S_o - alpha S_c, where S are the scatter
    matrices of the two corpora about the mean of the objects.

    Args:
        objects, contexts: (M, D) unit rows.
    """
    mean = objects.mean(axis=0)

    def scatter(rows: Features) -> NDArray[np.float64]:
        centred = (rows - mean).astype(np.float64)
        return centred.T @ centred / max(len(rows) - 1, 1)

    sizes, directions = np.linalg.eigh((1.0 - ALPHA) * scatter(objects) - ALPHA * scatter(contexts))
    best = np.argsort(-sizes)[:DIRECTIONS]
    return directions[:, best[sizes[best] > 1e-9]]


def scoring(composed: ComposedQuery, values: Values) -> Product | Linear:
    """a b - lambda (a + b)^2 of the two likenesses; with one of them, that one."""
    if len(composed.parts) < 2:
        return Linear.even(composed.parts)
    n = composed.numbers
    factors = {name: Factor(n[f"{name} scale"], n[f"{name} offset"]) for name in composed.parts}
    return Product(factors, values[LAMBDA.name])


class Corpora:
    """The corpora as one text encoder reads them; encoded once, when they are first wanted."""

    def __init__(self, text_encoder: TextEncoder) -> None:
        self._encoder = text_encoder

    @cached_property
    def rows(self) -> tuple[Features, Features, Features]:
        """(M, D) unit rows of the objects, of the contexts, and of the edits."""
        encode = self._encoder.encode_texts
        return encode(objects()), encode(contexts()), encode(edits())


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """What features are centred by and projected on.

    Attributes:
        image_mean, text_mean: (D,).
        directions: (D, N), see `object_directions`; all of them where the encoder tells no objects apart.
        least: the least likeness of a picture with a projected one, and with a text.
    """

    image_mean: NDArray[np.float64]
    text_mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    least: tuple[float, float]


def space_of(corpora: Corpora, engine: Engine | None) -> Space:
    """The space of a gallery; without one, images are not centred."""
    named, around, orders = corpora.rows
    directions, text_mean = object_directions(named, around), orders.mean(axis=0).astype(np.float64)
    if not directions.shape[1]:
        directions = np.eye(len(text_mean))
    if engine is None or not len(engine):
        return Space(np.zeros(len(text_mean)), text_mean, directions, (-1.0, -1.0))
    images = engine.features(engine.sample(SAMPLE)).image.astype(np.float64)
    mean = images.mean(axis=0)
    centred, texts = images - mean, orders - text_mean
    projected = centred @ directions @ directions.T
    least = float((projected @ centred.T).min()), float((texts @ centred.T).min())
    return Space(mean, text_mean, directions, (min(least[0], -1e-6), min(least[1], -1e-6)))


class Basic:
    """Two likenesses, multiplied. Bound to a gallery it centres by that gallery's images."""

    name = "BASIC"
    parameters = (LAMBDA,)
    scoring = staticmethod(scoring)

    def __init__(self, image_encoder: ImageEncoder, text_encoder: TextEncoder) -> None:
        self.image_encoder, self.text_encoder = image_encoder, text_encoder
        self.corpora = Corpora(text_encoder)
        self.engine: Engine | None = None
        self._space: Space | None = None

    def for_gallery(self, engine: Engine) -> Basic:
        """The same method, for the gallery that an engine holds."""
        bound = copy(self)
        bound.engine, bound._space = engine, None
        return bound

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """The centred, projected reference and the centred edit; one of them, where the query has only that."""
        if self._space is None:
            self._space = space_of(self.corpora, self.engine)
        space, rows = self._space, both_sides(query, self.image_encoder, self.text_encoder)
        numbers: dict[str, float] = {}
        parts = {}
        even = space.least[0] / space.least[1]  # makes the two likenesses of one size
        for name, least, factor in (
            (FINE_GRAINED, space.least[1], even),
            (REFERENCE_IMAGE, space.least[0], 1.0),
        ):
            if name in rows:
                row = self._centred(space, name, rows[name])
                parts[name] = unit_row(row.astype(np.float32))
                numbers[f"{name} scale"] = factor * float(np.linalg.norm(row))
                numbers[f"{name} offset"] = -factor * (float(space.image_mean @ row) + least)
        notes = [ONE_SIDE] * (len(parts) < 2) + [UNBOUND] * (self.engine is None)
        notes += [UNTOLD] * (space.directions.shape[1] == space.directions.shape[0])
        yield ComposedQuery(parts, notes=notes, scoring=scoring, numbers=numbers, called=PLAIN_TEXT)

    def _centred(self, space: Space, name: str, row: NDArray[np.float32]) -> NDArray[np.float64]:
        if name == FINE_GRAINED:
            return row.astype(np.float64) - space.text_mean
        centred = row.astype(np.float64) - space.image_mean
        return space.directions @ (space.directions.T @ centred)


CARD = MethodCard(
    "BASIC",
    "Psomas et al., NeurIPS 2025 (without expansion of the query)",
    __name__,
    lambda given: Basic(given.image_encoder, given.text_encoder),
    "MIT",
    template="T",
    defaults="λ 0.1",
    parameters=Basic.parameters,
)
