"""`python -m cir models`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from cir.commands.console import print_json
from cir.commands.going_on import PHOTOGRAPH_SET, SHIPPED_SET
from cir.errors import CirError
from cir.models.server.address import Asking

FETCHING, MAKING, TRYING = "fetching", "making", "trying"  # as `cir.models.fetching` reads them
LINE_SECONDS = 0.3


def print_line(value: Mapping[str, Any]) -> None:
    """One object of JSON on a line of its own, at once."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


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


def models_shrink(options: argparse.Namespace) -> int:
    """Write files of networks again with their large matrices in eight bits."""
    from cir.models.network_files import pack_matrices

    for path in options.network_files:
        before = path.stat().st_size
        pack_matrices(path)
        sys.stdout.write(f"{path}: {before:,} -> {path.stat().st_size:,} bytes\n")
    return 0


def models_pull(options: argparse.Namespace) -> int:
    """Fetch what a set needs; what is here already is checked and left."""
    told = _Lines() if options.json else _Terminal()
    if options.json:  # whoever ends it takes pip, and what it has unpacked, along
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        fetched = _fetch(options, told)
        for name in fetched:
            told.has(f"fetched {name}")
        made = _make(options, told)
        for name in made:
            told.has(f"made {name}")
        if not (fetched or made or options.json):
            told.has(f"{options.name} is here already, with all that it needs")
        if options.first_gallery:
            told.has(f"indexed {_index_first(options, told)}")
        if fetched and options.name == SHIPPED_SET and not options.json:  # a first start, with a network
            sys.stdout.write(_better())
    except CirError as error:
        if options.json:
            print_line({"error": error.message, "remedy": error.remedy})
            return 2
        if not options.best_effort:
            raise
        sys.stderr.write(f"\n{error}\nThe page starts without it and says which terms are missing.\n")
    return 0


class _Terminal:
    """Tells a person how far it is: on a terminal each line replaces the last; in a log file each model is one line."""

    def __init__(self) -> None:
        self.shown, self.replaces = "", sys.stderr.isatty()

    def fetching(self, name: str, done: int, total: int) -> None:
        """Some bytes of a model came."""
        percent = 100 * done // total if total else 0
        line = f"{name}: {percent} % of {total / 1e6:.0f} MB" if self.replaces else f"fetching {name}"
        if line != self.shown:
            sys.stderr.write(f"\r{line:<70}" if self.replaces else f"{line}\n")
            sys.stderr.flush()
            self.shown = line

    def said(self, stage: str, sentence: str) -> None:
        """How far the making of a network is, or its trial; a log file would have hundreds of lines."""
        if self.replaces:
            sys.stderr.write(f"\r{sentence:<70}")
            sys.stderr.flush()
            self.shown = sentence

    def has(self, what: str) -> None:
        """Something is done."""
        if self.shown and self.replaces:
            sys.stderr.write("\n")
            self.shown = ""
        sys.stdout.write(f"{what}\n")


class _Lines:
    """Tells a program the same, each as an object of JSON; a few of them a second."""

    def __init__(self) -> None:
        self.due, self.part = 0.0, ""

    def fetching(self, name: str, done: int, total: int) -> None:
        """As of `_Terminal`."""
        now = time.monotonic()
        if now >= self.due or name != self.part or done == total:
            print_line({"stage": FETCHING, "part": name, "done": done, "total": total})
            self.due, self.part = now + LINE_SECONDS, name

    def said(self, stage: str, sentence: str) -> None:
        """As of `_Terminal`."""
        print_line({"stage": stage, "said": sentence})

    def has(self, what: str) -> None:
        """As of `_Terminal`."""
        print_line({"has": what})


def _fetch(options: argparse.Namespace, told: _Terminal | _Lines) -> list[str]:
    from cir.models.catalog import pull

    accept = options.accept_noncommercial
    return pull(options.name, llm=options.llm, accept_noncommercial=accept, progress=told.fetching)


def _make(options: argparse.Namespace, told: _Terminal | _Lines) -> list[str]:
    """Make the mapping networks that a set is given on this computer, and that are not here; their names."""
    from cir.models.catalog import SETS, is_here

    parts = SETS[options.name].mapping.values() if options.name in SETS else ()
    if all(is_here(part) or not part.made for part in parts):
        return []
    from cir.application import build_models
    from cir.models.downloads import models_folder
    from cir.training.made_mapping import make_missing

    models = build_models(options.name, llm="none", device=options.device)
    told.said(MAKING, "opening the CLIP")
    sys.stderr.write(
        f"Making a mapping network from texts, {options.minutes:g} minutes. Stopped, it goes on the next time.\n"
    )
    say = partial(told.said, MAKING)
    return make_missing(models, models_folder(), minutes=options.minutes, say=say)


def _index_first(options: argparse.Namespace, told: _Terminal | _Lines) -> str:
    """Index the photographs that come with the program, unless the set has a gallery already; its name.

    A page with the set has something to begin with, then, and every model was opened once.

    Raises:
        CirError: a model cannot be opened.
    """
    from cir.application import build_models, prepare_first_gallery

    told.said(TRYING, "opening the models")
    models = build_models(options.name, llm="none", device=options.device)
    found = prepare_first_gallery(models, say=partial(told.said, TRYING))
    return found or "nothing: the sample gallery is there"


def _better() -> str:
    """That there is a set that reads photographs better; "" where it is here."""
    from cir.models.catalog import is_here, part_bytes, parts_of

    left = [part for _, part in parts_of(PHOTOGRAPH_SET) if not is_here(part) and not part.made]
    if not left:
        return ""
    size, licences = sum(part_bytes(part) or 0 for part in left), dict.fromkeys(one.licence for one in left)
    return (
        f"Models that read photographs better ({PHOTOGRAPH_SET}: {size / 1e9:.1f} GB, {', '.join(licences)}) are fetched when you "
        f"ask for them: in the page's tab Galleries, or by python -m cir models pull {PHOTOGRAPH_SET}\n"
    )


def models_check(options: argparse.Namespace) -> int:
    """Load a set, time it, and ask it what is known; one table. 1 where something does not hold."""
    from cir.application import build_models
    from cir.measuring.model_check import check_models

    models = build_models(
        options.name, llm=options.llm, clip=options.clip, device=options.device, asking=Asking.of(options)
    )
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
