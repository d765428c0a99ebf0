"""A built open_clip model, or BLIP's contrastive half, as image, text and pseudo-word encoder, and how one is loaded.

Does not know how prompts are worded, what a pseudo-word stands for, or which models there are to choose from.
`splice` and `encode_with_embeddings` are the torch-level path that training shares.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.model_files import fetch_again
from cir.models.patches import patch_rows, token_rows
from cir.models.photographs.lexicon import shares_known
from cir.models.runtime import fingerprint_of, moved, pick_device, run_in_batches
from cir.models.text_tower import PSEUDO_WORD, encode_with_embeddings, splice, text_tower, token_ids
from cir.text import counted
from cir.types import Features

__all__ = ["PSEUDO_WORD", "ClipModel", "encode_with_embeddings", "load_clip", "splice", "token_ids"]

REMEMBERED = 4096  # words, of which it is known whether they were taught


class ClipModel:
    """A CLIP or a BLIP behind the protocols ImageEncoder, TextEncoder and PseudoWordEncoder.

    Args:
        model: a built open_clip CLIP or CustomTextCLIP, or `BlipTowers`; put into evaluation mode.
        tokenizer: open_clip's tokenizer for it, or `WordPieces`.
        preprocess: PIL image -> (3, H, W) tensor.
        name: for people.
        fingerprint: see `fingerprint_of`.
        device: where the model is moved.
        half_precision: images in bfloat16, for large towers on a GPU. Off: a gallery and its queries have to
            agree wherever they were made, and a small convolutional tower loses too much (measured with
            tf_efficientnet_lite0 at 128 px on a CPU: cosine to float32 down to .987, and slower).
        metadata: what its maker wrote down.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        preprocess: Callable[[Image.Image], Tensor],
        name: str,
        fingerprint: str,
        device: str | torch.device = "cpu",
        *,
        half_precision: bool = False,
        image_batch: int = 32,
        text_batch: int = 128,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        tower = text_tower(model)
        self.device = torch.device(device)
        self.model: Any = moved(model, self.device).eval()
        model.visual.to(
            memory_format=torch.channels_last
        )  # a fifth faster for convolutions, nothing for a ViT
        self.tokenizer = tokenizer
        self.preprocess = preprocess
        self.name = name
        self.fingerprint = fingerprint + ("+bf16" if half_precision else "")
        self.metadata = dict(metadata or {})
        self.text_length_limit: int = tower.positional_embedding.shape[0]
        self.word_width: int = tower.token_embedding.embedding_dim
        projection = tower.text_projection
        self.dim: int = (
            self.word_width
            if projection is None
            else projection.out_features
            if isinstance(projection, nn.Linear)
            else projection.shape[1]
        )
        self._half_precision = half_precision
        self._image_batch = image_batch
        self._text_batch = text_batch
        self._lock = threading.Lock()
        self._knows = lru_cache(REMEMBERED)(self.knows_word)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) projected image features, raw: a mapping network wants their length too.

        Raises:
            CirError: a feature that is not finite, or a GPU that does not hold one image.
        """

        def run(batch: Sequence[Image.Image]) -> NDArray[np.float32]:
            pixels = torch.stack([self.preprocess(image) for image in batch])
            pixels = pixels.to(self.device, memory_format=torch.channels_last)
            return self._forward(lambda: self.model.encode_image(pixels))

        return self._rows(run_in_batches(run, images, self._image_batch))

    def encode_patches(self, images: Sequence[Image.Image], *, raw: bool = False) -> NDArray[np.float32]:
        """(N, P, C) what the image tower has of patches; as the protocol PatchEncoder says."""
        pixels = torch.stack([self.preprocess(image) for image in images])
        pixels = pixels.to(self.device, memory_format=torch.channels_last)
        rows = token_rows if raw else patch_rows
        return self._forward(lambda: rows(self.model.visual, pixels))

    def encode_texts(self, texts: Sequence[str]) -> Features:
        """(N, D) unit rows. Too long a text is cut, its end mark kept; equal texts are encoded once."""
        return self._unit(self.encode_raw_texts(texts))

    def encode_raw_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) rows of `encode_texts` at the length that the tower gives them."""
        unique = list(dict.fromkeys(texts))
        limit = self.text_length_limit - 2
        rows = [self._marked(token_ids(self.tokenizer, text)[:limit]) for text in unique]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # like lengths together: less padding

        def run(batch: Sequence[int]) -> Features:
            return self._raw_text_features([rows[i] for i in batch], None)

        features = self._rows(run_in_batches(run, order, self._text_batch))
        place = {unique[i]: position for position, i in enumerate(order)}
        return features[[place[text] for text in texts]]

    def encode_spliced(
        self, prefix: str, pseudo_words: NDArray[np.float32], suffix: str, tail: str = ""
    ) -> Features:
        """(N, D) unit rows of "prefix <pseudo-words> suffix tail"; the suffix gives way when it is too long.

        Args:
            prefix: text before the pseudo-words.
            pseudo_words: (N, T, W).
            suffix: text after them.
            tail: text that survives the cut.

        Raises:
            CirError: pseudo-words of another width, or more of them than the tower reads.
        """
        words = torch.as_tensor(np.asarray(pseudo_words, dtype=np.float32), device=self.device)
        if words.ndim != 3 or words.shape[2] != self.word_width:
            raise CirError(
                f"Pseudo-words of shape {tuple(words.shape)} do not fit {self.name}, which reads (N, T, "
                f"{self.word_width}).",
                "Use a mapping network that was trained for this CLIP model.",
            )
        row = self.spliced_tokens(prefix, suffix, tail, words=words.shape[1])

        def run(batch: Sequence[int]) -> Features:
            return self._text_features([row] * len(batch), words[batch[0] : batch[0] + len(batch)])

        return self._rows(run_in_batches(run, range(len(words)), self._text_batch))

    def spliced_tokens(self, prefix: str, suffix: str, tail: str = "", *, words: int = 1) -> list[int]:
        """A row for `splice`: start, prefix, PSEUDO_WORD, suffix, tail, end, cut to the context length.

        The three texts are tokenised apart. The suffix is cut first, from its end; then the tail, then the
        prefix.

        Args:
            prefix: text before the pseudo-words.
            suffix: text after them.
            tail: text after the suffix.
            words: how many tokens PSEUDO_WORD will take.
        """
        room = self.text_length_limit - 2 - words
        if room < 0:
            raise CirError(
                f"{counted(words, 'pseudo-word')} cannot fit the {counted(self.text_length_limit, 'token')} of {self.name}.",
                "Use a mapping network with fewer of them.",
            )
        before = token_ids(self.tokenizer, prefix)[:room]
        last = token_ids(self.tokenizer, tail)[: room - len(before)]
        after = token_ids(self.tokenizer, suffix)[: room - len(before) - len(last)]
        return self._marked([*before, PSEUDO_WORD, *after, *last])

    def read_as(self, pseudo_words: NDArray[np.float32]) -> str:
        """As the protocol WordProbe says: it reads all pictures alike."""
        return ""

    def nearest_words(self, pseudo_words: NDArray[np.float32], count: int = 5) -> list[str]:
        """The vocabulary's words nearest to (T, W) pseudo-words by cosine in the token table, best first.

        Only whole words of at least three letters are considered; pieces of words say nothing to a person.
        """
        words = torch.as_tensor(np.asarray(pseudo_words, dtype=np.float32), device=self.device)
        ids, names, lengths = self._vocabulary
        with self._lock, torch.inference_mode():
            table = text_tower(self.model).token_embedding.weight
            cosines = (table.float() @ nn.functional.normalize(words, dim=-1).T).amax(dim=1)[ids] / lengths
            best = cosines.topk(min(count, len(names))).indices.tolist()
        return [names[i] for i in best]

    @cached_property
    def _vocabulary(self) -> tuple[Tensor, list[str], Tensor]:
        """Ids, spellings and embedding lengths of the whole words of the token table."""
        spelled = {
            token: spelling.removesuffix("</w>")
            for token, spelling in self.tokenizer.decoder.items()
            if spelling.endswith("</w>")
        }
        whole = {
            i: word for i, word in spelled.items() if len(word) > 2 and word.isalpha() and word.isascii()
        }
        ids = torch.tensor(list(whole), device=self.device)
        with torch.inference_mode():
            lengths = text_tower(self.model).token_embedding.weight[ids].float().norm(dim=1).clamp(min=1e-6)
        return ids, list(whole.values()), lengths

    def knows_word(self, word: str) -> bool:
        """Whether the tower was taught a word: it can be spelled, and all its tokens have an embedding."""
        ids = token_ids(self.tokenizer, word)
        if getattr(self.tokenizer, "unknown_id", None) in ids:
            return False
        with self._lock, torch.inference_mode():
            table = text_tower(self.model).token_embedding.weight
            rows = table[torch.tensor(ids, device=table.device)]
            return bool((rows.abs().amax(dim=1) > 0).all())

    def known(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N,) the share of each text's words that the tower was taught; 1 for a text that says nothing."""
        return np.array(shares_known(texts, self._knows), np.float32)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text, start and end marks counted, before any cut."""
        return len(token_ids(self.tokenizer, text)) + 2

    def _marked(self, ids: Sequence[int]) -> list[int]:
        return [self.tokenizer.sot_token_id, *ids, self.tokenizer.eot_token_id]

    def _text_features(self, rows: Sequence[Sequence[int]], words: Tensor | None) -> Features:
        return self._unit(self._raw_text_features(rows, words))

    def _raw_text_features(self, rows: Sequence[Sequence[int]], words: Tensor | None) -> NDArray[np.float32]:
        def compute() -> Tensor:
            return encode_with_embeddings(self.model, *splice(self.model, rows, words))

        return self._forward(compute, allow_half=False)

    def _unit(self, features: NDArray[np.float32]) -> Features:
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        if not lengths.all():
            raise CirError(
                f"{self.name} gave a text feature of length zero.",
                "Its weights are damaged: fetch them again.",
            )
        return features / lengths

    def _forward(self, compute: Callable[[], Tensor], *, allow_half: bool = True) -> NDArray[np.float32]:
        half = self._half_precision and allow_half
        with self._lock, torch.inference_mode():
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
                features = compute()
            if half and not torch.isfinite(features).all():
                features = compute()
            result = features.float().cpu().numpy()
        if not np.isfinite(result).all():
            raise CirError(
                f"{self.name} gave values that are not finite.",
                "Try another picture; if that fails too, the weights are damaged: fetch them again.",
            )
        return result

    def _rows(self, batches: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)


def load_clip(
    name_or_folder: str | Path,
    pretrained: str | None = None,
    device: str | torch.device | None = None,
    *,
    name: str | None = None,
    half_precision: bool = False,
) -> ClipModel:
    """Load an open_clip model, or one of transformers as such, in evaluation mode, float32.

    Args:
        name_or_folder: a folder with open_clip_config.json and weights (open_clip's "local-dir:"), the folder of a
            CLIP or a BLIP as transformers saves it (`hf_clip`, `blip_towers`), or one of open_clip's own names, such as "ViT-B-32".
        pretrained: for a name: open_clip's tag ("openai") or a weights file. Ignored for a folder.
        device: None takes a GPU where there is one.
        name: what people see; the folder's name or "NAME/TAG" by default.
        half_precision: see `ClipModel`.

    Raises:
        MissingModel: no such folder or name, no weights in it, or nothing to fetch them with.
        UnsafeFile: weights that do not fit their configuration, or that are no weights at all.
    """
    import open_clip
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    from cir.models.blip_towers import build_blip, is_blip
    from cir.models.hf_clip import build_hugging_face_clip, is_hugging_face_clip

    where = pick_device(device)
    folder = Path(name_or_folder)
    options: dict[str, Any] = {}
    build = (
        build_blip if is_blip(folder) else build_hugging_face_clip if is_hugging_face_clip(folder) else None
    )
    if build is not None:
        source, pretrained = str(folder), None
    elif folder.is_dir():
        _check_folder(folder)
        source, pretrained = f"local-dir:{folder}", None
    else:
        source = str(name_or_folder)
        options = {"pretrained": pretrained, "force_quick_gelu": _wants_quick_gelu(source, pretrained)}
    try:
        if build is not None:
            model, tokenizer, preprocess = build(folder)
        else:
            built: Any = open_clip.create_model_and_transforms(source, device=where, **options)
            model, _, preprocess = built
            tokenizer = open_clip.get_tokenizer(source)
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        SafetensorError,
        StrictDataclassError,
        pickle.UnpicklingError,
    ) as error:
        problem = MissingModel if pretrained and not Path(pretrained).is_file() else UnsafeFile
        raise problem(
            f"The CLIP model {name_or_folder} could not be loaded: {_first_line(error)}",
            fetch_again(name_or_folder),
        ) from error
    label = name or (folder.name if folder.is_dir() else f"{source}/{Path(str(pretrained)).stem}")
    description = getattr(model.visual, "preprocess_cfg", None)
    fingerprint = fingerprint_of(label, model.state_dict(), description)
    return ClipModel(model, tokenizer, preprocess, label, fingerprint, where, half_precision=half_precision)


def _check_folder(folder: Path) -> None:
    """open_clip answers a folder without weights with random ones and a log line: refuse it here."""
    from cir.models.hf_clip import kind_of

    if not (folder / "open_clip_config.json").is_file():
        if kind := kind_of(folder):
            raise UnsafeFile(
                f"{folder} holds a model of another kind ({kind}) than CLIP or BLIP.", fetch_again(folder)
            )
        raise MissingModel(
            f"{folder} holds no open_clip_config.json.",
            "Give the folder of an open_clip model, or a model's name.",
        )
    if not any(path.suffix in (".safetensors", ".bin", ".pth") for path in folder.iterdir()):
        raise MissingModel(f"{folder} holds no weights.", fetch_again(folder))


def _wants_quick_gelu(name: str, pretrained: str | None) -> bool:
    """Whether published weights were trained with QuickGELU. open_clip 3 only warns where they differ.

    Raises:
        MissingModel: an unknown name, or no weights named.
    """
    from open_clip import get_model_config
    from open_clip.pretrained import get_pretrained_cfg

    config = get_model_config(name)
    if config is None:
        raise MissingModel(
            f"There is no folder and no CLIP model called {name}.",
            "Give a folder, or one of the names that open_clip.list_models() prints.",
        )
    if pretrained is None:
        raise MissingModel(f"Which weights of {name}?", 'Name a tag, such as "openai", or a weights file.')
    published = get_pretrained_cfg(name, pretrained) or {}
    return bool(published.get("quick_gelu", config.get("quick_gelu", False)))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
