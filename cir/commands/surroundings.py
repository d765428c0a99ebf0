"""What stands in a command's way that is no fault of the program: a full disk, a place where nobody may write.

Most of it is told where it happens, with more to say. This is for whatever is left: libraries write files, too.
"""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cir.errors import CirError
from cir.files import display_name

ELSEWHERE = "See to it that you may write there, or choose another place."
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, then try again."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ELSEWHERE),
    errno.EISDIR: "A file was wanted, and this is a folder: choose another name.",
    errno.ENOTDIR: "A part of the path is a file: choose another place.",
    errno.EEXIST: "Something of that name is there already: choose another place.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EIO: "Check the disk.",
}
FULL = os.strerror(errno.ENOSPC)  # what libraries that are not written in Python say of it


def in_words(error: BaseException, options: argparse.Namespace) -> CirError | None:
    """The sentence for an error that has its reason outside of the program; None for any other.

    Args:
        error: what a command has ended with.
        options: of the command, among them the file that it was to write.
    """
    for one in _reasons(error):
        number = one.errno if isinstance(one, OSError) else errno.ENOSPC if FULL in str(one) else None
        if number in REMEDIES:
            reason = os.strerror(number).lower()
            return CirError(f"{_named(one, options)} cannot be written or read: {reason}.", REMEDIES[number])
    return None


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came of: torch ends with another one where the disk is full."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _named(error: BaseException, options: argparse.Namespace) -> str:
    """The file that it is about; where that is an unfinished one, or none is known, the one that was asked for."""
    asked = getattr(options, "out", None) or getattr(options, "results", None)
    name = getattr(error, "filename", None)
    if not isinstance(name, str | bytes) or os.fsencode(name).endswith(b".tmp"):
        name = asked
    return display_name(os.fsencode(name)) if isinstance(name, str | bytes | Path) else "A file"
