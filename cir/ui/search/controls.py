"""The Search tab's own buttons, as HTML: examples, presets, the way through the gallery, what can be taken away.

All of them carry `data-do` and are heard by one listener (`cir.ui.search.acts`): a component of gradio for each,
with its own events, would have to be built by the browser before the page can be used. This module knows
neither gradio nor the retriever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cir.composers.parameters import Parameter, Values
from cir.ui.pieces import escape

_DOWNLOADS = {"zip": "Pictures (zip)", "csv": "Table (csv)", "json": "All of it (json)"}
_TURNS = {"previous": "Previous", "shuffle": "Shuffle", "next": "Next"}


def examples(queries: Sequence[tuple[str, str, str, str]]) -> str:
    """Queries that are known to work; nothing when there are none.

    Args:
        queries: (address of a small picture, edit, id of the picture, its own address) of each.
    """
    made = "".join(
        f'<button type="button" class="pill example" data-do="example" data-place="{place}" '
        f'data-id="{escape(image_id)}" data-address="{escape(address)}">'
        f'<img src="{escape(picture)}" alt="">{escape(text)}</button>'
        for place, (picture, text, image_id, address) in enumerate(queries)
    )
    return f'<div class="examples"><h2>Try</h2>{made}</div>' if made else ""


def presets(known: Mapping[str, Values], parameters: Sequence[Parameter]) -> str:
    """Numbers of this method that are known to be good, by name; nothing where none are of this method."""
    own = {parameter.name for parameter in parameters}
    made = "".join(
        _pill(name, "preset", place=str(place), text=json.dumps(dict(values)))
        for place, (name, values) in enumerate(known.items())
        if set(values) == own
    )
    return f'<div class="pills">{made}</div>' if made else ""


def pick() -> str:
    """From a search back to the gallery's pictures."""
    return _pill("Pick from the gallery", "browse", elem_id="pick")


def reference_problem(most: int) -> str:
    """Where the page's script tells why a file cannot be the reference.

    Args:
        most: bytes that a file may have.
    """
    return f'<div class="problem" role="alert" data-most="{most}" hidden></div>'


def skip() -> str:
    """After the button Search: what lies between it and the pictures is skipped. Seen while it has the focus."""
    return '<button type="button" class="pill skip" data-skip="pictures">To the pictures</button>'


def browse_bar(*, back: bool = False) -> str:
    """Over the gallery's pictures: the way through them, and back to the results where there are some."""
    turns = "".join(_pill(words, "turn", kind=kind, elem_id=kind) for kind, words in _TURNS.items())
    to_results = _pill("Back to the results", "back", elem_id="back") if back else ""
    return f'<div class="pills"><h2>Start from a picture of the gallery</h2>{to_results}{turns}</div>'


def keeping(keys: str) -> str:
    """What can be taken away, and the keys."""
    saves = "".join(
        _pill(words, "save", kind=kind, elem_id=f"save-{kind}") for kind, words in _DOWNLOADS.items()
    )
    return (
        f'<div class="pills">{saves}{_pill("Copy link", "link", elem_id="copy-link")}</div>'
        '<p class="about-keeping">The selected pictures, or all that are shown, encoded anew without '
        f"metadata. Near-identical: a cosine of at least 0.97 between their features.</p>{keys}"
    )


def inspector_buttons() -> str:
    """Under the closer look: go on from this picture, or leave it."""
    return (
        '<div class="leave"><button type="button" class="primary" data-do="use" id="use-as-reference">'
        "Use as reference</button>"
        '<button type="button" class="pill" data-do="close" id="close-inspector">Close</button></div>'
    )


def _pill(words: str, act: str, *, kind: str = "", place: str = "", text: str = "", elem_id: str = "") -> str:
    given = {"id": elem_id, "data-kind": kind, "data-place": place, "data-text": text}
    said = "".join(f' {name}="{escape(value)}"' for name, value in given.items() if value)
    return f'<button type="button" class="pill" data-do="{act}"{said}>{escape(words)}</button>'
