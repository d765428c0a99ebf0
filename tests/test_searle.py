"""Inversion and distillation: what descends, what stays as it was, and the losses against slow loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cir.errors import CirError
from cir.models.clip import ClipModel, load_clip
from cir.models.oti import ImageWordRefiner, InversionSettings, apart, invert
from cir.training.loop import RunSettings
from cir.training.searle import distillation_loss, draw_phrase, train_searle
from tests.fakes import draw

FAST = InversionSettings(steps=30, decay=0.8)


SHIPPED = Path(__file__).resolve().parents[1] / "assets" / "models" / "clip"


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    torch.set_num_threads(1)
    return load_clip(SHIPPED, device="cpu")


@pytest.fixture(scope="module")
def features(clip: ClipModel) -> np.ndarray:
    """(3, D) raw features of a red square, a blue circle and a green triangle."""
    return clip.encode_images([draw("red", "square"), draw("blue", "circle"), draw("green", "triangle")])


def words(clip: ClipModel, count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(2)
    return (0.03 * rng.standard_normal((count, 1, clip.word_width))).astype(np.float32)


def cosines(clip: ClipModel, found: np.ndarray, features: np.ndarray) -> np.ndarray:
    texts = clip.encode_spliced("a photo of", found, "")
    return (texts * features).sum(axis=1) / np.linalg.norm(features, axis=1)


def run(
    clip: ClipModel, features: np.ndarray, start: np.ndarray, settings: InversionSettings = FAST
) -> np.ndarray:
    photo = clip.spliced_tokens("a photo of", "")
    steps = invert(clip.model, torch.from_numpy(features), torch.from_numpy(start), photo, None, settings)
    *_, (done, found) = steps
    assert done == settings.steps
    return found.numpy()


def test_the_word_is_moved_towards_its_image(clip: ClipModel, features: np.ndarray) -> None:
    start = words(clip)
    before, after = cosines(clip, start, features), cosines(clip, run(clip, features, start), features)
    assert (after > before + 0.15).all()


def test_each_image_descends_by_itself(clip: ClipModel, features: np.ndarray) -> None:
    settings = InversionSettings(steps=5)
    together = run(clip, features, words(clip), settings)
    alone = run(clip, features[1:2], words(clip)[1:2], settings)
    np.testing.assert_allclose(together[1:2], alone, atol=2e-3)


def test_the_model_stays_as_it_was_and_gets_no_gradients(clip: ClipModel, features: np.ndarray) -> None:
    before = {name: tensor.clone() for name, tensor in clip.model.state_dict().items()}
    run(clip, features, words(clip), InversionSettings(steps=2))
    assert all(parameter.grad is None for parameter in clip.model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in clip.model.state_dict().items())


def test_apart_is_one_minus_the_cosine_of_each_text(clip: ClipModel, features: np.ndarray) -> None:
    row = clip.spliced_tokens("a photo of", "at night")
    target = F.normalize(torch.from_numpy(features), dim=1)
    texts = clip.encode_spliced("a photo of", words(clip), "at night")
    expected = sum(1.0 - float(text @ one) for text, one in zip(texts, target.numpy(), strict=True))
    found = apart(clip.model, row, torch.from_numpy(words(clip)), target).detach()
    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_a_refiner_tells_its_steps_and_gives_the_same_again(clip: ClipModel, features: np.ndarray) -> None:
    refiner = ImageWordRefiner(clip, InversionSettings(steps=25))
    told = list(refiner.refine(features[:1], words(clip, 1), ["a red square"]))
    assert [step for step, _ in told] == [20, 25]
    again = list(refiner.refine(features[:1], words(clip, 1), ["a red square"]))
    np.testing.assert_array_equal(told[-1][1], again[-1][1])
    assert (told[-1][1].shape, told[-1][1].dtype) == ((1, 1, clip.word_width), np.float32)
    assert not np.array_equal(told[0][1], told[-1][1])


def test_phrases_draw_the_word_to_what_the_image_is_said_to_show(
    clip: ClipModel, features: np.ndarray
) -> None:
    phrases_alone = ImageWordRefiner(clip, InversionSettings(steps=40, image=0.0, decay=0.8))
    (*_, (_, found)) = phrases_alone.refine(features[:1], words(clip, 1), ["two red dogs"])
    meant = clip.encode_texts(["a photo of two red dogs under water"])

    def cosine(word: np.ndarray) -> float:
        return float((clip.encode_spliced("a photo of", word, "under water") @ meant.T)[0, 0])

    assert cosine(found) > cosine(words(clip, 1)) + 0.15


def test_fingerprints_tell_settings_apart(clip: ClipModel) -> None:
    one, other = ImageWordRefiner(clip), ImageWordRefiner(clip, InversionSettings(steps=350))
    assert one.fingerprint != other.fingerprint
    assert other.steps == 350


def test_the_contrastive_loss_is_its_formula_said_slowly() -> None:
    generator = torch.Generator().manual_seed(0)
    given, taught = (torch.randn(4, 1, 6, generator=generator) for _ in range(2))
    a, b = (F.normalize(x.flatten(1), dim=1).double() for x in (given, taught))

    def slow(x: torch.Tensor, y: torch.Tensor) -> float:
        total = 0.0
        for i in range(4):
            cross = [math.exp(float(x[i] @ y[j]) / 0.25) for j in range(4)]
            own = [math.exp(float(x[i] @ x[j]) / 0.25) for j in range(4) if j != i]
            total -= math.log(cross[i] / (sum(cross) + sum(own)))
        return total / 4

    assert float(distillation_loss(given, taught)) == pytest.approx(slow(a, b) + slow(b, a), rel=1e-5)


def test_phrases_have_room_for_one_thing_and_say_where_or_what_else() -> None:
    drawn = {draw_phrase(np.random.default_rng(seed)) for seed in range(60)}
    assert len(drawn) > 30
    assert all("$" not in before + after for before, after in drawn)
    assert any(before == "" and after.startswith("and ") for before, after in drawn)


def test_more_than_one_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CirError, match="one process, not in 2"):
        train_searle(RunSettings(tmp_path, ranks=2), 0)
