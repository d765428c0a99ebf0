"""What a set of models finds among natural photographs: python -m benchmarks.photographs.

It indexes the photographs of one half as the program does, asks by captions, by short queries and by photograph and edit, and
prints a table; the numbers go to a JSON file beside the photographs, and the composed queries to a file that
`python -m cir evaluate jsonl` reads. Choose by the half `tune`; `untouched` is for the end.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.photographs import rows
from benchmarks.photographs.fetch import place
from benchmarks.photographs.measure import (
    by_caption,
    by_photograph_and_edit,
    by_short_query,
    name_cutouts,
    search_by_each,
)
from benchmarks.photographs.queries import write_queries
from benchmarks.photographs.table import as_table
from cir.composers.composer import Composer, gallery_encoder_of
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.gallery.spaces import add_space
from cir.models.model_set import Models
from cir.scripting import index_gallery, open_models, open_retriever


def measure(models: Models, half: str, root: Path, methods: list[str]) -> dict[str, object]:
    """Every figure of one half.

    Raises:
        CirError: its photographs cannot be indexed.
    """
    photographs = [row for row in rows.photographs() if row.half == half]
    triplets = [row for row in rows.triplets() if row.half == half]
    cutouts = [row for row in rows.cutouts() if row.half == half]
    gallery = index_gallery(root / half, models, name=gallery_name(models, half))
    retriever = open_retriever(gallery, models)
    add_own_features(gallery, [retriever.composers[name] for name in methods or retriever.methods])
    first = retriever.methods[0]
    asked_by_text = list(dict.fromkeys([first, "Text-only"]))
    return {
        "half": half,
        "set": models.name,
        "gallery": gallery.name,
        "photographs": len(gallery),
        "models": dict(models.fingerprints),
        "captions": search_by_each(retriever, asked_by_text, by_caption(photographs), say),
        "short queries": search_by_each(retriever, asked_by_text, by_short_query(photographs), say),
        "photograph and edit": search_by_each(
            retriever, methods or retriever.methods, by_photograph_and_edit(triplets), say
        ),
        "naming": name_cutouts(
            models.clip,
            models.clip,
            cutouts,
            sorted({row.name for row in rows.cutouts()}),
            {row.id: place(root, row) for row in cutouts},
        ),
    }


def add_own_features(gallery: Gallery, composers: Iterable[Composer]) -> None:
    """Encode the photographs for methods that compare with features of their own; what is there stays."""
    for encoder in filter(None, map(gallery_encoder_of, composers)):
        assert gallery.folder is not None, "it was indexed into one"
        for _ in add_space(gallery.folder, encoder):
            pass


def gallery_name(models: Models, half: str) -> str:
    """The name of the half's gallery for a set of models."""
    return f"photographs-{half}-{Path(models.name).name}"


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs", description=__doc__.splitlines()[0]
    )
    options.add_argument("--set", default="embedded", help="of models; or a trained mapping network")
    options.add_argument(
        "--llm", default="none", help="language model, as for the program; 'none' goes without"
    )
    options.add_argument(
        "--half", choices=rows.HALVES, default="tune", help="'untouched' is for the end: do not choose by it"
    )
    options.add_argument("--methods", nargs="+", default=[], help="only these, for photograph and edit")
    options.add_argument("--folder", type=Path, default=rows.folder(), help="where the photographs lie")
    options.add_argument(
        "--out", type=Path, help="JSON file of the figures; otherwise beside the photographs"
    )
    chosen = options.parse_args()
    if not (chosen.folder / chosen.half).is_dir():
        say(
            f"There are no photographs in {chosen.folder}. Fetch them: python -m benchmarks.photographs.fetch"
        )
        return 1
    models = open_models(chosen.set, llm=chosen.llm)
    try:
        found = measure(models, chosen.half, chosen.folder, chosen.methods)
    except CirError as error:
        say(f"{error.message} {error.remedy}")
        return 1
    finally:
        models.close()
    out = chosen.out or chosen.folder / f"{found['gallery']}.json"
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    queries = chosen.folder / f"queries-{chosen.half}.jsonl"
    write_queries(queries, chosen.half)
    sys.stdout.write(as_table(found))
    say(f"The figures are in {out}. The composed queries again, by one method:")
    say(f"python -m cir evaluate jsonl --queries {queries} --gallery {found['gallery']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
