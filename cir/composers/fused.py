"""What supervised methods share: a network that was trained on triplets makes one feature of the image and the edit.

They differ in their networks, one a file of `cir/models/fusion/`; here they are seen as the protocol QueryFusion.
"""

from __future__ import annotations

from collections.abc import Iterator

from cir.composers.composer import edit_of, reference_of, unit_row
from cir.composers.parameters import WithoutParameters
from cir.models.protocols import QueryFusion
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
