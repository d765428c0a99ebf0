"""Whether the models of a set do here what they are for: loaded, timed, and asked what is known.

For the first person who has weights that the program's makers never saw. A dozen pictures that come with the program are
read: the set's own kind, photographs or the illustrated world. Weights that are whole but wrong (another preprocessing,
another tokenizer, random ones) load without an error and fail here.

Does not print.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import TypeVar

import numpy as np
import psutil
from PIL import Image

from cir.errors import CirError
from cir.evaluation.benchmark import read_benchmark
from cir.images import read_image
from cir.models.model_set import Models
from cir.models.protocols import Captioner
from cir.places import ASSETS
from cir.world.captions import describe_scene
from cir.world.reading import nouns_in

Made = TypeVar("Made")
FOLDER = ASSETS / "check"
CAPTIONS_EACH = 3
RIGHT_CAPTIONS, THINGS_NAMED = 10, 8  # of twelve
PICTURES = 12


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """A picture, its true caption, and what is said when its thing is named."""

    image: Image.Image
    caption: str
    is_named: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table: what was looked at, what was found, what is wanted, and whether that is so.

    `remedy` is what to do where it is not.
    """

    what: str
    found: str
    wanted: str = ""
    holds: bool = True
    remedy: str = ""


def known_pictures(kind: str) -> list[KnownPicture]:
    """The dozen of a kind: "photographs", or "world".

    Raises:
        CirError: they are not there.
    """
    return _photographs() if kind == "photographs" else _world()


def check_models(models: Models) -> list[Finding]:
    """Load every model of a set, time it, and ask it what is known.

    Raises:
        MissingModel: there is no CLIP, so nothing can be asked.
    """
    again = f"Fetch it again: python -m cir models pull {models.name}"
    pictures = known_pictures(models.set.reads)
    clip, seconds = _timed(lambda: models.clip)
    findings = [Finding("CLIP loads", f"{seconds:.1f} s, {clip.dim} dimensions")]
    findings += _of_clip(models, pictures, again)
    for recipe in models.set.mapping:
        findings.append(_of_mapping(models, recipe, pictures))
    captioner, seconds = _timed(lambda: models.captioner)
    if captioner is None:
        findings.append(_absent(models, "captioner"))
    else:
        findings.append(Finding("captioner loads", f"{seconds:.1f} s"))
        findings += _of_captioner(captioner, pictures, again)
    findings += _of_language_model(models)
    return [*findings, *memory_taken()]


def memory_taken() -> list[Finding]:
    """The most memory that this process has held until now, and the most of its GPU's, where there is one."""
    from cir.models.runtime import gpu_memory_taken

    peak = psutil.Process().memory_info()
    most = getattr(peak, "peak_wset", 0) or _peak_bytes() or peak.rss
    rows = [Finding("memory at its most", f"{most / 1e9:.1f} GB, without the language model's process")]
    if on_gpu := gpu_memory_taken():
        rows.append(Finding("GPU memory at its most", f"{on_gpu[1] / 1e9:.1f} GB of {on_gpu[0]}"))
    return rows


def _of_clip(models: Models, pictures: Sequence[KnownPicture], again: str) -> list[Finding]:
    clip = models.clip
    raw, seconds = _timed(lambda: clip.encode_images([known.image for known in pictures]))
    texts, text_seconds = _timed(lambda: clip.encode_texts([known.caption for known in pictures]))
    images = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    scores = images @ texts.T
    right = int((scores.argmax(axis=1) == np.arange(len(pictures))).sum())
    lengths = np.linalg.norm(texts, axis=1)
    return [
        Finding("a picture is read in", f"{1000 * seconds / len(pictures):.0f} ms"),
        Finding("a text is read in", f"{1000 * text_seconds / len(pictures):.0f} ms"),
        Finding(
            "lengths of text features",
            f"{lengths.min():.4f} to {lengths.max():.4f}",
            "1",
            bool(np.allclose(lengths, 1, atol=1e-3)),
            again,
        ),
        Finding(
            "pictures whose own caption is the nearest of all",
            f"{right} of {len(pictures)}",
            f"{RIGHT_CAPTIONS} or more",
            right >= RIGHT_CAPTIONS,
            f"The CLIP reads {models.set.reads} wrongly: its weights, or how pictures are prepared, are not what they "
            f"should be. {again}",
        ),
    ]


def _of_mapping(models: Models, recipe: str, pictures: Sequence[KnownPicture]) -> Finding:
    """A pseudo-word stands for its picture: "a photo of $" is nearest to it among the dozen, more often than not."""
    what = f"pictures whose own word ({recipe}) is the nearest of all"
    phi = models.words(recipe)
    if phi is None:
        return _absent(models, f"mapping network {recipe}")
    raw = models.clip.encode_images([known.image for known in pictures])
    texts = models.clip.encode_spliced("a photo of", phi.map_features(raw), "")
    images = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    right = int(((images @ texts.T).argmax(axis=1) == np.arange(len(pictures))).sum())
    least = len(pictures) // 2
    remedy = f"Remove the network and make or fetch it again: python -m cir models pull {models.name}"
    return Finding(what, f"{right} of {len(pictures)}", f"{least} or more", right >= least, remedy)


def _of_captioner(captioner: Captioner, pictures: Sequence[KnownPicture], again: str) -> list[Finding]:
    captions, seconds = _timed(
        lambda: captioner.caption([known.image for known in pictures], per_image=CAPTIONS_EACH, seed=0)
    )
    named = sum(any(map(known.is_named, row)) for known, row in zip(pictures, captions, strict=True))
    return [
        Finding(f"a picture gets {CAPTIONS_EACH} captions in", f"{seconds / len(pictures):.2f} s"),
        Finding(
            "pictures whose thing a caption names",
            f"{named} of {len(pictures)}",
            f"{THINGS_NAMED} or more",
            named >= THINGS_NAMED,
            f'The captioner says, for "{pictures[0].caption}": "{shorten((captions[0] or [""])[0], 80)}". {again}',
        ),
    ]


def _of_language_model(models: Models) -> list[Finding]:
    model = models.language_model
    if model is None:
        return [_absent(models, "language model")]
    try:
        said, seconds = _timed(lambda: model.complete("2 + 2 =", max_tokens=4))
    except CirError as error:
        return [Finding("language model answers", "no", "an answer", False, str(error))]
    return [
        Finding(
            "language model answers", f"{said.strip()!r} in {seconds:.1f} s", "an answer", bool(said.strip())
        )
    ]


def _absent(models: Models, part: str) -> Finding:
    """A part that is not here; what a person has switched off is no fault."""
    why = models.missing.get(part, "")
    return Finding(part, "not here", "" if "switched off" in why else "here", "switched off" in why, why)


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    started = time.perf_counter()
    return make(), time.perf_counter() - started


def _photographs() -> list[KnownPicture]:
    try:
        rows = json.loads((FOLDER / "pictures.json").read_text(encoding="utf-8"))
        return [
            KnownPicture(
                read_image(FOLDER / row["file"]),
                row["caption"],
                partial(_any_of, row["things"]),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError) as error:
        raise CirError(
            f"The pictures in {FOLDER} cannot be read: {error}.", "Restore them from the repository."
        ) from error


def _any_of(things: Sequence[str], text: str) -> bool:
    return any(thing in text.lower() for thing in things)


def _names_one(nouns: set[str], text: str) -> bool:
    return bool(nouns & nouns_in(text))


def _world() -> list[KnownPicture]:
    """Scenes of the world benchmark that nobody learned from."""
    benchmark = read_benchmark("world")
    return [
        KnownPicture(
            benchmark.picture(image_id),
            describe_scene(scene),
            partial(_names_one, nouns_in(describe_scene(scene))),
        )
        for image_id, scene in list(benchmark.scenes.items())[:PICTURES]
    ]


def _peak_bytes() -> int:
    """The most memory that this process has taken, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows tells it by psutil
        return 0
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
