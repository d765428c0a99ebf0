"""CVSI: complementary visual-semantic integration.

Three features of one query: q_v, the reference image; q_f, "a photo of $ that T. And the photo should have O" with
the image's pseudo-word for $; q_m, the mean over captions of the image that a language model has modified.
Source: CVSI, sections III-B and III-C, Eq. 1-3, 6 and 7.

Where paper and released code differ we follow the paper, and name the difference: the code asks the language model once
for all captions together (`joint_call`), gives p_a every caption (paper: the first), and lets "should have ." stand when
no object is added (we drop the clause). Both leave open whether q_m is normalised; it is here, so that alpha means the
same for every query.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir import prompts, replies
from cir.composers.baselines import PLAIN_TEXT
from cir.composers.composer import unit_row
from cir.composers.edited_captions import edited_caption
from cir.composers.ingredients import CvsiSettings, Ingredients
from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL, Build, MethodCard
from cir.composers.parameters import Parameter, Values, read_values, shares
from cir.composers.revision import TextMemory, Trace, revise
from cir.composers.textual_inversion import image_word
from cir.errors import LanguageModelFailed
from cir.models.protocols import (
    Captioner,
    ImageEncoder,
    ImageToWords,
    LanguageModel,
    PseudoWordEncoder,
    TextEncoder,
)
from cir.questions import at_once, in_order
from cir.ranking.scoring import Linear
from cir.text import notes_on
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, Query

PARTS = (MODIFIED_CAPTIONS, FINE_GRAINED, REFERENCE_IMAGE)  # q_m, q_f, q_v
PARAMETERS = (  # Source: CVSI, section III-D, Eq. 8 (alpha, beta) and Eq. 9 (gamma)
    Parameter(
        "alpha",
        "α",
        "described edit",
        0.6,
        part=MODIFIED_CAPTIONS,
        meaning="How much captions of the reference count that were rewritten with the edit by the language model.",
    ),
    Parameter(
        "beta",
        "β",
        "image word + edit",
        0.4,
        part=FINE_GRAINED,
        meaning="How much a sentence counts that holds the reference as one word, with the edit.",
    ),
    Parameter(
        "gamma",
        "γ",
        "captions of gallery images",
        0.2,
        meaning="How much what is said about a gallery image counts beside its pixels.",
    ),
)


def weights(alpha: float = 0.6, beta: float = 0.4, gamma: float = 0.2) -> dict[str, float]:
    """CVSI's numbers by name, checked.

    Raises:
        BadQuery: one that is out of its range, or alpha + beta above 1.
    """
    return read_values(PARAMETERS, {"alpha": alpha, "beta": beta, "gamma": gamma})


PAPER_PRESETS: Mapping[str, Values] = {  # CVSI, section IV-A2
    "CIRCO / CIRR": weights(0.6, 0.4, 0.2),
    "FashionIQ": weights(0.2, 0.6, 0.1),
}
OBJECT_TOKENS = 24


@dataclass(slots=True)
class _Draft:
    """A query on its way: what is known so far."""

    text: str
    parts: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    trace: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    words: NDArray[np.float32] | None = None

    def seen(self, pending: str = "") -> ComposedQuery:
        return ComposedQuery(
            dict(self.parts),
            {name: tuple(texts) for name, texts in self.trace.items()},
            tuple(self.notes),
            dict(self.timings),
            pending,
            scoring=scoring,
            modification_text=self.text,
            pseudo_words=self.words,
        )

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def took(self, stage: str, since: float) -> None:
        self.timings[stage] = self.timings.get(stage, 0.0) + 1000.0 * (time.perf_counter() - since)

    def received(self, answers: Iterator[_Told]) -> list[str]:
        """What the language model's next answer says, once it is there. Waiting counts; also for one that fails."""
        since = time.perf_counter()
        try:
            texts, notes = next(answers)
        finally:
            self.took("language model", since)
        for note in notes:
            self.note(note)
        return texts


_ASKING = "asking the language model for the edited description"
_ASKING_FOR_MORE = "asking the language model for {} more edited description{}"


_Told = tuple[list[str], list[str]]  # what is read out of an answer, and what a person should know of it


def _ask_one(question: Callable[[], _Told]) -> _Told:
    return question()


def _added_objects(caption: str, text: str, model: LanguageModel) -> _Told:
    """F_add. Source: Eq. 6 and Figure 3."""
    answer = model.complete(prompts.cvsi_added_objects(caption, text), max_tokens=OBJECT_TOKENS)
    return replies.parse_objects(answer), []


def _modified_caption(captions: Sequence[str], text: str, model: LanguageModel) -> _Told:
    """One element of C^M. Source: Eq. 7, with the template p_m of CIReVL."""
    notes: list[str] = []
    return [edited_caption(model, captions, text, notes.append)], notes


def scoring(composed: ComposedQuery, values: Values) -> Linear:
    """Eq. 8 and 9: alpha q_m + beta q_f + (1 - alpha - beta) q_v, against gamma t_c + (1 - gamma) t_v.

    A part that is missing counts as 0 and the others keep their ratio. When all weight lies on parts that are missing,
    the others count equally: an order that follows from nothing would be worse.
    """
    wanted = shares(PARAMETERS, values)
    there = {name: wanted.get(name, 0.0) for name in composed.parts}
    total = sum(there.values())
    if total <= 1e-9:
        return Linear.even(there, values["gamma"])
    return Linear({name: share / total for name, share in there.items()}, values["gamma"])


class Cvsi:
    """The method of the paper, in stages.

    Args:
        image_encoder, text_encoder, pseudo_word_encoder: one CLIP.
        phi: a mapping network for it; any, the paper takes LinCIR's.
        captioner, language_model: None where they are missing; `missing` then says why, for the person. A captioner
            that remembers (`CaptionMemory`) captions the same picture once.
        start: where its numbers start; None for the paper's.
        for_photographs: where they start where the reference was read as a photograph; None for the same.
        name: of the method; another one for another mapping network.
    """

    scoring = staticmethod(scoring)

    def __init__(
        self,
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder,
        pseudo_word_encoder: PseudoWordEncoder,
        phi: ImageToWords,
        captioner: Captioner | None,
        language_model: LanguageModel | None,
        *,
        settings: CvsiSettings | None = None,
        start: Values | None = None,
        for_photographs: Values | None = None,
        missing: Mapping[str, str] | None = None,
        name: str = "CVSI",
    ) -> None:
        self.name = name
        self.image_encoder, self.text_encoder = image_encoder, text_encoder
        self.pseudo_word_encoder, self.phi = pseudo_word_encoder, phi
        self.captioner, self.language_model = captioner, language_model
        self.settings = settings or CvsiSettings()
        chosen = read_values(PARAMETERS, {}, start)
        other = read_values(PARAMETERS, for_photographs) if for_photographs else {}
        self.parameters = tuple(
            replace(p, default=chosen[p.name], for_photographs=other.get(p.name)) for p in PARAMETERS
        )
        self.missing = dict(missing or {})
        self._texts = TextMemory(text_encoder)

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Yield q_v and q_f without objects; then captions; then q_f with objects; then q_m, growing."""
        draft = _Draft(query.modification_text, notes=notes_on(query.modification_text))
        if query.reference_image is None:
            yield self._text_alone(draft)
            return
        since = time.perf_counter()
        raw = self.image_encoder.encode_images([query.reference_image])
        draft.parts[REFERENCE_IMAGE] = unit_row(raw)
        draft.took("image", since)
        words = self.phi.map_features(raw)
        draft.trace |= image_word(self.pseudo_word_encoder, words)
        if not draft.text:
            draft.note("There is no edit text, so these are pictures like the reference.")
            yield draft.seen()
            return
        draft.words = words
        self._fine_grained(draft, words, [])
        self._note_length(draft)
        if self.captioner is None or self.language_model is None:
            for part in ("captioner", "language model"):
                if part in self.missing:
                    draft.note(self.missing[part])
            if self.captioner is None:
                yield draft.seen()
                return
        yield draft.seen("captioning the reference image")
        draft.trace["captions"] = self._caption(draft, query.reference_image)
        if self.language_model is None:
            yield draft.seen()
            return
        yield draft.seen("asking the language model what is added")
        yield from self._ask(draft, words, self.language_model)

    def revise(self, composed: ComposedQuery, trace: Trace) -> ComposedQuery:
        """The query with other captions, descriptions or objects; see `cir.composers.revision`."""
        return revise(composed, trace, self._texts, self.pseudo_word_encoder)

    def _text_alone(self, draft: _Draft) -> ComposedQuery:
        since = time.perf_counter()
        draft.parts[FINE_GRAINED] = unit_row(self.text_encoder.encode_texts([draft.text]))
        draft.took("text", since)
        draft.note("There is no reference image, so the text alone is searched for.")
        return replace(draft.seen(), called=PLAIN_TEXT)

    def _fine_grained(self, draft: _Draft, words: NDArray[np.float32], objects: list[str]) -> None:
        """q_f. Source: Eq. 1 and 2."""
        since = time.perf_counter()
        prefix, suffix, tail = prompts.cvsi_fine_grained(draft.text, objects)
        draft.parts[FINE_GRAINED] = unit_row(
            self.pseudo_word_encoder.encode_spliced(prefix, words, suffix, tail)
        )
        draft.took("text", since)

    def _note_length(self, draft: _Draft) -> None:
        limit = getattr(self.text_encoder, "text_length_limit", 77)
        room = limit - self.phi.tokens - self.text_encoder.count_tokens("a photo of that")
        if self.text_encoder.count_tokens(draft.text) - 2 > room:
            counts = "counts only through the language model" if self.language_model else "does not count"
            draft.note(f"The edit is longer than CLIP reads; its end {counts}.")

    def _caption(self, draft: _Draft, image: Image.Image) -> list[str]:
        """N captions of the reference. Source: Eq. 3."""
        assert self.captioner is not None
        since = time.perf_counter()
        found = self.captioner.caption([image], per_image=self.settings.captions, seed=self.settings.seed)[0]
        draft.took("captions", since)
        if not found:
            draft.note(
                "The captioner found no words for this picture, so there is no described edit: its weight (α) changes nothing."
            )
        return found

    def _ask(
        self, draft: _Draft, words: NDArray[np.float32], model: LanguageModel
    ) -> Iterator[ComposedQuery]:
        captions = draft.trace["captions"]
        if not captions:
            yield draft.seen()
            return
        calls = [captions] if self.settings.joint_call else [[c] for c in dict.fromkeys(captions)]
        questions = [
            partial(_added_objects, captions[0], draft.text, model),
            *(partial(_modified_caption, group, draft.text, model) for group in calls),
        ]
        try:
            with closing(in_order(_ask_one, questions, at_once(model))) as answers:
                draft.trace["added_objects"] = objects = draft.received(answers)
                if objects:
                    self._fine_grained(draft, words, objects)
                yield draft.seen(_ASKING)
                draft.trace["modified_captions"] = []
                for left in reversed(range(len(calls))):
                    draft.trace["modified_captions"] += draft.received(answers)
                    self._mean_modified(draft)
                    yield draft.seen(_ASKING_FOR_MORE.format(left, "s" if left > 1 else "") if left else "")
        except LanguageModelFailed as error:
            draft.note(f"The language model did not answer, so its part is missing here: {error}")
            yield draft.seen()

    def _mean_modified(self, draft: _Draft) -> None:
        since = time.perf_counter()
        features = self._texts.encode(draft.trace["modified_captions"])
        draft.parts[MODIFIED_CAPTIONS] = unit_row(features.mean(axis=0))
        draft.took("text", since)


def cvsi(name: str, recipe: str | None = None) -> Build:
    """What makes CVSI with the mapping network of a recipe; without one, with the set's choice or `Ingredients.cvsi_phi`."""

    def build(given: Ingredients) -> Cvsi | None:
        phi = given.phi(recipe or given.cvsi_phi)
        if phi is None:
            return None
        return Cvsi(
            given.image_encoder,
            given.text_encoder,
            given.pseudo_word_encoder,
            phi,
            given.captioner,
            given.language_model,
            settings=given.settings,
            start=given.cvsi_weights,
            for_photographs=given.cvsi_for_photographs,
            missing=given.missing,
            name=name,
        )

    return build


CARD = MethodCard(
    "CVSI",
    "Ye et al., Fine-Grained ZS-CIR with Complementary Visual-Semantic Integration",
    __name__,
    cvsi("CVSI"),
    "MIT, with a part under LinCIR's CC BY-NC 4.0",
    template="a photo of $ that T. And the photo should have O",
    needs=("phi any", CAPTIONER, LANGUAGE_MODEL),
    defaults="α 0.6, β 0.4, γ 0.2",
    parameters=PARAMETERS,
)
WITH_HYCIR = MethodCard(
    "CVSI+HyCIR",
    "CVSI with HyCIR's mapping network: a combination of ours",
    __name__,
    cvsi("CVSI+HyCIR", "hycir"),
    "as of the two",
    template="a photo of [$ $ $ $] that T. And the photo should have O",
    needs=("phi hycir", CAPTIONER, LANGUAGE_MODEL),
    defaults="α 0.6, β 0.4, γ 0.2",
    parameters=PARAMETERS,
)
