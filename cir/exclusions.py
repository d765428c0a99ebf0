"""Which folders and files of a folder of pictures are left out on purpose, and why.

The lists follow what Immich, PhotoPrism, digiKam and rclip leave out. Patterns are those of .gitignore. Nothing is
opened here but the ignore files of a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cir.errors import BadQuery

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

HIDDEN = "hidden: the name begins with a dot"
BY_PATTERN = "left out by the pattern"
BY_MARK = "the folder holds a file"
MOST_PATTERNS, PATTERN_CHARACTERS = 100, 200

_THUMBNAILS = "small pictures that a program made"
_DISK_THUMBNAILS = "small pictures that a network disk made"
_BIN = "a waste bin"
_SYSTEM = "a folder of the system"
_PROGRAMS = "what belongs to a program"
_CACHE = "a cache"
_MACOS = "what macOS keeps beside a file"
_BEFORE_EDIT = "originals that a picture editor put aside before an edit"
_CAPTURE_ONE = "previews and settings of Capture One"
_FOLDERS = {
    _DISK_THUMBNAILS: "@eadir .@__thumb @__thumb @synoeadir",
    _BIN: "#recycle @recycle @recycler $recycle.bin recycler recycled .trash .trashes .dtrash @recently-deleted"
    " #deleted @sharebin",
    "snapshots of a disk": "#snapshot @snapshot @recently-snapshot .snapshot .snapshots .zfs ~snapshot .mobilebackups",
    "earlier versions that a program keeps of files": ".stversions",
    _SYSTEM: "@tmp @synoresource @synologydrive @appstore @database @docker lost+found .fseventsd .spotlight-v100"
    " .temporaryitems .documentrevisions-v100 .pkinstallsandboxmanager",
    _MACOS: "__macosx .appledouble .appledb .appledesktop",
    _THUMBNAILS: ".thumbnails .thumbs .thumb .xvpics .gallery_thumbs",
    "small pictures that a camera made of videos": "thmbnl",
    _BEFORE_EDIT: ".picasaoriginals [originals]",
    _PROGRAMS: "node_modules bower_components jspm_packages .git .svn .hg .bzr .tox .nox .venv .virtualenv"
    " site-packages dist-packages __pycache__ appdata .npm .yarn .gradle .idea .vscode .stfolder .sync .comments",
    _CACHE: ".cache .dropbox.cache",
}
_EXACT = {name: reason for reason, names in _FOLDERS.items() for name in names.split()}
_EXACT |= {
    "system volume information": _SYSTEM,
    "network trash folder": _BIN,
    "temporary items": _SYSTEM,
    "themicrosoftphotoscache": _THUMBNAILS,
    "ipod photo cache": _THUMBNAILS,
    "windowsimagebackup": "a backup of the system",
    "corel auto-preserve": _BEFORE_EDIT,
}
_ENDINGS = {
    ".lrdata": "previews of Lightroom",
    ".lrcat-data": "what belongs to a catalog of Lightroom",
    ".lrlibrary": "a library of Lightroom",
    ".cocatalogdb": _CAPTURE_ONE,
    ".app": _PROGRAMS,
    ".egg-info": _PROGRAMS,
    ".dist-info": _PROGRAMS,
}
_BEGINNINGS = {".trash": _BIN, "appdata_": "previews and other files that Nextcloud made"}
# Of a library of Apple's the originals count; all else is derived from them.
_LIBRARIES = (".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary", ".migratedaplibrary")
_ORIGINALS = ("originals", "masters")
# Folders of programs' own files, by the name of the folder which holds them.
_INSIDE = {
    "captureone": (("cache", "settings"), _CAPTURE_ONE),
    "library": (("caches",), _CACHE),
    "android": (("data", "obb"), _PROGRAMS),
}
# Files that say something about the folder which holds them.
_MARKS = {
    ".nomedia": f"{BY_MARK} .nomedia",
    "pyvenv.cfg": _PROGRAMS,
    "conda-meta": _PROGRAMS,
    "cachedir.tag": _CACHE,
    ".ppstorage": "what PhotoPrism made of pictures",
    "rows.sqlite": "a gallery that was indexed",
}
_IMMICH = ("thumbs", "encoded-video", "profile", "backups")
_IGNORE_FILES = (".ppignore", ".pixignore")
_IGNORE_BYTES = 65_536
_JUNK_FILES = re.compile(
    r"(?i)thumbs\.db|ehthumbs.*\.db|desktop\.ini|\.ds_store|zbthumbnail\.info|\.?picasa\.ini|icon\r"
)
# Android renames what was deleted, and what is still being written.
_PHONE_FILES = {".trashed-": _BIN, ".pending-": "pictures that a phone has not yet written whole"}


class Patterns:
    """Patterns as in .gitignore: `*.png`, `Previews/`, `/2019/raw`, `**/drafts/**`, `!keep.png`."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.patterns = tuple(patterns)

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines(self.patterns)

    def reason(self, relative: bytes, *, is_folder: bool) -> str:
        """Why a path inside the root is left out; "" when no pattern meets it."""
        if not self.patterns:
            return ""
        result = self._spec.check_file(os.fsdecode(relative) + ("/" if is_folder else ""))
        if not result.include or result.index is None:
            return ""
        return f"{BY_PATTERN} {self.patterns[result.index]}"


def read_patterns(values: Sequence[str]) -> tuple[str, ...]:
    """Patterns that a person gave, several in one line or over lines if they like.

    Raises:
        BadQuery: too many, too long, or none that .gitignore knows.
    """
    found = [part.strip() for value in values for part in re.split(r"[\n,;]", value)]
    found = list(dict.fromkeys(part for part in found if part))
    example = "Write names or paths as in .gitignore: *.png, Previews/, 2019/raw."
    if len(found) > MOST_PATTERNS or any(len(part) > PATTERN_CHARACTERS for part in found):
        limits = f"{MOST_PATTERNS} patterns of {PATTERN_CHARACTERS} characters"
        raise BadQuery(f"That is too much to leave out: at most {limits}.", example)
    for part in found:
        if not _is_pattern(part):
            raise BadQuery(f"{part!r} is no pattern.", example)
    return tuple(found)


def junk_folder(name: bytes, parent: bytes) -> str:
    """Why a folder is left out by its name, and by that of the folder which holds it; "" when it is not."""
    plain, holder = os.fsdecode(name).lower(), os.fsdecode(parent).lower()
    if plain in _EXACT:
        return _EXACT[plain]
    if holder.endswith(_LIBRARIES) and plain not in _ORIGINALS:
        return "what a photo library of Apple's keeps beside its originals"
    inside, reason_inside = _INSIDE.get(holder, ((), ""))
    if plain in inside:
        return reason_inside
    for ending, reason in _ENDINGS.items():
        if plain.endswith(ending):
            return reason
    for beginning, reason in _BEGINNINGS.items():
        if plain.startswith(beginning):
            return reason
    return HIDDEN if plain.startswith(".") else ""


def junk_file(name: bytes) -> str:
    """Why a file is left out by its name; "" when it is not."""
    plain = os.fsdecode(name)
    if plain.startswith("._"):
        return _MACOS
    if _JUNK_FILES.fullmatch(plain):
        return "what systems and programs note about a folder"
    for beginning, reason in _PHONE_FILES.items():
        if plain.startswith(beginning):
            return reason
    return HIDDEN if plain.startswith(".") else ""


def marked_folder(name: bytes, inside: Collection[bytes]) -> str:
    """Why a folder is left out by the names of what it holds; "" when it is not."""
    names = {os.fsdecode(one).lower() for one in inside if one[:1] in b".PpCcRr"}
    for mark, reason in _MARKS.items():
        if mark in names:
            return reason
    if ".immich" in names and os.fsdecode(name).lower() in _IMMICH:
        return "what Immich made of pictures"
    return ""


def patterns_of_folder(folder: bytes, inside: Collection[bytes]) -> Patterns | None:
    """The patterns of a folder's own ignore file (.ppignore, .pixignore), which count below it."""
    lines: list[str] = []
    for name in _IGNORE_FILES:
        if os.fsencode(name) in inside:
            try:
                with open(Path(os.fsdecode(folder)) / name, encoding="utf-8-sig", errors="replace") as file:
                    lines += file.read(_IGNORE_BYTES).splitlines()
            except OSError:  # then nothing is left out by it
                continue
    wanted = [line for line in lines if line.strip() and not line.startswith("#") and _is_pattern(line)]
    return Patterns(wanted[:MOST_PATTERNS]) if wanted else None


def _is_pattern(line: str) -> bool:
    try:
        Patterns([line]).reason(b"x", is_folder=False)
    except ValueError:
        return False
    return True
