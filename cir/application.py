"""Where the concrete things are joined: models, composers, a gallery, the retriever.

Command line, page and evaluation all build through here, so that they cannot differ.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from cir.composers.baselines import ImageOnly, Sum, TextOnly
from cir.composers.composer import Composer
from cir.composers.cvsi import PAPER_PRESETS, Cvsi, CvsiSettings
from cir.composers.textual_inversion import lincir, pic2word
from cir.errors import CirError
from cir.gallery import Gallery, open_gallery
from cir.models.catalog import Models
from cir.prompts import cvsi_added_objects, cvsi_modified_caption
from cir.retriever import Retriever
from cir.types import Weights

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_GALLERY = ROOT / "assets" / "gallery"
TUNED = "tuned for this model set"


def gallery_cache() -> Path:
    """Where galleries of people's own folders are kept: `gallery_cache/`, or $CIR_CACHE."""
    return Path(os.environ.get("CIR_CACHE", ROOT / "gallery_cache"))


def build_models(name: str = "embedded", *, llm: str | None = None) -> Models:
    """A model set by name; nothing is loaded until it is asked for."""
    return Models(name, llm=llm)


def presets(models: Models) -> dict[str, Weights]:
    """Named weights: the paper's two, and those found on a validation split of the world benchmark."""
    path = ROOT / "assets" / "models" / f"weights-{models.name}.json"
    found = dict(PAPER_PRESETS)
    if path.exists():
        row = json.loads(path.read_text(encoding="utf-8"))["weights"]
        found = {TUNED: Weights(row["alpha"], row["beta"], row["gamma"]), **found}
    return found


def build_composers(models: Models, *, settings: CvsiSettings | None = None) -> dict[str, Composer]:
    """Every method that these models can run, by name, CVSI first."""
    clip = models.clip
    chosen = presets(models)
    composers: list[Composer] = []
    phi = models.phi()
    if phi is not None:
        composers.append(
            Cvsi(
                clip,
                clip,
                clip,
                phi,
                models.captioner,
                models.language_model,
                settings=settings,
                default_weights=next(iter(chosen.values())),
                missing=models.missing,
            )
        )
    for recipe, make in (("pic2word", pic2word), ("lincir", lincir)):
        network = models.phi(recipe)
        if network is not None:
            composers.append(make(clip, network, clip))
    composers += [Sum(clip, clip), ImageOnly(clip), TextOnly(clip)]
    return {composer.name: composer for composer in composers}


def open_for(models: Models, gallery: str | None = None) -> Gallery:
    """A gallery by name, by its folder of pictures, or the sample gallery; made by these models.

    Raises:
        GalleryError: it is not there, or other models made it; the remedy is in the message.
    """
    clip = models.clip
    return open_gallery(
        gallery or SAMPLE_GALLERY,
        cache_root=gallery_cache(),
        image_encoder_fingerprint=clip.fingerprint,
        text_encoder_fingerprint=clip.fingerprint,
    )


def warm_up(models: Models) -> None:
    """Start the language model's process and let it read the constant part of every prompt.

    A failure here is not the end: the first query asks again, and says what is wrong.
    """
    if models.language_model is None:
        return
    try:
        models.language_model.warm_up([cvsi_modified_caption("", ""), cvsi_added_objects("", "")])
    except CirError as error:
        logging.getLogger(__name__).warning("The language model could not be warmed up: %s", error)


def build(
    models_name: str = "embedded", *, llm: str | None = None, gallery: str | None = None
) -> tuple[Models, Retriever]:
    """Models and a retriever over a gallery."""
    models = build_models(models_name, llm=llm)
    opened = open_for(models, gallery)
    return models, Retriever(opened, build_composers(models))
