"""The contrastive half of BLIP: an image tower and a bidirectional text tower that meet in one space.

They offer what a CLIP of open_clip offers, so that `ClipModel` is their encoder, and `splice` and
`encode_with_embeddings` are the one way in for texts and pseudo-words, in search and in training. The towers are those of
transformers' `BlipForImageTextRetrieval`; its cross-attention and its matching head have no part in features and are not
read. A small BLIP of our own has a convolutional trunk in the place of the vision transformer.

Does not know how texts are worded, nor which models there are.

Source: BLIP, section 3.1 (unimodal encoders; the text encoder is BERT's, with [CLS] in front to sum the sentence up) and
3.2 (image-text contrastive loss); HyCIR, "Implementation Details" (BLIP ViT-B/16, trained on COCO for retrieval).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cir.errors import MissingModel, UnsafeFile
from cir.models.pretrained import json_beside
from cir.models.shared_trunk import leave_out_trunk, with_trunk

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
_TRUNK = "trunk."  # in the files of towers of our own
_UNUSED = ("itm_head.", ".crossattention.", ".position_ids")  # parts of a key: what features do not need
_REMEDY = "Remove the folder and fetch it again (python -m cir models pull NAME), or give the folder of another model."


class WordPieces:
    """BERT's word pieces, with the names by which open_clip's tokenizer is asked.

    Args:
        tokenizer: of the library tokenizers.

    Attributes:
        sot_token_id, eot_token_id: [CLS] and [SEP].
        unknown_id: what stands for a word that cannot be spelled.
        all_special_ids: of marks, which no text may hold.
        decoder: id -> spelling, with "</w>" behind words that stand alone.
    """

    def __init__(self, tokenizer: Any) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
        self.sot_token_id, self.eot_token_id = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self.unknown_id = vocabulary["[UNK]"]
        marks = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.all_special_ids = sorted(marks - {self.unknown_id})
        self.decoder = {
            i: spelling
            if i in marks
            else spelling.removeprefix("##")
            if "##" in spelling[:2]
            else f"{spelling}</w>"
            for spelling, i in vocabulary.items()
        }

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without [CLS] and [SEP]."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids


class ImageTower(nn.Module):
    """A vision transformer, and the projection of what its first place says.

    Args:
        config: a BlipVisionConfig.
        dim: of the features.
    """

    def __init__(self, config: Any, dim: int) -> None:
        super().__init__()
        from transformers import BlipVisionModel

        self.vision_model = BlipVisionModel(config)
        self.vision_proj = nn.Linear(config.hidden_size, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D) raw features."""
        return self.vision_proj(self.vision_model(pixel_values=pixels).last_hidden_state[:, 0])


class TrunkTower(nn.Module):
    """The same on a frozen convolutional trunk of timm: half the mean and half the maximum of its map, and two layers.

    Args:
        config: a BlipVisionConfig with an entry more: `trunk`, the timm name.
        dim: of the features.
    """

    def __init__(self, config: Any, dim: int) -> None:
        super().__init__()
        import timm

        trunk: Any = timm.create_model(config.trunk, pretrained=False, num_classes=0, global_pool="avgmax")
        self.trunk = trunk.requires_grad_(False)
        hidden = nn.Linear(trunk.num_features, config.hidden_size)
        self.head = nn.Sequential(hidden, nn.GELU(), nn.Linear(config.hidden_size, dim))

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D) raw features."""
        return self.head(self.trunk(pixels))


class BlipTowers(nn.Module):
    """Both towers, by the names of an open_clip model.

    Args:
        config: a BlipConfig. `logit_scale_init_value` is the temperature's: the published files have no other.
        context_length: tokens that the text tower is given at most, [CLS] and [SEP] counted.

    Attributes:
        visual: pixels -> features.
        logit_scale: logarithm of the inverse temperature.
    """

    def __init__(self, config: Any, context_length: int) -> None:
        super().__init__()
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        dim = config.image_text_hidden_size
        self.context_length = context_length
        tower = TrunkTower if getattr(config.vision_config, "trunk", None) else ImageTower
        self.visual = tower(config.vision_config, dim)
        config.text_config.is_decoder = (
            False  # no cross-attention; the published settings describe the whole model
        )
        self.text_encoder = BlipTextModel(config.text_config, add_pooling_layer=False)
        self.text_projection = nn.Linear(config.text_config.hidden_size, dim)
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))

    @property
    def token_embedding(self) -> nn.Embedding:
        """The table of words, into whose space pseudo-words are mapped."""
        return self.text_encoder.embeddings.word_embeddings

    @property
    def positional_embedding(self) -> Tensor:
        """(context length, W)."""
        return self.text_encoder.embeddings.position_embeddings.weight[: self.context_length]

    def encode_image(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D) raw features."""
        return self.visual(pixels)

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Token embeddings, read in both directions up to each row's end -> (N, D) raw features of [CLS].

        Args:
            embeddings: (N, L, W), the first of each row that of [CLS].
            ends: (N,) where each row's [SEP] is; what follows is not read.
        """
        return self.text_projection(self.token_states(embeddings, ends)[:, 0])

    def token_states(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """(N, L, W) what the text encoder says of every token; what stands behind an end is of no meaning."""
        read = torch.arange(embeddings.shape[1], device=embeddings.device) <= ends[:, None]
        # A copy: transformers adds the positions into what it is given.
        hidden = self.text_encoder(inputs_embeds=embeddings.clone(), attention_mask=read.long())
        return hidden.last_hidden_state


def is_blip(folder: Path) -> bool:
    """Whether a folder holds a BLIP as transformers saves it, by its config.json."""
    try:
        config = json_beside(folder, "config")
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "blip"


def build_blip(folder: Path) -> tuple[BlipTowers, WordPieces, Any]:
    """(towers, tokenizer, preprocessing) with the weights and settings of a folder, in float32.

    Args:
        folder: with config.json, model.safetensors (of any precision), tokenizer.json and, if pictures are not prepared
            as BLIP does, preprocessor_config.json.

    Raises:
        MissingModel: no weights, or no tokenizer.
        UnsafeFile: weights or a vocabulary that do not fit config.json, or the CLIP beside it has another trunk than ours stands on.
    """
    from tokenizers import Tokenizer
    from transformers import BlipConfig

    for name in (WEIGHTS, TOKENIZER):
        if not (folder / name).is_file():
            raise MissingModel(f"{folder} holds no {name}.", _REMEDY)
    config: Any = BlipConfig.from_pretrained(str(folder))
    tokenizer = WordPieces(Tokenizer.from_file(str(folder / TOKENIZER)))
    words, rows = max(tokenizer.decoder) + 1, config.text_config.vocab_size
    if words > rows:
        raise UnsafeFile(
            f"The vocabulary of {folder.name} is {words:,} large, and its table {rows:,}.", _REMEDY
        )
    towers = BlipTowers(config, _context_length(config, folder))
    towers.load_state_dict(
        _towers_state(with_trunk(folder / WEIGHTS, _TRUNK), towers.logit_scale.data), strict=True
    )
    return towers, tokenizer, _preprocessing(towers, folder, config.vision_config.image_size)


def _towers_state(state: dict[str, Tensor], scale: Tensor) -> dict[str, Tensor]:
    """Tensors of a `BlipForImageTextRetrieval` under the names of `BlipTowers`; its settings give the scale."""
    found = {"logit_scale": scale}
    for key, tensor in state.items():
        if any(part in f".{key}" for part in _UNUSED):
            continue
        if key.startswith(("vision_model.", "vision_proj.", "trunk.", "head.")):
            found[f"visual.{key}"] = tensor
        else:
            found[key.replace("text_proj.", "text_projection.")] = tensor
    return found


def save_towers(towers: BlipTowers, folder: Path) -> None:
    """Write the tensors of towers of our own as `build_blip` reads them, in half precision; the scale stands in the settings."""
    from safetensors.torch import save_file

    names = {
        key: key.removeprefix("visual.").replace("text_projection.", "text_proj.")
        for key in towers.state_dict()
        if key != "logit_scale"
    }
    tensors = {new: towers.state_dict()[key] for key, new in names.items()}
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in tensors.items()}
    save_file(half, folder / WEIGHTS)
    leave_out_trunk(folder / WEIGHTS, _TRUNK)


def _context_length(config: Any, folder: Path) -> int:
    """Tokens that the text tower reads: as many as it has places for, or fewer where its tokenizer says so."""
    places = config.text_config.max_position_embeddings
    limit = (json_beside(folder, "tokenizer_config") or {}).get("model_max_length", places)
    return int(min(limit, places))


def _preprocessing(towers: BlipTowers, folder: Path, side: int) -> Any:
    """How pictures are prepared: made square by squeezing, unless the folder says otherwise; also noted on the tower.

    Raises:
        UnsafeFile: pictures of another size than the tower's.
    """
    from open_clip.model import set_model_preprocess_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from cir.models.hf_clip import preparation_of

    settings = preparation_of(folder, cropped=False)
    if settings["size"] != side:
        raise UnsafeFile(
            f"Pictures for {folder.name} are made {settings['size']}, and its tower sees {side}.", _REMEDY
        )
    set_model_preprocess_cfg(towers, settings)
    return image_transform_v2(PreprocessCfg(**settings), is_train=False)
