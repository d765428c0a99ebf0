"""SPRC: what its prompts depend on, how they are read, and what they learn by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.fusion.network import Seen
from cir.models.fusion.sprc import QUERIES, Sprc
from cir.training.fusion_losses import Batch, batch_classification
from cir.training.sprc import ALIGNMENT, AUXILIARY, prompted
from tests.fusion_doubles import small_clip

TEXTS = ["at night", "with a dog in the snow", "red"]
COUNT = len(TEXTS)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return small_clip()


@pytest.fixture
def network(clip: ClipModel) -> Sprc:
    torch.manual_seed(1)
    return Sprc.of(clip).eval()


def seen() -> Seen:
    torch.manual_seed(2)
    return Seen(torch.randn(COUNT, 32), torch.randn(COUNT, 4, 32))


def batch(network: Sprc, clip: ClipModel, *, first_stage: bool = False) -> Batch:
    ids = torch.arange(COUNT)
    others = torch.randn(2, 32), torch.tensor([7, 8])
    edits = network.edits(clip, TEXTS)
    return Batch(
        seen(), edits, Seen(torch.randn(COUNT, 32)), ids, ids, *others, torch.tensor(3.0), first_stage
    )


def test_a_prompt_depends_on_patches_on_their_places_on_the_whole_and_on_the_edit(
    network: Sprc, clip: ClipModel
) -> None:
    features, patches = seen()
    edits = network.edits(clip, TEXTS)
    assert patches is not None
    with torch.no_grad():
        before = network.prompts(Seen(features, patches), edits)
        assert before.shape == (COUNT, QUERIES, 24)
        for other in (
            network.prompts(Seen(features, patches.flip(0)), edits),
            network.prompts(Seen(features, patches.flip(1)), edits),
            network.prompts(Seen(features.flip(0), patches), edits),
            network.prompts(Seen(features, patches), network.edits(clip, TEXTS[::-1])),
        ):
            assert (other - before)[0].abs().max() > 1e-4


def test_the_order_of_an_edits_words_counts(network: Sprc, clip: ClipModel) -> None:
    with torch.no_grad():
        one, other = (
            network.prompts(Seen(*(part[:1] for part in seen())), network.edits(clip, [text]))
            for text in ("a dog with snow", "snow with a dog")
        )
    assert (one - other).abs().max() > 1e-3


def test_prompt_and_edit_are_read_as_the_same_words_are_in_a_search(network: Sprc, clip: ClipModel) -> None:
    edits = network.edits(clip, TEXTS)
    with torch.no_grad():
        prompts = network.prompts(seen(), edits)
        found = network.read(prompts, edits)
    for i, text in enumerate(TEXTS):  # the tuned layer is the set's own until it is trained
        words = (network.length * prompts[i : i + 1]).detach().numpy()
        np.testing.assert_allclose(found[i : i + 1].numpy(), clip.encode_spliced("", words, text), atol=1e-5)


def test_a_query_is_the_same_alone_and_among_longer_ones(network: Sprc, clip: ClipModel) -> None:
    with torch.no_grad():
        together = network(seen(), network.edits(clip, TEXTS))
        for i in range(COUNT):
            one = Seen(*(part[i : i + 1] for part in seen()))
            alone = network(one, network.edits(clip, TEXTS[i : i + 1]))
            torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-4)


def test_a_word_that_was_never_taught_does_not_end_an_edit(network: Sprc, clip: ClipModel) -> None:
    taught = network.edits(clip, ["with a dog"])
    unknown = taught.clone()
    unknown[0, 1] = 0.0
    shorter = torch.cat([taught[:, :1], taught[:, 2:]], dim=1)
    prompts = torch.zeros(1, QUERIES, 24)
    with torch.no_grad():
        found = [network.read(prompts, edits) for edits in (taught, unknown, shorter)]
    assert (found[1] - found[0]).abs().max() > 1e-4
    assert (found[1] - found[2]).abs().max() > 1e-4
    padded = F.pad(unknown, (0, 0, 0, 3))
    with torch.no_grad():
        torch.testing.assert_close(network.read(prompts, padded), found[1])


def test_an_edit_that_is_too_long_gives_way_to_the_prompt(network: Sprc, clip: ClipModel) -> None:
    edits = network.edits(clip, ["very " * 100])
    assert edits.shape[1] == clip.text_length_limit - 1 - QUERIES
    with torch.no_grad():
        row = network(Seen(*(part[:1] for part in seen())), edits)
    assert torch.isfinite(row).all()


def test_the_losses_are_the_papers(network: Sprc, clip: ClipModel) -> None:
    some = batch(network, clip)
    losses = prompted(network, some)
    with torch.no_grad():
        prompts = network.prompts(some.references, some.edits)
        auxiliary = network.auxiliary.expand(1, -1, -1)  # a quarter of three
        for name, words, weight in (("batch", prompts, 1.0), ("auxiliary", auxiliary, AUXILIARY)):
            queries = network.read(words, some.edits[: len(words)])
            loss = batch_classification(queries, some.candidates, some.candidate_ids, some.scale)
            torch.testing.assert_close(losses[name], weight * loss)
        apart = 0.0
        for one in prompts:
            for number in range(one.shape[1]):
                between = one[:, number].mean() - network.auxiliary[:, number].mean()
                apart += float(between) ** 2 / prompts.shape[0] / prompts.shape[2]
    assert losses["alignment"].item() == pytest.approx(ALIGNMENT * apart, rel=1e-4)


def test_prompts_are_held_to_the_auxiliary_one_and_not_the_other_way_round(
    network: Sprc, clip: ClipModel
) -> None:
    prompted(network, batch(network, clip))["alignment"].backward()
    assert network.auxiliary.grad is None
    assert network.queries.grad is not None
    assert network.queries.grad.abs().max() > 0


def test_the_first_stage_reads_a_prompt_alone_as_its_reference(network: Sprc, clip: ClipModel) -> None:
    some = batch(network, clip, first_stage=True)
    with torch.no_grad():
        nothing = network.edits(clip, [""] * COUNT)
        torch.testing.assert_close(network.nothing(COUNT), nothing)
        said = network(some.references, nothing)
        candidates = torch.cat([some.references.features, some.others])
        ids = torch.arange(len(candidates))  # all are others than the reference
        expected = batch_classification(said, candidates, ids, some.scale)
        losses = prompted(network, some)
    assert list(losses) == ["seen"]
    torch.testing.assert_close(losses["seen"], expected)


def test_the_losses_reach_all_parts(network: Sprc, clip: ClipModel) -> None:
    sum(prompted(network, batch(network, clip)).values()).backward()
    unreached = {
        name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    }
    # Behind the last layer only the queries are looked at: what that layer makes of the text's places is of no use.
    assert all(
        name.startswith(("former.encoder.layer.1.intermediate.", "former.encoder.layer.1.output."))
        for name in unreached
    )
    assert len(unreached) == 6
