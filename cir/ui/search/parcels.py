"""What the page's script takes away from an answer: a file to save, a link to copy, a picture to show larger."""

from __future__ import annotations

import base64
import json
import secrets

from cir.errors import BadQuery
from cir.ranking import export
from cir.ui.page import PageContent
from cir.ui.search import handlers, links
from cir.ui.session import Session

_TYPES = {"zip": "application/zip", "json": "application/json", "csv": "text/csv"}


def saved_file(content: PageContent, session: Session, kind: object) -> str:
    """The answer as a file: "zip", "csv" or "json".

    Raises:
        BadQuery: another kind, nothing was searched for, or nothing is left of the pictures.
    """
    if not isinstance(kind, str) or kind not in _TYPES:
        raise BadQuery("The page asked for something that does not exist.", "Load the page again.")
    return _parcel(name=f"recompose.{kind}", type=_TYPES[kind], data=_text(packed(content, session, kind)))


def link(session: Session) -> str:
    """A link to the present search.

    Raises:
        BadQuery: no address leads to it.
    """
    return _parcel(copy=links.link_to(session))


def whole_picture(content: PageContent, session: Session) -> str:
    """The inspected result as large as it is.

    Raises:
        GalleryError: nothing of it is left.
    """
    gallery, image_id = content.retriever_for(session).gallery, session.inspected_id
    return _parcel(
        type="image/jpeg",
        data=_text(export.whole_picture(gallery, image_id)),
        larger="yes",
        name=gallery.label(image_id),
        words=handlers.caption_of(gallery, image_id),
    )


def packed(content: PageContent, session: Session, kind: str) -> bytes:
    """The bytes of a file of the present answer: "zip", "csv" or "json".

    Raises:
        BadQuery: nothing was searched for, or nothing is left of the pictures.
    """
    retriever = content.retriever_for(session)
    found = handlers.answer(retriever, session)
    if kind == "csv":
        return export.to_csv(found.results, retriever.gallery, session.selected)
    if kind == "json":
        answer = handlers.as_json(
            found, retriever, content.fingerprints, content.shelf.title(session.gallery)
        )
        rows = {**answer, "selected": list(session.selected)}
        return json.dumps(rows, ensure_ascii=False, indent=1).encode()
    ranks, chosen = {one.image_id: one.rank for one in found.results}, session.selected or session.result_ids
    archive, missing = export.to_zip(chosen, retriever.gallery, ranks)
    if missing and len(missing) == len(chosen):
        root = retriever.gallery.root
        if root is not None and not root.is_dir():
            raise BadQuery(
                "The folder of these pictures is not there now.", "Connect its disk, then try again."
            )
        raise BadQuery("Nothing is left of these pictures.", "Choose others, or index the folder again.")
    return archive


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _parcel(**fields: str) -> str:
    """The number makes two equal parcels two."""
    return json.dumps({**fields, "number": secrets.token_hex(4)})
