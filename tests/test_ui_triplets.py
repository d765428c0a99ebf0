"""The triplet tab as plain functions: filtering, judging, thresholds, groups, and what it writes as HTML."""

from __future__ import annotations

import errno
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from triplet_doubles import MEMBERS, SCORES, ToyLibrary, toy_triplets, triplet

from cir.errors import BadQuery, CirError
from cir.syncir.consistency import Thresholds
from cir.syncir.judgements import Judgement
from cir.syncir.pairs import PAIR_RANKS
from cir.syncir.table import SORTS, Filters, TripletTable
from cir.types import TrainingStep, Triplet
from cir.ui.triplets import handlers, render
from cir.ui.triplets.cards import FileView, Picture, ShownTriplet, shown_triplet
from cir.ui.triplets.funnel import funnel
from cir.ui.triplets.group import group
from cir.ui.triplets.handlers import TripletSession
from cir.ui.triplets.reading import (
    PAGE_SIZES,
    read_choice,
    read_filters,
    read_shown,
    read_thresholds,
)

HOSTILE = '<img src=x onerror="window.__x=1">${window.__x=2}{{x}}<script>window.__x=3</script>'


@pytest.fixture
def library() -> ToyLibrary:
    return ToyLibrary()


@pytest.fixture
def session(library, gallery) -> TripletSession:
    begun = TripletSession()
    handlers.choose(library, begun, "toy")
    handlers.show(library, begun, gallery)
    return begun


def table_of(*triplets: Triplet) -> TripletTable:
    return TripletTable(triplets)


def on_page(library: ToyLibrary, row: int, key: str = "toy") -> ShownTriplet:
    """A triplet as a page that shows it now sends it back."""
    return shown_triplet(library.table(key), key, row)


def found(table: TripletTable, sort: str = "file", threshold: float = 0.7, **filters: object) -> list[int]:
    return table.find(Filters(**filters), sort, threshold).tolist()  # type: ignore[arg-type]


# --- filters and order ----------------------------------------------------------------------------------


def test_kept_and_dropped_follow_the_threshold_of_this_moment():
    table = table_of(*toy_triplets())
    assert found(table, verdict="kept") == [0, 2, 4]
    assert found(table, verdict="kept", threshold=0.6) == [0, 1, 2, 4]
    assert found(table, verdict="dropped", threshold=0.9) == [1, 2, 3, 4, 5, 6]


def test_a_score_equal_to_the_threshold_is_kept():
    table = table_of(triplet((0, 1), 0.7))
    assert table.kept(0.7).tolist() == [True]
    assert table.kept(0.70001).tolist() == [False]


def test_lowering_the_threshold_brings_back_nothing_that_fell_out_for_another_reason():
    low_rank = triplet((0, 2), 0.9, verdict="dropped", reason="target ranked too low")
    table = table_of(*toy_triplets(), low_rank)
    assert found(table, verdict="dropped", threshold=-1.0) == [5, 6, 7]


def test_a_triplet_without_a_score_keeps_its_verdict_at_every_threshold():
    table = table_of(triplet((0, 1), None), triplet((1, 2), None, verdict="dropped", reason="no usable text"))
    assert table.kept(1.0).tolist() == [True, False]


def test_a_reason_finds_those_that_fall_out_for_it_now_and_not_only_those_of_the_file():
    table = table_of(*toy_triplets())
    assert found(table, reason="inconsistent") == [1, 3]
    assert found(table, reason="inconsistent", threshold=0.75) == [1, 2, 3]
    assert found(table, reason="inconsistent", threshold=0.5) == [3]
    assert found(table, reason="same captions") == [6]
    assert found(table, reason="no such reason") == []


def test_reasons_are_counted_at_the_threshold_of_this_moment():
    table = table_of(*toy_triplets())
    assert table.reasons(0.7) == {"inconsistent": 2, "no usable text": 1, "same captions": 1}
    assert table.reasons(0.95) == {"inconsistent": 5, "no usable text": 1, "same captions": 1}
    assert table.reasons(0.0) == {"no usable text": 1, "same captions": 1}


def test_a_range_of_scores_leaves_out_those_without_one_only_when_it_is_narrowed():
    table = table_of(*toy_triplets())
    assert found(table, low=0.65, high=0.8) == [1, 2]
    assert found(table, low=-1.0, high=1.0) == [0, 1, 2, 3, 4, 5, 6]
    assert found(table, low=-1.0, high=0.99) == [0, 1, 2, 3, 4]


def test_all_words_are_looked_for_in_the_text_and_in_both_captions_in_any_case():
    table = table_of(*toy_triplets())
    assert found(table, words="LARGE") == [0, 1, 4, 5]  # 0 and 4 lead to a large one, 1 and 5 begin with one
    assert found(table, words="make large") == [0, 1, 4]  # 5 has no text
    assert found(table, words="large blue") == [4, 5]
    assert found(table, words="elephant") == []


def test_orders_are_what_they_are_called_and_keep_those_without_a_score_last():
    table = table_of(*toy_triplets())
    assert found(table, "high") == [0, 4, 2, 1, 3, 5, 6]
    assert found(table, "low") == [3, 1, 2, 4, 0, 5, 6]
    assert found(table, "doubtful") == [2, 1, 4, 0, 3, 5, 6]
    assert found(table, "newest") == [6, 5, 4, 3, 2, 1, 0]
    texts = [table.text(row) for row in found(table, "text", verdict="kept")]
    assert texts == sorted(texts)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-100_000, 100_000)), max_size=12),
    st.integers(-100, 100),
    st.integers(-100, 100),
)
def test_the_columns_agree_with_a_loop_over_the_triplets(raw, threshold, low):
    scores = [None if value is None else value / 100_000 for value in raw]
    limit, least = threshold / 100, low / 100
    table = table_of(*(triplet((0, 1), score, triplet_id=str(n)) for n, score in enumerate(scores)))
    kept = [n for n, s in enumerate(scores) if s is None or s >= limit]
    assert found(table, verdict="kept", threshold=limit) == kept
    inside = [n for n, s in enumerate(scores) if s is not None and s >= least]
    assert found(table, low=least, high=1.0) == (list(range(len(scores))) if least <= -1.0 else inside)
    assert [table.is_kept(n, limit) for n in range(len(scores))] == table.kept(limit).tolist()


def test_a_table_that_grows_leaves_the_one_that_is_being_read_as_it_was():
    table = table_of(triplet((0, 1), 0.9))
    larger = table.grown([triplet((1, 2), 0.1)])
    assert (len(table), found(table)) == (1, [0])
    assert found(larger, verdict="dropped") == [1]
    assert larger.row_of_pair(MEMBERS[1], MEMBERS[2]) == 1
    assert table.row_of_pair(MEMBERS[1], MEMBERS[2]) is None


def test_an_empty_file_has_an_empty_page(gallery):
    library, session = ToyLibrary([]), TripletSession()
    handlers.choose(library, session, "toy")
    page = handlers.show(library, session, gallery)
    assert (page.cards, page.pages, session.row) == ((), 1, -1)
    assert handlers.closer(library, session, gallery) is None
    assert "no triplet in this file yet" in render.cards(page)


# --- pages ----------------------------------------------------------------------------------------------


def many(count: int) -> ToyLibrary:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.3, 1.0, count).round(5)
    return ToyLibrary([triplet((0, 1), float(s), triplet_id=str(n)) for n, s in enumerate(scores)])


def test_only_the_cards_of_one_page_are_made(gallery):
    library, session = many(100), TripletSession()
    handlers.choose(library, session, "toy")
    page = handlers.show(library, session, gallery, turn=2)
    assert [card.number for card in page.cards] == list(range(25, 37))
    assert (page.page, page.pages, page.matches) == (2, 9, 100)
    assert handlers.show(library, session, gallery, turn=99).page == 8
    assert handlers.show(library, session, gallery, turn=-99).page == 0


def test_stepping_past_the_last_card_turns_the_page_and_stays_at_the_end(gallery):
    library, session = many(14), TripletSession()
    handlers.choose(library, session, "toy")
    handlers.show(library, session, gallery)
    for _ in range(12):
        handlers.step(library, session, 1)
    assert (session.page, session.row) == (1, 12)
    for _ in range(5):
        handlers.step(library, session, 1)
    assert (session.page, session.row) == (1, 13)
    for _ in range(2):
        handlers.step(library, session, -1)
    assert (session.page, session.row) == (0, 11)


def test_a_hundred_thousand_triplets_are_shown_by_the_page(gallery):
    library, session = many(100_000), TripletSession()
    handlers.choose(library, session, "toy")
    session.sort, session.page_size = "high", 96
    page = handlers.show(library, session, gallery, turn=3)
    assert len(page.cards) == 96
    scores = [card.triplet.consistency for card in page.cards]
    assert scores == sorted(scores, reverse=True)
    assert page.cards[0].triplet.consistency < 1.0 - 3 * 96 * 0.6 / 100_000


# --- what a person says ---------------------------------------------------------------------------------


def test_accepting_is_kept_in_the_sidecar_and_taken_back_by_accepting_again(library, session):
    assert handlers.judge(library, session, on_page(library, 1), "accepted") == Judgement("12", "accepted")
    assert found(library.table(session.key), verdict="accepted") == [1]
    assert handlers.judge(library, session, on_page(library, 1), "accepted") == Judgement("12", "cleared")
    assert found(library.table(session.key), verdict="accepted") == []
    assert library.judged == [("toy", Judgement("12", "accepted")), ("toy", Judgement("12", "cleared"))]


def test_rejecting_takes_the_place_of_accepting_and_an_edit_outlives_both(library, session):
    handlers.edit(library, session, on_page(library, 0), "  much   larger ")
    handlers.judge(library, session, on_page(library, 0), "accepted")
    assert handlers.judge(library, session, on_page(library, 0), "rejected") == Judgement(
        "01", "rejected", "much larger"
    )
    table = library.table(session.key)
    assert found(table, verdict="edited") == found(table, verdict="rejected") == [0]
    assert found(table, verdict="unjudged") == [1, 2, 3, 4, 5, 6]
    assert table.count_judgements() == {"accepted": 0, "rejected": 1, "edited": 1}


def test_the_edited_text_is_the_one_that_words_find(library, session):
    handlers.edit(library, session, on_page(library, 0), "gigantic")
    assert found(library.table(session.key), words="gigantic") == [0]
    assert found(library.table(session.key), words="gigantic elephant") == []


def test_typing_the_original_text_again_takes_the_edit_back(library, session):
    original = library.table(session.key).triplets[0].text
    handlers.edit(library, session, on_page(library, 0), "gigantic")
    assert handlers.edit(library, session, on_page(library, 0), original) == Judgement("01", "cleared")


def test_what_is_done_twice_before_the_page_shows_it_is_done_once(library, session):
    seen = on_page(library, 1)
    for _ in range(2):
        assert handlers.judge(library, session, seen, "accepted") == Judgement("12", "accepted")


def test_what_is_done_is_about_the_triplet_that_was_shown_wherever_the_session_has_gone_since(
    library, gallery, session
):
    seen = on_page(library, 1)
    library.tables["other"] = TripletTable([triplet((0, 1), triplet_id="another")])
    handlers.choose(library, session, "other")
    handlers.show(library, session, gallery)
    handlers.judge(library, session, seen, "rejected")
    handlers.edit(library, session, seen, "gigantic")
    assert library.judged[-1] == ("toy", Judgement("12", "rejected", "gigantic"))
    page = handlers.show(library, session, gallery)
    assert [card.triplet.triplet_id for card in page.cards] == ["another"]
    assert handlers.reference_of(library, seen)[1] == "gigantic"
    with pytest.raises(BadQuery, match="not on the page any more"):
        handlers.pick(library, session, seen)


@pytest.mark.parametrize(
    "changes", [{"row": 7}, {"row": -1}, {"triplet_id": "01"}, {"key": "gone"}, {"key": ""}]
)
def test_a_triplet_that_is_not_in_its_file_is_refused_in_words(library, session, changes):
    with pytest.raises(CirError) as caught:
        handlers.judge(library, session, replace(on_page(library, 1), **changes), "accepted")
    assert caught.value.remedy
    assert library.judged == []


@pytest.mark.parametrize("text", ["", "   ", None, 7, ["a"]])
def test_a_text_that_is_none_is_refused_in_words(library, session, text):
    with pytest.raises(BadQuery):
        handlers.edit(library, session, on_page(library, 0), text)
    assert library.judged == []


def test_a_text_that_is_too_long_is_refused_with_its_length_and_not_cut(library, session):
    with pytest.raises(BadQuery, match="The text has 501 characters"):
        handlers.edit(library, session, on_page(library, 0), 501 * "x")
    assert library.judged == []


def test_what_was_said_before_is_there_when_the_file_is_opened_again():
    before = (
        Judgement("01", "rejected"),
        Judgement("34", "edited", "another"),
        Judgement("gone", "accepted"),
    )
    table = TripletTable(toy_triplets(), {one.triplet_id: one for one in before})
    assert (table.judgement(0), table.text(3)) == (Judgement("01", "rejected"), "another")
    assert table.count_judgements() == {"accepted": 0, "rejected": 1, "edited": 1}


# --- thresholds and the funnel --------------------------------------------------------------------------


def test_the_funnel_counts_from_pictures_to_kept_with_the_reasons(library, gallery, session):
    view = handlers.funnel(library, session, gallery)
    assert (view.now.images, view.now.groups, view.now.pairs) == (40, 30, 250)
    assert (view.now.done, view.now.texts, view.now.kept) == (7, 5, 3)
    assert view.now.dropped == {"inconsistent": 2, "no usable text": 1, "same captions": 1}
    html = funnel(view)
    assert "10 find no five others for a group" in html
    assert "243 not asked about yet" in html
    assert "2 do not lead to the target" in html


def test_moving_the_score_judges_stored_scores_and_mines_nothing(library, gallery, session):
    kept = {}
    for threshold in (0.3, 0.7, 0.85, 0.95):
        session.thresholds = Thresholds(threshold)
        kept[threshold] = handlers.funnel(library, session, gallery).now.kept
    assert kept == {t: sum(score >= t for score in SCORES) for t in kept}
    assert library.mined == []


def test_moving_the_group_thresholds_mines_anew_and_tells_the_difference(library, gallery, session):
    session.thresholds = Thresholds(0.7, 0.9, 0.01)
    view = handlers.funnel(library, session, gallery)
    assert library.mined == [session.thresholds]
    assert view.now.groups == 36
    assert "+6 by the sliders" in funnel(view)


def test_triplets_of_another_gallery_say_that_their_groups_cannot_be_formed(gallery):
    library = ToyLibrary()
    library.tables["toy"] = TripletTable(toy_triplets(), gallery="Elsewhere")
    session = TripletSession()
    handlers.choose(library, session, "toy")
    session.thresholds = Thresholds(0.7, 0.9, 0.01)
    view = handlers.funnel(library, session, gallery)
    assert library.mined == []
    assert "another gallery" in funnel(view)


# --- the group ------------------------------------------------------------------------------------------


def test_the_group_has_six_pictures_nine_arrows_and_marks_the_current_one(library, gallery, session):
    session.row = 2
    seen = handlers.closer(library, session, gallery)
    assert seen is not None
    assert [picture.name for picture in seen.members] == [f"{member}.webp" for member in MEMBERS]
    assert [edge.ranks for edge in seen.edges] == list(PAIR_RANKS)
    assert [edge.ranks for edge in seen.edges if edge.current] == [(2, 3)]
    assert [edge.ranks for edge in seen.edges if edge.shown is None] == [(0, 3), (0, 4)]
    svg = group(seen)
    assert svg.count("<image ") == 6
    assert svg.count('class="drawn"') == 9
    assert svg.count("data-triplet=") == 7
    assert svg.count('aria-current="true"') == 1


def test_an_arrow_leads_to_its_triplet_even_when_a_filter_hid_it(library, gallery, session):
    session.filters = Filters(verdict="kept")
    handlers.show(library, session, gallery)
    handlers.pick(library, session, on_page(library, 3))
    page = handlers.show(library, session, gallery)
    assert session.row == 3
    assert [card.number for card in page.cards if card.chosen] == [4]


def test_an_imported_triplet_has_no_group_and_grey_tiles_for_pictures_that_are_not_here(tmp_path, gallery):
    library = ToyLibrary()
    upload = tmp_path / "cap.json"
    upload.write_text('[{"reference": "dev-1", "target_hard": "dev-2", "caption": "is <b>red</b>"}]')
    session = TripletSession()
    handlers.choose(library, session, library.take_in(upload))
    page = handlers.show(library, session, gallery)
    seen = handlers.closer(library, session, gallery)
    assert page.cards[0].reference == Picture(None, "dev-1")
    html = render.cards(page) + render.closer(seen) + render.details(seen)
    assert '<span class="tile" title="dev-1">dev-1</span>' in html
    assert "&lt;b&gt;red" in html
    assert '<svg viewBox="0 0 400' not in html


# --- making more ----------------------------------------------------------------------------------------


def test_new_triplets_come_newest_first_into_their_own_file(library, gallery, session):
    session.filters = Filters(words="elephant")
    steps = list(handlers.generate(library, session, gallery))
    page = handlers.show(library, session, gallery)
    assert [step.done for step in steps] == [0, 1, 2]
    assert session.key == "made"
    assert [card.triplet.ranks for card in page.cards[:2]] == [PAIR_RANKS[8], PAIR_RANKS[7]]
    assert len(page.cards) == 9


def test_a_training_that_cannot_be_kept_when_it_is_stopped_does_not_end_without_a_word(
    library, gallery, session
):
    def steps(*_):
        try:
            yield TrainingStep(1, 0.5, 60.0)
        finally:
            raise OSError(errno.ENOSPC, "No space left on device")

    library.kept = lambda key, consistency: toy_triplets()
    library.titles = {}
    training = handlers.train(library, session, gallery, steps)
    assert next(training) == TrainingStep(1, 0.5, 60.0)
    with pytest.raises(OSError, match="No space left"):
        training.close()


def test_stopping_ends_the_making_and_keeps_what_was_made(library, gallery, session):
    run = handlers.generate(library, session, gallery)
    next(run), next(run)
    session.stopping = True
    assert list(run) == []
    assert len(library.table(session.key)) == 8


def test_a_search_is_begun_with_the_text_as_the_person_wants_it(library, session):
    handlers.edit(library, session, on_page(library, 0), "gigantic")
    chosen, text = handlers.reference_of(library, on_page(library, 0))
    assert (chosen.reference_id, chosen.target_id, text) == (MEMBERS[0], MEMBERS[1], "gigantic")
    with pytest.raises(BadQuery, match="no text"):
        handlers.reference_of(library, on_page(library, 5))


# --- what arrives ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (read_filters, ("nothing", "", -1, 1, "")),
        (read_filters, (["all"], "", -1, 1, "")),
        (read_filters, ("all", 3, -1, 1, "")),
        (read_filters, ("all", "", math.nan, 1, "")),
        (read_filters, ("all", "", -1, 1.5, "")),
        (read_filters, ("all", "", -1, 1, {"a": 1})),
        (read_choice, ("order", "random()", SORTS)),
        (read_choice, ("order", {}, SORTS)),
        (read_choice, ("length of a page", 10**9, PAGE_SIZES)),
        (read_choice, ("length of a page", True, (1, 2))),
        (read_choice, ("length of a page", [12], PAGE_SIZES)),
        (read_shown, ("",)),
        (read_shown, (None,)),
        (read_shown, (["toy", 0, "01", ""],)),
        (read_shown, ('["toy", true, "01", ""]',)),
        (read_shown, ('["toy", 0.5, "01", ""]',)),
        (read_shown, ('["toy", 0, 1, ""]',)),
        (read_shown, ('["toy", 0]',)),
        (read_shown, ("7",)),
        (read_shown, ("[" * 100_000,)),
        (read_thresholds, ("0.7", 0.94, 0.002)),
        (read_thresholds, (0.7, math.inf, 0.002)),
        (read_thresholds, (0.7, 1.2, 0.002)),
    ],
)
def test_values_that_no_field_sends_are_refused_in_words(read, values):
    with pytest.raises(BadQuery) as caught:
        read(*values)
    assert caught.value.remedy


def test_a_range_the_wrong_way_round_is_turned_and_long_words_are_cut():
    filters = read_filters("all", None, 0.9, 0.1, "x" * 5000)
    assert (filters.low, filters.high, len(filters.words)) == (0.1, 0.9, 200)


def test_a_file_that_is_not_on_offer_is_refused(library, session):
    for key in ("../../etc/passwd", None, 3, ["toy"]):
        with pytest.raises(BadQuery, match="not here any more"):
            handlers.choose(library, session, key)
    assert session.key == "toy"


def test_nothing_can_be_done_with_a_triplet_before_a_file_is_open(library, gallery):
    for act in (handlers.show, handlers.closer, handlers.funnel):
        session = TripletSession(row=0)
        with pytest.raises(BadQuery):
            act(library, session, gallery)


# --- what is written ------------------------------------------------------------------------------------


def test_fault_14_text_of_a_triplet_is_shown_and_never_obeyed(gallery):
    hostile = triplet(
        (0, 1), text=HOSTILE, reference_caption=HOSTILE, target_caption=HOSTILE, triplet_id=HOSTILE
    )
    foreign = triplet(
        (1, 2), 0.1, reason=HOSTILE, verdict="dropped", target_id=HOSTILE, members=(HOSTILE,) * 6
    )
    library, session = ToyLibrary([hostile, foreign]), TripletSession()
    handlers.choose(library, session, "toy")
    page = handlers.show(library, session, gallery)
    html = render.cards(page) + funnel(handlers.funnel(library, session, gallery))
    for row in (0, 1):
        session.row = row
        seen = handlers.closer(library, session, gallery)
        html += render.closer(seen) + render.details(seen)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "${" not in html
    assert "{{" not in html
    assert "&lt;script&gt;" in html


def test_a_card_says_its_verdict_its_reason_and_its_score(library, gallery, session):
    html = render.cards(handlers.show(library, session, gallery))
    assert 'aria-label="Triplet 1: make it large red square; kept"' in html
    assert "dropped: reference and text do not lead to the target" in html
    assert 'title="Score 0.650; kept from 0.70 on"' in html
    assert "no usable text came" in html


def test_a_picture_is_addressed_by_its_small_file_alone(gallery):
    picture = FileView(TripletTable(), "toy", gallery, 0.7, -1).picture(MEMBERS[0])
    assert picture.path == Path(gallery.thumbnail_path(MEMBERS[0]))
    strange = Picture(Path("/a b/${x}'\".webp"), "x")
    assert re.fullmatch(r"small-pictures/[0-9a-f]{16}/%24%7Bx%7D%27%22\.webp", strange.address)


def test_the_same_filters_again_change_neither_the_page_nor_what_is_looked_at(gallery):
    library, session = many(40), TripletSession()
    handlers.choose(library, session, "toy")
    handlers.show(library, session, gallery, turn=1)
    session.row = session.rows[3]
    before = (session.page, session.row)
    handlers.narrow(session, session.filters, session.sort, session.page_size)
    assert (session.page, session.row) == before
    handlers.narrow(session, Filters(words="make"), session.sort, session.page_size)
    handlers.arrange(library, session)
    assert (session.page, session.row) == (0, session.rows[0])


def test_filters_that_the_program_cleared_are_told_to_the_fields(library, gallery, session):
    session.reset, session.filters = False, Filters(verdict="kept", words="make")
    handlers.go_to(library, session, 0)
    assert not session.reset
    handlers.go_to(library, session, 3)
    assert (session.reset, session.filters) == (True, Filters())
