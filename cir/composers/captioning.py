"""Captioning: a caption of the reference and the edit, in one line, as a text query.

Source: CVSI, section IV-A4, "Captioning" ("concatenated with the modification text").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cir.composers.composer import present, reference_of, unit_row
from cir.composers.method_card import ARITHMETIC, CAPTIONER, MethodCard
from cir.composers.parameters import WithoutParameters
from cir.models.protocols import Captioner, TextEncoder
from cir.prompts import captioning_text
from cir.types import FINE_GRAINED, ComposedQuery, Query


class Captioning(WithoutParameters):
    """q = f_t("caption, T").

    Args:
        text_encoder: of the gallery's CLIP.
        captioner: None where it is missing; `missing` then says why.
        captions: how many are asked for, so that a caption is shared with other methods; the first is used.
        missing: part -> why it is not here.
    """

    name = "Captioning"

    def __init__(
        self,
        text_encoder: TextEncoder,
        captioner: Captioner | None,
        *,
        captions: int = 1,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self.text_encoder, self.captioner, self.captions = text_encoder, captioner, captions
        self.missing = dict(missing or {})

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part.

        Raises:
            BadQuery: no image.
            MissingModel: no captioner.
        """
        image = reference_of(query, self.name)
        captioner = present(self.captioner, "captioner", self.name, self.missing)
        said = captioner.caption([image], per_image=self.captions, seed=0)[0][:1]
        text = captioning_text(said[0] if said else "", query.modification_text)
        row = unit_row(self.text_encoder.encode_texts([text]))
        called = {FINE_GRAINED: "Caption + edit"}
        yield ComposedQuery({FINE_GRAINED: row}, {"captions": tuple(said)}, called=called)


CARD = MethodCard(
    "Captioning",
    "baseline",
    __name__,
    lambda given: Captioning(
        given.text_encoder, given.captioner, captions=given.settings.captions, missing=given.missing
    ),
    ARITHMETIC,
    template="caption, T",
    needs=(CAPTIONER,),
    defaults="1 caption",
)
