"""docs/api.md against what runs: its example, its calls and arguments, its options, every field of what comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ToyCaptioner, ToyClip, ToyLanguageModel, toy_cvsi
from served import Served, picture_bytes, serve_toys
from ui_doubles import shelf_of

from cir.__main__ import parser
from cir.ranking.retriever import Retriever
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.search.parcels import packed
from cir.ui.session import Session, Settings

DOCUMENT = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"<!-- example:start -->\n```python\n(.*?)```", re.S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_toys(tmp_path_factory.mktemp("document"), content={"text_encoder": ToyClip()}) as page:
        yield page


@pytest.fixture(scope="module")
def came(served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the example's calls brought, by the names that it gives them."""
    photo = tmp_path_factory.mktemp("photos") / "photo.jpg"
    photo.write_bytes(picture_bytes("red", "square"))
    found = EXAMPLE.search(DOCUMENT)
    assert found is not None
    code = found[1].replace("http://127.0.0.1:7860", served.url).replace('"photo.jpg"', repr(str(photo)))
    names: dict[str, Any] = {}
    exec(compile(code, "docs/api.md", "exec"), names)
    return names


def fields(title: str, table: int = 0) -> set[str]:
    """The names in the first column of a table of a section; several may share a row."""
    section = DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    tables = [block for block in section.split("\n\n") if block.startswith("|")]
    firsts = [line.split("|")[1] for line in tables[table].splitlines()[2:]]
    return {name for first in firsts for name in re.findall(r"`([^`]+)`", first)}


def test_every_field_of_an_answer_is_described_and_no_other(came) -> None:
    assert set(came["answer"]) == set(came["nearer"]) == fields("An answer")
    result = fields("An answer", 1)
    assert set(came["answer"]["results"][0]) == result
    assert set(came["why"]) == result | fields("An answer", 2)


def test_every_field_of_galleries_and_methods_is_described(came) -> None:
    text = DOCUMENT.split("\n## Galleries and methods\n")[1]
    rows = [came["galleries"][0], came["methods"][0], came["methods"][0]["parameters"][0]]
    for name in {name for row in rows for name in row}:
        assert f"`{name}`" in text, name


def test_the_documented_calls_are_those_that_are_public(served) -> None:
    calls = served.page.get_api_info()["named_endpoints"]
    assert fields("The calls") == set(calls)


def test_every_argument_and_option_of_the_vocabulary_is_one_and_old_names_go_on_working(served) -> None:
    rows = [line.split("|") for line in DOCUMENT.splitlines() if line.startswith("| ") and "--" in line]
    calls = served.page.get_api_info()["named_endpoints"]["/search"]["parameters"]
    known = {parameter["parameter_name"] for parameter in calls}
    told = {
        name
        for row in rows
        for column in (row[3], row[5].split("the tool")[0])
        for name in re.findall(r"`(\w+)[`=]", column)
    }
    assert told == known
    options = {name for row in rows for name in re.findall(r"--[a-z-]+[a-z]", "|".join(row))}
    help_text = parser()._subparsers._group_actions[0].choices["search"].format_help()  # type: ignore[union-attr]
    assert [name for name in options if name not in help_text] == []


def test_what_the_page_saves_has_the_fields_of_an_answer(served) -> None:
    composers = {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())}
    content = PageContent(shelf_of(Retriever(served.gallery, composers), "Sample gallery"))
    session = Session(token="page")
    for _ in handlers.search(
        content.retriever, session, image=None, text="a red boat", method="cvsi", settings=Settings()
    ):
        pass
    saved = json.loads(packed(content, session, "json"))
    assert set(saved) == (fields("An answer") - {"search_id"}) | {"selected"}
    assert saved["gallery"]["name"] == "Sample gallery"  # as the page and /galleries call it
