"""A page that is left, loaded again, or forgotten by the server goes on with what it showed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from browsing import IN_A_BROWSER
from hands import IDLE, MOVE
from ui_doubles import ToyGallery, ToyRetriever, ToyTexts, shelf_of

pytestmark = IN_A_BROWSER
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

DROP = """data => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], 'mine.webp', {type: 'image/webp'}));
  for (const name of ['dragover', 'drop']) document.querySelector('h1').dispatchEvent(
    new DragEvent(name, {bubbles: true, cancelable: true, dataTransfer: files}));
}"""


@dataclass
class Served:
    """A page that is being served, its blocks, and what it is about."""

    url: str
    blocks: Any
    content: Any

    def forget(self, *, everything: bool) -> None:
        """Forget all pages, as gradio does after many others; with `everything`, as after a restart."""
        self.blocks.state_holder.session_data.clear()
        if everything:
            self.content.sessions._kept.clear()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page over a toy gallery."""
    from cir.composers.cvsi import weights as cvsi_weights
    from cir.ui.page import PageContent
    from cir.ui.server.serving import launch
    from cir.ui.view import build_page

    content = PageContent(
        shelf_of(ToyRetriever(ToyGallery(tmp_path_factory.mktemp("thumbnails")))),  # type: ignore[arg-type]
        presets={"Start": cvsi_weights(0.6, 0.4, 0.2)},
        text_encoder=ToyTexts(),  # type: ignore[arg-type]
    )
    blocks = build_page(content)
    with launch(blocks, port=0) as server:
        yield Served(server.url, blocks, content)


def results(page) -> list[str]:
    return page.locator("#results .picture").evaluate_all("all => all.map(e => e.dataset.id)")


def picture(page) -> str:
    return page.evaluate("(document.querySelector('#reference img')?.src ?? '').split('/').pop()")


def settle(page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_function(IDLE)
    page.wait_for_timeout(300)


def search(page, text: str) -> list[str]:
    """With a picture of the gallery; the results."""
    page.locator("#browse-grid .picture").first.click()
    page.fill("#edit textarea", text)
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage .timings span")
    settle(page)
    return results(page)


def want_more_like(page, place: int) -> None:
    page.locator("#results .picture").nth(place).focus()
    page.keyboard.press("m")
    page.wait_for_selector("#trace .term.more")
    settle(page)


def test_fault_128_back_goes_a_step_back_and_a_reload_brings_back_what_was_shown_and_typed(
    served, visit
) -> None:
    page = visit(served.url)
    first, picked = search(page, "blue"), picture(page)
    want_more_like(page, 5)
    second = results(page)
    assert second != first
    page.go_back()
    page.wait_for_selector("#trace .term", state="detached")
    settle(page)
    assert (results(page), page.url) == (first, served.url)
    page.go_forward()
    page.wait_for_selector("#trace .term")
    settle(page)
    assert results(page) == second
    page.fill("#edit textarea", "typed and not sent")
    page.reload()
    page.wait_for_selector("#results img:visible")
    settle(page)
    assert (results(page), picture(page)) == (second, picked)
    assert page.input_value("#edit textarea") == "typed and not sent"
    assert page.locator("#crumbs [data-do=undo]").count() == 1


@pytest.mark.parametrize("everything", [False, True])
def test_fault_87_a_forgotten_page_is_brought_back_with_all_that_it_showed(served, visit, everything) -> None:
    page = visit(served.url)
    search(page, "blue")
    want_more_like(page, 5)
    served.forget(everything=everything)
    page.locator("#alpha input[type=range]").evaluate(MOVE, 0.1)
    if everything:
        page.wait_for_function("document.querySelector('#notes').innerText.includes('forgotten this page')")
    settle(page)
    forgotten = results(page)
    assert page.locator("#trace .term.more").count() == 1
    assert page.locator("#crumbs [data-do=undo]").count() == (not everything)
    kept = visit(served.url)
    search(kept, "blue")
    want_more_like(kept, 5)
    kept.locator("#alpha input[type=range]").evaluate(MOVE, 0.1)
    settle(kept)
    assert forgotten == results(kept)


def test_fault_128_a_picture_dropped_beside_the_field_is_the_reference(served, visit) -> None:
    page = visit(served.url)
    page.fill("#edit textarea", "red")
    own = served.content.retriever.gallery.thumbnail_path("green-circle-small").read_bytes()
    page.evaluate(DROP, base64.b64encode(own).decode())
    page.keyboard.press("Enter")  # at once: the search waits for the picture
    page.wait_for_selector("#stage .timings span")
    settle(page)
    assert (page.url, picture(page)) == (served.url, "mine.webp")
    assert results(page)[0] == "red-circle-small"


def test_fault_146_a_caption_being_edited_is_kept_by_a_click_elsewhere_and_left_by_escape(
    served, visit
) -> None:
    page = visit(served.url)
    search(page, "blue")
    chip = "#trace [data-kind=modified_captions][data-place='0']"
    page.click(chip)
    page.keyboard.press("Control+A")
    page.keyboard.type("nothing of this")
    page.keyboard.press("Escape")
    page.click(chip)
    page.keyboard.press("Control+A")
    page.keyboard.type("a large yellow star")
    page.click("h1")
    page.wait_for_function("document.querySelector('#trace').innerText.includes('a large yellow star')")
    settle(page)
    assert "nothing of this" not in page.inner_text("#trace")
    assert page.locator("#crumbs li").first.is_visible()
