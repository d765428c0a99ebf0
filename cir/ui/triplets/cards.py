"""What the triplet tab shows, as plain values: a page of cards, one triplet closely with its group, and the funnel.

Everything is judged by the thresholds of this moment. Knows neither gradio nor HTML.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cir.errors import CirError
from cir.gallery.searchable import Searchable
from cir.syncir.judgements import Judgement
from cir.syncir.pairs import MEMBERS, PAIR_RANKS
from cir.syncir.picture_names import has_pictures_of, own_id
from cir.syncir.records import Funnel
from cir.syncir.table import TripletTable
from cir.types import Triplet
from cir.ui.server.pictures import address_of


@dataclass(frozen=True, slots=True)
class ShownTriplet:
    """A triplet as a page shows it, which sends it along with what is done.

    Attributes:
        key: its file.
        row: where it stands in the file.
        triplet_id: its id.
        verdict: what a person said of it, as far as the page shows it.
    """

    key: str
    row: int
    triplet_id: str
    verdict: str = ""

    def as_json(self) -> str:
        """What the page sends along; `cir.ui.triplets.reading.read_shown` reads it."""
        return json.dumps([self.key, self.row, self.triplet_id, self.verdict])


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a triplet: its small file, or None where the gallery has nothing of it, and its name."""

    path: Path | None
    name: str

    @property
    def address(self) -> str:
        """Where the browser gets the small file; "" when there is none."""
        return address_of(self.path) if self.path is not None else ""


@dataclass(frozen=True, slots=True)
class Card:
    """One triplet as it is shown.

    Attributes:
        shown: which triplet it is.
        triplet: as it was made.
        reference, target: its pictures.
        text: as the person wants it.
        kept, reason: the verdict under the threshold of this moment.
        judgement: what the person said.
        threshold: of this moment.
        chosen: whether it is the one looked at closely.
    """

    shown: ShownTriplet
    triplet: Triplet
    reference: Picture
    target: Picture
    text: str
    kept: bool
    reason: str
    judgement: Judgement
    threshold: float
    chosen: bool

    @property
    def number(self) -> int:
        """Its row in the file, from 1."""
        return self.shown.row + 1


@dataclass(frozen=True, slots=True)
class Edge:
    """One of the nine pairs of a subgroup: its ranks, and its triplet with its text; None where there is none."""

    ranks: tuple[int, int]
    shown: ShownTriplet | None
    text: str
    kept: bool
    current: bool


@dataclass(frozen=True, slots=True)
class Closer:
    """One triplet closely: its card, and its subgroup (no members where the file tells of none)."""

    card: Card
    members: tuple[Picture, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """The cards on the screen, and where they stand among the rows that pass."""

    cards: tuple[Card, ...]
    page: int
    pages: int
    matches: int
    total: int


@dataclass(frozen=True, slots=True)
class FunnelView:
    """From pictures to kept triplets, under the thresholds of this moment.

    Attributes:
        now: the funnel; no images where neither the file nor the gallery tells of groups and pairs.
        recorded: the same as the file was made; differs from `now` when the sliders were moved.
        judged: "accepted", "rejected", "edited" -> how many by a person.
        why_not: why groups and pairs cannot follow the sliders; "" when they do.
    """

    now: Funnel
    recorded: Funnel
    judged: dict[str, int]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class FileView:
    """How one file is looked at.

    Attributes:
        table, key: the file.
        gallery: gives the pictures.
        consistency: the threshold of the score.
        row: the triplet that is looked at closely.
    """

    table: TripletTable
    key: str
    gallery: Searchable
    consistency: float
    row: int

    def shown(self, row: int) -> ShownTriplet:
        """A row as a page sends it back."""
        return shown_triplet(self.table, self.key, row)

    def picture(self, image_id: str) -> Picture:
        """The small file of an image, called by its id or its file's name; a name alone where the gallery does not have it."""
        if self.table.shipped and not has_pictures_of(self.table, self.gallery):
            return Picture(None, image_id)
        own = own_id(self.gallery, image_id)
        try:
            return Picture(Path(self.gallery.thumbnail_path(own)), self.gallery.label(own))
        except CirError:  # an imported triplet of pictures that are not here: the tile says the name
            return Picture(None, image_id)

    def card(self, row: int) -> Card:
        """A row as it is shown."""
        table, triplet = self.table, self.table.triplets[row]
        return Card(
            shown=self.shown(row),
            triplet=triplet,
            reference=self.picture(triplet.reference_id),
            target=self.picture(triplet.target_id),
            text=table.text(row),
            kept=table.is_kept(row, self.consistency),
            reason=table.reason(row, self.consistency),
            judgement=table.judgement(row),
            threshold=self.consistency,
            chosen=row == self.row,
        )

    def closer(self) -> Closer | None:
        """The triplet looked at closely with its subgroup; None when there is none."""
        if self.row < 0:
            return None
        members = self.table.triplets[self.row].members
        if len(members) != MEMBERS:
            return Closer(self.card(self.row))
        pictures = tuple(self.picture(member) for member in members)
        return Closer(self.card(self.row), pictures, tuple(self._edge(ranks) for ranks in PAIR_RANKS))

    def _edge(self, ranks: tuple[int, int]) -> Edge:
        current = self.table.triplets[self.row]
        row = self.table.row_of_pair(current.members[ranks[0]], current.members[ranks[1]])
        if row is None:
            return Edge(ranks, None, "", False, current=False)
        kept = self.table.is_kept(row, self.consistency)
        return Edge(ranks, self.shown(row), self.table.text(row), kept, current=ranks == current.ranks)


def shown_triplet(table: TripletTable, key: str, row: int) -> ShownTriplet:
    """A row of a file as a page sends it back."""
    return ShownTriplet(key, row, table.triplets[row].triplet_id, table.judgement(row).verdict)
