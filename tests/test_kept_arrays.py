"""What is kept beside a large gallery so that it need not be made again: used where it is right, and noticed where not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_doubles import ToyCaptioner, ToyEncoder, contents, index, opened, paint_folder
from test_fusion import a_gallery, brute_force, unit

from cir.composers.cvsi import PARTS
from cir.gallery.columns import Column
from cir.gallery.gallery import Gallery
from cir.gallery.kept_arrays import FOLDER, keep_arrays, read_arrays
from cir.gallery.kept_opening import is_sound
from cir.gallery.shards import shard_path, write_shard
from cir.gallery.stored_rows import StoredRows
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.scoring import Linear

DIM, IMAGES = 32, 2000
ARRAYS = {
    "words": np.arange(30, dtype=np.int32).reshape(5, 6),
    "nothing": np.zeros((0, 4), np.float32),
    "truths": np.array([True, False, True]),
}


def only_file(folder: Path, ending: str) -> Path:
    (found,) = (folder / FOLDER).glob(f"*.{ending}")
    return found


def flip(path: Path, *places: int, in_secret: bool) -> None:
    """Other bits; `in_secret`: the file keeps its time, as when a disk forgets."""
    status, data = path.stat(), bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 64
    path.write_bytes(data)
    later = 0 if in_secret else 10**9
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + later))


def test_arrays_that_were_kept_are_the_same_and_of_another_source_there_are_none(tmp_path: Path) -> None:
    keep_arrays(tmp_path, "kind", "one", ARRAYS, {"said": "yes"})
    kept = read_arrays(tmp_path, "kind", "one")
    assert kept is not None
    assert {name: (a.dtype, a.tolist()) for name, a in kept.arrays.items()} == {
        name: (a.dtype, a.tolist()) for name, a in ARRAYS.items()
    }
    assert (kept.facts, kept.is_sound()) == ({"said": "yes"}, True)
    assert read_arrays(tmp_path, "kind", "another") is None
    assert read_arrays(tmp_path, "other kind", "one") is None


def test_newer_arrays_take_the_place_of_older_ones_which_stay_readable_for_who_has_them(
    tmp_path: Path,
) -> None:
    older = keep_arrays(tmp_path, "kind", "one", ARRAYS)
    keep_arrays(tmp_path, "kind", "two", {"words": ARRAYS["words"] + 1})
    assert len(list((tmp_path / FOLDER).glob("*.arrays"))) == 1
    assert older.arrays["words"].tolist() == ARRAYS["words"].tolist()
    newer = read_arrays(tmp_path, "kind", "two")
    assert newer is not None
    assert newer.arrays["words"][0, 0] == 1


def test_a_copied_folder_is_read_though_its_files_have_other_times(tmp_path: Path) -> None:
    keep_arrays(tmp_path, "kind", "one", ARRAYS)
    os.utime(only_file(tmp_path, "arrays"), (1, 1))
    assert read_arrays(tmp_path, "kind", "one") is not None


@pytest.mark.parametrize(
    "hurt",
    [
        lambda folder: flip(only_file(folder, "arrays"), 3, in_secret=False),
        lambda folder: flip(only_file(folder, "json"), 40, in_secret=True),
        lambda folder: only_file(folder, "json").write_bytes(b""),
        lambda folder: only_file(folder, "json").write_bytes(b"[1, 2]"),
        lambda folder: only_file(folder, "arrays").write_bytes(b"short"),
        lambda folder: only_file(folder, "arrays").unlink(),
    ],
    ids=["changed", "manifest changed", "manifest empty", "another manifest", "cut off", "gone"],
)
def test_arrays_that_are_damaged_are_as_good_as_absent(tmp_path: Path, hurt: Callable[[Path], None]) -> None:
    keep_arrays(tmp_path, "kind", "one", ARRAYS)
    hurt(tmp_path)
    assert read_arrays(tmp_path, "kind", "one") is None


def test_a_bit_that_flipped_on_the_disk_is_found_when_the_checksum_is_compared(tmp_path: Path) -> None:
    keep_arrays(tmp_path, "kind", "one", ARRAYS)
    flip(only_file(tmp_path, "arrays"), 3, in_secret=True)
    kept = read_arrays(tmp_path, "kind", "one")
    assert kept is not None
    assert not kept.is_sound()
    kept.forget()
    assert read_arrays(tmp_path, "kind", "one") is None


@pytest.mark.parametrize(
    "texts",
    [["a", "", "bcd"], ["Zürich", "", "海"], ["caf\udce9.jpg", "x"], []],
    ids=["plain", "wide", "no text", "none"],
)
def test_texts_in_a_column_are_the_same_one_by_one_and_one_after_another(texts: list[str]) -> None:
    column, raw = Column.of(texts, str), Column.of([os.fsencode(text) for text in texts], bytes)
    assert (list(column), [column[i] for i in range(-len(texts), 0)], column[1:]) == (
        texts,
        texts,
        tuple(texts[1:]),
    )
    assert list(raw) == [raw[i] for i in range(len(texts))] == [os.fsencode(text) for text in texts]
    with pytest.raises(IndexError):
        column[len(texts)]


# --- int8 copies ---


@pytest.fixture
def large(tmp_path: Path) -> Gallery:
    """One whose rows stay on the disk."""
    return stored(tmp_path, 3)


def stored(folder: Path, seed: int) -> Gallery:
    image, captions, _ = a_gallery(seed, IMAGES, DIM)
    made = Gallery.from_features("large", [str(i) for i in range(IMAGES)], image, caption_features=captions)
    shards, rows = np.zeros(IMAGES, np.int32), np.arange(IMAGES, dtype=np.int32)
    sides = [
        StoredRows([shard_path(folder, write_shard(folder, side))], side[:0], shards, rows, DIM)
        for side in (made.image_features, made.caption_features)
    ]
    return replace(made, image_features=sides[0], caption_features=sides[1], folder=folder)


def assert_is_exact(engine: ExactEngine, gallery: Gallery) -> None:
    rng = np.random.default_rng(1)
    rows = {name: unit(rng.normal(size=DIM) + 0.3).astype(np.float32) for name in PARTS}
    found, scores = engine.top(rows, Linear(dict(zip(PARTS, (0.5, 0.3, 0.2), strict=True)), 0.3), 20)
    sides = np.asarray(gallery.image_features), np.asarray(gallery.caption_features)
    expected = brute_force(rows, [0.5, 0.3, 0.2], 0.3, *sides, gallery.captioned)
    assert found.tolist() == np.argsort(-expected, kind="stable")[:20].tolist()
    np.testing.assert_allclose(scores, expected[found], atol=1e-12)
    engine.settle()


def searched(gallery: Gallery) -> ExactEngine:
    engine = ExactEngine(gallery, quantised=True)
    engine.prepare()
    assert_is_exact(engine, gallery)
    return engine


def no_making(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: object) -> None:
        raise AssertionError("copies are made again")

    monkeypatch.setattr("cir.ranking.engines.copies.quantise", make)


def test_copies_are_made_once_for_a_gallery(large: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(large)
    no_making(monkeypatch)
    searched(large)


def test_copies_of_other_rows_are_made_anew(tmp_path: Path, large: Gallery) -> None:
    searched(large)
    searched(stored(tmp_path, 4))


def test_damaged_copies_are_noticed_behind_and_made_anew(
    tmp_path: Path, large: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(large)
    flip(only_file(tmp_path, "arrays"), *range(20_000, 60_000, 7), in_secret=True)  # whole rows of pixels
    engine = ExactEngine(large, quantised=True)
    engine.prepare()
    engine.check_copies()
    assert_is_exact(engine, large)
    no_making(monkeypatch)
    searched(large)


def test_copies_whose_order_is_damaged_are_made_anew_before_anybody_searches_by_them(
    tmp_path: Path, large: Gallery
) -> None:
    searched(large)
    order = np.ascontiguousarray(ExactEngine(large, quantised=True)._scan.order)
    at = only_file(tmp_path, "arrays").read_bytes().index(order.tobytes())
    flip(only_file(tmp_path, "arrays"), at + 3, in_secret=True)  # points far beyond all rows
    assert_is_exact(ExactEngine(large, quantised=True), large)


def test_where_copies_cannot_be_kept_they_stay_in_memory(
    tmp_path: Path, large: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cir.gallery.kept_arrays.os.fsync", full)
    searched(large)
    assert list((tmp_path / FOLDER).iterdir()) == []


# --- a gallery as it was opened ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a gallery of five pictures, which is large here."""
    monkeypatch.setattr("cir.gallery.opening.STORED_FROM", 1)
    monkeypatch.setattr("cir.gallery.shards.MAPPED_FROM", 1)
    index_all(tmp_path, 5)
    return tmp_path / "cache"


def index_all(folder: Path, pictures: int) -> None:
    paint_folder(folder / "photos" / "2024" / "rome", pictures - 1)
    paint_folder(folder / "photos", 1, first=pictures)
    captions = {"text_encoder": ToyEncoder(), "captioner": ToyCaptioner(), "captions_per_image": 2}
    index(folder / "photos", folder / "cache", **captions)


def everything(gallery: Gallery) -> tuple:
    lists = [
        list(getattr(gallery, name)) for name in ("image_ids", "relatives", "texts", "contents", "taken")
    ]
    arrays = [getattr(gallery, name).tolist() for name in ("norms", "captioned", "days")]
    told = (
        gallery.name,
        gallery.notes,
        gallery.root,
        gallery.folder,
        gallery.written,
        dict(gallery.fingerprints),
    )
    return lists, arrays, told, contents(gallery), gallery.folders, gallery.select(folder=b"2024").tolist()


def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("tables are read")

    monkeypatch.setattr("cir.gallery.opening.read_rows", read)


def test_a_large_gallery_opens_again_without_its_tables_and_is_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cir.gallery.kept_opening.keep_arrays", lambda *_: (_ for _ in ()).throw(OSError()))
    expected = everything(opened(cache))  # as it is read where nothing can be kept
    monkeypatch.undo()
    monkeypatch.setattr("cir.gallery.opening.STORED_FROM", 1)
    monkeypatch.setattr("cir.gallery.shards.MAPPED_FROM", 1)
    opened(cache)
    no_tables(monkeypatch)
    assert everything(opened(cache)) == expected


def test_pictures_that_come_into_a_large_gallery_are_there_when_it_is_opened_again(cache: Path) -> None:
    assert len(opened(cache)) == 5
    index_all(cache.parent, 8)
    assert len(opened(cache)) == len(opened(cache)) == 9


def test_a_shard_that_changed_since_is_noticed_at_opening(cache: Path) -> None:
    opened(cache)
    shard = min((cache / "toys" / "features").glob("*.npy"))
    flip(shard, shard.stat().st_size - 1, in_secret=False)
    assert "damaged" in " ".join(opened(cache).notes)


def test_bits_of_a_shard_that_flipped_on_the_disk_are_noticed_behind(cache: Path) -> None:
    opened(cache)
    again = opened(cache)
    assert is_sound(again)
    first = min((cache / "toys" / "features").glob("*.npy"))
    flip(first, first.stat().st_size - 1, in_secret=True)
    assert opened(cache).notes == ()
    assert not is_sound(opened(cache))
    assert "damaged" in " ".join(opened(cache).notes)


def test_a_gallery_that_is_not_large_opens_at_once_and_nothing_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(_: float) -> None:
        raise AssertionError("it is waited for")

    index_all(tmp_path, 5)  # written this moment
    monkeypatch.setattr("cir.gallery.kept_opening.time.sleep", wait)
    gallery = opened(tmp_path / "cache")
    assert len(gallery) == 5
    assert gallery.folder is not None
    assert not (gallery.folder / FOLDER).exists()
