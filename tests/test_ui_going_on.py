"""Going on from an answer: changed texts, signed terms, steps and undo, folding, links, downloads."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fakes import ToyClip, toy_gallery
from gallery_doubles import ToyEncoder, index, opened
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from ui_doubles import ToyRetriever, ToyTexts, shelf_of, unit

from cir.composers.baselines import TextOnly
from cir.composers.cvsi import PARAMETERS
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.slerp import Slerp
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.ranking import export, folding
from cir.ranking.retriever import Retriever
from cir.types import MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, RetrievedImage, SignedTerm
from cir.ui import grids
from cir.ui.page import PageContent
from cir.ui.search import acts, changes, handlers, inspector, links, reference, render, steps
from cir.ui.search.handlers import Session, Settings, read_settings
from cir.ui.search.parcels import packed

SQUARE = "red-square-large"
PLAIN = Settings(cvsi_weights(0.6, 0.4, 0.2), 8)


@pytest.fixture
def session(retriever: ToyRetriever) -> Session:
    """After a search with a picture of the gallery, on a page."""
    made = Session(token="page")
    search(retriever, made, SQUARE, "make it blue")
    return made


def search(retriever: ToyRetriever, session: Session, image_id: str, text: str, settings: Settings = PLAIN):
    image = {"path": str(reference.pick(retriever.gallery, session, image_id))} if image_id else None
    if not image_id:
        session.picked_id = ""
    *_, found = handlers.search(retriever, session, image=image, text=text, method="CVSI", settings=settings)
    return found


def do(retriever: ToyRetriever, session: Session, name: str, **sent: object) -> None:
    acts.perform(acts.Request(retriever, ToyTexts(), session, {"do": name, **sent}))


def ids(retriever: ToyRetriever, session: Session) -> list[str]:
    return [r.image_id for r in handlers.answer(retriever, session).results]


# --- changed texts --------------------------------------------------------------------------------------


def test_a_changed_description_ranks_anew_without_a_model_and_reset_takes_it_back(retriever, session):
    handlers.rerank(retriever, session, Settings(cvsi_weights(1, 0, 0), 8))
    before, calls = ids(retriever, session), list(retriever.model_calls)
    do(retriever, session, "text", kind="modified_captions", place=0, text="a large green circle")
    assert ids(retriever, session)[0].startswith("green-circle")
    assert retriever.model_calls == calls
    assert changes.is_changed(session)
    do(retriever, session, "reset")
    assert ids(retriever, session) == before
    assert not changes.is_changed(session)


def test_a_search_that_still_runs_ends_when_its_texts_are_changed(gallery, retriever):
    session = Session()
    path = reference.pick(gallery, session, SQUARE)
    stages = handlers.search(
        retriever, session, image={"path": str(path)}, text="make it blue", method="CVSI", settings=PLAIN
    )
    next(stages)
    do(retriever, session, "text", kind="added_objects", place=None, text="star")
    assert list(stages) == []
    assert handlers.answer(retriever, session).composed.trace["added_objects"] == ("star",)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"do": "text", "kind": "captions", "place": 99, "text": "x"}, "not on the page"),
        ({"do": "text", "kind": "captions", "place": "0", "text": "x"}, "not on the page"),
        ({"do": "text", "kind": "captions", "place": True, "text": "x"}, "not on the page"),
        ({"do": "text", "kind": ["captions"], "place": 0, "text": "x"}, "not on the page"),
        ({"do": "text", "kind": "captions", "place": 0, "text": 5}, "has to be text"),
        ({"do": "want", "kind": "most", "place": 0}, "more or less"),
        ({"do": "want", "kind": "more", "place": 10**9}, "not on the page"),
        ({"do": "select", "place": -1}, "not on the page"),
        ({"do": "select"}, "not on the page"),
        ({"do": "weigh", "place": 0, "text": "0.2"}, "not on the page"),
        ({"do": "weigh", "place": 0, "text": "nan"}, "has to be a number"),
        ({"do": "weigh", "place": 0, "text": 10**400}, "has to be a number"),
        ({"do": "step", "place": 77}, "not remembered"),
        ({"do": "step", "place": True}, "not remembered"),
        ({"do": "undo"}, "nothing to undo"),
        ({"do": "without", "text": "  "}, "nothing to leave out"),
        ({"do": "look", "place": -1}, "not on the page"),
        ({"do": "look", "place": True}, "not on the page"),
        ({"do": "look", "place": 0, "id": "no-such-image"}, "not on the page"),
        ({"do": "select", "place": 0, "id": ["red"]}, "not on the page"),
        ({"do": "rm -rf"}, "does not exist"),
        ({"do": ["undo"]}, "does not exist"),
        ({}, "does not exist"),
    ],
)
def test_fault_46_what_a_forged_act_asks_for_is_refused_in_words_and_changes_nothing(
    retriever, session, sent, said
):
    before = ids(retriever, session), session.signed, session.selected, session.step
    with pytest.raises(BadQuery, match=said):
        acts.perform(acts.Request(retriever, ToyTexts(), session, sent))
    assert (ids(retriever, session), session.signed, session.selected, session.step) == before


# --- buttons of the Search tab --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "was", "place", "left"),
    [
        ("", "star", 0, ("large",)),
        ("", "large", 0, ("star",)),
        ("", "large", 7, ("star",)),
        ("blue", "star", 1, ("large", "blue")),
    ],
)
def test_a_text_is_the_one_that_was_clicked_wherever_it_stands_by_now(
    retriever, session, text, was, place, left
):
    search(retriever, session, SQUARE, "large star")
    do(retriever, session, "text", kind="added_objects", place=place, was=was, text=text)
    assert session.composed.trace["added_objects"] == left


def test_a_term_is_the_one_that_was_clicked_wherever_it_stands_by_now(retriever, session):
    for words in ("people", "cars", "trees"):
        do(retriever, session, "without", text=words)
    do(retriever, session, "weigh", place=0, was="people", text="0")
    do(retriever, session, "weigh", place=1, was="cars", text="0")
    assert [term.words for term in session.signed] == ["trees"]


def test_going_back_to_a_step_keeps_the_weights_that_it_was_left_with(retriever, session):
    look_alone = cvsi_weights(0.0, 0.0, 0.0)
    handlers.rerank(retriever, session, Settings(look_alone, 8))
    assert steps.present(session).kept["settings"].values == look_alone


def test_the_gallerys_pages_turn_both_ways_and_shuffling_begins_anew(retriever, session):
    first = handlers.browse(retriever.gallery, session)
    for kind in ("next", "previous"):
        do(retriever, session, "turn", kind=kind)
    assert session.browsed_ids == first
    do(retriever, session, "turn", kind="shuffle")
    assert session.browsed_ids != first


def test_fault_123_undo_after_a_removal_keeps_the_selection_and_another_question_does_not(retriever, session):
    do(retriever, session, "without", text="people")
    do(retriever, session, "select", place=1)
    do(retriever, session, "select", place=3)
    chosen = session.selected
    do(retriever, session, "weigh", place=0, text="0")
    do(retriever, session, "undo")
    assert session.signed[0].words == "people"
    assert session.selected == chosen != ()
    search(retriever, session, SQUARE, "make it green")
    do(retriever, session, "select", place=0)
    do(retriever, session, "undo")
    assert session.selected == ()


def test_fault_89_a_gallery_that_was_changed_elsewhere_is_told_once(gallery, session, monkeypatch):
    assert handlers.change_of(gallery, session) == ""
    monkeypatch.setattr(gallery, "written", "later")
    monkeypatch.setattr(gallery, "image_ids", gallery.image_ids[:-1])
    assert (
        handlers.change_of(gallery, session)
        == "Toy shapes has changed: 39 pictures now, 1 fewer than before."
    )
    assert handlers.change_of(gallery, session) == ""


def test_looking_at_a_result_and_leaving_it_changes_nothing_that_was_asked(retriever, session):
    before = ids(retriever, session), session.step
    do(retriever, session, "look", place=2)
    assert session.inspected_id == before[0][2]
    do(retriever, session, "close")
    assert session.inspected_id == ""
    assert (ids(retriever, session), session.step) == before


@pytest.mark.parametrize("made", [render.examples, grids.grid])
def test_fault_12_words_in_the_buttons_are_shown_and_never_markup(made):
    text = '"><script>alert(1)</script> ${value} {{x}}'
    said = (
        made([("data:,", text, text, "data:,")])
        if made is render.examples
        else made([grids.Tile("data:,", text)], do="look")
    )
    assert "<script" not in said
    assert "$" not in said
    assert "{" not in said


def test_a_ticked_picture_carries_its_place_its_name_and_what_a_click_means():
    shown = grids.grid([grids.Tile("data:,", "1 · 0.500\na dog", "ticked")], column=1)
    assert 'class="picture ticked" data-place="0" data-column="1" aria-label="1 · 0.500 a dog"' in shown
    assert grids.grid([]) == ""


def test_the_way_back_to_the_results_is_offered_only_where_there_are_some():
    assert 'id="back"' not in render.browse_bar()
    assert 'id="back"' in render.browse_bar(back=True)


# --- more, less, without --------------------------------------------------------------------------------


def test_more_like_a_result_lifts_its_kind_and_the_term_can_be_weighed_and_taken_away(retriever, session):
    before = ids(retriever, session)
    place = next(i for i, image_id in enumerate(session.result_ids) if "small" in image_id)
    wanted = session.result_ids[place]
    do(retriever, session, "want", kind="more", place=place)
    assert session.signed[0].words == "a small " + " ".join(wanted.split("-")[:2])
    assert session.signed[0].weight == 0.3
    do(retriever, session, "weigh", place=0, text="1")
    assert ids(retriever, session)[0] == wanted
    do(retriever, session, "weigh", place=0, text="-0.8")
    assert session.signed[0].weight == -0.8
    assert wanted not in ids(retriever, session)[:5]
    do(retriever, session, "weigh", place=0, text="0")
    assert session.signed == ()
    assert ids(retriever, session) == before


def test_a_text_that_is_too_long_for_its_place_is_refused_and_not_cut(retriever, session):
    before, long = ids(retriever, session), 201 * "x"
    for name, sent in {
        "text": {"kind": "modified_captions", "place": 0, "text": long},
        "without": {"text": long},
    }.items():
        with pytest.raises(BadQuery, match="longer than 200 characters"):
            do(retriever, session, name, **sent)
    assert ids(retriever, session) == before


def test_without_a_word_sinks_what_shows_it(retriever, session):
    assert "blue-square" in ids(retriever, session)[0]
    do(retriever, session, "without", text="square")
    do(retriever, session, "weigh", place=0, text="-1")
    assert "square" not in ids(retriever, session)[0]
    assert [(t.kind, t.words, t.weight) for t in session.signed] == [("without", "square", -1.0)]


def test_terms_are_about_one_question_and_leave_with_it_but_stay_for_another_method(retriever, session):
    do(retriever, session, "without", text="square")
    search(retriever, session, SQUARE, "make it blue")
    assert len(session.signed) == 1
    search(retriever, session, SQUARE, "make it green")
    assert session.signed == ()


def test_there_is_an_end_to_terms(retriever, session):
    for _ in range(changes.MAX_TERMS):
        do(retriever, session, "want", kind="less", place=0)
    with pytest.raises(BadQuery, match="8 terms already"):
        do(retriever, session, "want", kind="less", place=0)


# --- steps ----------------------------------------------------------------------------------------------


def test_undo_goes_back_step_by_step_without_a_model_and_history_goes_anywhere(retriever, session):
    first = ids(retriever, session)
    do(retriever, session, "without", text="square")
    second = ids(retriever, session)
    search(retriever, session, "green-star-small", "make it red")
    calls = list(retriever.model_calls)
    assert [step.title for step in steps.path(session)] == ["make it blue", "without square", "make it red"]
    do(retriever, session, "undo")
    assert ids(retriever, session) == second
    assert (session.text, session.picked_id) == ("make it blue", SQUARE)
    do(retriever, session, "undo")
    assert ids(retriever, session) == first
    assert session.signed == ()
    do(retriever, session, "step", place=3)
    assert session.text == "make it red"
    assert ids(retriever, session)[0].startswith("red-star")
    assert retriever.model_calls == calls


def test_a_step_made_after_undo_comes_from_the_step_on_the_screen_and_none_is_lost(retriever, session):
    do(retriever, session, "without", text="square")
    do(retriever, session, "undo")
    do(retriever, session, "without", text="large")
    assert [step.title for step in steps.path(session)] == ["make it blue", "without large"]
    assert [step.title for step in steps.history(session)] == [
        "without large",
        "without square",
        "make it blue",
    ]


def test_the_last_twenty_steps_are_remembered_with_their_weights(retriever, session):
    for number in range(25):
        search(retriever, session, SQUARE, f"blue number {number}")
        handlers.rerank(retriever, session, Settings(cvsi_weights(0.1, 0.01 * number, 0.2), 3))
    assert [s.title for s in session.steps] == [f"blue number {n}" for n in range(5, 25)]
    steps.go_to(session, session.steps[0].number)
    assert session.settings == Settings(cvsi_weights(0.1, 0.05, 0.2), 3)
    with pytest.raises(BadQuery, match="nothing to undo"):
        steps.undo(session)


def test_the_steps_of_another_gallery_are_not_offered(retriever, session):
    session.gallery = "holiday"
    assert steps.history(session) == []
    with pytest.raises(BadQuery, match="not remembered"):
        steps.go_to(session, 1)


def test_fault_84_the_steps_of_one_visitor_are_not_those_of_another(retriever, session):
    assert Session().steps == []
    other = Session()
    search(retriever, other, "", "green circle")
    assert [step.title for step in other.steps] == ["green circle"]
    assert [step.title for step in session.steps] == ["make it blue"]


def test_an_uploaded_picture_that_is_gone_leaves_its_results_and_a_note(retriever, tmp_path, gallery):
    own = tmp_path / "own.webp"
    own.write_bytes(gallery.thumbnail_path(SQUARE).read_bytes())
    session = Session()
    list(
        handlers.search(
            retriever, session, image={"path": str(own)}, text="blue", method="CVSI", settings=PLAIN
        )
    )
    assert reference.kept_picture(session) == (str(own), "")
    own.unlink()
    picture, note = reference.kept_picture(session)
    assert picture is None
    assert "not kept any more" in note
    assert ids(retriever, session)[0].startswith("blue-square")


def test_the_breadcrumb_shows_pictures_and_words_as_text(retriever, session):
    search(retriever, session, SQUARE, "<img src=x onerror=alert(1)>")
    shown = render.crumbs(steps.path(session), steps.history(session), session.step)
    assert shown.count('src="data:image/webp;base64,') == 4  # two on the way, two in the history
    assert "&lt;img src=x" in shown
    assert "<img src=x" not in shown
    assert re.search(r'data-place="2" aria-current="step"', shown)
    assert render.crumbs(steps.path(session)[:1], steps.history(session)[-1:], 1) == ""


# --- what is shown --------------------------------------------------------------------------------------


def over(rows: np.ndarray) -> Retriever:
    return Retriever(Gallery.from_features("made", [str(i) for i in range(len(rows))], rows), {})


def results(count: int) -> list[RetrievedImage]:
    return [RetrievedImage(i + 1, str(i), 1 - i / 100) for i in range(count)]


def test_near_identical_results_stand_behind_the_best_of_them_until_they_are_unfolded():
    retriever = over(np.array([[1, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 0, 1], [0, 1, 0.1]], np.float32))
    shown, similar = folding.fold(retriever, results(5))
    assert [r.image_id for r in shown] == ["0", "1", "3"]
    assert similar == {"0": ("2",), "1": ("4",)}
    shown, _ = folding.fold(retriever, results(5), {"1"})
    assert [r.image_id for r in shown] == ["0", "1", "4", "3"]


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_folding_loses_no_result_and_shows_none_twice(seed, count):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(3, 4))
    retriever = over(base[rng.integers(0, 3, count)] + rng.normal(scale=0.1, size=(count, 4)))
    shown, similar = folding.fold(retriever, results(count))
    everything = [r.image_id for r in shown] + [i for behind in similar.values() for i in behind]
    assert sorted(everything, key=int) == [str(i) for i in range(count)]
    for leader, behind in similar.items():
        for image_id in behind:
            one, other = retriever.engine.features([int(leader), int(image_id)]).image
            assert one @ other >= folding.NEAR_IDENTICAL


def test_results_below_the_least_score_are_hidden_and_their_number_is_said(retriever, session):
    scores = [r.score for r in handlers.answer(retriever, session).results]
    found = handlers.rerank(
        retriever, session, Settings(PLAIN.values, 8, at_least=round(scores[2] - 1e-4, 4))
    )
    assert len(found.results) == sum(score >= found.settings.at_least for score in scores) < 8
    hidden = 8 - len(found.results)
    assert any(
        note.startswith("Hidden, with scores below") and f"{hidden} of 8 pictures" in note
        for note in found.notes
    )
    with pytest.raises(BadQuery, match="least score"):
        read_settings(PARAMETERS, cvsi_weights(), (8, True, 1.5, True))


def test_a_result_says_what_stands_behind_it_and_that_it_is_selected():
    from cir.ui.pieces import result_caption

    assert result_caption(3, 0.5, "a dog", similar=2, selected=True) == "✓ 3 · 0.500 · +2 similar\na dog"


def test_selecting_twice_is_selecting_not_at_all_and_survives_another_order(retriever, session):
    do(retriever, session, "select", place=1)
    chosen = session.selected
    handlers.rerank(retriever, session, Settings(cvsi_weights(0, 0, 0), 30))
    assert session.selected == chosen
    do(retriever, session, "select", place=session.result_ids.index(chosen[0]))
    assert session.selected == ()


def test_the_rank_of_an_intended_picture_is_said_and_follows_the_weights(retriever, session):
    session.intended_id = "blue-square-small"
    assert "The intended picture is at rank 2 of 39." in handlers.answer(retriever, session).notes
    found = handlers.rerank(retriever, session, Settings(cvsi_weights(0, 0, 0), 39))
    rank = next(r.rank for r in found.results if r.image_id == "blue-square-small")
    assert f"The intended picture is at rank {rank} of 39." in found.notes
    handlers.rerank(retriever, session, Settings(cvsi_weights(0, 0, 0), 8))
    session.intended_id = "yellow-star-small"  # beyond the eight that are shown
    note = next(n for n in handlers.answer(retriever, session).notes if "intended" in n)
    assert 8 < int(re.search(r"rank (\d+) of 39", note)[1]) <= 39  # type: ignore[index]
    session.intended_id = SQUARE
    assert "The intended picture is left out of this search." in handlers.answer(retriever, session).notes
    session.intended_id = "an image of another gallery"
    assert not any("intended" in note for note in handlers.answer(retriever, session).notes)


# --- the closer look ------------------------------------------------------------------------------------


def test_a_closer_look_says_what_the_score_is_made_of_and_what_would_lift_it(retriever, session):
    do(retriever, session, "without", text="circle")
    found = handlers.answer(retriever, session)
    seen = inspector.inspect(retriever, session, found.results[3].image_id)
    assert (seen.rank, seen.score) == (4, found.results[3].score)
    shares = [side for share in seen.why.shares.values() for side in share.values()]
    assert sum(shares) == pytest.approx(seen.score, abs=1e-5)
    card = inspector.closer_look(seen)
    assert f"<td>{seen.why.ranks_alone[MODIFIED_CAPTIONS]}</td>" in card
    assert "Without … (1)" in card
    if seen.why.move:
        assert f"would lift it from 4 to {seen.why.move.rank}." in card
    else:
        assert "No single slider lifts it." in card
    assert "read as" not in card
    seen = inspector.inspect(
        retriever, session, found.results[3].image_id, read_as=lambda row: f"one of {len(row)} numbers"
    )
    dim = retriever.gallery.image_features.shape[1]
    assert f"read as one of {dim} numbers" in inspector.closer_look(seen)


def test_the_first_result_needs_no_lifting(retriever, session):
    assert "It is first already." in inspector.closer_look(
        inspector.inspect(retriever, session, session.result_ids[0])
    )


def test_texts_that_can_be_changed_are_buttons_and_shown_as_text():
    trace = {"captions": ["<b>a cat</b>", "<b>a cat</b>"], "modified_captions": [], "added_objects": ["dog"]}
    shown = render.texts(trace, pending=False, changeable=True, changed=True)
    assert '<button type="button" class="chip" data-edit="text" data-kind="captions" data-place="0"' in shown
    assert "&lt;b&gt;a cat&lt;/b&gt; <small>×2</small>" in shown
    assert 'data-do="reset"' in shown
    still = render.texts(trace, pending=False)
    assert "data-edit" not in still
    assert '<span class="none">none</span>' in still


def test_what_is_still_missing_keeps_its_place_until_the_search_is_done():
    waiting = render.texts({}, pending=True)
    assert waiting.count('class="chip waiting"') == 3
    assert render.texts({}, pending=False) == ""


def test_the_image_word_is_told_by_its_nearest_words():
    shown = render.texts({"image_word": ["beach", "whale"]}, pending=False)
    assert "≈ beach, whale" in shown
    assert "read as" not in shown
    shown = render.texts({"image_word": ["beach"], "read_as": ["a photograph"]}, pending=False)
    assert "≈ beach" in shown
    assert "≈ beach, read as a photograph" in shown


def test_a_term_shows_its_sign_its_words_as_text_and_its_weight(gallery):
    shown = render.terms([SignedTerm("less", "<i>x</i>", unit(["red"]), -0.3)], gallery)
    assert "less like <q>&lt;i&gt;x&lt;/i&gt;</q>" in shown
    assert ">−0.30</button>" in shown
    assert render.terms([], gallery) == ""
    row = render.texts({"added_objects": ["dog"]}, pending=False, without=True)
    assert row.count("<dd") == 1
    assert row.index("dog") < row.index('data-edit="without"') < row.index("</dd>")


# --- links ----------------------------------------------------------------------------------------------


def sent_by(link: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(link.removeprefix("?")))


def read(retriever: ToyRetriever, sent: dict[str, object]):
    """The session of a page that was opened with a link; None where it asks for no search."""
    session = Session()
    return session if links.open_link(sent, session, lambda name: retriever, ToyTexts()) else None


def test_a_link_leads_back_to_its_search(retriever, session):
    handlers.rerank(retriever, session, Settings(cvsi_weights(0.25, 0.5, 0.75), 12))
    found = read(retriever, sent_by(links.link_to(session)))
    wanted = Settings(cvsi_weights(0.25, 0.5, 0.75), 12)
    assert (found.reference_id, found.text, found.method, found.settings) == (
        SQUARE,
        "make it blue",
        "CVSI",
        wanted,
    )


def test_a_link_says_only_what_it_says_and_other_fields_are_left_alone(retriever):
    assert read(retriever, {"__theme": "dark"}) is None
    found = read(retriever, {"text": "  at   night ", "__theme": "dark"})
    assert (found.reference_id, found.text, found.method) == ("", "at night", "CVSI")
    assert found.settings == Settings(cvsi_weights(), 30, automatic=True)


def test_links_of_before_go_on_working(retriever):
    old = {"text": "x", "a": "0.25", "b": "0.5", "g": "0.75"}
    assert read(retriever, old).settings.values == cvsi_weights(0.25, 0.5, 0.75)
    methods = {"Slerp": Slerp(ToyClip(), ToyClip())}
    slerp = Retriever(toy_gallery(), methods)
    for sent, t in (({"b": "0.3"}, 0.3), ({"t": "0.4"}, 0.4), ({"a": "0.9", "g": "0.1"}, 0.8)):
        assert read(slerp, {"text": "x", "method": "Slerp", **sent}).settings.values == {"t": t}


def test_a_link_carries_the_numbers_of_its_method_by_name():
    session = Session()
    slerp = Retriever(toy_gallery(), {"Slerp": Slerp(ToyClip(), ToyClip())})
    list(
        handlers.search(
            slerp, session, image=None, text="blue", method="Slerp", settings=Settings({"t": 0.35})
        )
    )
    sent = sent_by(links.link_to(session))
    assert sent["t"] == "0.35"
    assert not {"alpha", "beta", "gamma", "a", "b", "g"} & set(sent)
    assert read(slerp, sent).settings.values == {"t": 0.35}


def test_an_upload_cannot_be_linked_and_that_is_said(retriever, tmp_path, gallery):
    own = tmp_path / "own.webp"
    own.write_bytes(gallery.thumbnail_path(SQUARE).read_bytes())
    session = Session()
    list(
        handlers.search(retriever, session, image={"path": str(own)}, text="", method="CVSI", settings=PLAIN)
    )
    with pytest.raises(BadQuery, match="cannot carry a picture of your own"):
        links.link_to(session)
    with pytest.raises(BadQuery, match="no search to link to"):
        links.link_to(Session())


@pytest.mark.parametrize(
    "sent",
    [
        {"image": "../../etc/passwd"},
        {"image": "no-such-image", "text": "x"},
        {"text": "x", "a": "nan"},
        {"text": "x", "a": "0.9", "b": "0.9"},
        {"text": "x", "a": "-1"},
        {"text": "x", "g": "much"},
        {"text": "x", "k": "inf"},
        {"text": "x", "method": "FAISS"},
    ],
)
def test_faults_39_46_what_a_link_may_not_say_is_refused_in_words(retriever, sent):
    with pytest.raises(BadQuery) as caught:
        read(retriever, sent)
    assert caught.value.remedy


# --- downloads ------------------------------------------------------------------------------------------


def test_fault_13_no_cell_of_the_table_is_a_formula_for_a_spreadsheet(gallery, monkeypatch):
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a dog"]
    for text, kept in zip(hostile, [*(f"'{t}" for t in hostile[:-1]), "a dog"], strict=True):
        monkeypatch.setattr(gallery, "hostile_caption", text)
        table = export.to_csv([RetrievedImage(1, SQUARE, -0.25)], gallery, {SQUARE})
        row = list(csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")))[1]
        assert row == ["1", "-0.250000", SQUARE, f"{SQUARE}.webp", kept, "yes"]


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.text(max_size=20))
def test_fault_13_whatever_a_text_is_its_cell_begins_harmlessly(text):
    cell = export.safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell in (text, "'" + text)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory):
    """A gallery of two files, one of which says where it was taken; a third is deleted after indexing."""
    root = tmp_path_factory.mktemp("photographs")
    image = Image.new("RGB", (1600, 1200), "#3366aa")
    exif = image.getexif()
    exif[0x010E] = "SECRET PLACE"
    image.save(root / "=cmd.jpg", exif=exif)
    Image.new("RGB", (64, 48), "red").save(root / "red.png")
    Image.new("RGB", (64, 48), "lime").save(root / "gone.png")
    cache = tmp_path_factory.mktemp("cache")
    index(root, cache)
    (root / "gone.png").unlink()
    return opened(cache)


def test_pictures_whose_folder_is_away_are_not_said_to_be_gone(photographs):
    retriever = Retriever(photographs, {"Text-only": TextOnly(ToyEncoder())})
    content, session = PageContent(shelf_of(retriever)), Session(token="page")
    list(
        handlers.search(
            retriever, session, image=None, text="red", method="Text-only", settings=Settings(top_k=3)
        )
    )
    object.__setattr__(photographs, "root", (home := photographs.root).with_name("elsewhere"))
    try:
        with pytest.raises(BadQuery, match="The folder of these pictures is not there now") as told:
            packed(content, session, "zip")
    finally:
        object.__setattr__(photographs, "root", home)
    assert "Connect its disk" in told.value.remedy


def test_packed_pictures_are_encoded_anew_and_carry_no_metadata(photographs):
    named = {photographs.label(i): i for i in photographs.image_ids}
    ranks = {named["=cmd.jpg"]: 1, named["red.png"]: 2, named["gone.png"]: 3}
    archived, missing = export.to_zip(list(ranks), photographs, ranks)
    assert missing == ["gone.png"]
    assert b"SECRET" not in archived
    with zipfile.ZipFile(io.BytesIO(archived)) as archive:
        assert archive.namelist() == ["001-=cmd.webp", "002-red.webp"]
        with Image.open(io.BytesIO(archive.read("001-=cmd.webp"))) as image:
            assert (image.format, max(image.size)) == ("WEBP", export.PICTURE_SIDE)
            assert not image.getexif()


@pytest.mark.parametrize("label", ["../../etc/passwd", "/etc/passwd", "a\\..\\b.png", "..", "", "\x00\n.jpg"])
def test_a_name_in_the_archive_leads_nowhere(label):
    name = export._file_name(label)
    assert not re.search(r"[/\\\x00-\x1f:]", name)
    assert name.strip(". ")


def test_nothing_and_too_much_are_not_packed(gallery):
    for image_ids in ([], list(gallery.image_ids) * 3):
        with pytest.raises(BadQuery, match="cannot be packed"):
            export.to_zip(image_ids, gallery, {})


def test_a_result_can_be_kept_whole_as_json(retriever, session):
    from cir.ui.page import PageContent
    from cir.ui.search import parcels

    do(retriever, session, "select", place=0)
    content = PageContent(shelf_of(retriever), fingerprints={"clip": "abc"})
    kept = json.loads(parcels.packed(content, session, "json"))
    assert kept["selected"] == [session.result_ids[0]]
    assert kept["results"][0]["image_id"] == session.result_ids[0]
    packed = parcels.packed(content, session, "zip")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == [f"001-{session.result_ids[0]}.webp"]
    assert Path(archive.namelist()[0]).suffix == ".webp"


def test_two_searches_that_differ_in_their_method_or_weights_look_different_in_the_history(retriever) -> None:
    session = Session()
    for method, weights in [
        ("CVSI", cvsi_weights()),
        ("CVSI", cvsi_weights(0.2, 0.6, 0.1)),
        ("Sum", cvsi_weights()),
    ]:
        session.composed = ComposedQuery({REFERENCE_IMAGE: unit(["red"])})
        session.method, session.settings = method, Settings(weights)
        session.parameters = PARAMETERS if method == "CVSI" else ()
        steps.remember(session, "make it blue", "")
    shown = render.crumbs(steps.path(session), steps.history(session), session.step)
    said = re.findall(r"<small>(.*?)</small>", shown)
    assert set(said) == {"CVSI, α 0.6, β 0.4, γ 0.2", "CVSI, α 0.2, β 0.6, γ 0.1", "Sum"}
    for step in session.steps[1:]:
        step.kept["method"], step.kept["settings"] = "CVSI", Settings(cvsi_weights())
        step.kept["parameters"] = PARAMETERS
    del session.steps[0]
    assert "<small>" not in render.crumbs(steps.path(session), steps.history(session), session.step)
