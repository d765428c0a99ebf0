"""Headless Chromium drives the real page over doubles of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsing import IN_A_BROWSER, focused, overflow, served_page, tab_to
from PIL import Image
from ui_doubles import ToyGallery, ToyRetriever, ToyTexts, shelf_of

from cir.composers.cvsi import weights as cvsi_weights
from cir.ui.search import render
from cir.ui.server.gradio_private import MARKUP
from cir.ui.session import Example

HOSTILE = '<img src=x onerror="window.__x=1">${window.__x=2}{{constructor}}<script>window.__x=3</script>'

pytestmark = IN_A_BROWSER
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@dataclass
class Served:
    """A page that is being served, the double behind it, whether its models count as loaded, and how often it was opened."""

    url: str
    retriever: ToyRetriever
    ready: bool = True
    opened: int = 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page over a toy gallery, for all tests."""
    from cir.ui.page import PageContent

    retriever = ToyRetriever(ToyGallery(tmp_path_factory.mktemp("thumbnails")))
    found = Served("", retriever)
    content = PageContent(
        shelf_of(retriever),  # type: ignore[arg-type]
        ready=lambda: found.ready,
        opened=lambda: setattr(found, "opened", found.opened + 1),
        presets={"CIRCO / CIRR": cvsi_weights(0.6, 0.4, 0.2), "Look alone": cvsi_weights(0.0, 0.0, 0.0)},
        missing={"captioner": "No captioner: `python -m cir models pull embedded`"},
        examples=[Example("red-square-large", "make it blue"), Example("green-circle-small", "star")],
        text_encoder=ToyTexts(),  # type: ignore[arg-type]
    )
    with served_page(content) as found.url:
        yield found


def captions(page) -> list[str]:
    return page.locator("#results .words").all_inner_texts()


def names(page) -> list[str]:
    """What the results are, in order: the second line under each."""
    return [caption.split("\n")[-1] for caption in captions(page)]


def wait_until_done(page) -> None:
    page.wait_for_selector("#stage .timings span")


def wait_for_first(page, name: str) -> None:
    page.wait_for_function(
        "name => document.querySelector('#results .words')?.textContent.endsWith(name)", arg=name
    )


def tops(page, count: int) -> list[float]:
    """Where the first results begin, all measured at one moment."""
    return page.locator("#results .picture").evaluate_all(
        "(items, n) => items.slice(0, n).map(item => item.getBoundingClientRect().top)", count
    )


def drag_to(page, slider: str, value: float) -> None:
    """Move a slider as a person does: the browser's own input events."""
    page.locator(f"#{slider} input[type=range]").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def test_the_page_opens_with_its_name_the_gallery_and_the_examples(served, visit):
    page = visit(served.url)
    assert page.title() == "Recompose"
    assert page.locator("h1").inner_text() == "Recompose"
    assert page.locator("#browse-grid .picture").count() == 24
    assert page.locator(".example").all_inner_texts() == ["make it blue", "star"]
    first, grid = page.locator(".example").first.bounding_box(), page.locator("#browse-grid").bounding_box()
    assert first["y"] < grid["y"]  # what to try stands above the pictures
    assert page.locator("#reference input[type=file]").count() == 1


def test_what_styles_and_scripts_rely_on_of_gradios_markup_is_on_the_page(served, visit, tmp_path: Path):
    absent = "selectors => selectors.filter(one => document.querySelector(one) === null)"
    page = visit(served.url)
    page.wait_for_selector("#alpha input[type=range]")
    assert page.evaluate(absent, [*MARKUP["opened"]]) == []
    Image.new("RGB", (8, 8)).save(tmp_path / "own.png")
    page.set_input_files("#reference input[type=file]", str(tmp_path / "own.png"))
    page.wait_for_selector("#reference img")
    assert page.evaluate(absent, [*MARKUP["with a picture"]]) == []
    page = visit(f"{served.url}?__theme=dark")
    assert page.evaluate(absent, [*MARKUP["dark"]]) == []
    page = visit(served.url, width=390)
    page.wait_for_selector("#tabs > .tab-wrapper [role=tab]")
    assert page.evaluate(absent, [*MARKUP["on a phone"]]) == []


def test_models_are_told_when_a_page_is_there_and_the_sliders_unfold_then(served, visit):
    before = served.opened
    page = visit(served.url)
    page.wait_for_selector("#alpha input[type=range]")
    page.wait_for_timeout(500)
    assert served.opened > before  # pages of before may be told late


def test_an_example_fills_the_query_and_searches(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    assert page.input_value("#edit textarea") == "make it blue"
    assert page.locator("#reference img").count() == 1
    assert names(page)[0] == "a large blue square"
    assert captions(page)[0].startswith("1 · 0.")
    assert page.locator("#results .picture").first.get_attribute("aria-label").startswith("1 · 0.")
    assert page.locator("#trace dt").all_inner_texts() == [
        "Seen in the reference", "Rewritten with the edit", "Objects likely added"
    ]  # fmt: skip
    assert page.locator("#leave-out input").is_checked()


def test_typing_and_enter_search_by_text_alone(served, visit):
    page = visit(served.url)
    page.fill("#edit textarea", "green circle")
    page.keyboard.press("Enter")
    wait_until_done(page)
    assert set(names(page)[:2]) == {"a small green circle", "a large green circle"}


def test_first_results_are_there_while_the_models_still_work(served, visit, monkeypatch):
    monkeypatch.setattr(served.retriever, "delay_seconds", 3)
    page = visit(served.url)
    page.click("text=make it blue")
    page.wait_for_selector("#results img")
    assert "Still captioning and asking the language model" in page.inner_text("#stage")
    assert page.locator("#trace .chip.waiting").count() == 3
    assert page.get_attribute("#stage", "role") == "status"
    wait_until_done(page)
    assert page.locator("#trace .chip.waiting").count() == 0
    assert names(page)[0] == "a large blue square"


def test_the_answer_to_a_second_question_is_not_overwritten_by_the_first(served, visit, monkeypatch):
    monkeypatch.setattr(served.retriever, "delay_seconds", 1.5)
    page = visit(served.url)
    page.click("text=make it blue")
    page.wait_for_selector("#results img")
    page.fill("#edit textarea", "purple")
    page.keyboard.press("Enter")
    wait_for_first(page, "a large purple square")
    wait_until_done(page)
    page.wait_for_timeout(2500)  # longer than the first search had left
    assert names(page)[0] == "a large purple square"
    assert "purple" in page.inner_text("#trace")


def test_a_slider_reorders_at_once_without_a_model_and_the_other_gives_way(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    before, calls = names(page), list(served.retriever.model_calls)
    drag_to(page, "alpha", 0.0)
    drag_to(page, "beta", 0.0)
    wait_for_first(page, "a small red square")  # the reference itself, large, is left out
    assert names(page) != before
    assert page.get_attribute(".shares", "aria-label").endswith("Reference look 100%")
    drag_to(page, "beta", 0.7)
    drag_to(page, "alpha", 0.9)
    wait_for_first(page, "a large blue square")
    assert page.input_value("#beta input[type=number]") == "0.1"
    assert page.locator(".shares .percent").all_text_contents()[:2] == ["90%", "10%"]
    assert served.retriever.model_calls == calls


def test_a_number_out_of_range_is_refused_and_the_other_sliders_stay_in_theirs(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    shown = names(page)
    page.fill("#alpha input[type=number]", "1.5")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=alpha is 1.5.")
    assert page.input_value("#beta input[type=number]") == "0"
    assert page.locator(".shares .percent").all_text_contents() == ["100%", "0%", "0%"]
    page.fill("#alpha input[type=number]", "0.6")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=alpha is 1.5.", state="detached")
    assert names(page)[0] == shown[0]
    assert page.locator("#stage .problem").count() == 0


def test_a_preset_sets_the_sliders_the_bar_and_the_order(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    page.click("text=Look alone")
    wait_for_first(page, "a small red square")
    assert page.input_value("#alpha input[type=number]") == "0"
    assert page.locator(".shares .percent").all_text_contents() == ["0%", "0%", "100%"]


def test_an_own_picture_is_uploaded_and_searched_with(served, visit):
    page = visit(served.url)
    own = served.retriever.gallery.thumbnail_path("green-circle-small")
    page.set_input_files("#reference input[type=file]", own)
    page.wait_for_selector("#reference img")
    page.click("#search")
    wait_until_done(page)
    assert names(page)[0] == "a small green circle"
    assert "No edit text" in page.inner_text("#notes")
    assert page.locator("#leave-out").count() == 0 or not page.locator("#leave-out").is_visible()


def test_a_picked_picture_is_shown_from_a_copy_and_nothing_says_where_the_gallery_is(served, visit):
    folder = str(served.retriever.gallery.thumbnail_path("red-square-small").parent)
    page = visit(served.url)
    page.locator("#browse-grid .picture").first.click()
    page.wait_for_selector("#reference img")
    assert folder not in page.locator("#reference img").get_attribute("src")
    page.fill("#edit textarea", "blue")
    page.keyboard.press("Enter")
    wait_until_done(page)
    assert page.locator("#leave-out input").is_checked()  # it is known as the gallery's own
    assert folder not in page.content()
    assert folder not in page.evaluate("JSON.stringify(window.gradio_config)")


def test_the_whole_way_by_keyboard(served, visit):
    page = visit(served.url)
    page.locator("#reference button").first.focus()
    tab_to(page, "#pick")
    page.keyboard.press("Enter")
    focused(page, "#browse-grid .picture")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.place") == "0"
    picked = page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("Enter")
    page.wait_for_selector("#reference img")
    focused(page, "#edit textarea")
    page.keyboard.type("yellow")
    page.keyboard.press("Enter")
    wait_until_done(page)
    assert names(page)[0].split()[2] == "yellow"
    assert picked not in names(page)[:1]
    tab_to(page, "#results .picture")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    focused(page, "#use-as-reference")
    assert "Number 1" in page.inner_text("#inspector")
    page.keyboard.press("Escape")
    page.wait_for_selector("#inspector", state="hidden")
    focused(page, "#results .picture")
    page.keyboard.press("Enter")
    focused(page, "#use-as-reference")
    page.keyboard.press("Enter")
    focused(page, "#edit textarea")
    page.keyboard.press("Enter")
    page.wait_for_function("n => document.querySelector('#trace')?.textContent.includes(n)", arg="yellow")


def test_a_result_looked_at_shows_its_captions_and_becomes_the_next_reference(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    page.locator("#results .picture").nth(0).click()
    page.wait_for_selector("#inspector .why")
    assert "a large blue square" in page.inner_text("#inspector")
    source = page.locator("#results img").first.evaluate("picture => picture.src.split('/').pop()")
    same = "s => document.querySelector('#reference img')?.src.split('/').pop() === s"
    page.wait_for_timeout(500)  # on a busy machine the card is still being drawn when its text is there
    page.click("#use-as-reference")
    try:
        page.wait_for_function(same, arg=source, timeout=10_000)
    except (
        playwright_api.TimeoutError
    ):  # a click on a button that is being replaced is lost: a person clicks again
        page.click("#use-as-reference")
        page.wait_for_function(same, arg=source)
    page.wait_for_selector("#inspector", state="hidden")


def test_on_a_phone_nothing_overflows_and_pictures_stand_two_by_two(served, visit):
    page = visit(served.url, width=390, height=844, has_touch=True, is_mobile=True)
    assert overflow(page) == 0
    page.locator("text=make it blue").tap()
    wait_until_done(page)
    page.locator("#results .picture").nth(2).tap()
    page.wait_for_selector("#use-as-reference")
    assert overflow(page) == 0
    first, second, third = tops(page, 3)
    assert first == second < third
    page.click("#weights > button")
    page.wait_for_selector("#alpha input[type=range]")
    assert overflow(page) == 0


ROWS = """() => [...document.querySelectorAll('#trace dt')].map((name) => {
  const next = name.nextElementSibling.nextElementSibling;
  return next ? next.getBoundingClientRect().top >= name.nextElementSibling.getBoundingClientRect().bottom - 1 : true;
})"""


@pytest.mark.parametrize("width", [320, 390, 640, 800])
def test_in_one_column_each_name_of_the_trace_begins_a_line_of_its_own(served, visit, width):
    page = visit(served.url, width=width)
    page.locator("text=make it blue").click()
    wait_until_done(page)
    trace = {
        "captions": ["a big bus"],
        "image_word": ["beach", "whale"],
    }  # as where there is no language model
    made = render.texts(trace, pending=False, changeable=True, without=True)
    page.locator("#trace dl").evaluate("(drawn, made) => (drawn.outerHTML = made)", made)
    assert page.evaluate(ROWS) == [True] * 4


@pytest.mark.parametrize("width", [390, 640])
def test_in_one_column_all_buttons_of_the_trace_are_in_sight_beside_a_long_text(served, visit, width):
    page = visit(served.url, width=width)
    page.locator("text=make it blue").click()
    wait_until_done(page)
    long = "on a field of snow, a butterfly, a little fish, a small globe and three small elephants by day"
    trace = {"typed_text": ["x"], "reworded": [long], "captions": [long, *map(str, range(10))]}
    made = render.texts(trace, pending=False, changeable=True, without=True)
    page.locator("#trace dl").evaluate("(drawn, made) => (drawn.outerHTML = made)", made)
    hidden = """[...document.querySelectorAll('#trace dd')].flatMap((row) => [...row.children].filter(
      (part) => part.getBoundingClientRect().right > row.getBoundingClientRect().right + 1)).length"""
    assert page.evaluate(hidden) == 0


def test_on_a_phone_no_dot_stands_before_the_first_link_at_the_foot(served, visit):
    page = visit(served.url, width=390)
    page.wait_for_selector("footer .settings")
    page.wait_for_selector("footer .divider", state="hidden")
    assert page.locator("footer .show-api").is_hidden()
    assert page.locator("footer[aria-label]").inner_text().strip().startswith("Settings")


def test_whoever_wants_no_motion_gets_none(served, visit):
    moves = "getComputedStyle(document.querySelector('#browse-grid .picture img')).transitionProperty"
    assert visit(served.url).evaluate(moves) != "none"
    assert visit(served.url, reduced_motion="reduce").evaluate(moves) == "none"


def test_where_the_system_chooses_the_colours_what_is_chosen_and_how_much_can_be_seen(served, visit):
    page = visit(served.url, forced_colors="active")
    page.locator("text=make it blue").click()
    wait_until_done(page)
    lines = "e => getComputedStyle(e).borderBottomWidth"
    tabs = page.locator("#tabs > .tab-wrapper [role=tab]:visible")
    assert [one.evaluate(lines) != "0px" for one in tabs.all()].count(True) == 1
    assert page.locator("#leave-out input").evaluate("e => getComputedStyle(e).appearance") == "auto"
    slider = page.locator("#weights .weight input[type=range]").first
    assert slider.evaluate("e => getComputedStyle(e).appearance") == "auto"
    ground = "e => getComputedStyle(e).backgroundColor"
    assert (
        len({one.evaluate(ground) for one in page.locator(".share").all()}) == page.locator(".share").count()
    )


def test_tab_goes_on_from_a_list_to_the_next_field(served, visit):
    page = visit(served.url)
    page.focus("#method input")
    page.wait_for_selector("[role=listbox][tabindex='-1']")  # a long one scrolls, and Tab would stop at it
    page.keyboard.press("Tab")
    focused(page, "#top-k input")


def test_the_page_is_said_to_be_in_english_whatever_the_browser_speaks(served, visit):
    page = visit(served.url, locale="de-DE")
    page.wait_for_selector("footer .settings:has-text('Einstellungen')")
    page.wait_for_function("document.documentElement.lang === 'en'")


def test_in_one_column_the_empty_reference_takes_no_click_above_or_below_its_box(served, visit):
    page = visit(served.url, width=390)
    page.wait_for_selector("#reference button")
    taken = """above => { const box = document.querySelector('#reference').getBoundingClientRect();
      const hit = document.elementFromPoint(box.x + box.width / 2, above ? box.top - 12 : box.bottom + 4);
      return hit.closest('#reference') !== null; }"""
    assert [page.evaluate(taken, above) for above in (True, False)] == [False, False]


def test_on_a_desktop_the_results_stand_beside_the_query_in_several_columns(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    assert len(set(tops(page, 5))) == 1
    assert page.locator("#answer").bounding_box()["x"] > page.locator("#search").bounding_box()["x"] + 300
    assert overflow(page) == 0


def background(page) -> int:
    """The brightness of the page's ground, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor")
    return max(int(float(part)) for part in re.findall(r"[\d.]+", colour)[:3])


def test_the_page_is_dark_where_the_system_is_and_where_it_is_asked_to_be(served, visit):
    assert background(visit(served.url)) > 230
    assert background(visit(served.url, color_scheme="dark")) < 40
    assert background(visit(served.url + "?__theme=dark")) < 40


def test_fault_12_hostile_texts_are_shown_and_never_run(served, visit, monkeypatch):
    monkeypatch.setattr(served.retriever.gallery, "hostile_caption", HOSTILE)
    page = visit(served.url)
    assert "python -m cir models pull embedded" in page.inner_text(".banner")
    page.fill("#edit textarea", f"blue {HOSTILE}")
    page.keyboard.press("Enter")
    wait_until_done(page)
    page.locator("#results .picture").first.click()
    page.wait_for_selector("#inspector .said")
    assert HOSTILE in page.inner_text("#inspector")
    assert "{{constructor}}" in page.inner_text("#trace")
    assert page.evaluate("window.__x") is None
    assert page.locator("img[src=x]").count() == 0


def test_fault_16_nothing_to_search_for_is_said_in_a_sentence(served, visit):
    page = visit(served.url)
    page.click("#search")
    page.wait_for_selector("#stage .problem")
    assert page.inner_text("#stage .problem").splitlines()[0] == "There is nothing to search for."
    assert "Traceback" not in page.content()


def test_fault_22_a_file_that_is_no_picture_is_refused_in_a_sentence(served, visit, tmp_path: Path):
    page = visit(served.url)
    fake = tmp_path / "fake.png"
    fake.write_text("<h1>not a picture</h1>")
    page.set_input_files("#reference input[type=file]", fake)
    page.wait_for_selector("#reference img", state="attached")
    page.click("#search")
    page.wait_for_selector("#stage .problem")
    assert "Traceback" not in page.inner_text("#stage")
    assert len(page.inner_text("#stage .problem")) > 20


def test_a_fault_is_one_sentence_with_an_id_and_the_next_search_works(served, visit, monkeypatch):
    page = visit(served.url)
    monkeypatch.setattr(served.retriever, "fail_with", ZeroDivisionError("inner detail"))
    page.fill("#edit textarea", "blue")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage .problem")
    said = page.inner_text("#stage .problem")
    monkeypatch.undo()
    assert re.search(r"under [0-9a-f]{8}\.", said)
    assert "inner detail" not in page.content()
    page.focus("#edit textarea")
    page.keyboard.press("Enter")
    wait_until_done(page)
    assert names(page)[0].split()[2] == "blue"


def test_fault_83_a_reload_in_the_middle_of_a_search_leaves_a_working_page(served, visit, monkeypatch):
    monkeypatch.setattr(served.retriever, "delay_seconds", 2)
    page = visit(served.url)
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})  # what is typed comes before the page is whole
    page.click("text=make it blue")
    page.wait_for_selector("#results img")
    page.reload()
    page.wait_for_selector("#edit textarea")
    page.fill("#edit textarea", "purple")
    page.keyboard.press("Enter")
    wait_for_first(page, "a large purple square")
    wait_until_done(page)
    page.wait_for_timeout(2500)  # longer than the first search had left
    assert names(page)[0] == "a large purple square"


def test_a_search_that_was_left_before_it_was_whole_is_asked_for_again(served, visit, monkeypatch):
    monkeypatch.setattr(served.retriever, "delay_seconds", 2)
    page = visit(served.url)
    page.click("text=make it blue")
    page.wait_for_selector("#stage .busy:has-text('First results')")
    page.reload()
    wait_for_first(page, "a large blue square")
    wait_until_done(page)
    page.fill("#edit textarea", "purple")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage .busy:has-text('First results')")
    page.fill("#edit textarea", "green")
    page.keyboard.press("Enter")
    wait_for_first(page, "a large green square")
    wait_until_done(page)
    page.click("#crumbs [data-do=undo]")
    wait_for_first(page, "a large purple square")
    wait_until_done(page)
    assert page.input_value("#edit textarea") == "purple"


def test_a_search_that_the_server_never_heard_of_is_made_when_the_page_is_loaded_again(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    page.route("**/queue/join*", lambda route: route.abort())
    page.fill("#edit textarea", "purple")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Connection to the server was lost")
    page.unroute("**/queue/join*")
    page.reload()
    wait_for_first(page, "a large purple square")
    assert page.input_value("#edit textarea") == "purple"


def test_what_was_only_typed_is_not_searched_for_when_the_page_is_loaded_again(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    page.fill("#edit textarea", "purple")
    page.reload()
    wait_for_first(page, "a large blue square")
    page.wait_for_function("document.querySelector('#edit textarea').value === 'purple'")
    page.wait_for_timeout(500)
    assert names(page)[0] == "a large blue square"


def test_fault_84_a_second_visitor_sees_nothing_of_the_first(served, visit):
    first = visit(served.url)
    first.click("text=make it blue")
    wait_until_done(first)
    second = visit(served.url)
    drag_to(second, "alpha", 0.1)
    second.wait_for_timeout(500)
    assert second.locator("#results img").count() == 0
    assert "blue" not in second.inner_text("#stage")


def test_a_description_is_changed_in_place_and_reset_by_keyboard_alone(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    calls = list(served.retriever.model_calls)
    drag_to(page, "alpha", 1.0)
    page.focus("#trace [data-kind=modified_captions][data-place='0']")
    page.keyboard.press("Enter")
    focused(page, ".chip-field")
    page.fill(".chip-field", 201 * "x")
    page.keyboard.press("Enter")
    told = page.locator(".chip-field").evaluate("field => [field.value.length, field.validationMessage]")
    assert told == [201, "At most 200 characters; this has 201."]
    page.keyboard.press("Control+A")
    page.keyboard.type("a large yellow circle <img src=x>")
    page.keyboard.press("Enter")
    wait_for_first(page, "a large yellow circle")
    assert "a large yellow circle <img src=x>" in page.inner_text("#trace")
    assert page.locator("img[src=x]").count() == 0
    page.focus("#trace [data-do=reset]")
    page.keyboard.press("Enter")
    wait_for_first(page, "a large blue square")
    assert page.locator("#crumbs li").count() >= 3
    assert served.retriever.model_calls == calls


def test_a_result_is_explained_and_goes_on_by_keys_to_terms_undo_and_a_download(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    page.locator("#results .picture").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#inspector .why table")
    said = page.inner_text("#inspector")
    assert page.locator("#inspector h2").text_content().startswith("Number 2 score ")
    assert "would lift it from 2 to" in said or "No single slider lifts it." in said
    score = float(re.search(r"score ([\d.]+)", said)[1])  # type: ignore[index]
    cells = [c.replace("−", "-") for c in page.locator("#inspector tbody td").all_inner_texts()]
    shares = [float(cell) for place, cell in enumerate(cells) if place % 3 < 2]
    assert abs(sum(shares) - score) < 0.004
    page.keyboard.press("l")
    page.wait_for_selector("#trace .term.less")
    assert "−0.30" in page.inner_text("#trace .term.less")
    page.keyboard.press("z")
    page.wait_for_selector("#trace .term", state="detached")
    page.locator("#results .picture").nth(2).focus()
    page.keyboard.press("x")
    page.wait_for_selector("#results .ticked")
    assert "1 selected" in page.inner_text("#stage")
    page.click("#keep > button")
    with page.expect_download() as download:
        page.click("#save-csv")
    table = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert table[0] == "rank,score,image_id,label,caption,selected"
    assert [line.endswith(",yes") for line in table[1:5]] == [False, False, True, False]


def test_a_link_restores_the_search_and_a_bad_one_says_what_is_wrong(served, visit):
    page = visit(served.url + "?image=red-square-large&text=make+it+yellow&a=0.5&b=0.5&g=0&k=7")
    wait_until_done(page)
    wait_for_first(page, "a large yellow square")
    assert page.input_value("#edit textarea") == "make it yellow"
    assert page.input_value("#alpha input[type=number]") == "0.5"
    assert len(names(page)) == 7
    bad = visit(served.url + "?image=../../etc/passwd&text=x")
    bad.wait_for_selector("#stage .problem")
    assert "There is no image" in bad.inner_text("#stage")
    assert bad.locator("#results img").count() == 0


SAID = """() => {
  window.said = [];
  new MutationObserver(() => window.said.push(document.querySelector('#stage').innerText))
    .observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.mark.parametrize(
    ("ready", "expected"), [(False, "Loading the models"), (True, "Looking at the query")]
)
def test_a_search_says_whether_it_waits_for_the_models(served: Served, visit, ready, expected) -> None:
    page = visit(served.url)
    page.evaluate(SAID)
    served.ready = ready
    try:
        page.fill("#edit textarea", "blue")
        page.keyboard.press("Enter")
        wait_until_done(page)
    finally:
        served.ready = True
    said = page.evaluate("window.said.join('|')")
    assert expected in said
    assert ("Loading the models" in said) == (not ready)


def place(page) -> int:
    """Which picture of its grid has the focus."""
    return int(page.evaluate("document.activeElement.dataset.place ?? -1"))


def test_six_keys_lead_from_the_text_to_the_first_result_and_one_more_to_the_closer_look(served, visit):
    page = visit(served.url)
    page.fill("#edit textarea", "blue")
    page.keyboard.press("Enter")
    wait_until_done(page)
    focused(page, "#edit textarea")
    keys = 0
    while not page.evaluate("document.activeElement.matches('[data-skip]')"):
        page.keyboard.press("Tab")
        keys += 1
    page.keyboard.press("Enter")
    focused(page, "#results .picture[data-place='0']")
    assert keys + 1 <= 6
    page.keyboard.press("Enter")
    focused(page, "#use-as-reference")


def test_arrows_home_end_and_pages_go_about_in_a_grid_that_is_one_stop_of_tab(served, visit):
    page = visit(served.url)
    page.wait_for_selector("#browse-grid .picture[tabindex='-1']")
    assert page.locator("#browse-grid .picture[tabindex='0']").count() == 1
    page.locator("#browse-grid .picture").first.focus()
    columns = len(
        set(page.locator("#browse-grid .picture").evaluate_all("all => all.map(one => one.offsetLeft)"))
    )
    seen = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "End", "Home", "PageDown", "PageUp"):
        page.keyboard.press(key)
        seen.append(place(page))
    assert seen[:6] == [1, 1 + columns, columns, 0, 23, 0]
    assert seen[6] > columns
    assert seen[7] == 0
    page.keyboard.press("Tab")
    assert page.locator("#browse-grid .picture:focus").count() == 0


def test_the_focus_stays_where_it_was_when_the_results_are_drawn_anew(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    page.locator("#results .picture").nth(3).focus()
    page.keyboard.press("x")
    page.wait_for_selector("#results .ticked")
    focused(page, "#results .picture[data-place='3']")
    page.focus("#pick")
    page.keyboard.press("Enter")
    focused(page, "#browse-grid .picture")


def test_more_results_are_shown_page_by_page_and_the_keys_go_on_at_the_first_new_one(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    assert page.inner_text("#stage .stage").startswith("30 of 39 pictures")  # the reference is left out
    assert page.locator("#results .picture").count() == 30
    page.focus("#results [data-do=more]")
    page.keyboard.press("Enter")
    focused(page, "#results .picture[data-place='30']")
    assert page.locator("#results .picture").count() == 39
    assert page.locator("#results [data-do=more]").count() == 0
    assert page.inner_text("#stage .stage").startswith("39 pictures")


def test_a_result_has_its_file_name_beside_the_machines_words_and_is_seen_whole(served, visit):
    page = visit(served.url)
    page.click("text=make it blue")
    wait_until_done(page)
    first = page.locator("#results .picture").first
    assert first.locator(".file").inner_text() == "blue-square-large.webp"
    assert "may be wrong" in first.locator(".machine").get_attribute("title")
    first.click()
    page.wait_for_selector("#inspector .file")
    assert page.inner_text("#inspector .file") == "blue-square-large.webp"
    assert "which may be wrong" in page.inner_text("#inspector .said")
    page.focus("#inspector [data-do=enlarge]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#larger img')?.naturalWidth === 96")
    assert page.get_attribute("#larger img", "src").startswith("blob:")  # no address leads to the file
    page.keyboard.press("Escape")
    page.wait_for_selector("#larger", state="detached")
    focused(page, "#inspector [data-do=enlarge]")
    page.click("#inspector [data-kind=more]")
    page.wait_for_selector("#trace .term.more img")
    same = "() => document.querySelector('#trace .term img').src === document.querySelector('#results .looked img').src"
    assert page.evaluate(same)


def test_on_a_phone_no_circle_is_drawn_that_would_do_nothing(served, visit):
    drawn = "getComputedStyle(document.querySelector('#results .picture'), '::after').display"
    for options, expected in [({"has_touch": True, "is_mobile": True}, "none"), ({}, "block")]:
        page = visit(served.url, width=390, height=844, **options)
        page.click("text=make it blue")
        wait_until_done(page)
        assert page.evaluate(drawn) == expected


PASTE = """([words, field]) => new Promise((done) => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 48, height: 48});
  canvas.toBlob((blob) => {
    const data = new DataTransfer();
    data.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
    if (words) data.setData('text/plain', words);
    const event = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
    document.querySelector(field).dispatchEvent(event);
    done();
  });
})"""


def test_a_pasted_picture_becomes_the_reference_wherever_the_focus_is_but_words_stay_words(served, visit):
    page = visit(served.url)
    page.evaluate(PASTE, ["some words", "#edit textarea"])
    page.wait_for_timeout(500)
    assert page.locator("#reference img").count() == 0
    page.evaluate(PASTE, ["", "body"])
    page.wait_for_selector("#reference img[src*='pasted']")
    page.locator("#browse-grid .picture").first.click()
    page.wait_for_selector("#reference img:not([src*='pasted'])")
    page.evaluate(PASTE, ["", "#edit textarea"])
    page.wait_for_selector("#reference img[src*='pasted']")


def test_a_text_that_is_too_long_is_kept_and_told(served, visit):
    page = visit(served.url)
    page.fill("#edit textarea", "blue " * 528)
    assert page.inner_text("#edit-length") == "2,639 characters: the first 500 are searched for."
    assert len(page.input_value("#edit textarea")) == 2640
    page.keyboard.press("Enter")
    wait_until_done(page)
    assert "cut at 500 characters" in page.inner_text("#notes")
    page.fill("#edit textarea", "blue")
    assert not page.locator("#edit-length p").is_visible()


def test_a_file_that_is_no_picture_is_refused_beside_the_field_before_anything_else_can_say_so(
    served, visit, tmp_path
):
    page = visit(served.url)
    notes = tmp_path / "notes.txt"
    notes.write_text("no picture")
    page.set_input_files("#reference input[type=file]", notes)
    page.wait_for_selector("#reference-problem .problem:visible")
    assert page.inner_text("#reference-problem").startswith("notes.txt is no picture.")
    assert page.locator(".toast-body").count() == 0
    page.click("#search")
    page.wait_for_selector("#stage .problem")  # a newer error takes the place of the older
    assert page.locator(".problem:visible").count() == 1
    page.set_input_files("#reference input[type=file]", notes)
    page.wait_for_selector("#reference-problem .problem:visible")
    page.wait_for_selector("#stage .problem", state="hidden")
    page.set_input_files(
        "#reference input[type=file]", served.retriever.gallery.thumbnail_path("red-star-small")
    )
    page.wait_for_selector("#reference img")
    page.wait_for_selector("#reference-problem .problem", state="hidden")
