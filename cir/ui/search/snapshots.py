"""What the page shows, as the page itself keeps it and sends it along with all that it asks.

The server remembers a page as well, and more of it; but it may have been restarted, or have forgotten the page.
Then it finds here which gallery and which search the page shows, so that it never answers about another.
Everything that arrives is checked like a link (`cir.ui.search.links`). No HTML.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cir.errors import CirError
from cir.ui.search import links
from cir.ui.server.gradio_private import upload_folder
from cir.ui.session import Session

if TYPE_CHECKING:
    from cir.ui.page import PageContent

LONGEST = 40_000  # characters of a snapshot that are read
FORGOTTEN = "The server had forgotten this page: its earlier steps are gone."
_NOTHING_LEFT = "Your own picture is not kept any more: choose it again."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a page says that it shows.

    Attributes:
        token: of its session.
        version: of its last answer.
        fields: the search, as in a link.
        own: where the picture of one's own was uploaded to, "" for none.
        by_hand: whether a person has just chosen numbers: by a slider, or by a preset.
        turn: the number under which the page's script waits for the answer, with which it comes back.
    """

    token: str = ""
    version: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    own: str = ""
    by_hand: bool = False
    turn: int = 0


def take(session: Session, **more: Any) -> str:
    """What the page shows now, for the page to keep; `more` is for its script alone."""
    searched = session.composed is not None
    own = str(session.image_path) if searched and session.image_path and not session.reference_id else ""
    shown = {
        "token": session.token,
        "line": session.line,
        "version": session.version,
        "step": session.step,
        "formerly": session.former_names,
        "fields": links.fields_of(session) if searched else {"gallery": session.gallery},
        "own": own,
        "searched": searched,
        "automatic": session.settings.automatic,
    }
    # Gradio warns in the log of every "<script" that a value has, though this one is never shown.
    return json.dumps({**shown, **more}, ensure_ascii=False).replace("<", "\\u003c")


def read(sent: object) -> Snapshot:
    """What a page says that it shows; an empty one when it says nothing that can be read."""
    try:
        found = json.loads(sent) if isinstance(sent, str) and len(sent) <= LONGEST else {}
    except (ValueError, RecursionError):
        found = {}
    found = found if isinstance(found, dict) else {}
    fields, version, turn = (found.get(name) for name in ("fields", "version", "turn"))
    named = fields.items() if isinstance(fields, dict) else ()
    return Snapshot(
        _text(found.get("token")),
        version if isinstance(version, int) and abs(version) < 2**40 else 0,
        {str(name): value for name, value in named if isinstance(value, str)},
        _text(found.get("own")),
        found.get("byHand") is True,
        turn if type(turn) is int else 0,
    )


def recall_session(content: PageContent, session: Session, sent: object) -> str:
    """Make sure that the session is the one that the page speaks of.

    Args:
        content: what the page is about.
        session: as gradio hands it over: the page's own, or a new one in the place of a forgotten one.
        sent: the page's snapshot.

    Returns:
        A note for the person when the page was forgotten; "" otherwise.

    Raises:
        GalleryError: the gallery that the page shows is not there any more.
    """
    shown, note = read(sent), ""
    if not session.token and shown.token:
        kept = content.sessions.find(shown.token)
        if kept is not None:
            session.take_over(kept)
        else:
            note = restore(content, session, shown)
            session.token = shown.token
    content.sessions.keep(session)
    return note


def restore(content: PageContent, session: Session, shown: Snapshot) -> str:
    """Make a new session ready for the search that a page shows; it is not made yet.

    Returns:
        What the person should know.

    Raises:
        GalleryError: the gallery is not there any more.
    """
    session.gallery, session.version = shown.fields.get("gallery", ""), shown.version
    content.shelf.retriever(session.gallery)  # raises where it is gone
    own = Path(shown.own) if shown.own and _is_below(Path(shown.own), upload_folder()) else None
    try:
        if not links.open_link(
            shown.fields, session, content.shelf.retriever, content.text_encoder, pictured=bool(shown.own)
        ):
            return ""
    except CirError as error:  # of the search, not of the page: what is asked next may do without it
        return f"{FORGOTTEN} {error}"
    session.image_path = own or session.image_path
    return FORGOTTEN + (f" {_NOTHING_LEFT}" if shown.own and own is None else "")


def _is_below(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
