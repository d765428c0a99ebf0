"""A BLIP for retrieval as transformers saves it, with random weights, and a tokenizer of BERT's kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from transformers import BlipConfig, BlipForImageTextRetrieval

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "a",
    "photo",
    "of",
    "cat",
    "dog",
    "that",
    "is",
    ",",
    "blue",
    "on",
    "the",
    "left",
    "in",
    "snow",
    "very",
    "bird",
    "red",
    "$",
    "5",
    "[",
    "]",
    ".",
    "and",
]
LETTERS = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz" for mark in ("", "##")]
SIDE = 32


def word_pieces(words: int = 0) -> Tokenizer:
    """BERT's tokenizer over a few words and all letters; `words`: made as large as that by words that no text has."""
    known = list(dict.fromkeys([*MARKS, *WORDS, *LETTERS]))
    spelled = known + [f"word{i}" for i in range(words - len(known))]
    vocabulary = {word: i for i, word in enumerate(spelled)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(MARKS)
    tokenizer.enable_truncation(3)  # as published files have it, for who wants that
    tokenizer.enable_padding(length=12)
    return tokenizer


def small_config(**text: Any) -> BlipConfig:
    """Two layers each."""
    tower = {"num_hidden_layers": 2, "num_attention_heads": 4}
    sizes = {"hidden_size": 48, "intermediate_size": 96, "image_size": SIDE, "patch_size": 8}
    usual = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "encoder_hidden_size": 48,
        "max_position_embeddings": 24,
        "bos_token_id": 2,
        "sep_token_id": 3,
    }
    words = word_pieces().get_vocab_size()
    return BlipConfig(
        text_config={**tower, **usual, "vocab_size": words, **text},
        vision_config={**tower, **sizes},
        image_text_hidden_size=12,
    )


def random_blip(config: BlipConfig | None = None, seed: int = 0) -> BlipForImageTextRetrieval:
    """Weights that are larger than the initial ones, so that every layer and every place matters."""
    torch.manual_seed(seed)
    model = BlipForImageTextRetrieval(config or small_config())
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.1)
    return model.eval()


def save_blip(folder: Path, model: BlipForImageTextRetrieval, *, side: int = SIDE, **prepared: Any) -> Path:
    """The folder that a hub has of it."""
    model.save_pretrained(folder)
    word_pieces(model.config.text_config.vocab_size).save(str(folder / "tokenizer.json"))
    usual = {"size": {"height": side, "width": side}, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(usual | prepared), encoding="utf-8")
    return folder
