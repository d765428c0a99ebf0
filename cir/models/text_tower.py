"""A text tower, open_clip's or BLIP's, entered at its token embeddings: one path for typed texts and for pseudo-words.

Rows of token ids -> `splice` -> `encode_with_embeddings`, in search and in training alike. Both keep
gradients. Does not know what a pseudo-word stands for, nor how prompts are worded.

Source: CVSI, section III-B, Eq. 2 (the text tower reads a prompt with the pseudo-word in it). Their code
looks for the token of "$" in the tokenised prompt, so that a typed "$5" becomes the image and "$," is not
found at all; we put the pseudo-words in by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cir.errors import CirError
from cir.text import counted

PSEUDO_WORD = -1  # in a row of token ids: "all pseudo-words of this row go here". No tokenizer emits it.


def text_tower(model: nn.Module) -> Any:
    """The module that holds the text side: the model itself (CLIP, `BlipTowers`) or its `.text` (CustomTextCLIP).

    Raises:
        CirError: a tower that cannot be trimmed or spliced exactly (not causal, or not pooled at the end
            mark).
    """
    if hasattr(model, "encode_embeddings"):  # BLIP's reads both ways, and knows where a row ends
        return model
    tower: Any = model.text if hasattr(model, "text") else model
    pooling = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    if (
        not hasattr(tower, "token_embedding")
        or getattr(tower, "attn_mask", None) is None
        or getattr(tower, "cls_emb", None) is not None
        or pooling not in ("argmax", "eos")
    ):
        raise CirError(
            f"The text tower of this {type(model).__name__} does not read left to right up to an end mark.",
            "Choose a CLIP model with OpenAI's text tower, such as ViT-B-32 or ViT-L-14.",
        )
    return tower


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text without start and end marks. Marks that are spelled out in the text are read as text.

    open_clip's tokenizer turns a typed "<end_of_text>" (or its HTML-escaped form) into the end mark; its
    ids are replaced by those of the spelling in two parts, which is never a mark.
    """
    ids: list[int] = []
    for token in tokenizer.encode(text):
        if token in tokenizer.all_special_ids:
            spelling = tokenizer.decoder[token]
            ids += tokenizer.encode(spelling[:1]) + tokenizer.encode(spelling[1:])
        else:
            ids.append(token)
    return ids


def splice(
    model: nn.Module, rows: Sequence[Sequence[int]], pseudo_words: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Look up token embeddings and put pseudo-words between them, by position. Keeps gradients.

    Args:
        model: an open_clip CLIP or CustomTextCLIP, or `BlipTowers`.
        rows: N rows of token ids with start and end marks, of any lengths; each `PSEUDO_WORD` in row i
            stands for all T pseudo-words of that row, and may occur any number of times.
        pseudo_words: (N, T, W) rows for the token-embedding table's space; None where no row has any.

    Returns:
        Embeddings (N, L, W), padded to the longest row, and the positions of the last tokens (N,).

    Raises:
        CirError: a row that is longer than the tower reads.
    """
    tower = text_tower(model)
    table = tower.token_embedding
    count = 0 if pseudo_words is None else pseudo_words.shape[1]
    marks = range(PSEUDO_WORD, PSEUDO_WORD - count, -1)  # -1, -2, ...: the first, the second pseudo-word
    expanded = [[i for token in row for i in (marks if token == PSEUDO_WORD else (token,))] for row in rows]
    lengths = [len(row) for row in expanded]
    longest, limit = max(lengths), tower.positional_embedding.shape[0]
    if longest > limit:
        raise CirError(
            f"A text has {counted(longest, 'token')}, but the text tower reads {limit}.",
            "Shorten it before it is spliced.",
        )
    device = table.weight.device
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in expanded], device=device)
    embeddings = table(ids.clamp(min=0))
    if pseudo_words is not None:
        row_index = torch.arange(len(rows), device=device)[:, None]
        words = pseudo_words.to(embeddings)[row_index, (PSEUDO_WORD - ids).clamp(min=0)]
        embeddings = torch.where((ids < 0)[..., None], words, embeddings)
    return embeddings, torch.tensor(lengths, device=device) - 1


def encode_with_embeddings(model: nn.Module, embeddings: Tensor, eot_positions: Tensor) -> Tensor:
    """Run the text tower on token embeddings that end at given positions. Keeps gradients.

    CLIP's is causal and pooled there, BLIP's reads nothing beyond and is pooled at its first place; so texts padded to
    their batch's longest, not to all that the tower reads, give the same features.

    Args:
        model: an open_clip CLIP or CustomTextCLIP, or `BlipTowers`.
        embeddings: (N, L, W) from `splice`; L at most the context length.
        eot_positions: (N,) where each row's end mark is.

    Returns:
        (N, D) projected text features, NOT normalised.
    """
    tower = text_tower(model)
    if hasattr(tower, "encode_embeddings"):
        return tower.encode_embeddings(embeddings, eot_positions)
    hidden = _hidden(tower, embeddings)
    rows = torch.arange(len(hidden), device=hidden.device)
    pooled = tower.ln_final(hidden[rows, eot_positions])
    projection = tower.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection


def token_states(model: nn.Module, embeddings: Tensor, eot_positions: Tensor) -> Tensor:
    """(N, L, W) what the text tower says of every token up to the end mark, before it is projected; zeros behind.

    Arguments as of `encode_with_embeddings`. Keeps gradients.
    """
    tower = text_tower(model)
    if hasattr(tower, "encode_embeddings"):
        states = tower.token_states(embeddings, eot_positions)
    else:
        states = tower.ln_final(_hidden(tower, embeddings))
    there = torch.arange(states.shape[1], device=states.device) <= eot_positions[:, None]
    return states * there[..., None]


def _hidden(tower: Any, embeddings: Tensor) -> Tensor:
    """(N, L, W) a causal tower's last layer."""
    length = embeddings.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    hidden = embeddings.to(dtype) + tower.positional_embedding[:length].to(dtype)
    return tower.transformer(hidden, attn_mask=tower.attn_mask[:length, :length])
