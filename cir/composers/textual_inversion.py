"""What Pic2Word, SEARLE, LinCIR and HyCIR share: the reference image becomes a pseudo-word inside a sentence.

They differ in how their mapping network was trained, in the number of its words, and in the sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cir.composers.composer import reference_of, unit_row
from cir.composers.parameters import WithoutParameters
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder, word_probe
from cir.types import FINE_GRAINED, READ_AS, ComposedQuery, Query

Template = Callable[[str], tuple[str, str]]  # an edit -> what stands before and after the pseudo-words


class TextualInversion(WithoutParameters):
    """Image -> raw features -> pseudo-words -> a sentence -> one feature.

    Args:
        name: of the method.
        template: an edit -> what stands before and after the pseudo-words.
        image_encoder, text_encoder: one CLIP.
        phi: the mapping network.
    """

    def __init__(
        self,
        name: str,
        template: Template,
        image_encoder: ImageEncoder,
        phi: ImageToWords,
        text_encoder: PseudoWordEncoder,
    ) -> None:
        self.name, self.template = name, template
        self.image_encoder, self.phi, self.text_encoder = image_encoder, phi, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part, the sentence with the pseudo-words.

        Raises:
            BadQuery: no image.
        """
        image = reference_of(query, self.name)
        words = self.phi.map_features(self.image_encoder.encode_images([image]))
        yield sentence(self.text_encoder, self.template, words, query.modification_text)


def sentence(
    text_encoder: PseudoWordEncoder,
    template: Template,
    words: NDArray[np.float32],
    text: str,
    *,
    notes: Sequence[str] = (),
    pending: str = "",
) -> ComposedQuery:
    """The template with (1, T, W) pseudo-words and an edit in it, as a query of one part."""
    prefix, suffix = template(text)
    row = unit_row(text_encoder.encode_spliced(prefix, words, suffix))
    return ComposedQuery({FINE_GRAINED: row}, image_word(text_encoder, words), notes, pending=pending)


def image_word(encoder: PseudoWordEncoder, words: NDArray[np.float32]) -> dict[str, list[str]]:
    """What a query tells of (1, T, W) pseudo-words: the words that they are near to, and as what the picture was read.

    {} where the encoder cannot say.
    """
    probe = word_probe(encoder)
    if probe is None:
        return {}
    kind = probe.read_as(words[0])
    return {"image_word": probe.nearest_words(words[0]), **({READ_AS: [kind]} if kind else {})}
