"""How often an edit is taken for one in another language, on edits that the limits were not chosen on.

`python benchmarks/languages.py` reads benchmarks/data/held_out_edits.json: edits as people type them, short, with
slips, names and loanwords, written after the limits in cir/languages.py were settled. Whoever changes those limits has
to write new ones first: these would then be the ones that they were chosen on.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EDITS = ROOT / "benchmarks" / "data" / "held_out_edits.json"
sys.path.insert(0, str(ROOT))


def interval(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 per cent."""
    share, scale = count / of, 1 + z * z / of
    middle = share + z * z / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - reach) / scale, (middle + reach) / scale


def line(what: str, count: int, of: int) -> str:
    """One row of the table."""
    low, high = interval(count, of)
    return f"{what:<44} {count:4} of {of:4}  {count / of:6.1%}  [{low:.1%}, {high:.1%}]"


def main() -> None:
    """Measure, and print one line for each question, then what went wrong."""
    from cir.languages import foreign_language

    edits: dict[str, list[str]] = json.loads(EDITS.read_text(encoding="utf-8"))
    called = {language: {edit: foreign_language(edit) for edit in edits[language]} for language in edits}
    english = called.pop("English")
    alarms = {edit: name for edit, name in english.items() if name}
    rows = [line("English, called another language", len(alarms), len(english))]
    of_all = [(language, edit, name) for language, found in called.items() for edit, name in found.items()]
    rows.append(share_found("other languages, recognised", [name for *_, name in of_all]))
    longer = [name for _, edit, name in of_all if not edit.isascii() or len(edit.split()) > 2]
    rows.append(share_found("... of three words and more, or not ASCII", longer))
    right = sum(language == name for language, _, name in of_all)
    rows.append(line("... and called by their own name", right, len(of_all)))
    rows += [share_found(f"{language}", list(found.values())) for language, found in called.items()]
    print("\n".join(rows))
    print("\nEnglish taken for another:", json.dumps(alarms, ensure_ascii=False))
    print("Not recognised:", "; ".join(f"{edit} ({language})" for language, edit, name in of_all if not name))


def share_found(what: str, names: Collection[str]) -> str:
    """The share of edits that were taken for one of another language, whichever."""
    return line(what, sum(map(bool, names)), len(names))


if __name__ == "__main__":
    main()
