"""The first screen in a browser whose way to gradio's scripts is held up: what is done there is done on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from browsing import IN_A_BROWSER, focused, overflow, served_page, tab_to
from ui_doubles import ToyGallery, ToyRetriever, ToyTexts

from cir.types import Weights
from cir.ui.handlers import Example

pytestmark = IN_A_BROWSER
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PICTURES = "#first-screen .first-browse-grid .picture"


class Served(NamedTuple):
    """A page that is being served, and the gallery behind it."""

    url: str
    gallery: ToyGallery


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page over a toy gallery, for all tests."""
    from cir.ui.layout import PageContent

    gallery = ToyGallery(tmp_path_factory.mktemp("thumbnails"))
    retriever = ToyRetriever(gallery)
    content = PageContent(
        retriever,  # type: ignore[arg-type]
        presets={"CIRCO / CIRR": Weights(0.6, 0.4, 0.2)},
        examples=[Example("red-square-large", "make it blue")],
        text_encoder=ToyTexts(),  # type: ignore[arg-type]
    )
    with served_page(content) as url:
        yield Served(url, gallery)


class Held:
    """Keeps gradio's scripts back until `let_go` is called."""

    def __init__(self) -> None:
        self.waiting: list = []
        self.free = False

    def __call__(self, page) -> None:
        page.route(
            "**/assets/*.js", lambda route: route.continue_() if self.free else self.waiting.append(route)
        )

    def let_go(self) -> None:
        """Let the page come."""
        self.free = True
        for route in self.waiting:
            route.continue_()


@pytest.fixture
def first(served, visit):
    """(the first screen, what lets the page come)"""
    held = Held()
    page = visit(served.url, prepare=held)
    page.wait_for_selector("#first-screen textarea")
    return page, held.let_go


def gone(page) -> None:
    """Wait until the page has taken the place of the first screen."""
    page.wait_for_selector("#edit textarea")
    assert page.locator("#first-screen").count() == 0


def wait_for_results(page) -> str:
    """The name of the best result."""
    page.wait_for_selector("#stage .timings span")
    return page.locator("#results .words").first.inner_text().split("\n")[-1]


def test_it_shows_what_the_page_will_show_before_any_script_of_gradio(first):
    page, _ = first
    page.wait_for_function(f"[...document.querySelectorAll('{PICTURES} img')].every(i => i.naturalWidth > 0)")
    assert page.locator(PICTURES).count() == 24
    assert page.locator("#first-screen h1").inner_text() == "Recompose"
    assert page.locator("#first-screen .example").all_inner_texts() == ["make it blue"]
    assert page.locator("#first-screen .first-tabs button").all_inner_texts()[:3] == [
        "Search", "Galleries", "Compare"
    ]  # fmt: skip
    assert page.locator("gradio-app *").count() == 0
    assert page.locator("#edit, #browse-grid, #next").count() == 0  # no name of the page is taken


def test_what_was_typed_goes_on_where_it_was(first):
    page, let_go = first
    page.click("#first-screen textarea")
    page.keyboard.type("green circle")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    let_go()
    gone(page)
    focused(page, "#edit textarea")
    assert page.input_value("#edit textarea") == "green circle"
    page.keyboard.type("us")
    assert page.input_value("#edit textarea") == "green circuse"
    page.fill("#edit textarea", "green circle")
    page.keyboard.press("Enter")
    assert wait_for_results(page) in ("a small green circle", "a large green circle")


def test_enter_before_the_page_is_there_searches_when_it_is(first):
    page, let_go = first
    page.click("#first-screen textarea")
    page.keyboard.type("blue star")
    page.keyboard.press("Enter")
    assert page.inner_text("#first-screen .primary") == "Starting …"
    let_go()
    assert wait_for_results(page) in ("a small blue star", "a large blue star")


def test_a_picture_that_was_picked_is_the_reference_of_the_search(first):
    page, let_go = first
    picked = page.locator(PICTURES).nth(3)
    name = picked.get_attribute("aria-label")
    picked.click()
    assert "url(" in page.locator(".first-reference").evaluate("e => e.style.backgroundImage")
    page.click("#first-screen .primary")
    let_go()
    assert wait_for_results(page) != name  # a reference is left out of its own results
    assert page.locator("#reference img").count() == 1
    assert page.locator("#leave-out input").is_checked()


def test_a_file_that_was_chosen_is_the_reference(first, served):
    page, let_go = first
    page.locator(PICTURES).first.click()
    own = served.gallery.thumbnail_path("red-square-small")
    page.set_input_files("#first-screen input[type=file]", own)
    page.fill("#first-screen textarea", "blue")
    page.click("#first-screen .primary")
    let_go()
    assert wait_for_results(page) == "a small blue square"
    assert page.locator("#leave-out input:visible").count() == 0  # it is no picture of the gallery


def test_an_example_and_another_tab_are_followed(first, served, visit):
    page, let_go = first
    page.click("#first-screen .example")
    let_go()
    assert wait_for_results(page) == "a large blue square"
    held = Held()
    page = visit(served.url, prepare=held)
    page.locator(PICTURES).first.click()
    page.click("#first-screen .first-tabs >> text=Compare")
    held.let_go()
    page.wait_for_selector("#compare")
    assert not page.is_visible("#edit textarea")
    page.wait_for_selector("#reference img", state="attached")


def test_a_tab_that_does_not_fit_a_phone_is_followed_as_well(served, visit):
    held = Held()
    page = visit(served.url, prepare=held, width=390)
    page.wait_for_selector("#first-screen textarea")
    last = page.locator("#first-screen .first-tabs button").last
    label = last.inner_text()
    last.evaluate("tab => { tab.focus(); tab.click(); }")
    held.let_go()
    page.wait_for_selector("#first-screen", state="detached")
    page.wait_for_function(
        "label => [...document.querySelectorAll('[role=tab][aria-selected=true]')].some(e => e.textContent.trim() === label)",
        arg=label,
    )
    page.wait_for_selector("#edit textarea", state="hidden")


def test_it_is_gone_through_by_keyboard_and_the_focus_stays(first):
    page, let_go = first
    tab_to(page, "#first-screen input[type=file]")
    tab_to(page, "#first-screen textarea")
    tab_to(page, PICTURES)
    for _ in range(2):
        page.keyboard.press("Tab")
    let_go()
    gone(page)
    focused(page, "#browse-grid .picture:nth-child(3)")


def test_it_stands_where_the_page_stands_on_a_desk_and_on_a_phone(served, visit):
    for width in (1280, 390):
        held = Held()
        page = visit(served.url, prepare=held, width=width)
        places = [".first-tabs", ".first-reference", ".first-search", ".first-browse-grid .grid"]
        page.wait_for_selector("#first-screen .first-search")
        assert overflow(page) <= 0
        before = [page.locator(f"#first-screen {place}").bounding_box() for place in places]
        held.let_go()
        gone(page)
        after = [
            page.locator(place).bounding_box()
            for place in ("#tabs > .tab-wrapper", "#reference", "#search", "#browse-grid .grid")
        ]
        for one, other in zip(before, after, strict=True):
            assert one["x"] == pytest.approx(other["x"], abs=2)
            assert one["y"] == pytest.approx(other["y"], abs=4)


def test_it_is_dark_where_the_page_will_be_and_leaves_links_to_the_page(served, visit):
    light = "getComputedStyle(document.querySelector('#first-screen')).backgroundColor"
    shades = []
    for options, query in (
        ({"color_scheme": "dark"}, ""),
        ({"color_scheme": "dark"}, "?__theme=light"),
        ({}, ""),
    ):
        page = visit(served.url + query, prepare=Held(), **options)
        page.wait_for_selector("#first-screen textarea")
        shades.append(page.evaluate(light))
    assert shades[0] != shades[1] == shades[2]
    page = visit(f"{served.url}?text=blue+star", prepare=Held())
    page.wait_for_selector("gradio-app", state="attached")
    assert page.locator("#first-screen").count() == 0


def test_who_has_not_given_the_password_sees_none_of_it(tmp_path, visit):
    from served import serve_toys

    with serve_toys(tmp_path, auth=("someone", "secret")) as toys:
        page = visit(toys.url, prepare=lambda page: None)
        page.wait_for_selector("input[type=password]")
        assert page.locator("#first-screen").count() == 0
        assert "red-square" not in page.content()
