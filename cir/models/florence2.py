"""Florence-2 as captioner, by the class that transformers brings: how it is asked, and how one is loaded.

The repositories of the native class (florence-community/...) hold no code; those that want `trust_remote_code` are not
read. MIT-licensed, 0.23 (base) or 0.77 (large) thousand million weights: it captions on any computer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from cir.models.nucleus import TOP_P
from cir.models.pretrained import preparation, read_pretrained, told_in_words
from cir.models.runtime import fingerprint_of, pick_device
from cir.models.sampling import MAX_NEW_TOKENS, SamplingCaptioner

TASK = "<CAPTION>"  # the short one of three, which says what BLIP-2's captions say


class Florence2Captioner(SamplingCaptioner):
    """A Florence2ForConditionalGeneration that is asked for short captions. Arguments as of `SamplingCaptioner`."""

    def _write(self, pixels: Tensor, options: dict[str, Any]) -> list[str]:
        question = self._question.to(self.device).expand(len(pixels), -1)
        ids = self.model.generate(
            input_ids=question,
            attention_mask=torch.ones_like(question),
            pixel_values=pixels.to(self.device, self.model.dtype),
            early_stopping=False,  # a wish for beams, which the repository's settings have
            **options,
        )
        texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    @property
    def _question(self) -> Tensor:
        """(1, L) ids of the places of the image and of the question behind them."""
        tokenizer = self.processor.tokenizer
        image = tokenizer.image_token * self.processor.num_image_tokens
        question = self.processor.task_prompts_without_inputs[TASK]
        text = f"{image}{tokenizer.bos_token}{question}{tokenizer.eos_token}"
        return tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]


def load_captioner(
    folder_or_id: str | Path, device: str | torch.device | None = None, *, name: str | None = None
) -> Florence2Captioner:
    """Load a Florence-2 by folder or hub id, in bfloat16 on a GPU and in float32 on a CPU.

    Args:
        folder_or_id: a folder, or an id such as "florence-community/Florence-2-base".
        device: None takes a GPU where there is one.
        name: for people; the folder's name or the id by default.

    Raises:
        MissingModel: nothing there, and nothing to fetch it with.
        UnsafeFile: a folder whose weights do not fit its configuration.
    """
    where, source = pick_device(device), str(folder_or_id)
    with told_in_words(source):
        dtype = torch.bfloat16 if where.type == "cuda" else torch.float32
        model = read_pretrained(Florence2ForConditionalGeneration, source, dtype=dtype)
        processor = Florence2Processor.from_pretrained(source)
    label = name or Path(source).name
    settings = {"task": TASK, "top_p": TOP_P, "max_new_tokens": MAX_NEW_TOKENS, **preparation(source)}
    return Florence2Captioner(
        model, processor, label, fingerprint_of(label, model.state_dict(), settings), where, image_batch=4
    )
