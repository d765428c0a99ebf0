"""Every engine answers as the exact one has to: values against slow loops over the features."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fusion import SHARES, a_gallery, brute_force, unit

from cir.composers.cvsi import PARTS
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.ranking.engines import ENGINES, SERVED, Engine, open_engine
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.engines.remembered import BYTES, Kept, Remembered
from cir.ranking.scoring import Linear

ROOT = Path(__file__).resolve().parents[1]

DIM, IMAGES = 32, 300


@cache
def gallery() -> Gallery:
    image, captions, _ = a_gallery(4, IMAGES, DIM)
    return Gallery.from_features("made", [str(i) for i in range(IMAGES)], image, caption_features=captions)


BY_INT8 = "exact by int8"  # as it is where there are many images


def engine_of(one: Gallery, name: str) -> Engine:
    return ExactEngine(one, quantised=True) if name == BY_INT8 else open_engine(one, name)


@cache
def engine(name: str) -> Engine:
    return engine_of(gallery(), name)


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


def looks_at_all(one: Engine) -> bool:
    """Whether it finds the true best of so few images: a graph may miss one of them, though its 10 best were right when it was built."""
    return one.recall == 1.0 and getattr(one, "_kind", "") != "hnsw"


# That of galleries on servers has tests of its own, which compare it with these.
every_engine = pytest.mark.parametrize("name", [*sorted({*ENGINES} - {SERVED}), BY_INT8])


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
    assert found.tolist() == [
        int(i) for i in np.lexsort((np.arange(IMAGES), -expected)) if i in set(found.tolist())
    ]
    if looks_at_all(engine(name)):
        assert found.tolist() == order
    assert set(found.tolist()) <= set(np.flatnonzero(allowed).tolist())
    np.testing.assert_allclose(scores, expected[found], atol=1e-12)


def a_hard_gallery(seed: int, images: int) -> Gallery:
    """Images that are there twice, others with the same captions, some without any, some of opposite sides."""
    rng = np.random.default_rng(seed)
    image, captions, _ = a_gallery(seed, images, DIM)
    twice = rng.integers(0, images, images // 3)
    image[rng.permutation(images)[: len(twice)]] = image[twice]
    captions[rng.permutation(images)[: len(twice)]] = captions[twice]
    opposite = rng.integers(0, images, images // 20)
    captions[opposite] = -image[opposite] * np.float32(0.999)
    both = rng.integers(0, images, (2, images // 4))
    image[both[0]], captions[both[0]] = image[both[1]], captions[both[1]]
    captions[rng.random(images) < rng.choice([0.0, 0.3, 1.0])] = 0.0
    return Gallery.from_features("hard", [str(i) for i in range(images)], image, caption_features=captions)


def twins(one: Gallery, allowed: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of images with the same rows that are next to one another among those, in the gallery's order."""
    last: dict[bytes, int] = {}
    pairs = []
    for i in np.flatnonzero(allowed).tolist():
        rows = one.image_features[i].tobytes() + one.caption_features[i].tobytes()
        if rows in last:
            pairs.append((last[rows], i))
        last[rows] = i
    return pairs


@every_engine
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    images=st.one_of(st.integers(1, 60), st.sampled_from([511, 512, 513, 1500])),
    moves=st.lists(
        st.tuples(SHARES, st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]))),
        min_size=1,
        max_size=4,
    ),
    cosine=st.booleans(),
    filtered=st.booleans(),
)
def test_ties_twins_tiny_galleries_and_images_without_captions_come_in_the_order_of_equation_10(
    name: str, seed: int, images: int, moves: list, cosine: bool, filtered: bool
) -> None:
    hard, rng = a_hard_gallery(seed, images), np.random.default_rng(seed)
    one, rows = engine_of(hard, name), a_query(seed)
    among = rng.random(images) < 0.5 if filtered else None
    exclude = rng.integers(0, images, 2).tolist()
    allowed = np.ones(images, bool) if among is None else among.copy()
    allowed[exclude] = False
    for shares, gamma in moves:  # the first one is a new query, the others are moves of a slider
        q = sum(w * rows[part].astype(np.float64) for w, part in zip(parts(shares), PARTS, strict=True))
        g = np.where(hard.captioned, gamma, 0.0)[:, None]
        fused = (1 - g) * hard.image_features.astype(np.float64) + g * hard.caption_features.astype(
            np.float64
        )
        expected = np.array([q @ t for t in fused])
        if cosine:
            expected /= np.array([np.linalg.norm(t) for t in fused]) * np.linalg.norm(q)
        found, scores = one.top(
            rows, replace(scoring(shares, gamma), cosine=cosine), 50, among=among, exclude=exclude
        )
        np.testing.assert_allclose(scores, expected[found], atol=1e-11)
        if looks_at_all(one):
            best = np.sort(expected[allowed])[::-1][:50]
            np.testing.assert_allclose(scores, best, atol=1e-11)
            assert (np.diff(expected[found]) <= 1e-11).all()
            place = {int(i): at for at, i in enumerate(found)}
            for earlier, later in twins(hard, allowed):  # equal to the last bit: in the gallery's order
                assert place.get(earlier, images) <= place.get(later, images)
        if isinstance(one, ExactEngine):
            one.settle()


@every_engine
def test_rows_that_cancel_score_0_everywhere_so_the_first_images_are_the_best(name: str) -> None:
    row = a_query(1)[PARTS[0]]
    found, scores = engine(name).top({"one": row, "other": row}, Linear({"one": 0.7, "other": -0.7}, 0.3), 4)
    assert (found.tolist(), scores.tolist()) == ([0, 1, 2, 3], [0.0] * 4)


@every_engine
def test_rows_that_cancel_find_only_what_may_be_found(name: str) -> None:
    row, scoring_ = a_query(1)[PARTS[0]], Linear({"one": 0.7, "other": -0.7}, 0.3)
    one = engine(name)
    among = np.arange(len(one)) % 2 == 1
    found, _ = one.top({"one": row, "other": row}, scoring_, 3, among=among, exclude=[1, 5])
    assert found.tolist() == [3, 7, 9]


@every_engine
def test_a_query_with_features_that_are_no_numbers_is_refused(name: str) -> None:
    rows = a_query(1)
    rows[PARTS[1]][3] = np.nan
    with pytest.raises(BadQuery, match="no numbers"):
        engine(name).top(rows, scoring((0.3, 0.3), 0.5), 5)


@every_engine
def test_a_gallery_without_images_has_no_best_ones(name: str) -> None:
    nothing = Gallery.from_features("nothing", [], np.zeros((0, DIM), np.float32))
    found, scores = engine_of(nothing, name).top(a_query(1), scoring((0.3, 0.3), 0.5), 5)
    assert (len(found), len(scores)) == (0, 0)


def test_int8_copies_score_no_image_beside_their_bounds_and_leave_few_to_be_scored_again() -> None:
    """What keeps the fast way exact: no image is farther off than the bound says, so the best are always candidates."""
    from cir.ranking.engines.quantised import Quantised, quantise

    image, captions, _ = a_gallery(9, 4000, DIM)
    many = Gallery.from_features("many", [str(i) for i in range(4000)], image, caption_features=captions)
    scan = Quantised(quantise(many.image_features, many.caption_features, many.captioned), many.captioned)
    kept = Kept(a_query(9))
    dots = scan.dots(kept.rows)
    numbers = dots.numbers.transpose(1, 0, 2).reshape(6, -1)[:, :4000]
    for p, row in enumerate(kept.rows):
        for side, features, near in zip(
            scan.sides, (image[scan.order], captions[scan.order]), (numbers[:3], numbers[3:]), strict=True
        ):
            most = np.linalg.norm(row) * side.whole.residuals + dots.slack[p]
            off = np.abs(near[p] * dots.units[p] - features.astype(np.float64) @ row)
            assert (off <= most).all()
            assert off.max() > 0.1 * most.max()  # a bound that says little would cost much
    assert len(scan.candidates(dots, np.array([0.5, 0.3, 0.2]), 0.3, 10)) < 200


@pytest.mark.parametrize(
    "spread", [1.0, 3.0], ids=["differ in all directions alike", "differ in few directions"]
)
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_heads_of_rows_leave_the_best_out_neither_where_they_tell_much_nor_where_they_tell_nothing(
    spread: float, gamma: float
) -> None:
    from cir.ranking.engines.quantised import Quantised, quantise

    rng, images = np.random.default_rng(3), 4000
    along = spread ** -np.arange(DIM)
    image, captions = (unit(rng.normal(size=(images, DIM)) * along).astype(np.float32) for _ in range(2))
    captioned = rng.random(images) < 0.8
    captions[~captioned] = 0.0
    scan = Quantised(quantise(image, captions, captioned), captioned)
    among = rng.random(images) < 0.3
    for cosine in (True, False):
        row = unit(image[7] + 0.1 * rng.normal(size=DIM)).astype(np.float64)
        g = np.where(captioned, gamma, 0.0)[:, None]
        fused = (1 - g) * image.astype(np.float64) + g * captions
        scores = fused @ row / (np.linalg.norm(fused, axis=1) if cosine else 1.0)
        for allowed in (None, among):
            near, _ = scan.nearest(row, gamma, 20, cosine=cosine, among=allowed)
            scores_allowed = scores if allowed is None else np.where(allowed, scores, -np.inf)
            assert set(np.argsort(-scores_allowed)[:20]) <= set(near.tolist())
            assert len(near) < 400


@cache
def many_by_int8() -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """4,000 images in clusters, those of a cluster one after another; some blocks of them have no captions at all."""
    from cir.ranking.engines.quantised import Quantised, quantise

    rng, images = np.random.default_rng(4), 4000
    centres = rng.normal(size=(40, DIM)).repeat(images // 40, axis=0)
    image, captions = (
        (length * unit(centres + 0.5 * rng.normal(size=centres.shape))).astype(np.float32)
        for length in (1.0, 0.8)
    )
    captioned = rng.random(images) < np.repeat([0.0, 0.5, 1.0, 1.0], images // 4)
    captions[~captioned] = 0.0
    return Quantised(quantise(image, captions, captioned), captioned), image, captions, captioned


def test_images_with_like_rows_lie_together_wherever_they_are_in_the_gallery() -> None:
    from cir.ranking.engines.kernels import FEW
    from cir.ranking.engines.quantised import alike_together

    rng, images = np.random.default_rng(5), 4000
    cluster = rng.integers(0, 30, images)
    heads = (3.0 * rng.normal(size=(30, 8))[cluster] + 0.1 * rng.normal(size=(images, 8))).astype(np.float16)
    captioned = rng.random(images) < 0.6
    order = alike_together(heads, captioned)
    assert np.sort(order).tolist() == list(range(images))
    assert (np.diff(captioned[order].astype(int)) <= 0).all()  # those with captions first
    blocks = [cluster[order[start : start + FEW]] for start in range(0, images, FEW)]
    assert np.mean([len(set(block)) for block in blocks]) < 3  # of 30, in the gallery's order 26


def test_images_that_are_all_alike_or_one_alone_are_divided_no_further() -> None:
    from cir.ranking.engines.quantised import alike_together

    alike = np.ones((1000, 8), np.float16)
    assert alike_together(alike, np.ones(1000, bool)).tolist() == list(range(1000))
    alike[::100] = 5.0
    assert np.sort(alike_together(alike, np.zeros(1000, bool))).tolist() == list(range(1000))
    assert alike_together(alike[:1], np.ones(1, bool)).tolist() == [0]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 1000),
    weights=st.tuples(*[st.floats(-1, 1)] * 3),
    gamma=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0])),
    cosine=st.booleans(),
    filtered=st.booleans(),
)
def test_blocks_of_images_that_are_left_out_at_once_hold_none_of_the_best_whatever_the_signs_of_weights(
    seed: int, weights: tuple[float, ...], gamma: float, cosine: bool, filtered: bool
) -> None:
    scan, image, captions, captioned = many_by_int8()
    rng = np.random.default_rng(seed)
    rows = np.stack([unit(image[i] + 0.2 * rng.normal(size=DIM)) for i in rng.integers(0, 4000, 3)])
    among = rng.random(4000) < 0.3 if filtered else None
    g = np.where(captioned, gamma, 0.0)[:, None]
    fused = (1 - g) * image.astype(np.float64) + g * captions
    scores = fused @ (np.array(weights) @ rows) / (np.linalg.norm(fused, axis=1) if cosine else 1.0)
    if among is not None:
        scores[~among] = -np.inf
    near = scan.candidates(scan.dots(rows), np.array(weights), gamma, 20, cosine=cosine, among=among)
    assert set(np.flatnonzero(scores > np.sort(scores)[-20] + 1e-9)) <= set(near.tolist())
    assert (np.diff(near) > 0).all()


def test_what_an_earlier_version_compiled_with_a_class_that_is_gone_does_not_break_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(find_spec("cir.ranking.engines.kernels").origin).read_text(encoding="utf-8")
    loops, name = tmp_path / "loops_of_two_versions.py", "loops_of_two_versions"
    for side in ("Seen", "Watched"):
        loops.write_text(re.sub(r"\bSeen\b", side, source), encoding="utf-8")
        spec = spec_from_file_location(name, loops)
        version = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, version)
        spec.loader.exec_module(version)
        codes, query = np.array([[2, 3]], np.int8), np.array([5, 7], np.int16)
        ones, one = np.ones(1, np.float32), np.float32(1.0)
        made = getattr(version, side)(codes, ones, ones, query, one, one, one)
        assert version._dot_at(made, 0) == 1 + 2 * 5 + 3 * 7
    assert len(list((tmp_path / "__pycache__").glob("*_dot_at*.nbi"))) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit of one process is wanted")
def test_loops_that_cannot_be_kept_on_a_full_disk_are_used_all_the_same(tmp_path: Path) -> None:
    code = (
        "import resource; import numpy as np; from cir.ranking.engines import kernels\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))\n"
        "out = np.zeros((2, 1)); rows = np.array([[1, 2], [3, 4]], np.float32)\n"
        "kernels.exact_dots(rows, np.array([[5.0, 7.0]]), out)\n"
        "print(out.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == "[[19.0], [43.0]]", done.stderr
    assert list(tmp_path.rglob("*.nb?")) == []


def test_what_earlier_versions_compiled_is_removed_and_nothing_else(tmp_path: Path) -> None:
    from cir.ranking.engines import kernels
    from cir.ranking.engines.compiled_files import remove_earlier

    rows, one = np.ones((1, 2), np.float32), np.ones(1, np.float32)
    kernels.quantise(rows, np.zeros(1, np.int64), rows[0], np.ones((1, 2), np.int8), one, one.copy())
    there, source = Path(kernels.quantise.stats.cache_path), kernels.quantise.py_func.__qualname__[-8:]
    own = [path.name for path in there.glob(f"kernels.quantise_{source}-*.nb[ic]")]
    assert own, "numba names its files in another way"
    earlier = [name.replace(source, "0123abcd") for name in own]
    earlier += [name.replace(f"_{source}", "") for name in own]
    others = ["kernels.cpython-311.pyc", "others.loop_0123abcd-3.py311.nbi", "kernels.notes.txt"]
    for name in (*own, *earlier, *others):
        (tmp_path / name).touch()
    remove_earlier(tmp_path, "kernels", source)
    assert {path.name for path in tmp_path.iterdir()} == {*own, *others}


def test_a_move_of_a_slider_looks_at_few_blocks_of_images_where_these_differ() -> None:
    from cir.ranking.engines.kernels import FEW

    scan, image, _, _ = many_by_int8()
    dots = scan.dots(image[[3000, 3001]].astype(np.float64))
    blocks = np.append(scan.order, np.zeros(-len(image) % FEW, np.int64)).reshape(-1, FEW)
    far = (blocks < 2880).all(axis=1)
    assert far.sum() > 30
    dots.numbers[far] = 32_000  # would be the best, if anybody looked
    near = scan.candidates(dots, np.array([0.5, 0.5]), 0.3, 1)
    assert len(near)
    assert (near >= 2880).all()


def test_moves_of_sliders_under_other_filters_exclusions_and_counts_find_the_best_by_equation_10() -> None:
    """What is known of a query from its moves before is a help for the next one, whatever changed in between."""
    _, image, captions, captioned = many_by_int8()
    many = Gallery.from_features("many", list(map(str, range(4000))), image, caption_features=captions)
    image = many.image_features
    one, rng = ExactEngine(many, quantised=True), np.random.default_rng(6)
    rows = {
        name: unit(image[i] + 0.1 * rng.normal(size=DIM)).astype(np.float32)
        for name, i in zip(PARTS, (7, 8, 3000), strict=True)
    }
    one.top(rows, scoring((0.6, 0.4), 0.2), 10)
    one.settle()
    for move in range(60):
        if move == 40:  # the same array holds another query
            rows[PARTS[0]][:] = image[2000]
        weights = dict(zip(PARTS, rng.random(3) * rng.choice([-1, 1], 3, p=[0.2, 0.8]), strict=True))
        asked = Linear(weights, float(rng.choice([0.0, 1.0, rng.random()])), cosine=move % 5 > 0)
        among = rng.random(4000) < rng.choice([0.002, 0.3]) if move % 3 == 1 else None
        allowed = np.ones(4000, bool) if among is None else among.copy()
        exclude = [*rng.integers(0, 4000, 2), *one.top(rows, asked, 3)[0]] if move % 4 == 1 else []
        allowed[exclude] = False
        g = np.where(captioned, asked.captions, 0.0)[:, None]
        fused = (1 - g) * image.astype(np.float64) + g * captions.astype(np.float64)
        query = sum(weights[name] * rows[name].astype(np.float64) for name in PARTS)
        lengths = np.linalg.norm(fused, axis=1) * np.linalg.norm(query) if asked.cosine else 1.0
        expected = np.where(allowed, fused @ query / lengths, -np.inf)
        count = int(rng.choice([1, 10, 200]))
        best = [i for i in np.argsort(-expected, kind="stable")[:count].tolist() if allowed[i]]
        found, scores = one.top(rows, asked, count, among=among, exclude=exclude)
        assert found.tolist() == best
        np.testing.assert_allclose(scores, expected[found], atol=1e-12)


def test_a_move_of_a_slider_back_to_where_it_was_reads_no_row_and_scores_few_images() -> None:
    _, image, captions, _ = many_by_int8()
    many = Gallery.from_features("many", list(map(str, range(4000))), image, caption_features=captions)
    one, rows = ExactEngine(many, quantised=True), {PARTS[0]: image[7], PARTS[1]: image[8]}
    weights, moved = (Linear(dict(zip(PARTS, pair, strict=False)), 0.3) for pair in ((0.9, 0.1), (0.1, 0.9)))
    first = one.top(rows, weights, 10)[0]
    one.settle()
    one.top(rows, moved, 10)
    kept = one._remembered.query(rows, 4000)
    assert kept.dots is not None
    near, best, _ = one._scan.best_again(
        kept.dots, kept.exact, np.array([0.9, 0.1]), 1.0, 0.3, 10, among=None, left_out=np.zeros(0, np.int64)
    )
    assert best.tolist() == first.tolist()
    assert len(near) < 40
    one.terms_of = lambda *_: pytest.fail("rows were read again")  # pyright: ignore[reportAttributeAccessIssue]
    assert one.top(rows, weights, 10)[0].tolist() == first.tolist()


def test_hardly_a_move_of_a_slider_waits_for_rows_as_those_at_its_ends_were_read_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, image, captions, _ = many_by_int8()
    many = Gallery.from_features("many", list(map(str, range(4000))), image, caption_features=captions)
    one, rng, reading = ExactEngine(many, quantised=True), np.random.default_rng(7), 0
    terms_of, read = one.terms_of, []
    monkeypatch.setattr(
        one, "terms_of", lambda rows, places: read.append(len(places)) or terms_of(rows, places)
    )
    for _ in range(5):
        rows = {
            name: unit(image[i] + 0.1 * rng.normal(size=DIM)).astype(np.float32)
            for name, i in zip(PARTS, 2000 + rng.integers(0, 100, 3), strict=True)
        }
        one.top(rows, scoring((0.5, 0.3), 0.3), 10)
        one.settle()
        for alpha, beta, gamma in rng.random((20, 3)):
            read.clear()
            one.top(rows, scoring((alpha, (1 - alpha) * beta), 0.05 + 0.9 * gamma), 10)
            reading += bool(read)
    assert reading < 20  # of 100


def test_a_new_query_reads_fewer_rows_than_may_be_among_the_best_by_their_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, row = np.random.default_rng(8), unit(np.ones(DIM)).astype(np.float32)
    across = rng.normal(size=(4000, DIM))
    across -= (across @ row)[:, None] * row
    along = np.where(
        np.arange(4000) < 400, 0.8 + 0.04 * rng.normal(size=4000), -0.5
    )  # 400 score nearly the same
    image = unit(along[:, None] * row + 0.6 * unit(across)).astype(np.float32)
    many = Gallery.from_features("many", list(map(str, range(4000))), image)
    one, slow = (ExactEngine(many, quantised=by_int8) for by_int8 in (True, False))
    asked, terms_of, read = Linear({PARTS[0]: 1.0}), one.terms_of, []

    def reads(rows: Any, places: Any) -> Any:
        read.extend(places.tolist())
        return terms_of(rows, places)

    monkeypatch.setattr(one, "terms_of", reads)
    monkeypatch.setattr(one, "_look_ahead", lambda *_: None)  # reads others
    found = one.top({PARTS[0]: row}, asked, 50)[0].tolist()
    near = one._scan.nearest(row.astype(np.float64), 0.0, 50)[0].tolist()
    assert found == slow.top({PARTS[0]: row}, asked, 50)[0].tolist()
    assert len(read) == len(set(read)) < len(near)
    assert set(found) <= set(read) <= set(near)


def test_after_the_first_answer_moves_of_sliders_look_at_no_row_but_those_of_new_candidates() -> None:
    one = ExactEngine(gallery(), quantised=True)
    rows, read = a_query(5), []
    one.top(rows, scoring((0.5, 0.3), 0.3), 10)
    one.settle()
    scan = one._scan
    scan.dots = lambda *_, **__: read.append("all")  # pyright: ignore[reportAttributeAccessIssue]
    first, _ = one.top(rows, scoring((0.1, 0.8), 0.6), 10)
    assert read == []
    assert first.tolist() == engine("exact").top(rows, scoring((0.1, 0.8), 0.6), 10)[0].tolist()


def test_remembered_queries_are_bounded_in_bytes_not_in_number() -> None:
    remembered, images = Remembered(), 1_000_000
    asked = [a_query(seed) for seed in range(30)]
    kept = [remembered.query(rows, images) for rows in asked]
    there = [remembered.query(rows, images) is one for rows, one in zip(asked[::-1], kept[::-1], strict=True)]
    held = there.index(False)
    assert there[0]
    assert 4 * 3 * images * held <= BYTES < 4 * 3 * images * (held + 2)


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
    one = engine_of(gallery(), name)
    rows = a_query(3)
    before = one.terms(rows)
    one.top(rows, scoring((0.1, 0.8), 0.9), 5)
    assert one.terms({part: row.copy() for part, row in rows.items()}) is before
    assert one.terms(a_query(4)) is not before


def test_an_engine_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadQuery, match=r"'annoy'.*Choose one of: exact"):
        open_engine(gallery(), "annoy")
