"""Changes of low rank to a model's weights: trained while the weights stay, kept apart from them, added when loaded.

Any module with linear layers, of any library. Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
ICLR 2022, section 4.1: W + (a / r) B A, with B zero at the start; here a = r.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

DOWN, UP = "down", "up"  # A and B
State = dict[str, Tensor]


class LowRank(nn.Module):
    """Adds B A to a weight, which stays as it is.

    Args:
        weight: (O, I).
        rank: r, at most the smaller of both.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        rank = min(rank, outputs, inputs)
        self.down = nn.Parameter(torch.empty(rank, inputs, device=weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """(O, I) the weight that counts."""
        return weight + self.up @ self.down


def add_low_rank(module: nn.Module, rank: int) -> list[nn.Parameter]:
    """Let every linear layer of a module learn a change of low rank, and nothing else of it.

    The projections of torch's own attention are such layers as well.

    Returns:
        What is to be trained.
    """
    module.requires_grad_(False)
    added: list[nn.Parameter] = []
    for place, name in list(_linear_weights(module)):
        change = LowRank(getattr(place, name), rank)
        parametrize.register_parametrization(place, name, change)
        added += change.parameters()
    return added


def changes_of(module: nn.Module) -> State:
    """The changes of `add_low_rank` by the names of the weights that they belong to: "LAYER.weight.up", "...down"."""
    found: State = {}
    for place_name, place in module.named_modules():
        if not parametrize.is_parametrized(place):
            continue
        assert isinstance(place.parametrizations, nn.ModuleDict)
        for name, steps in place.parametrizations.items():
            assert isinstance(steps, parametrize.ParametrizationList)
            change = steps[0]
            assert isinstance(change, LowRank)
            stem = f"{place_name}.{name}" if place_name else name
            found |= {f"{stem}.{UP}": change.up.detach(), f"{stem}.{DOWN}": change.down.detach()}
    return found


def remove_low_rank(module: nn.Module) -> None:
    """Take the changes of `add_low_rank` away: the module is as it was."""
    for place in list(module.modules()):
        if parametrize.is_parametrized(place):
            assert isinstance(place.parametrizations, nn.ModuleDict)
            for name in list(place.parametrizations):
                parametrize.remove_parametrizations(place, name, leave_parametrized=False)


def with_changes(model: nn.Module, inside: str, changes: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model that shares all its tensors but the weights that are changed.

    Args:
        model: stays as it is.
        inside: the name of the module in it that the names of `changes` begin at.
        changes: from `changes_of`.

    Raises:
        ValueError: changes of other layers, or of other shapes, than the model has.
    """
    shared: dict[int, object] = {id(one): one for one in (*model.parameters(), *model.buffers())}
    copied = copy.deepcopy(model, shared)
    module = copied.get_submodule(inside)
    for stem in sorted({name.rpartition(".")[0] for name in changes}):
        place_name, _, name = stem.rpartition(".")
        try:
            place = module.get_submodule(place_name)
            weight = getattr(place, name)
            up, down = changes[f"{stem}.{UP}"].float(), changes[f"{stem}.{DOWN}"].float()
            changed = weight.detach() + (up @ down).to(weight)
        except (AttributeError, KeyError, RuntimeError) as error:
            raise ValueError(f"no such layer, or of another shape: {stem}") from error
        if changed.shape != weight.shape:
            raise ValueError(f"of another shape: {stem}")
        setattr(place, name, nn.Parameter(changed, requires_grad=False))
    return copied


def _linear_weights(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for place in module.modules():
        if isinstance(place, nn.Linear):
            yield place, "weight"
        elif isinstance(place, nn.MultiheadAttention) and place.in_proj_weight is not None:
            yield place, "in_proj_weight"
