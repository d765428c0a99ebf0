"""CoVR with the weights that its authors have published: BLIP-L, whose text encoder reads the edit while it looks at the image.

A gallery is encoded by its image tower, so the method has features of its own. Sizes are read off the file.

Source: Ventura et al., "CoVR: Learning Composed Video Retrieval from Web Video Captions", AAAI 2024 (the image-grounded text
encoder, its [ENC] in the place of [CLS], projected into the space of image features), on BLIP, section 3.1; names and shapes
of the tensors, and how texts and images are prepared, by the authors' repository (lucas-ventura/CoVR).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.blip_towers import TOKENIZER, WordPieces
from cir.models.checkpoints import State, count_of, read_checkpoint, renamed, state_in
from cir.models.mapping_files import FETCH
from cir.models.runtime import fingerprint_of, moved, pick_device, run_in_batches
from cir.picture_memory import REMEMBERED_PATCHES, SeenPictures
from cir.types import Features

CHECKPOINT = "webvid-covr.ckpt"
COVR_FILES = (CHECKPOINT, TOKENIZER)
HEAD_WIDTH, LONGEST, MOST_WORDS, AT_ONCE = 64, 64, 30, 8
LEFT_OUT = ("temp", "text_encoder.embeddings.position_ids")  # of no use to queries, or a count from 0
KEYS: Mapping[str, str] = {
    "visual_encoder.cls_token": "vision.embeddings.class_embedding",
    "visual_encoder.pos_embed": "vision.embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.": "vision.embeddings.patch_embedding.",
    "visual_encoder.blocks.#.norm1.": "vision.encoder.layers.#.layer_norm1.",
    "visual_encoder.blocks.#.attn.qkv.": "vision.encoder.layers.#.self_attn.qkv.",
    "visual_encoder.blocks.#.attn.proj.": "vision.encoder.layers.#.self_attn.projection.",
    "visual_encoder.blocks.#.norm2.": "vision.encoder.layers.#.layer_norm2.",
    "visual_encoder.blocks.#.mlp.": "vision.encoder.layers.#.mlp.",
    "visual_encoder.norm.": "vision.post_layernorm.",
    "text_encoder.": "text.",
    "vision_proj.": "vision_proj.",
    "text_proj.": "text_proj.",
}


class Schedule:
    """Stands for the rate of learning that the checkpoint has kept beside its tensors; it is not looked at."""


STAND_INS = [(Schedule, f"src.tools.scheduler.{name}Schedule") for name in ("Cosine", "Step")]


class CovrNetwork(nn.Module):
    """Image tower, image-grounded text encoder and both projections, from settings of transformers' BLIP.

    Args:
        vision: a BlipVisionConfig.
        text: a BlipTextConfig, with cross-attention.
        dim: D, the width of features.
    """

    def __init__(self, vision: Any, text: Any, dim: int) -> None:
        super().__init__()
        from transformers import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        self.vision, self.text = BlipVisionModel(vision), BlipTextModel(text, add_pooling_layer=False)
        self.vision_proj = nn.Linear(vision.hidden_size, dim)
        self.text_proj = nn.Linear(text.hidden_size, dim)

    def tokens(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 1 + P, V), the class token first."""
        return self.vision(pixel_values=pixels).last_hidden_state

    def forward(self, tokens: Tensor | None, ids: Tensor) -> Tensor:
        """(1, 1 + P, V) tokens of an image, or none, and (1, L) ids of an edit with its marks -> (1, D)."""
        read = self.text(input_ids=ids, attention_mask=torch.ones_like(ids), encoder_hidden_states=tokens)
        return self.text_proj(read.last_hidden_state[:, 0])


class PublishedCovr:
    """Image encoder of its galleries and network of its queries in one.

    Args:
        network: with its weights.
        tokenizer: BERT's.
        device: where it is moved.
    """

    def __init__(self, network: CovrNetwork, tokenizer: WordPieces, device: torch.device) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.network, self.tokenizer, self.device = moved(network.float(), device).eval(), tokenizer, device
        self.dim = network.vision_proj.out_features
        self.references: SeenPictures[Tensor] = SeenPictures(REMEMBERED_PATCHES)
        self.mark = network.text.config.vocab_size - 1  # [ENC] is the last of the words
        self.fingerprint = fingerprint_of("covr", network.state_dict())
        side: Any = network.vision.config.image_size
        settings = PreprocessCfg(size=side, resize_mode="squash")
        self.prepare: Any = image_transform_v2(settings, is_train=False)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) raw features."""

        def run(batch: Sequence[Image.Image]) -> NDArray[np.float32]:
            with torch.inference_mode():
                return self.network.vision_proj(self._tokens(batch)[:, 0]).cpu().numpy()

        rows = run_in_batches(run, images, AT_ONCE)
        return finite(np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32))

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(1, D) the query, a unit row.

        Raises:
            CirError: values that are not finite.
        """
        ids = self.tokenizer.encode(prepared_text(text))[: LONGEST - 2]
        row = torch.tensor([[self.mark, *ids, self.tokenizer.eot_token_id]], device=self.device)
        with torch.inference_mode():
            (tokens,) = self.references.made([image], self._tokens)
            query = F.normalize(self.network(tokens[None], row), dim=1)
        return finite(query.cpu().numpy())

    def _tokens(self, images: Sequence[Image.Image]) -> Tensor:
        return self.network.tokens(torch.stack([self.prepare(image) for image in images]).to(self.device))


def prepared_text(text: str) -> str:
    """An edit as the network has learnt to read it: without most punctuation, at most 30 words."""
    return " ".join(re.sub(r'[.!"()*#:;~]', " ", text.lower()).split()[:MOST_WORDS])


def read_published_covr(folder: Path, device: str | torch.device | None = None) -> PublishedCovr:
    """The published checkpoint in a folder, and BERT's tokenizer beside it.

    Raises:
        MissingModel: one of them is not there.
        UnsafeFile: one holds something else, or more than tensors.
    """
    for name in COVR_FILES:
        if not (folder / name).is_file():
            raise MissingModel(f"{folder} holds no {name}.", FETCH)
    path = folder / CHECKPOINT
    try:
        network = blip_of(state_in(read_checkpoint(path, STAND_INS), "model", path))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is not CoVR's network: {error}", FETCH) from error
    return PublishedCovr(network, tokenizer_for(network, folder), pick_device(device))


def blip_of(published: State) -> CovrNetwork:
    """The network of tensors by the names that BLIP's own code gives them.

    Raises:
        KeyError, ValueError, RuntimeError: they are not those of one.
    """
    state = renamed({name: one for name, one in published.items() if name not in LEFT_OUT}, KEYS)
    network = CovrNetwork(*_settings(state))
    network.load_state_dict(state, strict=True)
    return network


def tokenizer_for(network: CovrNetwork, folder: Path) -> WordPieces:
    """BERT's tokenizer in a folder, whose words have to be fewer than the network's.

    Raises:
        UnsafeFile: they are not.
    """
    from tokenizers import Tokenizer

    tokenizer = WordPieces(Tokenizer.from_file(str(folder / TOKENIZER)))
    words, rows = max(tokenizer.decoder) + 1, network.text.config.vocab_size
    if words >= rows:
        raise UnsafeFile(
            f"The vocabulary in {folder} is {words:,} large, and the network's table {rows:,}.", FETCH
        )
    return tokenizer


def _settings(state: State) -> tuple[Any, Any, int]:
    """What `CovrNetwork` has to be told, by the shapes of its tensors."""
    from transformers import BlipTextConfig, BlipVisionConfig

    places, width = state["vision.embeddings.position_embedding"].shape[1:]
    patch = state["vision.embeddings.patch_embedding.weight"].shape[-1]
    vision = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=len(state["vision.encoder.layers.0.mlp.fc1.weight"]),
        num_hidden_layers=count_of(state, "vision.encoder.layers.#."),
        num_attention_heads=width // HEAD_WIDTH,
        image_size=math.isqrt(places - 1) * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    words, word_width = state["text.embeddings.word_embeddings.weight"].shape
    text = BlipTextConfig(
        vocab_size=words,
        hidden_size=word_width,
        encoder_hidden_size=width,
        intermediate_size=len(state["text.encoder.layer.0.intermediate.dense.weight"]),
        num_hidden_layers=count_of(state, "text.encoder.layer.#."),
        num_attention_heads=word_width // HEAD_WIDTH,
        max_position_embeddings=len(state["text.embeddings.position_embeddings.weight"]),
        is_decoder=True,  # that is how transformers calls cross-attention; it reads both ways all the same
    )
    return vision, text, len(state["vision_proj.weight"])


def finite(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows themselves.

    Raises:
        CirError: values that are not finite.
    """
    if not np.isfinite(rows).all():
        raise CirError("A published BLIP gave values that are not finite.", f"Its file is damaged. {FETCH}")
    return rows
