"""What is kept of a method's queries is made anew where its own code changes, and stays where another's does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cir import cache_keys
from cir.cache_keys import CODE, modules_reached
from cir.composers.registry import METHODS
from cir.evaluation.method_code import CARRYING, _files_of, method_code
from cir.models.fusion.files import NETWORKS

NAMES = [card.name for card in METHODS]


def test_modules_are_followed_as_far_as_they_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "cir"
    (code / "models").mkdir(parents=True)
    files = {
        "one.py": "from cir.two import name\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cir.seen import name",
        "two.py": "def late():\n    if name:\n        import cir.models.lazy\n    from cir import three",
        "models/__init__.py": "",
        "models/lazy.py": "import torch\nfrom cir.left_out import name",
        "three.py": "from cir.one import name",
        "seen.py": "",
        "left_out.py": "from cir.behind import name",
        "behind.py": "",
    }
    for name, text in files.items():
        (code / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(cache_keys, "CODE", code)
    assert modules_reached(["cir.one"], lambda module: module != "cir.left_out") == [
        "models/lazy.py",
        "one.py",
        "three.py",
        "two.py",
    ]
    assert "behind.py" in modules_reached(["cir.one"], lambda _: True)
    assert modules_reached(["cir.nowhere"], lambda _: True) == []


@pytest.mark.parametrize("card", METHODS, ids=NAMES)
def test_a_method_depends_on_its_own_file_and_on_that_of_its_network(card) -> None:
    found = _files_of(card.name)
    assert card.file.removeprefix("cir/") in found
    for need in card.needs:
        kind, _, recipe = need.partition(" ")
        if kind == "network":
            network = NETWORKS[recipe].__module__.removeprefix("cir.").replace(".", "/")
            assert f"{network}.py" in found


def test_no_method_depends_on_anothers_file_that_it_does_not_use() -> None:
    for name in ("Sum", "CVSI", "HyCIR"):
        assert "composers/compodiff.py" not in _files_of(name)
        assert "composers/registry.py" not in _files_of(name)
    assert "composers/cvsi.py" in _files_of("CVSI+removal"), "which is one with a further term"
    assert "composers/textual_inversion.py" in _files_of("HyCIR")
    assert len({method_code(name) for name in ("Sum", "CVSI", "HyCIR", "CompoDiff", "SPRC")}) == 5


def test_all_code_that_composes_belongs_to_some_method() -> None:
    reached = {file for name in NAMES for file in _files_of(name)}
    carrying = {f"{module.removeprefix('cir.').replace('.', '/')}.py" for module in CARRYING}
    composing = {str(p.relative_to(CODE)) for p in (CODE / "composers").glob("[!_]*.py")}
    assert composing - carrying <= reached


def test_a_network_of_ones_own_depends_on_all_of_them() -> None:
    every = set(_files_of("HyCIR on my pictures"))
    assert all(every >= set(_files_of(name)) for name in NAMES)
