"""What every benchmark is here: queries with their targets, the images that are searched, and a card.

The card says what else a benchmark brings: its options, how it is opened, measured and scored, what its server takes.
One benchmark is one file with a card, and a line in `registry.py`; the commands ask the card and know none by name.
Image ids are strings, as the benchmark writes them. This module opens no file.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cir.errors import DatasetError
from cir.text import counted
from cir.types import CirQuery

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery


Report = dict[str, Any]
Rankings = Mapping[str, Sequence[str]]  # query id -> image ids, best first


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
        card: the benchmark's measures, scoring and submission.
    """

    name: str
    split: str
    queries: tuple[DatasetQuery, ...]
    images: Mapping[str, str]
    searched: Collection[str]
    folder: Path
    leaves_out_reference: bool
    protocol: str
    card: DatasetCard

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


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the command line that belongs to some benchmarks.

    Attributes:
        flag: such as "--order".
        settings: what argparse is told of it beside its flag, a default among them unless that is None.
        name: under which the benchmark finds it, where that is not the flag's own.
        only: "scores" where it belongs to predictions that someone made alone, "runs" where to a run alone.
    """

    flag: str
    settings: Mapping[str, Any]
    name: str = ""
    only: str = ""

    @property
    def flag_name(self) -> str:
        """The flag as argparse would name it."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def dest(self) -> str:
        """The name under which the benchmark finds it."""
        return self.name or self.flag_name

    @property
    def default(self) -> object:
        """What holds where it is not given."""
        return self.settings.get("default", False if "action" in self.settings else None)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a benchmark's server takes.

    Attributes:
        files: of a dataset, its rankings and those of the queries' sets: file name -> content.
        server: where it is.
        measures: file name -> what it is measured by, for a server of several.
    """

    files: Callable[[Dataset, Rankings, Rankings], dict[str, dict[str, Any]]]
    server: str
    measures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """One benchmark.

    Attributes:
        name: of its command, in small letters.
        title: as in its paper.
        summary, about: what its command does, in a sentence and at length.
        options: its own, beside those of every run.
        open: the datasets that the options name; of a benchmark that `searches_gallery`, with the gallery.
        score: dataset, queries, rankings and rankings of the queries' sets -> a report.
        columns, brief, by_kind: of tables, see `Measure`.
        splits: that its folder may have; none for one that is no folder.
        searches_gallery: its images are a gallery that was indexed before.
        score_files: the report of predictions that someone made, where the benchmark has a layout for them.
        submission: for its server, where it has one.
        preset: the name of CVSI's weights for it, in `PAPER_PRESETS`; "" for each method's own.
        kinds: kind -> ids of its queries, where they are not kinds of edits; `kinds_are` says what they are.
        variant: words that tell runs with other options apart.
        overall: the report of several datasets, where it has several.
    """

    name: str
    title: str
    summary: str
    options: tuple[Option, ...]
    open: Callable[[Namespace, Gallery | None], Sequence[Dataset]]
    score: Callable[[Dataset, Sequence[DatasetQuery], Rankings, Rankings], Report]
    columns: tuple[str, ...]
    brief: tuple[str, str]
    by_kind: str
    about: str = ""
    splits: tuple[str, ...] = ()
    searches_gallery: bool = False
    score_files: Callable[[Namespace], Report] | None = None
    submission: Submission | None = None
    preset: str = ""
    kinds: Callable[[Sequence[DatasetQuery]], Mapping[str, Sequence[str]]] | None = None
    kinds_are: str = "kind of edit"
    variant: Callable[[Namespace], Sequence[str]] = field(default=lambda options: ())
    overall: Callable[[Mapping[str, Report], Namespace], Report] | None = None


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
