"""A folder that goes away while it is indexed, files that cannot be read: nothing is forgotten."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from gallery_doubles import (
    ToyCaptioner,
    ToyEncoder,
    contents,
    folder_in_memory,
    index,
    opened,
    paint,
    paint_folder,
)

import cir.gallery.reading as reading_module
from cir.errors import GalleryError
from cir.gallery.indexing import index_folder
from cir.gallery.root_watch import ManyUnreadable, RootGone
from soak.pulls import campaign


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return paint_folder(tmp_path / "photos", 6)


def test_a_folder_that_is_pulled_at_fifty_random_moments_loses_nothing_and_the_next_run_completes() -> None:
    with folder_in_memory() as folder:
        went = campaign(50, folder)
    assert (went.pulled, went.lost) == (50, [])


@pytest.fixture
def broken_disk(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that the disk does not give."""
    broken: set[str] = set()
    really = reading_module.read_bytes

    def read(path: Path) -> tuple[bytes, os.stat_result]:
        if path.name in broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return really(path)

    monkeypatch.setattr(reading_module, "read_bytes", read)
    return broken


def test_what_the_disk_does_not_give_in_a_rehash_keeps_its_row_and_is_listed(
    photos: Path, cache: Path, broken_disk: set[str]
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    broken_disk |= {"0001.png", "0004.png", "0005.png"}
    last = index(photos, cache, rehash=True)[-1]
    assert sorted(name for name, _ in last.skipped) == ["0001.png", "0004.png", "0005.png"]
    assert last.images == 6
    assert contents(opened(cache)) == before


def test_when_more_than_half_cannot_be_read_the_run_ends_and_the_index_is_as_it_was(
    photos: Path, cache: Path, broken_disk: set[str]
) -> None:
    index(photos, cache)
    before, manifest = contents(opened(cache)), (cache / "toys" / "manifest.json").read_bytes()
    broken_disk |= {f"000{n}.png" for n in range(4)}
    with pytest.raises(ManyUnreadable, match=r"Unreadable in toys: \d of 6 images") as caught:
        index(photos, cache, image_encoder=ToyEncoder("toy-2"))
    assert "--confirm-purge" in caught.value.remedy
    assert contents(opened(cache)) == before
    assert (cache / "toys" / "manifest.json").read_bytes() == manifest
    last = index(photos, cache, image_encoder=ToyEncoder("toy-2"), confirm_purge=True)[-1]
    assert last.images == 2
    broken_disk.clear()
    assert index(photos, cache, image_encoder=ToyEncoder("toy-2"))[-1].images == 6


def test_a_file_whose_status_the_disk_does_not_give_has_not_vanished(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    really = os.scandir

    class Entry:
        def __init__(self, entry: os.DirEntry[bytes]) -> None:
            self.name, self.path, self.entry = entry.name, entry.path, entry

        def is_dir(self, *, follow_symlinks: bool = True) -> bool:
            return self.entry.is_dir(follow_symlinks=follow_symlinks)

        def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
            if self.name in (b"0002.png", b"0003.png"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return self.entry.stat(follow_symlinks=follow_symlinks)

    class Listing:
        def __init__(self, path: bytes) -> None:
            self.found = really(path)

        def __enter__(self) -> Iterator[Entry]:
            return map(Entry, self.found)

        def __exit__(self, *_: object) -> None:
            self.found.close()

        def __iter__(self) -> Iterator[Entry]:
            return map(Entry, self.found)

    monkeypatch.setattr(
        os, "scandir", lambda path: Listing(path) if isinstance(path, bytes) else really(path)
    )
    assert "0002.png" in dict(index(photos, cache)[-1].skipped)
    monkeypatch.undo()
    assert contents(opened(cache)) == before


def test_a_file_that_became_a_link_is_no_picture_of_the_gallery_any_more(photos: Path, cache: Path) -> None:
    index(photos, cache)
    (photos / "0002.png").rename(photos.parent / "elsewhere.png")
    (photos / "0002.png").symlink_to(photos.parent / "elsewhere.png")
    assert "0002.png" not in contents_after(photos, cache)


def contents_after(photos: Path, cache: Path) -> dict:
    index(photos, cache)
    return contents(opened(cache))


def test_another_folder_under_the_same_name_is_not_taken_for_the_one_that_went_away(
    photos: Path, cache: Path
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    steps = index_folder(
        photos, name="toys", image_encoder=ToyEncoder(), cache_root=cache, batch_size=2, rehash=True
    )
    next(steps)
    photos.rename(photos.with_name("away"))
    paint_folder(photos, 1, first=90)
    with pytest.raises(RootGone, match="The folder photos went away while it was indexed"):
        list(steps)
    assert contents(opened(cache)) == before


def test_the_captions_of_an_earlier_captioner_stay_until_the_new_ones_are_as_many(
    photos: Path, cache: Path
) -> None:
    settings = {"text_encoder": ToyEncoder(), "captions_per_image": 1}
    index(photos, cache, captioner=ToyCaptioner(), **settings)
    before = contents(opened(cache))

    class Dies(ToyCaptioner):
        def caption(self, images, *, per_image, seed):
            if self.captioned:
                raise GalleryError("the captioner died", "")
            return super().caption(images, per_image=per_image, seed=seed)

    with pytest.raises(GalleryError, match="the captioner died"):
        index(photos, cache, captioner=Dies("captions-2"), **settings)
    assert contents(opened(cache)) == before
    index(photos, cache, captioner=ToyCaptioner("captions-2"), **settings)
    assert opened(cache).fingerprints["captioner"] == "captions-2"


def test_a_picture_is_captioned_from_a_copy_when_its_first_file_cannot_be_read(
    tmp_path: Path, cache: Path, broken_disk: set[str]
) -> None:
    photos = paint_folder(tmp_path / "photos", 2)
    paint(photos / "copy-of-0001.png", 1)
    index(photos, cache)
    broken_disk.add("0001.png")
    last = index(photos, cache, captioner=ToyCaptioner(), text_encoder=ToyEncoder(), captions_per_image=1)[-1]
    assert last.skipped == ()
    assert all(captions for _, _, captions in contents(opened(cache)).values())


def test_features_that_the_disk_does_not_give_are_not_forgotten_as_damaged(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    really = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.suffix == ".npy":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(GalleryError, match="cannot be read"):
        index(photos, cache)
    monkeypatch.undo()
    assert contents(opened(cache)) == before


def test_patterns_that_leave_out_everything_are_refused_before_anything_is_forgotten(
    photos: Path, cache: Path
) -> None:
    index(photos, cache)
    before = contents(opened(cache))
    with pytest.raises(GalleryError, match="no images"):
        index(photos, cache, exclude=["*.png"])
    assert contents(opened(cache)) == before
