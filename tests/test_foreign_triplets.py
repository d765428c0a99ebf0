"""Triplets of other data sets as training input: their names of pictures are found in a gallery, whatever its folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cir.errors import CirError
from cir.gallery.cache import thumbnail_file
from cir.gallery.gallery import Gallery
from cir.syncir.picture_names import in_gallery
from cir.syncir.table import TripletTable
from cir.training.on_gallery import features_of, kept_of_gallery
from cir.types import Triplet
from cir.ui.triplets.cards import FileView

FILES = (
    "coco/train2014/COCO_01.jpg",
    "coco/val2014/COCO_01.jpg",
    "dev/dev-1-img0.png",
    "other/0007.jpg",
    "b.x.jpg",
)


def gallery(files: tuple[str, ...] = FILES) -> Gallery:
    ids = [f"hash{i}" for i in range(len(files))]
    rows = np.eye(len(files), 6, dtype=np.float32)
    found = Gallery.from_features("mine", ids, rows)
    return replace(found, relatives=tuple(name.encode() for name in files))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("hash3", 3),  # its own id
        ("train2014/COCO_01.jpg", 0),  # LaSCo: one folder of the path
        ("/data/val2014/COCO_01.jpg", 1),
        ("dev-1-img0", 2),  # CIRR: no folder and no ending
        ("./dev/dev-1-img0.png", 2),
        ("0007", 3),  # Laion-CIR: a number
        ("0007.webp", 3),  # saved as another kind of file
        ("b.x", 4),  # what looks like an ending is none
        ("b.x.jpg", 4),
        ("COCO_01", None),  # two of that name, and no folder to tell
        ("test2014/COCO_01.jpg", None),
        ("7", None),
        ("", None),
        ("..", None),
    ],
)
def test_a_picture_is_found_by_what_another_data_set_calls_it(name: str, row: int | None) -> None:
    triplet = Triplet("1", name, "hash4", "make it blue", members=("a", "b"))
    found = in_gallery([triplet], gallery())
    assert [(t.reference_id, t.target_id) for t in found] == (
        [] if row is None else [(f"hash{row}", "hash4")]
    )


def test_triplets_of_this_gallery_keep_their_groups_and_others_lose_them() -> None:
    own = Triplet("1", "hash0", "hash1", "in snow", members=("hash0", "hash1"))
    other = Triplet("2", "0007", "b.x", "in snow", members=("0007", "b.x"))
    assert [t.members for t in in_gallery([own, other], gallery())] == [("hash0", "hash1"), ()]


def test_the_page_shows_the_pictures_that_the_gallery_has_under_the_names_of_another_data_set(
    tmp_path: Path,
) -> None:
    mine = gallery()
    mine = replace(mine, root=tmp_path, folder=tmp_path, contents=mine.image_ids)
    for content in mine.contents:
        small = thumbnail_file(tmp_path, content)
        small.parent.mkdir(parents=True, exist_ok=True)
        small.touch()
    view = FileView(TripletTable(), "imported", mine, 0.7, -1)
    shown = {name: view.picture(name) for name in ("hash3", "dev-1-img0", "nowhere.png")}
    assert [picture.name for picture in shown.values()] == [
        "other/0007.jpg",
        "dev/dev-1-img0.png",
        "nowhere.png",
    ]
    assert [picture.path for picture in shown.values()] == [
        mine.thumbnail_path("hash3"), mine.thumbnail_path("hash2"), None,
    ]  # fmt: skip


def test_a_gallery_without_files_has_only_its_ids() -> None:
    nameless = Gallery.from_features("mine", ["a", "b"], np.eye(2, dtype=np.float32))
    rows = [Triplet("1", "a", "b", "in snow"), Triplet("2", "a.jpg", "b.jpg", "in snow")]
    assert [t.triplet_id for t in in_gallery(rows, nameless)] == ["1"]


def test_lascos_file_itself_is_what_is_trained_on(tmp_path: Path) -> None:
    names = [("train2014/COCO_01.jpg", "val2014/COCO_01.jpg"), ("val2014/COCO_01.jpg", "gone.jpg")]
    rows = [
        {"qid": i, "query-image": [i, a], "query-text": "as a drawing", "target-image": [9, b]}
        for i, (a, b) in enumerate(names)
    ]
    file, said = tmp_path / "lasco_train.json", []
    file.write_text(json.dumps(rows))
    kept = kept_of_gallery(file, gallery(), said.append)
    learned = features_of(kept, gallery())
    assert (learned.texts, learned.target_ids.tolist()) == (["as a drawing"], [1])
    assert learned.references.argmax(1).tolist() == [0]
    assert said == ["Left out, since mine has not both of their pictures: 1 triplet of 2."]
    with pytest.raises(CirError, match=r"none of the 2 triplets .* such as train2014/COCO_01\.jpg"):
        kept_of_gallery(file, gallery(("x.jpg", "y.jpg")))
