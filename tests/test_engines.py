"""Every engine answers as the exact one has to: values against slow loops over the features."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fusion import SHARES, a_gallery, brute_force, unit

from cir.composers.cvsi import PARTS
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.ranking.engines import ENGINES, Engine, open_engine
from cir.ranking.scoring import Linear

DIM, IMAGES = 32, 300


@cache
def gallery() -> Gallery:
    image, captions, _ = a_gallery(4, IMAGES, DIM)
    return Gallery.from_features("made", [str(i) for i in range(IMAGES)], image, caption_features=captions)


@cache
def engine(name: str) -> Engine:
    return open_engine(gallery(), name)


def a_query(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: unit(rng.normal(size=DIM) + 0.3).astype(np.float32) for name in PARTS}


def parts(shares: tuple[float, float]) -> list[float]:
    return [*shares, max(0.0, 1.0 - sum(shares))]


def scoring(shares: tuple[float, float], gamma: float) -> Linear:
    return Linear(dict(zip(PARTS, parts(shares), strict=True)), gamma)


def truth(rows: dict[str, np.ndarray], shares: tuple[float, float], gamma: float) -> np.ndarray:
    g = gallery()
    return brute_force(rows, parts(shares), gamma, g.image_features, g.caption_features, g.captioned)


every_engine = pytest.mark.parametrize("name", sorted(ENGINES))


@every_engine
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 500),
    shares=SHARES,
    gamma=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0])),
    kept=st.integers(0, IMAGES),
)
def test_the_top_50_is_that_of_equation_10_in_float64_among_what_may_be_found(
    name: str, seed: int, shares: tuple[float, float], gamma: float, kept: int
) -> None:
    rows, rng = a_query(seed), np.random.default_rng(seed)
    among = np.zeros(IMAGES, bool)
    among[rng.permutation(IMAGES)[:kept]] = True
    exclude = rng.integers(0, IMAGES, 3).tolist()
    found, scores = engine(name).top(rows, scoring(shares, gamma), 50, among=among, exclude=exclude)
    expected = truth(rows, shares, gamma)
    allowed = among.copy()
    allowed[exclude] = False
    order = [int(i) for i in np.lexsort((np.arange(IMAGES), -expected)) if allowed[i]][:50]
    if engine(name).recall == 1.0:
        assert found.tolist() == order
    assert set(found.tolist()) <= set(np.flatnonzero(allowed).tolist())
    np.testing.assert_allclose(scores, expected[found], atol=1e-12)


@every_engine
def test_scores_of_some_images_are_those_of_equation_10_in_float64(name: str) -> None:
    rows, chosen = a_query(1), [7, 3, 250, 3]
    found = engine(name).scores(rows, scoring((0.3, 0.5), 0.4), chosen)
    np.testing.assert_allclose(found, truth(rows, (0.3, 0.5), 0.4)[chosen], atol=1e-12)


@every_engine
def test_features_and_dot_products_are_those_of_the_gallery_in_its_order(name: str) -> None:
    g, rows = gallery(), np.stack(list(a_query(2).values()))
    one, some = engine(name).features(5), engine(name).features([5, 0])
    np.testing.assert_array_equal(one.image, g.image_features[5])
    np.testing.assert_array_equal(some.captions, g.caption_features[[5, 0]])
    image, captions = engine(name).dots(rows)
    np.testing.assert_allclose(image, [[row @ tv for row in rows] for tv in g.image_features], atol=1e-6)
    np.testing.assert_allclose(captions, [[row @ tc for row in rows] for tc in g.caption_features], atol=1e-6)
    assert (len(engine(name)), engine(name).captioned.tolist()) == (IMAGES, g.captioned.tolist())


@every_engine
def test_neighbours_are_those_of_a_slow_loop_among_the_images_asked_for(name: str) -> None:
    chosen, features = [200, 4, 9, 77, 130], gallery().image_features
    found = engine(name).neighbours(chosen, top=3)
    for place, image in enumerate(chosen):
        cosines = [(float(features[image] @ features[other]), -p) for p, other in enumerate(chosen)]
        cosines[place] = (-np.inf, 0)
        best = sorted(range(len(chosen)), key=lambda p, c=cosines: c[p], reverse=True)[:3]
        assert found.ids[place].tolist() == best
        np.testing.assert_allclose(found.similarities[place], [cosines[p][0] for p in best], atol=1e-6)


@every_engine
def test_new_weights_read_no_row_of_the_gallery_but_those_near_the_last_place(name: str) -> None:
    one = open_engine(gallery(), name)
    rows = a_query(3)
    before = one.terms(rows)
    one.top(rows, scoring((0.1, 0.8), 0.9), 5)
    assert one.terms({part: row.copy() for part, row in rows.items()}) is before
    assert one.terms(a_query(4)) is not before


def test_an_engine_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadQuery, match=r"'annoy'.*Choose one of: exact"):
        open_engine(gallery(), "annoy")
