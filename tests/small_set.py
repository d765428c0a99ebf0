"""The set "laptop" in small and with random weights, as a hub publishes it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from captioner_doubles import florence_folder
from hub_server import HubServer
from transformers import CLIPConfig, CLIPModel

CLIP, CAPTIONER = "BAAI/BGE-VL-base", "florence-community/Florence-2-base"
LANGUAGE_MODEL = ("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf")


def clip_folder(folder: Path) -> Path:
    """A CLIP as transformers saves it."""
    torch.manual_seed(0)
    tower = {"num_hidden_layers": 2, "num_attention_heads": 4}
    sizes = {"hidden_size": 48, "intermediate_size": 96, "image_size": 64, "patch_size": 16}
    text = {**tower, "hidden_size": 32, "intermediate_size": 64}
    model = CLIPModel(CLIPConfig(projection_dim=24, text_config=text, vision_config={**tower, **sizes}))
    for parameter in model.parameters():  # larger than the initial ones, so that pictures and words differ
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    prepared = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    return folder


def publish_laptop(hub: HubServer, folder: Path) -> None:
    """Put both models on the hub, and bytes in place of the language model."""
    for repository, made in (
        (CLIP, clip_folder(folder / "clip")),
        (CAPTIONER, florence_folder(folder / "captioner")),
    ):
        hub.add(repository, {path.name: path.read_bytes() for path in made.iterdir()})
    hub.add(LANGUAGE_MODEL[0], {LANGUAGE_MODEL[1]: bytes(range(256)) * 4000})
