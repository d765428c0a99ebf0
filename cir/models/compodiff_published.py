"""CompoDiff with the weights that its authors have published: the query is denoised in the space of CLIP's image features.

A transformer over two tokens, the noisy feature and the time, looks at the edit's states (by the text tower of LAION's
ViT-bigG/14), at the reference's feature and at a mask, which stays empty here; it says the feature without noise. Galleries keep
the features of OpenAI's ViT-L/14. Sizes are read off the files.

Source: Gu et al., "CompoDiff: Versatile Composed Image Retrieval With Latent Diffusion", TMLR 2024, sections 4.1 and 4.3
(guidance by image and by text, each with a weight of its own); names and shapes of the tensors, the steps and all numbers by
the authors' repository (navervision/CompoDiff). The published weights are, as they say, not the paper's.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.checkpoints import State, count_of, read_checkpoint, renamed, state_in
from cir.models.clip import ClipModel
from cir.models.mapping_files import FETCH
from cir.models.runtime import fingerprint_of
from cir.picture_memory import SeenPictures
from cir.types import Features

DENOISER, TEXT_TOWER, SPECIAL = "pytorch_model.bin", "open_clip_model.safetensors", "special_tokens_map.json"
COMPODIFF_FILES = (DENOISER, TEXT_TOWER, SPECIAL)
TIMES, STEPS, SAMPLES, SEED = 1000, 10, 2, 0
BY_IMAGE, BY_TEXT, OF_SOURCE = (
    1.5,
    7.5,
    0.1,
)  # weights of guidance, and the reference's share in what comes out
HEAD_WIDTH, TURNED, COSINE_SCALE = 64, 32, 16.0
BEGIN = "model.net."
LEFT_OUT = ("model.noise_scheduler.", ".rotary_emb.")  # computed, not learnt
KEYS: Mapping[str, str] = {
    f"{BEGIN}to_text_embeds.0.": "text.",
    f"{BEGIN}to_time_embeds.0.1.net.#.0.": "time.#.",
    f"{BEGIN}to_time_embeds.0.1.net.#.": "time.#.",
    f"{BEGIN}to_mask_embeds.1.net.#.0.": "mask.#.",
    f"{BEGIN}to_mask_embeds.1.net.#.": "mask.#.",
    f"{BEGIN}transformer.rel_pos_bias.relative_attention_bias.weight": "places",
    f"{BEGIN}transformer.layers.#.0.to_out.0.": "layers.#.own.out.",
    f"{BEGIN}transformer.layers.#.0.to_out.1.g": "layers.#.own.out_norm.g",
    f"{BEGIN}transformer.layers.#.0.": "layers.#.own.",
    f"{BEGIN}transformer.layers.#.1.to_out.0.": "layers.#.look.out.",
    f"{BEGIN}transformer.layers.#.1.to_out.1.g": "layers.#.look.out_norm.g",
    f"{BEGIN}transformer.layers.#.1.": "layers.#.look.",
    f"{BEGIN}transformer.layers.#.2.0.g": "layers.#.norm.g",
    f"{BEGIN}transformer.layers.#.2.1.": "layers.#.widen.",
    f"{BEGIN}transformer.layers.#.2.5.": "layers.#.narrow.",
    f"{BEGIN}transformer.norm.g": "norm.g",
    f"{BEGIN}transformer.project_out.": "out.",
}


class Norm(nn.Module):
    """A layer norm that only scales.

    Args:
        width: of what is scaled.
        by_largest: whether rows are divided by their largest number first.
    """

    def __init__(self, width: int, *, by_largest: bool = False) -> None:
        super().__init__()
        self.g, self.by_largest = nn.Parameter(torch.ones(width)), by_largest

    def forward(self, rows: Tensor) -> Tensor:
        """(..., W) -> (..., W)."""
        if self.by_largest:
            rows = rows / rows.amax(dim=-1, keepdim=True)
        return F.layer_norm(rows, rows.shape[-1:], weight=self.g)


class Attention(nn.Module):
    """Tokens look at one another, by cosine, through one key and value for all heads, or at a context, through one for each.

    Args:
        width: of tokens.
        inner: of all heads together.
        keys: of all keys and values together: two heads for `own` attention, else twice `inner`.
        context: the context's width; 0 for `own` attention.
    """

    def __init__(self, width: int, inner: int, keys: int, context: int = 0) -> None:
        super().__init__()
        self.norm, self.out_norm = Norm(width), Norm(width)
        self.null_kv = nn.Parameter(torch.zeros(2, HEAD_WIDTH))
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(context or width, keys, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, context: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """(N, T, W) tokens, (N, C, V) a context or (H, T, 1 + T) what places count for -> (N, T, W)."""
        tokens = self.norm(tokens)
        query = self.to_q(tokens).unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)
        seen = self.to_kv(tokens if context is None else context)
        key, value = (part.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2) for part in seen.chunk(2, dim=-1))
        if context is None:
            query, key = turned(query), turned(key)
        nothing = self.null_kv[:, None, None, None].expand(-1, len(key), key.shape[1], 1, -1)
        key, value = torch.cat([nothing[0], key], dim=2), torch.cat([nothing[1], value], dim=2)
        if context is None:
            query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        scores = (COSINE_SCALE if context is None else HEAD_WIDTH**-0.5) * query @ key.transpose(-1, -2)
        if places is not None:
            scores = scores + places
        found = scores.softmax(dim=-1) @ value
        return self.out_norm(self.out(found.transpose(1, 2).flatten(2)))


class Layer(nn.Module):
    """Own attention, a look at the context, and a gated layer.

    Args:
        width, own, look, inner: of tokens, of either attention's heads together, and inside the gated layer.
    """

    def __init__(self, width: int, own: int, look: int, inner: int) -> None:
        super().__init__()
        self.own = Attention(width, own, 2 * HEAD_WIDTH)
        self.look = Attention(width, look, 2 * look, context=width)
        self.norm, self.widen = Norm(width), nn.Linear(width, 2 * inner, bias=False)
        self.narrow = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, context: Tensor, places: Tensor) -> Tensor:
        """(N, T, W), (N, C, W), (H, T, 1 + T) -> (N, T, W)."""
        tokens = self.own(tokens, places=places) + tokens
        tokens = self.look(tokens, context) + tokens
        wide, gate = self.widen(self.norm(tokens)).chunk(2, dim=-1)
        return self.narrow(wide * F.silu(gate)) + tokens


class Denoiser(nn.Module):
    """A noisy feature, its time, and what is asked for -> the feature without noise.

    Args:
        width: W, of features and tokens.
        text_width: of the text tower's states.
        mask: numbers of a mask.
        hidden: inside of what reads times and masks.
        depth: layers.
        buckets: distances that places are told apart by.
        own, look, inner: of `Layer`.
    """

    def __init__(
        self,
        width: int,
        text_width: int,
        mask: int,
        hidden: int,
        depth: int,
        buckets: int,
        own: int,
        look: int,
        inner: int,
    ) -> None:
        super().__init__()
        self.width, self.empty_mask = width, mask
        self.text = nn.Linear(text_width, width)
        self.time, self.mask = (
            nn.ModuleList([nn.Linear(first, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, width)])
            for first in (width, mask)
        )
        self.places = nn.Parameter(torch.zeros(buckets, own // HEAD_WIDTH))
        self.layers = nn.ModuleList(Layer(width, own, look, inner) for _ in range(depth))
        self.norm, self.out = Norm(width, by_largest=True), nn.Linear(width, width, bias=False)

    def forward(self, noisy: Tensor, image: Tensor, states: Tensor, time: int) -> Tensor:
        """(N, W) noisy features, (N, W) of references, (N, L, S) states of edits -> (N, W)."""
        count = len(noisy)
        when = _through(self.time, waves(time, self.width).to(noisy)).expand(count, -1)
        masked = _through(self.mask, noisy.new_zeros(self.empty_mask)).expand(count, -1)
        context = torch.cat([self.text(states), image[:, None], masked[:, None]], dim=1)
        tokens = torch.stack([noisy, when], dim=1)
        # What comes before counts by its distance, what comes behind as if it were here; the empty key is the first.
        distance = torch.arange(2)[:, None] - torch.arange(3)[None]
        places = self.places[distance.clamp(min=0)].permute(2, 0, 1)
        for layer in self.layers:
            tokens = layer(tokens, context, places)
        return self.out(self.norm(tokens))[:, 0]

    def guided(self, noisy: Tensor, image: Tensor, states: Tensor, empty: Tensor, time: int) -> Tensor:
        """The same, away from what no image and no edit would say, by `BY_IMAGE` and `BY_TEXT`."""
        count = len(noisy)
        images = torch.cat([image, image, torch.zeros_like(image)])
        texts = torch.cat([states, empty, empty])
        whole, without_text, without_all = self(noisy.repeat(3, 1), images, texts, time).split(count)
        return without_all + BY_TEXT * (whole - without_text) + BY_IMAGE * (without_text - without_all)


class PublishedCompoDiff:
    """The method behind the protocol QueryFusion.

    Args:
        denoiser: with its weights.
        texts: the text tower, an open_clip TextTransformer.
        padding: id of the token that fills a text up.
        clip: OpenAI's ViT-L/14, whose features are denoised.
    """

    def __init__(self, denoiser: Denoiser, texts: Any, padding: int, clip: ClipModel) -> None:
        import open_clip

        self.denoiser, self.texts = denoiser.float().to(clip.device).eval(), texts.to(clip.device).eval()
        self.padding, self.clip, self.metadata = padding, clip, {}
        self.references: SeenPictures[NDArray[np.float32]] = SeenPictures()
        self.tokenizer = open_clip.SimpleTokenizer()
        tensors = {
            **denoiser.state_dict(),
            **{f"texts.{name}": one for name, one in texts.state_dict().items()},
        }
        self.fingerprint = fingerprint_of(
            "compodiff", tensors, [STEPS, SAMPLES, SEED, BY_IMAGE, BY_TEXT, OF_SOURCE]
        )

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(1, D) the query, a unit row; the same for the same image and edit.

        Raises:
            CirError: values that are not finite.
        """
        (feature,) = self.references.made([image], lambda new: self.clip.encode_images(new))
        reference = torch.from_numpy(feature[None]).to(self.clip.device)
        with torch.inference_mode():
            states, empty = self.states(text), self.states("")
            found = denoise(self.denoiser, reference, states, empty).mean(dim=0, keepdim=True)
            row = F.normalize((1.0 - OF_SOURCE) * found + OF_SOURCE * reference, dim=1).cpu().numpy()
        if not np.isfinite(row).all():
            raise CirError(
                "CompoDiff's network gave values that are not finite.", f"Its file is damaged. {FETCH}"
            )
        return row

    def states(self, text: str) -> Tensor:
        """(1, 77, S) what the text tower has of every token of a text that is filled up; what fills it up is not looked at."""
        tower, length = self.texts, self.texts.positional_embedding.shape[0]
        ids = self.tokenizer.encode(text)[: length - 2]
        row = [self.tokenizer.sot_token_id, *ids, self.tokenizer.eot_token_id]
        filled = torch.tensor([row + [self.padding] * (length - len(row))], device=self.clip.device)
        seen = torch.ones(length, length, device=self.clip.device).tril()
        seen[:, len(row) :] = 0.0
        mask = torch.zeros_like(seen).masked_fill(seen == 0.0, -torch.inf)
        return tower.ln_final(
            tower.transformer(tower.token_embedding(filled) + tower.positional_embedding, attn_mask=mask)
        )


def denoise(denoiser: Denoiser, reference: Tensor, states: Tensor, empty: Tensor) -> Tensor:
    """(1, W) a reference's feature and (1, L, S) states of an edit and of none -> (`SAMPLES`, W), by `STEPS` of DDIM."""
    generator = torch.Generator().manual_seed(SEED)

    def noise() -> Tensor:
        return torch.randn(SAMPLES, denoiser.width, generator=generator).to(reference)

    kept, before = schedule()
    image, said, unsaid = (one.expand(SAMPLES, *one.shape[1:]) for one in (reference, states, empty))
    found = noise()
    times = torch.linspace(-1.0, TIMES, STEPS + 2)[:-1].int().tolist()[::-1]
    for time, following in itertools.pairwise(times):
        clean = denoiser.guided(found, image, said, unsaid, time)
        if following < 0:
            return clean
        noisy_part = (found / math.sqrt(kept[time]) - clean) / math.sqrt(1.0 / kept[time] - 1.0)
        now, then = before[time], before[following]
        fresh = math.sqrt((1.0 - now / then) * (1.0 - then) / (1.0 - now))
        found = clean * math.sqrt(then) + fresh * noise() + math.sqrt(1.0 - then - fresh**2) * noisy_part
    return found


def schedule() -> tuple[list[float], list[float]]:
    """What is left of a feature at each time, and at the time before it (cosine schedule)."""
    place = torch.linspace(0, TIMES, TIMES + 1, dtype=torch.float64)
    left = torch.cos((place / TIMES + 0.008) / 1.008 * torch.pi * 0.5) ** 2
    lost = (1 - (left / left[0])[1:] / (left / left[0])[:-1]).clamp(0, 0.999)
    kept = torch.cumprod(1.0 - lost, dim=0).tolist()
    return kept, [1.0, *kept[:-1]]


def waves(time: int, width: int) -> Tensor:
    """(W,) a time as sines and cosines."""
    half = width // 2
    turns = time * torch.exp(torch.arange(half) * -(math.log(10_000) / (half - 1)))
    return torch.cat([turns.sin(), turns.cos()])


def turned(rows: Tensor) -> Tensor:
    """(N, H, T, `HEAD_WIDTH`) rows whose first numbers are turned in pairs by their places (rotary embedding)."""
    speed = 10_000.0 ** (-torch.arange(0, TURNED, 2, device=rows.device) / TURNED)
    angle = torch.arange(rows.shape[2], device=rows.device)[:, None] * speed
    first, second = rows[..., :TURNED:2], rows[..., 1:TURNED:2]
    sine, cosine = angle.sin(), angle.cos()
    pairs = torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return torch.cat([pairs.flatten(-2), rows[..., TURNED:]], dim=-1)


def read_published_compodiff(folder: Path, clip: ClipModel) -> PublishedCompoDiff:
    """The published denoiser in a folder, and beside it LAION's ViT-bigG/14, of which the text tower is read.

    Raises:
        MissingModel: one of the files is not there.
        UnsafeFile: one holds something else, or more than tensors, or they do not fit each other or the CLIP.
    """
    for name in COMPODIFF_FILES:
        if not (folder / name).is_file():
            raise MissingModel(f"{folder} holds no {name}.", FETCH)
    denoiser = _read_denoiser(folder / DENOISER)
    texts = _read_texts(folder / TEXT_TOWER)
    wanted = (denoiser.text.in_features, denoiser.width)
    if wanted != (texts.positional_embedding.shape[1], clip.dim):
        raise UnsafeFile(
            f"CompoDiff in {folder} reads texts {wanted[0]} and features {wanted[1]} wide, not those of its neighbours.",
            FETCH,
        )
    return PublishedCompoDiff(denoiser, texts, _padding(folder / SPECIAL), clip)


def _read_denoiser(path: Path) -> Denoiser:
    try:
        published = state_in({"": read_checkpoint(path)}, "", path)
        kept = {name: one for name, one in published.items() if not any(part in name for part in LEFT_OUT)}
        state = renamed(kept, KEYS)
        denoiser = Denoiser(*_sizes(state))
        denoiser.load_state_dict(state, strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is not CompoDiff's network: {error}", FETCH) from error
    return denoiser


def _sizes(state: State) -> tuple[int, ...]:
    width, text_width = state["text.weight"].shape
    hidden, mask = state["mask.0.weight"].shape
    return (
        width,
        text_width,
        mask,
        hidden,
        count_of(state, "layers.#."),
        len(state["places"]),
        len(state["layers.0.own.to_q.weight"]),
        len(state["layers.0.look.to_q.weight"]),
        state["layers.0.narrow.weight"].shape[1],
    )


def _read_texts(path: Path) -> Any:
    """The text tower of a whole open_clip model; nothing else of it is read."""
    from open_clip.transformer import TextTransformer
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith(("visual.", "logit_"))]  # noqa: SIM118
            state = {name: file.get_tensor(name).float() for name in names}
        length, width = state["positional_embedding"].shape
        tower = TextTransformer(
            context_length=length,
            vocab_size=len(state["token_embedding.weight"]),
            width=width,
            heads=width // HEAD_WIDTH,
            layers=count_of(state, "transformer.resblocks.#."),
            output_dim=state["text_projection"].shape[1],
        )
        tower.load_state_dict(state, strict=True)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} holds no text tower of a CLIP: {error}", FETCH) from error
    return tower


def _padding(path: Path) -> int:
    """The id of what its tokenizer fills texts up with."""
    import open_clip

    tokenizer = open_clip.SimpleTokenizer()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["pad_token"]
        spelling = told["content"] if isinstance(told, dict) else told
        return tokenizer.eot_token_id if spelling == "<|endoftext|>" else tokenizer.encoder[spelling]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnsafeFile(f"{path} does not say what texts are filled up with: {error}", FETCH) from error


def _through(layers: nn.ModuleList, row: Tensor) -> Tensor:
    *first, last = layers
    for layer in first:
        row = F.silu(layer(row))
    return last(row)
