"""What the models of a set take of the memory at their most, with random weights of their full size: python -m benchmarks.memory desktop.

The weights are written into a folder of their own, as large as the published ones, and read as a person's would be. `laptop` and
`desktop` are then asked what `models check` asks; random ones know nothing, so its answers fail, and what it says of memory and time is
what counts. Of the sets with BLIP-2 each caption takes minutes without a GPU: they are asked for two pictures, three
captions of each, and one text. Without the language model. `--folder` says where the weights lie meanwhile (up to 45 GB).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch
from safetensors.torch import save_file
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    CLIPConfig,
    CLIPModel,
)

from tests.captioner_doubles import FLORENCE_BASE, florence_folder, numbered_words

_BASE = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
_LARGE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_VISION_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
}
WITH_FLORENCE: Mapping[
    str, tuple[str, dict[str, Any]]
] = {  # set -> the folder of its CLIP, and the sizes of that
    "laptop": (
        "BGE-VL-base",
        {"projection_dim": 512, "text_config": _BASE, "vision_config": {"patch_size": 16}},
    ),
    "desktop": (
        "BGE-VL-large",
        {"projection_dim": 768, "text_config": _LARGE, "vision_config": _VISION_LARGE},
    ),
}
_OPT_2_7B = {"hidden_size": 2560, "ffn_dim": 10240, "num_hidden_layers": 32}
_OPT_6_7B = {"hidden_size": 4096, "ffn_dim": 16384, "num_hidden_layers": 32}
WITH_BLIP2: Mapping[
    str, tuple[str, str, str, dict[str, int]]
] = {  # set -> CLIP's file and kind, BLIP-2's folder and OPT
    "base": ("vit-b-32-openai", "ViT-B-32-quickgelu", "blip2-opt-2.7b", _OPT_2_7B),
    "large": ("vit-l-14-openai", "ViT-L-14-quickgelu", "blip2-opt-6.7b-coco", _OPT_6_7B),
    "giga": ("vit-bigg-14-laion2b", "ViT-bigG-14", "blip2-opt-6.7b-coco", _OPT_6_7B),
}
SHARD = 4_000_000_000  # bytes of a file of weights
PICTURES, CAPTIONS = 2, 3  # that a set with BLIP-2 is asked for


def write_with_florence(name: str, home: Path) -> None:
    """The folders of a set as its publishers lay them out, with random weights."""
    folder, sizes = WITH_FLORENCE[name]
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(**sizes)).half().save_pretrained(home / folder)
    prepared = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    (home / folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    florence_folder(home / "Florence-2-base", FLORENCE_BASE, side=768)


def write_with_blip2(name: str, home: Path) -> None:
    """The CLIP's file and the captioner's folder of a set, in float32 as they are published."""
    import open_clip

    folder, architecture, captioner, opt = WITH_BLIP2[name]
    (home / folder).mkdir(parents=True)
    with torch.device("meta"):
        clip = open_clip.create_model(architecture, device="meta")
    save_file(dict(drawn(clip)), home / folder / "open_clip_model.safetensors")
    write_blip2(home / captioner, opt)


def write_blip2(folder: Path, opt: Mapping[str, int]) -> None:
    """A BLIP-2 with ViT-g, the published Q-Former and an OPT, file by file: it is never whole in the memory."""
    text = {
        "model_type": "opt",
        "vocab_size": 50304,
        "num_attention_heads": 32,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 50118,
    }
    text |= opt | {"word_embed_proj_dim": opt["hidden_size"]}
    config = Blip2Config(text_config=text, image_token_index=50265)
    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(config)
    folder.mkdir(parents=True)
    config.architectures = ["Blip2ForConditionalGeneration"]
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    where: dict[str, str] = {}
    rows: dict[str, torch.Tensor] = {}
    tied = {key for key in model.state_dict() if key.endswith("lm_head.weight")}

    def write() -> None:
        file = f"model-{len(set(where.values())) + 1:05}.safetensors"
        save_file(rows, folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(rows, file))
        rows.clear()

    for key, tensor in drawn(model):
        if key in tied:
            continue
        rows[key] = tensor
        if sum(row.nbytes for row in rows.values()) >= SHARD:
            write()
    write()
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    words = numbered_words(
        50304,
        {1: "<pad>", 2: "</s>", 3: "<unk>", 50265: "<image>"},
        bos_token="</s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    images = BlipImageProcessor(size={"height": 224, "width": 224})
    Blip2Processor(images, words, num_query_tokens=32).save_pretrained(folder)


def drawn(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every number that a model on no device wants: noise for matrices, 1 and 0 for norms and biases."""
    noise = 0.02 * torch.randn(1 << 24, generator=torch.Generator().manual_seed(0))
    for key, shape in ((key, row.shape) for key, row in model.state_dict().items()):
        if not shape:
            yield key, torch.tensor(2.66)  # CLIP's scale, as it begins
        elif len(shape) == 1:
            yield key, torch.ones(shape) if key.endswith("weight") else torch.zeros(shape)
        else:
            yield key, noise.repeat(-(-shape.numel() // len(noise)))[: shape.numel()].reshape(shape).clone()


def ask(name: str) -> None:
    """Load a set's CLIP and captioner, have them read a little, and say the most memory that this process has held."""
    from cir.measuring.model_check import known_pictures, memory_taken
    from cir.scripting import open_models

    pictures = [known.image for known in known_pictures("photographs")[:PICTURES]]
    models = open_models(name, llm="none")

    def done(what: str, start: float) -> None:
        print(f"{what:32} {time.perf_counter() - start:.1f} s", flush=True)

    start = time.perf_counter()
    clip = models.clip
    done("CLIP loads", start)
    start = time.perf_counter()
    clip.encode_images(pictures)
    clip.encode_texts(["a photo of a cat"])
    done(f"it reads {PICTURES} pictures, 1 text", start)
    start = time.perf_counter()
    captioner = models.captioner
    if captioner is None:
        raise SystemExit("The captioner is not there.")
    done("captioner loads", start)
    start = time.perf_counter()
    captioner.caption(pictures, per_image=CAPTIONS, seed=0)
    done(f"it writes {PICTURES} x {CAPTIONS} captions", start)
    weights = next(iter(captioner.model.parameters())).dtype
    print(f"{'captioner in':32} {weights}")
    total = psutil.virtual_memory().total
    print(f"{'memory of this computer':32} {total / 1e9:.1f} GB")
    for row in memory_taken():
        print(f"{row.what:32} {row.found}")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    options.add_argument("set", choices=[*WITH_FLORENCE, *WITH_BLIP2])
    options.add_argument("--folder", help="where the weights are written meanwhile")
    options.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.ask:
        ask(asked.set)
        return 0
    large = asked.set in WITH_BLIP2
    with TemporaryDirectory(dir=asked.folder) as folder:
        home = Path(folder) / "models"
        (write_with_blip2 if large else write_with_florence)(asked.set, home)
        check = ["cir", "models", "check", asked.set, "--llm", "none"]
        command = [sys.executable, "-m", *(["benchmarks.memory", asked.set, "--ask"] if large else check)]
        environment = {**os.environ, "CIR_HOME": str(home), "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    sys.stdout.write(ran.stdout or ran.stderr)
    return 0 if "memory at its most" in ran.stdout else 1


if __name__ == "__main__":
    raise SystemExit(main())
