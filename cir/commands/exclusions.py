"""Options that have no meaning beside others: refused before anything is loaded, for an option that is ignored misleads.

Which options were given is read from the command line itself, since a default looks like an answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cir.commands.method_options import refuse_for_methods
from cir.errors import BadQuery
from cir.models.server.address import is_server
from cir.ranking.engines import SERVED

Applies = Callable[[argparse.Namespace, set[str]], bool]
RUNNING = "root split method models llm llm_key_env llm_at_once device alpha beta gamma captions gallery_captions batch_size limit resume k out"
SCORING = "annotations predictions"
GENERAL = "models device gallery steps rate batch_images mixed_precision tokens minutes recipe out"
FUSION = "models device recipe from steps minutes rate batch_triplets mixed_precision out"
# What each stage of training listens to, beside --runs and --seed.
STAGES = {
    "crops": "minutes ranks trunk_weights",
    "scenes": "minutes ranks",
    "pictures": "",
    "world-clip": "minutes ranks composed_share out",
    "world-blip": "minutes ranks out",
    "places": "minutes ranks",
    "captioner": "minutes ranks",
    "photographs": "photographs wordnet out",
    "tat": "minutes steps ranks out gallery",
    "tat with --gallery": "models device gallery steps out",
    "mapping, pic2word": "minutes ranks recipe tokens out",
    "mapping, lincir": "minutes ranks recipe tokens out",
    "mapping, searle": "minutes recipe out",
    "mapping, palavra": "minutes steps recipe out",
    "mapping, context-i2w": "minutes steps recipe out",
    "mapping, isa": "minutes steps recipe out",
    "mapping, keds": "minutes steps recipe out",
    "mapping with --gallery, pic2word": f"{GENERAL} unlabelled",
    "mapping with --gallery, lincir": GENERAL,
    "mapping with --texts, lincir": "models device texts minutes recipe out",
    "fusion from world": FUSION,
    "fusion from syncir": f"{FUSION} gallery triplets min_similarity",
    "mapping, hycir": f"{GENERAL} unlabelled triplets loss batch_triplets min_similarity",
}
ALWAYS = {"command", "action", "dataset", "stage", "run", "runs", "seed", "table", "json"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Options of a command that have no meaning in a certain case.

    Attributes:
        command: of which they are.
        applies: whether it is the case, by the options and the names of those that were given.
        names: of the options, separated by blanks.
        why: the case, as the end of a sentence; an option's value stands in it by the option's name in braces.
        remedy: what to do instead.
    """

    command: str
    applies: Applies
    names: str
    why: str
    remedy: str = "Leave it out."


def _has(name: str) -> Applies:
    return lambda _, given: name in given


def _is(name: str, *values: object) -> Applies:
    return lambda options, _: getattr(options, name) in values


def _pulls_a_language_model(options: argparse.Namespace, _: set[str]) -> bool:
    from cir.models.published import LANGUAGE_MODELS

    return options.action == "pull" and options.name in LANGUAGE_MODELS


def _ends_by_steps(options: argparse.Namespace, given: set[str]) -> bool:
    from cir.commands.training_options import TOKEN_LEARNERS

    alone = options.stage == "tat" or (options.stage == "mapping" and options.recipe in TOKEN_LEARNERS)
    return "steps" in given and alone


def _is_here(options: argparse.Namespace, _: set[str]) -> bool:
    return options.engine != SERVED


def _scores(_: argparse.Namespace, given: set[str]) -> bool:
    return bool(given & set(_scoring().split()))


def _runs(options: argparse.Namespace, given: set[str]) -> bool:
    return "root" in given


def _scoring() -> str:
    """Names of the options that belong to predictions that someone made."""
    return " ".join([SCORING, *_own("scores")])


def _own(only: str) -> list[str]:
    """Names of the options of benchmarks that belong to a run alone, or to predictions alone."""
    from cir.evaluation.datasets.registry import DATASETS

    return [o.dest for card in DATASETS.values() for o in card.options if o.only == only]


def _on_a_gallery(options: argparse.Namespace, _: set[str]) -> bool:
    from cir.evaluation.datasets.registry import DATASETS

    return options.dataset in DATASETS and DATASETS[options.dataset].searches_gallery


def _without(flag: str) -> Applies:
    """The dataset has no such option."""

    def applies(options: argparse.Namespace, _: set[str]) -> bool:
        from cir.evaluation.datasets.registry import DATASETS

        card = DATASETS.get(options.dataset)
        return card is None or flag not in {option.flag for option in card.options}

    return applies


def _asks_no_server(options: argparse.Namespace, _: set[str]) -> bool:
    return not is_server(getattr(options, "llm", None))


# Options of which nothing is something: no edit, no patterns any more, no path.
MAY_BE_EMPTY = ("--text", "--exclude", "--root-path")
ONE = "Do one of the two: score (--annotations, --predictions), or run a method (--root)."
RULES = (
    Rule("search", _has("image"), "reference_id", "beside --reference-image", "Leave out one of them."),
    Rule("search", lambda _, given: not given & {"reference_id", "image"}, "keep_reference", "without a reference"),
    Rule("search", _is_here, "qdrant_url qdrant_key_env thumbnails", "with the engine {engine}", "Add --engine qdrant."),
    Rule("serve", _is_here, "qdrant_url qdrant_key_env thumbnails", "with the engine {engine}", "Add --engine qdrant."),
    *(
        Rule(name, _asks_no_server, "llm_key_env llm_at_once", "without a language model's server", "Name it: --llm URL#MODEL")
        for name in ("search", "serve", "models", "evaluate", "tables", "synthesize")
    ),
    Rule("models", _pulls_a_language_model, "llm", "when a language model is fetched by its name"),
    Rule("index", _has("no_captions"), "captions_per_image", "with --no-captions"),
    Rule("evaluate", _on_a_gallery, "gallery_captions batch_size", "on a gallery that is indexed already"),
    Rule("evaluate", _has("kept_only"), "fresh", "with --kept-only"),
    Rule("tables", _has("kept_only"), "ask fresh", "with --kept-only"),
    Rule("tables", _without("--gallery"), "gallery", "on {dataset}", "Leave it out, or name another: --dataset jsonl"),
    Rule("tables", lambda o, _: o.dataset != "world", "as_typed", "on a dataset: its edits are always read as they are typed"),
    Rule("tables", lambda o, _: o.dataset != "world", "ask", "on a dataset: there it is always asked"),
    Rule("tables", _on_a_gallery, "gallery_captions batch_size", "on a gallery that is indexed already"),
    Rule("tables", _is("dataset", "world"), "batch_size", "on the world benchmark"),
    Rule("tables", _is("table", "methods", "ablation", "language-models", "hyperparameters", "paraphrases"), "timed",
         "for a table without times", "Leave it out, or make the table efficiency."),
    Rule("synthesize", lambda o, _: o.spoter != "captions", "template", "when the language model writes no texts"),
    Rule("synthesize", lambda o, _: o.spoter != "captions" and not o.engine_check, "llm",
         "when the language model writes no texts"),
    Rule("ablate", lambda o, _: not {"fusion", "seeds"} & set(o.tables.split(",")), "recipes", "for tables of HyCIR"),
    Rule("ablate", _is("tables", "fusion"), "batch_images", "for supervised methods, which see triplets alone"),
    Rule("ablate", _is("tables", "seeds"), "gallery triplets pictures rate batch_images batch_triplets min_similarity",
         "for seeds, whose networks are trained as the shipped ones were"),
    Rule("train", _ends_by_steps, "minutes", "with --steps, after which this stage ends"),
    Rule("train", lambda o, _: o.stage == "mapping" and o.recipe == "hycir" and o.loss == "zs-cir",
         "triplets batch_triplets min_similarity", "for the loss zs-cir, which wants no triplets"),
    Rule("train", lambda o, _: o.stage == "mapping" and o.recipe == "hycir" and o.loss == "triplet",
         "unlabelled batch_images", "for the loss triplet, which wants triplets alone"),
)  # fmt: skip


def given_options(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> set[str]:
    """The names of the options that stand on the command line. The parser's defaults are taken away for it."""
    for one in _with_commands(parser):
        one.set_defaults(**dict.fromkeys(one._defaults, argparse.SUPPRESS))
        for option in one._actions:
            option.default = argparse.SUPPRESS
    found = vars(parser.parse_args(arguments))
    return {name for name, value in found.items() if value is not argparse.SUPPRESS}


def refuse_conflicts(options: argparse.Namespace, given: set[str]) -> None:
    """Refuse an option that would be ignored.

    Raises:
        BadQuery: one that has no meaning beside the others, by its name.
    """
    rules = [rule for rule in RULES if rule.command == options.command and rule.applies(options, given)]
    if options.command == "train":
        rules.append(_stage_rule(options))
    if options.command == "evaluate" and options.dataset != "world":
        rules = [rule for rule in _evaluate_rules() if rule.applies(options, given)] + rules
    for rule in rules:
        for name in rule.names.split():
            if name in given:
                raise BadQuery(
                    f"--{name.replace('_', '-')} has no meaning {rule.why.format_map(vars(options))}.",
                    rule.remedy,
                )
    refuse_for_methods(options, given)


def refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an argument that is empty, as of a variable that was not set: what holds without it was not asked for.

    An empty folder would be the one that the command was called in.

    Raises:
        BadQuery: the first such option by its name, or what stands before the argument.
    """
    for option, value in pairwise([*arguments, "."]):
        flag, equals, rest = option.partition("=")
        if flag.startswith("--") and flag not in MAY_BE_EMPTY and ((equals and not rest) or not value):
            raise BadQuery(f"{flag} was given without a value.", "Say which one, or leave it out.")
        if not value and not flag.startswith("--"):
            raise BadQuery(f"What follows {option} is empty.", "Say which one.")


def _evaluate_rules() -> list[Rule]:
    running = " ".join([RUNNING, *_own("runs")])
    return [
        Rule("evaluate", _runs, _scoring(), "when a method is run (--root)", ONE),
        Rule("evaluate", _scores, running, "when predictions are scored"),
    ]


def _stage_rule(options: argparse.Namespace) -> Rule:
    stage = options.stage
    if stage == "fusion":
        stage = f"fusion from {vars(options)['from']}"
    if stage == "mapping":
        own = " with --gallery" if options.gallery and options.recipe != "hycir" else ""
        if options.texts and options.recipe == "lincir":
            own = " with --texts"
        stage = f"mapping{own}, {options.recipe}"
    if stage == "tat" and options.gallery:
        stage = "tat with --gallery"
    listens = {*ALWAYS, *STAGES.get(stage, GENERAL).split()}
    if stage.startswith("mapping") and not options.texts:
        listens.add("gallery")
    others = {name for name in vars(options) if name not in listens and name != "given"}
    remedy = "Leave it out."
    if stage.startswith("mapping, ") and options.recipe in ("pic2word", "lincir"):
        remedy = "Leave it out, or name the pictures to train on: --gallery NAME"
    return Rule("train", lambda *_: True, " ".join(sorted(others)), f"for {stage}", remedy)


def _with_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _with_commands(one)
