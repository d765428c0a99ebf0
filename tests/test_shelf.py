"""Several galleries: which can be searched, how one is made in the background, and what may be uploaded."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from gallery_doubles import ToyCaptioner, ToyEncoder, folder_in_memory, index, opened, paint_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cir.composers.baselines import ImageOnly
from cir.composers.cvsi import weights as cvsi_weights
from cir.errors import BadQuery, GalleryError
from cir.gallery.background import FAILED, FINISHED, STOPPED, Indexer
from cir.gallery.folders import OfferedFolder, offered_folders
from cir.gallery.gallery import TOP
from cir.gallery.indexing import ManyVanished
from cir.gallery.intake import IntakeLimits, take_in, uploaded_bytes
from cir.gallery.manifest import locate_gallery
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.images import read_dated_image
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf
from cir.types import Query
from cir.ui.page import PageContent
from cir.ui.server.programs.arguments import Arguments
from cir.ui.session import Session


@pytest.fixture
def place() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


def shelf_over(place: Path, home: str = "home", **options: object) -> Shelf:
    """A shelf that begins with the gallery `home`, which lies in the cache."""
    gallery = opened(place / "cache", home)
    encoder = ToyEncoder()
    return Shelf(
        Retriever(gallery, {"Image-only": ImageOnly(encoder)}),
        cache_root=place / "cache",
        image_encoder_fingerprint=encoder.fingerprint,
        text_encoder_fingerprint=encoder.fingerprint,
        **options,  # type: ignore[arg-type]
    )


def make(place: Path, name: str, count: int, first: int = 0, **options: object) -> None:
    index(paint_folder(place / name, count, first), place / "cache", name=name, **options)


def indexer_for(place: Path, renew, **options: object) -> Indexer:
    settings: dict = {"image_encoder": ToyEncoder(), "text_encoder": ToyEncoder(), "captioner": ToyCaptioner}
    return Indexer(cache_root=place / "cache", renew=renew, renew_seconds=0, **{**settings, **options})


def until(is_so, seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


# --- which galleries there are ---


def test_the_first_gallery_and_those_of_the_cache_are_on_the_shelf_with_their_numbers(place: Path) -> None:
    make(place, "home", 3)
    make(place, "rome", 2, 10, captioner=ToyCaptioner(), text_encoder=ToyEncoder())
    entries = shelf_over(place, title="At home").entries()
    assert [(e.name, e.title, e.images, e.captioned, e.own) for e in entries] == [
        ("", "At home", 3, 0, False),
        ("rome", "rome", 2, 2, True),
    ]


def test_a_gallery_is_opened_once_and_searched_by_the_methods_of_the_first(place: Path) -> None:
    make(place, "home", 3)
    make(place, "rome", 2, 10)
    shelf = shelf_over(place)
    rome = shelf.retriever("rome")
    assert shelf.retriever("rome") is rome
    picture = Image.open(place / "rome" / "0011.png").convert("RGB")
    *_, composed = rome.compose(Query(picture, ""), "Image-only")
    (best,) = rome.rank(composed, cvsi_weights(), top_k=1)
    assert rome.gallery.label(best.image_id) == "0011.png"


def test_fault_69_a_gallery_of_other_models_is_listed_with_the_reason_and_not_opened(place: Path) -> None:
    make(place, "home", 1)
    make(place, "old", 1, image_encoder=ToyEncoder("toy-0"))
    shelf = shelf_over(place)
    assert "was made with toy-0, but the app now uses toy-1" in shelf.entry("old").problem
    with pytest.raises(GalleryError, match="toy-0"):
        shelf.retriever("old")


@pytest.mark.parametrize("name", ["../home", "nothing", ".hidden", "a/b", ":Sample"])
def test_fault_46_a_name_that_is_no_gallery_is_refused_in_words(name: str, place: Path) -> None:
    make(place, "home", 1)
    with pytest.raises(GalleryError):
        shelf_over(place).retriever(name)


def test_a_renewed_gallery_is_searched_anew_and_a_running_search_keeps_the_old_one(place: Path) -> None:
    make(place, "home", 1)
    make(place, "rome", 2, 10)
    shelf = shelf_over(place)
    before = shelf.retriever("rome")
    make(place, "rome", 3, 10)
    shelf.renew("rome")
    assert (len(before.gallery), len(shelf.retriever("rome").gallery)) == (2, 3)
    assert shelf.entry("rome").images == 3


def test_the_gallery_that_the_page_began_with_is_renewed_under_its_own_name(place: Path) -> None:
    make(place, "home", 1)
    shelf = shelf_over(place)
    make(place, "home", 4)
    shelf.renew("home")
    assert len(shelf.retriever("").gallery) == 4
    assert [entry.name for entry in shelf.entries()] == [""]


def test_what_cannot_be_renewed_is_said_until_it_is_whole_again(place: Path) -> None:
    make(place, "home", 1)
    make(place, "rome", 2)
    shelf = shelf_over(place)
    shelf.retriever("rome")
    (place / "cache" / "rome" / "manifest.json").write_text("{", encoding="ascii")
    with pytest.raises(GalleryError, match="manifest"):
        shelf.renew("rome")
    with pytest.raises(GalleryError, match="manifest"):
        shelf.retriever("rome")
    make(place, "rome", 2)
    assert len(shelf.retriever("rome").gallery) == 2


def grow(place: Path, name: str, count: int, **options: object) -> None:
    """Another process indexes: pictures are added, and nobody tells the shelf."""
    make(place, name, count, **options)


def test_a_gallery_that_another_process_made_larger_is_searched_as_it_is_now(place: Path) -> None:
    make(place, "home", 1)
    shelf = shelf_over(place)
    make(place, "other", 3)
    before = shelf.retriever("other")
    assert shelf.retriever("other") is before
    grow(place, "other", 5)
    grow(place, "home", 7)
    assert len(shelf.retriever("other").gallery) == 5
    assert len(shelf.retriever().gallery) == 7
    assert len(before.gallery) == 3
    assert [(entry.title, entry.images) for entry in shelf.entries()] == [("home", 7), ("other", 5)]


def test_a_gallery_that_another_process_deleted_is_said_and_one_made_anew_is_found(place: Path) -> None:
    make(place, "home", 1)
    shelf = shelf_over(place)
    make(place, "other", 3)
    shelf.retriever("other")
    for name in ("other", "home"):
        delete_gallery(place / "cache", name)
        with pytest.raises(GalleryError, match=f"The gallery {name} is not there any more"):
            shelf.retriever("" if name == "home" else name)
    make(place, "other", 2, first=50)
    assert len(shelf.retriever("other").gallery) == 5


def test_a_gallery_that_another_process_made_with_other_models_is_refused_in_words(place: Path) -> None:
    make(place, "home", 1)
    shelf = shelf_over(place)
    make(place, "other", 3)
    shelf.retriever("other")
    grow(place, "other", 3, image_encoder=ToyEncoder("toy-2"))
    with pytest.raises(GalleryError, match="was made with toy-2"):
        shelf.retriever("other")


def test_a_large_gallery_whose_features_flip_on_the_disk_is_opened_anew_without_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"opening.STORED_FROM": 1, "shards.MAPPED_FROM": 1}.items():
        monkeypatch.setattr(f"cir.gallery.{name}", value)
    for name, value in {"PREPARED_FROM": 1, "CHECKED_AFTER_SECONDS": 0.0}.items():
        monkeypatch.setattr(f"cir.shelf.{name}", value)
    make(place, "home", 5)
    opened(place / "cache", "home")  # what was read is kept
    shard = min((place / "cache" / "home" / "features").glob("*.npy"))
    time_of_shard, data = shard.stat(), bytearray(shard.read_bytes())
    data[-1] ^= 64
    shard.write_bytes(data)
    os.utime(shard, ns=(time_of_shard.st_atime_ns, time_of_shard.st_mtime_ns))
    shelf = shelf_over(place)
    until(lambda: "damaged" in " ".join(shelf.retriever().gallery.notes))
    assert 0 < len(shelf.retriever().gallery) < 5


def test_watchers_hear_of_what_is_open_and_of_what_will_be(place: Path) -> None:
    make(place, "home", 1)
    make(place, "rome", 1)
    shelf, heard = shelf_over(place), []
    shelf.watch(lambda gallery: heard.append(gallery.name))
    shelf.retriever("rome")
    shelf.retriever("rome")
    assert heard == ["home", "rome"]


def test_a_shipped_gallery_is_on_the_shelf_too_and_is_nobodys_own(place: Path) -> None:
    make(place, "home", 1)
    index(paint_folder(place / "elsewhere", 2), place / "shipped", name="sample")
    shelf = shelf_over(place, shipped={"Sample gallery": place / "shipped" / "sample"})
    entry = shelf.entry(":Sample gallery")
    assert (entry.title, entry.images, entry.own) == ("Sample gallery", 2, False)
    assert len(shelf.retriever(entry.name).gallery) == 2


def test_many_visitors_at_once_open_a_gallery_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cir.shelf

    make(place, "home", 1)
    make(place, "rome", 1)
    shelf, opening, real = shelf_over(place), [], cir.shelf.open_gallery
    monkeypatch.setattr(
        cir.shelf, "open_gallery", lambda *a, **k: (opening.append(a), time.sleep(0.05), real(*a, **k))[2]
    )
    found: list[Retriever] = []
    threads = [threading.Thread(target=lambda: found.append(shelf.retriever("rome"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opening) == 1
    assert len({id(one) for one in found}) == 1


# --- renaming and deleting ---


def test_a_renamed_gallery_keeps_its_features_and_its_pictures(place: Path) -> None:
    make(place, "home", 1)
    make(place, "rome", 2)
    rename_gallery(place / "cache", "rome", "Roma 2024")
    assert len(opened(place / "cache", "Roma 2024")) == 2
    encoder = ToyEncoder()
    index(place / "rome", place / "cache", name="Roma 2024", image_encoder=encoder)
    assert encoder.encoded == 0
    with pytest.raises(GalleryError, match="already"):
        rename_gallery(place / "cache", "Roma 2024", "home")
    with pytest.raises(GalleryError, match="cannot be the name"):
        rename_gallery(place / "cache", "home", "../away")


def test_a_gallery_is_found_by_the_names_that_it_had_until_another_is_called_so(place: Path) -> None:
    for number, name in enumerate(("home", "rome", "oslo")):
        make(place, name, 2 + number)
    shelf, cache = shelf_over(place), place / "cache"
    rename_gallery(cache, "rome", "Roma")
    rename_gallery(cache, "Roma", "Italy")
    index(place / "rome", cache, name="Italy")  # brought up to date, it remembers as well
    assert {shelf.present_name(name) for name in ("rome", "Roma", "Italy")} == {"Italy"}
    assert shelf.retriever("rome") is shelf.retriever("Italy")
    assert shelf.present_name("../away") == "../away"
    make(place, "rome", 3, 9)
    assert shelf.present_name("rome") == "rome"
    assert shelf.retriever("rome").gallery.name == "rome"
    delete_gallery(cache, "rome")  # who asks for it now means the one that was deleted last
    assert shelf.present_name("rome") == "rome"
    rename_gallery(cache, "oslo", "Roma")
    rename_gallery(cache, "Roma", "Norway")
    assert shelf.present_name("Roma") == "Norway"
    rename_gallery(cache, "Norway", "oslo")
    assert shelf.present_name("Norway") == "oslo"


def test_the_first_gallery_is_followed_to_its_new_name_with_the_pictures_that_a_visitor_has_chosen(
    place: Path,
) -> None:
    make(place, "start", 2)
    cache = place / "cache"
    rename_gallery(cache, "start", "home")
    shelf = shelf_over(place)
    content = PageContent(shelf, presets={})
    session = Session(token="one")
    session.image_path = cache / "home" / "thumbnails" / "a.webp"
    for name in ("Rome", "Italy"):
        rename_gallery(cache, "Rome" if name == "Italy" else "home", name)
        assert content.retriever_for(session).gallery.name == name
        assert session.image_path == cache / name / "thumbnails" / "a.webp"
    (entry,) = shelf.entries()
    assert (entry.name, entry.title) == ("", "Italy")
    make(place, "oslo", 3)
    rename_gallery(cache, "oslo", "Norway")
    for asked, found in (
        ("start", "Italy"),
        ("home", "Italy"),
        ("Rome", "Italy"),
        ("oslo", "Norway"),
        ("Italy", "Italy"),
        (None, "Italy"),
    ):
        assert Arguments({"gallery": asked}).gallery(shelf).title == found
    with pytest.raises(BadQuery, match="there is no gallery 'paris'"):
        Arguments({"gallery": "paris"}).gallery(shelf)


def test_the_command_line_finds_a_gallery_by_a_name_that_it_had(place: Path) -> None:
    make(place, "rome", 2)
    rename_gallery(place / "cache", "rome", "Italy")
    assert locate_gallery("rome", place / "cache").name == "Italy"
    assert opened(place / "cache", "rome").name == "Italy"
    assert locate_gallery("paris", place / "cache").name == "paris"


def test_deleting_a_gallery_leaves_the_pictures_and_takes_all_that_was_made_of_them(place: Path) -> None:
    make(place, "rome", 2)
    delete_gallery(place / "cache", "rome")
    assert list((place / "cache").iterdir()) == []
    assert sorted(path.name for path in (place / "rome").iterdir()) == ["0000.png", "0001.png"]
    with pytest.raises(GalleryError, match="no gallery rome"):
        delete_gallery(place / "cache", "rome")


def test_deleting_never_follows_a_link(place: Path) -> None:
    make(place, "rome", 1)
    os.symlink(place / "cache" / "rome", place / "cache" / "link")
    with pytest.raises(GalleryError, match="no gallery link"):
        delete_gallery(place / "cache", "link")
    assert len(opened(place / "cache", "rome")) == 1


def test_fault_67_a_gallery_that_is_being_indexed_is_neither_renamed_nor_deleted(place: Path) -> None:
    from cir.gallery.cache import locked

    make(place, "rome", 1)
    with locked(place / "cache" / "rome", "rome"):
        with pytest.raises(GalleryError, match="being indexed"):
            delete_gallery(place / "cache", "rome")
        with pytest.raises(GalleryError, match="being indexed"):
            rename_gallery(place / "cache", "rome", "roma")
    assert len(opened(place / "cache", "rome")) == 1


# --- indexing in the background ---


def test_features_can_be_searched_while_captions_still_come_in(place: Path) -> None:
    paint_folder(place / "photos", 20)
    gate, captioned_at_renewal = threading.Event(), []

    class SlowCaptioner(ToyCaptioner):
        def caption(self, images, *, per_image, seed):
            if self.captioned:
                gate.wait(20)
            return super().caption(images, per_image=per_image, seed=seed)

    def state() -> tuple[int, int, str]:
        gallery = opened(place / "cache", "photos", text="toy-1")
        return len(gallery), int(gallery.captioned.sum()), gallery.caption_note

    indexer = indexer_for(place, lambda name: captioned_at_renewal.append(state()), captioner=SlowCaptioner)
    indexer.start(place / "photos", "photos")
    until(
        lambda: (
            indexer.job.progress
            and (indexer.job.progress.stage, indexer.job.progress.done) == ("captions", 8)
        )
    )
    assert captioned_at_renewal == [
        (
            20,
            0,
            "No picture has captions yet, so pictures are found by their look alone: the weight of captions (γ) changes nothing.",
        )
    ]
    assert state() == (
        20,
        8,
        "Captions so far: of 8 of 20 pictures. The others are found by their look alone, whatever the weight of captions (γ).",
    )
    gate.set()
    indexer.join(30)
    assert indexer.job.state == FINISHED
    assert captioned_at_renewal[-1] == (20, 20, "")


def test_only_one_gallery_is_indexed_at_a_time(place: Path) -> None:
    paint_folder(place / "photos", 2)
    gate = threading.Event()

    def captioner() -> None:
        gate.wait(20)

    indexer = indexer_for(place, lambda name: None, captioner=captioner)
    indexer.start(place / "photos", "photos")
    with pytest.raises(GalleryError, match="photos is being indexed"):
        indexer.start(place / "photos", "again")
    gate.set()
    indexer.join(30)
    assert (indexer.job.name, indexer.job.state) == ("photos", FINISHED)


def test_a_stopped_indexing_can_be_searched_and_goes_on_where_it_stopped(place: Path) -> None:
    paint_folder(place / "photos", 40)
    renewed: list[int] = []
    encoder = ToyEncoder()
    indexer = indexer_for(
        place, lambda n: renewed.append(len(opened(place / "cache", n))), image_encoder=encoder
    )
    real = encoder.encode_images

    def encode_and_stop(images):
        if encoder.encoded == 8:
            indexer.stop()
        return real(images)

    encoder.encode_images = encode_and_stop  # type: ignore[method-assign]
    indexer.start(place / "photos", "photos")
    indexer.join(30)
    assert (indexer.job.state, renewed) == (STOPPED, [16])
    encoder.encode_images = real  # type: ignore[method-assign]
    indexer.start(place / "photos", "photos")
    indexer.join(30)
    assert (indexer.job.state, renewed[-1], encoder.encoded) == (FINISHED, 40, 40)


def test_a_fault_while_indexing_is_told_in_words_and_logged(place: Path, caplog) -> None:
    paint_folder(place / "photos", 2)

    class Broken(ToyEncoder):
        def encode_images(self, images):
            raise ZeroDivisionError("secret detail")

    indexer = indexer_for(place, lambda name: None, image_encoder=Broken())
    indexer.start(place / "photos", "photos")
    indexer.join(30)
    problem = indexer.job.problem
    assert indexer.job.state == FAILED
    assert problem is not None
    assert "secret" not in str(problem)
    assert problem.remedy.split()[-1].rstrip(".") in caplog.text
    assert "secret detail" in caplog.text


def test_fault_60_vanished_files_are_kept_until_that_is_confirmed(place: Path) -> None:
    make(place, "photos", 4)
    for path in sorted((place / "photos").iterdir())[1:]:
        path.unlink()
    indexer = indexer_for(place, lambda name: None)
    indexer.start(place / "photos", "photos")
    indexer.join(30)
    assert isinstance(indexer.job.problem, ManyVanished)
    assert len(opened(place / "cache", "photos")) == 4
    indexer.start(place / "photos", "photos", confirm_purge=True)
    indexer.join(30)
    assert len(opened(place / "cache", "photos")) == 1


def test_fault_63_a_gallery_cut_off_in_its_first_run_still_knows_its_folder(place: Path) -> None:
    from cir.gallery.indexing import index_folder
    from cir.gallery.manifest import list_galleries

    paint_folder(place / "photos", 3)
    steps = index_folder(
        place / "photos", name="photos", image_encoder=ToyEncoder(), cache_root=place / "cache", batch_size=1
    )
    next(steps)
    (summary,) = list_galleries(place / "cache")  # as it would stand after a kill: no manifest is written yet
    assert summary.problem.startswith("The indexing of photos was not finished.")
    assert summary.root == (place / "photos").resolve()
    list(steps)
    (summary,) = list_galleries(place / "cache")
    assert (summary.problem, summary.root) == ("", (place / "photos").resolve())


# --- folders of this computer ---


def test_folders_below_the_roots_are_offered_without_links_and_hidden_ones(place: Path) -> None:
    for name in ("photos/2024/rome", "photos/.cache", "photos/2023", "outside"):
        (place / name).mkdir(parents=True)
    os.symlink(place / "outside", place / "photos" / "link")
    labels = [folder.label for folder in offered_folders([place / "photos", place / "absent"])]
    assert labels == ["photos", "photos / 2023", "photos / 2024", "photos / 2024 / rome"]
    assert [f.label for f in offered_folders([place / "photos"], limit=2)] == ["photos", "photos / 2023"]


def test_what_the_program_keeps_of_galleries_is_offered_as_no_folder_of_pictures(place: Path) -> None:
    make(place, "rome", 2)  # its gallery lies in place / "cache" / "rome"
    assert [folder.label for folder in offered_folders([place])][1:] == [
        f"{place.name} / cache",
        f"{place.name} / rome",
    ]
    assert len(offered_folders([place / "cache" / "rome"])) > 1  # who starts with it wants it


def test_fault_51_a_folder_exchanged_for_a_link_after_it_was_offered_is_refused(place: Path) -> None:
    (place / "photos" / "2024").mkdir(parents=True)
    (place / "secret").mkdir()
    offered = OfferedFolder(place / "photos", b"2024")
    assert offered.path() == (place / "photos" / "2024").resolve()
    (place / "photos" / "2024").rmdir()
    os.symlink(place / "secret", place / "photos" / "2024")
    with pytest.raises(GalleryError, match="leads elsewhere"):
        offered.path()
    (place / "photos" / "2024").unlink()
    with pytest.raises(GalleryError, match="is not there"):
        offered.path()


def test_fault_55_a_folder_whose_name_is_no_text_is_offered_and_found(place: Path) -> None:
    os.mkdir(os.fsencode(place) + b"/\xff\nodd")
    (folder,) = offered_folders([place])[1:]
    assert "\n" not in folder.label
    assert "\ufffd" in folder.label
    assert os.fsencode(folder.path()).endswith(b"\xff\nodd")


# --- uploads ---


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 254, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def upload(place: Path, name: str, data: bytes) -> tuple[Path, str]:
    path = place / f"upload-{len(list(place.iterdir()))}"
    path.write_bytes(data)
    return path, name


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def kept(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder / "images").as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_pictures_and_a_zip_become_files_of_the_gallery_and_the_rest_is_refused_by_name(place: Path) -> None:
    archive = zipped(
        {"rome/a.png": picture(1), "notes.txt": b"hello", "__MACOSX/._a.png": b"x", ".DS_Store": b"x"}
    )
    uploads = [upload(place, "b.png", picture(2)), upload(place, "all.zip", archive)]
    uploads.append(upload(place, "virus.exe", b"MZ" + b"\0" * 100))
    taken = take_in(uploads, place / "gallery")
    assert kept(place / "gallery") == ["b.png", "rome/a.png"]
    assert (taken.kept, taken.refused) == (
        2,
        (("all.zip / notes.txt", "it is no picture"), ("virus.exe", "it is no picture")),
    )
    assert (place / "gallery" / "images" / "rome" / "a.png").read_bytes() == picture(1)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("film.mp4", b"\0\0\0\x20ftypisom" + b"\0" * 100, "it is one of the videos, which are not read"),
        ("film", b"\0\0\0\x20ftypisom" + b"\0" * 100, "it is one of the videos, which are not read"),
        ("a.jxl", b"\xff\x0a1", "it is one of the JPEG XL pictures: save them as JPEG or PNG"),
        ("a.psd", b"8BPS\0\1", "it is one of the Photoshop files: save them as JPEG or PNG"),
        ("a.7z", b"7z\xbc\xaf'\x1c", "it is an archive: only zips are unpacked, and none inside another"),
        ("text.jpg", b"hello", "it is not a supported image, or it begins damaged"),
        ("empty.jpg", b"", "it is empty"),
        ("cut.jpg", jpeg()[:-900], "it is damaged: it is cut short, its end is missing"),
        ("cut.png", picture()[:45], "it is damaged: it is cut short, its end is missing"),
    ],
)
def test_an_upload_that_is_no_picture_or_cannot_be_read_is_named_with_its_reason(
    place: Path, name: str, data: bytes, reason: str
) -> None:
    taken = take_in([upload(place, "b.png", picture()), upload(place, name, data)], place / "gallery")
    assert (taken.kept, taken.refused) == (1, ((name, reason),))
    assert kept(place / "gallery") == ["b.png"]
    zip_of_it = zipped({name: data, "b.png": picture()})
    taken = take_in([upload(place, "all.zip", zip_of_it)], place / "zipped")
    assert [why.partition(" is ")[0] for _, why in taken.refused] == ["it"]


def test_an_upload_that_lost_only_its_end_is_kept(place: Path) -> None:
    uploads = [upload(place, "a.jpg", jpeg()[:-2]), upload(place, "b.png", picture()[:-12])]
    assert take_in(uploads, place / "gallery").kept == 2


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png", "..\\evil.png", "\\evil.png"]
)
def test_fault_35_a_member_that_leads_out_of_its_archive_is_refused_by_name(name: str, place: Path) -> None:
    archive = zipped({name: picture(), "good.png": picture(1)})
    taken = take_in([upload(place, "all.zip", archive)], place / "deep" / "gallery")
    assert kept(place / "deep" / "gallery") == ["good.png"]
    assert [reason for _, reason in taken.refused] == ["its path leads out of the archive"]
    assert not any("evil" in path.name for path in place.rglob("*"))


@given(st.text(min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_fault_35_any_name_is_kept_inside_the_gallery(name: str) -> None:
    with folder_in_memory() as place:
        take_in([upload(place, name, picture())], place / "gallery")
        (path,) = [p for p in (place / "gallery").rglob("*") if p.is_file()]
        assert path.parent == place / "gallery" / "images"
        assert not path.name.startswith(".")
        assert path.read_bytes() == picture()


def test_fault_32_a_zip_bomb_is_refused_before_it_is_unpacked(place: Path) -> None:
    bomb = zipped({f"{i}.png": b"\0" * 3_000_000 for i in range(5)})
    assert len(bomb) < 20_000
    limits = IntakeLimits(total_bytes=10_000_000)
    with pytest.raises(GalleryError, match=r"unpacked it would take 15 MB, and 10 MB are left"):
        take_in([upload(place, "bomb.zip", bomb)], place / "gallery", limits=limits)
    assert kept(place / "gallery") == []


def test_fault_32_an_archive_that_lies_about_its_sizes_is_read_up_to_the_limit_only(place: Path) -> None:
    archive = bytearray(zipped({"a.png": picture() + b"\0" * 3_000_000}))
    at = archive.rfind(b"PK\x01\x02")
    struct.pack_into("<L", archive, at + 24, 100)  # the uncompressed size in the list of members
    limits = IntakeLimits(file_bytes=1_000_000)
    with pytest.raises(GalleryError, match=r"a\.png: it is (damaged|larger than 1 MB)"):
        take_in([upload(place, "liar.zip", bytes(archive))], place / "gallery", limits=limits)
    assert kept(place / "gallery") == []


def test_fault_32_encrypted_nested_linked_and_oddly_packed_members_are_refused_by_name(place: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good.png", picture())
        archive.writestr("inner.zip", zipped({"a.png": picture()}))
        archive.writestr("disguised.png", zipped({"a.png": picture()}))
        archive.writestr("packed.png", picture(), compress_type=zipfile.ZIP_LZMA)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.png", picture(3))
    data = bytearray(buffer.getvalue())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 8, 1)  # the flag "encrypted" of the last member
    taken = take_in([upload(place, "all.zip", bytes(data))], place / "gallery")
    assert kept(place / "gallery") == ["good.png"]
    assert dict(taken.refused) == {
        "all.zip / inner.zip": "it is an archive inside the archive",
        "all.zip / disguised.png": "it is an archive: only zips are unpacked, and none inside another",
        "all.zip / packed.png": "its kind of compression is not supported",
        "all.zip / link.png": "it is a link",
        "all.zip / secret.png": "it is encrypted",
    }


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_fault_21_a_truncated_archive_is_said_to_be_damaged(cut: float, place: Path) -> None:
    data = zipped({f"{i}.png": picture(i) for i in range(5)})
    with pytest.raises(GalleryError, match="the archive is damaged"):
        take_in([upload(place, "cut.zip", data[: int(len(data) * cut)])], place / "gallery")


def test_an_archive_with_too_long_a_list_of_members_is_refused_unread(place: Path) -> None:
    data = bytearray(zipped({"a.png": picture()}))
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, 9_000_000)
    with pytest.raises(GalleryError, match="too many members"):
        take_in([upload(place, "long.zip", bytes(data))], place / "gallery")


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_fault_32_a_mutated_archive_ends_in_a_sentence_and_nothing_escapes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(zipped({f"{i}.png": picture(i) for i in range(3)}))
    for _ in range(int(rng.integers(1, 8))):
        data[int(rng.integers(4, len(data)))] = int(rng.integers(256))
    with folder_in_memory() as place:
        with contextlib.suppress(GalleryError):  # a sentence of ours is the only thing that may come out
            take_in([upload(place, "odd.zip", bytes(data))], place / "gallery")
        outside = [p.name for p in place.iterdir() if p.name not in ("gallery", "upload-0")]
        assert outside == []


def test_fault_33_too_large_a_file_and_too_many_are_refused(place: Path) -> None:
    limits = IntakeLimits(file_bytes=1000, files=2)
    uploads = [upload(place, f"{i}.png", picture(i)) for i in range(3)]
    uploads.insert(0, upload(place, "large.png", picture() + b"\0" * 1000))
    taken = take_in(uploads, place / "gallery", limits=limits)
    assert taken.refused == (
        ("large.png", "it is larger than 0 MB"),
        ("2.png", "a gallery of uploads holds at most 2 pictures"),
    )


def test_fault_36_uploads_of_all_galleries_share_one_quota(place: Path) -> None:
    take_in([upload(place, "a.png", picture(1))], place / "cache" / "one")
    used = uploaded_bytes(place / "cache")
    assert used == len(picture(1))
    limits = IntakeLimits(total_bytes=used + 10)
    with pytest.raises(GalleryError, match="no room for more uploads"):
        take_in([upload(place, "b.png", picture(2))], place / "cache" / "two", used_bytes=used, limits=limits)


def test_fault_54_the_same_picture_is_kept_once_and_another_of_that_name_beside_it(place: Path) -> None:
    take_in([upload(place, "a.png", picture(1))], place / "gallery")
    again = take_in(
        [upload(place, "a.png", picture(1)), upload(place, "a.png", picture(2))], place / "gallery"
    )
    assert (again.kept, kept(place / "gallery")) == (2, ["a (2).png", "a.png"])


def test_an_uploaded_webp_is_never_shown_itself_but_as_a_thumbnail(place: Path) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.new("RGB", (600, 400), "red").save(buffer, "WEBP", exif=exif)
    folder = place / "cache" / "Uploads"
    take_in([upload(place, "a.webp", buffer.getvalue())], folder)
    index(folder / "images", place / "cache", name="Uploads", thumbnails=False)
    gallery = opened(place / "cache", "Uploads")
    shown = gallery.thumbnail_path(gallery.image_ids[0])
    assert shown.parent == (folder / "thumbnails").absolute()
    assert b"where I live" not in shown.read_bytes()


# --- folders and days ---


def dated(path: Path, seed: int, taken: str = "", changed: str = "2020-01-01") -> None:
    """A picture with EXIF's time, in a file that was changed on another day."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 254, (16, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    Image.fromarray(pixels).save(path, exif=exif)
    moment = time.mktime(time.strptime(f"{changed} 12:00", "%Y-%m-%d %H:%M"))
    os.utime(path, (moment, moment))


@pytest.fixture
def travels(place: Path):
    dated(place / "photos" / "rome" / "a.jpg", 1, "2024:05:17 18:30:00")
    dated(place / "photos" / "rome" / "old" / "b.jpg", 2, changed="2023-02-03")
    dated(place / "photos" / "romeo" / "c.png", 3, "0000:00:00 00:00:00", changed="2024-12-31")
    dated(place / "photos" / "d.jpg", 4, "2022:01:01 00:00:00")
    index(place / "photos", place / "cache", name="photos")
    return opened(place / "cache", "photos")


def chosen(gallery, **bounds: object) -> list[str]:
    mask = gallery.select(**bounds)
    return [gallery.label(image_id) for image_id, yes in zip(gallery.image_ids, mask, strict=True) if yes]


def test_a_gallery_is_narrowed_by_folder_and_by_the_day_that_a_picture_says_itself(travels) -> None:
    assert travels.folders == {b"rome": 2, b"rome/old": 1, b"romeo": 1}
    assert chosen(travels, folder=b"rome") == ["rome/a.jpg", "rome/old/b.jpg"]
    assert chosen(travels, folder=b"rome/old") == ["rome/old/b.jpg"]
    assert chosen(travels, folder=TOP) == ["d.jpg"]
    assert chosen(travels, since=date(2024, 5, 17)) == ["rome/a.jpg"]
    assert chosen(travels, since=date(2022, 1, 1), until=date(2023, 2, 3)) == ["d.jpg"]
    assert chosen(travels, folder=b"rome", until=date(2023, 12, 31)) == []
    assert travels.undated == 2
    until = date(2023, 12, 31)
    assert chosen(travels, folder=b"rome", until=until, with_undated=True) == ["rome/old/b.jpg"]
    assert chosen(travels, until=until, with_undated=True) == ["d.jpg", "rome/old/b.jpg", "romeo/c.png"]
    with pytest.raises(BadQuery, match="no folder"):
        travels.select(folder=b"paris")


def test_a_script_may_say_the_folder_and_the_days_as_text(travels) -> None:
    assert chosen(travels, folder="rome/") == ["rome/a.jpg", "rome/old/b.jpg"]
    assert chosen(travels, since="2024-05") == ["rome/a.jpg"]
    assert chosen(travels, since="2022", until="2022-01") == ["d.jpg"]
    with pytest.raises(BadQuery, match="'soon' is no day"):
        travels.select(since="soon")
    with pytest.raises(BadQuery, match="no folder"):
        travels.select(folder="paris")


def test_only_what_is_among_is_ranked_and_in_the_same_order(travels) -> None:
    retriever = Retriever(travels, {"Image-only": ImageOnly(ToyEncoder())})
    with Image.open(travels.image_path(travels.image_ids[0])) as image:
        *_, composed = retriever.compose(Query(image.convert("RGB"), ""), "Image-only")
    everything = retriever.rank(composed, cvsi_weights(), top_k=10)
    mask = travels.select(folder=b"rome")
    some = retriever.rank(composed, cvsi_weights(), top_k=10, among=mask)
    wanted = {i for i, yes in zip(travels.image_ids, mask, strict=True) if yes}
    assert [(r.image_id, r.score) for r in some] == [
        (r.image_id, r.score) for r in everything if r.image_id in wanted
    ]
    assert [r.rank for r in some] == [1, 2]
    assert retriever.rank(composed, cvsi_weights(), among=np.zeros(len(travels), bool)) == []
    without = retriever.rank(composed, cvsi_weights(), among=mask, exclude=[some[0].image_id])
    assert [r.image_id for r in without] == [some[1].image_id]


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("IMG-20240517-WA0001.jpg", date(2024, 5, 17)),
        ("WhatsApp Image 2024-05-17 at 18.30.00.jpeg", date(2024, 5, 17)),
        ("signal-2024-05-17-183000.jpeg", date(2024, 5, 17)),
        ("photo_2024-05-17_18-30-00.jpg", date(2024, 5, 17)),
        ("photo_1@03-05-2024_18-30-00.jpg", date(2024, 5, 3)),
        ("PXL_20240517_163000123.jpg", date(2024, 5, 17)),
        ("IMG20240517183000.jpg", date(2024, 5, 17)),
        ("00001IMG_00001_BURST20240517183000123_COVER.jpg", date(2024, 5, 17)),
        ("Screenshot_2024-05-17-18-30-00.png", date(2024, 5, 17)),
        ("Screenshot 2024-05-17 at 18.30.00.png", date(2024, 5, 17)),
        ("VID_20240517_183000.jpg", date(2024, 5, 17)),
        ("WP_20140517_18_30_00_Pro.jpg", date(2014, 5, 17)),
        ("2024-05-17 18.30.00.jpg", date(2024, 5, 17)),
        ("1969-07-20 moon.jpg", date(1969, 7, 20)),
        ("IMG_0001.jpg", None),
        ("DSC_12345678.jpg", None),
        ("IMG_20241345.jpg", None),
        ("20990101.jpg", None),
        ("05-04-2024.jpg", None),
        ("wallpaper-1920x1080.jpg", None),
        ("invoice 202405171234567.jpg", None),
        ("a20231015bcdef0123456789.jpg", None),
    ],
)
def test_without_exif_the_name_tells_the_day_or_it_is_unknown(
    name: str, day: date | None, place: Path
) -> None:
    dated(place / "photos" / name, 1, changed="2021-06-07")
    index(place / "photos", place / "cache", name="photos")
    assert opened(place / "cache", "photos").days.tolist() == [day]


def test_what_is_written_in_a_picture_comes_before_its_name(place: Path) -> None:
    dated(place / "photos" / "IMG-20240517-WA0001.jpg", 1, "2019:01:02 03:04:05")
    index(place / "photos", place / "cache", name="photos")
    assert opened(place / "cache", "photos").days.tolist() == [date(2019, 1, 2)]


def test_a_day_that_an_earlier_reader_found_is_forgotten_when_the_picture_says_none(place: Path) -> None:
    import sqlite3

    dated(place / "photos" / "a.jpg", 1)
    index(place / "photos", place / "cache", name="photos")
    with sqlite3.connect(place / "cache" / "photos" / "rows.sqlite") as database:
        database.execute("INSERT INTO dates SELECT content_hash, '1970-01-01T00:00:00' FROM files")
        database.execute("DELETE FROM features")
    database.close()
    index(place / "photos", place / "cache", name="photos")
    assert opened(place / "cache", "photos").days.tolist() == [None]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("2024:05:17 18:30:00", "2024-05-17T18:30:00"),
        ("2024:05:17 18:30:00\0", "2024-05-17T18:30:00"),
        ("0000:00:00 00:00:00", ""),
        ("    :  :     :  :  ", ""),
        ("yesterday", ""),
    ],
)
def test_fault_28_the_time_of_a_picture_is_read_from_its_exif_or_is_unknown(said: str, taken: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = said
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG", exif=exif)
    image, found = read_dated_image(buffer.getvalue())
    assert (found, image.size) == (taken, (8, 8))
    assert "exif" not in image.info


def test_fault_29_a_heic_picture_with_an_orientation_is_turned_once_and_dated() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    pillow_heif.register_heif_opener()
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32] = (220, 30, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2023:08:09 10:11:12"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "HEIF", exif=exif.tobytes(), quality=95)
    image, taken = read_dated_image(buffer.getvalue())
    assert (image.size, taken) == ((32, 64), "2023-08-09T10:11:12")
    red = np.asarray(image)[4, 16]
    assert red[0] > 180
    assert red[1] < 80
