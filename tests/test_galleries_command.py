"""`python -m cir galleries` and the naming of `python -m cir index`, without a model."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from gallery_doubles import ToyCaptioner, ToyEncoder, folder_in_memory, index, paint_folder

import cir
from cir.application.galleries import SERVED_FOLDER
from cir.commands import indexing
from cir.gallery.manifest import PROGRAMS_FOLDERS, locate_gallery, remember_source
from cir.places import SAMPLES
from tests.commands import run


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with folder_in_memory() as folder:
        # `places` last: a module that is loaded after it would keep this one's folder for all tests that follow.
        for module in ("commands.galleries", "application.galleries", "commands.indexing", "places"):
            monkeypatch.setattr(f"cir.{module}.gallery_cache", lambda: folder / "cache")
        encoder = ToyEncoder()
        models = SimpleNamespace(clip=encoder, text_encoder=encoder, captioner=ToyCaptioner(), missing={})
        monkeypatch.setattr(indexing, "build_models", lambda *_, **__: models)
        yield folder


@pytest.fixture
def photos(place: Path) -> Path:
    root = paint_folder(place / "photos", 6)
    index(root, place / "cache", name="rome")
    return root


def names(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [row["name"] for row in json.loads(run(capsys, "galleries", "--json")[1])]


class Terminal(io.StringIO):
    """A person who answers."""

    def isatty(self) -> bool:
        return True


def test_every_gallery_is_listed_with_its_numbers_its_folder_and_its_state(photos, place, capsys):
    index(paint_folder(place / "cache" / "日本" / "images", 2, 40), place / "cache", name="日本")
    status, out, _ = run(capsys, "galleries", "--json")
    rows = json.loads(out)
    assert (status, [row["name"] for row in rows]) == (0, ["rome", "日本"])
    assert (rows[0]["images"], rows[0]["captioned"], rows[0]["state"]) == (6, 0, "ready")
    assert rows[0]["folder"] == str(photos)
    assert rows[0]["bytes"] == sum(
        p.stat().st_size for p in (place / "cache" / "rome").rglob("*") if p.is_file()
    )
    assert "日本" in run(capsys, "galleries", "list")[1]
    photos.rename(place / "away")
    (place / "cache" / "日本" / "manifest.json").unlink()
    states = [row["state"] for row in json.loads(run(capsys, "galleries", "--json")[1])]
    assert states[0] == "ready; its folder is not there"
    assert states[1].startswith("The indexing of 日本 was not finished")


def test_columns_stand_below_each_other_and_an_unfinished_gallery_names_its_own_folder(photos, place, capsys):
    index(paint_folder(place / "my photos", 2, 40), place / "cache", name="日本")
    head, *rows = run(capsys, "galleries")[1].splitlines()
    wide = {"日": "日 ", "本": "本 "}  # as a terminal draws them
    drawn = ["".join(wide.get(letter, letter) for letter in row) for row in rows]
    assert {row.index("MB") for row in drawn} == {head.index("size") + len("0.0 ")}
    (place / "cache" / "日本" / "manifest.json").unlink()
    remember_source(place / "cache" / "日本", place / "my photos")
    state = json.loads(run(capsys, "galleries", "--json")[1])[1]["state"]
    assert state.endswith(f"Go on with it: python -m cir index '{place / 'my photos'}'")


def test_without_a_gallery_the_list_says_how_to_make_one(place, capsys):
    assert "python -m cir index FOLDER" in run(capsys, "galleries")[1]
    assert run(capsys, "galleries", "--json")[1] == "[]\n"


def test_a_gallery_is_deleted_only_by_a_yes(photos, place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal: nobody was asked
    status, _, err = run(capsys, "galleries", "delete", "rome")
    assert (status, names(capsys)) == (2, ["rome"])
    assert "--yes" in err
    for answer in ("", "n\n", "perhaps\n"):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        status, _, err = run(capsys, "galleries", "delete", "rome")
        assert (status, names(capsys)) == (2, ["rome"])
        assert "Your pictures stay where they are" in err
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run(capsys, "galleries", "delete", "rome")[:2] == (0, "rome is deleted.\n")
    assert names(capsys) == []
    assert len(list(photos.iterdir())) == 6


def test_a_deletion_that_was_broken_off_is_no_gallery_any_more_and_the_next_one_ends_it(
    photos, place, capsys
):
    (place / "cache" / "rome").rename(place / "cache" / ".deleted-0123")
    index(photos, place / "cache", name="athens")
    assert names(capsys) == ["athens"]
    run(capsys, "galleries", "delete", "athens", "--yes")
    assert [path.name for path in (place / "cache").iterdir()] == []


def test_yes_deletes_without_a_question_and_a_wrong_name_is_told_with_the_nearest(photos, capsys):
    status, _, err = run(capsys, "galleries", "delete", "rom", "--yes")
    assert status == 2
    assert "Did you mean rome?" in err
    assert run(capsys, "galleries", "delete", "rome", "--yes")[0] == 0
    assert names(capsys) == []


def test_a_gallery_is_renamed_and_moved(photos, place, capsys):
    assert run(capsys, "galleries", "rename", "rome", "Müller Söhne")[0] == 0
    moved = photos.rename(place / "moved")
    other = paint_folder(place / "other", 6, 60)
    status, _, err = run(capsys, "galleries", "move", "Müller Söhne", other)
    assert status == 2
    assert "0 of 6 are there" in err
    assert run(capsys, "galleries", "move", "Müller Söhne", moved)[0] == 0
    row = json.loads(run(capsys, "galleries", "--json")[1])[0]
    assert (row["name"], row["folder"], row["state"]) == ("Müller Söhne", str(moved), "ready")


def test_the_same_folder_under_a_second_name_is_refused_unless_another_is_asked_for(photos, capsys):
    status, out, err = run(capsys, "index", photos, "--name", "second")
    assert (status, out, names(capsys)) == (2, "", ["rome"])
    assert "is the gallery rome already" in err
    status, out, err = run(capsys, "index", photos)
    assert (status, names(capsys)) == (0, ["rome"])
    assert "is the gallery rome, which is brought up to date" in err
    assert run(capsys, "index", photos, "--name", "second", "--another")[0] == 0
    assert names(capsys) == ["rome", "second"]


def test_no_gallery_has_the_name_of_what_the_program_keeps_beside_them_and_none_takes_it_along(
    photos, place, capsys
):
    kept = place / "cache" / "networks" / "HyCIR on mine.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"trained")
    for arguments in (
        ("index", paint_folder(place / "more", 2, 40), "--name", "networks"),
        ("index", place / "more", "--name", "Evaluations"),  # some disks know no capitals
        ("galleries", "rename", "rome", "triplets"),
        ("galleries", "delete", "--yes", "networks"),
    ):
        status, _, err = run(capsys, *arguments)
        assert status == 2, arguments
        assert "the program keeps other things" in err or "There is no gallery" in err
    status, _, err = run(capsys, "index", paint_folder(place / "evaluations", 2, 40))
    assert (status, "The name evaluations is taken by the program" in err) == (0, True), err
    assert names(capsys) == ["evaluations 2", "rome"]
    assert kept.read_bytes() == b"trained"


def test_no_gallery_of_ones_own_is_called_like_one_that_comes_with_the_program(place, capsys):
    run(capsys, "index", paint_folder(place / "rome", 2))
    for arguments in (
        ("index", paint_folder(place / "more", 2, 40), "--name", "Sample gallery"),
        ("galleries", "rename", "rome", "sample photographs"),
    ):
        status, _, err = run(capsys, *arguments)
        assert (status, "one that comes with the program is called so" in err) == (2, True), err
    run(capsys, "index", paint_folder(place / "Sample gallery", 2, 50))
    assert names(capsys) == ["Sample gallery 2", "rome"]


def test_those_that_come_with_the_program_are_found_by_the_names_that_the_page_has_for_them(place):
    for name, folder in SAMPLES.items():
        assert locate_gallery(name, place) == locate_gallery(name.lower(), place) == folder


def test_every_folder_that_the_program_keeps_beside_the_galleries_is_known_as_such():
    kept = re.compile(r'gallery_cache\(\) / "([\w.-]+)"')
    code = (path.read_text(encoding="utf-8") for path in Path(cir.__file__).parent.rglob("*.py"))
    found = {name for text in code for name in kept.findall(text)}
    assert found | {SERVED_FOLDER} == set(PROGRAMS_FOLDERS)


def test_the_hint_of_a_name_with_a_blank_can_be_pasted(place, capsys):
    out = run(capsys, "index", paint_folder(place / "Müller Söhne", 2))[1]
    assert "--gallery 'Müller Söhne'" in out
    assert names(capsys) == ["Müller Söhne"]
