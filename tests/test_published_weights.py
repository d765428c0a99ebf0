"""Weights that the authors of compared methods have published: read at their names, refused in words, offered for the set "large"."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import published_slowly as slowly
import pytest
import torch
from blip_doubles import word_pieces
from PIL import Image
from published_doubles import (
    blip4cir_folder,
    combiner_state,
    compodiff_folder,
    compodiff_state,
    context_i2w_file,
    covr_state,
    keds_folder,
    keds_stream,
    save_covr,
)

from cir.composers.fused import FusedInOwnSpace
from cir.composers.patch_inversion import PatchInversion
from cir.composers.registry import build_methods
from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models import blip4cir_published, catalog, clip4cir_published, keds_published
from cir.models.blip4cir_published import forward_text, read_published_blip4cir, spread
from cir.models.catalog import list_models, pull
from cir.models.clip4cir_published import filled_up, read_published_clip4cir
from cir.models.compodiff_published import SAMPLES, Norm, read_published_compodiff
from cir.models.covr_published import prepared_text, read_published_covr
from cir.models.mapping import load_mapping
from cir.models.model_set import Models
from cir.models.patch_networks import load_patch_words
from cir.models.patches import patch_rows, token_rows
from cir.models.published import names_asked_for
from cir.prompts import pic2word_template
from cir.types import Query
from tests.commands import run
from tests.fakes import ToyClip, draw, toy_gallery, unit
from tests.test_composers import ingredients

KEDS = {"dim": 10, "hidden": 14, "word": 12, "inner": 128}
CONTEXT = {"view": 20, "dim": 12, "hidden": 14, "word": 12, "inner": 128, "looks": 2, "thinking": 24}
COVR = {
    "side": 32,
    "patch": 8,
    "width": 128,
    "depth": 2,
    "words": 120,
    "word": 64,
    "layers": 2,
    "places": 64,
    "dim": 12,
}


def rows_of(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name.removeprefix("module."): tensor.double().numpy() for name, tensor in state.items()}


def picture(seed: int = 0, size: tuple[int, int] = (40, 56)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8))


def test_keds_words_are_those_of_the_paper_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keds_published, "AT_ONCE", 7)  # so that the nearest lie in many pieces
    folder = keds_folder(tmp_path / "KEDs", 40, **KEDS)
    network = load_mapping(folder, name="keds")
    features = 7.0 * np.random.default_rng(0).standard_normal((3, 10)).astype(np.float32)
    found = network.map_features(features)
    bases = [torch.load(folder / f"cc_{kind}_databases.pt").double().numpy() for kind in ("image", "text")]
    for row, words in zip(features.astype(np.float64), found, strict=True):
        streams = [
            slowly.keds(
                {
                    name: rows_of(part)
                    for name, part in keds_stream(seed, **KEDS).items()
                    if "state_dict_" in name
                },
                row,
                *bases,
            )
            for seed in (0, 1)
        ]
        np.testing.assert_allclose(words, np.concatenate(streams), atol=1e-5)
    assert (network.tokens, network.input_dim, network.word_width) == (6, 10, 12)


def test_another_base_is_another_network(tmp_path: Path) -> None:
    one, other = (load_mapping(keds_folder(tmp_path / str(n), n, **KEDS), name="keds") for n in (30, 40))
    assert one.fingerprint != other.fingerprint


def test_keds_files_that_are_missing_or_something_else_are_refused_with_a_way_out(tmp_path: Path) -> None:
    folder = keds_folder(tmp_path / "KEDs", 40, **KEDS)
    with pytest.raises(
        UnsafeFile, match=r"stream of KEDs, which says nothing.*into one folder: image_stream\.pt, text"
    ):
        load_mapping(folder / "image_stream.pt")
    base = folder / "cc_text_databases.pt"
    torch.save(torch.ones(40, 9), base)
    with pytest.raises(UnsafeFile, match=r"cc_text_databases.pt is no base of features that are 10 wide"):
        load_mapping(folder)
    torch.save(torch.ones(39, 10), base)
    with pytest.raises(UnsafeFile, match=r"do not belong together"):
        load_mapping(folder)
    stream = keds_stream(1, **KEDS)
    stream["state_dict_retrieval_fuse"]["module.cross_layers.0.to_z.weight"] = torch.ones(2)
    torch.save(stream, folder / "text_stream.pt")
    with pytest.raises(UnsafeFile, match=r"it has cross_layers.0.to_z.weight, which belongs to nothing"):
        load_mapping(folder)
    torch.save({"state_dict_img2text": stream["state_dict_img2text"]}, folder / "text_stream.pt")
    with pytest.raises(UnsafeFile, match='has no "state_dict_retrieval_fuse" in it'):
        load_mapping(folder)
    (folder / "text_stream.pt").unlink()
    with pytest.raises(MissingModel, match=r"holds no text_stream.pt"):
        load_mapping(folder)


def test_context_i2ws_word_is_that_of_the_paper_step_by_step(tmp_path: Path) -> None:
    state = rows_of(context_i2w_file(tmp_path / "published.pt", **CONTEXT))
    network = load_patch_words(tmp_path / "published.pt", name="context-i2w")
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((2, 9, 20)).astype(np.float32)
    contexts = 5.0 * rng.standard_normal((2, 12)).astype(np.float32)
    words = network.map_patches(tokens, contexts, contexts)
    assert words.shape == (2, 1, 12)
    for token, context, word in zip(tokens, contexts, words[:, 0], strict=True):
        expected = slowly.context_i2w(state, token.astype(np.float64), context.astype(np.float64), looks=2)
        np.testing.assert_allclose(word, expected, atol=1e-5)
    assert (network.tokens, network.raw, network.mark) == (1, True, "jekyll")


def test_a_file_of_another_method_is_not_taken_for_context_i2ws(tmp_path: Path) -> None:
    torch.save(keds_stream(0, **KEDS), tmp_path / "other.pt")
    with pytest.raises(UnsafeFile, match=r"is not Context-I2W's network"):
        load_patch_words(tmp_path / "other.pt")
    torch.save({"Phi": {}}, tmp_path / "other.pt")
    with pytest.raises(UnsafeFile, match=r'has no "state_dict_img2text" in it. Fetch it again'):
        load_patch_words(tmp_path / "other.pt")


def test_the_mark_of_context_i2w_is_one_word_of_clip_and_its_last_merge() -> None:
    assert open_clip.SimpleTokenizer().encode("a photo of jekyll, in snow")[3] == 49_405


def test_tokens_are_what_patches_and_features_are_made_of() -> None:
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(0)
    tower = VisionTransformer(32, 16, width=8, layers=2, heads=2, mlp_ratio=2.0, output_dim=4).eval()
    torch.nn.init.normal_(tower.ln_post.weight)
    pixels = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        tokens = token_rows(tower, pixels)
        torch.testing.assert_close(tower.ln_post(tokens[:, 0]) @ tower.proj, tower(pixels))
        torch.testing.assert_close(tower.ln_post(tokens[:, 1:]), patch_rows(tower, pixels))


class Recorder:
    """A network that wants what towers have before norm and length, and remembers what it was given."""

    tokens, fingerprint, raw, mark = 1, "recorder@1", True, "jekyll"

    def map_patches(self, patches: np.ndarray, features: np.ndarray, context: np.ndarray) -> np.ndarray:
        self.given = patches, context
        return np.ones((1, 1, ToyClip.dim), np.float32)


class Reader(ToyClip):
    """A CLIP that remembers how it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    def encode_patches(self, images, *, raw: bool = False) -> np.ndarray:
        self.asked.append(raw)
        return super().encode_patches(images)

    def encode_raw_texts(self, texts) -> np.ndarray:
        self.asked += texts
        return super().encode_raw_texts(texts)


def test_a_network_that_wants_a_mark_gets_it_in_the_words_place_and_the_context_at_its_length() -> None:
    clip, phi = Reader(), Recorder()
    method = PatchInversion("Context-I2W", pic2word_template, clip, clip, clip, clip, phi)
    *_, composed = method.compose(Query(draw("red", "square"), "make it blue"))
    assert clip.asked == [True, "a photo of jekyll , make it blue"]
    assert np.linalg.norm(phi.given[1]) == pytest.approx(2.0 * np.hypot(1.0, 0.1))
    assert composed.parts


@pytest.fixture
def small_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A residual network that CLIP4CIR's reader knows by the shape of its text projection."""
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    (tmp_path / "small-clip4cir.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(tmp_path / "small-clip4cir.json")
    monkeypatch.setattr(clip4cir_published, "ARCHITECTURES", {(32, 24): "small-clip4cir"})
    torch.manual_seed(0)
    model = open_clip.create_model("small-clip4cir").eval()
    torch.nn.init.normal_(model.token_embedding.weight, std=0.5)  # so that texts differ
    return model


def clip4cir_folder(folder: Path, model: Any, **sizes: int) -> Path:
    folder.mkdir()
    torch.save({"epoch": 3, "CLIP": model.state_dict()}, folder / "cirr_clip_RN50x4_fullft.pt")
    torch.save({"epoch": 9, "Combiner": combiner_state(24, **sizes)}, folder / "cirr_comb_RN50x4_fullft.pt")
    return folder


def test_clip4cirs_query_is_that_of_the_paper_step_by_step(tmp_path: Path, small_clip: Any) -> None:
    found = read_published_clip4cir(
        clip4cir_folder(tmp_path / "CLIP4CIR", small_clip, projected=32, hidden=40), "cpu"
    )
    image, text = picture(size=(30, 90)), "make it blue"
    pixels = found.clip.preprocess(image)[None]
    with torch.no_grad():
        seen = small_clip.encode_image(pixels).double().numpy()
        said = small_clip.encode_text(open_clip.get_tokenizer("small-clip4cir")([text])).double().numpy()
    np.testing.assert_allclose(found.encode_images([image]), seen, atol=1e-5)
    expected = slowly.combiner(rows_of(combiner_state(24, 32, 40)), seen[0], said[0])
    np.testing.assert_allclose(found.fuse(image, text)[0], expected, atol=1e-5)
    assert (pixels.shape[-2:], found.dim) == ((64, 64), 24)


def test_a_long_picture_is_filled_up_to_the_ratio_that_clip4cir_has_learnt_with() -> None:
    white = Image.new("RGB", (200, 80), "white")
    filled = filled_up(white)
    assert filled.size == (200, 160)
    shown = np.asarray(filled)[:, 100, 0]
    assert (shown[:40].max(), shown[40:120].min(), shown[120:].max()) == (0, 255, 0)
    assert filled_up(white.rotate(90, expand=True)).size == (160, 200)
    square = Image.new("RGB", (100, 81), "white")
    assert filled_up(square) is square


def test_files_that_are_not_clip4cirs_are_refused(tmp_path: Path, small_clip: Any) -> None:
    folder = clip4cir_folder(tmp_path / "CLIP4CIR", small_clip, projected=32, hidden=40)
    torch.save({"Combiner": combiner_state(16, 32, 40)}, folder / "cirr_comb_RN50x4_fullft.pt")
    with pytest.raises(UnsafeFile, match=r"reads features of 16 numbers, and its CLIP makes 24"):
        read_published_clip4cir(folder)
    torch.save({"CLIP": {"text_projection": torch.ones(7, 7)}}, folder / "cirr_clip_RN50x4_fullft.pt")
    with pytest.raises(UnsafeFile, match=r"is not CLIP4CIR's tuned CLIP"):
        read_published_clip4cir(folder)
    (folder / "cirr_comb_RN50x4_fullft.pt").unlink()
    with pytest.raises(MissingModel, match=r"holds no cirr_comb_RN50x4_fullft.pt"):
        read_published_clip4cir(folder)


@pytest.fixture
def covr(tmp_path: Path) -> Path:
    """CoVR's folder, small."""
    save_covr(tmp_path / "CoVR" / "webvid-covr.ckpt", covr_state(**COVR))
    word_pieces().save(str(tmp_path / "CoVR" / "tokenizer.json"))
    return tmp_path / "CoVR"


def test_covrs_features_are_those_of_the_paper_step_by_step(covr: Path) -> None:
    found, state = read_published_covr(covr, "cpu"), rows_of(covr_state(**COVR))
    image, text = picture(1), "The dog; on the left (in SNOW)!"
    tokens = slowly.covr_tokens(state, found.prepare(image).double().numpy(), depth=2)
    seen = slowly.linear(state, "vision_proj", tokens[0])
    np.testing.assert_allclose(found.encode_images([image, image]), np.stack([seen, seen]), atol=1e-4)
    known = word_pieces().get_vocab()
    ids = [119, *(known[word] for word in ["the", "dog", "on", "the", "left", "in", "snow"]), known["[SEP]"]]
    expected = unit(slowly.covr_query(state, tokens, ids, layers=2)[None])[0]
    np.testing.assert_allclose(found.fuse(image, text)[0], expected, atol=1e-5)
    assert np.abs(found.fuse(picture(2), text)[0] - expected).max() > 1e-3
    assert np.abs(found.fuse(image, "the cat")[0] - expected).max() > 1e-3


def test_an_edit_for_covr_is_cut_where_its_training_cut() -> None:
    assert prepared_text('Make "it"  blue, #2: (now)') == "make it blue, 2 now"
    assert prepared_text("very " * 40).split() == ["very"] * 30


def test_blip4cirs_query_is_that_of_the_paper_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blip4cir_published, "SIDE", 32)
    published = covr_state(**{**COVR, "side": 16})
    folder = blip4cir_folder(tmp_path / "BLIP4CIR-Bi", published, combiner_state(12, 16, 20))
    word_pieces().save(str(folder / "tokenizer.json"))
    found = read_published_blip4cir(folder, "cpu")
    state = rows_of(
        {**published, "visual_encoder.pos_embed": spread(published["visual_encoder.pos_embed"], 4)}
    )
    image = picture(3, (30, 90))
    pixels = found.prepare(filled_up(image))
    assert pixels.shape == (3, 32, 32)
    seen = slowly.linear(state, "vision_proj", slowly.covr_tokens(state, pixels.double().numpy(), depth=2)[0])
    np.testing.assert_allclose(found.encode_images([image]), seen[None], atol=1e-4)
    known = word_pieces()
    known.no_truncation()
    known.no_padding()
    ids = known.encode("[FORWARD] the cat and[FORWARD] is blue", add_special_tokens=False).ids
    marks = known.get_vocab()
    said = slowly.covr_query(state, None, [marks["[CLS]"], *ids, marks["[SEP]"]], layers=2)
    expected = slowly.combiner(rows_of(combiner_state(12, 16, 20)), seen, said)
    np.testing.assert_allclose(found.fuse(image, "the cat and is blue")[0], expected, atol=1e-4)
    torch.save({"Combiner": combiner_state(16, 16, 20)}, folder / "combiner_mean.pt")
    with pytest.raises(UnsafeFile, match="does not read the features of its BLIP"):
        read_published_blip4cir(folder)
    torch.save({"BLIPTextEncoder": {"text_proj.bias": torch.ones(12)}}, folder / "tuned_blip_mean.pt")
    with pytest.raises(UnsafeFile, match=r"does not hold BLIP4CIR\+Bi's two encoders"):
        read_published_blip4cir(folder)
    (folder / "model_base.pth").unlink()
    with pytest.raises(MissingModel, match=r"holds no model_base\.pth"):
        read_published_blip4cir(folder)


def test_places_of_a_smaller_image_are_spread_over_a_larger_one_line_by_line() -> None:
    across, down = torch.arange(3.0).repeat(3), torch.arange(3.0).repeat_interleave(3)
    places = torch.cat([torch.full((1, 1, 2), 9.0), torch.stack([across, down], dim=1)[None]], dim=1)
    torch.testing.assert_close(spread(places, 3), places)
    larger = spread(places, 6)
    assert larger.shape == (1, 37, 2)
    assert larger[0, 0].tolist() == [9.0, 9.0]
    grid = larger[0, 1:].unflatten(0, (6, 6))
    assert (grid[:, 1:, 0] > grid[:, :-1, 0]).all()
    assert (grid[1:, :, 1] > grid[:-1, :, 1]).all()
    torch.testing.assert_close(grid[0, :, 0], grid[5, :, 0])


def test_the_mark_of_an_edits_direction_stands_before_all_that_and_joins_as_it_was_learnt() -> None:
    assert forward_text("a cat and a hat") == " [FORWARD] a cat and [FORWARD]  a hat"
    assert forward_text("in hand") == " [FORWARD] in hand [FORWARD] "


class Touched:
    """Runs when a pickle that holds it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_what_is_no_covr_is_refused_and_nothing_in_it_runs(covr: Path, tmp_path: Path) -> None:
    checkpoint = covr / "webvid-covr.ckpt"
    torch.save({"model": covr_state(**COVR), "scheduler": Touched(tmp_path / "ran")}, checkpoint)
    with pytest.raises(UnsafeFile, match=r"no checkpoint that holds tensors alone. It was not opened"):
        read_published_covr(covr)
    assert not (tmp_path / "ran").exists()
    state = covr_state(**COVR)
    del state["vision_proj.bias"]
    torch.save({"model": state}, checkpoint)
    with pytest.raises(UnsafeFile, match=r"is not CoVR's network"):
        read_published_covr(covr)
    torch.save({"model": covr_state(**{**COVR, "words": 50})}, checkpoint)
    with pytest.raises(UnsafeFile, match=r"The vocabulary in .* and the network's table 50"):
        read_published_covr(covr)
    (covr / "tokenizer.json").unlink()
    with pytest.raises(MissingModel, match=r"holds no tokenizer.json"):
        read_published_covr(covr)


def test_a_pickle_beside_the_tensors_of_a_stream_is_not_run(tmp_path: Path) -> None:
    folder = keds_folder(tmp_path / "KEDs", 40, **KEDS)
    (folder / "image_stream.pt").write_bytes(
        pickle.dumps({"state_dict": Touched(tmp_path / "ran")}, protocol=2)
    )
    with pytest.raises(UnsafeFile, match=r"It was not opened"):
        load_mapping(folder)
    assert not (tmp_path / "ran").exists()


def compodiff_noises(width: int) -> list[np.ndarray]:
    """What it draws, for both of its samples, in order."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SAMPLES, width, generator=generator).double().numpy() for _ in range(10)]


class RawClip(ToyClip):
    """A CLIP whose features are as wide as the small denoiser's."""

    dim, device = 24, torch.device("cpu")

    def encode_images(self, images) -> np.ndarray:
        return 3.0 * np.random.default_rng(0).standard_normal((len(images), 24)).astype(np.float32)


COMPODIFF = {
    "width": 24,
    "depth": 2,
    "text": 64,
    "own": 128,
    "look": 192,
    "inner": 40,
    "mask": 16,
    "hidden": 20,
}


def test_compodiffs_query_is_that_of_the_paper_step_by_step(tmp_path: Path) -> None:
    state, clip = compodiff_state(**COMPODIFF), RawClip()
    folder = compodiff_folder(tmp_path / "CompoDiff", state, text_layers=2, text=64)
    found = read_published_compodiff(folder, clip)
    slow = {name.removeprefix("model.net."): one for name, one in rows_of(state).items()}
    (image,) = clip.encode_images([picture()]).astype(np.float64)
    with torch.no_grad():
        texts, empty = (found.states(text)[0].double().numpy() for text in ("as a pencil sketch", ""))
    noises = compodiff_noises(24)
    samples = [
        slowly.compodiff(slow, image, texts, empty, [one[i] for one in noises], depth=2) for i in range(2)
    ]
    expected = 0.9 * np.mean(samples, axis=0) + 0.1 * image
    row = found.fuse(picture(), "as a pencil sketch")
    np.testing.assert_allclose(row[0], expected / np.linalg.norm(expected), atol=1e-4)
    np.testing.assert_array_equal(found.fuse(picture(), "as a pencil sketch"), row)
    assert np.abs(found.fuse(picture(), "in snow") - row).max() > 1e-3


def test_compodiffs_texts_are_filled_up_with_what_its_tokenizer_says_and_nothing_looks_at_that(
    tmp_path: Path,
) -> None:
    state = compodiff_state(**COMPODIFF)
    one, other = (
        read_published_compodiff(compodiff_folder(tmp_path / str(i), state, 2, 64, pad), RawClip())
        for i, pad in enumerate(("!", {"content": "<|endoftext|>", "lstrip": False}))
    )
    assert (one.padding, other.padding) == (0, 49_407)
    with torch.no_grad():
        first, second = one.states("in snow"), other.states("in snow")
    assert first.shape == (1, 77, 64)
    torch.testing.assert_close(first[:, :4], second[:, :4])
    assert (first[:, 4:] - second[:, 4:]).abs().amax() > 1e-2
    ids = torch.tensor([[49_406, *one.tokenizer.encode("in snow"), 49_407, 0]])
    places = one.texts.positional_embedding[[0, 1, 2, 3, 20]]  # one of those that fill up, without the others
    mask = torch.full((5, 5), -torch.inf).triu(1)
    mask[4, 4] = -torch.inf
    with torch.no_grad():
        alone = one.texts.transformer(one.texts.token_embedding(ids) + places, attn_mask=mask)
    torch.testing.assert_close(one.texts.ln_final(alone), first[:, [0, 1, 2, 3, 20]])


def test_compodiffs_last_norm_divides_by_the_largest_number_first_whatever_its_sign() -> None:
    rows = -torch.rand(3, 8) - 0.1
    expected = torch.nn.functional.layer_norm(rows / rows.max(dim=1, keepdim=True).values, (8,))
    torch.testing.assert_close(Norm(8, by_largest=True)(rows), expected)


def test_compodiff_as_published_goes_before_a_denoiser_of_the_set_and_says_one_row() -> None:
    class Published(RawClip):
        def fuse(self, image: Image.Image, text: str) -> np.ndarray:
            return self.encode_texts([text])

    edit = Query(draw("red", "square"), "make it blue")
    (composed,) = build_methods(ingredients(published=lambda recipe: Published()))["CompoDiff"].compose(edit)
    assert (len(composed.parts), composed.space) == (1, "")
    (composed,) = build_methods(ingredients())["CompoDiff"].compose(edit)
    assert len(composed.parts) == 3


def test_the_set_large_takes_compodiff_from_its_folder_and_for_its_own_clip_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Models, "tower", RawClip())
    compodiff_folder(home / "CompoDiff", compodiff_state(**COMPODIFF), text_layers=1, text=64)
    models = Models("large", device="cpu")
    found = models.published("compodiff")
    assert found is not None, models.missing
    assert found.fuse(picture(), "in snow").shape == (1, 24)
    models.forget_references()
    models = Models("large", device="cpu", clip=home)
    assert models.published("compodiff") is None
    assert f"It was not trained for the CLIP in {home}" in models.missing["network compodiff"]


def test_files_that_are_not_compodiffs_are_refused(tmp_path: Path) -> None:
    state = compodiff_state(**COMPODIFF)
    folder = compodiff_folder(tmp_path / "CompoDiff", state, text_layers=1, text=128)
    with pytest.raises(UnsafeFile, match="reads texts 64 and features 24 wide, not those of its neighbours"):
        read_published_compodiff(folder, RawClip())
    (folder / "special_tokens_map.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UnsafeFile, match="does not say what texts are filled up with"):
        read_published_compodiff(
            compodiff_folder(tmp_path / "other", state, text_layers=1, text=64, pad=None), RawClip()
        )
    torch.save({**state, "model.decoder.weight": torch.ones(1)}, folder / "pytorch_model.bin")
    with pytest.raises(UnsafeFile, match=r"is not CompoDiff's network: it has model\.decoder\.weight"):
        read_published_compodiff(folder, RawClip())
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(MissingModel, match=r"holds no pytorch_model\.bin"):
        read_published_compodiff(folder, RawClip())


class ToyTowers(ToyClip):
    """A method with towers of its own."""

    fingerprint = "toy-towers@1"

    def fuse(self, image: Image.Image, text: str) -> np.ndarray:
        return self.encode_texts([text])


@pytest.mark.parametrize("name", ["CLIP4CIR", "CoVR"])
def test_a_method_with_towers_of_its_own_says_that_its_galleries_are_encoded_by_them(name: str) -> None:
    towers = ToyTowers()
    made = build_methods(ingredients(towers=lambda recipe: towers))[name]
    assert isinstance(made, FusedInOwnSpace)
    assert (made.gallery_encoder, made.words_fit) == (towers, False)
    (composed,) = made.compose(Query(draw("red", "square"), "make it blue"))
    assert composed.space == "toy-towers@1"


def test_without_towers_clip4cir_is_its_network_over_the_sets_clip_and_has_no_space_of_its_own() -> None:
    (composed,) = build_methods(ingredients())["CLIP4CIR"].compose(
        Query(draw("red", "square"), "make it blue")
    )
    assert composed.space == ""
    assert len(toy_gallery()) > 0


def looks(model: torch.nn.Module) -> list[None]:
    """As many entries as a part of a network will have been asked."""
    asked: list[None] = []
    model.register_forward_pre_hook(lambda *_: asked.append(None))
    return asked


def test_published_towers_look_at_a_reference_once_and_anew_when_its_cost_is_measured(
    home: Path, tmp_path: Path, small_clip: Any, covr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blip4cir_published, "SIDE", 32)
    blip4cir = blip4cir_folder(
        home / "BLIP4CIR-Bi", covr_state(**{**COVR, "side": 16}), combiner_state(12, 16, 20)
    )
    word_pieces().save(str(blip4cir / "tokenizer.json"))
    clip4cir_folder(home / "CLIP4CIR", small_clip, projected=32, hidden=40)
    covr.rename(home / "CoVR")
    models = Models("large", device="cpu")
    for recipe, part in (
        ("clip4cir", "clip.model.visual"),
        ("covr", "network.vision"),
        ("blip4cir-bi", "blip.vision"),
    ):
        found = models.towers(recipe)
        assert found is not None, models.missing
        shown = looks(attrgetter(part)(found))
        first = found.fuse(picture(1), "the cat")
        assert not np.array_equal(found.fuse(picture(1), "the dog"), first)
        assert len(shown) == 1
        assert not np.array_equal(found.fuse(picture(2), "the cat"), first)
        np.testing.assert_array_equal(found.fuse(picture(1), "the cat"), first)
        assert len(shown) == 2
        models.forget_references()
        np.testing.assert_array_equal(found.fuse(picture(1), "the cat"), first)
        assert len(shown) == 3


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder, and a CLIP of the widths of the small files."""
    for name in ("CIR_LLM", "CIR_CAPTIONER", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIR_HOME", str(tmp_path / "models"))
    monkeypatch.setattr(Models, "tower", SimpleNamespace(fingerprint="clip@1", dim=10, word_width=12))
    return tmp_path / "models"


def test_the_set_large_takes_the_published_files_from_its_folder(home: Path) -> None:
    keds_folder(home / "KEDs", 40, **KEDS)
    context_i2w_file(home / "context_i2w_large.pt", **CONTEXT)
    save_covr(home / "CoVR" / "webvid-covr.ckpt", covr_state(**COVR))
    word_pieces().save(str(home / "CoVR" / "tokenizer.json"))
    models = Models("large", device="cpu")
    keds, words, covr = models.phi("keds"), models.patch_words("context-i2w"), models.towers("covr")
    assert keds is not None, models.missing
    assert words is not None, models.missing
    assert covr is not None, models.missing
    assert (keds.tokens, words.tokens, covr.dim) == (6, 1, 12)
    assert models.phi() is None  # CVSI is not given the words of KEDs' two sentences
    assert models.towers("clip4cir") is None
    here = {row["name"] for row in list_models() if row["set"] == "large" and row["here"]}
    assert here == {"KEDs", "Context-I2W", "CoVR"}
    models = Models("large", device="cpu", clip=home)
    assert (models.phi("keds"), models.patch_words("context-i2w")) == (None, None)
    assert f"It was not trained for the CLIP in {home}" in models.missing["network context-i2w"]


def test_what_is_not_here_says_how_it_can_be_had(home: Path) -> None:
    models = Models("large", device="cpu")
    assert (models.phi("keds"), models.patch_words("context-i2w"), models.towers("covr")) == (
        None,
        None,
        None,
    )
    assert models.towers("clip4cir") is None
    assert (
        "KEDs is not here. Fetch it: python -m cir models pull keds" in models.missing["mapping network keds"]
    )
    assert "CoVR is not here. Fetch it: python -m cir models pull covr" in models.missing["towers covr"]
    assert (
        f"Put context_i2w_large.pt into {home}. Published at https://github.com/Pter61/context-i2w"
        in models.missing["network context-i2w"]
    )
    assert (
        f"Put cirr_clip_RN50x4_fullft.pt and cirr_comb_RN50x4_fullft.pt into {home / 'CLIP4CIR'}. Published at "
        "https://github.com/ABaldrati/CLIP4Cir" in models.missing["towers clip4cir"]
    )


def test_weights_of_compared_methods_are_fetched_by_their_name_and_not_with_the_set(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(catalog, "fetch", lambda spec, **_: asked.append(spec.name))
    pull("large", accept_noncommercial=True)
    assert not {"KEDs", "CoVR", "CLIP4CIR", "context_i2w_large.pt"} & set(asked)
    asked.clear()
    assert pull("keds") == ["KEDs"]
    assert pull("covr") == ["CoVR"]
    assert asked == ["KEDs", "CoVR"]
    with pytest.raises(MissingModel, match=r"CLIP4CIR has no source that a program may use. Put cirr_clip"):
        pull("clip4cir")
    assert names_asked_for() == [
        "blip4cir-bi",
        "clip4cir",
        "compodiff",
        "context-i2w",
        "covr",
        "keds",
        "searle",
    ]


def test_searles_published_networks_are_taken_on_consent_and_said_where_they_are(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "fetch", lambda spec, **_: None)
    with pytest.raises(CirError, match="non-commercial use only") as refused:
        pull("base")
    assert "SEARLE" not in str(refused.value)  # nobody asked for it
    with pytest.raises(
        CirError, match=r"non-commercial use only.*SEARLE SEARLE_ViT-L14\.pt \(CC BY-NC 4\.0\)"
    ):
        pull("searle")
    with pytest.raises(
        MissingModel, match=r"Put SEARLE_ViT-L14\.pt into .*miccunifi/SEARLE/releases/download"
    ):
        pull("searle", accept_noncommercial=True)
    sizes = {0: (16, 10), 3: (16, 16), 6: (12, 16)}
    state = {f"layers.{i}.weight": torch.randn(size) for i, size in sizes.items()}
    state |= {f"layers.{i}.bias": torch.zeros(size[0]) for i, size in sizes.items()}
    home.mkdir(exist_ok=True)
    torch.save({"Phi": state}, home / "SEARLE_ViT-L14.pt")
    found = Models("large").phi("searle")
    assert found is not None
    assert (found.input_dim, found.word_width, found.tokens) == (10, 12, 1)


def test_the_command_knows_their_names(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = run(capsys, "models", "pull", "context-i2w")
    assert status == 2
    assert "Put context_i2w_large.pt into" in said
    status, _, said = run(capsys, "models", "check", "context-i2w")
    assert status == 2
    assert "context-i2w" in said


def test_a_network_of_ones_own_stands_on_the_sets_clip(home: Path, tmp_path: Path) -> None:
    from cir.models.fusion.combiner import Clip4Cir
    from cir.models.fusion.files import save_fusion

    own = tmp_path / "own.safetensors"
    save_fusion(Clip4Cir(10, 10, 20), own, {"trained_for": "clip@1"})
    models = Models("large", networks=[own])
    assert models.towers("clip4cir") is None
    assert "towers clip4cir" not in models.missing
