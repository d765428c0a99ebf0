"""Where the concrete things are joined: models, methods, galleries, and what searches them.

Command line, page and evaluation all build through here, so that they cannot differ.
"""

from cir.application.galleries import (
    OnServer,
    build_indexer,
    build_shelf,
    drawn_gallery,
    first_gallery,
    open_for,
    open_on_server,
    prepare_first_gallery,
)
from cir.application.language_model import build_rewording, build_translator, warm_up
from cir.application.methods import (
    FOR_PHOTOGRAPHS,
    TUNED,
    build_composers,
    decisive,
    ingredients,
    own_methods,
    own_networks,
    presets,
)
from cir.application.models import about_photographs, build_encoders, build_models
from cir.application.retriever import build
from cir.application.triplets import build_trainer, open_triplets

__all__ = [
    "FOR_PHOTOGRAPHS",
    "TUNED",
    "OnServer",
    "about_photographs",
    "build",
    "build_composers",
    "build_encoders",
    "build_indexer",
    "build_models",
    "build_rewording",
    "build_shelf",
    "build_trainer",
    "build_translator",
    "decisive",
    "drawn_gallery",
    "first_gallery",
    "ingredients",
    "open_for",
    "open_on_server",
    "open_triplets",
    "own_methods",
    "own_networks",
    "prepare_first_gallery",
    "presets",
    "warm_up",
]
