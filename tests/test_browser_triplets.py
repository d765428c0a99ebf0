"""Headless Chromium drives the triplet tab over doubles."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from browsing import IN_A_BROWSER, overflow, served_page
from contrast import faint_texts
from triplet_doubles import MEMBERS, ToyLibrary, triplet
from ui_doubles import ToyGallery, ToyRetriever, shelf_of

from cir.composers.cvsi import weights as cvsi_weights
from cir.errors import CirError
from cir.syncir.judgements import Judgement
from cir.syncir.pairs import PAIR_RANKS
from cir.syncir.table import TripletTable
from cir.types import TrainedNetwork, TrainingStep

pytestmark = IN_A_BROWSER


@pytest.fixture
def library() -> ToyLibrary:
    return ToyLibrary()


@pytest.fixture
def retriever(tmp_path) -> ToyRetriever:
    return ToyRetriever(ToyGallery(tmp_path / "thumbnails"))


@pytest.fixture
def address(library, retriever) -> Iterator[str]:
    from cir.ui.page import PageContent

    content = PageContent(
        shelf_of(retriever), presets={"Even": cvsi_weights(0.6, 0.4, 0.2)}, triplets=library
    )  # type: ignore[arg-type]
    with served_page(content) as url:
        yield url


def open_tab(page) -> None:
    tab = page.get_by_role("tab", name="Triplets", exact=True)
    if tab.count() == 0 or not tab.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text="Triplets").click()
    else:
        tab.first.click()
    page.wait_for_selector("#triplets .card img")


def shown(page) -> str:
    return page.locator("#triplet-closer .title b").inner_text()


def wait_for_title(page, title: str) -> None:
    page.wait_for_function(
        "title => document.querySelector('#triplet-closer .title b')?.textContent === title", arg=title
    )


def funnel_row(page, name: str) -> str:
    return page.locator("#triplets .funnel li", has=page.locator(f".name:text-is('{name}')")).inner_text()


def slide(page, elem_id: str, value: float) -> None:
    page.locator(f"#{elem_id} input[type=range]").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def test_triplets_are_judged_by_keyboard_and_arrows_of_the_group_lead_on(address, visit, library):
    page = visit(address)
    open_tab(page)
    assert page.locator("#triplets .card").count() == 7
    page.keyboard.press("j")
    wait_for_title(page, "Triplet 2")
    assert page.locator(".card[aria-current=true] button").get_attribute("data-place") == "1"
    page.keyboard.press("a")
    page.wait_for_selector("#triplet-closer .closer.accepted")
    assert library.judged[-1][1] == Judgement("12", "accepted")
    page.keyboard.press("r")
    page.wait_for_selector("#triplet-closer .closer.rejected")
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type("a jar of jam")  # letters that are keys elsewhere
    page.keyboard.press("Enter")
    page.wait_for_function(
        "document.querySelector('#triplet-closer .text').textContent.includes('jar of jam')"
    )
    assert library.judged[-1][1] == Judgement("12", "rejected", "a jar of jam")
    assert "made as “make it small red circle”" in page.inner_text("#triplet-closer")
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    wait_for_title(page, "Triplet 1")
    page.locator(".edge[aria-label^='3 to 4']").focus()
    page.keyboard.press("Enter")
    wait_for_title(page, "Triplet 4")
    page.locator(".edge[aria-label^='2 to 3'] .grip").click(force=True)
    wait_for_title(page, "Triplet 3")
    page.locator("#triplets .card button").nth(5).click()
    wait_for_title(page, "Triplet 6")
    assert overflow(page) == 0


class Held:
    """Events of a page that are held back on their way to the server, as on a slow connection."""

    def __init__(self, page) -> None:
        self._page, self._routes, self._holds = page, [], True
        page.route("**/queue/join*", self._take)

    def _take(self, route) -> None:
        if self._holds:
            self._routes.append(route)
        else:
            route.continue_()

    def wait(self, count: int = 1) -> None:
        """Until so many are held; what comes after passes."""
        deadline = 100
        while len(self._routes) < count and deadline:
            self._page.wait_for_timeout(50)
            deadline -= 1
        assert len(self._routes) >= count  # gradio tells a choice twice
        self._holds = False

    def release(self) -> None:
        for route in self._routes:
            route.continue_()


def test_what_is_done_is_about_the_triplet_that_is_shown_also_when_the_next_one_is_on_its_way(
    address, visit, library
):
    page = visit(address)
    open_tab(page)
    held = Held(page)
    page.keyboard.press("j")
    held.wait()
    page.keyboard.press("a")
    page.wait_for_selector("#triplet-closer .closer.accepted")
    assert shown(page) == "Triplet 1"
    held.release()
    wait_for_title(page, "Triplet 2")
    assert library.judged == [("toy", Judgement("01", "accepted"))]


def test_what_is_done_is_about_the_triplet_that_is_shown_also_when_the_server_has_gone_on_to_the_next(
    address, visit, library, monkeypatch
):
    from cir.ui.triplets.cards import FileView

    page = visit(address)
    open_tab(page)
    drawn, let_through, card = Event(), Event(), FileView.card

    def drawn_slowly(view, row):
        if not drawn.is_set():
            drawn.set()
            assert let_through.wait(30)
        return card(view, row)

    monkeypatch.setattr(FileView, "card", drawn_slowly)
    page.keyboard.press("j")
    assert drawn.wait(30)
    assert shown(page) == "Triplet 1"
    page.keyboard.press("r")
    page.wait_for_selector("#triplets .card.rejected")
    assert library.judged == [("toy", Judgement("01", "rejected"))]
    let_through.set()
    wait_for_title(page, "Triplet 2")


def test_a_file_that_is_chosen_while_another_is_shown_changes_nothing_about_what_is_done_meanwhile(
    address, visit, library
):
    library.tables["other"] = TripletTable([triplet((2, 3), 0.9)], gallery="Toy shapes")
    page = visit(address)
    open_tab(page)
    held = Held(page)
    page.click("#triplets-file input")
    page.locator("#triplets-file [role=option]", has_text="File other").click()
    held.wait()
    with page.expect_download():
        page.click("#triplets-jsonl")
    assert library.exported == [("other", 0.7, "jsonl")]  # the file that the page says it is
    page.keyboard.press("r")
    page.wait_for_selector("#triplet-closer .closer.rejected")
    assert library.judged == [("toy", Judgement("01", "rejected"))]  # the triplet that it shows
    held.release()
    page.wait_for_function("document.querySelectorAll('#triplets .card').length === 1")
    page.click("#triplet-search")
    page.wait_for_selector("#stage .timings span")
    assert page.input_value("#edit textarea") == "make it small red star"


def test_a_text_that_is_being_typed_outlives_the_answer_to_what_was_done_before(address, visit, library):
    page = visit(address)
    open_tab(page)
    held = Held(page)
    page.keyboard.press("a")
    held.wait()
    page.fill("#triplet-text textarea, #triplet-text input", "a jar of jam")
    held.release()
    page.wait_for_selector("#triplet-closer .closer.accepted")
    assert page.input_value("#triplet-text textarea, #triplet-text input") == "a jar of jam"
    page.click("#triplet-save")
    page.wait_for_function(
        "document.querySelector('#triplet-closer .text').textContent.includes('jar of jam')"
    )
    assert library.judged[-1] == ("toy", Judgement("01", "accepted", "a jar of jam"))


def test_thresholds_and_filters_answer_at_once_and_a_triplet_becomes_a_search(
    address, visit, library, retriever
):
    page = visit(address, width=390, height=844)
    open_tab(page)
    assert overflow(page) == 0
    assert funnel_row(page, "Kept").split()[1] == "3"
    slide(page, "triplets-consistency", 0.6)
    page.wait_for_function("document.querySelector('#triplets .funnel li:last-child b').textContent === '4'")
    slide(page, "triplets-near-duplicate", 0.9)
    page.wait_for_function(
        "document.querySelector('#triplets .funnel').textContent.includes('+6 by the sliders')"
    )
    page.click("#triplets-paper")
    page.wait_for_function("document.querySelector('#triplets .funnel li:last-child b').textContent === '3'")
    assert page.input_value("#triplets-consistency input[type=number]") == "0.7"
    page.fill("#triplets-words textarea, #triplets-words input", "large blue")
    page.wait_for_function("document.querySelectorAll('#triplets .card').length === 2")
    page.locator("#triplets .card button").first.click()
    page.click("#triplet-search")
    page.wait_for_selector("#stage .timings span")
    assert page.input_value("#edit textarea") == "make it large blue circle"
    assert "intended picture is at rank 1" in page.inner_text("#answer")
    assert retriever.model_calls[0] == "encode make it large blue circle"
    assert overflow(page) == 0


def test_more_are_made_and_stopped_files_come_and_go(address, visit, library, tmp_path: Path):
    page = visit(address)
    open_tab(page)
    library.waits_for_stop = True
    page.click("#triplets-generate")
    page.wait_for_function("document.querySelectorAll('#triplets .card').length === 8")
    wait_for_title(page, "Triplet 8")
    page.click("#triplets-stop")
    page.wait_for_function(
        "document.querySelector('#triplets-stage').textContent.trim().startsWith('Stopped. 1 new')"
    )
    assert page.locator("#triplets-stop").count() == 0 or not page.locator("#triplets-stop").is_visible()
    ids = page.evaluate("Object.fromEntries(gradio_config.components.map(c => [c.props.elem_id, c.id]))")
    told = page.evaluate(
        "id => gradio_config.dependencies.filter(d => d.targets.some(([from]) => from === id)).map(d => d.outputs)",
        ids["triplets-stop"],
    )
    assert told == [
        [ids["triplets-stop"]]
    ]  # an answer to the button may come late: it must not touch the line
    with page.expect_download() as download:
        page.click("#triplets-cirr")
    rows = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [tuple(row["ranks"]) for row in rows] == [*PAIR_RANKS[:8]]
    assert library.exported == [("made", 0.7, "cirr")]
    upload = tmp_path / "cap.json"
    upload.write_text(
        json.dumps([{"reference": MEMBERS[0], "target_hard": "dev-2", "caption": "is <i>red</i>"}])
    )
    with page.expect_file_chooser() as chooser:
        page.click("#triplets-upload")
    chooser.value.set_files(str(upload))
    page.wait_for_function("document.querySelectorAll('#triplets .card').length === 1")
    assert page.locator("#triplets .card .tile").inner_text() == "dev-2"
    assert page.locator("#triplets .card .text").inner_text() == "“is <i>red</i>”"
    other = tmp_path / "notes.txt"
    other.write_text('"what I have found out"')
    with page.expect_file_chooser() as chooser:
        page.click("#triplets-upload")
    chooser.value.set_files(str(other))
    page.wait_for_selector("#triplets-stage >> text=notes.txt is no list of triplets.")
    assert page.locator(".toast-body").count() == 0


def test_a_training_ends_when_its_page_is_left_as_it_says(library, retriever, visit):
    from cir.ui.page import PageContent

    ended = Event()

    def train(triplets, gallery, title):
        try:
            for step in range(1, 1000):
                time.sleep(0.05)
                yield TrainingStep(step, 2.5, 240.0)
        finally:
            ended.set()

    library.titles = {}
    library.kept = lambda key, score: library.tables[key].triplets
    content = PageContent(shelf_of(retriever), triplets=library, train=train)  # type: ignore[arg-type]
    with served_page(content) as address:
        page = visit(address)
        open_tab(page)
        assert "It stops when this page is left; the same button goes on." in page.inner_text(
            "#triplets-trained"
        )
        page.click("#triplets-train")
        page.wait_for_function("document.querySelector('#triplets-trained').textContent.includes('loss')")
        assert not ended.is_set()
        page.reload()
        assert ended.wait(30)


def test_on_a_full_disk_a_training_that_is_stopped_and_a_download_are_said_not_to_be_kept(
    library, retriever, visit, monkeypatch
):
    from gradio import processing_utils

    from cir.ui.page import PageContent

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def train(triplets, gallery, title):
        try:
            for step in range(1, 1000):
                time.sleep(0.05)
                yield TrainingStep(step, 2.5, 240.0)
        finally:
            full()

    library.titles = {}
    library.kept = lambda key, score: library.tables[key].triplets
    said = "selector => document.querySelector(selector).textContent.includes('The disk is full')"
    with served_page(PageContent(shelf_of(retriever), triplets=library, train=train)) as address:  # type: ignore[arg-type]
        page = visit(address)
        open_tab(page)
        page.click("#triplets-train")
        page.wait_for_function("document.querySelector('#triplets-trained').textContent.includes('loss')")
        page.click("#triplets-train-stop")
        page.wait_for_function(said, arg="#triplets-trained")
        assert "goes on from here" not in page.inner_text("#triplets-trained")
        page.wait_for_selector("#triplets-train:not([disabled])")
        monkeypatch.setattr(processing_utils, "save_file_to_cache", full)
        page.click("#triplets-jsonl")
        page.wait_for_function(said, arg="#triplets-stage")
        assert page.locator(".toast-body").count() == 0


def test_a_network_is_trained_on_what_is_kept_and_is_then_searched_with(library, retriever, visit) -> None:
    from cir.ui.page import PageContent

    go_on, asked = Event(), []

    def train(triplets, gallery, title):
        asked.append(([t.triplet_id for t in triplets], title))
        yield TrainingStep(1, 2.5, 240.0)
        go_on.wait(30)
        yield TrainingStep(2, 2.0, 100.0)
        retriever.offer(f"HyCIR on {title}", retriever.composers["CVSI"])
        yield TrainedNetwork(f"HyCIR on {title}", 12, 3, 0.67, 0.33)

    library.titles = {}
    library.kept = lambda key, score: [
        t for t in library.tables[key].triplets if (t.consistency or 0) >= score
    ]
    content = PageContent(
        shelf_of(retriever), presets={"Even": cvsi_weights(0.6, 0.4, 0.2)}, triplets=library, train=train
    )  # type: ignore[arg-type]
    said = "words => document.querySelector('#triplets-trained').textContent.includes(words)"
    with served_page(content) as address:
        page, other = visit(address), visit(address)
        open_tab(page)
        page.click("#triplets-train")
        page.wait_for_function(said, arg="step 1, loss 2.50, about 4 min left")
        page.click("#triplets-train-stop")
        page.wait_for_function("document.querySelector('#triplets-train-stop')?.disabled")
        go_on.set()
        page.wait_for_function(said, arg="Stopped. The same button goes on from here.")
        page.click("#triplets-train")
        page.wait_for_function(said, arg="“HyCIR on Toy shapes” is a method now.")
        assert (
            "3 triplets that were held back it finds the target among the first ten in 67%"
            in page.inner_text("#triplets-trained")
        )
        assert "the set's own HyCIR in 33%" in page.inner_text("#triplets-trained")
        assert overflow(page) == 0
        page.click("#triplets-use")
        page.wait_for_function("document.querySelector('#method input').value === 'HyCIR on Toy shapes'")
        page.wait_for_selector("#edit textarea", state="visible")
        # A page that was open before, and one that is opened now, have it as well.
        other.get_by_role("tab", name="Compare", exact=True).click()
        other.wait_for_selector("#compared-methods >> text=HyCIR on Toy shapes")
        other.reload()
        other.wait_for_selector("#method input")
        other.click("#method input")
        other.wait_for_selector("[role=option] >> text=HyCIR on Toy shapes")
    kept = [t.triplet_id for t in library.tables["toy"].triplets if (t.consistency or 0) >= 0.7]
    assert asked == [(kept, "Toy shapes")] * 2


def test_what_stands_in_the_way_of_a_training_is_said_and_the_button_can_be_clicked_again(
    library, retriever, visit
) -> None:
    from cir.ui.page import PageContent

    asked = []

    def train(triplets, gallery, title):
        asked.append(title)
        raise CirError(f"No {len(asked)}.", "Make more, or lower the threshold.")
        yield

    library.titles = {}
    library.kept = lambda key, score: []
    with served_page(PageContent(shelf_of(retriever), triplets=library, train=train)) as address:
        page = visit(address)
        open_tab(page)
        for time in (1, 2):
            page.click("#triplets-train:not([disabled])")
            page.wait_for_selector(f"#triplets-trained >> text=No {time}.")
            page.wait_for_selector("#triplets-trained >> text=Make more, or lower the threshold.")
            page.wait_for_selector("#triplets-train-stop", state="hidden")


def test_the_cards_are_one_stop_of_tab_and_the_arrows_go_about_in_them_as_in_every_grid(address, visit):
    page = visit(address)
    open_tab(page)
    place = "document.activeElement.dataset.place"
    page.locator("#triplets .card button").first.focus()
    columns = page.evaluate(
        "(all => all.filter(e => e.getBoundingClientRect().top === all[0].getBoundingClientRect().top).length)"
        "([...document.querySelectorAll('#triplets .card')])"
    )
    went = []
    for key in ("ArrowRight", "ArrowDown", "Home", "End", "ArrowLeft"):
        page.keyboard.press(key)
        went.append(page.evaluate(place))
    assert went == ["1", str(min(1 + columns, 6)), "0", "6", "5"]
    assert shown(page) == "Triplet 1"  # going about chooses nothing
    page.keyboard.press("Enter")
    wait_for_title(page, "Triplet 6")
    page.keyboard.press("k")
    wait_for_title(page, "Triplet 5")
    page.wait_for_function(f"{place} === '4'")  # the focus goes with what is looked at
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.card')") is None
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.closest('#triplets-words') !== null")
    page.keyboard.type("jar")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body")


def test_who_makes_triplets_while_another_does_is_told_the_place_and_can_leave_the_line(
    address, visit, library
):
    page, other = visit(address), visit(address)
    open_tab(page)
    open_tab(other)
    library.waits_for_stop = True
    page.click("#triplets-generate")
    wait_for_title(page, "Triplet 8")
    said = "words => document.querySelector('#triplets-stage').textContent.includes(words)"
    for _ in range(2):
        other.click("#triplets-generate")
        other.wait_for_function(said, arg="1 before you")
        other.click("#triplets-stop")
        other.wait_for_function(said, arg="Stopped. No triplet was made.")
    other.click("#triplets-generate")
    other.wait_for_function(said, arg="1 before you")
    page.click("#triplets-stop")
    page.wait_for_function(said, arg="Stopped. 1 new triplet.")
    wait_for_title(other, "Triplet 8")
    other.click("#triplets-stop")


def test_a_triplet_that_became_a_search_keeps_its_picture_when_the_server_was_restarted(
    library, retriever, visit
):
    from gradio import utils

    from cir.ui.page import PageContent
    from cir.ui.server.serving import launch
    from cir.ui.view import build_page

    content = PageContent(
        shelf_of(retriever), presets={"Even": cvsi_weights(0.6, 0.4, 0.2)}, triplets=library
    )  # type: ignore[arg-type]
    blocks = build_page(content)
    before = {path for path in Path(utils.get_upload_folder()).rglob("*") if path.is_file()}
    with launch(blocks, port=0) as server:
        page = visit(server.url)
        open_tab(page)
        page.click("#triplet-search")
        page.wait_for_selector("#stage .timings span")
        found = page.locator("#results .picture").evaluate_all("all => all.map(e => e.dataset.id)")
        blocks.state_holder.session_data.clear()
        content.sessions._kept.clear()
        for path in set(Path(utils.get_upload_folder()).rglob("*")) - before:
            if path.is_file():
                path.unlink()
        retriever.model_calls.clear()
        page.click("#search")
        page.wait_for_function("document.querySelector('#notes')?.textContent.includes('had forgotten')")
        assert page.locator("#results .picture").evaluate_all("all => all.map(e => e.dataset.id)") == found
        assert page.locator("#stage .problem").count() == 0
        assert page.evaluate("document.querySelector('#reference img').naturalWidth") > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_of_the_triplets_can_be_told_from_its_ground(address, visit, scheme):
    page = visit(address, color_scheme=scheme)
    open_tab(page)
    assert page.get_by_role("button", name="Run", exact=True).count() == 0  # gradio's name for a stray one
    page.locator("#triplets .card button").first.click()
    page.wait_for_selector("#triplet-closer .title b")
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert faint_texts(page) == []
