"""A folder that goes away while it is indexed: nothing is forgotten, and the next run completes.

Each trial brings a gallery up to date in one of several ways and takes the folder away at a random moment: renamed,
exchanged for the empty folder that an unmounted disk leaves, or failing at every read. Then the gallery has to be
what it was, and a run over the folder that is back has to come out as one that nothing disturbed.
"""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock

from gallery_doubles import ToyCaptioner, ToyEncoder, contents, opened, paint_folder

from cir.errors import GalleryError
from cir.gallery import reading
from cir.gallery.indexing import index_folder

PICTURES, ADDED, BATCH = 24, 12, 3
PAUSE = 0.004  # after each batch, so that a pull can fall between two
FIRST: dict[str, Any] = {"image": "toy-1", "text": "toy-1", "captioner": "captions-1"}
# What is done to a whole gallery of the first models: other models, and whether more pictures are there now.
WORK: dict[str, dict[str, Any]] = {
    "index": {"added": ADDED},
    "rehash": {"rehash": True},
    "captions": {"captioner": "captions-2"},
    "models": {"image": "toy-2", "text": "toy-2"},
    "all": {"added": ADDED, "rehash": True, "image": "toy-2", "text": "toy-2", "captioner": "captions-2"},
}


@dataclass
class Outcome:
    """How a campaign went. `late`: trials whose work was over before the pull; they are repeated."""

    pulled: int = 0
    late: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass
class Trial:
    """One gallery, what is done to it, and how that ended: "" while it runs, then "done", "refused" or a fault."""

    photos: Path
    cache: Path
    work: dict[str, Any]
    ended: str = ""
    skipped: frozenset[str] = frozenset()

    def run(self) -> None:
        """The work, to its end."""
        settings = {**FIRST, **self.work}
        try:
            for progress in index_folder(
                self.photos,
                name="toys",
                image_encoder=ToyEncoder(settings["image"]),
                text_encoder=ToyEncoder(settings["text"]),
                captioner=ToyCaptioner(settings["captioner"]),
                captions_per_image=2,
                cache_root=self.cache,
                batch_size=BATCH,
                thumbnails=False,
                rehash=settings.get("rehash", False),
            ):
                self.skipped = frozenset(label for label, _ in progress.skipped)
                time.sleep(PAUSE)
            self.ended = "done"
        except GalleryError:
            self.ended = "refused"
        except Exception as error:
            self.ended = repr(error)

    def contents(self, models: dict[str, Any]) -> dict:
        """What the gallery holds, opened with these models."""
        return contents(opened(self.cache, image=models["image"], text=models["text"]))


def campaign(pulls: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Pull until it has succeeded `pulls` times, in every way of working and of going away.

    Args:
        pulls: how many.
        folder: an empty folder; in memory, because waiting for a disk would be most of the time.
        seed: of the moments.
    """
    outcome, rng, number = Outcome(), random.Random(seed), 0
    expected = {name: _undisturbed(folder / f"unbroken-{name}", work) for name, work in WORK.items()}
    ways: tuple[Callable[[Path, Path], Callable[[], None]], ...] = (_rename, _unmount, _break)
    while outcome.pulled < pulls:
        number += 1
        name = list(WORK)[outcome.pulled % len(WORK)]
        way = ways[(outcome.pulled // len(WORK)) % len(ways)]
        whole, seconds = expected[name]
        trial, before = _begin(folder / f"trial-{number}", WORK[name])
        thread = Thread(target=trial.run)
        thread.start()
        time.sleep(rng.uniform(0.0, 0.8 * seconds))
        put_back = way(trial.photos, trial.photos.with_name("away"))
        in_time = not trial.ended
        thread.join()
        faults = _after(trial, before, whole)
        put_back()
        outcome.pulled, outcome.late = outcome.pulled + in_time, outcome.late + (not in_time)
        trial.run()
        if trial.ended != "done" or trial.contents({**FIRST, **trial.work}) != whole:
            faults.append(f"the next run did not complete: {trial.ended}")
        outcome.lost += [f"trial {number}, {name}, {way.__name__[1:]}: {fault}" for fault in faults]
    return outcome


def _after(trial: Trial, before: dict, whole: dict) -> list[str]:
    """What is wrong with a gallery whose folder has just gone away."""
    if trial.ended == "done":
        now = trial.contents({**FIRST, **trial.work})
        silent = [label for label in whole if now.get(label) != whole[label] and label not in trial.skipped]
        return [f"{len(silent)} pictures are not what they should be, without a word"] if silent else []
    if trial.ended != "refused":
        return [f"it ended with {trial.ended}"]
    try:
        now = trial.contents(FIRST)
    except GalleryError as error:
        if trial.work.get("image", FIRST["image"]) == FIRST["image"]:
            return [str(error)]
        now = trial.contents({**FIRST, **trial.work})  # all pictures were done, and captions were to follow
        return [] if now.keys() == whole.keys() else [f"{len(whole) - len(now)} pictures lost"]
    changed = [label for label in before if now.get(label) != before[label]]
    return [f"{len(changed)} pictures lost or changed"] if changed else []


def _begin(folder: Path, work: dict[str, Any]) -> tuple[Trial, dict]:
    """A whole gallery of the first models, before the work; and what it holds."""
    photos = paint_folder(folder / "photos", PICTURES)
    trial = Trial(photos, folder / "cache", {})
    trial.run()
    before = trial.contents(FIRST)
    paint_folder(photos, work.get("added", 0), first=PICTURES)
    return Trial(photos, folder / "cache", work), before


def _undisturbed(folder: Path, work: dict[str, Any]) -> tuple[dict, float]:
    """What comes out when nothing goes away, and how long it takes."""
    trial, _ = _begin(folder, work)
    begun = time.monotonic()
    trial.run()
    return trial.contents({**FIRST, **work}), time.monotonic() - begun


def _rename(photos: Path, away: Path) -> Callable[[], None]:
    photos.rename(away)
    return lambda: _return(away, photos)


def _unmount(photos: Path, away: Path) -> Callable[[], None]:
    """What an unmounted disk leaves: an empty folder of the same name."""
    photos.rename(away)
    photos.mkdir()
    return lambda: (photos.rmdir(), _return(away, photos))[-1]


def _break(_photos: Path, _away: Path) -> Callable[[], None]:
    """From now on every read fails."""

    def broken(path: Path) -> tuple[bytes, os.stat_result]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    patch = mock.patch.object(reading, "read_bytes", broken)
    patch.start()
    return lambda: (patch.stop(), None)[-1]


def _return(away: Path, photos: Path) -> None:
    away.rename(photos)
