"""The embedded CLIP: open_clip's class over the frozen, world-trained trunk, with a text tower from nothing.

The trunk is encoded once per picture (`encode_pictures`); what is trained is the image head and the text
tower, on captions drawn fresh for every step. A batch is made of pairs (reference, edited target), so every
picture has its hardest negative beside it; half of the targets are described by an edit of the reference,
because a frozen text tower can only execute the edits that it was taught.

Source: Radford et al. 2021 (CLIP), section 2.3 for the symmetric loss; the rest is ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from cir.models.text_tower import encode_with_embeddings, splice
from cir.training.loop import Run, RunSettings, fast_half_precision
from cir.training.pictures import CachedPictures
from cir.training.trunk import NOUNS, SCENE_PX, TRUNK
from cir.world.captions import caption_scene, choose, group_phrase, join_phrases
from cir.world.edits import Edit
from cir.world.scene import Scene
from cir.world.vocabulary import load_nouns

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {
        "timm_model_name": TRUNK,
        "timm_model_pretrained": False,
        "timm_pool": "avgmax",
        "timm_proj": "mlp",
        "image_size": SCENE_PX,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 192, "heads": 3, "layers": 3},
}
PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
COMPOSED_SHARE = 0.5  # of the targets are described as an edit of their reference
UNKNOWN_SHARE = 0.12  # of the texts get a word that means nothing, so that unknown words do little harm
TEXTS_TOGETHER = 64
EXTRA_PICTURES = 2048  # negatives for the texts, without captions of their own: they cost next to nothing


def build_clip() -> CLIP:
    """open_clip's CLIP in the embedded size, with its initial weights."""
    vision: Any = dict(CLIP_CONFIG["vision_cfg"])
    text: Any = dict(CLIP_CONFIG["text_cfg"])
    return CLIP(CLIP_CONFIG["embed_dim"], vision, text)


class WordTokenizer:
    """CLIP's byte-pair ids, remembered word by word: the world's texts are made of few words."""

    def __init__(self) -> None:
        self._tokenizer: Any = open_clip.get_tokenizer("ViT-B-32")
        self.seen: set[int] = {self._tokenizer.sot_token_id, self._tokenizer.eot_token_id}
        self.encode_word = lru_cache(maxsize=50_000)(self._encode_word)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        ids = tuple(self._tokenizer.encode(word))
        self.seen.update(ids)
        return ids

    def unknown(self, rng: np.random.Generator) -> int:
        """The id of a word that means nothing."""
        return int(rng.integers(1000, 49000))

    def row(self, text: str) -> list[int]:
        """Ids of a text with start and end marks."""
        ids = [i for word in text.split() for i in self.encode_word(word)]
        return [self._tokenizer.sot_token_id, *ids[:75], self._tokenizer.eot_token_id]


def world_token_ids(tokenizer: WordTokenizer) -> set[int]:
    """Every id that the world's texts can use. Found by saying a great deal."""
    rng = np.random.default_rng(0)
    for noun in load_nouns().values():
        for names in noun.names:
            for word in names:
                tokenizer.row(word)
                tokenizer.row(word + ".")
                tokenizer.row(word + ",")
    from cir.training.data import training_edit

    for _ in range(20_000):
        reference, edit = training_edit(rng)
        tokenizer.row(compose_text(reference, edit, rng))
        tokenizer.row(caption_scene(edit.target, rng))
    return tokenizer.seen


def compose_text(reference: Scene, edit: Edit, rng: np.random.Generator) -> str:
    """The target, said as an edit of its reference: in the templates that the methods use, and in plain words."""
    said = caption_scene(reference, rng, drop=0.25)
    if rng.random() < 0.3:  # only the objects, as a pseudo-word mostly says them
        said = join_phrases([group_phrase(g, rng) for g in reference.groups])
    if rng.random() < 0.5 and not said.startswith(("a photo", "a picture", "an image")):
        said = f"a photo of {said}"
    text = said + choose(rng, (", ", ", ", " that ", " that ", ", but ", ". ")) + edit.text
    before = {g.noun for g in reference.groups}
    added = [g for g in edit.target.groups if g.noun not in before]
    if added and rng.random() < 0.4:
        text += f". And the photo should have {join_phrases([group_phrase(g, rng, say_size=False) for g in added])}"
    return text


def describe_object(scene: Scene, rng: np.random.Generator) -> str:
    """A close-up, said in few words: now and then only the object."""
    if rng.random() < 0.5:
        return choose(rng, ("a photo of ", "a picture of ", "", "")) + group_phrase(scene.groups[0], rng)
    return caption_scene(scene, rng)


class Words(Protocol):
    """Texts -> token ids."""

    def row(self, text: str) -> list[int]:
        """Ids of a text with start and end marks."""
        ...

    def unknown(self, rng: np.random.Generator) -> int:
        """The id of a word that means nothing."""
        ...


class TextBatch:
    """Rows of token ids for some pictures, drawn fresh."""

    def __init__(
        self,
        pictures: CachedPictures,
        pairs: NDArray[np.int64],
        rng: np.random.Generator,
        words: Words,
        composed_share: float = COMPOSED_SHARE,
    ) -> None:
        self.rows: list[list[int]] = []
        scenes: list[Scene] = []
        for pair in pairs:
            reference, target, edit = pictures.describe(int(pair))
            scenes += [reference, target]
            if edit is None:
                texts = [describe_object(reference, rng), describe_object(target, rng)]
            else:
                composed = rng.random() < composed_share
                texts = [
                    caption_scene(reference, rng),
                    compose_text(reference, edit, rng) if composed else caption_scene(target, rng),
                ]
            self.rows += [self._disturb(words.row(text), rng, words) for text in texts]
        self.keys = torch.tensor([hash(s.key) for s in scenes])
        self.nouns = torch.zeros(len(scenes), len(NOUNS))
        for row, scene in enumerate(scenes):
            for g in scene.groups:
                self.nouns[row, NOUNS.index(g.noun)] = 1.0

    @staticmethod
    def _disturb(row: list[int], rng: np.random.Generator, words: Words) -> list[int]:
        if rng.random() < UNKNOWN_SHARE and len(row) < 70:
            row = list(row)
            row.insert(int(rng.integers(1, len(row))), words.unknown(rng))
        return row


class Teacher(nn.Module):
    """A model whose texts and pictures are brought together.

    Args:
        clip: a CLIP, or a BLIP's towers.
    """

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip: Any = clip  # torch types a module's attributes as "tensor or module"

    def encode_rows(self, rows: list[list[int]]) -> torch.Tensor:
        """(N, D) text features, raw. Texts of like length go together: padding would be a third of the work."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found = []
        for start in range(0, len(order), TEXTS_TOGETHER):
            embeddings, ends = splice(self.clip, [rows[i] for i in order[start : start + TEXTS_TOGETHER]])
            with fast_half_precision():
                found.append(encode_with_embeddings(self.clip, embeddings, ends).float())
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(found)[back]


class ClipTeacher(Teacher):
    """CLIP with a noun classifier that both sides share: it brings them together early. Dropped afterwards."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__(clip)
        self.nouns = nn.Linear(CLIP_CONFIG["embed_dim"], len(NOUNS))


def noun_loss(
    teacher: ClipTeacher, sides: Sequence[torch.Tensor], batch: TextBatch, progress: float
) -> torch.Tensor:
    """How badly either side's features tell which nouns there are; it counts for less and less."""
    asked = [F.binary_cross_entropy_with_logits(teacher.nouns(features), batch.nouns) for features in sides]
    return 10.0 * (1.0 - 0.8 * progress) * torch.stack(asked).sum()


def clip_loss(
    teacher: ClipTeacher,
    pooled: torch.Tensor,
    extra: torch.Tensor,
    extra_keys: torch.Tensor,
    batch: TextBatch,
    progress: float,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Symmetric contrastive loss over the batch; texts also against `extra` pictures.

    Pictures that say the same as a text's own are neither its target nor its negatives.
    """
    clip = teacher.clip
    images = clip.visual.head(torch.cat([pooled, extra]))
    texts = teacher.encode_rows(batch.rows)
    n = len(texts)
    logits = clip.logit_scale.exp() * F.normalize(texts, dim=1) @ F.normalize(images, dim=1).T
    keys = torch.cat([batch.keys, extra_keys])
    same = (batch.keys[:, None] == keys[None, :]) & ~torch.eye(n, len(keys), dtype=torch.bool)
    logits = logits.masked_fill(same, -1e4)
    labels = torch.arange(n)
    loss = F.cross_entropy(logits, labels) + F.cross_entropy(logits[:, :n].T, labels)
    loss = loss + noun_loss(teacher, (texts, images[:n]), batch, progress)
    right = float((logits[:, :n].argmax(1) == labels).float().mean())
    return loss, {"accuracy": right, "scale": float(clip.logit_scale.detach().exp())}


@torch.no_grad()
def retrieval_recalls(text: torch.Tensor, images: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """R@1, R@5, R@10 of unit text rows against unit image rows, in percent."""
    scores = text @ images.T
    ranks = (scores > scores.gather(1, targets[:, None])).sum(1)
    return {f"R@{k}": 100.0 * float((ranks < k).float().mean()) for k in (1, 5, 10)}


@torch.no_grad()
def evaluate_clip(teacher: Teacher, held_out: CachedPictures, words: Words) -> dict[str, float]:
    """Text to image over the first 1,000 held-out pictures and over all; the targets of edits by their composed text."""
    teacher.eval()
    rng = np.random.default_rng(4)
    pictures = 2 * len(held_out)
    images = F.normalize(teacher.clip.visual.head(held_out.pooled(np.arange(pictures))), dim=1)
    scenes = [s for pair in range(len(held_out)) for s in held_out.describe(pair)[:2]]
    rows = [words.row(caption_scene(s, rng, drop=0.0)) for s in scenes]
    texts = F.normalize(
        torch.cat([teacher.encode_rows(rows[i : i + 256]) for i in range(0, len(rows), 256)]), dim=1
    )
    out = {}
    for name, n in (("1k", 1000), ("all", len(scenes))):
        found = retrieval_recalls(texts[:n], images[:n], torch.arange(n))
        out |= {f"{name} {k}": v for k, v in found.items()}
    edits = [
        (pair, held_out.describe(pair))
        for pair in range(len(held_out))
        if held_out.describe(pair)[2] is not None
    ]
    composed = [words.row(compose_text(r, e, rng)) for _, (r, _, e) in edits if e is not None]
    texts = F.normalize(
        torch.cat([teacher.encode_rows(composed[i : i + 256]) for i in range(0, len(composed), 256)]), dim=1
    )
    found = retrieval_recalls(texts, images, torch.tensor([2 * pair + 1 for pair, _ in edits]))
    singles = [i for i, s in enumerate(scenes) if len(s.groups) == 1]
    names = F.normalize(teacher.encode_rows([words.row(f"a photo of {n}") for n in NOUNS]), dim=1)
    right = (images[singles] @ names.T).argmax(1) == torch.tensor(
        [NOUNS.index(scenes[i].groups[0].noun) for i in singles]
    )
    teacher.train()
    return out | {"composed R@1": found["R@1"], "noun of single": 100.0 * float(right.float().mean())}


def train_world_clip(settings: RunSettings, rank: int) -> None:
    """One rank.

    `settings.extra`: pictures, held_out (folders of cached pictures), trunk (a teacher's checkpoint), composed_share
    (of the targets that are described as an edit).
    """
    torch.manual_seed(settings.seed)
    words = WordTokenizer()
    pictures, held_out = (
        CachedPictures(settings.extra["pictures"]),
        CachedPictures(settings.extra["held_out"]),
    )
    teacher = ClipTeacher(build_clip())
    trunk = torch.load(settings.extra["trunk"], map_location="cpu", weights_only=True)["model"]
    teacher.clip.visual.trunk.load_state_dict(
        {k.removeprefix("trunk."): v for k, v in trunk.items() if k.startswith("trunk.")}
    )
    teacher.clip.visual.trunk.requires_grad_(False)
    teacher.clip.logit_scale.data.fill_(float(np.log(1 / 0.07)))
    trained = [p for p in teacher.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=float(settings.extra.get("rate", 1.5e-3)), betas=(0.9, 0.98), weight_decay=0.03
    )
    run = Run(settings, teacher, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    pairs_per_batch = int(settings.extra.get("pairs", 160))
    composed_share = float(settings.extra.get("composed_share", COMPOSED_SHARE))
    all_keys = torch.tensor(
        [hash(s.key) for pair in range(len(pictures)) for s in pictures.describe(pair)[:2]]
    )
    tested = run.elapsed
    while run.running():
        pairs = rng.integers(len(pictures), size=pairs_per_batch)
        batch = TextBatch(pictures, pairs, rng, words, composed_share)
        extra = rng.integers(2 * len(pictures), size=EXTRA_PICTURES)
        own = np.stack([2 * pairs, 2 * pairs + 1], 1).reshape(-1)
        loss, measures = clip_loss(
            teacher, pictures.pooled(own), pictures.pooled(extra), all_keys[extra], batch, run.progress
        )
        run.step(loss, measures, samples=len(batch.rows), clip=5.0)
        with torch.no_grad():
            teacher.clip.logit_scale.clamp_(0.0, float(np.log(100.0)))
        if rank == 0 and run.elapsed - tested > 180:
            run.log(evaluate_clip(teacher, held_out, words))
            tested = run.elapsed
    if rank == 0:
        run.log({"final": True, **evaluate_clip(teacher, held_out, words)})


def export_clip(teacher: ClipTeacher, folder: Path, manifest: dict[str, Any]) -> None:
    """Write the folder that `open_clip.create_model_and_transforms("local-dir:...")` reads, in half precision.

    Token embeddings that no text of the world trains are set to zero: an unknown word then says nothing.
    """
    state = {k: v.detach().clone() for k, v in teacher.clip.state_dict().items()}
    known = torch.zeros(CLIP_CONFIG["text_cfg"]["vocab_size"], 1)
    known[sorted(world_token_ids(WordTokenizer()))] = 1.0
    state["token_embedding.weight"] *= known
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    save_file(half, folder / "open_clip_model.safetensors")
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load_teacher(checkpoint: Path) -> ClipTeacher:
    """A trained teacher from a run's checkpoint."""
    teacher = ClipTeacher(build_clip())
    teacher.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    return teacher.eval()
