"""`python -m soak [CAMPAIGN ...]`: run campaigns whole and print how they went. The exit status says whether all held."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

# Read when the libraries are imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import soak  # noqa: F401  the toys of the tests can be imported from here on


def mutations(count: int) -> tuple[bool, str]:
    """Damaged picture files."""
    from soak.mutations import campaign

    went = campaign(count)
    said = f"{went.tried} files: {went.read} read, {went.refused} refused, {len(went.escaped)} escaped"
    return not went.escaped, f"{said}; slowest {went.slowest_ms:.0f} ms\n" + "\n".join(went.escaped[:20])


def kills(count: int) -> tuple[bool, str]:
    """kill -9 in indexing."""
    from gallery_doubles import folder_in_memory

    from soak.kills import campaign

    with folder_in_memory() as folder:
        went = campaign(count, folder)
    said = f"{went.killed} of {count} killed in their work, {len(went.lost)} faults"
    return not went.lost, said + "\n" + "\n".join(went.lost[:20])


def pulls(count: int) -> tuple[bool, str]:
    """A folder that goes away while it is indexed."""
    from gallery_doubles import folder_in_memory

    from soak.pulls import campaign

    with folder_in_memory() as folder:
        went = campaign(count, folder)
    said = f"{went.pulled} of {count} folders pulled in their work, {len(went.lost)} faults"
    return not went.lost, said + "\n" + "\n".join(went.lost[:20])


def users(count: int) -> tuple[bool, str]:
    """Programs at once, and pages at once."""
    from served import serve_toys

    from soak.users import campaign

    with tempfile.TemporaryDirectory() as folder, serve_toys(Path(folder)) as page:
        went = campaign(count, page)
    said = (
        f"{went.first} of {2 * count} had first results while others waited, {went.own} got their own answers"
    )
    said += f"; the longest line was {went.furthest} before one; {went.seconds:.0f} s"
    return not went.wrong, said + "\n" + "\n".join(went.wrong[:20])


def connections(count: int) -> tuple[bool, str]:
    """Whole sessions with the real program."""
    from soak.connections import campaign

    noted, foreign = 0, []
    for _ in range(count):
        went = campaign()
        noted, foreign = noted + went.noted, [*foreign, *went.foreign]
    said = f"{noted} connections in {count} sessions, {len(foreign)} to other machines"
    return noted > 0 and not foreign, said + "\n" + "\n".join(foreign)


def memory(count: int) -> tuple[bool, str]:
    """A long day of the real page."""
    from soak.memory import MOST_GROWTH, campaign

    went = campaign(count)
    said = f"{went.searches} searches: {went.before / 2**20:.0f} MiB after the warm-up, {went.after / 2**20:.0f} at the end"
    said += f", {went.growth:+.1%}; {len(went.failed)} failed\n" + "\n".join(went.failed[:20])
    return went.growth < MOST_GROWTH and not went.failed, said


def races(count: int) -> tuple[bool, str]:
    """Quick hands on slow networks, over 100,000 pictures."""
    from soak.races import browser, campaign, large_page

    with tempfile.TemporaryDirectory() as folder, large_page(Path(folder)) as network, browser() as open_page:
        went = campaign(count, network, open_page)
    said = f"{went.tried} sequences, {len(went.wrong)} differ from a slow hand's"
    return not went.wrong, said + "\n" + "\n".join(went.wrong[:20])


CAMPAIGNS = {
    "races": (races, 40),
    "mutations": (mutations, 10_000),
    "kills": (kills, 50),
    "pulls": (pulls, 150),
    "users": (users, 100),
    "connections": (connections, 1),
    "memory": (memory, 1000),
}


def main() -> int:
    """Run what was asked for; 0 when everything held."""
    options = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    options.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    options.add_argument("--count", type=int, help="another size than usual")
    chosen = options.parse_args()
    if unknown := set(chosen.campaigns) - set(CAMPAIGNS):
        options.error(f"there is no campaign {', '.join(sorted(unknown))}; there are {', '.join(CAMPAIGNS)}")
    held = True
    for name in chosen.campaigns or CAMPAIGNS:
        run, usual = CAMPAIGNS[name]
        good, said = run(chosen.count or usual)
        sys.stdout.write(f"{'held  ' if good else 'BROKEN'} {name}: {said.strip()}\n")
        sys.stdout.flush()
        held = held and good
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
