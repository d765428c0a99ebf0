"""Two hands on one page: a slow one that waits after everything it does, and a quick one that waits for nothing.

Whatever the network is like, the page has to show the same in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IDLE = """() => recompose.idle() && !document.querySelector('#stage .working') && !document.querySelector('.chip.waiting')
  && document.querySelector('#waiting p').hidden"""
SHOWN = """() => ({
  text: document.querySelector('#edit textarea').value,
  picture: (document.querySelector('#reference img')?.src ?? '').split('/').pop(),
  results: [...document.querySelectorAll('#results .picture')].filter(e => e.offsetParent).map(e => e.dataset.id),
  alpha: document.querySelector('#alpha input[type=number]')?.value,
  method: document.querySelector('#method input')?.value,
  terms: [...document.querySelectorAll('#trace .term q')].map(e => e.textContent),
  problem: document.querySelector('#stage .problem')?.innerText ?? '',
})"""
MOVE = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }"


@dataclass(frozen=True)
class Act:
    """One thing that a hand does: what, and with what."""

    name: str
    what: Any = None


def do(page, act: Act) -> None:
    """Do it on the page as a person does: what is not in view yet is waited for."""
    what = act.what
    if act.name == "pick":
        pick(page, f"#browse-grid [data-id='{what}']")
    elif act.name == "type":
        page.fill("#edit textarea", what)
    elif act.name == "enter":
        page.focus("#edit textarea")
        page.keyboard.press("Enter")
    elif act.name == "search":
        page.click("#search")
    elif act.name == "example":
        page.locator("#examples .example").nth(what).click()
    elif act.name == "preset":
        page.locator("#presets [data-do=preset]").nth(what).click()
    elif act.name == "upload":
        page.set_input_files("#reference input[type=file]", what)
    elif act.name == "clear":
        page.locator("#reference .icon-button-wrapper button").last.click()
    elif act.name == "slide":
        page.locator(f"#{what[0]} input[type=range]").evaluate(MOVE, what[1])
    elif act.name == "more":
        page.locator("#results .picture").nth(what).focus()
        page.keyboard.press("m")
    elif act.name == "undo":
        page.click("#crumbs [data-do=undo]")
    else:
        raise AssertionError(act)


def pick(page, tile: str) -> None:
    """Click a picture of the gallery, going back to them whenever an answer has come in between."""
    from playwright.sync_api import TimeoutError

    for _ in range(10):
        if not page.locator("#browse-grid .picture").first.is_visible():
            page.click("#pick")
        with suppress(TimeoutError):
            return page.click(tile, timeout=3000)
    return page.click(tile)


def settle(page) -> dict[str, Any]:
    """Wait until the page has come to rest; what it shows then."""
    before = None
    for _ in range(60):
        page.wait_for_function(IDLE)
        page.wait_for_timeout(400)
        shown = page.evaluate(SHOWN)
        if shown == before and page.evaluate(IDLE):
            return shown
        before = shown
    raise AssertionError("the page does not come to rest")


def play(page, acts: Sequence[Act], *, slowly: bool, gaps: Sequence[float] = ()) -> dict[str, Any]:
    """Do one thing after another.

    Args:
        page: just opened.
        acts: what to do.
        slowly: wait for the page after each of them.
        gaps: seconds between them, for the quick hand; none where there are no more.

    Returns:
        What the page shows in the end.
    """
    for number, act in enumerate(acts):
        do(page, act)
        if slowly:
            settle(page)
        elif number < len(gaps) and gaps[number]:
            page.wait_for_timeout(1000 * gaps[number])
    return settle(page)


def upload_of(folder: Path) -> Path:
    """A picture of one's own: a green circle."""
    from ui_doubles import draw

    path = folder / "mine.png"
    draw("green", "circle", "large").save(path)
    return path
