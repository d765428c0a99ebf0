"""docs/faults.md cannot rot: every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAMED = re.findall(
    r"`(test_\w+\.py)::(test_\w+)`", (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8")
)


def functions_of(file: str) -> set[str]:
    """The names of the functions in a file of tests."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_the_list_of_faults_names_is_there(file: str) -> None:
    assert {name for other, name in NAMED if other == file} <= functions_of(file)
