"""Which of the numbered faults have a test that bears their number. `python tests/faults.py`"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

FAULTS = range(1, 85)
_NUMBERS = re.compile(r"test_faults?_(\d+)((?:_and)?_\d+)*(?=_|$)")


def numbers_of(name: str) -> set[int]:
    """The faults that a test's name claims: test_faults_63_and_64_a_crash -> 63 and 64."""
    found = _NUMBERS.match(name)
    return {int(number) for number in re.findall(r"\d+", found[0])} if found else set()


def by_fault(folder: Path) -> dict[int, list[str]]:
    """Fault -> the tests that bear its number, as file::test."""
    tests: dict[int, list[str]] = {number: [] for number in FAULTS}
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for number in numbers_of(node.name) & tests.keys():
                    tests[number].append(f"{path.name}::{node.name}")
    return tests


def main() -> None:
    """Print every fault with its tests, and how many have one."""
    tests = by_fault(Path(__file__).parent)
    for number, names in tests.items():
        sys.stdout.write(f"{number:2d}  {'; '.join(names) or 'none'}\n")
    covered = sum(bool(names) for names in tests.values())
    sys.stdout.write(f"{covered} of {len(tests)} faults have a test\n")


if __name__ == "__main__":
    main()
