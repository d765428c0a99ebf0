"""`python -m cir models`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cir.commands.console import print_json
from cir.errors import CirError


def models_list(options: argparse.Namespace) -> int:
    """Print a row for each model of each set."""
    from cir.models.catalog import list_models

    rows = list_models()
    if options.json:
        print_json(rows)
        return 0
    for row in rows:
        here = "here" if row["here"] else "not here"
        sys.stdout.write(
            f"{row['set']:<9} {row['part']:<16} {row['name']:<46} {_size(row):>13}  {row['licence']:<14} {here}\n"
        )
    for line in _memories(rows):
        sys.stdout.write(line + "\n")
    if unknown := [f"{row['name']} ({row['size_from']})" for row in rows if not row["size"]]:
        sys.stdout.write(f"Sizes that are unknown: {'; '.join(unknown)}.\n")
    return 0


def _memories(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each set: what it takes of memory, and how that is known."""
    sets = {row["set"]: row for row in rows if row["set_memory"]}
    return [
        f"{name} takes about {row['set_memory'] / 1e9:.1f} GB of memory, without the language model ({row['set_memory_from']})."
        for name, row in sets.items()
    ]


def _size(row: dict[str, Any]) -> str:
    """How large a model is; "about" where only the publisher's page says so."""
    if not row["size"]:
        return "unknown"
    about = "about " if row["size_from"].startswith("about") else ""
    return f"{about}{row['size'] / 1e6:,.0f} MB"


def models_pull(options: argparse.Namespace) -> int:
    """Fetch what a set needs; what is here already is checked and left."""
    from cir.models.catalog import pull

    shown = [""]

    def progress(name: str, done: int, total: int) -> None:
        percent = 100 * done // total if total else 0
        # On a terminal each percent replaces the last; in a log file each model is one line.
        line = f"{name}: {percent} % of {total / 1e6:.0f} MB" if sys.stderr.isatty() else f"fetching {name}"
        if line != shown[0]:
            sys.stderr.write(f"\r{line:<70}" if sys.stderr.isatty() else f"{line}\n")
            sys.stderr.flush()
            shown[0] = line

    try:
        fetched = pull(
            options.name,
            llm=options.llm,
            accept_noncommercial=options.accept_noncommercial,
            progress=progress,
        )
        made = _make(options)
    except CirError as error:
        if not options.best_effort:
            raise
        sys.stderr.write(f"\n{error}\nThe page starts without it and says which terms are missing.\n")
        return 0
    if shown[0] and sys.stderr.isatty():
        sys.stderr.write("\n")
    for name in fetched:
        sys.stdout.write(f"fetched {name}\n")
    for name in made:
        sys.stdout.write(f"made {name}\n")
    return 0


def _make(options: argparse.Namespace) -> list[str]:
    """Make the mapping networks that a set is given on this computer, and that are not here; their names."""
    from cir.models.catalog import SETS, is_here

    parts = SETS[options.name].mapping.values() if options.name in SETS else ()
    if all(is_here(part) or not part.made for part in parts):
        return []
    from cir.application import build_models
    from cir.models.downloads import models_folder
    from cir.training.made_mapping import make_missing

    models = build_models(options.name, llm="none")
    sys.stderr.write(
        f"Making a mapping network from texts, {options.minutes:g} minutes. Stopped, it goes on the next time.\n"
    )
    return make_missing(models, models_folder(), minutes=options.minutes, say=_told)


def _told(sentence: str) -> None:
    """Progress: on a terminal each line replaces the last; a log file gets none, for there would be hundreds."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{sentence:<70}")
        sys.stderr.flush()


def models_check(options: argparse.Namespace) -> int:
    """Load a set, time it, and ask it what is known; one table. 1 where something does not hold."""
    from cir.application import build_models
    from cir.measuring.model_check import check_models

    models = build_models(options.name, llm=options.llm, clip=options.clip, device=options.device)
    try:
        findings = check_models(models)
    finally:
        models.close()
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        width = max(len(one.what) for one in findings)
        for one in findings:
            verdict = ("holds" if one.holds else "FAILS") if one.wanted else ""
            line = f"{one.what:<{width}}  {one.found:<24} {one.wanted:<11} {verdict}"
            sys.stdout.write(line.rstrip() + "\n")
    failed = [one for one in findings if not one.holds]
    for one in failed:
        sys.stderr.write(f"\n{one.what}: {one.remedy}\n")
    return 1 if failed else 0
