"""The shipped set "embedded-blip": it reads scenes of the world, and both of HyCIR's methods compose with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cir.composers.parameters import defaults
from cir.evaluation.benchmark import read_benchmark
from cir.gallery.gallery import Gallery
from cir.models.model_set import Models
from cir.scripting import open_models, open_retriever
from cir.types import Query

QUERIES = 24


@pytest.fixture(scope="module")
def models() -> Models:
    torch.set_num_threads(1)
    return open_models("embedded-blip", llm="none")


@pytest.fixture(scope="module")
def ids() -> list[str]:
    """Scenes of the validation split: references and targets of the first queries, and others."""
    benchmark = read_benchmark("world-validation")
    asked = benchmark.queries[:QUERIES]
    wanted = [i for q in asked for i in (q.reference_id, q.target_ids[0])]
    return list(dict.fromkeys([*wanted, *list(benchmark.scenes)[:60]]))


@pytest.fixture(scope="module")
def raw(models: Models, ids: list[str]) -> NDArray[np.float32]:
    benchmark = read_benchmark("world-validation")
    return models.tower.encode_images([benchmark.picture(i) for i in ids])


def test_its_networks_are_for_it_alone(models: Models) -> None:
    for recipe, words in (("pic2word", 1), ("hycir", 4)):
        network = models.phi(recipe)
        assert network is not None, models.missing
        assert (network.input_dim, network.tokens, network.word_width) == (256, words, 192)
        assert network.metadata["trained_for"] == models.tower.fingerprint


@pytest.mark.parametrize("method", ["Pic2Word", "HyCIR"])
def test_a_composed_query_finds_its_target_among_others(
    models: Models, ids: list[str], raw: NDArray[np.float32], method: str
) -> None:
    benchmark = read_benchmark("world-validation")
    retriever = open_retriever(Gallery.from_features("scenes", tuple(ids), raw), models)
    found = 0
    for query in benchmark.queries[:QUERIES]:
        picture = benchmark.picture(query.reference_id)
        *_, composed = retriever.compose(Query(picture, query.modification_text), method)
        values = defaults(retriever.composers[method].parameters)
        best = retriever.rank(composed, values, top_k=3, exclude=[query.reference_id])
        found += query.target_ids[0] in [image.image_id for image in best]
    assert found >= 0.75 * QUERIES  # three of about a hundred by chance: under one


def test_texts_find_the_scenes_that_they_describe(
    models: Models, ids: list[str], raw: NDArray[np.float32]
) -> None:
    from cir.world.captions import describe_scene

    benchmark = read_benchmark("world-validation")
    texts = models.tower.encode_texts([describe_scene(benchmark.scenes[i]) for i in ids])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert ((texts @ unit.T).argmax(axis=1) == np.arange(len(ids))).mean() > 0.85
