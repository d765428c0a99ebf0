"""What the triplet tab asks of the program, as nouns and one protocol; who answers is joined elsewhere.

The page does not know how triplets are made, where they are kept, or which formats there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cir.gallery.gallery import Gallery
from cir.types import Triplet

INCONSISTENT = "inconsistent"  # the one reason that moves with the threshold of the score
ACCEPTED, REJECTED = "accepted", "rejected"
# Each ordered pair of ranks that makes a triplet of a subgroup: the ring of six, and the seed to three more.
EDGES = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 2), (0, 3), (0, 4))


@dataclass(frozen=True, slots=True)
class TripletFile:
    """A file of triplets that can be looked at: `key` names it among the others, `title` for people."""

    key: str
    title: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person said about one triplet.

    Attributes:
        verdict: "accepted", "rejected", or "" for neither.
        text: the text as the person wants it; "" leaves it as it was made.
    """

    verdict: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Mining:
    """What a gallery yields before any text is made.

    Attributes:
        images: pictures that were looked at.
        groups: subgroups of six that were found, at most one for each picture.
        pairs: different ordered pairs of these subgroups.
        repeated: pairs left out because they were there already.
    """

    images: int
    groups: int
    pairs: int
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The three numbers of the paper. Source: HyCIR, sections on image pairs and on filtering.

    Attributes:
        consistency: a triplet below this score is dropped.
        near_duplicate: pictures at least this similar to the seed are too alike for its subgroup.
        gap: two subsequent members of a subgroup differ in similarity by more than this.
    """

    consistency: float = 0.7
    near_duplicate: float = 0.94
    gap: float = 0.002


@dataclass(frozen=True, slots=True)
class TripletSet:
    """A file that was read.

    Attributes:
        triplets: in the order of the file.
        judgements: triplet_id -> what a person said.
        thresholds: what the file was made with.
        mining: as counted when it was made; None where the file does not say.
        gallery: the name of the gallery that its pictures belong to; "" when unknown.
    """

    triplets: Sequence[Triplet]
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)
    mining: Mining | None = None
    gallery: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """How far making more triplets is.

    Attributes:
        done, total: pairs of this run.
        key: the file that they are written to.
        new: the triplets that came since the last step.
        seconds_left: an estimate; None while there is none.
    """

    done: int
    total: int
    key: str
    new: tuple[Triplet, ...] = ()
    seconds_left: float | None = None


class TripletSource(Protocol):
    """Who keeps the triplets. Every method raises CirError for what a person can put right."""

    def files(self) -> Sequence[TripletFile]:
        """What can be looked at, the shipped file first."""
        ...

    def read(self, key: str) -> TripletSet:
        """One file, whole."""
        ...

    def judge(self, key: str, triplet_id: str, judgement: Judgement) -> None:
        """Keep what a person said, beside the file; it takes the place of what was said before."""
        ...

    def mine(self, key: str, gallery: Gallery, thresholds: Thresholds) -> Mining:
        """What these thresholds would yield. Quick after the first call: the neighbours are kept."""
        ...

    def export(self, key: str, consistency: float, schema: str, out: Path) -> None:
        """Write a file as "jsonl" or "cirr", judged by this threshold and then by the person."""
        ...

    def take_in(self, upload: Path) -> str:
        """Read an uploaded annotation file of CIRR, LaSCo or Laion-CIR, or our own; the new file's key."""
        ...

    def generate(
        self, key: str, gallery: Gallery, count: int, thresholds: Thresholds, stop: Callable[[], bool]
    ) -> Iterator[Made]:
        """Make `count` more triplets of the gallery, which are written as they come, until `stop()`."""
        ...

    def cannot_generate(self) -> str:
        """Why no triplets can be made here, with the way out; "" when they can."""
        ...
