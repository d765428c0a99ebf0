"""The page over a gallery on a server: the same answers as over the same pictures here, and sentences where it cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from ui_doubles import ToyGallery, ToyMethod, ToyRetriever

pytest.importorskip("qdrant_client", reason="requirements-scale.txt is not installed")
from qdrant_doubles import edge_server, local_server

from cir.errors import BadQuery, GalleryError, OtherModels
from cir.gallery.gallery import TOP, Gallery
from cir.gallery.narrowing import Narrowing, folder_choices
from cir.gallery.served.facts import read_facts, write_facts
from cir.gallery.served.gallery import ServedGallery, open_served
from cir.gallery.served.pushing import Settings, push_gallery
from cir.gallery.served.server import Server
from cir.gallery.served.thumbnails import Thumbnails
from cir.ranking.engines import SERVED
from cir.ranking.retriever import Retriever
from cir.ranking.scoring import Factor, Product
from cir.ui.compare import handlers as comparing
from cir.ui.compare import render as comparing_render
from cir.ui.search import handlers
from cir.ui.search.inspector import closer_look, inspect
from cir.ui.session import Session
from cir.ui.session import Settings as Sliders

VALUES = {"alpha": 0.2, "beta": 0.6, "gamma": 0.3}
SLIDERS = Sliders(VALUES, 12, True, 0.0, False)


class OverAny(ToyRetriever):
    """The toys' method over any gallery."""

    def __init__(self, gallery: object, engine: str) -> None:
        self.delay_seconds, self.fail_with, self.model_calls = 0.0, None, []
        Retriever.__init__(self, gallery, {"CVSI": ToyMethod(self)}, engine=engine)  # type: ignore[arg-type]


def shapes(folder: Path) -> Gallery:
    """The toys' shapes as files in folders by colour, those that are red of May 2024."""
    toys = ToyGallery(folder)
    captions = np.roll(toys.features, 1, axis=0) * np.float32(0.9)
    captions[::7] = 0.0
    days = {"red": "2024-05-17 ", "blue": "2023-01-02 "}
    names = [f"{i.split('-')[0]}/{days.get(i.split('-')[0], '')}{i}.webp" for i in toys.image_ids]
    names[-1] = "at the top.webp"
    order = sorted(range(len(names)), key=lambda place: names[place].encode())  # as indexing leaves them
    ids = [toys.image_ids[place] for place in order]
    made = Gallery.from_features(
        "shapes",
        ids,
        toys.features[order],
        caption_features=captions[order],
        captions=[toys.captions(i) for i in ids],
    )
    return replace(
        made,
        relatives=tuple(names[place].encode() for place in order),
        contents=tuple(ids),  # by which thumbnails are found
        taken=("",) * len(made),
        root=folder,
    )


@pytest.fixture(params=["local mode", "edge"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    return local_server() if request.param == "local mode" else edge_server(tmp_path / "edge")


@pytest.fixture
def here(tmp_path: Path) -> Gallery:
    return shapes(tmp_path / "thumbnails")


@pytest.fixture
def there(server: Server, here: Gallery, tmp_path: Path) -> ServedGallery:
    push_gallery(server, here, Settings())
    write_facts(server, replace(read_facts(server, "shapes"), source_root=str(tmp_path / "elsewhere")))
    return opened(server, tmp_path)


def opened(server: Server, tmp_path: Path, image: str = "") -> ServedGallery:
    small = Thumbnails(tmp_path / "kept", tmp_path / "thumbnails")
    return open_served(
        server, "shapes", small, image_encoder_fingerprint=image, text_encoder_fingerprint=None
    )


def searched(gallery: object, engine: str, only: Narrowing, **sliders: object):
    """A session that searched for red squares, with its answer."""
    retriever, session = OverAny(gallery, engine), Session()
    session.only = only
    how = replace(SLIDERS, **sliders)
    *_, found = handlers.search(
        retriever, session, image=None, text="red square", method="CVSI", settings=how
    )
    return retriever, session, found


EVERYWHERE = Narrowing()
BOUNDS = [
    EVERYWHERE,
    Narrowing(folder=b"red"),
    Narrowing(folder=TOP),
    Narrowing(since=date(2024, 1, 1)),
    Narrowing(until=date(2023, 6, 1), with_undated=True),
]


@pytest.mark.parametrize("only", BOUNDS, ids=str)
def test_a_search_answers_as_over_the_same_pictures_here(
    here: Gallery, there: ServedGallery, only: Narrowing
) -> None:
    for sliders in ({}, {"at_least": 0.5}, {"fold": True}):
        *_, expected = searched(here, "exact", only, **sliders)
        *_, found = searched(there, SERVED, only, **sliders)
        assert [r.image_id for r in found.shown] == [r.image_id for r in expected.shown]
        scores = [r.score for r in found.results], [r.score for r in expected.results]
        np.testing.assert_allclose(*scores, atol=1e-6)
        assert (found.notes, found.similar, found.total) == (expected.notes, expected.similar, expected.total)


def test_a_slider_asks_the_server_for_no_ranking(
    there: ServedGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever, session, _ = searched(there, SERVED, EVERYWHERE)
    monkeypatch.setattr(there.server.client, "query_batch_points", None)
    moved = handlers.rerank(retriever, session, replace(SLIDERS, values={**VALUES, "gamma": 0.9}))
    assert len(moved.results) == 12


def test_the_closer_look_says_of_a_result_what_it_says_here(here: Gallery, there: ServedGallery) -> None:
    retriever, session, found = searched(there, SERVED, EVERYWHERE)
    own_retriever, own_session, own = searched(here, "exact", EVERYWHERE)
    image_id = own.results[3].image_id
    seen = inspect(retriever, session, image_id, found)
    expected = inspect(own_retriever, own_session, image_id, own)
    assert closer_look(seen) == closer_look(replace(expected, far=seen.far))
    assert "rank alone" in closer_look(seen)


def test_a_rank_that_is_too_far_back_is_said_to_be(
    there: ServedGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cir.ranking.engines.qdrant.KEPT", 5)
    monkeypatch.setattr("cir.ranking.engines.qdrant.FIRST", 10)
    monkeypatch.setattr("cir.ranking.engines.qdrant.QdrantEngine.far", 6)
    retriever, session, found = searched(there, SERVED, EVERYWHERE, top_k=5)
    worst = there.find("purple-star-large")
    session.intended_id = "purple-star-large"
    assert worst
    noted = handlers.answer(retriever, session).notes
    assert "The intended picture is at rank 6 or further back of 40." in noted
    composed = found.composed
    state = comparing.Comparison(
        ("CVSI",), {"CVSI": composed}, values={"CVSI": VALUES}, marked=("purple-star-large",)
    )
    judged = comparing.judged(retriever, state)
    assert judged is not None
    assert judged.by_method == {"CVSI": (6,)}
    panel = comparing_render.judged_panel(judged, there)
    assert "counted up to 6" in panel
    assert "it would take hundreds of searches" in panel


def test_folders_days_and_pages_are_those_of_the_gallery(here: Gallery, there: ServedGallery) -> None:
    assert there.folders == here.folders
    assert there.undated == here.undated
    assert folder_choices(there) == folder_choices(here)
    session = Session()
    seen = [i for step in (0, 1) for i in handlers.browse(there, session, step=step)]
    assert sorted(seen) == sorted(here.image_ids)
    assert handlers.browse(there, session, shuffle=True) != tuple(seen[:24])
    for image_id in seen:
        assert there.label(image_id) == here.label(image_id)
        assert there.captions(image_id) == here.captions(image_id)
        assert there.thumbnail_path(image_id).read_bytes() == (here.root / f"{image_id}.webp").read_bytes()
    assert there.with_content("red-star-small") == ("red-star-small",)
    with pytest.raises(BadQuery, match=r"no image 'nobody' in this gallery"):
        there.find("nobody")


def test_a_large_gallery_is_browsed_from_drawn_places_on(
    here: Gallery, there: ServedGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cir.gallery.served.gallery.LISTED", 10)
    pages = [there.page(0, number, 24) for number in range(4)]
    assert all(len(set(page)) == 24 for page in pages)
    assert len(set(pages)) > 1
    assert there.page(0, 2, 24) == pages[2]
    assert set().union(*pages) <= set(here.image_ids)


def test_a_picture_without_a_small_one_is_a_grey_tile(there: ServedGallery, tmp_path: Path) -> None:
    (tmp_path / "thumbnails" / "red-star-small.webp").unlink()
    assert there.thumbnail_path("red-star-small").name == "none.webp"


def test_what_a_server_cannot_rank_by_is_said(there: ServedGallery) -> None:
    retriever, session, found = searched(there, SERVED, EVERYWHERE)
    product = Product({name: Factor(1.0, 0.0) for name in list(found.composed.parts)[:2]}, 0.1)
    session.composed = replace(found.composed, scoring=lambda *_: product)
    with pytest.raises(BadQuery, match=r"multiplies likenesses.*Choose another method"):
        handlers.answer(retriever, session)
    with pytest.raises(BadQuery, match="shapes is on a server"):
        retriever.scores(found.composed, VALUES)


def test_a_server_that_is_gone_is_said_and_the_search_can_be_gone_on_with(
    there: ServedGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever, session, before = searched(there, SERVED, EVERYWHERE)

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError

    for name in ("query_batch_points", "retrieve", "scroll", "count"):
        monkeypatch.setattr(there.server.client, name, gone)
    session.only = Narrowing(folder=b"red")
    with pytest.raises(GalleryError, match=r"server here does not answer.*--qdrant-url"):
        handlers.rerank(retriever, session, SLIDERS)
    monkeypatch.undo()
    session.only = EVERYWHERE
    assert handlers.rerank(retriever, session, SLIDERS).results == before.results


def test_a_gallery_that_is_half_filled_or_of_other_models_is_not_opened(
    server: Server, there: ServedGallery, tmp_path: Path
) -> None:
    with pytest.raises(OtherModels, match=r"shapes on here was made with .*--models NAME"):
        opened(server, tmp_path, image="another")
    facts = read_facts(server, "shapes")
    write_facts(server, replace(facts, images=50, is_whole=False))
    with pytest.raises(GalleryError, match=r"has 40 of 50 pictures.*galleries push shapes"):
        opened(server, tmp_path)
    write_facts(server, replace(facts, schema=99))
    with pytest.raises(GalleryError, match="another version"):
        opened(server, tmp_path)
    write_facts(server, replace(facts, dim=99))
    with pytest.raises(GalleryError, match=r"vectors of \d+ numbers, not of 198"):
        opened(server, tmp_path)
