"""`python -m cir train`. What trains is imported when nothing is refused any more."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from cir import __version__
from cir.commands.training_options import FUSION_RECIPES, MAPPING_RECIPES, TOKEN_LEARNERS
from cir.errors import CirError


def train(options: argparse.Namespace) -> int:
    """Run one stage. Its log is `runs/STAGE/log.jsonl`.

    Raises:
        CirError: the options do not go together, or what the stage needs is missing.
    """
    _check_recipe(options)
    if options.stage == "mapping" and options.gallery and options.recipe in ("searle", *TOKEN_LEARNERS):
        raise CirError(
            f"{options.recipe} is trained on the illustrated world's pictures only: it learns by its captions and words.",
            "Leave --gallery out, or take the recipe pic2word, lincir or hycir.",
        )
    if options.composed_share is not None and options.out is None:
        raise CirError(
            "Another share of composed targets makes another CLIP than the shipped one.",
            "Say where it goes: --out DIR",
        )
    if options.texts is not None:
        from cir.commands.mapping_training import train_from_texts

        return train_from_texts(options)
    if options.stage == "fusion":
        from cir.commands.fusion_training import train_fusion

        return train_fusion(options)
    if options.stage == "photographs":
        from cir.commands.photograph_training import make_photographs

        return make_photographs(options)
    if options.stage == "tat" and options.gallery:
        from cir.commands.tower_training import tune_on_gallery

        return tune_on_gallery(options)
    if options.stage == "mapping" and (options.recipe == "hycir" or options.gallery):
        from cir.commands.mapping_training import train_general

        return train_general(options)
    from cir.training.recipes import STAGES, Stage

    weights = options.trunk_weights
    if options.stage == "crops" and weights is None:
        from cir.models.catalog import pull_trunk

        weights = pull_trunk()
    stage = Stage(
        options.runs,
        options.minutes,
        options.ranks,
        options.seed,
        weights,
        options.recipe,
        options.tokens or 1,
        options.composed_share,
        options.out,
        __version__,
        options.steps,
        say,
    )
    STAGES[options.stage](stage)
    sys.stdout.write(f"{options.stage} is done; its log is in {options.runs}.\n")
    if options.stage == "mapping" and options.recipe not in TOKEN_LEARNERS:
        sys.stdout.write(next_command(options.out or options.recipe, "embedded"))
    return 0


def _check_recipe(options: argparse.Namespace) -> None:
    """Refuse a recipe of the other kind of network."""
    known = FUSION_RECIPES if options.stage == "fusion" else MAPPING_RECIPES
    if options.recipe not in known:
        raise CirError(
            f"{options.recipe} is no recipe of `train {options.stage}`.",
            f"Give --recipe with one of: {', '.join(known)}.",
        )


def say(sentence: str) -> None:
    """A line of standard error."""
    sys.stderr.write(f"{sentence}\n")


def next_command(network: Path | str, model_set: str) -> str:
    """How a trained network is used, as a sentence with its commands."""
    place, models = shlex.quote(str(network)), "" if model_set == "embedded" else f" --models {model_set}"
    return (
        f"Search with it: python -m cir search --image FILE --text EDIT --phi {place}{models}\n"
        f"Or in the page: python app.py --phi {place}{models}\n"
    )
