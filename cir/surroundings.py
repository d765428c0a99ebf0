"""What stands in the way that is no fault of the program: a full disk, a place where nobody may write.

Most of it is told where it happens, with more to say. This is for whatever is left: libraries write files, too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cir.errors import CirError
from cir.files import display_name
from cir.whole_files import NO_ROOM

ELSEWHERE = "See to it that you may write there, or choose another place."
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
REMEDIES = {
    **dict.fromkeys(NO_ROOM, "Free some space, then try again."),
    **dict.fromkeys(FORBIDDEN, ELSEWHERE),
    errno.EISDIR: "A file was wanted, and this is a folder: choose another name.",
    errno.ENOTDIR: "A part of the path is a file: choose another place.",
    errno.EEXIST: "Something of that name is there already: choose another place.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EIO: "Check the disk.",
}
FULL = os.strerror(errno.ENOSPC)  # what libraries that are not written in Python say of it
NO_TEMPORARY = (
    "No usable temporary directory"  # what tempfile says when all that it tries is full or read-only
)


def in_words(error: BaseException, asked: object = None) -> CirError | None:
    """The sentence for an error that has its reason outside of the program; None for any other.

    Args:
        error: what a command has ended with.
        asked: the file that it was to write, if any.
    """
    for one, number in _reasons(error):
        if NO_TEMPORARY in str(one):
            return CirError(
                "There is no folder for temporary files in which anything can be written.",
                "Free some space, or name another folder: TMPDIR=FOLDER",
            )
        if number in REMEDIES:
            reason = os.strerror(number).lower()
            return CirError(f"{_named(one, asked)} cannot be written or read: {reason}.", REMEDIES[number])
    return None


def in_words_for_the_page(error: BaseException) -> CirError | None:
    """The same for whoever has nothing but the page: what the disk refuses, and no place on the server."""
    for _, number in _reasons(error):
        if number in NO_ROOM:
            return CirError(
                "The disk is full, so this could not be written.",
                "Free some space, then try again. What was there before is as it was.",
            )
        if number in FORBIDDEN:
            return CirError(
                f"The program could not write or read a file: {os.strerror(number).lower()}.",
                "See to it that it may write to its folders, or start it with others: CIR_CACHE=FOLDER, CIR_HOME=FOLDER.",
            )
        if number == errno.EIO:
            return CirError("The disk answered with an error.", "Check it, then try again.")
    return None


def _reasons(error: BaseException | None) -> Iterator[tuple[BaseException, int]]:
    """The error, and those that it came of, each with the system's number for it: torch ends with another one where the disk is full."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else errno.ENOSPC if FULL in str(error) else None
        yield error, number or 0
        error = error.__cause__ or error.__context__


def _named(error: BaseException, asked: object) -> str:
    """The file that it is about; where that is an unfinished one, or none is known, the one that was asked for."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | bytes) or os.fsencode(name).endswith(b".tmp"):
        name = asked
    return display_name(os.fsencode(name)) if isinstance(name, str | bytes | Path) else "A file"
