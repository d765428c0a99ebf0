"""What is no part of a gallery, and why: counted by reason, with the first names of each; kept beside the gallery.

Also which patterns a person left out, so that the next run leaves out the same. It reads no pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cir.errors import GalleryError
from cir.files import display_name, name_of
from cir.whole_files import write_whole

LEFT_OUT, EXCLUDE = "left_out.json", "exclude.json"  # in a gallery's folder
NAMES_KEPT = 20  # of each reason
REASONS_KEPT = 100
_OTHER = "other reasons"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """All that was left out for one reason.

    Attributes:
        reason: why, as a phrase.
        pictures: how many files; of a folder, those below it that are named like pictures.
        folders: how many folders are among what was left out as a whole.
        names: the first `NAMES_KEPT` paths inside the gallery's folder; folders end in "/".
        is_problem: whether it was wanted and could not be read; otherwise it was left out on purpose.
    """

    reason: str
    pictures: int = 0
    folders: int = 0
    names: tuple[str, ...] = ()
    is_problem: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether there are more than are named."""
        return len(self.names) == NAMES_KEPT


class LeftOutList:
    """Gathers what is left out, bounded in size however much that is."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, bool], LeftOut] = {}

    def add(
        self,
        relative: bytes,
        reason: str,
        pictures: int = 1,
        is_folder: bool = False,
        *,
        is_problem: bool = False,
    ) -> None:
        """Count a file or a folder. A reason that begins with the file's own name counts with its like."""
        own = display_name(relative.rsplit(b"/", 1)[-1]) + " "
        reason = "it " + reason.removeprefix(own) if own != " " and reason.startswith(own) else reason
        key = (reason, is_problem)
        if key not in self._rows and len(self._rows) >= REASONS_KEPT:
            key = (_OTHER, is_problem)
        row = self._rows.get(key, LeftOut(key[0], is_problem=is_problem))
        name = display_name(relative) + ("/" if is_folder else "")
        self._rows[key] = LeftOut(
            row.reason,
            row.pictures + pictures,
            row.folders + is_folder,
            row.names if len(row.names) >= NAMES_KEPT else (*row.names, name),
            is_problem,
        )

    def rows(self) -> tuple[LeftOut, ...]:
        """Everything so far: first what could not be read, then the most numerous."""
        return tuple(sorted(self._rows.values(), key=lambda row: (not row.is_problem, -row.pictures)))


def write_left_out(folder: Path, rows: Sequence[LeftOut]) -> None:
    """Keep what the last run left out, beside the gallery in `folder`."""
    if not rows:
        (folder / LEFT_OUT).unlink(missing_ok=True)
        return
    write_whole(folder / LEFT_OUT, json.dumps([asdict(row) for row in rows]).encode("ascii"))


def read_left_out(folder: Path) -> tuple[LeftOut, ...]:
    """What the last run left out; nothing where that is not known, or cannot be read any more."""
    try:
        rows = json.loads((folder / LEFT_OUT).read_text(encoding="ascii"))
        return tuple(LeftOut(**{**row, "names": tuple(row["names"])}) for row in rows)
    except (OSError, ValueError, TypeError, KeyError):  # only for show; the next run writes it anew
        return ()


def remember_exclude(folder: Path, patterns: Sequence[str]) -> None:
    """Note which patterns are left out, for the runs to come."""
    if patterns or (folder / EXCLUDE).exists():
        write_whole(folder / EXCLUDE, json.dumps(list(patterns)).encode("ascii"))


def remembered_exclude(folder: Path) -> tuple[str, ...]:
    """The patterns that earlier runs left out.

    Raises:
        GalleryError: they cannot be read any more; without them more would be indexed than was wanted.
    """
    try:
        return tuple(map(str, json.loads((folder / EXCLUDE).read_text(encoding="ascii"))))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        message = f"What is to be left out of {name_of(folder)} cannot be read any more."
        raise GalleryError(message, "Say it again: python -m cir index PHOTOS --exclude PATTERN") from error


def summary(rows: Sequence[LeftOut], most: int = 3) -> str:
    """The main reasons in one line: "3 videos; 2 JPEG XL pictures ..."."""
    return "; ".join(f"{row.pictures:,} {row.reason}" for row in rows[:most] if row.pictures)
