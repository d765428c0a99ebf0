"""LDRE: many captions of the reference, each edited by a language model, weighed by what the edit does to the gallery.

Source: Yang et al., "LDRE: LLM-based Divergent Reasoning and Ensemble for Zero-Shot Composed Image Retrieval", SIGIR
2024, section 3. A caption counts for more when its edit takes likeness away from the few images that lose most: then
the edit was really carried out.

Three differences from the released code. It sums what is lost over all queries of a data set and so has one set of
weights for all; here every query has its own, since a search has no data set of queries. It asks with a prompt of its
own (one example, one line); here p_m is asked, so that methods differ in what their papers differ in, and share answers
(`cir.composers.edited_captions`). And it takes fifteen captions.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from cir.composers.composer import unit_row
from cir.composers.described_target import DescribedTarget
from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL, MethodCard
from cir.ranking.engines.protocol import Engine
from cir.ranking.scoring import Linear
from cir.types import Features

TOP, TEMPERATURE = 5, 0.04
CHANGE = "change"  # as a row that is asked for: what an edit takes away
LEAST_CAPTIONS = 3  # with fewer there is no ensemble
ALIKE = "There was no gallery to weigh the descriptions by, so all count alike."


class Ldre(DescribedTarget):
    """q = sum over i of w_i f_t(LLM(p_m(C_i, T))). Equal weights until it is bound to a gallery."""

    name = "LDRE"
    engine: Engine | None = None

    def for_gallery(self, engine: Engine) -> Ldre:
        """The same method, weighing by the gallery that an engine holds."""
        bound = copy(self)
        bound.engine = engine
        return bound

    def join(self, before: Features, after: Features) -> tuple[Features, tuple[str, ...]]:
        """The weighted sum, at length 1."""
        if len(after) == 1 or self.engine is None:
            return unit_row(after.mean(axis=0)), (ALIKE,) if len(after) > 1 else ()
        plain = Linear({CHANGE: 1.0}, cosine=False)
        lost = [self.engine.top({CHANGE: row}, plain, TOP)[1] for row in before - after]
        return unit_row(ensemble_weights(np.stack(lost, axis=1)) @ after), ()


def ensemble_weights(change: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N,) weights that sum to 1, of N captions.

    For each caption, how much likeness the edit takes from every image; the five largest losses are summed; these sums,
    over the largest of them, go through a softmax with temperature 0.04.

    Args:
        change: (K, N) dot products of the gallery's images with the captions, less those with their edited descriptions;
            or the largest TOP of each column.
    """
    lost = np.maximum(0.0, change)
    top = np.sort(lost, axis=0)[-TOP:].sum(axis=0)
    scaled = top / max(float(top.max(initial=0.0)), 1e-12) / TEMPERATURE
    weights = np.exp(scaled - scaled.max())
    return (weights / weights.sum()).astype(np.float32)


CARD = MethodCard(
    "LDRE",
    "Yang et al., SIGIR 2024",
    __name__,
    lambda given: Ldre(
        given.text_encoder,
        given.captioner,
        given.language_model,
        captions=max(LEAST_CAPTIONS, given.settings.captions),
        missing=given.missing,
    ),
    "no licence given",
    template="edited captions",
    needs=(CAPTIONER, LANGUAGE_MODEL),
    defaults="3 captions, 5 images, temperature 0.04",
    least_captions=LEAST_CAPTIONS,
)
