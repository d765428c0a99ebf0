"""How long a method's network was trained is read from its file, whatever kind of network it is."""

from __future__ import annotations

from cir.application import build_composers
from cir.commands.tabulating import training_seconds
from cir.composers.registry import METHODS
from cir.models.model_set import Models

KINDS = ("phi", "patches", "network", "image tower")  # of networks, as the needs of methods call them


def test_every_shipped_method_with_a_network_says_how_long_it_was_trained(models: Models) -> None:
    found = {name: training_seconds(models, one) for name, one in build_composers(models).items()}
    trained = {card.name for card in METHODS if any(need.startswith(KINDS) for need in card.needs)}
    assert {name for name, seconds in found.items() if seconds is not None} == trained & set(found)
    assert {name: found[name] for name in ("HyCIR", "CompoDiff", "CVSI")} == {
        "HyCIR": 568.0, "CompoDiff": 420.5, "CVSI": found["Pic2Word"]
    }  # fmt: skip
    minutes = {name: round((found[name] or 0) / 60, 1) for name in ("Context-I2W", "ISA", "Slerp+TAT")}
    assert minutes == {"Context-I2W": 5.1, "ISA": 4.0, "Slerp+TAT": 4.0}
