"""The joint of the triplet tab and SynCir: the same verdicts, judgements that come back, runs that go on."""

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

from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.models.llama import DEADLINE_SECONDS, QUEUE_SECONDS
from cir.models.protocols import SpotInput
from cir.syncir import consistency, pairs
from cir.syncir.pipeline import synthesize
from cir.syncir.records import read_triplets, write_triplets
from cir.triplet_source import PATIENCE_SECONDS, TripletLibrary, open_triplets
from cir.ui.triplets.source import EDGES, INCONSISTENT, Judgement, Made, Thresholds, TripletSet
from cir.ui.triplets.table import TripletTable

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


def made(library: TripletLibrary, key: str, gallery: Gallery, count: int, **limits: float) -> list[Made]:
    return list(library.generate(key, gallery, count, Thresholds(**limits), lambda: False))


def test_the_tab_and_syncir_mean_the_same_by_their_words():
    assert pairs.PAIR_RANKS == EDGES
    assert consistency.INCONSISTENT == INCONSISTENT
    ours, theirs = Thresholds(), consistency.Thresholds()
    assert (ours.consistency, ours.near_duplicate, ours.gap) == (
        theirs.consistency, theirs.near_duplicate, theirs.gap
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-100_000, 100_000), max_size=10), st.integers(-100, 100))
def test_the_columns_judge_as_syncir_does(raw, threshold):
    limits = consistency.Thresholds(threshold / 100)
    rows = [triplet((0, 1), value / 100_000, triplet_id=str(n)) for n, value in enumerate(raw)]
    rows += [consistency.judge(row, consistency.Thresholds()) for row in toy_triplets()]
    table = TripletTable(TripletSet(rows))
    judged = [consistency.judge(row, limits) for row in rows]
    assert table.kept(limits.consistency).tolist() == [row.verdict == "kept" for row in judged]
    assert [table.reason(n, limits.consistency) for n in range(len(rows))] == [row.reason for row in judged]


def test_a_shipped_file_is_read_with_its_funnel_and_titled_for_people(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    assert [(file.key, file.title) for file in library.files()] == [(key, "Sample triplets: 18 pairs")]
    content = library.read(key)
    assert len(content.triplets) == 18
    assert content.gallery == "toys"
    assert content.mining == library.mine(key, gallery, Thresholds())
    assert content.mining is not None
    assert content.mining.images == 24


def test_moving_the_group_thresholds_changes_what_is_mined(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    strict = library.mine(key, gallery, Thresholds(near_duplicate=0.6))
    assert strict.groups < library.mine(key, gallery, Thresholds()).groups
    assert strict.pairs + strict.repeated == 9 * strict.groups


def test_judgements_of_a_shipped_file_lie_in_the_own_folder_and_come_back(library):
    key = ship(library, make_gallery())
    before = sorted(path.name for path in library.shipped.iterdir())
    first, second, third = (row.triplet_id for row in library.read(key).triplets[:3])
    library.judge(key, first, Judgement("accepted"))
    library.judge(key, second, Judgement("rejected", "another text"))
    library.judge(key, third, Judgement("", "a third text"))
    library.judge(key, first, Judgement())
    said = library.read(key).judgements
    assert said == {second: Judgement("rejected", "another text"), third: Judgement("", "a third text")}
    assert sorted(path.name for path in library.shipped.iterdir()) == before
    assert [file.key for file in library.files()] == [key]


def test_an_export_is_judged_by_the_threshold_and_then_by_the_person(library, tmp_path, monkeypatch):
    gallery = make_gallery()
    key, paths = ship(library, gallery), {one: f"here/{one}.png" for one in gallery.image_ids}
    monkeypatch.setattr("cir.syncir.picture_names.picture_places", lambda *_: (tmp_path, paths))
    rows = library.read(key).triplets
    dropped, kept = [row for row in rows if row.text and row.consistency < 0.999][:2]
    library.judge(key, dropped.triplet_id, Judgement("accepted", "better"))
    library.judge(key, kept.triplet_id, Judgement("rejected"))
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
    said = library.read(key).triplets[0].triplet_id
    library.judge(key, said, Judgement("accepted"))
    steps = made(library, key, gallery, 5)
    assert [(step.done, step.total) for step in steps] == [(n, 5) for n in range(6)]
    assert [len(step.new) for step in steps] == [0, 1, 1, 1, 1, 1]
    own = library.read(steps[-1].key)
    assert len(own.triplets) == 23
    assert own.judgements == {said: Judgement("accepted")}
    assert (library.shipped / "sample.jsonl").read_bytes() == shipped
    assert len({row.triplet_id for row in own.triplets}) == 23
    again = made(library, steps[-1].key, gallery, 2)
    assert again[-1].key == steps[-1].key
    assert len(library.read(again[-1].key).triplets) == 25


def test_other_thresholds_begin_another_file(library):
    gallery = make_gallery()
    key = ship(library, gallery)
    usual = made(library, key, gallery, 1)[-1].key
    other = made(library, key, gallery, 2, near_duplicate=0.9)[-1].key
    assert other != usual
    assert len(library.read(other).triplets) == 2
    titles = [file.title for file in library.files()]
    assert "Made here from toys: 2 pairs, 0.7 / 0.9 / 0.002" in titles


def test_a_file_that_is_begun_can_be_read_before_its_first_triplet(library):
    gallery = make_gallery()
    steps = library.generate("shipped/none.jsonl", gallery, 2, Thresholds(), lambda: False)
    with closing(steps):
        begun = next(steps)
        assert begun.new == ()
        assert len(library.read(begun.key).triplets) == 0
        next(steps)
        assert len(library.read(begun.key).triplets) == 1


def test_stopping_keeps_what_was_made(library):
    gallery = make_gallery()
    steps = []
    for step in library.generate("", gallery, 20, Thresholds(), lambda: len(steps) > 3):
        steps.append(step)
    assert len(library.read(steps[-1].key).triplets) == 3


def test_making_more_than_there_are_says_so(library):
    gallery = make_gallery(8)
    every = made(library, "", gallery, 10_000)
    assert every[-1].done == every[-1].total
    with pytest.raises(CirError, match="Every pair of toys has been asked about"):
        made(library, every[-1].key, gallery, 20)


def test_without_a_language_model_nothing_is_built_and_the_way_out_is_said(tmp_path):
    library = TripletLibrary(
        tmp_path, tmp_path / "own",
        spoter=lambda: pytest.fail("built"), sentence_encoder=lambda: pytest.fail("built"),
        cannot_make=lambda: "Fetch it: python -m cir models pull embedded",
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
    assert len(library.read(library.take_in(own)).triplets) == 7
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
            library.judge(key, "x", Judgement("accepted"))
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
        made(library, every[-1].key, gallery, 20)


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
