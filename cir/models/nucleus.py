"""Nucleus sampling with numbers of our own, so that a caption depends on its image and seed alone."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor

from cir.errors import CirError

TOP_P = 0.9


class NucleusChoice(LogitsProcessor):
    """Samples each row's next token from its nucleus, by that row's own numbers.

    torch's global generator would make a caption depend on the images that share its batch: an index that was
    killed and resumed would differ from one made in one go. Here the numbers belong to the image.

    Args:
        numbers: (rows, steps) uniform in [0, 1).
        top_p: mass of the nucleus.

    Source: Holtzman et al., The Curious Case of Neural Text Degeneration, section 3.1.
    """

    def __init__(self, numbers: Tensor, top_p: float = TOP_P) -> None:
        self.numbers = numbers
        self.top_p = top_p
        self.step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (rows, vocabulary) -> scores that leave one token each."""
        if torch.isnan(scores).any():
            raise CirError(
                "The captioner gave values that are not finite.",
                "Set CUDA_VISIBLE_DEVICES= to caption in full precision, or fetch its weights again.",
            )
        mass = scores.float().softmax(dim=-1)
        ranked, order = mass.sort(dim=-1, descending=True)
        in_nucleus = (ranked.cumsum(dim=-1) - ranked < self.top_p) & (ranked > 0)
        kept = mass * torch.zeros_like(in_nucleus).scatter(-1, order, in_nucleus)
        # Laid end to end in the vocabulary's order: the order by mass turns round where two are nearly equal.
        reached = kept.cumsum(dim=-1, dtype=torch.float64)
        point = self.numbers[:, self.step, None].to(reached) * reached[:, -1:]
        # Not above the last step of the sum, where rounding can put the point.
        token = torch.minimum((reached <= point).sum(dim=-1), (reached < reached[:, -1:]).sum(dim=-1))
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(-1, token[:, None], 0.0)
