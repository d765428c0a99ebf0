"""A multimodal model as a spoter: it looks at both pictures and says what leads from one to the other.

Any image-text-to-text model of transformers that takes two pictures and has a chat template, from a local
folder. Knows nothing of triplets, nor of what becomes of the text.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch

from cir.errors import MissingModel, UnsafeFile
from cir.models.protocols import SpotInput
from cir.models.runtime import fingerprint_of, pick_device, without_progress_bar
from cir.prompts import syncir_pictures
from cir.replies import parse_query_text

MAX_NEW_TOKENS = 40
_ANOTHER = "Give the folder of another model, or leave --spoter out: then captions are compared."


class MultimodalSpoter:
    """A model behind the protocol Spoter. Greedy: the same pictures give the same text.

    Args:
        model: a built image-text-to-text model; put into evaluation mode.
        processor: its processor, with a chat template.
        name: for people.
        device: where the model is moved.
    """

    def __init__(self, model: Any, processor: Any, name: str, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model, self.processor, self.name = model.to(self.device).eval(), processor, name
        self.fingerprint = fingerprint_of(
            name, model.state_dict(), {"tokens": MAX_NEW_TOKENS, "asked": str(syncir_pictures())}
        )
        self._lock = threading.Lock()

    def spot(self, reference: SpotInput, target: SpotInput) -> str:
        """The instruction in the model's answer; "" when there is none.

        Raises:
            BadImage: one of the pictures cannot be read.
        """
        pictures = [{"type": "image", "image": one.image().convert("RGB")} for one in (reference, target)]
        content = [*pictures, {"type": "text", "text": syncir_pictures()}]
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.device)
        with self._lock, torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        told = output[0, inputs["input_ids"].shape[1] :]
        answer = self.processor.decode(told, skip_special_tokens=True)
        return parse_query_text(answer, (reference.caption, target.caption)) or ""


def load_multimodal_spoter(folder: Path, *, device: str | torch.device | None = None) -> MultimodalSpoter:
    """A spoter from a folder as transformers saves one.

    Raises:
        MissingModel: no such folder.
        UnsafeFile: it is no image-text-to-text model, lacks weights, or has no chat template.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText, AutoProcessor

    if not (folder / "config.json").is_file():
        raise MissingModel(f"There is no multimodal model in {folder.name}.", _ANOTHER)
    where = pick_device(device)
    dtype = torch.bfloat16 if where.type == "cuda" else torch.float32
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        with without_progress_bar():
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
            )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsafeFile(f"The model in {folder.name} could not be loaded: {first}", _ANOTHER) from error
    model, report = loaded
    if report.get("missing_keys") or report.get("mismatched_keys"):
        raise UnsafeFile(f"The model in {folder.name} lacks some of its weights.", _ANOTHER)
    if not getattr(processor, "chat_template", None):
        raise UnsafeFile(
            f"The model in {folder.name} has no chat template, so it cannot be asked about two pictures.",
            _ANOTHER,
        )
    return MultimodalSpoter(model, processor, folder.name, where)
