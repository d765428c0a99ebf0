"""A method over a whole benchmark: index its images, answer its queries one by one, report.

The result of each query is written down before the next is asked, and the report is made of these results
alone. A run that was stopped goes on where it was. It knows no benchmark's files and no model library.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cir.composers.parameters import Values, starting
from cir.composers.registry import asks_language_model
from cir.durations import time_left
from cir.errors import DatasetError
from cir.evaluation.composed import compose_texts
from cir.evaluation.datasets.dataset import Dataset, DatasetQuery, require_files
from cir.evaluation.datasets.reading import read_json
from cir.evaluation.kept import append_line, read_lines
from cir.evaluation.measures import recalls
from cir.evaluation.submission import PLACES, write_submissions
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.gallery.stored_rows import StoredRows
from cir.images import read_image
from cir.models.protocols import Captioner, ImageEncoder, TextEncoder
from cir.ranking.retriever import MAX_RESULTS, Retriever, scoring_of
from cir.ranking.scoring import rank_of, top_indices
from cir.text import counted
from cir.types import ComposedQuery, Query

Say = Callable[[str], None]
Row = dict[str, Any]
RESULTS, MANIFEST, REPORT = "results.jsonl", "manifest.json", "report.json"


class StageClock:
    """How long the stages of a work still take, each at its own rate since it began here."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}  # stage -> when, and how much was done by then

    def left(self, stage: str, done: int, total: int) -> str:
        """What ends a sentence about the stage: "; about 12 min left", or "" before anything is done, and after all."""
        now = time.monotonic()
        began, before = self._began.setdefault(stage, (now, done))
        if not before < done < total:
            return ""
        return f"; {time_left((now - began) / (done - before) * (total - done))}"


def index_dataset(
    dataset: Dataset,
    *,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    captioner: Captioner | None,
    captions_per_image: int,
    cache_root: Path,
    name: str | None = None,
    batch_size: int = 32,
    say: Say,
) -> Gallery:
    """The images of a split as a gallery, indexed now or brought up to date; ids are the dataset's.

    What was encoded and captioned before is not done again, however the earlier run ended. In memory are the feature
    rows of image and captions, 8 bytes x D for each image: 0.5 GB for 123,403 images of 512 numbers.

    Raises:
        DatasetError: an image is missing or cannot be read.
        GalleryError: see `index_folder`.
    """
    require_files(dataset)
    name, clock = name or dataset.gallery_name, StageClock()
    for progress in index_folder(
        dataset.folder,
        name=name,
        image_encoder=image_encoder,
        text_encoder=text_encoder,
        captioner=captioner,
        captions_per_image=captions_per_image,
        cache_root=cache_root,
        batch_size=batch_size,
        thumbnails=False,
        only={os.fsencode(path) for path in dataset.images.values()},
    ):
        left = clock.left(progress.stage, progress.done, progress.total)
        say(f"{dataset.name}, {progress.stage}: {progress.done} of {progress.total}{left}")
    opened = open_gallery(
        name,
        cache_root=cache_root,
        image_encoder_fingerprint=image_encoder.fingerprint,
        text_encoder_fingerprint=text_encoder.fingerprint,
    )
    return searched_gallery(dataset, opened)


def searched_gallery(dataset: Dataset, opened: Gallery) -> Gallery:
    """The images that are ranked, under the dataset's ids, in the gallery's order.

    Raises:
        DatasetError: the gallery lacks one of them.
    """
    searched = set(dataset.searched)
    names = {os.fsencode(path): image_id for image_id, path in dataset.images.items() if image_id in searched}
    rows = [row for row, relative in enumerate(opened.relatives) if relative in names]
    if len(rows) < len(names):
        lost = sorted(set(names) - {opened.relatives[row] for row in rows})
        raise DatasetError(
            f"Not indexed of {dataset.name}: {counted(len(lost), 'image')}, the first is {os.fsdecode(lost[0])}.",
            f"Put readable images into {dataset.folder}.",
        )
    ids = tuple(names[opened.relatives[row]] for row in rows)
    if len(rows) == len(opened):  # all of them: the rows are not copied
        return replace(opened, image_ids=ids)
    names_of_rows = [field.name for field in fields(opened) if field.name != "notes"]
    kept = {name: _rows_of(getattr(opened, name), rows, len(opened)) for name in names_of_rows}
    return replace(opened, **{**kept, "image_ids": ids})


def _rows_of(value: Any, rows: Sequence[int], images: int) -> Any:
    """What of a gallery's field belongs to these rows: arrays and tuples with one entry for each image are cut."""
    if isinstance(value, np.ndarray | StoredRows) and len(value) == images:
        return value[rows]
    if isinstance(value, tuple) and len(value) == images:
        return tuple(value[row] for row in rows)
    return value


def refuse_places(top_k: int) -> None:
    """See to it that enough places of each ranking are kept.

    Raises:
        DatasetError: too few, or more than are ever ranked.
    """
    if not PLACES <= top_k <= MAX_RESULTS:
        raise DatasetError(
            f"--top-k is {top_k}, but measures and servers need {PLACES} places.",
            f"Give a number from {PLACES} to {MAX_RESULTS}.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One method over one dataset.

    Attributes:
        dataset: what is asked.
        retriever: over the images that are searched, by the dataset's ids.
        method: a method of the retriever.
        values: the method's numbers.
        folder: where results, manifest, report and submission files go.
        manifest: what made the results, such as the models' fingerprints; a run with another is not gone on with.
        top_k: ids that are kept of each ranking, 50 to 100.
        follows: whether a query is ranked by the numbers that the method has for its picture, in the place of `values`.
    """

    dataset: Dataset
    retriever: Retriever
    method: str
    values: Values
    folder: Path
    manifest: Mapping[str, Any]
    top_k: int = PLACES
    follows: bool = False

    def __post_init__(self) -> None:
        refuse_places(self.top_k)

    def numbers(self, composed: ComposedQuery) -> Values:
        """What a query is ranked by."""
        if not self.follows:
            return self.values
        return starting(self.retriever.composers[self.method].parameters, composed)

    def answer(self, *, limit: int | None = None, resume: bool = False, say: Say) -> Row:
        """Ask what was not asked yet, then write and return the report.

        Args:
            limit: only the first queries; the report says how many they were.
            resume: go on with the results that are there.
            say: told how far it is.

        Raises:
            DatasetError: there are results and `resume` is not set, or others made them.
        """
        if limit is not None and limit < 1:
            raise DatasetError(f"--limit is {limit}, so no query is left.", "Give a number above 0, or none.")
        queries = self.dataset.queries[:limit]
        self._begin(resume)
        known = {row["query_id"]: row for row in read_lines(self.folder / RESULTS)}
        for done, row in enumerate(self._rows(queries, known), start=1):
            say(
                f"{self.method} on {self.dataset.name}: {done} of {counted(len(queries), 'query', 'queries')}"
            )
            known[row["query_id"]] = row
        rows = [known[query.query_id] for query in queries]
        found = report(self.dataset, queries, rows) | {"method": self.method, "manifest": dict(self.manifest)}
        if len(queries) == len(self.dataset.queries):
            files = write_submissions(self.folder, self.dataset, *rankings(rows))
            found["submissions"] = [path.name for path in files]
        (self.folder / REPORT).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return found

    def _begin(self, resume: bool) -> None:
        """The folder with this run's manifest in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path, results = self.folder / MANIFEST, self.folder / RESULTS
        if results.exists() and not resume:
            raise DatasetError(
                f"{self.folder} holds results already.", "Go on with them: --resume. Or choose another: --out"
            )
        wanted = json.loads(json.dumps(dict(self.manifest)))
        if results.exists():
            found = read_json(path, dict, "what made the results") if path.exists() else {}
            if other := sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key)):
                raise DatasetError(
                    f"The results in {self.folder} were made otherwise; this differs: {', '.join(other)}.",
                    "Run it as it was, or choose another folder: --out",
                )
        else:
            path.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")

    def _rows(self, queries: Sequence[DatasetQuery], known: Mapping[str, Row]) -> Iterator[Row]:
        for query in queries:
            if query.query_id in known:
                yield known[query.query_id]
                continue
            path = self.dataset.folder / self.dataset.images[query.query.reference_id]
            row = answer_query(self, query, read_image(path))
            append_line(self.folder / RESULTS, row)
            yield row


def answer_query(run: Run, query: DatasetQuery, picture: Image.Image) -> Row:
    """One query: its ranking, the ranks of its targets under all parts and under each alone, and the time.

    Returns:
        query_id; "top": ids, best first; "subset": CIRR's set, best first; "ranks": target -> rank from 1;
        "parts": part -> rank of the intended target by that part alone, gamma 0; "timings_ms"; "notes".
    """
    twice, translator = not asks_language_model(run.method), run.retriever.translator
    texts = [plain for text in query.texts for plain in translator.plain(Query(picture, text), twice=twice)]
    composed = compose_texts(run.retriever.composers[run.method], picture, texts)
    since = time.perf_counter()
    exclude = (query.query.reference_id,) if run.dataset.leaves_out_reference else ()
    results = run.retriever.rank(composed, run.numbers(composed), top_k=run.top_k, exclude=exclude)
    top = [result.image_id for result in results]
    took = 1000.0 * (time.perf_counter() - since)

    targets = query.query.target_ids
    # Equal scores have an order in a ranking, so a rank is the place in it, as far as the list goes.
    ranks = ranks_of(run, composed, targets, exclude)
    ranks = {t: top.index(t) + 1 if t in top else max(rank, len(top) + 1) for t, rank in ranks.items()}
    alone = {name: ComposedQuery({name: row}) for name, row in composed.parts.items()}
    row: Row = {
        "query_id": query.query_id,
        "top": top,
        "ranks": ranks,
        "parts": {
            name: ranks_of(run, one, targets[:1], exclude)[targets[0]]
            for name, one in alone.items()
            if targets
        },
        "timings_ms": {name: round(ms, 2) for name, ms in {**composed.timings_ms, "retrieval": took}.items()},
        "notes": list(composed.notes),
    }
    if query.members:
        others = [member for member in query.members if member != query.query.reference_id]
        row["subset"] = rank_subset(run.retriever, composed, run.numbers(composed), others)
    return row


def ranks_of(
    run: Run, composed: ComposedQuery, targets: Sequence[str], exclude: Sequence[str]
) -> dict[str, int]:
    """Target -> its rank from 1 among all images but those left out; equal scores in the gallery's order."""
    gallery = run.retriever.gallery
    scores = run.retriever.scores(composed, run.numbers(composed))
    scores[[gallery.find(image_id) for image_id in exclude]] = -np.inf
    rows = {target: gallery.find(target) for target in targets}
    return {target: rank_of(scores, row) for target, row in rows.items()}


def rank_subset(
    retriever: Retriever, composed: ComposedQuery, values: Values, image_ids: Sequence[str]
) -> list[str]:
    """Some images of the gallery by their scores in float64, best first; equal ones in the order given."""
    gallery = retriever.gallery
    rows = [gallery.find(image_id) for image_id in image_ids]
    query, scoring = retriever.rows_of(composed), scoring_of(composed, values)
    scores = retriever.engine_of(composed).scores(query, scoring, rows)
    return [image_ids[int(i)] for i in top_indices(scores, len(image_ids))]


def rankings(rows: Sequence[Row]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Query id -> ranked ids, and the same of the queries' sets."""
    whole = {row["query_id"]: row["top"] for row in rows}
    return whole, {row["query_id"]: row["subset"] for row in rows if "subset" in row}


def report(dataset: Dataset, queries: Sequence[DatasetQuery], rows: Sequence[Row]) -> Row:
    """The report of these results; of a hidden split, only times and notes."""
    found: Row = {"dataset": dataset.name, "protocol": dataset.protocol, "queries": len(queries)}
    found["hidden_targets"] = not dataset.has_targets
    if dataset.has_targets:
        found |= dataset.card.score(dataset, queries, *rankings(rows)) | {"dataset": dataset.name}
        names = sorted({name for row in rows for name in row["parts"]})
        ranks = {name: [row["parts"].get(name, 0) for row in rows] for name in names}
        found["parts"] = {name: recalls(row, (1, 10, 50)) for name, row in ranks.items()}
    stages = sorted({stage for row in rows for stage in row["timings_ms"]})
    found["mean_timings_ms"] = {
        stage: float(np.mean([row["timings_ms"].get(stage, 0.0) for row in rows])) for stage in stages
    }
    notes = Counter(note for row in rows for note in dict.fromkeys(row["notes"]))
    return found | {"split": dataset.split, "searched": len(dataset.searched), "notes": dict(notes)}
