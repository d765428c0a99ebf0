"""What supervised methods learn by: a batch of triplets, and how badly a network's queries find their targets.

Sources: batch-based classification, TIRG (CVPR 2019), section 3.3, Eq. 5: the target against the other targets of the
batch. Hard-negative contrastive loss (HN-NCE), as CoVR (AAAI 2024) takes it from Radenovic et al., "Filtering,
Distillation, and Hard Negatives for Vision-Language Pre-Training", CVPR 2023. Where a batch holds one picture twice, these
are not counted as negatives; the temperature is CLIP's own. Does not know how batches are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cir.models.fusion.combiner import both_sides
from cir.models.fusion.early import REVERSED
from cir.models.fusion.network import FusionNetwork, Seen

BACK = 0.5  # of the loss on the way back
POSITIVE, HARDNESS = 1.0, 0.5  # α and β of HN-NCE, as in CoVR
_NOTHING = -1e4


@dataclass(frozen=True, slots=True)
class Batch:
    """N triplets in torch.

    Attributes:
        references, targets: what the image tower has of N pictures.
        edits: of the network's `edits`.
        ids: (N,) of the targets; equal ones are the same image.
        reference_ids: (N,) of the references, likewise.
        others: (K, D) raw features of targets of further triplets: the tower is frozen, so they cost nothing.
        other_ids: (K,) of these.
        scale: CLIP's inverse temperature.
        first_stage: whether the text tower is tuned now.
    """

    references: Seen
    edits: Tensor
    targets: Seen
    ids: Tensor
    reference_ids: Tensor
    others: Tensor
    other_ids: Tensor
    scale: Tensor
    first_stage: bool = False

    @property
    def candidates(self) -> Tensor:
        """(N + K, D) what queries are held against: the targets, then the others."""
        return torch.cat([self.targets.features, self.others])

    @property
    def candidate_ids(self) -> Tensor:
        """(N + K,) of these."""
        return torch.cat([self.ids, self.other_ids])


Losses = Callable[[FusionNetwork, Batch], dict[str, Tensor]]


def classified(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The loss of queries against the targets of their batch."""
    queries = _queries(network, batch, batch.references, batch.edits)
    return {"batch": batch_classification(queries, batch.candidates, batch.candidate_ids, batch.scale)}


def both_ways(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The same, and that of targets with the edits meant backwards against the references.

    Source: BLIP4CIR+Bi (WACV 2024), section 3; its weight of the way back is not known to us, ours is a half.
    """
    back = _queries(network, batch, batch.targets, batch.edits.flip(1))
    loss = batch_classification(back, batch.references.features, batch.reference_ids, batch.scale)
    return {**classified(network, batch), "back": BACK * loss}


def reversed_query(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The same, where targets and edits as they are ask for the references, under a mark of their own.

    Source: CASE (AAAI 2024), its auxiliary task; the weight of that is not known to us, ours is a half.
    """
    back = network(batch.targets, batch.edits, REVERSED)
    loss = batch_classification(back, batch.references.features, batch.reference_ids, batch.scale)
    return {**classified(network, batch), "back": BACK * loss}


def hard_negatives(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """HN-NCE, of queries against targets and of targets against queries.

    Source: CoVR (AAAI 2024), its training loss.
    """
    queries = network(batch.references, batch.edits)
    logits = masked_logits(queries, batch.candidates, batch.candidate_ids, batch.scale)
    count = len(queries)
    return {"queries": hard_negative_nce(logits), "targets": hard_negative_nce(logits[:, :count].T)}


def _queries(network: FusionNetwork, batch: Batch, images: Seen, edits: Tensor) -> Tensor:
    """The network's queries; in the first stage, element-wise sums."""
    return torch.stack(both_sides(images, edits)).sum(dim=0) if batch.first_stage else network(images, edits)


def masked_logits(queries: Tensor, candidates: Tensor, ids: Tensor, scale: Tensor | float) -> Tensor:
    """(N, M) scaled cosines of N queries with M candidates, of which candidate i is the target of query i.

    Those that are the same image as the target, but for itself, are -inf: no negatives.
    """
    logits = scale * F.normalize(queries, dim=1) @ F.normalize(candidates, dim=1).T
    same = ids[: len(queries), None] == ids[None, :]
    return logits.masked_fill(same & ~_own(logits), -torch.inf)


def batch_classification(queries: Tensor, candidates: Tensor, ids: Tensor, scale: Tensor | float) -> Tensor:
    """How badly (N, D) queries tell their targets from the other candidates; see `masked_logits`."""
    logits = masked_logits(queries, candidates, ids, scale)
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def hard_negative_nce(logits: Tensor, alpha: float = POSITIVE, beta: float = HARDNESS) -> Tensor:
    """The same of (N, M) logits, where negatives count by how near they are; with α = 1 and β = 0 it is the same.

    -log( exp(s_ii) / (α exp(s_ii) + Σ_j w_ij exp(s_ij)) ), with w_ij = n_i exp(β s_ij) / Σ_k exp(β s_ik) over the n_i negatives.
    """
    own, negative = logits.diagonal(), logits.isfinite() & ~_own(logits)
    # A number that is small, not -inf: a query may have no negative at all, and then its loss is 0.
    hardness = (beta * logits.masked_fill(~negative, 0.0)).masked_fill(~negative, _NOTHING)
    count = negative.sum(dim=1, keepdim=True).clamp(min=1).to(logits.dtype)
    weights = count.log() + hardness.log_softmax(dim=1)
    weighed = logits.masked_fill(~negative, -torch.inf) + weights
    whole = torch.cat([(own + math.log(alpha))[:, None], weighed], dim=1).logsumexp(dim=1)
    return (whole - own).mean()


def _own(logits: Tensor) -> Tensor:
    return torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
