"""What holds for all tests: the program's own settings, before a library is imported that reads them; a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

import app  # noqa: F401  nothing leaves the machine


@pytest.fixture(
    scope="module"
)  # while it runs, its event loop is this thread's: other tests could start none
def browser() -> Iterator[object]:
    """Headless Chromium."""
    from browsing import ARGUMENTS, CHROMIUM

    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., object]]:
    """Open a page; in the end nothing may have been requested from elsewhere, and no script have failed.

    With `prepare`, which is called with the page before its address is, nothing of it has been waited for.
    """
    contexts, hosts, failures = [], set(), []

    def open_page(
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        patience: int = 30_000,
        prepare: Callable[[object], None] | None = None,
        **options: object,
    ):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(patience)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.on("pageerror", lambda error: failures.append(str(error)))
        if prepare is not None:
            prepare(page)
            page.goto(url, wait_until="commit")
            return page
        page.goto(url)
        # A link may show results at once.
        page.wait_for_selector("#browse-grid img:visible, #results img:visible")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert hosts <= {"127.0.0.1", None}  # None: data and blob addresses
    assert failures == []
