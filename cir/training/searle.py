"""SEARLE for the embedded CLIP: words found for some pictures by inversion, then a network that knows them at once.

Pictures only, no captions of them: each is told by its likeness to the names of the world's nouns what it may show, and
those names stand in the phrases. SEARLE takes the names of Open Images' classes, and lets a GPT write the phrases; here
phrases are put together from the world's places, times and further objects.

Source: SEARLE, section 3.1 (optimisation-based textual inversion: `cir.models.oti`) and section 3.2, Eq. 4-6 (phi is
distilled from those words: a contrastive loss with temperature 0.25, and the phrases again, with weight 0.75). Theirs
is distilled from the words of a whole data set, ours from those of a few pictures; alone, that generalised badly (R@1
21 on the world benchmark, where the words themselves have 44). So both losses of the inversion are kept beside it, on
fresh pictures, in their ratio of 1 to 0.5. There phi is a plain network; ours ends in a layer norm, as all of our
mapping networks do.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cir.errors import CirError
from cir.models.mapping import MappingNetwork, save_mapping
from cir.models.oti import DrawPhrase, InversionSettings, apart, invert
from cir.models.text_tower import PSEUDO_WORD
from cir.training.data import training_scene
from cir.training.loop import Run, RunSettings
from cir.training.mapping import build_mapping
from cir.training.pictures import CachedPictures
from cir.training.world_clip import ClipTeacher, WordTokenizer, load_teacher
from cir.whole_files import write_array
from cir.world.captions import choose, group_phrase, with_article
from cir.world.vocabulary import BACKGROUNDS, TIMES, load_nouns

INVERTED, TOGETHER = 1536, 256  # pictures with a word found by descent; at a time
PHRASES = 32
TEMPERATURE = 0.25
IMAGE_WEIGHT, PHRASE_WEIGHT = 4.0, 2.0  # beside the contrastive loss, which a temperature of 0.25 makes steep
INVERSION = InversionSettings(steps=100)


def draw_phrase(rng: np.random.Generator) -> tuple[str, str]:
    """What stands before and after the thing: ("a photo of", "and two boats on the beach at night")."""
    scene = training_scene(rng)
    where = choose(rng, BACKGROUNDS[scene.background])
    when = choose(rng, TIMES[scene.time]) if scene.time and rng.random() < 0.5 else ""
    other = group_phrase(scene.groups[0], rng)
    kinds = (
        ("a photo of", f"{where} {when}"),
        ("", f"and {other} {where} {when}"),
        ("a photo of", f"and {other}"),
        (f"{other} and", f"{where} {when}"),
        ("a picture of", ""),
        (f"{where}, {other} and", when),
    )
    before, after = kinds[int(rng.integers(len(kinds)))]
    return before, after.strip()


class Concepts:
    """The world's nouns as CLIP knows them, and phrases with each of them in it.

    Args:
        teacher: the frozen CLIP.
        words: its tokenizer.
        rng: draws the phrases.
    """

    def __init__(self, teacher: ClipTeacher, words: WordTokenizer, rng: np.random.Generator) -> None:
        self.teacher = teacher
        names = [with_article(noun.names[0][0]) for noun in load_nouns().values()]
        start, *middle, self._end = words.row("a photo of")
        self.photo = [start, *middle, PSEUDO_WORD, self._end]
        phrases = [draw_phrase(rng) for _ in range(PHRASES)]
        self.rows = [
            [start, *words.row(before)[1:-1], PSEUDO_WORD, *words.row(after)[1:-1], self._end]
            for before, after in phrases
        ]
        with torch.no_grad():
            self._names = self._features([words.row(f"a photo of {name}") for name in names])
            texts = [words.row(f"{before} {name} {after}") for before, after in phrases for name in names]
            self._meant = self._features(texts).unflatten(0, (PHRASES, len(names)))
            table = teacher.clip.token_embedding.weight
            self._embeddings = torch.stack([table[words.row(name)[2:-1]].mean(dim=0) for name in names])

    def _features(self, rows: list[list[int]]) -> Tensor:
        return F.normalize(self.teacher.encode_rows(rows), dim=1)

    @torch.no_grad()
    def likely(self, raw: Tensor) -> Tensor:
        """(N, nouns) how likely each noun is what a picture shows, by CLIP's own likeness."""
        scale = self.teacher.clip.logit_scale.exp()
        return (scale * F.normalize(raw, dim=1) @ self._names.T).softmax(dim=1)

    def start(self, likely: Tensor) -> Tensor:
        """(N, 1, W) the mean embedding of a picture's likely nouns: where its descent begins."""
        return (likely @ self._embeddings)[:, None]

    def phrases_for(self, likely: Tensor) -> DrawPhrase:
        """Draw a phrase and, for every picture, one of its likely nouns in it."""

        def draw(rng: np.random.Generator) -> tuple[list[int], Tensor]:
            phrase = int(rng.integers(PHRASES))
            dice = torch.from_numpy(rng.random((len(likely), 1))).to(likely)
            nouns = (likely.cumsum(dim=1) < dice).sum(dim=1).clamp(max=likely.shape[1] - 1)
            return self.rows[phrase], self._meant[phrase, nouns]

        return draw


def inverted_words(folder: Path, concepts: Concepts, raw: Tensor, seed: int) -> Tensor:
    """(N, 1, W) the words that descent finds for N pictures. Finished batches are kept in `folder`."""
    found = []
    for start in range(0, len(raw), TOGETHER):
        path = folder / f"inverted-{start // TOGETHER:03d}.npy"
        if not path.exists():
            rows = raw[start : start + TOGETHER]
            likely = concepts.likely(rows)
            steps = invert(
                concepts.teacher.clip,
                rows,
                concepts.start(likely),
                concepts.photo,
                concepts.phrases_for(likely),
                InversionSettings(steps=INVERSION.steps, seed=seed + start),
            )
            *_, (_, words) = steps
            write_array(path, words.numpy())
            with torch.no_grad():
                off = apart(concepts.teacher.clip, concepts.photo, words, F.normalize(rows, dim=1))
            cosine = 1.0 - float(off) / len(rows)
            logging.getLogger(__name__).info("%d words found, cosine %.3f", start + len(rows), cosine)
        found.append(torch.from_numpy(np.load(path)))
    return torch.cat(found)


def distillation_loss(given: Tensor, taught: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Contrastive, in both directions; words of the same side are negatives too. Source: SEARLE, Eq. 4.

    Args:
        given, taught: (N, T, W) what phi says, and what descent found, of the same pictures.
        temperature: of the softmax.
    """
    a, b = (F.normalize(words.flatten(1), dim=1) for words in (given, taught))
    itself = torch.eye(len(a), dtype=torch.bool)
    labels = torch.arange(len(a))

    def one_way(x: Tensor, y: Tensor) -> Tensor:
        own = (x @ x.T).masked_fill(itself, -1e4)
        return F.cross_entropy(torch.cat([x @ y.T, own], dim=1) / temperature, labels)

    return one_way(a, b) + one_way(b, a)


def train_searle(settings: RunSettings, rank: int) -> None:
    """Inversion, then `settings.minutes` of distillation. `settings.extra`: clip, pictures, out.

    Raises:
        CirError: more than one rank.
    """
    if settings.ranks != 1:
        raise CirError(f"SEARLE is trained in one process, not in {settings.ranks}.", "Leave --ranks out.")
    extra: dict[str, Any] = settings.extra
    torch.manual_seed(settings.seed)
    teacher = load_teacher(Path(extra["clip"])).requires_grad_(False)
    rng = np.random.default_rng(settings.seed)
    concepts = Concepts(teacher, WordTokenizer(), rng)
    pictures = CachedPictures(Path(extra["pictures"]))
    chosen = rng.choice(2 * len(pictures), size=INVERTED, replace=False)
    raw = image_features(teacher, pictures, chosen)
    taught = inverted_words(settings.folder, concepts, raw, settings.seed)
    phi = build_mapping(teacher, 1)
    optimiser = torch.optim.AdamW(phi.parameters(), lr=float(extra.get("rate", 1e-3)), weight_decay=0.01)
    run = Run(settings, phi, optimiser, rank)
    rng = np.random.default_rng((settings.seed, run.steps))
    while run.running():
        phi.train()
        rows = torch.from_numpy(rng.choice(INVERTED, size=TOGETHER, replace=False))
        distilled = distillation_loss(phi(raw[rows]), taught[rows])
        others = image_features(teacher, pictures, rng.integers(2 * len(pictures), size=TOGETHER))
        row, meant = concepts.phrases_for(concepts.likely(others))(rng)
        said = phi(others)
        pictured = apart(teacher.clip, concepts.photo, said, F.normalize(others, dim=1)) / len(others)
        phrased = apart(teacher.clip, row, said, meant) / len(others)
        loss = distilled + IMAGE_WEIGHT * pictured + PHRASE_WEIGHT * phrased
        losses = {"distilled": distilled, "pictured": pictured, "phrased": phrased}
        measures = {name: float(value.detach()) for name, value in losses.items()}
        run.step(loss, measures, samples=2 * TOGETHER, clip=1.0)
    _write(phi, Path(extra["out"]), settings, run)


@torch.no_grad()
def image_features(teacher: ClipTeacher, pictures: CachedPictures, chosen: np.ndarray) -> Tensor:
    """(N, D) raw image features of the given pictures."""
    return teacher.clip.visual.head(pictures.pooled(chosen))


def _write(phi: MappingNetwork, out: Path, settings: RunSettings, run: Run) -> None:
    manifest = {
        "recipe": "searle",
        "normalise_input": False,
        "inverted": INVERTED,
        "inversion_steps": INVERSION.steps,
        "seconds": run.elapsed,
        "steps": run.steps,
        "samples": run.samples,
        **{key: value for key, value in settings.manifest().items() if key in ("seed", "torch")},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_mapping(phi.half(), out, manifest)
