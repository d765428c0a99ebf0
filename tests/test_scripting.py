"""The script of docs/api.md, run as it is written, in a process of its own; and what `cir` promises beside it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cir
from cir.places import SAMPLE_GALLERY

ROOT = Path(__file__).resolve().parents[1]
SECTION = (
    (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split("\n## From Python\n")[1].split("\n## ")[0]
)
PICTURES = 8
# Runs the script, then says which of these modules it brought along.
RUN = """
import json, runpy, sys
runpy.run_path("script.py")
print(json.dumps([name for name in ("gradio", "cir.ui") if name in sys.modules]))
"""


def script() -> str:
    found = re.search(r"<!-- script:start -->\n```python\n(.*?)```\n<!-- script:end -->", SECTION, re.S)
    assert found is not None
    return found[1]


def run(folder: Path, code: str) -> list[str]:
    """The lines that a program prints in a folder, with a cache of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CIR_CACHE": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("script")
    (folder / "photos").mkdir()
    pictures = sorted((SAMPLE_GALLERY / "images").iterdir())[: PICTURES + 1]
    for picture in pictures[1:]:
        shutil.copy(picture, folder / "photos")
    shutil.copy(pictures[0], folder / "photo.jpg")
    (folder / "script.py").write_text(script(), encoding="utf-8")
    return run(folder, RUN)


def test_the_script_indexes_searches_and_ranks_from_the_best_score_down(printed: list[str]) -> None:
    rows = [line.split() for line in printed[:5]]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5]
    scores = [float(row[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert len({row[2] for row in rows}) == 5
    assert all(row[2].endswith(".webp") for row in rows)


def test_the_shares_that_the_script_prints_are_the_best_score(printed: list[str]) -> None:
    shares = ast.literal_eval(printed[5])
    whole = sum(value for share in shares.values() for value in share.values())
    assert whole == pytest.approx(float(printed[0].split()[1]), abs=1e-4)


def test_the_script_brings_neither_gradio_nor_the_page(printed: list[str]) -> None:
    assert json.loads(printed[6]) == []


def test_an_indexed_gallery_is_opened_again_by_its_folder_or_its_name(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for picture in sorted((SAMPLE_GALLERY / "images").iterdir())[:2]:
        shutil.copy(picture, tmp_path / "photos")
    lines = run(
        tmp_path,
        "import cir\n"
        "models = cir.open_models(llm='none')\n"
        "told = []\n"
        "made = cir.index_gallery('photos', models, name='mine', captions=False, progress=told.append)\n"
        "print(made.name, len(made), made.captioned_images, told[-1].images)\n"
        "for name in ('mine', 'photos'):\n"
        "    print(cir.open_gallery(name, models).image_ids == made.image_ids)\n"
        "try:\n"
        "    cir.open_gallery('other', models)\n"
        "except cir.CirError as error:\n"
        "    print(error.remedy != '')\n",
    )
    assert lines == ["mine 2 0 2", "True", "True", "True"]


def test_every_name_of_the_package_is_there_and_described_and_no_other() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", SECTION, flags=re.M))
    assert described == set(cir.__all__)
    assert all(getattr(cir, name) for name in cir.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Retriever'"):
        cir.Retriever  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_imports_none_of_what_it_offers() -> None:
    code = "import sys, cir; print([m for m in ('numpy', 'PIL', 'cir.application', 'cir.types') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


MISUSED = """
import json
import cir

def refused(what):
    try:
        what()
    except cir.CirError as error:
        return error.message
    return ""

models = cir.open_models(llm="none")
gallery = cir.open_gallery(None, models)
retriever = cir.open_retriever(gallery, models)
picture = cir.read_image(gallery.thumbnail_path(gallery.image_ids[0]))
*_, composed = retriever.compose(cir.Query(picture, "at\\u202e night" + 600 * " x"), "cvsi")
start = retriever.defaults("CVSI")
usual = retriever.rank(composed, start, top_k=2)
print(json.dumps({
    "gallery": refused(lambda: cir.open_gallery("", models)),
    "path": refused(lambda: list(retriever.compose(cir.Query("photo.jpg", "at night"), "CVSI"))),
    "text": refused(lambda: list(retriever.compose(cir.Query(picture, 5), "CVSI"))),
    "too much": refused(lambda: retriever.rank(composed, {**start, "alpha": 5})),
    "no number": refused(lambda: retriever.rank(composed, {**start, "gamma": float("nan")})),
    "explained": refused(lambda: retriever.explain(composed, {**start, "beta": "0.3"}, usual[0].image_id)),
    "unknown": refused(lambda: retriever.rank(composed, {**start, "aplha": 0.3})),
    "no names": refused(lambda: retriever.rank(composed, None)),
    "all may be found": refused(lambda: retriever.rank(composed, start, among=[True])),
    "small letters": retriever.defaults("cvsi") == start,
    "one left out": retriever.rank(composed, start, top_k=1, exclude=usual[0].image_id)[0].image_id == usual[1].image_id,
    "some": retriever.rank(composed, {"alpha": 0.4}, top_k=2) == usual,
    "notes": [note for note in composed.notes if "edit" in note],
}))
models.close()
"""


def test_a_script_is_refused_in_words_what_cannot_be_and_its_query_is_read_as_on_the_page(
    tmp_path: Path,
) -> None:
    said = json.loads(run(tmp_path, MISUSED)[-1])
    assert said.pop("gallery") == "A gallery without a name is none."
    assert said.pop("path") == "The reference image has to be a picture, not str."
    assert said.pop("text") == "The edit has to be text, not int."
    assert said.pop("too much") == "alpha is 5."
    assert said.pop("no number") == "gamma has to be a number, not 'nan'."
    assert said.pop("explained") == "beta has to be a number, not '0.3'."
    assert said.pop("unknown") == "The method has no number called 'aplha'."
    assert said.pop("no names") == "The method's numbers are given by name, not as NoneType."
    assert said.pop("all may be found").startswith("What may be found is said for each of the 1,800 pictures")
    assert said.pop("small letters") is True
    assert said.pop("one left out") is True
    assert said.pop("some") is True
    assert any("cut at 500 characters" in note for note in said["notes"])
