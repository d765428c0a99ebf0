"""A reference that was read as a photograph is searched with the weights for photographs, unless a person chose others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from commands import run
from fakes import ToyClip, ToyPhi, draw
from photograph_doubles import FOR_PHOTOGRAPHS, ReadingRetriever
from ui_doubles import ToyGallery, ToyTexts, shelf_of

from cir.composers.cvsi import Cvsi
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.parameters import starting
from cir.errors import MissingModel
from cir.evaluation.run import Run, answer_query
from cir.images import read_image
from cir.models.catalog import sentence_encoder_folder
from cir.places import SAMPLE_PHOTOGRAPHS
from cir.types import Query
from cir.ui.compare.handlers import Comparison, compare
from cir.ui.page import PageContent
from cir.ui.search import handlers, links, steps
from cir.ui.search.handlers import Session, Settings
from cir.ui.server.programs import searching
from cir.ui.server.programs.arguments import Arguments

PHOTOGRAPH, DRAWING = "red-square-large", "green-circle-small"
USUAL = cvsi_weights()
SAID = "read as a photograph, so the weights for photographs count: α 0.1, β 0.2, γ 0.3."


@pytest.fixture
def retriever(tmp_path: Path) -> ReadingRetriever:
    return ReadingRetriever(ToyGallery(tmp_path))


def search(retriever: ReadingRetriever, session: Session, image_id: str, settings: Settings | None = None):
    *_, found = handlers.search(
        retriever,
        session,
        image={"path": None, "meta": {"picked": image_id, "gallery": ""}},
        text="make it blue",
        method="CVSI",
        settings=settings or session.settings,
    )
    return found


def test_the_weights_follow_the_picture_and_the_answer_says_why(retriever) -> None:
    session = Session()
    found = search(retriever, session, PHOTOGRAPH)
    assert found.settings.values == FOR_PHOTOGRAPHS
    assert any(SAID in note for note in found.notes)
    ranked = retriever.rank(found.composed, FOR_PHOTOGRAPHS, top_k=5, exclude=[PHOTOGRAPH])
    assert [one.image_id for one in found.results[:5]] == [one.image_id for one in ranked]
    found = search(retriever, session, DRAWING)
    assert found.settings.values == USUAL
    assert not any("for photographs" in note for note in found.notes)


def test_numbers_that_a_person_chose_stay_whatever_the_picture_is(retriever) -> None:
    session = Session()
    search(retriever, session, PHOTOGRAPH)
    found = handlers.rerank(retriever, session, Settings(cvsi_weights(0.5, 0.1, 0.0)))
    assert found.settings.values == cvsi_weights(0.5, 0.1, 0.0)
    assert not any("for photographs" in note for note in found.notes)
    for image_id in (PHOTOGRAPH, DRAWING):
        assert search(retriever, session, image_id).settings.values == cvsi_weights(0.5, 0.1, 0.0)


def test_another_number_of_results_leaves_the_weights_with_the_picture(retriever) -> None:
    session = Session()
    search(retriever, session, PHOTOGRAPH)
    stale = Settings(
        USUAL, top_k=3, automatic=True
    )  # the sliders were sent before they showed the new weights
    assert handlers.rerank(retriever, session, stale).settings.values == FOR_PHOTOGRAPHS


def test_going_back_to_a_step_brings_its_weights_and_whether_they_were_chosen(retriever) -> None:
    session = Session()
    search(retriever, session, PHOTOGRAPH)
    search(retriever, session, DRAWING, Settings(cvsi_weights(0.0, 0.0, 0.0)))
    steps.undo(session)
    assert (session.settings.values, session.settings.automatic) == (FOR_PHOTOGRAPHS, True)
    assert search(retriever, session, DRAWING).settings.values == USUAL


@pytest.mark.parametrize("chosen", [False, True])
def test_a_link_brings_back_the_order_and_whether_the_weights_were_chosen(retriever, chosen: bool) -> None:
    session, other = Session(), Session()
    own = Settings(cvsi_weights(0.7, 0.2, 0.1)) if chosen else None
    seen = search(retriever, session, PHOTOGRAPH, own)
    sent = dict(parse_qsl(links.link_to(session)[1:]))
    assert links.open_link(sent, other, lambda _: retriever, ToyTexts())  # type: ignore[arg-type]
    assert search(retriever, other, PHOTOGRAPH).results == seen.results
    follows = search(retriever, other, DRAWING).settings.values == USUAL
    assert follows is not chosen


def test_a_link_that_names_no_weights_has_those_for_the_picture(retriever) -> None:
    session = Session()
    sent = {"image": PHOTOGRAPH, "text": "make it blue"}
    links.open_link(sent, session, lambda _: retriever, ToyTexts())  # type: ignore[arg-type]
    assert search(retriever, session, PHOTOGRAPH).settings.values == FOR_PHOTOGRAPHS
    links.open_link({**sent, "alpha": "0.4"}, session, lambda _: retriever, ToyTexts())  # type: ignore[arg-type]
    assert search(retriever, session, PHOTOGRAPH).settings.values == {**USUAL, "alpha": 0.4}


@pytest.mark.parametrize(
    ("given", "values"),
    [({}, FOR_PHOTOGRAPHS), ({"gamma": 0.5}, {**USUAL, "gamma": 0.5}), ({"values": {"alpha": 0.2}}, {**USUAL, "alpha": 0.2})],
)  # fmt: skip
def test_a_program_that_gives_no_weights_gets_those_for_the_picture(retriever, given, values) -> None:
    content = PageContent(shelf_of(retriever), text_encoder=ToyTexts())  # type: ignore[arg-type]
    asked = Arguments({"text": "make it blue", "reference_id": PHOTOGRAPH, **given})
    *_, (search_, _, found) = searching.stages(content, "someone", asked)
    assert found.settings.values == values
    assert any(SAID in note for note in found.notes) is (not given)
    found, _ = searching.rank_again(content, search_.state, Arguments({"top_k": 3}))
    assert found.settings.values == values


@pytest.mark.parametrize("again", [False, True])
def test_a_comparison_ranks_each_method_by_its_weights_for_the_picture(retriever, again: bool) -> None:
    retriever.composers["Other"] = retriever.composers["CVSI"]
    session, state = Session(), Comparison()
    for _ in range(1 + again):  # the second time nothing is composed
        for _ in compare(
            retriever,
            session,
            state,
            image={"path": None, "meta": {"picked": PHOTOGRAPH, "gallery": ""}},
            text="make it blue",
            chosen=["CVSI", "Other"],
            sliders=None,
        ):
            pass
    assert state.values == {"CVSI": FOR_PHOTOGRAPHS, "Other": FOR_PHOTOGRAPHS}


@pytest.mark.parametrize(("follows", "values"), [(True, FOR_PHOTOGRAPHS), (False, USUAL)])
def test_an_evaluation_without_weights_of_its_own_ranks_photographs_by_theirs(
    retriever, tmp_path, follows: bool, values
) -> None:
    dataset: Any = SimpleNamespace(leaves_out_reference=True)
    run_of: Any = Run(dataset, retriever, "CVSI", USUAL, tmp_path, {}, follows=follows)
    target = SimpleNamespace(reference_id=PHOTOGRAPH, target_ids=(DRAWING,))
    query: Any = SimpleNamespace(query_id="1", query=target, texts=["make it blue"], members=())
    picture = read_image(retriever.gallery.thumbnail_path(PHOTOGRAPH))
    *_, composed = retriever.compose(Query(picture, "make it blue"), "CVSI")
    ranked = retriever.rank(composed, values, top_k=50, exclude=[PHOTOGRAPH])
    assert answer_query(run_of, query, picture)["top"] == [one.image_id for one in ranked]


class ReadingClip(ToyClip):
    def nearest_words(self, pseudo_words: np.ndarray, count: int = 5) -> list[str]:
        return ["red"]

    def read_as(self, pseudo_words: np.ndarray) -> str:
        return "a photograph"


@pytest.mark.parametrize("text", ["make it blue", ""])
def test_cvsi_starts_elsewhere_for_a_photograph_with_an_edit_and_without(text: str) -> None:
    clip = ReadingClip()
    cvsi = Cvsi(clip, clip, clip, ToyPhi(), None, None, for_photographs=FOR_PHOTOGRAPHS)
    *_, composed = cvsi.compose(Query(draw("red", "square"), text))
    assert starting(cvsi.parameters, composed) == FOR_PHOTOGRAPHS
    plain = Cvsi(clip, clip, clip, ToyPhi(), None, None)
    *_, composed = plain.compose(Query(draw("red", "square"), text))
    assert starting(plain.parameters, composed) == USUAL


def test_the_command_searches_a_photograph_with_the_weights_for_photographs_and_says_so(capsys) -> None:
    try:
        sentence_encoder_folder()
    except MissingModel as missing:
        pytest.skip(str(missing))
    picture = next((SAMPLE_PHOTOGRAPHS / "images").glob("*wren*"))
    asked = [
        "search",
        "--gallery",
        SAMPLE_PHOTOGRAPHS,
        "--image",
        picture,
        "--text",
        "on a rock",
        "--llm",
        "none",
    ]
    status, out, _ = run(capsys, *asked)
    assert status == 0
    assert "weights for photographs count: α 0.4" in out
    status, out, _ = run(capsys, *asked, "--gamma", "0.4")
    assert status == 0
    assert "weights for photographs" not in out
