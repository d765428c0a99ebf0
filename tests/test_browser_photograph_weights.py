"""On the real page: the sliders follow the picture until a hand has moved one, or a preset was chosen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import IN_A_BROWSER, served_page
from hands import MOVE, pick
from photograph_doubles import FOR_PHOTOGRAPHS, ReadingRetriever
from ui_doubles import ToyGallery, shelf_of

from cir.composers.cvsi import weights as cvsi_weights

pytestmark = IN_A_BROWSER
PHOTOGRAPH, DRAWING = "red-square-large", "green-circle-small"
USUAL = cvsi_weights()
STAND = """wanted => Object.entries(wanted).every(([name, value]) =>
  Number(document.querySelector(`#${name} input[type=number]`)?.value) === value)"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from cir.ui.page import PageContent

    retriever = ReadingRetriever(ToyGallery(tmp_path_factory.mktemp("thumbnails")), delay_seconds=0.3)
    presets = {"Usual": USUAL, "Look alone": cvsi_weights(0.0, 0.0, 0.0)}
    with served_page(PageContent(shelf_of(retriever), presets=presets)) as made:  # type: ignore[arg-type]
        yield made


def search(page, image_id: str) -> None:
    """Pick a picture and search with it; the whole answer is waited for."""
    pick(page, f"#browse-grid [data-id='{image_id}']")
    page.fill("#edit textarea", "make it blue")
    page.click("#search")
    page.wait_for_selector("#stage .timings span")
    page.wait_for_function("recompose.idle()")


def test_the_sliders_follow_the_picture_there_and_back(url, visit) -> None:
    page = visit(url)
    search(page, PHOTOGRAPH)
    page.wait_for_function(STAND, arg=FOR_PHOTOGRAPHS)
    assert "weights for photographs count" in page.inner_text("#notes")
    assert page.locator(".shares .percent").all_text_contents() == ["10%", "20%", "70%"]
    search(page, DRAWING)
    page.wait_for_function(STAND, arg=USUAL)
    assert "weights for photographs" not in page.inner_text("#notes")


def test_a_slider_that_was_moved_stays_and_so_do_the_others(url, visit) -> None:
    page = visit(url)
    page.wait_for_selector("#alpha input[type=range]")
    page.locator("#gamma input[type=range]").evaluate(MOVE, 0.9)
    wanted = {**USUAL, "gamma": 0.9}
    search(page, PHOTOGRAPH)
    assert page.evaluate(STAND, wanted)
    assert "weights for photographs" not in page.inner_text("#notes")
    search(page, DRAWING)
    assert page.evaluate(STAND, wanted)


def test_a_preset_stays_even_where_its_numbers_stood_there_already(url, visit) -> None:
    page = visit(url)
    search(page, DRAWING)
    page.click("#presets [data-do=preset] >> nth=0")
    page.wait_for_function("recompose.idle()")
    search(page, PHOTOGRAPH)
    assert page.evaluate(STAND, USUAL)
    assert "weights for photographs" not in page.inner_text("#notes")


def test_nothing_jumps_under_a_hand_that_moves_a_slider_while_the_search_runs(url, visit) -> None:
    page = visit(url)
    pick(page, f"#browse-grid [data-id='{PHOTOGRAPH}']")
    page.fill("#edit textarea", "make it blue")
    page.click("#search")
    page.locator("#gamma input[type=range]").evaluate(MOVE, 0.9)
    page.wait_for_selector("#stage .timings span")
    page.wait_for_function("recompose.idle()")
    page.wait_for_timeout(500)
    assert page.input_value("#gamma input[type=number]") == "0.9"
