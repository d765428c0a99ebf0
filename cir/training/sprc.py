"""What SPRC's network learns by: the prompt and the edit against the target, and the prompt against one that knows no image.

Source: Bai et al., ICLR 2024: a contrastive loss, and the alignment of prompts with an auxiliary prompt that is learnt by
a contrastive loss of its own. Weights, and that one auxiliary prompt serves all triplets and is compared by its mean, are
those of their released code. Theirs begins from BLIP-2's Q-Former, which has learnt to see by being held against texts;
ours learns that in the first stage: a prompt alone has to be read as its reference.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cir.models.fusion.network import FusionNetwork
from cir.models.fusion.sprc import Sprc
from cir.training.fusion_losses import Batch, batch_classification

AUXILIARY, ALIGNMENT = 0.4, 0.8
PART = 0.25  # of a batch, by which the auxiliary prompt learns: it costs as much to read as the others


def prompted(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The losses of a batch, by name."""
    assert isinstance(network, Sprc), "the recipe's network"
    if batch.first_stage:
        nothing = network.nothing(len(batch.edits))
        said = network.read(network.prompts(batch.references, nothing), nothing)
        candidates = torch.cat([batch.references.features, batch.others])
        others = torch.arange(-len(batch.others), 0, device=batch.reference_ids.device)  # none is a reference
        ids = torch.cat([batch.reference_ids, others])
        return {"seen": batch_classification(said, candidates, ids, batch.scale)}
    prompts = network.prompts(batch.references, batch.edits)
    auxiliary = network.auxiliary.expand_as(prompts)

    def classified(some: Tensor) -> Tensor:
        """The loss of the first queries of the batch, of as many as there are prompts."""
        queries = network.read(some, batch.edits[: len(some)])
        return batch_classification(queries, batch.candidates, batch.candidate_ids, batch.scale)

    part = max(1, round(PART * len(prompts)))
    return {
        "batch": classified(prompts),
        "auxiliary": AUXILIARY * classified(auxiliary[:part]),
        "alignment": ALIGNMENT * F.mse_loss(prompts.mean(dim=1), auxiliary.detach().mean(dim=1)),
    }
