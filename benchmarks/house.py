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
import sys
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
    rows = {str(one.resolve().relative_to(ROOT)): measured(one) for one in options.parse_args().folders}
    heads = list(next(iter(rows.values())))
    out = sys.stdout.write
    out(f"| | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}\n")
    for name, row in rows.items():
        out(f"| {name} | {' | '.join(row.values())} |\n")
    modules, climbs = one_query()
    out(f"\nOne query of CVSI enters {modules} modules and climbs {climbs} times.\n")


if __name__ == "__main__":
    main()
