"""The nouns that every part of the flow shares: validated values, no logic.

Arrays are numpy float32. `Features` are unit rows in the shared image-text space, shape (N, D).
A score is a cosine: higher is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.errors import BadQuery

if TYPE_CHECKING:
    from cir.ranking.scoring import Scoring

Features = NDArray[np.float32]
Scorer = Callable[
    ["ComposedQuery", Mapping[str, float]], "Scoring"
]  # (query, the method's numbers) -> its scoring

MODIFIED_CAPTIONS: str = "modified_captions"  # q_m
FINE_GRAINED: str = "fine_grained"  # q_f
REFERENCE_IMAGE: str = "reference_image"  # q_v
REMOVED_OBJECTS: str = "removed_objects"  # q_r, of our own; it counts against an image
READ_AS, PHOTOGRAPH, DRAWING = (
    "read_as",
    "a photograph",
    "a drawing",
)  # in a trace: as what the reference was read


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A reference image I_r (upright RGB) and a modification text T; either may be absent, not both.

    T is the "relative caption" of CIRR, CIRCO and FashionIQ. Text arrives cleaned (`cir.text.clean_text`).
    """

    reference_image: Image.Image | None = None
    modification_text: str = ""

    def __post_init__(self) -> None:
        if self.reference_image is None and not self.modification_text:
            raise BadQuery(
                "There is nothing to search for.", "Choose a reference image, or type an edit, or both."
            )


@dataclass(frozen=True, slots=True, eq=False)
class SignedTerm:
    """Something of which more, or less, is wanted beside the query. Rocchio's feedback, one term at a time.

    Attributes:
        kind: "more" or "less" (an image of the gallery), or "without" (a text).
        words: what it is, for the person.
        row: unit row (D,).
        weight: what it adds to the fused query, whose own parts have weights that sum to 1; negative for less.
        image_id: the image of the gallery; "" for a text.
    """

    kind: str
    words: str
    row: NDArray[np.float32]
    weight: float
    image_id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ComposedQuery:
    """A query turned into named features, not yet fused.

    Attributes:
        parts: name -> unit row (D,). A part that could not be made (no language model, no text) is absent.
        trace: what was thought on the way, to be seen and edited: "captions", "modified_captions",
            "added_objects", "removed_objects".
        notes: sentences for the person: what is missing, what was cut.
        timings_ms: stage -> milliseconds.
        pending: what is still being worked on ("captioning", "asking the language model"); "" when whole.
        scoring: how the method's numbers and these rows become scores; None where all rows count alike, by pixels.
        numbers: what the scoring wants to know of the rows beside their direction, by name.
        signed: what more and what less is wanted, on top of the parts.
        modification_text: T, as it was composed; "" where the method keeps nothing for a revision.
        pseudo_words: (1, T, W) the image as words, kept so that a changed text needs no image encoder.
        called: part -> what the method puts there, in a word or two, where that is not what CVSI puts there.
        space: fingerprint of the encoder whose features of the gallery's images these rows are compared with; "" for
            those that every gallery has.
    """

    parts: Mapping[str, NDArray[np.float32]]
    trace: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    pending: str = ""
    scoring: Scorer | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    signed: Sequence[SignedTerm] = ()
    modification_text: str = ""
    pseudo_words: NDArray[np.float32] | None = None
    called: Mapping[str, str] = field(default_factory=dict)
    space: str = ""


class RetrievedImage(NamedTuple):  # fifty are made at every move of a slider: no dataclass is made so fast
    """One result: its rank from 1, its id in the gallery, its score, higher is better."""

    rank: int
    image_id: str
    score: float


@dataclass(frozen=True, slots=True)
class CirQuery:
    """A composed query of a benchmark, by ids: the reference, the text, the targets (the first is the intended one)."""

    query_id: str
    reference_id: str
    modification_text: str
    target_ids: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Triplet:
    """A synthetic training triplet with its whole history; dropped ones are kept, with the reason.

    Attributes:
        triplet_id: unique in its file.
        reference_id, target_id: images of the gallery that it was made from.
        text: the modification text; "" when none could be made.
        reference_caption, target_caption: what the text was made from.
        members: the subgroup's images by rank, the seed first; empty for imported triplets.
        ranks: (rank of the reference, rank of the target) in the subgroup.
        similarities: cosine of each member with the seed, the seed's own 1 first.
        consistency: cos(sem_reference + sem_text, sem_target); None when it was not computed.
        target_rank: rank of the target when (reference, text) is searched by the engine itself; None if not asked.
        verdict: "kept" or "dropped".
        reason: why it was dropped; "" when it is kept.
    """

    triplet_id: str
    reference_id: str
    target_id: str
    text: str
    reference_caption: str = ""
    target_caption: str = ""
    members: tuple[str, ...] = ()
    ranks: tuple[int, int] = (0, 1)
    similarities: tuple[float, ...] = ()
    consistency: float | None = None
    target_rank: int | None = None
    verdict: str = "kept"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """How far a training is.

    Attributes:
        number: of the step, from 1.
        loss: of its batch.
        seconds_left: until it ends.
    """

    number: int
    loss: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A mapping network that was trained on triplets.

    Attributes:
        name: the method that it is.
        triplets: that it has learned from.
        held: that it was asked about and has not learned from.
        found: share of these whose target is among the first ten, the reference left out.
        found_before: the same of the set's own network; None where it has none.
    """

    name: str
    triplets: int
    held: int
    found: float
    found_before: float | None


@dataclass(frozen=True, slots=True)
class ModelFact:
    """What a person may want to know of a part of a set: what it is for, its name, licence and source."""

    part: str
    name: str
    licence: str
    source: str
