"""The library of triplet files: SynCir's verdicts, judgements that come back, runs that go on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from triplet_doubles import toy_triplets, triplet

from cir.application.triplets import PATIENCE_SECONDS, open_triplets
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.models.llama import DEADLINE_SECONDS, QUEUE_SECONDS
from cir.models.protocols import SpotInput
from cir.syncir import consistency
from cir.syncir.consistency import Thresholds
from cir.syncir.judgements import Judgement
from cir.syncir.library import TripletLibrary
from cir.syncir.pipeline import Progress, synthesize
from cir.syncir.records import read_triplets, write_triplets
from cir.syncir.table import TripletTable

COLOURS = ("red", "green", "blue", "white", "black")


class WordSpoter:
    """Says the target's first word; every fourth time nothing that can be used."""

    fingerprint = "words"

    def __init__(self) -> None:
        self.calls = 0

    def spot(self, reference, target) -> str:
        self.calls += 1
        return "" if self.calls % 4 == 0 else f"make it {target.caption.split()[1]}"


class BagEncoder:
    """One axis for each colour, and one that is never zero."""

    fingerprint = "bag"

    def encode(self, texts):
        rows = np.array([[c in text.split() for c in COLOURS] + [True] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_gallery(count: int = 24) -> Gallery:
    raw = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32) + 1.0
    captions = [[f"a {COLOURS[n % 5]} thing {n}"] for n in range(count)]
    ids = [f"image-{n}" for n in range(count)]
    return Gallery.from_features("toys", ids, raw, captions=captions, fingerprints={"image_encoder": "x@1"})


@pytest.fixture
def library(tmp_path: Path) -> TripletLibrary:
    return TripletLibrary(
        tmp_path / "shipped", tmp_path / "own", spoter=WordSpoter, sentence_encoder=BagEncoder
    )


def ship(library: TripletLibrary, gallery: Gallery, limit: int = 18) -> str:
    for _ in synthesize(gallery, WordSpoter(), BagEncoder(), library.shipped / "sample.jsonl", limit=limit):
        pass
    return "shipped/sample.jsonl"


def made(
    library: TripletLibrary, key: str, gallery: Gallery, count: int, **limits: float
) -> list[tuple[str, Progress]]:
    return list(library.generate(key, gallery, count, Thresholds(**limits), lambda: False))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-100_000, 100_000), max_size=10), st.integers(-100, 100))
def test_the_columns_judge_as_syncir_does(raw, threshold):
    limits = consistency.Thresholds(threshold / 100)
    rows = [triplet((0, 1), value / 100_000, triplet_id=str(n)) for n, value in enumerate(raw)]
    rows += [consistency.judge(row, consistency.Thresholds()) for row in toy_triplets()]
    table = TripletTable(rows)
    judged = [consistency.judge(row, limits) for row in rows]
    assert table.kept(limits.consistency).tolist() == [row.verdict == "kept" for row in judged]
    assert [table.reason(n, limits.consistency) for n in range(len(rows))] == [row.reason for row in judged]


def test_a_shipped_file_is_read_with_its_funnel_and_titled_for_people(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    assert [(file.key, file.title) for file in library.files()] == [(key, "Sample triplets: 18 pairs")]
    table = library.table(key)
    assert len(table.triplets) == 18
    assert table.gallery == "toys"
    mined = library.mine(key, gallery, Thresholds())
    assert (mined.images, mined.groups) == (24, table.mined.groups)
    assert (mined.pairs, mined.repeated) == (table.mined.pairs, table.mined.repeated)
    assert library.table(key) is table  # read once


def test_moving_the_group_thresholds_changes_what_is_mined(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    strict = library.mine(key, gallery, Thresholds(near_duplicate=0.6))
    assert strict.groups < library.mine(key, gallery, Thresholds()).groups
    assert strict.pairs + strict.repeated == 9 * strict.groups


def test_judgements_of_a_shipped_file_lie_in_the_own_folder_and_come_back(library):
    key = ship(library, make_gallery())
    before = sorted(path.name for path in library.shipped.iterdir())
    first, second, third = (row.triplet_id for row in library.table(key).triplets[:3])
    library.judge(key, 0, Judgement(first, "accepted"))
    library.judge(key, 1, Judgement(second, "rejected", "another text"))
    library.judge(key, 2, Judgement(third, "edited", "a third text"))
    library.judge(key, 0, Judgement(first, "cleared"))
    for table in (library.table(key), library.read(key)):
        assert [table.judgement(row) for row in range(3)] == [
            Judgement(first, "cleared"),
            Judgement(second, "rejected", "another text"),
            Judgement(third, "edited", "a third text"),
        ]
        assert table.count_judgements() == {"accepted": 0, "rejected": 1, "edited": 2}
    sidecar = (library.own / "shipped-sample.judged.jsonl").read_text().splitlines()
    assert [json.loads(line)["action"] for line in sidecar] == [
        *("cleared", "accepted"), *("cleared", "edited", "rejected"), *("cleared", "edited"), "cleared"
    ]  # fmt: skip
    assert sorted(path.name for path in library.shipped.iterdir()) == before
    assert [file.key for file in library.files()] == [key]


def test_an_export_is_judged_by_the_threshold_and_then_by_the_person(library, tmp_path, monkeypatch):
    gallery = make_gallery()
    key, paths = ship(library, gallery), {one: f"here/{one}.png" for one in gallery.image_ids}
    monkeypatch.setattr("cir.syncir.picture_names.picture_places", lambda *_: (tmp_path, paths, ""))
    rows = library.table(key).triplets
    dropped, kept = [row for row in rows if row.text and row.consistency < 0.999][:2]
    library.judge(key, rows.index(dropped), Judgement(dropped.triplet_id, "accepted", "better"))
    library.judge(key, rows.index(kept), Judgement(kept.triplet_id, "rejected"))
    out = tmp_path / "out.jsonl"
    library.export(key, 0.999, "jsonl", out)
    written = {row.triplet_id: row for row in read_triplets(out)}
    assert len(written) == 18
    assert (written[dropped.triplet_id].verdict, written[dropped.triplet_id].text) == ("kept", "better")
    assert written[kept.triplet_id].verdict == "dropped"
    library.export(key, 0.999, "cirr", tmp_path / "out.json")
    cirr = json.loads((tmp_path / "out.json").read_text())
    assert "better" in [row["caption"] for row in cirr]
    assert all(row["reference"].startswith("here/") for row in cirr)
    assert len(cirr) == sum(row.verdict == "kept" for row in written.values())


def test_making_more_goes_on_from_the_shipped_file_in_a_file_of_its_own(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    shipped = (library.shipped / "sample.jsonl").read_bytes()
    first = library.table(key).triplets[0].triplet_id
    library.judge(key, 0, Judgement(first, "accepted"))
    steps = made(library, key, gallery, 5)
    assert [(step.done, step.total) for _, step in steps] == [(n, 5) for n in range(6)]
    assert [step.triplet is None for _, step in steps] == [True, *[False] * 5]
    own_key = steps[-1][0]
    own = library.table(own_key)
    assert len(own.triplets) == len(library.read(own_key).triplets) == 23
    assert own.judgement(0) == Judgement(first, "accepted")
    assert own.count_judgements()["accepted"] == 1
    assert (library.shipped / "sample.jsonl").read_bytes() == shipped
    assert len({row.triplet_id for row in own.triplets}) == 23
    assert made(library, own_key, gallery, 2)[-1][0] == own_key
    assert len(library.table(own_key).triplets) == 25


def test_other_thresholds_begin_another_file(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    usual = made(library, key, gallery, 1)[-1][0]
    other = made(library, key, gallery, 2, near_duplicate=0.9)[-1][0]
    assert other != usual
    assert len(library.read(other).triplets) == 2
    titles = [file.title for file in library.files()]
    assert "Made here from toys: 2 pairs, 0.7 / 0.9 / 0.002" in titles


def test_a_file_that_is_begun_can_be_read_before_its_first_triplet(library):
    gallery = make_gallery()
    steps = library.generate("shipped/none.jsonl", gallery, 2, Thresholds(), lambda: False)
    with closing(steps):
        key, begun = next(steps)
        assert begun.triplet is None
        assert len(library.table(key)) == 0
        next(steps)
        assert len(library.table(key)) == len(library.read(key)) == 1


def test_stopping_keeps_what_was_made(library):
    gallery = make_gallery()
    steps = []
    for step in library.generate("", gallery, 20, Thresholds(), lambda: len(steps) > 3):
        steps.append(step)
    assert len(library.table(steps[-1][0])) == 3


def test_making_more_than_there_are_says_so(library):
    gallery = make_gallery(8)
    every = made(library, "", gallery, 10_000)
    assert every[-1][1].done == every[-1][1].total
    with pytest.raises(CirError, match="Every pair of toys has been asked about"):
        made(library, every[-1][0], gallery, 20)


def test_without_a_language_model_nothing_is_built_and_the_way_out_is_said(tmp_path):
    library = TripletLibrary(
        tmp_path, tmp_path / "own",
        spoter=lambda: pytest.fail("built"), sentence_encoder=lambda: pytest.fail("built"),
        cannot_generate=lambda: "Fetch it: python -m cir models pull embedded",
    )  # fmt: skip
    assert library.files() == []
    assert "models pull" in library.cannot_generate()
    with pytest.raises(CirError, match="models pull"):
        made(library, "", make_gallery(), 1)
    assert not (tmp_path / "own").exists()


def test_annotation_files_of_others_and_our_own_lines_can_be_brought(library, tmp_path):
    foreign = tmp_path / "cap.rc2.val.json"
    foreign.write_text(json.dumps([{"pairid": 3, "reference": "a", "target_hard": "b", "caption": "redder"}]))
    key = library.take_in(foreign)
    assert [(row.reference_id, row.text) for row in library.read(key).triplets] == [("a", "redder")]
    assert library.take_in(foreign) == key
    own = tmp_path / "mine.jsonl"
    write_triplets(own, toy_triplets())
    assert len(library.table(library.take_in(own)).triplets) == 7
    assert [file.title for file in library.files()] == ["cap-rc2-val", "mine"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", "[]"), ("a.json", "no JSON"), ("a.json", '[{"reference": "a"}]'), ("a.jsonl", '{"x": 1}\n')],
)
def test_a_file_that_holds_no_triplets_is_refused_and_leaves_nothing(library, tmp_path, name, content):
    upload = tmp_path / name
    upload.write_text(content)
    with pytest.raises(CirError) as caught:
        library.take_in(upload)
    assert caught.value.remedy
    assert library.files() == []


def test_a_key_that_names_no_file_reads_nothing(library, tmp_path):
    (tmp_path / "secret.jsonl").write_text("{}\n")
    for key in ("own/../secret.jsonl", "shipped/sample.jsonl", "", "../secret.jsonl"):
        with pytest.raises(CirError, match="not here any more"):
            library.read(key)
        with pytest.raises(CirError, match="not here any more"):
            library.judge(key, 0, Judgement("x", "accepted"))
    assert not library.own.exists()


def test_files_and_sentences_call_a_gallery_as_the_page_does(tmp_path):
    library = TripletLibrary(
        tmp_path / "shipped", tmp_path / "own", spoter=WordSpoter, sentence_encoder=BagEncoder,
        titles={"toys": "Sample gallery"},
    )  # fmt: skip
    gallery = make_gallery(8)
    every = made(library, "", gallery, 10_000)
    assert library.files()[0].title.startswith("Made here from Sample gallery: ")
    with pytest.raises(CirError, match="Every pair of Sample gallery has been asked about"):
        made(library, every[-1][0], gallery, 20)


def test_the_texts_of_triplets_are_waited_for_longer_than_those_of_a_search():
    asked = []

    class Model:
        fingerprint = "m@1"

        def complete(self, prompt: str, *, deadline_seconds: float, **how: object) -> str:
            asked.append(deadline_seconds)
            return "make it blue"

    library = open_triplets(SimpleNamespace(language_model=Model(), missing={}))
    library._spoter.spot(SpotInput("a red square", lambda: None), SpotInput("a blue square", lambda: None))
    assert asked == [PATIENCE_SECONDS]
    assert (
        2 * DEADLINE_SECONDS < PATIENCE_SECONDS < QUEUE_SECONDS
    )  # a search that comes meanwhile has its turn
