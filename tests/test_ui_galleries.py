"""The tab "Galleries" and the switcher, without a browser: what the handlers do and what is said."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gallery_doubles import ToyEncoder, folder_in_memory, index, opened, paint, paint_folder
from shelf_doubles import Bench, Gate

from cir.durations import duration
from cir.errors import BadQuery, CirError, GalleryError
from cir.gallery import narrowing
from cir.gallery.background import FAILED, FINISHED, RUNNING, IndexingJob
from cir.gallery.cache import locked
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import IndexingProgress
from cir.gallery.intake import UPLOADS, IntakeLimits
from cir.gallery.left_out import LeftOut
from cir.gallery.narrowing import Narrowing
from cir.images import read_image
from cir.shelf import ShelfEntry
from cir.types import Query
from cir.ui.galleries import handlers, render
from cir.ui.galleries.reading import read_uploads
from cir.ui.galleries.screen import GalleriesSession, GalleryIndexing, Report, Screen, screen_of
from cir.ui.search.handlers import Session, Settings, answer
from cir.ui.switcher import handlers as switcher
from cir.ui.switcher.screen import notes_html

HOSTILE = '<img src=x onerror="window.__x=1">${x}'


@pytest.fixture
def bench() -> Iterator[Bench]:
    with folder_in_memory() as place:
        paint_folder(place / "photos" / "rome", 4, 10)
        paint_folder(place / "photos" / "rome" / "old", 2, 20)
        yield Bench(place)


# --- making ---


def test_a_chosen_folder_becomes_a_gallery_that_can_be_searched_with_captions(bench: Bench) -> None:
    came = bench.make_of("photos / rome")
    assert came.words(running=True) == "The gallery rome is being made."
    assert came.words(running=False) == ""
    entry = bench.shelf.entry("rome")
    assert (entry.images, entry.captioned, entry.uploaded, entry.problem) == (6, 6, False, "")
    assert bench.state.chosen == "rome"
    assert len(bench.shelf.retriever("rome").gallery) == 6


def test_a_folder_that_has_a_gallery_brings_it_up_to_date_under_its_old_name(bench: Bench) -> None:
    bench.make_of("photos / rome", "Roman  holiday")
    paint(bench.place / "photos" / "rome" / "new.png", 99)
    came = bench.make_of("photos / rome", "other")
    assert came.done == "That folder is the gallery Roman holiday. The name other was not used."
    assert came.begun == "It is brought up to date."
    assert [(e.title, e.images) for e in bench.shelf.entries()] == [("At home", 3), ("Roman holiday", 7)]


def test_a_name_that_is_taken_is_refused_and_without_a_name_a_free_one_is_found(bench: Bench) -> None:
    paint_folder(bench.place / "photos" / "home", 1, 50)
    with pytest.raises(GalleryError, match="There is a gallery home already"):
        bench.make_of("photos / home", "home")
    came = bench.make_of("photos / home")
    assert came.done == "The name home is taken by another folder, so this gallery is called home 2."
    assert came.begun == "The gallery home 2 is being made."


@pytest.mark.parametrize("number", [None, -1, 99, True, "0", 1.0, [0], "../home", "nowhere"])
def test_fault_46_what_was_not_on_offer_is_refused(number: object, bench: Bench) -> None:
    handlers.offer_folders(bench.indexing, bench.state)
    with pytest.raises(BadQuery, match="no folder chosen"):
        handlers.make_of_folder(bench.indexing, bench.state, number, "")
    with pytest.raises(BadQuery, match="not there any more"):
        handlers.choose(bench.state, number)
    with pytest.raises(BadQuery, match="not there any more"):
        switcher.read_choice(bench.session, number)


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "x" * 200, 7, "\u202eevil"])
def test_fault_35_a_name_that_could_lead_elsewhere_is_refused(name: object, bench: Bench) -> None:
    with pytest.raises(CirError):
        bench.make_of("photos / rome", name)  # type: ignore[arg-type]
    assert [entry.name for entry in bench.shelf.entries()] == [""]
    assert sorted(path.name for path in bench.cache.iterdir()) == ["home"]


def test_uploads_become_a_gallery_and_more_uploads_of_that_name_are_added(bench: Bench) -> None:
    first, second = paint(bench.place / "up" / "a.png", 1), paint(bench.place / "up" / "b.png", 2)
    came = bench.upload(first, name="Mine")
    assert (came.done, came.refused) == ("1 picture kept.", ())
    assert came.begun == "The gallery Mine is being made."
    assert bench.upload(second, name="Mine").begun == "The gallery Mine is being brought up to date."
    entry = bench.shelf.entry("Mine")
    assert (entry.images, entry.captioned, entry.uploaded) == (2, 2, True)
    assert sorted(p.name for p in (bench.cache / "Mine" / "images").iterdir()) == ["a.png", "b.png"]


def test_an_uploaded_zip_is_unpacked_and_what_is_refused_is_named(bench: Bench) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.png", paint(bench.place / "x.png", 3).read_bytes())
        archive.writestr("../b.png", b"evil")
    path = bench.place / "all.zip"
    path.write_bytes(data.getvalue())
    came = bench.upload(path)
    assert came.words(running=True) == "1 picture kept. The gallery Uploads is being made."
    assert came.refused == (("all.zip / ../b.png", "its path leads out of the archive"),)


def test_uploads_without_a_picture_leave_no_gallery_behind(bench: Bench) -> None:
    path = bench.place / "letter.txt"
    path.write_text("hello")
    with pytest.raises(GalleryError, match=r"No picture could be kept. letter.txt: it is no picture"):
        bench.upload(path)
    assert sorted(one.name for one in bench.cache.iterdir()) == ["home"]


@pytest.mark.parametrize("files", [None, [], "x", [{"path": 3}], [{}], [["a"]]])
def test_fault_38_what_is_no_upload_is_refused(files: object) -> None:
    with pytest.raises(BadQuery):
        read_uploads(files)


def test_fault_34_more_than_five_hundred_files_at_once_are_refused() -> None:
    with pytest.raises(BadQuery, match="501 files at once"):
        read_uploads([{"path": "/x"}] * 501)


def test_fault_36_uploads_beyond_the_quota_are_refused_in_words(bench: Bench) -> None:
    bench.indexing = GalleryIndexing(bench.shelf, bench.indexer, limits=IntakeLimits(total_bytes=10))
    with pytest.raises(GalleryError, match="no room for more uploads"):
        bench.upload(paint(bench.place / "a.png"))


def test_uploads_for_the_name_of_a_gallery_of_a_folder_are_refused(bench: Bench) -> None:
    bench.make_of("photos / rome")
    with pytest.raises(GalleryError, match="There is a gallery rome already"):
        bench.upload(paint(bench.place / "a.png"), name="rome")
    assert bench.shelf.entry("rome").images == 6


# --- keeping up to date ---


def test_fault_60_a_missing_folder_changes_nothing_and_the_sentence_names_no_path(bench: Bench) -> None:
    bench.make_of("photos / rome")
    (bench.place / "photos" / "rome").rename(bench.place / "away")
    with pytest.raises(GalleryError, match="The folder of rome is not there") as caught:
        handlers.bring_up_to_date(bench.indexing, bench.state)
    assert str(bench.place) not in str(caught.value)
    assert len(bench.shelf.retriever("rome").gallery) == 6


def test_fault_60_most_files_gone_has_to_be_confirmed_on_the_page(bench: Bench) -> None:
    bench.make_of("photos / rome")
    for path in sorted((bench.place / "photos" / "rome").rglob("*.png"))[1:]:
        path.unlink()
    handlers.bring_up_to_date(bench.indexing, bench.state)
    bench.wait()
    screen = screen_of(bench.indexing, bench.state)
    assert (screen.wants_confirmation, screen.can_resume, len(bench.shelf.retriever("rome").gallery)) == (
        True,
        False,
        6,
    )
    assert "5 of 6 images of rome" in render.job_card(screen.job)
    handlers.go_on(bench.indexing, "rome", confirm_purge=True)
    bench.wait()
    assert not screen_of(bench.indexing, bench.state).wants_confirmation
    assert len(bench.shelf.retriever("rome").gallery) == 1


def test_a_gallery_is_deleted_only_after_it_was_confirmed_and_that_names_it(bench: Bench) -> None:
    bench.make_of("photos / rome")
    bench.upload(paint(bench.place / "a.png", 5), name="Mine")
    screen_of(bench.indexing, bench.state)
    handlers.choose(bench.state, "rome")
    with pytest.raises(GalleryError, match="nothing to delete"):
        handlers.delete(bench.indexing, bench.state, "rome")
    handlers.ask_to_delete(bench.indexing, bench.state)
    screen = screen_of(bench.indexing, bench.state)
    assert "Delete <b>rome</b>?" in render.question(screen.chosen, bench.state.to_delete)
    assert (
        handlers.delete(bench.indexing, bench.state, "rome").done
        == "rome is deleted. Your pictures are where they were."
    )
    assert [e.name for e in bench.shelf.entries()] == ["", "Mine"]
    assert (bench.place / "photos" / "rome" / "0010.png").is_file()


def test_a_gallery_that_is_being_made_stays_chosen_beside_others_that_are_there() -> None:
    entries = [SimpleNamespace(name="Home", own=True)]
    shelf = SimpleNamespace(entries=lambda: entries, cache_root=Path("no-such-folder"))
    indexer = SimpleNamespace(job=IndexingJob("Mine", None, RUNNING))
    indexing, session = GalleryIndexing(shelf, indexer), GalleriesSession(chosen="Mine")
    assert screen_of(indexing, session).chosen is None  # not Home, which "Delete" would then be about
    assert session.chosen == "Mine"
    indexer.job = IndexingJob("Mine", None, FAILED)
    assert screen_of(indexing, session).chosen.name == "Home"


def test_choosing_another_gallery_takes_the_question_about_deleting_back(bench: Bench) -> None:
    bench.make_of("photos / rome")
    handlers.ask_to_delete(bench.indexing, bench.state)
    handlers.choose(bench.state, "rome")
    with pytest.raises(GalleryError, match="nothing to delete"):
        handlers.delete(bench.indexing, bench.state, "rome")


def test_what_is_confirmed_is_the_question_that_the_page_shows(bench: Bench) -> None:
    bench.make_of("photos / rome")
    bench.upload(paint(bench.place / "a.png", 5), name="Mine")
    for name in (
        "rome",
        "Mine",
    ):  # the second question is not on the page yet when the first one is confirmed
        handlers.choose(bench.state, name)
        handlers.ask_to_delete(bench.indexing, bench.state)
    with pytest.raises(GalleryError, match="nothing to delete"):
        handlers.delete(bench.indexing, bench.state, "rome")
    assert [e.name for e in bench.shelf.entries()] == ["", "Mine", "rome"]


def test_what_is_stopped_or_goes_on_is_the_indexing_that_the_page_shows(bench: Bench) -> None:
    bench.make_of("photos / rome")
    gate = Gate(bench.encoder, "encode_images")
    bench.indexer.start(paint_folder(bench.place / "photos" / "paris", 6, 70), "paris")
    gate.reached()
    with pytest.raises(GalleryError, match="another gallery is being indexed now"):
        handlers.stop(bench.indexing, "rome")
    handlers.stop(bench.indexing, "paris")
    gate.open()
    bench.wait()
    with pytest.raises(GalleryError, match="Another gallery was indexed since"):
        handlers.go_on(bench.indexing, "rome", confirm_purge=True)
    handlers.go_on(bench.indexing, "paris")
    assert bench.wait().state == FINISHED


def test_a_renamed_gallery_is_chosen_and_searched_under_its_new_name(bench: Bench) -> None:
    bench.make_of("photos / rome")
    came = handlers.rename(bench.indexing, bench.state, " Roma ")
    assert came.done == "rome is called Roma now."
    assert (bench.state.chosen, len(bench.shelf.retriever("Roma").gallery)) == ("Roma", 6)
    assert bench.shelf.retriever("rome") is bench.shelf.retriever("Roma")


def test_one_that_is_stopped_before_its_first_picture_promises_no_search(bench: Bench) -> None:
    gate = Gate(bench.indexer, "_captioner")
    begin(bench)
    gate.reached()
    bench.indexer.stop()
    gate.open()
    bench.wait()
    assert "rome: stopped</h3>" in render.job_card(bench.indexer.job)
    with pytest.raises(GalleryError):
        bench.shelf.retriever("rome")


def test_what_the_page_began_with_can_be_neither_renamed_nor_deleted(bench: Bench) -> None:
    screen_of(bench.indexing, bench.state)
    assert bench.state.names == ()
    for act in (handlers.ask_to_delete, lambda i, s: handlers.rename(i, s, "x")):
        with pytest.raises(GalleryError, match="no gallery of your own"):
            act(bench.indexing, bench.state)


def test_a_renamed_folder_is_pointed_to_and_other_pictures_are_refused_without_a_path(bench: Bench) -> None:
    bench.make_of("photos / rome")
    (bench.place / "photos" / "rome").rename(bench.place / "photos" / "roma")
    paint_folder(bench.place / "photos" / "paris", 6, 70)
    assert bench.table()["rome"] == "can be searched; its folder is not there now"
    with pytest.raises(GalleryError, match="say where its pictures are now"):
        handlers.bring_up_to_date(bench.indexing, bench.state)
    keys = dict(handlers.offer_folders(bench.indexing, bench.state))

    def move(label: str) -> Report:
        return handlers.move(bench.indexing, bench.state, keys[label])

    with pytest.raises(GalleryError, match="0 of 6 are there") as refused:
        move("photos / paris")
    assert str(bench.place) not in str(refused.value)
    assert move("photos / roma").done == "The pictures of rome are looked for in photos / roma now."
    assert bench.table()["rome"] == "ready"
    handlers.bring_up_to_date(bench.indexing, bench.state)
    assert bench.wait().state == FINISHED
    gallery = bench.shelf.retriever("rome").gallery
    assert gallery.image_path(gallery.image_ids[0]).is_relative_to(bench.place / "photos" / "roma")


@pytest.mark.parametrize("act", ["rename", "delete"])
def test_what_was_stopped_does_not_go_on_under_a_name_that_is_gone(act: str, bench: Bench) -> None:
    gate = Gate(bench.encoder, "encode_images")
    begin(bench)
    gate.reached()
    bench.indexer.stop()
    gate.open()
    bench.wait()
    assert screen_of(bench.indexing, bench.state).can_resume
    if act == "rename":
        handlers.rename(bench.indexing, bench.state, "Roma")
    else:
        handlers.ask_to_delete(bench.indexing, bench.state)
        handlers.delete(bench.indexing, bench.state, "rome")
    assert not screen_of(bench.indexing, bench.state).can_resume
    with pytest.raises(GalleryError, match="nothing to go on with"):
        handlers.go_on(bench.indexing, "rome")


# --- how a gallery stands ---


def begin(bench: Bench) -> Report:
    """Have the page begin with a gallery of "rome", and go on at once."""
    keys = dict(handlers.offer_folders(bench.indexing, bench.state))
    return handlers.make_of_folder(bench.indexing, bench.state, keys["photos / rome"], "")


def test_the_words_of_the_table_the_switcher_and_the_notes_follow_the_indexing(bench: Bench) -> None:
    images, captions = Gate(bench.encoder, "encode_images"), Gate(bench.captioner, "caption")
    report = begin(bench)
    images.reached()
    assert bench.table()["rome"] == "looking at pictures, 0 of 6 …"
    assert [title for title, _ in switcher.offer(bench.shelf, bench.session)[0]] == ["At home (3)"]
    images.open()
    captions.reached()
    assert bench.table()["rome"] == "can be searched; writing captions, 0 of 6 …"
    assert ("rome (6)", "rome") in switcher.offer(bench.shelf, bench.session)[0]
    gallery = bench.shelf.retriever("rome").gallery
    assert "being indexed now: writing captions" in " ".join(switcher.notes_of(gallery, bench.indexer.job))
    assert report.words(running=bench.indexer.job.is_running) == "The gallery rome is being made."
    captions.open()
    bench.wait()
    assert bench.table()["rome"] == "ready"
    gallery = bench.shelf.retriever("rome").gallery
    assert switcher.notes_of(gallery, bench.indexer.job) == [""]
    assert report.words(running=bench.indexer.job.is_running) == ""


def test_a_gallery_is_in_the_table_from_the_first_moment(bench: Bench) -> None:
    bench.indexer._job = IndexingJob("rome", bench.place / "photos" / "rome", RUNNING)
    assert bench.table()["rome"] == "looking through its folder …"


def test_one_that_was_stopped_or_failed_says_so_and_what_can_be_searched(bench: Bench) -> None:
    gate = Gate(bench.captioner, "caption")
    begin(bench)
    gate.reached()
    bench.indexer.stop()
    assert bench.table()["rome"] == "can be searched; stopping …"
    gate.open()
    bench.wait()
    assert bench.table()["rome"] == "can be searched; it was stopped, and “Go on” brings the rest"
    assert "rome: stopped; what is indexed can be searched</h3>" in render.job_card(bench.indexer.job)
    for path in sorted((bench.place / "photos" / "rome").rglob("*.png"))[1:]:
        path.unlink()
    handlers.bring_up_to_date(bench.indexing, bench.state)
    bench.wait()
    assert bench.table()["rome"].startswith("can be searched; not finished: Gone from rome: 5 of 6")


def test_one_that_was_cut_off_is_finished_from_the_page_and_no_command_is_named(bench: Bench) -> None:
    bench.make_of("photos / rome")
    (bench.cache / "rome" / "manifest.json").unlink()
    bench.indexer.forget("rome")
    assert (
        bench.table()["rome"] == "The indexing of rome was not finished. Choose it, and “Bring up to date”."
    )


def made_by_others(bench: Bench, name: str, root: Path) -> None:
    """A gallery that another set of models made."""
    index(root, bench.cache, name=name, image_encoder=ToyEncoder("toy-2"))
    screen_of(bench.indexing, bench.state)
    handlers.choose(bench.state, name)


def test_a_gallery_of_other_models_is_indexed_again_beside_itself_and_stays_what_it_is(bench: Bench) -> None:
    rome = bench.place / "photos" / "rome"
    made_by_others(bench, "rome", rome)
    manifest = (bench.cache / "rome" / "manifest.json").read_bytes()
    assert "“Index again with these models”" in bench.table()["rome"]
    with pytest.raises(GalleryError, match="was made with toy-2"):
        handlers.bring_up_to_date(bench.indexing, bench.state)
    indexing = replace(bench.indexing, models="laptop")
    came = handlers.index_again(indexing, bench.state)
    assert "rome stays as it is" in came.done
    assert bench.wait().state == FINISHED
    assert bench.state.chosen == "rome (laptop)"
    assert bench.table()["rome (laptop)"] == "ready"
    assert len(bench.shelf.retriever("rome (laptop)").gallery) == 6
    assert (bench.cache / "rome" / "manifest.json").read_bytes() == manifest
    opened(bench.cache, "rome", "toy-2")  # the models that made it search it as before
    with pytest.raises(GalleryError, match="was made by the models of this page"):
        handlers.index_again(indexing, bench.state)


def test_indexing_again_goes_on_with_what_was_begun_and_makes_no_third(bench: Bench) -> None:
    made_by_others(bench, "rome", bench.place / "photos" / "rome")
    handlers.index_again(bench.indexing, bench.state)
    bench.wait()
    handlers.choose(bench.state, "rome")
    handlers.index_again(bench.indexing, bench.state)
    bench.wait()
    assert [entry.name for entry in bench.shelf.entries() if entry.own] == ["rome", "rome again"]


def test_a_folder_whose_gallery_other_models_made_gets_another_and_that_one_stays(bench: Bench) -> None:
    made_by_others(bench, "rome", bench.place / "photos" / "rome")
    manifest = (bench.cache / "rome" / "manifest.json").read_bytes()
    came = bench.make_of("photos / rome")
    assert "The gallery rome 2 is being made." in came.words(running=True)
    assert bench.table()["rome 2"] == "ready"
    assert (bench.cache / "rome" / "manifest.json").read_bytes() == manifest


def test_uploads_that_are_indexed_again_live_on_when_the_first_gallery_is_deleted(bench: Bench) -> None:
    bench.upload(*sorted((bench.place / "photos" / "rome").glob("*.png")), name="mine")
    made_by_others(bench, "mine", bench.cache / "mine" / UPLOADS)
    handlers.index_again(bench.indexing, bench.state)
    bench.wait()
    handlers.choose(bench.state, "mine")
    handlers.ask_to_delete(bench.indexing, bench.state)
    handlers.delete(bench.indexing, bench.state, "mine")
    gallery = bench.shelf.retriever("mine again").gallery
    assert len(gallery) == 4
    assert all(gallery.image_path(image_id).is_file() for image_id in gallery.image_ids)
    assert bench.shelf.entry("mine again").uploaded


def test_one_that_another_program_indexes_says_so(bench: Bench) -> None:
    bench.make_of("photos / rome")
    bench.indexer.forget("rome")
    with locked(bench.cache / "rome", "rome"):
        assert bench.table()["rome"] == "can be searched; another program is indexing it"
    assert bench.table()["rome"] == "ready"


# --- what is said ---


def test_fault_12_names_of_files_and_galleries_are_shown_as_text() -> None:
    skipped = ((HOSTILE, HOSTILE),)
    left_out = (LeftOut(HOSTILE, 1, 0, (HOSTILE,), True),)
    progress = IndexingProgress("images", 1, 2, left_out=left_out, notes=(HOSTILE,))
    shown = render.job_card(IndexingJob(HOSTILE, None, RUNNING, progress))
    entry = ShelfEntry(HOSTILE, HOSTILE, problem=HOSTILE)
    shown += render.gallery_list(Screen((entry,), entry, IndexingJob(), left_out=left_out))
    shown += (
        render.question(entry, HOSTILE)
        + render.report(Report(HOSTILE, refused=skipped))
        + notes_html([HOSTILE])
    )
    shown += render.how_folders_are_allowed([HOSTILE])
    assert "<img" not in shown
    assert "${" not in shown
    assert shown.count("&lt;img") == 15


def test_the_progress_tells_numbers_speed_and_time_left_and_what_gamma_counts_for() -> None:
    progress = IndexingProgress("captions", 120, 800, 4.25, 160.0)
    shown = render.job_card(IndexingJob("rome", None, RUNNING, progress))
    assert re.search(r'<progress max="800" value="120" aria-label="Writing captions">', shown)
    assert (
        "120 of 800 · 4.2 a second · 3 min left · all pictures can be searched, those without captions by their look alone"
        in shown
    )


def test_a_finished_gallery_says_by_reason_what_is_no_part_of_it_and_how_much() -> None:
    rows = (
        LeftOut("it is empty", 205, 0, tuple(f"{i}.jpg" for i in range(20)), True),
        LeftOut("small pictures that a network disk made", 12, 4, ("@eaDir/",)),
    )
    shown = render.job_card(
        IndexingJob("rome", None, FINISHED, IndexingProgress("images", 300, 300, left_out=rows, images=95))
    )
    assert "rome: ready, 95 pictures" in shown
    assert "205 files could not be read, 12 files left out" in shown
    assert "<td>it is empty</td><td>205</td><td>0.jpg, 1.jpg" in shown
    assert "19.jpg …</td>" in shown
    assert "<td>small pictures that a network disk made</td><td>12 in 4 folders</td><td>@eaDir/</td>" in shown


def test_what_was_left_out_is_shown_later_too_for_the_gallery_that_is_chosen(bench: Bench) -> None:
    (bench.place / "photos" / "rome" / "film.mp4").write_bytes(b"film")
    bench.make_of("photos / rome")
    session = GalleriesSession()
    shown = screen_of(replace_indexer(bench), session)
    assert session.chosen == "rome"
    assert "rome: 1 file left out" in render.gallery_list(shown)
    assert "<td>videos</td><td>1</td><td>film.mp4</td>" in render.gallery_list(shown)


def replace_indexer(bench: Bench) -> GalleryIndexing:
    """How galleries are made on a page that was started anew: its indexer has done nothing yet."""
    return replace(bench.indexing, indexer=SimpleNamespace(job=IndexingJob()))


def test_what_is_left_out_is_typed_remembered_replaced_and_taken_back(bench: Bench) -> None:
    def labels(exclude: str) -> list[str]:
        keys = dict(handlers.offer_folders(bench.indexing, bench.state))
        handlers.make_of_folder(bench.indexing, bench.state, keys["photos / rome"], "", exclude)
        bench.indexing.indexer.join(30)
        gallery = bench.shelf.retriever("rome").gallery
        return sorted(gallery.label(image_id) for image_id in gallery.image_ids)

    assert labels("old/, 0010.png") == ["0011.png", "0012.png", "0013.png"]
    assert labels("") == ["0011.png", "0012.png", "0013.png"]
    assert labels("001*") == ["old/0020.png", "old/0021.png"]
    assert len(labels("nothing")) == 6
    with pytest.raises(BadQuery, match="is no pattern"):
        labels("!")


@pytest.mark.parametrize(
    ("images", "captioned", "words"),
    [
        (800, 120, "120 of 800; the others are found by their look alone"),
        (800, 800, "all"),
        (800, 0, "none yet, so pictures are found by their look alone"),
    ],
)
def test_the_list_says_for_how_many_pictures_gamma_counts(images: int, captioned: int, words: str) -> None:
    entry = ShelfEntry("a", "a", images, captioned)
    assert f"<td>{words}</td>" in render.gallery_list(Screen((entry,), entry, IndexingJob()))


def test_without_a_root_the_page_says_how_to_allow_one_and_names_no_path() -> None:
    assert "--gallery-root FOLDER" in render.how_folders_are_allowed([])
    assert "Folders inside Pictures can be indexed" in render.how_folders_are_allowed(["Pictures"])


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59.6, "60 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_a_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_folder_that_was_shown_is_meant_however_the_list_has_changed_since(bench: Bench) -> None:
    keys = dict(handlers.offer_folders(bench.indexing, bench.state))
    paint_folder(bench.place / "photos" / "a first one", 3, 9)
    assert dict(handlers.offer_folders(bench.indexing, bench.state)).items() > keys.items()
    handlers.make_of_folder(bench.indexing, bench.state, keys["photos / rome"], "")
    bench.indexing.indexer.join(30)
    assert bench.state.chosen == "rome"


# --- switching ---


def test_switching_takes_back_what_belonged_to_the_old_gallery(bench: Bench) -> None:
    bench.make_of("photos / rome")
    session, home = bench.session, bench.shelf.retriever().gallery
    choices, chosen = switcher.offer(bench.shelf, session)
    assert (choices, chosen) == ([("At home (3)", "/"), ("rome (6)", "rome")], "/")
    session.picked_id = session.reference_id = session.intended_id = home.image_ids[0]
    session.result_ids, session.only, session.page, turn = (
        home.image_ids,
        Narrowing(b"x"),
        3,
        session.searches,
    )
    assert switcher.switch_to(session, switcher.read_choice(session, "rome"))
    assert session.gallery == "rome"
    assert (session.picked_id, session.reference_id, session.intended_id, session.result_ids) == (
        "",
        "",
        "",
        (),
    )
    assert (session.composed, bool(session.only), session.page, session.searches) == (
        None,
        False,
        0,
        turn + 1,
    )
    assert not switcher.switch_to(session, "")


def test_a_gallery_that_was_deleted_meanwhile_gives_way_to_the_first(bench: Bench) -> None:
    bench.make_of("photos / rome")
    bench.session.gallery = "rome"
    handlers.ask_to_delete(bench.indexing, bench.state)
    handlers.delete(bench.indexing, bench.state, "rome")
    choices, chosen = switcher.offer(bench.shelf, bench.session)
    assert (bench.session.gallery, choices, chosen) == ("", [("At home (3)", "/")], "/")


def test_fault_84_two_visitors_search_different_galleries(bench: Bench) -> None:
    bench.make_of("photos / rome")
    other = Session()
    switcher.switch_to(other, "rome")
    assert bench.shelf.retriever(bench.session.gallery).gallery.name == "home"
    assert bench.shelf.retriever(other.gallery).gallery.name == "rome"


# --- only in ---


@pytest.mark.parametrize(
    ("text", "last", "day"),
    [
        ("2024", False, date(2024, 1, 1)),
        ("2024", True, date(2024, 12, 31)),
        ("2024-02", True, date(2024, 2, 29)),
        (" 2024-2-3 ", False, date(2024, 2, 3)),
        ("", True, None),
        (None, False, None),
        ("01.02.2024", False, date(2024, 2, 1)),
        ("17.5.2024", True, date(2024, 5, 17)),
        ("17/05/2024", False, date(2024, 5, 17)),
        ("05/17/2024", False, date(2024, 5, 17)),
        ("5/5/2024", False, date(2024, 5, 5)),
        ("2024/05/17", False, date(2024, 5, 17)),
        ("20240517", False, date(2024, 5, 17)),
        ("2024-05-17T18:30", False, date(2024, 5, 17)),
        ("05.2024", True, date(2024, 5, 31)),
        ("May 2024", True, date(2024, 5, 31)),
        ("17 May 2024", False, date(2024, 5, 17)),
        ("May 17, 2024", False, date(2024, 5, 17)),
        ("17. Mai 2024", False, date(2024, 5, 17)),
        ("1 février 2024", False, date(2024, 2, 1)),
        ("2024-W20", False, date(2024, 5, 13)),
        ("2024-W20", True, date(2024, 5, 19)),
    ],
)
def test_a_year_a_month_or_a_day_is_read_as_the_first_or_last_day_of_it(
    text: object, last: bool, day: date | None
) -> None:
    assert narrowing.read_day(text, last=last) == day


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2024-13",
        "2024-02-30",
        "0000",
        2024,
        "31.02.2024",
        ["2024"],
        "2024-00",
        "2024-05-00",
        "17.5.24",
    ],
)
def test_what_is_no_day_is_refused_with_an_example(text: object) -> None:
    for last in (False, True):
        with pytest.raises(BadQuery) as caught:
            narrowing.read_day(text, last=last)
        assert "2024-05-17" in caught.value.remedy


@pytest.mark.parametrize("text", ["01/02/2024", "1-2-2024"])
def test_a_day_that_may_be_two_is_asked_back_with_both(text: str) -> None:
    with pytest.raises(BadQuery, match="1 February or January 2") as caught:
        narrowing.read_day(text)
    assert caught.value.remedy == "Write 2024-02-01 or 2024-01-02."


def key_of(gallery, words: str) -> str:
    return dict(narrowing.folder_choices(gallery))[words]


def test_a_search_only_in_a_folder_finds_nothing_else_and_says_so(bench: Bench) -> None:
    bench.make_of("photos / rome")
    retriever, session = bench.shelf.retriever("rome"), bench.session
    gallery = retriever.gallery
    assert [words for words, _ in narrowing.folder_choices(gallery)] == [
        "Every folder",
        "In no folder (4)",
        "old (2)",
    ]
    picture = read_image(bench.place / "photos" / "rome" / "0010.png")
    *_, session.composed = retriever.compose(Query(picture, ""), "Image-only")
    session.method, session.settings = "Image-only", Settings(fold=False)
    session.only = narrowing.read_only(gallery, key_of(gallery, "old (2)"), "", "")
    found = answer(retriever, session)
    assert {gallery.label(r.image_id) for r in found.results} == {"old/0020.png", "old/0021.png"}
    assert "Searched only in old: 2 of 6 pictures." in found.notes
    session.only = narrowing.read_only(gallery, key_of(gallery, "In no folder (4)"), "", "")
    found = answer(retriever, session)
    assert all("/" not in gallery.label(r.image_id) for r in found.results)
    assert "Searched only in no folder: 4 of 6 pictures." in found.notes
    session.only = narrowing.read_only(gallery, "", "", "")
    assert len(answer(retriever, session).results) == 6


def test_a_folder_keeps_its_key_when_others_come(bench: Bench) -> None:
    bench.make_of("photos / rome")
    before = key_of(bench.shelf.retriever("rome").gallery, "old (2)")
    paint_folder(bench.place / "photos" / "rome" / "earlier", 1, first=40)
    bench.make_of("photos / rome")
    gallery = bench.shelf.retriever("rome").gallery
    assert len(narrowing.folder_choices(gallery)) == 4
    assert narrowing.read_only(gallery, before, "", "").folder == b"old"


def test_every_folder_of_a_year_by_days_is_offered_and_a_cut_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [
        b"%d/%02d/%02d/a.jpg" % (year, month, day)
        for year in (2020, 2026)
        for month in range(1, 13)
        for day in range(1, 31)
    ]
    count = len(paths)
    rows = np.eye(count, 4, dtype=np.float32) + 1
    gallery = replace(
        Gallery.from_features("days", [str(i) for i in range(count)], rows), relatives=tuple(paths)
    )
    words = [words for words, _ in narrowing.folder_choices(gallery)]
    assert len(words) == 1 + 2 + 24 + 720
    assert words[-1] == "2026/12/30 (1)"
    assert narrowing.cut_note(gallery) == "Type to find one."
    monkeypatch.setattr(narrowing, "MOST_FOLDERS", 30)
    words = [words for words, _ in narrowing.folder_choices(gallery)]
    assert {"2020 (360)", "2026 (360)", "2026/12 (30)"} <= set(words)
    assert len(words) == 31
    assert narrowing.cut_note(gallery).startswith("This list has 30 of 746 folders.")


def test_folders_that_may_be_indexed_are_all_on_offer_or_the_cut_is_said(
    bench: Bench,
) -> None:
    for year in range(1000, 2100):
        (bench.place / "photos" / str(year) / "deep").mkdir(parents=True)
    for junk in ("@eaDir", "node_modules", ".hidden"):
        (bench.place / "photos" / junk).mkdir()
    words = [words for words, _ in handlers.offer_folders(bench.indexing, bench.state)]
    assert {"photos / 2099", "photos / 2099 / deep"} <= set(words)
    assert not any("eaDir" in one or "node_modules" in one or "hidden" in one for one in words)
    assert handlers.folders_note(bench.state) == "Type to find one."
    for year in range(1000, 2100):
        (bench.place / "photos" / str(year) / "deep" / "er").mkdir()
    words = [words for words, _ in handlers.offer_folders(bench.indexing, bench.state)]
    assert len(words) == 3000
    assert {"photos / 1000", "photos / 2099", "photos / 2099 / deep"} <= set(words)
    assert handlers.folders_note(bench.state).startswith("Listed are the 3,000 folders nearest to the top.")


def test_pictures_of_an_unknown_day_are_told_and_offered(bench: Bench) -> None:
    paint(bench.place / "photos" / "rome" / "IMG-20240517-WA0001.png", 77)
    bench.make_of("photos / rome")
    retriever, session = bench.shelf.retriever("rome"), bench.session
    gallery = retriever.gallery
    picture = read_image(bench.place / "photos" / "rome" / "0010.png")
    *_, session.composed = retriever.compose(Query(picture, ""), "Image-only")
    session.method, session.settings = "Image-only", Settings(fold=False)
    session.only = narrowing.read_only(gallery, "", "2024", "2024")
    found = answer(retriever, session)
    assert [gallery.label(r.image_id) for r in found.results] == ["IMG-20240517-WA0001.png"]
    told = "Searched only from 2024-01-01 to 2024-12-31: 1 of 7 pictures. Of 6 more pictures the day is not known: not searched."
    assert told in found.notes
    session.only = narrowing.read_only(gallery, "", "2024", "2024", True)
    assert len(answer(retriever, session).results) == 7
    with pytest.raises(
        BadQuery, match=r"No picture is from 1990-01-01 to 1990-12-31\. Of 6 more pictures the day"
    ):
        narrowing.among(gallery, narrowing.read_only(gallery, "", "1990", "1990"))


def test_bounds_that_leave_nothing_or_contradict_are_sentences(bench: Bench) -> None:
    bench.make_of("photos / rome")
    gallery = bench.shelf.retriever("rome").gallery
    with pytest.raises(BadQuery, match="is later than"):
        narrowing.read_only(gallery, "", "2024", "2023")
    with pytest.raises(BadQuery, match="No picture is from 1990-01-01 to 1990-12-31"):
        narrowing.among(gallery, narrowing.read_only(gallery, "", "1990", "1990"))
    open_end = narrowing.read_only(gallery, "", "2031", "")
    with pytest.raises(
        BadQuery, match=r"No picture is from 2031-01-01 on\..* search those of an unknown day"
    ):
        narrowing.among(gallery, open_end)
    assert narrowing.in_words(narrowing.read_only(gallery, "", "", "1990")) == "up to 1990-12-31"
    with pytest.raises(BadQuery, match="not in this gallery"):
        narrowing.read_only(gallery, "7", "", "")


def test_a_shipped_gallery_is_not_narrowed(bench: Bench) -> None:
    home = bench.shelf.retriever().gallery
    assert narrowing.can_narrow(home)
    assert not narrowing.can_narrow(replace(home, packed=True))
    assert narrowing.among(home, Narrowing()) is None


def test_nothing_that_is_hidden_stands_in_what_is_shown_only_later(bench: Bench) -> None:
    """Gradio shows a box that was not there at first with all that is in it, and a field called "Textbox" comes to light."""
    from cir.ui.page import PageContent
    from cir.ui.view import build_page

    page = build_page(PageContent(bench.shelf, indexing=bench.indexing))
    hidden = [block for block in page.blocks.values() if getattr(block, "visible", True) == "hidden"]
    assert len(hidden) > 2
    for block in hidden:
        around = block.parent
        while around is not None:
            assert around.visible is not False, block.elem_id or block
            around = around.parent
