"""What the tables are made of on the world benchmark: its scenes drawn, its features kept, its answers shipped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.application import build_rewording
from cir.cache_keys import code_digest
from cir.composers.registry import asks_language_model
from cir.errors import CirError
from cir.evaluation import world
from cir.evaluation.answers import AnswerBook, books_of, open_book
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.composed import one_text
from cir.evaluation.difference import differences
from cir.evaluation.encoders import Encoders
from cir.evaluation.rank_measures import Ranked
from cir.gallery.gallery import Gallery
from cir.measuring.bench import Bench, say
from cir.models.model_set import WITHOUT, Models
from cir.models.protocols import Captioner
from cir.phrasebook.book import wordings_digest
from cir.phrasebook.second_wording import both_wordings
from cir.places import gallery_cache
from cir.rewording import Rewording
from cir.types import CirQuery

BENCHMARK = "world"


def _why_none(models: Models) -> str:
    """What to do about a language model that is not there."""
    switched_off = models.llm == WITHOUT
    return "Leave out --ask, or --llm none." if switched_off else models.missing["language model"]


class WorldBench(Bench):
    """The world benchmark."""

    key = BENCHMARK

    def __init__(self, options: argparse.Namespace, models: Models) -> None:
        super().__init__(options, models)
        self.captioner = cast(Captioner, models.captioner)
        self.folder = gallery_cache() / "benchmark"
        model = models.language_model
        if options.ask and model is None:
            raise CirError("--ask asks a language model, and there is none.", _why_none(models))
        self.book = open_book(self.key, model, models.llm, ask=options.ask)
        self._read: dict[tuple[str, str], str] = {}  # (edit, reference) -> as the phrasebook reads it

    @cached_property
    def benchmark(self) -> Benchmark:
        """Its scenes and queries."""
        return read_benchmark(BENCHMARK)

    @cached_property
    def all_queries(self) -> Sequence[CirQuery]:
        """Its queries."""
        return self.benchmark.queries

    def picture(self, image_id: str) -> Image.Image:
        """A scene, drawn."""
        return self.benchmark.picture(image_id)

    @cached_property
    def rewording(self) -> Rewording | None:
        """Puts edits into plainer words, thinking from the book; all references are drawings. None for edits as they are typed."""
        if getattr(self.options, "as_typed", False):
            return None
        return build_rewording(self.models, None if self.options.llm == WITHOUT else self.witness)

    def texts(self, query: CirQuery, method: str) -> Sequence[str]:
        """The edit as a search reads it: in plainer words, where it is in others than the models were taught.

        Raises:
            LanguageModelFailed: nobody has put it into plainer words.
        """
        if self.rewording is None or self.rewording.is_plain(query.modification_text):
            return one_text(query)
        typed = query.modification_text
        plain = self.read_at_once(query) or self.rewording.asked(typed)
        return (plain,) if plain == typed or asks_language_model(method) else both_wordings(plain)

    def read_at_once(self, query: CirQuery) -> str:
        """The edit as the phrasebook reads it, the same for all methods; "" where it does not."""
        if self.rewording is None:
            return ""
        asked = query.modification_text, query.reference_id
        if asked not in self._read:
            self._read[asked] = self.rewording.at_once(asked[0], self.picture(asked[1]))
        return self._read[asked]

    @cached_property
    def encoders(self) -> Encoders:
        """The models under test, with their work kept."""
        return Encoders(self.models.clip, self.models.text_encoder, self.captioner, self.folder)

    @cached_property
    def caption_rows(self) -> list[NDArray[np.float32]]:
        """For each scene, (n, D) features of its captions."""
        count, ids = self.options.gallery_captions, tuple(self.benchmark.scenes)
        draw = [lambda i=i: self.benchmark.picture(i) for i in ids]
        captions = self.encoders.captions(BENCHMARK, self.benchmark.drawn, draw, count, say)
        return self.encoders.text_rows(BENCHMARK, captions)

    @cached_property
    def bare_gallery(self) -> Gallery:
        """The gallery without captions."""
        ids = tuple(self.benchmark.scenes)
        raw = self.encoders.images(
            BENCHMARK, self.benchmark.drawn, lambda: (self.benchmark.picture(i) for i in ids)
        )
        return Gallery.from_features(BENCHMARK, ids, raw)

    @cached_property
    def gallery(self) -> Gallery:
        """The gallery with all its captions."""
        return self.with_captions(self.options.gallery_captions)

    @property
    def most_captions(self) -> int:
        """As many as were asked for."""
        return self.options.gallery_captions

    def books(self) -> dict[str, AnswerBook]:
        """The shipped answers, and those that were given here."""
        return {
            name: self.book if file == self.book.path.name else open_book(BENCHMARK, None, name)
            for name, file in books_of(BENCHMARK)
        }

    def asked(self) -> dict[str, object]:
        """The queries, the scenes, and how edits are read where any has to be: what is kept of others would be wrong."""
        return {"asked": self.benchmark.digest, "read": self._how_edits_are_read}

    @cached_property
    def _how_edits_are_read(self) -> str:
        """ "" where all are in the words that the models were taught: a larger book of wordings changes nothing of them."""
        plain = self.rewording is None or all(
            self.rewording.is_plain(query.modification_text) for query in self.all_queries
        )
        return (
            ""
            if plain
            else code_digest("phrasebook", "rewording.py", "composers/averaging.py") + wordings_digest()
        )

    near_misses_are = (
        "A near miss is a scene that is the target but for one thing: an object, its number, colour or size, the background, the "
        "time, or a group of objects that is missing or extra."
    )

    def near_miss(self, query: CirQuery, image_id: str) -> str:
        """What alone is wrong with a scene."""
        wrong = differences(self.benchmark.scenes[query.target_ids[0]], self.benchmark.scenes[image_id])
        return wrong[0] if len(wrong) == 1 else ""

    def true_captions(self) -> Ranked:
        """Ranks by the target's true caption as a text query."""
        oracle = world.oracle_caption_ranks(self.benchmark, self.queries, self.bare_gallery, self.models.clip)
        return {q.query_id: (rank,) for q, rank in zip(self.queries, oracle, strict=True)}
