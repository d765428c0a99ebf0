"""A tiny BLIP-2: the released class with a frozen convolutional trunk in the place of its vision transformer.

Q-Former, projection, language model and generation are those of transformers' Blip2ForConditionalGeneration.
Does not know the training loop, nor where the weights lie.

Source: BLIP-2, section 3 (frozen image encoder, Q-Former, frozen language model). Theirs is a ViT-g of a
billion parameters; a transformer of a few million does not start to see within minutes of training on a CPU,
while an ImageNet-trained EfficientNet-lite0 already tells objects apart. Here the language model is trained
too.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Blip2Config, Blip2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from cir.models.words import END_ID, IMAGE_ID, PAD_ID, START_ID

STRIDE = 32  # of every EfficientNet: 128 px give a map of 4 x 4 cells
ADAPTER_WIDTH = 384
READER_WIDTH = 256


class PlaceReader(nn.Module):
    """Says which of some places a picture shows, from the trunk's map: its rows, and the strongest of each channel.

    What stands in front of a background hides it in the middle, and a pooled map forgets what was above and below.

    Args:
        channels, rows: of the map.
        places: how many there are to tell apart.
    """

    def __init__(self, channels: int, rows: int, places: int) -> None:
        super().__init__()
        seen = channels * (rows + 1)
        self.norm = nn.BatchNorm1d(seen, affine=False)
        self.layers = nn.Sequential(
            nn.Linear(seen, READER_WIDTH), nn.GELU(), nn.Dropout(0.3), nn.Linear(READER_WIDTH, places)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) trunk maps -> (N, places) logits."""
        seen = torch.cat([maps.mean(dim=3).flatten(1), maps.flatten(2).amax(dim=2)], dim=1)
        return self.layers(self.norm(seen))


class TrunkVisionModel(nn.Module):
    """A frozen timm trunk and a trained adapter, with the interface of transformers' Blip2VisionModel.

    The trunk always computes as in evaluation (its batch norms keep their statistics), also while the rest is
    trained.

    Args:
        config: a Blip2VisionConfig with two entries more: `trunk`, the timm name, and `places`, how many places
            its `PlaceReader` tells apart (0: it has none).
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        import timm

        self.config = config
        trunk: Any = timm.create_model(config.trunk, pretrained=False, num_classes=0, global_pool="")
        self.trunk = trunk
        self.trunk.requires_grad_(False).eval()
        self.map_channels: int = trunk.num_features
        self.cells: int = math.ceil(config.image_size / STRIDE) ** 2
        self.adapter = nn.Sequential(
            nn.Linear(self.map_channels, ADAPTER_WIDTH),
            nn.LayerNorm(ADAPTER_WIDTH),
            nn.GELU(),
            nn.Linear(ADAPTER_WIDTH, config.hidden_size),
            nn.LayerNorm(config.hidden_size),
        )
        places, side = getattr(config, "places", 0), math.ceil(config.image_size / STRIDE)
        self.places = PlaceReader(self.map_channels, side, places) if places else None
        self.positions = nn.Parameter(torch.zeros(1, self.cells, config.hidden_size))
        nn.init.normal_(self.positions, std=config.initializer_range)

    def train(self, mode: bool = True) -> TrunkVisionModel:
        """Switch the adapter; the trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self

    @torch.no_grad()
    def trunk_maps(self, pixel_values: Tensor) -> Tensor:
        """(N, 3, H, W) normalised pixels -> (N, C, H / 32, W / 32) maps: the work that never changes."""
        trunk: Any = self.trunk
        return trunk.forward_features(pixel_values)

    def forward(
        self, pixel_values: Tensor | None = None, maps: Tensor | None = None, **_unused: object
    ) -> BaseModelOutputWithPooling:
        """Cells of the picture, as hidden states for the Q-Former's cross-attention.

        Args:
            pixel_values: (N, 3, H, W) pixels; or (N, C, h, w) trunk maps, told apart by their channels, so
                that a whole Blip2 model can be trained and asked on stored maps.
            maps: the same maps, by name.
            **_unused: what Blip2 passes to its own vision model (return_dict, interpolate_pos_encoding).

        Returns:
            `last_hidden_state` (N, cells, hidden) and its mean as `pooler_output`.
        """
        if maps is None:
            if pixel_values is None:
                raise ValueError("TrunkVisionModel needs pixel_values or maps.")
            is_map = pixel_values.shape[1] == self.map_channels
            maps = pixel_values if is_map else self.trunk_maps(pixel_values)
        cells = maps.flatten(2).transpose(1, 2).to(self.positions.dtype)
        hidden = self.adapter(cells) + self.positions
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=hidden.mean(dim=1))


class TrunkBlip2(Blip2ForConditionalGeneration):
    """Blip2ForConditionalGeneration with a `TrunkVisionModel` as `vision_model`."""

    def __init__(self, config: Blip2Config) -> None:
        super().__init__(config)  # its vision model has no layers (see build_tiny_blip2): nothing is wasted
        self.vision_model = TrunkVisionModel(config.vision_config)
        # The released class starts the queries at zero, so that all of them would stay alike for long.
        nn.init.normal_(self.query_tokens, std=config.initializer_range)
        self.loss_type = "ForCausalLM"  # what the released class falls back to, with a warning


def build_tiny_blip2(
    vocabulary_size: int,
    image_size: int = 128,
    *,
    trunk: str = "tf_efficientnet_lite0",
    hidden: int = 192,
    queries: int = 12,
    qformer_layers: int = 2,
    decoder_layers: int = 3,
    heads: int = 4,
    dropout: float = 0.1,
    max_positions: int = 64,
    places: int = 0,
) -> TrunkBlip2:
    """A tiny BLIP-2 with fresh weights, the trunk's included: load those of ImageNet before training.

    Args:
        vocabulary_size: `len` of the tokenizer from `build_word_tokenizer`.
        image_size: side of the square input, in pixels.
        trunk: a timm name.
        hidden: width of everything behind the adapter.
        queries: query tokens, in front of every caption.
        qformer_layers: each with cross-attention to the cells.
        decoder_layers: of the OPT language model.
        heads: attention heads, in both.
        dropout: in both.
        max_positions: places of the language model: queries, <s>, the words and </s>.
        places: how many a `PlaceReader` tells apart; 0 for none.
    """
    vision = {
        "trunk": trunk,
        "places": places,
        "hidden_size": hidden,
        "image_size": image_size,
        "patch_size": image_size,
        "num_hidden_layers": 0,
        "num_attention_heads": heads,
        "intermediate_size": hidden,
        "initializer_range": 0.02,  # transformers' default for BLIP-2, 1e-10, leaves a fresh model dead
    }
    qformer = {
        "hidden_size": hidden,
        "num_hidden_layers": qformer_layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "cross_attention_frequency": 1,
    }
    text = {
        "model_type": "opt",
        "vocab_size": vocabulary_size,
        "hidden_size": hidden,
        "word_embed_proj_dim": hidden,
        "num_hidden_layers": decoder_layers,
        "num_attention_heads": heads,
        "ffn_dim": 4 * hidden,
        "dropout": dropout,
        "max_position_embeddings": max_positions,
        "pad_token_id": PAD_ID,
        "eos_token_id": END_ID,
        "bos_token_id": START_ID,
    }
    config = Blip2Config(
        vision_config=vision,
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=queries,
        image_token_index=IMAGE_ID,
        initializer_range=0.02,
    )
    return TrunkBlip2(config)
