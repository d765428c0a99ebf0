"""What an image tower has of an image's patches before it pools them. Knows the towers of `load_clip`, not who asks."""

from __future__ import annotations

from typing import Any

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
        found = tower.forward_intermediates(
            pixels, indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NLC"
        )
        return found["image_intermediates"][-1]
    raise CirError(
        f"The image tower of this {type(visual).__name__} does not say what it sees of patches.",
        "Choose a method that reads whole images, such as Pic2Word.",
    )
