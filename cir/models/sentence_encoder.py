"""Sentences -> features by a transformers encoder in a local folder: all-MiniLM-L6-v2, or a BERT.

Knows pooling and nothing of what the sentences are compared for.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cir.errors import BadQuery, MissingModel, UnsafeFile
from cir.models.runtime import fingerprint_of, pick_device, run_in_batches, without_progress_bar

POOLINGS = ("mean", "cls")
MAX_TOKENS = 256
BATCH = 64


class TransformerSentenceEncoder:
    """A text encoder behind the protocol SentenceEncoder: pooled last hidden states, normalised.

    Source: HyCIR takes BERT's embeddings and does not say how they are pooled. "mean" over the tokens is what
    all-MiniLM-L6-v2 was trained with, and what is usual for BERT; "cls" takes the first token.

    Args:
        model: a built encoder.
        tokenizer: its tokenizer.
        name: for people.
        pooling: "mean" or "cls".
        device: where the model is moved.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str, pooling: str = "mean", device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.model, self.tokenizer = model.to(self.device).eval(), tokenizer
        self.name, self.pooling = name, pooling
        self.fingerprint = fingerprint_of(
            name, model.state_dict(), {"pooling": pooling, "tokens": MAX_TOKENS}
        )
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows; texts are cut at 256 tokens.

        Raises:
            CirError: a GPU that does not hold one text.
        """
        if not texts:
            return np.zeros((0, int(self.model.config.hidden_size)), np.float32)
        return np.concatenate(run_in_batches(self._encode, list(texts), BATCH))

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock, torch.inference_mode():
            tokens = self.tokenizer(
                list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            ).to(self.device)
            states = self.model(**tokens).last_hidden_state.float()
            if self.pooling == "cls":
                pooled = states[:, 0]
            else:
                counted = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
                pooled = (states * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1.0)
            return torch.nn.functional.normalize(pooled, dim=1).cpu().numpy().astype(np.float32)


def load_sentence_encoder(
    folder: Path, *, pooling: str = "mean", device: str | torch.device | None = None
) -> TransformerSentenceEncoder:
    """An encoder from a folder of config.json, tokenizer files and model.safetensors.

    Raises:
        BadQuery: no such pooling.
        MissingModel: no such folder.
        UnsafeFile: a folder whose files do not make an encoder.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    if pooling not in POOLINGS:
        raise BadQuery(f"There is no pooling called {pooling!r}.", f"Choose one of: {', '.join(POOLINGS)}.")
    if not (folder / "config.json").is_file():
        raise MissingModel(
            f"There is no sentence encoder in {folder.name}.",
            "Give a folder with config.json, tokenizer and model.safetensors, or leave it out.",
        )
    where = pick_device(device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with without_progress_bar():
            loaded: Any = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsafeFile(
            f"The sentence encoder in {folder.name} could not be loaded: {first}", _ANOTHER
        ) from error
    model, report = loaded
    missing = sorted(key for key in report.get("missing_keys", ()) if "pooler" not in key)
    if missing or report.get("mismatched_keys"):
        raise UnsafeFile(
            f"The sentence encoder in {folder.name} lacks weights ({', '.join(missing[:3])}).", _ANOTHER
        )
    return TransformerSentenceEncoder(model, tokenizer, folder.name, pooling, where)


_ANOTHER = "Fetch it again (python -m cir models pull embedded), or give another folder."
