"""BLIP as captioner, by the class that transformers brings: how it is asked, and how one is loaded.

BSD-3-licensed, 0.25 thousand million weights (`Salesforce/blip-image-captioning-base`): it captions on any computer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BlipForConditionalGeneration, BlipProcessor

from cir.models.nucleus import TOP_P
from cir.models.pretrained import preparation, read_pretrained, told_in_words
from cir.models.runtime import fingerprint_of, pick_device
from cir.models.sampling import MAX_NEW_TOKENS, SamplingCaptioner


class BlipCaptioner(SamplingCaptioner):
    """A BlipForConditionalGeneration that captions without a beginning. Arguments as of `SamplingCaptioner`."""

    def _write(self, pixels: Tensor, options: dict[str, Any]) -> list[str]:
        ids = self.model.generate(pixel_values=pixels.to(self.device, self.model.dtype), **options)
        texts = self.processor.tokenizer.batch_decode(ids[:, 1:], skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def load_captioner(
    folder_or_id: str | Path, device: str | torch.device | None = None, *, name: str | None = None
) -> BlipCaptioner:
    """Load a BLIP by folder or hub id, in bfloat16 on a GPU and in float32 on a CPU.

    Args:
        folder_or_id: a folder, or an id such as "Salesforce/blip-image-captioning-base".
        device: None takes a GPU where there is one.
        name: for people; the folder's name or the id by default.

    Raises:
        MissingModel: nothing there, and nothing to fetch it with.
        UnsafeFile: a folder whose weights do not fit its configuration.
    """
    where, source = pick_device(device), str(folder_or_id)
    with told_in_words(source):
        dtype = torch.bfloat16 if where.type == "cuda" else torch.float32
        model = read_pretrained(BlipForConditionalGeneration, source, dtype=dtype)
        processor = BlipProcessor.from_pretrained(source)
    label = name or Path(source).name
    settings = {"top_p": TOP_P, "max_new_tokens": MAX_NEW_TOKENS, **preparation(source)}
    return BlipCaptioner(
        model, processor, label, fingerprint_of(label, model.state_dict(), settings), where, image_batch=8
    )
