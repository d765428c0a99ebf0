"""What a command prints survives a console that knows only ASCII, and a reader that stops reading."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
