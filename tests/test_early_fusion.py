"""CASE and CoVR: the edit's tokens read the reference's patches, and the gallery stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cir.application import build_models
from cir.errors import BadImage
from cir.images import read_image
from cir.models.fusion.early import LAYERS, REVERSED, Case, Covr, EarlyFusion
from cir.models.fusion.files import load_fusion
from cir.models.fusion.network import Seen
from cir.models.text_tower import splice, text_tower, token_ids, token_states
from cir.places import SAMPLE_GALLERY
from cir.training.fusion import edits_of
from cir.training.fusion_losses import Batch, hard_negatives, reversed_query
from cir.training.patches import encoded_patches
from tests.commands import run

SIZES = (8, 4, 12, 10, 16)  # features, patches, their width, tokens' width, width between
KINDS = (Case, Covr)


@pytest.fixture(scope="module", params=["embedded", "embedded-blip"])
def clip(request: pytest.FixtureRequest):
    models = build_models(request.param, llm="none")
    yield models.tower
    models.close()


def network(kind: type[EarlyFusion]) -> EarlyFusion:
    torch.manual_seed(2)
    return kind(*SIZES).eval()


def pictures(count: int = 3, seed: int = 4) -> Seen:
    torch.manual_seed(seed)
    return Seen(torch.randn(count, 8), torch.rand(count, 4, 12))


def edits(count: int = 3) -> torch.Tensor:
    """Of five tokens, the second edit of three."""
    torch.manual_seed(5)
    found = torch.randn(count, 5, 10)
    found[1, 3:] = 0.0
    return found.half()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_patches_show_and_where_they_are_counts_and_only_in_its_own_query(kind) -> None:
    made, seen = network(kind), pictures()
    assert seen.patches is not None
    changed = seen.patches.clone()
    changed[0, 2:] = torch.rand(2, 12)
    with torch.no_grad():
        before = made(seen, edits())
        after = made(seen._replace(patches=changed), edits())
        moved = made(seen._replace(patches=seen.patches.flip(1)), edits())
    assert (after[0] - before[0]).abs().max() > 1e-4
    torch.testing.assert_close(after[1:], before[1:])
    assert (moved - before).abs().amax(dim=1).min() > 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_alone_and_one_among_longer_ones_ask_for_the_same(kind) -> None:
    made, seen, said = network(kind), pictures(), edits()
    padded = F.pad(said, (0, 0, 0, 6))
    with torch.no_grad():
        together = made(seen, padded)
        assert seen.patches is not None
        for row in range(3):
            one = Seen(seen.features[row : row + 1], seen.patches[row : row + 1])
            torch.testing.assert_close(made(one, said[row : row + 1])[0], together[row])


@pytest.mark.parametrize(("kind", "loss"), [(Case, reversed_query), (Covr, hard_negatives)])
def test_every_part_of_the_network_learns(kind, loss) -> None:
    made = network(kind)
    ids = torch.arange(3)
    batch = Batch(
        pictures(),
        edits(),
        pictures(seed=9),
        ids,
        ids,
        torch.randn(6, 8),
        ids.repeat(2) + 3,
        torch.tensor(5.0),
    )
    torch.stack(list(loss(made, batch).values())).sum().backward()
    still = [name for name, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
    assert len(made.layers) == LAYERS


def test_case_asks_back_under_a_mark_of_its_own_and_covr_has_none() -> None:
    made, seen, said = network(Case), pictures(), edits()
    with torch.no_grad():
        assert (made(seen, said) - made(seen, said, REVERSED)).abs().max() > 1e-3
        made.mark[1] = made.mark[0]
        torch.testing.assert_close(made(seen, said), made(seen, said, REVERSED))
    with pytest.raises(IndexError):
        network(Covr)(seen, said, REVERSED)


def test_hard_negatives_near_the_query_cost_more_than_far_ones() -> None:
    made, ids = network(Covr), torch.arange(2)
    with torch.no_grad():
        own = made(pictures(2), edits(2))

        def cost(others: torch.Tensor) -> float:
            seen = Seen(own, torch.rand(2, 4, 12))
            batch = Batch(pictures(2), edits(2), seen, ids, ids, others, ids + 2, torch.tensor(5.0))
            return hard_negatives(made, batch)["queries"].item()

        assert cost(own + 0.1) > cost(-own)


def test_the_tower_s_tokens_end_in_what_its_feature_is_made_of(clip) -> None:
    texts = ["make it red", "at night with two large dogs on the left"]
    rows = [
        [clip.tokenizer.sot_token_id, *token_ids(clip.tokenizer, t), clip.tokenizer.eot_token_id]
        for t in texts
    ]
    with torch.no_grad():
        embeddings, ends = splice(clip.model, rows)
        states = token_states(clip.model, embeddings, ends)
        pooled = states[:, 0] if hasattr(clip.model, "encode_embeddings") else states[torch.arange(2), ends]
        projection = text_tower(clip.model).text_projection
        projected = projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection
    np.testing.assert_allclose(F.normalize(projected, dim=1).numpy(), clip.encode_texts(texts), atol=1e-5)
    assert [int((row.abs().sum(dim=1) > 0).sum()) for row in states] == [len(row) for row in rows]


def test_edits_of_all_lengths_are_read_as_they_are_alone(clip) -> None:
    made = Covr.of(clip).eval()
    texts = ["at night", "with three small green boats on the right, and a dog", "in snow"] * 50
    together = edits_of(made, clip, texts)
    for row in (0, 1, 2, 149):
        (alone,) = made.edits(clip, [texts[row]])
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=2e-3, rtol=1e-2)
        assert not together[row, len(alone) :].any()
    long = made.edits(clip, ["a red dog and " * 60])
    assert long.shape[1] == clip.text_length_limit


def test_patches_are_encoded_once_and_mapped_from_then_on(clip, tmp_path: Path) -> None:
    files = sorted((SAMPLE_GALLERY / "images").rglob("*.webp"))[:3]
    images = [read_image(file) for file in files]
    kept = encoded_patches(tmp_path / "kept.npy", clip, iter(images), 3)
    np.testing.assert_allclose(kept, clip.encode_patches(images), rtol=1e-2, atol=1e-2)

    def none_of_them():
        raise AssertionError("they are kept")
        yield

    np.testing.assert_array_equal(encoded_patches(tmp_path / "kept.npy", clip, none_of_them(), 3), kept)


def test_a_picture_that_cannot_be_read_leaves_no_patches_behind(clip, tmp_path: Path) -> None:
    def broken():
        yield read_image(next((SAMPLE_GALLERY / "images").rglob("*.webp")))
        raise BadImage("It is gone.", "Put it back.")

    with pytest.raises(BadImage):
        encoded_patches(tmp_path / "kept.npy", clip, broken(), 2)
    assert not (tmp_path / "kept.npy").exists()


def test_the_command_trains_it_on_triplets_of_a_gallery_with_their_patches(tmp_path: Path, capsys) -> None:
    lines = (SAMPLE_GALLERY.parent / "triplets" / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    some = [line for line in lines if json.loads(line)["verdict"] == "kept"][:24]
    (tmp_path / "some.jsonl").write_text("\n".join(some) + "\n", encoding="utf-8")
    out = tmp_path / "network.safetensors"
    line = f"train fusion --recipe case --from syncir --triplets {tmp_path / 'some.jsonl'} --steps 2 --batch-triplets 12 --runs {tmp_path} --out {out}"
    status, _, said = run(capsys, *line.split())
    assert status == 0, said
    model = load_fusion(out, build_models("embedded", llm="none").tower)
    assert (model.metadata["triplets"], model.metadata["steps"]) == (24, 2)
    assert len(list(tmp_path.glob("patches-*.npy"))) == 1
    picture = next((SAMPLE_GALLERY / "images").rglob("*.webp"))
    search = (
        f"search --method CASE --llm none --image {picture} --text night --top-k 5 --json --network {out}"
    )
    status, found, said = run(capsys, *search.split())
    assert status == 0, said
    assert len(json.loads(found)["results"]) == 5
