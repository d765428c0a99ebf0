"""One space for drawings and photographs: nothing changes among drawings, and photographs are found by their own words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from cir.composers.baselines import ImageOnly, Sum
from cir.composers.pic2word import pic2word
from cir.evaluation.world import compose_whole
from cir.models.photographs.joined import JoinedEncoder
from cir.models.photographs.lexicon import ATTRIBUTES
from cir.models.photographs.sentences import PhotographTexts
from cir.models.photographs.space import join_shown, share_of
from cir.models.photographs.words import JoinedRefiner, JoinedWords
from cir.types import Query
from tests.fakes import COLOURS, SHAPES, ToyClip, ToyPhi, draw

NAMES = tuple(COLOURS)
THINGS = ("beagle", "harbour", "pizza")


class TaughtClip(ToyClip):
    """The toy, which says which words it was taught and how wide its words are."""

    name = "toy"
    word_width = ToyClip.dim

    def knows_word(self, word: str) -> bool:
        return word in (*COLOURS, *SHAPES)

    def nearest_words(self, pseudo_words: np.ndarray, count: int = 5) -> list[str]:
        return ["drawn"] * count

    def read_as(self, pseudo_words: np.ndarray) -> str:
        return ""


class ThingSentences:
    """One axis for each thing that a text names, and one for all else."""

    fingerprint = "things"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([[*(float(thing in text) for thing in THINGS), 0.1] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class ToyReader:
    """A wide picture is a photograph, of the thing that its width says; it tells no colours."""

    fingerprint = "toy-reader"
    dim = 4
    knowledge = type("Known", (), {"concepts": np.eye(3, 4, dtype=np.float32), "names": THINGS})

    def shares(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.array([float(image.width > 100) for image in images], np.float32)

    def shown(self, images: Sequence[Image.Image]) -> np.ndarray:
        concepts = np.eye(3, 4, dtype=np.float32)[[image.width - 101 for image in images]]
        return join_shown(concepts, np.zeros((len(images), len(ATTRIBUTES)), np.float32))


def photograph(thing: str) -> Image.Image:
    return Image.new("RGB", (101 + THINGS.index(thing), 80))


@pytest.fixture
def joined() -> JoinedEncoder:
    texts = PhotographTexts(ThingSentences(), np.zeros(4, np.float32), np.eye(4, dtype=np.float32))
    return JoinedEncoder(TaughtClip(), ToyReader(), texts)  # type: ignore[arg-type]


@pytest.fixture
def drawings() -> list[Image.Image]:
    return [draw(colour, shape) for colour in COLOURS for shape in SHAPES]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_among_drawings_every_sum_of_features_ranks_as_before(joined, drawings) -> None:
    clip, query = TaughtClip(), Query(drawings[0], "blue")
    phi = ToyPhi()
    for before, after in (
        (Sum(clip, clip), Sum(joined, joined)),
        (ImageOnly(clip), ImageOnly(joined)),
        (pic2word(clip, phi, clip), pic2word(joined, JoinedWords(phi, joined.space), joined)),
    ):
        old = sum(compose_whole(before, query).parts.values()) @ unit(clip.encode_images(drawings)).T
        new = sum(compose_whole(after, query).parts.values()) @ unit(joined.encode_images(drawings)).T
        spread = (new - new.min()) / (new.max() - new.min())
        np.testing.assert_allclose(spread, (old - old.min()) / (old.max() - old.min()), atol=1e-5)


def test_texts_find_photographs_and_drawings_in_one_gallery(joined, drawings) -> None:
    pictures = [*drawings, *(photograph(thing) for thing in THINGS)]
    rows = unit(joined.encode_images(pictures))
    for i, thing in enumerate(THINGS):
        scores = joined.encode_texts([f"a {thing} in the morning"])[0] @ rows.T
        assert scores.argmax() == len(drawings) + i
    scores = joined.encode_texts([f"{NAMES[1]} {SHAPES[0]}"])[0] @ rows.T
    assert scores.argmax() == len(SHAPES)


def test_an_edit_of_a_photograph_keeps_what_it_shows_and_adds_what_is_said(joined) -> None:
    words = JoinedWords(ToyPhi(), joined.space)
    pseudo = words.map_features(joined.encode_images([photograph("beagle")]))
    gallery = unit(joined.encode_images([photograph(thing) for thing in THINGS]))
    plain = joined.encode_spliced("a photo of", pseudo, "")[0] @ gallery.T
    assert plain.argmax() == THINGS.index("beagle")
    assert plain[0] == pytest.approx(1.0, abs=1e-4)
    edited = joined.encode_spliced("a photo of", pseudo, "that is in a harbour")[0] @ gallery.T
    assert edited.argmin() == THINGS.index("pizza")
    assert edited[THINGS.index("harbour")] > plain[THINGS.index("harbour")] + 0.3
    assert edited[THINGS.index("beagle")] > 0.5
    assert joined.nearest_words(pseudo[0], 1) == ["beagle"]
    assert joined.read_as(pseudo[0]) == "a photograph"


def test_a_drawing_has_the_words_of_clip(joined, drawings) -> None:
    pseudo = JoinedWords(ToyPhi(), joined.space).map_features(joined.encode_images(drawings[:2]))
    width = TaughtClip.dim
    np.testing.assert_allclose(
        pseudo[..., :width], ToyPhi().map_features(ToyClip().encode_images(drawings[:2])), atol=1e-6
    )
    assert not pseudo[..., width:].any()
    assert joined.nearest_words(pseudo[0], 2) == ["drawn", "drawn"]
    assert joined.read_as(pseudo[0]) == "a drawing"


def test_a_picture_that_may_be_either_is_said_to_be_partly_both(joined) -> None:
    rows = joined.space.pictures(
        np.ones((1, joined.space.clip), np.float32),
        np.ones(1, np.float32),
        unit(np.ones((1, joined.space.shown), np.float32)),
        np.array([0.4], np.float32),
    )
    assert joined.row_read_as(rows[0]) == "partly a photograph, partly a drawing"


class Adder:
    """Adds one to every word, twice."""

    steps, fingerprint = 2, "adder"

    def refine(self, features, words, concepts):
        for step in (1, 2):
            yield step, words + step


def test_only_words_of_drawings_are_refined(joined, drawings) -> None:
    refiner, words = JoinedRefiner(Adder(), joined.space), JoinedWords(ToyPhi(), joined.space)
    for picture, steps, added in ((drawings[0], 2, 2.0), (photograph("pizza"), 1, 0.0)):
        features = joined.encode_images([picture])
        start = words.map_features(features)
        found = list(refiner.refine(features, start, []))
        assert len(found) == steps
        assert found[-1][0] == 2
        width = TaughtClip.dim
        np.testing.assert_allclose(found[-1][1][..., :width], start[..., :width] + added, atol=1e-6)
        np.testing.assert_array_equal(found[-1][1][..., width:], start[..., width:])


def test_a_text_of_words_that_clip_was_not_taught_counts_for_photographs_alone(joined) -> None:
    assert joined.known(
        [f"a {NAMES[0]} {SHAPES[0]}", f"a {NAMES[0]} harbour", "pizza", "of the"]
    ).tolist() == [
        1.0,
        0.5,
        0.0,
        1.0,
    ]
    assert not joined.encode_texts(["pizza"])[0, : TaughtClip.dim].any()


def test_without_a_sentence_encoder_texts_find_drawings_as_before(drawings) -> None:
    half = JoinedEncoder(TaughtClip(), ToyReader(), None)  # type: ignore[arg-type]
    rows = unit(half.encode_images([*drawings, photograph("pizza")]))
    scores = half.encode_texts([f"{NAMES[1]} {SHAPES[0]}"])[0] @ rows.T
    assert scores.argmax() == len(SHAPES)


def test_what_looks_neither_drawn_nor_taken_is_in_between() -> None:
    assert share_of(np.array([-5.0, 0.0, 1.0, 5.0], np.float32)).tolist() == [0.0, 0.5, 0.75, 1.0]
