"""CIReVL: one caption of the reference, edited by a language model, as a text query.

Source: Karthik et al., "Vision-by-Language for Training-Free Compositional Image Retrieval", ICLR 2024, section 3. Their
captioner is BLIP-2 with FlanT5-XXL and a prompt of its own; ours is the model set's. Their prompt is p_m, which CVSI
takes over: see `cir.composers.edited_captions`, also for what happens to an answer that cannot be used.
"""

from __future__ import annotations

from collections.abc import Mapping

from cir.composers.composer import unit_row
from cir.composers.described_target import DescribedTarget
from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL, MethodCard
from cir.models.protocols import Captioner, LanguageModel, TextEncoder
from cir.types import Features


class Cirevl(DescribedTarget):
    """q = f_t(LLM(p_m(C_1, T))).

    Args:
        captions: how many are asked for, so that the first is the one that CVSI has; only it is edited.
    """

    name = "CIReVL"

    def __init__(
        self,
        text_encoder: TextEncoder,
        captioner: Captioner | None,
        language_model: LanguageModel | None,
        *,
        captions: int = 1,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text_encoder, captioner, language_model, captions=captions, used=1, missing=missing)

    def join(self, before: Features, after: Features) -> tuple[Features, tuple[str, ...]]:
        """The edited description's own feature."""
        return unit_row(after[0]), ()


CARD = MethodCard(
    "CIReVL",
    "Karthik et al., ICLR 2024",
    __name__,
    lambda given: Cirevl(
        given.text_encoder,
        given.captioner,
        given.language_model,
        captions=given.settings.captions,
        missing=given.missing,
    ),
    "MIT",
    template="an edited caption",
    needs=(CAPTIONER, LANGUAGE_MODEL),
    defaults="1 caption",
)
