"""KEDs with the weights that its authors have published: both streams at their full size, and their base of half a million pairs.

Differs from ours (`cir.models.keds`) in what looks a picture's like up: three layers, each of which puts its answer in the place
of the question, 8 heads of 64, 16 neighbours, and no norm behind; and it takes image features as the tower gives them. Sizes
are read off the files.

Source: Suo et al., "Knowledge-Enhanced Dual-stream Zero-shot Composed Image Retrieval", CVPR 2024; names and shapes of the
tensors by the authors' repository (suoych/KEDs). Neighbours are the nearest by Euclidean distance, as theirs are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cir.errors import MissingModel, UnsafeFile
from cir.models.checkpoints import State, count_of, read_checkpoint, renamed, state_in
from cir.models.mapping_files import FETCH

IMAGE_STREAM, TEXT_STREAM = "image_stream.pt", "text_stream.pt"
PICTURES, CAPTIONS = "cc_image_databases.pt", "cc_text_databases.pt"
KEDS_FILES = (IMAGE_STREAM, TEXT_STREAM, PICTURES, CAPTIONS)
NEIGHBOURS, STREAM_WORDS, HEAD_WIDTH, AT_ONCE = 16, 3, 64, 65_536
KEDS_ALONE = "state_dict_retrieval_fuse"  # what no other published mapping network has

# The names of a file's three parts, and in them published name -> ours.
_LOOKUP = {
    "cross_layers.#.to_q.": "#.query.",
    "cross_layers.#.to_k.": "#.key.",
    "cross_layers.#.to_v.": "#.value.",
    "cross_layers.#.to_out.0.": "#.out.",
}
KEYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "state_dict_img2text": ("phi.", {"layers.#.0.": "#.", "fc_out.": "out."}),
    KEDS_ALONE: ("pictures.", _LOOKUP),
    "state_dict_text_condition": ("captions.", _LOOKUP),
}


class Lookup(nn.Module):
    """One look of words at what is known.

    Args:
        width: of words.
        inner: of all heads together.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)
        self.heads = inner // HEAD_WIDTH

    def forward(self, words: Tensor, known: Tensor) -> Tensor:
        """(N, Q, W) words and (N, K, W) -> (N, Q, W) what they find."""
        asked, by, told = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(words), self.key(known), self.value(known))
        )
        found = F.scaled_dot_product_attention(asked, by, told)
        return self.out(found.transpose(1, 2).flatten(2))


class WordMaker(nn.Module):
    """Linear layers with ReLU between: a feature -> a word.

    Args:
        input_dim: D, the width of features.
        hidden: width between.
        word_width: W.
        layers: before the last.
    """

    def __init__(self, input_dim: int, hidden: int, word_width: int, layers: int) -> None:
        super().__init__()
        self.input_dim = input_dim
        for i in range(layers):
            self.add_module(str(i), nn.Linear(input_dim if i == 0 else hidden, hidden))
        self.out = nn.Linear(hidden, word_width)

    def forward(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., W)."""
        *layers, out = self.children()
        for layer in layers:
            features = F.relu(layer(features))
        return out(features)


class PublishedStream(nn.Module):
    """One stream.

    Args:
        input_dim, hidden, word_width, layers: of `WordMaker`.
        inner: of `Lookup`.
        looks: how many of them, one after the other.
    """

    def __init__(
        self, input_dim: int, hidden: int, word_width: int, layers: int, inner: int, looks: int
    ) -> None:
        super().__init__()
        self.phi = WordMaker(input_dim, hidden, word_width, layers)
        self.pictures = nn.ModuleList(Lookup(word_width, inner) for _ in range(looks))
        self.captions = nn.ModuleList(Lookup(word_width, inner) for _ in range(looks))

    def forward(self, features: Tensor, pictures: Tensor, captions: Tensor) -> Tensor:
        """(N, D) raw features, (N, K, D) of the nearest pictures and of the nearest captions -> (N, 3, W)."""
        own = self.phi(features)[:, None]
        seen, told = own, own
        near, said = self.phi(pictures), self.phi(captions)
        for look in self.pictures:
            seen = look(seen, near)
        for look in self.captions:
            told = look(told, said)
        return torch.cat([seen, told, own], dim=1)


class PublishedKeds(nn.Module):
    """Both streams and the base, where a mapping network stands; the image stream's words come first.

    Args:
        image_stream, text_stream: of one size.
        pictures, captions: (B, D) features of the base's pairs, as they were published.
    """

    known_pictures: Tensor
    known_captions: Tensor

    def __init__(
        self, image_stream: PublishedStream, text_stream: PublishedStream, pictures: Tensor, captions: Tensor
    ) -> None:
        super().__init__()
        self.image_stream, self.text_stream = image_stream, text_stream
        self.register_buffer("known_pictures", pictures)
        self.register_buffer("known_captions", captions)
        self.input_dim, self.words = pictures.shape[1], 2 * STREAM_WORDS
        self.word_width = image_stream.phi.out.out_features

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) raw features of pictures -> (N, 6, W): three words of each stream."""
        rows = F.normalize(features, dim=1)
        near = [nearest(rows, known, NEIGHBOURS) for known in (self.known_pictures, self.known_captions)]
        return torch.cat([self.image_stream(features, *near), self.text_stream(features, *near)], dim=1)

    def shape(self) -> dict[str, object]:
        """What it is, as JSON."""
        return {"published": "KEDs", "neighbours": NEIGHBOURS, "pairs": len(self.known_pictures)}


def nearest(rows: Tensor, known: Tensor, count: int) -> Tensor:
    """(N, D) rows and (B, D) known -> (N, K, D) the nearest of these by Euclidean distance, K at most `count`."""
    closeness, places = rows.new_zeros(len(rows), 0), torch.zeros(len(rows), 0, dtype=torch.long)
    for start in range(0, len(known), AT_ONCE):
        piece = known[start : start + AT_ONCE].float()
        found = (
            rows @ piece.T - piece.square().sum(dim=1) / 2
        )  # what is left of the distance without the row's own length
        closeness = torch.cat([closeness, found], dim=1)
        here = torch.arange(start, start + len(piece)).expand(len(rows), -1)
        places = torch.cat([places, here], dim=1)
        closeness, best = closeness.topk(min(count, closeness.shape[1]), dim=1)
        places = places.gather(1, best)
    return known[places].float()


def read_published_keds(folder: Path) -> PublishedKeds:
    """The published files in a folder.

    Raises:
        MissingModel: one of them is not there.
        UnsafeFile: one holds something else, or more than tensors.
    """
    for name in KEDS_FILES:
        if not (folder / name).is_file():
            raise MissingModel(f"{folder} holds no {name}.", FETCH)
    streams = [_read_stream(folder / name) for name in (IMAGE_STREAM, TEXT_STREAM)]
    bases = [_read_base(folder / name, streams[0]) for name in (PICTURES, CAPTIONS)]
    if bases[0].shape != bases[1].shape or _sizes(streams[0]) != _sizes(streams[1]):
        raise UnsafeFile(f"The files in {folder} do not belong together: they differ in size.", FETCH)
    return PublishedKeds(streams[0], streams[1], bases[0], bases[1])


def _read_stream(path: Path) -> PublishedStream:
    checkpoint = read_checkpoint(path)
    state: State = {}
    try:
        for key, (begin, names) in KEYS.items():
            found = renamed(state_in(checkpoint, key, path), names)
            state |= {begin + name: tensor for name, tensor in found.items()}
        hidden, input_dim = state["phi.0.weight"].shape
        stream = PublishedStream(
            input_dim,
            hidden,
            len(state["phi.out.weight"]),
            count_of(state, "phi.#."),
            len(state["pictures.0.query.weight"]),
            count_of(state, "pictures.#."),
        )
        stream.load_state_dict(state, strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is no stream of KEDs: {error}", FETCH) from error
    return stream


def _read_base(path: Path, stream: PublishedStream) -> Tensor:
    base = read_checkpoint(path)
    width = stream.phi.input_dim
    if not isinstance(base, Tensor) or base.ndim != 2 or base.shape[1] != width or not len(base):
        raise UnsafeFile(f"{path} is no base of features that are {width} wide.", FETCH)
    return base.detach()


def _sizes(stream: PublishedStream) -> list[torch.Size]:
    return [parameter.shape for parameter in stream.parameters()]
