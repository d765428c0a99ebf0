"""The embedded captioner: a tiny BLIP-2 over the frozen trunk's maps.

What carries it off the ground: one query for each cell, and both are told what that cell shows (the trunk teacher's
own reading of it); the queries together, where and when it is. Left alone, the queries all became one and the language model wrote captions without looking.
These classifiers are dropped afterwards.

Source: BLIP-2, section 3, with one stage instead of two, because the language model is trained as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cir.models.blip2 import save_captioner
from cir.models.trunk_blip2 import PlaceReader, TrunkBlip2, build_tiny_blip2
from cir.models.words import PLURAL_MARK, PluralTable, build_word_tokenizer, encode_captions, split_words
from cir.training.data import training_scene
from cir.training.loop import Run, RunSettings, fast_half_precision
from cir.training.pictures import CachedPictures
from cir.training.trunk import (
    GRID,
    HOURS,
    NOUNS,
    PLACES,
    SCENE_PX,
    TINTS,
    WIDTH,
    TrunkTeacher,
    build_trunk,
)
from cir.world.captions import caption_scene
from cir.world.reading import background_in, nouns_in
from cir.world.scene import Scene
from cir.world.vocabulary import BACKGROUNDS, load_nouns

DROP = 0.05  # of sizes, colours and times left out of the captions to learn from


def plural_words() -> dict[str, str]:
    """Singular -> plural, of every name of every noun."""
    return dict(names for noun in load_nouns().values() for names in noun.names)


def caption_words(plurals: PluralTable) -> list[str]:
    """The captioner's vocabulary: every word that captions of the world use, plurals as "singular <pl>"."""
    rng = np.random.default_rng(0)
    words: dict[str, None] = {PLURAL_MARK: None}
    for noun in load_nouns().values():
        for names in noun.names:
            for name in names:
                words.update(dict.fromkeys(split_words(plurals.mark(name))))
    for _ in range(20_000):
        words.update(dict.fromkeys(split_words(plurals.mark(caption_scene(training_scene(rng), rng)))))
    return list(words)


class CaptionerTeacher(nn.Module):
    """The captioner with the classifiers that teach it."""

    def __init__(self, model: TrunkBlip2, readers: TrunkTeacher) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config  # its parts may be dicts, for transformers' types
        width = config.vision_config.hidden_size
        self.cell_noun, self.cell_tint = nn.Linear(width, len(NOUNS) + 1), nn.Linear(width, len(TINTS))
        out = config.text_config.hidden_size
        self.query_noun, self.query_tint = nn.Linear(out, len(NOUNS) + 1), nn.Linear(out, len(TINTS))
        self.place, self.hour = nn.Linear(out, len(PLACES)), nn.Linear(out, len(HOURS))
        self._readers = (readers.cell_noun.requires_grad_(False), readers.cell_tint.requires_grad_(False))
        self._seen: dict[str, Any] = {}
        model.vision_model.register_forward_hook(
            lambda _m, _i, out: self._seen.__setitem__("cells", out.last_hidden_state)
        )
        model.language_projection.register_forward_hook(
            lambda _m, _i, out: self._seen.__setitem__("queries", out)
        )

    def loss(
        self, maps: torch.Tensor, batch: dict[str, torch.Tensor], scenes: list[Scene], progress: float
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Captions, plus what cells and queries show; the latter count less and less."""
        with torch.no_grad():
            cells = maps.flatten(2).transpose(1, 2)
            nouns = self._readers[0](cells).argmax(-1)
            tints = self._readers[1](cells).argmax(-1).masked_fill(nouns == len(NOUNS), -100)
        with fast_half_precision():
            words = self.model(pixel_values=maps, **batch).loss.float()
        weight = torch.ones(len(NOUNS) + 1)
        weight[-1] = 0.15
        aids = {}
        for name, noun_head, tint_head in (
            ("cells", self.cell_noun, self.cell_tint),
            ("queries", self.query_noun, self.query_tint),
        ):
            seen = self._seen[name].float()
            aids[name] = F.cross_entropy(noun_head(seen).flatten(0, 1), nouns.flatten(), weight=weight)
            aids[name] = aids[name] + 0.5 * F.cross_entropy(tint_head(seen).flatten(0, 1), tints.flatten())
        whole = self._seen["queries"].float().mean(1)
        aids["place"] = F.cross_entropy(
            self.place(whole), torch.tensor([PLACES.index(s.background) for s in scenes])
        )
        aids["place"] = aids["place"] + F.cross_entropy(
            self.hour(whole), torch.tensor([HOURS.index(s.time) for s in scenes])
        )
        loss = 2.0 * words + (1.0 - 0.7 * progress) * (
            0.5 * aids["cells"] + aids["queries"] + 0.5 * aids["place"]
        )
        return loss, {
            "words": float(words.detach()),
            **{name: float(aid.detach()) for name, aid in aids.items()},
        }


def score_captions(captions: list[str], scenes: list[Scene]) -> dict[str, float]:
    """Object recall and precision, exact sets, background right; in percent."""
    found = [nouns_in(caption) for caption in captions]
    real = [{g.noun for g in scene.groups} for scene in scenes]
    right = sum(len(f & r) for f, r in zip(found, real, strict=True))
    return {
        "object_recall": 100.0 * right / max(1, sum(map(len, real))),
        "object_precision": 100.0 * right / max(1, sum(map(len, found))),
        "exact": 100.0 * float(np.mean([f == r for f, r in zip(found, real, strict=True)])),
        "background": 100.0
        * float(np.mean([background_in(c) == s.background for c, s in zip(captions, scenes, strict=True)])),
    }


@torch.no_grad()
def evaluate_captioner(
    teacher: CaptionerTeacher, tokenizer: Any, plurals: PluralTable, held_out: CachedPictures, pairs: int
) -> dict[str, Any]:
    """Greedy captions of the first pictures of `held_out`."""
    teacher.eval()
    scenes = [s for pair in range(pairs) for s in held_out.describe(pair)[:2]]
    captions: list[str] = []
    for start in range(0, len(scenes), 50):
        maps = held_out.maps(np.arange(start, min(start + 50, len(scenes))))
        ids = teacher.model.generate(pixel_values=maps, do_sample=False, num_beams=1, max_new_tokens=40)
        captions += [
            plurals.write(t).replace(" ,", ",") for t in tokenizer.batch_decode(ids, skip_special_tokens=True)
        ]
    teacher.train()
    return {**score_captions(captions, scenes), "example": captions[0], "scene": str(scenes[0].groups)}


def train_captioner(settings: RunSettings, rank: int) -> None:
    """One rank. `settings.extra`: pictures, held_out (folders of cached pictures), trunk (a teacher's checkpoint)."""
    torch.manual_seed(settings.seed)
    pictures, held_out = (
        CachedPictures(settings.extra["pictures"]),
        CachedPictures(settings.extra["held_out"]),
    )
    teacher, tokenizer, plurals = build_teacher(Path(settings.extra["trunk"]))
    if "start" in settings.extra:  # weights of another run; classifiers that it did not have stay fresh
        start = torch.load(settings.extra["start"], map_location="cpu", weights_only=True)["model"]
        teacher.load_state_dict(start, strict=False)
    queries = teacher.model.config.num_query_tokens
    trained = [p for p in teacher.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=float(settings.extra.get("rate", 1e-3)), betas=(0.9, 0.98), weight_decay=0.02
    )
    run = Run(settings, teacher, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    size, tested = int(settings.extra.get("batch", 128)), run.elapsed
    teacher.train()
    while run.running():
        chosen = rng.integers(2 * len(pictures), size=size)
        scenes = [pictures.describe(int(i) // 2)[:2][int(i) % 2] for i in chosen]
        captions = [plurals.mark(caption_scene(s, rng, drop=DROP)) for s in scenes]
        batch = encode_captions(tokenizer, captions, queries)
        loss, measures = teacher.loss(pictures.maps(chosen), batch, scenes, run.progress)
        run.step(loss, measures, samples=size, clip=1.0)
        if rank == 0 and run.elapsed - tested > 150:
            run.log(evaluate_captioner(teacher, tokenizer, plurals, held_out, 100))
            tested = run.elapsed
    if rank == 0:
        run.log({"final": True, **evaluate_captioner(teacher, tokenizer, plurals, held_out, 500)})


def train_places(settings: RunSettings, rank: int) -> None:
    """The reader of places, on the trunk's maps. `settings.extra`: pictures, held_out.

    Left to itself, the language model is wrong about the place of one picture in ten, of most of them although the map
    tells it; so a classifier reads the place, and captions name the one that it sees.
    """
    torch.manual_seed(settings.seed)
    pictures, held_out = (
        CachedPictures(settings.extra["pictures"]),
        CachedPictures(settings.extra["held_out"]),
    )
    reader = build_reader()
    optimiser = torch.optim.AdamW(reader.parameters(), lr=1e-3, weight_decay=0.05)
    run = Run(settings, reader, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    truth, tested = _places_of(pictures), _places_of(held_out)
    reader.train()
    while run.running():
        chosen = rng.integers(2 * len(pictures), size=256)
        loss = F.cross_entropy(reader(pictures.maps(chosen).float()), truth[chosen], label_smoothing=0.05)
        run.step(loss, {}, samples=len(chosen), clip=5.0)
    if rank == 0:
        reader.eval()
        with torch.no_grad():
            parts = np.array_split(np.arange(len(tested)), 20)
            found = torch.cat([reader(held_out.maps(part).float()).argmax(dim=1) for part in parts])
        run.log({"final": True, "held_out_place": 100.0 * float((found == tested).float().mean())})


def build_reader() -> PlaceReader:
    """A fresh reader of the world's places."""
    return PlaceReader(WIDTH, GRID, len(PLACES))


def _places_of(pictures: CachedPictures) -> torch.Tensor:
    scenes = (scene for pair in range(len(pictures)) for scene in pictures.describe(pair)[:2])
    return torch.tensor([PLACES.index(scene.background) for scene in scenes])


def build_teacher(trunk: Path) -> tuple[CaptionerTeacher, Any, PluralTable]:
    """A fresh captioner over the trained trunk, its tokenizer and its plurals."""
    plurals = PluralTable(plural_words())
    tokenizer = build_word_tokenizer(caption_words(plurals))
    readers = TrunkTeacher(build_trunk())
    readers.load_state_dict(torch.load(trunk, map_location="cpu", weights_only=True)["model"])
    model = build_tiny_blip2(len(tokenizer), SCENE_PX, queries=GRID**2)
    # Cells are normalised to 1: with transformers' 0.02 the places of cells, and the queries, would be lost in them.
    nn.init.normal_(model.vision_model.positions, std=0.5)
    nn.init.normal_(model.query_tokens, std=1.0)
    model.vision_model.trunk.load_state_dict(readers.trunk.state_dict())
    return CaptionerTeacher(model, readers.eval()), tokenizer, plurals


def export_captioner(
    checkpoint: Path, trunk: Path, places: Path, folder: Path, manifest: dict[str, Any]
) -> None:
    """Write the folder that `load_captioner` reads, in half precision.

    Args:
        checkpoint, trunk, places: of the captioner's run, the trunk's and the reader's of places.
        folder: where it goes.
        manifest: what made it.
    """
    teacher, tokenizer, plurals = build_teacher(trunk)
    teacher.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    reader, model = build_reader(), teacher.model
    reader.load_state_dict(torch.load(places, map_location="cpu", weights_only=True)["model"])
    config: Any = model.config  # its parts may be dicts, for transformers' types
    model.vision_model.places, config.vision_config.places = reader, len(PLACES)
    save_captioner(
        model.eval(),
        tokenizer,
        folder,
        {"plurals": plurals.plurals, "places": BACKGROUNDS, "manifest": manifest},
    )
