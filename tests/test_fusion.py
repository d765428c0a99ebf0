"""Scores without encoding again: equal to Eq. 10 by brute force, and to FAISS, for any weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cir.composers.cvsi import PARAMETERS, PARTS
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.parameters import read_values
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.scoring import (
    Factor,
    Linear,
    Product,
    gallery_terms,
    query_terms,
    rank_of,
    top_indices,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def a_gallery(seed: int, images: int = 300, dim: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = unit(rng.normal(size=(images, dim)) + 0.6).astype(np.float32)
    captions = (unit(rng.normal(size=(images, dim)) - 0.3) * rng.uniform(0.5, 1.0, (images, 1))).astype(
        np.float32
    )
    captioned = rng.random(images) < 0.8
    captions[~captioned] = 0.0
    return image, captions, captioned


def brute_force(parts, weights, gamma, image, captions, captioned) -> np.ndarray:
    """Eq. 8-10 word for word, one image at a time, in float64."""
    q = sum(w * np.asarray(parts[name], np.float64) for w, name in zip(weights, parts, strict=True))
    scores = []
    for tv, tc, has in zip(image.astype(np.float64), captions.astype(np.float64), captioned, strict=True):
        g = gamma if has else 0.0
        t = g * tc + (1.0 - g) * tv
        scores.append(q @ t / (np.linalg.norm(q) * np.linalg.norm(t)))
    return np.array(scores)


def an_engine(seed: int) -> tuple[ExactEngine, np.ndarray, np.ndarray, np.ndarray]:
    """An engine over `a_gallery`, and the rows that it holds."""
    image, captions, _ = a_gallery(seed)
    ids = [str(i) for i in range(len(image))]
    gallery = Gallery.from_features("made", ids, image, caption_features=captions)
    return ExactEngine(gallery), gallery.image_features, gallery.caption_features, gallery.captioned


SHARES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ab: (ab[0], ab[1] * (1 - ab[0])))
CORNERS = st.sampled_from([(0.6, 0.4), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.2, 0.6)])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 500),
    shares=st.one_of(SHARES, CORNERS),
    gamma=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0])),
)
def test_the_top_50_is_that_of_equation_10_in_float64(
    seed: int, shares: tuple[float, float], gamma: float
) -> None:
    engine, image, captions, captioned = an_engine(seed % 7)
    rng = np.random.default_rng(seed)
    parts = {name: unit(rng.normal(size=32) + 0.3).astype(np.float32) for name in PARTS}
    weights = np.array([*shares, max(0.0, 1.0 - sum(shares))])
    scoring = Linear(dict(zip(PARTS, weights, strict=True)), gamma)
    found, scores = engine.top(parts, scoring, 50)
    truth = brute_force(parts, weights, gamma, image, captions, captioned)
    order = np.lexsort((np.arange(len(truth)), -truth))[:50]
    assert found.tolist() == order.tolist()
    np.testing.assert_allclose(scores, truth[order], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 500),
    scales=st.tuples(st.floats(0.05, 4.0), st.floats(0.05, 4.0)),
    offsets=st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)),
    penalty=st.floats(0.0, 0.25),
    signed=st.floats(-1.0, 1.0),
)
def test_the_top_50_of_a_product_is_that_of_its_equation_in_float64(
    seed: int,
    scales: tuple[float, float],
    offsets: tuple[float, float],
    penalty: float,
    signed: float,
) -> None:
    engine, image, *_ = an_engine(seed % 7)
    rng = np.random.default_rng(seed)
    rows = {name: unit(rng.normal(size=32) + 0.3).astype(np.float32) for name in ("one", "other", "more 1")}
    factors = {
        name: Factor(scale, offset)
        for name, scale, offset in zip(("one", "other"), scales, offsets, strict=True)
    }
    scoring = Product(factors, penalty).plus({"more 1": signed})
    truth = []
    for tv in image.astype(np.float64):  # word for word, one image at a time
        a = max(0.0, scales[0] * float(tv @ rows["one"].astype(np.float64)) + offsets[0])
        b = max(0.0, scales[1] * float(tv @ rows["other"].astype(np.float64)) + offsets[1])
        more = signed * float(tv @ rows["more 1"].astype(np.float64))
        truth.append(a * b - penalty * (a + b) ** 2 + more)
    found, scores = engine.top(rows, scoring, 50)
    order = np.lexsort((np.arange(len(truth)), -np.array(truth)))[:50]
    np.testing.assert_allclose(scores, np.array(truth)[order], atol=1e-12)
    assert found.tolist() == order.tolist()
    shares = scoring.shares(engine.terms(rows).among([7]), engine.norms.among([7]))
    total = sum(share[side] for share in shares.values() for side in ("image", "captions"))
    assert total == pytest.approx(truth[7], abs=1e-5 * (1 + sum(scales)) ** 2)


def test_faiss_over_fused_rows_finds_the_same_images() -> None:
    faiss = pytest.importorskip("faiss")
    engine, image, captions, captioned = an_engine(3)
    rng = np.random.default_rng(1)
    parts = {name: unit(rng.normal(size=32)).astype(np.float32) for name in PARTS}
    weights, gamma = np.array([0.5, 0.3, 0.2]), 0.35
    g = np.where(captioned, gamma, 0.0)[:, None]
    fused = unit(g * captions + (1 - g) * image).astype(np.float32)
    index = faiss.IndexFlatIP(32)
    index.add(fused)
    query = unit(sum(w * parts[n] for w, n in zip(weights, PARTS, strict=True))).astype(np.float32)
    _, faiss_found = index.search(query[None], 10)
    found, _ = engine.top(parts, Linear(dict(zip(PARTS, weights, strict=True)), gamma), 10)
    assert found.tolist() == faiss_found[0].tolist()


def test_without_cosine_the_score_is_the_dot_product_of_the_released_code() -> None:
    image, captions, captioned = a_gallery(5)
    rng = np.random.default_rng(2)
    parts = {name: unit(rng.normal(size=32)).astype(np.float32) for name in PARTS}
    weights = dict(zip(PARTS, (0.6, 0.4, 0.0), strict=True))
    terms, gallery = query_terms(parts, image, captions), gallery_terms(image, captions, captioned)
    scores = Linear(weights, 0.2, cosine=False).scores(terms, gallery)
    q = 0.6 * parts[PARTS[0]] + 0.4 * parts[PARTS[1]]
    g = np.where(captioned, 0.2, 0.0)[:, None]
    np.testing.assert_allclose(scores, (g * captions + (1 - g) * image) @ q, atol=1e-6)
    cosine = Linear(weights, 0.2).scores(terms, gallery)
    assert np.argsort(-scores)[:20].tolist() != np.argsort(-cosine)[:20].tolist()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12),
    hidden=st.sets(st.integers(0, 11)),
)
def test_the_rank_of_an_image_is_its_place_in_the_whole_order(values: list[float], hidden: set[int]) -> None:
    scores = np.array(values)
    mask = np.array([i in hidden for i in range(len(values))])
    places = [i for i in top_indices(scores, len(scores)).tolist() if not mask[i]]
    for index in range(len(values)):
        if not mask[index]:
            assert rank_of(scores, index, mask) == 1 + places.index(index)


def test_fault_45_equal_scores_keep_the_order_of_the_gallery() -> None:
    assert top_indices(np.array([0.5, 0.9, 0.5, 0.9, 0.5]), 4).tolist() == [1, 3, 0, 2]


def test_fault_44_more_results_than_images_gives_every_image_once() -> None:
    assert sorted(top_indices(np.array([0.1, 0.3, 0.2]), 50).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("value", [5, -3, 1e308, float("nan"), float("inf"), "abc", True])
@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_fault_39_and_40_a_weight_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadQuery, match=name):
        read_values(PARAMETERS, {"alpha": 0.0, "beta": 0.0, "gamma": 0.0, name: value})


def test_fault_41_alpha_and_beta_above_one_are_refused_with_the_reason() -> None:
    with pytest.raises(BadQuery, match="reference image would count negatively"):
        cvsi_weights(0.7, 0.6, 0.1)


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(0.01, 100))
def test_a_common_factor_of_the_weights_changes_no_score(factor: float) -> None:
    image, captions, captioned = a_gallery(1)
    parts = {name: unit(np.random.default_rng(4).normal(size=32)).astype(np.float32) for name in PARTS}
    terms, gallery = query_terms(parts, image, captions), gallery_terms(image, captions, captioned)
    weights = dict(zip(PARTS, (0.5, 0.25, 0.25), strict=True))
    more = {name: factor * weight for name, weight in weights.items()}
    one, other = (Linear(w, 0.3).scores(terms, gallery) for w in (weights, more))
    np.testing.assert_allclose(one, other, atol=1e-9)
