"""Files of compared methods as their authors have published them, with random weights: the names and shapes of every tensor.

The sizes by default are those of the published files. By the authors' repositories: suoych/KEDs (`src/model/model.py`,
`src/main.py`), Pter61/context-i2w (`model/model.py`), ABaldrati/CLIP4Cir (`src/combiner.py`, `src/utils.py`) and
lucas-ventura/CoVR (`src/model/blip`, `train.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]


class Weights:
    """A state that is filled by name and shape.

    Args:
        seed: of its numbers.
    """

    def __init__(self, seed: int) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(seed)

    def put(self, name: str, *shape: int, scale: float = 1.0, shift: float = 0.0) -> None:
        """A tensor."""
        self.state[name] = shift + scale * torch.randn(*shape, generator=self.generator)

    def linear(self, name: str, out: int, into: int, *, bias: bool = True) -> None:
        """A linear layer that keeps lengths about as they are."""
        self.put(f"{name}.weight", out, into, scale=into**-0.5)
        if bias:
            self.put(f"{name}.bias", out, scale=0.1)

    def norm(self, name: str, width: int) -> None:
        """A layer norm."""
        self.put(f"{name}.weight", width, scale=0.1, shift=1.0)
        self.put(f"{name}.bias", width, scale=0.1)


def parallel(state: State) -> State:
    """The names that a parallel training gives."""
    return {f"module.{name}": tensor for name, tensor in state.items()}


def img2text(weights: Weights, dim: int, hidden: int, word: int, begin: str = "", end: str = "") -> None:
    """Pic2Word's network, as KEDs and Context-I2W have it too."""
    weights.linear(f"{begin}layers{end}.0.0", hidden, dim)
    weights.linear(f"{begin}layers{end}.1.0", hidden, hidden)
    weights.linear(f"{begin}fc_out{end}", word, hidden)


def keds_stream(
    seed: int, dim: int = 768, hidden: int = 512, word: int = 768, inner: int = 512
) -> dict[str, Any]:
    """One stream's checkpoint, beside what else a training keeps."""
    found: dict[str, Any] = {
        "epoch": 30,
        "name": "keds",
        "state_dict": {"module.logit_scale": torch.ones(())},
    }
    made = Weights(seed)
    img2text(made, dim, hidden, word)
    found["state_dict_img2text"] = parallel(made.state)
    for part in ("state_dict_retrieval_fuse", "state_dict_text_condition"):
        made.state = {}
        for i in range(3):
            for layer in ("to_q", "to_k", "to_v"):
                made.linear(f"cross_layers.{i}.{layer}", inner, word)
            made.linear(f"cross_layers.{i}.to_out.0", word, inner)
        found[part] = parallel(made.state)
    found["optimizer"] = {"state": {}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.98), "params": [0, 1]}]}
    return found


def keds_folder(folder: Path, pairs: int, dim: int = 768, **sizes: int) -> Path:
    """All of its four files."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("image_stream.pt", "text_stream.pt")):
        torch.save(keds_stream(seed, dim, **sizes), folder / name)
    generator = torch.Generator().manual_seed(9)
    for name in ("cc_image_databases.pt", "cc_text_databases.pt"):
        base = torch.randn(pairs, dim, generator=generator)
        lengths = 0.5 + torch.rand(pairs, 1, generator=generator)  # nothing says that they are of one length
        torch.save(lengths * base / base.norm(dim=1, keepdim=True), folder / name)
    return folder


def context_i2w_file(
    path: Path,
    view: int = 1024,
    dim: int = 768,
    hidden: int = 512,
    word: int = 768,
    inner: int = 512,
    looks: int = 6,
    thinking: int = 4096,
) -> State:
    """Its checkpoint; the tensors of the network by their published names."""
    made = Weights(4)
    made.linear("to_c", view, dim, bias=False)
    made.put("W_R.weight_g", view, 1, scale=0.2, shift=1.0)
    made.put("W_R.weight_v", view, view)
    for end in ("", "_local"):
        made.norm(f"ln_post{end}", view)
        made.put(f"proj{end}", view, word, scale=view**-0.5)
        img2text(made, dim, hidden, word, end=end)
    made.put("VT_Extractor.latents", 4, view)
    for i in range(looks):
        layer = f"VT_Extractor.layers.{i}"
        made.norm(f"{layer}.0.norm_media", view)
        made.norm(f"{layer}.0.norm_latents", view)
        made.linear(f"{layer}.0.to_q", inner, view, bias=False)
        made.linear(f"{layer}.0.to_kv", 2 * inner, view, bias=False)
        made.linear(f"{layer}.0.to_out", view, inner, bias=False)
        made.norm(f"{layer}.1.0", view)
        made.linear(f"{layer}.1.1", thinking, view, bias=False)
        made.linear(f"{layer}.1.3", view, thinking, bias=False)
    made.norm("VT_Extractor.norm", view)
    made.put("local_gate", 1, shift=0.7, scale=0.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 30, "name": "i2w", "state_dict": {}, "state_dict_img2text": made.state}, path)
    return made.state


def combiner_state(dim: int = 640, projected: int = 2560, hidden: int = 5120) -> State:
    """CLIP4CIR's Combiner."""
    made = Weights(5)
    made.linear("text_projection_layer", projected, dim)
    made.linear("image_projection_layer", projected, dim)
    made.linear("combiner_layer", hidden, 2 * projected)
    made.linear("output_layer", dim, hidden)
    made.linear("dynamic_scalar.0", hidden, 2 * projected)
    made.linear("dynamic_scalar.3", 1, hidden)
    return made.state


def covr_state(
    side: int = 384,
    patch: int = 16,
    width: int = 1024,
    depth: int = 24,
    words: int = 30_524,
    word: int = 768,
    layers: int = 12,
    places: int = 512,
    dim: int = 256,
) -> State:
    """CoVR's network: BLIP-L with its image-grounded text encoder."""
    made = Weights(6)
    made.put("visual_encoder.cls_token", 1, 1, width, scale=0.5)
    made.put("visual_encoder.pos_embed", 1, (side // patch) ** 2 + 1, width, scale=0.5)
    made.put(
        "visual_encoder.patch_embed.proj.weight", width, 3, patch, patch, scale=(3 * patch * patch) ** -0.5
    )
    made.put("visual_encoder.patch_embed.proj.bias", width, scale=0.1)
    for i in range(depth):
        block = f"visual_encoder.blocks.{i}"
        made.norm(f"{block}.norm1", width)
        made.linear(f"{block}.attn.qkv", 3 * width, width)
        made.linear(f"{block}.attn.proj", width, width)
        made.norm(f"{block}.norm2", width)
        made.linear(f"{block}.mlp.fc1", 4 * width, width)
        made.linear(f"{block}.mlp.fc2", width, 4 * width)
    made.norm("visual_encoder.norm", width)
    begin = "text_encoder"
    made.put(f"{begin}.embeddings.word_embeddings.weight", words, word, scale=0.5)
    made.put(f"{begin}.embeddings.position_embeddings.weight", places, word, scale=0.5)
    made.norm(f"{begin}.embeddings.LayerNorm", word)
    made.state[f"{begin}.embeddings.position_ids"] = torch.arange(places)[None]
    for i in range(layers):
        layer = f"{begin}.encoder.layer.{i}"
        for kind, seen in (("attention", word), ("crossattention", width)):
            made.linear(f"{layer}.{kind}.self.query", word, word)
            made.linear(f"{layer}.{kind}.self.key", word, seen)
            made.linear(f"{layer}.{kind}.self.value", word, seen)
            made.linear(f"{layer}.{kind}.output.dense", word, word)
            made.norm(f"{layer}.{kind}.output.LayerNorm", word)
        made.linear(f"{layer}.intermediate.dense", 4 * word, word)
        made.linear(f"{layer}.output.dense", word, 4 * word)
        made.norm(f"{layer}.output.LayerNorm", word)
    made.linear("vision_proj", dim, width)
    made.linear("text_proj", dim, word)
    return made.state


def save_covr(path: Path, state: State) -> None:
    """Its checkpoint, in which the schedule of its training lies as an object of its authors' code."""
    module = ModuleType("src.tools.scheduler")
    schedule = type("CosineSchedule", (), {"__module__": module.__name__})
    module.CosineSchedule = schedule  # type: ignore[attr-defined]
    kept = schedule()
    kept.init_lr = 1e-5  # type: ignore[attr-defined]
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {"src": ModuleType("src"), "src.tools": ModuleType("src.tools"), module.__name__: module}
    sys.modules.update(names)
    try:
        torch.save({"epoch": 4, "model": state, "optimizer": {"state": {}}, "scheduler": kept}, path)
    finally:
        for name in names:
            del sys.modules[name]


def compodiff_state(
    width: int = 768,
    depth: int = 12,
    text: int = 1280,
    own: int = 1024,
    look: int = 512,
    inner: int = 3072,
    mask: int = 4096,
    hidden: int = 1536,
) -> State:
    """CompoDiff's network, beside the numbers of its schedule and of its rotations, which are computed."""
    made = Weights(7)
    made.linear("to_text_embeds.0", width, text)
    for begin, first in (("to_time_embeds.0.1.net", width), ("to_mask_embeds.1.net", mask)):
        made.linear(f"{begin}.0.0", hidden, first)
        made.linear(f"{begin}.1.0", hidden, hidden)
        made.linear(f"{begin}.2", width, hidden)
    made.put("transformer.rel_pos_bias.relative_attention_bias.weight", 32, own // 64)
    for i in range(depth):
        layer = f"transformer.layers.{i}"
        for place, heads, keys in ((0, own, 128), (1, look, 2 * look)):
            made.put(f"{layer}.{place}.norm.g", width, scale=0.1, shift=1.0)
            made.put(f"{layer}.{place}.null_kv", 2, 64)
            made.linear(f"{layer}.{place}.to_q", heads, width, bias=False)
            made.linear(f"{layer}.{place}.to_kv", keys, width, bias=False)
            made.linear(f"{layer}.{place}.to_out.0", width, heads, bias=False)
            made.put(f"{layer}.{place}.to_out.1.g", width, scale=0.1, shift=1.0)
        made.put(f"{layer}.0.rotary_emb.freqs", 16)
        made.put(f"{layer}.2.0.g", width, scale=0.1, shift=1.0)
        made.linear(f"{layer}.2.1", 2 * inner, width, bias=False)
        made.linear(f"{layer}.2.5", width, inner, bias=False)
    made.put("transformer.norm.g", width, scale=0.1, shift=1.0)
    made.linear("transformer.project_out", width, width, bias=False)
    state = {f"model.net.{name}": tensor for name, tensor in made.state.items()}
    return {**state, "model.noise_scheduler.betas": torch.zeros(1000)}


def compodiff_folder(
    folder: Path, state: State, text_layers: int, text: int = 1280, pad: object = "!"
) -> Path:
    """Its three files: the network, a CLIP of open_clip of whose tensors the text tower's count, and what fills texts up."""
    import json

    from open_clip.transformer import TextTransformer
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    torch.save(state, folder / "pytorch_model.bin")
    torch.manual_seed(8)
    tower = TextTransformer(width=text, heads=text // 64, layers=text_layers, output_dim=text)
    torch.nn.init.normal_(tower.token_embedding.weight, std=0.5)
    tensors = {name: one.contiguous() for name, one in tower.state_dict().items()}
    tensors |= {"visual.proj": torch.ones(4, 4), "logit_scale": torch.ones(())}
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad}), encoding="utf-8")
    return folder


def blip4cir_folder(folder: Path, blip: State, combiner: State) -> Path:
    """BLIP4CIR+Bi's three files, of a BLIP as it was trained first; its text encoder is tuned, its image tower is not."""
    folder.mkdir(parents=True)
    others = {
        "visual_encoder_m.cls_token": torch.ones(1),
        "image_queue": torch.ones(2, 2),
        "temp": torch.ones(()),
    }
    seeing = {name: one for name, one in blip.items() if name.startswith(("visual_encoder.", "vision_proj."))}
    reading = {name: one for name, one in blip.items() if name not in seeing}
    before = {name: torch.zeros_like(one) for name, one in reading.items()}
    torch.save({"model": {**seeing, **before, **others}}, folder / "model_base.pth")
    tuned = {"epoch": 9, "BLIPTextEncoder": reading, "optimizer_state_dict": {"state": {}}}
    torch.save(tuned, folder / "tuned_blip_mean.pt")
    torch.save({"epoch": 7, "Combiner": combiner}, folder / "combiner_mean.pt")
    return folder
