"""KEDs: what its streams look up, and the slider between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from cir.composers.keds import Keds as KedsMethod
from cir.composers.keds import W
from cir.models.keds import NEIGHBOURS, Keds
from cir.models.mapping import load_mapping, save_mapping
from cir.ranking.retriever import Retriever, scoring_of
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, Query
from tests.fakes import COLOURS, ToyClip, draw, toy_gallery, unit


def network(pairs: int = 40) -> Keds:
    torch.manual_seed(2)
    made = Keds(8, 16, 12, pairs)
    made.known_pictures.copy_(F.normalize(torch.randn(pairs, 8), dim=1))
    made.known_captions.copy_(F.normalize(torch.randn(pairs, 8), dim=1))
    return made.eval()


def test_the_neighbours_are_the_nearest_of_the_base_by_the_pictures_feature() -> None:
    made, rows = network(), F.normalize(torch.randn(3, 8), dim=1)
    pictures, captions = made.neighbours(rows)
    for known, found in ((made.known_pictures, pictures), (made.known_captions, captions)):
        for row, near in zip(rows, found, strict=True):
            best = sorted(range(len(known)), key=lambda i: -float(known[i] @ row))[:NEIGHBOURS]
            torch.testing.assert_close(near, known[best])


def test_what_the_base_knows_of_a_picture_changes_its_words_and_its_own_word_stays() -> None:
    made, rows = network(), F.normalize(torch.randn(1, 8), dim=1)
    with torch.no_grad():
        before = made(rows)
        made.known_pictures.mul_(-1)
        after = made(rows)
    assert before.shape == (1, 6, 12)
    changed = (after - before).abs().amax(dim=2)[0] > 1e-4
    # Of each stream: what near pictures say, what near captions say, what the picture itself says.
    assert changed.tolist() == [True, False, False, True, False, False]


def test_it_is_read_again_as_it_was_written_with_its_base(tmp_path: Path) -> None:
    made = network()
    save_mapping(made, tmp_path / "keds.safetensors", {"normalise_input": True})
    rows = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    with torch.inference_mode():
        expected = made(torch.from_numpy(unit(rows))).numpy()
    found = load_mapping(tmp_path / "keds.safetensors")
    np.testing.assert_allclose(found.map_features(rows), expected, atol=1e-6)
    assert found.tokens == 6


class TwoStreams:
    """The image stream says the picture; the text stream says that all is green."""

    tokens = 2
    fingerprint = "two@1"

    def map_features(self, features: np.ndarray) -> np.ndarray:
        image = unit(features)
        green = np.zeros_like(image)
        green[:, list(COLOURS).index("green")] = 4.0
        return np.stack([image, image + green], axis=1)


def test_w_moves_from_one_stream_to_the_other_without_a_model() -> None:
    clip = ToyClip()
    retriever = Retriever(toy_gallery(), {"KEDs": KedsMethod(clip, TwoStreams(), clip)})
    *_, composed = retriever.compose(Query(draw("red", "square"), ""), "KEDs")
    calls = clip.calls
    first = [retriever.rank(composed, {W.name: w}, top_k=1)[0].image_id for w in (0.0, 1.0)]
    assert first == ["red-square", "green-square"]
    assert clip.calls == calls
    assert scoring_of(composed, {W.name: 0.25}).weights == {FINE_GRAINED: 0.75, MODIFIED_CAPTIONS: 0.25}
