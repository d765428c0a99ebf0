"""The composed queries as the file that `python -m cir evaluate jsonl` reads."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.photographs.rows import triplets


def write_queries(path: Path, half: str) -> None:
    """The natural composed queries of one half, a JSON object in each line; images by their files' names."""
    lines = (
        {
            "query_id": row.id,
            "reference_id": f"{row.reference}.jpg",
            "modification_text": row.text,
            "target_ids": [f"{target}.jpg" for target in row.targets],
        }
        for row in triplets()
        if row.half == half
    )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
