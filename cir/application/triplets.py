"""The triplets of these models, and what trains networks on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from cir.application.galleries import drawn_gallery
from cir.application.methods import own_methods, own_networks
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.models.catalog import sentence_encoder_folder
from cir.models.llama import PatientModel
from cir.models.model_set import Models
from cir.models.protocols import SentenceEncoder, Spoter
from cir.places import SAMPLES, SHIPPED_TRIPLETS, gallery_cache
from cir.shelf import Shelf
from cir.syncir.library import TripletLibrary
from cir.syncir.query_text import CaptionSpoter
from cir.types import TrainedNetwork, TrainingStep, Triplet

if TYPE_CHECKING:
    from cir.ui.triplets.handlers import Trainer

PATIENCE_SECONDS = (
    50.0  # for one text of a triplet: below what a search waits for its turn at the language model
)


def open_triplets(models: Models, titles: Mapping[str, str] | None = None) -> TripletLibrary:
    """The shipped triplets and the visitor's own, with these models to make more; nothing is loaded yet.

    Args:
        models: which make more.
        titles: a gallery's name -> how people call it, where that is another.
    """

    def spoter() -> Spoter:
        assert models.language_model is not None, "whoever asks has asked `cannot_generate` before"
        return CaptionSpoter(PatientModel(models.language_model, PATIENCE_SECONDS))

    def sentence_encoder() -> SentenceEncoder:
        from cir.models.sentence_encoder import load_sentence_encoder  # it brings torch

        # Where the page began without one, it may have been fetched since.
        return models.sentence_encoder or load_sentence_encoder(sentence_encoder_folder())

    def cannot_generate() -> str:
        if why := models.why_no_language_model:
            return f"New triplets need the language model. {why}"
        try:
            sentence_encoder_folder()
        except CirError as error:
            return str(error)
        return ""

    return TripletLibrary(
        SHIPPED_TRIPLETS,
        gallery_cache() / "triplets",
        spoter=spoter,
        sentence_encoder=sentence_encoder,
        cannot_generate=cannot_generate,
        titles=titles,
        samples={folder.name: title for title, folder in SAMPLES.items()},
    )


def build_trainer(models: Models, shelf: Shelf) -> Trainer:
    """What trains another of them, a step at a time (`train_on_triplets`); made, it is a method of every gallery."""
    networks = own_networks(models)

    def train(
        triplets: Sequence[Triplet], gallery: Gallery, title: str
    ) -> Iterator[TrainingStep | TrainedNetwork]:
        from cir.training.own_triplets import train_on_triplets  # it brings torch

        drawn = drawn_gallery(models, gallery)
        left_out = set(gallery.image_ids) - set(drawn.image_ids)
        usable = [one for one in triplets if left_out.isdisjoint((one.reference_id, one.target_id))]
        with closing(train_on_triplets(networks, usable, drawn, title)) as steps:  # type: ignore[type-var]
            for step in steps:
                if isinstance(step, TrainedNetwork):
                    shelf.offer(step.name, own_methods(networks)[step.name])
                yield step

    return train
