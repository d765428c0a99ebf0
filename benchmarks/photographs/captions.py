"""How true the captions of the photographs are: python -m benchmarks.photographs.captions.

What was written of a photograph by hand, its caption and its short queries, is what its captioner should have said. A
thing that the captioner names is right if one that is written may be the same, a kind of it, or what it is a kind of
(WordNet): "animal" for a goat, "German shepherd" for a dog. So what is there but was not written counts as wrong, and
precision is rather too low than too high. On the other hand a word may mean much ("hand": a worker, so a person); the
second row counts only the two commonest meanings of each. A written thing is told if a thing that is said matches it in that way.
Colours are counted apart, by their names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.photographs import rows
from benchmarks.photographs.__main__ import say
from benchmarks.photographs.fetch import place
from benchmarks.photographs.rows import Photograph
from benchmarks.photographs.words import COMMONEST, Nouns
from cir.errors import CirError
from cir.evaluation.bootstrap import interval
from cir.images import read_image
from cir.models.photographs.lexicon import ATTRIBUTES
from cir.scripting import open_models
from cir.training.wordnet import FOLDER

COLOURS = ATTRIBUTES[: ATTRIBUTES.index("monochrome")]
ALSO = {"gray": "grey", "golden": "yellow"}
HEAD = "| | said | precision | 95 % | written | recall | 95 % |\n|---|---|---|---|---|---|---|\n"
Words = Sequence[str]


def colours_in(text: str) -> list[str]:
    """The colours that a text names, each once."""
    words = (ALSO.get(word, word) for word in re.findall(r"[a-z]+", text.lower()))
    return [word for word in dict.fromkeys(words) if word in COLOURS]


def compare(
    said: Iterable[Words], written: Iterable[Words], same: Callable[[str, str], bool]
) -> dict[str, object]:
    """Precision of what is said of each picture, and recall of what is written of it, in percent with 95 % intervals."""
    right: list[float] = []
    told: list[float] = []
    for ours, theirs in zip(said, written, strict=True):
        right += [100.0 * any(same(one, other) for other in theirs) for one in ours]
        told += [100.0 * any(same(one, other) for other in ours) for one in theirs]
    return {**_share("said", "precision", right), **_share("written", "recall", told)}


def _share(counted: str, name: str, hits: Sequence[float]) -> dict[str, object]:
    if not hits:
        return {counted: 0, name: None, f"{name} interval": None}
    bounds = [round(bound, 1) for bound in interval(hits, seed=0)]
    return {counted: len(hits), name: round(float(np.mean(hits)), 1), f"{name} interval": bounds}


def written_of(row: Photograph) -> str:
    """All that was written of a photograph by hand."""
    return ". ".join([row.caption, *row.queries])


def measure(captions: Words, written: Words, nouns: Nouns, commonest: Nouns) -> dict[str, dict[str, object]]:
    """Things and colours of captions, beside all that was written of each picture.

    Args:
        captions: one of each picture.
        written: texts of each picture.
        nouns: all that names may mean.
        commonest: the commonest that they mean.
    """
    kinds = {
        "things": (nouns.named, nouns.same),
        "things, by commonest meanings": (commonest.named, commonest.same),
        "colours": (colours_in, str.__eq__),
    }
    return {
        kind: compare(map(named, captions), map(named, written), same)
        for kind, (named, same) in kinds.items()
    }


def as_table(found: Mapping[str, Mapping[str, object]]) -> str:
    """A row for things, and one for colours."""
    lines = (
        f"| {kind} | {_cells(row, 'said', 'precision')} | {_cells(row, 'written', 'recall')} |\n"
        for kind, row in found.items()
    )
    return HEAD + "".join(lines)


def _cells(row: Mapping[str, object], counted: str, name: str) -> str:
    bounds = row[f"{name} interval"]
    between = f"{bounds[0]} to {bounds[1]}" if isinstance(bounds, list) else ""
    return f"{row[counted]} | {'' if row[name] is None else row[name]} | {between}"


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs.captions", description=__doc__.splitlines()[0]
    )
    options.add_argument("--set", default="embedded", help="of models, whose captioner is asked")
    options.add_argument("--half", choices=rows.HALVES, default="tune", help="'untouched' is for the end")
    options.add_argument("--folder", type=Path, default=rows.folder(), help="where the photographs lie")
    options.add_argument("--wordnet", type=Path, default=FOLDER, help=f"WordNet's folder (default: {FOLDER})")
    options.add_argument("--show", action="store_true", help="also each caption beside what was written")
    chosen = options.parse_args()
    photographs = [row for row in rows.photographs() if row.half == chosen.half]
    written = [written_of(row) for row in photographs]
    models = open_models(chosen.set, llm="none")
    try:
        nouns, commonest = Nouns(chosen.wordnet), Nouns(chosen.wordnet, COMMONEST)
        pictures = (read_image(place(chosen.folder, row)) for row in photographs)
        captions = [models.captioner.caption([one], per_image=1, seed=0)[0][0] for one in pictures]
        found = measure(captions, written, nouns, commonest)
    except CirError as error:
        say(f"{error.message} {error.remedy}")
        return 1
    finally:
        models.close()
    for row, caption in zip(photographs if chosen.show else (), captions, strict=False):
        sys.stdout.write(f"{row.id}: {caption} | {row.caption}\n")
    sys.stdout.write(
        f"Half `{chosen.half}`, {len(captions)} photographs, set `{chosen.set}`\n\n{as_table(found)}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
