"""BLIP-2 as captioner: what it writes, how one is loaded and ours is saved.

Does not know how captions are sampled, where they are kept, nor which model sets there are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Blip2Config, Blip2ForConditionalGeneration, GenerationConfig

from cir.errors import CirError, UnsafeFile
from cir.models.nucleus import TOP_P, NucleusChoice
from cir.models.pretrained import json_beside, placement, read_pretrained, told_in_words, weights_digest
from cir.models.runtime import fingerprint_of, pick_device, without_progress_bar
from cir.models.sampling import MAX_NEW_TOKENS, SamplingCaptioner
from cir.models.shared_trunk import leave_out_trunk, with_trunk
from cir.models.trunk_blip2 import TrunkBlip2, TrunkVisionModel, build_tiny_blip2
from cir.models.words import (
    PLURAL_MARK,
    PlaceTable,
    PluralTable,
    build_word_tokenizer,
    encode_captions,
    join_words,
)

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

# Raise it when the same picture, seed and weights would get other captions: what samples them in `sampling` and `nucleus`,
# what writes them in `words`. The first one adds nothing to a fingerprint, so that captions from before it are kept.
CAPTIONS_VERSION = 1
WEIGHTS, TRUNK = "model.safetensors", "vision_model.trunk."  # of ours: the file, and where its trunk is in it


class Blip2Captioner(SamplingCaptioner):
    """A Blip2ForConditionalGeneration, ours or the hub's.

    Args:
        model, processor, name, fingerprint, device, image_batch: as of `SamplingCaptioner`.
        plurals: singular -> plural, where the vocabulary has a plural mark.
        places: the phrases of each place that the model's `PlaceReader` knows; a caption names the place that it sees.
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
        super().__init__(model, processor, name, fingerprint, device, image_batch=image_batch)
        self.plurals = PluralTable(plurals)
        self.places = PlaceTable(places) if places else None

    def _write(self, pixels: Tensor, options: dict[str, Any]) -> list[str]:
        seen, places = pixels.to(self.device, next(self.model.vision_model.parameters()).dtype), []
        if self.places is not None:  # the trunk is asked once: from here on its maps stand for the pixels
            seen = self.model.vision_model.trunk_maps(seen)
            places = self.model.vision_model.places(seen).argmax(dim=1).tolist()
        ids = self.model.generate(pixel_values=seen, **options)
        texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        captions = [join_words(self.plurals.write(text)) for text in texts]
        if self.places is not None:
            each = len(captions) // len(pixels)
            captions = [self.places.correct(text, places[i // each]) for i, text in enumerate(captions)]
        return captions


def save_captioner(
    model: TrunkBlip2, tokenizer: Any, folder: str | Path, extra: Mapping[str, object]
) -> None:
    """Write our captioner as a folder that `load_captioner` reads, in float16; without its trunk beside a CLIP that has it.

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
    leave_out_trunk(folder / WEIGHTS, TRUNK)
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

    The hub's lie where there is room (`placement`); ours runs in float32. The same weights have the same fingerprint
    wherever they lie: a gallery is not captioned anew because memory was short one day.

    Args:
        folder_or_id: a folder, or an id such as "Salesforce/blip2-opt-2.7b".
        device: None takes a GPU where there is one.
        name: for people; the folder's name or the id by default.

    Raises:
        MissingModel: nothing there, and nothing to fetch it with.
        UnsafeFile: a folder whose weights do not fit its configuration.
    """
    from transformers import Blip2Processor

    where = pick_device(device)
    source = str(folder_or_id)
    folder = Path(folder_or_id)
    with told_in_words(source):
        config = Blip2Config.from_pretrained(source)
        ours = getattr(config.vision_config, "trunk", None) is not None
        if ours:
            state = with_trunk(folder / WEIGHTS, TRUNK)
            generation = GenerationConfig.from_pretrained(source)
            options = {"state": state, "generation_config": generation, "dtype": torch.float32}
        else:
            options = placement(folder, where)
        model_class = TrunkBlip2 if ours else Blip2ForConditionalGeneration
        model = read_pretrained(model_class, source, config=config, **options)
        processor = Blip2Processor.from_pretrained(source)
    if config.image_token_index is None:
        raise UnsafeFile(
            f"The captioner {source} does not say which token stands for the image.",
            "Take a revision from 2024-11 or later, whose configuration has image_token_index.",
        )
    label = name or (folder.name if folder.is_dir() else source)
    commit = getattr(config, "_commit_hash", None)
    settings = {"top_p": TOP_P, "max_new_tokens": MAX_NEW_TOKENS, "commit": commit}
    beside = {stem: json_beside(folder, stem) for stem in ("places", "plurals", "processor_config")}
    if ours:  # the hub's come whole, as one revision
        settings |= beside
    elif (
        not commit
    ):  # a revision of the hub names its weights. Others are named by their files: some may be on the disk
        settings |= {"weights": weights_digest(folder)}
    fingerprint = fingerprint_of(label, model.state_dict() if ours else {}, settings)
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
