"""Headless Chromium is given pictures that it cannot show itself: they are taken, shown as what was read, and searched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import IN_A_BROWSER, served_page
from fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, draw, toy_cvsi
from PIL import Image
from ui_doubles import shelf_of

from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.ranking.retriever import Retriever

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from cir.ui.page import PageContent

    place, clip, captioner = tmp_path_factory.mktemp("own"), ToyClip(), ToyCaptioner()
    (place / "home").mkdir()
    for colour in COLOURS:
        for shape in SHAPES:
            draw(colour, shape, 96).save(place / "home" / f"{colour}-{shape}.png")
    list(
        index_folder(
            place / "home", name="home", cache_root=place / "cache", image_encoder=clip, text_encoder=clip
        )
    )
    gallery = open_gallery("home", cache_root=place / "cache", image_encoder_fingerprint=clip.fingerprint)
    with served_page(
        PageContent(shelf_of(Retriever(gallery, {"CVSI": toy_cvsi(None, captioner)})))
    ) as address:
        yield address


def saved(folder: Path, format: str, suffix: str) -> Path:
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    picture = draw("blue", next(iter(SHAPES)), 96).resize((300, 200))
    picture.save(folder / f"picture{suffix}", format)
    return folder / f"picture{suffix}"


SHOWN = "(() => { const i = document.querySelector('#reference img'); return i?.complete && i.naturalWidth === 300; })()"
DROP = """async ([name, bytes]) => {
  const held = new DataTransfer();
  held.items.add(new File([new Uint8Array(bytes)], name));
  const field = document.querySelector("#reference input[type=file]").parentElement;
  for (const kind of ["dragenter", "dragover", "drop"])
    field.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: held }));
}"""


@pytest.mark.parametrize(
    ("format", "suffix"), [("TIFF", ".tiff"), ("TIFF", ".tif"), ("HEIF", ".heic"), ("HEIF", ".HEIC")]
)
@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_a_picture_that_browsers_do_not_show_is_taken_shown_and_searched(
    url: str, visit, tmp_path: Path, format: str, suffix: str, way: str
) -> None:
    path = saved(tmp_path, format, suffix)
    page = visit(url)
    page.wait_for_function("document.querySelector('#reference input[type=file]')?.accept.includes('.heic')")
    assert {"image/*", ".tif", ".tiff", ".heif"} <= set(
        page.get_attribute("#reference input[type=file]", "accept").split(", ")
    )
    if way == "chosen":
        page.set_input_files("#reference input[type=file]", path)
    else:
        page.evaluate(DROP, [path.name, list(path.read_bytes())])
    page.wait_for_function(SHOWN)
    page.click("#search")
    page.wait_for_selector("#results .picture")
    assert "blue" in page.inner_text("#results .picture >> nth=0")
    assert page.locator(".toast-body").count() == 0


def test_a_picture_that_browsers_show_is_left_as_it_was_sent(url: str, visit, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (0, 0, 255)).save(tmp_path / "mine.png")
    page = visit(url)
    page.set_input_files("#reference input[type=file]", tmp_path / "mine.png")
    page.wait_for_function(SHOWN)
    page.wait_for_timeout(1000)
    assert page.get_attribute("#reference img", "src").endswith("mine.png")
