"""How large the program's modules and functions are, what is documented, and what one query passes. `python benchmarks/house.py`

Lines are non-blank ones. A function's size is that of its whole text, docstring included. Public is what has no leading
underscore, in a class that has none. One query is a search by CVSI over the toys of the tests, from `Retriever.compose`
to ranked images: the modules of cir that it enters, and how often it climbs, which is a call of a module that is waiting
for an answer already.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(text: str) -> int:
    """How many lines are not blank."""
    return sum(bool(line.strip()) for line in text.splitlines())


def definitions(node: ast.AST, public: bool = True) -> Iterator[tuple[Function | ast.ClassDef, bool]]:
    """All functions and classes below a node, and whether each is public; what lies in a function is not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            seen = public and not child.name.startswith("_")
            yield child, seen
            yield from definitions(child, seen and isinstance(child, ast.ClassDef))
        else:
            yield from definitions(child, public)


def share(flags: list[bool]) -> str:
    """ "94 %"."""
    return f"{100 * np.mean(flags):.0f} %"


def measured(folder: Path) -> dict[str, str]:
    """What a folder of modules is like: name of the measure -> value."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    modules = [lines_of(text) for text in texts.values()]
    functions: list[int] = []
    documented: list[bool] = []
    typed: list[bool] = []
    for text in texts.values():
        rows = text.splitlines()
        for node, public in definitions(ast.parse(text)):
            if public:
                documented.append(ast.get_docstring(node) is not None)
            if not isinstance(node, ast.ClassDef):
                functions.append(lines_of("\n".join(rows[node.lineno - 1 : node.end_lineno])))
                typed.append(node.returns is not None or node.name == "__init__")
    return {
        "modules": str(len(modules)),
        "lines": f"{sum(modules):,}",
        "module med / max": f"{np.median(modules):.0f} / {max(modules)}",
        "function med / p90 / max": f"{np.median(functions):.0f} / {np.percentile(functions, 90):.0f} / {max(functions)}",
        "public docstrings": share(documented),
        "return types": share(typed),
    }


def kinds_of(text: str) -> Counter[str]:
    """Lines of a module by what they hold; a text is a line that begins with a string, such as one of HTML."""
    tree, rows = ast.parse(text), text.splitlines()
    held = {number: "code" for number, row in enumerate(rows, start=1) if row.strip()}
    held |= {number: "comments" for number in held if rows[number - 1].lstrip().startswith("#")}

    def mark(node: ast.stmt | ast.expr, kind: str, *, only: str = "") -> None:
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
            if number in held and re.match(only, rows[number - 1].lstrip()):
                held[number] = kind

    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            mark(node, "texts", only="[rf]?[\"']")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            mark(node, "imports")
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node, clean=False):
            mark(node.body[0], "docstrings")
    return Counter(held.values())


def kinds_table(folder: Path) -> str:
    """A row for each part of a folder: its lines by what they hold; scripts and style sheets by their ending."""
    heads = ("code", "texts", "docstrings", "comments", "imports", ".js", ".css")
    parts: dict[str, Counter[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".py", ".js", ".css"):
            continue
        text, inside = path.read_text(encoding="utf-8"), path.relative_to(folder).parts
        found = kinds_of(text) if path.suffix == ".py" else Counter({path.suffix: lines_of(text)})
        parts.setdefault(inside[0] if len(inside) > 1 else ".", Counter()).update(found)
    parts["all"] = sum(parts.values(), Counter())
    lines = [f"| {folder.name} | lines | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for name, found in sorted(parts.items(), key=lambda row: row[1].total()):
        numbers = (f"{found.get(head, 0):,}" for head in heads)
        lines.append(f"| {name} | {found.total():,} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


def passed(work: Callable[[], object]) -> tuple[int, int]:
    """How many modules of cir a piece of work enters, and how often it climbs."""
    entered: set[str] = set()
    climbs = 0
    inside = str(ROOT / "cir") + os.sep

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal climbs
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(inside):
            return
        entered.add(file)
        caller = frame.f_back
        waiting = []
        while caller is not None:
            if caller.f_code.co_filename.startswith(inside):
                waiting.append(caller.f_code.co_filename)
            caller = caller.f_back
        climbs += bool(waiting) and file != waiting[0] and file in waiting

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return len(entered), climbs


def one_query() -> tuple[int, int]:
    """Modules and climbs of a search by CVSI over the toys."""
    sys.path.insert(0, str(ROOT))
    from cir.ranking.retriever import Retriever
    from cir.types import Query
    from tests.fakes import ToyCaptioner, ToyLanguageModel, draw, toy_cvsi, toy_gallery

    retriever = Retriever(toy_gallery(), {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())})
    values = retriever.defaults("CVSI")

    def search() -> None:
        *_, composed = retriever.compose(Query(draw("red", "square"), "make it blue"), "CVSI")
        retriever.rank(composed, values)

    return passed(search)


def main() -> None:
    """Print a table, a row for each folder."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folders", type=Path, nargs="*", default=[ROOT / "cir", ROOT / "cir" / "ui"])
    options.add_argument("--kinds", action="store_true", help="instead what the lines of each part hold")
    given = options.parse_args()
    if given.kinds:
        sys.stdout.write("\n".join(map(kinds_table, given.folders)))
        return
    rows = {str(one.resolve().relative_to(ROOT)): measured(one) for one in given.folders}
    heads = list(next(iter(rows.values())))
    out = sys.stdout.write
    out(f"| | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}\n")
    for name, row in rows.items():
        out(f"| {name} | {' | '.join(row.values())} |\n")
    modules, climbs = one_query()
    out(f"\nOne query of CVSI enters {modules} modules and climbs {climbs} times.\n")


if __name__ == "__main__":
    main()
