"""Lines of visitors: who came first is served first, who waits is told his place and holds no thread, who goes leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing

import pytest

from cir.ui.server import waiting
from cir.ui.server.waiting import Lines, Waiting, WaitingLine


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch):
    monkeypatch.setattr(waiting, "TELL_SECONDS", 0.01)


def search(model: threading.Semaphore, served: list[str], name: str) -> Iterator[tuple[str, bool]]:
    """Steps of a search: one quick, and one that needs the model, which answers when the test lets it."""
    yield f"{name}: first", True
    model.acquire()
    served.append(name)
    yield f"{name}: whole", False


async def visit(
    lines: Lines, steps: Iterator[tuple[str, bool]], seen: list, wanted: Callable[[], bool] = lambda: True
) -> None:
    async with aclosing(lines.in_turn(steps, wanted)) as came:  # type: ignore[arg-type]
        async for one in came:
            seen.append(one)


async def until(happened: Callable[[], bool]) -> None:
    while not happened():
        await asyncio.sleep(0.005)


def places(seen: list) -> list[int]:
    return [one.before for one in seen if isinstance(one, Waiting)]


def test_all_of_a_hundred_have_their_first_results_while_the_model_answers_nobody():
    model, served = threading.Semaphore(0), []
    names = [f"visitor {number}" for number in range(100)]
    seen: dict[str, list] = {name: [] for name in names}

    async def all_at_once() -> int:
        lines = Lines()
        before = threading.active_count()
        visits = [asyncio.create_task(visit(lines, search(model, served, n), seen[n])) for n in names]
        await until(lambda: all(f"{n}: first" in seen[n] for n in names) and len(places(seen[names[-1]])) > 0)
        assert served == []
        threads = threading.active_count() - before
        model.release(100)
        await asyncio.gather(*visits)
        assert len(lines.quick) == len(lines.costly) == 0
        return threads

    threads = asyncio.run(all_at_once())
    assert threads <= 10
    assert sorted(served) == sorted(names)
    assert {name: seen[name][-1] for name in names} == {name: f"{name}: whole" for name in names}


def test_one_is_told_ones_place_and_served_in_the_order_of_arrival():
    model, served = threading.Semaphore(0), []
    names = ["first", "second", "third", "fourth"]
    seen: dict[str, list] = {name: [] for name in names}

    async def one_after_the_other() -> None:
        lines = Lines(costly=WaitingLine(1))
        visits = []
        for name in names:
            visits.append(asyncio.create_task(visit(lines, search(model, served, name), seen[name])))
            await until(lambda: len(lines.costly) == len(visits))
        await until(lambda: places(seen["fourth"]) == [3])
        for place in (2, 1):
            model.release()
            await until(lambda place=place: places(seen["fourth"])[-1] == place)
        model.release(2)
        await asyncio.gather(*visits)

    asyncio.run(one_after_the_other())
    assert served == names
    assert places(seen["first"]) == []
    assert places(seen["fourth"])[0] == 3
    assert places(seen["fourth"])[-1] == 0
    assert seen["fourth"].index(Waiting(0)) == len(seen["fourth"]) - 2  # told before the model is asked


def test_who_went_away_or_asked_anew_leaves_the_line_and_the_model_is_not_asked():
    model, served = threading.Semaphore(0), []
    seen: dict[str, list] = {name: [] for name in ("busy", "gone", "anew", "stays")}
    superseded: list[str] = []

    async def some_leave() -> None:
        lines = Lines(costly=WaitingLine(1))
        visits = {}
        for place, name in enumerate(seen, start=1):
            steps = search(model, served, name)
            wanted = lambda name=name: name not in superseded  # noqa: E731
            visits[name] = asyncio.create_task(visit(lines, steps, seen[name], wanted))
            await until(lambda place=place: len(lines.costly) == place)
        visits["gone"].cancel()
        superseded.append("anew")
        await until(lambda: len(lines.costly) == 2)
        assert visits["anew"].done() or await visits["anew"] is None
        await until(lambda: places(seen["stays"])[-1] == 1)
        model.release(2)
        await asyncio.gather(visits["busy"], visits["stays"])
        assert len(lines.costly) == 0

    asyncio.run(some_leave())
    assert served == ["busy", "stays"]
    assert "anew: whole" not in seen["anew"]
    assert Waiting(0) not in seen["anew"]  # nothing that would stand over the newer search


def test_an_error_in_a_step_comes_out_and_gives_the_place_free():
    def steps() -> Iterator[tuple[str, bool]]:
        yield "first", True
        raise ValueError("no")

    async def fails() -> None:
        lines, seen = Lines(costly=WaitingLine(1)), []
        with pytest.raises(ValueError, match="no"):
            await visit(lines, steps(), seen)
        assert seen == ["first"]
        assert len(lines.quick) == len(lines.costly) == 0

    asyncio.run(fails())
