"""Matrices in eight bits a number: each row as whole numbers of -127 to 127, and one scale for it.

A number moves by at most 1/254 of the largest one of its row. Norms, biases and small tensors stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

LEAST_NUMBERS = 2**14  # in a matrix: smaller ones would save next to nothing
_SCALE = ":scale"  # behind a matrix's name


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, the large matrices in int8 (of more than two axes: rows along the first), each with its rows' scales."""
    found = dict(state)
    for name, tensor in state.items():
        if tensor.ndim >= 2 and tensor.is_floating_point() and tensor.numel() >= LEAST_NUMBERS:
            rows = tensor.float().flatten(1)
            scales = rows.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / 127
            found[name] = (rows / scales).round().to(torch.int8).reshape(tensor.shape)
            found[name + _SCALE] = scales.flatten()
    return found


def unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `packed` was given, its matrices in float32; tensors that it has not packed stay as they are."""
    found = {name: tensor for name, tensor in state.items() if not name.endswith(_SCALE)}
    for name, scales in state.items():
        if name.endswith(_SCALE):
            whole = found[name.removesuffix(_SCALE)]
            found[name.removesuffix(_SCALE)] = whole.float() * scales.reshape(-1, *[1] * (whole.ndim - 1))
    return found
