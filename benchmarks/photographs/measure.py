"""What a set of models finds among the photographs of one half, asked as a person asks: by text, by photograph and edit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from benchmarks.photographs.rows import Cutout, NaturalTriplet, Photograph
from cir.composers.composer import unit_row
from cir.composers.parameters import starting
from cir.errors import CirError
from cir.evaluation.bootstrap import interval
from cir.gallery.gallery import Gallery
from cir.images import read_image
from cir.models.protocols import ImageEncoder, TextEncoder
from cir.ranking.retriever import Retriever
from cir.types import Query

CUTS = (1, 5)
FEWER = 150  # photographs: what recall would be among so many, where there are more
Row = dict[str, object]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One query: the photograph that it starts from ("" for none), its text, and the photographs that are right."""

    text: str
    targets: frozenset[str]
    reference: str = ""


def by_caption(photographs: Sequence[Photograph]) -> list[Asked]:
    """Each photograph, asked for by its caption."""
    return [Asked(row.caption, frozenset([row.id])) for row in photographs]


def by_short_query(photographs: Sequence[Photograph]) -> list[Asked]:
    """Each short query once, with every photograph that it was written for."""
    texts = dict.fromkeys(query for row in photographs for query in row.queries)
    return [Asked(text, frozenset(row.id for row in photographs if text in row.queries)) for text in texts]


def by_photograph_and_edit(triplets: Sequence[NaturalTriplet]) -> list[Asked]:
    """Each natural composed query."""
    return [Asked(row.text, frozenset(row.targets), row.reference) for row in triplets]


def search(retriever: Retriever, method: str, asked: Sequence[Asked]) -> Row:
    """Recalls of a method with its own numbers; the reference is left out of each ranking.

    Raises:
        CirError: the method cannot answer such queries, or lacks a model.
    """
    ids = image_ids(retriever.gallery)
    names = {image_id: name for name, image_id in ids.items()}
    parameters = retriever.composers[method].parameters
    ranks = []
    for one in asked:
        left_out = [ids[one.reference]] if one.reference else []
        picture = read_image(retriever.gallery.image_path(left_out[0])) if left_out else None
        *_, composed = retriever.compose(Query(picture, one.text), method)
        values = starting(parameters, composed)
        found = retriever.rank(composed, values, top_k=len(ids), exclude=left_out)
        ranks.append(first_rank([names[result.image_id] for result in found], one.targets))
    return recalls(ranks, len(ids) - any(one.reference for one in asked))


def search_by_each(
    retriever: Retriever, methods: Iterable[str], asked: Sequence[Asked], say: Say
) -> dict[str, Row]:
    """Recalls of several methods by name; of one that cannot answer, why."""
    rows: dict[str, Row] = {}
    for method in methods:
        say(f"{method}: {len(asked)} queries")
        try:
            rows[method] = search(retriever, method, asked)
        except CirError as error:
            rows[method] = {"cannot": error.message}
    return rows


def name_cutouts(
    models: ImageEncoder,
    words: TextEncoder,
    cutouts: Sequence[Cutout],
    names: Sequence[str],
    pictures: Mapping[str, os.PathLike[str]],
) -> Row:
    """Recalls of the right name among all names, for the cut-outs of one half."""
    features = words.encode_texts(list(names))
    ranks = []
    for row in cutouts:
        seen = unit_row(models.encode_images([read_image(pictures[row.id])]))
        best = np.argsort(-(features @ seen), kind="stable")
        ranks.append(first_rank([names[i] for i in best], frozenset([row.name])))
    return recalls(ranks, 0)


def image_ids(gallery: Gallery) -> dict[str, str]:
    """Photograph id, the stem of its file's name -> its id in the gallery."""
    files = (os.fsdecode(relative) for relative in gallery.relatives)
    return {os.path.splitext(file)[0]: i for file, i in zip(files, gallery.image_ids, strict=True)}


def first_rank(ranked: Sequence[str], targets: frozenset[str]) -> int:
    """The rank, from 1, of the first that is right."""
    return next(rank for rank, one in enumerate(ranked, start=1) if one in targets)


def recalls(ranks: Sequence[int], candidates: int) -> Row:
    """R@1 and R@5 in percent, each with its 95 % bootstrap interval, and the number of queries.

    Where there are more than `FEWER` candidates, also what is to be expected among so many of them, drawn at random.
    """
    row: Row = {"n": len(ranks)}
    for k in CUTS:
        hits = [100.0 * (rank <= k) for rank in ranks]
        row[f"R@{k}"] = round(float(np.mean(hits)), 1)
        row[f"R@{k} interval"] = [round(bound, 1) for bound in interval(hits, seed=0)]
        if candidates > FEWER:
            shares = [100.0 * share_within(rank, k, candidates, FEWER) for rank in ranks]
            row[f"R@{k} among {FEWER}"] = round(float(np.mean(shares)), 1)
    return row


def share_within(rank: int, k: int, candidates: int, drawn: int) -> float:
    """How often what has this rank among all candidates is among the first k of `drawn` ones, itself among them.

    Of the rank - 1 better ones as many are drawn as the hypergeometric distribution says.
    """
    others, wanted = candidates - 1, drawn - 1
    better = min(rank - 1, others)
    ways = sum(comb(better, i) * comb(others - better, wanted - i) for i in range(k))
    return ways / comb(others, wanted)
