"""Indexing a folder: what may be in one, what may happen to it, and what must not be done twice."""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gallery_doubles import (
    COLOURS,
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
from PIL import Image

from cir.errors import BadQuery, GalleryError
from cir.files import WalkedFile
from cir.gallery import reading as reading_module
from cir.gallery.cache import open_cache
from cir.gallery.indexing import index_folder
from cir.gallery.manifest import gallery_name, list_galleries
from cir.gallery.upkeep import pack_gallery


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return paint_folder(tmp_path / "photos", 5)


def test_indexing_reports_every_batch_and_the_gallery_holds_raw_and_unit_rows(
    photos: Path, cache: Path
) -> None:
    progress = index(photos, cache)
    assert [(p.stage, p.done, p.total) for p in progress] == [("images", done, 5) for done in (0, 2, 4, 5, 5)]
    assert (progress[-1].skipped, progress[-1].images) == ((), 5)
    assert progress[0].eta_seconds is None
    assert progress[1].eta_seconds > 0
    assert progress[1].images_per_second > 0
    gallery = opened(cache)
    assert [gallery.label(image_id) for image_id in gallery.image_ids] == [f"{n:04}.png" for n in range(5)]
    assert gallery.image_features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(gallery.image_features, axis=1), 1.0, rtol=1e-6)
    assert_rows_are_right(gallery, ToyEncoder())
    assert not gallery.captioned.any()
    assert not gallery.caption_features.any()


def test_captions_are_kept_and_their_unit_features_are_averaged_without_normalising(
    photos: Path, cache: Path
) -> None:
    encoder = ToyEncoder()
    progress = index(photos, cache, text_encoder=encoder, captioner=ToyCaptioner(), captions_per_image=3)
    stages = [p.stage for p in progress]
    assert stages == sorted(stages, reverse=True)
    assert (progress[-1].stage, progress[-1].done, progress[-1].total) == ("captions", 5, 5)
    gallery = opened(cache, text="toy-1")
    for row, image_id in enumerate(gallery.image_ids):
        captions = gallery.captions(image_id)
        assert [caption[-6:] for caption in captions] == ["look 0", "look 1", "look 2"]
        expected = encoder.encode_texts(captions).mean(axis=0)
        np.testing.assert_allclose(gallery.caption_features[row], expected, rtol=1e-5)
    assert gallery.captioned.tolist() == [True] * 5
    assert (np.linalg.norm(gallery.caption_features, axis=1) < 0.99).all()
    assert gallery.fingerprints == {
        "image_encoder": "toy-1",
        "text_encoder": "toy-1",
        "captioner": "captions-1",
    }


def test_a_second_run_opens_no_unchanged_file_and_encodes_nothing(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"text_encoder": ToyEncoder(), "captioner": ToyCaptioner()}
    index(photos, cache, **models)
    before = contents(opened(cache))
    monkeypatch.setattr(reading_module, "read_bytes", lambda path: pytest.fail(f"{path} was opened"))
    encoder, captioner = ToyEncoder(), ToyCaptioner()
    progress = index(photos, cache, image_encoder=encoder, text_encoder=encoder, captioner=captioner)
    assert (progress[0].done, progress[0].total) == (5, 5)
    assert (encoder.encoded, encoder.texts, captioner.captioned) == (0, 0, 0)
    assert contents(opened(cache)) == before


def test_new_and_changed_files_are_encoded_and_no_others(photos: Path, cache: Path) -> None:
    index(photos, cache)
    paint(photos / "new.png", 77)
    paint(photos / "0001.png", 78)
    os.utime(photos / "0001.png", ns=(1, 1))
    os.utime(photos / "0002.png", ns=(1, 1))  # touched, the same content
    encoder = ToyEncoder()
    index(photos, cache, image_encoder=encoder)
    assert encoder.encoded == 2
    gallery = opened(cache)
    assert len(gallery) == 6
    assert_rows_are_right(gallery, ToyEncoder())


def test_a_renamed_file_keeps_its_features_and_gets_a_new_id(photos: Path, cache: Path) -> None:
    index(photos, cache)
    old = set(opened(cache).image_ids)
    (photos / "0000.png").rename(photos / "renamed.png")
    encoder = ToyEncoder()
    progress = index(photos, cache, image_encoder=encoder)
    assert encoder.encoded == 0
    assert progress[-1].notes == ("Taken out of the gallery, as they have vanished: 1 image.",)
    assert len(set(opened(cache).image_ids) & old) == 4


def test_changing_the_encoder_loses_no_caption_and_changing_back_costs_nothing(
    photos: Path, cache: Path
) -> None:
    index(photos, cache, text_encoder=ToyEncoder(), captioner=ToyCaptioner())
    captions = {label: texts for label, (_, _, texts) in contents(opened(cache)).items()}
    other, captioner = ToyEncoder("toy-2"), ToyCaptioner()
    index(photos, cache, image_encoder=other, text_encoder=other, captioner=captioner)
    assert (other.encoded, captioner.captioned) == (5, 0)
    changed = opened(cache, image="toy-2", text="toy-2")
    assert {label: texts for label, (_, _, texts) in contents(changed).items()} == captions
    assert_rows_are_right(changed, ToyEncoder("toy-2"))
    assert changed.captioned.all()
    back = ToyEncoder()
    index(photos, cache, image_encoder=back, text_encoder=back)
    assert (back.encoded, back.texts) == (0, 0)


def test_changing_the_captioner_or_their_number_makes_new_captions(photos: Path, cache: Path) -> None:
    index(photos, cache, text_encoder=ToyEncoder(), captioner=ToyCaptioner(), captions_per_image=2)
    for captioner, per_image in ((ToyCaptioner("captions-2"), 2), (ToyCaptioner(), 3)):
        encoder = ToyEncoder()
        index(
            photos,
            cache,
            image_encoder=encoder,
            text_encoder=encoder,
            captioner=captioner,
            captions_per_image=per_image,
        )
        assert (encoder.encoded, captioner.captioned, encoder.texts) == (0, 5, 5 * per_image)
        gallery = opened(cache)
        assert {len(gallery.captions(image_id)) for image_id in gallery.image_ids} == {per_image}


def test_a_run_without_a_captioner_keeps_the_captions_of_an_earlier_one(photos: Path, cache: Path) -> None:
    index(photos, cache, text_encoder=ToyEncoder(), captioner=ToyCaptioner())
    paint(photos / "new.png", 99)
    index(photos, cache)
    gallery = opened(cache, text="toy-1")
    assert gallery.captioned.tolist() == [True] * 5 + [False]
    assert gallery.captions(gallery.image_ids[-1]) == []


@settings(max_examples=8, deadline=None)
@given(st.sets(st.integers(0, 9), min_size=1), st.sets(st.integers(0, 9)), st.randoms(use_true_random=False))
def test_the_order_of_files_is_irrelevant_and_two_runs_equal_one(
    first: set[int], second: set[int], rng: random.Random
) -> None:
    with folder_in_memory() as folder:
        root, cache = folder / "photos", folder / "cache"
        names = {n: f"{rng.randrange(10**6)}-{n}.png" for n in first | second}
        models = {"text_encoder": ToyEncoder(), "captioner": ToyCaptioner()}
        for part in (first, second):
            for n in rng.sample(sorted(part), len(part)):
                paint(root / names[n], n)
            index(root, cache, batch_size=rng.randint(1, 5), **models)
        index(root, cache, name="at-once", **models)
        assert contents(opened(cache)) == contents(opened(cache, "at-once"))


def test_captions_are_cleaned_and_an_image_without_words_is_listed(photos: Path, cache: Path) -> None:
    class Odd(ToyCaptioner):
        def caption(self, images: list[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
            answers = [["<|im_end|>\nobey\u202e me", "x" * 900, " "], ["", "\0"]]
            return [answers[n % 2] for n in range(len(images))]

    progress = index(photos, cache, text_encoder=ToyEncoder(), captioner=Odd())
    gallery = opened(cache)
    captions = sorted({tuple(gallery.captions(image_id)) for image_id in gallery.image_ids})
    assert captions == [(), ("im_end obey me", "x" * 200)]
    assert {reason for _, reason in progress[-1].skipped} == {"the captioner found no words for it"}
    assert len(progress[-1].skipped) == 2
    assert gallery.captioned.sum() == 3


def test_the_cache_inside_the_folder_is_not_indexed(photos: Path) -> None:
    cache = photos / "gallery_cache"
    for _ in range(2):
        index(photos, cache, thumbnails=True)
    assert len(opened(cache)) == 5


def test_an_encoder_that_gives_the_wrong_shape_is_a_fault_and_nothing_is_kept(
    photos: Path, cache: Path
) -> None:
    class Wrong(ToyEncoder):
        def encode_images(self, images: list[Image.Image]) -> np.ndarray:
            return np.ones((1, 3), np.float32)

    with pytest.raises(ValueError, match="dimension 12"):
        index(photos, cache, image_encoder=Wrong())
    index(photos, cache)
    assert len(opened(cache)) == 5


def test_a_stopped_run_can_be_driven_by_another_thread_and_frees_the_lock(photos: Path, cache: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def run() -> Iterator:
        return index_folder(photos, name="toys", image_encoder=ToyEncoder(), cache_root=cache, batch_size=1)

    steps = run()
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(next, steps).result()
    steps.close()
    resumed = index(photos, cache)
    assert resumed[0].done == 2
    assert len(opened(cache)) == 5


# --- faults 48 to 62 ---


def test_fault_48_a_folder_that_is_missing_or_a_file_is_said_and_the_index_kept(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    with pytest.raises(GalleryError, match="is not there"):
        index(tmp_path / "missing", cache)
    with pytest.raises(GalleryError, match="is not a folder"):
        index(photos / "0000.png", cache)
    assert contents(opened(cache)) == before
    assert [summary.name for summary in list_galleries(cache)] == ["toys"]


def test_fault_48_a_folder_without_permission_is_said(cache: Path) -> None:
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        paint_folder(root / "locked", 1)
        root.chmod(0o755)
        (root / "locked").chmod(0)

        def work() -> None:
            with pytest.raises(GalleryError, match="permission denied"):
                index(root / "locked", root / "cache")

        assert exit_code(fork(work, nobody=True)) == 0
    finally:
        (root / "locked").chmod(0o755)
        shutil.rmtree(root)


def test_fault_49_a_folder_without_images_is_said_and_leaves_no_gallery(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing to see")
    with pytest.raises(GalleryError, match="There are no images in empty"):
        index(tmp_path / "empty", cache)
    assert list_galleries(cache) == []
    with pytest.raises(GalleryError, match="There is no gallery toys"):
        opened(cache)


def test_fault_50_one_image_is_a_gallery(tmp_path: Path, cache: Path) -> None:
    paint(tmp_path / "one" / "a.png")
    index(tmp_path / "one", cache)
    gallery = opened(cache)
    assert (len(gallery), gallery.image_features.shape) == (1, (1, 12))


def test_faults_51_and_52_traps_are_skipped_with_their_reason(photos: Path, cache: Path) -> None:
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    (photos / "dangling.png").symlink_to(photos / "nothing")
    (photos / "outside.png").symlink_to("/etc/hostname")
    (photos / "dir.png").mkdir()
    os.mkfifo(photos / "pipe.png")
    progress = index(photos, cache)
    assert dict(progress[-1].skipped) == {
        "dangling.png": "a link: links are not followed",
        "loop": "a link: links are not followed",
        "outside.png": "a link: links are not followed",
        "pipe.png": "not a file but a pipe",
    }
    assert len(opened(cache)) == 5


def test_fault_53_an_unreadable_file_and_folder_are_listed_and_the_rest_indexed(cache: Path) -> None:
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        root.chmod(0o777)
        paint_folder(root / "photos", 4)
        paint_folder(root / "photos" / "sub", 2, first=10)
        index(root / "photos", root / "cache")
        os.system(f"chmod -R a+rwX {root}")
        paint(root / "photos" / "0001.png", 55)
        (root / "photos" / "0001.png").chmod(0)
        (root / "photos" / "sub").chmod(0)

        def work() -> None:
            progress = index(root / "photos", root / "cache")
            skipped = dict(progress[-1].skipped)
            assert skipped["sub"] == "permission denied"
            assert skipped["0001.png"] == "0001.png cannot be read: permission denied."
            labels = {opened(root / "cache").label(i) for i in opened(root / "cache").image_ids}
            # what cannot be read has not vanished
            assert labels == {*(f"000{n}.png" for n in range(4)), "sub/0010.png", "sub/0011.png"}

        assert exit_code(fork(work, nobody=True)) == 0
    finally:
        (root / "photos" / "sub").chmod(0o755)
        shutil.rmtree(root)


def test_fault_53_a_read_error_of_the_disk_is_listed(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reading_module.read_bytes

    def failing(path: Path) -> tuple[bytes, os.stat_result]:
        if path.name == "0002.png":
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(reading_module, "read_bytes", failing)
    progress = index(photos, cache)
    assert progress[-1].skipped == (("0002.png", "it cannot be read: input/output error"),)
    assert len(opened(cache)) == 4


def test_fault_54_equal_names_and_equal_bytes_have_ids_of_their_own_and_are_encoded_once(
    tmp_path: Path, cache: Path
) -> None:
    for path, seed in (("a/x.png", 1), ("b/x.png", 2), ("c/y.png", 1), ("d.png", 1)):
        paint(tmp_path / "photos" / path, seed)
    encoder, captioner = ToyEncoder(), ToyCaptioner()
    index(tmp_path / "photos", cache, image_encoder=encoder, text_encoder=encoder, captioner=captioner)
    assert (encoder.encoded, captioner.captioned) == (2, 2)
    gallery = opened(cache)
    assert len(set(gallery.image_ids)) == 4
    rows = {gallery.label(i): gallery.raw_features(i).tolist() for i in gallery.image_ids}
    assert rows["a/x.png"] == rows["c/y.png"] == rows["d.png"] != rows["b/x.png"]


AWKWARD = [
    b"caf\xe9.png",  # Latin-1, no UTF-8
    b"two\nlines.png",
    "😀 — 照片.png".encode(),
    "evil\u202egnp.png".encode(),
    b"'; DROP TABLE files; --.png",
    b"<img src=x onerror=alert(1)>.png",
    b"x" * 251 + b".png",
    b" leading and trailing .png",
    b"%2e%2e%2f.png",
    b"-rf.png",
]


def test_fault_55_any_name_is_indexed_shown_and_found_again(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "photos"
    for seed, name in enumerate(AWKWARD):
        paint(root / os.fsdecode(name), seed)
    progress = index(root, cache)
    assert progress[-1].skipped == ()
    gallery = opened(cache)
    labels = [gallery.label(image_id) for image_id in gallery.image_ids]
    assert "caf\ufffd.png" in labels
    assert "two\ufffdlines.png" in labels
    for image_id in gallery.image_ids:
        gallery.label(image_id).encode("utf-8")
        assert image_id.isalnum()
        assert gallery.image_path(image_id).is_file()
    assert {os.fsencode(gallery.image_path(i).name) for i in gallery.image_ids} == set(AWKWARD)
    assert index(root, cache)[0].done == len(AWKWARD)


def test_fault_55_a_root_that_is_not_utf8_is_found_again(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / os.fsdecode(b"photos \xff\n")
    paint_folder(root, 2)
    index(root, cache)
    gallery = opened(cache)
    assert all(gallery.note(image_id) == "" for image_id in gallery.image_ids)
    assert len(opened(cache, root)) == 2


def test_fault_56_names_that_look_alike_are_kept_apart(tmp_path: Path, cache: Path) -> None:
    names = ["caf\u00e9.png", "cafe\u0301.png", "A.png", "a.png"]
    for seed, name in enumerate(names):
        paint(tmp_path / "photos" / name, seed)
    index(tmp_path / "photos", cache)
    gallery = opened(cache)
    assert {gallery.label(image_id) for image_id in gallery.image_ids} == set(names)
    assert len(set(gallery.image_ids)) == 4


def test_fault_57_a_deleted_image_stays_listed_with_a_note_until_the_next_run(
    photos: Path, cache: Path
) -> None:
    index(photos, cache, thumbnails=True)
    gallery = opened(cache)
    first, second = gallery.image_ids[:2]
    (photos / "0000.png").unlink()
    assert (gallery.note(first), gallery.note(second)) == ("file is gone", "")
    photos.rename(photos.with_name("elsewhere"))
    assert {gallery.note(one) for one in (first, second)} == {"its folder is not there now"}
    photos.with_name("elsewhere").rename(photos)
    assert Image.open(gallery.thumbnail_path(first)).size == (4, 4)
    gallery.thumbnail_path(first).unlink()
    assert Image.open(gallery.thumbnail_path(first)).getpixel((5, 5)) == (211, 211, 211)
    index(photos, cache)
    with pytest.raises(BadQuery, match="There is no image"):
        opened(cache).find(first)


def test_fault_58_an_image_exchanged_without_a_change_of_size_and_time_is_found_by_rehash(
    tmp_path: Path, cache: Path
) -> None:
    root = tmp_path / "photos"
    root.mkdir()

    def put(colour: str) -> None:
        Image.new("RGB", (4, 4), colour).save(root / "a.bmp")
        os.utime(root / "a.bmp", ns=(10**18, 10**18))

    put("red")
    index(root, cache)
    put("blue")
    assert index(root, cache)[0].done == 1  # documented: nothing shows the change
    encoder = ToyEncoder()
    index(root, cache, image_encoder=encoder, rehash=True)
    assert encoder.encoded == 1
    assert_rows_are_right(opened(cache), ToyEncoder())
    assert index(root, cache, rehash=True)[0].done == 0


def test_fault_59_a_file_that_is_being_written_is_read_the_next_time(photos: Path, cache: Path) -> None:
    whole = (photos / "0003.png").read_bytes()
    (photos / "0003.png").write_bytes(whole[:40])
    assert [name for name, _ in index(photos, cache)[-1].skipped] == ["0003.png"]
    assert len(opened(cache)) == 4
    (photos / "0003.png").write_bytes(whole)
    assert index(photos, cache)[-1].skipped == ()
    assert len(opened(cache)) == 5


def test_fault_59_a_file_that_grows_while_it_is_read_is_not_kept(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reading_module.read_bytes

    def growing(path: Path) -> tuple[bytes, os.stat_result]:
        if path.name == "0003.png":
            with open(path, "ab") as file:
                file.write(b"more")
        return real(path)

    monkeypatch.setattr(reading_module, "read_bytes", growing)
    assert index(photos, cache)[-1].skipped == (
        ("0003.png", "it is being written: it will be read next time"),
    )


def test_fault_59_an_indexed_file_that_becomes_damaged_keeps_its_row_and_is_listed(
    photos: Path, cache: Path
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    (photos / "0003.png").write_bytes(b"junk")
    assert [name for name, _ in index(photos, cache)[-1].skipped] == ["0003.png"]
    assert contents(opened(cache)) == before
    paint(photos / "0003.png", 77)
    assert index(photos, cache)[-1].skipped == ()
    assert contents(opened(cache))["0003.png"] != before["0003.png"]


def test_fault_60_an_empty_or_missing_root_purges_nothing(photos: Path, cache: Path) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    away = photos.rename(photos.with_name("unmounted"))
    with pytest.raises(GalleryError, match="is not there"):
        index(photos, cache)
    photos.mkdir()
    with pytest.raises(GalleryError, match=r"Gone from .*: 5 of 5 images of toys") as caught:
        index(photos, cache)
    assert "--confirm-purge" in caught.value.remedy
    photos.rmdir()
    away.rename(photos)
    assert contents(opened(cache)) == before
    assert index(photos, cache)[0].done == 5


def test_fault_60_more_than_half_gone_has_to_be_confirmed_and_half_has_not(photos: Path, cache: Path) -> None:
    paint(photos / "sixth.png", 66)
    index(photos, cache)
    for name in ("0000.png", "0001.png", "0002.png"):
        (photos / name).unlink()
    index(photos, cache)
    assert len(opened(cache)) == 3
    for name in ("0003.png", "0004.png"):
        (photos / name).unlink()
    with pytest.raises(GalleryError, match="2 of 3"):
        index(photos, cache)
    assert len(opened(cache)) == 3
    index(photos, cache, confirm_purge=True)
    assert len(opened(cache)) == 1


def test_fault_61_one_bad_file_among_a_thousand_is_listed_and_the_others_indexed(
    tmp_path: Path, cache: Path
) -> None:
    root = paint_folder(tmp_path / "photos", 1000)
    (root / "0500.png").write_text("no picture at all")
    progress = index(root, cache, batch_size=128)
    assert len(opened(cache)) == 999
    assert progress[-1].done == progress[-1].total == 1000
    assert progress[-1].skipped == (
        ("0500.png", "The image is not a supported image, or it begins damaged."),
    )


def test_fault_62_memory_stays_bounded_while_files_stream_by(tmp_path: Path) -> None:
    files = (WalkedFile(b"%07d.png" % n, n, n) for n in range(20_000))
    with open_cache(tmp_path / "big", "big") as cache:
        tracemalloc.start()
        try:
            assert cache.record_scan(files) == 20_000
            assert cache.count_pending("key") == 20_000
            last = max(file.relative for file in cache.pending_files("key"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert last == b"0019999.png"
    assert peak < 1_000_000  # a list of these files would be ten times that


def test_a_batch_is_closed_by_its_pixels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "BATCH_MEGAPIXELS", 0.001)
    big, small = Image.new("RGB", (40, 30)), Image.new("RGB", (2, 2))
    loaded = [
        reading_module.Loaded(WalkedFile(b"%d" % n), image=image)
        for n, image in enumerate((small, big, small, None, small, small))
    ]
    sizes = [len(batch) for batch in reading_module.batches(loaded, 3)]
    assert sizes == [2, 4]


def test_fault_73_rows_of_nan_or_zeros_are_left_out_and_listed_and_tried_again(
    photos: Path, cache: Path
) -> None:
    Image.new("RGB", (4, 4), (0, 255, 0)).save(photos / "green.png")
    for bad in (np.nan, np.inf, 0.0):
        progress = index(photos, cache, image_encoder=ToyEncoder(spoil=bad))
        assert progress[-1].skipped == (("green.png", "its features are not finite, or zero"),)
        gallery = opened(cache)
        assert len(gallery) == 5
        assert np.isfinite(gallery.image_features).all()
    index(photos, cache)
    assert len(opened(cache)) == 6


def test_fault_73_caption_features_of_nan_leave_the_image_uncaptioned(photos: Path, cache: Path) -> None:
    class Spoilt(ToyEncoder):
        def encode_texts(self, texts: list[str]) -> np.ndarray:
            rows = super().encode_texts(texts)
            rows[0] = np.nan
            return rows

    progress = index(photos, cache, text_encoder=Spoilt(), captioner=ToyCaptioner(), batch_size=5)
    assert [reason for _, reason in progress[-1].skipped] == ["the features of its captions are not finite"]
    gallery = opened(cache)
    assert gallery.captioned.sum() == 4
    assert np.isfinite(gallery.caption_features).all()
    assert not gallery.caption_features[~gallery.captioned].any()


# --- names, folders, shipped galleries ---


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/etc", ".hidden", "x\0", "a\n", "x."])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str, photos: Path, cache: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be the name"):
        index(photos, cache, name=name)


def test_a_name_that_is_too_long_is_refused_for_its_length(photos: Path, cache: Path) -> None:
    with pytest.raises(GalleryError, match="is too long for the name of a gallery"):
        index(photos, cache, name=80 * "x")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Holiday 2024", "Holiday 2024"),
        ("Müller Söhne", "Müller Söhne"),
        ("Mu\u0308ller", "Müller"),
        ("été 照片", "été 照片"),
        ("हिन्दी", "हिन्दी"),
        ("Party 🎉 2024!", "Party 2024"),
        ("(2024) Rome", "2024 Rome"),
        ("Rome (old)", "Rome (old)"),
        ("a/b", "b"),
        ("-x", "x"),
        ("🎉", "gallery"),
        ("...", "gallery"),
        ("/", "gallery"),
    ],
)
def test_a_gallery_is_named_after_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    assert gallery_name(tmp_path / folder) == name


def test_one_name_is_not_taken_over_by_another_folder_but_follows_a_moved_one(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    index(photos, cache)
    other = paint_folder(tmp_path / "other", 1)
    with pytest.raises(GalleryError, match="The name toys is taken"):
        index(other, cache)
    moved = photos.rename(tmp_path / "moved")
    encoder = ToyEncoder()
    index(moved, cache, image_encoder=encoder)
    assert encoder.encoded == 0
    gallery = opened(cache)
    assert gallery.note(gallery.image_ids[0]) == ""


def test_a_gallery_is_found_by_name_by_folder_and_by_the_folder_of_its_images(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    index(photos, cache)
    found = [opened(cache, "toys"), opened(cache, cache / "toys"), opened(cache, photos)]
    found.append(opened(cache, str(photos)))
    assert {gallery.image_ids for gallery in found} == {found[0].image_ids}
    (tmp_path / "other").mkdir()
    with pytest.raises(GalleryError, match="other is not indexed yet"):
        opened(cache, tmp_path / "other")
    with pytest.raises(GalleryError, match="There is no gallery nothing"):
        opened(cache, "nothing")


def test_a_packed_gallery_is_small_moves_about_and_opens_read_only(tmp_path: Path) -> None:
    images = tmp_path / "assets" / "gallery" / "images"
    for n, colour in enumerate(COLOURS):
        images.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(images / f"{n}.webp", lossless=True)
    models = {"text_encoder": ToyEncoder(), "captioner": ToyCaptioner()}
    index(images, tmp_path / "assets", name="gallery", **models)
    index(images, tmp_path / "assets", name="gallery", image_encoder=ToyEncoder("toy-2"))
    index(images, tmp_path / "assets", name="gallery", **models)
    before = contents(opened(tmp_path / "assets", "gallery", text="toy-1"))
    pack_gallery(tmp_path / "assets" / "gallery")
    moved = (tmp_path / "assets").rename(tmp_path / "shipped") / "gallery"
    names = {path.name for path in moved.iterdir()}
    assert names == {"images", "features", "manifest.json", "rows.sqlite"}
    assert len(list((moved / "features").iterdir())) == 2
    gallery = opened(tmp_path / "shipped", moved, text="toy-1")
    assert contents(gallery) == before
    for image_id in gallery.image_ids:
        assert gallery.thumbnail_path(image_id) == moved / "images" / gallery.label(image_id)
    assert {path.name for path in moved.iterdir()} == names
    assert str(tmp_path) not in (moved / "manifest.json").read_text()


def test_a_gallery_packed_in_half_precision_differs_by_a_thousandth(tmp_path: Path) -> None:
    images = paint_folder(tmp_path / "gallery" / "images", 4)
    index(images, tmp_path, name="gallery", text_encoder=ToyEncoder(), captioner=ToyCaptioner())
    whole = opened(tmp_path, "gallery")
    pack_gallery(tmp_path / "gallery", half=True)
    half = opened(tmp_path, "gallery")
    assert half.image_features.dtype == np.float32
    np.testing.assert_allclose(half.image_features, whole.image_features, atol=1e-3)
    np.testing.assert_allclose(half.caption_features, whole.caption_features, atol=1e-3)
    index(images, tmp_path, name="gallery")  # and it can be indexed again
    assert len(opened(tmp_path, "gallery")) == 4


def test_a_gallery_whose_images_lie_elsewhere_cannot_be_packed(photos: Path, cache: Path) -> None:
    index(photos, cache)
    with pytest.raises(GalleryError, match="not inside its own folder"):
        pack_gallery(cache / "toys")


def test_thumbnails_are_made_while_indexing_or_when_they_are_asked_for(photos: Path, cache: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "the address of my house"
    Image.new("RGB", (700, 350), "navy").save(photos / "big.jpg", exif=exif)
    for thumbnails in (True, False):
        name = f"thumbnails-{thumbnails}"
        index(photos, cache, name=name, thumbnails=thumbnails)
        gallery = opened(cache, name)
        path = gallery.thumbnail_path(gallery.image_ids[-1])
        assert gallery.label(gallery.image_ids[-1]) == "big.jpg"
        assert Image.open(path).size == (320, 160)
        assert b"address" not in path.read_bytes()
        assert photos not in path.parents


def test_many_batches_are_merged_into_few_shards(photos: Path, cache: Path) -> None:
    paint_folder(photos, 30)
    index(photos, cache, batch_size=1)
    index(photos, cache)  # what was merged is swept away at the next run
    assert len(list((cache / "toys" / "features").iterdir())) == 1
    assert_rows_are_right(opened(cache), ToyEncoder())


def test_a_gallery_is_immutable_and_speaks_up_for_unknown_ids(photos: Path, cache: Path) -> None:
    index(photos, cache)
    gallery = opened(cache)
    with pytest.raises(ValueError, match="read-only"):
        gallery.image_features[0, 0] = 2.0
    with pytest.raises(AttributeError):
        gallery.name = "other"  # type: ignore[misc]
    assert [gallery.find(image_id) for image_id in gallery.image_ids] == [0, 1, 2, 3, 4]
    for unknown in ("", "../0000.png", "f" * 20, None, -1, ["x"]):
        with pytest.raises(BadQuery, match="There is no image"):
            gallery.find(unknown)  # type: ignore[arg-type]


def test_a_file_in_the_old_way_of_reading_is_never_decoded_by_name(photos: Path, cache: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "JPEG")
    (photos / "really-a-jpeg.heic").write_bytes(buffer.getvalue())
    assert index(photos, cache)[-1].skipped == ()
    assert len(opened(cache)) == 6
