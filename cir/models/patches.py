"""What an image tower has of an image's patches before it pools them. Knows the towers of `load_clip`, not who asks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cir.errors import CirError


def patch_rows(visual: nn.Module, pixels: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, P, C): a row for each patch, from the top left, line by line.

    Raises:
        CirError: a tower whose patches cannot be had.
    """
    tower: Any = visual  # torch types a module's attributes as "tensor or module"
    if hasattr(tower, "trunk"):
        seen = tower.trunk.forward_features(pixels)
        if seen.ndim == 4:  # the map of a convolution
            return seen.flatten(2).transpose(1, 2)
        return seen[:, tower.trunk.num_prefix_tokens :]
    if hasattr(tower, "vision_model"):
        return tower.vision_model(pixel_values=pixels).last_hidden_state[:, 1:]
    if hasattr(tower, "forward_intermediates"):
        return _last_layer(tower, pixels, normalize_intermediates=True)["image_intermediates"][-1]
    raise _unknown(visual)


def token_rows(visual: nn.Module, pixels: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1 + P, C) as the last layer of OpenAI's vision transformer leaves them, the class token first.

    Raises:
        CirError: another kind of tower.
    """
    if not hasattr(visual, "forward_intermediates"):
        raise _unknown(visual)
    found = _last_layer(visual, pixels, normalize_intermediates=False, output_extra_tokens=True)
    return torch.cat([found["image_intermediates_prefix"][-1], found["image_intermediates"][-1]], dim=1)


def _last_layer(tower: Any, pixels: Tensor, **options: bool) -> Any:
    return tower.forward_intermediates(
        pixels, indices=1, intermediates_only=True, output_fmt="NLC", **options
    )


def _unknown(visual: nn.Module) -> CirError:
    return CirError(
        f"The image tower of this {type(visual).__name__} does not say what it sees of patches.",
        "Choose a method that reads whole images, such as Pic2Word.",
    )
