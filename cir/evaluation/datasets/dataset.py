"""What every benchmark is here: queries with their targets, and the images that are searched.

Image ids are strings, as the benchmark writes them. This module opens no file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cir.errors import DatasetError
from cir.text import counted
from cir.types import CirQuery


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """A query with what its benchmark's measures need.

    Attributes:
        query: ids, text, targets; the first target is the intended one, and there is none in a hidden split.
        texts: modification texts; the features of more than one are averaged (FashionIQ's caption orders).
        members: the image set of CIRR that R_subset ranks, the reference among them.
        soft_targets: image id -> label in [-1, 1] (CIRR's "target_soft").
        aspects: semantic aspects (CIRCO).
    """

    query: CirQuery
    texts: tuple[str, ...]
    members: tuple[str, ...] = ()
    soft_targets: Mapping[str, float] = field(default_factory=dict)
    aspects: tuple[str, ...] = ()

    @property
    def query_id(self) -> str:
        """The benchmark's id of the query."""
        return self.query.query_id


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One split of a benchmark.

    Attributes:
        name: "CIRR", "CIRCO", "FashionIQ dress", or the name of a file of queries.
        split: "val", "test1", ...
        queries: in the order of the annotations.
        images: image id -> path inside `folder`, of every image of the split.
        searched: ids of the images that are ranked.
        folder: where the images are.
        leaves_out_reference: whether the reference is taken out of each ranking.
        protocol: how it is measured, in a sentence for the report.
    """

    name: str
    split: str
    queries: tuple[DatasetQuery, ...]
    images: Mapping[str, str]
    searched: Collection[str]
    folder: Path
    leaves_out_reference: bool
    protocol: str

    @property
    def gallery_name(self) -> str:
        """What the gallery of the split's images is called in the cache."""
        return f"{self.name}-{self.split}".lower().replace(" ", "-")

    @property
    def asked(self) -> list[object]:
        """Every query with what is asked and what is wanted, for a key of what was answered."""
        return [asdict(query) for query in self.queries]

    @property
    def has_targets(self) -> bool:
        """Whether the targets are known; of a hidden split, only the benchmark's server knows them."""
        return all(query.query.target_ids for query in self.queries)


def checked_queries(queries: Sequence[DatasetQuery], source: str) -> tuple[DatasetQuery, ...]:
    """The queries, none twice.

    Raises:
        DatasetError: there are none, or two have the same id.
    """
    if not queries:
        raise DatasetError(f"{source} has no queries.", "Check that this is the annotation file.")
    seen: set[str] = set()
    for query in queries:
        if query.query_id in seen:
            raise DatasetError(
                f"{source} has the query {query.query_id} twice.",
                "Take the annotation file as it was published, or correct it there.",
            )
        seen.add(query.query_id)
    return tuple(queries)


def require_known(queries: Sequence[DatasetQuery], images: Collection[str], source: str) -> None:
    """Every image that a query names is one of `images`.

    Raises:
        DatasetError: the first query that names another.
    """
    for query in queries:
        named = (query.query.reference_id, *query.query.target_ids, *query.members)
        for image_id in named:
            if image_id not in images:
                raise DatasetError(
                    f"Query {query.query_id} names the image {image_id}, which is not in {source}.",
                    "Take annotations and image list of the same split and version.",
                )


def require_files(dataset: Dataset) -> None:
    """Every image of the split is on the disk: a ranking of fewer images could not be compared with any other.

    Raises:
        DatasetError: how many are missing, and the first of them.
    """
    missing = [path for path in dataset.images.values() if not (dataset.folder / path).is_file()]
    if missing:
        raise DatasetError(
            f"Missing from {dataset.name} {dataset.split}: {len(missing)} of {counted(len(dataset.images), 'image')}, "
            f"the first is {missing[0]}.",
            f"Complete the images in {dataset.folder}.",
        )
