"""Paraphrases of the world benchmark: what is written is not what trains, and is measured against the same targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cir.errors import CirError
from cir.evaluation.benchmark import read_benchmark
from cir.evaluation.difference import differences
from cir.evaluation.paraphrases import WORDINGS, paraphrased, read_paraphrases
from cir.measuring.paraphrases import PLAIN, wordings_table
from cir.world.edits import sample_edit
from cir.world.scene import ObjectGroup, Scene


@pytest.fixture(scope="module")
def paraphrases():
    return read_paraphrases()


@pytest.fixture(scope="module")
def queries():
    return {q.query_id: q for q in read_benchmark("world").queries}


def test_three_hundred_queries_of_every_kind_have_six_wordings_each(paraphrases, queries) -> None:
    assert len(paraphrases) == 300
    kinds = [queries[query_id].kind for query_id in paraphrases]
    assert {kind: kinds.count(kind) >= 20 for kind in set(kinds)} == dict.fromkeys(
        {q.kind for q in queries.values()}, True
    )
    for query_id, by_wording in paraphrases.items():
        texts = [queries[query_id].modification_text, *by_wording.values()]
        assert len({text.lower() for text in texts}) == 1 + len(WORDINGS), texts


def test_no_wording_is_one_that_the_training_grammar_writes(paraphrases, queries) -> None:
    """Whatever the grammar says about the same picture: the wordings stand apart from all of it."""
    scenes = read_benchmark("world").scenes
    rng, plain = np.random.default_rng(0), 0
    for query_id, by_wording in paraphrases.items():
        scene, kind = scenes[queries[query_id].reference_id], queries[query_id].kind
        written = {edit.text.lower() for _ in range(60) if (edit := sample_edit(scene, rng, kind=kind))}
        plain += queries[query_id].modification_text.lower() in written
        assert not written & {text.lower() for text in by_wording.values()}, query_id
    assert plain > 60  # its own wordings are found so


def test_a_paraphrased_query_keeps_its_reference_and_target(paraphrases, queries) -> None:
    plain = list(queries.values())[:20]
    worded = paraphrased(plain, paraphrases)
    assert list(worded) == list(WORDINGS)
    for wording, row in worded.items():
        for query in row:
            before = queries[query.query_id.split("/")[0]]
            assert (
                replace(query, query_id=before.query_id, modification_text=before.modification_text) == before
            )
            assert query.modification_text == paraphrases[before.query_id][wording]


def test_damaged_paraphrases_are_told(tmp_path) -> None:
    path = tmp_path / "world-paraphrases.jsonl"
    for text in ("", "{", '{"query_id": "q1", "casual": "lose it"}\n'):
        path.write_text(text, encoding="utf-8")
        if not text:
            path.unlink()
        with pytest.raises(CirError, match="paraphrases"):
            read_paraphrases(path)


def test_the_table_has_recall_by_wording_its_mean_spread_and_worst() -> None:
    def of(first: int) -> dict[str, tuple[int, ...]]:
        return {f"q{i}": (1 if i < first else 7,) for i in range(4)}

    firsts = dict(zip(WORDINGS, (4, 2, 2, 2, 3, 1), strict=True))
    row = {PLAIN: of(4), **{wording: of(first) for wording, first in firsts.items()}}
    line = wordings_table({"CVSI": row}).splitlines()[2]
    assert line.startswith("| CVSI | 100.0 [")
    assert line.endswith("| 100.0 | 50.0 | 50.0 | 50.0 | 75.0 | 25.0 | 58.3 | 75.0 | indirect | 4 |")


def test_what_is_wrong_with_a_scene_is_named_attribute_by_attribute() -> None:
    dog, cat = ObjectGroup("dog", 2, "red", "large"), ObjectGroup("cat")
    scene = Scene((dog, cat), "beach", "day")
    assert differences(scene, replace(scene, layout_seed=5)) == ()
    assert differences(scene, replace(scene, groups=(cat, dog))) == ()  # the order says nothing here
    assert differences(scene, replace(scene, groups=(dog,))) == ("missing",)
    assert differences(replace(scene, groups=(dog,)), scene) == ("extra",)
    for change, name in (({"noun": "fox"}, "object"), ({"count": 1}, "count"), ({"size": "small"}, "size")):
        assert differences(scene, replace(scene, groups=(replace(dog, **change), cat))) == (name,)
    assert differences(scene, replace(scene, time="night")) == ("time",)
    assert set(differences(scene, Scene((replace(dog, colour=None), cat), "forest", "night"))) == {
        "colour",
        "background",
        "time",
    }
