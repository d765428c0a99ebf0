"""The Compare tab's handlers and words, and what the Results tab takes apart: no gradio, no browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ToyCaptioner, ToyClip, ToyLanguageModel, draw, toy_cvsi, toy_gallery

from cir.composers.baselines import ImageOnly, Sum, TextOnly
from cir.composers.basic import LAMBDA, Basic
from cir.composers.cvsi import PARAMETERS
from cir.composers.cvsi import weights as cvsi_weights
from cir.errors import BadQuery, MissingModel
from cir.evaluation.results_file import Section
from cir.ranking.judging import Fit, Judged
from cir.ranking.retriever import Retriever
from cir.types import MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, Query
from cir.ui.compare import handlers, render
from cir.ui.compare.handlers import Comparison
from cir.ui.results import render as results_render
from cir.ui.results.render import Results
from cir.ui.search.handlers import Session

SLIDERS = ("CVSI", cvsi_weights(0.5, 0.4, 0.2))


class Broken:
    """A method whose model is not here."""

    name = "Broken"
    parameters = ()
    scoring = None

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        raise MissingModel("Broken needs a <model>.", "Fetch it: python -m cir models pull embedded")
        yield


@pytest.fixture
def retriever() -> Retriever:
    clip = ToyClip()
    methods = [
        toy_cvsi(ToyLanguageModel(), ToyCaptioner()),
        Sum(clip, clip),
        ImageOnly(clip),
        TextOnly(clip),
        Broken(),
    ]
    return Retriever(toy_gallery(), {m.name: m for m in methods})


@pytest.fixture
def reference(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "red-square.png"
    draw("red", "square", 96).save(path)
    return {"path": str(path)}


def compared(
    retriever: Retriever, reference: object, chosen: list[str], text: str = "make it blue"
) -> Comparison:
    state = Comparison()
    list(
        handlers.compare(
            retriever, Session(), state, image=reference, text=text, chosen=chosen, sliders=SLIDERS
        )
    )
    for method in state.methods:
        handlers.column(retriever, state, method)
    return state


def test_quick_methods_are_whole_while_a_slow_one_still_thinks(retriever, reference):
    state = Comparison()
    steps = handlers.compare(
        retriever,
        Session(),
        state,
        image=reference,
        text="make it blue",
        chosen=["Sum", "CVSI"],
        sliders=SLIDERS,
    )
    assert [next(steps), next(steps)] == ["CVSI", "Sum"]
    assert state.composed["CVSI"].pending
    assert not state.composed["Sum"].pending
    list(steps)
    assert MODIFIED_CAPTIONS in state.composed["CVSI"].parts
    assert state.methods == ("CVSI", "Sum")


def test_each_column_is_the_search_of_its_method_and_arrows_are_places_won(retriever, reference):
    state = compared(retriever, reference, ["CVSI", "Image-only"])
    first = handlers.column(retriever, state, "CVSI")
    other = handlers.column(retriever, state, "Image-only")
    assert first.results[0].image_id == "blue-square"
    assert first.moves == ()
    assert other.results[0].image_id == "red-square"
    there = {r.image_id: r.rank for r in first.results}
    assert other.moves == tuple(there[r.image_id] - r.rank for r in other.results)
    assert other.shared == 12
    assert state.result_ids["CVSI"][0] == "blue-square"


def test_the_sliders_weigh_the_method_that_they_belong_to_and_no_other(retriever, reference):
    state = compared(retriever, reference, ["CVSI", "Sum"])
    assert state.values["CVSI"] == SLIDERS[1]
    assert state.values["Sum"] == {}


def test_a_method_that_cannot_answer_says_so_in_its_column_and_the_others_go_on(retriever, reference):
    state = compared(retriever, reference, ["Sum", "Broken"])
    assert handlers.column(retriever, state, "Sum").results[0].rank == 1
    found = handlers.column(retriever, state, "Broken")
    assert found.problem is not None
    said = render.column_head(found, "Sum")
    assert "Broken needs a &lt;model&gt;." in said
    assert "<code>python -m cir models pull embedded</code>" in said


@pytest.mark.parametrize(
    "chosen", [[], ["CVSI"], None, "CVSI", ["CVSI", "Sum", "Image-only", "Text-only", "Broken"]]
)
def test_fewer_than_two_or_more_than_four_methods_are_refused(retriever, chosen):
    with pytest.raises(BadQuery, match="Choose 2 to 4"):
        handlers.read_choice(retriever.methods, chosen)


def test_an_unknown_method_is_refused_by_name(retriever):
    with pytest.raises(BadQuery, match="Nonsense"):
        handlers.read_choice(retriever.methods, ["CVSI", "Nonsense"])


def test_fault_16_without_a_query_there_is_nothing_to_compare(retriever):
    with pytest.raises(BadQuery, match="nothing to search for"):
        compared(retriever, None, ["CVSI", "Sum"], text="")


def test_the_same_query_is_not_composed_again_and_another_one_forgets_the_marks(retriever, reference):
    state = compared(retriever, reference, ["CVSI", "Sum"])
    handlers.mark(state, "blue-square")
    asked = len(retriever.composers["CVSI"].language_model.prompts)
    again = {"image": reference, "chosen": ["CVSI", "Image-only"], "sliders": SLIDERS}
    assert list(handlers.compare(retriever, Session(), state, text="make it blue", **again)) == [
        "CVSI",
        "Image-only",
    ]
    assert len(retriever.composers["CVSI"].language_model.prompts) == asked
    assert state.marked == ("blue-square",)
    list(handlers.compare(retriever, Session(), state, text="make it green", **again))
    assert state.marked == ()
    assert handlers.column(retriever, state, "CVSI").results[0].image_id == "green-square"


def test_a_newer_comparison_ends_the_older_one(retriever, reference):
    state = Comparison()
    how = {"image": reference, "chosen": ["CVSI", "Sum"], "sliders": SLIDERS}
    older = handlers.compare(retriever, Session(), state, text="make it blue", **how)
    next(older)
    list(handlers.compare(retriever, Session(), state, text="make it yellow", **how))
    assert list(older) == []
    assert handlers.column(retriever, state, "CVSI").results[0].image_id == "yellow-square"


def test_three_pictures_can_be_marked_and_a_second_click_takes_a_mark_away():
    state = Comparison(result_ids={"Sum": ("a", "b", "c"), "CVSI": ("c", "d")})
    for image_id in ("a", "b", "c", "d"):
        handlers.mark(state, image_id)
    assert state.marked == ("b", "c", "d")
    handlers.mark(state, "c")
    assert state.marked == ("b", "d")
    for forged in ("e", 0, None, ["b"]):
        with pytest.raises(BadQuery, match="not on the page"):
            handlers.mark(state, forged)
    assert state.marked == ("b", "d")


def test_a_marked_picture_is_ranked_by_every_method_and_by_every_part_alone(retriever, reference):
    state = compared(retriever, reference, ["CVSI", "Image-only"])
    handlers.mark(state, "blue-square")
    judged = handlers.judged(retriever, state)
    assert judged is not None
    assert judged.by_method["CVSI"] == (1,)
    look = cvsi_weights(0.0, 0.0, 0.0)
    expected = retriever.rank_of(state.composed["CVSI"], look, "blue-square")
    assert judged.by_method["Image-only"] == (expected,)
    assert judged.by_part[(REFERENCE_IMAGE, "pixels")] == (expected,)
    assert judged.by_part[(MODIFIED_CAPTIONS, "pixels")] == (1,)
    assert len(judged.by_part) == 6


def test_the_weights_that_are_found_put_the_marked_picture_where_they_say(retriever, reference, monkeypatch):
    state = compared(retriever, reference, ["CVSI", "Sum"])
    state.values["CVSI"] = cvsi_weights(0.0, 0.0, 0.0)
    handlers.mark(state, "blue-square")
    judged = handlers.judged(retriever, state)
    assert judged is not None
    assert judged.fitted is not None
    assert judged.fitted.before[0] > 1
    assert judged.fitted.ranks == (1,)
    assert retriever.rank_of(state.composed["CVSI"], judged.fitted.values, "blue-square") == 1
    assert "from" in render.fit_words(judged)
    monkeypatch.setattr(render, "in_words", lambda *_: "a <blue> square")
    panel = render.judged_panel(judged, retriever.gallery)
    assert "a &lt;blue&gt; square" in panel
    assert panel.count("<rect") == 66


def test_what_no_weights_can_reach_is_said(retriever, reference):
    state = compared(retriever, reference, ["CVSI", "Sum"])
    handlers.mark(state, "yellow-triangle")
    judged = handlers.judged(retriever, state)
    assert judged is not None
    assert judged.fitted is not None
    assert min(judged.fitted.ranks) > 1
    far = Judged(
        judged.ids,
        judged.by_method,
        weighed="CVSI",
        parameters=PARAMETERS,
        tried=726,
        present=judged.fitted.values,
        fitted=Fit(judged.fitted.values, (37,), (37,)),
    )
    said = render.fit_words(far)
    assert "best of 726 settings" in said
    assert "No weights bring it among the first 10" in said


def test_without_a_method_that_has_weights_there_is_nothing_to_fit_and_it_is_said(retriever, reference):
    state = compared(retriever, reference, ["Sum", "Image-only"])
    handlers.mark(state, "blue-square")
    judged = handlers.judged(retriever, state)
    assert judged is not None
    assert (judged.weighed, judged.surface) == ("", {})
    assert "nothing to fit" in render.judged_panel(judged, retriever.gallery)


def test_a_method_with_one_number_has_a_curve_of_the_ranks_under_it_with_the_best_and_the_present_one(
    reference,
):
    clip = ToyClip()
    methods = {m.name: m for m in (Basic(clip, clip), ImageOnly(clip))}
    retriever = Retriever(toy_gallery(), methods)
    state = Comparison()
    how = {"image": reference, "chosen": [*methods], "sliders": ("BASIC", {"lambda": 0.03})}
    list(handlers.compare(retriever, Session(), state, text="make it blue", **how))
    handlers.column(retriever, state, "BASIC")
    handlers.mark(state, "red-square")
    judged = handlers.judged(retriever, state)
    assert judged is not None
    assert judged.fitted is not None
    composed = state.composed["BASIC"]
    assert len(judged.curve) == 12, "eleven places and the present one"
    for number, rank in judged.curve.items():
        assert rank == retriever.rank_of(composed, {LAMBDA.name: number}, "red-square")
    assert min(judged.curve.values()) == judged.curve[judged.fitted.values[LAMBDA.name]]
    panel = render.judged_panel(judged, retriever.gallery)
    assert panel.count("<title>") == 12
    assert panel.count("stroke-dasharray") == 1
    assert "0.03: rank" in panel
    assert "Image word" not in panel, "BASIC puts the edit as text there"


def test_a_method_that_tells_no_steps_says_how_long_it_took(retriever, reference):
    state = compared(retriever, reference, ["CVSI", "Sum"])
    assert state.composed["Sum"].timings_ms["composing"] > 0
    assert "composing" not in state.composed["CVSI"].timings_ms
    assert "<span>composing " in render.column_head(handlers.column(retriever, state, "Sum"), "CVSI")


def test_a_result_says_its_rank_its_move_and_its_mark():
    assert render.result_words(3, 11, "a blue square", True) == "3  ▲ 11  ★ meant\na blue square"
    assert render.result_words(3, -2, "x", False) == "3  ▼ 2\nx"
    assert render.result_words(1, 0, "x", False) == "1  =\nx"
    assert render.result_words(1, None, "x", False) == "1\nx"


def test_fault_12_a_hostile_edit_is_shown_and_never_markup():
    said = render.query_line('<img src=x onerror="alert(1)">${1}', True)
    assert "<img" not in said
    assert "$" not in said


# --- the Results tab ------------------------------------------------------------------------------------


def test_figures_stand_where_the_markdown_has_them_and_a_missing_one_leaves_its_words():
    text = "## Weights\n\n![map](figures/simplex.svg)\n\nmore\n\n![gone](figures/none.svg)"
    found = list(results_render.split_figures(text, {"figures/simplex.svg": "<svg></svg>"}))
    assert found == [
        ("markdown", "## Weights"),
        ("figure", "<svg></svg>"),
        ("markdown", "more"),
        ("markdown", "*gone*"),
    ]


def test_a_printed_table_stands_beside_the_section_of_its_form_or_alone():
    class Table:
        def __init__(self, name: str, beside: tuple[str, ...]) -> None:
            self.name, self.beside, self.markdown, self.source, self.newer = name, beside, "", "", False

    one, two = Table("CVSI, Table I", ("methods",)), Table("CVSI, Table V", ("efficiency",))
    section = Section("methods", "## All methods", {})
    results = Results([section], [one, two])
    assert results.beside(section) == [one]
    assert results.alone == [two]


def test_the_results_page_tells_measured_from_printed_and_its_words_are_never_markup():
    class Table:
        name, beside, source, newer = "CVSI, Table I", ("methods",), "A <b>paper</b>", False
        markdown = "### Table I\n\n| method | R@1 |\n|---|---|\n| CVSI | 29.5 |"

    text = "## All methods\n\n| method | R@1 |\n|---|---|\n| the $ word | 88.7 |\n\n<script>alert(1)</script>"
    shown = results_render.results_page(
        Results([Section("methods", text, {"date": "2026-11-21"})], [Table()])
    )
    assert shown.index("Measured here</p>") < shown.index("88.7") < shown.index("As printed in CVSI, Table I")
    assert shown.index("<details") < shown.index("29.5")
    assert "<script" not in shown
    assert "<b>paper" not in shown
    assert "$" not in shown
    assert "Nothing is measured yet" in results_render.results_page(Results())


def test_the_manifest_is_shown_escaped():
    said = results_render.how_measured({"date": "2026-11-21", "command": "<b>"})
    assert "Measured 2026-11-21" in said
    assert "&lt;b&gt;" in said
    assert results_render.how_measured({}) == ""
