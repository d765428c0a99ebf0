"""The fields of a line in a file of queries of one's own: what `--help`, the errors and docs/queries.md say of them."""

from __future__ import annotations

import json

FIELDS = {
    "query_id": "text, different in every line",
    "reference_id": "the reference image",
    "modification_text": "the edit, as one would type it (or: text)",
    "target_ids": "a list of the images to be found; the first is the intended one",
    "kind": "text, may be left out: results are reported for each kind",
}
IMAGES = "Images are named by their path inside the gallery's folder, or by their id in the gallery."
EXAMPLE = json.dumps(
    {
        "query_id": "1",
        "reference_id": "2019/red car.jpg",
        "modification_text": "in the snow",
        "target_ids": ["2019/winter/car.jpg"],
        "kind": "weather",
    }
)


def described() -> str:
    """All fields, a line for each, and an example."""
    rows = [f"  {name:<18} {meaning}" for name, meaning in FIELDS.items()]
    return "\n".join(
        ["A line of the file is one JSON object with these fields:", *rows, IMAGES, f"For example: {EXAMPLE}"]
    )
