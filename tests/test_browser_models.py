"""Headless Chromium fetches models for photographs on the page of the real program, and the page goes on with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from browsing import IN_A_BROWSER, overflow
from download_doubles import link_sentence_encoder
from fakes import SHAPES, draw
from hub_server import HubServer, hub_server
from served import free_port
from small_set import publish_laptop

pytestmark = IN_A_BROWSER
PATIENCE = 900_000  # milliseconds: models are loaded four times
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Program:
    """`app.py` as a person has started it, a hub that it can ask, and where its galleries are."""

    url: str
    hub: HubServer
    cache: Path


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    home, cache, photos = tmp_path / "models", tmp_path / "cache", tmp_path / "photos"
    home.mkdir()
    link_sentence_encoder(home)
    (photos / "Holiday").mkdir(parents=True)
    for shape in SHAPES:
        draw("red", shape, 96).save(photos / "Holiday" / f"{shape}.png")
    port = free_port()
    with hub_server() as hub:
        publish_laptop(hub, tmp_path / "published")
        own = {"CIR_HOME": str(home), "CIR_CACHE": str(cache), "CIR_MAPPING_MINUTES": "0.01"}
        environment = {**os.environ, **own, "HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1"}
        environment.pop("CIR_MODELS", None)
        index = ("-m", "cir", "index", str(photos / "Holiday"), "--no-captions", "--llm", "none")
        subprocess.run([sys.executable, *index], cwd=ROOT, env=environment, check=True, capture_output=True)
        serve = ("app.py", "--llm", "none", "--no-browser", "--port", str(port))
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *serve, "--gallery-root", str(photos)],
                cwd=ROOT, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                url = f"http://127.0.0.1:{port}/"
                _wait_until_served(url, process)
                yield Program(url, hub, cache)
            finally:
                process.terminate()
                process.wait(60)


def _wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    import time

    for _ in range(600):
        assert process.poll() is None
        try:
            urlopen(url).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the page does not answer")


def to_galleries(page) -> None:
    page.wait_for_selector("#browse-grid img:visible")
    page.click("button[role=tab]:has-text('Galleries')")
    page.wait_for_selector("#models-card h3")


def says(page, selector: str, text: str) -> None:
    page.wait_for_function(
        "([s, t]) => document.querySelector(s)?.textContent.includes(t)", arg=[selector, text]
    )


def test_the_models_are_fetched_stopped_gone_on_with_and_used_and_a_gallery_is_indexed_again(program, visit):
    hub = program.hub
    hub.free.clear()
    page = visit(program.url, patience=PATIENCE)
    to_galleries(page)
    page.click("#models-get")
    page.wait_for_selector("#models-fetch:visible")
    says(page, "#models-card", "huggingface.co/BAAI/BGE-VL-base")
    assert hub.asked == []  # nothing without consent
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0
    page.set_viewport_size({"width": 1280, "height": 900})
    page.click("#models-fetch")
    says(page, "#models-card", "In all")
    page.reload()
    to_galleries(page)
    page.wait_for_selector("#models-stop:visible")  # it goes on without the page
    page.click("#models-stop")
    page.wait_for_selector("#models-resume:visible")
    says(page, "#models-card", "What came is kept")
    hub.free.set()
    hub.asked.clear()
    page.click("#models-resume")
    says(page, "#models-card", "Making the mapping network")
    assert max(first for name, first in hub.asked if name == "model.safetensors") > 10**6
    # Nobody restarts anything: the page goes on with them, comes back by itself, and opens the same tab.
    says(page, "#models-card", "This page uses the set laptop")
    says(page, "#models-card", "kept as they are: Holiday")
    page.wait_for_selector("#galleries-again:visible")
    page.click("#galleries-again")
    says(page, "#galleries-job", f"ready, {len(SHAPES)} pictures")
    listed = page.inner_text("#galleries-list")
    assert "Holiday (laptop)" in listed
    page.click("#galleries-search")
    says(page, ".searched", "Holiday (laptop)")
    page.fill("#edit textarea, #edit input", "red circle")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .picture")
    page.click("button[role=tab]:has-text('Galleries')")
    page.click("#models-back")
    says(page, "#models-card", "reads photographs better, is here")
    page.click("#galleries-choice input")
    page.locator("#galleries-choice [role=option]", has_text="Holiday").first.click()
    page.wait_for_selector("#galleries-rescan:visible")  # the old gallery is as usable as it was
    page.click("#galleries-search")
    page.wait_for_function(f"document.querySelectorAll('#browse-grid img').length === {len(SHAPES)}")
    assert (program.cache / "Holiday (laptop)" / "manifest.json").is_file()
