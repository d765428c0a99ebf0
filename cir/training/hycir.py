"""HyCIR's hybrid training of a mapping network, on any open_clip model, images and triplets.

Two contrastive losses share one network: an image against its own "a photo of [words]", and a composed sentence
"a photo of [words], T" against the target image. Both towers and the logit scale are frozen; gradients flow through
the same splice as in search.

Does not know where features and triplets come from, nor how the network is judged.

Source: HyCIR, "Hybrid training", Eq. 1-3, and "Implementation Details". The paper leaves open the directions of both
losses (symmetric here, as in Pic2Word), the temperature (CLIP's own, frozen) and what happens when a batch holds one
target twice (those are not counted as negatives here).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cir.cache_keys import code_digest, digest_of
from cir.errors import CirError
from cir.models.clip import ClipModel
from cir.models.mapping import MappingNetwork
from cir.models.text_tower import encode_with_embeddings, splice, text_tower, token_ids
from cir.prompts import pic2word_template
from cir.text import counted
from cir.training.patches import TripletPatches
from cir.types import Features
from cir.whole_files import replacing

Loss = Literal["hybrid", "zs-cir", "triplet"]
LOSSES: tuple[Loss, ...] = ("hybrid", "zs-cir", "triplet")
CODE = ("training", "models/mapping.py", "models/text_tower.py", "prompts.py")


@dataclass(frozen=True, slots=True)
class HycirSettings:
    """Every number of the recipe; the defaults are the paper's, where it gives one.

    Attributes:
        tokens: pseudo-words for one image. Paper: 4, Table 4.
        loss: "hybrid" is L_ZS-CIR + L_triplet; the others are its halves, Table 5.
        images, triplets: of a batch. Paper: 512 and 256.
        rate: of Adam, constant. Paper: 1e-4.
        steps: of the whole training.
        minutes: of wall time, after which it ends even if there are steps left; None for no such end.
        hidden: widths between input and pseudo-words, as in Pic2Word.
        dropout: in the network, while it is trained.
        seed: of the weights and the batches.
        mixed_precision: "no", "fp16" or "bf16", as accelerate takes it.
        save_every: steps between two checkpoints.
    """

    tokens: int = 4
    loss: Loss = "hybrid"
    images: int = 512
    triplets: int = 256
    rate: float = 1e-4
    steps: int = 2000
    minutes: float | None = None
    hidden: tuple[int, ...] = (512, 512)
    dropout: float = 0.1
    seed: int = 0
    mixed_precision: str = "no"
    save_every: int = 200

    def __post_init__(self) -> None:
        whole = {"tokens": self.tokens, "images": self.images, "triplets": self.triplets, "steps": self.steps}
        for name, value in whole.items():
            if value < 1:
                raise CirError(f"{name} is {value}.", "Give a whole number from 1.")
        if self.minutes is not None and not self.minutes > 0:
            raise CirError(f"minutes is {self.minutes:g}.", "Give a number above 0.")
        if self.loss not in LOSSES:
            raise CirError(f"There is no loss called {self.loss!r}.", f"Choose one of {', '.join(LOSSES)}.")


@dataclass(frozen=True, slots=True, eq=False)
class TripletFeatures:
    """M triplets ready for training.

    Attributes:
        references, targets: (M, D) raw image features.
        texts: M modification texts.
        target_ids: (M,) integers; equal ones are the same image.
        patches: of their pictures, for networks that read them; None where nobody has asked for them.
        captions: one of each target, for networks that learn those first; () where nobody has asked for them.
    """

    references: NDArray[np.float32]
    targets: NDArray[np.float32]
    texts: Sequence[str]
    target_ids: NDArray[np.int64]
    patches: TripletPatches | None = None
    captions: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def contents(self) -> tuple[object, ...]:
        """All that they are, for a key; patches follow from the pictures, as features do."""
        captions = (list(self.captions),) if self.captions else ()
        return self.references, self.targets, list(self.texts), self.target_ids, *captions

    def chosen(self, rows: NDArray[np.int64]) -> TripletFeatures:
        """The triplets of these rows."""
        texts = [self.texts[int(i)] for i in rows]
        patches = None if self.patches is None else self.patches.chosen(rows)
        captions = [self.captions[int(i)] for i in rows] if self.captions else ()
        return TripletFeatures(
            self.references[rows], self.targets[rows], texts, self.target_ids[rows], patches, captions
        )

    def near(self, min_similarity: float) -> TripletFeatures:
        """Those of `near_rows`."""
        return self.chosen(self.near_rows(min_similarity))

    def near_rows(self, min_similarity: float) -> NDArray[np.int64]:
        """Those whose two images have at least this cosine; -1 keeps all.

        Where a gallery is sparse, SynCir's neighbours share little, the text has to name the whole target, and
        the pseudo-words learn to be ignored. Not in the paper, whose corpora are dense; see docs/results.md.
        """
        norms = np.linalg.norm(self.references, axis=1) * np.linalg.norm(self.targets, axis=1)
        cosines = (self.references * self.targets).sum(1) / np.maximum(norms, 1e-12)
        return np.flatnonzero(cosines >= min_similarity)


def contrastive_loss(
    queries: Tensor, images: Tensor, scale: Tensor | float, ids: Tensor | None = None
) -> Tensor:
    """Symmetric contrastive loss of N matching rows, normalised here.

    Args:
        queries, images: (N, D).
        scale: the inverse temperature.
        ids: (N,) of the images; rows with an equal id are neither each other's target nor negative.

    Source: HyCIR, Eq. 2 and 3; Pic2Word, Eq. 1-3.
    """
    logits = scale * F.normalize(queries, dim=1) @ F.normalize(images, dim=1).T
    labels = torch.arange(len(logits), device=logits.device)
    if ids is not None:
        same = (ids[:, None] == ids[None, :]) & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device)
        logits = logits.masked_fill(same, -torch.inf)
    return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels))


def compose_features(clip: ClipModel, words: Tensor, texts: Sequence[str]) -> Tensor:
    """(N, D) raw features of "a photo of [words], T" for N images and texts; keeps gradients.

    Source: HyCIR, "Model architecture".
    """
    rows = [clip.spliced_tokens(*pic2word_template(text), words=words.shape[1]) for text in texts]
    return encode_with_embeddings(clip.model, *splice(clip.model, rows, words))


def new_network(clip: ClipModel, settings: HycirSettings, texts: Sequence[str]) -> MappingNetwork:
    """A fresh network, whose pseudo-words start as long as the words of the prompts are."""
    table = text_tower(clip.model).token_embedding.weight.detach()
    known = sorted({i for text in ("a photo of", *texts[:500]) for i in token_ids(clip.tokenizer, text)})
    length = float(table[known].norm(dim=1).mean())
    torch.manual_seed(settings.seed)
    return MappingNetwork(
        clip.dim,
        settings.hidden,
        settings.tokens,
        clip.word_width,
        dropout=settings.dropout,
        word_length=length,
    )


def training_inputs(clip: ClipModel, settings: HycirSettings, *data: object) -> dict[str, Any]:
    """Everything that a trained network depends on, for the key of its folder.

    Args:
        clip: whose words it learns.
        settings: all of them but how often is saved.
        data: arrays and texts that are learned from.
    """
    record = json.loads(json.dumps(asdict(settings)))
    del record["save_every"]
    return {**record, "clip": clip.fingerprint, "data": digest_of(*data), "program": code_digest(*CODE)}


class HycirTraining:
    """One training: frozen CLIP, the network, its optimiser, and where it stands.

    Args:
        clip: frozen here.
        images: (N, D) raw features of unlabelled images, for L_ZS-CIR.
        triplets: for L_triplet; None where the loss does not want them.
        settings: see there.
        folder: for checkpoint and log; a training that is there already goes on.

    Raises:
        CirError: too few images or triplets for one batch, or a checkpoint of other settings or other data.
    """

    def __init__(
        self,
        clip: ClipModel,
        images: NDArray[np.float32],
        triplets: TripletFeatures | None,
        settings: HycirSettings,
        folder: Path,
    ) -> None:
        from accelerate import Accelerator

        self.settings, self.clip, self.triplets, self.folder = settings, clip, triplets, folder
        self.images = np.asarray(images, dtype=np.float32)
        self._refuse_too_few()
        self.accelerator = Accelerator(
            mixed_precision=settings.mixed_precision, cpu=clip.device.type == "cpu"
        )
        clip.model.requires_grad_(False)
        self.scale = clip.model.logit_scale.detach().exp()
        network = self._fresh_network()
        optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate)
        self.network, self.optimiser = self.accelerator.prepare(network, optimiser)
        self._inputs = training_inputs(clip, settings, *self.data)
        self.seconds = 0.0
        self.step = self._resume()

    def _fresh_network(self) -> MappingNetwork:
        """What is trained, as it is before the first step."""
        return new_network(self.clip, self.settings, self.triplets.texts if self.triplets else ())

    @property
    def data(self) -> tuple[object, ...]:
        """What is learned from, for a key."""
        return self.images, *(self.triplets.contents if self.triplets else ())

    @property
    def done(self) -> bool:
        """Whether all steps are made, or the time is up."""
        limit = self.settings.minutes
        return self.step >= self.settings.steps or (limit is not None and self.seconds >= 60.0 * limit)

    def run(self) -> Iterator[dict[str, float]]:
        """Train to the last step, or until the time is up; yields the losses of every step. Stopped between two, it can go on later."""
        started = time.monotonic() - self.seconds
        self.network.train()
        while not self.done:
            # Each step draws from its own seed, so that a training that went on is the one that never stopped.
            rng = np.random.default_rng((self.settings.seed, self.accelerator.process_index, self.step))
            torch.manual_seed(int(rng.integers(2**31)))
            losses = self.losses(rng)
            total = torch.stack(list(losses.values())).sum()
            self.optimiser.zero_grad(set_to_none=True)
            self.accelerator.backward(total)
            self.optimiser.step()
            self.step += 1
            row = {"step": self.step, "loss": total.item(), **{k: v.item() for k, v in losses.items()}}
            self.seconds = time.monotonic() - started
            row["seconds"] = round(self.seconds, 2)
            if self.step % self.settings.save_every == 0 or self.done:
                self.save(row)
            yield row

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of one batch, by name."""
        out: dict[str, Tensor] = {}
        if self.settings.loss != "triplet":
            rows = rng.choice(len(self.images), self.settings.images, replace=False)
            raw = self._tensor(self.images[rows])
            texts = compose_features(self.clip, self.network(raw), [""] * len(raw))
            out["zs_cir"] = contrastive_loss(texts, raw, self.scale)
        if self.settings.loss != "zs-cir":
            assert self.triplets is not None
            batch = self.triplets.chosen(
                rng.choice(len(self.triplets), self.settings.triplets, replace=False)
            )
            words = self.network(self._tensor(batch.references))
            composed = compose_features(self.clip, words, batch.texts)
            ids = torch.from_numpy(batch.target_ids).to(self.clip.device)
            out["triplet"] = contrastive_loss(composed, self._tensor(batch.targets), self.scale, ids)
        return out

    def trained(self) -> MappingNetwork:
        """The network as it stands, out of accelerate's hands."""
        return self.accelerator.unwrap_model(self.network)

    def save(self, row: dict[str, float]) -> None:
        """Checkpoint, whole or not at all, and one line of the log."""
        if not self.accelerator.is_main_process:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "checkpoint.pt"
        state = {
            "network": self.trained().state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "inputs": self._inputs,
        }
        with replacing(path) as draft:
            torch.save(state, draft)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _tensor(self, rows: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(rows).to(self.clip.device)

    def _resume(self) -> int:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        before, now = state.get("inputs", {}), self._inputs
        may_change = {"steps", "minutes"}  # a training may become longer
        if other := sorted(key for key in {*before, *now} - may_change if before.get(key) != now.get(key)):
            raise CirError(
                f"{path} was trained with other inputs; this differs: {', '.join(other)}.",
                "Train with these again, or in another folder.",
            )
        if int(state["step"]) > self.settings.steps:
            raise CirError(
                f"{path} has made {counted(state['step'], 'step')}, and {self.settings.steps} were asked for.",
                "Train in another folder.",
            )
        self.seconds = float(state["seconds"])
        self.trained().load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def _refuse_too_few(self) -> None:
        wanted = self.settings
        if wanted.loss != "triplet" and wanted.images < 2:
            raise CirError(
                "A batch of one picture teaches nothing: each is told from the others of its batch.",
                "Give a gallery of more pictures, or a larger batch: --batch-images",
            )
        if wanted.loss != "triplet" and len(self.images) < wanted.images:
            raise CirError(
                f"{counted(len(self.images), 'image')} cannot fill batches of {wanted.images}.",
                "Give a larger gallery, or a smaller batch: --batch-images",
            )
        if wanted.loss != "zs-cir" and (self.triplets is None or len(self.triplets) < wanted.triplets):
            count = 0 if self.triplets is None else len(self.triplets)
            raise CirError(
                f"{counted(count, 'triplet')} cannot fill batches of {wanted.triplets}.",
                "Make more (python -m cir synthesize), or take a smaller batch: --batch-triplets",
            )


def train_hycir(
    clip: ClipModel,
    images: NDArray[np.float32],
    triplets: TripletFeatures | None,
    settings: HycirSettings,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> MappingNetwork:
    """A trained network. Arguments and errors as of `HycirTraining`."""
    return run_to_end(HycirTraining(clip, images, triplets, settings, folder), say)


def run_to_end(training: HycirTraining, say: Callable[[str], None]) -> MappingNetwork:
    """The network of a training that is run to its last step."""
    steps, minutes = training.settings.steps, training.settings.minutes
    for row in training.run():
        if row["step"] % 10 == 0:
            left = (steps - row["step"]) * row["seconds"] / max(1, row["step"])
            if minutes is not None:
                left = min(left, 60.0 * minutes - row["seconds"])
            of = f" of {steps}" if minutes is None else ""
            say(f"step {row['step']}{of}, loss {row['loss']:.3f}, about {left:.0f} s left")
    return training.trained()


@torch.inference_mode()
def composed_rows(
    clip: ClipModel, network: MappingNetwork, references: NDArray[np.float32], texts: Sequence[str]
) -> Features:
    """(N, D) unit rows of composed queries, as search makes them; for judging a network while it is young."""
    network.eval()
    out = []
    for start in range(0, len(texts), 128):
        raw = torch.from_numpy(references[start : start + 128]).to(clip.device)
        rows = compose_features(clip, network(raw), texts[start : start + 128])
        out.append(F.normalize(rows, dim=1).cpu().numpy())
    return np.concatenate(out).astype(np.float32)
