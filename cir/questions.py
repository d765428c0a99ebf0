"""Several questions to one model at once, their answers in the order of the questions.

Whoever is asked says how many it answers at the same time (`at_once`); a model on this machine says nothing and gets
one question after the other, so that none is asked that nobody waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def at_once(model: object) -> int:
    """How many questions a model answers at the same time; 1 where it does not say."""
    return getattr(model, "at_once", 1)


def in_order(
    ask: Callable[[Item], Answer], items: Iterable[Item], places: int
) -> Generator[Answer, None, None]:
    """Answers in the order of the items, up to `places` of them asked for at the same time, in threads.

    Closed or failed, it asks for no more; those under way are not waited for.

    Raises:
        Exception: what `ask` raises, at its place in the order.
    """
    if places < 2:
        yield from map(ask, items)
        return
    pool = ThreadPoolExecutor(places)
    waiting: deque[Future[Answer]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(ask, item))
            if len(waiting) == places:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
