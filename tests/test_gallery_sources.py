"""Which gallery a folder has, how a new one is called, and how one follows its pictures to another folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gallery_doubles import ToyEncoder, folder_in_memory, index, opened, paint, paint_folder

from cir.errors import GalleryError
from cir.gallery.cache import is_being_written, locked
from cir.gallery.manifest import list_galleries
from cir.gallery.removal import rename_gallery
from cir.gallery.sources import Naming, move_gallery, name_gallery


@pytest.fixture
def place() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def cache(place: Path) -> Path:
    return place / "cache"


def made(place: Path, cache: Path, folder: str = "photos", name: str = "rome", first: int = 0) -> Path:
    root = paint_folder(place / folder, 6, first)
    index(root, cache, name=name)
    return root


# --- one folder, one gallery ---


def test_a_folder_that_has_a_gallery_keeps_it_and_a_second_name_is_refused_unless_asked_for(
    place: Path, cache: Path
) -> None:
    root = made(place, cache)
    assert name_gallery(cache, root).name == "rome"
    assert name_gallery(cache, root, "rome") == Naming("rome", True)
    with pytest.raises(GalleryError, match="photos is the gallery rome already") as problem:
        name_gallery(cache, root, "other")
    assert "--another" in problem.value.remedy
    assert name_gallery(cache, root, "other", another=True) == Naming("other")
    assert name_gallery(cache, root, another=True) == Naming("photos")


def test_of_several_galleries_of_a_folder_the_one_of_the_models_at_hand_is_brought_up_to_date(
    place: Path, cache: Path
) -> None:
    asked: list[str] = []

    def encoder(fingerprint: str) -> str:
        asked.append(fingerprint)
        return fingerprint

    root = made(place, cache, name="a")
    assert name_gallery(cache, root, image_encoder=lambda: encoder("other")).name == "a"
    assert asked == []  # of one gallery there is nothing to choose
    index(root, cache, name="photos", image_encoder=ToyEncoder("other"))
    for fingerprint, name in (("other", "photos"), (ToyEncoder().fingerprint, "a"), ("none", "photos")):
        assert name_gallery(cache, root, image_encoder=lambda one=fingerprint: encoder(one)).name == name
    assert name_gallery(cache, root, "a", image_encoder=lambda: encoder("other")).name == "a"


@pytest.mark.parametrize("way", ["link", "dots", "link around", "relative"])
def test_a_folder_is_the_same_by_whatever_path_it_is_reached(
    way: str, place: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(place, cache, "all/photos")
    (place / "link").symlink_to(root)
    (place / "around").symlink_to(place / "all")
    monkeypatch.chdir(root)
    paths = {
        "link": place / "link",
        "dots": root / ".." / "photos",
        "link around": place / "around" / "photos",
        "relative": Path("."),
    }
    with pytest.raises(GalleryError, match="photos is the gallery rome already"):
        name_gallery(cache, paths[way], "other")


def test_another_spelling_is_the_same_folder_where_the_disk_knows_no_capitals(
    place: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(place, cache)
    paint_folder(place / "PHOTOS", 1)
    same = os.path.samefile
    folded = lambda path: Path(os.fspath(path).replace("PHOTOS", "photos"))  # noqa: E731
    monkeypatch.setattr(os.path, "samefile", lambda one, other: same(folded(one), folded(other)))
    assert name_gallery(cache, place / "PHOTOS").name == "rome"


def test_a_folder_inside_or_around_another_gallerys_is_told(place: Path, cache: Path) -> None:
    root = made(place, cache)
    paint_folder(root / "trip", 2, 50)
    assert name_gallery(cache, root / "trip") == Naming(
        "trip",
        notes=("These pictures are also in the gallery rome: a folder around this one was indexed.",),
    )
    assert name_gallery(cache, place, "all").notes == (
        "Some of these pictures are also in the gallery rome: a folder inside this one was indexed.",
    )
    assert name_gallery(cache, paint_folder(place / "photos2", 1)).notes == ()


# --- names ---


def test_two_folders_named_by_emoji_only_get_a_name_each(place: Path, cache: Path) -> None:
    for number, folder in enumerate(["🎉", "🎂", "🐈"], 1):
        root = paint_folder(place / folder, 2, 10 * number)
        naming = name_gallery(cache, root)
        assert naming.name == ("gallery" if number == 1 else f"gallery {number}")
        assert bool(naming.notes) == (number > 1)
        index(root, cache, name=naming.name)
        assert name_gallery(cache, root).name == naming.name
    assert len(list_galleries(cache)) == 3


def test_a_name_that_was_asked_for_is_refused_while_it_is_another_folders(place: Path, cache: Path) -> None:
    made(place, cache)
    with pytest.raises(GalleryError, match=r"The name rome is taken: .* another folder, photos"):
        name_gallery(cache, paint_folder(place / "other", 2, 90), "rome")


# --- pictures that were moved ---


def test_a_renamed_folder_is_followed_by_its_gallery_and_nothing_is_encoded_again(
    place: Path, cache: Path
) -> None:
    root = made(place, cache).rename(place / "moved")
    for name in ("rome", ""):
        assert name_gallery(cache, root, name).name == ("rome" if name else "moved")
    encoder = ToyEncoder()
    index(root, cache, name="rome", image_encoder=encoder)
    assert encoder.encoded == 0


def test_a_folder_that_was_moved_under_its_own_name_goes_on_with_its_gallery(
    place: Path, cache: Path
) -> None:
    root = made(place, cache, name="photos")
    (place / "disk").mkdir()
    root = root.rename(place / "disk" / "photos")
    assert name_gallery(cache, root) == Naming(
        "photos", notes=("The gallery photos follows its pictures to this folder.",)
    )


def test_other_pictures_do_not_take_over_a_gallery_whose_folder_is_away(place: Path, cache: Path) -> None:
    made(place, cache).rename(place / "away")
    other = paint_folder(place / "other", 6, 50)
    before = (cache / "rome" / "manifest.json").read_bytes()
    for attempt in (
        lambda: name_gallery(cache, other, "rome"),
        lambda: index(other, cache, name="rome", confirm_purge=True),
    ):
        with pytest.raises(GalleryError, match=r"which is not there; of the pictures .* 0 of 6 are there"):
            attempt()
    assert (cache / "rome" / "manifest.json").read_bytes() == before
    assert len(opened(cache, "rome")) == 6


def test_other_pictures_do_not_take_over_a_gallery_that_was_never_finished(place: Path, cache: Path) -> None:
    root = made(place, cache)
    (cache / "rome" / "manifest.json").unlink()
    (cache / "rome" / "source").write_bytes(os.fsencode(root))
    root.rename(place / "away")
    with pytest.raises(GalleryError, match="The name rome is taken"):
        index(paint_folder(place / "other", 6, 50), cache, name="rome", confirm_purge=True)


def test_a_gallery_is_pointed_to_its_folder_and_its_pictures_are_there_again(
    place: Path, cache: Path
) -> None:
    root = made(place, cache).rename(place / "moved")
    gallery = opened(cache, "rome")
    assert gallery.note(gallery.image_ids[0])
    move_gallery(cache, "rome", root)
    gallery = opened(cache, "rome")
    assert gallery.image_path(gallery.image_ids[0]).is_file()
    assert name_gallery(cache, root, "rome").known


@pytest.mark.parametrize(("kept", "moves"), [(6, True), (4, True), (3, False), (0, False)])
def test_most_of_the_known_pictures_have_to_be_in_the_new_folder(
    kept: int, moves: bool, place: Path, cache: Path
) -> None:
    root = made(place, cache).rename(place / "moved")
    for path in sorted(root.iterdir())[kept:]:
        paint(path, 77)  # the name is there, with another content
    before = (cache / "rome" / "manifest.json").read_bytes()
    if moves:
        move_gallery(cache, "rome", root)
        return
    with pytest.raises(GalleryError, match=f"not the folder of rome: .* {kept} of 6 are there"):
        move_gallery(cache, "rome", root)
    assert (cache / "rome" / "manifest.json").read_bytes() == before


def test_what_cannot_be_moved_is_refused_in_words(place: Path, cache: Path) -> None:
    root = made(place, cache)
    other = made(place, cache, "other", "paris", 50)
    with pytest.raises(GalleryError, match="other is the gallery paris already"):
        move_gallery(cache, "rome", other)
    with pytest.raises(GalleryError, match="There is no gallery nowhere"):
        move_gallery(cache, "nowhere", root)
    with pytest.raises(GalleryError, match="0 of 6 are there"):
        move_gallery(cache, "rome", place / "nowhere")
    uploads = paint_folder(cache / "mine" / "images", 2)
    index(uploads, cache, name="mine")
    with pytest.raises(GalleryError, match="kept with the gallery itself"):
        move_gallery(cache, "mine", root)
    copy = Path(shutil.copytree(root, place / "copy"))
    with locked(cache / "rome", "rome"), pytest.raises(GalleryError, match="being indexed already"):
        move_gallery(cache, "rome", copy)


def test_only_the_capitals_of_a_name_may_change(place: Path, cache: Path) -> None:
    made(place, cache)
    rename_gallery(cache, "rome", "Rome")
    assert [one.name for one in list_galleries(cache)] == ["Rome"]


def test_a_gallery_is_being_written_while_somebody_holds_it_and_not_after_its_holder_died(
    place: Path, cache: Path
) -> None:
    made(place, cache)
    assert not is_being_written(cache / "rome")
    with locked(cache / "rome", "rome"):
        assert is_being_written(cache / "rome")
    for number in (999999999, os.getpid()):  # nobody's; by now another process's
        (cache / "rome" / "lock.pid").write_text(str(number))
        assert not is_being_written(cache / "rome")


def test_a_gallery_is_not_being_written_after_it_was_renamed(place: Path, cache: Path) -> None:
    made(place, cache)
    rename_gallery(cache, "rome", "Roma")
    assert not is_being_written(cache / "Roma")
    assert not (cache / "Roma" / "lock.pid").exists()
