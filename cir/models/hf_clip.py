"""A CLIP in the layout of Hugging Face's transformers (`CLIPModel`), made into open_clip's with the same features.

Many weights are published only so (BGE-VL among them). The whole program, splicing above all, knows one text tower:
open_clip's. So the tensors get open_clip's names here, and nothing of transformers' model code runs, nor any code that
lies beside the weights.

Does not know how a model is used, nor which ones are published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cir.errors import MissingModel, UnsafeFile

WEIGHTS = "model.safetensors"
VOCABULARY = 49408  # of CLIP's byte-pair tokenizer, the one that open_clip brings
ACTIVATIONS = {"quick_gelu": True, "gelu": False}  # config.json's name -> whether it is open_clip's QuickGELU
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers of `resample`
_REMEDY = "Remove the folder and fetch it again (python -m cir models pull NAME), or give the folder of another CLIP model."

_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OUTSIDE_LAYERS = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
_TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
_TOWERS = {"text_model.encoder.layers": "transformer", "vision_model.encoder.layers": "visual.transformer"}


def is_hugging_face_clip(folder: Path) -> bool:
    """Whether a folder holds a CLIP as transformers saves it, by its config.json."""
    return kind_of(folder) == "clip"


def kind_of(folder: Path) -> str:
    """The kind of model that a config.json of transformers names; "" where there is none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("model_type", "")) if isinstance(config, dict) else ""


def build_hugging_face_clip(folder: Path) -> tuple[Any, Any, Any]:
    """(open_clip's CLIP, its tokenizer, its preprocessing) with the weights and settings of a folder, in float32.

    Args:
        folder: with config.json, model.safetensors (of any precision) and, if pictures are not prepared as OpenAI's
            CLIP does, preprocessor_config.json.

    Raises:
        MissingModel: no weights.
        UnsafeFile: weights that do not fit config.json, or a setting that open_clip's CLIP does not have.
    """
    import open_clip
    from open_clip.model import CLIP, set_model_preprocess_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from safetensors import safe_open
    from transformers import CLIPConfig

    if not (folder / WEIGHTS).is_file():
        raise MissingModel(f"{folder} holds no {WEIGHTS}.", _REMEDY)
    config = CLIPConfig.from_pretrained(str(folder))
    context = _context_length(config, folder)
    model = CLIP(**open_clip_config(config, context))
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        state = open_clip_state({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    if "positional_embedding" in state:
        state["positional_embedding"] = state["positional_embedding"][:context]
    model.load_state_dict(state, strict=True)
    preparation = preparation_of(folder)
    set_model_preprocess_cfg(model, preparation)
    transform = image_transform_v2(PreprocessCfg(**preparation), is_train=False)
    return model, open_clip.SimpleTokenizer(context_length=context), transform


def open_clip_config(config: Any, context_length: int) -> dict[str, Any]:
    """The arguments of open_clip's `CLIP` for a `CLIPConfig` of transformers.

    Raises:
        UnsafeFile: an activation, a vocabulary or a depth that open_clip's CLIP cannot have.
    """
    text, vision = config.text_config, config.vision_config
    if text.hidden_act != vision.hidden_act or text.hidden_act not in ACTIVATIONS:
        raise UnsafeFile(
            f"This CLIP's activations are {text.hidden_act} and {vision.hidden_act}; one of {', '.join(ACTIVATIONS)} is known.",
            _REMEDY,
        )
    if text.vocab_size != VOCABULARY:
        raise UnsafeFile(
            f"The vocabulary of this CLIP is {text.vocab_size:,} large, and that of CLIP's own tokenizer {VOCABULARY:,}.",
            _REMEDY,
        )
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": ACTIVATIONS[text.hidden_act],
        "vision_cfg": {
            **_tower_config(vision),
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "head_width": vision.hidden_size // vision.num_attention_heads,
        },
        "text_cfg": {
            **_tower_config(text),
            "context_length": context_length,
            "vocab_size": text.vocab_size,
            "heads": text.num_attention_heads,
        },
    }


def open_clip_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a `CLIPModel` under open_clip's names. Names that are not known stay, so that loading refuses them."""
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.endswith(".position_ids"):  # a counter that older files carry along
            continue
        if key in _TRANSPOSED:
            found[_TRANSPOSED[key]] = tensor.T
        elif ".self_attn.k_proj." in key or ".self_attn.v_proj." in key:
            continue  # goes with the query's
        elif ".self_attn.q_proj." in key:
            joined = [state[key.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            name = key.replace("self_attn.q_proj.", "attn.in_proj_")
            found[_in_layer(name)] = torch.cat(joined)
        else:
            found[_OUTSIDE_LAYERS.get(key) or _in_layer(key)] = tensor
    return found


def _in_layer(key: str) -> str:
    """open_clip's name of a tensor inside a layer: "text_model.encoder.layers.3.mlp.fc1.bias" and the like."""
    for tower, ours in _TOWERS.items():
        if key.startswith(tower + "."):
            number, _, rest = key.removeprefix(tower + ".").partition(".")
            part, _, kind = rest.rpartition(".")
            return f"{ours}.resblocks.{number}.{_LAYER.get(part, part)}.{kind}"
    return key


def _tower_config(tower: Any) -> dict[str, Any]:
    return {
        "width": tower.hidden_size,
        "layers": tower.num_hidden_layers,
        "mlp_ratio": tower.intermediate_size / tower.hidden_size,
        "norm_kwargs": {"eps": tower.layer_norm_eps},
    }


def _context_length(config: Any, folder: Path) -> int:
    """Tokens that the text tower reads: as many as it has places for, or fewer where its tokenizer says so."""
    limit = _read(folder, "tokenizer_config").get(
        "model_max_length", config.text_config.max_position_embeddings
    )
    return int(min(limit, config.text_config.max_position_embeddings))


def preparation_of(folder: Path, *, cropped: bool = True) -> dict[str, Any]:
    """preprocessor_config.json as open_clip's settings; OpenAI's where it says nothing.

    Args:
        folder: of the model.
        cropped: whether a picture's middle is taken, where the file does not say; otherwise it is squeezed.

    Raises:
        UnsafeFile: pictures are prepared as open_clip cannot.
    """
    from open_clip.transform import PreprocessCfg

    given, usual = _read(folder, "preprocessor_config"), PreprocessCfg()
    size, crop = given.get("size", 224), given.get("crop_size", given.get("size", 224))
    cropped = given.get("do_center_crop", cropped)
    side = _side(crop if cropped else size)
    interpolation = INTERPOLATIONS.get(given.get("resample", 3))
    if side is None or interpolation is None or (cropped and _side(size) != side):
        raise UnsafeFile(
            f"Pictures for {folder.name} are made {size}, cut to {crop} and drawn with {given.get('resample', 3)}, "
            "which this program does not do.",
            _REMEDY,
        )
    return {
        "size": side,
        "mode": "RGB",
        "mean": tuple(given.get("image_mean", usual.mean)),
        "std": tuple(given.get("image_std", usual.std)),
        "interpolation": interpolation,
        "resize_mode": "shortest" if cropped else "squash",
        "fill_color": usual.fill_color,
    }


def _side(size: Any) -> int | None:
    """The one side of a size as transformers writes it: 224, {"shortest_edge": 224} or {"height": 224, "width": 224}."""
    if isinstance(size, int):
        return size
    sides = set(size.values()) if isinstance(size, dict) else set()
    return int(sides.pop()) if len(sides) == 1 else None


def _read(folder: Path, stem: str) -> dict[str, Any]:
    """A JSON file of the folder; nothing where there is none."""
    path = folder / f"{stem}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
