"""What supervised methods share: a network that was trained on triplets makes one feature of the image and the edit.

They differ in their networks, one a file of `cir/models/fusion/`; here they are seen as the protocol QueryFusion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cir.composers.composer import Composer, edit_of, reference_of, unit_row
from cir.composers.ingredients import Ingredients
from cir.composers.method_card import SUPERVISED, MethodCard
from cir.composers.parameters import WithoutParameters
from cir.models.protocols import QueryFusion, QueryTowers
from cir.types import FINE_GRAINED, ComposedQuery, Query

CALLED = {FINE_GRAINED: "Image with edit"}


class Fused(WithoutParameters):
    """Image, edit -> the network's query.

    Args:
        name: of the method.
        fusion: its network.
    """

    def __init__(self, name: str, fusion: QueryFusion) -> None:
        self.name, self.fusion = name, fusion

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part.

        Raises:
            BadQuery: no image, or no edit.
        """
        image, text = reference_of(query, self.name), edit_of(query, self.name)
        yield ComposedQuery({FINE_GRAINED: unit_row(self.fusion.fuse(image, text))}, called=CALLED)


class FusedInOwnSpace(Fused):
    """The same, with a network whose queries lie among the features of its own towers.

    Args:
        name: of the method.
        towers: its network, which has to have encoded the gallery as well.
    """

    words_fit = False

    def __init__(self, name: str, towers: QueryTowers) -> None:
        super().__init__(name, towers)
        self.gallery_encoder = towers

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """As the other, to be compared with the features of its own."""
        for composed in super().compose(query):
            yield replace(composed, space=self.gallery_encoder.fingerprint)


def supervised(
    name: str, recipe: str, paper: str, licence: str, *, defaults: str = "", module: str = ""
) -> MethodCard:
    """The card of a supervised method; `module`: of its network, where that is not one of `cir.models.fusion` by the recipe's name."""

    def build(given: Ingredients) -> Composer | None:
        if (towers := given.towers(recipe)) is not None:
            return FusedInOwnSpace(name, towers)
        fusion = given.fusion(recipe)
        return None if fusion is None else Fused(name, fusion)

    return MethodCard(
        name,
        paper,
        module or f"cir.models.fusion.{recipe}",
        build,
        licence,
        template="T",
        needs=(f"network {recipe}",),
        defaults=defaults,
        family=SUPERVISED,
    )
