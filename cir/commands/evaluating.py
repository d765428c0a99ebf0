"""`python -m cir evaluate world`."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from cir.application import build_models
from cir.commands.console import announce, print_json
from cir.measuring.world_report import WorldReport
from cir.models.server.address import Asking


def evaluate_world(options: argparse.Namespace) -> int:
    """Print the report; with --tune find CVSI's weights first and write them down."""
    models = build_models(
        options.models,
        llm=options.llm,
        phi=options.phi,
        device=options.device,
        asking=Asking.of(options),
        networks=options.networks,
    )
    announce(models)
    with closing(models):
        report = WorldReport(options, models).measured()
    (print_json if options.json else _print)(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    out = sys.stdout.write
    out("\n")
    if "captioner" in report:
        out(f"nouns: {report['noun_top1']:.1f} % of crops, {report['noun_in_scene_top1']:.1f} % in a scene\n")
        for size, row in report["text_to_image"].items():
            out(f"text to image, {size}: " + ", ".join(f"{k} {v:.1f}" for k, v in row.items()) + "\n")
        out(
            "captioner: "
            + ", ".join(f"{k.replace('_', ' ')} {v:.1f}" for k, v in report["captioner"].items())
            + "\n\n"
        )
    for name, row in report["methods"].items():
        out(f"{name:<16} R@1 {row['R@1']:5.1f}   R@5 {row['R@5']:5.1f}   R@10 {row['R@10']:5.1f}\n")
