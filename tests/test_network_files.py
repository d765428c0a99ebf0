"""Networks in eight bits a number: how far a number moves, what stays, which files are read, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from cir.errors import UnsafeFile
from cir.evaluation.benchmark import read_benchmark
from cir.models.clip import load_clip
from cir.models.eight_bits import LEAST_NUMBERS, packed, unpacked
from cir.models.fusion.files import load_fusion
from cir.models.mapping import MappingNetwork, load_mapping, save_mapping
from cir.models.network_files import pack_matrices, read_tensors
from cir.places import ASSETS
from tests.commands import run

SHIPPED = ASSETS / "models"


@given(
    seed=st.integers(0, 999), size=st.floats(1e-4, 1e3), shape=st.sampled_from([(128, 128), (64, 16, 4, 4)])
)
@settings(max_examples=20, deadline=None)
def test_a_number_moves_by_at_most_half_a_step_of_its_row(
    seed: int, size: float, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(seed)
    matrix = size * torch.randn(shape)
    matrix[0] = 0.0
    (found,) = unpacked(packed({"matrix": matrix})).values()
    assert found.shape == matrix.shape
    for row, again in zip(matrix, found, strict=True):
        step = row.abs().max() / 127
        assert (row - again).abs().max() <= step * 0.501


def test_what_is_small_or_no_matrix_stays_bit_by_bit() -> None:
    state = {
        "norm.weight": torch.randn(LEAST_NUMBERS),
        "small.weight": torch.randn(2, LEAST_NUMBERS // 2 - 1).half(),
        "steps": torch.arange(2 * LEAST_NUMBERS).reshape(2, -1),
    }
    kept = packed(state)
    assert kept.keys() == state.keys()
    assert all(kept[name].dtype == row.dtype and torch.equal(kept[name], row) for name, row in state.items())


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A mapping network's file, in half precision."""
    torch.manual_seed(0)
    path = tmp_path / "phi.safetensors"
    save_mapping(MappingNetwork(256, [512, 512], 1, 192).half(), path, {"recipe": "pic2word"})
    return path


def test_a_network_in_half_precision_and_one_in_eight_bits_are_read_and_make_the_same_words(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    before, size = load_mapping(network), network.stat().st_size
    status, out, _ = run(capsys, "models", "shrink", network)
    assert status == 0
    assert f"{network}: {size:,} -> {network.stat().st_size:,} bytes" in out
    assert network.stat().st_size < 0.52 * size
    after = load_mapping(network)
    assert after.metadata == before.metadata
    assert after.fingerprint != before.fingerprint  # what is kept of the one is none of the other's
    old, new = (model.map_features(features).reshape(64, -1) for model in (before, after))
    cosines = (old * new).sum(axis=1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
    assert cosines.min() > 0.999


def test_a_shipped_network_in_half_precision_makes_nearly_the_same_queries_in_eight_bits(
    tmp_path: Path,
) -> None:
    clip = load_clip(SHIPPED / "clip", device="cpu")
    path = Path(shutil.copy(SHIPPED / "methods" / "clip4cir.safetensors", tmp_path))
    before = load_fusion(path, clip)
    pack_matrices(path)
    after, benchmark = load_fusion(path, clip), read_benchmark("world-validation")
    for query in benchmark.queries[:6]:
        picture = benchmark.picture(query.reference_id)
        old, new = (model.fuse(picture, query.modification_text) for model in (before, after))
        assert 0.9995 < float((old * new).sum()) < 0.9999999


def test_a_network_is_packed_once(network: Path) -> None:
    pack_matrices(network)
    once = network.read_bytes()
    pack_matrices(network)
    assert network.read_bytes() == once
    matrix = load_file(network)["linears.1.weight"]
    assert matrix.dtype == torch.int8
    assert matrix.abs().max() == 127


def test_what_is_no_network_that_a_training_has_left_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = SHIPPED / "clip" / "open_clip_model.safetensors"
    copy = Path(shutil.copy(clip, tmp_path / "clip.safetensors"))
    status, _, err = run(capsys, "models", "shrink", copy)
    assert status != 0
    assert "no network that a training has left" in err
    assert copy.read_bytes() == clip.read_bytes()
    assert "There is no file" in run(capsys, "models", "shrink", tmp_path / "none.safetensors")[2]


def test_a_packed_file_that_lost_a_matrix_is_refused(network: Path) -> None:
    from safetensors.torch import save_file

    pack_matrices(network)
    state = load_file(network)
    del state["linears.1.weight"]
    save_file(state, network, {"mapping": "{}", "bits": "8"})
    with pytest.raises(UnsafeFile, match="no whole safetensors file"):
        read_tensors(network, "mapping", "Fetch it again.")
