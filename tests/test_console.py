"""What a command prints survives a console that knows only ASCII, and a reader that stops reading."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cir.__main__ import main
from cir.commands import models
from cir.interrupts import ending_at_once
from cir.places import SAMPLE_GALLERY

ROOT = Path(__file__).resolve().parents[1]
NAME = "日本 Müller 🌸.webp"


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "cir", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of a picture whose name has letters that ASCII and Latin-1 lack; its cache lies beside it."""
    made = tmp_path_factory.mktemp("console")
    (made / "photos").mkdir()
    picture = SAMPLE_GALLERY / "images" / "0648.webp"
    (made / "photos" / NAME).write_bytes(picture.read_bytes())
    done = command("index", made / "photos", "--name", "写真", "--no-captions", "--json",
                   CIR_CACHE=str(made / "cache"), PYTHONIOENCODING="ascii")  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["images"]) == (0, 1), done.stderr
    return made


def test_a_name_that_the_console_cannot_show_is_printed_with_escapes(folder: Path) -> None:
    done = command("search", "--text", "at night", "--gallery", "写真", "--llm", "none",
                   CIR_CACHE=str(folder / "cache"), PYTHONIOENCODING="ascii")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert NAME.encode("ascii", "backslashreplace") in done.stdout


def test_json_that_the_console_cannot_show_is_json_all_the_same(folder: Path) -> None:
    done = command("search", "--text", "at night", "--gallery", "写真", "--llm", "none", "--json",
                   CIR_CACHE=str(folder / "cache"), PYTHONIOENCODING="latin-1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("latin-1"))["results"][0]["label"] == NAME


def test_the_names_of_galleries_are_printed_in_the_help_and_in_the_list(folder: Path) -> None:
    for arguments in (["galleries"], ["search", "--help"]):
        done = command(*arguments, CIR_CACHE=str(folder / "cache"), PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert rb"\u5199\u771f" in done.stdout


@pytest.mark.parametrize(
    "program",
    [["-m", "cir", "models", "list"], ["-m", "cir", "models", "list", "--json"], ["-m", "cir", "search", "--help"],
     ["app.py", "--help"], ["-c", "import sys; sys.argv[1:] = ['models', 'list']; "
                            "from cir.__main__ import recompose; sys.exit(recompose())"]],
)  # fmt: skip
def test_a_command_whose_reader_has_gone_ends_quietly(program: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([sys.executable, *program], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == (0 if "--help" in program else 141)  # argparse itself takes no offence


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def ended_by(error: Exception, cause: Exception | None = None) -> Callable[[argparse.Namespace], int]:
    def command(_: argparse.Namespace) -> int:
        raise error from cause

    return command


@pytest.mark.parametrize(
    ("error", "cause", "told"),
    [
        (FULL, None, "A file cannot be written or read: no space left on device.\nFree some space"),
        (RuntimeError("unexpected pos 64 vs 0"), FULL, "no space left on device"),  # as torch says it
        (ValueError("I/O error: No space left on device (os error 28)"), None, "Free some space"),  # as safetensors
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), None, "TMPDIR=FOLDER"),
        (PermissionError(errno.EACCES, "", "/root/x.json"), None, "/root/x.json cannot be written or read: permission"),
    ],
)  # fmt: skip
def test_what_stands_in_a_commands_way_is_told_in_a_sentence(monkeypatch, capsys, error, cause, told) -> None:
    monkeypatch.setattr(models, "models_list", ended_by(error, cause))
    assert main(["models", "list"]) == 2
    assert told in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_put_down_to_the_disk(monkeypatch) -> None:
    monkeypatch.setattr(models, "models_list", ended_by(FileNotFoundError(errno.ENOENT, "", "own.json")))
    with pytest.raises(FileNotFoundError):
        main(["models", "list"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("arguments", [["models", "list"], ["galleries"]])
def test_an_output_that_cannot_be_written_is_told_in_a_sentence(arguments, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cir", *arguments], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "CIR_CACHE": str(tmp_path)},
        )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "no space left on device" in done.stderr


STOPPED_WHILE_IT_IS_READ = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
class AtImport:
    def find_spec(self, name, path=None, target=None):
        if name == "cir.commands.checks":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, AtImport())
program, *sys.argv = sys.argv[1:]
if program == "cir":
    runpy.run_module(program, run_name="__main__", alter_sys=True)
else:
    runpy.run_path(program, run_name="__main__")
"""


@pytest.mark.parametrize("program", ["cir", "app.py"])
def test_ctrl_c_while_the_program_is_still_being_read_ends_it_without_a_word(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_WHILE_IT_IS_READ, program, program, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


ENDS = """
import atexit, sys, threading
from cir.interrupts import run_to_its_end
class Left:
    def __del__(self):
        print("waited for the end of the interpreter")
left = Left()
def main():
    atexit.register(print, "uploads are gone")
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return int(sys.argv[1]) if sys.argv[1] != "fault" else 1 // 0
run_to_its_end(main)
"""


@pytest.mark.parametrize(("how", "status"), [("0", 0), ("2", 2), ("fault", 1)])
def test_the_process_leaves_when_what_it_holds_is_gone_and_waits_for_no_thread(how: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS, how], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stdout.splitlines()[0] == "uploads are gone"
    assert ("waited" in done.stdout) == ("ZeroDivisionError" in done.stderr) == (how == "fault")


CALLED_OFF = """
import os, signal, sys, time
from cir.interrupts import ending_in_order
# As nohup has it, or not: these tests themselves may run below one.
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2:] else signal.SIG_DFL)
try:
    with ending_in_order():
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        time.sleep(0.1)
        print("goes on")
except KeyboardInterrupt:
    print("ends as by Ctrl-C")
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [(["SIGTERM"], "ends as by Ctrl-C"), (["SIGHUP"], "ends as by Ctrl-C"), (["SIGHUP", "nohup"], "goes on")],
)
def test_a_process_that_is_called_off_ends_as_by_ctrl_c(given: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLED_OFF, *given], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, said)


def test_afterwards_ctrl_c_is_heard_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ending_at_once():
        assert signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) == before
