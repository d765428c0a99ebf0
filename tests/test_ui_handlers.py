"""The page's handlers by value: what a browser or a program may send, and what comes back."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ui_doubles import ToyGallery, ToyRetriever

from cir.composers.cvsi import PARAMETERS
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.parameters import read_moved, read_values
from cir.composers.slerp import Slerp
from cir.errors import BadImage, BadQuery, CirError
from cir.text import counted
from cir.ui import pieces, problems
from cir.ui.grids import tile
from cir.ui.reading import (
    MAX_RESULTS,
    read_index,
    read_method,
    read_number,
    read_top_k,
    read_upload,
)
from cir.ui.search import examples, handlers, inspector, reference
from cir.ui.session import Example, Session, Settings

SQUARE = "red-square-large"
# After the first stage nothing was captioned; alpha then counts as 0.
PLAIN = Settings(cvsi_weights(0.6, 0.4, 0.2), 5)


def upload(gallery: ToyGallery, image_id: str) -> dict[str, object]:
    """What the page sends for a picture that it shows."""
    return {"path": str(gallery.thumbnail_path(image_id)), "meta": {"_type": "gradio.FileData"}}


def search(retriever: ToyRetriever, session: Session, image: object, text: object, **changes: object):
    """All answers of one search."""
    settings = changes.pop("settings", PLAIN)
    return list(
        handlers.search(
            retriever,  # type: ignore[arg-type]
            session,
            image=image,
            text=text,
            method=changes.pop("method", "CVSI"),
            settings=settings,  # type: ignore[arg-type]
            **changes,  # type: ignore[arg-type]
        )
    )


def ids(answer: handlers.Answer) -> list[str]:
    return [result.image_id for result in answer.results]


# --- searching ------------------------------------------------------------------------------------------


def test_a_red_square_made_blue_finds_the_blue_square_first(gallery, retriever):
    answers = search(retriever, Session(), upload(gallery, SQUARE), "make it blue")
    assert ids(answers[-1])[0] == "blue-square-large"
    assert [r.rank for r in answers[-1].results] == [1, 2, 3, 4, 5]


def test_first_results_come_before_the_language_model_and_say_what_is_pending(gallery, retriever):
    answers = search(retriever, Session(), upload(gallery, SQUARE), "make it blue")
    assert [bool(a.composed.pending) for a in answers] == [True, False]
    assert ids(answers[0])[0].startswith("blue")
    assert "captions" not in answers[0].composed.trace
    assert answers[1].composed.trace["added_objects"] == ["blue"]


def test_a_newer_search_of_the_same_session_stops_the_older_one(gallery, retriever):
    session = Session()
    older = handlers.search(
        retriever, session, image=upload(gallery, SQUARE), text="make it blue", method="CVSI", settings=PLAIN
    )
    next(older)
    newer = search(retriever, session, None, "green circle")
    assert list(older) == []
    assert handlers.answer(retriever, session).results == newer[-1].results


def test_weights_moved_while_a_search_runs_hold_for_its_later_stages(gallery, retriever):
    session = Session()
    stages = handlers.search(
        retriever, session, image=upload(gallery, SQUARE), text="make it blue", method="CVSI", settings=PLAIN
    )
    next(stages)
    handlers.rerank(retriever, session, Settings(cvsi_weights(0.0, 0.0, 0.0), 3))
    last = next(stages)
    assert last.settings.values == cvsi_weights(0.0, 0.0, 0.0)
    assert ids(last)[0] == SQUARE
    assert len(last.results) == 3


def test_moving_a_slider_calls_no_model(gallery, retriever):
    session = Session()
    search(retriever, session, upload(gallery, SQUARE), "make it blue")
    calls = list(retriever.model_calls)
    orders = {
        tuple(ids(handlers.rerank(retriever, session, Settings(cvsi_weights(a, 0.1, 0.2), 8))))
        for a in (0.0, 0.2, 0.4, 0.6, 0.9)
    }
    assert retriever.model_calls == calls
    assert len(orders) > 1


def test_fault_01_no_edit_text_is_a_search_by_picture_with_a_note(gallery, retriever):
    for text in ("", "   \n ", None):
        answer = search(retriever, Session(), upload(gallery, SQUARE), text)[-1]
        assert ids(answer)[0] == SQUARE
        assert any("No edit text" in note for note in answer.notes)
        assert all(math.isfinite(r.score) for r in answer.results)


@pytest.mark.parametrize("text", [5, 1.5, True, ["a", "b"], {"text": "a"}])
def test_fault_02_text_of_another_type_is_refused_in_words(retriever, text):
    with pytest.raises(BadQuery, match="has to be text"):
        search(retriever, Session(), None, text)
    assert retriever.model_calls == []


def test_fault_03_ten_thousand_characters_are_cut_with_a_note(retriever):
    answer = search(retriever, Session(), None, "blue " * 2000)[-1]
    assert any("cut at 500" in note for note in answer.notes)
    assert max(len(call) for call in retriever.model_calls) <= len("encode ") + 500


def test_fault_16_neither_picture_nor_text_is_a_sentence_with_a_way_out(retriever):
    with pytest.raises(BadQuery) as caught:
        search(retriever, Session(), None, " ")
    problem = problems.describe_problem(caught.value)
    assert problem.message == "There is nothing to search for."
    assert "Choose a reference image" in problem.remedy


def test_text_alone_searches(retriever):
    assert ids(search(retriever, Session(), None, "green star")[-1])[0].startswith("green-star")


def test_a_file_that_is_no_picture_is_refused_in_words(retriever, tmp_path):
    fake = tmp_path / "fake.png"
    fake.write_text("<script>window.__x = 1</script>")
    with pytest.raises(BadImage):
        search(retriever, Session(), {"path": str(fake)}, "blue")


@pytest.mark.parametrize(
    "value", ["/etc/passwd", {"url": "http://127.0.0.1/"}, {"path": None}, {"path": 3}, 7, []]
)
def test_fault_38_something_that_is_no_upload_is_refused(value):
    with pytest.raises(BadImage, match="did not arrive as a file"):
        read_upload(value)


def test_a_picked_reference_is_left_out_of_its_own_results_when_asked(gallery, retriever):
    session = Session()
    path = reference.pick(gallery, session, SQUARE)
    for leave_out in (True, False):
        settings = Settings(cvsi_weights(0.0, 0.0, 0.0), 5, leave_out)
        found = search(retriever, session, {"path": str(path)}, "", settings=settings)[-1]
        assert (SQUARE in ids(found)) is not leave_out


def test_a_picked_reference_is_known_by_its_copy_even_when_that_is_gone(gallery, retriever, tmp_path):
    session = Session()
    kept = reference.pick(gallery, session, SQUARE)
    copy = tmp_path / kept.name
    for contents, picked in ((kept.read_bytes(), True), (b"another picture", False), (None, True)):
        copy.unlink(missing_ok=True)
        if contents is not None:
            copy.write_bytes(contents)
        found = reference.read_reference(gallery, session, {"path": str(copy)})
        assert found == ((kept, SQUARE) if picked else (copy, ""))
    assert search(retriever, session, {"path": str(copy)}, "")[-1].results


def test_an_upload_over_a_picked_reference_is_no_longer_the_picked_one(gallery, retriever, tmp_path):
    session = Session()
    reference.pick(gallery, session, SQUARE)
    own = tmp_path / "own.webp"
    own.write_bytes(gallery.thumbnail_path(SQUARE).read_bytes())
    found = search(retriever, session, {"path": str(own)}, "", settings=Settings(cvsi_weights(0, 0, 0), 5))[
        -1
    ]
    assert ids(found)[0] == SQUARE


# --- parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [5, -3, 1e308, "abc", True, [0.5], "0.5"])
@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_fault_39_weights_out_of_range_or_of_another_type_are_refused(name, value):
    weights = {"alpha": 0.2, "beta": 0.2, "gamma": 0.2, name: value}
    with pytest.raises(BadQuery) as caught:
        read_values(PARAMETERS, weights)
    assert name in caught.value.message
    assert "0 to 1" in caught.value.remedy


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_fault_40_not_a_number_is_refused(value):
    with pytest.raises(BadQuery, match="has to be a number"):
        read_values(PARAMETERS, {"alpha": value, "beta": 0.2, "gamma": 0.2})
    with pytest.raises(BadQuery, match="has to be a number"):
        read_top_k(value)


def test_fault_41_gamma_does_not_compete_with_alpha_and_beta_but_those_two_do():
    assert read_values(PARAMETERS, {"alpha": 0.6, "beta": 0.4, "gamma": 1.0})["gamma"] == 1.0
    with pytest.raises(BadQuery, match="count negatively"):
        read_values(PARAMETERS, {"alpha": 0.8, "beta": 0.4, "gamma": 0.2})


def test_fault_42_all_weights_zero_is_a_search_by_picture(gallery, retriever):
    settings = Settings(cvsi_weights(0.0, 0.0, 0.0), 5)
    found = search(retriever, Session(), upload(gallery, SQUARE), "make it blue", settings=settings)[-1]
    assert ids(found)[0] == SQUARE


def test_fault_42_all_weight_on_a_part_that_is_not_there_is_said(retriever):
    settings = Settings(cvsi_weights(0.0, 0.0, 0.0), 5)
    found = search(retriever, Session(), None, "green circle", settings=settings)[0]
    assert any("All weight lies on parts that this query does not have" in note for note in found.notes)
    assert ids(found)[0].startswith("green-circle")


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(0, 1), (-1, 1), (1000, MAX_RESULTS), (2.5, 2), (1e308, MAX_RESULTS), (7, 7), (7.0, 7)],
)
def test_fault_43_the_number_of_results_is_whole_and_bounded_and_a_change_is_said(asked, kept):
    top_k, notes = read_top_k(asked)
    assert top_k == kept
    assert isinstance(top_k, int)
    assert bool(notes) is (asked != kept)


@pytest.mark.parametrize("asked", ["10", None, True, [3]])
def test_fault_43_a_number_of_results_of_another_type_is_refused(asked):
    with pytest.raises(BadQuery, match="number of results"):
        read_top_k(asked)


def test_fault_44_more_results_than_images_are_all_images_once(gallery, retriever):
    found = search(retriever, Session(), None, "blue", settings=Settings(cvsi_weights(), MAX_RESULTS))[-1]
    assert sorted(ids(found)) == sorted(gallery.image_ids)


def test_fault_45_ties_keep_the_order_of_the_gallery(gallery, retriever):
    found = search(
        retriever, Session(), None, "large", settings=Settings(cvsi_weights(0.0, 1.0, 0.0), MAX_RESULTS)
    )[0]
    tied = [r.image_id for r in found.results if r.score == found.results[0].score]
    assert len(tied) > 1
    assert tied == [image_id for image_id in gallery.image_ids if image_id in tied]


@pytest.mark.parametrize("index", [-1, 3, 10**9, 1.0, True, None, "0", [0], {"path": "/etc/passwd"}])
def test_fault_46_an_index_beyond_the_list_or_of_another_type_is_refused(index):
    with pytest.raises(BadQuery, match="not on the page any more"):
        read_index(("a", "b", "c"), index)


def test_fault_46_an_unknown_image_is_refused(gallery, retriever):
    with pytest.raises(BadQuery, match="There is no image"):
        reference.pick(gallery, Session(), "../../etc/passwd")
    session = Session()
    search(retriever, session, None, "blue")
    with pytest.raises(BadQuery, match="not among the results"):
        inspector.inspect(retriever, session, "no-such-image")


def test_fault_47_only_the_index_of_a_click_counts_and_only_on_the_servers_list(retriever):
    session = Session()
    found = search(retriever, session, None, "blue")[-1]
    assert read_index(session.result_ids, 2) == ids(found)[2]
    with pytest.raises(BadQuery):
        read_index(Session().result_ids, 0)


def test_a_method_is_known_by_its_name_whatever_its_case():
    assert read_method(("CVSI", "LinCIR"), "cvsi") == "CVSI"
    for unknown in ("", "FAISS", None, 3, ["CVSI"]):
        with pytest.raises(BadQuery, match="There is no method"):
            read_method(("CVSI", "LinCIR"), unknown)


@hypothesis_settings(max_examples=80, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["alpha", "beta"]))
def test_the_weight_that_is_moved_stays_and_the_other_gives_way(share, rest, to, moved):
    before = cvsi_weights(share, (1.0 - share) * rest, 0.2)
    sent = {"alpha": before["alpha"], "beta": before["beta"], moved: to}
    weights = read_moved(PARAMETERS, {**sent, "gamma": 0.2}, before)
    other = "beta" if moved == "alpha" else "alpha"
    assert weights[moved] == to
    assert weights["alpha"] + weights["beta"] <= 1 + 1e-6
    assert weights[other] == pytest.approx(min(sent[other], 1.0 - to))


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.text(), st.floats(), st.integers(), st.lists(st.integers())))
def test_a_number_is_read_or_refused_but_nothing_else_happens(value):
    readable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if readable:
        assert read_number("alpha", value) == value
    else:
        with pytest.raises(BadQuery, match="has to be a number"):
            read_number("alpha", value)


# --- sessions -------------------------------------------------------------------------------------------


def test_fault_84_two_sessions_know_nothing_of_each_other(gallery, retriever):
    one, other = Session(), Session()
    reference.pick(gallery, one, SQUARE)
    search(retriever, one, upload(gallery, SQUARE), "make it blue")
    assert other == Session()
    with pytest.raises(BadQuery, match="nothing to rank yet"):
        handlers.rerank(retriever, other, Settings(cvsi_weights(), 5))
    search(retriever, other, None, "green circle")
    assert handlers.answer(retriever, one).composed.trace["added_objects"] == ["blue"]
    assert "blue-square-large" not in other.result_ids[:1]


# --- looking at pictures --------------------------------------------------------------------------------


def test_browsing_shows_every_image_once_and_starts_over(gallery):
    session = Session()
    first = handlers.browse(gallery, session)
    second = handlers.browse(gallery, session, step=1)
    assert sorted(first + second) == sorted(gallery.image_ids)
    assert handlers.browse(gallery, session, step=1) == first
    assert handlers.browse(gallery, session, step=-1) == second
    assert handlers.browse(gallery, session, shuffle=True) != first
    assert session.page == 0


def test_fault_57_an_image_that_is_gone_is_named_so_and_stands_as_an_empty_tile(gallery, monkeypatch):
    monkeypatch.setattr(gallery, "gone", {SQUARE})
    assert handlers.in_words(gallery, SQUARE) == "file is gone"
    assert handlers.in_words(gallery, "blue-circle-small") == "a small blue circle"
    assert tile(gallery, SQUARE, "file is gone").address.startswith("data:image/svg+xml")
    assert tile(gallery, "blue-circle-small", "").address.endswith(".webp")


def test_examples_of_other_galleries_and_a_missing_file_give_no_chips(gallery, tmp_path, monkeypatch):
    assert examples.read_examples(tmp_path / "none.json") == []
    assert examples.chips([], gallery) == ""
    path = tmp_path / "examples.json"
    rows = [{"image_id": "elsewhere", "text": "a"}, {"image_id": SQUARE, "text": "make it blue"}]
    path.write_text(json.dumps(rows))
    assert examples.of_gallery(examples.read_examples(path), gallery) == [Example(SQUARE, "make it blue")]
    shown = examples.chips(examples.read_examples(path), gallery)
    assert shown.count("<button") == 1
    assert f'data-id="{SQUARE}"' in shown
    monkeypatch.setattr(gallery, "gone", {SQUARE})
    assert examples.chips(examples.read_examples(path), gallery) == ""


# --- what is shown --------------------------------------------------------------------------------------


def test_a_fault_is_shown_as_a_sentence_and_logged_under_the_id_that_is_shown(caplog):
    with caplog.at_level(logging.ERROR):
        problem = problems.describe_problem(ZeroDivisionError("secret detail"))
    fault_id = caplog.records[0].getMessage().split()[-1]
    assert fault_id in problem.remedy
    assert "secret detail" not in problem.message + problem.remedy
    assert "ZeroDivisionError" in caplog.text


def test_an_error_for_people_keeps_its_words_and_its_way_out():
    problem = problems.describe_problem(
        CirError("No captioner.", "Get it: `python -m cir models pull embedded`")
    )
    assert problem == problems.Problem("No captioner.", "Get it: `python -m cir models pull embedded`")
    assert "<code>python -m cir models pull embedded</code>" in pieces.problem_card(problem)


@pytest.mark.parametrize(
    "text", ["<img src=x onerror=alert(1)>", "${alert(1)}", "{{constructor}}", '" onload="a', "`a`"]
)
def test_fault_12_typed_and_generated_text_is_shown_as_text(text):
    for piece in (pieces.chips([text], 1), pieces.notes_list([text]), pieces.working(text)):
        assert not any(mark in piece.replace("<code>", "") for mark in ("<img", "${", "{{", '" onload'))
    assert "&lt;img" in pieces.chips(["<img src=x>"], 1)


def test_an_answer_for_programs_has_the_keys_of_the_command_line(gallery, retriever):
    found = search(retriever, Session(), upload(gallery, SQUARE), "make it blue")[-1]
    made = json.loads(json.dumps(handlers.as_json(found, retriever, {"clip": "abc"})))
    assert made["results"][0] == {
        "rank": 1,
        "image_id": "blue-square-large",
        "label": "blue-square-large.webp",
        "score": pytest.approx(found.results[0].score),
    }
    assert made["weights"] == {"alpha": 0.6, "beta": 0.4, "gamma": 0.2}
    assert made["gallery"] == {"name": "Toy shapes", "images": 40}
    assert made["models"] == {"clip": "abc"}
    assert (made["method"], made["pending"]) == ("CVSI", "")
    assert set(made["trace"]) == {
        "translation",
        "reworded",
        "captions",
        "modified_captions",
        "added_objects",
        "removed_objects",
    }


def test_the_stage_line_says_what_is_still_going_on_and_then_how_long_it_took(gallery, retriever):
    first, last = search(retriever, Session(), upload(gallery, SQUARE), "make it blue")
    assert "Still captioning and asking the language model …" in pieces.stage_line(first)
    assert "5 of 40 pictures in 3.2 s" in pieces.stage_line(last)
    assert "captions 1.2 s" in pieces.stage_line(last)


def test_equal_captions_are_shown_once_and_counted():
    assert pieces.chips(["a cat", "a cat", "a dog"], 1) == (
        '<span class="chip">a cat <small>×2</small></span>'
        '<details><summary>1 more</summary><span class="chip">a dog</span></details>'
    )


def test_the_bar_of_shares_says_its_three_shares_to_those_who_do_not_see_it():
    assert 'aria-label="Described edit 60%, Image word + edit 30%, Reference look 10%"' in pieces.share_bar(
        PARAMETERS, cvsi_weights(0.6, 0.3, 0.0)
    )


def test_the_bar_of_shares_names_the_parts_as_the_method_does():
    bar = pieces.share_bar(Slerp.parameters, {"t": 0.8})
    assert 'aria-label="Edit 80%, Reference look 20%"' in bar
    assert "Image word" not in bar


def test_missing_models_are_named_with_the_command_that_gets_them():
    for remedy in ("python -m cir models pull embedded", "`python -m cir models pull embedded`"):
        banner = pieces.missing_banner({"captioner": f"It is not here. Fetch it: {remedy}"})
        assert "<li>It is not here. Fetch it: <code>python -m cir models pull embedded</code></li>" in banner
    assert pieces.missing_banner({}) == ""
    # What was switched off by who has started the program is not said to be missing.
    off = pieces.missing_banner({"language model": "The language model is switched off."})
    assert ("Some models are switched off" in off, "not here" in off) == (True, False)


def test_a_picked_image_is_shown_by_its_thumbnail(gallery):
    session = Session()
    assert reference.pick(gallery, session, SQUARE) == Path(gallery.thumbnail_path(SQUARE))
    assert session.picked_id == SQUARE


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 queries"), (1, "1 query"), (2, "2 queries"), (1234, "1,234 queries")]
)
def test_a_number_has_its_noun_as_a_sentence_wants_it(number: int, said: str) -> None:
    assert counted(number, "query", "queries") == said
    assert f"<span>{number:,} picture{'s' * (number != 1)}</span>" in pieces.header("Holiday", number)


def test_the_supervised_methods_are_told_apart_in_a_choice_of_methods() -> None:
    choices = {name: label for label, name in pieces.method_choices(["CVSI", "TIRG", "my own"])}
    assert choices == {"CVSI": "CVSI", "TIRG": "TIRG (supervised)", "my own": "my own"}
