"""A real browser for tests: what it needs, a page that is served to it, and what a person does with the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@contextmanager
def served_page(content: Any) -> Iterator[str]:
    """The page of a `PageContent`, served; its address, with a slash at the end."""
    from cir.ui.server.serving import launch
    from cir.ui.view import build_page

    with launch(build_page(content), port=0) as server:
        yield server.url


def overflow(page) -> int:
    """Pixels by which the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def focused(page, selector: str) -> None:
    """Wait until something that matches has the focus."""
    page.wait_for_function("s => document.activeElement?.matches(s)", arg=selector)


def tab_to(page, selector: str) -> None:
    """Press Tab until something that matches has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement?.matches(s) ?? false", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with Tab")
