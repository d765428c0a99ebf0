"""What is no part of a gallery: junk, hidden, excluded and unreadable files are left out, counted and named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from gallery_doubles import index, opened, paint
from PIL import Image
from raw_files import dng

from cir import formats
from cir.__main__ import main
from cir.errors import BadQuery, GalleryError
from cir.exclusions import read_patterns
from cir.gallery.left_out import NAMES_KEPT, LeftOut, LeftOutList, read_left_out


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(3):
        painted(tmp_path / "photos", f"{number}.png", number)
    return tmp_path / "photos"


def painted(root: Path, name: str, seed: int) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    paint(root / name, seed)


def labels(cache: Path) -> list[str]:
    gallery = opened(cache)
    return [gallery.label(image_id) for image_id in gallery.image_ids]


def left_out(photos: Path, cache: Path, **options: object) -> dict[str, LeftOut]:
    return {row.reason: row for row in index(photos, cache, **options)[-1].left_out}


@pytest.mark.parametrize(
    "place",
    [
        "@eaDir/0.png/SYNOPHOTO_THUMB_XL.jpg",
        "deep/@eaDir/SYNOPHOTO_THUMB_M.jpg",
        ".@__thumb/default0.jpg",
        "@__thumb/a.jpg",
        "@Recycle/a.jpg",
        "#recycle/a.jpg",
        "#snapshot/a.jpg",
        "$RECYCLE.BIN/S-1-5-21/$R0.jpg",
        "System Volume Information/a.jpg",
        ".Trash-1000/files/a.jpg",
        ".Trashes/501/a.jpg",
        ".thumbnails/normal/a.png",
        "X Previews.lrdata/a.jpg",
        "Catalog Smart Previews.lrdata/0/a.jpg",
        "My.photoslibrary/resources/derivatives/0/a.jpeg",
        "Old.photolibrary/Thumbnails/a.jpg",
        "Session/CaptureOne/Cache/Thumbnails/a.jpg",
        "app/node_modules/icon/a.png",
        "app/.git/a.png",
        "env/lib/python3.11/site-packages/a.png",
        "__MACOSX/a.png",
        "PRIVATE/M4ROOT/THMBNL/C0001T01.JPG",
        ".stversions/a.jpg",
        "appdata_oc123/preview/a.jpg",
        "lost+found/a.jpg",
        ".private/a.jpg",
    ],
)
def test_a_folder_that_no_person_put_pictures_into_is_left_out_and_counted(
    photos: Path, tmp_path: Path, place: str
) -> None:
    painted(photos, place, 7)
    rows = left_out(photos, tmp_path / "cache")
    assert labels(tmp_path / "cache") == ["0.png", "1.png", "2.png"]
    (row,) = rows.values()
    assert (row.pictures, row.folders, row.is_problem) == (1, 1, False)
    assert row.names[0].endswith("/")
    assert place.startswith(row.names[0])


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (".picasaoriginals/a.jpg", "originals that a picture editor put aside before an edit"),
        ("[Originals]/a.jpg", "originals that a picture editor put aside before an edit"),
        ("Corel Auto-Preserve/a.jpg", "originals that a picture editor put aside before an edit"),
        ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "small pictures that a network disk made"),
        ("@sharebin/a.jpg", "a waste bin"),
        (".MobileBackups/a.jpg", "snapshots of a disk"),
        (".stversions/a.jpg", "earlier versions that a program keeps of files"),
        ("__MACOSX/a.jpg", "what macOS keeps beside a file"),
        (".AppleDouble/a.jpg", "what macOS keeps beside a file"),
        ("WindowsImageBackup/a.jpg", "a backup of the system"),
        ("M4ROOT/THMBNL/a.jpg", "small pictures that a camera made of videos"),
        ("app/node_modules/a.jpg", "what belongs to a program"),
        ("Android/data/com.game/a.jpg", "what belongs to a program"),
        (".cache/a.jpg", "a cache"),
        ("appdata_oc1/a.jpg", "previews and other files that Nextcloud made"),
        ("X.lrcat-data/a.jpg", "what belongs to a catalog of Lightroom"),
        ("X Previews.lrdata/a.jpg", "previews of Lightroom"),
        ("P.photoslibrary/scopes/a.jpg", "what a photo library of Apple's keeps beside its originals"),
        ("CaptureOne/Settings/a.jpg", "previews and settings of Capture One"),
        (".trashed-1700000000-a.jpg", "a waste bin"),
        (".pending-1700000000-a.jpg", "pictures that a phone has not yet written whole"),
        ("._a.jpg", "what macOS keeps beside a file"),
        ("Picasa.ini", "what systems and programs note about a folder"),
        (".picasa.ini", "what systems and programs note about a folder"),
    ],
)
def test_the_reason_that_is_told_is_the_true_one(
    photos: Path, tmp_path: Path, place: str, reason: str
) -> None:
    painted(photos, place, 7)
    assert list(left_out(photos, tmp_path / "cache")) == [reason]


@pytest.mark.parametrize("name", ["Originals", "Android", "data", "Corel", "picasaoriginals"])
def test_a_folder_of_originals_that_a_person_made_is_indexed(photos: Path, tmp_path: Path, name: str) -> None:
    painted(photos, f"{name}/a.png", 7)
    assert left_out(photos, tmp_path / "cache") == {}


@pytest.mark.parametrize("mark", [".nomedia", "pyvenv.cfg", "CACHEDIR.TAG", ".ppstorage", "rows.sqlite"])
def test_a_folder_that_says_it_holds_no_pictures_is_left_out_below_the_root_only(
    photos: Path, tmp_path: Path, mark: str
) -> None:
    painted(photos, "inner/deep/a.png", 7)
    for folder in (photos, photos / "inner"):
        (folder / mark).touch()
    rows = left_out(photos, tmp_path / "cache")
    assert labels(tmp_path / "cache") == ["0.png", "1.png", "2.png"]
    assert [row.names for row in rows.values()] == [("inner/",)]


@pytest.mark.parametrize(
    "name", ["Photos", "2019 recycle", "cache", "thumbs", "Previews", "git", "Trash hike", "masters"]
)
def test_a_folder_that_only_sounds_alike_is_indexed(photos: Path, tmp_path: Path, name: str) -> None:
    painted(photos, f"{name}/a.png", 7)
    assert left_out(photos, tmp_path / "cache") == {}
    assert f"{name}/a.png" in labels(tmp_path / "cache")


def test_of_a_library_of_apples_the_originals_are_indexed(photos: Path, tmp_path: Path) -> None:
    for place in ("originals/0/a.png", "resources/renders/a.png", "database/b.png", "Masters/2012/c.png"):
        painted(photos / "P.photoslibrary", place, len(place))
    (row,) = left_out(photos, tmp_path / "cache").values()
    assert (row.pictures, row.folders) == (2, 2)
    assert labels(tmp_path / "cache")[3:] == [
        "P.photoslibrary/Masters/2012/c.png",
        "P.photoslibrary/originals/0/a.png",
    ]


def test_files_of_systems_and_hidden_pictures_are_counted_and_other_files_passed_over(
    photos: Path, tmp_path: Path
) -> None:
    for name in ("._0.png", ".hidden.png", "Thumbs.db", ".DS_Store"):
        shutil.copy(photos / "0.png", photos / name)
    for name in ("notes.txt", "0.xmp", "IMG_1.AAE", ".profile", ".gitignore"):
        (photos / name).write_text("no picture")
    rows = left_out(photos, tmp_path / "cache")
    assert sorted((row.pictures, row.names) for row in rows.values()) == [
        (1, ("._0.png",)),
        (1, (".hidden.png",)),
        (2, (".DS_Store", "Thumbs.db")),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.jxl", "JPEG XL"),
        ("a.JP2", "JPEG 2000"),
        ("a.psd", "Photoshop"),
        ("a.mp4", "videos"),
        ("IMG_0001.MOV", "videos"),
        ("a.pdf", "documents"),
        ("a.svg", "drawings"),
        ("a.exr", "of a kind that is not read"),
        ("MVI_1.THM", "small pictures of videos"),
    ],
)
def test_formats_that_are_not_read_are_counted_by_their_kind(
    photos: Path, tmp_path: Path, name: str, said: str
) -> None:
    (photos / name).write_bytes(b"\xff\xd8\xffwhatever")
    (row,) = left_out(photos, tmp_path / "cache").values()
    assert said in row.reason
    assert (row.pictures, row.names) == (1, (name,))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "videos"),
        (b"%PDF-1.7", "documents"),
    ],
)
def test_such_a_file_without_a_suffix_is_known_by_its_first_bytes(
    photos: Path, tmp_path: Path, head: bytes, said: str
) -> None:
    (photos / "file").write_bytes(head + b"\0" * 64)
    (row,) = left_out(photos, tmp_path / "cache").values()
    assert said in row.reason


def test_a_folder_of_nothing_but_formats_that_are_not_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for number in range(3):
        (tmp_path / "films" / f"{number}.mp4").write_bytes(b"\0" * 64)
    with pytest.raises(GalleryError, match=r"There are no images in films\. Left out: 3 videos"):
        index(tmp_path / "films", tmp_path / "cache")


# --- raw camera files ---


def half_red(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    return image


def test_a_raw_file_is_read_by_its_preview_upright_and_dated(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    from cir.images import read_dated_image, read_image

    (photos / "IMG_1.DNG").write_bytes(dng(half_red((800, 600)), orientation=6))
    assert left_out(photos, tmp_path / "cache") == {}
    assert "IMG_1.DNG" in labels(tmp_path / "cache")
    image, taken = read_dated_image((photos / "IMG_1.DNG").read_bytes(), "IMG_1.DNG")
    assert (image.size, taken) == ((600, 800), "2024-05-17T18:30:00")
    assert image.getpixel((300, 100))[0] > 240
    assert image.getpixel((300, 700))[2] > 240
    assert read_image(photos / "IMG_1.DNG").size == (600, 800)


def test_a_raw_file_beside_a_picture_of_its_name_is_left_out(photos: Path, tmp_path: Path) -> None:
    (photos / "0.DNG").write_bytes(dng(half_red((800, 600))))
    (row,) = left_out(photos, tmp_path / "cache").values()
    assert row == LeftOut(formats.RAW_BESIDE_PICTURE, 1, 0, ("0.DNG",))


@pytest.mark.parametrize(
    "suffix", ["CR2", "cr3", "NEF", "arw", "RAF", "ORF", "rw2", "PEF", "dng", "SRW", "x3f", "3FR"]
)
def test_without_the_package_raw_files_are_counted_with_the_way_to_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    (photos / f"IMG_1.{suffix}").write_bytes(b"II*\0" + b"\0" * 100)
    (row,) = left_out(photos, tmp_path / "cache").values()
    assert "rawpy" in row.reason
    assert row.names == (f"IMG_1.{suffix}",)


def test_a_damaged_raw_file_is_a_problem_and_no_picture(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (photos / "IMG_1.NEF").write_bytes(b"MM\0*" + b"\0" * 100)
    (row,) = left_out(photos, tmp_path / "cache").values()
    assert (row.is_problem, row.names) == (True, ("IMG_1.NEF",))


# --- patterns ---


def test_patterns_leave_out_and_are_remembered_and_taken_back(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    painted(photos, "drafts/old/a.png", 7)
    painted(photos, "2019/raw/b.png", 8)
    painted(photos, "2020/raw/c.png", 9)
    rows = left_out(photos, cache, exclude=("drafts/", "/2019/raw", "1.*"))
    assert labels(cache) == ["0.png", "2.png", "2020/raw/c.png"]
    assert {(row.reason.rsplit(" ", 1)[1], row.pictures) for row in rows.values()} == {
        ("drafts/", 1),
        ("/2019/raw", 1),
        ("1.*", 1),
    }
    left_out(photos, cache)
    assert labels(cache) == ["0.png", "2.png", "2020/raw/c.png"]
    left_out(photos, cache, exclude=())
    assert len(labels(cache)) == 6


def test_leaving_out_most_of_a_gallery_is_no_loss_that_has_to_be_confirmed(
    photos: Path, tmp_path: Path
) -> None:
    index(photos, tmp_path / "cache")
    progress = index(photos, tmp_path / "cache", exclude=("[12].png",))
    assert labels(tmp_path / "cache") == ["0.png"]
    assert "Left out now, though in the gallery before: 2 images" in progress[-1].notes[0]


def test_patterns_of_a_run_that_was_cut_off_before_its_manifest_are_kept(
    photos: Path, tmp_path: Path
) -> None:
    from gallery_doubles import ToyEncoder

    from cir.gallery.indexing import index_folder

    steps = index_folder(
        photos,
        name="toys",
        image_encoder=ToyEncoder(),
        cache_root=tmp_path / "cache",
        exclude=("0.png",),
        thumbnails=False,
    )
    next(steps)
    del steps
    index(photos, tmp_path / "cache")
    assert labels(tmp_path / "cache") == ["1.png", "2.png"]


def test_an_ignore_file_counts_below_its_folder(photos: Path, tmp_path: Path) -> None:
    painted(photos, "trip/a.png", 7)
    painted(photos, "trip/b.png", 8)
    (photos / "trip" / ".ppignore").write_text("# drafts\na.*\n")
    painted(photos, "a.png", 9)
    left_out(photos, tmp_path / "cache")
    assert labels(tmp_path / "cache") == ["0.png", "1.png", "2.png", "a.png", "trip/b.png"]


@pytest.mark.parametrize("pattern", ["!", "x" * 300])
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(BadQuery) as caught:
        read_patterns([pattern])
    assert "*.png" in caught.value.remedy


def test_patterns_may_stand_in_one_line() -> None:
    assert read_patterns(["*.png, Previews/\n2019/raw", " ", "*.png"]) == ("*.png", "Previews/", "2019/raw")


# --- the report ---


def test_the_report_is_bounded_and_counts_everything() -> None:
    report = LeftOutList()
    for number in range(5000):
        report.add(b"%d.mp4" % number, "videos")
        report.add(b"%d.jpg" % number, f"reason {number}", is_problem=True)
    rows = report.rows()
    assert sum(row.pictures for row in rows) == 10_000
    assert len(rows) <= 102
    assert max(len(row.names) for row in rows) == NAMES_KEPT


def test_files_that_cannot_be_read_for_the_same_reason_are_one_row(photos: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).touch()
        os.truncate(photos / name, 513 * 2**20)
    (row,) = index(photos, tmp_path / "cache")[-1].left_out
    assert (row.reason, row.names) == ("it is larger than 512 MB.", ("a.jpg", "sub/b.jpg"))


def test_what_was_left_out_can_be_read_later_and_goes_when_nothing_is(photos: Path, tmp_path: Path) -> None:
    (photos / "film.mp4").write_bytes(b"\0")
    (photos / "broken.jpg").write_bytes(b"no picture")
    rows = index(photos, tmp_path / "cache")[-1].left_out
    assert read_left_out(tmp_path / "cache" / "toys") == rows
    assert [(row.is_problem, row.pictures) for row in rows] == [(True, 1), (False, 1)]
    (photos / "film.mp4").unlink()
    (photos / "broken.jpg").unlink()
    index(photos, tmp_path / "cache")
    assert read_left_out(tmp_path / "cache" / "toys") == ()


def test_the_command_leaves_out_counts_and_remembers(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    painted(photos, "@eaDir/0.png/THUMB.jpg", 7)
    (photos / "film.mp4").write_bytes(b"\0")
    common = ["index", str(photos), "--no-captions", "--llm", "none"]
    assert main([*common, "--json", "--exclude", "1.png", "--exclude", "x/"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["images"] == 2
    assert {row["reason"]: row["pictures"] for row in answer["left_out"]} == {
        "small pictures that a network disk made": 1,
        "left out by the pattern 1.png": 1,
        "videos": 1,
    }
    assert answer["skipped"] == []
    assert main(common) == 0
    out = capsys.readouterr().out
    assert "left out 1: videos: film.mp4" in out
    assert "left out 1: left out by the pattern 1.png: 1.png" in out
    assert main([*common, "--exclude", "!"]) == 2
    assert "is no pattern" in capsys.readouterr().err
