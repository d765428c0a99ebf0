"""The tables of docs/results.md: ranks over a grid against the slow way, rows, sections, kept queries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import ToyCaptioner, ToyLanguageModel, draw, toy_cvsi, toy_gallery
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.figure import table_of
from cir.charts import Cell, decades_chart, heat_map, line_chart
from cir.composers.composer import unit_row
from cir.composers.cvsi import PARAMETERS, PARTS, scoring
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.slerp import Slerp
from cir.errors import CirError, LanguageModelFailed
from cir.evaluation import hyperparameters, tables
from cir.evaluation.composed import Kept, Witness, compose_kept, kept_path, read_kept, write_kept
from cir.evaluation.efficiency import Cost, WatchedCaptioner, cost_of, cost_table
from cir.evaluation.papers import paper_tables
from cir.evaluation.results_file import read_sections, write_section
from cir.gallery.gallery import Gallery
from cir.places import ROOT
from cir.ranking.retriever import Retriever, scoring_of
from cir.ranking.scoring import Linear
from cir.ranking.sweep import fit, grid, sweep
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, CirQuery, ComposedQuery
from cir.ui.results.render import NEWER, Results, results_page

CELLS = [(round(0.2 * a, 1), round(0.2 * b, 1)) for a in range(6) for b in range(6 - a)]
QUERIES = (
    CirQuery("q0", "red-square", "make it blue", ("blue-square",), "colour"),
    CirQuery("q1", "green-circle", "make it yellow", ("yellow-circle",), "colour"),
    CirQuery("q2", "blue-circle", "a triangle instead", ("blue-triangle",), "replace"),
)


def picture(image_id: str):
    return draw(*image_id.split("-"))


def composed_toys() -> dict[str, ComposedQuery]:
    rng = np.random.default_rng(4)
    clip = toy_gallery().image_features
    return {
        q.query_id: ComposedQuery(
            {part: unit_row(rng.normal(size=clip.shape[1])) for part in PARTS}, scoring=scoring
        )
        for q in QUERIES
    }


# --- ranks over a grid ------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(grid(PARAMETERS)),
    st.integers(0, 10_000),
    st.sets(st.sampled_from(PARTS), min_size=1),
)
def test_a_rank_on_the_grid_is_the_rank_that_the_retriever_finds(values, seed, there):
    gallery = toy_gallery()
    rng = np.random.default_rng(seed)
    query = ComposedQuery(
        {p: unit_row(rng.normal(size=gallery.image_features.shape[1])) for p in PARTS if p in there},
        scoring=scoring,
    )
    retriever = Retriever(gallery, {})
    found = sweep(retriever, query, ["blue-square"], [scoring_of(query, values)], exclude=["red-square"])
    expected = retriever.rank_of(query, values, "blue-square", exclude=["red-square"])
    assert found.tolist() == [[expected]]


def test_many_images_are_ranked_in_one_pass_for_all_numbers_and_as_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, images = np.random.default_rng(3), 1100
    pixels, captions = rng.normal(size=(2, images, 16)).astype(np.float32)
    captions[::5] = 0.0
    twins = rng.permutation(images)[:200]
    pixels[twins[:100]], captions[twins[:100]] = pixels[twins[100:]], captions[twins[100:]]
    gallery = Gallery.from_features("many", list(map(str, range(images))), pixels, caption_features=captions)
    query = ComposedQuery({p: unit_row(rng.normal(size=16)) for p in PARTS}, scoring=scoring)
    scorings = [scoring_of(query, values) for values in grid(PARAMETERS)[::7]]
    asked, left_out = (
        [str(i) for i in (twins[0], twins[100], 511, 512)],
        [str(i) for i in range(0, images, 9)],
    )
    one_by_one = sweep(Retriever(gallery, {}), query, asked, scorings, exclude=left_out)
    monkeypatch.setattr("cir.ranking.engines.counting.MANY", 1)
    np.testing.assert_array_equal(
        sweep(Retriever(gallery, {}), query, asked, scorings, exclude=left_out), one_by_one
    )


def test_a_method_without_weights_has_one_rank_on_the_whole_grid():
    gallery, (query, *_) = toy_gallery(), composed_toys().values()
    plain = ComposedQuery({FINE_GRAINED: query.parts[FINE_GRAINED]})
    scorings = [scoring_of(plain, values) for values in grid(PARAMETERS)]
    retriever = Retriever(gallery, {})
    found = sweep(retriever, plain, ["blue-square"], scorings)
    assert set(found.ravel()) == {retriever.rank_of(plain, {}, "blue-square")}


def test_the_grid_of_cvsi_has_66_times_11_places_and_none_whose_shares_pass_one():
    tried = grid(PARAMETERS)
    assert len(tried) == 726
    assert len({(values["alpha"], values["beta"]) for values in tried}) == 66
    assert max(values["alpha"] + values["beta"] for values in tried) == pytest.approx(1.0)
    assert {values["gamma"] for values in tried} == {round(0.1 * i, 1) for i in range(11)}
    assert [values["t"] for values in grid(Slerp.parameters)] == [round(0.1 * i, 1) for i in range(11)]


def test_weights_of_missing_parts_go_to_those_that_are_there():
    row = unit_row(np.ones(3))
    query = ComposedQuery({FINE_GRAINED: row, REFERENCE_IMAGE: row}, scoring=scoring)
    for alpha, beta, wanted in [(0.6, 0.1, (0.25, 0.75)), (1.0, 0.0, (0.5, 0.5))]:
        found = scoring_of(query, cvsi_weights(alpha, beta, 0.3))
        assert tuple(found.weights.values()) == pytest.approx(wanted)
        assert found.captions == 0.3


def test_the_fit_takes_the_nearest_of_the_best_and_keeps_what_cannot_be_bettered():
    tried = grid(PARAMETERS)
    ranks = np.full((1, len(tried)), 9)
    ranks[0, tried.index(cvsi_weights(0.3, 0.6, 0.2))] = 1
    ranks[0, tried.index(cvsi_weights(1.0, 0.0, 1.0))] = 1
    found = fit(ranks, [5], cvsi_weights(0.4, 0.6, 0.3), tried)
    assert found.values == cvsi_weights(0.3, 0.6, 0.2)
    assert (found.ranks, found.before) == ((1,), (5,))
    kept = fit(ranks, [1], cvsi_weights(0.4, 0.6, 0.3), tried)
    assert kept.values == cvsi_weights(0.4, 0.6, 0.3)
    assert kept.ranks == (1,)


# --- rows -------------------------------------------------------------------------------------------------


def test_ranks_of_a_method_are_those_of_the_retriever_with_the_reference_left_out():
    gallery, composed = toy_gallery(), composed_toys()
    weights = cvsi_weights(0.5, 0.3, 0.4)
    found = tables.method_ranks(gallery, QUERIES, composed, weights)
    retriever = Retriever(gallery, {})
    assert found == {
        q.query_id: (
            retriever.rank_of(composed[q.query_id], weights, q.target_ids[0], exclude=[q.reference_id]),
        )
        for q in QUERIES
    }


def test_recalls_their_mean_and_the_interval_are_those_of_the_ranks():
    found = tables.measured({"a": (1,), "b": (1,), "c": (4,), "d": (60,)})
    assert found.values == {"R@1": 50.0, "R@5": 75.0, "R@10": 75.0, "R@50": 75.0, "mean": 68.75}
    assert 0.0 <= found.low <= 50.0 <= found.high <= 100.0
    assert found.low < found.high
    sure = tables.measured({"a": (1,), "b": (1,)})
    assert (sure.low, sure.high) == (100.0, 100.0)


def test_a_table_says_its_queries_and_a_row_without_any_stays_empty():
    lines = tables.measure_table({"CVSI": {"a": (1,), "b": (7,)}, "LDRE": {}}, first="method").splitlines()
    assert lines[0] == "| method | R@1 | R@5 | R@10 | R@50 | mean | queries |"
    assert lines[2].startswith("| CVSI | 50.0 [")
    assert lines[2].endswith("| 50.0 | 100.0 | 100.0 | 75.0 | 2 |")
    assert lines[3] == "| LDRE | | | | | | 0 |"


def test_rows_are_sorted_by_what_they_find_and_shared_queries_are_those_of_all():
    rows = {"A": {"a": (3,), "b": (9,)}, "B": {"a": (1,), "c": (2,)}, "C": {}}
    assert list(tables.best_first(rows)) == ["B", "A", "C"]
    few = {"F": {"a": (1,)}, "A": {"a": (3,), "b": (9,), "c": (2,)}}
    assert list(tables.best_first(few)) == ["A", "F"]
    assert tables.shared(rows) == {"A": {"a": (3,)}, "B": {"a": (1,)}, "C": {}}


def test_kinds_are_counted_and_measured_apart():
    table = tables.kinds_table({"CVSI": {"q0": (1,), "q1": (2,), "q2": (1,)}}, tables.kinds_of(QUERIES))
    assert table.splitlines()[0] == "| method | colour (2) | replace (1) |"
    assert table.splitlines()[2] == "| CVSI | 50 | 100 |"


def test_the_ablation_has_the_papers_seven_rows_and_excludes_what_they_say():
    rows = tables.ablation_rows(cvsi_weights(0.4, 0.5, 0.6))
    assert len(rows) == 8
    assert list(rows)[-1] == "CVSI"
    assert rows["w/o visual information extraction"] == Linear({MODIFIED_CAPTIONS: 1.0}, 1.0)
    semantic = rows["w/o semantic information extraction"]
    assert semantic.captions == 0.0
    assert semantic.weights == pytest.approx({FINE_GRAINED: 5 / 6, REFERENCE_IMAGE: 1 / 6})
    assert rows["w/o target average captions features"].captions == 0.0
    assert rows["w/o target images features"].captions == 1.0


def test_an_ablated_row_is_the_retriever_with_the_weights_that_are_left():
    gallery, composed = toy_gallery(), composed_toys()
    found = tables.ablated(gallery, QUERIES, composed, cvsi_weights(0.4, 0.5, 0.6))
    retriever, q = Retriever(gallery, {}), QUERIES[0]
    left = 0.4 / 0.9
    expected = retriever.rank_of(
        composed["q0"], cvsi_weights(left, 1 - left, 0.6), "blue-square", exclude=[q.reference_id]
    )
    assert found["w/o reference image features"]["q0"] == (expected,)
    assert found["CVSI"]["q0"] == (
        retriever.rank_of(
            composed["q0"], cvsi_weights(0.4, 0.5, 0.6), "blue-square", exclude=[q.reference_id]
        ),
    )


def test_the_surface_is_the_recall_at_every_place_of_the_grid():
    gallery, composed = toy_gallery(), composed_toys()
    found = hyperparameters.surface(gallery, QUERIES, composed)
    g, w = found.at(cvsi_weights(0.3, 0.5, 0.2))
    ranks = tables.method_ranks(gallery, QUERIES, composed, cvsi_weights(0.3, 0.5, 0.2))
    assert found.first[g, w] == pytest.approx(100 * np.mean([r == 1 for (r,) in ranks.values()]))
    assert found.second[g, w] == pytest.approx(100 * np.mean([r <= 5 for (r,) in ranks.values()]))
    best = found.at(found.best)
    assert found.first[best] + found.second[best] / 2 == pytest.approx((found.first + found.second / 2).max())


def test_fewer_captions_of_gallery_images_are_the_mean_of_the_first():
    gallery = toy_gallery(captions=False)
    rng = np.random.default_rng(0)
    rows = [
        rng.normal(size=(3, gallery.image_features.shape[1])).astype(np.float32) for _ in gallery.image_ids
    ]
    two = hyperparameters.with_captions(gallery, rows, 2)
    np.testing.assert_allclose(two.caption_features[4], rows[4][:2].mean(axis=0), rtol=1e-6)
    assert not hyperparameters.with_captions(gallery, rows, 0).captioned.any()


# --- kept queries -----------------------------------------------------------------------------------------


def test_composed_queries_come_back_as_they_were_and_no_model_is_asked_twice(tmp_path: Path):
    path = kept_path(tmp_path, "toy", "CVSI", {"clip": "toy@1"})
    composer = toy_cvsi(ToyLanguageModel(), ToyCaptioner())
    first = compose_kept(path, QUERIES, picture, composer, print)
    calls = composer.image_encoder.calls
    again = compose_kept(path, QUERIES, picture, composer, print)
    assert composer.image_encoder.calls == calls
    assert set(again.queries) == {"q0", "q1", "q2"}
    for part in PARTS:
        np.testing.assert_array_equal(again.queries["q0"].parts[part], first.queries["q0"].parts[part])
    assert again.queries["q0"].scoring is first.queries["q0"].scoring is scoring


def test_a_part_that_was_missing_stays_missing(tmp_path: Path):
    row = np.ones(3, np.float32)
    kept = Kept(
        {
            "a": ComposedQuery({FINE_GRAINED: row}, numbers={"length": 3.5}),
            "b": ComposedQuery({MODIFIED_CAPTIONS: row}),
        }
    )
    write_kept(tmp_path / "k.npz", kept)
    found = read_kept(tmp_path / "k.npz", toy_cvsi(None, None)).queries
    assert set(found["a"].parts) == {FINE_GRAINED}
    assert set(found["b"].parts) == {MODIFIED_CAPTIONS}
    assert (found["a"].numbers, found["b"].numbers) == ({"length": 3.5}, {})


def test_a_query_without_an_answer_is_not_whole_and_is_tried_again_when_there_are_more(tmp_path: Path):
    path = tmp_path / "k.npz"
    silent = Witness(ToyLanguageModel([LanguageModelFailed("No answer.")]))
    composer = toy_cvsi(silent, ToyCaptioner())  # type: ignore[arg-type]
    kept = compose_kept(path, QUERIES[:1], picture, composer, print, witness=silent, answers={"a": "x"})
    assert (kept.whole, kept.unanswered) == ({}, {"q0"})
    asked = len(silent.model.prompts)  # type: ignore[attr-defined]
    compose_kept(path, QUERIES[:1], picture, composer, print, witness=silent, answers={"a": "x"})
    assert len(silent.model.prompts) == asked  # type: ignore[attr-defined]
    kept = compose_kept(
        path, QUERIES[:1], picture, composer, print, witness=silent, answers={"a": "x", "b": "y"}
    )
    assert set(kept.whole) == {"q0"}


def test_what_was_composed_before_a_failure_is_kept(tmp_path: Path):
    path = tmp_path / "k.npz"

    def broken(image_id: str):
        if image_id == "blue-circle":
            raise CirError("There is no such scene.")
        return picture(image_id)

    with pytest.raises(CirError):
        compose_kept(path, QUERIES, broken, toy_cvsi(ToyLanguageModel(), ToyCaptioner()), print)
    assert set(read_kept(path, toy_cvsi(None, None)).queries) == {"q0", "q1"}


def test_a_damaged_file_of_kept_queries_is_refused_with_a_way_out(tmp_path: Path):
    path = tmp_path / "k.npz"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(CirError, match="Delete it"):
        read_kept(path, toy_cvsi(None, None))


def test_other_models_keep_another_file(tmp_path: Path):
    first = kept_path(tmp_path, "world", "CVSI (Φ)", {"clip": "a"})
    assert first != kept_path(tmp_path, "world", "CVSI (Φ)", {"clip": "b"})
    assert first.name.startswith("composed-world-cvsi")


# --- cost -------------------------------------------------------------------------------------------------


def test_the_cost_counts_calls_and_leaves_the_first_query_out():
    captioner, model = WatchedCaptioner(ToyCaptioner()), Witness(ToyLanguageModel())
    retriever = Retriever(toy_gallery(), {"CVSI": toy_cvsi(model, captioner, captions=1)})  # type: ignore[arg-type]
    cost = cost_of(retriever, "CVSI", QUERIES, picture, captioner, model)
    assert cost.queries == 2
    assert cost.calls == model.calls / 3
    assert cost.thinking > 0
    assert cost.whole == pytest.approx(cost.thinking + cost.encoding + cost.ranking)


def test_the_cost_table_gives_ratios_to_cvsi_and_training_where_there_was_any():
    costs = {"CVSI": Cost(4.0, 0.9, 0.1, 2, 20), "LinCIR": Cost(0.0, 0.4, 0.1, 0, 20)}
    lines = cost_table(costs, {"LinCIR": 420.0}, {"CVSI": (84.0, 95.0)}).splitlines()
    assert lines[2] == "| CVSI | — | 4.00 s | 2.0 | 900 ms | 100.0 ms | 5.00 s | 1.000 | 84.0 | 95.0 |"
    assert lines[3] == "| LinCIR | 7.0 min | — | 0.0 | 400 ms | 100.0 ms | 0.50 s | 0.100 |  |  |"


# --- the file ---------------------------------------------------------------------------------------------


def test_a_section_is_rewritten_in_its_place_and_nothing_else_changes(tmp_path: Path):
    path = tmp_path / "results.md"
    write_section(path, "methods", "## Methods\n\nold", {"seed": 0})
    write_section(path, "ablation", "## Ablation\n\nstays", {"seed": 1})
    by_hand = path.read_text().replace("# Results", "# Our results\n\nWritten by hand.")
    path.write_text(by_hand)
    write_section(path, "methods", "## Methods\n\nnew", {"seed": 2})
    text = path.read_text()
    assert "old" not in text
    assert "Written by hand." in text
    first, second = read_sections(path)
    assert (first.name, first.title, first.markdown) == ("methods", "Methods", "## Methods\n\nnew")
    assert (first.manifest, second.manifest) == ({"seed": 2}, {"seed": 1})
    assert second.markdown == "## Ablation\n\nstays"


def test_a_name_that_cannot_stand_in_a_marker_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="not a section"):
        write_section(tmp_path / "r.md", "Two words", "text", {})
    with pytest.raises(ValueError, match="not a section"):
        write_section(tmp_path / "r.md", "one", "<!-- end: one -->", {})
    assert not (tmp_path / "r.md").exists()


def test_a_file_that_is_not_there_has_no_sections_and_a_damaged_manifest_is_named(tmp_path: Path):
    assert read_sections(tmp_path / "none.md") == []
    path = tmp_path / "r.md"
    write_section(path, "one", "## One", {"seed": 0})
    path.write_text(path.read_text().replace('"seed": 0', '"seed": '))
    with pytest.raises(CirError, match="one"):
        read_sections(path)


# --- figures ----------------------------------------------------------------------------------------------


def test_a_heat_map_is_well_formed_names_every_cell_and_escapes_what_it_is_told():
    cells = {p: Cell("3", 0.5, f"α {p[0]} <b>&", "best" if p == (0.4, 0.6) else "") for p in CELLS}
    root = ElementTree.fromstring(heat_map(cells, spoken='a "map" & more', alone=True))
    space = "{http://www.w3.org/2000/svg}"
    titles = [t.text for t in root.iter(f"{space}title")]
    assert len(titles) == 21
    assert "α 0.2 <b>&" in titles
    assert root.attrib["aria-label"] == 'a "map" & more'
    assert sum("stroke-width" in r.attrib for r in root.iter(f"{space}rect")) == 1


def test_lines_stay_inside_their_axes():
    svg = line_chart(
        {"R@1": [(0, 12.0), (0.5, 84.6), (1, 40.0)]}, x_label="γ", y_label="%", spoken="s", alone=True
    )
    root = ElementTree.fromstring(svg)
    heights = [float(c.attrib["cy"]) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert min(heights) >= 34
    assert max(heights) <= 244
    assert heights[1] < heights[2] < heights[0]
    assert "84.6" in svg


def test_points_on_axes_of_powers_of_ten_stand_by_their_logarithms():
    points = [(100, 1.0), (1000, 10.0), (10_000, 1000.0)]
    svg = decades_chart({"exact": points}, x_label="K", y_label="ms", spoken="s", alone=True)
    circles = list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}circle"))
    x, y = ([float(circle.attrib[key]) for circle in circles] for key in ("cx", "cy"))
    assert x[2] - x[1] == pytest.approx(x[1] - x[0], abs=0.2)
    assert y[1] - y[2] == pytest.approx(2 * (y[0] - y[1]), abs=0.3)
    assert ">10,000<" in svg


# --- the papers' own numbers ------------------------------------------------------------------------------


def test_the_papers_numbers_stand_as_printed_with_their_source():
    printed = {table.name: table for table in paper_tables()}
    circo = printed["CVSI, Table I"]
    row = next(r for r in circo.rows if r[:2] == ["ViT-L/14", "CVSI (Ours)"])
    assert row[2:] == [
        "26.89",
        "28.24",
        "30.79",
        "31.89",
        "33.81",
        "63.64",
        "75.04",
        "65.81",
        "82.92",
        "92.17",
    ]
    assert [r[-1] for r in printed["HyCIR, Table 4"].rows] == [
        "70.73", "71.34", "71.83", "72.14", "71.96", "71.83", "71.76", "71.83"
    ]  # fmt: skip
    for table in printed.values():
        assert {len(r) for r in table.rows} == {len(table.columns)}
        assert table.source
    assert {table.name.split(",")[0] for table in printed.values() if not table.newer} == {"CVSI", "HyCIR"}


def test_newer_papers_figures_are_told_apart_and_each_row_names_its_paper():
    newer = [table for table in paper_tables() if table.newer]
    assert newer
    for table in newer:
        assert table.columns[-1] == "source"
        assert all(re.search(r"arXiv \d{4}\.\d{5}$", row[-1]) for row in table.rows)
    page = results_page(Results(read_sections(ROOT / "docs/results.md"), paper_tables()))
    fold = page.split(f"<summary>{NEWER}</summary>")
    assert len(fold) == 2  # beside the methods, once
    shown = fold[1].split("</details>")[0]
    assert "WISER" in shown
    assert "CVSI (Ours)" not in shown
    own = page.split("<summary>As printed in CVSI, Table I")[1].split("</details>")[0]
    assert "WISER" not in own


def test_a_manifest_of_a_section_is_json_that_a_program_can_read(tmp_path: Path):
    path = tmp_path / "r.md"
    write_section(path, "one", "## One", {"models": {"clip": "clip@1"}, "date": "2026-11-21"})
    fenced = path.read_text().split("```json\n")[1].split("\n```")[0]
    assert json.loads(fenced) == {"models": {"clip": "clip@1"}, "date": "2026-11-21"}


def test_settled_weights_are_the_middle_of_a_broad_top_not_a_lucky_peak():
    r1 = np.full((len(hyperparameters.GAMMAS), len(hyperparameters.POINTS)), 50.0)
    plateau = [i for i, (a, b) in enumerate(hyperparameters.POINTS) if abs(a - 0.4) + abs(b - 0.3) < 0.25]
    r1[2:5, plateau] = 80.0
    lucky = hyperparameters.POINTS.index((0.9, 0.0))
    r1[9, lucky] = 99.0
    found = hyperparameters.Surface(r1, r1, 100)
    assert (found.best["alpha"], found.best["gamma"]) == (0.9, hyperparameters.GAMMAS[9])
    settled = found.settled
    assert (settled["alpha"], settled["beta"]) == pytest.approx((0.4, 0.3))
    assert settled["gamma"] == pytest.approx(hyperparameters.GAMMAS[3])


def test_what_one_modality_solves_is_told_and_methods_are_measured_on_the_rest():
    rows = {
        "CVSI": {"a": (1,), "b": (1,), "c": (1,), "d": (3,)},
        "Image-only": {"a": (1,), "b": (9,), "c": (9,), "d": (2,)},
        "Text-only": {"a": (1,), "b": (1,), "c": (7,), "d": (2,)},
    }
    said, _, *table = tables.shortcuts_table(rows).splitlines()
    assert "Of 4 queries" in said
    assert "25.0 %, the text alone in 50.0 %, one or the other in 50.0 %" in said
    assert table[2].startswith("| CVSI | 75.0 | 100.0 | 50.0 [")
    assert table[2].endswith("| 2 |")
    assert len(table) == 3  # the two that make the shortcuts have nothing left
    assert tables.shortcuts_table({"CVSI": rows["CVSI"]}) == ""


def test_near_misses_in_the_first_place_are_counted_by_what_is_wrong():
    lines = tables.near_misses_table(
        {"CVSI": {"a": "", "b": "count", "c": "", "d": "size"}, "Sum": {"a": "size", "b": "size"}}
    ).splitlines()
    assert lines[0] == "| method | a near miss is first | count | size | queries |"
    assert lines[2:] == ["| CVSI | 50.0 | 25.0 | 25.0 | 4 |", "| Sum | 100.0 | 0.0 | 100.0 | 2 |"]


def test_the_first_place_is_the_retriever_s_without_the_reference():
    gallery, composed = toy_gallery(), composed_toys()
    values = cvsi_weights(0.4, 0.5, 0.6)
    found = tables.first_places(gallery, QUERIES, composed, values)
    retriever = Retriever(gallery, {})
    for query in QUERIES:
        best = retriever.rank(composed[query.query_id], values, top_k=1, exclude=[query.reference_id])
        assert found[query.query_id] == best[0].image_id


def test_each_line_of_what_ranking_costs_says_by_which_clock_it_is():
    exact = {"images": 1000, "clock": "cpu", "exact": 1.0, "published_ms": 4.0, "new_query_ms": 2.0, "slider_ms": 1.0,
             "published / new_query": {"ratio": 2.0, "interval": [1.0, 3.0]},
             "published / slider": {"ratio": 4.0, "interval": [3.0, 5.0]}}  # fmt: skip
    index = {"images": 1000, "engine": "faiss", "recall_at_10": 0.9, "exact_ms": 3.0, "index_ms": 1.0,
             "exact / index": {"ratio": 3.0, "interval": [2.0, 4.0]}}  # fmt: skip
    head, _, new, moved, indexed = table_of([exact, index]).splitlines()
    assert head.split(" | ")[2] == "clock"
    assert [line.split(" | ")[2] for line in (new, moved, indexed)] == [
        "processor's",
        "processor's",
        "wall's",
    ]
