"""What score chance gives in a gallery: below it, even the best result is likely to be none.

Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from cir.composers.parameters import Values
from cir.gallery.searchable import Searchable
from cir.ranking.retriever import Retriever, scoring_of
from cir.ranking.scoring import Linear, fused_lengths, over_lengths
from cir.types import REFERENCE_IMAGE, ComposedQuery, RetrievedImage

PAIRS = 4096
LEAST_IMAGES = 10  # with captions: some 90 pairs
TAIL = 0.99  # of random pairs score less than what chance is said to give


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Pairs of images (i, j), i != j, of those that have captions: what is needed to score i as a query against j.

    Attributes:
        image, captions: (P, 2) dot products of t_v and t_c of j with the unit captions and the pixels of i.
        across: (P,) of the two rows of i with each other.
        tv_tc, tc_tc: (P,) t_v . t_c and |t_c|^2 of j.
    """

    image: NDArray[np.floating]
    captions: NDArray[np.floating]
    across: NDArray[np.floating]
    tv_tc: NDArray[np.floating]
    tc_tc: NDArray[np.floating]


_SAMPLES: WeakKeyDictionary[Searchable, _Sample | None] = WeakKeyDictionary()


def chance_score(retriever: Retriever, composed: ComposedQuery, values: Values) -> float | None:
    """The score that one in a hundred random pairs of this gallery reaches, under the numbers of this query.

    A random pair is a query made of one image, its captions in the place of the query's texts and its pixels in the
    place of the reference, scored by Eq. 10 against another image. The pairs are drawn once for a gallery, always the
    same; a query costs arithmetic on PAIRS numbers.

    A query that is about something in the gallery finds at least one image that fits, and that scores like an image
    with its own caption. Of a query about nothing in it, every score is that of a random pair, or lower, where its
    words mean nothing to the models. Of K images K / 100 are expected above this score if they are paired at random,
    so that not one of hundreds reaches it is no accident; a single one that does is taken as a sign that something
    fits: it is rather said too seldom than wrongly. In small galleries a query about nothing is told more often: of 10
    pictures of the shipped gallery in about four of five, of 50 in three of five, of 100 in one of three.

    Without captions nothing says what a text that fits scores with its picture, so nothing is said.

    Returns:
        None where that says nothing: features of the method's own, signed terms, a scoring that is no cosine, few images with captions, or a gallery so much of one kind that
        random pairs are as alike as images and their own captions.
    """
    gallery = retriever.gallery
    if composed.space:
        return None
    if gallery not in _SAMPLES:
        _SAMPLES[gallery] = _draw(retriever)
    sample = _SAMPLES[gallery]
    if sample is None or composed.signed:
        return None
    scoring = scoring_of(composed, values)
    if not isinstance(scoring, Linear):
        return None
    image = scoring.weights.get(REFERENCE_IMAGE, 0.0)
    text = sum(number for name, number in scoring.weights.items() if name != REFERENCE_IMAGE)
    return float(np.quantile(_scores(sample, text, image, scoring.captions), TAIL))


def relevance_note(
    retriever: Retriever, composed: ComposedQuery, values: Values, ranked: Sequence[RetrievedImage]
) -> str:
    """A sentence when even the best result scores no more than chance; "" otherwise, and before the query is whole."""
    chance = None if composed.pending or not ranked else chance_score(retriever, composed, values)
    if chance is None or ranked[0].score > chance:
        return ""
    return (
        f"Maybe nothing here fits: even the best score, {ranked[0].score:.2f}, is one that pictures and descriptions "
        "of this gallery reach that have nothing to do with each other."
    )


def _draw(retriever: Retriever) -> _Sample | None:
    known = retriever.engine.sample(len(retriever.engine), captioned=True)
    if len(known) < LEAST_IMAGES:
        return None
    drawn = np.random.default_rng(0).integers(0, len(known), (2, PAIRS))
    i, j = known[drawn[:, drawn[0] != drawn[1]]]
    asked, answer = retriever.engine.features(i), retriever.engine.features(j)
    texts = asked.captions / np.linalg.norm(asked.captions, axis=1, keepdims=True)
    across = _dots(texts, asked.image)
    image = np.stack([_dots(row, answer.image) for row in (texts, asked.image)], axis=1)
    if np.median(across) <= np.quantile(image[:, 0], TAIL):  # captions do not tell their images from others
        return None
    captions = np.stack([_dots(row, answer.captions) for row in (texts, asked.image)], axis=1)
    tv_tc, tc_tc = _dots(answer.image, answer.captions), _dots(answer.captions, answer.captions)
    return _Sample(image, captions, across, tv_tc, tc_tc)


def _dots(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.floating]:
    """(P, D) twice -> (P,) dot products, row by row."""
    return np.einsum("pd,pd->p", one, other)


def _scores(sample: _Sample, text: float, image: float, gamma: float) -> NDArray[np.floating]:
    """(P,) Eq. 10 of every pair."""
    k = np.array([text, image])
    dots = (1.0 - gamma) * (sample.image @ k) + gamma * (sample.captions @ k)
    lengths = fused_lengths(gamma, np.ones_like(sample.tv_tc), sample.tv_tc, sample.tc_tc)
    query = np.sqrt(np.maximum(text**2 + 2.0 * text * image * sample.across + image**2, 0.0))
    return over_lengths(dots, lengths * query)
