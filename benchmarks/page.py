"""How long a person waits: from the command to a usable page, to the first results, from a slider to the screen.

Starts the program as a person does, drives it in headless Chromium, and prints a table under the machine's
description. `make bench`, or `python benchmarks/page.py --llm none`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_SECONDS = 300.0
VISITS = 7
BARE = """
import sys, gradio
with gradio.Blocks(analytics_enabled=False) as page:
    gradio.Image()
    gradio.Textbox(elem_id="edit", lines=1, max_lines=3)
page.launch(server_port=int(sys.argv[1]), ssr_mode=False, quiet=True)
"""
PICK = "#browse-grid .picture"
FIRST_PICTURE = "document.querySelector('#results img')?.complete"
ORDER = "[...document.querySelectorAll('#results .words')].map(e => e.textContent).join()"
# Moves a slider as a person does, and waits until what the results say has changed and has been painted.
MOVE = (
    "([slider, value]) => new Promise((done, fail) => {"
    f"  const order = () => {ORDER}, before = order(), begun = performance.now();"
    "  const box = document.querySelector(`#${slider} input[type=range]`);"
    "  box.value = value; box.dispatchEvent(new Event('input', {bubbles: true}));"
    "  const look = () => order() !== before"
    "    ? requestAnimationFrame(() => done(performance.now() - begun))"
    "    : performance.now() - begun > 20000 ? fail('nothing changed') : requestAnimationFrame(look);"
    "  look(); })"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, in milliseconds, over how many times."""

    name: str
    values: list[float]

    def numbers(self) -> dict[str, float]:
        """The median and the 95th percentile."""
        ordered = sorted(self.values)
        return {
            "p50_ms": round(statistics.median(ordered), 1),
            "p95_ms": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
            "times": len(ordered),
        }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    info = Path("/proc/cpuinfo")
    named = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return {
        "processor": named[0].partition(":")[2].strip() if named else platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


@contextmanager
def program(arguments: list[str]) -> Iterator[tuple[str, float]]:
    """The program, started from its command. Yields its address and when that was (`time.perf_counter`)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.perf_counter()
    command = [sys.executable, "app.py", "--no-browser", "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/", begun
    finally:
        process.terminate()
        process.wait(60)


def wait_for_server(url: str) -> None:
    """Until the page is answered."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=30) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the page was not served")


def visit(browser: Any, url: str) -> Any:
    """A page that has just been asked for, in a browser that has cached nothing."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    page.goto(url, wait_until="commit")
    return page


def opened(page: Any, seen: str = "#browse-grid img") -> float:
    """Wait for the page. Milliseconds from the request for it until one can look, type, pick and ask."""
    page.wait_for_selector("#edit textarea")
    page.wait_for_selector(seen)
    return page.evaluate("performance.now()")


@contextmanager
def bare_page() -> Iterator[str]:
    """A page of a text field and a picture by the same gradio: what no page of it can be below on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for_server(url)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def later_visits(browser: Any, url: str) -> tuple[list[float], list[float], list[float]]:
    """Visits with all models loaded, each kind in turns.

    Returns:
        Times to our page, to a bare page; and to the first results of who picks a picture, types and presses
        Enter as soon as that can be done.
    """
    whole, bare, asked = [], [], []
    with bare_page() as other:
        for _ in range(VISITS + 1):
            page = visit(browser, url)
            whole.append(opened(page))
            leave(page)
            page = visit(browser, other)
            bare.append(opened(page, seen="#edit textarea"))
            leave(page)
            page = visit(browser, url)
            page.click(PICK)
            page.focus("#edit textarea")
            page.keyboard.type("at night")
            page.keyboard.press("Enter")
            page.wait_for_function(FIRST_PICTURE)
            asked.append(page.evaluate("performance.now()"))
            leave(page)
    return whole[1:], bare[1:], asked[1:]  # the first visit to the bare page compresses its scripts


def leave(page: Any) -> None:
    """Close the page once it has come to rest."""
    page.wait_for_timeout(500)
    page.context.close()


def since(begun: float) -> float:
    """Milliseconds."""
    return 1000 * (time.perf_counter() - begun)


def first_results(page: Any, texts: list[str]) -> tuple[list[float], list[float]]:
    """(to the first results, to the last stage) of searches by a gallery picture and these texts."""
    page.locator("#browse-grid .picture").first.click()
    page.wait_for_selector("#reference img")
    first, whole = [], []
    for text in texts:
        page.fill("#edit textarea", text)
        before = page.evaluate(ORDER)
        begun = time.perf_counter()
        page.keyboard.press("Enter")
        page.wait_for_function(f"before => {FIRST_PICTURE} && {ORDER} !== before", arg=before)
        first.append(since(begun))
        page.wait_for_selector("#stage .timings span")
        page.wait_for_timeout(200)
        whole.append(since(begun) - 200)
    return first, whole


def slider_moves(page: Any, count: int) -> list[float]:
    """From the input event of a moved weight to the painted answer. Both weights count with any models."""
    if not page.locator("#alpha").is_visible():
        page.click("#weights > button")
    times = []
    for move in range(count):
        slider, value = ("beta", "gamma")[move % 2], (0.1, 0.8)[move // 2 % 2]
        times.append(page.evaluate(MOVE, [slider, value]))
        page.wait_for_timeout(150)
    return times


def measure(arguments: list[str], moves: int) -> list[Row]:
    """Every row of the table, from one start of the program."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright, program(arguments) as (url, begun):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        wait_for_server(url)
        served = since(begun)
        page = visit(browser, url)
        usable = opened(page)
        first, complete = first_results(
            page, ["at night", "in the snow", "with a red car", "at sunset", "in blue"]
        )
        moves_taken = slider_moves(page, moves)
        page.context.close()
        later, bare, asked = later_visits(browser, url)
        rows = [
            Row("command to page served", [served]),
            Row("command to usable page: look, type, pick, ask", [served + usable]),
            Row("page opened to usable page, first visit", [usable]),
            Row("page opened to usable page, models loaded", later),
            Row("a bare page of gradio, in turns with it", bare),
            Row("page opened, asked at once, to first results on screen", asked),
            Row("Enter to first results on screen", first),
            Row("Enter to last stage on screen", complete),
            Row("slider to new order on screen", moves_taken),
        ]
        browser.close()
    return rows


def main() -> None:
    """Print the table, or one JSON object."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--moves", type=int, default=40, help="slider moves (default: 40)")
    options.add_argument("--llm", help="language model, as of app.py")
    options.add_argument("--gallery", help="gallery, as of app.py")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    if CHROMIUM is None:
        raise SystemExit("No Chromium is installed; this measures in a browser.")
    given = {"--llm": chosen.llm, "--gallery": chosen.gallery}
    rows = measure([part for name, value in given.items() if value for part in (name, value)], chosen.moves)
    if chosen.json:
        table = {row.name: row.numbers() for row in rows}
        sys.stdout.write(json.dumps({"machine": machine(), "milliseconds": table}) + "\n")
        return
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in machine().items()) + "\n\n")
    sys.stdout.write("| what a person waits for | p50 ms | p95 ms | times |\n|---|---|---|---|\n")
    for row in rows:
        numbers = row.numbers()
        sys.stdout.write(f"| {row.name} | {numbers['p50_ms']} | {numbers['p95_ms']} | {numbers['times']} |\n")


if __name__ == "__main__":
    main()
