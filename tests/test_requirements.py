"""The requirements name what the program imports, so that a package which stops bringing another breaks nothing."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "requirements.txt",
    "requirements-llm.txt",
    "requirements-mcp.txt",
    "requirements-raw.txt",
    "requirements-scale.txt",
)

OPTIONAL = {"llama_cpp": "llama-cpp-python"}  # what an import may belong to where it is not installed


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(file: str) -> set[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {plain(found[0]) for line in lines if (found := re.match(r"[A-Za-z0-9][\w.-]*", line))}


def imported() -> dict[str, Path]:
    """Top-level package -> a file that imports it, for all that come with neither Python nor this project."""
    found: dict[str, Path] = {}
    for path in [ROOT / "app.py", *(ROOT / "cir").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0]: path for name in names}
    return {name: path for name, path in found.items() if name not in {"cir", *sys.stdlib_module_names}}


def test_every_package_that_is_imported_is_named_in_the_requirements() -> None:
    known, wanted = packages_distributions(), set().union(*map(named, FILES))
    missing = {
        package: path.relative_to(ROOT).as_posix()
        for package, path in imported().items()
        if not {plain(name) for name in known.get(package, [OPTIONAL.get(package, package)])} & wanted
    }
    assert missing == {}
