"""A long day of the real page: searches of every kind by visitors who come and go, and the memory that the server holds.

Uploads, picks, methods, weights, comparisons, closer looks, steps, downloads; a new session every few searches.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from served import free_port

from soak import ROOT
from soak.connections import wait_for
from soak.visitor import PATIENCE, Refused, Visitor

WARM_UP = 100  # searches
AT_ONCE = 4  # visitors
LEAST, MOST = 3, 10  # searches of one visitor
MOST_GROWTH = 0.05
METHODS = ("CVSI", "SEARLE", "LinCIR", "Pic2Word", "Slerp", "Sum", "Image-only", "Text-only")
VIEWS = ("look", "save", "link")  # acts that change nothing that was asked
_TILE = re.compile(r'data-id="([^"]+)"')
WORDS = ("at night", "with two of them", "in the snow", "a red one", "without people", "from above")


@dataclass
class Outcome:
    """How a campaign went.

    Attributes:
        searches: that were answered after the warm-up.
        before, after: bytes that the server's processes held, after the warm-up and at the end.
        samples: (searches, bytes) on the way.
        failed: what did not work.
    """

    searches: int = 0
    before: int = 0
    after: int = 0
    samples: list[tuple[int, int]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Share by which the memory grew."""
        return self.after / self.before - 1 if self.before else 0.0


def resident(process: int) -> int:
    """Bytes of memory that a process and its children hold."""
    total, waiting = 0, [process]
    while waiting:
        number = waiting.pop()
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
            total += pages * os.sysconf("SC_PAGE_SIZE")
            for task in Path(f"/proc/{number}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total


def campaign(
    searches: int, arguments: tuple[str, ...] = ("--llm", "none"), tell: Callable[[str], object] = print
) -> Outcome:
    """Start the program and search so often after the warm-up.

    Args:
        searches: how many.
        arguments: for `app.py`.
        tell: takes a line about every hundred searches.
    """
    with tempfile.TemporaryDirectory() as folder:
        port, environment = free_port(), {**os.environ, "GRADIO_TEMP_DIR": folder, "CIR_CACHE": folder}
        command = [sys.executable, "app.py", "--no-browser", "--port", str(port), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        url = f"http://127.0.0.1:{port}/"
        try:
            wait_for(url, process)
            return asyncio.run(_day(url, process.pid, searches, tell))
        finally:
            process.terminate()
            process.wait(60)


async def _day(url: str, process: int, searches: int, tell: Callable[[str], object]) -> Outcome:
    outcome = Outcome()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as http:
        for part, (begun, count) in enumerate(_parts(searches)):
            await _some(http, count, random.Random(part), outcome)
            await asyncio.sleep(2)  # until all who left are gone
            held = resident(process)
            outcome.samples.append((begun + count, held))
            tell(f"{begun + count} searches: {held / 2**20:.0f} MiB, {len(outcome.failed)} failed")
    outcome.before, outcome.after = outcome.samples[0][1], outcome.samples[-1][1]
    outcome.searches = searches
    return outcome


def _parts(searches: int) -> list[tuple[int, int]]:
    """(first, how many): the warm-up, then every hundred."""
    rest = [(WARM_UP + n, min(100, searches - n)) for n in range(0, searches, 100)]
    return [(0, WARM_UP), *rest]


async def _some(http: httpx.AsyncClient, count: int, rng: random.Random, outcome: Outcome) -> None:
    """So many searches, by a few visitors at a time."""
    left = [count]

    async def visitors() -> None:
        while left[0] > 0:
            mine = min(left[0], rng.randint(LEAST, MOST))
            left[0] -= mine
            try:
                await _visit(Visitor(http), mine, random.Random(rng.random()))
            except (Refused, httpx.HTTPError, AssertionError) as error:
                outcome.failed.append(f"{type(error).__name__}: {error}"[:300])

    await asyncio.gather(*(visitors() for _ in range(AT_ONCE)))


async def _visit(page: Visitor, searches: int, rng: random.Random) -> None:
    await page.open()
    async with page.staying():
        for _ in range(searches):
            async with _asked(page, rng):
                await page.pictures("results")
            await _look_around(page, rng)


@contextlib.asynccontextmanager
async def _asked(page: Visitor, rng: random.Random) -> AsyncIterator[None]:
    """One search: of an own picture, a picked one, or words; now and then by another method."""
    kind = rng.choice(("upload", "pick", "pick", "words"))
    if kind == "upload":
        await page.set("reference", await page.upload(_picture(rng), f"{rng.random()}.png"))
        await page.act("reference", "upload")
    elif kind == "pick":
        await page.act("bridge", "view", {"do": "turn", "kind": rng.choice(("next", "shuffle"))})
        picked = rng.choice(_TILE.findall(str(page.value("browse-grid"))))
        gallery = json.loads(page.value("snapshot"))["fields"].get("gallery", "")
        await page.set("reference", {"path": None, "meta": {"picked": picked, "gallery": gallery}})
    else:
        await page.set("reference", None)
        await page.act("reference", "clear")
    await page.set("edit", f"{rng.choice(WORDS)} {rng.randrange(10**6)}")
    if kind != "words" and rng.random() < 0.3:
        await page.set("method", rng.choice(METHODS))
    elif kind == "words":
        await page.set("method", METHODS[0])
    await page.act("search", "click")
    assert "picture" in page.told[-1], page.told[-1]
    yield


async def _look_around(page: Visitor, rng: random.Random) -> None:
    """What one does with an answer."""
    if rng.random() < 0.7:
        for _ in range(rng.randint(1, 6)):
            await page.set("alpha", round(rng.random(), 2))
            await page.act("bridge", "move")
    for act in ("look", "select", "want", "undo", "save", "link"):
        if rng.random() < 0.25:
            sent = {"do": act, "place": rng.randrange(5)}
            sent |= {"want": {"kind": "more"}, "save": {"kind": "zip"}}.get(act, {})
            await page.act("bridge", "view" if act in VIEWS else "submit", sent)
    if rng.random() < 0.1 and page.value("reference"):
        await page.act("compare-start", "click")


def _picture(rng: random.Random) -> bytes:
    """A picture as a camera's file is large: a megapixel, unlike any other."""
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((1200, 900), Image.Resampling.BILINEAR).save(
        buffer, "PNG", compress_level=1
    )
    return buffer.getvalue()
