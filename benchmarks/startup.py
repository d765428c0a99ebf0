"""How long the command line takes for help and for a refusal: `python benchmarks/startup.py`.

Each is run several times in a process of its own; the best wall time counts, as it is least disturbed by other work.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMES, GOAL_SECONDS = 5, 0.5
COMMANDS = (
    "--help",
    "--version",
    "search --help",
    "index --help",
    "serve --help",
    "evaluate cirr --help",
    "tables --help",
    "train --help",
    "synthesize --help",
    "index WRONG",
    "search",
    "search --image none.jpg",
    "search --text x --method WRONG",
    "search --text x --gallery WRONG",
    "search --text x --models WRONG",
    "search --text x --alpha 2",
    "search --image app.py --text x",
    "search --text x --only-days 31.31.2020",
    "serve --port 99999",
    "serve --host 999.1.1.1",
    "serve --gallery WRONG",
    "index . --exclude",
    "galleries delete WRONG",
    "models pull WRONG",
    "evaluate WRONG",
    "evaluate world --methods WRONG",
    "tables --methods WRONG",
    "train WRONG",
    "synthesize --gallery WRONG",
    "triplets import none",
    "ablate WRONG",
)


def seconds(arguments: str) -> float:
    """The best of several runs."""
    found = []
    for _ in range(TIMES):
        since = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cir", *arguments.split()], cwd=ROOT, capture_output=True, check=False
        )
        found.append(time.perf_counter() - since)
    return min(found)


def main() -> int:
    """Print a row for each command; the exit status says whether all are within the goal."""
    rows = {arguments: round(seconds(arguments), 3) for arguments in COMMANDS}
    sys.stdout.write(json.dumps({"goal_seconds": GOAL_SECONDS, "seconds": rows}, indent=2) + "\n")
    return int(max(rows.values()) > GOAL_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
