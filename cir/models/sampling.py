"""Captions by nucleus sampling, whichever model writes them: batches, seeds, and what is left of an empty caption.

A captioner is a `SamplingCaptioner` that says how its model writes. Does not know any model.

Source: CVSI, section III-C, Eq. 3 and 4 (N captions by nucleus sampling, after LDRE); top-p 0.9 is the
default of LAVIS, which they use. Their code asks for nucleus sampling and 15 beams at once, which makes the
captions alike; we sample without beams, as written.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cir.errors import CirError
from cir.models.nucleus import NucleusChoice
from cir.models.runtime import moved, run_in_batches
from cir.text import counted

MAX_NEW_TOKENS = 40
RETRIES = 2  # for captions that come out empty
GREEDY = {"do_sample": False, "num_beams": 1, "max_new_tokens": MAX_NEW_TOKENS}


class SamplingCaptioner(ABC):
    """A captioning model behind the protocol Captioner.

    Args:
        model: a built model of transformers; put into evaluation mode, and moved unless accelerate has placed it.
        processor: its image transform and tokenizer.
        name: for people.
        fingerprint: see `fingerprint_of`.
        device: where the model is moved.
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
        image_batch: int = 8,
    ) -> None:
        self.device = torch.device(device)
        self.model = (model if hasattr(model, "hf_device_map") else moved(model, self.device)).eval()
        self.processor = processor
        self.name = name
        self.fingerprint = fingerprint
        self._image_batch = image_batch
        self._lock = threading.Lock()

    @abstractmethod
    def _write(self, pixels: Tensor, options: dict[str, Any]) -> list[str]:
        """Captions of prepared pictures (N, 3, H, W) by `generate` with these options; all of one picture together."""

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
            return self._caption_pixels(self._prepared(batch), per_image, seed)

        return [captions for batch in run_in_batches(run, images, self._image_batch) for captions in batch]

    def likeliest(self, images: Sequence[Image.Image]) -> list[str]:
        """One caption for each image, of the likeliest word at each step: nothing is drawn.

        Raises:
            CirError: a GPU that does not hold one image.
        """

        def run(batch: Sequence[Image.Image]) -> list[str]:
            with self._lock, torch.inference_mode():
                return self._write(self._prepared(batch), dict(GREEDY))

        return [caption for batch in run_in_batches(run, images, self._image_batch) for caption in batch]

    def _prepared(self, images: Sequence[Image.Image]) -> Tensor:
        rgb = [image.convert("RGB") for image in images]
        return self.processor.image_processor(images=rgb, return_tensors="pt")["pixel_values"]

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
        options = {
            "do_sample": True,
            "num_beams": 1,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,  # the nucleus is cut by NucleusChoice
            "num_return_sequences": per_image,
            "max_new_tokens": MAX_NEW_TOKENS,
            "logits_processor": [NucleusChoice(torch.from_numpy(numbers).to(self.device))],
        }
        devices = [self.device] if self.device.type == "cuda" else []
        # generate() draws from torch's generator even where one token is left: give it back as it was.
        with self._lock, torch.inference_mode(), torch.random.fork_rng(devices):
            captions = self._write(pixels, options)
        return [captions[i : i + per_image] for i in range(0, len(captions), per_image)]


def _numbers_for(pixels: Tensor, rows: int, seed: int, attempt: int) -> np.ndarray:
    """(rows, MAX_NEW_TOKENS) uniform numbers of this image. More rows leave the first as they were."""
    key = hashlib.blake2b(pixels.contiguous().numpy().tobytes(), digest_size=8).digest()
    rng = np.random.default_rng([seed & 0xFFFFFFFF, attempt, int.from_bytes(key, "big")])
    return rng.random((rows, MAX_NEW_TOKENS))
