"""Folders of uploads go with their process; of one that was killed, at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cir.ui.server.middleware import make_room
from cir.ui.server.uploads import IN_USE, YOUNG_SECONDS, remove_left_behind

ROOT = Path(__file__).resolve().parents[1]
A_PAGE = """
import os
from pathlib import Path
from cir.ui.server.uploads import keep_uploads_apart
keep_uploads_apart()
Path(os.environ["GRADIO_TEMP_DIR"], "holiday.jpg").write_bytes(b"a picture")
print(os.environ["GRADIO_TEMP_DIR"], flush=True)
input()
"""


@contextmanager
def a_page(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that keeps uploads below a folder, and its folder of them, made so long ago that it counts."""
    surroundings = {**os.environ, "TMPDIR": str(place), "GRADIO_TEMP_DIR": ""}
    with subprocess.Popen(
        [sys.executable, "-c", A_PAGE], cwd=ROOT, env=surroundings, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        grow_old(folder)
        yield process, folder
        process.kill()


def grow_old(folder: Path) -> None:
    long_ago = time.time() - YOUNG_SECONDS - 1
    os.utime(folder / IN_USE, (long_ago, long_ago))


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    strange = [tmp_path / "recompose-notes" / "mine.txt", tmp_path / "other" / IN_USE]
    for path in strange:
        path.parent.mkdir()
        path.touch()
    grow_old(tmp_path / "other")
    with a_page(tmp_path) as (living, kept), a_page(tmp_path) as (killed, left):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "holiday.jpg").exists()
        remove_left_behind(tmp_path)
        assert not left.exists()
        assert (kept / "holiday.jpg").exists()
        living.communicate("\n")
        assert not kept.exists()
    assert all(path.exists() for path in strange)


def test_a_start_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    with a_page(tmp_path) as (killed, left):
        killed.kill()
        killed.wait()
        with a_page(tmp_path) as (_, own):
            assert not left.exists()
            assert own.exists()


@pytest.mark.parametrize("case", ["young", "linked"])
def test_a_folder_that_is_being_made_or_lies_elsewhere_is_left_alone(tmp_path: Path, case: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="recompose-", dir=tmp_path))
    (folder / IN_USE).touch()
    if case == "linked":
        grow_old(folder)
        folder = folder.rename(tmp_path / "elsewhere")
        (tmp_path / "recompose-link").symlink_to(folder)
    remove_left_behind(tmp_path)
    assert folder.exists()


def test_room_for_uploads_is_not_made_of_the_mark_of_their_folder(tmp_path: Path) -> None:
    for name in (IN_USE, "holiday.jpg"):
        (tmp_path / name).write_bytes(b"x")
    grow_old(tmp_path)
    assert make_room(tmp_path, 0, 0.0)
    assert [path.name for path in tmp_path.iterdir()] == [IN_USE]
