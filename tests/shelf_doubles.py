"""A shelf of toy galleries, what makes more of them, and one visitor of the page."""

from __future__ import annotations

import html
import re
from pathlib import Path
from threading import Event

from gallery_doubles import ToyCaptioner, ToyEncoder, index, opened, paint_folder

from cir.composers.baselines import ImageOnly
from cir.gallery.background import Indexer, IndexingJob
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf
from cir.ui.galleries import handlers, render
from cir.ui.galleries.screen import GalleriesSession, GalleryIndexing, Report, screen_of
from cir.ui.search.handlers import Session


class Bench:
    """A shelf, what makes galleries, and one visitor's session of the tab."""

    def __init__(self, place: Path) -> None:
        self.place, self.cache = place, place / "cache"
        index(paint_folder(place / "home", 3), self.cache, name="home")
        self.encoder, self.captioner = ToyEncoder(), ToyCaptioner()
        encoder = self.encoder
        first = Retriever(opened(self.cache, "home"), {"Image-only": ImageOnly(encoder)})
        self.shelf = Shelf(
            first,
            cache_root=self.cache,
            image_encoder_fingerprint=encoder.fingerprint,
            text_encoder_fingerprint=encoder.fingerprint,
            title="At home",
        )
        self.indexer = Indexer(
            image_encoder=encoder,
            text_encoder=encoder,
            captioner=lambda: self.captioner,
            cache_root=self.cache,
            renew=self.shelf.renew,
            renew_seconds=0,
        )
        self.indexing = GalleryIndexing(self.shelf, self.indexer, (place / "photos",))
        self.state, self.session = GalleriesSession(), Session()

    def wait(self) -> IndexingJob:
        self.indexer.join(30)
        assert not self.indexer.job.is_running
        screen_of(self.indexing, self.state)
        return self.indexer.job

    def make_of(self, folder: str, name: str = "") -> Report:
        keys = dict(handlers.offer_folders(self.indexing, self.state))
        came = handlers.make_of_folder(self.indexing, self.state, keys[folder], name)
        self.wait()
        return came

    def table(self) -> dict[str, str]:
        """The state of each gallery, as the page's table says it."""
        screen = screen_of(self.indexing, self.state)
        rows = re.findall(
            r'<th scope="row">(.*?)</th><td>.*?</td><td>.*?</td><td>(.*?)</td>', render.gallery_list(screen)
        )
        return {html.unescape(name): html.unescape(state) for name, state in rows}

    def upload(self, *paths: Path, name: object = "") -> Report:
        files = [{"path": str(path), "orig_name": path.name} for path in paths]
        came = handlers.make_of_uploads(self.indexing, self.state, files, name)
        self.wait()
        return came


class Gate:
    """Stands in a model's way: the first call of `method` waits until it is let through."""

    def __init__(self, model: object, method: str) -> None:
        self._reached, self._opened, self._method = Event(), Event(), getattr(model, method)
        setattr(model, method, self._wait)

    def _wait(self, *values: object, **options: object) -> object:
        self._reached.set()
        assert self._opened.wait(30)
        return self._method(*values, **options)

    def reached(self) -> None:
        assert self._reached.wait(30)

    def open(self) -> None:
        self._opened.set()
