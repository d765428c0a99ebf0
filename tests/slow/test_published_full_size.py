"""Published weights of compared methods at the size of their files, with random numbers: against their papers, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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

from cir.models.blip4cir_published import read_published_blip4cir, spread
from cir.models.clip import ClipModel
from cir.models.clip4cir_published import filled_up, read_published_clip4cir
from cir.models.compodiff_published import read_published_compodiff
from cir.models.covr_published import read_published_covr
from cir.models.mapping import load_mapping
from cir.models.patch_networks import load_patch_words

pytestmark = pytest.mark.slow
PAIRS = 20_000  # of the half million that are published: their number is read off the file


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows_of(state: Mapping[str, torch.Tensor], kind: type = np.float64) -> dict[str, np.ndarray]:
    return {name.removeprefix("module."): tensor.numpy().astype(kind) for name, tensor in state.items()}


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (240, 420, 3), dtype=np.uint8))


def test_keds_streams_and_base(tmp_path: Path) -> None:
    folder = keds_folder(tmp_path / "KEDs", PAIRS)
    network = load_mapping(folder, name="keds")
    assert sum(p.numel() for p in network.network.image_stream.parameters()) == 10_501_376
    feature = np.random.default_rng(0).standard_normal((1, 768)).astype(np.float32)
    (words,) = network.map_features(10.0 * feature)
    bases = [torch.load(folder / f"cc_{kind}_databases.pt").double().numpy() for kind in ("image", "text")]
    for seed, found in ((0, words[:3]), (1, words[3:])):
        stream = {name: rows_of(part) for name, part in keds_stream(seed).items() if "state_dict_" in name}
        np.testing.assert_allclose(
            found, slowly.keds(stream, 10.0 * feature[0].astype(float), *bases), atol=1e-4
        )


@pytest.fixture(scope="module")
def vit_l_14() -> ClipModel:
    """OpenAI's architecture of the set "large"."""
    torch.manual_seed(0)
    model, _, prepare = open_clip.create_model_and_transforms("ViT-L-14-quickgelu")
    torch.nn.init.normal_(model.token_embedding.weight, std=0.5)
    return ClipModel(model, open_clip.get_tokenizer("ViT-L-14-quickgelu"), prepare, "random", "random")


def test_context_i2w_reads_the_tokens_of_openais_vit_l_14(tmp_path: Path, vit_l_14: ClipModel) -> None:
    state = rows_of(context_i2w_file(tmp_path / "published.pt"))
    network = load_patch_words(tmp_path / "published.pt", name="context-i2w")
    assert sum(p.numel() for p in network.network.parameters()) == 68_471_297
    tokens = vit_l_14.encode_patches([picture(0)], raw=True)
    context = vit_l_14.encode_raw_texts(["a photo of jekyll , in the snow"])
    assert (tokens.shape, context.shape) == ((1, 257, 1024), (1, 768))
    with torch.inference_mode():
        visual = vit_l_14.model.visual
        feature = (visual.ln_post(torch.from_numpy(tokens[:, 0])) @ visual.proj).numpy()
        read = vit_l_14.model.encode_text(vit_l_14.tokenizer(["a photo of jekyll , in the snow"])).numpy()
    np.testing.assert_allclose(feature, vit_l_14.encode_images([picture(0)]), atol=1e-4)
    np.testing.assert_allclose(context, read, atol=1e-4)
    (word,) = network.map_patches(tokens, feature, context)
    expected = slowly.context_i2w(state, tokens[0].astype(float), context[0].astype(float), looks=6)
    np.testing.assert_allclose(word[0], expected, atol=1e-3)
    assert vit_l_14.encode_spliced("a photo of", word[None], ", in the snow").shape == (1, 768)


def test_clip4cirs_tuned_clip_and_combiner(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("RN50x4-quickgelu").eval()
    torch.nn.init.normal_(model.token_embedding.weight, std=0.5)
    torch.save({"epoch": 30, "CLIP": model.state_dict()}, tmp_path / "cirr_clip_RN50x4_fullft.pt")
    torch.save({"epoch": 9, "Combiner": combiner_state()}, tmp_path / "cirr_comb_RN50x4_fullft.pt")
    found = read_published_clip4cir(tmp_path, "cpu")
    assert sum(p.numel() for p in found.combiner.parameters()) == 59_003_521
    image, text = picture(1), "with a red hat"
    with torch.inference_mode():
        pixels = found.clip.preprocess(image)[None]
        seen = model.encode_image(pixels).double().numpy()
        said = model.encode_text(open_clip.get_tokenizer("RN50x4-quickgelu")([text])).double().numpy()
    assert pixels.shape[-2:] == (288, 288)
    np.testing.assert_allclose(found.encode_images([image]), seen, atol=1e-4)
    expected = slowly.combiner(rows_of(combiner_state()), seen[0], said[0])
    np.testing.assert_allclose(found.fuse(image, text)[0], expected, atol=1e-4)


def test_covrs_image_tower_and_its_text_encoder_that_looks_at_the_image(tmp_path: Path) -> None:
    save_covr(tmp_path / "webvid-covr.ckpt", covr_state())
    word_pieces(30_522).save(str(tmp_path / "tokenizer.json"))
    found = read_published_covr(tmp_path, "cpu")
    assert sum(p.numel() for p in found.network.parameters()) == 446_127_104
    image = picture(2)
    state = rows_of(covr_state(), np.float32)
    tokens = slowly.covr_tokens(state, found.prepare(image).numpy(), depth=24)
    seen = slowly.linear(state, "vision_proj", tokens[0])
    np.testing.assert_allclose(found.encode_images([image])[0], seen, atol=1e-2)
    known = word_pieces(30_522).get_vocab()
    ids = [30_523, *(known[word] for word in ("the", "dog", "in", "snow")), known["[SEP]"]]
    expected = slowly.covr_query(state, tokens, ids, layers=12)
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(found.fuse(image, "The dog in snow.")[0], expected, atol=1e-3)


def test_compodiffs_denoiser_over_features_of_openais_vit_l_14(tmp_path: Path, vit_l_14: ClipModel) -> None:
    state = compodiff_state()
    folder = compodiff_folder(tmp_path / "CompoDiff", state, text_layers=2)  # of 32; as wide as all of it
    found = read_published_compodiff(folder, vit_l_14)
    weights = sum(p.numel() for p in found.denoiser.parameters())
    assert (weights, round(4 * weights / 1e6)) == (140_043_776, 560)  # the published file has 560 MB
    slow = {name.removeprefix("model.net."): one for name, one in rows_of(state).items()}
    rng = np.random.default_rng(0)
    noisy, image = (rng.standard_normal(768) for _ in range(2))
    with torch.inference_mode():
        states = found.states("as a pencil sketch")
        given = [torch.from_numpy(one).float()[None] for one in (noisy, image)]
        clean = found.denoiser(*given, states, 454)[0].numpy()
    expected = slowly.compodiff_clean(slow, noisy, image, states[0].double().numpy(), 454, depth=12)
    np.testing.assert_allclose(clean, expected, atol=1e-3)
    row = found.fuse(picture(3), "as a pencil sketch")
    assert row.shape == (1, 768)
    assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(found.fuse(picture(3), "as a pencil sketch"), row)


def test_blip4cirs_blip_of_its_first_training_over_larger_images(tmp_path: Path) -> None:
    published = covr_state(side=224, width=768, depth=12)
    folder = blip4cir_folder(tmp_path / "BLIP4CIR-Bi", published, combiner_state(256))
    word_pieces(30_522).save(str(folder / "tokenizer.json"))
    found = read_published_blip4cir(folder, "cpu")
    assert found.blip.vision.config.image_size == 384
    places = spread(published["visual_encoder.pos_embed"], 24)
    state = rows_of({**published, "visual_encoder.pos_embed": places}, np.float32)
    image = picture(4)
    pixels = found.prepare(filled_up(image)).numpy()
    seen = slowly.linear(state, "vision_proj", slowly.covr_tokens(state, pixels, depth=12)[0])
    np.testing.assert_allclose(found.encode_images([image])[0], seen, atol=1e-2)
    tokenizer = word_pieces(30_522)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    known = tokenizer.get_vocab()
    ids = tokenizer.encode("[FORWARD] the dog in snow", add_special_tokens=False).ids
    said = slowly.covr_query(state, None, [known["[CLS]"], *ids, known["[SEP]"]], layers=12)
    expected = slowly.combiner(rows_of(combiner_state(256)), seen.astype(float), said.astype(float))
    np.testing.assert_allclose(found.fuse(image, "the dog in snow")[0], expected, atol=1e-3)
