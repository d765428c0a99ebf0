"""SynCir: pairs, texts, verdicts, files, and runs that are stopped, killed, damaged and resumed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import ToyLanguageModel
from hypothesis import given, settings
from hypothesis import strategies as st
from syncir_doubles import BagOfWords, FakeSpoter, made_gallery, random_features, run

from cir.errors import BadImage, CirError, GalleryError, LanguageModelFailed
from cir.models.protocols import SpotInput
from cir.prompts import hycir_query_text
from cir.ranking.engines import neighbours
from cir.ranking.engines.neighbours import find_neighbours
from cir.replies import parse_query_text
from cir.syncir.candidates import SynCirSettings, find_candidates, unit_rows
from cir.syncir.consistency import Thresholds, consistency_scores, judge
from cir.syncir.exchange import read_foreign, to_cirr
from cir.syncir.judgements import (
    Judgement,
    append_judgement,
    apply_judgements,
    judgements_path,
    read_judgements,
)
from cir.syncir.pairs import PAIR_RANKS, Subgroup, mine_subgroups, pairs_of, shuffled
from cir.syncir.pipeline import synthesize
from cir.syncir.query_text import CaptionSpoter, TemplateSpoter
from cir.syncir.records import (
    funnel_from,
    funnel_of,
    manifest_path,
    read_manifest,
    read_triplets,
    write_triplets,
)
from cir.types import Triplet

ROOT = Path(__file__).resolve().parents[1]
CIRR = ROOT.parent / "shared" / "datasets" / "cirr" / "cap.rc2.val.json"
needs_cirr = pytest.mark.skipif(not CIRR.exists(), reason="CIRR's annotations are not here")


# Pairs


def brute_force(features: np.ndarray, near: float, gap: float, reading: str, top: int = 20):
    """The rule read off the paper, image by image."""
    groups = []
    for seed in range(len(features)):
        similarity = (features @ features[seed]).astype(np.float64)
        ranked = sorted((i for i in range(len(features)) if i != seed), key=lambda i: (-similarity[i], i))
        group, last = [seed], 1.0
        for other in ranked[:top]:
            distance = 1.0 - similarity[other]
            fits = similarity[other] < near if reading == "similarity" else distance < near
            if fits and last - similarity[other] > gap and len(group) < 6:
                group.append(other)
                last = similarity[other]
        if len(group) == 6:
            groups.append(tuple(group))
    return groups


@pytest.mark.parametrize("reading", ["similarity", "distance"])
@pytest.mark.parametrize(("near", "gap"), [(0.94, 0.002), (0.5, 0.002), (0.7, 0.02), (1.0, 0.0)])
def test_mining_finds_what_a_brute_force_reading_finds(reading: str, near: float, gap: float) -> None:
    features = random_features(200)
    mined = mine_subgroups(find_neighbours(features), near_duplicate=near, gap=gap, reading=reading)
    expected = brute_force(features, near, gap, reading)
    assert [group.members for group in mined.subgroups] == expected
    assert mined.ungrouped == 200 - len(expected)
    assert len(expected) > 0
    for group in mined.subgroups[:20]:
        assert group.similarities[0] == 1.0
        assert group.similarities[1:] == pytest.approx(
            features[list(group.members[1:])] @ features[group.members[0]], abs=1e-6
        )


def test_neighbours_are_those_of_a_full_sort_whatever_the_block(monkeypatch) -> None:
    features = random_features(90, seed=3)
    monkeypatch.setattr(neighbours, "_BLOCK", 32)
    found = find_neighbours(features, top=7)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :7]
    assert (found.ids == order).all()
    assert found.similarities == pytest.approx(np.take_along_axis(similarity, order, axis=1), abs=1e-6)


def test_equal_pictures_are_neighbours_in_the_order_of_the_gallery() -> None:
    features = np.tile(random_features(1), (5, 1))
    assert find_neighbours(features, top=2).ids.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_too_few_images_have_no_subgroup_and_no_error(count: int) -> None:
    mined = mine_subgroups(find_neighbours(random_features(count)))
    assert (mined.subgroups, mined.ungrouped) == ((), count)


def test_near_duplicates_are_left_out_when_similarity_is_read_and_kept_when_distance_is() -> None:
    seed = np.zeros(8, np.float32)
    seed[0] = 1.0
    cosines = [1.0, 0.97, 0.9, 0.899, 0.8, 0.7, 0.6, 0.5]
    features = np.zeros((8, 8), np.float32)
    for row, cosine in enumerate(cosines):
        features[row, 0], features[row, row] = cosine, np.sqrt(1 - cosine**2) if row else cosine
    neighbours = find_neighbours(features)
    by_similarity = mine_subgroups(neighbours).subgroups[0]
    assert by_similarity.members == (0, 2, 4, 5, 6, 7)  # 0.97 is a near duplicate; 0.899 is too close to 0.9
    by_distance = mine_subgroups(neighbours, reading="distance").subgroups[0]
    assert by_distance.members == (0, 1, 2, 4, 5, 6)


def test_a_reading_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(CirError, match="'cosine'"):
        mine_subgroups(find_neighbours(random_features(6)), reading="cosine")  # type: ignore[arg-type]


@needs_cirr
def test_the_nine_pairs_are_those_of_the_published_annotations() -> None:
    rows = json.loads(CIRR.read_text(encoding="utf-8"))
    found = {(row["img_set"]["reference_rank"], row["img_set"]["target_rank"]) for row in rows}
    assert found == set(PAIR_RANKS)


def test_the_nine_pairs_are_a_ring_and_the_seed_to_all_but_the_last() -> None:
    ring = {(i, (i + 1) % 6) for i in range(6)}
    assert set(PAIR_RANKS) == ring | {(0, 2), (0, 3), (0, 4)}
    assert len(PAIR_RANKS) == 9


def test_a_pair_that_comes_again_is_left_out_and_its_reverse_is_not() -> None:
    same = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
    groups = [Subgroup((0, 1, 2, 3, 4, 5), same), Subgroup((1, 2, 0, 7, 8, 9), same)]
    pairs = pairs_of(groups)
    ids = [(pair.reference, pair.target) for pair in pairs]
    assert len(ids) == len(set(ids)) == 17  # (1, 2) is in both
    assert (5, 0) in ids
    assert (2, 0) in ids
    assert (0, 2) in ids
    assert [pair.subgroup for pair in pairs] == [groups[0]] * 9 + [groups[1]] * 8


def test_the_order_of_subgroups_depends_on_the_seed_alone() -> None:
    groups = mine_subgroups(find_neighbours(random_features(40))).subgroups
    assert shuffled(groups, 1) == shuffled(groups, 1)
    assert shuffled(groups, 1) != shuffled(groups, 2)
    assert sorted(g.members for g in shuffled(groups, 1)) == sorted(g.members for g in groups)


# Texts

FIGURE_3 = (
    "Source sentence: a red cat Target sentence: a blue dog If source sentence describes a source picture and "
    "target sentence describes a target picture, the source picture and an instruction are used to find the "
    "target picture. The instruction should indicate the difference between source and target. It should be as "
    "short as possible. Show the instruction."
)


def test_the_prompt_of_figure_3_is_word_for_word_the_papers() -> None:
    prompt = hycir_query_text("a red cat", "a blue dog", "figure3")
    assert prompt.strip() == FIGURE_3
    assert prompt.stop == ""


def test_the_prompt_with_examples_shares_all_but_the_captions() -> None:
    one, two = hycir_query_text("a", "b", "examples"), hycir_query_text("a cat\nis", "a dog", "examples")
    assert one.prefix == two.prefix
    assert one.instruction in FIGURE_3
    assert two.question == "Source sentence: a cat is\nTarget sentence: a dog\nInstruction:"
    for question, answer in two.examples:
        captions = [line.split(": ", 1)[1] for line in question.splitlines()[:2]]
        assert parse_query_text(answer, captions) == answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("replace the cats with a dog", "replace the cats with a dog"),
        ("Instruction: Change the colour to red.", "Change the colour to red"),
        ('The instruction is: "Add a dog."', "Add a dog"),
        ("Sure, here is the instruction:\nMake it night.\n", "Make it night"),
        ("Sure! Add two hats.", "Add two hats"),
        ("**Instruction:** Remove the man", "Remove the man"),
        ("- Show it in the snow", "Show it in the snow"),
        ("1. Show it in the snow\n2. Add a dog", "Show it in the snow"),
        ("Source sentence: a cat\nTarget sentence: a dog\nInstruction: a dog instead", "a dog instead"),
        ("The instruction should be to add a hat", "add a hat"),
        ("'a dog instead'", "a dog instead"),
        ("the text reads: stop", "the text reads: stop"),
        (
            "a bag instead of the fan, a cap instead of the big pot, and a cup instead of the pens",
            "a bag instead of the fan, a cap instead of the big pot, and a cup instead of the pens",
        ),
        ("", None),
        ("   \n \n", None),
        ("??", None),
        ("Instruction:", None),
        ("A Red Cat.", None),  # an echo of the reference's caption
        ("a blue dog", None),  # and of the target's
        ("I'm sorry, but I cannot do that.", None),
        ("As an AI, I see no pictures.", None),
        ("<script>alert(1)</script>", None),
        ("see https://example.org", None),
        ("the dog and the cat " * 12, None),
        ("word " * 60, None),
    ],
)
def test_a_text_is_read_out_of_chatter_and_what_is_none_is_refused(answer: str, text: str | None) -> None:
    assert parse_query_text(answer, ["a red cat", "a blue dog"]) == text


@given(answer=st.text(max_size=400), caption=st.text(max_size=30))
@settings(max_examples=30, deadline=None)
def test_whatever_a_model_says_becomes_one_short_line_or_nothing(answer: str, caption: str) -> None:
    text = parse_query_text(answer, [caption])
    assert text is None or (text == " ".join(text.split()) and 0 < len(text) <= 160)


def shown(caption: str) -> SpotInput:
    def never() -> None:
        raise AssertionError("captions are enough")

    return SpotInput(caption, never)  # type: ignore[arg-type]


def test_the_spoter_asks_with_both_captions_and_answers_an_empty_text_for_junk() -> None:
    model = ToyLanguageModel(["Instruction: make it blue", "<|im_start|>system", "a red cat"])
    spoter = CaptionSpoter(model)
    assert spoter.spot(shown("a red cat"), shown("a blue cat")) == "make it blue"
    assert "Source sentence: a red cat\nTarget sentence: a blue cat" in model.prompts[0]
    assert spoter.spot(shown("a red cat"), shown("a blue cat")) == ""
    assert spoter.spot(shown("a red cat"), shown("a blue cat")) == ""
    assert spoter.fingerprint != CaptionSpoter(model, "figure3").fingerprint


def test_a_template_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CirError, match="'short'"):
        CaptionSpoter(ToyLanguageModel(), "short")


def test_templates_put_both_captions_into_a_sentence_without_a_model() -> None:
    spoter, captions = TemplateSpoter(), [f"A dog on hill {i}." for i in range(20)]
    texts = [spoter.spot(shown("Two cats, asleep. "), shown(caption)) for caption in captions]
    assert {text.split()[0] for text in texts} == {"A", "Unlike"}  # either sentence
    for i, text in enumerate(texts):
        assert text in (
            f"A dog on hill {i} instead of Two cats, asleep",
            f"Unlike Two cats, asleep, I want A dog on hill {i}",
        )
    assert texts == [TemplateSpoter().spot(shown("Two cats, asleep. "), shown(c)) for c in captions]
    assert spoter.spot(shown(""), shown("a dog")) == spoter.spot(shown("a dog"), shown(" . ")) == ""


# Verdicts


def made_triplet(**values) -> Triplet:
    fields = {"reference_caption": "a red square", "target_caption": "a blue square", "text": "make it blue"}
    return Triplet("1", "a", "b", **{**fields, **values})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, ""),
        ({"consistency": 0.7}, ""),
        ({"consistency": 0.69999}, "inconsistent"),
        ({"text": "", "consistency": 0.9}, "no usable text"),
        ({"target_caption": "A  red square", "consistency": 0.9}, "same captions"),
        ({"reference_caption": "", "target_caption": "", "consistency": 0.9}, ""),
        ({"consistency": 0.9, "target_rank": 10}, ""),
        ({"consistency": 0.9, "target_rank": 11}, "target ranked too low"),
        ({"consistency": 0.9, "target_rank": None}, ""),
    ],
)
def test_a_verdict_follows_from_what_is_stored(values: dict, reason: str) -> None:
    judged = judge(made_triplet(verdict="kept", reason="old", **values), Thresholds(max_target_rank=10))
    assert (judged.verdict, judged.reason) == ("dropped" if reason else "kept", reason)
    assert judge(judged, Thresholds(max_target_rank=10)) == judged


def test_a_rank_counts_only_when_a_highest_rank_is_set() -> None:
    assert judge(made_triplet(target_rank=4000), Thresholds()).verdict == "kept"


@pytest.mark.parametrize("value", [1.0001, -1.5, float("nan"), float("inf"), "0.7", True, None])
@pytest.mark.parametrize("name", ["consistency", "near_duplicate", "gap"])
def test_a_threshold_that_no_cosine_reaches_is_refused(name: str, value: object) -> None:
    with pytest.raises(CirError, match=name.replace("_", " ")):
        Thresholds(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_a_highest_rank_below_one_is_refused(value: object) -> None:
    with pytest.raises(CirError, match="rank"):
        Thresholds(max_target_rank=value)  # type: ignore[arg-type]


def test_consistency_is_the_cosine_of_the_sum_with_the_target() -> None:
    encoder = BagOfWords()
    references, texts, targets = (
        ["a red square", "a cat"],
        ["make it blue", "add a dog"],
        ["a blue square", "x"],
    )
    expected = []
    for reference, text, target in zip(references, texts, targets, strict=True):
        one, two, three = encoder.encode([reference, text, target])
        total = one + two
        expected.append(float(total @ three / np.sqrt(total @ total)))
    assert consistency_scores(references, texts, targets, encoder) == pytest.approx(expected, abs=1e-6)
    joined = [float(np.prod(encoder.encode([f"{r} {t}", g]), axis=0).sum()) for r, t, g in zip(references, texts, targets, strict=True)]  # fmt: skip
    found = consistency_scores(references, texts, targets, encoder, "concatenate")
    assert found == pytest.approx(joined, abs=1e-6)
    assert consistency_scores([], [], [], encoder).shape == (0,)


def test_a_better_text_scores_higher() -> None:
    good, bad = consistency_scores(
        ["a red square"] * 2, ["make it a blue square", "add three hats"], ["a blue square"] * 2, BagOfWords()
    )
    assert good > bad


def test_an_encoder_that_gives_no_numbers_is_named() -> None:
    class Broken(BagOfWords):
        def encode(self, texts):
            return np.full((len(texts), 4), np.nan, np.float32)

    with pytest.raises(CirError, match="not numbers"):
        consistency_scores(["a"], ["b"], ["c"], Broken())


# Files


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    triplets = [
        made_triplet(
            members=("a", "b"),
            ranks=(3, 4),
            similarities=(1.0, 0.912345678),
            consistency=0.70000499,
            target_rank=3,
        ),
        made_triplet(text="ein Fluß\u2028im Wald", verdict="dropped", reason="inconsistent"),
    ]
    assert write_triplets(tmp_path / "t.jsonl", triplets) == 2
    read = read_triplets(tmp_path / "t.jsonl")
    assert read[0] == replace(triplets[0], similarities=(1.0, 0.91235), consistency=0.7)
    assert read[1] == triplets[1]


@pytest.mark.parametrize(
    "line",
    [
        "{not json}",
        "[1]",
        '{"triplet_id": "x", "reference_id": "a", "target_id": "b"}',
        '{"triplet_id": 1, "reference_id": "a", "target_id": "b", "text": "t"}',
        '{"triplet_id": "x", "reference_id": "a", "target_id": "b", "text": "t", "consistency": NaN}',
        '{"triplet_id": "x", "reference_id": "a", "target_id": "b", "text": "t", "ranks": [1]}',
        '{"triplet_id": "x", "reference_id": "a", "target_id": "b", "text": "t", "verdict": 7}',
    ],
)
def test_a_damaged_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    write_triplets(path, [made_triplet(), made_triplet()])
    whole = path.read_text().splitlines()
    path.write_text("\n".join([whole[0], line, whole[1]]) + "\n")
    with pytest.raises(CirError, match=r"Line 2 of t\.jsonl"):
        read_triplets(path)


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write_triplets(path, [made_triplet(), made_triplet()])
    path.write_text(path.read_text()[:-20])
    assert len(read_triplets(path)) == 1


def test_a_file_that_is_not_there_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CirError, match=r"none\.jsonl cannot be read: no such file"):
        read_triplets(tmp_path / "none.jsonl")
    (tmp_path / "t.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CirError, match="UTF-16 or UTF-32, not in UTF-8"):
        read_triplets(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(CirError, match="no text file"):
        read_triplets(tmp_path / "t.jsonl")


def test_judgements_are_kept_beside_the_file_and_the_last_word_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    dropped = replace(made_triplet(consistency=0.2), verdict="dropped", reason="inconsistent")
    triplets = [replace(dropped, triplet_id=name) for name in "abcde"]
    write_triplets(path, triplets)
    assert read_judgements(path) == []
    for judgement in [
        Judgement("a", "accepted"),
        Judgement("b", "rejected"),
        Judgement("c", "edited", "paint it"),
        Judgement("d", "accepted"),
        Judgement("d", "cleared"),
        Judgement("b", "accepted"),
        Judgement("b", "rejected"),
    ]:
        append_judgement(path, judgement)
    assert judgements_path(path).name == "t.judged.jsonl"
    a, b, c, d, e = apply_judgements(read_triplets(path), read_judgements(path))
    assert (a.verdict, a.reason, a.consistency) == ("kept", "", 0.2)
    assert (b.verdict, b.reason) == ("dropped", "rejected by hand")
    assert (c.verdict, c.text, c.consistency) == ("kept", "paint it", None)
    assert (d, e) == (triplets[3], triplets[4])
    assert read_triplets(path) == triplets


ON_A_FULL_DISK = """
import errno, resource, sys
from pathlib import Path
from cir.syncir.judgements import Judgement, append_judgement, judgements_path, replace_judgement
path = Path(sys.argv[1])
append_judgement(path, Judgement("a", "edited", "paint it"))
size = judgements_path(path).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), resource.RLIM_INFINITY))  # so much of it is written, without an error
try:
    replace_judgement(path, Judgement("a", "rejected", "paint it red"))
except OSError as error:
    sys.exit(errno.errorcode[error.errno])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("room", [0, 30, 100])
def test_a_judgement_for_which_there_is_no_room_leaves_what_was_said_before(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "t.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(path), str(room)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stderr.strip() in ("ENOSPC", "EFBIG")
    assert read_judgements(path) == [Judgement("a", "edited", "paint it")]
    append_judgement(path, Judgement("b", "accepted"))
    assert read_judgements(path) == [Judgement("a", "edited", "paint it"), Judgement("b", "accepted")]


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        ('{"triplet_id": "a", "action": "acc', []),
        ('{"triplet_id": "a", "action": "accepted"}', [Judgement("a", "accepted")]),
    ],
)
def test_a_last_line_without_its_end_hides_nothing_that_is_said_after_it(
    tmp_path: Path, left: str, kept: list[Judgement]
) -> None:
    path = tmp_path / "t.jsonl"
    judgements_path(path).write_text(left, encoding="utf-8")
    append_judgement(path, Judgement("b", "rejected"))
    assert read_judgements(path) == [*kept, Judgement("b", "rejected")]


def test_an_edited_text_stays_when_the_triplet_is_rejected_or_accepted_later() -> None:
    edits = [Judgement("1", "edited", "paint it"), Judgement("1", "accepted")]
    assert apply_judgements([made_triplet()], edits)[0].text == "paint it"


@pytest.mark.parametrize("values", [("x", "liked"), ("x", "edited", "")])
def test_a_judgement_that_says_nothing_is_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(CirError):
        Judgement(*values)


def test_the_funnel_counts_every_stage() -> None:
    mined = mine_subgroups(find_neighbours(random_features(30)))
    pairs = pairs_of(mined.subgroups)
    rows = [
        made_triplet(),
        made_triplet(text="", verdict="dropped", reason="no usable text"),
        made_triplet(verdict="dropped", reason="inconsistent"),
        made_triplet(verdict="dropped", reason="inconsistent"),
    ]
    funnel = funnel_of(31, mined, pairs, rows, uncaptioned=1)
    assert (funnel.images, funnel.uncaptioned, funnel.groups, funnel.ungrouped) == (31, 1, 30, 0)
    assert funnel.grouped == 30
    assert funnel.pairs + funnel.repeated == 9 * 30
    assert (funnel.done, funnel.texts, funnel.kept) == (4, 3, 1)
    assert funnel.dropped == {"inconsistent": 2, "no usable text": 1}


# Runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of an unbroken run."""
    out = tmp_path_factory.mktemp("whole") / "t.jsonl"
    run(out)
    return out.read_bytes()


def test_every_pair_becomes_a_line_with_its_whole_history(tmp_path: Path) -> None:
    out, gallery, spoter = tmp_path / "new" / "t.jsonl", made_gallery(), FakeSpoter()
    reports = run(out, gallery, spoter)
    triplets = read_triplets(out)
    expected = find_candidates(gallery, SynCirSettings())
    assert [(t.reference_id, t.target_id) for t in triplets] == [
        (gallery.image_ids[p.reference], gallery.image_ids[p.target]) for p in expected.pairs
    ]
    assert len({t.triplet_id for t in triplets}) == len(triplets)
    for triplet in triplets:
        assert triplet.reference_caption == gallery.captions(triplet.reference_id)[0]
        assert triplet.members[triplet.ranks[0]] == triplet.reference_id
        assert triplet.members[triplet.ranks[1]] == triplet.target_id
        assert triplet.ranks in PAIR_RANKS
        assert triplet.similarities[0] == 1.0
        assert judge(triplet, Thresholds()) == triplet
    asked = [t for t in triplets if t.reason != "same captions"]
    assert spoter.asked == [(t.reference_caption, t.target_caption) for t in asked]
    last = reports[-1]
    assert [report.done for report in reports] == list(range(len(triplets) + 1))
    assert (last.done, last.total) == (len(triplets), len(triplets))
    assert last.kept == last.funnel.kept == sum(t.verdict == "kept" for t in triplets) > 0
    assert last.funnel == funnel_of(30, expected.mined, expected.pairs, triplets)
    assert funnel_from(read_manifest(out)) == last.funnel
    assert read_manifest(out)["models"] == {"spoter": "fake-spoter@1", "sentence_encoder": "bag@1"}
    assert list(tmp_path.glob("new/.*")) == []


def test_a_limit_takes_whole_subgroups_first_and_can_be_raised_later(tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "t.jsonl"
    assert run(out, limit=20)[-1].total == 20
    assert out.read_bytes().splitlines() == whole.splitlines()[:20]
    spoter = FakeSpoter()
    reports = run(out, spoter=spoter, limit=25)
    assert (reports[0].done, reports[-1].done) == (20, 25)
    assert out.read_bytes().splitlines() == whole.splitlines()[:25]
    assert len(spoter.asked) <= 5
    assert run(out, limit=10)[-1].done == 25


def test_a_run_that_was_stopped_goes_on_to_the_same_file(tmp_path: Path, whole: bytes) -> None:
    out, calls = tmp_path / "t.jsonl", itertools.count()
    reports = run(out, stop=lambda: next(calls) >= 7)
    assert reports[-1].done == 7
    assert funnel_from(read_manifest(out)).done == 7
    run(out)
    assert out.read_bytes() == whole


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_that_was_cut_off_is_made_again(tmp_path: Path, whole: bytes, cut: int) -> None:
    out = tmp_path / "t.jsonl"
    run(out, limit=12)
    out.write_bytes(out.read_bytes()[:-cut])
    run(out)
    assert out.read_bytes() == whole


def test_fault_63_a_killed_run_goes_on_to_the_file_of_an_unbroken_one(tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "t.jsonl"
    code = f"from syncir_doubles import run_until_killed; from pathlib import Path; run_until_killed(Path({str(out)!r}), 11)"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "hanging\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = read_triplets(out)
    assert 11 <= len(done) < len(whole.splitlines())
    spoter = FakeSpoter()
    run(out, spoter=spoter)
    assert out.read_bytes() == whole
    ids = [t.triplet_id for t in read_triplets(out)]
    assert len(ids) == len(set(ids))
    rest = read_triplets(out)[len(done) :]
    assert len(spoter.asked) == sum(t.reason != "same captions" for t in rest)


def test_a_language_model_that_dies_keeps_what_was_done(tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "t.jsonl"
    died = LanguageModelFailed("It died.", "Wait.")
    with pytest.raises(LanguageModelFailed, match=r"It died\. Kept in .*: 5 pairs") as caught:
        run(out, spoter=FakeSpoter([*[f"text {i}" for i in range(5)], died, died]), gallery=distinct())
    assert "again" in caught.value.remedy
    assert len(read_triplets(out)) == 5
    run(out, gallery=distinct())
    assert len(read_triplets(out)) == len(find_candidates(distinct(), SynCirSettings()).pairs)


def distinct():
    """A gallery in which no two images have the same caption."""
    return made_gallery(captions=[[f"a thing of kind {i}"] for i in range(30)])


def test_a_language_model_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    spoter = FakeSpoter([LanguageModelFailed("Busy.", "Wait."), "paint it"])
    run(tmp_path / "t.jsonl", distinct(), spoter, limit=2)
    assert read_triplets(tmp_path / "t.jsonl")[0].text == "paint it"


def test_junk_is_recorded_and_nothing_is_lost(tmp_path: Path) -> None:
    run(tmp_path / "t.jsonl", distinct(), FakeSpoter(["", "", "add a hat"]), limit=4)
    rows = read_triplets(tmp_path / "t.jsonl")
    assert [row.reason for row in rows[:2]] == ["no usable text"] * 2
    assert [row.consistency for row in rows[:2]] == [None, None]
    assert rows[2].text == "add a hat"
    assert funnel_from(read_manifest(tmp_path / "t.jsonl")).dropped["no usable text"] == 2


def test_a_picture_that_is_gone_leaves_its_pair_without_a_text_and_the_run_goes_on(tmp_path: Path) -> None:
    run(
        tmp_path / "t.jsonl", distinct(), FakeSpoter([BadImage("Gone.", "Restore it."), "add a hat"]), limit=2
    )
    assert [row.text for row in read_triplets(tmp_path / "t.jsonl")] == ["", "add a hat"]


def test_fault_78_a_language_model_that_never_answers_is_asked_twice_for_a_pair_and_no_more(
    tmp_path: Path,
) -> None:
    spoter = FakeSpoter([LanguageModelFailed("No answer.", "Wait.")] * 9)
    with pytest.raises(LanguageModelFailed, match=r"Kept in .*: 0 pairs"):
        run(tmp_path / "t.jsonl", distinct(), spoter)
    assert len(spoter.asked) == 2


def test_pairs_with_the_same_caption_are_dropped_without_asking(tmp_path: Path) -> None:
    spoter = FakeSpoter()
    gallery = made_gallery(captions=[["a red square"]] * 30)
    last = run(tmp_path / "t.jsonl", gallery, spoter, limit=9)[-1]
    assert spoter.asked == []
    assert last.funnel.dropped == {"same captions": 9}


def test_images_without_captions_take_no_part_and_are_counted(tmp_path: Path) -> None:
    captions = [[] if i % 3 == 0 else [f"a thing of kind {i}"] for i in range(30)]
    gallery = made_gallery(captions=captions)
    last = run(tmp_path / "t.jsonl", gallery)[-1]
    without = {gallery.image_ids[i] for i in range(0, 30, 3)}
    assert (last.funnel.images, last.funnel.uncaptioned) == (30, 10)
    for triplet in read_triplets(tmp_path / "t.jsonl"):
        assert not without & set(triplet.members)


@pytest.mark.parametrize(
    ("count", "captions", "said"),
    [
        (0, None, "no images"),
        (1, None, "1 image,"),
        (5, None, "5 images,"),
        (30, [], "no captions"),
        (30, [["x"]] * 5 + [[]] * 25, "5 captioned images"),
    ],
)
def test_a_gallery_with_nothing_to_pair_is_one_sentence(
    tmp_path: Path, count: int, captions: list | None, said: str
) -> None:
    with pytest.raises(GalleryError, match=said) as caught:
        run(tmp_path / "t.jsonl", made_gallery(count, captions=captions))
    assert "python -m cir index" in caught.value.remedy
    assert not (tmp_path / "t.jsonl").exists()


def test_thresholds_that_leave_no_group_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="alike enough") as caught:
        run(tmp_path / "t.jsonl", settings=SynCirSettings(Thresholds(near_duplicate=-1.0)))
    assert "--near-duplicate" in caught.value.remedy


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"settings": SynCirSettings(Thresholds(consistency=0.5))}, "another consistency"),
        ({"settings": SynCirSettings(combine="concatenate")}, "another combine"),
        ({"settings": SynCirSettings(seed=3)}, "another seed"),
        ({"gallery": made_gallery(29)}, "another images"),
    ],
)
def test_another_run_does_not_write_into_the_file(tmp_path: Path, changed: dict, said: str) -> None:
    out = tmp_path / "t.jsonl"
    run(out, limit=5)
    before = out.read_bytes()
    with pytest.raises(CirError, match=said) as caught:
        run(out, **changed)
    assert "--no-resume" in caught.value.remedy
    assert out.read_bytes() == before


def test_a_file_whose_manifest_is_gone_is_checked_by_its_pairs(tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "t.jsonl"
    run(out, limit=5)
    manifest_path(out).unlink()
    with pytest.raises(CirError, match="Line 1"):
        run(out, settings=SynCirSettings(seed=3))
    run(out)
    assert out.read_bytes() == whole


def test_beginning_anew_puts_the_old_file_aside(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    run(out, limit=5)
    before = out.read_bytes()
    run(out, limit=3, resume=False, settings=SynCirSettings(seed=3))
    assert len(read_triplets(out)) == 3
    assert (tmp_path / "t.jsonl.old").read_bytes() == before


def test_two_runs_do_not_write_one_file_at_once(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    first = synthesize(made_gallery(), FakeSpoter(), BagOfWords(), out)
    next(first)
    next(first)
    with pytest.raises(CirError, match=r"Another run is writing t\.jsonl"):
        run(out)
    first.close()
    assert run(out, limit=4)[-1].done == 4


def test_a_run_may_be_resumed_and_closed_in_other_threads(tmp_path: Path) -> None:
    """A page's generator is: the file has to be free again afterwards."""
    out = tmp_path / "t.jsonl"
    running = synthesize(made_gallery(), FakeSpoter(), BagOfWords(), out)
    for step in (lambda: next(running), lambda: next(running), running.close):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert run(out, limit=4)[-1].done == 4


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(CirError, match="at least one"):
        run(tmp_path / "t.jsonl", limit=limit)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CirError, match=r"t\.jsonl cannot be written"):
        run(tmp_path / "file" / "t.jsonl")


def test_the_engines_rank_is_asked_for_kept_triplets_only_and_can_drop_them(tmp_path: Path) -> None:
    asked: list[str] = []

    def ranker(triplet: Triplet) -> int:
        assert triplet.verdict == "kept"
        asked.append(triplet.triplet_id)
        return 1 + len(asked) % 2 * 50

    settings = SynCirSettings(Thresholds(max_target_rank=10))
    run(tmp_path / "t.jsonl", settings=settings, target_ranker=ranker, limit=40)
    rows = read_triplets(tmp_path / "t.jsonl")
    ranked = [row for row in rows if row.target_rank is not None]
    assert [row.triplet_id for row in ranked] == asked
    assert {row.target_rank: row.reason for row in ranked} == {51: "target ranked too low", 1: ""}
    assert {row.reason for row in rows if row.target_rank is None} <= {"same captions", "inconsistent"}


def test_pairs_can_be_mined_with_another_image_encoder(tmp_path: Path, whole: bytes) -> None:
    other = unit_rows(random_features(30, seed=77) * 3)
    run(tmp_path / "t.jsonl", features=("other@1", other))
    assert (tmp_path / "t.jsonl").read_bytes() != whole
    assert read_manifest(tmp_path / "t.jsonl")["gallery"]["mined_with"] == "other@1"
    with pytest.raises(GalleryError, match="7 rows of features cannot be those of 30 images"):
        run(tmp_path / "u.jsonl", features=("other@1", other[:7]))
    with pytest.raises(CirError, match="zero or not finite"):
        unit_rows(np.zeros((2, 3), np.float32))


# Other layouts


def test_an_export_has_cirrs_keys_and_is_read_again(tmp_path: Path) -> None:
    run(tmp_path / "t.jsonl", limit=30)
    triplets = read_triplets(tmp_path / "t.jsonl")
    rows = to_cirr(triplets)
    kept = [t for t in triplets if t.verdict == "kept"]
    assert [row["caption"] for row in rows] == [t.text for t in kept]
    assert [row["pairid"] for row in rows] == list(range(len(kept)))
    for row, triplet in zip(rows, kept, strict=True):
        group = row["img_set"]
        assert set(row) == {"pairid", "reference", "target_hard", "target_soft", "caption", "img_set"}
        assert group["members"][group["reference_rank"]] == row["reference"] == triplet.reference_id
        assert group["members"][group["target_rank"]] == row["target_hard"] == triplet.target_id
    (tmp_path / "cirr.json").write_text(json.dumps(to_cirr(triplets, everything=True)))
    back = read_foreign(tmp_path / "cirr.json")
    assert [(t.reference_id, t.target_id, t.ranks) for t in back] == [
        (t.reference_id, t.target_id, t.ranks) for t in triplets
    ]
    assert back[0].members == triplets[0].members  # all ranks of its set are known


def test_a_triplet_without_a_subgroup_is_exported_with_its_two_images() -> None:
    (row,) = to_cirr([made_triplet()])
    assert row["img_set"] == {"id": 0, "members": ["a", "b"], "reference_rank": 0, "target_rank": 1}


LASCO = [
    {
        "qid": 28714000,
        "query-image": [28714, "val2014/1.jpg"],
        "query-text": "The person is riding the bike",
        "target-image": [277005, "val2014/2.jpg"],
    }
]
LAION = [
    {
        "ref_image_id": 12,
        "relative_cap": "make it\u202e red",
        "tgt_image_id": "13",
        "tgt_caption_opt": "a red car",
        "blip2_caption_opt": "a car",
    }
]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (LASCO, ("28714000", "val2014/1.jpg", "val2014/2.jpg", "The person is riding the bike", "", "")),
        (LAION, (None, "12", "13", "make it red", "a car", "a red car")),
        ({"12": {"relative_cap": "make it red", "tgt_image_id": "13"}}, (None, "12", "13", "make it red", "", "")),
        ([{"candidate": "a", "target": "b", "captions": ["is red", "longer"]}], (None, "a", "b", "is red and longer", "", "")),
        ([{"reference": "a", "target": "b", "relative_caption": "x y z"}], (None, "a", "b", "x y z", "", "")),
    ],
)  # fmt: skip
def test_other_peoples_triplets_are_read(tmp_path: Path, content: object, expected: tuple) -> None:
    (tmp_path / "x.json").write_text(json.dumps(content))
    (triplet,) = read_foreign(tmp_path / "x.json")
    found = (triplet.reference_id, triplet.target_id, triplet.text)
    assert (*found, triplet.reference_caption, triplet.target_caption) == expected[1:]
    assert expected[0] in (None, triplet.triplet_id)
    assert (triplet.verdict, triplet.consistency) == ("kept", None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON"),
        ('"text"', "no list"),
        ("{}", "no list"),
        ("[1]", "Row 1 of x.json is no object"),
        ('[{"reference": "a", "caption": "c", "pairid": 1}]', "Row 1 .* target image .*'target_hard'"),
        (json.dumps([*LASCO, {**LASCO[0], "query-image": None}]), "Row 2 .* reference image .*'query-image'"),
        (json.dumps([{**LASCO[0], "query-text": 7}]), "Row 1 .* no text .*'query-text'"),
        (json.dumps([{**LASCO[0], "query-text": "  "}]), "Row 1 .* no text"),
        (json.dumps([{"reference": "a", "target": "b"}]), "Row 1 .* no text .*'caption'"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_row_and_key(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CirError, match=said):
        read_foreign(tmp_path / "x.json")


@needs_cirr
def test_cirrs_own_annotations_are_read_with_the_subgroups_that_they_tell() -> None:
    triplets = read_foreign(CIRR)
    assert len(triplets) == 4181
    first = triplets[0]
    assert (first.triplet_id, first.reference_id, first.target_id) == (
        "12060",
        "dev-244-0-img0",
        "dev-1028-1-img1",
    )
    assert (first.text, first.ranks) == ("show three bottles of soft drink", (2, 3))
    whole = [t for t in triplets if t.members]
    assert len({t.members for t in whole}) >= 347  # sets of which all nine pairs were annotated
    for triplet in whole:
        assert triplet.members[triplet.ranks[0]] == triplet.reference_id
        assert triplet.members[triplet.ranks[1]] == triplet.target_id
