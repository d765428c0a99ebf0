"""A quick hand on a slow network, over a large gallery: whatever it does, it has to get what a slow hand gets."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from browsing import ARGUMENTS, CHROMIUM, served_page
from hands import Act, play, upload_of
from slow_network import SlowNetwork, slow_network
from ui_doubles import ToyGallery, ToyRetriever, ToyTexts, shelf_of

LATENCIES = (0.0, 0.15, 0.3, 1.0)  # seconds, in each direction
GAPS = (0.0, 0.0, 0.05, 0.2, 0.6, 1.5)  # seconds between two acts
WORDS = ("blue", "green circle", "make it yellow", "star", "large purple")
PICTURES = 100_000


class LargeGallery(ToyGallery):
    """Forty shapes, over and over: rows written directly, each a little off its shape."""

    name = "Large"

    def __init__(self, folder: Path, pictures: int = PICTURES) -> None:
        super().__init__(folder)
        self.shapes = self.image_ids
        of = np.arange(pictures) % len(self.shapes)
        noise = np.random.default_rng(0).normal(0, 0.02, (pictures, self.features.shape[1]))
        rows = self.features[of] + noise
        self.features = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        self.image_features, self.caption_features = self.features, np.zeros_like(self.features)
        self.captioned = np.zeros(pictures, dtype=bool)
        self.image_ids = tuple(f"{self.shapes[shape]}-{number}" for number, shape in enumerate(of))
        self._rows = {image_id: row for row, image_id in enumerate(self.image_ids)}

    def find(self, image_id: str) -> int:
        """Its row."""
        known = getattr(self, "_rows", None)
        return known[image_id] if known and image_id in known else super().find(image_id)

    def captions(self, image_id: str) -> list[str]:
        """What is drawn on it."""
        return super().captions("-".join(image_id.split("-")[:3]))

    def thumbnail_path(self, image_id: str) -> Path:
        """That of its shape."""
        self.find(image_id)
        return self._folder / f"{'-'.join(image_id.split('-')[:3])}.webp"


class LargeRetriever(ToyRetriever):
    """Looks at the reference among the shapes alone, as the hundred thousand look like them."""

    def _words_of(self, image: Any) -> list[str]:
        return [] if image is None else ToyRetriever._words_of(self._shapes, image)

    @property
    def _shapes(self) -> Any:
        shapes = ToyGallery.__new__(ToyGallery)
        shapes._folder, shapes.gone = self.gallery._folder, set()  # type: ignore[attr-defined]
        shapes.image_ids = self.gallery.shapes  # type: ignore[attr-defined]
        holder = type("Holder", (), {})()
        holder.gallery = shapes
        return holder


@dataclass
class Outcome:
    """How a campaign went: sequences tried, and what was wrong with the others."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)


@contextmanager
def large_page(folder: Path, pictures: int = PICTURES) -> Iterator[SlowNetwork]:
    """The page over a large gallery, behind a network."""
    from cir.composers.cvsi import weights as cvsi_weights
    from cir.ui.page import PageContent

    retriever = LargeRetriever(LargeGallery(folder, pictures))  # type: ignore[arg-type]
    content = PageContent(
        shelf_of(retriever),
        presets={"Start": cvsi_weights(0.6, 0.4, 0.2), "Look alone": cvsi_weights(0.0, 0.0, 0.0)},
        text_encoder=ToyTexts(),  # type: ignore[arg-type]
    )
    with served_page(content) as url, slow_network(url) as network:
        yield network


def sequence(chance: random.Random, ids: list[str], own: Path) -> list[Act]:
    """Some acts that a person could do one after another, with at least one search."""
    acts: list[Act] = []
    pictured = searched = False
    for _ in range(chance.randint(2, 5)):
        kind = chance.choice(["pick", "pick", "type", "search", "slide", "preset", "upload", "clear", "more"])
        if (kind == "upload" and pictured) or (kind == "clear" and not pictured):
            kind = "pick"
        if kind in ("more", "search") and not (searched or kind == "search"):
            kind = "search"
        if kind == "search":
            acts += [Act("type", chance.choice(WORDS)), Act(chance.choice(["enter", "search"]))]
            searched = True
            continue
        pictured = kind in ("pick", "upload") or (pictured and kind != "clear")
        what: Any = {
            "pick": lambda: chance.choice(ids),
            "type": lambda: chance.choice(WORDS),
            "slide": lambda: ("gamma", chance.choice([0.1, 0.5, 0.9])),
            "preset": lambda: chance.randint(0, 1),
            "upload": lambda: str(own),
            "clear": lambda: None,
            "more": lambda: 0,  # the best one: the others may be folded into it
        }[kind]()
        acts.append(Act(kind, what))
    return [*acts, Act("type", chance.choice(WORDS)), Act("enter")]


def campaign(count: int, network: SlowNetwork, open_page: Callable[[str], Any], seed: int = 0) -> Outcome:
    """Let a quick hand do `count` random sequences, each compared with a slow hand's.

    Args:
        count: how many.
        network: to the page.
        open_page: opens an address in a new context of a browser.
        seed: of the chance.
    """
    chance, went = random.Random(seed), Outcome()
    with tempfile.TemporaryDirectory() as folder:
        own = upload_of(Path(folder))
        for _ in range(count):
            network.seconds = 0.0
            page = ready(open_page(network.url))
            ids = page.locator("#browse-grid .picture").evaluate_all("all => all.map(e => e.dataset.id)")[:6]
            acts = sequence(chance, ids, own)
            gaps, latency = [chance.choice(GAPS) for _ in acts], chance.choice(LATENCIES)
            expected = play(page, acts, slowly=True)
            page.context.close()
            page = ready(open_page(network.url))
            network.seconds = latency
            got = play(page, acts, slowly=False, gaps=gaps)
            page.context.close()
            went.tried += 1
            if got != expected:
                went.wrong.append(f"{latency} s, gaps {gaps}: {acts}\n  quick {got}\n  slow  {expected}")
    return went


def ready(page: Any) -> Any:
    """The page once it can be used."""
    page.wait_for_selector("#browse-grid img:visible")
    page.wait_for_function("recompose.idle()")
    return page


@contextmanager
def browser() -> Iterator[Callable[[str], Any]]:
    """Headless Chromium; yields what opens an address in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        def open_page(url: str) -> Any:
            page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.set_default_timeout(120_000)
            page.goto(url)
            return page

        yield open_page
        chromium.close()
