"""The triplet tab as plain functions: filtering, judging, thresholds, groups, and what it writes as HTML."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from triplet_doubles import MEMBERS, SCORES, ToySource, toy_triplets, triplet
from ui_doubles import ToyGallery

from cir.errors import BadQuery, CirError
from cir.types import Triplet
from cir.ui.triplets import handlers, render
from cir.ui.triplets.handlers import ShownTriplet, Tables, TripletSession
from cir.ui.triplets.reading import (
    read_filters,
    read_page_size,
    read_shown,
    read_sort,
    read_thresholds,
)
from cir.ui.triplets.source import EDGES, Judgement, Thresholds, TripletSet
from cir.ui.triplets.table import Filters, TripletTable

HOSTILE = '<img src=x onerror="window.__x=1">${window.__x=2}{{x}}<script>window.__x=3</script>'


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> ToyGallery:
    return ToyGallery(tmp_path_factory.mktemp("thumbnails"))


@pytest.fixture
def source() -> ToySource:
    return ToySource()


@pytest.fixture
def tables(source) -> Tables:
    return Tables(source)


@pytest.fixture
def session(tables, gallery) -> TripletSession:
    begun = TripletSession()
    handlers.choose(tables, begun, "toy")
    handlers.show(tables, begun, gallery)
    return begun


def table_of(*triplets: Triplet) -> TripletTable:
    return TripletTable(TripletSet(triplets))


def on_page(tables: Tables, row: int, key: str = "toy") -> ShownTriplet:
    """A triplet as a page that shows it now sends it back."""
    return handlers.shown_as(tables.of_file(key), key, row)


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
    tables, session = Tables(ToySource([])), TripletSession()
    handlers.choose(tables, session, "toy")
    page = handlers.show(tables, session, gallery)
    assert (page.cards, page.pages, session.row) == ((), 1, -1)
    assert handlers.closer(tables, session, gallery) is None
    assert "no triplet in this file yet" in render.cards(page)


# --- pages ----------------------------------------------------------------------------------------------


def many(count: int) -> ToySource:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.3, 1.0, count).round(5)
    return ToySource([triplet((0, 1), float(s), triplet_id=str(n)) for n, s in enumerate(scores)])


def test_only_the_cards_of_one_page_are_made(gallery):
    tables, session = Tables(many(100)), TripletSession()
    handlers.choose(tables, session, "toy")
    page = handlers.show(tables, session, gallery, turn=2)
    assert [card.number for card in page.cards] == list(range(25, 37))
    assert (page.page, page.pages, page.matches) == (2, 9, 100)
    assert handlers.show(tables, session, gallery, turn=99).page == 8
    assert handlers.show(tables, session, gallery, turn=-99).page == 0


def test_stepping_past_the_last_card_turns_the_page_and_stays_at_the_end(gallery):
    tables, session = Tables(many(14)), TripletSession()
    handlers.choose(tables, session, "toy")
    handlers.show(tables, session, gallery)
    for _ in range(12):
        handlers.step(tables, session, gallery, 1)
    assert (session.page, session.row) == (1, 12)
    for _ in range(5):
        handlers.step(tables, session, gallery, 1)
    assert (session.page, session.row) == (1, 13)
    for _ in range(2):
        handlers.step(tables, session, gallery, -1)
    assert (session.page, session.row) == (0, 11)


def test_a_hundred_thousand_triplets_are_read_once_and_shown_by_the_page(gallery, monkeypatch):
    tables, session = Tables(many(100_000)), TripletSession()
    handlers.choose(tables, session, "toy")
    monkeypatch.setattr(tables.source, "read", lambda key: pytest.fail("the file is read again"))
    session.sort, session.page_size = "high", 96
    page = handlers.show(tables, session, gallery, turn=3)
    assert len(page.cards) == 96
    scores = [card.triplet.consistency for card in page.cards]
    assert scores == sorted(scores, reverse=True)
    assert page.cards[0].triplet.consistency < 1.0 - 3 * 96 * 0.6 / 100_000


# --- what a person says ---------------------------------------------------------------------------------


def test_accepting_is_kept_in_the_sidecar_and_taken_back_by_accepting_again(tables, source, session):
    assert handlers.judge(tables, on_page(tables, 1), "accepted") == Judgement("accepted")
    assert found(tables.table(session), verdict="accepted") == [1]
    assert handlers.judge(tables, on_page(tables, 1), "accepted") == Judgement()
    assert found(tables.table(session), verdict="accepted") == []
    assert source.judged == [("toy", "12", Judgement("accepted")), ("toy", "12", Judgement())]


def test_rejecting_takes_the_place_of_accepting_and_an_edit_outlives_both(tables, session):
    handlers.edit(tables, on_page(tables, 0), "  much   larger ")
    handlers.judge(tables, on_page(tables, 0), "accepted")
    assert handlers.judge(tables, on_page(tables, 0), "rejected") == Judgement("rejected", "much larger")
    table = tables.table(session)
    assert found(table, verdict="edited") == found(table, verdict="rejected") == [0]
    assert found(table, verdict="unjudged") == [1, 2, 3, 4, 5, 6]
    assert table.count_said() == {"accepted": 0, "rejected": 1, "edited": 1}


def test_the_edited_text_is_the_one_that_words_find(tables, session):
    handlers.edit(tables, on_page(tables, 0), "gigantic")
    assert found(tables.table(session), words="gigantic") == [0]
    assert found(tables.table(session), words="gigantic elephant") == []


def test_typing_the_original_text_again_takes_the_edit_back(tables, session):
    original = tables.table(session).triplets[0].text
    handlers.edit(tables, on_page(tables, 0), "gigantic")
    assert handlers.edit(tables, on_page(tables, 0), original) == Judgement()


def test_what_is_done_twice_before_the_page_shows_it_is_done_once(tables, session):
    seen = on_page(tables, 1)
    for _ in range(2):
        assert handlers.judge(tables, seen, "accepted") == Judgement("accepted")


def test_what_is_done_is_about_the_triplet_that_was_shown_wherever_the_session_has_gone_since(
    tables, source, gallery, session
):
    seen = on_page(tables, 1)
    source.sets["other"] = TripletSet([triplet((0, 1), triplet_id="another")])
    handlers.choose(tables, session, "other")
    handlers.show(tables, session, gallery)
    handlers.judge(tables, seen, "rejected")
    handlers.edit(tables, seen, "gigantic")
    assert source.judged[-1] == ("toy", "12", Judgement("rejected", "gigantic"))
    page = handlers.again(tables, session, gallery, seen)
    assert [card.triplet.triplet_id for card in page.cards] == ["another"]
    assert handlers.reference_of(tables, seen)[1] == "gigantic"
    with pytest.raises(BadQuery, match="not on the page any more"):
        handlers.pick(tables, session, gallery, seen)


@pytest.mark.parametrize(
    "changes", [{"row": 7}, {"row": -1}, {"triplet_id": "01"}, {"key": "gone"}, {"key": ""}]
)
def test_a_triplet_that_is_not_in_its_file_is_refused_in_words(tables, source, session, changes):
    with pytest.raises(CirError) as caught:
        handlers.judge(tables, replace(on_page(tables, 1), **changes), "accepted")
    assert caught.value.remedy
    assert source.judged == []


@pytest.mark.parametrize("text", ["", "   ", None, 7, ["a"]])
def test_a_text_that_is_none_is_refused_in_words(tables, source, session, text):
    with pytest.raises(BadQuery):
        handlers.edit(tables, on_page(tables, 0), text)
    assert source.judged == []


def test_what_was_said_before_is_there_when_the_file_is_opened_again(gallery):
    source = ToySource()
    said = {"01": Judgement("rejected"), "34": Judgement("", "another"), "gone": Judgement("accepted")}
    source.sets["toy"] = TripletSet(toy_triplets(), said)
    table = TripletTable(source.read("toy"))
    assert (table.judgement(0), table.text(3)) == (Judgement("rejected"), "another")
    assert table.count_said() == {"accepted": 0, "rejected": 1, "edited": 1}


# --- thresholds and the funnel --------------------------------------------------------------------------


def test_the_funnel_counts_from_pictures_to_kept_with_the_reasons(tables, gallery, session):
    view = handlers.funnel(tables, session, gallery)
    assert view.mining is not None
    assert (view.mining.images, view.mining.groups, view.mining.pairs) == (40, 30, 250)
    assert (view.asked, view.texts, view.kept) == (7, 5, 3)
    assert view.dropped == {"inconsistent": 2, "no usable text": 1, "same captions": 1}
    html = render.funnel(view)
    assert "10 find no five others for a group" in html
    assert "243 not asked about yet" in html
    assert "2 do not lead to the target" in html


def test_moving_the_score_judges_stored_scores_and_mines_nothing(tables, source, gallery, session):
    kept = {}
    for threshold in (0.3, 0.7, 0.85, 0.95):
        session.thresholds = Thresholds(threshold)
        kept[threshold] = handlers.funnel(tables, session, gallery).kept
    assert kept == {t: sum(score >= t for score in SCORES) for t in kept}
    assert source.mined == []


def test_moving_the_group_thresholds_mines_anew_and_tells_the_difference(tables, source, gallery, session):
    session.thresholds = Thresholds(0.7, 0.9, 0.01)
    view = handlers.funnel(tables, session, gallery)
    assert source.mined == [session.thresholds]
    assert view.mining is not None
    assert view.mining.groups == 36
    assert "+6 by the sliders" in render.funnel(view)


def test_triplets_of_another_gallery_say_that_their_groups_cannot_be_formed(gallery):
    source = ToySource()
    source.sets["toy"] = TripletSet(toy_triplets(), gallery="Elsewhere")
    tables, session = Tables(source), TripletSession()
    handlers.choose(tables, session, "toy")
    session.thresholds = Thresholds(0.7, 0.9, 0.01)
    view = handlers.funnel(tables, session, gallery)
    assert source.mined == []
    assert "another gallery" in render.funnel(view)


# --- the group ------------------------------------------------------------------------------------------


def test_the_group_has_six_pictures_nine_arrows_and_marks_the_current_one(tables, gallery, session):
    session.row = 2
    seen = handlers.closer(tables, session, gallery)
    assert seen is not None
    assert [picture.name for picture in seen.members] == [f"{member}.webp" for member in MEMBERS]
    assert [edge.ranks for edge in seen.edges] == list(EDGES)
    assert [edge.ranks for edge in seen.edges if edge.current] == [(2, 3)]
    assert [edge.ranks for edge in seen.edges if edge.shown is None] == [(0, 3), (0, 4)]
    svg = render.group(seen)
    assert svg.count("<image ") == 6
    assert svg.count('class="drawn"') == 9
    assert svg.count("data-triplet=") == 7
    assert svg.count('aria-current="true"') == 1


def test_an_arrow_leads_to_its_triplet_even_when_a_filter_hid_it(tables, gallery, session):
    session.filters = Filters(verdict="kept")
    handlers.show(tables, session, gallery)
    page = handlers.pick(tables, session, gallery, on_page(tables, 3))
    assert session.row == 3
    assert [card.number for card in page.cards if card.chosen] == [4]


def test_an_imported_triplet_has_no_group_and_grey_tiles_for_pictures_that_are_not_here(tmp_path, gallery):
    source = ToySource()
    upload = tmp_path / "cap.json"
    upload.write_text('[{"reference": "dev-1", "target_hard": "dev-2", "caption": "is <b>red</b>"}]')
    tables, session = Tables(source), TripletSession()
    handlers.choose(tables, session, source.take_in(upload))
    page = handlers.show(tables, session, gallery)
    seen = handlers.closer(tables, session, gallery)
    assert page.cards[0].reference == handlers.Picture(None, "dev-1")
    html = render.cards(page) + render.closer(seen) + render.details(seen)
    assert '<span class="tile" title="dev-1">dev-1</span>' in html
    assert "&lt;b&gt;red" in html
    assert '<svg viewBox="0 0 400' not in html


# --- making more ----------------------------------------------------------------------------------------


def test_new_triplets_come_newest_first_into_their_own_file(tables, gallery, session):
    session.filters = Filters(words="elephant")
    steps = list(handlers.generate(tables, session, gallery))
    page = handlers.show(tables, session, gallery)
    assert [step.done for step in steps] == [0, 1, 2]
    assert session.key == "made"
    assert [card.triplet.ranks for card in page.cards[:2]] == [EDGES[8], EDGES[7]]
    assert len(page.cards) == 9


def test_stopping_ends_the_making_and_keeps_what_was_made(tables, gallery, session):
    run = handlers.generate(tables, session, gallery)
    next(run), next(run)
    session.stopping = True
    assert list(run) == []
    assert len(tables.table(session)) == 8


def test_a_search_is_begun_with_the_text_as_the_person_wants_it(tables, session):
    handlers.edit(tables, on_page(tables, 0), "gigantic")
    chosen, text = handlers.reference_of(tables, on_page(tables, 0))
    assert (chosen.reference_id, chosen.target_id, text) == (MEMBERS[0], MEMBERS[1], "gigantic")
    with pytest.raises(BadQuery, match="no text"):
        handlers.reference_of(tables, on_page(tables, 5))


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
        (read_sort, ("random()",)),
        (read_sort, ({},)),
        (read_page_size, (10**9,)),
        (read_page_size, (True,)),
        (read_page_size, ([12],)),
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


def test_a_file_that_is_not_on_offer_is_refused(tables, session):
    for key in ("../../etc/passwd", None, 3, ["toy"]):
        with pytest.raises(BadQuery, match="not here any more"):
            handlers.choose(tables, session, key)
    assert session.key == "toy"


def test_nothing_can_be_done_with_a_triplet_before_a_file_is_open(tables, gallery):
    for act in (handlers.show, handlers.closer, handlers.funnel):
        session = TripletSession(row=0)
        with pytest.raises(BadQuery):
            act(tables, session, gallery)


# --- what is written ------------------------------------------------------------------------------------


def test_fault_14_text_of_a_triplet_is_shown_and_never_obeyed(gallery):
    hostile = triplet(
        (0, 1), text=HOSTILE, reference_caption=HOSTILE, target_caption=HOSTILE, triplet_id=HOSTILE
    )
    foreign = triplet(
        (1, 2), 0.1, reason=HOSTILE, verdict="dropped", target_id=HOSTILE, members=(HOSTILE,) * 6
    )
    tables, session = Tables(ToySource([hostile, foreign])), TripletSession()
    handlers.choose(tables, session, "toy")
    page = handlers.show(tables, session, gallery)
    html = render.cards(page) + render.funnel(handlers.funnel(tables, session, gallery))
    for row in (0, 1):
        session.row = row
        seen = handlers.closer(tables, session, gallery)
        html += render.closer(seen) + render.details(seen)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "${" not in html
    assert "{{" not in html
    assert "&lt;script&gt;" in html


def test_a_card_says_its_verdict_its_reason_and_its_score(tables, gallery, session):
    html = render.cards(handlers.show(tables, session, gallery))
    assert 'aria-label="Triplet 1: make it large red square; kept"' in html
    assert "dropped: reference and text do not lead to the target" in html
    assert 'title="Score 0.650; kept from 0.70 on"' in html
    assert "no usable text came" in html


def test_a_picture_is_addressed_by_its_small_file_alone(gallery):
    picture = handlers.picture(gallery, MEMBERS[0])
    assert picture.path == Path(gallery.thumbnail_path(MEMBERS[0]))
    strange = handlers.Picture(Path("/a b/${x}'\".webp"), "x")
    assert re.fullmatch(r"small-pictures/[0-9a-f]{16}/%24%7Bx%7D%27%22\.webp", render.address(strange))


def test_the_same_filters_again_change_neither_the_page_nor_what_is_looked_at(gallery):
    tables, session = Tables(many(40)), TripletSession()
    handlers.choose(tables, session, "toy")
    handlers.show(tables, session, gallery, turn=1)
    session.row = session.rows[3]
    before = (session.page, session.row)
    handlers.narrow(tables, session, gallery, session.filters, session.sort, session.page_size)
    assert (session.page, session.row) == before
    handlers.narrow(tables, session, gallery, Filters(words="make"), session.sort, session.page_size)
    assert (session.page, session.row) == (0, session.rows[0])


def test_filters_that_the_program_cleared_are_told_to_the_fields(tables, gallery, session):
    session.reset, session.filters = False, Filters(verdict="kept", words="make")
    handlers.go_to(tables, session, gallery, 0)
    assert not session.reset
    handlers.go_to(tables, session, gallery, 3)
    assert (session.reset, session.filters) == (True, Filters())
