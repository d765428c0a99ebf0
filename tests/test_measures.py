"""Measures and bootstrap against slow loops, and against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cir.evaluation.bootstrap import interval
from cir.evaluation.datasets import circo, cirr
from cir.evaluation.datasets.dataset import DatasetQuery
from cir.evaluation.measures import average_precision, hit, recall_at, recalls, soft_hit, without
from cir.evaluation.scoring import means
from cir.types import CirQuery

IMAGES = [f"i{n}" for n in range(12)]
permutations = st.permutations(IMAGES)
targets = st.sets(st.sampled_from(IMAGES), min_size=1, max_size=6)
ks = st.integers(1, 15)
SMALL = settings(max_examples=30, deadline=None)


@SMALL
@given(permutations, targets, ks)
def test_average_precision_is_what_a_slow_loop_over_all_places_says(ranked, wanted, k) -> None:
    total = 0.0
    for place in range(1, min(k, len(ranked)) + 1):
        if ranked[place - 1] in wanted:
            total += sum(one in wanted for one in ranked[:place]) / place
    assert average_precision(ranked, wanted, k) == pytest.approx(total / min(len(wanted), k))


def test_average_precision_of_a_list_counted_by_hand() -> None:
    assert average_precision(["a", "x", "b", "y"], {"a", "b", "c"}, 4) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision(["a", "x", "b", "y"], {"a", "b", "c"}, 2) == pytest.approx(1 / 2)
    assert average_precision(["x", "y"], {"a"}, 2) == 0.0


def test_average_precision_without_a_target_is_refused_rather_than_made_up() -> None:
    with pytest.raises(ValueError, match="target"):
        average_precision(["a"], (), 5)


@SMALL
@given(permutations, st.sampled_from(IMAGES), ks)
def test_a_hit_is_a_rank_within_k(ranked, target, k) -> None:
    assert hit(ranked, target, k) == float(ranked.index(target) + 1 <= k)


@SMALL
@given(permutations, st.dictionaries(st.sampled_from(IMAGES), st.sampled_from([1.0, -1.0, 0.5, 0.2])), ks)
def test_a_soft_hit_is_the_best_label_found_and_never_below_zero(ranked, labels, k) -> None:
    best = 0.0
    for name, label in labels.items():
        if name in ranked[:k]:
            best = max(best, label)
    assert soft_hit(ranked, labels, k) == best


def _cirr(target: str = "i1", soft: dict[str, float] | None = None) -> DatasetQuery:
    query = CirQuery("7", "i0", "bigger", (target,))
    return DatasetQuery(query, ("bigger",), members=tuple(IMAGES[:6]), soft_targets=soft or {})


@SMALL
@given(permutations, st.sampled_from(IMAGES[1:6]))
def test_the_reference_at_rank_one_changes_no_measure_of_cirr(ranked, target) -> None:
    plain = without(ranked, "i0")
    subset = [one for one in plain if one in IMAGES[:6]]
    query = [_cirr(target, {target: 1.0, "i9": 0.5})]
    for soft in (False, True):
        alone = means(cirr.values_of(query, {"7": plain}, {"7": subset}, soft=soft))
        first = means(cirr.values_of(query, {"7": ["i0", *plain]}, {"7": ["i0", *subset]}, soft=soft))
        assert alone == first
    assert alone["R@5"] == 100.0 * max(float(target in plain[:5]), 0.5 * ("i9" in plain[:5]))


def test_cirr_reports_both_averages_that_papers_call_avg() -> None:
    queries = [
        _cirr("i1"),
        DatasetQuery(CirQuery("8", "i0", "red", ("i3",)), ("red",), members=tuple(IMAGES[:6])),
    ]
    found = cirr.score(
        queries, {"7": IMAGES[1:], "8": IMAGES[1:]}, {"7": ["i2", "i1", "i4"], "8": ["i3", "i4", "i5"]}
    )
    assert [found[f"R@{k}"] for k in (1, 5, 10, 50)] == [50.0, 100.0, 100.0, 100.0]
    assert [found[f"R_subset@{k}"] for k in (1, 2, 3)] == [50.0, 100.0, 100.0]
    assert found["Avg"] == (100.0 + 50.0) / 2
    assert found["Avg_HyCIR"] == 350.0 / 4
    assert "reference is left out" in found["protocol"]


def test_circo_counts_all_targets_for_map_and_the_first_for_recall_and_aspects_by_themselves() -> None:
    def query(number: str, ids: tuple[str, ...], *aspects: str) -> DatasetQuery:
        return DatasetQuery(CirQuery(number, "i0", "t", ids), ("t",), aspects=aspects)

    queries = [query("0", ("i3", "i1"), "addition", "viewpoint"), query("1", ("i0",), "addition")]
    found = circo.score(queries, {"0": ["i1", "i2", "i3"], "1": ["i0", "i5"]})
    first = (1 + 2 / 3) / 2
    assert found["mAP@5"] == pytest.approx(100 * (first + 1) / 2)
    assert found["Recall@5"] == 100.0
    assert found["semantic_mAP@10"] == pytest.approx({"addition": 50 * (first + 1), "viewpoint": 100 * first})
    assert found["queries"] == 2


def test_recall_counts_ranks_from_one_and_zero_as_not_found() -> None:
    assert recall_at([1, 2, 0, 11], 10) == 50.0
    assert recalls([1, 5, 6], (1, 5)) == {"R@1": pytest.approx(100 / 3), "R@5": pytest.approx(200 / 3)}


def test_a_bootstrap_interval_is_that_of_a_slow_loop_with_the_same_seed() -> None:
    values = np.array([0.0, 100.0, 100.0, 0.0, 100.0, 50.0])
    rng = np.random.default_rng(3)
    drawn = sorted(float(np.mean([values[i] for i in rng.integers(0, 6, 6)])) for _ in range(200))
    assert interval(values, seed=3, resamples=200, level=0.9) == pytest.approx(
        (np.quantile(drawn, 0.05), np.quantile(drawn, 0.95))
    )


def test_a_bootstrap_interval_holds_the_mean_and_narrows_with_more_queries() -> None:
    rng = np.random.default_rng(0)
    few, many = (100.0 * (rng.random(n) < 0.7) for n in (50, 5000))
    low, high = interval(many, seed=1)
    assert low < many.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.7 * 0.3 / 5000), rel=0.15)
    few_low, few_high = interval(few, seed=1)
    assert few_high - few_low > 5 * (high - low)
    assert interval(many, seed=1) == (low, high) != interval(many, seed=2)
    assert interval([40.0] * 9, seed=0) == (40.0, 40.0)


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0, float("nan")], 0.95), ([1.0], 1.0)])
def test_a_bootstrap_of_nothing_or_of_nan_is_refused(values, level) -> None:
    with pytest.raises(ValueError, match=r"bootstrap|level"):
        interval(values, seed=0, level=level)
