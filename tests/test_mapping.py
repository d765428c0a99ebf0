"""The mapping network: our layout and the published ones, what is refused, what goes in and out."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.mapping import MappingModel, MappingNetwork, load_mapping, save_mapping


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def phi_layers(width: int, hidden: int, out: int) -> nn.Sequential:
    """LinCIR's and SEARLE's: their keys are "0.weight", "3.weight", "6.weight"."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, out),
    ).eval()


class Img2Text(nn.Module):
    """Pic2Word's: blocks of Linear, Dropout, ReLU, and a last layer."""

    def __init__(self, width: int, middle: int, out: int) -> None:
        super().__init__()
        blocks = [nn.Sequential(nn.Linear(a, middle), nn.Dropout(0.1), nn.ReLU()) for a in (width, middle)]
        self.layers = nn.Sequential(*blocks)
        self.fc_out = nn.Linear(middle, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc_out(self.layers(x))


def features(width: int = 6, rows: int = 4) -> np.ndarray:
    return (3 * np.random.default_rng(0).standard_normal((rows, width))).astype(np.float32)


def of(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(torch.from_numpy(rows)).numpy()


def test_a_lincir_checkpoint_gives_what_its_layers_give(tmp_path: Path) -> None:
    theirs = phi_layers(6, 24, 8)
    state = OrderedDict((f"layers.{key}", value) for key, value in theirs.state_dict().items())
    torch.save({"epoch": 3, "Phi": state}, tmp_path / "lincir_large.pt")
    phi = load_mapping(tmp_path / "lincir_large.pt")
    words = phi.map_features(features())
    np.testing.assert_allclose(words, of(theirs, features())[:, None, :], atol=1e-6)
    assert (words.dtype, phi.tokens, phi.normalise_input) == (np.float32, 1, False)
    assert sorted(state) == [f"layers.{i}.{kind}" for i in (0, 3, 6) for kind in ("bias", "weight")]


def test_a_searle_checkpoint_with_another_output_width_loads_too(tmp_path: Path) -> None:
    theirs = phi_layers(6, 12, 10)
    torch.save(
        {"Phi": {f"module.layers.{k}": v for k, v in theirs.state_dict().items()}}, tmp_path / "searle.pt"
    )
    words = load_mapping(tmp_path / "searle.pt").map_features(features())
    np.testing.assert_allclose(words[:, 0], of(theirs, features()), atol=1e-6)


def test_a_pic2word_checkpoint_gives_what_its_layers_give(tmp_path: Path) -> None:
    theirs = Img2Text(6, 5, 8)
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save(
        {"state_dict_img2text": state, "epoch": 30, "name": "pic2word"}, tmp_path / "pic2word_large.pt"
    )
    phi = load_mapping(tmp_path / "pic2word_large.pt")
    np.testing.assert_allclose(phi.map_features(features())[:, 0], of(theirs, features()), atol=1e-6)
    assert phi.network.activation == "relu"


@pytest.mark.parametrize(("words", "word_length"), [(1, None), (4, 0.4)])
def test_our_network_survives_a_round_trip_with_what_was_written_beside_it(
    tmp_path: Path, words: int, word_length: float | None
) -> None:
    torch.manual_seed(0)
    network = MappingNetwork(6, [10, 12], words, 8, activation="relu", dropout=0.5, word_length=word_length)
    save_mapping(network, tmp_path / "phi.safetensors", {"recipe": "LinCIR", "trained_for": "clip@1"})
    phi = load_mapping(tmp_path / "phi.safetensors")
    expected = of(network, features())
    assert expected.shape == (4, words, 8)
    np.testing.assert_allclose(phi.map_features(features()), expected, atol=1e-6)
    assert phi.metadata["recipe"] == "LinCIR"
    assert phi.metadata["trained_for"] == "clip@1"
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("name", ["net", "my.network", "phi.pt"])
def test_a_network_is_read_back_whatever_its_file_is_called(tmp_path: Path, name: str) -> None:
    network = MappingNetwork(6, [10], 2, 8)
    save_mapping(network, tmp_path / name, {"recipe": "LinCIR"})
    phi = load_mapping(tmp_path / name)
    np.testing.assert_allclose(phi.map_features(features()), of(network, features()), atol=1e-6)
    assert phi.metadata["recipe"] == "LinCIR"


def test_a_network_saved_in_half_precision_is_read_in_full(tmp_path: Path) -> None:
    network = MappingNetwork(6, [10], 2, 8, word_length=1.0)
    expected = of(network, features())
    save_mapping(network.half(), tmp_path / "phi.safetensors", {})
    words = load_mapping(tmp_path / "phi.safetensors").map_features(features())
    assert words.dtype == np.float32
    np.testing.assert_allclose(words, expected, atol=0.02)


def test_a_network_whose_training_has_run_away_is_not_written_and_the_one_before_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "phi.safetensors"
    network = MappingNetwork(6, [10], 1, 8)
    save_mapping(network, path, {})
    before = path.read_bytes()
    with torch.no_grad():
        next(network.parameters())[0] = 1e30  # too large for half of the size
    with pytest.raises(CirError, match="run away"):
        save_mapping(network.half(), path, {})
    assert [path.read_bytes(), [one.name for one in tmp_path.iterdir()]] == [before, ["phi.safetensors"]]


def test_pseudo_words_start_at_the_length_of_real_words() -> None:
    torch.manual_seed(0)
    words = of(MappingNetwork(6, [32], 4, 192, word_length=0.37), features())
    np.testing.assert_allclose(np.linalg.norm(words, axis=-1), 0.37, rtol=1e-3)


def test_dropout_acts_in_training_only() -> None:
    network = MappingNetwork(6, [64], 1, 8, dropout=0.5)
    rows = torch.from_numpy(features())
    assert not torch.equal(network.train()(rows), network(rows))
    torch.testing.assert_close(MappingModel(network, "x").network(rows), network(rows), rtol=0, atol=0)


def test_features_go_in_raw_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    network = MappingNetwork(6, [10], 1, 8)
    rows = features()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    save_mapping(network, tmp_path / "raw.safetensors", {})
    save_mapping(network, tmp_path / "unit.safetensors", {"normalise_input": True})
    raw, normalised = load_mapping(tmp_path / "raw.safetensors"), load_mapping(tmp_path / "unit.safetensors")
    np.testing.assert_allclose(raw.map_features(rows), of(network, rows), atol=1e-6)
    np.testing.assert_allclose(normalised.map_features(rows), of(network, unit), atol=1e-6)
    assert raw.fingerprint.split("@")[1] != normalised.fingerprint.split("@")[1]


def test_the_fingerprint_changes_with_a_weight_and_not_with_the_metadata(tmp_path: Path) -> None:
    network = MappingNetwork(6, [10], 1, 8)
    path = tmp_path / "phi.safetensors"
    save_mapping(network, path, {"recipe": "a"})
    first = load_mapping(path).fingerprint
    save_mapping(network, path, {"recipe": "b"})
    assert load_mapping(path).fingerprint == first
    with torch.no_grad():
        network.linears[0].weight[0, 0] += 0.01
    save_mapping(network, path, {"recipe": "a"})
    assert load_mapping(path).fingerprint != first


@pytest.mark.parametrize("shape", [(2, 7), (6,), (1, 1, 6)])
def test_features_of_another_clip_model_are_refused(shape: tuple[int, ...]) -> None:
    phi = MappingModel(MappingNetwork(6, [10], 1, 8), "phi@1")
    with pytest.raises(CirError, match=r"phi@1 takes image features of width 6.*trained for this CLIP model"):
        phi.map_features(np.zeros(shape, np.float32))


def test_fault_81_values_that_are_not_finite_are_an_error() -> None:
    phi = MappingModel(MappingNetwork(6, [10], 1, 8), "phi@1")
    with pytest.raises(CirError, match="not finite"):
        phi.map_features(np.full((1, 6), np.inf, np.float32))


def test_no_features_give_no_words() -> None:
    words = MappingModel(MappingNetwork(6, [10], 3, 8), "phi@1").map_features(np.zeros((0, 6), np.float32))
    assert words.shape == (0, 3, 8)


def test_fault_74_a_file_that_is_not_there_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"no mapping network at .*phi\.safetensors.*models list"):
        load_mapping(tmp_path / "phi.safetensors")


def test_fault_75_a_file_with_another_hash_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "phi.safetensors"
    save_mapping(MappingNetwork(6, [10], 1, 8), path, {})
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_mapping(path, sha256=right.upper()).tokens == 1
    with pytest.raises(UnsafeFile, match=f"has the SHA-256 {right}, not {'0' * 64}"):
        load_mapping(path, sha256="0" * 64)
    path.write_bytes(b"junk")
    with pytest.raises(UnsafeFile, match="has the SHA-256"):
        load_mapping(path, sha256=right)


class Touch:
    """Makes a file when it is unpickled without care."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.flag,)


def test_fault_72_a_pickle_with_code_in_it_is_refused_and_not_executed(tmp_path: Path) -> None:
    flag = tmp_path / "executed"
    torch.save({"Phi": Touch(flag)}, tmp_path / "evil.pt")
    with pytest.raises(UnsafeFile, match="It was not opened"):
        load_mapping(tmp_path / "evil.pt")
    assert not flag.exists()


@pytest.mark.parametrize("name", ["phi.safetensors", "phi.pt"])
@pytest.mark.parametrize("content", [b"", b"junk" * 50, b"PK\x03\x04 not a zip"])
def test_fault_71_junk_is_refused_whatever_it_is_called(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnsafeFile, match=name.replace(".", r"\.")):
        load_mapping(tmp_path / name)


def test_fault_71_a_truncated_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "phi.safetensors"
    save_mapping(MappingNetwork(6, [10], 1, 8), path, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UnsafeFile, match="no whole safetensors file"):
        load_mapping(path)


def lacking(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key != "layers.3.bias"}


def mismatched(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "layers.3.weight": torch.zeros(24, 23)}


def with_more(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "extra": torch.zeros(3)}


@pytest.mark.parametrize("spoil", [lacking, mismatched, with_more, lambda state: {}])
def test_layers_that_do_not_fit_are_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> None:
    state = {f"layers.{key}": value for key, value in phi_layers(6, 24, 8).state_dict().items()}
    torch.save({"Phi": spoil(state)}, tmp_path / "phi.pt")
    with pytest.raises(UnsafeFile, match="not a mapping network of a known layout"):
        load_mapping(tmp_path / "phi.pt")


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, {"Combiner": {"layers.0.weight": torch.zeros(2, 2)}}, [1, 2]]
)
def test_another_kind_of_checkpoint_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "combiner.pt")
    with pytest.raises(UnsafeFile, match='neither "Phi" nor "state_dict_img2text"'):
        load_mapping(tmp_path / "combiner.pt")


def test_a_safetensors_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    state = MappingNetwork(6, [10], 1, 8).state_dict()
    save_file(
        state,
        tmp_path / "phi.safetensors",
        metadata={"mapping": '{"shape": {"layout": "recompose-mapping-9"}}'},
    )
    with pytest.raises(UnsafeFile, match="its layout is 'recompose-mapping-9'"):
        load_mapping(tmp_path / "phi.safetensors")
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "phi.safetensors")
    with pytest.raises(UnsafeFile, match="known layout"):
        load_mapping(tmp_path / "phi.safetensors")


def test_the_layer_norm_scales_each_word_by_itself() -> None:
    network = MappingNetwork(6, [10], 2, 8, word_length=2.0)
    words = of(network, features())
    linear = of(MappingNetworkWithoutNorm(network), features())
    centred = linear - linear.mean(axis=-1, keepdims=True)
    expected = centred / np.sqrt(centred.var(axis=-1, keepdims=True) + 1e-5) * 2.0 / math.sqrt(8)
    np.testing.assert_allclose(words, expected, atol=1e-5)


class MappingNetworkWithoutNorm(nn.Module):
    """The same network up to its layer norm."""

    def __init__(self, network: MappingNetwork) -> None:
        super().__init__()
        self.inner = network

    def forward(self, x: Tensor) -> Tensor:
        first, last = self.inner.linears
        return last(nn.functional.gelu(first(x))).unflatten(-1, (2, 8))
