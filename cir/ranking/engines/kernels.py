"""Loops over all images of a gallery, compiled by numba. They hold no lock of Python: others go on meanwhile.

An int8 row stands for `mean + scale * codes`, and is off by at most its residual; see `quantised.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable)
Floats32, Floats64 = NDArray[np.float32], NDArray[np.float64]

_BLOCK = 512  # images whose numbers stay in the nearest cache between two loops
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

    Scores are not divided by the length of the query, which changes no order.

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
    images, zero = image.shape[1], np.float32(0.0)
    best = np.full(count, -np.inf, np.float32)  # a heap, the least one first
    a, b = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    off, most = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    near, reach, found = np.empty(images, np.int64), np.empty(images, np.float32), 0
    for start in range(0, images, _BLOCK):
        size = min(_BLOCK, images - start)
        a[:] = zero
        b[:] = zero
        for p in range(image.shape[0]):
            _add(a, image[p, start : start + size], weights[p])
        for p in range(captions.shape[0]):
            _add(b, captions[p, start : start + size], weights[p])
        at = slice(start, start + size)
        _mix(a, b, captioned[at], gamma)
        _mix_lost(off, image_residuals[at], caption_residuals[at], captioned[at], gamma, length, slack)
        if cosine:
            _divide(a, off, norms[0, at], norms[1, at], norms[2, at], captioned[at], gamma)
        for i in range(size):
            most[i] = a[i] + off[i]
            a[i] -= off[i]
        if not _reach(most[:size], best[0]):
            continue
        for i in range(size):
            if most[i] >= best[0] and (not among.shape[0] or among[start + i]):
                near[found], reach[found] = start + i, most[i]
                found += 1
                if a[i] > best[0]:
                    _replace_least(best, a[i])
    return near[:found][reach[:found] >= best[0]]


# Loops over a block. Each touches few arrays, so that the compiler sees that these are different ones.


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
    length: np.float32,
    slack: np.float32,
) -> None:
    for i in range(has.shape[0]):
        g = gamma * has[i]
        off[i] = length * (image[i] + g * (captions[i] - image[i])) + slack


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
    zero, one, two = np.float32(0.0), np.float32(1.0), np.float32(2.0)
    tiny, huge, rounding = np.float32(1e-4), np.float32(1e30), np.float32(2e-6)
    for i in range(has.shape[0]):
        g = gamma * has[i]
        h = one - g
        squared = h * h * tv_tv[i] + two * h * g * tv_tc[i] + g * g * tc_tc[i]
        short = tiny - squared if squared < tiny else zero  # float32 does not know its length
        inverse = one / np.sqrt(tiny if squared < tiny else squared)
        scores[i] *= inverse
        off[i] = off[i] * inverse + abs(scores[i]) * rounding * inverse * inverse + short * huge


@compiled
def _reach(numbers: Floats32, least: np.float32) -> np.int32:
    """How many do. Counting needs no branch, so that many are looked at in one instruction."""
    found = np.int32(0)
    for i in range(numbers.shape[0]):
        found += np.int32(numbers[i] >= least)
    return found


@compiled
def _add(total: Floats32, numbers: NDArray[np.int16], weight: np.float32) -> None:
    for i in range(numbers.shape[0]):
        total[i] += weight * np.float32(numbers[i])


@compiled
def _replace_least(heap: Floats32, value: np.float32) -> None:
    at = 0
    while 2 * at + 1 < heap.shape[0]:
        child = 2 * at + 1
        if child + 1 < heap.shape[0] and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = value


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
