"""kill -9 while a folder is indexed: the gallery stays sound, at most one batch is done again, nothing is lost.

Each trial starts a fresh process, kills it at a random moment of its work, looks at what is left, and lets
another fresh process finish. What comes out has to equal a run that nobody interrupted.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from gallery_doubles import (
    ToyCaptioner,
    ToyEncoder,
    assert_rows_are_right,
    contents,
    opened,
    paint_folder,
)

from cir.errors import GalleryError
from cir.gallery.indexing import index_folder
from soak import ROOT

PICTURES, BATCH = 60, 4
PAUSE = 0.004  # after each batch, so that a kill can fall between two


@dataclass
class Outcome:
    """How a campaign went. `late`: trials in which the work was over before the kill; they are repeated."""

    killed: int = 0
    late: int = 0
    lost: list[str] = field(default_factory=list)


def child(photos: Path, cache: Path, log: Path) -> None:
    """Index to the end, telling when the work begins and when it is over."""
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    done = []
    for progress in index_folder(
        photos,
        name="toys",
        image_encoder=ToyEncoder(log=log),
        text_encoder=ToyEncoder(),
        captioner=ToyCaptioner(),
        captions_per_image=2,
        cache_root=cache,
        batch_size=BATCH,
    ):
        done.append(progress.done)
        time.sleep(PAUSE)
    sys.stdout.write(json.dumps(done[0]) + "\n")


def start(photos: Path, cache: Path, log: Path) -> subprocess.Popen[str]:
    """A process that has begun to index."""
    command = [sys.executable, "-m", "soak.kills", str(photos), str(cache), str(log)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "begun\n":
        raise RuntimeError(f"indexing did not begin: exit status {process.wait()}")
    return process


def finish(process: subprocess.Popen[str]) -> int:
    """How many images were done when the process began, once it has finished."""
    said, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"indexing ended with {process.returncode}")
    return json.loads(said)


def campaign(kills: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Kill until it has succeeded `kills` times.

    Args:
        kills: how many.
        folder: an empty folder; in memory, because waiting for a disk would be most of the time.
        seed: of the moments.
    """
    photos = paint_folder(folder / "photos", PICTURES)
    process, begun = start(photos, folder / "unbroken", folder / "log"), time.monotonic()
    finish(process)
    whole = time.monotonic() - begun
    expected = contents(opened(folder / "unbroken"))
    outcome, rng, trial = Outcome(), random.Random(seed), 0
    while outcome.killed < kills:
        trial += 1
        cache, log = folder / f"trial-{trial}", folder / f"log-{trial}"
        process = start(photos, cache, log)
        time.sleep(rng.uniform(0.0, whole))
        process.kill()
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            outcome.late += 1
            continue
        outcome.killed += 1
        outcome.lost += [f"trial {trial}: {fault}" for fault in faults_after(photos, cache, log, expected)]
    return outcome


def faults_after(photos: Path, cache: Path, log: Path, expected: dict) -> list[str]:
    """What is wrong with a gallery whose indexing was killed, now and when it is resumed."""
    faults = []
    try:
        assert_rows_are_right(opened(cache), ToyEncoder())
    except GalleryError:  # not finished so far: that is said, and is right
        pass
    except AssertionError:
        faults.append("a row is not what its file says")
    begun = log.read_text().split() if log.exists() else []
    kept = sum(map(int, begun[:-1]))  # all but the batch that was being worked on
    if finish(start(photos, cache, log)) < kept:
        faults.append("more than one batch was done again")
    if contents(opened(cache)) != expected:
        faults.append("the gallery differs from one that was never interrupted")
    return faults


if __name__ == "__main__":
    child(*map(Path, sys.argv[1:4]))
