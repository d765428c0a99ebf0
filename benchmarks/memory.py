"""What the models of a set take of the memory at their most, with random weights of their full size: python -m benchmarks.memory desktop.

The weights are written into a folder of their own, read as a person's would be, and asked what `models check` asks. Random
ones know nothing, so its answers fail; what it says of memory and time is what counts. Without the language model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel

from tests.captioner_doubles import FLORENCE_BASE, florence_folder

_BASE = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
_LARGE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_VISION_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
}
SETS: Mapping[str, tuple[str, dict[str, Any]]] = {  # set -> the folder of its CLIP, and the sizes of that
    "laptop": (
        "BGE-VL-base",
        {"projection_dim": 512, "text_config": _BASE, "vision_config": {"patch_size": 16}},
    ),
    "desktop": (
        "BGE-VL-large",
        {"projection_dim": 768, "text_config": _LARGE, "vision_config": _VISION_LARGE},
    ),
}


def write_weights(name: str, home: Path) -> None:
    """The folders of a set as its publishers lay them out, with random weights."""
    folder, sizes = SETS[name]
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(**sizes)).half().save_pretrained(home / folder)
    prepared = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    (home / folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    florence_folder(home / "Florence-2-base", FLORENCE_BASE, side=768)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    options.add_argument("set", choices=list(SETS))
    name = options.parse_args().set
    with TemporaryDirectory() as folder:
        home = Path(folder) / "models"
        write_weights(name, home)
        command = [sys.executable, "-m", "cir", "models", "check", name, "--llm", "none"]
        environment = {**os.environ, "CIR_HOME": str(home), "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    sys.stdout.write(ran.stdout or ran.stderr)
    return 0 if "memory at its most" in ran.stdout else 1


if __name__ == "__main__":
    raise SystemExit(main())
