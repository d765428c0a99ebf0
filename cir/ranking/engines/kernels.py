"""Loops over all images of a gallery, compiled by numba. They hold no lock of Python: others go on meanwhile.

An int8 row stands for `mean + scale * codes`, and is off by at most its residual; see `quantised.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable)
Floats32, Floats64 = NDArray[np.float32], NDArray[np.float64]

_BLOCK = 512  # images whose numbers stay in the nearest cache between two loops
_FIRST = 16  # every 16th block is looked at first
_FEW = 32  # images that are left out at once
# The order of a sum may change, but is the same for every row: equal rows have equal sums to the last bit.
_SUMS = {"reassoc", "nsz"}


def compiled(function: Function) -> Function:
    """The function in machine code, kept beside its module or in the user's cache folder, where one can be written."""
    try:
        made = numba.njit(cache=True, nogil=True, fastmath=_SUMS, error_model="numpy")(function)
    except RuntimeError:  # there is no such folder
        made = numba.njit(nogil=True, fastmath=_SUMS, error_model="numpy")(function)
    return cast(Function, made)


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
) -> None:
    """Fill in (P, K) dot products of the int8 rows with P int16 queries: base + step * scale * (codes . query), rounded."""
    for i in range(codes.shape[0]):
        for p in range(queries.shape[0]):
            total = np.int32(0)
            for j in range(codes.shape[1]):
                total = np.int32(total + np.int32(codes[i, j]) * np.int32(queries[p, j]))
            out[p, i] = np.int16(np.rint(bases[p] + steps[p] * scales[i] * np.float32(total)))


@compiled
def best_by_bounds(
    image: NDArray[np.int16],
    captions: NDArray[np.int16],
    weights: Floats32,
    gamma: np.float32,
    captioned: Floats32,
    norms: Floats32,
    image_residuals: Floats32,
    caption_residuals: Floats32,
    length: np.float32,
    slack: np.float32,
    cosine: bool,
    among: NDArray[np.bool_],
    count: int,
) -> NDArray[np.int64]:
    """The images, in their order, that may be among the `count` best: their scores may reach the least that the last one has.

    Scores are not divided by the length of the query, which changes no order. Some blocks are looked at first: what their
    best have at least tells of most of the others that they need no closer look.

    Args:
        image, captions: (P, K) whole dot products; captions (0, K) where they do not count.
        weights: (P,) of these.
        gamma: what captions count for.
        captioned: (K,) 1 where an image has some, 0 where not.
        norms: (3, K) |t_v|^2, t_v . t_c, |t_c|^2.
        image_residuals, caption_residuals: (K,) what the rows of each side are off by.
        length, slack: of the query; what its dot products are off by beside that.
        cosine: whether scores are divided by the images' lengths.
        among: (K,) which may be found; (0,) for all of them.
        count: from 1.
    """
    images = image.shape[1]
    best, of = np.full(count, -np.inf, np.float32), np.empty(count, np.int64)  # a heap, the least one first
    a, b, off = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    over = np.empty(_BLOCK, np.float32)
    near, reach, found = np.empty(images, np.int64), np.empty(images, np.float32), 0
    for is_first_look in (True, False):
        for start in range(0, images, _BLOCK * _FIRST if is_first_look else _BLOCK):
            at = slice(start, min(start + _BLOCK, images))
            size, has = at.stop - start, captioned[at]
            _scale(a, image[0, at], weights[0])
            for p in range(1, image.shape[0]):
                _add(a, image[p, at], weights[p])
            if captions.shape[0]:
                _scale(b, captions[0, at], weights[0])
                for p in range(1, captions.shape[0]):
                    _add(b, captions[p, at], weights[p])
                _mix(a, b, has, gamma)
            _mix_lost(off, image_residuals[at], caption_residuals[at], has, gamma, length, length, slack)
            tv_tv, tv_tc, tc_tc = norms[0, at], norms[1, at], norms[2, at]
            if cosine:
                _compare(over, a, off, tv_tv, tv_tc, tc_tc, has, gamma, best[0])
            else:
                over[:] = a + off - best[0]
            counts = is_first_look or start % (_BLOCK * _FIRST) != 0  # each of the best once
            for first in range(0, size, _FEW):
                if not _any_over(over, first, min(first + _FEW, size)):
                    continue
                for i in range(first, min(first + _FEW, size)):
                    if over[i] < 0.0 or (among.shape[0] and not among[start + i]):
                        continue
                    score, much = a[i], off[i]
                    if cosine:
                        squared = _squared(tv_tv[i], tv_tc[i], tc_tc[i], gamma * has[i])
                        score, much = _over_length(score, much, squared)
                    if not is_first_look and score + much >= best[0]:
                        near[found], reach[found] = start + i, score + much
                        found += 1
                    if counts and score - much > best[0]:
                        _replace_least(best, of, score - much, start + i)
    return near[:found][reach[:found] >= best[0]]


class Seen(NamedTuple):
    """One side of K images as int8, and a query to it.

    Attributes:
        codes, scales: (K, N) and (K,), see `quantise`.
        lost: (K,) the length of what lies in none of the numbers.
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


@compiled
def most_by_heads(
    image: Seen,
    captions: Seen,
    gamma: np.float32,
    captioned: Floats32,
    norms: Floats32,
    slack: np.float32,
    cosine: bool,
    among: NDArray[np.bool_],
    count: int,
) -> tuple[Floats32, NDArray[np.int64]]:
    """(K,) the most that each image may score, -inf where it may not be found; and those whose nearly known scores are best.

    Args: see `best_by_bounds`.
    """
    images = captioned.shape[0]
    most = np.empty(images, np.float32)
    best, of = np.full(count, -np.inf, np.float32), np.full(count, -1, np.int64)
    a, b, off = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    for start in range(0, images, _BLOCK):
        at = slice(start, min(start + _BLOCK, images))
        size = at.stop - start
        _take_dots(a, image.codes[at], image.scales[at], image.query, image.step, image.base)
        if gamma > 0.0:
            _take_dots(
                b, captions.codes[at], captions.scales[at], captions.query, captions.step, captions.base
            )
            _mix(a, b, captioned[at], gamma)
        _mix_lost(
            off, image.lost[at], captions.lost[at], captioned[at], gamma, image.length, captions.length, slack
        )
        if cosine:
            _divide(a, off, norms[0, at], norms[1, at], norms[2, at], captioned[at], gamma)
        if among.shape[0]:
            for i in range(size):
                if not among[start + i]:
                    a[i] = -np.inf
        for i in range(size):
            most[start + i] = a[i] + off[i]
        if _reach(a[:size], best[0]):
            for i in range(size):
                if a[i] > best[0]:
                    _replace_least(best, of, a[i], start + i)
    return most, of[of >= 0]


@compiled
def bounds_at(
    places: NDArray[np.int64],
    image: Seen,
    captions: Seen,
    gamma: np.float32,
    captioned: Floats32,
    norms: Floats32,
    slack: np.float32,
    cosine: bool,
) -> tuple[Floats32, Floats32]:
    """(N,) what the images at some places score at least and at most. Args: see `best_by_bounds`."""
    a, off = np.empty(len(places), np.float32), np.empty(len(places), np.float32)
    for i, place in enumerate(places):
        at = slice(place, place + 1)
        one, other = a[i : i + 1], np.zeros(1, np.float32)
        _take_dots(one, image.codes[at], image.scales[at], image.query, image.step, image.base)
        if gamma > 0.0:
            _take_dots(
                other, captions.codes[at], captions.scales[at], captions.query, captions.step, captions.base
            )
            _mix(one, other, captioned[at], gamma)
        _mix_lost(
            off[i : i + 1],
            image.lost[at],
            captions.lost[at],
            captioned[at],
            gamma,
            image.length,
            captions.length,
            slack,
        )
        if cosine:
            _divide(one, off[i : i + 1], norms[0, at], norms[1, at], norms[2, at], captioned[at], gamma)
    return a - off, a + off


# Loops over a block. Each touches few arrays, so that the compiler sees that these are different ones.


@compiled
def _take_dots(
    out: Floats32,
    codes: NDArray[np.int8],
    scales: Floats32,
    query: NDArray[np.int16],
    step: np.float32,
    base: np.float32,
) -> None:
    for i in range(codes.shape[0]):
        total = np.int32(0)
        for j in range(codes.shape[1]):
            total = np.int32(total + np.int32(codes[i, j]) * np.int32(query[j]))
        out[i] = base + step * scales[i] * np.float32(total)


@compiled
def _mix(a: Floats32, b: Floats32, has: Floats32, gamma: np.float32) -> None:
    """(1 - g) a + g b, in place of a."""
    for i in range(has.shape[0]):
        g = gamma * has[i]
        a[i] += g * (b[i] - a[i])


@compiled
def _mix_lost(
    off: Floats32,
    image: Floats32,
    captions: Floats32,
    has: Floats32,
    gamma: np.float32,
    image_length: np.float32,
    caption_length: np.float32,
    slack: np.float32,
) -> None:
    for i in range(has.shape[0]):
        g = gamma * has[i]
        lost = image_length * image[i]
        off[i] = lost + g * (caption_length * captions[i] - lost) + slack


@compiled
def _squared(tv_tv: np.float32, tv_tc: np.float32, tc_tc: np.float32, g: np.float32) -> np.float32:
    """Of (1 - g) t_v + g t_c, the square of the length."""
    h = np.float32(1.0) - g
    return h * h * tv_tv + np.float32(2.0) * h * g * tv_tc + g * g * tc_tc


@compiled
def _over_length(score: np.float32, off: np.float32, squared: np.float32) -> tuple[np.float32, np.float32]:
    """A score, and what it is off by, over the length of the image."""
    tiny, huge, rounding = np.float32(1e-4), np.float32(1e30), np.float32(2e-6)
    short = tiny - squared if squared < tiny else np.float32(0.0)  # float32 does not know its length
    inverse = np.float32(1.0) / np.sqrt(tiny if squared < tiny else squared)
    score *= inverse
    return score, off * inverse + abs(score) * rounding * inverse * inverse + short * huge


@compiled
def _divide(
    scores: Floats32,
    off: Floats32,
    tv_tv: Floats32,
    tv_tc: Floats32,
    tc_tc: Floats32,
    has: Floats32,
    gamma: np.float32,
) -> None:
    """Scores, and what they are off by, over the lengths of the images."""
    for i in range(has.shape[0]):
        squared = _squared(tv_tv[i], tv_tc[i], tc_tc[i], gamma * has[i])
        scores[i], off[i] = _over_length(scores[i], off[i], squared)


@compiled
def _compare(
    over: Floats32,
    scores: Floats32,
    off: Floats32,
    tv_tv: Floats32,
    tv_tc: Floats32,
    tc_tc: Floats32,
    has: Floats32,
    gamma: np.float32,
    least: np.float32,
) -> None:
    """Which scores may reach the least one once they are divided: these are not below 0 in `over`.

    Squares are compared, a little too generously: no root is taken.
    """
    if least <= 0.0:
        over[:] = np.float32(0.0)
        return
    tiny, more, rounding, zero = np.float32(1e-4), np.float32(1.0001), np.float32(5e-6), np.float32(0.0)
    for i in range(has.shape[0]):
        squared = _squared(tv_tv[i], tv_tc[i], tc_tc[i], gamma * has[i])
        most = off[i] + (scores[i] if scores[i] > zero else zero)
        beyond = most * most * (more * squared + rounding) - least * least * squared * squared
        over[i] = zero if squared < tiny else beyond


@compiled
def _any_over(over: Floats32, first: int, last: int) -> bool:
    found = np.int32(0)
    for i in range(first, last):
        found += np.int32(over[i] >= np.float32(0.0))
    return found > 0


@compiled
def _reach(numbers: Floats32, least: np.float32) -> np.int32:
    """How many do. Counting needs no branch, so that many are looked at in one instruction."""
    found = np.int32(0)
    for i in range(numbers.shape[0]):
        found += np.int32(numbers[i] >= least)
    return found


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
    mixed, scores = np.empty((parts, _BLOCK)), np.empty(_BLOCK)
    least = np.empty(out.shape)
    for t in range(len(targets)):
        at = slice(targets[t], targets[t] + 1)
        _mix_parts(mixed, image[:, at], captions[:, at], norms[:, at], gammas[at])
        for s in range(len(weights)):
            _weigh(scores[:1], mixed, weights[s])
            least[t, s] = scores[0]
    out[:] = 0
    for start in range(0, images, _BLOCK):
        size = min(_BLOCK, images - start)
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
