"""Loops over all images of a gallery, compiled by numba. They hold no lock of Python: others go on meanwhile.

An int8 row stands for `mean + scale * codes`, and is off by at most its residual; see `quantised.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable)
Floats32, Floats64 = NDArray[np.float32], NDArray[np.float64]

BLOCK = 512  # images whose numbers stay in the nearest cache between two loops
FEW = 64  # images that are left out at once
# The order of a sum may change, but is the same for every row: equal rows have equal sums to the last bit.
_SUMS = {"reassoc", "nsz"}
_SOURCE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]


def compiled(function: Function) -> Function:
    """The function in machine code, kept beside its module or in the user's cache folder, where one can be written.

    The file is named by the function and the text of this module: numba reads a file of that name before it looks at when
    it was made, and cannot where a class of an earlier version is no longer here.
    """
    function.__qualname__ += f"_{_SOURCE}"
    try:
        made = numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")(function)
    except RuntimeError:  # there is no such folder
        made = numba.njit(nogil=True, fastmath=_SUMS, error_model="numpy")(function)
    else:
        _keep_where_there_is_room(cast(Any, made)._cache)
    return cast(Function, made)


def _keep_where_there_is_room(kept: Any) -> None:
    """Let what cannot be kept, as on a full disk, be used all the same: numba lets the call end with the error of the disk."""
    keep = kept.save_overload

    def keep_if_possible(signature: object, code: object) -> None:
        with suppress(OSError):
            keep(signature, code)

    kept.save_overload = keep_if_possible


@compiled
def quantise(
    rows: Floats32,
    places: NDArray[np.int64],
    mean: Floats32,
    codes: NDArray[np.int8],
    scales: Floats32,
    residuals: Floats32,
) -> None:
    """Fill in codes (K, D), scales and residuals (K,) at the places (N,) of N rows."""
    for i in range(rows.shape[0]):
        most = 0.0
        for j in range(rows.shape[1]):
            off = abs(np.float64(rows[i, j]) - np.float64(mean[j]))
            most = off if off > most else most
        place = places[i]
        scales[place] = most / 127.0
        scale = np.float64(scales[place])
        inverse = 1.0 / scale if scale > 0.0 else 0.0
        lost = 0.0
        for j in range(rows.shape[1]):
            x = np.float64(rows[i, j]) - np.float64(mean[j])
            code = min(127.0, max(-127.0, np.rint(x * inverse)))
            codes[place, j] = np.int8(code)
            lost += (x - scale * code) ** 2
        residuals[place] = np.sqrt(lost) * 1.000001  # rounded up: float32 is off by 6e-8 of it


@compiled
def exact_dots(rows: Floats32, queries: Floats64, out: Floats64) -> None:
    """Fill in the dot products (N, P) of rows (N, D) with queries (P, D)."""
    for i in range(rows.shape[0]):
        for p in range(queries.shape[0]):
            total = 0.0
            for j in range(rows.shape[1]):
                total += np.float64(rows[i, j]) * queries[p, j]
            out[i, p] = total


@compiled
def exact_norms(image: Floats32, captions: Floats32, places: NDArray[np.int64], out: Floats64) -> None:
    """Fill in |t_v|^2, t_v . t_c and |t_c|^2 as (3, K) at the places (N,) of rows (N, D)."""
    for i in range(image.shape[0]):
        tv_tv, tv_tc, tc_tc = 0.0, 0.0, 0.0
        for j in range(image.shape[1]):
            v, c = np.float64(image[i, j]), np.float64(captions[i, j])
            tv_tv += v * v
            tv_tc += v * c
            tc_tc += c * c
        out[0, places[i]], out[1, places[i]], out[2, places[i]] = tv_tv, tv_tc, tc_tc


@compiled
def near_dots(
    codes: NDArray[np.int8],
    scales: Floats32,
    queries: NDArray[np.int16],
    steps: Floats32,
    bases: Floats32,
    out: NDArray[np.int16],
    first: int,
) -> None:
    """Fill in the dot products of the int8 rows with P int16 queries: base + step * scale * (codes . query), rounded.

    They are put into blocks (B, P or more, FEW), from the row `first` on.
    """
    for i in range(codes.shape[0]):
        for p in range(queries.shape[0]):
            total = np.int32(0)
            for j in range(codes.shape[1]):
                total = np.int32(total + np.int32(codes[i, j]) * np.int32(queries[p, j]))
            number = np.rint(bases[p] + steps[p] * scales[i] * np.float32(total))
            out[i // FEW, first + p, i % FEW] = np.int16(number)


class Lengths(NamedTuple):
    """What the lengths of K images follow from.

    Attributes:
        order: (K,) the places of the images as they lie in blocks of FEW, alike ones together.
        captioned: (K,) which images have captions, by their places.
        norms: (3, K) |t_v|^2, t_v . t_c, |t_c|^2, exactly, by their places.
        cross: (B, 2, FEW) the last two as whole numbers: these are looked at first.
        least: (2, B) the least of these among the captioned ones of each FEW images.
        units: what 1 stands for there.
        off: what the first of the three may be off 1.
    """

    order: NDArray[np.int32]
    captioned: NDArray[np.bool_]
    norms: Floats64
    cross: NDArray[np.int16]
    least: NDArray[np.int16]
    units: np.float32
    off: np.float32


class Extremes(NamedTuple):
    """The least and the greatest dot products with P rows among each FEW images, by which these are left out at once.

    Attributes:
        both: (2, R, B) of captioned images: with their pixels, then with their captions where these were asked for.
        alone: (2, P, B) of the other images' pixels.
    """

    both: NDArray[np.int16]
    alone: NDArray[np.int16]


class Asked(NamedTuple):
    """How all images are scored at one move of a slider.

    Attributes:
        weights: (P,) of the rows of the query, in float64.
        gram: (P, P) their dot products with one another.
        units: (P,) what 1 stands for in whole dot products.
        slack: (P,) what each dot product is off by beside what the image's row has lost.
        gamma: what captions count for.
        cosine: whether scores are divided by the images' lengths.
    """

    weights: Floats64
    gram: Floats64
    units: Floats64
    slack: Floats64
    gamma: float
    cosine: bool


@compiled
def extremes(numbers: NDArray[np.int16], rows: int, which: NDArray[np.bool_]) -> NDArray[np.int16]:
    """(2, R, B) the least and the greatest of R rows of numbers (B, R or more, FEW), among images that are chosen (K,).

    Where none is chosen, the least one is the largest number that there is, and the greatest one the smallest.
    """
    found = np.empty((2, rows, numbers.shape[0]), np.int16)
    for block in range(numbers.shape[0]):
        chosen = which[block * FEW : block * FEW + FEW]
        for p in range(rows):
            least, greatest = np.int16(32767), np.int16(-32768)
            for i in range(chosen.shape[0]):
                number = numbers[block, p, i]
                least = number if chosen[i] and number < least else least
                greatest = number if chosen[i] and number > greatest else greatest
            found[0, p, block], found[1, p, block] = least, greatest
    return found


@compiled
def best_by_bounds(
    numbers: NDArray[np.int16],
    ends: Extremes,
    asked: Asked,
    lengths: Lengths,
    lost: tuple[Floats32, Floats32],
    most_lost: tuple[Floats32, Floats32],
    among: NDArray[np.bool_],
    left_out: NDArray[np.int64],
    count: int,
    known_least: float,
) -> NDArray[np.int64]:
    """The images, in their order, that may be among the `count` best: their scores may reach the least that the last one has.

    Scores are not divided by the length of the query, which changes no order. Whole blocks of FEW images are left out without
    a look where even the best of them scores less. Where no least score is known, the blocks that may hold the best are
    looked at first: what these have at least leaves out most others.

    Args:
        numbers: (B, P or 2 P, FEW) whole dot products with pixels, then with captions where these count.
        ends: the extremes of these.
        asked: how they make scores.
        lengths: of the images.
        lost: of both sides (K,), what the rows are off by.
        most_lost: the largest of these in each block (B,).
        among: (K,) which may be found; (0,) for all of them.
        left_out: places of images that may not, a few.
        count: from 1.
        known_least: what `count` of these images are known to score at least; -inf where that is not known.
    """
    images, parts, one = lost[0].shape[0], asked.weights.shape[0], np.float32(1.0)
    captions = numbers.shape[1] > parts
    gamma = np.float32(asked.gamma if captions else 0.0)
    limits, h = _limits(lengths, gamma), one - gamma
    weights, alone = np.zeros(numbers.shape[1], np.float32), np.zeros(parts, np.float32)
    for p in range(parts):
        alone[p] = np.float32(asked.weights[p] * asked.units[p])
        weights[p] = h * alone[p]
        if captions:
            weights[parts + p] = gamma * alone[p]
    length, slack = _length_and_slack(asked)
    most = _most_of_blocks(
        ends, weights, alone, gamma, lengths, limits, most_lost, length, slack, asked.cosine
    )
    least = np.float32(known_least)
    first = _greatest(most, count) if least == -np.inf else np.empty(0, np.int64)
    looked_at = np.zeros(len(most), np.bool_)
    best, of = np.full(count, -np.inf, np.float32), np.empty(count, np.int64)  # a heap, the least one first
    total, single, over = np.empty(FEW, np.float32), np.empty(FEW, np.float32), np.empty(FEW, np.float32)
    near, reach, found = np.empty(images, np.int64), np.empty(images, np.float32), 0
    for step in range(len(first) + len(most)):
        block = first[step] if step < len(first) else step - len(first)
        if most[block] < least or looked_at[block]:
            continue
        looked_at[block] = True
        start, places = block * FEW, lengths.order[block * FEW : block * FEW + FEW]
        _weigh_block(total, numbers[block], weights)
        off = slack + length * (h * most_lost[0][block] + gamma * most_lost[1][block])
        if not asked.cosine:
            _weigh_block(single, numbers[block], alone)
            off = slack + length * max(most_lost[0][block], most_lost[1][block])
            _compare_dots(over, total, single, lengths.captioned[places], off, least)
        elif least > 0.0:
            _compare(over, total, lengths.cross[block, 0], lengths.cross[block, 1], limits, off, least)
        else:
            over[:] = 0.0
        for i, place in enumerate(places):
            if over[i] < 0.0:
                continue
            if (among.shape[0] and not among[place]) or _is_in(left_out, place):
                continue
            g = gamma if lengths.captioned[place] else np.float32(0.0)
            score = total[i] if g > 0.0 else _weigh_one(numbers[block], alone, i)
            much = slack + length * ((one - g) * lost[0][start + i] + g * lost[1][start + i])
            squared, unsure = _squared(lengths.cross[block], i, g, limits, lengths.off, asked.cosine)
            low, high = _bounds(score, much, squared, unsure)
            if high >= least:
                near[found], reach[found] = place, high
                found += 1
            if low > best[0]:
                _replace_least(best, of, low, place)
                least = max(least, best[0])
    return np.sort(near[:found][reach[:found] >= least])


@compiled
def best_again(
    known: NDArray[np.int64],
    dots: Floats64,
    length: float,
    numbers: NDArray[np.int16],
    ends: Extremes,
    asked: Asked,
    lengths: Lengths,
    lost: tuple[Floats32, Floats32],
    most_lost: tuple[Floats32, Floats32],
    among: NDArray[np.bool_],
    left_out: NDArray[np.int64],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats64]:
    """The images that may be among the `count` best; and these best with their scores, see `best_known`.

    What images that are known exactly score is what the others have to reach. Args: see `best_known` and `best_by_bounds`.
    """
    weights, gamma = asked.weights, asked.gamma
    scores = _exact_scores(np.arange(len(known)), known, dots, weights, length, gamma, lengths)
    best, of = np.full(count, -np.inf), np.empty(count, np.int64)
    for i, place in enumerate(known):
        if scores[i] > best[0] and not (among.shape[0] and not among[place]) and not _is_in(left_out, place):
            _replace_least(best, of, scores[i], place)
    least = best[0] * (length if length else 1.0)  # `best_by_bounds` divides by no length of the query
    least -= abs(least) * 1e-6 + 1e-9  # which it has in float32
    near = best_by_bounds(numbers, ends, asked, lengths, lost, most_lost, among, left_out, count, least)
    found, its_scores = best_known(near, known, dots, weights, length, gamma, lengths, count)
    return near, found, its_scores


@compiled
def best_known(
    near: NDArray[np.int64],
    known: NDArray[np.int64],
    dots: Floats64,
    weights: Floats64,
    length: float,
    gamma: float,
    lengths: Lengths,
    count: int,
) -> tuple[NDArray[np.int64], Floats64]:
    """The `count` best of some images and their scores by Eq. 10, best first; none where not all of them are known.

    Args:
        near: (N,) their places, ascending.
        known: (M,) the places, ascending, of which there are ...
        dots: ... (2, M, P) exact dot products of both sides with the rows of the query.
        weights: (P,) of these rows.
        length: of their weighted sum; 0 where scores are not divided by lengths.
        gamma: what captions count for.
        lengths: of the images.
        count: from 1; equal scores come in the order of the places.
    """
    at = np.searchsorted(known, near)
    for i, place in enumerate(near):
        if at[i] == len(known) or known[at[i]] != place:
            return near[:0], np.empty(0)
    scores = _exact_scores(at, known, dots, weights, length, gamma, lengths)
    order = np.argsort(-scores, kind="mergesort")[:count]
    return near[order], scores[order]


@compiled
def _exact_scores(
    at: NDArray[np.int64],
    known: NDArray[np.int64],
    dots: Floats64,
    weights: Floats64,
    length: float,
    gamma: float,
    lengths: Lengths,
) -> Floats64:
    """(N,) scores by Eq. 10 of some of the images that are known. Args: see `best_known`."""
    scores = np.empty(len(at))
    for i, j in enumerate(at):
        place = known[j]
        g = gamma if lengths.captioned[place] else 0.0
        a, b = 0.0, 0.0
        for p in range(len(weights)):
            a += dots[0, j, p] * weights[p]
            b += dots[1, j, p] * weights[p]
        scores[i] = (1.0 - g) * a + g * b
        if length:
            squared = (
                (1.0 - g) ** 2 * lengths.norms[0, place]
                + 2.0 * g * (1.0 - g) * lengths.norms[1, place]
                + g**2 * lengths.norms[2, place]
            )
            over = np.sqrt(max(squared, 0.0)) * length
            scores[i] = scores[i] / over if over > 1e-12 else 0.0
    return scores


@compiled
def _length_and_slack(asked: Asked) -> tuple[np.float32, np.float32]:
    """What the weighted sum of the query's rows is at most as long as, its rounding counted in; and its `slack`."""
    squared, most, slack = 0.0, 0.0, 0.0
    for p in range(len(asked.weights)):
        slack += abs(asked.weights[p]) * asked.slack[p]
        most += abs(asked.weights[p]) * np.sqrt(asked.gram[p, p])
        for o in range(len(asked.weights)):
            squared += asked.weights[p] * asked.weights[o] * asked.gram[p, o]
    return np.float32(np.sqrt(max(squared, 0.0) + 1e-12 * most * most)), np.float32(slack)


@compiled
def _is_in(places: NDArray[np.int64], place: int) -> bool:
    found = False
    for one in places:
        found |= one == place
    return found


@compiled
def _most_of_blocks(
    ends: Extremes,
    weights: Floats32,
    alone: Floats32,
    gamma: np.float32,
    lengths: Lengths,
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
    most_lost: tuple[Floats32, Floats32],
    length: np.float32,
    slack: np.float32,
    cosine: bool,
) -> Floats32:
    """(B,) what no image of a block scores more than; 0 where all may score less than that. Args: see `best_by_bounds`."""
    one = np.float32(1.0)
    both, single = _greatest_sums(ends.both, weights), _greatest_sums(ends.alone, alone)
    _add_lost(both, most_lost[0], most_lost[1], length * (one - gamma), length * gamma, slack)
    _add_lost(single, most_lost[0], most_lost[1], length, np.float32(0.0), slack)
    if cosine:
        _divide_by_least(both, lengths.least[0], lengths.least[1], limits)
        shortest = one - lengths.off - np.float32(2e-6)
        _divide(single, shortest)
    _take_greater(both, single)
    return both


@compiled
def _greatest_sums(ends: NDArray[np.int16], weights: Floats32) -> Floats32:
    """(B,) what a weighted sum (P,) of numbers between these ends (2, P, B) may be at most."""
    total = np.zeros(ends.shape[2], np.float32)
    for p in range(ends.shape[1]):
        _add(total, ends[1 if weights[p] > 0 else 0, p], weights[p])
    return total


@compiled
def _greatest(numbers: Floats32, count: int) -> NDArray[np.int64]:
    """Where the `count` greatest numbers are, or all of them."""
    found, of = (
        np.full(min(count, len(numbers)), -np.inf, np.float32),
        np.zeros(min(count, len(numbers)), np.int64),
    )
    for i in range(len(numbers)):
        if numbers[i] > found[0]:
            _replace_least(found, of, numbers[i], i)
    return of


class Seen(NamedTuple):
    """One side of K images as int8, and a query to it.

    Attributes:
        codes, scales, lost: (K, N), (K,) and (K,), see `quantise`.
        query: (N,)
        step, base: the dot product is base + step * scale * (codes . query) ...
        length: ... and off by at most length * lost.
    """

    codes: NDArray[np.int8]
    scales: Floats32
    lost: Floats32
    query: NDArray[np.int16]
    step: np.float32
    base: np.float32
    length: np.float32


class Heads(NamedTuple):
    """The heads of K images in blocks of FEW, and a query to them.

    Attributes:
        first, rest: (B, M, FEW) and (B, N - M, FEW) whole numbers: what images are along the main directions, and along the others.
        scales: (B,) what 1 stands for.
        longest: (3, B) how long the rest of a head is at most, and of each side what is in no head.
        captioned, alone: (B,) whether there are images with captions, and without.
        query: (N,)
        step: the numerator of the score is step * scale * (numbers . query) ...
        bases: ... and the first of these, and the second where there are captions ...
        lengths: (3,) ... and off by at most these times `longest`, the first where only `first` is known ...
        slack: ... and by that.
    """

    first: NDArray[np.int8]
    rest: NDArray[np.int8]
    scales: Floats32
    longest: Floats32
    captioned: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    query: NDArray[np.int16]
    step: np.float32
    bases: tuple[np.float32, np.float32]
    lengths: tuple[np.float32, np.float32, np.float32]
    slack: np.float32


@compiled
def quantise_heads(
    rows: Floats32,
    block: int,
    first: NDArray[np.int8],
    rest: NDArray[np.int8],
    scales: Floats32,
    longest: Floats32,
) -> np.float32:
    """Fill in what `Heads` has of the rows (FEW or fewer, N) of a block, and say the greatest length that is lost of one."""
    most, main = 0.0, first.shape[1]
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            most = max(most, abs(np.float64(rows[i, j])))
    scales[block] = most / 127.0
    scale = np.float64(scales[block])
    inverse = 1.0 / scale if scale > 0.0 else 0.0
    most_lost, most_rest = 0.0, 0.0
    for i in range(rows.shape[0]):
        lost, apart = 0.0, 0.0
        for j in range(rows.shape[1]):
            code = min(127.0, max(-127.0, np.rint(np.float64(rows[i, j]) * inverse)))
            lost += (np.float64(rows[i, j]) - scale * code) ** 2
            if j < main:
                first[block, j, i] = np.int8(code)
            else:
                rest[block, j - main, i] = np.int8(code)
                apart += (scale * code) ** 2
        most_lost, most_rest = max(most_lost, lost), max(most_rest, apart)
    longest[0, block] = np.sqrt(most_rest) * 1.000001  # rounded up, as the other is
    return np.float32(np.sqrt(most_lost) * 1.000001)


@compiled
def best_by_heads(
    heads: Heads,
    image: Seen,
    captions: Seen,
    gamma: np.float32,
    lengths: Lengths,
    slack: np.float32,
    cosine: bool,
    among: NDArray[np.bool_],
    count: int,
) -> tuple[NDArray[np.int64], Floats32]:
    """The images, in their order, that may be among the `count` best, and what they score at most.

    Blocks of FEW images are left out by the first numbers of their heads, images by their whole heads, and others by their
    whole rows. The blocks that may hold the best are looked at first: what these have at least leaves out most others.
    Where scores are not divided by lengths, all images have to have captions. Args: see `best_by_bounds`, and

    Args:
        slack: what scores are off by beside what rows have lost.
    """
    limits = _limits(lengths, gamma)
    most = _most_of_heads(heads, lengths, limits, cosine)
    first, least, looked_at = _greatest(most, count), np.float32(-np.inf), np.zeros(len(most), np.bool_)
    first = first[np.argsort(-most[first])]  # the sooner the least is known, the fewer images are looked at
    best, of = np.full(count, least, np.float32), np.empty(count, np.int64)  # a heap, the least one first
    near, off, dots = np.empty(FEW, np.float32), np.empty(FEW, np.float32), np.empty(FEW, np.int32)
    wanted, has = np.zeros(FEW, np.bool_), np.zeros(FEW, np.bool_)
    images = image.lost.shape[0]
    found, reach, seen = np.empty(images, np.int64), np.empty(images, np.float32), 0
    for step in range(len(first) + len(most)):
        block = first[step] if step < len(first) else step - len(first)
        if most[block] < least or looked_at[block]:
            continue
        looked_at[block] = True
        places = lengths.order[block * FEW : block * FEW + FEW]
        _look_at_heads(near, off, dots, heads, block, lengths, places, limits, cosine)
        wanted[:] = False  # the last block may have fewer images
        for i, place in enumerate(places):
            wanted[i] = near[i] + off[i] >= least and not (among.shape[0] and not among[place])
            has[i] = lengths.captioned[place] if heads.alone[block] else True
        _look_at_rows(near, off, wanted, has, block * FEW, image, captions, gamma, slack)
        for i, place in enumerate(places):
            if not wanted[i]:
                continue
            g = gamma if has[i] else np.float32(0.0)
            squared, unsure = _squared(lengths.cross[block], i, g, limits, lengths.off, cosine)
            low, high = _bounds(near[i], off[i], squared, unsure)
            found[seen], reach[seen] = place, high
            seen += 1
            if low > best[0]:
                _replace_least(best, of, low, place)
                least = max(least, best[0])
    left = np.flatnonzero(reach[:seen] >= least)
    left = left[np.argsort(found[left])]
    return found[left], reach[left]


@compiled
def _most_of_heads(
    heads: Heads,
    lengths: Lengths,
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
    cosine: bool,
) -> Floats32:
    """(B,) what no image of a block scores more than; 0 where all may score less than that."""
    none, dots = np.float32(-np.inf), np.empty(FEW, np.int32)
    both, single = np.empty(len(heads.scales), np.float32), np.empty(len(heads.scales), np.float32)
    for block in range(len(both)):
        dots[:] = 0
        _add_dots(dots, heads.first[block], heads.query)
        near = heads.bases[0] + heads.step * heads.scales[block] * np.float32(_most(dots))
        for side in range(3):
            near += heads.lengths[side] * heads.longest[side, block]
        both[block] = near + heads.slack + heads.bases[1] if heads.captioned[block] else none
        single[block] = near + heads.slack if heads.alone[block] else none
    if cosine:
        _divide_by_least(both, lengths.least[0], lengths.least[1], limits)
        _divide(single, limits[0] - limits[3])
    _take_greater(both, single)
    return both


@compiled
def _look_at_heads(
    near: Floats32,
    off: Floats32,
    dots: NDArray[np.int32],
    heads: Heads,
    block: int,
    lengths: Lengths,
    places: NDArray[np.int32],
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
    cosine: bool,
) -> None:
    """Fill in what the images of a block score nearly, and what that is off by."""
    main, unit = heads.first.shape[1], heads.step * heads.scales[block]
    dots[:] = 0
    _add_dots(dots, heads.first[block], heads.query)
    _add_dots(dots, heads.rest[block], heads.query[main:])
    base = heads.bases[0] + (heads.bases[1] if heads.captioned[block] else np.float32(0.0))
    for i in range(FEW):
        near[i] = base + unit * np.float32(dots[i])
    if heads.captioned[block] and heads.alone[block]:
        for i, place in enumerate(places):
            near[i] -= np.float32(0.0) if lengths.captioned[place] else heads.bases[1]
    off[:] = (
        heads.lengths[1] * heads.longest[1, block] + heads.lengths[2] * heads.longest[2, block] + heads.slack
    )
    if cosine:
        _divide_roughly(near, off, lengths.cross[block, 0], lengths.cross[block, 1], limits)


@compiled
def _add_dots(dots: NDArray[np.int32], numbers: NDArray[np.int8], query: NDArray[np.int16]) -> None:
    """Add the dot products of FEW images (N, FEW) with a query (N or more,)."""
    for j in range(numbers.shape[0]):
        weight = np.int32(query[j])
        for i in range(FEW):
            dots[i] = np.int32(dots[i] + weight * np.int32(numbers[j, i]))


@compiled
def _most(numbers: NDArray[np.int32]) -> np.int32:
    most = numbers[0]
    for i in range(FEW):
        most = max(most, numbers[i])
    return most


@compiled
def _look_at_rows(
    near: Floats32,
    off: Floats32,
    wanted: NDArray[np.bool_],
    has: NDArray[np.bool_],
    start: int,
    image: Seen,
    captions: Seen,
    gamma: np.float32,
    slack: np.float32,
) -> None:
    """Fill in what some images of a block score nearly, not divided, and what that is off by: those with captions, and without.

    A block at once, as a call with all these arrays takes longer than an image.
    """
    for i in range(FEW):
        if wanted[i]:
            at, g = start + i, gamma if has[i] else np.float32(0.0)
            near[i] = (1 - g) * _dot_at(image, at)
            off[i] = slack + (1 - g) * image.length * image.lost[at]
            if g > 0.0:
                near[i] += g * _dot_at(captions, at)
                off[i] += g * captions.length * captions.lost[at]


@compiled
def _dot_at(side: Seen, place: int) -> np.float32:
    total, codes, query = np.int32(0), side.codes, side.query
    for j in range(query.shape[0]):
        total = np.int32(total + np.int32(codes[place, j]) * np.int32(query[j]))
    return side.base + side.step * side.scales[place] * np.float32(total)


@compiled
def _squared(
    cross: NDArray[np.int16],
    i: int,
    g: np.float32,
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
    off: np.float32,
    cosine: bool,
) -> tuple[np.float32, np.float32]:
    """The square of what the score of an image of a block is divided by, and what that is off by."""
    squared, unsure = np.float32(1.0), np.float32(0.0)
    if cosine and g > 0.0:
        squared = limits[0] + limits[1] * np.float32(cross[0, i]) + limits[2] * np.float32(cross[1, i])
        unsure = limits[3]
    elif cosine:
        unsure = off + np.float32(2e-6)
    return squared, unsure


@compiled
def _bounds(
    score: np.float32, off: np.float32, squared: np.float32, unsure: np.float32
) -> tuple[np.float32, np.float32]:
    """The least and the most that an image scores, over its length."""
    one, short, huge = np.float32(1.0), np.float32(0.002), np.float32(1e30)
    inverse = one / np.sqrt(short if squared < short else squared)
    unsure *= inverse * inverse
    score *= inverse
    off = off * inverse * (one + unsure) + abs(score) * unsure
    off = huge if squared < short else off  # float32 does not know its length
    return score - off, score + off


@compiled
def _limits(lengths: Lengths, gamma: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """What the square of a length is roughly: the first, and the next two times `cross`; off by at most the last."""
    one, two, half = np.float32(1.0), np.float32(2.0), np.float32(0.5)
    g, h, units = gamma, one - gamma, lengths.units
    off = (two * h * g + g * g) * half * units + h * h * lengths.off + np.float32(2e-6)
    return h * h, two * h * g * units, g * g * units, off


# Loops over a block. Each touches few arrays, so that the compiler sees that these are different ones.


@compiled
def _weigh_block(total: Floats32, numbers: NDArray[np.int16], weights: Floats32) -> None:
    """The weighted sum of the first rows of a block (P or more, FEW)."""
    _scale(total, numbers[0], weights[0])
    for p in range(1, len(weights)):
        _add(total, numbers[p], weights[p])


@compiled
def _weigh_one(numbers: NDArray[np.int16], weights: Floats32, at: int) -> np.float32:
    """The same of one image."""
    total = np.float32(0.0)
    for p in range(len(weights)):
        total += weights[p] * np.float32(numbers[p, at])
    return total


@compiled
def _compare(
    over: Floats32,
    scores: Floats32,
    tv_tc: NDArray[np.int16],
    tc_tc: NDArray[np.int16],
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
    off: np.float32,
    least: np.float32,
) -> None:
    """Which scores may reach a least one above 0 once they are divided: these are not below 0 in `over`.

    Squares are compared, a little too generously, so that no root is taken. An image without captions has t_c = 0 here,
    and the length 1 - g: numerator and length are both 1 - g times what they are.
    """
    zero, more, short = np.float32(0.0), np.float32(1.003), np.float32(0.002)
    squared = least * least
    for i in range(FEW):
        length = limits[0] + limits[1] * np.float32(tv_tc[i]) + limits[2] * np.float32(tc_tc[i])
        most = off + (scores[i] if scores[i] > zero else zero)
        beyond = more * most * most - squared * (length - limits[3])
        over[i] = zero if length < short else beyond


@compiled
def _compare_dots(
    over: Floats32,
    both: Floats32,
    single: Floats32,
    has: NDArray[np.bool_],
    off: np.float32,
    least: np.float32,
) -> None:
    """The same where scores are not divided."""
    for i in range(has.shape[0]):
        score = both[i] if has[i] else single[i]
        over[i] = score + off * np.float32(1.00001) + np.float32(1e-6) - least


@compiled
def _add_lost(
    total: Floats32,
    image: Floats32,
    captions: Floats32,
    one: np.float32,
    other: np.float32,
    slack: np.float32,
) -> None:
    for i in range(total.shape[0]):
        total[i] += one * image[i] + other * captions[i] + slack


@compiled
def _divide_by_least(
    most: Floats32,
    tv_tc: NDArray[np.int16],
    tc_tc: NDArray[np.int16],
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
) -> None:
    """What blocks score at most, over the least lengths of their images."""
    zero, short, huge = np.float32(0.0), np.float32(0.002), np.float32(1e30)
    for i in range(most.shape[0]):
        squared = limits[0] + limits[1] * np.float32(tv_tc[i]) + limits[2] * np.float32(tc_tc[i]) - limits[3]
        score = most[i] if most[i] > zero else zero
        divided = score / np.sqrt(short if squared < short else squared)
        most[i] = huge if squared < short else divided


@compiled
def _divide(most: Floats32, squared: np.float32) -> None:
    """The same where all these lengths are alike."""
    zero, short = np.float32(0.0), np.float32(0.002)
    inverse = np.float32(1.0) / np.sqrt(short if squared < short else squared)
    least = np.float32(1e30) if squared < short else zero
    for i in range(most.shape[0]):
        most[i] = (most[i] if most[i] > zero else zero) * inverse + least


@compiled
def _take_greater(numbers: Floats32, others: Floats32) -> None:
    """The greater one of each two, and what float32 may be off by."""
    for i in range(numbers.shape[0]):
        most = numbers[i] if numbers[i] > others[i] else others[i]
        numbers[i] = most + abs(most) * np.float32(0.002) + np.float32(2e-6)


@compiled
def _divide_roughly(
    scores: Floats32,
    off: Floats32,
    tv_tc: NDArray[np.int16],
    tc_tc: NDArray[np.int16],
    limits: tuple[np.float32, np.float32, np.float32, np.float32],
) -> None:
    """Scores, and what they are off by, over the lengths of the images; see `_compare`."""
    one, short, huge = np.float32(1.0), np.float32(0.002), np.float32(1e30)
    for i in range(tv_tc.shape[0]):
        length = limits[0] + limits[1] * np.float32(tv_tc[i]) + limits[2] * np.float32(tc_tc[i])
        inverse = one / np.sqrt(short if length < short else length)
        more = inverse * (one + limits[3] * inverse * inverse)
        scores[i] *= inverse
        off[i] = off[i] * more + abs(scores[i]) * limits[3] * inverse * inverse
        if length < short:
            off[i] = huge


@compiled
def _scale(total: Floats32, numbers: NDArray[np.int16], weight: np.float32) -> None:
    for i in range(numbers.shape[0]):
        total[i] = weight * np.float32(numbers[i])


@compiled
def _add(total: Floats32, numbers: NDArray[np.int16], weight: np.float32) -> None:
    for i in range(numbers.shape[0]):
        total[i] += weight * np.float32(numbers[i])


@compiled
def _replace_least(heap: Floats32, of: NDArray[np.int64], value: np.float32, place: int) -> None:
    """Put a number in the place of the least one of a heap, and what it is of beside it."""
    at = 0
    while 2 * at + 1 < heap.shape[0]:
        child = 2 * at + 1
        if child + 1 < heap.shape[0] and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[at], of[at] = heap[child], of[child]
        at = child
    heap[at], of[at] = value, place


@compiled
def count_better(
    image: Floats32,
    captions: Floats32,
    norms: Floats64,
    gammas: Floats64,
    weights: Floats64,
    targets: NDArray[np.int64],
    hidden: NDArray[np.bool_],
    out: NDArray[np.int64],
) -> None:
    """Count the images that come before each of T images under each of S weights of the P rows of a query.

    Args:
        image, captions: (P, K) dot products.
        norms: (3, K) |t_v|^2, t_v . t_c, |t_c|^2.
        gammas: (K,) what captions count for.
        weights: (S, P)
        targets: (T,) places.
        hidden: (K,) which images are not counted.
        out: (T, S) is filled in. Equal scores come in the order of the places.
    """
    parts, images = image.shape
    mixed, scores = np.empty((parts, BLOCK)), np.empty(BLOCK)
    least = np.empty(out.shape)
    for t in range(len(targets)):
        at = slice(targets[t], targets[t] + 1)
        _mix_parts(mixed, image[:, at], captions[:, at], norms[:, at], gammas[at])
        for s in range(len(weights)):
            _weigh(scores[:1], mixed, weights[s])
            least[t, s] = scores[0]
    out[:] = 0
    for start in range(0, images, BLOCK):
        size = min(BLOCK, images - start)
        at = slice(start, start + size)
        _mix_parts(mixed, image[:, at], captions[:, at], norms[:, at], gammas[at])
        for i in range(size):
            if hidden[start + i]:
                mixed[0, i] = np.nan  # before nothing
        for s in range(len(weights)):
            _weigh(scores[:size], mixed, weights[s])
            for t in range(len(targets)):
                before = min(max(targets[t] - start, 0), size)
                out[t, s] += _at_least(scores[:before], least[t, s]) + _above(
                    scores[before:size], least[t, s]
                )


@compiled
def _mix_parts(
    mixed: Floats64, image: Floats32, captions: Floats32, norms: Floats64, gammas: Floats64
) -> None:
    """Of each row of a query, (1 - g) a + g b over the lengths of the images."""
    for p in range(image.shape[0]):
        _mix_part(mixed[p], image[p], captions[p], norms[0], norms[1], norms[2], gammas)


@compiled
def _mix_part(
    out: Floats64,
    a: Floats32,
    b: Floats32,
    tv_tv: Floats64,
    tv_tc: Floats64,
    tc_tc: Floats64,
    gammas: Floats64,
) -> None:
    for i in range(a.shape[0]):
        g = gammas[i]
        h = 1.0 - g
        squared = h * h * tv_tv[i] + 2.0 * g * h * tv_tc[i] + g * g * tc_tc[i]
        out[i] = (h * a[i] + g * b[i]) / np.sqrt(squared) if squared > 1e-24 else 0.0


@compiled
def _weigh(scores: Floats64, mixed: Floats64, weights: Floats64) -> None:
    first, weight = mixed[0], weights[0]
    for i in range(scores.shape[0]):
        scores[i] = weight * first[i]
    for p in range(1, mixed.shape[0]):
        part, weight = mixed[p], weights[p]
        for i in range(scores.shape[0]):
            scores[i] += weight * part[i]


@compiled
def _above(numbers: Floats64, least: np.float64) -> int:
    found = 0
    for i in range(numbers.shape[0]):
        found += numbers[i] > least
    return found


@compiled
def _at_least(numbers: Floats64, least: np.float64) -> int:
    found = 0
    for i in range(numbers.shape[0]):
        found += numbers[i] >= least
    return found


def compile_ahead() -> None:
    """Compile now what nobody has called yet, so that the first map of weights does not wait for it."""
    one, dots = np.ones((3, 1)), np.ones((1, 1), np.float32)
    first, none = np.zeros(1, np.int64), np.zeros(1, np.bool_)
    count_better(dots, dots, one, one[0], one[:1], first, none, np.empty((1, 1), np.int64))
