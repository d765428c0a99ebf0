"""Files are whole or absent, whoever writes them at the same time, and nothing is left of what failed."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import cir
from cir.whole_files import replacing, write_array, write_json, write_whole

CODE = Path(cir.__file__).parent
# Files whose names are checksums of what is in them, which is known only once they are written.
OWN_DRAFTS = {"gallery/kept_arrays.py", "ranking/engines/index_files.py"}
THAT_KNOW_DRAFTS = {
    "gallery/upkeep.py",  # clears up
    "surroundings.py",  # names the file that was asked for instead
    "whole_files.py",
}


def test_what_was_written_is_what_is_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "bytes", b"\x00new")
    write_whole(tmp_path / "text", "größer\n")
    write_json(tmp_path / "json", {"b": 1, "a": [2]})
    write_array(tmp_path / "rows.npy", np.arange(6).reshape(2, 3))
    assert (tmp_path / "bytes").read_bytes() == b"\x00new"
    assert (tmp_path / "text").read_text(encoding="utf-8") == "größer\n"
    assert (tmp_path / "json").read_text(encoding="utf-8") == '{\n "a": [\n  2\n ],\n "b": 1\n}'
    assert np.load(tmp_path / "rows.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert sorted(os.listdir(tmp_path)) == ["bytes", "json", "rows.npy", "text"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_draft_whose_writer_gives_up_is_deleted(tmp_path: Path) -> None:
    def give_up() -> None:
        with replacing(tmp_path / "file") as draft:
            draft.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit of one process is wanted")
def test_a_library_that_only_says_that_writing_failed_is_told_to_be_out_of_room(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; import torch; from cir.whole_files import replacing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    with replacing(Path(sys.argv[1])) as draft: torch.save(torch.zeros(100_000), draft)\n"
        "except Exception as error: print(type(error).__name__, error.errno)"
    )
    (tmp_path / "kept.pt").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "kept.pt")],
        cwd=CODE.parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["OSError", str(errno.EFBIG)], done.stderr
    assert (tmp_path / "kept.pt").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["kept.pt"]


@pytest.mark.parametrize("place", ["file", "gone/file"])
def test_another_error_of_who_writes_is_left_as_it_is(tmp_path: Path, place: str) -> None:
    def write() -> None:
        with replacing(tmp_path / place):
            raise ValueError("no number")

    with pytest.raises(ValueError, match="no number"):
        write()


def test_two_that_write_one_file_do_not_write_into_each_others_drafts(tmp_path: Path) -> None:
    path, both = tmp_path / "file", threading.Barrier(2)

    def write(letter: str) -> None:
        with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
            for _ in range(50):
                both.wait(10)
                file.write(letter * 1000)
                file.flush()

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert path.read_text(encoding="utf-8") in ("a" * 50_000, "b" * 50_000)
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_was_deleted_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "gone" / "file", b"new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["n" * 255, "図" * 85, "é" * 127 + "n"])
def test_a_name_that_is_as_long_as_names_can_be_has_room_for_its_draft(name: str, tmp_path: Path) -> None:
    write_whole(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == [name]


def test_no_module_has_drafts_of_its_own() -> None:
    found = {
        str(path.relative_to(CODE))
        for path in CODE.rglob("*.py")
        if re.search(r"\.tmp\b", path.read_text(encoding="utf-8"))
    }
    assert found == OWN_DRAFTS | THAT_KNOW_DRAFTS
