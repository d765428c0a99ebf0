"""Patches beside what reads photographs: a drawing gets CLIP's words of its patches, a photograph what it shows."""

from __future__ import annotations

import numpy as np

from cir.models.photographs.space import Space
from cir.models.photographs.words import JoinedPatchWords


class Recorder:
    """A network that remembers what it was given."""

    tokens, fingerprint = 2, "recorder@1"

    def map_patches(self, patches: np.ndarray, features: np.ndarray, context: np.ndarray) -> np.ndarray:
        self.given = patches, features, context
        return np.ones((len(patches), 2, 3), np.float32)


def test_clips_own_numbers_reach_the_network_and_a_photograph_has_no_word_of_it() -> None:
    space, network = Space(4, 2), Recorder()
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((2, 4)).astype(np.float32)
    shown = np.zeros((2, space.shown), np.float32)
    shown[:, 0] = 1.0
    pictures = space.pictures(
        raw, np.full(2, 5.0, np.float32), shown, np.array([0.0, 1.0], np.float32)
    ).astype(np.float32)
    said = rng.standard_normal((2, 4)).astype(np.float32)
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    texts = space.texts(said, shown, np.ones(2, np.float32))
    words = JoinedPatchWords(network, space).map_patches(np.zeros((2, 7, 9), np.float32), pictures, texts)
    assert words.shape == (2, 2, 3 + space.shown)
    np.testing.assert_allclose(network.given[1][0], raw[0], rtol=1e-5)
    np.testing.assert_allclose(network.given[2], said, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(words[0, :, :3], 1.0)
    np.testing.assert_array_equal(words[1, :, :3], 0.0)
    np.testing.assert_allclose(words[0, :, 3:], 0.0, atol=1e-6)
    assert words[1, 0, 3] > 0.9
