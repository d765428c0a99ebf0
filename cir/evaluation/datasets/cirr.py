"""CIRR in its official layout.

That is `cirr/captions/cap.rc2.SPLIT.json`, `cirr/image_splits/split.rc2.SPLIT.json`, images in `train/`, `dev/` and
`test1/`.

Source: Liu et al., "Image Retrieval on Real-life Images with Pre-trained Vision-and-Language Models", ICCV
2021. The order of `img_set.members` says nothing; the reference is one of them. `test1` has no targets.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from cir.errors import DatasetError
from cir.evaluation.datasets.dataset import Dataset, DatasetQuery, checked_queries, require_known
from cir.evaluation.datasets.reading import Record, first_file, read_json, split_beside
from cir.text import clean_text
from cir.types import CirQuery

SPLITS = ("train", "val", "test1")
VERSION = "rc2"
PROTOCOL = (
    "The reference is left out of every ranking. R@k: the target (target_hard) is among the first k of the split's "
    "images; R_subset@k: among the first k of the other five of its set. Avg: mean of R@5 and R_subset@1, as on the "
    "leaderboard; Avg_HyCIR: mean of R@1, R@5, R@10 and R@50, as in HyCIR."
)
SOFT_PROTOCOL = PROTOCOL.replace(
    "the target (target_hard) is", "the highest label of target_soft (negative counts as 0)"
)
_OFFICIAL_NAME = re.compile(r"(dev|test1|train)-\d+-\d+-img\d")


def read_queries(annotations: Path) -> tuple[DatasetQuery, ...]:
    """The queries of `cap.rc2.SPLIT.json`, by pair id.

    Raises:
        DatasetError: a file or a record that is not as published, by its name.
    """
    rows = read_json(annotations, list, "CIRR's captions")
    queries = [_query(row, i, annotations.name) for i, row in enumerate(rows)]
    return checked_queries(queries, annotations.name)


def _query(row: object, index: int, source: str) -> DatasetQuery:
    record = Record(row, f"record {index} of {source}")
    pair = record.number("pairid")
    record = Record(row, f"query {pair} of {source}")
    reference, members = record.text("reference"), tuple(record.record("img_set").items("members", str))
    targets = (record.text("target_hard"),) if record.has("target_hard") else ()
    if reference not in members or any(target not in members for target in targets):
        raise DatasetError(
            f"Query {pair} of {source}: its image set lacks the reference or the target.",
            "Take the file as it was published, or correct it there.",
        )
    # One caption of test1 is blank: it is asked as it is, since the server wants an answer to every query.
    text = clean_text(record.text("caption", blank=True))[0] or " "
    soft = record.labels("target_soft") if record.has("target_soft") else {}
    return DatasetQuery(
        CirQuery(str(pair), reference, text, targets), (text,), members=members, soft_targets=soft
    )


def read_split(path: Path) -> dict[str, str]:
    """Image name -> path inside the root, of `split.rc2.SPLIT.json`.

    Raises:
        DatasetError: it cannot be read, or a path leads out of the root.
    """
    found = {}
    for name, place in read_json(path, dict, "CIRR's image split").items():
        inside = PurePosixPath(place) if isinstance(place, str) else PurePosixPath("..")
        if inside.is_absolute() or ".." in inside.parts:
            raise DatasetError(
                f"{path.name}: the path of {name} is {str(place)[:60]!r}.",
                "Take the file as it was published, or correct it there.",
            )
        found[name] = str(inside)  # "./dev/x.png" -> "dev/x.png"
    return found


def open_dataset(root: Path, split: str = "val") -> Dataset:
    """A split of CIRR below `root`.

    Raises:
        DatasetError: no such split, or a file that is missing or not as published.
    """
    if split not in SPLITS:
        raise DatasetError(f"CIRR has no split {split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
    caption, listed = f"cap.{VERSION}.{split}.json", f"split.{VERSION}.{split}.json"
    annotations = first_file(
        (root / "cirr/captions" / caption, root / "captions" / caption, root / caption), "captions of CIRR"
    )
    images = first_file(
        (root / "cirr/image_splits" / listed, root / "image_splits" / listed, root / listed),
        "image splits of CIRR",
    )
    queries, names = read_queries(annotations), read_split(images)
    require_known(queries, names, images.name)
    return Dataset("CIRR", split, queries, names, names.keys(), root, True, PROTOCOL)


class KnownImages:
    """The images that a prediction may name: those of the split, where its list lies beside the annotations.

    Without the list, the members of all sets, and whatever is called as CIRR's images are.
    """

    def __init__(self, annotations: Path, queries: tuple[DatasetQuery, ...]) -> None:
        beside = split_beside(annotations)
        self._names = {name for query in queries for name in query.members}
        self._names |= set(read_split(beside)) if beside else set()
        self._whole = beside is not None

    def __contains__(self, image_id: object) -> bool:
        if image_id in self._names:
            return True
        return not self._whole and isinstance(image_id, str) and bool(_OFFICIAL_NAME.fullmatch(image_id))
