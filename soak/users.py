"""Many visitors at once: each uploads a picture, asks its own question, and has to get its own answer."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes import COLOURS, SHAPES
from served import picture_bytes

WEIGHTS = {"alpha": 0.6, "beta": 0.4, "gamma": 0.2, "k": 3}


@dataclass
class Outcome:
    """How a campaign went: users with their own right answers, and what was wrong with the others."""

    own: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def campaign(users: int, client: Callable[[], Any]) -> Outcome:
    """Let so many users search and rank again, all at once.

    Args:
        users: how many.
        client: a new client of the served page, with a session of its own.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(users) as pool:
        faults = list(pool.map(lambda number: _visit(number, client, Path(folder)), range(users)))
    wrong = [fault for fault in faults if fault]
    return Outcome(users - len(wrong), wrong, time.monotonic() - begun)


def _visit(number: int, client: Callable[[], Any], folder: Path) -> str:
    """One visit; "" when everything that came back was this user's."""
    from gradio_client import handle_file

    colours, shape = list(COLOURS), SHAPES[number % len(SHAPES)]
    seen, asked = colours[number % 4], colours[(number // 4 + 1 + number) % 4]
    picture = folder / f"{number}.png"
    picture.write_bytes(picture_bytes(seen, shape))
    try:
        visitor = client()
        found = visitor.predict(
            image=handle_file(str(picture)), text=f"{asked} for user {number}", **WEIGHTS, api_name="/search"
        )
        again = visitor.predict(**{**WEIGHTS, "alpha": 0.0, "beta": 0.0}, api_name="/rank")
    except Exception as error:
        return f"user {number}: {error}"
    tags = set(re.findall(r"user (\d+)", str([found["trace"]["modified_captions"], again["trace"]])))
    labels = [found["results"][0]["label"], again["results"][0]["label"]]
    if tags != {str(number)} or labels != [f"{asked}-{shape}.jpg", f"{seen}-{shape}.jpg"]:
        return f"user {number} asked for {asked} {shape} and got {labels} for {tags}"
    return ""
