"""BLIP-2 as captioner: a built model, how captions are sampled, how one is loaded and ours is saved.

Does not know where captions are kept, nor which model sets there are.

Source: CVSI, section III-C, Eq. 3 and 4 (N captions by nucleus sampling, after LDRE); top-p 0.9 is the
default of LAVIS, which they use. Their code asks for nucleus sampling and 15 beams at once, which makes the
captions alike; we sample without beams, as written.
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import Blip2Config, Blip2ForConditionalGeneration

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.nucleus import TOP_P, NucleusChoice
from cir.models.runtime import fingerprint_of, pick_device, run_in_batches, without_progress_bar
from cir.models.trunk_blip2 import TrunkBlip2, TrunkVisionModel, build_tiny_blip2
from cir.models.words import (
    PLURAL_MARK,
    PlaceTable,
    PluralTable,
    build_word_tokenizer,
    encode_captions,
    join_words,
)
from cir.text import counted

__all__ = [
    "PLURAL_MARK",
    "Blip2Captioner",
    "NucleusChoice",
    "PluralTable",
    "TrunkBlip2",
    "TrunkVisionModel",
    "build_tiny_blip2",
    "build_word_tokenizer",
    "encode_captions",
    "load_captioner",
    "save_captioner",
]

MAX_NEW_TOKENS = 40
RETRIES = 2  # for captions that come out empty
# Raise it when the same picture, seed and weights would get other captions: what samples them here and in `nucleus`,
# what writes them in `words`. The first one adds nothing to a fingerprint, so that captions from before it are kept.
CAPTIONS_VERSION = 1


class Blip2Captioner:
    """A BLIP-2 behind the protocol Captioner.

    Args:
        model: a built Blip2ForConditionalGeneration (ours or the hub's); put into evaluation mode.
        processor: its Blip2Processor: image transform and tokenizer.
        name: for people.
        fingerprint: see `fingerprint_of`.
        device: where the model is moved.
        plurals: singular -> plural, where the vocabulary has a plural mark.
        places: the phrases of each place that the model's `PlaceReader` knows; a caption names the place that it sees.
        image_batch: images at a time.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        name: str,
        fingerprint: str,
        device: str | torch.device = "cpu",
        *,
        plurals: Mapping[str, str] | None = None,
        places: Mapping[str, Sequence[str]] | None = None,
        image_batch: int = 8,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.processor = processor
        self.name = name
        self.fingerprint = fingerprint
        self.plurals = PluralTable(plurals)
        self.places = PlaceTable(places) if places else None
        self._image_batch = image_batch
        self._lock = threading.Lock()

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """`per_image` captions for each image by nucleus sampling, repeats kept.

        The same image, seed and model give the same captions, whatever else is captioned with it.

        Args:
            images: RGB pictures; a blank one is captioned like any other.
            per_image: N.
            seed: what makes other captions.

        Returns:
            One list for each image. A caption that is empty is sampled again; one that stays so is left out.

        Raises:
            CirError: N below 1, values that are not finite, or a GPU that does not hold one image.
        """
        if per_image < 1:
            raise CirError(
                f"{counted(per_image, 'caption')} for each image cannot be had.", "Ask for at least one."
            )

        def run(batch: Sequence[Image.Image]) -> list[list[str]]:
            pixels = self.processor.image_processor(
                images=[image.convert("RGB") for image in batch], return_tensors="pt"
            )["pixel_values"]
            return self._caption_pixels(pixels, per_image, seed)

        return [captions for batch in run_in_batches(run, images, self._image_batch) for captions in batch]

    def _caption_pixels(self, pixels: Tensor, per_image: int, seed: int) -> list[list[str]]:
        captions: list[list[str]] = [[] for _ in pixels]
        for attempt in range(1 + RETRIES):
            short = [i for i, found in enumerate(captions) if len(found) < per_image]
            if not short:
                break
            for i, found in zip(short, self._sample(pixels[short], per_image, seed, attempt), strict=True):
                captions[i] = [*captions[i], *filter(None, found)][:per_image]
        return captions

    def _sample(self, pixels: Tensor, per_image: int, seed: int, attempt: int) -> list[list[str]]:
        numbers = np.concatenate([_numbers_for(image, per_image, seed, attempt) for image in pixels])
        dtype = next(self.model.vision_model.parameters()).dtype
        devices = [self.device] if self.device.type == "cuda" else []
        # generate() draws from torch's generator even where one token is left: give it back as it was.
        with self._lock, torch.inference_mode(), torch.random.fork_rng(devices):
            seen, places = pixels.to(self.device, dtype), []
            if self.places is not None:  # the trunk is asked once: from here on its maps stand for the pixels
                seen = self.model.vision_model.trunk_maps(seen)
                places = self.model.vision_model.places(seen).argmax(dim=1).tolist()
            ids = self.model.generate(
                pixel_values=seen,
                do_sample=True,
                num_beams=1,
                temperature=1.0,
                top_k=0,
                top_p=1.0,  # the nucleus is cut by NucleusChoice
                num_return_sequences=per_image,
                max_new_tokens=MAX_NEW_TOKENS,
                logits_processor=[NucleusChoice(torch.from_numpy(numbers).to(self.device))],
            )
        texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        captions = [join_words(self.plurals.write(text)) for text in texts]
        if self.places is not None:
            captions = [self.places.correct(text, places[i // per_image]) for i, text in enumerate(captions)]
        return [captions[i : i + per_image] for i in range(0, len(captions), per_image)]


def _numbers_for(pixels: Tensor, rows: int, seed: int, attempt: int) -> np.ndarray:
    """(rows, MAX_NEW_TOKENS) uniform numbers of this image. More rows leave the first as they were."""
    key = hashlib.blake2b(pixels.contiguous().numpy().tobytes(), digest_size=8).digest()
    rng = np.random.default_rng([seed & 0xFFFFFFFF, attempt, int.from_bytes(key, "big")])
    return rng.random((rows, MAX_NEW_TOKENS))


def save_captioner(
    model: TrunkBlip2, tokenizer: Any, folder: str | Path, extra: Mapping[str, object]
) -> None:
    """Write our captioner as a folder that `load_captioner` and `TrunkBlip2.from_pretrained` read. float16.

    Args:
        model: the trained model; left as it is.
        tokenizer: from `build_word_tokenizer`.
        folder: made where it is missing.
        extra: what stands beside it as JSON, by file stem: {"plurals": {...}, "places": {...}, "manifest": {...}}.

    Raises:
        CirError: a weight that is not finite in float16.
    """
    from transformers import Blip2Processor, BlipImageProcessor

    folder = Path(folder)
    half = copy.deepcopy(model).half()
    broken = [key for key, tensor in half.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CirError(
            f"These weights are not finite in float16: {', '.join(broken)}.", "Train with a lower rate."
        )
    with without_progress_bar():
        half.save_pretrained(folder)
    side = model.vision_model.config.image_size
    images = BlipImageProcessor(
        size={"height": side, "width": side}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_resize=True
    )
    Blip2Processor(images, tokenizer, num_query_tokens=model.config.num_query_tokens).save_pretrained(folder)
    for stem, content in extra.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")


def load_captioner(
    folder_or_id: str | Path, device: str | torch.device | None = None, *, name: str | None = None
) -> Blip2Captioner:
    """Load our captioner's folder, or any BLIP-2 by folder or hub id. Only safetensors are read.

    Large ones run in bfloat16 on a GPU and in float32 on a CPU; ours always in float32.

    Args:
        folder_or_id: a folder, or an id such as "Salesforce/blip2-opt-2.7b".
        device: None takes a GPU where there is one.
        name: for people; the folder's name or the id by default.

    Raises:
        MissingModel: nothing there, and nothing to fetch it with.
        UnsafeFile: a folder whose weights do not fit its configuration.
    """
    from safetensors import SafetensorError
    from transformers import Blip2Processor

    where = pick_device(device)
    source = str(folder_or_id)
    folder = Path(folder_or_id)
    try:
        config = Blip2Config.from_pretrained(source)
        ours = getattr(config.vision_config, "trunk", None) is not None
        dtype = torch.bfloat16 if where.type == "cuda" and not ours else torch.float32
        model_class = TrunkBlip2 if ours else Blip2ForConditionalGeneration
        with without_progress_bar():
            loaded: Any = model_class.from_pretrained(
                source, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True
            )
        model, report = loaded
        processor = Blip2Processor.from_pretrained(source)
    except SafetensorError as error:
        raise UnsafeFile(f"The captioner {source} is damaged: {error}", _fetch(source)) from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        problem = UnsafeFile if folder.is_dir() else MissingModel
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise problem(f"The captioner {source} could not be loaded: {first}", _fetch(source)) from error
    _check_loaded(source, config, report)
    label = name or (folder.name if folder.is_dir() else source)
    commit = getattr(config, "_commit_hash", None)
    settings = {"top_p": TOP_P, "max_new_tokens": MAX_NEW_TOKENS, "commit": commit}
    beside = {stem: _read_beside(folder, stem) for stem in ("places", "plurals", "processor_config")}
    if ours:  # the hub's come whole, as one revision
        settings |= beside
    # A hub revision names its weights: no need to hash fifteen gigabytes.
    fingerprint = fingerprint_of(label, {} if commit else model.state_dict(), settings)
    if CAPTIONS_VERSION > 1:
        fingerprint += f".{CAPTIONS_VERSION}"
    return Blip2Captioner(
        model,
        processor,
        label,
        fingerprint,
        where,
        plurals=beside["plurals"],
        places=beside["places"],
        image_batch=16 if ours else 4,
    )


def _read_beside(folder: Path, stem: str) -> Any:
    """A JSON file beside the weights, or None."""
    path = folder / f"{stem}.json"
    return json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else None


def _check_loaded(source: str, config: Blip2Config, report: Mapping[str, Any]) -> None:
    """transformers answers missing weights with random ones and a warning: refuse them here."""
    missing = sorted(report.get("missing_keys", ()))
    mismatched = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or mismatched:
        listed = ", ".join([*missing, *mismatched][:3])
        raise UnsafeFile(
            f"The captioner {source} lacks {len(missing) + len(mismatched)} of its weights ({listed}).",
            _fetch(source),
        )
    if config.image_token_index is None:
        raise UnsafeFile(
            f"The captioner {source} does not say which token stands for the image.",
            "Take a revision from 2024-11 or later, whose configuration has image_token_index.",
        )


def _fetch(source: str) -> str:
    return f"Fetch it again (python -m cir models pull NAME), or give another folder than {source}."
