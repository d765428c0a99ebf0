"""CIRR, CIRCO, FashionIQ and JSON lines: read, scored, refused, and run from end to end on the toys."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cir.__main__ import main
from cir.commands import evaluating_datasets
from cir.errors import CirError, DatasetError
from cir.evaluation.datasets import circo, cirr, fashioniq, queries_file
from cir.evaluation.datasets.query_fields import FIELDS
from cir.evaluation.kept import CaptionBook, append_line, read_lines
from cir.evaluation.predictions import read_predictions
from cir.evaluation.run import index_dataset, searched_gallery
from cir.types import CirQuery
from tests.commands import run
from tests.dataset_doubles import DATA, SHARED, CountingModel, ToyModels, die, lay_out, toy_methods
from tests.fakes import ToyCaptioner, ToyClip, draw
from tests.gallery_doubles import exit_code, fork

CIRR_VAL = DATA / "cirr" / "cirr" / "captions" / "cap.rc2.val.json"
CIRCO_VAL = DATA / "circo" / "annotations" / "val.json"
DRESS_VAL = DATA / "fashioniq" / "captions" / "cap.dress.val.json"
official = pytest.mark.skipif(not SHARED.is_dir(), reason="the official annotation files are not here")


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


# --- readers ---


def copied(source: Path, folder: Path, encoding: str) -> Path:
    path = folder / source.name
    path.write_text(source.read_text(encoding="utf-8"), encoding=encoding)
    return path


def test_a_byte_order_mark_changes_nothing_of_annotations_and_predictions(capsys, tmp_path: Path) -> None:
    queries = circo.read_queries(CIRCO_VAL)
    answers = {q.query_id: [int(i) for i in q.query.target_ids] for q in queries}
    plain = written(tmp_path / "predictions.json", answers)
    (tmp_path / "marked").mkdir()
    marked = copied(plain, tmp_path / "marked", "utf-8-sig")
    annotations = copied(CIRCO_VAL, tmp_path, "utf-8-sig")
    expected = run(capsys, "evaluate", "circo", "--annotations", CIRCO_VAL, "--predictions", plain)
    assert expected[0] == 0, expected[2]
    assert run(capsys, "evaluate", "circo", "--annotations", annotations, "--predictions", marked) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_annotations_in_another_encoding_are_refused_with_the_way_out(
    capsys, tmp_path: Path, encoding: str
) -> None:
    annotations = copied(CIRCO_VAL, tmp_path, encoding)
    status, _, err = run(
        capsys, "evaluate", "circo", "--annotations", annotations, "--predictions", annotations
    )
    assert status == 2
    assert "val.json is text in UTF-16 or UTF-32" in err
    assert "Save it as UTF-8" in err


@official
def test_cirr_is_read_whole_and_every_query_lies_in_its_split() -> None:
    for split, count, images in (("val", 4181, 2297), ("test1", 4148, 2315)):
        dataset = cirr.open_dataset(SHARED / "cirr", split)
        assert (len(dataset.queries), len(dataset.images)) == (count, images)
        assert all(len(q.members) == 6 and q.query.reference_id in q.members for q in dataset.queries)
        assert dataset.has_targets == (split == "val")
    assert [q.query_id for q in dataset.queries if not q.texts[0].strip()] == ["27098"]  # blank as published
    first = cirr.open_dataset(SHARED / "cirr", "val").queries[0]
    assert (first.query_id, first.query.target_ids) == ("12060", ("dev-1028-1-img1",))
    assert dataset.images["test1-147-1-img1"] == "test1/test1-147-1-img1.png"


@official
def test_cirr_has_37_queries_whose_hard_target_is_no_soft_one() -> None:
    queries = cirr.read_queries(SHARED / "cirr" / "cap.rc2.val.json")
    assert sum(q.query.target_ids[0] not in q.soft_targets for q in queries) == 37


@official
def test_circo_is_read_whole_and_no_reference_is_among_its_targets() -> None:
    queries = circo.read_queries(SHARED / "circo" / "val.json")
    assert [q.query_id for q in queries] == [str(n) for n in range(220)]
    assert max(len(q.query.target_ids) for q in queries) == 14
    assert np.mean([len(q.query.target_ids) for q in queries]) == pytest.approx(4.16, abs=0.01)
    assert all(q.query.reference_id not in q.query.target_ids for q in queries)
    assert {aspect for q in queries for aspect in q.aspects} == set(circo.ASPECTS)
    hidden = circo.read_queries(SHARED / "circo" / "test.json")
    assert len(hidden) == 800
    assert not any(q.query.target_ids for q in hidden)


@official
@pytest.mark.parametrize(
    ("category", "queries", "original", "val"),
    [("dress", 2017, 3817, 2628), ("shirt", 2038, 6346, 3089), ("toptee", 1961, 5373, 2902)],
)
def test_fashioniq_has_two_galleries_and_says_which(category, queries, original, val) -> None:
    whole = fashioniq.open_dataset(SHARED / "fashioniq", category)
    small = fashioniq.open_dataset(SHARED / "fashioniq", category, gallery="VAL")
    assert (len(whole.queries), len(whole.searched), len(small.searched)) == (queries, original, val)
    assert "original split" in whole.protocol
    assert "VAL split" in small.protocol


def test_fashioniq_joins_its_captions_in_the_order_that_is_asked_for() -> None:
    texts = {order: fashioniq.read_queries(DRESS_VAL, order)[1].texts for order in fashioniq.ORDERS}
    assert texts["forward"] == ("more natural and is green",)
    assert texts["reversed"] == ("is green and more natural",)
    assert texts["both"] == texts["forward"] + texts["reversed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target_hard": "dev-nowhere"}, "query 11 .* lacks the reference or the target"),
        ({"caption": 5}, "[Qq]uery 11 .*'caption' is '5'"),
        ({"target_soft": {"dev-blue-square": 7}}, "[Qq]uery 11 .*from -1 to 1"),
        ({"caption": None}, "'caption' is null, not text"),
        ({"img_set": None}, "img_set of query 11 .* is null, not an object"),
        ({"img_set": {"members": 5}}, "'members' is '5', not a list of texts"),
    ],
)
def test_a_damaged_annotation_is_refused_by_the_name_of_its_query(tmp_path, change, said) -> None:
    rows = json.loads(CIRR_VAL.read_text(encoding="utf-8"))
    rows[0] |= change
    with pytest.raises(DatasetError, match=f"(?i){said}"):
        cirr.read_queries(written(tmp_path / "cap.json", rows))


def test_an_annotation_with_the_same_query_twice_is_refused(tmp_path) -> None:
    rows = json.loads(CIRCO_VAL.read_text(encoding="utf-8"))
    with pytest.raises(DatasetError, match="query 2 twice"):
        circo.read_queries(written(tmp_path / "val.json", [*rows, rows[2]]))


def test_a_split_whose_paths_lead_out_of_the_folder_is_refused(tmp_path) -> None:
    for path in ("../../etc/passwd", "/etc/passwd", 3):
        with pytest.raises(DatasetError, match="the path of dev-x"):
            cirr.read_split(written(tmp_path / "split.json", {"dev-x": path}))
    info = {"images": [{"id": 1, "file_name": "../x.jpg"}]}
    with pytest.raises(DatasetError, match=r"\.\./x"):
        circo.read_images(written(tmp_path / "info.json", info), "here")


# --- scoring alone ---


@official
def test_circo_scores_its_own_example_as_its_own_code_does(capsys) -> None:
    folder = SHARED / "circo"
    status, out, _ = run(
        capsys, "evaluate", "circo", "--annotations", folder / "val.json",
        "--predictions", folder / "submission_val.json", "--json",
    )  # fmt: skip
    answer = json.loads(out)
    assert status == 0
    assert [round(answer[f"mAP@{k}"], 2) for k in (5, 10, 25, 50)] == [0.49, 0.52, 0.54, 0.60]
    assert [round(answer[f"Recall@{k}"], 2) for k in (5, 10, 25, 50)] == [0.91, 0.91, 1.36, 3.64]
    semantic = {aspect: round(value, 2) for aspect, value in answer["semantic_mAP@10"].items() if value}
    assert {k: semantic[k] for k in ("addition", "direct_addressing", "comparative_statement", "viewpoint")} == {
        "addition": 0.09, "direct_addressing": 0.92, "comparative_statement": 1.05, "viewpoint": 0.62,
    }  # fmt: skip
    assert "not left out" in answer["protocol"]


def _slow_cirr(rows: list[dict], predictions: dict, k: int, soft: bool, subset: bool) -> float:
    total = 0.0
    for row in rows:
        names = [name for name in predictions[str(row["pairid"])] if name != row["reference"]]
        if subset:
            names = [name for name in names if name in row["img_set"]["members"]]
        if soft:
            best = 0.0
            for name, label in row["target_soft"].items():
                if name in names[:k]:
                    best = max(best, label)
            total += best
        else:
            total += row["target_hard"] in names[:k]
    return 100.0 * total / len(rows)


@official
@pytest.mark.parametrize("labels", ["target_hard", "target_soft"])
def test_cirr_scores_as_a_slow_loop_over_the_official_annotations_does(capsys, tmp_path, labels) -> None:
    annotations = SHARED / "cirr" / "cap.rc2.val.json"
    rows = json.loads(annotations.read_text(encoding="utf-8"))
    names = sorted({name for row in rows for name in row["img_set"]["members"]})
    draws = random.Random(4)
    recall: dict = {"version": "rc2", "metric": "recall"}
    subset: dict = {"version": "rc2", "metric": "recall_subset"}
    for row in rows:
        near = [row["reference"], *row["img_set"]["members"]]
        ranked = list(dict.fromkeys(draws.sample(near, 6) + draws.sample(names, 46)))[:50]
        recall[str(row["pairid"])] = draws.sample(ranked, len(ranked))
        others = [name for name in row["img_set"]["members"] if name != row["reference"]]
        subset[str(row["pairid"])] = draws.sample(others, 3)
    status, out, err = run(
        capsys, "evaluate", "cirr", "--annotations", annotations, "--labels", labels, "--json",
        "--predictions", written(tmp_path / "r.json", recall),
        "--subset-predictions", written(tmp_path / "s.json", subset),
    )  # fmt: skip
    assert status == 0, err
    answer, soft = json.loads(out), labels == "target_soft"
    for k in (1, 5, 10, 50):
        assert answer[f"R@{k}"] == pytest.approx(_slow_cirr(rows, recall, k, soft, False))
    for k in (1, 2, 3):
        assert answer[f"R_subset@{k}"] == pytest.approx(_slow_cirr(rows, subset, k, soft, True))
    assert 0.0 < answer["R@1"] < answer["R@50"] < 100.0
    assert answer["Avg"] == pytest.approx((answer["R@5"] + answer["R_subset@1"]) / 2)
    assert labels in answer["protocol"]


@official
def test_fashioniq_scores_as_a_slow_loop_over_the_official_annotations_does(capsys, tmp_path) -> None:
    annotations, draws = SHARED / "fashioniq" / "cap.dress.val.json", random.Random(9)
    rows = json.loads(annotations.read_text(encoding="utf-8"))
    names = json.loads((SHARED / "fashioniq" / "split.dress.val.json").read_text(encoding="utf-8"))
    predictions = {}
    for index, row in enumerate(rows):
        ranked = list(dict.fromkeys([row["target"], *draws.sample(names, 99)]))
        predictions[str(index)] = draws.sample(ranked, len(ranked))
    status, out, err = run(
        capsys, "evaluate", "fashioniq", "--category", "dress", "--annotations", annotations,
        "--predictions", written(tmp_path / "p.json", predictions), "--json",
    )  # fmt: skip
    assert status == 0, err
    answer = json.loads(out)
    for k in (10, 50):
        hits = [row["target"] in predictions[str(i)][:k] for i, row in enumerate(rows)]
        assert answer[f"R@{k}"] == pytest.approx(100 * sum(hits) / len(hits))
    assert answer["category"] == "dress"


# --- what cannot be scored ---

GOOD = {"0": [107, 108], "1": [111, 101], "2": [101, 102], "3": [104, 105]}
BAD = {
    "a query that does not exist": ({**GOOD, "17": [101]}, "'17'"),
    "two queries without an answer": ({"0": [107], "2": [101]}, "query 1 and 1 more"),
    "an image twice": (
        {**GOOD, "1": [111, 101, 111]},
        "query 1 names the image 111 twice, in places 1 and 3",
    ),
    "an image of another data set": ({**GOOD, "2": [101, 9_999_999]}, "query 2 names the image '9999999'"),
    "a name for a number": ({**GOOD, "2": [101, "102"]}, "query 2 has '102' in place 2"),
    "not a number": ({**GOOD, "3": [float("nan"), 104]}, "query 3 has 'nan' in place 1"),
    "a truth value": ({**GOOD, "3": [True]}, "query 3 has 'True'"),
    "no images": ({**GOOD, "3": []}, "query 3 has no predictions"),
    "an object for a list": ({**GOOD, "0": {"1": 107}}, "query 0 has"),
    "a list for an object": ([[107]], "a list, not an object"),
    "nothing for an object": (None, "p.json holds null, not an object"),
    "a text for an object": ("107", "p.json holds a text, not an object"),
}


@pytest.mark.parametrize(("predictions", "said"), BAD.values(), ids=BAD.keys())
def test_predictions_that_cannot_be_scored_are_refused_by_the_name_of_the_query(
    capsys, tmp_path, predictions, said
) -> None:
    path = written(tmp_path / "p.json", predictions)
    status, out, err = run(
        capsys, "evaluate", "circo", "--annotations", CIRCO_VAL, "--predictions", path, "--json"
    )
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_the_same_predictions_without_a_fault_are_scored(capsys, tmp_path) -> None:
    path = written(tmp_path / "p.json", GOOD)
    status, out, _ = run(
        capsys, "evaluate", "circo", "--annotations", CIRCO_VAL, "--predictions", path, "--json"
    )
    answer = json.loads(out)
    assert status == 0
    # G: {107, 108} both first; {111} first; {102, 101, 103} two of three; {104} first
    assert answer["mAP@5"] == pytest.approx(100 * (1 + 1 + 2 / 3 + 1) / 4)
    assert answer["semantic_mAP@10"]["direct_addressing"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert (answer["Recall@5"], answer["queries"]) == (75.0, 4)


@pytest.mark.parametrize("cut", [1, 15, 40])
def test_a_truncated_file_of_predictions_is_refused_with_its_place(capsys, tmp_path, cut) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(GOOD)[:-cut], encoding="utf-8")
    status, out, err = run(capsys, "evaluate", "circo", "--annotations", CIRCO_VAL, "--predictions", path)
    assert (status, out) == (2, "")
    assert "p.json is not whole" in err
    assert "column" in err


def test_a_query_that_stands_twice_in_a_file_is_refused(capsys, tmp_path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"0": [107], "1": [111], "0": [108], "2": [101], "3": [104]}', encoding="utf-8")
    status, _, err = run(capsys, "evaluate", "circo", "--annotations", CIRCO_VAL, "--predictions", path)
    assert status == 2
    assert "entry for 0 twice" in err


def _cirr_lists(**change: list[str]) -> dict[str, object]:
    queries = cirr.read_queries(CIRR_VAL)
    lists = {q.query_id: [m for m in q.members if m != q.query.reference_id] for q in queries}
    return {"version": "rc2", **lists, **change}


@pytest.mark.parametrize(
    ("recall", "subset", "said"),
    [
        ({"metric": "recall_subset", **_cirr_lists()}, _cirr_lists(), "says metric 'recall_subset'"),
        ({**_cirr_lists(), "version": "rc1"}, _cirr_lists(), "says version 'rc1'"),
        (_cirr_lists(), _cirr_lists(**{"12": ["dev-red-triangle"]}), "query 12 names dev-red-triangle"),
        (_cirr_lists(**{"13": ["dev-nowhere"]}), _cirr_lists(), "query 13 names the image 'dev-nowhere'"),
        (_cirr_lists(), {**_cirr_lists(), "99": []}, "'99'"),
    ],
)
def test_cirr_refuses_what_its_server_would(capsys, tmp_path, recall, subset, said) -> None:
    status, _, err = run(
        capsys, "evaluate", "cirr", "--annotations", CIRR_VAL,
        "--predictions", written(tmp_path / "r.json", recall),
        "--subset-predictions", written(tmp_path / "s.json", subset),
    )  # fmt: skip
    assert status == 2
    assert said in err


def test_without_a_list_of_images_officially_named_ones_may_be_predicted(tmp_path) -> None:
    path = written(tmp_path / "cap.json", json.loads(CIRR_VAL.read_text(encoding="utf-8")))
    known = cirr.KnownImages(path, cirr.read_queries(path))
    assert "dev-1028-1-img1" in known
    assert "dev-red-square" in known
    assert "no-such-image" not in known
    assert "dev-1028-1-img1" not in cirr.KnownImages(CIRR_VAL, cirr.read_queries(CIRR_VAL))


def test_a_hidden_split_and_a_command_without_files_are_answered_with_a_way_out(capsys, tmp_path) -> None:
    hidden = DATA / "circo" / "annotations" / "test.json"
    path = written(tmp_path / "p.json", {str(i): [101] for i in range(3)})
    assert "server" in run(capsys, "evaluate", "circo", "--annotations", hidden, "--predictions", path)[2]
    for arguments in (
        ["circo"],
        ["cirr", "--annotations", CIRR_VAL],
        ["fashioniq", "--annotations", DRESS_VAL],
    ):
        status, _, err = run(capsys, "evaluate", *arguments)
        assert status == 2
        assert "--predictions" in err
    status, _, err = run(capsys, "evaluate", "cirr", "--root", tmp_path / "nowhere", "--llm", "none")
    assert status == 2
    assert "There is no folder" in err
    status, _, err = run(capsys, "evaluate", "cirr", "--root", tmp_path, "--llm", "none")
    assert status == 2
    assert "captions of CIRR" in err


# --- whole runs on the toys ---


def test_cirr_runs_whole_and_its_submission_scores_as_its_report(capsys, tmp_path, toys) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    status, out, err = run(capsys, "evaluate", "cirr", "--root", root, "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["R@1"] == 80.0  # "make it taller" says nothing that a toy understands
    assert answer["R_subset@1"] == 80.0
    assert answer["R@50"] == 100.0
    assert answer["searched"] == 12  # test1's pictures lie below the same root
    assert answer["manifest"]["weights"] == {"alpha": 0.6, "beta": 0.4, "gamma": 0.2}
    assert set(answer["parts"]) == {"modified_captions", "fine_grained", "reference_image"}
    assert answer["parts"]["reference_image"]["R@1"] < answer["R@1"]
    assert toys.closed
    folder = Path(answer["folder"])
    rows = read_lines(folder / "results.jsonl")
    assert [row["query_id"] for row in rows] == ["11", "12", "13", "14", "15"]
    assert rows[0]["ranks"] == {"dev-blue-square": 1}
    assert len(rows[0]["top"]) == 11
    assert "dev-red-square" not in rows[0]["top"]
    assert len(rows[0]["subset"]) == 5
    assert rows[0]["timings_ms"]["retrieval"] > 0
    again = run(
        capsys, "evaluate", "cirr", "--annotations", CIRR_VAL, "--predictions", folder / "recall.json",
        "--subset-predictions", folder / "recall_subset.json", "--json",
    )  # fmt: skip
    scored = json.loads(again[1])
    assert {k: scored[k] for k in scored if "@" in k} == {k: answer[k] for k in scored if "@" in k}


def test_a_hidden_split_says_which_files_go_to_its_server(capsys, tmp_path, toys) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    command = ("evaluate", "cirr", "--root", root, "--split", "test1", "--resume")
    status, out, err = run(capsys, *command, "--limit", 1)
    assert status == 0, err
    assert "It wants an answer to every query: finish the run with --resume" in out
    assert "Send" not in out
    status, out, err = run(capsys, *command)
    assert status == 0, err
    assert "Only the server of CIRR knows the targets of test1, so there is no number here" in out
    assert (
        "Send both of these files to the server of CIRR, https://cirr.cecs.anu.edu.au (while it is away: https://cirr.junjie.au):"
        in out
    )
    files = [Path(line.split("  (")[0].strip()) for line in out.splitlines() if line.startswith("  ")]
    sent = {path.name: path for path in files}
    assert set(sent) == {"recall.json", "recall_subset.json"}
    for name, places in (("recall", 11), ("recall_subset", 3)):
        content = json.loads(sent[f"{name}.json"].read_text(encoding="utf-8"))
        assert (content["version"], content["metric"]) == ("rc2", name)
        assert [len(content[pair]) for pair in ("21", "22")] == [places, places]
    assert "Send" not in run(capsys, "evaluate", "cirr", "--root", root)[1]


def test_galleries_of_evaluations_are_not_among_ones_own_and_each_data_set_has_its_own(
    capsys, tmp_path, toys
) -> None:
    def evaluate(root: Path) -> dict[str, list[str]]:
        status, out, err = run(
            capsys, "evaluate", "circo", "--root", root, "--method", "image-only", "--json", "--resume",
            "--out", tmp_path / f"of-{root.name}",
        )  # fmt: skip
        assert status == 0, err
        rows = read_lines(Path(json.loads(out)["folder"]) / "results.jsonl")
        return {row["query_id"]: row["top"] for row in rows}

    def captioned(root: Path) -> int:
        before = toys.captioner.calls  # type: ignore[union-attr]
        evaluate(root)
        return toys.captioner.calls - before  # type: ignore[union-attr]

    first, other = (lay_out("circo", tmp_path / name) for name in ("A", "B"))
    pictures = other / "COCO2017_unlabeled" / "unlabeled2017"
    shown = sorted(pictures.iterdir())
    contents = [path.read_bytes() for path in shown]
    for path, content in zip(shown, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(content)
    ranked = evaluate(first)
    assert evaluate(other) != ranked
    assert captioned(first) == captioned(other) == 0  # neither has taken the other's place
    assert json.loads(run(capsys, "galleries", "--json")[1]) == []
    moved = first.rename(tmp_path / "moved")
    assert evaluate(moved) == ranked
    assert captioned(moved) == 0
    kept = list((tmp_path / "cache" / "evaluations" / "galleries").glob("*/manifest.json"))
    assert len(kept) == 2


def test_a_gallery_that_an_earlier_version_kept_among_ones_own_is_named_and_left(
    capsys, tmp_path, toys
) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    index_dataset(
        circo.open_dataset(root), image_encoder=toys.clip, text_encoder=toys.clip, captioner=toys.captioner,
        captions_per_image=2, cache_root=tmp_path / "cache", say=lambda _: None,
    )  # fmt: skip
    status, _, err = run(capsys, "evaluate", "circo", "--root", root)
    assert status == 0
    assert "python -m cir galleries delete circo-val" in err
    assert (tmp_path / "cache" / "circo-val").is_dir()


def test_circo_ranks_the_reference_too_and_its_hidden_split_gives_a_submission(
    capsys, tmp_path, toys
) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    status, out, err = run(capsys, "evaluate", "circo", "--root", root, "--json", "--method", "Image-only")
    assert status == 0, err
    answer, folder = json.loads(out), Path(json.loads(out)["folder"])
    rows = read_lines(folder / "results.jsonl")
    assert [row["top"][0] for row in rows] == ["101", "105", "112", "107"]  # each reference itself
    scored = json.loads(
        run(capsys, "evaluate", "circo", "--annotations", CIRCO_VAL, "--predictions", folder / "submission.json",
            "--json")[1]
    )  # fmt: skip
    assert scored["mAP@50"] == answer["mAP@50"] > 0
    assert scored["semantic_mAP@10"] == answer["semantic_mAP@10"]
    status, out, err = run(capsys, "evaluate", "circo", "--root", root, "--split", "test", "--json")
    assert status == 0, err
    hidden = json.loads(out)
    assert "mAP@5" not in hidden
    assert hidden["submissions"] == ["submission.json"]
    sent = json.loads((Path(hidden["folder"]) / "submission.json").read_text(encoding="utf-8"))
    assert [sent[q][0] for q in ("0", "1", "2")] == [107, 111, 103]
    assert toys.clip.calls > 0


def test_fashioniq_is_the_mean_of_three_categories_and_orders_of_captions_matter(
    capsys, tmp_path, toys
) -> None:
    root = lay_out("fashioniq", tmp_path / "FashionIQ")
    found = {}
    for order in fashioniq.ORDERS:
        arguments = ("--order", order, "--method", "sum", "--gallery", "VAL", "--json")
        status, out, err = run(capsys, "evaluate", "fashioniq", "--root", root, *arguments)
        assert status == 0, err
        found[order] = json.loads(out)
    answer = found["forward"]
    assert set(answer["categories"]) == {"FashionIQ dress", "FashionIQ shirt", "FashionIQ toptee"}
    each = [row["R@10"] for row in answer["categories"].values()]
    assert answer["R@10"] == pytest.approx(sum(each) / 3)
    assert answer["queries"] == 9
    dress = answer["categories"]["FashionIQ dress"]
    assert dress["searched"] == 4
    assert dress["manifest"]["searched"] == 4
    assert "VAL split" in answer["protocol"]
    assert found["both"]["protocol"] != answer["protocol"]
    folders = {json.dumps(one["categories"]["FashionIQ dress"]["folder"]) for one in found.values()}
    assert len(folders) == 3


def test_a_run_opens_the_networks_of_its_method_and_no_others(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    root = lay_out("cirr", tmp_path / "CIRR")
    arguments = ("--method", "pic2word", "--llm", "none", "--json")
    status, out, err = run(capsys, "evaluate", "cirr", "--root", root, *arguments)
    assert status == 0, err
    opened = set(json.loads(out)["manifest"]["models"]) - {"clip", "captioner"}
    assert opened == {"mapping_pic2word"}


def test_a_killed_run_goes_on_where_it_was_and_asks_nothing_twice(capsys, tmp_path, monkeypatch) -> None:
    root, log = lay_out("cirr", tmp_path / "CIRR"), tmp_path / "calls"
    monkeypatch.setattr(evaluating_datasets, "build_methods", toy_methods)

    def evaluate(model: CountingModel, cache: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("CIR_CACHE", str(tmp_path / cache))
        monkeypatch.setattr(evaluating_datasets, "build_models", lambda *_, **__: ToyModels(model))
        return run(capsys, "evaluate", "cirr", "--root", root, "--json", *arguments)

    whole = json.loads(evaluate(CountingModel(tmp_path / "whole"), "one")[1])
    asked = len((tmp_path / "whole").read_text())
    dying = CountingModel(log, lambda count: die(count) if count == asked // 2 else None)
    assert exit_code(fork(lambda: evaluate(dying, "two"))) == 9
    (folder,) = (tmp_path / "two" / "evaluations" / "cirr-val").glob("cvsi-*")
    done = read_lines(folder / "results.jsonl")
    assert 0 < len(done) < 5
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"query_id": "1')  # as a kill in the middle of a line leaves it
    for book in folder.parent.glob("*.jsonl"):
        with book.open("a") as file:
            file.write('{"prom')
    assert "holds results already" in evaluate(CountingModel(), "two")[2]
    status, out, err = evaluate(CountingModel(log), "two", "--resume")
    assert status == 0, err
    resumed = json.loads(out)
    assert len(log.read_text()) == asked
    timed = ("mean_timings_ms", "folder")
    assert {k: v for k, v in resumed.items() if k not in timed} == {
        k: v for k, v in whole.items() if k not in timed
    }
    assert read_lines(folder / "results.jsonl")[: len(done)] == done


def test_a_run_is_not_gone_on_with_by_other_weights_and_a_limit_can_grow(capsys, tmp_path, toys) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    command = ("evaluate", "circo", "--root", root, "--json", "--resume")
    status, out, _ = run(capsys, *command, "--limit", 2)
    assert status == 0
    first = json.loads(out)
    assert first["queries"] == 2
    assert "submissions" not in first
    captioned = toys.captioner.calls  # type: ignore[union-attr]
    second = json.loads(run(capsys, *command)[1])
    assert second["queries"] == 4
    assert second["submissions"] == ["submission.json"]
    assert toys.captioner.calls == captioned + 2  # type: ignore[union-attr]
    status, _, err = run(capsys, *command, "--gamma", 0.5)
    assert status == 2
    assert "weights" in err
    assert run(capsys, *command, "--limit", 0, "--alpha", 0.6)[0] == 2
    assert "50 places" in run(capsys, *command, "--k", 7)[2]


def test_missing_and_damaged_pictures_stop_a_run_by_name(capsys, tmp_path, toys) -> None:
    root = lay_out("cirr", tmp_path / "CIRR")
    (root / "dev" / "dev-red-circle.png").write_bytes(b"not a picture")
    status, _, err = run(capsys, "evaluate", "cirr", "--root", root)
    assert status == 2
    assert "Not indexed of CIRR: 1 image, the first is dev/dev-red-circle.png" in err.replace("\n", " ")
    (root / "dev" / "dev-red-circle.png").unlink()
    status, _, err = run(capsys, "evaluate", "cirr", "--root", root)
    assert status == 2
    assert "Missing from CIRR val: 1 of 12 images, the first is dev/dev-red-circle.png" in err
    assert toys.clip.calls > 0


def test_a_split_takes_its_own_images_of_a_folder_and_is_encoded_once(tmp_path) -> None:
    dataset = cirr.open_dataset(lay_out("cirr", tmp_path / "CIRR"), "test1")
    clip, captioner = ToyClip(), ToyCaptioner()

    def index():
        return index_dataset(
            dataset, image_encoder=clip, text_encoder=clip, captioner=captioner, captions_per_image=2,
            cache_root=tmp_path / "cache", say=lambda _: None,
        )  # fmt: skip

    gallery = index()
    assert set(gallery.image_ids) == set(dataset.images)
    assert gallery.captions("test1-red-square") == ["a red square", "one red square"]
    expected = clip.encode_images([draw("red", "square")])[0]
    np.testing.assert_allclose(gallery.raw_features("test1-red-square"), expected, rtol=1e-5)
    calls = clip.calls, captioner.calls
    assert index().image_ids == gallery.image_ids
    assert (clip.calls, captioner.calls) == calls
    few = replace(dataset, searched=["test1-red-square", "test1-blue-circle"])
    small = searched_gallery(few, gallery)
    assert set(small.image_ids) == {"test1-red-square", "test1-blue-circle"}
    np.testing.assert_allclose(small.raw_features("test1-red-square"), expected, rtol=1e-5)


def test_indexing_a_split_says_how_long_each_stage_still_takes(tmp_path, monkeypatch) -> None:
    dataset, said, clock = circo.open_dataset(lay_out("circo", tmp_path / "CIRCO")), [], [0.0]

    class Slow(ToyCaptioner):
        def caption(self, images, *, per_image: int, seed: int) -> list[list[str]]:
            clock[0] += 60.0 * len(images)
            return super().caption(images, per_image=per_image, seed=seed)

    monkeypatch.setattr("cir.evaluation.run.time.monotonic", lambda: clock[0])
    index_dataset(
        dataset, image_encoder=ToyClip(), text_encoder=ToyClip(), captioner=Slow(), captions_per_image=1,
        cache_root=tmp_path / "cache", batch_size=4, say=said.append,
    )  # fmt: skip
    assert [one for one in said if "captions" in one and "left" in one] == [
        "CIRCO, captions: 4 of 12; about 8 min left",
        "CIRCO, captions: 8 of 12; about 4 min left",
    ]
    assert said[-1] == "CIRCO, captions: 12 of 12"


def test_a_file_of_queries_runs_on_an_indexed_gallery(capsys, tmp_path, toys, monkeypatch) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    dataset = circo.open_dataset(root)
    index_dataset(
        dataset, image_encoder=toys.clip, text_encoder=toys.clip, captioner=toys.captioner, captions_per_image=2,
        cache_root=tmp_path / "cache", say=lambda _: None,
    )  # fmt: skip

    def line(number: str, reference: int, text: str, *targets: int) -> str:
        names = [f"COCO2017_unlabeled/unlabeled2017/{one:012d}.png" for one in (reference, *targets)]
        row = {
            "query_id": number,
            "reference_id": names[0],
            "text": text,
            "target_ids": names[1:],
            "kind": "colour",
        }
        return json.dumps(row) + "\n"

    queries = tmp_path / "own.jsonl"
    queries.write_text(
        line("a", 101, "make it blue", 107) + line("b", 105, "is red", 102, 101), encoding="utf-8"
    )
    command = ("evaluate", "jsonl", "--queries", queries, "--gallery", "circo-val", "--json")
    status, out, err = run(capsys, *command)
    assert status == 0, err
    answer = json.loads(out)
    assert (answer["R@1"], answer["queries"]) == (100.0, 2)
    assert answer["by_kind"] == {"colour": {"R@1": 100.0, "queries": 2}}
    assert answer["mAP@5"] < 100.0
    assert len(read_lines(Path(answer["folder"]) / "results.jsonl")[0]["top"]) == 11
    queries.write_text(queries.read_text(encoding="utf-8"), encoding="utf-8-sig")
    status, out, err = run(capsys, *command, "--out", tmp_path / "marked")
    assert (status, json.loads(out or "{}").get("queries")) == (0, 2), err
    for bad, said in (
        (line("c", 999, "x", 107), "line 1: the gallery has no image 'COCO2017_unlabeled"),
        (line("d", 101, "x"), "line 1: target_ids is '[]', not a list of images"),
        (line("e", 101, "x", 107) * 2, "line 2: query_id 'e' is that of line 1, too"),
        (line("f", 101, "x", 107)[:40], "line 1: is not whole JSON"),
        ("", "no queries"),
    ):
        queries.write_text(bad, encoding="utf-8")
        status, _, err = run(capsys, *command, "--resume")
        assert status == 2
        assert said in err


def test_all_that_is_wrong_with_a_file_of_queries_is_told_at_once_and_before_anything_is_loaded(
    capsys, tmp_path, toys, monkeypatch
) -> None:
    dataset = circo.open_dataset(lay_out("circo", tmp_path / "CIRCO"))
    index_dataset(
        dataset, image_encoder=toys.clip, text_encoder=toys.clip, captioner=toys.captioner, captions_per_image=2,
        cache_root=tmp_path / "cache", name="mine", say=lambda _: None,
    )  # fmt: skip
    queries = tmp_path / "own.jsonl"
    picture = next(iter(dataset.images.values()))
    whole = {"query_id": "a", "reference_id": picture, "text": "make it blue", "target_ids": [picture]}
    lines = [
        json.dumps(whole), json.dumps({"text": 5, "target_ids": picture}), "", "{", "[]",
        json.dumps(whole | {"reference_id": "no.png", "target_ids": [picture, "neither.png"], "kind": 3}),
    ]  # fmt: skip
    queries.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(
        evaluating_datasets, "build_models", lambda *_, **__: pytest.fail("models were loaded")
    )
    for command in (("evaluate", "jsonl"), ("tables", "methods", "--dataset", "jsonl")):
        status, _, err = run(capsys, *command, "--queries", queries, "--gallery", "mine")
        assert status == 2
        told = err.splitlines()
        assert told[:5] == [
            "own.jsonl cannot be used as it is:",
            f"line 2: has no query_id; text is '5', not text; has no reference_id; target_ids is {picture[:60]!r}, "
            "not a list of images",
            "line 4: is not whole JSON: Expecting property name enclosed in double quotes, column 2",
            "line 5: is not an object",
            "line 6: kind is '3', not text; query_id 'a' is that of line 1, too; the gallery has no image 'no.png'; "
            "the gallery has no image 'neither.png'",
        ]
        assert FIELDS.keys() <= json.loads(told[-1].split("for example: ")[1]).keys()
        assert "published" not in err


@pytest.mark.parametrize("where", ["help", "docs"])
def test_the_fields_of_a_query_are_described_with_an_example_that_can_be_read(
    capsys, tmp_path, where: str
) -> None:
    if where == "help":
        with pytest.raises(SystemExit):
            main(["evaluate", "jsonl", "--help"])
        text = capsys.readouterr().out
    else:
        text = (Path(__file__).parents[1] / "docs" / "queries.md").read_text(encoding="utf-8")
    for name, meaning in FIELDS.items():
        assert f"{name} " in text
        assert meaning in text
    (example,) = (line[line.index("{") :] for line in text.splitlines() if '{"query_id"' in line)
    images = {"1": "2019/red car.jpg", "2": "2019/winter/car.jpg"}
    (query,) = queries_file.read_queries(written(tmp_path / "q.jsonl", json.loads(example)), images)
    assert query.query == CirQuery("1", "1", "in the snow", ("2",), "weather")


# --- submissions and books ---


def test_a_submission_is_checked_before_it_is_written(tmp_path) -> None:
    dataset = cirr.open_dataset(lay_out("cirr", tmp_path / "CIRR"))
    names = list(dataset.images)
    whole = {q.query_id: names for q in dataset.queries}
    subset = {q.query_id: list(q.members) for q in dataset.queries}
    made = dataset.card.submission.files(dataset, whole, subset)
    assert made["recall.json"]["version"] == "rc2"
    assert made["recall.json"]["metric"] == "recall"
    assert "dev-red-square" not in made["recall.json"]["11"]
    assert len(made["recall_subset.json"]["12"]) == 3
    for change, said in (
        ({"11": names[:4]}, "query 11 has 3 places"),
        ({"12": [names[0], *names]}, "query 12 names the image .* twice"),
        ({"13": [*names, "dev-nowhere"]}, "query 13 names the image 'dev-nowhere'"),
        ({"14": []}, "query 14 has no predictions"),
    ):
        with pytest.raises(DatasetError, match=said):
            dataset.card.submission.files(dataset, whole | change, subset)
    with pytest.raises(DatasetError, match="query 15 was not answered"):
        dataset.card.submission.files(dataset, {k: v for k, v in whole.items() if k != "15"}, subset)


def test_the_submission_of_circo_reads_as_its_example_does(tmp_path) -> None:
    dataset = circo.open_dataset(lay_out("circo", tmp_path / "CIRCO"), "test")
    ranked = {q.query_id: list(dataset.images) for q in dataset.queries}
    made = dataset.card.submission.files(dataset, ranked, {})["submission.json"]
    assert made == {"0": list(range(101, 113)), "1": list(range(101, 113)), "2": list(range(101, 113))}
    path = written(tmp_path / "p.json", made)
    assert read_predictions(path, dataset.queries, dataset.images, kind=int)["0"] == ranked["0"]


def test_captions_are_written_down_by_picture_number_and_seed(tmp_path) -> None:
    captioner = ToyCaptioner()
    book = CaptionBook(tmp_path / "c.jsonl", captioner)
    red, blue = draw("red", "square"), draw("blue", "circle")
    first = [["a red square"], ["a blue circle"], ["a red square"]]
    assert book.caption([red, blue, red], per_image=1, seed=0) == first
    assert captioner.calls == 2
    again = CaptionBook(tmp_path / "c.jsonl", captioner)
    assert again.caption([blue], per_image=1, seed=0) == [["a blue circle"]]
    assert captioner.calls == 2
    again.caption([blue], per_image=2, seed=0)
    again.caption([blue], per_image=1, seed=1)
    assert captioner.calls == 4


def test_a_damaged_line_is_refused_and_only_a_cut_last_one_is_taken_off(tmp_path) -> None:
    path = tmp_path / "r.jsonl"
    append_line(path, {"query_id": "ä\u2028b"})
    append_line(path, {"query_id": "2"})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"query')
    assert [row["query_id"] for row in read_lines(path)] == ["ä\u2028b", "2"]
    assert path.read_bytes() == whole
    path.write_bytes(b"{]\n" + whole)
    with pytest.raises(CirError, match="Line 1 of"):
        read_lines(path)
