"""What the tables are made of on CIRR, CIRCO, FashionIQ or a file of queries. Captions and answers are those of `evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.cache_keys import digest_of
from cir.composers.composer import Composer
from cir.composers.parameters import Values
from cir.evaluation.answers import AnswerBook
from cir.evaluation.datasets.dataset import Dataset
from cir.evaluation.encoders import Encoders
from cir.evaluation.rank_measures import measure_of
from cir.files import file_name
from cir.gallery.gallery import Gallery
from cir.images import read_image
from cir.measuring.bench import Bench, section_name
from cir.measuring.datasets import answers_path, book_folder, books_of, starting_values
from cir.models.model_set import Models
from cir.models.protocols import Captioner
from cir.text import counted
from cir.types import CirQuery


class DatasetBench(Bench):
    """One dataset, or one category of it. Its language model is always asked for answers that are missing.

    Args:
        options: of the command, settled.
        models: the set's.
        dataset: whose targets are known.
        gallery: its images, indexed.
    """

    answers_from = "Give a language model that answers (--llm), and leave --kept-only out."

    def __init__(
        self, options: argparse.Namespace, models: Models, dataset: Dataset, gallery: Gallery
    ) -> None:
        super().__init__(options, models)
        self.dataset, self.gallery = dataset, gallery
        self.measure = measure_of(dataset)
        self.folder = book_folder(dataset)
        books = books_of(models, self.folder)
        self.captioner = cast(Captioner, books.captioner)
        self.book = books.answers or AnswerBook(answers_path(self.folder, None), None)
        self.key = file_name(dataset.gallery_name)
        card = dataset.card
        variant = ["", *card.variant(options)]
        self.suffix = f"-{section_name(dataset.gallery_name)}" + "-".join(variant) + self.suffix
        self.heading = f" on {dataset.name} {dataset.split}{self.heading}"
        self.protocol = f"{counted(len(self.queries), 'query', 'queries')} over {counted(len(gallery), 'image')}. {dataset.protocol}"
        if card.overall:
            self.protocol += (
                f" The mean over categories is that of `python -m cir evaluate {options.dataset}`."
            )
        self.weights_are = "the paper's for this benchmark" if card.preset else "the method's own"
        self.kinds_are = card.kinds_are
        if self.measure.members:
            self.near_misses_are = "A near miss is another image of the query's own set, that of R_subset."

    @cached_property
    def all_queries(self) -> Sequence[CirQuery]:
        """Its queries."""
        return tuple(q.query for q in self.dataset.queries)

    @cached_property
    def caption_rows(self) -> list[NDArray[np.float32]]:
        """For each gallery image, (n, D) features of the captions that it was indexed with."""
        captions = [self.gallery.captions(image_id) for image_id in self.gallery.image_ids]
        encoders = Encoders(self.models.clip, self.models.text_encoder, self.captioner, self.folder)
        return encoders.text_rows("captions", captions)

    def picture(self, image_id: str) -> Image.Image:
        """An image of the dataset."""
        return read_image(self.dataset.folder / self.dataset.images[image_id])

    def near_miss(self, query: CirQuery, image_id: str) -> str:
        """That it is of the query's set, where the benchmark has sets."""
        if image_id in query.target_ids:
            return ""
        return "of the set" if image_id in self.measure.members.get(query.query_id, ()) else ""

    def weights(self, composer: Composer) -> Values:
        """As `evaluate` has them."""
        return starting_values(composer, self.dataset.card)

    @cached_property
    def _texts(self) -> Mapping[str, Sequence[str]]:
        return {q.query_id: q.texts for q in self.dataset.queries}

    def texts(self, query: CirQuery, method: str) -> Sequence[str]:
        """FashionIQ's captions in both orders, where that was asked for."""
        return self._texts[query.query_id]

    @property
    def kinds(self) -> Mapping[str, Sequence[str]]:
        """What the benchmark tells its queries apart by; kinds of edits where it has nothing of its own."""
        kinds = self.dataset.card.kinds
        return kinds(self.dataset.queries[: self.options.limit]) if kinds else super().kinds

    @cached_property
    def _asked(self) -> str:
        return digest_of(self.dataset.asked, list(self.gallery.image_ids), list(self.gallery.contents))

    def asked(self) -> dict[str, object]:
        """The texts and the images: what is kept of others would be wrong."""
        return {"asked": self._asked}

    def books(self) -> dict[str, AnswerBook]:
        """Every book in the dataset's folder, and that of the set's language model even while it is empty."""
        found = {} if self.book.model is None else {_name(self.book): self.book}
        for path in sorted(self.folder.glob("answers-*.jsonl")):
            if path != self.book.path:
                book = AnswerBook(path, None)
                found[_name(book)] = book
        return found

    def manifest(self, **more: object) -> dict[str, object]:
        """How a table was measured, and on what."""
        about: dict[str, object] = {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "protocol": self.dataset.protocol,
        }
        if self.dataset.card.searches_gallery:
            about["captions_of_gallery_images"] = "as indexed"
        return super().manifest(**about, **more)


def _name(book: AnswerBook) -> str:
    return book.path.stem.removeprefix("answers-").rsplit("-", 1)[0]
