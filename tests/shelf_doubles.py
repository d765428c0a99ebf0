"""A shelf of toy galleries, what makes more of them, and one visitor of the page."""

from __future__ import annotations

from pathlib import Path

from gallery_doubles import ToyCaptioner, ToyEncoder, index, opened, paint_folder

from cir.composers.baselines import ImageOnly
from cir.gallery import Indexer, IndexingJob
from cir.retriever import Retriever
from cir.shelf import Shelf
from cir.ui.galleries import handlers
from cir.ui.galleries.handlers import Desk, Making
from cir.ui.handlers import Session


class Bench:
    """A shelf, what makes galleries, and one visitor's desk."""

    def __init__(self, place: Path) -> None:
        self.place, self.cache = place, place / "cache"
        index(paint_folder(place / "home", 3), self.cache, name="home")
        encoder = ToyEncoder()
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
            captioner=ToyCaptioner,
            cache_root=self.cache,
            renew=self.shelf.renew,
            renew_seconds=0,
        )
        self.making = Making(self.indexer, (place / "photos",))
        self.desk, self.session = Desk(), Session()

    def wait(self) -> IndexingJob:
        self.indexer.join(30)
        assert not self.indexer.job.is_running
        handlers.look(self.shelf, self.making, self.desk)
        return self.indexer.job

    def make_of(self, folder: str, name: str = "") -> str:
        labels = [label for label, _ in handlers.offer_folders(self.making, self.desk)]
        said = handlers.make_of_folder(self.shelf, self.making, self.desk, labels.index(folder), name)
        self.wait()
        return said

    def upload(self, *paths: Path, name: object = "") -> tuple[str, tuple]:
        files = [{"path": str(path), "orig_name": path.name} for path in paths]
        said = handlers.make_of_uploads(self.shelf, self.making, self.desk, files, name)
        self.wait()
        return said
