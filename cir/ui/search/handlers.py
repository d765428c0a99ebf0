"""What the page does, as plain functions: checked values in, values out.

Ids stay on the server: a click arrives as an index into a list that the session keeps. What arrives is
checked by `cir.ui.reading`. This module knows neither gradio nor HTML.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cir.answers import AnswerRow, answer_row, reaching
from cir.composers.parameters import (
    Parameter,
    Values,
    own_values,
    read_moved,
    read_values,
    starting,
    starting_note,
)
from cir.errors import BadQuery
from cir.gallery import narrowing
from cir.images import read_image
from cir.ranking.folding import fold
from cir.ranking.relevance import relevance_note
from cir.ranking.retriever import MAX_RESULTS as MAX_SHOWN
from cir.ranking.retriever import scoring_of, weight_note
from cir.text import clean_text, counted
from cir.types import ComposedQuery, Query, RetrievedImage
from cir.ui.reading import read_method, read_threshold, read_top_k
from cir.ui.search import changes, reference, steps
from cir.ui.session import Answer, Session, Settings

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable
    from cir.ranking.retriever import Retriever

BROWSE_PAGE = 24


# --- searching ------------------------------------------------------------------------------------------


def read_settings(
    parameters: Sequence[Parameter],
    numbers: Mapping[str, object],
    values: Sequence[object],
    before: Values | None = None,
    *,
    automatic: bool = False,
) -> tuple[Settings, list[str]]:
    """Settings and notes.

    Args:
        parameters: of the method.
        numbers: what each slider sent, by name; those that the method does not have are left alone.
        values: what (top_k, leave_out) sent; from the page also (at_least, fold).
        before: the numbers on the page until now; see `cir.composers.parameters.read_moved`.
        automatic: whether a person has chosen none of the numbers.

    Raises:
        BadQuery: one of them cannot be read.
    """
    top_k, leave_out, *rest = values
    count, notes = read_top_k(top_k)
    at_least, fold = rest if rest else (0.0, True)
    chosen = read_values(parameters, numbers) if before is None else read_moved(parameters, numbers, before)
    least, folds = read_threshold(at_least), fold is not False
    return Settings(chosen, count, leave_out is not False, least, folds, automatic), notes


def whole_settings(
    retriever: Retriever, method: str, settings: Settings, composed: ComposedQuery | None = None
) -> Settings:
    """The settings with every number that the method has; those of other methods stay, for a search on its way.

    Where a person has chosen none, they are those that the method has for what was composed.

    Raises:
        BadQuery: a number out of its range.
    """
    parameters = retriever.composers[method].parameters
    follows = composed if settings.automatic else None
    own = read_values(parameters, {}, settings.values if follows is None else starting(parameters, follows))
    return replace(settings, values={**settings.values, **own})


def begin(session: Session) -> int:
    """The number of a search that was asked for just now: it ends those of the same session that came before it."""
    session.searches += 1
    return session.searches


def search(
    retriever: Retriever,
    session: Session,
    *,
    image: object,
    text: object,
    method: object,
    settings: Settings,
    notes: Sequence[str] = (),
    turn: int | None = None,
) -> Iterator[Answer]:
    """Compose the query and yield an answer at each stage, each ranked by the settings of that moment.

    Args:
        retriever: what is searched.
        session: takes the composed query, for `rerank`. When a newer search of the same session begins, this
            one ends at its next stage.
        image: {"path": ...} of an upload or of a copy of a thumbnail; with {"meta": {"picked": id, "gallery": name}}
            a picture that the page shows by itself; or None.
        text: what was typed.
        method: its name.
        settings: the settings to begin with.
        notes: what was noticed while the settings were read.
        turn: from `begin`, where this may stand in a line for a while; None begins now.

    Raises:
        CirError: what cannot be searched for.
    """
    turn = begin(session) if turn is None else turn
    edit, text_notes = clean_text(text)
    chosen = read_method(retriever.methods, method)
    path, reference_id = reference.read_reference(retriever.gallery, session, image)
    query = Query(None if path is None else read_image(path), edit)
    session.settings = whole_settings(retriever, chosen, settings)
    if (path, edit) != (session.image_path, session.text):
        session.signed, session.texts = (), {}  # they were about another question
    begun = False
    texts, session.texts = session.texts, {}
    for composed in retriever.compose(query, chosen):
        if session.searches != turn:
            return
        session.composed = session.machine = composed
        if not composed.pending:
            session.composed = changes.with_texts(retriever, chosen, composed, texts)
        session.method, session.reference_id = chosen, reference_id
        session.parameters = retriever.composers[chosen].parameters
        session.settings = whole_settings(retriever, chosen, session.settings, composed)
        session.image_path, session.text = path, edit
        session.notes = (*notes, *text_notes)
        if begun:
            steps.update(session)
        else:
            session.selected, session.unfolded, session.pages, begun = (), frozenset(), 1, True
            steps.remember(
                session, edit or "pictures like this", reference.small_picture(query.reference_image)
            )
        yield answer(retriever, session)


def change_of(gallery: Searchable, session: Session) -> str:
    """A sentence when the gallery was changed or renamed since the page was told of it last; "" otherwise."""
    now = (gallery.name, gallery.written, len(gallery))
    before, session.gallery_seen = session.gallery_seen, now
    if before[0] != now[0] and before[0] in session.former_names:
        return f"{before[0]} is called {now[0]} now."
    if before[0] != now[0] or before[1] == now[1]:
        return ""
    more = now[2] - before[2]
    much = f", {abs(more):,} {'more' if more > 0 else 'fewer'} than before" if more else ""
    return f"{gallery.name} has changed: {counted(now[2], 'picture')} now{much}."


def with_signed(session: Session) -> ComposedQuery:
    """The session's query with its signed terms.

    Raises:
        BadQuery: nothing was searched for yet.
    """
    if session.composed is None:
        raise BadQuery("There is nothing to rank yet.", "Search first; then weights can be changed.")
    return replace(session.composed, signed=session.signed)


def answer(retriever: Retriever, session: Session) -> Answer:
    """Rank the composed query by the session's settings. No model is called.

    Raises:
        BadQuery: nothing was searched for yet.
    """
    composed, settings = with_signed(session), session.settings
    exclude = left_out(session)
    mask = narrowing.among(retriever.gallery, session.only)
    count = min(settings.top_k * session.pages, MAX_SHOWN)
    ranked = retriever.rank(composed, settings.values, top_k=count, exclude=exclude, among=mask)
    results, hidden_note = reaching(ranked, settings.at_least)
    shown, similar = fold(retriever, results, session.unfolded) if settings.fold else (results, {})
    session.result_ids = tuple(result.image_id for result in shown)
    session.version += 1
    parameters = retriever.composers[session.method].parameters
    notes = [
        *session.notes,
        *composed.notes,
        starting_note(parameters, composed) if settings.automatic else "",
        weight_note(composed, parameters, settings.values),
        hidden_note,
        narrowing.note(retriever.gallery, session.only, mask),
        retriever.promise(composed, settings.values).note,
        intended_note(retriever, session, composed, ranked),
    ]
    notes.append(relevance_note(retriever, composed, settings.values, ranked))
    unique_notes = tuple(dict.fromkeys(note for note in notes if note))
    total = max(len(results), _findable(retriever, session, composed))
    return Answer(session.method, settings, results, composed, unique_notes, shown, similar, total)


def _findable(retriever: Retriever, session: Session, composed: ComposedQuery) -> int:
    """How many pictures are not left out, lie where it is looked, and reach the least score."""
    places = [retriever.gallery.find(image_id) for image_id in left_out(session)]
    among, least = narrowing.among(retriever.gallery, session.only), session.settings.at_least
    if not least:
        return retriever.engine.count(among, places)
    scoring = scoring_of(composed, session.settings.values)
    rows, engine = retriever.rows_of(composed), retriever.engine_of(composed)
    return engine.count_reaching(rows, scoring, least, among=among, exclude=places)


def left_out(session: Session) -> tuple[str, ...]:
    """The ids that may not be results: the reference, where it is to be left out."""
    leave_out = session.reference_id and session.settings.leave_out_reference
    return (session.reference_id,) if leave_out else ()


def intended_note(
    retriever: Retriever, session: Session, composed: ComposedQuery, ranked: Sequence[RetrievedImage]
) -> str:
    """Where the image stands that ought to be found; "" when none is meant, or it is not in this gallery."""
    wanted, gallery = session.intended_id, retriever.gallery
    if not wanted or wanted not in gallery:
        return ""
    out, among = left_out(session), narrowing.among(gallery, session.only)
    if wanted in out or not gallery.is_among(wanted, among):
        return "The intended picture is left out of this search."
    rank = next((r.rank for r in ranked if r.image_id == wanted), 0)
    values, far = session.settings.values, retriever.engine.far
    rank = rank or retriever.rank_of(composed, values, wanted, exclude=out, among=among)
    beyond = " or further back" if rank == far else ""
    findable = retriever.engine.count(among, [gallery.find(image_id) for image_id in out])
    return f"The intended picture is at rank {rank}{beyond} of {findable}."


def rerank(retriever: Retriever, session: Session, settings: Settings) -> Answer:
    """The same query in the order of other numbers. Milliseconds: only arithmetic on what was composed.

    Raises:
        BadQuery: nothing was searched for yet.
    """
    with_signed(session)
    values = {**session.settings.values, **settings.values}
    session.settings = whole_settings(
        retriever, session.method, replace(settings, values=values), session.composed
    )
    steps.update(session)
    return answer(retriever, session)


def as_json(
    found: Answer, retriever: Retriever, fingerprints: Mapping[str, str], gallery_name: str = ""
) -> AnswerRow:
    """An answer for programs; its gallery under `gallery_name`, where it is listed under another than its own."""
    return answer_row(
        retriever,
        found.composed,
        own_values(retriever.composers[found.method].parameters, found.settings.values),
        found.results,
        method=found.method,
        models=fingerprints,
        notes=found.notes,
        gallery_name=gallery_name,
    )


# --- looking at pictures --------------------------------------------------------------------------------


def browse(gallery: Searchable, session: Session, *, step: int = 0, shuffle: bool = False) -> tuple[str, ...]:
    """The ids on the next page of the gallery, in an order that mixes it.

    Args:
        gallery: what is browsed.
        session: remembers the order and the page.
        step: pages to go on (or back, below 0); past either end it goes on at the other.
        shuffle: begin again in a new order.
    """
    if shuffle:
        session.seed, session.page = session.seed + 1, 0
    pages = max(1, math.ceil(len(gallery) / BROWSE_PAGE))
    session.page = (session.page + step) % pages
    session.browsed_ids = gallery.page(session.seed, session.page, BROWSE_PAGE)
    return session.browsed_ids


def in_words(gallery: Searchable, image_id: str) -> str:
    """What an image shows, in one line: that it is gone, or its first caption, or its name."""
    captions = gallery.captions(image_id)
    return gallery.note(image_id) or (captions[0] if captions else gallery.label(image_id))


def caption_of(gallery: Searchable, image_id: str) -> str:
    """What the machine said first about an image; "" for nothing, or where the image is gone."""
    captions = gallery.captions(image_id)
    return captions[0] if captions and not gallery.note(image_id) else ""
