"""What the triplet tab does, as plain functions: checked values in, a changed session and what is to be shown out.

What is done is about the triplet that the page showed when it was asked for: the page sends along which one that
was, as an answer that changes it may be on its way still. Tables are shared by all visitors; a session keeps small
numbers only. Knows neither gradio nor HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.gallery.searchable import Searchable
from cir.gallery.served.gallery import ServedGallery
from cir.places import title_of_sample
from cir.shelf import Shelf
from cir.syncir.consistency import Thresholds
from cir.syncir.judgements import Judgement, judgement_of
from cir.syncir.library import TripletLibrary
from cir.syncir.picture_names import has_pictures_of
from cir.syncir.pipeline import Progress
from cir.syncir.table import Filters, TripletTable
from cir.text import MAX_CHARACTERS, clean_text
from cir.types import TrainedNetwork, TrainingStep, Triplet
from cir.ui.triplets.cards import Closer, FileView, FunnelView, Page, ShownTriplet

GENERATED_AT_ONCE = 20
# Triplets of a gallery, and what people call it -> how far it is, then what it has made.
Trainer = Callable[[Sequence[Triplet], Gallery, str], Iterator[TrainingStep | TrainedNetwork]]


@dataclass(slots=True)
class TripletSession:
    """What the server remembers of one visitor's triplet tab. Small.

    Attributes:
        key: the file that is looked at; "" before the tab was opened.
        filters, sort, page, page_size: what is on the screen.
        rows: the rows on the page, in order.
        row: the row looked at closely; -1 for none.
        thresholds: as the sliders stand.
        reset: the program has changed filters and order itself, which the fields do not show yet.
        text_shown: the triplet that the text field was filled for, and with what; its text stays as it is typed until
            there is another.
        made: how many triplets have come of the making that is going on, or was last.
        stopping: the person wants it to end.
        training_stopped: the same of the training.
        trained: the method that was trained last.
    """

    key: str = ""
    filters: Filters = field(default_factory=Filters)
    sort: str = "file"
    page: int = 0
    page_size: int = 12
    rows: tuple[int, ...] = ()
    row: int = -1
    thresholds: Thresholds = field(default_factory=Thresholds)
    reset: bool = False
    text_shown: tuple[str, int, str] | None = None
    made: int = 0
    stopping: bool = False
    training_stopped: bool = False
    trained: str = ""


# --- what is shown --------------------------------------------------------------------------------------


def view(library: TripletLibrary, session: TripletSession, gallery: Searchable) -> FileView:
    """How a session looks at its file.

    Raises:
        CirError: no file was chosen, or it cannot be read.
    """
    table = open_table(library, session)
    return FileView(table, session.key, gallery, session.thresholds.consistency, session.row)


def show(library: TripletLibrary, session: TripletSession, gallery: Searchable, *, turn: int = 0) -> Page:
    """The page of cards under the filters of this moment, `turn` pages further on.

    The triplet looked at closely stays so while it is on the page; otherwise it is the first.
    """
    matches = arrange(library, session, turn=turn)
    seen = view(library, session, gallery)
    pages = max(1, -(-matches // session.page_size))
    return Page(tuple(map(seen.card, session.rows)), session.page, pages, matches, len(seen.table))


def closer(library: TripletLibrary, session: TripletSession, gallery: Searchable) -> Closer | None:
    """The triplet looked at closely; None when no triplet passes the filters."""
    return view(library, session, gallery).closer()


def funnel(library: TripletLibrary, session: TripletSession, gallery: Searchable) -> FunnelView:
    """From pictures to kept triplets. Stored scores and stored neighbours are compared; no model is asked."""
    table, limits = open_table(library, session), session.thresholds
    now, why_not = table.funnel(limits.consistency), ""
    if not has_pictures_of(table, gallery):
        why_not = "These triplets are of another gallery, so its groups cannot be formed anew here."
    elif (limits.near_duplicate, limits.gap) != (table.thresholds.near_duplicate, table.thresholds.gap):
        mined = library.mine(session.key, _in_memory(gallery), limits)
        now = replace(
            now, images=mined.images, groups=mined.groups, pairs=mined.pairs, repeated=mined.repeated
        )
    recorded = table.funnel(table.thresholds.consistency)
    return FunnelView(now, recorded, table.count_judgements(), why_not)


def pictured(shelf: Shelf, searched: Searchable, table: TripletTable) -> Searchable:
    """The gallery that has the pictures of triplets: the one that they were made from, where it is here.

    Args:
        shelf: all galleries that are here.
        searched: the one that the visitor searches.
        table: the triplets.
    """
    best, sure = searched, has_pictures_of(table, searched)
    if not table.gallery:
        return best
    for entry in shelf.entries():
        if entry.problem or (entry.own and entry.name != table.gallery):
            continue
        gallery = shelf.retriever(entry.name).gallery
        if (surer := has_pictures_of(table, gallery)) > sure:
            best, sure = gallery, surer
    return best


def open_table(library: TripletLibrary, session: TripletSession) -> TripletTable:
    """The file that a session looks at.

    Raises:
        BadQuery: none was chosen.
        CirError: it cannot be read.
    """
    if not session.key:
        raise BadQuery("No file of triplets is open.", "Choose one of the list.")
    return library.table(session.key)


# --- choosing what is shown -----------------------------------------------------------------------------


def choose(library: TripletLibrary, session: TripletSession, key: object) -> None:
    """Open a file, where it is not open already. Filters stay, thresholds become the file's own.

    Raises:
        BadQuery: there is no such file.
        CirError: it cannot be read.
    """
    if not isinstance(key, str) or key not in {file.key for file in library.files()}:
        raise BadQuery("That file of triplets is not here any more.", "Choose one of the list.")
    opened = library.table(key)
    if key != session.key:
        session.key, session.page, session.row = key, 0, -1
        session.thresholds = opened.thresholds
        session.filters, session.reset = replace(session.filters, reason=""), True


def arrange(library: TripletLibrary, session: TripletSession, *, turn: int = 0) -> int:
    """Find the rows of the page that is `turn` pages further on; returns how many pass the filters."""
    table = open_table(library, session)
    rows = table.find(session.filters, session.sort, session.thresholds.consistency)
    last = max(0, len(rows) - 1) // session.page_size
    session.page = min(max(session.page + turn, 0), last)
    start = session.page * session.page_size
    session.rows = tuple(int(row) for row in rows[start : start + session.page_size])
    if session.row not in session.rows:
        session.row = session.rows[0] if session.rows else -1
    return len(rows)


def narrow(session: TripletSession, filters: Filters, sort: str, page_size: int) -> None:
    """Show other triplets, from the first page on; the same ones as before stay as they are."""
    if (filters, sort, page_size) != (session.filters, session.sort, session.page_size):
        session.filters, session.sort, session.page_size = filters, sort, page_size
        session.page, session.row = 0, -1


def step(library: TripletLibrary, session: TripletSession, by: int) -> None:
    """Look at the next (1) or the last (-1) triplet closely; past the end of the page, the page is turned."""
    place = session.rows.index(session.row) + by if session.row in session.rows else 0
    if 0 <= place < len(session.rows):
        session.row = session.rows[place]
        return
    before = session.page
    arrange(library, session, turn=by)
    if session.page != before and session.rows:
        session.row = session.rows[0 if by > 0 else -1]


def go_to(library: TripletLibrary, session: TripletSession, row: int) -> None:
    """Look at a row closely wherever it stands; filters that hide it are cleared."""
    table, consistency = open_table(library, session), session.thresholds.consistency
    places = np.flatnonzero(table.find(session.filters, session.sort, consistency) == row)
    if not len(places):
        session.filters, session.reset = Filters(), True
        places = np.flatnonzero(table.find(session.filters, session.sort, consistency) == row)
    session.page, session.row = int(places[0]) // session.page_size, row


def pick(library: TripletLibrary, session: TripletSession, shown: ShownTriplet) -> None:
    """Look at a triplet closely that stands on the page, as a card or as an arrow of a group.

    Raises:
        BadQuery: it is not of the file that is looked at now.
    """
    table_of(library, shown)
    if shown.key != session.key:
        raise BadQuery("That triplet is not on the page any more.", "Choose one of those that are shown.")
    go_to(library, session, shown.row)


# --- one triplet ----------------------------------------------------------------------------------------


def table_of(library: TripletLibrary, shown: ShownTriplet) -> TripletTable:
    """The table that a triplet of a page is in.

    Raises:
        CirError: the file is not here any more, or that triplet is not in it.
    """
    table = library.table(shown.key)
    if not 0 <= shown.row < len(table) or table.triplets[shown.row].triplet_id != shown.triplet_id:
        raise BadQuery("That triplet is not in this file any more.", "Choose one of those that are shown.")
    return table


def judge(library: TripletLibrary, session: TripletSession, shown: ShownTriplet, verdict: str) -> Judgement:
    """Accept or reject a triplet; the verdict that the page shows already is taken back.

    Raises:
        CirError: that triplet is not here any more, or the judgement cannot be kept.
    """
    text = table_of(library, shown).judgement(shown.row).text
    wanted = "" if shown.verdict == verdict else verdict
    return _keep(library, session, shown, judgement_of(shown.triplet_id, wanted, text))


def edit(library: TripletLibrary, session: TripletSession, shown: ShownTriplet, text: object) -> Judgement:
    """Give a triplet another text; its own text again takes the edit back.

    Raises:
        BadQuery: the text is empty, too long or no text.
        CirError: that triplet is not here any more, or the judgement cannot be kept.
    """
    table, row = table_of(library, shown), shown.row
    wanted, _ = clean_text(text)
    if not wanted:
        raise BadQuery("The text is empty.", "Type one, or reject the triplet.")
    if isinstance(text, str) and len(text.strip()) > MAX_CHARACTERS:
        raise BadQuery(
            f"The text has {len(text.strip()):,} characters.",
            f"Shorten it to {MAX_CHARACTERS}, then save it.",
        )
    changed = "" if wanted == table.triplets[row].text else wanted
    return _keep(
        library, session, shown, judgement_of(shown.triplet_id, table.judgement(row).verdict, changed)
    )


def _keep(
    library: TripletLibrary, session: TripletSession, shown: ShownTriplet, judgement: Judgement
) -> Judgement:
    """Keep a judgement. The triplet stays looked at, unless another was chosen meanwhile."""
    library.judge(shown.key, shown.row, judgement)
    if (shown.key, shown.row) == (session.key, session.row):
        go_to(library, session, shown.row)
    return judgement


def refuse_other_pictures(
    library: TripletLibrary, shown: ShownTriplet, shelf: Shelf, searched: Searchable
) -> None:
    """Refuse to search with a triplet in a gallery that is not its own, whatever pictures of its ids are there.

    Raises:
        BadQuery: another gallery that is here has its pictures.
    """
    if (own := pictured(shelf, searched, library.table(shown.key))) is not searched:
        called = title_of_sample(own.folder) or own.name
        raise BadQuery(
            f"The pictures of this triplet are in {called}, not in the gallery that is searched.",
            f"Choose {called} above, then search with it.",
        )


def reference_of(library: TripletLibrary, shown: ShownTriplet) -> tuple[Triplet, str]:
    """A triplet, and its text as the person wants it: what a search is begun with.

    Raises:
        BadQuery: it has no text.
        CirError: it is not here any more.
    """
    table, row = table_of(library, shown), shown.row
    if not table.text(row):
        raise BadQuery("This triplet has no text to search with.", "Write one first, or choose another.")
    return table.triplets[row], table.text(row)


def _in_memory(gallery: Searchable) -> Gallery:
    """The gallery, where all of it is in this process: pairs are made of all its pictures.

    Raises:
        BadQuery: it is on a server.
    """
    if isinstance(gallery, ServedGallery):
        raise BadQuery(
            f"{gallery.name} is on a server, and triplets are made of galleries on this machine.",
            f"Fetch it: python -m cir galleries pull {gallery.name}",
        )
    return cast(Gallery, gallery)


# --- what can be done with all of them ---------------------------------------------------------------------


def train(
    library: TripletLibrary, session: TripletSession, gallery: Searchable, train_on: Trainer
) -> Iterator[TrainingStep | TrainedNetwork]:
    """Train a network on the triplets that are kept at the threshold of this moment, as people judged and edited them.

    Closed before its end, it is gone on with the next time; what hinders that is an error of the closing.

    Args:
        library: of the triplets.
        session: whose file they are in.
        gallery: that has their pictures.
        train_on: does it.

    Raises:
        CirError: too few triplets, or pictures that cannot be learned from.
    """
    triplets = library.kept(session.key, session.thresholds.consistency)
    title = library.titles.get(gallery.name, gallery.name)
    with closing(train_on(triplets, _in_memory(gallery), title)) as steps:  # type: ignore[type-var]
        for step in steps:
            if isinstance(step, TrainedNetwork):
                session.trained = step.name
            yield step


# --- more of them ---------------------------------------------------------------------------------------


def generate(library: TripletLibrary, session: TripletSession, gallery: Searchable) -> Iterator[Progress]:
    """Make more triplets with the thresholds of this moment. The tab moves to the file that they go to.

    It ends early once `session.stopping` is set, which whoever begins takes back.

    Raises:
        CirError: they cannot be made; those made before are kept.
    """
    steps = library.generate(
        session.key, _in_memory(gallery), GENERATED_AT_ONCE, session.thresholds, lambda: session.stopping
    )
    for key, progress in steps:
        if progress.triplet is None:
            session.key, session.filters, session.sort, session.reset = key, Filters(), "newest", True
        else:
            session.page, session.row = 0, -1
        yield progress
