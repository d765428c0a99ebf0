"""CVSI's weights that were found on validation queries, kept by the models that they were found for.

Other models make other numbers of the same parts, so they get weights of their own, or the paper's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cir.cache_keys import digest_of
from cir.composers.cvsi import PARAMETERS
from cir.composers.parameters import Values, read_values
from cir.places import ASSETS, kept_beside

FOLDER = ASSETS / "models"


def tuned_weights(model_set: str, models: Mapping[str, str]) -> Values | None:
    """The weights that were found for these models; None where none were.

    Args:
        model_set: its name.
        models: part -> fingerprint, of those that are here: one that is missing takes no part, and changes nothing.
    """
    own_first = dict.fromkeys((kept_beside(FOLDER), FOLDER))
    for path in (path for folder in own_first for path in sorted(folder.glob(f"weights-{model_set}-*.json"))):
        row = json.loads(path.read_text(encoding="utf-8"))
        if models.items() <= row["models"].items():
            return read_values(PARAMETERS, row["weights"])
    return None


def keep_weights(model_set: str, models: Mapping[str, str], weights: Values, found_on: str) -> Path:
    """Write weights down, with what they were found for and how: beside the models where those may be changed."""
    folder = kept_beside(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"weights-{model_set}-{digest_of(dict(models))[:8]}.json"
    row = {
        "weights": dict(weights),
        "found_on": found_on,
        "models": dict(models),
        "command": "python -m cir evaluate world --tune",
    }
    path.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    return path
