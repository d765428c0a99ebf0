"""The delta generator: it reads both pictures, belongs to one captioner, is trained in parts, and writes triplets' texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from syncir_doubles import BagOfWords

import cir.commands.synthesizing as command
from benchmarks.spoters import kinds_in
from cir.errors import BadQuery, MissingModel, UnsafeFile
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.models.blip2 import Blip2Captioner, load_captioner
from cir.models.delta_generator import Comparison, DeltaGenerator, DeltaSpoter, load_delta, save_delta
from cir.models.protocols import SpotInput
from cir.places import ASSETS
from cir.syncir.records import read_manifest, read_triplets
from cir.training import delta, pictures, recipes
from cir.training.loop import RunSettings, launch
from cir.training.pictures import encode_pictures
from cir.training.trunk import trained_trunk
from cir.world.reading import nouns_in
from tests.commands import run

SHIPPED = ASSETS / "models" / "methods" / "delta.safetensors"


@pytest.fixture(scope="module")
def captioner() -> Blip2Captioner:
    torch.set_num_threads(1)
    return load_captioner(ASSETS / "models" / "blip2", "cpu")


@pytest.fixture(scope="module")
def spoter(captioner: Blip2Captioner) -> DeltaSpoter:
    return load_delta(SHIPPED, captioner)


@pytest.fixture(scope="module")
def world() -> Benchmark:
    return read_benchmark("world")


def shown(picture: Image.Image, caption: str = "a caption") -> SpotInput:
    return SpotInput(caption, lambda: picture)


def test_it_says_what_leads_from_one_picture_to_the_other_and_not_back(
    spoter: DeltaSpoter, world: Benchmark
) -> None:
    queries = [query for query in world.queries if query.kind in ("replace", "add", "remove")][:12]
    there = back = 0
    for query in queries:
        reference, target = (shown(world.picture(i)) for i in (query.reference_id, query.target_ids[0]))
        text = spoter.spot(reference, target)
        there += nouns_in(text) == nouns_in(query.modification_text) and kinds_in(text) == {query.kind}
        back += spoter.spot(target, reference) == text
    assert there >= 3  # of 135 things, one is named by chance hardly ever
    assert back <= 2


def test_a_photograph_and_a_text_that_cannot_be_used_give_no_text(
    spoter: DeltaSpoter, world: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = world.queries[0]
    reference, target = (shown(world.picture(i)) for i in (query.reference_id, query.target_ids[0]))
    assert spoter.spot(reference, target)
    with monkeypatch.context() as patch:
        patch.setattr(spoter, "_is_drawing", lambda picture: False)
        assert spoter.spot(reference, target) == ""
    monkeypatch.setattr(spoter, "write", lambda references, targets: ["a caption"])
    assert spoter.spot(reference, target) == ""  # no instruction: it is what was given


def test_it_is_refused_for_another_captioner_and_where_the_file_is_none(
    captioner: Blip2Captioner, tmp_path: Path
) -> None:
    with pytest.raises(MissingModel, match="train delta"):
        load_delta(tmp_path / "none.safetensors", captioner)
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(UnsafeFile, match="no whole safetensors"):
        load_delta(tmp_path / "junk.safetensors", captioner)
    with pytest.raises(UnsafeFile, match="no delta generator"):
        load_delta(ASSETS / "models" / "mapping" / "hycir.safetensors", captioner)
    own, fewer = tmp_path / "own.safetensors", tmp_path / "fewer.safetensors"
    fresh, other = (
        DeltaGenerator(captioner.model, ["quagga"]),
        Blip2Captioner(captioner.model, captioner.processor, "other", "other@1"),
    )
    save_delta(fresh, own, {"trained_for": captioner.fingerprint})
    words = load_delta(own, captioner).tokenizer.get_vocab()
    assert words["quagga"] == len(words) - 1 == len(captioner.processor.tokenizer.get_vocab())
    with pytest.raises(BadQuery, match=r"made for the captioner blip2@\w+; this one is other@1"):
        load_delta(own, other)
    del fresh.marks
    save_delta(fresh, fewer, {"trained_for": captioner.fingerprint})
    with pytest.raises(UnsafeFile, match="lacks some of its weights"):
        load_delta(fewer, captioner)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs with a few encoded pictures, seen by the shipped trunk."""
    monkeypatch.setattr(pictures, "CHUNK_PAIRS", 8)
    monkeypatch.setattr(delta, "BATCH", 4)
    trunk = trained_trunk(ASSETS / "models" / "clip")
    for name, (seed, held_out) in {"pictures": (1, False), "held_out": (77, True)}.items():
        encode_pictures(tmp_path / name, trunk, pairs=8, seed=seed, held_out=held_out)
    return tmp_path


def test_a_training_goes_on_where_it_was_and_leaves_a_generator_with_what_made_it(
    runs: Path, captioner: Blip2Captioner, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    extra = {
        "pictures": runs / "pictures",
        "held_out": runs / "held_out",
        "captioner": ASSETS / "models" / "blip2",
    }
    settings = RunSettings(runs / "delta", minutes=0.05, device="cpu", extra=extra)
    launch(delta.train_delta, settings)
    rows = [
        json.loads(line) for line in (runs / "delta" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert rows[-1]["steps"] > 0
    assert rows[-1]["pairs"] > 0
    again = replace(settings, minutes=0.1)
    launch(delta.train_delta, again)
    more = [
        json.loads(line) for line in (runs / "delta" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert more[-1]["steps"] > rows[-1]["steps"]
    assert more[-1]["samples"] == 4 * more[-1]["steps"]
    stage = recipes.Stage(runs=runs, minutes=0.05, out=runs / "out.safetensors")
    monkeypatch.setattr(recipes.Stage, "last", lambda self, name, holds: runs / name)
    recipes.train_delta(stage)
    written = load_delta(runs / "out.safetensors", captioner)
    assert any(
        not torch.allclose(a.float(), b.float())
        for a, b in zip(
            written.generator.decoder.model.decoder.layers.parameters(),
            captioner.model.language_model.model.decoder.layers.parameters(),
            strict=True,
        )
    )


def test_the_language_model_stays_as_it_was_while_the_rest_is_aligned(
    runs: Path, captioner: Blip2Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "ALIGNED", 2.0)
    extra = {
        "pictures": runs / "pictures",
        "held_out": runs / "held_out",
        "captioner": ASSETS / "models" / "blip2",
    }
    launch(delta.train_delta, RunSettings(runs / "aligned", minutes=0.05, device="cpu", extra=extra))
    tuned, known = delta.trained_generator(runs / "aligned" / "checkpoint.pt", captioner), captioner.model
    for ours, theirs in zip(
        tuned.decoder.model.decoder.layers.parameters(),
        known.language_model.model.decoder.layers.parameters(),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    assert not torch.equal(tuned.projection.weight, known.language_projection.weight)


def test_the_command_writes_triplets_without_a_language_model(
    capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "build_sentence_encoder", lambda folder, pooling: BagOfWords())
    out = tmp_path / "t.jsonl"
    status, _, said = run(capsys, "synthesize", "--spoter", "delta", "--out", out, "--limit", 6)
    assert status == 0, said
    texts = [triplet.text for triplet in read_triplets(out)]
    assert sum(map(bool, texts)) >= 4
    assert any(nouns_in(text) for text in texts)
    assert read_manifest(out)["models"]["spoter"].startswith("delta@")


def test_a_set_without_a_captioner_is_told_what_is_missing() -> None:
    models = SimpleNamespace(
        captioner=None, photographs=None, missing={"captioner": "There is no captioner."}
    )
    with pytest.raises(MissingModel, match="There is no captioner"):
        command.build_spoter(models, "delta")  # type: ignore[arg-type]


def test_what_is_left_of_a_query_without_its_like_is_put_beside_it_and_nothing_at_first() -> None:
    torch.manual_seed(0)
    comparison = Comparison(192, 192)
    with torch.no_grad():
        assert not comparison(torch.randn(1, 16, 192), torch.randn(1, 16, 192)).any()
        comparison.left.weight.copy_(torch.eye(192))
        comparison.sharpness.fill_(200.0)
        seen = torch.randn(1, 16, 192)
        other = torch.cat([seen[:, 1:], torch.randn(1, 1, 192)], dim=1).flip(
            1
        )  # all but the first, elsewhere
        left = comparison(seen, other)[0].norm(dim=-1)
    assert float(left[0]) > 5.0
    assert float(left[1:].max()) < 0.01
