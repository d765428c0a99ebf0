"""Headless Chromium makes a gallery in the page, watches it grow, and searches it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsing import IN_A_BROWSER, focused, served_page
from contrast import faint_texts
from fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, draw, toy_cvsi

from cir.composers.cvsi import weights as cvsi_weights
from cir.gallery.background import Indexer
from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf
from cir.ui.server.pictures import address_of

pytestmark = IN_A_BROWSER
PATIENCE = 120_000  # milliseconds: a gallery is made meanwhile


@dataclass
class Served:
    """A page that is being served, the shelf behind it and where its pictures are."""

    url: str
    shelf: Shelf
    photos: Path


def draw_all(folder: Path, colours: list[str]) -> Path:
    folder.mkdir(parents=True)
    for colour in colours:
        for shape in SHAPES:
            draw(colour, shape, 96).save(folder / f"{colour}-{shape}.png")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page over a gallery of toys, below whose root more can be made."""
    from cir.ui.galleries.screen import GalleryIndexing
    from cir.ui.page import PageContent

    place = tmp_path_factory.mktemp("galleries")
    clip, captioner, cache = ToyClip(), ToyCaptioner(), place / "cache"
    models = {"image_encoder": clip, "text_encoder": clip}
    home = draw_all(place / "home", list(COLOURS))
    list(
        index_folder(home, name="home", captioner=captioner, captions_per_image=2, cache_root=cache, **models)
    )
    draw_all(place / "photos" / "warm" / "reds", ["red"])
    draw_all(place / "photos" / "warm" / "yellows", ["yellow"])
    (place / "photos" / "warm" / "broken.jpg").write_bytes(b"nothing")
    gallery = open_gallery(home, cache_root=cache, image_encoder_fingerprint=clip.fingerprint)
    retriever = Retriever(gallery, {"CVSI": toy_cvsi(None, captioner)})
    shelf = Shelf(
        retriever,
        cache_root=cache,
        image_encoder_fingerprint=clip.fingerprint,
        text_encoder_fingerprint=clip.fingerprint,
        title="At home",
    )
    indexer = Indexer(captioner=lambda: captioner, cache_root=cache, renew=shelf.renew, **models)
    indexing = GalleryIndexing(shelf, indexer, (place / "photos",))
    presets = {"Start": cvsi_weights()}
    content = PageContent(shelf, presets=presets, indexing=indexing)
    with served_page(content) as url:
        yield Served(url, shelf, place / "photos")


def to_galleries(page) -> None:
    page.click("button[role=tab]:has-text('Galleries')")
    page.wait_for_selector("#galleries table.galleries")


def wait_for_text(page, selector: str, text: str) -> None:
    page.wait_for_function(
        "([s, t]) => document.querySelector(s)?.textContent.includes(t)", arg=[selector, text]
    )


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_a_folder_becomes_a_gallery_that_is_searched_narrowed_and_left_again(served, visit):
    page = visit(served.url, patience=PATIENCE)
    assert page.locator("#gallery-choice").count() == 0
    to_galleries(page)
    page.click("#galleries-folder input")
    page.locator("#galleries-folder [role=option]", has_text="photos / warm").first.click()
    page.click("#galleries-make-folder")
    wait_for_text(page, "#galleries-job", "warm: ready, 6 pictures")
    assert "broken.jpg" in page.inner_text("#galleries-job .problems")
    page.click("#galleries-search")
    wait_for_text(page, ".searched", "warm")
    page.wait_for_function("document.querySelectorAll('#browse-grid img').length === 6")
    page.wait_for_function(
        "[...document.querySelectorAll('#browse-grid img')].every(i => i.naturalWidth > 0)"
    )
    sources = page.locator("#browse-grid img").evaluate_all("images => images.map(i => i.src)")
    warm = served.photos.parent / "cache" / "warm" / "thumbnails"
    assert {one.removeprefix(served.url) for one in sources} <= {address_of(path) for path in warm.iterdir()}
    page.fill("#edit textarea, #edit input", "red circle")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage .timings span")
    page.click("#only-in button")
    page.click("#only-folder input")
    page.locator("#only-folder [role=option]", has_text="yellows (3)").click()
    wait_for_text(page, "#gallery-notes", "Left: 3 of 6 pictures")
    page.wait_for_function("document.querySelectorAll('#results .words').length === 3")
    assert all("yellow" in text for text in page.locator("#results .words").all_inner_texts())
    since = page.locator("#only-since input, #only-since textarea")
    since.fill("2031")
    since.press("Enter")
    wait_for_text(page, "#gallery-notes .problem", "2031")
    page.wait_for_timeout(800)  # in which a second card, or other results, would come
    assert page.locator(".problem:visible").count() == 1
    assert page.locator("#results .words").count() == 3
    since.fill("")
    since.press("Enter")
    wait_for_text(page, "#gallery-notes", "Left: 3 of 6 pictures")
    page.click("#gallery-choice input")
    page.locator("#gallery-choice [role=option]", has_text="At home").click()
    page.wait_for_function("document.querySelectorAll('#browse-grid img').length === 12")
    wait_for_text(page, ".searched", "At home")


def test_uploads_become_a_gallery_and_it_is_deleted_only_after_a_question(served, visit):
    page = visit(served.url, patience=PATIENCE)
    to_galleries(page)
    upload = served.photos.parent / "mine"
    pictures = [draw("blue", shape, 96) for shape in SHAPES]
    upload.mkdir()
    paths = [str(upload / f"{shape}.png") for shape in SHAPES]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    (upload / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"\0" * 100)
    (upload / "text.jpg").write_bytes(b"hello")
    paths += [str(upload / "film.mp4"), str(upload / "text.jpg")]
    page.set_input_files("#galleries-files input[type=file]", paths)
    page.wait_for_function(
        "document.querySelectorAll('#galleries-files .file, #galleries-files tr').length >= 5"
    )
    page.fill("#galleries-files-name input, #galleries-files-name textarea", "Mine")
    page.click("#galleries-make-uploads")
    wait_for_text(page, "#galleries-said", "3 pictures kept")
    for words in ("2 files refused", "film.mp4", "one of the videos", "text.jpg", "not a supported image"):
        wait_for_text(page, "#galleries-said", words)
    wait_for_text(page, "#galleries-job", "Mine: ready, 3 pictures")
    assert len(served.shelf.retriever("Mine").gallery) == 3
    page.click("#galleries-delete")
    wait_for_text(page, "#galleries-question", "Delete Mine?")
    assert len(served.shelf.retriever("Mine").gallery) == 3
    page.click("#galleries-confirm")
    wait_for_text(page, "#galleries-said", "Mine is deleted")
    assert "Mine" not in [entry.name for entry in served.shelf.entries()]


def test_fault_88_a_gallery_deleted_under_an_open_page_is_said_and_the_page_turns_to_what_is_there(
    served, visit
):
    clip, cache = ToyClip(), served.shelf.cache_root
    folder = served.photos / "warm" / "reds"
    models = {"image_encoder": clip, "text_encoder": clip}
    list(
        index_folder(
            folder,
            name="fleeting",
            captioner=ToyCaptioner(),
            captions_per_image=2,
            cache_root=cache,
            **models,
        )
    )
    page = visit(served.url, patience=PATIENCE)
    page.click("#gallery-choice input")
    page.locator("#gallery-choice [role=option]", has_text="fleeting").click()
    page.fill("#edit textarea", "circle")
    page.keyboard.press("Enter")  # at once: it is of the gallery that was chosen
    wait_for_text(page, "#stage", f"{len(SHAPES)} pictures in")
    delete_gallery(cache, "fleeting")
    page.fill("#edit textarea", "square, as typed")
    page.keyboard.press("Enter")
    wait_for_text(page, "#stage .problem", "fleeting is not there any more")
    wait_for_text(page, ".searched", "At home")
    assert page.input_value("#edit textarea") == "square, as typed"
    page.wait_for_function("recompose.idle()")
    page.reload()
    page.wait_for_selector("#browse-grid img:visible")
    page.wait_for_timeout(1500)  # in which a search would be asked for
    page.wait_for_function("recompose.idle()")
    assert page.input_value("#edit textarea") == "square, as typed"
    assert page.locator("#results .picture").count() == 0  # nobody asked for it in this gallery
    page.focus("#edit textarea")
    page.keyboard.press("Enter")
    wait_for_text(page, "#stage", "12 pictures in")


def test_a_search_goes_on_in_a_gallery_that_is_renamed_meanwhile(served, visit):
    clip, cache = ToyClip(), served.shelf.cache_root
    list(
        index_folder(
            served.photos / "warm" / "reds",
            name="once",
            cache_root=cache,
            image_encoder=clip,
            text_encoder=clip,
        )
    )
    page = visit(served.url, patience=PATIENCE)
    page.click("#gallery-choice input")
    page.locator("#gallery-choice [role=option]", has_text="once").click()
    page.wait_for_function(f"document.querySelectorAll('#browse-grid img').length === {len(SHAPES)}")
    page.locator("#browse-grid .picture").first.click()
    page.fill("#edit textarea", "make it yellow")
    page.keyboard.press("Enter")
    wait_for_text(page, "#stage", f"{len(SHAPES) - 1} pictures in")
    rename_gallery(cache, "once", "by now")
    page.fill("#edit textarea", "make it blue")
    page.keyboard.press("Enter")
    wait_for_text(page, "#notes", "once is called by now now.")
    wait_for_text(page, "#stage", f"{len(SHAPES) - 1} pictures in")
    wait_for_text(page, ".searched", "by now")
    assert page.input_value("#gallery-choice input") == f"by now ({len(SHAPES)})"
    assert page.locator("#reference img").count() == 1
    rename_gallery(cache, "by now", "finally")
    page.wait_for_function("recompose.idle()")
    page.reload()
    wait_for_text(page, ".searched", "finally")
    wait_for_text(page, "#stage", f"{len(SHAPES) - 1} pictures in")
    page.go_back()  # to the first search, which was made in it as well
    page.wait_for_function("document.querySelector('#edit textarea').value === 'make it yellow'")
    wait_for_text(page, "#stage", f"{len(SHAPES) - 1} pictures in")
    delete_gallery(cache, "finally")


def test_the_tab_fits_a_phone_and_is_used_by_keyboard(served, visit):
    page = visit(served.url, width=390, patience=PATIENCE)
    page.locator("button[role=tab]", has_text="Search").focus()
    tabs = page.locator("button[role=tab]").all_inner_texts()
    for _ in range(tabs.index("Galleries")):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#galleries table.galleries")
    assert overflow(page) == 0
    for selector in ("#galleries-folder input", "#galleries-make-folder", "#galleries-make-uploads"):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement?.matches(s) ?? false", selector):
                break
        else:
            raise AssertionError(f"{selector} cannot be reached with Tab")


def test_on_a_phone_the_whole_of_why_a_gallery_cannot_be_searched_is_in_sight(served, visit):
    cache = served.shelf.cache_root
    shutil.copytree(cache / "home", cache / "others")
    manifest = cache / "others" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="ascii").replace("toy@1", "embedded@68f41d3b76da"))
    page = visit(served.url, width=390, patience=PATIENCE)
    to_galleries(page)
    wait_for_text(page, "#galleries table.galleries", "embedded@68f41d3b76da")
    hidden = "document.querySelector('#galleries .wide').scrollWidth - document.querySelector('#galleries .wide').clientWidth"
    assert page.evaluate(hidden) == 0
    delete_gallery(cache, "others")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_of_the_galleries_can_be_told_from_its_ground(served, visit, scheme):
    page = visit(served.url, patience=PATIENCE, color_scheme=scheme)
    to_galleries(page)
    assert faint_texts(page) == []


def test_an_action_is_about_the_gallery_that_is_shown_also_when_its_choice_is_still_on_its_way(served, visit):
    from cir.gallery.removal import delete_gallery

    cache = served.shelf.cache_root
    for name in ("first", "second"):
        shutil.copytree(cache / "home", cache / name)
    page = visit(served.url, patience=PATIENCE)
    to_galleries(page)
    shown = page.input_value("#galleries-choice input")
    other = {"first": "second", "second": "first"}[shown]
    on_the_way, held = [], [True]
    page.route("**/queue/join*", lambda route: on_the_way.append(route) if held[0] else route.continue_())
    page.click("#galleries-choice input")
    page.locator("#galleries-choice [role=option]", has_text=other).first.click()
    page.wait_for_timeout(300)
    assert on_the_way
    held[0] = False
    page.click("#galleries-delete")
    wait_for_text(page, "#galleries-question", other)
    for route in on_the_way:
        route.continue_()
    for name in ("first", "second"):
        delete_gallery(cache, name)


@pytest.mark.parametrize(("width", "height"), [(1280, 700), (390, 700)])
def test_what_comes_of_a_click_is_in_view_and_has_the_focus_however_many_galleries_there_are(
    width, height, served, visit
):
    from cir.gallery.removal import delete_gallery

    cache = served.shelf.cache_root
    others = [f"other {number}" for number in range(12)]
    for name in others:
        shutil.copytree(cache / "home", cache / name)
    new = draw_all(served.photos / "new" / str(width), ["green"])
    page = visit(served.url, width=width, height=height, patience=PATIENCE)
    to_galleries(page)
    for clicks, name in (("#galleries-make-folder", str(width)), ("#galleries-rescan", "other 0")):
        if clicks == "#galleries-make-folder":
            page.click("#galleries-folder input")
            page.locator("#galleries-folder [role=option]", has_text=f"photos / new / {width}").click()
        else:
            page.click("#galleries-choice input")
            page.locator("#galleries-choice [role=option]", has_text=name).first.click()
        page.click(clicks)
        focused(page, "#galleries-now")
        wait_for_text(page, "#galleries-job", f"{name}: ")
        wait_for_text(page, "#galleries-job", "ready")
        top, bottom = page.evaluate(
            "(() => { const p = document.getElementById('galleries-now').getBoundingClientRect(); return [p.top, p.bottom] })()"
        )
        assert top >= 0
        assert top < bottom <= height
        assert page.is_visible("#galleries-job section")
        assert "being" not in page.inner_text("#galleries-said")
    page.click("#galleries-own button.label-wrap")
    page.fill("#galleries-new-name input, #galleries-new-name textarea", f"Renamed {width}")
    page.keyboard.press("Enter")
    wait_for_text(page, "#galleries-said", f"other 0 is called Renamed {width} now")
    for name in (f"Renamed {width}", str(width), *others[1:]):
        delete_gallery(cache, name)
        served.shelf.drop(name)
    shutil.rmtree(new)
