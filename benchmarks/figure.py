"""What `ranking.py` and `index.py` printed -> docs/figures/scale.svg and the section `large-galleries` of docs/results.md.

    python benchmarks/ranking.py --images 10000 123403 1000000 > ranking.log
    python benchmarks/index.py --images 1000000 > index.log
    python benchmarks/figure.py ranking.log index.log

Lines that are no JSON are left out; of two for the same size the later one counts. What was not measured is not drawn.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cir.charts import decades_chart
from cir.evaluation.results_file import write_section

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURE = "figures/scale.svg"
PUBLISHED, NEW, MOVED, INDEX = "published way", "exact, new query", "exact, slider", "faiss, new query"
CLOCKS = {"cpu": "processor's", "wall": "wall's"}
ABOUT = """## What ranking costs in large galleries

The retrieval time of Table V, by the number K of images (512 numbers a row, captions included): milliseconds for the best 50 of
one query, medians. The published way fuses every image with its captions, normalises (Eq. 10), multiplies and sorts; the engine
`exact` gives the same order in float64; `faiss` is asked for the best 10, and what of the true ones it finds is its recall. Each
line is one run, in which the ways are measured by turns: ratios hold, times of different lines are of different moments and, where the
clock says so, of different clocks: by the processor's, what other programs took is left out, though they shared the memory and its
caches; by the wall's, what they took counts. The lines of `exact` are of 2026-11-27 (AMD EPYC, two cores, one thread), that of 10,000
images of a version before the others. At 123,403 a test run was on the other core; by the processor's clock a new query
was 83.3 (64.3 to 94.0), a slider 1,937 (1,824 to 2,202) times faster there. Of 1,000,000 images 1.41 GB were held; by the wall's clock,
with nothing else running and the version before, a new query was 87.5 (47.8 to 134), a slider 3,868 (713 to 8,486) times faster.
The lines of `faiss` are of the morning of 2026-11-26, beside the engine `exact` as it was before it looked at heads of rows."""


def read_rows(paths: list[Path]) -> list[dict]:
    """The measured rows of some logs, the last of each kind and size."""
    found: dict[tuple, dict] = {}
    for line in "\n".join(path.read_text(encoding="utf-8") for path in paths).splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            found[row["images"], row.get("engine", "")] = row
    return [found[key] for key in sorted(found)]


def series_of(rows: list[dict]) -> dict[str, list[tuple[float, float]]]:
    """Way -> (images, milliseconds)."""
    keys = {PUBLISHED: "published_ms", NEW: "new_query_ms", INDEX: "index_ms", MOVED: "slider_ms"}
    both = [row for row in rows if row.get("engine") in (None, "faiss")]
    found = {name: [(row["images"], row[key]) for row in both if key in row] for name, key in keys.items()}
    return {name: points for name, points in found.items() if points}


def short(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def table_of(rows: list[dict]) -> str:
    """One line a run."""
    lines = [
        "| K | compared | clock | milliseconds | times faster (95 %) | finds |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "engine" in row:
            ways = [(f"{row['engine']}, beside exact", "exact_ms", "index_ms", "exact / index")]
            finds = f"{100 * row['recall_at_10']:.1f} % of 10"
        else:
            ways = [
                (f"{way}, beside published", "published_ms", f"{key}_ms", f"published / {key}")
                for way, key in ((NEW, "new_query"), (MOVED, "slider"))
            ]
            finds = f"{100 * row['exact']:.0f} % of 50, in order"
        clock = CLOCKS[row.get("clock", "wall")]  # `index.py` has no other
        for name, above, below, ratio in ways:
            low, high = row[ratio]["interval"]
            times = f"{short(row[ratio]['ratio'])} ({short(low)} to {short(high)})"
            lines.append(
                f"| {row['images']:,} | {name} | {clock} | {short(row[above])} → {short(row[below])} | {times} | {finds} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Write both from the logs that are named."""
    rows = read_rows([Path(name) for name in sys.argv[1:]])
    if not rows:
        raise SystemExit(__doc__)
    spoken = "Milliseconds of one query against the number of images, on axes of powers of ten."
    labels = {"x_label": "images K", "y_label": "milliseconds"}
    drawn = decades_chart(series_of(rows), spoken=spoken, alone=True, **labels)
    (DOCS / FIGURE).write_text(drawn + "\n", encoding="utf-8")
    markdown = f"{ABOUT}\n\n![Milliseconds against images]({FIGURE})\n\n{table_of(rows)}"
    commands = "python benchmarks/ranking.py, python benchmarks/index.py, then python benchmarks/figure.py on what they print"
    manifest = {"command": commands, "date": datetime.now(UTC).date().isoformat(), "rows": rows}
    write_section(DOCS / "results.md", "large-galleries", markdown, manifest)


if __name__ == "__main__":
    main()
