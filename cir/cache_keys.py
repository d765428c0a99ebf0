"""What kept work depends on, and the key under which it is kept: where any of it changes, nothing is reused.

Knows neither models nor data; whoever keeps something says what it was made of.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cir.whole_files import write_whole

INPUTS = "inputs.json"
CODE = Path(__file__).resolve().parent
_DIGITS = 16


def digest_of(*values: object) -> str:
    """16 hexadecimal digits of values that JSON can hold, of bytes, and of arrays with their shapes and types."""
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    for value in values:
        if isinstance(value, np.ndarray):
            digest.update(f"array {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        elif isinstance(value, bytes):
            digest.update(b"bytes %d " % len(value) + value)
        else:
            digest.update(b"json " + json.dumps(value, sort_keys=True, default=str).encode() + b"\0")
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """64 hexadecimal digits of a file's content, under any name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path, pattern: str = "*") -> str:
    """Of the names and contents of a folder's files that match, in order of their names."""
    return digest_of(
        [(path.name, file_digest(path)) for path in sorted(folder.glob(pattern)) if path.is_file()]
    )


@cache
def code_digest(*parts: str) -> str:
    """Of the program's own source text, such as "training" or "prompts.py": another version works otherwise.

    Args:
        parts: files and folders of the package.
    """
    files = [
        f
        for part in parts
        for f in ([CODE / part] if part.endswith(".py") else sorted((CODE / part).rglob("*.py")))
    ]
    return digest_of([(str(f.relative_to(CODE)), f.read_text(encoding="utf-8")) for f in files])


def modules_reached(roots: Iterable[str], counts: Callable[[str], bool]) -> list[str]:
    """The files of modules, and of what they import when they run, in order of their names and as `code_digest` takes them.

    Args:
        roots: modules, such as "cir.composers.hycir".
        counts: whether a module is followed; one that is not is left out, with what only it imports.
    """
    left, found = [*roots], set[str]()
    while left:
        module = left.pop()
        path = CODE.parent.joinpath(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not counts(module) or not file.is_file() or (name := str(file.relative_to(CODE))) in found:
            continue
        found.add(name)
        left += _imported(ast.parse(file.read_text(encoding="utf-8")))
    return sorted(found)


def _imported(tree: ast.AST) -> Iterator[str]:
    """What a syntax tree imports by its full name, a name from a module as if it were a module; what is for type checkers alone is not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        else:
            yield from _imported(node)


def keyed_folder(root: Path, name: str, inputs: Mapping[str, Any]) -> Path:
    """The folder of the work `name` on these inputs, made where it is not there; what they were stands in it.

    Args:
        root: of all such folders.
        name: what is done, for people.
        inputs: everything that the result depends on, as JSON can hold it.
    """
    folder = root / f"{name}-{digest_of(dict(inputs))}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / INPUTS).exists():
        told = json.dumps(dict(inputs), indent=1, sort_keys=True, default=str)
        write_whole(folder / INPUTS, told + "\n")
    return folder


def folders_of(root: Path, name: str) -> list[Path]:
    """All folders of the work `name`, the one that was worked in last first; one without a key is an older version's."""
    wanted = re.compile(rf"{re.escape(name)}(-[0-9a-f]{{{_DIGITS}}})?")
    found = [path for path in root.glob(f"{name}*") if path.is_dir() and wanted.fullmatch(path.name)]
    return sorted(
        found, key=lambda folder: max(f.stat().st_mtime for f in (folder, *folder.iterdir())), reverse=True
    )


def what_else_there_is(folder: Path, name: str) -> str:
    """A sentence about work of the same name on other inputs, which is left alone; "" when there is none."""
    others = [one for one in folders_of(folder.parent, name) if one != folder]
    if not others:
        return ""
    mine, theirs = _read(folder), _read(others[0])
    differs = ", ".join(key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key))
    why = f" (it differs in: {differs})" if theirs else ""
    more = f" and {len(others) - 1} more are" if others[1:] else " is"
    return f"{others[0].name}{why}{more} left as it was: nothing of it is used."


def _read(folder: Path) -> dict[str, Any]:
    path = folder / INPUTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def gallery_digest(
    image_ids: Sequence[str], contents: Sequence[str], texts: Sequence[str], *rows: np.ndarray
) -> str:
    """Of what a gallery holds: its images by id and content hash, their captions, and rows of features."""
    return digest_of(list(image_ids), list(contents), list(texts), *rows)
