"""Rename and delete galleries of one's own. The folders of pictures that they were made from are never touched."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from cir.errors import GalleryError
from cir.gallery.cache import locked
from cir.gallery.manifest import (
    LOCK_HOLDER,
    MANIFEST,
    ROWS,
    gallery_folder,
    list_galleries,
    read_manifest,
    write_manifest,
)
from cir.gallery.shards import storage_errors

_DOOMED = ".deleted-"


def rename_gallery(cache_root: Path, name: str, new_name: str) -> None:
    """Give a gallery another name. It remembers the one before, by which pages and links may still ask for it.

    Raises:
        GalleryError: there is no such gallery, the new name is taken or none at all, or it is being indexed.
    """
    folder, target = existing_gallery(cache_root, name), gallery_folder(cache_root, new_name)
    if target.exists() and not os.path.samefile(folder, target):  # it is the same where only capitals differ
        raise GalleryError(f"There is a gallery {new_name} already.", "Choose another name.")
    with locked(folder, name), storage_errors(name):
        _forget_former_name(cache_root, name)
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
            former = [one for one in (*manifest.former_names, name) if one != new_name]
            write_manifest(folder, replace(manifest, name=new_name, former_names=former))
        os.rename(folder, target)
        (target / LOCK_HOLDER).unlink(missing_ok=True)  # it went along, out of reach of the lock's end


def delete_gallery(cache_root: Path, name: str) -> None:
    """Delete what was made of the pictures: features, captions, thumbnails; and uploaded pictures with them.

    Raises:
        GalleryError: there is no such gallery, or it is being indexed.
    """
    folder = existing_gallery(cache_root, name)
    doomed = cache_root / f"{_DOOMED}{secrets.token_hex(6)}"
    with storage_errors(name):
        with locked(folder, name):
            _forget_former_name(cache_root, name)
            os.rename(folder, doomed)  # gone at once and whole, however long the rest takes
        for left in cache_root.glob(f"{_DOOMED}*"):  # also of a deletion that was broken off
            shutil.rmtree(left, ignore_errors=True)
        if doomed.exists():
            shutil.rmtree(doomed)  # again, for the reason


def _forget_former_name(cache_root: Path, name: str) -> None:
    """Who asks for `name` from now on means the gallery that is called so last, not one that was called so earlier."""
    for other in list_galleries(cache_root):
        if name in other.former_names:
            left = [one for one in other.former_names if one != name]
            write_manifest(other.folder, replace(read_manifest(other.folder), former_names=left))


def existing_gallery(cache_root: Path, name: str) -> Path:
    """The folder of a gallery that is there.

    Raises:
        GalleryError: there is none of that name.
    """
    folder = gallery_folder(cache_root, name)
    if folder.is_symlink() or not any((folder / mark).is_file() for mark in (MANIFEST, ROWS)):
        raise GalleryError(f"There is no gallery {name}.", "Choose one from the list.")
    return folder
