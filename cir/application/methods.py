"""The methods of a set of models: what they are made of, and where their numbers start."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from cir.application.models import is_place
from cir.composers.caption_memory import CaptionMemory
from cir.composers.composer import Composer
from cir.composers.cvsi import PAPER_PRESETS, PARAMETERS
from cir.composers.hycir import hycir
from cir.composers.ingredients import CvsiSettings, Ingredients
from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL
from cir.composers.parameters import Values
from cir.composers.registry import build_methods, cards_of
from cir.errors import BadQuery, MissingModel
from cir.models.deferred import Deferred
from cir.models.model_set import Models
from cir.models.own_networks import OwnNetworks
from cir.models.protocols import WordRefiner
from cir.picture_memory import ReferencePatches
from cir.places import own_networks_folder
from cir.tuned_weights import tuned_weights

TUNED, FOR_PHOTOGRAPHS = "tuned for these models", "photographs"
PHOTOGRAPH_WEIGHTS: Values = {"alpha": 0.4, "beta": 0.6, "gamma": 0.1}  # how they were found: docs/models.md


def decisive(models: Models, phi: str | None = None) -> dict[str, str]:
    """What CVSI's weights depend on: part -> fingerprint, of the parts that are here; `phi` as of `ingredients`."""
    parts = {
        "clip": models.tower,
        "captioner": models.captioner,
        "language_model": models.language_model,
        "phi": models.phi(None if is_place(phi) else phi),
    }
    return {name: part.fingerprint for name, part in parts.items() if part is not None}


def presets(models: Models, phi: str | None = None) -> dict[str, Values]:
    """Named weights: found on validation queries of the world for these models, the paper's two, and those for photographs."""
    tuned = tuned_weights(models.name, decisive(models, phi))
    own = weights_for_photographs(models)
    return {**({TUNED: tuned} if tuned else {}), **PAPER_PRESETS, **({FOR_PHOTOGRAPHS: own} if own else {})}


def weights_for_photographs(models: Models) -> Values | None:
    """CVSI's weights where the reference was read as a photograph; None for a set that reads all pictures alike."""
    return PHOTOGRAPH_WEIGHTS if models.set.photographs is not None else None


def ingredients(
    models: Models,
    *,
    settings: CvsiSettings | None = None,
    phi: str | None = None,
    only: Collection[str] = (),
) -> Ingredients:
    """What methods are made of, of these models: `build_methods` makes them, `dataclasses.replace` exchanges a model.

    Args:
        models: one set.
        settings: CVSI's.
        phi: the recipe of CVSI's mapping network, any of the set's; None takes the models' own, or the set's first.
            A file or folder has to be given to `build_models` too.
        only: the methods that will be made of them, in capitals or not; none for all. What only others need is not opened.

    Raises:
        BadQuery: the set has no such mapping network.
        MissingModel: it has, but it is not here.
    """
    cards = cards_of(only)
    needs = {need for card in cards for need in card.needs}
    clip, captioner = models.clip, models.captioner if CAPTIONER in needs else None
    if is_place(phi):
        phi = None  # the models' own
    if phi is not None:
        _check_phi(models, phi)
    weighs_as_cvsi = any(set(PARAMETERS) <= set(card.parameters) for card in cards)
    return Ingredients(
        models.references,
        clip,
        clip,
        models.words,
        CaptionMemory(captioner) if captioner is not None else None,
        models.language_model if LANGUAGE_MODEL in needs else None,
        cast(WordRefiner, Deferred({}, lambda: models.refiner)),
        settings or CvsiSettings(),
        next(iter(presets(models, phi).values())) if weighs_as_cvsi else None,
        weights_for_photographs(models),
        phi,
        models.missing,
        models.fusion,
        models.encoder,
        cast(WordRefiner, Deferred({}, lambda: models.concept_refiner)),
        ReferencePatches(clip),
        models.patch_words,
        models.towers,
        models.published,
    )


def _check_phi(models: Models, phi: str) -> None:
    if phi not in models.set.mapping:
        names = ", ".join(models.set.mapping)
        raise BadQuery(
            f"The set {models.name} has no mapping network called {phi!r}.",
            f"Choose one of: {names}. Or give a trained one: its file, or the folder of its training.",
        )
    if models.phi(phi) is None:
        raise MissingModel(models.missing[f"mapping network {phi}"], "Or leave --phi out.")


def build_composers(
    models: Models,
    *,
    settings: CvsiSettings | None = None,
    phi: str | None = None,
    only: Collection[str] = (),
) -> dict[str, Composer]:
    """All methods of these models by name, those that are networks of a person's own last. Arguments and errors as of `ingredients`."""
    shipped = build_methods(ingredients(models, settings=settings, phi=phi, only=only), only)
    return {**shipped, **own_methods(own_networks(models), only)}


def own_networks(models: Models) -> OwnNetworks:
    """HyCIR's networks that a person has trained on triplets, for these models."""
    return OwnNetworks(models, own_networks_folder())


def own_methods(networks: OwnNetworks, only: Collection[str] = ()) -> dict[str, Composer]:
    """A method for each network that a person has trained; `only`: those of these names, in capitals or not."""
    models, wanted = networks.models, {name.lower() for name in only}
    return {
        name: hycir(models.references, networks.words(name), models.clip, name=name)
        for name in networks.names()
        if not wanted or name.lower() in wanted
    }
