"""`train photographs` from the command line to files that the program reads; the network has random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from cir.commands import photograph_training
from cir.models.photographs.reading import load_reader
from cir.models.photographs.recogniser import ARCHITECTURE
from cir.training.photographs import WIDTH, class_ids
from tests.commands import run


class HashedSentences:
    """Every text has a direction of its own."""

    fingerprint = "hashed"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(list(text.encode())).normal(size=384) for text in texts]
        return (np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write_nouns(folder: Path) -> None:
    lines = ["00000001 03 n 01 animal 0 000 | a living thing"]
    lines += [
        f"{one[1:]} 05 n 01 thing{i} 0 001 @ 00000001 n 0000 | what {i} means"
        for i, one in enumerate(class_ids())
    ]
    (folder / "data.noun").write_text("\n".join(lines) + "\n")


def write_pictures(folder: Path, colour: tuple[int, int, int]) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for i in range(6):
        pixels = np.clip(np.array(colour) + noise.normal(0, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def test_what_the_command_writes_is_what_the_program_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.pth"
    torch.save(timm.create_model(ARCHITECTURE, pretrained=False).state_dict(), weights)
    write_nouns(tmp_path)
    write_pictures(tmp_path / "photographs", (40, 90, 160))
    write_pictures(tmp_path / "sample" / "images", (230, 210, 60))
    monkeypatch.setattr(photograph_training, "pull_trunk", lambda part: weights)
    monkeypatch.setattr(photograph_training, "sentence_encoder_folder", lambda: tmp_path)
    monkeypatch.setattr(
        photograph_training, "load_sentence_encoder", lambda folder, device: HashedSentences()
    )
    monkeypatch.setattr(photograph_training, "SAMPLE_GALLERY", tmp_path / "sample")

    code, out, err = run(
        capsys,
        *("train", "photographs", "--photographs", str(tmp_path / "photographs")),
        *("--wordnet", str(tmp_path), "--out", str(tmp_path / "made")),
    )

    assert code == 0, err
    assert f"{tmp_path / 'made'} is written" in out
    reader = load_reader(tmp_path / "made", "cpu")
    assert reader.dim == WIDTH
    assert reader.knowledge.names[:2] == ("thing0", "thing1")
    assert len(reader.knowledge.kinds["animal"]) == 1000
    names = HashedSentences().encode(list(reader.knowledge.names))
    np.testing.assert_allclose(reader.knowledge.centre, names.mean(axis=0), atol=1e-6)
    pictures = [Image.open(tmp_path / one / "0.png") for one in ("photographs", "sample/images")]
    assert (reader.recogniser.photograph_logits(pictures) > 0).tolist() == [True, False]


def test_the_gate_needs_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nouns(tmp_path)
    code, _, err = run(capsys, "train", "photographs", "--wordnet", str(tmp_path))
    assert code == 2
    assert "Give a folder of them: --photographs DIR" in err
