"""What supervised methods share: a network that was trained on triplets makes one feature of the image and the edit.

They differ in their networks, one a file of `cir/models/fusion/`; here they are seen as the protocol QueryFusion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cir.composers.composer import edit_of, reference_of, unit_row
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
