"""The Compare and Results tabs in headless Chromium, over the toy world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import IN_A_BROWSER, focused, overflow, served_page, tab_to
from contrast import faint_texts
from fakes import ToyCaptioner, ToyClip, ToyLanguageModel, draw, toy_cvsi, toy_gallery
from ui_doubles import shelf_of

from cir.composers.baselines import ImageOnly, Sum
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.slerp import Slerp
from cir.evaluation.papers import paper_tables
from cir.evaluation.results_file import Section
from cir.gallery.gallery import Gallery
from cir.ranking.retriever import Retriever
from cir.ui.results.render import Results

pytestmark = IN_A_BROWSER
HOLD_UPLOADS = """(() => {
  const plain = window.fetch;
  window.fetch = async (resource, ...rest) => {
    if (/[/]upload([?]|$)/.test(String(resource.url ?? resource))) await new Promise((go) => (window.letGo = () => go()));
    return plain(resource, ...rest);
  };
})()"""
MEASURED = "## All methods\n\n| method | R@1 |\n|---|---|\n| CVSI | 84.6 |\n\n![a map](figures/map.svg)"


def pictured_gallery(folder: Path) -> Gallery:
    """The toy gallery, with its pictures as files."""
    gallery = toy_gallery()
    for image_id in gallery.image_ids:
        draw(*image_id.split("-")).save(folder / f"{image_id}.webp")
    object.__setattr__(gallery, "thumbnail_path", lambda image_id: folder / f"{image_id}.webp")
    return gallery


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One page over the toy world, with three methods and a measured table."""
    from cir.ui.page import PageContent

    clip = ToyClip()
    methods = [toy_cvsi(ToyLanguageModel(), ToyCaptioner()), Sum(clip, clip), ImageOnly(clip)]
    content = PageContent(
        shelf_of(
            Retriever(pictured_gallery(tmp_path_factory.mktemp("pictures")), {m.name: m for m in methods})
        ),
        presets={"Default": cvsi_weights(0.5, 0.4, 0.2)},
        results=lambda: Results(
            [Section("methods", MEASURED, {"date": "2026-11-21"})],
            paper_tables(),
            {"figures/map.svg": '<svg viewBox="0 0 9 9" width="900" id="map"></svg>'},
        ),
    )
    with served_page(content) as url:
        yield url


def ask(page, tmp_path: Path, methods: int = 3) -> None:
    """Fill the query in on the Search tab, and compare it."""
    path = tmp_path / "red-square.png"
    draw("red", "square", 96).save(path)
    page.set_input_files("#reference input[type=file]", path)
    page.wait_for_selector("#reference img")
    page.fill("#edit textarea", "make it blue")
    page.click("button[role=tab]:has-text('Compare')")
    page.wait_for_selector("text=this picture, “make it blue”")
    page.click("#compare-start")
    page.wait_for_function(
        "methods => document.querySelectorAll('#compare-columns .compared-head .timings').length === methods"
        " && !document.querySelector('#compare-stage .busy')",
        arg=methods,
    )


def test_a_query_is_compared_a_picture_is_marked_by_keyboard_and_its_weights_are_searched_with(
    address, visit, tmp_path
):
    page = visit(address)
    ask(page, tmp_path)
    heads = page.locator("#compare-columns h3").all_inner_texts()
    assert heads == ["CVSI", "Sum", "Image-only"]
    assert page.get_by_role("button", name="Reference image, larger").is_visible()
    words = page.locator("#compared-3 .words").all_inner_texts()
    assert words[0].startswith("1 ▲ ")
    assert "among the first 12" in page.locator(".compared-head").nth(2).inner_text()
    page.locator("#compare-start").focus()
    tab_to(page, "#compared-1 .picture")
    page.keyboard.press("Enter")
    page.wait_for_selector("#compare-judged .map svg")
    assert page.locator("#compare-judged .map rect").count() == 66
    assert "★ meant" in page.locator("#compared-1 .words").first.inner_text()
    assert page.locator("#compare-judged tbody tr").first.inner_text().split() == ["CVSI", "1"]
    assert overflow(page) == 0
    page.click("#compare-use")
    page.wait_for_selector("#results img")
    assert page.locator("#results .words").first.inner_text().endswith("a blue square")
    page.click("button[role=tab]:has-text('Compare')")
    page.click("#compare-clear")
    page.wait_for_selector("#compare-judged .hint")


def test_where_no_method_has_weights_none_are_offered_to_search_with(address, visit, tmp_path):
    page = visit(address)
    page.click("button[role=tab]:has-text('Compare')")
    page.uncheck("#compared-methods label:has-text('CVSI') input")
    page.click("button[role=tab]:has-text('Search')")
    ask(page, tmp_path, methods=2)
    page.locator("#compared-1 .picture").first.click()
    page.wait_for_selector("text=there is nothing to fit")
    page.wait_for_selector("#compare-clear")
    assert not page.is_visible("#compare-use")


def test_on_a_dark_phone_both_tabs_fit_and_results_tell_measured_from_printed(address, visit, tmp_path):
    page = visit(address, width=390, height=844, color_scheme="dark")
    ask(page, tmp_path)
    page.locator("#compared-2 .picture").first.click()
    page.wait_for_selector("#compare-judged .map svg")
    assert overflow(page) == 0
    page.locator("#tabs .overflow-menu > button").first.click()  # five tabs do not fit beside each other
    page.locator("#tabs .overflow-dropdown button:has-text('Results')").click()
    page.wait_for_selector("#results-tab table")
    assert "84.6" in page.inner_text("#results-tab .measured table")
    assert page.locator("#map").count() == 1
    page.locator("#results-tab .printed summary").first.click()
    page.wait_for_selector("#results-tab .printed table")
    assert "As printed, other images" in page.inner_text("#results-tab .printed")
    assert "75.04" in page.inner_text("#results-tab .printed")
    assert overflow(page) == 0


def test_marks_are_cleared_after_the_mark_that_is_still_on_its_way(address, visit, tmp_path):
    page = visit(address)
    ask(page, tmp_path)
    page.locator("#compared-1 .picture").nth(2).click()
    page.wait_for_selector("#compare-judged table")
    held: list = []
    page.route("**/queue/join*", lambda route: route.continue_() if held else held.append(route))
    page.locator("#compared-1 .picture").nth(4).click()
    page.wait_for_timeout(300)
    page.click("#compare-clear")
    page.wait_for_timeout(300)
    held[0].continue_()
    page.wait_for_selector("#compare-judged .hint")
    page.wait_for_function("recompose.idle()")
    page.wait_for_timeout(500)
    assert "★ meant" not in page.inner_text("#compared-1")


def test_comparing_waits_for_a_picture_that_is_on_its_way_and_tells_what_was_cut_from_the_text(
    address, visit, tmp_path
):
    path = tmp_path / "red-square.png"
    draw("red", "square", 96).save(path)
    page = visit(address, prepare=lambda page: page.add_init_script(HOLD_UPLOADS))
    page.wait_for_selector("#browse-grid img")
    page.wait_for_function("recompose.bridge && recompose.idle()")
    page.fill("#edit textarea", "make it\u202e blue")
    page.set_input_files("#reference input[type=file]", path)
    page.wait_for_function("Boolean(window.letGo)")
    page.click("button[role=tab]:has-text('Compare')")
    page.click("#compare-start")
    page.wait_for_selector("#compare-waiting p:visible")
    assert page.inner_text("#compare-waiting p") == "Waiting for the picture …"
    page.evaluate("letGo()")
    page.wait_for_selector("#compare-stage .notes")
    assert "this picture, “make it blue”" in page.inner_text("#compared-query")
    assert page.locator("#compare-waiting p:visible").count() == 0
    assert page.locator("#compare-columns h3").count() == 3
    assert "was taken out" in page.inner_text("#compare-stage")


def test_fault_16_comparing_nothing_is_said_in_a_sentence(address, visit):
    page = visit(address)
    page.click("button[role=tab]:has-text('Compare')")
    page.wait_for_selector("text=Choose a picture and type an edit on the Search tab")
    page.click("#compare-start")
    page.wait_for_selector("#compare-stage .problem")
    assert page.inner_text("#compare-stage .problem").startswith("There is nothing to search for.")
    focused(page, "#compare-start")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_of_search_compare_and_results_can_be_told_from_its_ground(address, visit, tmp_path, scheme):
    page = visit(address, color_scheme=scheme)
    faint = faint_texts(page)
    ask(page, tmp_path)
    page.locator("#compared-2 .picture").first.click()
    page.wait_for_selector("#compare-judged .map svg")
    faint += faint_texts(page)
    page.click("button[role=tab]:has-text('Results')")
    page.wait_for_selector("#results-tab table")
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    faint += faint_texts(page)
    page.click("button[role=tab]:has-text('Search')")
    page.click("#search")
    page.wait_for_selector("#stage .timings span")
    page.locator("#results .picture").nth(1).click()
    page.wait_for_selector("#inspector .why")
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    faint += faint_texts(page)
    assert faint == []


def test_what_would_be_too_faint_is_found(address, visit):
    page = visit(address)
    page.add_style_tag(content=".masthead p { color: #8a857e !important; }")
    assert any("Search your pictures" in line for line in faint_texts(page))


def test_columns_begin_at_one_height_and_their_arrows_are_explained(address, visit, tmp_path):
    page = visit(address)
    ask(page, tmp_path)
    tops = page.locator(".compared .grid").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1
    assert "three places higher than under the first method" in page.inner_text("#compare-columns .legend")
    page.locator("#compared-1 .picture").nth(2).focus()
    page.keyboard.press("ArrowRight")
    focused(page, "#compared-2 .picture[data-place='2']")


def test_a_method_without_numbers_has_no_sliders_and_names_its_parts_as_they_are(address, visit, tmp_path):
    page = visit(address)
    ask(page, tmp_path)
    page.click("button[role=tab]:has-text('Search')")
    page.click("#search")
    page.wait_for_selector("#stage .timings span")
    page.click("#method input")
    page.locator("#method [role=option]", has_text="Sum").click()
    for gone in ("#alpha", "#beta", "#gamma", "#presets .pill", ".shares", "#meanings dt"):
        page.wait_for_selector(gone, state="hidden")
    page.locator("#results .picture").nth(1).click()
    page.wait_for_selector("#inspector .why")
    assert page.locator("#inspector tbody th").all_inner_texts() == ["Edit", "Reference look"]
    assert "This method has no sliders" in page.inner_text("#inspector .move")
    page.click("#method input")
    page.locator("#method [role=option]", has_text="CVSI").click()
    for there in ("#alpha", "#beta", "#gamma", "#presets .pill", ".shares"):
        page.wait_for_selector(there)


def test_of_two_methods_that_are_chosen_quickly_the_second_one_has_its_sliders(address, visit):
    page = visit(address)
    on_the_way, held = [], [True]
    page.route("**/queue/join*", lambda route: on_the_way.append(route) if held[0] else route.continue_())
    for method in ("Sum", "CVSI"):
        page.click("#method input")
        page.locator("#method [role=option]", has_text=method).first.click()
    page.wait_for_timeout(300)
    assert on_the_way
    held[0] = False
    for route in on_the_way:
        route.continue_()
    page.wait_for_function("recompose.idle()")
    assert page.input_value("#method input") == "CVSI"
    page.wait_for_selector("#alpha", timeout=10_000)


def test_the_bar_of_shares_names_the_parts_of_the_method_that_is_chosen(visit, tmp_path):
    from cir.ui.page import PageContent

    clip = ToyClip()
    methods = [toy_cvsi(ToyLanguageModel(), ToyCaptioner()), Slerp(clip, clip)]
    content = PageContent(
        shelf_of(Retriever(pictured_gallery(tmp_path), {m.name: m for m in methods})),
        presets={"Default": cvsi_weights(0.5, 0.4, 0.2)},
    )
    with served_page(content) as url:
        page = visit(url)
        for method, name in (("Slerp", "Edit 80%"), ("CVSI", "Image word + edit 40%")):
            page.click("#method input")
            page.locator("#method [role=option]", has_text=method).click()
            page.wait_for_selector(f".shares[aria-label*='{name}']")
            assert page.locator(".share-keys .fine_grained").inner_text() == name.rpartition(" ")[0]
