"""A quick hand on a slow network gets what a slow hand gets: in order, with the picture that the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import IN_A_BROWSER, served_page
from hands import Act, play, upload_of
from slow_network import SlowNetwork, slow_network
from ui_doubles import ToyGallery, ToyRetriever, ToyTexts, shelf_of

from cir.composers.cvsi import weights as cvsi_weights
from cir.ui.session import Example

pytestmark = IN_A_BROWSER
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LATENCIES = (0.0, 0.15, 0.3, 1.0)  # seconds, in each direction
SEARCH = [Act("type", "blue"), Act("enter")]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowNetwork]:
    """One page over a toy gallery, behind a network that can be made slow."""
    from cir.ui.page import PageContent

    retriever = ToyRetriever(ToyGallery(tmp_path_factory.mktemp("thumbnails")))
    content = PageContent(
        shelf_of(retriever),  # type: ignore[arg-type]
        presets={"CIRCO / CIRR": cvsi_weights(0.6, 0.4, 0.2), "Look alone": cvsi_weights(0.0, 0.0, 0.0)},
        examples=[Example("red-square-large", "make it blue"), Example("green-circle-small", "star")],
        text_encoder=ToyTexts(),  # type: ignore[arg-type]
    )
    with served_page(content) as url, slow_network(url) as made:
        yield made


def picks(page) -> list[str]:
    """The ids of three pictures that are shown to be picked."""
    return page.locator("#browse-grid .picture").evaluate_all("all => all.slice(0, 3).map(e => e.dataset.id)")


@pytest.fixture(scope="module")
def expected() -> dict[int, dict]:
    """What a slow hand gets, by the number of the way."""
    return {}


@pytest.mark.parametrize("latency", LATENCIES)
def test_fault_86_a_quick_hand_gets_what_a_slow_hand_gets(
    network, visit, expected, tmp_path: Path, latency: float
) -> None:
    network.seconds = 0.0
    page = visit(network.url)
    one, two, three = picks(page)
    own = str(upload_of(tmp_path))
    ways = [
        [Act("pick", one), Act("pick", two), Act("type", "green"), Act("enter")],
        [Act("upload", own), Act("type", "red"), Act("enter")],
        [Act("pick", one), *SEARCH, Act("pick", three), Act("type", "star"), Act("search")],
        [Act("example", 0), Act("example", 1), Act("preset", 1)],
        [*SEARCH, Act("more", 2), Act("enter")],
    ]
    for number, way in enumerate(ways):
        network.seconds = 0.0
        if number not in expected:
            expected[number] = play(visit(network.url), way, slowly=True)
        page = visit(network.url)
        page.wait_for_function("recompose.idle()")
        network.seconds = latency
        assert play(page, way, slowly=False) == expected[number], way
        page.context.close()
