"""The tables on CIRR, CIRCO, FashionIQ and files of queries: their numbers are those of `evaluate`, and no model is asked twice."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest

from cir.composers.composer import unit_row
from cir.composers.cvsi import PARTS, Cvsi
from cir.composers.cvsi import scoring as cvsi_scoring
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.cvsi_removal import CvsiRemoval
from cir.composers.ingredients import Ingredients
from cir.errors import LanguageModelFailed
from cir.evaluation import hyperparameters, tables
from cir.evaluation.composed import compose_kept
from cir.evaluation.datasets import circo, cirr, fashioniq, queries_file
from cir.evaluation.datasets.dataset import Dataset, DatasetQuery
from cir.evaluation.datasets.registry import DATASETS
from cir.evaluation.rank_measures import measure_of, share
from cir.evaluation.results_file import Section, read_sections
from cir.evaluation.run import index_dataset, rank_subset
from cir.gallery.gallery import Gallery
from cir.measuring import bench
from cir.models.server.model import connect
from cir.places import DOCS
from cir.ranking.retriever import Retriever
from cir.ranking.scoring import GalleryTerms, Linear, QueryTerms
from cir.ranking.sweep import ranks
from cir.types import CirQuery, ComposedQuery
from tests.commands import run
from tests.dataset_doubles import CountingModel, ToyModels, lay_out, toy_methods, use
from tests.fakes import ToyCaptioner, ToyLanguageModel, draw, toy_cvsi
from tests.llm_server import Asked, llm_server, toy

WEIGHTS = cvsi_weights(0.5, 0.3, 0.4)
IMAGES = [f"i{n}" for n in range(120)]


# --- numbers ---


def random_dataset(benchmark: str, seed: int = 0) -> tuple[Dataset, Gallery, dict[str, ComposedQuery]]:
    """40 queries over 120 images, their rows drawn near those of their targets."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(len(IMAGES), 16)).astype(np.float32)
    captions = rng.normal(size=raw.shape).astype(np.float32)
    captions[::7] = 0.0  # images without captions
    gallery = Gallery.from_features("random", IMAGES, raw, caption_features=captions)
    queries, composed = [], {}
    for n in range(40):
        count = int(rng.integers(1, 15)) if benchmark in ("circo", "jsonl") else 1
        reference, *targets = rng.choice(IMAGES, count + 1, replace=False).tolist()
        if benchmark == "jsonl" and n == 3:
            targets.insert(0, reference)
        members: tuple[str, ...] = ()
        if benchmark == "cirr":
            others = [i for i in IMAGES if i not in (reference, *targets)]
            members = tuple(rng.permutation([reference, *targets, *rng.choice(others, 4, replace=False)]))
        query = CirQuery(str(n), reference, "an edit", tuple(targets), f"kind {n % 2}")
        queries.append(DatasetQuery(query, ("an edit",), members))
        near = gallery.image_features[gallery.find(targets[0])]
        composed[str(n)] = ComposedQuery(
            {p: unit_row(near + rng.normal(0, 0.6, 16)) for p in PARTS}, scoring=cvsi_scoring
        )
    name = {"cirr": "CIRR", "circo": "CIRCO", "fashioniq": "FashionIQ dress", "jsonl": "own"}[benchmark]
    left_out = benchmark in ("cirr", "jsonl")
    images = {i: i for i in IMAGES}
    return (
        Dataset(name, "val", tuple(queries), images, IMAGES, Path(), left_out, "", DATASETS[benchmark]),
        gallery,
        composed,
    )


def scored(benchmark: str, dataset: Dataset, gallery: Gallery, composed: dict[str, ComposedQuery]):
    """The report and the values of single queries that `evaluate` would make of the same composed queries."""
    retriever, whole, subsets = Retriever(gallery, {}), {}, {}
    for query in dataset.queries:
        reference = query.query.reference_id
        exclude = (reference,) if dataset.leaves_out_reference else ()
        found = retriever.rank(composed[query.query_id], WEIGHTS, top_k=50, exclude=exclude)
        whole[query.query_id] = [one.image_id for one in found]
        others = [m for m in query.members if m != reference]
        subsets[query.query_id] = rank_subset(retriever, composed[query.query_id], WEIGHTS, others)
    queries = dataset.queries
    report = dataset.card.score(dataset, queries, whole, subsets)
    if benchmark == "cirr":
        return report | {"mean": report["Avg_HyCIR"]}, cirr.values_of(queries, whole, subsets)
    if benchmark == "circo":
        return report, circo.values_of(queries, whole)
    if benchmark == "fashioniq":
        return report | {"mean": report["Avg"]}, fashioniq.values_of(queries, whole)
    return report | {"mean": np.mean([report[f"R@{k}"] for k in queries_file.KS])}, {}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("benchmark", ["cirr", "circo", "fashioniq", "jsonl"])
def test_a_table_has_the_numbers_of_the_official_scoring(benchmark: str, seed: int) -> None:
    dataset, gallery, composed = random_dataset(benchmark, seed)
    measure = measure_of(dataset)
    queries = [q.query for q in dataset.queries]
    ranked = tables.method_ranks(gallery, queries, composed, WEIGHTS, measure)
    report, values = scored(benchmark, dataset, gallery, composed)
    for column, single in values.items():
        if column in measure.columns:
            assert [100.0 * share(np.array(ranked[q.query_id]), column) for q in queries] == single.tolist()
    measured = tables.measured(ranked, measure, seed=0)
    assert measured.values == pytest.approx({c: report[c] for c in measure.columns}, rel=1e-12)
    assert [measured.low, measured.high] == pytest.approx(report["intervals"][measure.first])
    assert 0.0 < measured.values[measure.first] < 100.0
    if benchmark == "jsonl":
        cells = tables.kinds_table({"m": ranked}, tables.kinds_of(queries), measure).splitlines()[2]
        by_kind = report["by_kind"]
        assert cells == f"| m | {by_kind['kind 0']['R@1']:.0f} | {by_kind['kind 1']['R@1']:.0f} |"


@pytest.mark.parametrize("benchmark", ["cirr", "circo", "fashioniq"])
def test_the_surface_and_the_ablation_at_given_weights_are_the_row_of_the_table(benchmark: str) -> None:
    dataset, gallery, composed = random_dataset(benchmark)
    measure, queries = measure_of(dataset), [q.query for q in dataset.queries]
    ranked = tables.method_ranks(gallery, queries, composed, WEIGHTS, measure)
    row = measure.means(ranked.values())
    found = hyperparameters.surface(gallery, queries, composed, measure)
    place = found.at(WEIGHTS)
    assert found.columns == (measure.first, measure.second)
    assert (found.first[place], found.second[place]) == pytest.approx(
        (row[measure.first], row[measure.second])
    )
    ablated = tables.ablated(gallery, queries, composed, WEIGHTS, measure)
    no_captions = cvsi_weights(WEIGHTS["alpha"], WEIGHTS["beta"], 0.0)
    assert ablated["CVSI"] == ranked
    assert ablated["w/o target average captions features"] != ranked
    assert ablated["w/o target average captions features"] == tables.method_ranks(
        gallery, queries, composed, no_captions, measure
    )


def test_of_equal_scores_the_earlier_row_comes_first() -> None:
    ones = np.ones(3)
    same = np.array([[0.5], [0.7], [0.7]])
    terms = QueryTerms(("a",), same, same, np.ones((1, 1)))
    norms = GalleryTerms(ones, ones, ones, np.zeros(3, bool))
    assert ranks(terms, norms, [1, 2, 0], [Linear({"a": 1.0})])[:, 0].tolist() == [1, 2, 3]


def test_of_several_texts_the_mean_of_the_features_is_kept(tmp_path: Path) -> None:
    composer = toy_cvsi(ToyLanguageModel(), ToyCaptioner())
    queries = [CirQuery("q", "red-square", "is blue", ("blue-square",))]

    def kept(name: str, *texts: str):
        path = tmp_path / f"{name}.npz"
        made = compose_kept(
            path, queries, lambda _: draw("red", "square"), composer, print, texts=lambda _: texts
        )
        return made.queries["q"].parts

    first, second, both = kept("a", "is blue"), kept("b", "is yellow"), kept("c", "is blue", "is yellow")
    for part in PARTS:
        np.testing.assert_allclose(both[part], unit_row((first[part] + second[part]) / 2), rtol=1e-6)
    assert not np.allclose(first[PARTS[0]], second[PARTS[0]])


# --- whole commands on the toys ---


def sections(capsys, tmp_path: Path, table: str, dataset: str, *arguments: object) -> dict[str, Section]:
    """The sections of the results file after a run that has to succeed."""
    results = tmp_path / "results.md"
    command = ("tables", table, "--dataset", dataset, "--results", results, *arguments)
    status, _, err = run(capsys, *command)
    assert status == 0, err
    return {section.name: section for section in read_sections(results)}


def table_row(section: Section, name: str) -> dict[str, str]:
    """Column -> cell of one row of the section's first table."""
    lines = [line for line in section.markdown.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    row = next(row for row in cells if row[0] == name)
    return dict(zip(cells[0], row, strict=True))


def test_every_table_is_made_on_cirr_and_says_dataset_split_and_protocol(capsys, tmp_path, toys) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    found = sections(capsys, tmp_path, "all", "cirr", "--root", root)
    names = ("methods", "ablation", "language-models", "efficiency", "hyperparameters")
    assert list(found) == [f"{name}-cirr-val" for name in names]
    for section in found.values():
        assert section.title.endswith("on CIRR val")
        assert "5 queries over 12 images. The reference is left out of every ranking." in section.markdown
        assert section.manifest["split"] == "val"
        assert section.manifest["gallery"] == 12
    row = table_row(found["methods-cirr-val"], "CVSI")
    assert list(row)[1:] == [
        "R@1", "R@5", "R@10", "R@50", "mean", "R_subset@1", "R_subset@2", "R_subset@3", "queries"
    ]  # fmt: skip
    assert (row["R@1"].split()[0], row["R_subset@1"], row["queries"]) == ("80.0", "80.0", "5")
    told = found["methods-cirr-val"].markdown
    assert "another image of the query's own set, that of R_subset" in told
    assert "| CVSI | 20.0 | 20.0 | 5 |" in told.split("### Hard negatives in the first place")[1]
    ablation = found["ablation-cirr-val"]
    assert ablation.manifest["weights"] == {"alpha": 0.6, "beta": 0.4, "gamma": 0.2}
    assert sum(line.startswith("| w/o") for line in ablation.markdown.splitlines()) == 7
    assert list(table_row(ablation, "CVSI").values()) == list(row.values())
    assert table_row(found["language-models-cirr-val"], "toy-llm")["R@1"] == row["R@1"]
    cost = table_row(found["efficiency-cirr-val"], "CVSI")
    assert (cost["calls of it"], cost["R@1"], cost["of CVSI's"]) == ("2.0", "80.0", "1.000")
    assert cost["training"] == "1.5 min"
    assert table_row(found["efficiency-cirr-val"], "Sum")["training"] == "—"
    assert toys.closed


def test_what_cvsi_removal_brings_stands_below_cvsi_s_ablation_also_for_edits_of_several_orders(
    capsys, tmp_path, toys, monkeypatch
) -> None:
    def methods(given: Ingredients) -> dict[str, object]:
        made = toy_methods(given)
        return {**made, "CVSI+removal": CvsiRemoval(cast(Cvsi, made["CVSI"]))}

    monkeypatch.setattr(bench, "build_methods", methods)
    root = lay_out("cirr", tmp_path / "CIRR")
    texts = root / "cirr" / "captions" / "cap.rc2.val.json"
    edits = texts.read_text(encoding="utf-8").replace("show a red one", "make it taller and show a red one")
    texts.write_text(edits, encoding="utf-8")
    assert "What CVSI+removal brings" not in (
        sections(capsys, tmp_path, "ablation", "cirr", "--root", root)["ablation-cirr-val"].markdown
    )
    row = table_row(sections(capsys, tmp_path, "methods", "cirr", "--root", root)["methods-cirr-val"], "CVSI+removal")  # fmt: skip
    told = sections(capsys, tmp_path, "ablation", "cirr", "--root", root)["ablation-cirr-val"].markdown
    ours, several = told.split("### What CVSI+removal brings")[1].split("the edits of several orders:")
    assert f"| + objects removed: CVSI+removal | {' | '.join(list(row.values())[1:])} |" in ours
    assert [line.split("|")[1].strip() for line in ours.splitlines() if line.endswith("| 5 |")] == [
        "CVSI", "+ its orders one by one", "+ objects removed: CVSI+removal"
    ]  # fmt: skip
    assert sum(line.endswith("| 1 |") for line in several.splitlines()) == 3


def test_a_dataset_has_no_paraphrases(capsys, tmp_path, toys) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    status, _, err = run(capsys, "tables", "paraphrases", "--dataset", "cirr", "--root", root)
    assert status != 0
    assert "have no paraphrases" in err


def test_the_figures_bear_the_datasets_name_and_the_weights_in_use_have_the_tables_number(
    capsys, tmp_path, toys
) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    found = sections(capsys, tmp_path, "hyperparameters", "cirr", "--root", root, "--gallery-captions", 2)
    said = found["hyperparameters-cirr-val"].markdown
    row = table_row(sections(capsys, tmp_path, "methods", "cirr", "--root", root, "--gallery-captions", 2)["methods-cirr-val"], "CVSI")  # fmt: skip
    assert (
        f"the paper's for this benchmark, are α 0.6, β 0.4, γ 0.2 with R@1 {row['R@1'].split()[0]}." in said
    )
    named = re.findall(r"\((figures/[\w-]+\.svg)\)", said)
    assert named == [f"figures/{name}-cirr-val.svg" for name in ("simplex", "gamma", "captions")]
    captions = ElementTree.fromstring((tmp_path / named[2]).read_text(encoding="utf-8"))
    assert [part.split(":")[0] for part in captions.attrib["aria-label"].split("image: ")[1].split(", ")] == [
        "0", "1", "2"
    ]  # fmt: skip


def test_a_second_run_asks_no_model_and_the_books_are_those_of_evaluate(
    capsys, tmp_path, toys, monkeypatch
) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    arguments = ("--captions", 1, "--gallery-captions", 3)
    status, out, err = run(capsys, "evaluate", "cirr", "--root", root, "--json", *arguments)
    assert status == 0, err
    asked, captioned = len(toys.language_model.prompts), toys.captioner.calls
    assert asked > 0
    first = sections(capsys, tmp_path, "methods", "cirr", "--root", root)
    assert (len(toys.language_model.prompts), toys.captioner.calls) == (asked, captioned)
    report, row = json.loads(out), table_row(first["methods-cirr-val"], "CVSI")
    for column in ("R@1", "R@5", "R@50", "R_subset@1", "R_subset@2"):  # others meet ties of the toys
        assert row[column].split()[0] == f"{report[column]:.1f}", column
    for table in ("ablation", "hyperparameters", "language-models"):
        sections(capsys, tmp_path, table, "cirr", "--root", root)
    others = use(monkeypatch, ToyModels())
    for table in ("methods", "ablation", "hyperparameters", "language-models"):
        again = sections(capsys, tmp_path, table, "cirr", "--root", root)
    assert again["methods-cirr-val"].markdown == first["methods-cirr-val"].markdown
    assert (others.clip.calls, others.captioner.calls, others.language_model.prompts) == (0, 0, [])


def test_another_text_or_another_image_is_composed_anew(capsys, tmp_path, toys) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    sections(capsys, tmp_path, "methods", "cirr", "--root", root)
    calls = toys.clip.calls
    path = root / "cirr" / "captions" / "cap.rc2.val.json"
    path.write_text(path.read_text(encoding="utf-8").replace("make it blue", "make it green"), "utf-8")
    found = sections(capsys, tmp_path, "methods", "cirr", "--root", root)
    assert toys.clip.calls > calls
    assert table_row(found["methods-cirr-val"], "CVSI")["R@1"].startswith("60.0")


def test_language_models_that_have_answered_are_compared_and_a_silent_one_is_asked_again(
    capsys, tmp_path, toys, monkeypatch
) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    sections(capsys, tmp_path, "methods", "cirr", "--root", root)
    other = CountingModel()
    other.fingerprint = "other-llm@2"
    other.script = [LanguageModelFailed("No answer.")] * 40
    use(monkeypatch, ToyModels(other))
    silent = sections(capsys, tmp_path, "methods", "cirr", "--root", root)["methods-cirr-val"].markdown
    assert "Not measured yet: CVSI." in silent
    status, _, err = run(capsys, "tables", "ablation", "--dataset", "cirr", "--root", root,
                         "--results", tmp_path / "r.md", "--kept-only")  # fmt: skip
    assert status == 2
    assert "--llm" in err
    other.script = []
    section = sections(capsys, tmp_path, "language-models", "cirr", "--root", root)
    compared = section["language-models-cirr-val"]
    for name in ("toy-llm", "other-llm", "none: image word and captions of gallery images alone"):
        assert table_row(compared, name)["queries"] == "5"
    assert "Fewer were answered" not in compared.markdown
    for fingerprint, fewer in (("third-llm@3", ["third-llm"]), ("fourth-llm@4", ["fourth-llm", "third-llm"])):
        halting = CountingModel()
        halting.fingerprint, halting.script = fingerprint, [LanguageModelFailed("No answer.")] * 2
        use(monkeypatch, ToyModels(halting))
        after = sections(capsys, tmp_path, "language-models", "cirr", "--root", root)[
            "language-models-cirr-val"
        ].markdown
        first, said = after.split("Fewer were answered by ")
        names, second = said.split(". On the 3 queries that all rows have:")
        assert sorted(names.split(", ")) == fewer
        assert "| toy-llm |" in first
        assert not any(f"| {name} |" in first for name in fewer)
        shared = [line.split("|")[-2].strip() for line in second.splitlines() if "llm |" in line]
        assert shared == ["3"] * (2 + len(fewer))


def test_a_server_is_a_row_of_the_language_models_and_is_asked_once(capsys, tmp_path, monkeypatch) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    gate = threading.Barrier(2)

    def reply(asked: Asked, row: Any, number: int) -> None:
        if number <= 2:
            gate.wait(timeout=20)  # the first two come together
        toy(asked, row, number)

    with llm_server(reply) as llm:
        for _ in range(2):
            with connect(f"{llm.url}#small") as model:
                use(monkeypatch, ToyModels(model))  # type: ignore[arg-type]
                found = sections(capsys, tmp_path, "language-models", "cirr", "--root", root)
        row = table_row(found["language-models-cirr-val"], f"small-at-{llm.url[7:].replace(':', '-')}")
        assert row["queries"] == "5"
        asked = [json.dumps(question) for question in llm.questions]
        assert asked
        assert len(asked) == len(set(asked))


def test_circo_counts_all_targets_ranks_the_reference_and_has_its_aspects(capsys, tmp_path, toys) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    found = sections(capsys, tmp_path, "methods", "circo", "--root", root)["methods-circo-val"]
    assert list(table_row(found, "CVSI"))[1:-1] == ["mAP@5", "mAP@10", "mAP@25", "mAP@50"]
    # each query's reference is the first, so that no target is
    assert 0.0 < float(table_row(found, "Image-only")["mAP@5"].split()[0]) <= 50.0
    assert "The reference is not left out." in found.markdown
    assert "### mAP@10 by semantic aspect" in found.markdown
    lines = found.markdown.splitlines()
    heads = "compare change (1) | direct addressing (2) | statement with conjunction (1) | viewpoint (1)"
    assert f"| method | {heads} |" in lines
    assert lines[lines.index(f"| method | {heads} |") + 2].endswith("| 100 | 100 |")


def test_fashioniq_has_a_section_for_each_category_and_each_protocol(capsys, tmp_path, toys) -> None:
    root = lay_out("fashioniq", tmp_path / "FashionIQ")
    found = sections(capsys, tmp_path, "methods", "fashioniq", "--root", root)
    assert list(found) == [f"methods-fashioniq-{c}-val" for c in ("dress", "shirt", "toptee")]
    dress = found["methods-fashioniq-dress-val"]
    assert list(table_row(dress, "CVSI"))[1:-1] == ["R@10", "R@50", "mean"]
    assert "python -m cir evaluate fashioniq" in dress.markdown
    both = sections(
        capsys, tmp_path, "methods", "fashioniq", "--root", root, "--category", "dress", "--order", "both",
        "--gallery", "VAL",
    )  # fmt: skip
    section = both["methods-fashioniq-dress-val-both-val-gallery"]
    assert "3 queries over 4 images. Query: the mean of the features of both orders" in section.markdown
    ablation = sections(capsys, tmp_path, "ablation", "fashioniq", "--root", root, "--category", "dress")
    weights = ablation["ablation-fashioniq-dress-val"].manifest["weights"]
    assert weights == {"alpha": 0.2, "beta": 0.6, "gamma": 0.1}


def test_a_file_of_queries_is_measured_on_its_gallery_by_kind(capsys, tmp_path, toys) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    index_dataset(
        circo.open_dataset(root), image_encoder=toys.clip, text_encoder=toys.clip, captioner=toys.captioner,
        captions_per_image=2, cache_root=tmp_path / "cache", say=lambda _: None,
    )  # fmt: skip
    rows = [
        {"query_id": "a", "reference_id": 101, "text": "make it blue", "target_ids": [107], "kind": "colour"},
        {"query_id": "b", "reference_id": 107, "text": "is green", "target_ids": [104], "kind": "colour"},
        {"query_id": "c", "reference_id": 104, "text": "is red", "target_ids": [110, 101], "kind": "odd"},
    ]
    for row in rows:
        place = "COCO2017_unlabeled/unlabeled2017/{:012d}.png"
        row["reference_id"] = place.format(row["reference_id"])
        row["target_ids"] = [place.format(one) for one in row["target_ids"]]
    queries = tmp_path / "my own.jsonl"
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ("--queries", queries, "--gallery", "circo-val")
    found = sections(capsys, tmp_path, "all", "jsonl", *arguments)
    section = found["methods-my-own-circo-val"]
    assert table_row(section, "CVSI")["R@1"].startswith("66.7")
    assert "### R@1 by kind of edit" in section.markdown
    assert "| method | colour (2) | odd (1) |" in section.markdown
    assert section.manifest["captions_of_gallery_images"] == "as indexed"
    assert "the method's own" in found["hyperparameters-my-own-circo-val"].markdown
    figure = (tmp_path / "figures" / "captions-my-own-circo-val.svg").read_text(encoding="utf-8")
    assert "2: " in figure
    assert "3: " not in figure
    kept = sections(capsys, tmp_path, "methods", "jsonl", *arguments, "--keep-reference")
    row = table_row(kept["methods-my-own-circo-val"], "Image-only")
    assert row["R@1"].startswith("0.0")
    assert "The reference is not left out." in kept["methods-my-own-circo-val"].markdown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cirr", "--root", "{root}", "--split", "test1"), "--split val"),
        (("cirr",), "--root FOLDER"),
        (("cirr", "--root", "{root}", "--order", "both"), "--order has no meaning on cirr"),
        (("cirr", "--root", "{root}", "--gallery", "VAL"), "--gallery has no meaning on cirr"),
        (("cirr", "--root", "{root}", "--methods", "no-such"), "no method called 'no-such'"),
        (("world", "--root", "{root}"), "--root has no meaning on world"),
        (("fashioniq", "--root", "{root}", "--gallery", "holiday"), "FashionIQ has no 'holiday'"),
        (("circo", "--root", "{root}", "--split", "test1"), "CIRCO has no split 'test1'"),
        (("jsonl",), "--queries FILE"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_way_out(capsys, tmp_path, toys, arguments, said) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    results = tmp_path / "results.md"
    given = [one.format(root=root) for one in arguments]
    status, out, err = run(capsys, "tables", "methods", "--results", results, "--dataset", *given)
    assert (status, out) == (2, "")
    assert said in err
    assert not results.exists()
    assert toys.language_model.prompts == []


def test_tables_without_a_file_lie_beside_the_evaluations_and_leave_the_documentation_as_it_was(
    capsys, tmp_path, toys
) -> None:
    documented = (DOCS / "results.md").read_bytes()
    root = lay_out("cirr", tmp_path / "CIRR")
    status, _, err = run(capsys, "tables", "methods", "--dataset", "cirr", "--root", root)
    assert status == 0, err
    kept = tmp_path / "cache" / "evaluations" / "results.md"
    assert [section.name for section in read_sections(kept)] == ["methods-cirr-val"]
    assert (DOCS / "results.md").read_bytes() == documented
