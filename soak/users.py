"""Many visitors at once: each uploads a picture, asks its own question, and has to get its own answer.

Half of the campaign are programs (`/search`), half are pages. The pages' first results have to be there while the
language model answers nobody; after that, all want it at the same time.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fakes import COLOURS, SHAPES
from served import Served, picture_bytes

from soak.visitor import PATIENCE, Visitor

WEIGHTS = {"alpha": 0.6, "beta": 0.4, "gamma": 0.2, "k": 3}
FIRST_SECONDS = 300.0  # until all have first results
_BEFORE = re.compile(r"(\d+) before you")


@dataclass
class Outcome:
    """How a campaign went.

    Attributes:
        first: visitors with first results that were right.
        own: visitors with their own right answers.
        furthest: the highest "before you" that anybody was told.
        wrong: what was wrong with the others.
    """

    first: int = 0
    own: int = 0
    furthest: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Question:
    """What a visitor sees, and asks for."""

    number: int

    @property
    def shape(self) -> str:
        """Of the picture, and of what is to be found."""
        return SHAPES[self.number % len(SHAPES)]

    @property
    def seen(self) -> str:
        """The colour of the picture."""
        return list(COLOURS)[self.number % 4]

    @property
    def asked(self) -> str:
        """The colour that is asked for."""
        return list(COLOURS)[(self.number // 4 + 1 + self.number) % 4]

    @property
    def text(self) -> str:
        """The edit, with the visitor's number."""
        return f"{self.asked} for user {self.number}"

    @property
    def picture(self) -> bytes:
        """The reference."""
        return picture_bytes(self.seen, self.shape)


def campaign(visitors: int, served: Served) -> Outcome:
    """Let so many programs, and then so many pages, search all at once."""
    begun, outcome = time.monotonic(), Outcome()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(visitors) as pool:
        list(pool.map(lambda n: _call(Question(n), served, Path(folder), outcome), range(visitors)))
    asyncio.run(_open_pages(visitors, served, outcome))
    outcome.seconds = time.monotonic() - begun
    return outcome


def _call(question: Question, served: Served, folder: Path, outcome: Outcome) -> None:
    """One program: search, and rank again."""
    from gradio_client import handle_file

    picture = folder / f"{question.number}.png"
    picture.write_bytes(question.picture)
    try:
        program = served.client()
        job = program.submit(
            image=handle_file(str(picture)), text=question.text, **WEIGHTS, api_name="/search"
        )
        found = job.result(timeout=FIRST_SECONDS)
        again = program.predict(**{**WEIGHTS, "alpha": 0.0, "beta": 0.0}, api_name="/rank")
        first = job.outputs()[0]
    except Exception as error:
        outcome.wrong.append(f"program {question.number}: {error}")
        return
    told = [int(n) for answer in job.outputs() for n in _BEFORE.findall(answer["pending"])]
    labels = [answer["results"][0]["label"] for answer in (first, found, again)]
    _count(outcome, question, "program", first["results"], labels[:2], str(found["trace"]), told)
    if labels[2] != f"{question.seen}-{question.shape}.jpg":
        outcome.wrong.append(f"program {question.number} ranked again and got {labels[2]}")


async def _open_pages(visitors: int, served: Served, outcome: Outcome) -> None:
    """So many pages, whose model answers when all have first results."""
    there, model = [0], served.model
    async with httpx.AsyncClient(
        base_url=served.url, timeout=PATIENCE, limits=httpx.Limits(max_connections=None)
    ) as http:
        model.free.clear()
        visits = [
            asyncio.create_task(_look(Question(n), Visitor(http), there, outcome)) for n in range(visitors)
        ]
        deadline = time.monotonic() + FIRST_SECONDS
        while there[0] < visitors and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        if there[0] < visitors:
            outcome.wrong.append(f"first results on {there[0]} of {visitors} pages")
        await asyncio.sleep(2.0)  # so that the places in the line are told
        model.free.set()
        await asyncio.gather(*visits)


async def _look(question: Question, page: Visitor, there: list[int], outcome: Outcome) -> None:
    """One page: upload, type, click, and wait for the whole answer."""
    first: list[Any] = []

    async def watch() -> None:
        while not (shown := page.value("results")):
            await asyncio.sleep(0.05)
        first.append(shown)
        there[0] += 1

    try:
        await page.open()
        async with page.staying():
            await page.set("reference", await page.upload(question.picture))
            await page.set("edit", question.text)
            watching = asyncio.create_task(watch())
            await page.act("search", "click")
            await asyncio.wait_for(watching, 10)
            await page.pictures("results")
    except Exception as error:
        outcome.wrong.append(f"page {question.number}: {type(error).__name__} {error}")
        return
    told = [int(n) for said in page.told for n in _BEFORE.findall(said)]
    files = [
        re.findall(r'class="file" title="([^"]+)"', shown) for shown in (first[0], page.value("results"))
    ]
    labels = [found[0] if found else "nothing" for found in files]
    _count(outcome, question, "page", first, labels, str(page.value("trace")), told)


def _count(
    outcome: Outcome,
    question: Question,
    who: str,
    first: object,
    labels: list[str],
    said: str,
    told: list[int],
) -> None:
    """Count one visitor: the best of the first and of the last results, and whose question was answered."""
    wanted = f"{question.asked}-{question.shape}.jpg"
    outcome.furthest = max(outcome.furthest, *told, 0)
    outcome.first += bool(first) and labels[0] == wanted
    tags = set(re.findall(r"user (\d+)", said))
    if labels != [wanted, wanted] or tags != {str(question.number)}:
        outcome.wrong.append(f"{who} {question.number} asked for {wanted} and got {labels} for {tags}")
    else:
        outcome.own += 1
