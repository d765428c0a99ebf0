"""CompoDiff: the query is denoised, step by step, into the feature of an image, guided by the reference and by the edit.

Source: Gu et al., "CompoDiff: Versatile Composed Image Retrieval With Latent Diffusion", TMLR 2024: a transformer over the
noisy feature and the time, whose cross-attention reads the states of the edit's tokens and the reference's feature. It
predicts the clean feature; the schedule is the cosine's. Guidance without a classifier has a scale for either condition:
    x = D(0, 0) + w_I (D(image, 0) - D(0, 0)) + w_T (D(image, edit) - D(image, 0)).
Theirs guides each step so; ours denoises three rows side by side and guides what they end in, so that the scales can be moved
without denoising again. Theirs has twelve layers, is 1,024 wide and reads masks and unwanted texts as well; ours has two, as
wide as the features. Time runs from 0 to 1 where theirs has a thousand steps. The steps add no noise (DDIM with eta 0), and
every query begins with the same: it is answered the same again. Does not know how it is trained: `cir.training.compodiff`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.fusion.network import FusionNetwork, Seen, edit_tokens

LAYERS, HEADS = 2, 4
STEPS = 10  # as in the paper
SAMPLES = 8  # beginnings, over whose ends is averaged: the more, the less is left to chance
SEED = 0
IMAGE_GUIDANCE, TEXT_GUIDANCE = 1.0, 1.0


class Context(NamedTuple):
    """What N predictions are made from.

    Attributes:
        tokens: (N, 1 + L, width) the image, or that there is none; then the tokens of the text.
        hidden: (N, 1 + L) which of them are not to be read.
    """

    tokens: Tensor
    hidden: Tensor


class CompoDiff(FusionNetwork):
    """The denoiser.

    Args:
        dim: D, the width of features.
        word_width: W, the width of what the text tower says of tokens.
        width: of the layers.
    """

    recipe = "compodiff"

    def __init__(self, dim: int, word_width: int, width: int) -> None:
        super().__init__()
        self.sizes = {"dim": dim, "word_width": word_width, "width": width}
        self.noisy = nn.Linear(dim, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.image = nn.Linear(dim, width)
        self.no_image = nn.Parameter(0.02 * torch.randn(width))
        self.text = nn.Sequential(nn.LayerNorm(word_width), nn.Linear(word_width, width))
        layer = nn.TransformerDecoderLayer(
            width, HEADS, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, LAYERS, norm=nn.LayerNorm(width))
        self.clean = nn.Linear(width, dim)

    @classmethod
    def of(cls, clip: ClipModel) -> CompoDiff:
        """A fresh one for a CLIP."""
        return cls(clip.dim, clip.word_width, clip.dim)

    def shape(self) -> dict[str, Any]:
        """See `FusionNetwork`."""
        return dict(self.sizes)

    def edits(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """(N, L, W) see `edit_tokens`."""
        return edit_tokens(clip, texts)

    def forward(self, references: Seen, edits: Tensor) -> Tensor:
        """See `FusionNetwork`; guided as the method is from the start."""
        return guided(self.predictions(references, edits), IMAGE_GUIDANCE, TEXT_GUIDANCE)

    def rows(self, references: Seen, edits: Tensor) -> Tensor:
        """(3, D) what one query is denoised into without a condition, with its image alone, and with both."""
        return self.predictions(references, edits)[:, 0]

    def predictions(self, references: Seen, edits: Tensor) -> Tensor:
        """(3, N, D) unit rows that are denoised without a condition, with the image alone, and with both."""
        device, count = edits.device, len(edits)
        conditions = ((True, True), (False, True), (False, False))
        contexts = [
            self.context(
                references.features, edits, *(torch.full((count,), h, device=device) for h in hidden)
            )
            for hidden in conditions
        ]
        context = Context(*(torch.cat(parts) for parts in zip(*contexts, strict=True)))
        noise = torch.randn(SAMPLES, self.sizes["dim"], generator=torch.Generator().manual_seed(SEED))
        rows = noise.to(device).expand(3 * count, -1, -1)
        times = [1.0 - step / STEPS for step in range(STEPS)]
        for time, next_time in pairwise([*times, 0.0]):
            clean = self.denoise(rows, torch.full(rows.shape[:2], time, device=device), context)
            rows = stepped(rows, clean, time, next_time)
        return F.normalize(rows.mean(dim=1), dim=1).unflatten(0, (3, count))

    def context(
        self, references: Tensor, edits: Tensor, without_image: Tensor, without_text: Tensor
    ) -> Context:
        """What predictions are made from.

        Args:
            references: (N, D) image features, of any length.
            edits: of `edits`.
            without_image, without_text: (N,) of which the image, the text is not told.
        """
        there = (edits != 0).any(dim=2)
        longest = int(there.sum(dim=1).amax())
        image = self.image(scaled(references))
        image = torch.where(without_image[:, None], self.no_image, image)[:, None]
        tokens = torch.cat([image, self.text(edits[:, :longest].to(image.dtype))], dim=1)
        hidden = ~there[:, :longest] | without_text[:, None]
        return Context(tokens, F.pad(hidden, (1, 0), value=False))

    def denoise(self, noisy: Tensor, times: Tensor, context: Context) -> Tensor:
        """(N, M, D) M noisy features of each, `scaled`, at (N, M) times -> what they are without noise.

        Times go from 0 (clean) to 1 (noise alone). Those of one context do not see each other; that it is read once for all
        of them halves the work.
        """
        rows = torch.stack([self.noisy(noisy), self.time(_waves(times, self.sizes["width"]))], dim=2)
        own = torch.arange(noisy.shape[1], device=noisy.device).repeat_interleave(2)
        found = self.layers(
            rows.flatten(1, 2),
            context.tokens,
            tgt_mask=own[:, None] != own[None, :],
            memory_key_padding_mask=context.hidden,
        )
        return self.clean(found[:, ::2])


def scaled(features: Tensor) -> Tensor:
    """Features at a length at which their numbers are about as large as the noise's."""
    return F.normalize(features, dim=-1) * math.sqrt(features.shape[-1])


def guided(branches: Tensor, image: float, text: float) -> Tensor:
    """(3, ...) predictions without a condition, of the image, of both -> one, guided by both scales."""
    none, alone, both = branches
    return none + image * (alone - none) + text * (both - alone)


def kept(time: Tensor | float) -> Tensor:
    """The share of the clean feature's variance that is left at a time. Source: Nichol and Dhariwal, ICML 2021, Eq. 17."""
    small = 0.008
    when = time if isinstance(time, Tensor) else torch.tensor(time, dtype=torch.float64)
    ratio = (when + small) / (1.0 + small)
    start = math.cos(small / (1.0 + small) * math.pi / 2.0) ** 2
    return (torch.cos(ratio * math.pi / 2.0) ** 2 / start).clamp(0.0, 1.0)


def stepped(rows: Tensor, clean: Tensor, time: float, next_time: float) -> Tensor:
    """Noisy rows at a time and what was predicted of them -> rows at the next time, with no noise that is new."""
    now, then = kept(time), kept(next_time)
    noise = (rows - now.sqrt() * clean) / (1.0 - now).sqrt()
    return then.sqrt() * clean + (1.0 - then).sqrt() * noise


def _waves(times: Tensor, width: int) -> Tensor:
    """(...) times -> (..., width) sines and cosines of them."""
    half = width // 2
    rates = torch.exp(-math.log(10_000.0) * torch.arange(half, device=times.device) / half)
    angles = 1000.0 * times[..., None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, width - 2 * half))
