"""A second look at the best images of any method: do they show what the edit adds? Off by default.

Source: TFCIR's second stage, re-ranking by local concepts: words of the edit are checked one by one in each of the best
images, and what is found counts beside the first score. Their checks are questions to a visual question answering
model; ours are made of what a gallery has already, so that a hundred images take a few milliseconds: each concept's
likeness to the image's pixels, and whether the image's captions say it. The concepts are the objects that the language
model named, or else the edit itself. Nothing of TFCIR is published but the paper.

Does not know how the first order came about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cir.models.protocols import TextEncoder
from cir.ranking.retriever import Retriever
from cir.text import LITTLE_WORDS
from cir.types import ComposedQuery, RetrievedImage

LOCAL_CONCEPTS = "local-concepts"
WEIGHT = 0.2
_SAY_NOTHING = LITTLE_WORDS | {"one", "two", "three", "instead", "more"}  # of what is there


def local_concepts(composed: ComposedQuery, text: str) -> list[str]:
    """What has to be there: the added objects that the language model named; without any, the edit; or nothing."""
    return list(composed.trace.get("added_objects", ())) or ([text] if text else [])


def rerank_by_concepts(
    results: Sequence[RetrievedImage],
    concepts: Sequence[str],
    retriever: Retriever,
    text_encoder: TextEncoder,
    *,
    weight: float = WEIGHT,
) -> list[RetrievedImage]:
    """The same images in a new order. Each keeps its own score, which is a cosine; ranks are counted anew.

    Both sides are stretched to [0, 1] over these images, so that `weight` means the same for every query.

    Args:
        results: the best of any method.
        concepts: from `local_concepts`; none leaves the order as it is.
        retriever: over the gallery that the images are in.
        text_encoder: of the gallery's CLIP.
        weight: of the concepts beside the first score, in [0, 1].
    """
    if not results or not concepts:
        return list(results)
    first = stretched(np.array([result.score for result in results]))
    gallery = retriever.gallery
    rows = [gallery.find(result.image_id) for result in results]
    seen = (
        retriever.engine.features(rows).image
        @ text_encoder.encode_texts([f"a photo of {c}" for c in concepts]).T
    )
    shown = np.mean([stretched(column) for column in seen.T], axis=0)
    said = np.array([_said(concepts, gallery.captions(result.image_id)) for result in results])
    there = (shown + said) / 2.0 if said.any() else shown
    order = np.argsort(-((1.0 - weight) * first + weight * there), kind="stable")
    return [
        RetrievedImage(rank, results[i].image_id, results[i].score) for rank, i in enumerate(order, start=1)
    ]


def stretched(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Values at the same distances from each other, from 0 to 1; all 0 where they are equal."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high - low > 1e-6 else np.zeros_like(values)


def _said(concepts: Sequence[str], captions: Sequence[str]) -> float:
    """The share of the concepts' words that an image's captions say, averaged over concepts."""
    known = {stem for caption in captions for stem in _stems(caption)}
    shares = [len(words & known) / len(words) for concept in concepts if (words := _stems(concept))]
    return float(np.mean(shares)) if shares else 0.0


def _stems(text: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {word.rstrip("s") for word in words if word not in _SAY_NOTHING}
