"""Published networks once more, in numpy, step by step from their papers and by the names of their files: to compare with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Named = Mapping[str, Rows]


def linear(state: Named, name: str, rows: Rows) -> Rows:
    """W x + b."""
    made = rows @ state[f"{name}.weight"].T
    return made + state[f"{name}.bias"] if f"{name}.bias" in state else made


def norm(state: Named, name: str, rows: Rows, eps: float = 1e-5) -> Rows:
    """Layer norm."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return centred / length * state[f"{name}.weight"] + state[f"{name}.bias"]


def gelu(rows: Rows) -> Rows:
    """x Phi(x)."""
    return rows * 0.5 * (1.0 + torch.erf(torch.from_numpy(rows / math.sqrt(2.0))).numpy())


def relu(rows: Rows) -> Rows:
    """max(x, 0)."""
    return np.maximum(rows, 0.0)


def attention(query: Rows, key: Rows, value: Rows, width: int = 64) -> Rows:
    """(Q, H w), (K, H w), (K, H w) -> (Q, H w): head by head."""
    heads = []
    for start in range(0, query.shape[1], width):
        head = slice(start, start + width)
        scores = query[:, head] @ key[:, head].T / math.sqrt(width)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, head])
    return np.concatenate(heads, axis=1)


def img2text(state: Named, rows: Rows, end: str = "") -> Rows:
    """Pic2Word's three layers."""
    for i in range(2):
        rows = relu(linear(state, f"layers{end}.{i}.0", rows))
    return linear(state, f"fc_out{end}", rows)


def keds(
    parts: Mapping[str, Named], feature: Rows, pictures: Rows, captions: Rows, neighbours: int = 16
) -> Rows:
    """(3, W) the words of one stream for a (D,) raw feature: what near pictures say, what near captions say, its own."""
    row = feature / np.linalg.norm(feature)
    own = img2text(parts["state_dict_img2text"], feature[None])
    said = []
    for part, known in (("state_dict_retrieval_fuse", pictures), ("state_dict_text_condition", captions)):
        distances = [float(((one - row) ** 2).sum()) for one in known]
        near = known[sorted(range(len(known)), key=distances.__getitem__)[:neighbours]]
        known_words = img2text(parts["state_dict_img2text"], near)
        word = own
        for i in range(3):
            layer = f"cross_layers.{i}"
            asked = linear(parts[part], f"{layer}.to_q", word)
            keys = linear(parts[part], f"{layer}.to_k", known_words)
            values = linear(parts[part], f"{layer}.to_v", known_words)
            word = linear(parts[part], f"{layer}.to_out.0", attention(asked, keys, values))
        said.append(word)
    return np.concatenate([*said, own])


def context_i2w(state: Named, tokens: Rows, context: Rows, looks: int) -> Rows:
    """(W,) the word of (1 + P, V) tokens for a (D,) context."""
    selector = state["W_R.weight_g"] * state["W_R.weight_v"]
    selector = selector / np.linalg.norm(state["W_R.weight_v"], axis=1, keepdims=True)
    view = tokens @ selector.T * linear(state, "to_c", context)
    targets = state["VT_Extractor.latents"]
    for i in range(looks):
        layer = f"VT_Extractor.layers.{i}"
        asking = norm(state, f"{layer}.0.norm_latents", targets)
        around = np.concatenate([norm(state, f"{layer}.0.norm_media", view[1:]), asking])
        key, value = np.split(linear(state, f"{layer}.0.to_kv", around), 2, axis=1)
        found = attention(linear(state, f"{layer}.0.to_q", asking), key, value)
        targets = linear(state, f"{layer}.0.to_out", found) + targets
        inner = gelu(linear(state, f"{layer}.1.1", norm(state, f"{layer}.1.0", targets)))
        targets = linear(state, f"{layer}.1.3", inner) + targets
    local = norm(state, "VT_Extractor.norm", targets).mean(axis=0)
    whole = img2text(state, norm(state, "ln_post", view[0]) @ state["proj"])
    part = img2text(state, norm(state, "ln_post_local", local) @ state["proj_local"], "_local")
    return whole + np.tanh(state["local_gate"]) * part


def combiner(state: Named, image: Rows, edit: Rows) -> Rows:
    """(D,) the query of (D,) raw features, of length 1."""
    both = np.concatenate(
        [
            relu(linear(state, f"{side}_projection_layer", row))
            for side, row in (("text", edit), ("image", image))
        ]
    )
    share = linear(state, "dynamic_scalar.3", relu(linear(state, "dynamic_scalar.0", both)))
    share = 1.0 / (1.0 + np.exp(-share))
    made = linear(state, "output_layer", relu(linear(state, "combiner_layer", both)))
    made = made + share * edit + (1.0 - share) * image
    return made / np.linalg.norm(made)


def covr_tokens(state: Named, pixels: Rows, depth: int) -> Rows:
    """(1 + P, V) tokens of (3, H, W) pixels."""
    kernel = state["visual_encoder.patch_embed.proj.weight"]
    size, width = kernel.shape[-1], kernel.shape[0]
    across = pixels.shape[-1] // size
    patches = [
        pixels[:, y * size : (y + 1) * size, x * size : (x + 1) * size].reshape(-1)
        for y in range(across)
        for x in range(across)
    ]
    rows = np.stack(patches) @ kernel.reshape(width, -1).T + state["visual_encoder.patch_embed.proj.bias"]
    rows = np.concatenate([state["visual_encoder.cls_token"][0], rows]) + state["visual_encoder.pos_embed"][0]
    for i in range(depth):
        block = f"visual_encoder.blocks.{i}"
        asked = linear(state, f"{block}.attn.qkv", norm(state, f"{block}.norm1", rows, 1e-6))
        rows = rows + linear(state, f"{block}.attn.proj", attention(*np.split(asked, 3, axis=1)))
        inner = gelu(linear(state, f"{block}.mlp.fc1", norm(state, f"{block}.norm2", rows, 1e-6)))
        rows = rows + linear(state, f"{block}.mlp.fc2", inner)
    return norm(state, "visual_encoder.norm", rows, 1e-6)


def covr_query(state: Named, tokens: Rows | None, ids: list[int], layers: int) -> Rows:
    """(D,) raw, of an edit's ids with their marks and of an image's tokens, if it is looked at."""
    begin = "text_encoder"
    rows = state[f"{begin}.embeddings.word_embeddings.weight"][ids]
    rows = rows + state[f"{begin}.embeddings.position_embeddings.weight"][: len(ids)]
    rows = norm(state, f"{begin}.embeddings.LayerNorm", rows, 1e-12)

    def after(name: str, made: Rows, before: Rows) -> Rows:
        return norm(state, f"{name}.LayerNorm", linear(state, f"{name}.dense", made) + before, 1e-12)

    def look(name: str, asking: Rows, seen: Rows) -> Rows:
        part: Callable[[str, Rows], Rows] = lambda kind, given: linear(state, f"{name}.self.{kind}", given)  # noqa: E731
        found = attention(part("query", asking), part("key", seen), part("value", seen))
        return after(f"{name}.output", found, asking)

    for i in range(layers):
        layer = f"{begin}.encoder.layer.{i}"
        rows = look(f"{layer}.attention", rows, rows)
        if tokens is not None:
            rows = look(f"{layer}.crossattention", rows, tokens)
        inner = gelu(linear(state, f"{layer}.intermediate.dense", rows))
        rows = after(f"{layer}.output", inner, rows)
    return linear(state, "text_proj", rows[0])


def silu(rows: Rows) -> Rows:
    """x sigma(x)."""
    return rows / (1.0 + np.exp(-rows))


def scaled(state: Named, name: str, rows: Rows) -> Rows:
    """Layer norm that only scales."""
    return norm({"n.weight": state[f"{name}.g"], "n.bias": np.zeros(rows.shape[-1])}, "n", rows)


def turned(rows: Rows) -> Rows:
    """(T, 64) rows whose first 32 numbers are turned, as 16 complex ones, by their places."""
    numbers = rows[:, 0:32:2] + 1j * rows[:, 1:32:2]
    angles = np.arange(len(rows))[:, None] * 10_000.0 ** (-np.arange(16) / 16.0)
    numbers = numbers * np.exp(1j * angles)
    found = rows.copy()
    found[:, 0:32:2], found[:, 1:32:2] = numbers.real, numbers.imag
    return found


def softmax(rows: Rows) -> Rows:
    """Over the last axis."""
    made = np.exp(rows - rows.max(axis=-1, keepdims=True))
    return made / made.sum(axis=-1, keepdims=True)


def compodiff_clean(state: Named, noisy: Rows, image: Rows, texts: Rows, time: int, depth: int) -> Rows:
    """(W,) the feature without noise, of a (W,) noisy one, a (W,) reference and (L, S) states of an edit."""

    def through(begin: str, row: Rows) -> Rows:
        row = silu(linear(state, f"{begin}.0.0", row))
        return linear(state, f"{begin}.2", silu(linear(state, f"{begin}.1.0", row)))

    half = len(noisy) // 2
    turns = [time * math.exp(-math.log(10_000) * i / (half - 1)) for i in range(half)]
    when = np.array([*map(math.sin, turns), *map(math.cos, turns)])
    mask = np.zeros(state["to_mask_embeds.1.net.0.0.weight"].shape[1])
    tokens = np.stack([noisy, through("to_time_embeds.0.1.net", when)])
    context = np.concatenate(
        [linear(state, "to_text_embeds.0", texts), image[None], through("to_mask_embeds.1.net", mask)[None]]
    )
    bias = state["transformer.rel_pos_bias.relative_attention_bias.weight"]
    for i in range(depth):
        layer = f"transformer.layers.{i}"
        for place, seen in ((0, None), (1, context)):
            begin = f"{layer}.{place}"
            asking = scaled(state, f"{begin}.norm", tokens)
            query = linear(state, f"{begin}.to_q", asking)
            keys, values = np.split(
                linear(state, f"{begin}.to_kv", asking if seen is None else seen), 2, axis=1
            )
            nothing, heads = state[f"{begin}.null_kv"], []
            for head in range(query.shape[1] // 64):
                part = slice(64 * head, 64 * head + 64)
                asked = query[:, part]
                key, value = (keys, values) if seen is None else (keys[:, part], values[:, part])
                if seen is None:
                    asked, key = turned(asked), turned(key)
                key, value = np.concatenate([nothing[:1], key]), np.concatenate([nothing[1:], value])
                if seen is None:
                    asked, key = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (asked, key))
                    scores = 16.0 * asked @ key.T
                    for row in range(2):
                        for column in range(3):
                            scores[row, column] += bias[max(row - column, 0), head]
                else:
                    scores = asked @ key.T / 8.0
                heads.append(softmax(scores) @ value)
            made = linear(state, f"{begin}.to_out.0", np.concatenate(heads, axis=1))
            tokens = tokens + scaled(state, f"{begin}.to_out.1", made)
        wide, gate = np.split(linear(state, f"{layer}.2.1", scaled(state, f"{layer}.2.0", tokens)), 2, axis=1)
        tokens = tokens + linear(state, f"{layer}.2.5", wide * silu(gate))
    tokens = tokens / tokens.max(axis=1, keepdims=True)
    return linear(state, "transformer.project_out", scaled(state, "transformer.norm", tokens)[0])


def compodiff(state: Named, image: Rows, texts: Rows, empty: Rows, noises: list[Rows], depth: int) -> Rows:
    """(W,) what one sample is denoised to in ten steps of DDIM, guided by image (1.5) and text (7.5)."""

    def left(time: int) -> float:
        return math.cos((time / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 / left_at_first

    left_at_first = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    times = [int(-1 + i * 1001 / 11) for i in range(11)][::-1]
    found = noises[0]
    for step, (time, following) in enumerate(itertools.pairwise(times)):
        whole = compodiff_clean(state, found, image, texts, time, depth)
        imaged = compodiff_clean(state, found, image, empty, time, depth)
        bare = compodiff_clean(state, found, np.zeros_like(image), empty, time, depth)
        clean = bare + 7.5 * (whole - imaged) + 1.5 * (imaged - bare)
        if following < 0:
            return clean
        here = left(time + 1)  # after so many steps of noise
        noise = (found / math.sqrt(here) - clean) / math.sqrt(1 / here - 1)
        now, then = left(time), left(following)
        fresh = math.sqrt((1 - now / then) * (1 - then) / (1 - now))
        found = math.sqrt(then) * clean + fresh * noises[step + 1] + math.sqrt(1 - then - fresh**2) * noise
    raise AssertionError("the last step ends it")
