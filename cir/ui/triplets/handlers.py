"""What the triplet tab does, as plain functions: checked values in, values out.

What is done is about the triplet that the page showed when it was asked for: the page sends along which one that
was, as an answer that changes it may be on its way still. Tables are shared by all visitors and read once; a
session keeps small numbers only. Knows neither gradio nor HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import numpy as np

from cir.errors import BadQuery, CirError
from cir.gallery.gallery import Gallery
from cir.text import clean_text
from cir.types import Triplet
from cir.ui.triplets.source import (
    ACCEPTED,
    EDGES,
    REJECTED,
    Judgement,
    Made,
    Mining,
    Thresholds,
    TripletFile,
    TripletSource,
)
from cir.ui.triplets.table import Filters, TripletTable

TABLES_KEPT = 3
GENERATED_AT_ONCE = 20


@dataclass(slots=True)
class TripletSession:
    """What the server remembers of one visitor's triplet tab. Small.

    Attributes:
        key: the file that is looked at; "" before the tab was opened.
        filters, sort, page, page_size: what is on the screen.
        rows: the rows on the page, in order.
        matches: how many rows pass the filters.
        row: the row looked at closely; -1 for none.
        thresholds: as the sliders stand.
        reset: the program has changed filters and order itself, which the fields do not show yet.
        text_shown: the triplet that the text field was filled for, and with what; its text stays as it is typed until
            there is another.
        stopping: the person wants the run that is going on to end.
    """

    key: str = ""
    filters: Filters = field(default_factory=Filters)
    sort: str = "file"
    page: int = 0
    page_size: int = 12
    rows: tuple[int, ...] = ()
    matches: int = 0
    row: int = -1
    thresholds: Thresholds = field(default_factory=Thresholds)
    reset: bool = False
    text_shown: tuple[str, int, str] | None = None
    stopping: bool = False


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


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a triplet: its small file, or None where the gallery has nothing of it, and its name."""

    path: Path | None
    name: str


@dataclass(frozen=True, slots=True)
class Card:
    """One triplet as it is shown, judged by the thresholds of this moment.

    Attributes:
        shown: which triplet it is.
        place: where it stands on the page.
        number: its row in the file, from 1.
        triplet: as it was made.
        reference, target: its pictures.
        text: as the person wants it.
        kept, reason: the verdict under the threshold of this moment.
        judgement: what the person said.
        threshold: of this moment.
        chosen: whether it is the one looked at closely.
    """

    shown: ShownTriplet
    place: int
    number: int
    triplet: Triplet
    reference: Picture
    target: Picture
    text: str
    kept: bool
    reason: str
    judgement: Judgement
    threshold: float
    chosen: bool


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
    members: tuple[Picture, ...]
    edges: tuple[Edge, ...]


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
        mining: pictures, groups and pairs; None where neither the file nor the gallery tells.
        recorded: the same as the file was made; differs from `mining` when the sliders were moved.
        asked: pairs of the file.
        texts: of them, with a text.
        kept: of these, kept at this threshold.
        kept_recorded: the same at the file's own threshold.
        dropped: reason -> how many at this threshold.
        said: "accepted", "rejected", "edited" -> how many by a person.
        why_not: why groups and pairs cannot follow the sliders; "" when they do.
    """

    mining: Mining | None
    recorded: Mining | None
    asked: int
    texts: int
    kept: int
    kept_recorded: int
    dropped: dict[str, int]
    said: dict[str, int]
    why_not: str = ""


class Tables:
    """The files that were read lately, as tables; one for all visitors of a page."""

    def __init__(self, source: TripletSource) -> None:
        self.source = source
        self._tables: dict[str, TripletTable] = {}
        self._lock = Lock()

    def table(self, session: TripletSession) -> TripletTable:
        """The table that a session looks at.

        Raises:
            BadQuery: no file was chosen.
            CirError: it cannot be read.
        """
        return self.of_file(session.key)

    def of_file(self, key: str) -> TripletTable:
        """The table of a file.

        Raises:
            BadQuery: no file was chosen.
            CirError: there is no such file, or it cannot be read.
        """
        if not key:
            raise BadQuery("No file of triplets is open.", "Choose one of the list.")
        with self._lock:
            table = self._tables.pop(key, None)
            table = TripletTable(self.source.read(key)) if table is None else table
            self._tables[key] = table  # the newest last
            while len(self._tables) > TABLES_KEPT:
                self._tables.pop(next(iter(self._tables)))
        return table

    def grow(self, key: str, triplets: Sequence[Triplet]) -> None:
        """More rows for a table that was read."""
        with self._lock:
            if key in self._tables:
                self._tables[key] = self._tables[key].grown(triplets)

    def forget(self, key: str) -> None:
        """Read a file anew the next time."""
        with self._lock:
            self._tables.pop(key, None)


# --- choosing what is shown -----------------------------------------------------------------------------


def choose(tables: Tables, session: TripletSession, key: object) -> TripletTable:
    """Open a file, where it is not open already. Filters stay, thresholds become the file's own.

    Raises:
        BadQuery: there is no such file.
        CirError: it cannot be read.
    """
    files = {file.key: file for file in tables.source.files()}
    if not isinstance(key, str) or key not in files:
        raise BadQuery("That file of triplets is not here any more.", "Choose one of the list.")
    opened = tables.of_file(key)
    if key == session.key:
        return opened
    session.key, session.page, session.row = key, 0, -1
    session.thresholds = opened.thresholds
    session.filters, session.reset = replace(session.filters, reason=""), True
    return opened


def turn_to(tables: Tables, session: TripletSession, key: object) -> None:
    """Look at the file that the page shows as chosen, whose choice may be on its way still; None for none.

    Raises:
        BadQuery: there is no such file.
    """
    if key not in (None, "", session.key):
        choose(tables, session, key)


def first_file(source: TripletSource) -> TripletFile | None:
    """What is shown at the start; None when there is no file at all."""
    files = source.files()
    return files[0] if files else None


def show(tables: Tables, session: TripletSession, gallery: Gallery, *, turn: int = 0) -> Page:
    """The page of cards under the filters of this moment, `turn` pages further on.

    The triplet looked at closely stays so while it is on the page; otherwise it is the first.
    """
    table = tables.table(session)
    rows = table.find(session.filters, session.sort, session.thresholds.consistency)
    pages = max(1, -(-len(rows) // session.page_size))
    session.page = min(max(session.page + turn, 0), pages - 1)
    start = session.page * session.page_size
    session.rows = tuple(int(row) for row in rows[start : start + session.page_size])
    session.matches = len(rows)
    if session.row not in session.rows:
        session.row = session.rows[0] if session.rows else -1
    cards = tuple(card(table, session, gallery, row) for row in session.rows)
    return Page(cards, session.page, pages, len(rows), len(table))


def narrow(
    tables: Tables, session: TripletSession, gallery: Gallery, filters: Filters, sort: str, page_size: int
) -> Page:
    """Show other triplets, from the first page on; the same ones as before stay as they are."""
    if (filters, sort, page_size) != (session.filters, session.sort, session.page_size):
        session.filters, session.sort, session.page_size = filters, sort, page_size
        session.page, session.row = 0, -1
    return show(tables, session, gallery)


def step(tables: Tables, session: TripletSession, gallery: Gallery, by: int) -> Page:
    """Look at the next (1) or the last (-1) triplet closely; past the end of the page, the page is turned."""
    place = session.rows.index(session.row) + by if session.row in session.rows else 0
    if 0 <= place < len(session.rows):
        session.row = session.rows[place]
        return show(tables, session, gallery)
    before = session.page
    page = show(tables, session, gallery, turn=by)
    if session.page != before and session.rows:
        session.row = session.rows[0 if by > 0 else -1]
        page = show(tables, session, gallery)
    return page


def go_to(tables: Tables, session: TripletSession, gallery: Gallery, row: int) -> Page:
    """Look at a row closely wherever it stands; filters that hide it are cleared."""
    table = tables.table(session)
    consistency = session.thresholds.consistency
    places = np.flatnonzero(table.find(session.filters, session.sort, consistency) == row)
    if not len(places):
        session.filters, session.reset = Filters(), True
        places = np.flatnonzero(table.find(session.filters, session.sort, consistency) == row)
    session.page, session.row = int(places[0]) // session.page_size, row
    return show(tables, session, gallery)


def pick(tables: Tables, session: TripletSession, gallery: Gallery, shown: ShownTriplet) -> Page:
    """Look at a triplet closely that stands on the page, as a card or as an arrow of a group.

    Raises:
        BadQuery: it is not of the file that is looked at now.
    """
    table_of(tables, shown)
    if shown.key != session.key:
        raise BadQuery("That triplet is not on the page any more.", "Choose one of those that are shown.")
    return go_to(tables, session, gallery, shown.row)


def again(tables: Tables, session: TripletSession, gallery: Gallery, shown: ShownTriplet) -> Page:
    """The page after something was done with a triplet: that one closely, unless another was chosen meanwhile."""
    if (shown.key, shown.row) == (session.key, session.row):
        return go_to(tables, session, gallery, shown.row)
    return show(tables, session, gallery)


def table_of(tables: Tables, shown: ShownTriplet) -> TripletTable:
    """The table that a triplet of a page is in.

    Raises:
        CirError: the file is not here any more, or that triplet is not in it.
    """
    table = tables.of_file(shown.key)
    if not 0 <= shown.row < len(table) or table.triplets[shown.row].triplet_id != shown.triplet_id:
        raise BadQuery("That triplet is not in this file any more.", "Choose one of those that are shown.")
    return table


# --- one triplet ----------------------------------------------------------------------------------------


def picture(gallery: Gallery, image_id: str) -> Picture:
    """The small file of an image, or a name alone where the gallery does not have it."""
    try:
        return Picture(Path(gallery.thumbnail_path(image_id)), gallery.label(image_id))
    except CirError:  # an imported triplet of pictures that are not here: the tile says the name
        return Picture(None, image_id)


def shown_as(table: TripletTable, key: str, row: int) -> ShownTriplet:
    """A row as a page sends it back."""
    return ShownTriplet(key, row, table.triplets[row].triplet_id, table.judgement(row).verdict)


def card(table: TripletTable, session: TripletSession, gallery: Gallery, row: int) -> Card:
    """A row as it is shown."""
    triplet, consistency = table.triplets[row], session.thresholds.consistency
    return Card(
        shown=shown_as(table, session.key, row),
        place=session.rows.index(row) if row in session.rows else 0,
        number=row + 1,
        triplet=triplet,
        reference=picture(gallery, triplet.reference_id),
        target=picture(gallery, triplet.target_id),
        text=table.text(row),
        kept=table.is_kept(row, consistency),
        reason=table.reason(row, consistency),
        judgement=table.judgement(row),
        threshold=consistency,
        chosen=row == session.row,
    )


def closer(tables: Tables, session: TripletSession, gallery: Gallery) -> Closer | None:
    """The triplet looked at closely with its subgroup; None when no triplet passes the filters."""
    if session.row < 0:
        return None
    table = tables.table(session)
    triplet = table.triplets[session.row]
    shown = card(table, session, gallery, session.row)
    if len(triplet.members) != 6:
        return Closer(shown, (), ())
    members = tuple(picture(gallery, member) for member in triplet.members)
    return Closer(shown, members, tuple(_edge(table, session, ranks) for ranks in EDGES))


def _edge(table: TripletTable, session: TripletSession, ranks: tuple[int, int]) -> Edge:
    current = table.triplets[session.row]
    row = table.row_of_pair(current.members[ranks[0]], current.members[ranks[1]])
    if row is None:
        return Edge(ranks, None, "", False, current=False)
    kept = table.is_kept(row, session.thresholds.consistency)
    shown = shown_as(table, session.key, row)
    return Edge(ranks, shown, table.text(row), kept, current=ranks == current.ranks)


def judge(tables: Tables, shown: ShownTriplet, verdict: str) -> Judgement:
    """Accept or reject a triplet; the verdict that the page shows already is taken back.

    Raises:
        CirError: that triplet is not here any more, or what was said cannot be kept.
    """
    assert verdict in (ACCEPTED, REJECTED)
    before = table_of(tables, shown).judgement(shown.row)
    return _say(tables, shown, replace(before, verdict="" if shown.verdict == verdict else verdict))


def edit(tables: Tables, shown: ShownTriplet, text: object) -> Judgement:
    """Give a triplet another text; its own text again takes the edit back.

    Raises:
        BadQuery: the text is empty or no text.
        CirError: that triplet is not here any more, or what was said cannot be kept.
    """
    table, row = table_of(tables, shown), shown.row
    wanted, _ = clean_text(text)
    if not wanted:
        raise BadQuery("The text is empty.", "Type one, or reject the triplet.")
    changed = "" if wanted == table.triplets[row].text else wanted
    return _say(tables, shown, replace(table.judgement(row), text=changed))


def _say(tables: Tables, shown: ShownTriplet, judgement: Judgement) -> Judgement:
    tables.source.judge(shown.key, shown.triplet_id, judgement)
    table_of(tables, shown).judge(shown.row, judgement)
    return judgement


# --- thresholds and the funnel --------------------------------------------------------------------------


def funnel(tables: Tables, session: TripletSession, gallery: Gallery) -> FunnelView:
    """From pictures to kept triplets. Stored scores and stored neighbours are compared; no model is asked."""
    table, now = tables.table(session), session.thresholds
    mining, why_not = table.mining, ""
    if table.gallery != gallery.name:
        why_not = "These triplets are of another gallery, so its groups cannot be formed anew here."
    elif (now.near_duplicate, now.gap) != (table.thresholds.near_duplicate, table.thresholds.gap):
        mining = tables.source.mine(session.key, gallery, now)
    return FunnelView(
        mining=mining,
        recorded=table.mining,
        asked=len(table),
        texts=table.texts_made,
        kept=int(table.kept(now.consistency).sum()),
        kept_recorded=int(table.kept(table.thresholds.consistency).sum()),
        dropped=table.reasons(now.consistency),
        said=table.count_said(),
        why_not=why_not,
    )


# --- more of them ---------------------------------------------------------------------------------------


def generate(tables: Tables, session: TripletSession, gallery: Gallery) -> Iterator[Made]:
    """Make more triplets with the thresholds of this moment. The tab moves to the file that they go to.

    It ends early once `session.stopping` is set, which whoever begins takes back.

    Raises:
        CirError: they cannot be made; those made before are kept.
    """
    steps = tables.source.generate(
        session.key, gallery, GENERATED_AT_ONCE, session.thresholds, lambda: session.stopping
    )
    first = True
    for made in steps:
        if first:
            tables.forget(made.key)
            session.key, session.filters, session.sort, session.reset = made.key, Filters(), "newest", True
            tables.table(session)
            first = False
        elif made.new:
            tables.grow(made.key, made.new)
        if made.new:
            session.page, session.row = 0, -1
        yield made


def reference_of(tables: Tables, shown: ShownTriplet) -> tuple[Triplet, str]:
    """A triplet, and its text as the person wants it: what a search is begun with.

    Raises:
        BadQuery: it has no text.
        CirError: it is not here any more.
    """
    table, row = table_of(tables, shown), shown.row
    if not table.text(row):
        raise BadQuery("This triplet has no text to search with.", "Write one first, or choose another.")
    return table.triplets[row], table.text(row)
