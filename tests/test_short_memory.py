"""A captioner that is larger than the memory: in less precision, then with what does not fit on the disk."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captioner_doubles import blip2_folder
from PIL import Image

from cir.__main__ import main
from cir.models import pretrained
from cir.models.blip2 import load_captioner
from cir.models.pretrained import parameters_in, placement, weights_digest

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return blip2_folder(tmp_path_factory.mktemp("blip2"))


def free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(pretrained, "SHARE_OF_MEMORY", 1.0)
    monkeypatch.setattr(pretrained.psutil, "virtual_memory", lambda: SimpleNamespace(available=count))


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8))


PICTURES = [picture(seed) for seed in range(3)]


def test_the_number_of_weights_is_read_without_reading_them(folder: Path) -> None:
    model = load_captioner(folder, "cpu").model
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert parameters_in(folder) == sum(p.numel() for p in model.state_dict().values()) - tied(model)


def tied(model: torch.nn.Module) -> int:
    """Numbers that stand twice in a state dictionary, and once in a file."""
    seen: set[int] = set()
    twice = 0
    for tensor in model.state_dict().values():
        twice += tensor.numel() if tensor.data_ptr() in seen else 0
        seen.add(tensor.data_ptr())
    return twice


def test_precision_and_place_follow_from_the_memory_that_is_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "SHARE_OF_MEMORY", 1.0)
    count = parameters_in(folder)
    assert placement(folder, CPU, 4 * count) == {"dtype": torch.float32}
    assert placement(folder, CPU, 4 * count - 1) == {"dtype": torch.bfloat16}
    short = placement(folder, CPU, 2 * count - 1)
    assert (short["dtype"], short["device_map"]) == (torch.bfloat16, "auto")
    assert short["max_memory"] == {"cpu": 2 * count - 1}


def test_what_does_not_fit_is_read_from_the_disk_and_the_captions_are_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = parameters_in(folder)
    free(monkeypatch, 2 * count)
    whole = load_captioner(folder, "cpu")
    assert whole.model.dtype == torch.bfloat16
    free(monkeypatch, count)
    short = load_captioner(folder, "cpu")
    assert "disk" in short.model.hf_device_map.values()
    assert short.caption(PICTURES, per_image=2, seed=0) == whole.caption(PICTURES, per_image=2, seed=0)
    assert short.likeliest(PICTURES) == whole.likeliest(PICTURES)
    assert short.fingerprint == whole.fingerprint


def test_weights_are_named_by_their_files_and_by_what_was_written_down_of_them(
    folder: Path, tmp_path: Path
) -> None:
    found = weights_digest(folder)
    assert len(found) == len(list(folder.glob("*.safetensors")))
    name, path = next((n, folder / n) for n in found)
    row = {"size": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns, "sha256": "f" * 64}
    lock = folder.parent / "models.lock.json"
    lock.write_text(json.dumps({f"{folder.name}/{name}": row}), encoding="utf-8")
    assert weights_digest(folder)[name] == "f" * 64  # fifteen gigabytes are not hashed at every start
    lock.write_text(json.dumps({f"{folder.name}/{name}": {**row, "size": 1}}), encoding="utf-8")
    assert weights_digest(folder) == found
    lock.unlink()


def test_a_device_that_is_no_device_or_not_there_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "check", "--device", "gpu"]) == 2
    assert "Say cpu, cuda, cuda:1" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["models", "check", "--device", "cuda", "--llm", "none"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err
