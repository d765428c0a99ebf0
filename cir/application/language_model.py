"""What is built of a set's language model beside the methods: what puts edits into words that the other models know."""

from __future__ import annotations

import logging
from functools import cache

from PIL import Image

from cir.errors import CirError
from cir.languages import language_identifier
from cir.models.model_set import Models
from cir.models.protocols import LanguageModel, SentenceEncoder
from cir.phrasebook import Phrasebook
from cir.prompts import cvsi_added_objects, cvsi_modified_caption, plain_orders
from cir.rewording import KnownWords, Rewording, things_seen
from cir.translating import Translator
from cir.types import DRAWING
from cir.world.vocabulary import words

FREQUENT = 20_000  # of the words of a vocabulary in order of frequency, so many are frequent


def build_translator(models: Models) -> Translator:
    """What puts edits in other languages into English, and in other words into plainer ones, by the set's language model."""
    return Translator(
        models.language_model, models.missing.get("language model", ""), build_rewording(models)
    )


def frequent_words(encoder: SentenceEncoder | None) -> frozenset[str]:
    """English words that are no slip of the keyboard for another: an encoder's vocabulary of whole words, without its rarest.

    BERT's, which all-MiniLM-L6-v2 has, is in the order of frequency; far back stand names and pieces ("wo", "horde").
    """
    tokenizer = getattr(encoder, "tokenizer", None)
    vocabulary = {} if tokenizer is None else tokenizer.get_vocab()
    return frozenset(word for word, rank in vocabulary.items() if rank < FREQUENT)


def build_rewording(models: Models, model: LanguageModel | None = None) -> Rewording | None:
    """What puts edits into words that the set's text tower knows; None where it reads any words.

    `model`: who is asked for what the phrasebook cannot read; the set's language model by default.
    """
    if models.set.reads != "world":
        return None
    clip = models.clip

    @cache
    def often_seen() -> frozenset[str]:
        return frequent_words(models.sentence_encoder)

    def known(text: str) -> float:
        return float(clip.known([text])[0])

    def is_drawing(image: Image.Image) -> bool:
        return models.read_as(models.references.encode_images([image])[0]) in ("", DRAWING)

    return Rewording(
        model or models.language_model,
        known,
        is_drawing,
        KnownWords(words(), lambda: models.sentence_encoder).nearest,
        Phrasebook(lambda: models.sentence_encoder, lambda word: word in often_seen()),
        things_seen(models.references.encode_images, clip.encode_texts),
    )


def warm_up(models: Models) -> None:
    """Load what was put off, also what guesses languages; then start the language model's process and let it read the constant part of every prompt.

    A failure here is not the end: the first query asks again, and says what is wrong.
    """
    language_identifier()
    while not models.ready:
        try:
            models.load_all()
        except CirError as error:
            logging.getLogger(__name__).warning("A model could not be loaded: %s", error)
    if models.language_model is None:
        return
    prompts = [cvsi_modified_caption("", ""), cvsi_added_objects("", "")]
    if build_rewording(models) is not None:
        prompts.append(plain_orders(""))
    try:
        models.language_model.warm_up(prompts)
    except CirError as error:
        logging.getLogger(__name__).warning("The language model could not be warmed up: %s", error)
