"""Why an image stands where it stands, against the same sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import DIM, WORDS, draw, toy_gallery, toy_retriever, unit
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cir.composers.cvsi import PARAMETERS, PARTS, scoring
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.parameters import Values, shares
from cir.ranking.explaining import best_move, why
from cir.ranking.retriever import Retriever
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, ComposedQuery, Query, SignedTerm

GALLERY = toy_gallery()


def rows(seed: int, count: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32))


def by_hand(parts: dict[str, np.ndarray], signed: list[SignedTerm], weights: Values) -> np.ndarray:
    """Eq. 8 to 10 in float64, with the signed rows added to the fused query."""
    wanted = shares(PARAMETERS, weights)
    total = sum(wanted[name] for name in parts)
    query = sum(wanted[name] / total * row.astype(np.float64) for name, row in parts.items())
    query = query + sum(term.weight * term.row.astype(np.float64) for term in signed)
    g = weights["gamma"] * GALLERY.captioned[:, None]
    images = (1 - g) * GALLERY.image_features.astype(np.float64) + g * GALLERY.caption_features.astype(
        np.float64
    )
    return images @ query / (np.linalg.norm(images, axis=1) * np.linalg.norm(query))


@hypothesis_settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.floats(-1, 1).filter(lambda w: abs(w) > 0.01), max_size=3),
    st.floats(0.05, 0.9),
    st.floats(0, 1),
)
def test_signed_terms_are_ranked_exactly_as_by_hand_and_the_shares_sum_to_the_score(
    seed, signs, alpha, gamma
):
    made = rows(seed, 3 + len(signs))
    signed = [SignedTerm("more" if w > 0 else "less", "x", made[3 + i], w) for i, w in enumerate(signs)]
    weights = cvsi_weights(alpha, (1 - alpha) / 2, gamma)
    parts = dict(zip(PARTS, made[:3], strict=True))
    composed = ComposedQuery(parts, signed=signed, scoring=scoring)
    expected = by_hand(parts, signed, weights)
    retriever = Retriever(GALLERY, {})
    results = retriever.rank(composed, weights, top_k=12)
    found = {r.image_id: r.score for r in results}
    assert [found[i] for i in GALLERY.image_ids] == pytest.approx(list(expected), abs=1e-6)
    assert [r.score for r in results] == sorted((r.score for r in results), reverse=True)
    assert retriever.scores(composed, weights) == pytest.approx(expected, abs=1e-5)
    first = results[0].image_id
    shares = why(retriever, composed, PARAMETERS, weights, first).shares
    total = sum(share[side] for share in shares.values() for side in ("image", "captions"))
    assert total == pytest.approx(results[0].score, abs=1e-5)
    assert list(shares)[3:] == [f"{t.kind} {i}" for i, t in enumerate(signed, start=1)]


def test_more_of_an_image_lifts_it_and_less_of_it_sinks_it():
    retriever = toy_retriever()
    *_, composed = retriever.compose(Query(draw("red", "square"), "make it blue"), "CVSI")
    row = GALLERY.image_features[GALLERY.find("yellow-circle")]
    ranks = [
        retriever.rank_of(
            replace(composed, signed=[SignedTerm("more", "x", row, w)]), cvsi_weights(), "yellow-circle"
        )
        for w in (2.0, 0.0, -2.0)
    ]
    assert ranks == sorted(ranks)
    assert (ranks[0], ranks[-1]) == (1, 12)


def word(name: str) -> np.ndarray:
    row = np.zeros(DIM, np.float32)
    row[WORDS.index(name)] = 1.0
    return row


def test_the_rank_under_each_part_alone_is_the_rank_by_that_part():
    retriever = Retriever(toy_gallery(captions=False), {})
    composed = ComposedQuery({MODIFIED_CAPTIONS: word("blue"), FINE_GRAINED: word("circle")}, scoring=scoring)
    explained = why(retriever, composed, PARAMETERS, cvsi_weights(0.5, 0.5, 0.0), "blue-square")
    assert explained.ranks_alone[MODIFIED_CAPTIONS] == 1
    assert explained.ranks_alone[FINE_GRAINED] > 4
    assert explained.weights == {MODIFIED_CAPTIONS: 0.5, FINE_GRAINED: 0.5}


def test_the_best_move_is_the_one_that_a_walk_over_all_sliders_finds():
    retriever = Retriever(toy_gallery(captions=False), {})
    composed = ComposedQuery(
        {MODIFIED_CAPTIONS: word("blue"), FINE_GRAINED: word("circle"), "reference_image": word("red")},
        scoring=scoring,
    )
    weights = cvsi_weights(0.2, 0.7, 0.0)
    move = best_move(retriever, composed, PARAMETERS, weights, "blue-square")
    assert move is not None
    walked = [
        (retriever.rank_of(composed, moved, "blue-square"), abs(after - before), name, after)
        for name, before, after, moved in [
            *(("alpha", 0.2, a / 20, cvsi_weights(a / 20, min(0.7, 1 - a / 20), 0.0)) for a in range(21)),
            *(("beta", 0.7, b / 20, cvsi_weights(min(0.2, 1 - b / 20), b / 20, 0.0)) for b in range(21)),
        ]
    ]
    rank, _, name, after = min(walked)
    assert (move.rank, move.parameter.name, move.after) == (rank, name, after)
    assert move.before == 0.2
    assert move.rank < retriever.rank_of(composed, weights, "blue-square")


def test_what_no_slider_lifts_has_no_best_move():
    retriever = Retriever(toy_gallery(captions=False), {})
    composed = ComposedQuery({MODIFIED_CAPTIONS: word("blue")}, scoring=scoring)
    assert best_move(retriever, composed, PARAMETERS, cvsi_weights(0.5, 0.5, 0.0), "blue-square") is None
    assert best_move(retriever, composed, PARAMETERS, cvsi_weights(0.5, 0.5, 0.0), "red-square") is None
    baseline = ComposedQuery({FINE_GRAINED: word("circle")})
    assert best_move(retriever, baseline, (), {}, "blue-square") is None


def test_images_that_are_left_out_do_not_count_in_a_rank():
    retriever = Retriever(toy_gallery(captions=False), {})
    composed = ComposedQuery({MODIFIED_CAPTIONS: word("blue") + 0.5 * word("circle")}, scoring=scoring)
    seen = why(
        retriever, composed, PARAMETERS, cvsi_weights(1.0, 0.0, 0.0), "blue-square", exclude=["blue-circle"]
    )
    assert seen.ranks_alone == {MODIFIED_CAPTIONS: 1}
    assert why(retriever, composed, PARAMETERS, cvsi_weights(1.0, 0.0, 0.0), "blue-square").ranks_alone == {
        MODIFIED_CAPTIONS: 2
    }
