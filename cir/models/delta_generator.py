"""VDG's delta generator in small: two pictures in, the text that leads from the first to the second out.

The embedded captioner (`trunk_blip2`) sees both pictures, frozen; its projection and its language model are copied, tuned on
known edits (`cir.training.delta`), and read the queries of both pictures before the text. Does not know triplets, nor the world.

Source: Jang et al., "Visual Delta Generator with Large Multi-modal Models for Semi-supervised Composed Image Retrieval",
CVPR 2024: visual tokens of reference and target before a language model that writes the difference; an alignment of the
projection, then instruction tuning. Theirs is a LLaMA of billions of weights and the tuning a few low-rank ones; ours has three
layers, so all of it is tuned. Nothing of their prompts or numbers was looked up: there is one task here, and no prompt.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from cir.errors import BadQuery, CirError, MissingModel, UnsafeFile
from cir.models.network_files import read_tensors, write_tensors
from cir.models.protocols import SpotInput
from cir.models.runtime import fingerprint_of
from cir.models.trunk_blip2 import TrunkBlip2
from cir.models.words import (
    END_ID,
    IGNORED,
    PAD_ID,
    START_ID,
    build_word_tokenizer,
    join_words,
    split_words,
)
from cir.replies import parse_query_text

LAYOUT = "recompose-delta-1"
MAX_WORDS = 40
MAKE = "Make one: python -m cir train delta"


def seen_by(captioner: TrunkBlip2, pixels: Tensor) -> Tensor:
    """What the captioner's queries see, before its projection.

    Args:
        captioner: in evaluation mode.
        pixels: (N, 3, H, W) prepared pictures, or (N, C, h, w) maps of the trunk.

    Returns:
        (N, Q, W) queries.
    """
    see: Any = captioner.vision_model
    cells = see(pixels).last_hidden_state
    queries = captioner.query_tokens.expand(len(cells), -1, -1)
    return captioner.qformer(query_embeds=queries, encoder_hidden_states=cells).last_hidden_state


class Comparison(nn.Module):
    """What each query sees that no query of the other picture does.

    A query is held against the other picture's by the cosine of both behind one matrix; what is left of it without the ones
    that are like it is put beside it. A large language model learns this by itself; three layers did not within minutes.

    Args:
        seen: width of queries.
        told: width of what is put beside them.
    """

    def __init__(self, seen: int, told: int) -> None:
        super().__init__()
        self.key, self.left = nn.Linear(seen, seen, bias=False), nn.Linear(seen, told, bias=False)
        nn.init.eye_(self.key.weight)
        nn.init.zeros_(self.left.weight)  # at first a picture is read as the captioner reads it
        self.sharpness = nn.Parameter(torch.tensor(10.0))

    def forward(self, seen: Tensor, other: Tensor) -> Tensor:
        """(N, Q, W) queries of a picture and of the other -> (N, Q, told)."""
        own, theirs = (nn.functional.normalize(self.key(one), dim=-1) for one in (seen, other))
        like = torch.softmax(self.sharpness * own @ theirs.transpose(1, 2), dim=-1)
        return self.left(seen - like @ other)


class DeltaGenerator(nn.Module):
    """Writes the text between two pictures from what a captioner's queries see of them.

    Both pictures stand in the places that the captioner has for one, told apart by a mark, and see each other; each word
    sees both and the words before it. So a text begins where a caption does.

    Args:
        captioner: whose projection and language model are copied.
        words: those of the texts that its vocabulary lacks.
    """

    def __init__(self, captioner: TrunkBlip2, words: Sequence[str]) -> None:
        super().__init__()
        config: Any = captioner.config
        self.queries: int = config.num_query_tokens
        self.words = list(words)
        self.projection = copy.deepcopy(captioner.language_projection)
        self.decoder: Any = copy.deepcopy(captioner.language_model).requires_grad_(True)
        if words:  # as the known words are spread, not as their mean: all new ones would be one
            known = self.decoder.get_input_embeddings().weight.detach()
            self.decoder.resize_token_embeddings(len(known) + len(words), mean_resizing=False)
            nn.init.normal_(self.decoder.get_input_embeddings().weight[len(known) :], std=float(known.std()))
        self.comparison = Comparison(config.qformer_config.hidden_size, config.text_config.hidden_size)
        self.marks = nn.Parameter(0.02 * torch.randn(2, 1, config.text_config.hidden_size))

    def forward(self, references: Tensor, targets: Tensor, ids: Tensor) -> Tensor:
        """Logits of what follows each word.

        Args:
            references, targets: (N, Q, W) each, from `seen_by`.
            ids: (N, L) words, <s> first.

        Returns:
            (N, L, vocabulary).
        """
        pictures = [
            self.projection(seen) + self.comparison(seen, other) + mark
            for seen, other, mark in zip(
                (references, targets), (targets, references), self.marks, strict=True
            )
        ]
        embeds = torch.cat([*pictures, self.decoder.get_input_embeddings()(ids)], dim=1)
        before, length = 2 * self.queries, embeds.shape[1]
        sees = torch.ones(length, length, dtype=torch.bool, device=embeds.device).tril()
        sees[:before, :before] = True
        places = torch.arange(self.queries + ids.shape[1], device=embeds.device)
        hidden = self.decoder.model.decoder(
            inputs_embeds=embeds,
            attention_mask=sees[None, None].expand(len(embeds), 1, -1, -1),
            position_ids=torch.cat([places[: self.queries], places])[None].expand(len(embeds), -1),
            use_cache=False,
        ).last_hidden_state
        return self.decoder.lm_head(hidden[:, before:])

    @torch.no_grad()
    def write(self, references: Tensor, targets: Tensor) -> Tensor:
        """(N, up to `MAX_WORDS`) ids, the likeliest word at each step; </s> and <pad> behind the text."""
        ids = torch.full((len(references), 1), START_ID, device=references.device)
        ended = torch.zeros(len(references), dtype=torch.bool, device=references.device)
        while ids.shape[1] <= MAX_WORDS and not ended.all():
            word = self(references, targets, ids)[:, -1].argmax(dim=-1).masked_fill(ended, PAD_ID)
            ended |= word == END_ID
            ids = torch.cat([ids, word[:, None]], dim=1)
        return ids[:, 1:]


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """What a generator is taught with: (N, L) words from <s> on, and what follows each, </s> last, `IGNORED` behind it.

    Raises:
        KeyError: a word that is not in the vocabulary.
    """
    vocabulary = tokenizer.get_vocab()
    rows = [[vocabulary[word] for word in split_words(text)] for text in texts]
    ids = torch.full((len(rows), 1 + max(map(len, rows))), PAD_ID)
    following = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        ids[i, : 1 + len(row)] = torch.tensor([START_ID, *row])
        following[i, : 1 + len(row)] = torch.tensor([*row, END_ID])
    return ids, following


def extended_tokenizer(captioner_tokenizer: Any, words: Sequence[str]) -> Any:
    """The captioner's vocabulary with more words behind it."""
    known = sorted(captioner_tokenizer.get_vocab().items(), key=lambda item: item[1])
    return build_word_tokenizer([*(word for word, _ in known), *words])


class DeltaSpoter:
    """A generator behind the protocol Spoter: it looks at both pictures. Greedy: the same pictures give the same text.

    Args:
        generator: tuned for `captioner`.
        captioner: a `Blip2Captioner` of ours; its eyes are used, and its tables of plurals and places.
        is_drawing: whether a picture is one that the captioner can read; None: all are.
        name: for people.
    """

    def __init__(
        self,
        generator: DeltaGenerator,
        captioner: Any,
        *,
        is_drawing: Callable[[Image.Image], bool] | None = None,
        name: str = "delta",
    ) -> None:
        self.generator, self.captioner, self.name = generator.eval(), captioner, name
        self._is_drawing = is_drawing
        self.tokenizer = extended_tokenizer(captioner.processor.tokenizer, generator.words)
        own = fingerprint_of(name, generator.state_dict(), {"words": generator.words, "most": MAX_WORDS})
        self.fingerprint = f"{own}: {captioner.fingerprint}"
        self._lock = threading.Lock()

    def spot(self, reference: SpotInput, target: SpotInput) -> str:
        """The text that leads from one to the other; "" where none can be used, or a picture is a photograph.

        Raises:
            BadImage: one of the pictures cannot be read.
        """
        pictures = [one.image().convert("RGB") for one in (reference, target)]
        if self._is_drawing is not None and not all(map(self._is_drawing, pictures)):
            return ""
        pixels = self.captioner.processor.image_processor(images=pictures, return_tensors="pt")[
            "pixel_values"
        ]
        (text,) = self.write(pixels[:1], pixels[1:])
        return parse_query_text(text, (reference.caption, target.caption)) or ""

    def write(self, references: Tensor, targets: Tensor) -> list[str]:
        """Texts between prepared pictures (N, 3, H, W), or their maps (N, C, h, w), as the model writes them.

        A place that a text names is the target's, as the captioner's own reader of places sees it.
        """
        model, device = self.captioner.model, self.captioner.device
        with self._lock, torch.inference_mode():
            maps = [
                pixels
                if pixels.shape[1] == model.vision_model.map_channels
                else model.vision_model.trunk_maps(pixels)
                for pixels in (references.to(device), targets.to(device))
            ]
            ids = self.generator.write(*(seen_by(model, one) for one in maps))
            read = self.captioner.places
            places = [] if read is None else model.vision_model.places(maps[1]).argmax(dim=1).tolist()
        written = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        texts = [join_words(self.captioner.plurals.write(text)) for text in written]
        return texts if read is None else [read.correct(*pair) for pair in zip(texts, places, strict=True)]


def save_delta(generator: DeltaGenerator, path: Path, metadata: Mapping[str, object]) -> None:
    """Write a generator as safetensors in half precision, whole or not at all.

    Args:
        generator: what to write; left as it is.
        path: where.
        metadata: JSON; "trained_for" is the captioner's fingerprint.

    Raises:
        CirError: a weight that is not finite in half precision.
    """
    state = {key: tensor.half() for key, tensor in generator.state_dict().items()}
    state.pop("decoder.lm_head.weight", None)  # it is that of the words
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise CirError("These weights are not finite in half precision.", "Train with a lower rate.")
    record = {**metadata, "layout": LAYOUT, "words": generator.words}
    write_tensors(path, state, "delta", record)


def load_delta(
    path: Path, captioner: Any, *, is_drawing: Callable[[Image.Image], bool] | None = None
) -> DeltaSpoter:
    """The spoter of a file that `save_delta` wrote.

    Args:
        path: of the file.
        captioner: that it was tuned for.
        is_drawing: see `DeltaSpoter`.

    Raises:
        MissingModel: there is no such file.
        UnsafeFile: the file is no generator.
        BadQuery: it was tuned for another captioner.
    """
    if not path.is_file():
        raise MissingModel(f"There is no delta generator at {path}.", MAKE)
    state, record = _read(path)
    fingerprint = getattr(captioner, "fingerprint", "none")
    if record.get("trained_for") != fingerprint:
        raise BadQuery(
            f"The delta generator was made for the captioner {record.get('trained_for')}; this one is {fingerprint}.",
            f"Take the set of models that it was made for: --models embedded. {MAKE}",
        )
    generator = DeltaGenerator(captioner.model, [str(word) for word in record.get("words", [])])
    try:
        absent, unknown = generator.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise UnsafeFile(f"{path} is no delta generator for this captioner: {error}", MAKE) from error
    if unknown or set(absent) - {"decoder.lm_head.weight"}:
        raise UnsafeFile(f"{path} lacks some of its weights, or has others.", MAKE)
    return DeltaSpoter(generator.float().to(captioner.device), captioner, is_drawing=is_drawing)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state, record = read_tensors(path, "delta", MAKE)
    if record.get("layout") != LAYOUT:
        raise UnsafeFile(f"{path} is no delta generator.", MAKE)
    return state, record
