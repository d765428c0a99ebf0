"""`python -m cir galleries push`, `verify` and `pull`: a gallery on a Qdrant server."""

from __future__ import annotations

import argparse
import sys
import time

from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.gallery.manifest import locate_gallery, read_manifest
from cir.gallery.opening import open_gallery
from cir.gallery.served.pulling import pull_gallery
from cir.gallery.served.pushing import Settings, push_gallery, verify_gallery
from cir.gallery.served.server import URL_SETTING, WRITING_SECONDS, Server, connect
from cir.places import gallery_cache
from cir.text import counted


def galleries_push(options: argparse.Namespace) -> int:
    """Bring a gallery to a server, and compare; what is there already is not sent again."""
    gallery, server = _opened(options.name), _server(options)
    done = push_gallery(server, gallery, Settings(options.shards, options.replicas), Progress())
    gone = f", {done.deleted:,} deleted" if done.deleted else ""
    sys.stdout.write(
        f"{gallery.name} is on {server.shown}: {counted(done.images, 'picture')}, {done.sent:,} sent{gone}. Compared, and found right.\n"
    )
    return 0


def galleries_verify(options: argparse.Namespace) -> int:
    """Compare a gallery with what is on a server."""
    gallery, server = _opened(options.name), _server(options)
    compared = verify_gallery(server, gallery)
    sys.stdout.write(
        f"{gallery.name} on {server.shown} has {counted(len(gallery), 'picture')}, as here; {compared:,} were compared wholly.\n"
    )
    return 0


def galleries_pull(options: argparse.Namespace) -> int:
    """Make a gallery here of one on a server."""
    server = _server(options)
    folder = pull_gallery(server, options.name, gallery_cache(), Progress())
    sys.stdout.write(
        f"{options.name} is here: {counted(read_manifest(folder).images, 'picture')}. If its pictures are in another folder now: "
        f"python -m cir galleries move {options.name} FOLDER\n"
    )
    return 0


class Progress:
    """Says on standard error how far it is, every other second."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called by who works: what is done, how far it is, and of how much."""
        if time.monotonic() - self._shown > 2.0:
            sys.stderr.write(f"{stage}: {done:,} of {total:,}\n")
            self._shown = time.monotonic()


def _opened(name: str) -> Gallery:
    """A gallery as it is on the disk, whoever's models made it."""
    made = read_manifest(locate_gallery(name, gallery_cache())).models
    return open_gallery(name, cache_root=gallery_cache(), image_encoder_fingerprint=made.image_encoder)


def _server(options: argparse.Namespace) -> Server:
    if not options.qdrant_url:
        raise BadQuery("The server was not named.", f"--qdrant-url http://HOST:6333, or {URL_SETTING}")
    return connect(options.qdrant_url, options.qdrant_key_env, seconds=WRITING_SECONDS)
