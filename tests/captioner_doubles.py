"""Captioners of transformers' classes with random weights, in folders as they are published; small or full size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    PreTrainedTokenizerFast,
)

FLORENCE_BASE: dict[str, Any] = {
    "text_config": {
        "model_type": "bart",
        "vocab_size": 51328,
        "d_model": 768,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072,
        "encoder_attention_heads": 12,
        "decoder_attention_heads": 12,
        "max_position_embeddings": 4096,
    },
    "vision_config": {"projection_dim": 768},
}
FLORENCE_SMALL: dict[str, Any] = {
    "text_config": {
        "model_type": "bart",
        "vocab_size": 200,
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "max_position_embeddings": 128,
    },
    "vision_config": {
        "projection_dim": 16,
        "depths": [1, 1, 1, 1],
        "embed_dim": [8, 8, 16, 16],
        "num_heads": [2, 2, 2, 2],
        "num_groups": [2, 2, 2, 2],
        "window_size": 4,
    },
}
BLIP_SMALL: dict[str, Any] = {
    "text_config": {
        "vocab_size": 200,
        "hidden_size": 16,
        "encoder_hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": 198,
        "eos_token_id": 2,
        "sep_token_id": 3,
        "pad_token_id": 0,
    },
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "initializer_range": 0.02,  # the default of the class leaves it dead
        "patch_size": 16,
    },
}


def florence_folder(folder: Path, shape: dict[str, Any] = FLORENCE_SMALL, side: int = 64) -> Path:
    """A Florence-2; `side` of its pictures is 768 where it is published."""
    torch.manual_seed(0)
    size = shape["text_config"]["vocab_size"]
    tokenizer = numbered_words(
        size,
        {0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>", size - 1: "<image>"},
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    shape = {**shape, "image_token_id": size - 1}
    model = Florence2ForConditionalGeneration(Florence2Config(**shape))
    _as_sure_as_trained_ones(model, model, end=2)
    model.generation_config.update(num_beams=3, early_stopping=True, no_repeat_ngram_size=3)  # as published
    model.save_pretrained(folder)
    places = (side // 32) ** 2 + 1
    images = CLIPImageProcessor(
        size={"height": side, "width": side}, do_center_crop=False, image_seq_length=places
    )
    images.image_seq_length = places
    Florence2Processor(images, tokenizer).save_pretrained(folder)
    return folder


def blip_folder(folder: Path, shape: dict[str, Any] = BLIP_SMALL) -> Path:
    """A BLIP for captions."""
    torch.manual_seed(0)
    config = BlipConfig(**shape)
    size = config.text_config.vocab_size
    words = {0: "[PAD]", config.text_config.sep_token_id: "[SEP]", 1: "[UNK]"}
    tokenizer = numbered_words(size - 2, words, sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]")
    model = BlipForConditionalGeneration(config)
    _as_sure_as_trained_ones(model, model.text_decoder, end=config.text_config.sep_token_id)
    model.save_pretrained(folder)
    side = config.vision_config.image_size
    BlipProcessor(BlipImageProcessor(size={"height": side, "width": side}), tokenizer).save_pretrained(folder)
    return folder


def numbered_words(size: int, special: dict[int, str], **names: Any) -> PreTrainedTokenizerFast:
    """Words w0, w1, ... but for the special ones."""
    words = {special.get(i, f"w{i}"): i for i in range(size)}
    unknown = names.setdefault("unk_token", "<unk>")
    names.setdefault("pad_token", "<pad>")
    core = Tokenizer(WordLevel(words, unk_token=unknown))
    core.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, **names)


def _as_sure_as_trained_ones(model: Any, writer: Any, end: int) -> None:
    """Random weights find all words equally likely, so that rounding would choose, or end at once: neither here."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "position" not in name:
                parameter.mul_(4)
        writer.get_output_embeddings().weight[end] = 0.0


def blip2_folder(folder: Path) -> Path:
    """A BLIP-2 of the hub's class, in miniature: two layers of each tower."""
    torch.manual_seed(0)
    config = Blip2Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 16,
            "initializer_range": 0.02,
        },
        qformer_config={
            "vocab_size": 10,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "encoder_hidden_size": 32,
        },
        text_config={
            "model_type": "opt",
            "vocab_size": 200,
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 64,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "max_position_embeddings": 128,
            "pad_token_id": 1,
            "bos_token_id": 2,
            "eos_token_id": 2,
        },
        num_query_tokens=4,
        image_token_index=199,
    )
    special = {1: "<pad>", 2: "</s>", 3: "<unk>", 199: "<image>"}
    tokenizer = numbered_words(
        200, special, bos_token="</s>", eos_token="</s>", extra_special_tokens={"image_token": "<image>"}
    )
    model = Blip2ForConditionalGeneration(config)
    _as_sure_as_trained_ones(model, model.language_model, end=2)
    model.save_pretrained(folder, max_shard_size="60KB")
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    Blip2Processor(images, tokenizer, num_query_tokens=4).save_pretrained(folder)
    return folder
