"""CompoDiff: its guidance, its steps, what its denoiser learns by, and its sliders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cir.application import build_models
from cir.composers.compodiff import IMAGE, TEXT, scoring
from cir.composers.compodiff import CompoDiff as CompoDiffMethod
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.images import read_image
from cir.models.fusion import compodiff
from cir.models.fusion.compodiff import CompoDiff, guided, kept, scaled, stepped
from cir.models.fusion.files import load_fusion
from cir.models.fusion.network import Seen
from cir.models.photographs.fusing import JoinedFusion
from cir.places import ASSETS, SAMPLE_GALLERY
from cir.ranking.retriever import Retriever
from cir.training.compodiff import DRAWS, denoised
from cir.training.fusion_losses import Batch
from cir.training.on_gallery import features_of, with_captions
from cir.types import Query, Triplet
from tests.commands import run
from tests.fakes import ToyDenoiser, draw, toy_gallery

COUNT, DIM, WORD = 3, 8, 6


@pytest.fixture
def network() -> CompoDiff:
    torch.manual_seed(1)
    return CompoDiff(DIM, WORD, 16)


def given() -> tuple[Seen, torch.Tensor]:
    """References, and edits of three, two and one tokens."""
    torch.manual_seed(2)
    edits = torch.randn(COUNT, 3, WORD)
    edits[1, 2:], edits[2, 1:] = 0.0, 0.0
    return Seen(torch.randn(COUNT, DIM)), edits


def batch(*, first_stage: bool = False) -> Batch:
    references, edits = given()
    ids = torch.arange(COUNT)
    targets = Seen(torch.randn(COUNT, DIM))
    nothing = (torch.zeros(0, DIM), torch.zeros(0, dtype=torch.long))
    return Batch(references, edits, targets, ids, ids, *nothing, torch.tensor(1.0), first_stage)


def test_guidance_is_the_papers_sum_of_three_predictions() -> None:
    none, image, both = branches = torch.randn(3, 4, DIM)
    torch.testing.assert_close(guided(branches, 1.5, 7.5), none + 1.5 * (image - none) + 7.5 * (both - image))
    torch.testing.assert_close(guided(branches, 1.0, 1.0), both)
    torch.testing.assert_close(guided(branches, 1.0, 0.0), image)
    torch.testing.assert_close(guided(branches, 0.0, 0.0), none)


def test_of_the_clean_feature_all_is_left_at_first_and_nothing_at_last() -> None:
    shares = [float(kept(time)) for time in np.linspace(0.0, 1.0, 11)]
    assert shares[0] == pytest.approx(1.0)
    assert shares[-1] == pytest.approx(0.0, abs=1e-6)
    assert shares == sorted(shares, reverse=True)


def test_a_step_keeps_the_noise_and_brings_what_was_predicted_nearer() -> None:
    clean, noise = torch.randn(2, 4, DIM)
    before, after = (kept(t).sqrt() * clean + (1.0 - kept(t)).sqrt() * noise for t in (0.7, 0.4))
    torch.testing.assert_close(stepped(before, clean, 0.7, 0.4), after)
    torch.testing.assert_close(stepped(before, clean, 0.7, 0.0), clean)


def test_a_denoiser_that_knows_the_answer_gives_it(network: CompoDiff, monkeypatch) -> None:
    answers = torch.randn(COUNT, DIM)
    perfect = scaled(answers).repeat(3, 1)[:, None]
    monkeypatch.setattr(network, "denoise", lambda rows, times, context: perfect.expand_as(rows))
    found = network.predictions(*given())
    for branch in found:
        torch.testing.assert_close(branch, F.normalize(answers, dim=1))
    torch.testing.assert_close(F.normalize(network(*given()), dim=1), F.normalize(answers, dim=1))


def test_what_is_left_out_does_not_count_and_what_is_told_does(network: CompoDiff) -> None:
    references, edits = given()
    others = Seen(torch.randn(COUNT, DIM)), edits.flip(0)
    with torch.no_grad():
        none, image, both = network.eval().predictions(references, edits)
        of_others = network.predictions(*others)
        other_text = network.predictions(references, others[1])
        other_image = network.predictions(others[0], edits)
    torch.testing.assert_close(of_others[0], none)
    torch.testing.assert_close(other_text[1], image)
    assert (other_image[1] - image).abs().max() > 1e-3
    assert (other_image[2] - both).abs().max() > 1e-3
    assert (other_text[2][0] - both[0]).abs().max() > 1e-3


def test_a_query_is_answered_the_same_alone_and_among_longer_ones(network: CompoDiff) -> None:
    references, edits = given()
    with torch.no_grad():
        together = network.eval().predictions(references, edits)[:, 2]
        alone = network.predictions(Seen(references.features[2:]), edits[2:, :1])[:, 0]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-4)


def test_rows_that_are_denoised_together_do_not_see_each_other(network: CompoDiff) -> None:
    references, edits = given()
    told = torch.zeros(COUNT, dtype=torch.bool)
    context = network.context(references.features, edits, told, told)
    noisy, times = torch.randn(COUNT, 4, DIM), torch.rand(COUNT, 4)
    with torch.no_grad():
        together = network.eval().denoise(noisy, times, context)
        for one in range(4):
            alone = network.denoise(noisy[:, one : one + 1], times[:, one : one + 1], context)
            torch.testing.assert_close(together[:, one], alone[:, 0], atol=1e-5, rtol=1e-4)
        later = network.denoise(noisy, times + 0.1, context)
    assert (later - together).abs().max() > 1e-3


def test_the_loss_is_what_is_missing_of_the_clean_feature(network: CompoDiff, monkeypatch) -> None:
    some = batch()
    seen = []

    def perfect(noisy: torch.Tensor, times: torch.Tensor, context: object) -> torch.Tensor:
        seen.append((noisy, times))
        return scaled(some.targets.features)[:, None].expand_as(noisy)

    monkeypatch.setattr(network, "denoise", perfect)
    assert denoised(network, some)["denoised"].item() == 0.0
    noisy, times = seen[0]
    clean, share = scaled(some.targets.features)[:, None], kept(times)[..., None]
    noise = (noisy - share.sqrt() * clean) / (1.0 - share).sqrt()
    assert 0.5 < float(noise.std()) < 1.5
    assert len(set(times.flatten().tolist())) == DRAWS * COUNT
    monkeypatch.setattr(network, "denoise", lambda noisy, times, context: torch.zeros_like(noisy))
    assert denoised(network, some)["denoised"].item() == pytest.approx(1.0)  # the mean square of `scaled`


def test_the_loss_reaches_all_parts_and_the_first_stage_all_but_the_image(network: CompoDiff) -> None:
    def reached(*, first_stage: bool) -> set[str]:
        network.zero_grad()
        torch.manual_seed(5)
        some = batch(first_stage=first_stage)
        many = replace(  # so that each condition is left out somewhere
            some,
            references=Seen(some.references.features.repeat(40, 1)),
            edits=some.edits.repeat(40, 1, 1),
            targets=Seen(some.targets.features.repeat(40, 1)),
        )
        sum(denoised(network, many).values()).backward()
        return {n for n, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}

    every = {name for name, _ in network.named_parameters()}
    assert reached(first_stage=False) == every
    assert every - reached(first_stage=True) == {"image.weight", "image.bias"}


def test_the_sliders_move_the_order_without_the_denoiser() -> None:
    denoiser = ToyDenoiser()
    retriever = Retriever(toy_gallery(), {"CompoDiff": CompoDiffMethod(denoiser)})
    *_, composed = retriever.compose(Query(draw("red", "square"), "make it blue"), "CompoDiff")

    def first(image: float, text: float) -> str:
        values = {IMAGE.name: image, TEXT.name: text}
        return retriever.rank(composed, values, top_k=1)[0].image_id

    assert first(1.0, 0.0) == "red-square"
    assert first(1.0, 1.0) == first(1.0, TEXT.default) == "blue-square"
    assert denoiser.calls == 1


@pytest.mark.parametrize(("image", "text"), [(1.0, 2.0), (0.0, 0.0), (1.5, 7.5), (2.5, 0.5)])
def test_the_scoring_points_where_guidance_points(image: float, text: float) -> None:
    *_, composed = CompoDiffMethod(ToyDenoiser()).compose(Query(draw("red", "square"), "make it blue"))
    weights = scoring(composed, {IMAGE.name: image, TEXT.name: text}).weights
    found = sum(weights[name] * row for name, row in composed.parts.items())
    rows = torch.from_numpy(np.stack(list(composed.parts.values())))
    expected = guided(rows, image, text).numpy()
    np.testing.assert_allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), atol=1e-5)


def test_the_sliders_begin_where_the_denoiser_is_guided() -> None:
    assert (IMAGE.default, TEXT.default) == (compodiff.IMAGE_GUIDANCE, compodiff.TEXT_GUIDANCE)


class ThreeRows:
    """A denoiser whose predictions have nothing in common."""

    fingerprint = "three@1"

    def fuse(self, image: object, text: str) -> np.ndarray:
        return np.eye(256, dtype=np.float32)[:3]


def test_of_a_photograph_all_predictions_say_what_it_shows(models) -> None:
    joined = JoinedFusion(ThreeRows(), models.clip, models.clip)
    photograph = read_image(next((ASSETS / "check").glob("*.*")))
    drawing = read_image(next((SAMPLE_GALLERY / "images").rglob("*.webp")))
    (none, image, both), drawn = joined.fuse(photograph, "at night"), joined.fuse(drawing, "at night")
    assert min(none @ image, none @ both) > 0.95
    assert max(drawn[0] @ drawn[1], drawn[0] @ drawn[2]) < 0.9


def test_targets_without_a_caption_are_refused_before_a_training_begins() -> None:
    gallery = Gallery.from_features("bare", ["a", "b"], np.eye(2, dtype=np.float32))
    triplets = [Triplet("t", "a", "b", "make it blue")]
    with pytest.raises(CirError, match=r"1 target of 1 in bare have no caption.*index FOLDER --name bare"):
        with_captions(features_of(triplets, gallery), triplets, gallery)


def test_the_command_trains_it_on_a_gallerys_captions_and_triplets(tmp_path: Path, capsys) -> None:
    out = tmp_path / "network.safetensors"
    line = f"train fusion --recipe compodiff --from syncir --steps 4 --batch-triplets 8 --runs {tmp_path} --out {out}"
    status, _, said = run(capsys, *line.split())
    assert status == 0, said
    assert load_fusion(out, build_models("embedded", llm="none").tower).metadata["steps"] == 4
    picture = next((SAMPLE_GALLERY / "images").rglob("*.webp"))
    search = f"search --method CompoDiff --llm none --image {picture} --text night --top-k 5 --json --network {out}"
    few, much = (
        json.loads(run(capsys, *search.split(), "--set", f"text_guidance={guidance}")[1])["results"]
        for guidance in (0.5, 6)
    )
    assert [r["score"] for r in few] != [r["score"] for r in much]
