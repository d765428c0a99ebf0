"""A method as the registry lists it: what it is called, where it is from, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cir.composers.composer import Composer
from cir.composers.ingredients import Ingredients
from cir.composers.parameters import Parameter
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder

CAPTIONER, LANGUAGE_MODEL = "captioner", "language model"
ZERO_SHOT, SUPERVISED = "zero-shot", "supervised"
ARITHMETIC = "none: arithmetic"  # in the place of a licence
Build = Callable[[Ingredients], Composer | None]


@dataclass(frozen=True, slots=True)
class MethodCard:
    """One method.

    Attributes:
        name: as in its paper.
        paper: authors, venue and year; "baseline" for what every table has.
        module: where it is, such as "cir.composers.cvsi".
        build: makes it, or None where its network is missing.
        licence: of the published code and weights. Ours are written from the papers.
        template: what the text tower reads; "" where no sentence is made.
        needs: models beside CLIP. "phi RECIPE" is a mapping network, "network RECIPE" that of a supervised method,
            "image tower RECIPE" an encoder of its own: without it the method cannot be made. Of the others a method
            says itself what it does without them.
        defaults: its weights in words.
        parameters: what of it can be moved, as its class says; none for a method that is ranked as it is.
        least_captions: of the reference, that it makes in any case.
        family: "zero-shot", or "supervised": learnt from triplets whose edits are known.
    """

    name: str
    paper: str
    module: str
    build: Build
    licence: str
    template: str = ""
    needs: tuple[str, ...] = ()
    defaults: str = ""
    parameters: tuple[Parameter, ...] = ()
    least_captions: int = 1
    family: str = ZERO_SHOT

    @property
    def file(self) -> str:
        """Where it is, in the repository."""
        return f"{self.module.replace('.', '/')}.py"


def with_phi(recipe: str, make: Callable[[ImageEncoder, ImageToWords, PseudoWordEncoder], Composer]) -> Build:
    """What makes a method of one CLIP and the mapping network of a recipe; None where that is missing."""

    def build(given: Ingredients) -> Composer | None:
        phi = given.phi(recipe)
        return None if phi is None else make(given.image_encoder, phi, given.pseudo_word_encoder)

    return build
