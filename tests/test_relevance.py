"""What chance gives in a gallery, and the sentence when no result is better than that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cir.composers.cvsi import scoring
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.parameters import Values
from cir.gallery.gallery import Gallery
from cir.ranking.relevance import chance_score, relevance_note
from cir.ranking.retriever import Retriever
from cir.types import FINE_GRAINED, REFERENCE_IMAGE, ComposedQuery, SignedTerm

DIM, IMAGES = 64, 400


def made(spread: float = 1.0, images: int = IMAGES) -> Gallery:
    """Pictures in random directions around one, `spread` apart; each caption is near its own picture."""
    rng = np.random.default_rng(1)
    pixels = np.ones(DIM) + spread * 8 * rng.normal(size=(images, DIM))
    captions = (
        pixels + 2 * spread * rng.normal(size=(images, DIM)) + (1.0 - spread) * rng.normal(size=(images, DIM))
    )
    means = captions / np.linalg.norm(captions, axis=1, keepdims=True)
    return Gallery.from_features(
        "made", [str(i) for i in range(images)], pixels.astype(np.float32), caption_features=means
    )


def asked(row: np.ndarray, part: str = FINE_GRAINED, **more: object) -> ComposedQuery:
    return ComposedQuery({part: (row / np.linalg.norm(row)).astype(np.float32)}, scoring=scoring, **more)  # type: ignore[arg-type]


def said(gallery: Gallery, composed: ComposedQuery, weights: Values | None = None) -> str:
    retriever, weights = Retriever(gallery, {}), weights or cvsi_weights()
    return relevance_note(retriever, composed, weights, retriever.rank(composed, weights))


@pytest.mark.parametrize("gamma", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("part", [FINE_GRAINED, REFERENCE_IMAGE])
@pytest.mark.parametrize("images", [10, 25, IMAGES])
def test_what_is_in_the_gallery_is_found_without_a_word_and_what_is_not_is_told(
    images: int, gamma: float, part: str
) -> None:
    gallery, rng = made(images=images), np.random.default_rng(2)
    weights = cvsi_weights(0.6, 0.4, gamma)
    for row in gallery.caption_features[:40]:
        near = row + 0.08 * rng.normal(size=DIM)
        assert said(gallery, asked(near, part), weights) == ""
    # Words that mean nothing to a model lie away from all pictures alike.
    _, _, directions = np.linalg.svd(gallery.image_features - gallery.image_features.mean(axis=0))
    assert "Maybe nothing here fits" in said(
        gallery, asked(-gallery.image_features.mean(axis=0) - 0.01 * directions[-1], part), weights
    )


def test_chance_is_the_score_of_one_random_pair_in_a_hundred() -> None:
    gallery = made()
    weights = cvsi_weights(0.0, 1.0, 0.0)
    chance = chance_score(Retriever(gallery, {}), asked(np.ones(DIM)), weights)
    units = gallery.caption_features / np.linalg.norm(gallery.caption_features, axis=1, keepdims=True)
    every = (units @ gallery.image_features.T)[~np.eye(IMAGES, dtype=bool)]
    assert chance == pytest.approx(float(np.quantile(every, 0.99)), abs=0.03)
    assert chance == chance_score(Retriever(gallery, {}), asked(np.ones(DIM)), weights)


def test_nothing_is_said_where_nothing_can_be_known() -> None:
    far = asked(-np.ones(DIM))
    few, uncaptioned = made(images=9), made()
    uncaptioned = replace(uncaptioned, captioned=np.zeros(IMAGES, dtype=bool))
    alike = made(spread=0.001)
    for gallery in (few, uncaptioned, alike):
        assert said(gallery, far) == ""
    assert said(made(), replace(far, pending="asking")) == ""
    term = SignedTerm("less", "x", np.ones(DIM, dtype=np.float32) / 8, -0.3)
    assert chance_score(Retriever(made(), {}), replace(far, signed=(term,)), cvsi_weights()) is None
