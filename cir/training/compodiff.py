"""What CompoDiff's denoiser learns by: how far what it predicts is from the clean feature, at any time, with conditions left out.

Source: Gu et al., TMLR 2024, section 4: the first stage learns to make images of their captions, the second targets of
references and edits; now and then a condition is left out, for guidance. Theirs mixes both stages' tasks in the second, and
a third one with masks, which is left out here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cir.models.fusion.compodiff import CompoDiff, kept, scaled
from cir.models.fusion.network import FusionNetwork
from cir.training.fusion_losses import Batch

DRAWS = 4  # times and noises for each triplet of a batch
LEFT_OUT = 0.1  # of the image, of the text, and of both


def denoised(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The loss of a batch; in the first stage its edits are captions."""
    assert isinstance(network, CompoDiff), "the recipe's network"
    clean = scaled(batch.targets.features)
    chance = torch.rand(len(clean), device=clean.device)
    without_image = (chance < LEFT_OUT) | ((chance >= 2 * LEFT_OUT) & (chance < 3 * LEFT_OUT))
    without_text = (chance >= LEFT_OUT) & (chance < 3 * LEFT_OUT)
    if batch.first_stage:
        without_image = torch.ones_like(without_image)
    context = network.context(batch.references.features, batch.edits, without_image, without_text)
    clean = clean[:, None].expand(-1, DRAWS, -1)
    times = torch.rand(clean.shape[:2], device=clean.device)
    share = kept(times)[..., None]
    noisy = share.sqrt() * clean + (1.0 - share).sqrt() * torch.randn_like(clean)
    return {"denoised": F.mse_loss(network.denoise(noisy, times, context), clean)}
