"""What holds for all tests: the program's own settings, before a library is imported that reads them; a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import app  # noqa: F401  nothing leaves the machine

if TYPE_CHECKING:
    from ui_doubles import ToyGallery, ToyRetriever

    from cir.models.model_set import Models
    from tests.dataset_doubles import ToyModels


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    """The embedded models, without a language model."""
    from cir.application import build_models

    found = build_models("embedded", llm="none")
    yield found
    found.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where galleries are kept."""
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> ToyGallery:
    """The toys' pictures, as the page has them."""
    from ui_doubles import ToyGallery

    return ToyGallery(tmp_path_factory.mktemp("thumbnails"))


@pytest.fixture
def retriever(gallery: ToyGallery) -> ToyRetriever:
    """A search over them that knows no model."""
    from ui_doubles import ToyRetriever

    return ToyRetriever(gallery)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, cache: Path) -> ToyModels:
    """The models of `evaluate` on a data set, and of `tables`; what they keep goes to `cache`."""
    from tests.dataset_doubles import ToyModels, use

    monkeypatch.setenv("CIR_CACHE", str(cache))
    return use(monkeypatch, ToyModels())


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
