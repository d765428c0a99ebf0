"""Who writes the texts of triplets, and how well: held against the true edits of the world benchmark.

    python -m benchmarks.spoters --spoters delta,templates            # about ten minutes of one core
    python -m benchmarks.spoters --spoters captions --limit 200       # the language model is asked for each pair

Each spoter is shown reference and target of a query and says what leads from one to the other. Its text is read by the
vocabulary of the world (which things it names, which kinds of change), and searched with: the benchmark's 5,000 scenes, by
methods that ask no language model, with the text in place of the true one. A text that cannot be used counts as wrong and as
not found.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cir.commands.synthesizing import build_spoter
from cir.composers.composer import unit_row
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.bootstrap import interval
from cir.evaluation.encoders import Encoders
from cir.models.model_set import Models
from cir.models.protocols import Spoter, SpotInput
from cir.places import gallery_cache
from cir.prompts import hycir_template
from cir.scripting import open_models
from cir.types import CirQuery
from cir.world.reading import background_in, nouns_in
from cir.world.vocabulary import COLOURS, COUNT_WORDS, SIZES, TIMES

TRUE = "the true edits"
HEAD = "| texts by | pairs | no text | the same | right things | right kind | R@1 Sum | R@1 HyCIR |\n|---|---|---|---|---|---|---|---|\n"
_COLOURS, _SIZES = "|".join(COLOURS), "|".join(word for words in SIZES.values() for word in words)
_COUNTS = "|".join(COUNT_WORDS.values())
KINDS: Sequence[tuple[str, str]] = (  # the first that a clause has
    ("remove", r"^(remove|without|take away|no) | (is|are) gone$"),
    ("time", "|".join(phrase for phrases in TIMES.values() for phrase in phrases)),
    ("size", rf"^(make )?the .* ((is|are) )?(much )?(smaller|bigger|{_SIZES})$"),
    ("colour", rf"^(make|paint|change the colour of) the .*({_COLOURS})$|^the .* (is|are) ({_COLOURS})$"),
    ("count", rf"instead of ({_COUNTS})$|^make it ({_COUNTS}) |^there (is|are) ({_COUNTS}) .* now$|^only one "),
    ("replace", r"instead of|^replace |^swap |^change |in place of|^unlike "),
    ("colour", rf"({_COLOURS}) .*instead$"),
    ("add", r"^add |^with | too$|^there (is|are) also |next to it$|as well$|^put "),
)  # fmt: skip
_CLAUSES = re.compile(r"(?:, also |, | and then | and )")

Ranker = Callable[[int, str], int]


def kinds_in(text: str) -> set[str]:
    """The kinds of change that a text asks for, as the world's edits are worded; a clause of no such wording has none."""
    return {kind for clause in _CLAUSES.split(text.lower()) if (kind := _kind_of(clause))}


def _kind_of(clause: str) -> str:
    if background_in(clause) is not None:
        return "background"
    return next((kind for kind, pattern in KINDS if re.search(pattern, clause)), "")


def rankers(models: Models, benchmark: Benchmark, raw: NDArray[np.float32]) -> dict[str, Ranker]:
    """Method -> the target's rank for (number of a query, text); the reference is left out.

    Args:
        models: the embedded ones.
        benchmark: queries over its scenes.
        raw: (N, D) CLIP's features of the scenes, in their order.
    """
    clip, phi = models.tower, models.phi("hycir")
    assert phi is not None, "it comes with the program"
    gallery = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    place = {image_id: i for i, image_id in enumerate(benchmark.scenes)}

    def rank(query: CirQuery, row: NDArray[np.float32]) -> int:
        scores = gallery @ row
        reference, target = place[query.reference_id], place[query.target_ids[0]]
        scores[reference] = -np.inf
        return 1 + int((scores > scores[target]).sum())

    def by_sum(number: int, text: str) -> int:
        query = benchmark.queries[number]
        return rank(query, gallery[place[query.reference_id]] + unit_row(clip.encode_texts([text])))

    def by_hycir(number: int, text: str) -> int:
        query = benchmark.queries[number]
        words = phi.map_features(raw[[place[query.reference_id]]])
        prefix, suffix = hycir_template(text)
        return rank(query, unit_row(clip.encode_spliced(prefix, words, suffix)))

    return {"Sum": by_sum, "HyCIR": by_hycir}


def written_by(spoter: Spoter, models: Models, benchmark: Benchmark, limit: int) -> list[str]:
    """The texts of the first `limit` queries' pairs, in their order."""
    shown = {}
    for query in benchmark.queries[:limit]:
        for image_id in (query.reference_id, query.target_ids[0]):
            if image_id not in shown:
                picture = benchmark.picture(image_id)
                ((caption,),) = models.captioner.caption([picture], per_image=1, seed=0)  # type: ignore[union-attr]
                shown[image_id] = SpotInput(caption, lambda picture=picture: picture)
    return [spoter.spot(shown[q.reference_id], shown[q.target_ids[0]]) for q in benchmark.queries[:limit]]


def row_of(name: str, texts: Sequence[str], benchmark: Benchmark, ranked: dict[str, Ranker]) -> str:
    """One line of the table: means in percent, with their 95 % intervals."""
    true = [query.modification_text for query in benchmark.queries[: len(texts)]]
    pairs = list(zip(texts, true, strict=True))
    measured = [
        [text == wanted for text, wanted in pairs],
        [bool(text) and nouns_in(text) == nouns_in(wanted) for text, wanted in pairs],
        [bool(text) and kinds_in(text) == kinds_in(wanted) for text, wanted in pairs],
        *([bool(text) and rank(i, text) == 1 for i, text in enumerate(texts)] for rank in ranked.values()),
    ]
    cells = " | ".join(map(_with_interval, measured))
    return f"| {name} | {len(texts)} | {sum(not text for text in texts)} | {cells} |\n"


def _with_interval(hits: Sequence[bool]) -> str:
    values = [100.0 * hit for hit in hits]
    low, high = interval(values, seed=0)
    return f"{np.mean(values):.1f} [{low:.1f}, {high:.1f}]"


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.spoters", description=__doc__.splitlines()[0]
    )
    options.add_argument(
        "--spoters", default="delta,templates", help="as of synthesize --spoter, separated by commas"
    )
    options.add_argument("--limit", type=int, default=1000, help="only so many pairs (default: 1000, all)")
    options.add_argument("--show", type=int, default=0, help="also print so many texts of each")
    chosen = options.parse_args()
    models, benchmark = open_models("embedded"), read_benchmark("world")
    encoders = Encoders(models.tower, models.tower, models.captioner, gallery_cache() / "benchmark")  # type: ignore[arg-type]
    raw = encoders.images("world", benchmark.drawn, lambda: map(benchmark.picture, benchmark.scenes))
    ranked, true = rankers(models, benchmark, raw), [q.modification_text for q in benchmark.queries]
    sys.stdout.write(
        f"world, embedded models\n\n{HEAD}{row_of(TRUE, true[: chosen.limit], benchmark, ranked)}"
    )
    sys.stdout.flush()
    for name in chosen.spoters.split(","):
        texts = written_by(build_spoter(models, name), models, benchmark, chosen.limit)
        sys.stdout.write(row_of(name, texts, benchmark, ranked))
        shown = zip(texts[: chosen.show], true, strict=False)
        sys.stdout.writelines(f"    {text!r} (true: {wanted!r})\n" for text, wanted in shown)
        sys.stdout.flush()
    models.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
