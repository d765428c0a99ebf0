"""A network that is trained on a person's own triplets, and the method that it is: HyCIR's recipe on the embedded CLIP."""

from __future__ import annotations

import errno
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from cir.application import (
    build_models,
    build_trainer,
    drawn_gallery,
    open_for,
    own_methods,
    own_networks,
)
from cir.composers.registry import build_methods
from cir.errors import CirError
from cir.models.own_networks import OwnNetworks
from cir.places import ASSETS
from cir.ranking.retriever import Retriever
from cir.scripting import open_retriever
from cir.shelf import Shelf
from cir.syncir.judgements import ACCEPTED, REJECTED, Judgement
from cir.syncir.library import TripletLibrary
from cir.training import own_triplets
from cir.training.hycir import HycirTraining
from cir.training.own_triplets import LEAST, found_among_first, held_back, train_on_triplets
from cir.types import Query, TrainedNetwork, TrainingStep
from tests.commands import run
from tests.fakes import draw


@pytest.fixture(scope="module")
def gallery(models):
    return drawn_gallery(models, open_for(models))


@pytest.fixture
def library(tmp_path: Path) -> TripletLibrary:
    def none():
        raise AssertionError("no model is needed to read triplets")

    return TripletLibrary(ASSETS / "triplets", tmp_path / "triplets", spoter=none, sentence_encoder=none)


@pytest.fixture
def networks(models, tmp_path: Path, monkeypatch) -> OwnNetworks:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    for name, number in (("IMAGES", 24), ("TRIPLETS", 12)):
        monkeypatch.setattr(own_triplets, name, number)
    return own_networks(models)


@pytest.fixture
def triplets(library):
    return library.kept("shipped/sample.jsonl", 0.7)[:200]


def trained(networks, triplets, gallery, title="Sample gallery", minutes=0.01) -> TrainedNetwork:
    *steps, made = train_on_triplets(networks, triplets, gallery, title, minutes=minutes)
    assert all(isinstance(step, TrainingStep) for step in steps)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert isinstance(made, TrainedNetwork)
    return made


def test_a_trained_network_is_a_method_here_and_on_the_command_line(
    models, networks, triplets, gallery, capsys, tmp_path: Path
) -> None:
    made = trained(networks, triplets, gallery)
    assert (made.name, made.triplets + made.held) == ("HyCIR on Sample gallery", 200)
    assert 0.0 <= made.found <= 1.0
    assert made.found_before is not None
    assert made.found_before > 0.5  # the set's own network is a good one
    methods = own_methods(networks)
    assert [*methods] == [made.name]
    query = Query(draw("red", "square", 96), "in the snow")
    own, *_ = Retriever(open_for(models), methods).compose(query, made.name)
    (shipped,) = Retriever(open_for(models), {"HyCIR": _shipped(models)}).compose(query, "HyCIR")
    assert not np.allclose(*(next(iter(one.parts.values())) for one in (own, shipped)))
    draw("red", "square", 96).save(tmp_path / "reference.png")
    status, out, err = run(
        capsys, "search", "--image", tmp_path / "reference.png", "--text", "in the snow", "--llm", "none", "--json",
        "--method", "hycir on sample gallery",
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(out)["method"] == made.name
    assert made.name in open_retriever(open_for(models), models).methods


def _shipped(models):
    from cir.application import ingredients

    return build_methods(ingredients(models))["HyCIR"]


def test_a_newer_network_for_a_gallery_takes_the_place_of_the_one_before_and_others_stay(
    networks, triplets, gallery
) -> None:
    long = "Pictures of a journey that took us over the mountains in the year "
    titles = ("Sample gallery", f"{long}2025", f"{long}2026", "Sample gallery")
    for title in titles:
        trained(networks, triplets, gallery, title)
    assert sorted(networks.names()) == sorted({f"HyCIR on {title}" for title in titles})
    assert [path.suffix for path in networks.folder.iterdir()] == [".safetensors"] * 3


def test_a_training_that_is_closed_goes_on_from_where_it_was(networks, triplets, gallery) -> None:
    def steps():
        return train_on_triplets(networks, triplets, gallery, "Sample gallery", minutes=5)

    first = steps()
    numbers = [step.number for step in itertools.islice(first, 3)]
    first.close()
    second = steps()
    numbers.append(next(second).number)
    second.close()
    assert numbers == [1, 2, 3, 4]
    assert networks.names() == []


def test_what_cannot_be_kept_of_a_training_that_is_stopped_is_said(
    models, networks, triplets, gallery, monkeypatch
) -> None:
    def full(training: object, row: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(HycirTraining, "save", full)
    steps = build_trainer(models, cast(Shelf, None))(triplets, gallery, "Sample gallery")
    next(steps)
    with pytest.raises(OSError, match="No space left"):
        steps.close()  # type: ignore[attr-defined]


def test_what_a_person_said_of_triplets_is_learned_from(library) -> None:
    key = "shipped/sample.jsonl"
    table = library.table(key)
    kept = library.kept(key, 0.7)
    rejected = next(i for i, t in enumerate(table.triplets) if t == kept[0])
    edited = next(i for i, t in enumerate(table.triplets) if t == kept[1])
    dropped = next(i for i, t in enumerate(table.triplets) if t.text and t.verdict == "dropped")
    library.judge(key, rejected, Judgement(kept[0].triplet_id, REJECTED))
    library.judge(key, edited, Judgement(kept[1].triplet_id, ACCEPTED, "quite another text"))
    library.judge(key, dropped, Judgement(table.triplets[dropped].triplet_id, ACCEPTED))
    after = {t.triplet_id: t.text for t in library.kept(key, 0.7)}
    assert kept[0].triplet_id not in after
    assert after[kept[1].triplet_id] == "quite another text"
    assert table.triplets[dropped].triplet_id in after
    assert len(library.kept(key, 0.9)) < len(kept)


def test_triplets_that_are_held_back_share_no_group_with_those_that_are_learned_from(library) -> None:
    kept = library.kept("shipped/sample.jsonl", 0.7)
    learn, held = held_back(kept)
    assert {t.members[0] for t in learn}.isdisjoint(t.members[0] for t in held)
    assert 0.04 < len(held) / len(kept) < 0.2


def test_too_few_triplets_and_those_of_another_gallery_are_refused_in_words(
    networks, triplets, gallery
) -> None:
    with pytest.raises(CirError, match="are the least that teach anything"):
        next(train_on_triplets(networks, triplets[: LEAST - 1], gallery, "few"))
    strange = [*triplets[:-1], replace(triplets[-1], target_id="not-there")]
    with pytest.raises(CirError, match="The pictures of 1 triplet are not in"):
        next(train_on_triplets(networks, strange, gallery, "strange"))


def test_networks_of_another_clip_and_damaged_ones_are_no_methods(networks, triplets, gallery) -> None:
    path = networks.path(trained(networks, triplets, gallery).name)
    whole = path.read_bytes()
    path.with_name("cut.safetensors").write_bytes(whole[:50])
    wanted = networks.models.tower.fingerprint.encode()
    other = wanted[:-1] + (b"0" if wanted[-1:] != b"0" else b"1")
    path.write_bytes(whole.replace(wanted, other))
    assert networks.names() == []


def test_the_target_is_found_where_a_loop_finds_it(models, gallery, triplets) -> None:
    clip, network = models.tower, models.phi("hycir").network
    asked, found = triplets[:12], 0
    method = _shipped(build_models("embedded", llm="none"))
    for t in asked:
        words = method.phi.map_features(_joined(models, gallery, t.reference_id))
        row = method.text_encoder.encode_spliced(*_around(words, method, t.text))
        scores = gallery.image_features @ (row.ravel()[: gallery.image_features.shape[1]])
        scores[gallery.find(t.reference_id)] = -np.inf
        found += int((scores > scores[gallery.find(t.target_id)]).sum() < 10)
    assert found_among_first(clip, network, asked, gallery) == pytest.approx(found / 12)


def _joined(models, gallery, image_id: str) -> np.ndarray:
    """Raw features of the set's joined space, of one picture."""
    return open_for(models).raw_features(image_id)[None]


def _around(words, method, text):
    before, after = method.template(text)
    return before, words, after


def test_a_method_that_is_offered_is_on_every_gallery_of_the_shelf(models, tmp_path: Path) -> None:
    first = Retriever(open_for(models), {"HyCIR": _shipped(models)})
    shelf = Shelf(
        first,
        cache_root=tmp_path,
        image_encoder_fingerprint=models.clip.fingerprint,
        shipped={"Sample photographs": ASSETS / "photographs"},
    )
    open_before = shelf.retriever(":Sample photographs")
    shelf.offer("HyCIR on mine", _shipped(models))
    assert first.methods == open_before.methods == ("HyCIR", "HyCIR on mine")
