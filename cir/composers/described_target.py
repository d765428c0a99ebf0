"""What CIReVL and LDRE share: captions of the reference, each edited by the language model, searched for as text.

Source: CIReVL, section 3; LDRE, section 3. How the edited captions become one feature is each method's own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing

from cir.composers.composer import edit_of, present, reference_of
from cir.composers.edited_captions import edited_caption
from cir.composers.parameters import WithoutParameters
from cir.errors import LanguageModelFailed
from cir.models.protocols import Captioner, LanguageModel, TextEncoder
from cir.prompts import captioning_text
from cir.questions import at_once, in_order
from cir.text import notes_on
from cir.types import MODIFIED_CAPTIONS, ComposedQuery, Features, Query

Trace = dict[str, tuple[str, ...]]


class DescribedTarget(WithoutParameters):
    """Captions, edited, as a text query of one part.

    Args:
        text_encoder: of the gallery's CLIP.
        captioner, language_model: None where they are missing; `missing` then says why.
        captions: how many are asked for.
        used: how many of these are edited; None for all. (Asking for as many as another method shares its captions.)
        missing: part -> why it is not here.
    """

    name = ""

    def __init__(
        self,
        text_encoder: TextEncoder,
        captioner: Captioner | None,
        language_model: LanguageModel | None,
        *,
        captions: int = 1,
        used: int | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self.text_encoder = text_encoder
        self.captioner, self.language_model = captioner, language_model
        self.captions, self.used = captions, used
        self.missing = dict(missing or {})

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Captions with the edit behind them while the language model thinks; then its descriptions.

        Raises:
            BadQuery: no image, or no edit.
            MissingModel: no captioner, or no language model.
        """
        image, text = reference_of(query, self.name), edit_of(query, self.name)
        captioner = present(self.captioner, "captioner", self.name, self.missing)
        model = present(self.language_model, "language model", self.name, self.missing)
        since, notes = time.perf_counter(), notes_on(text)
        said = captioner.caption([image], per_image=self.captions, seed=0)[0][: self.used]
        timings = {"captions": _milliseconds(since)}
        said = list(dict.fromkeys(said))
        if not said:
            notes.append("The captioner found no words for this picture, so the edit alone is searched for.")
            yield self._query([text], [text], {}, notes, timings)
            return
        before = [captioning_text(caption, text) for caption in said]
        trace: Trace = {"captions": tuple(said)}
        waiting = "asking the language model for the edited description"
        yield self._query(said, before, trace, notes, timings, waiting)
        edited, since = [], time.perf_counter()

        def edit(caption: str) -> tuple[str, list[str]]:
            told: list[str] = []
            return edited_caption(model, [caption], text, told.append), told

        try:
            with closing(in_order(edit, said, at_once(model))) as answers:
                for after, told in answers:
                    edited.append(after)
                    notes += told
        except LanguageModelFailed as error:
            notes.append(f"The language model did not answer, so the edit stands behind the caption: {error}")
            edited += before[len(edited) :]
        timings["language model"] = _milliseconds(since)
        trace[MODIFIED_CAPTIONS] = tuple(edited)
        yield self._query(said, edited, trace, notes, timings)

    def join(self, before: Features, after: Features) -> tuple[Features, tuple[str, ...]]:
        """One feature of N captions' and their edited descriptions' (N, D), and what there is to say of it."""
        raise NotImplementedError

    def _query(
        self,
        said: list[str],
        edited: list[str],
        trace: Trace,
        notes: list[str],
        timings: dict[str, float],
        pending: str = "",
    ) -> ComposedQuery:
        since = time.perf_counter()
        features = self.text_encoder.encode_texts([*said, *edited])
        row, more = self.join(features[: len(said)], features[len(said) :])
        timings["text"] = timings.get("text", 0.0) + _milliseconds(since)
        told = tuple(dict.fromkeys([*notes, *more]))
        return ComposedQuery({MODIFIED_CAPTIONS: row}, dict(trace), told, dict(timings), pending)


def _milliseconds(since: float) -> float:
    return 1000.0 * (time.perf_counter() - since)
