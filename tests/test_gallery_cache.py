"""The cache of a gallery under what hurts: kill -9, full disks, flipped bits, two writers, other models."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from gallery_doubles import (
    ToyCaptioner,
    ToyEncoder,
    assert_rows_are_right,
    contents,
    exit_code,
    folder_in_memory,
    fork,
    index,
    opened,
    paint,
    paint_folder,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from write_crashes import die_at_write

from cir.errors import GalleryError, UnsafeFile
from cir.gallery import manifest as manifest_module
from cir.gallery import rows as rows_module
from cir.gallery.indexing import index_folder
from cir.gallery.manifest import LOCK_HOLDER, list_galleries, read_manifest, write_manifest
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.gallery.shards import read_shard, shard_path, write_shard

CAPTIONED = {"text_encoder": ToyEncoder(), "captioner": ToyCaptioner(), "captions_per_image": 2}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return paint_folder(tmp_path / "photos", 5)


def image_shards(cache: Path) -> list[Path]:
    return sorted((cache / "toys" / "features").glob("*.npy"))


def flip(path: Path, place: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)


# --- faults 63 and 64: killed at any moment ---


def crash_at(number: int, photos: Path, cache: Path, **options: object) -> int:
    """Index in a process that ends at its n-th write. Its exit code: 137, or 0 when there are fewer."""

    def work() -> None:
        die_at_write(number)
        index(photos, cache, **options)

    return exit_code(fork(work))


def assert_usable(cache: Path) -> int:
    """The gallery opens with right rows, or says that it is not finished. Returns how many images it has."""
    if not (cache / "toys" / "manifest.json").exists():
        with pytest.raises(GalleryError, match=r"was not finished|There is no gallery"):
            opened(cache)
        return 0
    gallery = opened(cache, text="toy-1")
    assert_rows_are_right(gallery, ToyEncoder())
    for image_id in gallery.image_ids:
        if gallery.captioned[gallery.find(image_id)]:
            expected = ToyEncoder().encode_texts(gallery.captions(image_id)).mean(axis=0)
            row = gallery.caption_features[gallery.find(image_id)]
            np.testing.assert_allclose(row, expected, rtol=1e-5)
    return len(gallery)


@pytest.mark.parametrize(("pictures", "thumbnails"), [(3, False), (1, True)])
def test_faults_63_and_64_a_crash_at_any_write_loses_nothing_that_was_whole(
    pictures: int, thumbnails: bool, tmp_path: Path
) -> None:
    photos = paint_folder(tmp_path / "photos", pictures)
    options = {**CAPTIONED, "thumbnails": thumbnails}
    index(photos, tmp_path / "unbroken", **options)
    expected = contents(opened(tmp_path / "unbroken"))
    for number in count(1):
        cache = tmp_path / f"crashed-at-{number}"
        if crash_at(number, photos, cache, **options) == 0:
            break
        assert_usable(cache)
        index(photos, cache, **options)
        assert contents(opened(cache)) == expected, f"crashed at write {number}"
        assert list(cache.rglob("*.tmp")) == []
    assert number > 25


def test_fault_63_a_crash_while_a_gallery_grows_keeps_what_it_had(photos: Path, cache: Path) -> None:
    index(photos, cache, **CAPTIONED)
    before = contents(opened(cache))
    paint_folder(photos, 3, first=50)
    for number in range(1, 14):
        copy = cache.with_name(f"copy-{number}")
        shutil.copytree(cache, copy)
        assert crash_at(number, photos, copy, **CAPTIONED) == 137
        assert assert_usable(copy) >= 5
        assert before.items() <= contents(opened(copy)).items()


def test_fault_63_ten_times_killed_at_random_it_redoes_one_batch_at_most(tmp_path: Path) -> None:
    photos = paint_folder(tmp_path / "photos", 24)
    index(photos, tmp_path / "unbroken", batch_size=4)
    expected = contents(opened(tmp_path / "unbroken"))
    rng = random.Random(3)
    killed = 0
    for trial in range(10):
        cache, log = tmp_path / f"trial-{trial}", tmp_path / f"log-{trial}"

        def work(cache: Path = cache, log: Path = log) -> None:
            for _ in index_folder(
                photos,
                name="toys",
                image_encoder=ToyEncoder(log=log),
                cache_root=cache,
                batch_size=4,
            ):
                time.sleep(0.004)

        pid = fork(work)
        time.sleep(rng.uniform(0.0, 0.12))
        os.kill(pid, signal.SIGKILL)
        killed += exit_code(pid) == -signal.SIGKILL
        assert_usable(cache)
        begun = len(log.read_text().splitlines()) if log.exists() else 0
        progress = index(photos, cache, batch_size=4)
        assert progress[0].done >= 4 * (begun - 1)
        assert contents(opened(cache)) == expected
    assert killed >= 3


def test_fault_64_a_torn_shard_is_noticed_and_made_again(photos: Path, cache: Path) -> None:
    index(photos, cache, batch_size=5)
    (shard,) = image_shards(cache)
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(GalleryError, match="no images in toys that can be searched"):
        opened(cache)
    encoder = ToyEncoder()
    progress = index(photos, cache, image_encoder=encoder, batch_size=5)
    assert progress[0].notes == ("Made again, as they were damaged on the disk: 5 rows of features.",)
    assert encoder.encoded == 5
    assert_usable(cache)


# --- faults 65 and 66: nowhere to write ---


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("suffix", [".npy", ".json", ".webp"])
def test_fault_65_on_a_full_disk_it_stops_with_a_sentence_and_the_old_index_is_searched(
    photos: Path, cache: Path, suffix: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    paint(photos / "new.png", 90)
    real = os.replace

    def full(source: Path, target: Path) -> None:
        if str(target).endswith(suffix):
            raise OSError(number, os.strerror(number))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(GalleryError, match="The disk is full") as caught:
            index(photos, cache, thumbnails=True)
    assert "goes on where it stopped" in caught.value.remedy
    assert before.items() <= contents(opened(cache)).items()
    assert list(cache.rglob("*.tmp")) == []
    index(photos, cache, thumbnails=True)
    assert len(opened(cache)) == 6


def test_a_disk_that_is_full_before_anything_is_indexed_does_not_promise_a_search(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(GalleryError, match="The disk is full") as caught:
        index(photos, cache)
    assert caught.value.remedy.endswith("What could be searched can still be searched.")


def test_fault_65_a_limit_of_the_operating_system_is_met_like_a_full_disk(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    photos = paint_folder(tmp_path / "photos", 5)
    index(photos, cache)
    before = contents(opened(cache))
    paint_folder(photos, 40, first=100)

    def work() -> None:
        largest = max(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2))
        with pytest.raises(GalleryError):
            index(photos, cache, batch_size=8)

    assert exit_code(fork(work)) == 0
    assert before.items() <= contents(opened(cache)).items()
    index(photos, cache)
    assert assert_usable(cache) == 45


def test_fault_65_a_full_database_changes_nothing(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    for n in range(60):
        paint(photos / f"{n:0200}.png", 1000 + n)
    connect = rows_module._connect

    def full(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.execute("PRAGMA max_page_count = 1")  # as many pages as there are already
        return database

    with monkeypatch.context() as patch:
        patch.setattr(rows_module, "_connect", full)
        with pytest.raises(GalleryError, match="The disk is full"):
            index(photos, cache, batch_size=60)
    assert before.items() <= contents(opened(cache)).items()
    assert index(photos, cache, batch_size=60)[-1].done == 65


def test_fault_66_a_read_only_cache_is_searched_and_indexing_says_why() -> None:
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        photos = paint_folder(root / "photos", 3)
        index(photos, root / "cache", thumbnails=True)
        for path in (root, *root.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)

        def work() -> None:
            gallery = opened(root / "cache")
            assert len(gallery) == 3
            assert gallery.thumbnail_path(gallery.image_ids[0]).is_file()
            with pytest.raises(GalleryError, match="allows no writing") as caught:
                index(photos, root / "cache")
            assert "could be searched can still be searched" in caught.value.remedy

        assert exit_code(fork(work, nobody=True)) == 0
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(root)


# --- faults 67 and 68: two writers ---


def test_faults_67_and_68_a_second_process_is_told_who_holds_the_lock_and_death_frees_it(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    holding = tmp_path / "holding"

    def work() -> None:
        steps = index_folder(
            photos, name="toys", image_encoder=ToyEncoder(), cache_root=cache, batch_size=1, thumbnails=False
        )
        next(steps)
        next(steps)
        holding.touch()
        time.sleep(60)

    pid = fork(work)
    try:
        while not holding.exists():
            time.sleep(0.01)
        with pytest.raises(GalleryError, match=f"locked by pid {pid}") as caught:
            index(photos, cache)
        assert "Wait" in caught.value.remedy
    finally:
        os.kill(pid, signal.SIGKILL)
        exit_code(pid)
    assert index(photos, cache)[0].done == 1
    assert assert_usable(cache) == 5


def test_fault_68_what_a_killed_process_left_of_its_lock_holds_nobody_up(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    holding = tmp_path / "holding"

    def work() -> None:
        steps = index_folder(
            photos, name="toys", image_encoder=ToyEncoder(), cache_root=cache, batch_size=1, thumbnails=False
        )
        next(steps)
        next(steps)
        holding.touch()
        time.sleep(60)

    pid = fork(work)
    while not holding.exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    exit_code(pid)
    left = (cache / "toys" / LOCK_HOLDER).read_text(encoding="ascii")
    assert int(left) == pid  # the lock of a process that is gone is still written there
    rename_gallery(cache, "toys", "shapes")
    assert (cache / "shapes").is_dir()
    delete_gallery(cache, "shapes")
    assert not (cache / "shapes").exists()
    assert list_galleries(cache) == []


def test_fault_67_a_gallery_is_searched_while_it_is_indexed(photos: Path, cache: Path) -> None:
    index(photos, cache)
    paint_folder(photos, 4, first=30)
    seen = []
    for _ in index_folder(
        photos, name="toys", image_encoder=ToyEncoder(), cache_root=cache, batch_size=1, thumbnails=False
    ):
        gallery = opened(cache)
        assert_rows_are_right(gallery, ToyEncoder())
        seen.append(len(gallery))
    assert seen == [5, 6, 7, 8, 9, 9]
    assert opened(cache).notes == ()


def test_two_galleries_are_indexed_at_the_same_time(photos: Path, cache: Path) -> None:
    both = [
        index_folder(photos, name=name, image_encoder=ToyEncoder(), cache_root=cache, batch_size=2)
        for name in ("one", "two")
    ]
    for _ in zip(*both, strict=True):
        pass
    assert contents(opened(cache, "one")) == contents(opened(cache, "two"))
    assert [summary.images for summary in list_galleries(cache)] == [5, 5]


# --- fault 69: made by others ---


def test_fault_69_a_gallery_of_other_models_is_refused_with_the_remedy(photos: Path, cache: Path) -> None:
    index(photos, cache, **CAPTIONED)
    message = "toys was made with toy-1, but the app now uses toy-2"
    with pytest.raises(GalleryError, match=message) as caught:
        opened(cache, image="toy-2")
    assert (
        "python -m cir index PHOTOS --models NAME" in caught.value.remedy
    )  # without it the default set makes it again
    with pytest.raises(GalleryError, match="encoded with toy-1, not with toy-3"):
        opened(cache, text="toy-3")
    assert len(opened(cache, text="toy-1")) == 5


def test_fault_69_without_captions_the_text_encoder_does_not_matter(photos: Path, cache: Path) -> None:
    index(photos, cache)
    assert len(opened(cache, text="toy-3")) == 5


def test_fault_69_another_way_of_reading_images_is_refused_and_indexed_anew(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos, cache, **CAPTIONED)
    manifest = read_manifest(cache / "toys")
    write_manifest(cache / "toys", replace(manifest, preprocess="an-older-way"))
    with pytest.raises(GalleryError, match="read in another way"):
        opened(cache)
    monkeypatch.setattr(manifest_module, "READER_VERSION", "a-newer-way")
    encoder, captioner = ToyEncoder(), ToyCaptioner()
    index(
        photos,
        cache,
        image_encoder=encoder,
        text_encoder=encoder,
        captioner=captioner,
        captions_per_image=2,
    )
    assert (encoder.encoded, captioner.captioned) == (5, 0)


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_fault_69_different_fingerprints_never_share_a_key(one: str, other: str) -> None:
    models = manifest_module.Models
    pairs = [
        (models(one), models(other)),
        (models("", text_encoder=one), models("", text_encoder=other)),
        (models("", captioner=one), models("", captioner=other)),
        (models("", captioner=one, captions_per_image=1), models("", captioner=one, captions_per_image=2)),
    ]
    for a, b in pairs[:3] if one != other else []:
        assert (a.image_key, a.caption_features_key) != (b.image_key, b.caption_features_key)
    assert pairs[3][0].captions_key != pairs[3][1].captions_key
    keys = {models(one).image_key, models(one).captions_key, models(one).caption_features_key}
    assert len(keys) == 3


# --- faults 70, 71 and 72: damaged files ---


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A captioned gallery, to be copied and damaged."""
    with folder_in_memory() as folder:
        paint_folder(folder / "photos", 5)
        index(folder / "photos", folder / "cache", **CAPTIONED)
        yield folder


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7), st.integers(0, 10**6))
def test_fault_70_any_flipped_bit_is_noticed_and_its_rows_are_made_again(
    prepared: Path, place: int, bit: int, which: int
) -> None:
    expected = contents(opened(prepared / "cache"))
    with folder_in_memory() as folder:
        copy = shutil.copytree(prepared / "cache", folder / "cache")
        found = image_shards(copy)
        flip(found[which % len(found)], place, bit)
        gallery = opened(copy, text="toy-1")
        assert "damaged" in gallery.notes[0]
        assert "python -m cir index" in gallery.notes[0]
        for label, (raw, means, _) in contents(gallery).items():
            assert raw == expected[label][0]
            assert means in (expected[label][1], [0.0] * 12)
        progress = index(prepared / "photos", copy, **CAPTIONED)
        assert "Made again" in progress[0].notes[0]
        assert contents(opened(copy, text="toy-1")) == expected
        assert opened(copy).notes == ()


JUNK = {
    "empty": b"",
    "junk": b"\0\xff" * 4000,
    "text": b"not what you think",
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("junk", [*JUNK, "truncated", "gone"])
@pytest.mark.parametrize("part", ["rows.sqlite", "manifest.json", "features"])
def test_fault_71_truncated_and_junk_files_are_said_and_repaired(
    prepared: Path, tmp_path: Path, part: str, junk: str
) -> None:
    copy = shutil.copytree(prepared / "cache", tmp_path / "cache")
    path = image_shards(copy)[0] if part == "features" else copy / "toys" / part
    if junk == "gone":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(JUNK.get(junk, data[: len(data) // 2]))
    if part == "features":
        assert "damaged" in opened(copy, text="toy-1").notes[0]
    else:
        with pytest.raises(GalleryError, match="python -m cir index PHOTOS"):
            opened(copy)
    (summary,) = list_galleries(copy)
    assert bool(summary.problem) == (part == "manifest.json")
    index(prepared / "photos", copy, **CAPTIONED)
    assert contents(opened(copy)) == contents(opened(prepared / "cache"))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '"text"',
        "3",
        "{}",
        '{"schema": 1}',
        '{"schema": 1, "models": 3}',
        '{"schema": 1, "models": {"x": 1}}',
    ],
)
def test_fault_71_a_manifest_of_another_shape_is_damaged(
    prepared: Path, tmp_path: Path, content: str
) -> None:
    copy = shutil.copytree(prepared / "cache", tmp_path / "cache")
    (copy / "toys" / "manifest.json").write_text(content)
    with pytest.raises(GalleryError, match="damaged"):
        opened(copy)


def test_fault_71_a_manifest_or_database_of_another_version_is_made_anew(
    prepared: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(prepared / "cache", tmp_path / "cache")
    manifest = json.loads((copy / "toys" / "manifest.json").read_text())
    (copy / "toys" / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(GalleryError, match="another version"):
        opened(copy)
    database = sqlite3.connect(copy / "toys" / "rows.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    progress = index(prepared / "photos", copy, **CAPTIONED)
    assert "set aside" in " ".join(progress[0].notes)
    assert contents(opened(copy)) == contents(opened(prepared / "cache"))


def test_fault_71_a_database_with_a_damaged_page_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    photos = paint_folder(tmp_path / "photos", 60)
    cache = tmp_path / "cache"
    index(photos, cache, batch_size=60)
    expected = contents(opened(cache))
    path = cache / "toys" / "rows.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(reversed(data[4096:]))
    path.write_bytes(data)
    progress = index(photos, cache, batch_size=60)
    assert "set aside" in progress[0].notes[0]
    assert (cache / "toys" / "rows.sqlite.damaged").is_file()
    assert contents(opened(cache)) == expected


def test_fault_72_a_pickle_in_a_shard_is_refused_though_its_checksum_is_right(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    buffer = io.BytesIO()
    np.save(buffer, np.array([[Evil()]], dtype=object), allow_pickle=True)
    for data in (buffer.getvalue(), pickle.dumps(Evil()), b"\x93NUMPY"):
        name = hashlib.sha256(data).hexdigest()
        shard_path(tmp_path, name).write_bytes(data)
        with pytest.raises(UnsafeFile, match="not a matrix"):
            read_shard(tmp_path, name)
    assert not (tmp_path / "executed").exists()


def test_fault_73_a_row_without_direction_in_a_shard_never_reaches_the_gallery(
    photos: Path, cache: Path
) -> None:
    index(photos, cache, batch_size=5)
    (old,) = image_shards(cache)
    rows = np.load(old)
    rows[1], rows[3] = np.nan, 0.0
    name = write_shard(old.parent, rows)
    database = sqlite3.connect(cache / "toys" / "rows.sqlite")
    with database:
        database.execute("UPDATE shards SET name = ?", (name,))
    database.close()
    gallery = opened(cache)
    assert len(gallery) == 3
    assert np.isfinite(gallery.image_features).all()
    assert gallery.notes[0].startswith("Left out of toys, as their features are damaged: 2 images.")


def test_shards_of_the_same_rows_have_the_same_name_and_halves_come_back_as_floats(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert write_shard(tmp_path, rows) == write_shard(tmp_path, np.asfortranarray(rows))
    half = read_shard(tmp_path, write_shard(tmp_path, rows.astype(np.float16)))
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, rows, atol=2e-3)


def test_how_many_captions_count_is_said_in_words_that_need_no_paper(photos: Path, cache: Path) -> None:
    index(photos, cache, name="plain")
    index(photos, cache, name="told", captioner=ToyCaptioner(), text_encoder=ToyEncoder())
    assert "found by their look alone" in opened(cache, "plain").caption_note
    told = opened(cache, "told", text="toy-1")
    assert told.caption_note == ""
    told = replace(told, captioned=np.arange(len(told)) > 0)
    assert told.caption_note.startswith(f"Captions so far: of {len(told) - 1} of {len(told)} pictures.")
