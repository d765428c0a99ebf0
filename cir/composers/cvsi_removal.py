"""CVSI that carries out an edit one order after the other, with the objects most likely removed as a term that counts against an image.

Where an edit has several orders, each caption is modified twice: by the edit as a whole, as in CVSI, and by its orders one after
the other, see `order_by_order`. q_m is the mean of all.

The mirror of CVSI's p_a: the language model is asked what is in the picture only before the edit. The mean of the texts of
those objects, q_r, is subtracted: alpha q_m + beta q_f + (1 - alpha - beta) q_v - delta q_r, for Eq. 8. Where a captioner has
not seen an object, a small language model cannot leave it out of the caption and appends "without the beds", which a text
tower reads as beds; q_r takes them away again. Source: in no paper; a method of ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cir import prompts, replies
from cir.composers import cvsi
from cir.composers.composer import unit_row
from cir.composers.cvsi import OBJECT_TOKENS, Cvsi
from cir.composers.ingredients import Ingredients
from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL, MethodCard
from cir.composers.order_by_order import described_in_steps, orders_in
from cir.composers.parameters import Parameter, Values
from cir.composers.revision import CAPTIONS, MODIFIED, REMOVED, TextMemory, Trace
from cir.errors import LanguageModelFailed
from cir.models.protocols import LanguageModel
from cir.ranking.scoring import Linear
from cir.types import MODIFIED_CAPTIONS, REMOVED_OBJECTS, ComposedQuery, Query

DELTA = Parameter(
    "delta",
    "δ",
    "objects removed",
    0.2,
    meaning="How much a picture loses that shows what the edit takes away, as the language model names it.",
)
PARAMETERS = (*cvsi.PARAMETERS, DELTA)
IN_STEPS = "asking the language model for one order after the other"
ASKING = "asking the language model what is removed"


def scoring(composed: ComposedQuery, values: Values) -> Linear:
    """CVSI's, with - delta q_r in the query."""
    kept = {name: row for name, row in composed.parts.items() if name != REMOVED_OBJECTS}
    linear = cvsi.scoring(replace(composed, parts=kept), values)
    removed = len(kept) < len(composed.parts)
    return linear.plus({REMOVED_OBJECTS: -values[DELTA.name]}) if removed else linear


class CvsiRemoval:
    """CVSI, then one question for each order of an edit that has several, and one more.

    Args:
        cvsi: the method that it is made of; its numbers, captions and answers are the same.
        name: of the method.
    """

    scoring = staticmethod(scoring)

    def __init__(self, cvsi: Cvsi, name: str = "CVSI+removal") -> None:
        self.name, self.cvsi = name, cvsi
        self.phi = cvsi.phi
        self.parameters = (*cvsi.parameters, DELTA)
        self._texts = TextMemory(cvsi.text_encoder)

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """CVSI's stages; then, where there are captions and a language model, q_m with the orders one by one, where there are several, and q_r."""
        for composed in self.cvsi.compose(query):
            found = replace(composed, scoring=scoring)
            captions, model = found.trace.get("captions"), self.cvsi.language_model
            if found.pending or not captions or model is None:
                yield found
                continue
            orders = orders_in(composed.modification_text)
            if len(orders) > 1 and MODIFIED_CAPTIONS in found.parts:
                yield replace(found, pending=IN_STEPS)
                found = self._in_steps(found, orders, model)
            yield replace(found, pending=ASKING)
            yield self._without_removed(found, captions[0], model)

    def revise(self, composed: ComposedQuery, trace: Trace) -> ComposedQuery:
        """CVSI's own texts changed; what is removed stays as it was. A changed caption takes both its descriptions with it."""
        return self.cvsi.revise(composed, {**trace, MODIFIED: _still_described(composed.trace, trace)})

    def _in_steps(
        self, composed: ComposedQuery, orders: Sequence[str], model: LanguageModel
    ) -> ComposedQuery:
        """C^M with what becomes of each caption when the orders are carried out one by one, and q_m, its mean."""
        since = time.perf_counter()
        captions = list(dict.fromkeys(composed.trace["captions"]))
        if self.cvsi.settings.joint_call:
            captions = [", ".join(captions)]
        notes = list(composed.notes)
        try:
            in_steps = [described_in_steps(model, caption, orders, notes.append) for caption in captions]
        except LanguageModelFailed as error:
            said = f"The language model did not carry out one order after the other; the edit as a whole counts: {error}"
            return replace(composed, notes=[*composed.notes, said])
        described = (*composed.trace[MODIFIED], *in_steps)
        row = unit_row(self._texts.encode(described).mean(axis=0))
        return replace(
            composed,
            parts={**composed.parts, MODIFIED_CAPTIONS: row},
            trace={**composed.trace, MODIFIED: described},
            notes=list(dict.fromkeys(notes)),
            timings_ms=self._took(composed, "language model", since),
        )

    def _without_removed(self, composed: ComposedQuery, caption: str, model: LanguageModel) -> ComposedQuery:
        since = time.perf_counter()
        try:
            prompt = prompts.cvsi_removed_objects(caption, composed.modification_text)
            objects = replies.parse_objects(model.complete(prompt, max_tokens=OBJECT_TOKENS))
        except LanguageModelFailed as error:
            said = f"The language model did not say what is removed, so nothing counts against a picture: {error}"
            return replace(composed, notes=[*composed.notes, said])
        took = self._took(composed, "language model", since)
        trace = {**composed.trace, REMOVED: tuple(objects)}
        if not objects:
            return replace(composed, trace=trace, timings_ms=took)
        row = unit_row(self._texts.encode(objects).mean(axis=0))
        return replace(composed, parts={**composed.parts, REMOVED_OBJECTS: row}, trace=trace, timings_ms=took)

    def _took(self, composed: ComposedQuery, stage: str, since: float) -> Mapping[str, float]:
        before = composed.timings_ms
        return {**before, stage: before.get(stage, 0.0) + 1000.0 * (time.perf_counter() - since)}


def _still_described(before: Trace, now: Trace) -> Sequence[str]:
    """The descriptions without the two of a caption that is gone, where each has two: of the edit as a whole, and in steps."""
    captions, described = list(dict.fromkeys(before.get(CAPTIONS, ()))), now.get(MODIFIED, ())
    if len(before.get(MODIFIED, ())) != 2 * len(captions) or len(described) < 2 * len(captions):
        return described
    gone = {i for i, caption in enumerate(captions) if caption not in now.get(CAPTIONS, ())}
    gone |= {i + len(captions) for i in gone}
    return [text for i, text in enumerate(described) if i not in gone]


def cvsi_removal(given: Ingredients) -> CvsiRemoval | None:
    """The method over a CVSI of these ingredients; None where that cannot be made."""
    made = cvsi.CARD.build(given)
    return CvsiRemoval(made) if isinstance(made, Cvsi) else None


CARD = MethodCard(
    "CVSI+removal",
    "CVSI order by order, with objects most likely removed: ours",
    __name__,
    cvsi_removal,
    "as of CVSI",
    template="a photo of $ that T. And the photo should have O",
    needs=("phi any", CAPTIONER, LANGUAGE_MODEL),
    defaults="α 0.6, β 0.4, γ 0.2, δ 0.2",
    parameters=PARAMETERS,
)
