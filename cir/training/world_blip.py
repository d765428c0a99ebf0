"""The embedded BLIP: its towers in small, over the trunk of the embedded CLIP.

The trunk's pictures are those of `world_clip`, encoded once, and so are the texts: captions, and targets that are said as
edits of their references. The image head and the words' embeddings start as those of the embedded CLIP; what reads them,
BERT's encoder in small, from nothing. Its vocabulary is the world's words, each one whole; every other word is one and
the same unknown one.

Source: BLIP, section 3.2: the contrastive loss of ALBEF, with slow copies of both towers whose features are the other side
of every comparison, a queue of them, and soft targets. As in BLIP's own training for retrieval, all that show the same are
each other's targets. Its slow copies move by 0.005 in a step, over days; here they move by 0.02.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from torch import Tensor
from torch.nn import functional as F
from transformers import BlipConfig

from cir.models.blip_towers import TOKENIZER, BlipTowers, WordPieces, save_towers
from cir.training.data import training_edit
from cir.training.loop import Run, RunSettings
from cir.training.pictures import CachedPictures
from cir.training.trunk import SCENE_PX, TRUNK, trained_trunk
from cir.training.world_clip import (
    EXTRA_PICTURES,
    ClipTeacher,
    Teacher,
    TextBatch,
    WordTokenizer,
    compose_text,
    evaluate_clip,
    noun_loss,
)
from cir.world.captions import caption_scene
from cir.world.vocabulary import load_nouns

DIM, HEAD, CONTEXT = 256, 512, 77
TEXT: dict[str, Any] = {
    "hidden_size": 192,
    "encoder_hidden_size": HEAD,
    "intermediate_size": 768,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "max_position_embeddings": CONTEXT,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "is_decoder": False,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "sep_token_id": 3,
}
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SPOKEN = 20_000  # edits and captions, to hear every word
OTHER_WORDS = "a photo that and the should have of , . ' - without"  # of the methods' templates
MOMENTUM, SOFT, QUEUE = 0.98, 0.4, 4096
WARMEST, COLDEST = 0.5, 0.01  # temperatures
TEMPERATURE = 0.07
HEAD_SHARE = 0.2  # of the rate: the image head is trained already


def world_pieces() -> Tokenizer:
    """BERT's tokenizer over the world's words."""
    split: Any = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    _prepare(split)
    rng, heard = np.random.default_rng(0), {*OTHER_WORDS.split(), *"0123456789"}
    texts = [name for noun in load_nouns().values() for names in noun.names for name in names]
    for _ in range(SPOKEN):
        reference, edit = training_edit(rng)
        texts += [compose_text(reference, edit, rng), caption_scene(edit.target, rng)]
    for text in texts:
        normal = split.normalizer.normalize_str(text)
        heard.update(word for word, _ in split.pre_tokenizer.pre_tokenize_str(normal))
    vocabulary = {word: i for i, word in enumerate([*MARKS, *sorted(heard)])}
    tokenizer: Any = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    _prepare(tokenizer)
    tokenizer.add_special_tokens(list(MARKS))
    return tokenizer


def _prepare(tokenizer: Any) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()


class WorldWords:
    """Texts -> word pieces, for training.

    Args:
        tokenizer: from `world_pieces`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.pieces = WordPieces(tokenizer)

    def row(self, text: str) -> list[int]:
        """Ids of a text with [CLS] and [SEP]."""
        ids = self.pieces.encode(text)[: CONTEXT - 2]
        return [self.pieces.sot_token_id, *ids, self.pieces.eot_token_id]

    def unknown(self, rng: np.random.Generator) -> int:
        """The id of a word that means nothing."""
        return self.pieces.unknown_id


def blip_config(words: int, scale: float) -> BlipConfig:
    """The settings of the embedded BLIP.

    Args:
        words: of the vocabulary.
        scale: logarithm of the inverse temperature.
    """
    vision = {"trunk": TRUNK, "hidden_size": HEAD, "image_size": SCENE_PX, "num_hidden_layers": 0}
    return BlipConfig(
        text_config={**TEXT, "vocab_size": words},
        vision_config=vision,
        image_text_hidden_size=DIM,
        logit_scale_init_value=scale,
    )


class BlipTeacher(ClipTeacher):
    """The towers, their slow copies, and the slow features of texts that were seen last.

    Args:
        towers: as they start.
    """

    def __init__(self, towers: BlipTowers) -> None:
        super().__init__(towers)
        slow: Any = copy.deepcopy(towers).requires_grad_(False)
        del slow.visual.trunk
        self.slow = Teacher(slow)
        self.queue = torch.zeros(0, DIM)
        self.queue_keys = torch.zeros(0, dtype=torch.long)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the slow copies a little towards the towers."""
        fast = dict(self.clip.named_parameters())
        for name, parameter in self.slow.clip.named_parameters():
            parameter.lerp_(fast[name].detach(), 1.0 - MOMENTUM)

    def remember(self, texts: Tensor, keys: Tensor) -> None:
        """Put slow features of texts before those of earlier ones, and forget what is too old."""
        self.queue = torch.cat([texts, self.queue])[:QUEUE]
        self.queue_keys = torch.cat([keys, self.queue_keys])[:QUEUE]


def soft_targets(same: Tensor, slow_logits: Tensor, soft: float) -> Tensor:
    """(N, M) rows that sum to 1: in part on what shows the same, in part as the slow copies see it.

    Args:
        same: (N, M) whether they do.
        slow_logits: (N, M).
        soft: the share of the slow copies.
    """
    hard = same.float() / same.sum(dim=1, keepdim=True)
    return soft * slow_logits.softmax(dim=1) + (1.0 - soft) * hard


def blip_loss(
    teacher: BlipTeacher, pooled: Tensor, extra: Tensor, extra_keys: Tensor, batch: TextBatch, progress: float
) -> tuple[Tensor, dict[str, float]]:
    """BLIP's contrastive loss over the batch, against slow features: of the batch and of what came before.

    Args:
        teacher: whose queue is fed.
        pooled: (N, 1280) of the batch's pictures.
        extra: (M, 1280) of further pictures; a frozen trunk gives as many as a queue of them would hold, and fresh.
        extra_keys: (M,) what they show; equal ones show the same.
        batch: the texts of the N pictures.
        progress: of the training, 0 to 1; the soft share grows over its first tenth.
    """
    towers, slow = teacher.clip, teacher.slow
    raw = teacher.encode_rows(batch.rows), towers.visual.head(pooled)
    texts, images = (F.normalize(features, dim=1) for features in raw)
    with torch.no_grad():
        slow_images = F.normalize(slow.clip.visual.head(torch.cat([pooled, extra])), dim=1)
        own = F.normalize(slow.encode_rows(batch.rows), dim=1)
        slow_texts = torch.cat([own, teacher.queue])
    image_keys = torch.cat([batch.keys, extra_keys])
    text_keys = torch.cat([batch.keys, teacher.queue_keys])
    scale, n = towers.logit_scale.exp(), len(texts)
    soft = SOFT * min(1.0, 10.0 * progress)
    loss = torch.zeros(())
    for fast, slow_own, others, keys in (
        (texts, own, slow_images, image_keys),
        (images, slow_images[:n], slow_texts, text_keys),
    ):
        same = batch.keys[:, None] == keys[None, :]
        targets = soft_targets(same, scale.detach() * slow_own @ others.T, soft)
        loss = loss - 0.5 * (targets * (scale * fast @ others.T).log_softmax(dim=1)).sum(dim=1).mean()
    loss = loss + noun_loss(teacher, raw, batch, progress)
    teacher.remember(own, batch.keys)
    right = (texts.detach() @ images.detach().T).argmax(dim=1) == torch.arange(n)
    return loss, {"accuracy": right.float().mean().item(), "scale": scale.item()}


def new_teacher(words: WorldWords, clip: Path) -> BlipTeacher:
    """Towers as they start: with the trunk, the image head and the words' embeddings of a CLIP.

    Args:
        words: of the vocabulary.
        clip: the folder of the CLIP.
    """
    vocabulary = words.pieces.decoder
    towers = BlipTowers(blip_config(len(vocabulary), float(np.log(1 / TEMPERATURE))), CONTEXT)
    visual: Any = towers.visual
    visual.trunk.load_state_dict(trained_trunk(clip).state_dict())
    taken = load_file(clip / "open_clip_model.safetensors")
    first, last = visual.head[0], visual.head[-1]
    first.load_state_dict({k: taken[f"visual.head.mlp.fc1.{k}"] for k in ("weight", "bias")})
    last.load_state_dict({"weight": taken["visual.head.mlp.fc2.weight"], "bias": torch.zeros(DIM)})
    spelled, table = WordTokenizer(), taken["token_embedding.weight"].float()
    for i, word in vocabulary.items():
        pieces = spelled.encode_word(word.removesuffix("</w>"))
        towers.token_embedding.weight.data[i] = table[list(pieces)].mean(dim=0)
    return BlipTeacher(towers)


def train_world_blip(settings: RunSettings, rank: int) -> None:
    """One rank.

    `settings.extra`: pictures, held_out (folders of cached pictures), clip (the folder of the CLIP on whose trunk they were
    encoded).
    """
    torch.manual_seed(settings.seed)
    extra = settings.extra
    pictures, held_out = CachedPictures(extra["pictures"]), CachedPictures(extra["held_out"])
    words = WorldWords(world_pieces())
    teacher = new_teacher(words, extra["clip"])
    rate, head = float(extra.get("rate", 1e-3)), list(teacher.clip.visual.head.parameters())
    other = [p for p in teacher.parameters() if p.requires_grad and not any(p is one for one in head)]
    groups: list[dict[str, Any]] = [{"params": other}, {"params": head, "lr": HEAD_SHARE * rate}]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.03)
    run = Run(settings, teacher, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    pairs_per_batch = int(extra.get("pairs", 128))
    all_keys = torch.tensor(
        [hash(s.key) for pair in range(len(pictures)) for s in pictures.describe(pair)[:2]]
    )
    tested = run.elapsed
    while run.running():
        pairs = rng.integers(len(pictures), size=pairs_per_batch)
        batch = TextBatch(pictures, pairs, rng, words)
        others = rng.integers(2 * len(pictures), size=EXTRA_PICTURES)
        own = np.stack([2 * pairs, 2 * pairs + 1], 1).reshape(-1)
        seen = pictures.pooled(own), pictures.pooled(others), all_keys[others]
        loss, measures = blip_loss(teacher, *seen, batch, run.progress)
        run.step(loss, measures, samples=len(batch.rows), clip=5.0)
        teacher.follow()
        with torch.no_grad():
            teacher.clip.logit_scale.clamp_(float(-np.log(WARMEST)), float(-np.log(COLDEST)))
        if rank == 0 and run.elapsed - tested > 180:
            run.log(evaluate_clip(teacher, held_out, words))
            tested = run.elapsed
    if rank == 0:
        run.log({"final": True, **evaluate_clip(teacher, held_out, words)})


def export_blip(checkpoint: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Write the folder that `cir.models.blip_towers.build_blip` reads, in half precision."""
    tokenizer = world_pieces()
    towers = BlipTowers(blip_config(tokenizer.get_vocab_size(), 0.0), CONTEXT)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    towers.load_state_dict({k.removeprefix("clip."): v for k, v in state.items() if k.startswith("clip.")})
    folder.mkdir(parents=True, exist_ok=True)
    save_towers(towers, folder)
    tokenizer.save(str(folder / TOKENIZER))
    config = blip_config(tokenizer.get_vocab_size(), towers.logit_scale.item())
    square = {"height": SCENE_PX, "width": SCENE_PX}
    prepared = {"size": square, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    beside = {
        "config": {**config.to_dict(), "architectures": ["BlipForImageTextRetrieval"]},
        "preprocessor_config": prepared,
        "manifest": manifest,
    }
    for stem, content in beside.items():
        (folder / f"{stem}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
