"""How photographs are read: colours and light from pixels, names from classes, texts by lexicon and paraphrase."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cir.errors import MissingModel, UnsafeFile
from cir.models.photographs.captions import OPENING, JoinedCaptioner, PhotographCaptioner
from cir.models.photographs.ground import alone, plain_ground
from cir.models.photographs.knowledge import Knowledge, read_knowledge
from cir.models.photographs.lexicon import ATTRIBUTES, SAID_AS
from cir.models.photographs.light import light_of
from cir.models.photographs.meanings import meanings_of
from cir.models.photographs.reading import PhotographReader
from cir.models.photographs.seen import Seen
from cir.models.photographs.sentences import PhotographTexts
from cir.models.photographs.sureness import SCENES, Named, Names, Sureness, choose_names
from cir.training.photographs import class_groups, class_kinds, train_gate
from cir.training.wordnet import read_nouns

SIDE = 200


class WordSentences:
    """Every text has an axis of its own; some words lie beside another text's."""

    fingerprint = "words"

    def __init__(self) -> None:
        self.axes: dict[str, int] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 200), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[self.axes.setdefault(SAID_AS["red"] if text == "ruddy" else text, len(self.axes))] = 1.0
        return rows


def halves(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), bottom)
    picture.paste(top, (0, 0, SIDE, SIDE // 2))
    return picture


def said(texts: PhotographTexts, text: str) -> set[str]:
    row = texts.attributes([text])[0]
    return {name for name, strength in zip(ATTRIBUTES, row, strict=True) if strength > 0.5}


@pytest.mark.parametrize(
    ("picture", "strong", "weak"),
    [
        (Image.new("RGB", (SIDE, SIDE), (200, 20, 20)), {"red"}, {"blue", "sky", "greenery", "night"}),
        (
            halves((110, 160, 235), (60, 130, 50)),
            {"sky", "blue", "green", "greenery"},
            {"red", "snow", "night"},
        ),
        (halves((15, 15, 25), (8, 8, 10)), {"night", "dark", "black"}, {"bright", "sky", "snow"}),
        (halves((150, 190, 240), (235, 240, 250)), {"snow", "bright"}, {"night", "sunset", "red"}),
        (halves((230, 110, 40), (25, 15, 15)), {"sunset"}, {"snow", "greenery"}),
        (Image.linear_gradient("L"), {"monochrome"}, {"red", "green", "blue"}),
    ],
    ids=["red", "meadow", "night", "snow", "sunset", "grey"],
)
def test_pixels_tell_colours_and_light(picture: Image.Image, strong: set[str], weak: set[str]) -> None:
    found = light_of(picture)
    assert set(found) <= set(ATTRIBUTES)
    assert all(found[name] > 0.5 for name in strong), {name: found[name] for name in strong}
    assert all(found[name] < 0.2 for name in weak), {name: found[name] for name in weak}


def test_words_phrases_and_paraphrases_speak_of_attributes() -> None:
    texts = PhotographTexts(WordSentences(), np.zeros(200, np.float32), np.eye(200, dtype=np.float32))
    assert said(texts, "a crimson boat at night") == {"red", "vehicle", "night"}
    assert said(texts, "black and white portrait") == {"monochrome", "people"}
    assert said(texts, "something ruddy") == {"red"}  # not in the lexicon, but it means the same
    assert said(texts, "a xylophone") == set()


def toy_knowledge() -> Knowledge:
    concepts = np.eye(5, 8, dtype=np.float32)
    groups = np.zeros((5, len(ATTRIBUTES)), np.float32)
    groups[:3, ATTRIBUTES.index("animal")] = 1.0
    kinds = {"dog": (0, 1), "animal": (0, 1, 2)}
    return Knowledge(
        concepts,
        np.zeros(8, np.float32),
        np.eye(8, dtype=np.float32),
        groups,
        np.zeros(3, np.float32),
        ("beagle", "pug", "tabby", "ball", "pier"),
        kinds,
    )


@pytest.mark.parametrize(
    ("sureness", "names"),
    [
        ({"beagle": 0.9, "dog": 0.95, "animal": 0.95}, [Named("beagle")]),
        ({"beagle": 0.6, "dog": 0.9, "animal": 0.95}, [Named("dog", "beagle")]),
        ({"beagle": 0.4, "dog": 0.9, "animal": 0.95}, [Named("dog")]),
        ({"beagle": 0.3, "dog": 0.6, "animal": 0.8}, [Named("animal", "dog")]),
        ({"pug": 0.7, "ball": 0.6, "pier": 0.55}, [Named("pug"), Named("ball"), Named("pier")]),
        ({"dog": 0.8, "tabby": 0.7}, [Named("dog"), Named("tabby")]),
        ({"animal": 0.8, "tabby": 0.75, "beagle": 0.74}, [Named("tabby")]),  # no second name of one line
        ({"animal": 0.4, "ball": 0.3}, []),
    ],
)
def test_a_name_that_is_not_sure_gives_way_to_its_kind(
    sureness: dict[str, float], names: list[Named]
) -> None:
    assert choose_names(sureness, toy_knowledge().members) == names


def test_how_likely_a_name_is_right_follows_from_its_classes_and_from_the_whole_picture() -> None:
    names, logits = Names(toy_knowledge()), np.log([[0.5, 0.3, 0.1, 0.06, 0.04], [0.7, 0.1, 0.1, 0.06, 0.04]])
    seen = Seen(logits.astype(np.float32), False)
    sharp = np.exp(logits).mean(axis=0)
    soft = np.mean([np.exp(row / 2.5) / np.exp(row / 2.5).sum() for row in logits], axis=0)
    shown = soft / np.linalg.norm(soft)  # a class's concept is an axis of its own
    mass, best = soft[0] + soft[1], sharp[0]
    wanted = [np.log(mass / (1 - mass)), np.log(best / (1 - best)), (shown[0] + shown[1]) / 2**0.5, np.log(2)]
    evidence = names.things(seen)
    np.testing.assert_allclose(evidence["dog"], wanted, rtol=1e-4)
    only = Sureness(things=(1.0, 0.0, 0.0, 0.0, 0.5), scenes=(0.0, 2.0), biases=dict.fromkeys(SCENES, -1.0))
    assert only.of_things(evidence)["dog"] == pytest.approx(1 / (1 + (1 - mass) / mass * np.exp(-0.5)))
    (animal,) = (shown[:3].sum() / 3**0.5,)
    knowledge = toy_knowledge()
    knowledge.groups[:] = 0.0
    knowledge.groups[:3, ATTRIBUTES.index("people")] = 1.0
    scenes = Names(knowledge).scenes(seen)
    assert set(scenes) == {"people"}  # no class tells of anything else
    assert only.of_scenes(scenes)["people"] == pytest.approx(1 / (1 + np.exp(1 - 2 * animal)), rel=1e-4)


def test_what_either_source_finds_is_a_candidate() -> None:
    many = Knowledge(
        np.eye(1000, dtype=np.float32),
        np.zeros(8, np.float32),
        np.zeros((8, 1000), np.float32),
        np.zeros((1000, len(ATTRIBUTES)), np.float32),
        np.zeros(3, np.float32),
        tuple(f"class {i}" for i in range(1000)),
        {"half": tuple(range(500))},
    )
    logits = np.zeros((1, 1000), np.float32)
    logits[0, 0] = 5.7  # 0.23 of the probabilities, and 0.01 of the softened ones
    assert set(Names(many).things(Seen(logits, False))) == {"class 0", "half"}
    logits[0, 0] = 4.7  # 0.1, and less than 0.01
    assert set(Names(many).things(Seen(logits, False))) == {"half"}


def test_of_a_thing_alone_second_guesses_do_not_count() -> None:
    logits = np.log(np.array([[0.9, 0.06, 0.04]], np.float32))
    np.testing.assert_allclose(Seen(logits, True).classes(), [0.9, 0.06, 0.04], rtol=1e-5)
    assert Seen(logits, False).classes()[0] < 0.7


class ToyRecogniser:
    """Sees a beagle in everything; large pictures are photographs."""

    fingerprint = "toy"
    found: tuple[float, ...] = (0.99, 0.0025, 0.0025, 0.0025, 0.0025)

    def photograph_logits(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.array([9.0 if image.width > 100 else -9.0 for image in images], np.float32)

    def look(self, images: Sequence[Image.Image]) -> list[Seen]:
        return [Seen(np.log(np.array([self.found], np.float32)), False) for _ in images]


class DrawnCaptions:
    """Says the same of every drawing."""

    fingerprint = "drawn"

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        return [["a star"] * per_image for _ in images]


class SeesAProp(ToyRecogniser):
    """Sees a thing that tells of people by itself, or nothing sure."""

    def __init__(self, *classes: float) -> None:
        self.found = classes


def caption_of(picture: Image.Image, *classes: float, telling_of: str = "people") -> str:
    knowledge = toy_knowledge()
    knowledge.groups[:] = 0.0
    knowledge.groups[3, ATTRIBUTES.index(telling_of)] = 1.0  # the ball's class
    reader = PhotographReader(SeesAProp(*classes), knowledge)  # type: ignore[arg-type]
    sure = Sureness(things=(0.0, 1.0, 0.0, 0.0, 0.0), scenes=(1.0, 0.0), biases=dict.fromkeys(SCENES, 1.0))
    return PhotographCaptioner(reader, sure).caption(picture, 1)[0]


def test_classes_that_are_not_sure_still_tell_of_people_and_places() -> None:
    sea = halves((110, 160, 235), (70, 120, 200))  # blue: by its pixels alone it may be water
    ball = (0.2, 0.15, 0.05, 0.4, 0.2)
    assert caption_of(sea, *ball) == f"{OPENING} people, blue"
    assert caption_of(sea, *ball, telling_of="water") == f"{OPENING} a scene by the water, blue"
    assert caption_of(sea, *ball, telling_of="greenery") == f"{OPENING} a scene among green plants, blue"


def test_where_nothing_is_likelier_right_than_wrong_the_one_likeliest_is_said() -> None:
    grey = Image.new("RGB", (SIDE, SIDE), (120, 120, 120))
    unsure = (0.05, 0.05, 0.05, 0.05, 0.8)
    assert caption_of(grey, *unsure).startswith(f"{OPENING} a pier")
    knowledge, doubtful = (
        toy_knowledge(),
        Sureness((1.0, 0.0, 0.0, 0.0, -9.0), (0.0, 0.0), dict.fromkeys(SCENES, -99.0)),
    )
    reader = PhotographReader(SeesAProp(*unsure), knowledge)  # type: ignore[arg-type]
    assert PhotographCaptioner(reader, doubtful).caption(grey, 1)[0].startswith(f"{OPENING} a pier")


def test_what_a_thing_tells_of_by_itself_is_not_said_again() -> None:
    grey = Image.new("RGB", (SIDE, SIDE), (120, 120, 120))
    assert caption_of(grey, 0.02, 0.02, 0.02, 0.9, 0.04).startswith(f"{OPENING} a ball")
    assert "people" not in caption_of(grey, 0.02, 0.02, 0.02, 0.9, 0.04)


@pytest.mark.parametrize("dark", [(8, 8, 10), (15, 15, 25)])
def test_no_caption_tells_a_time_of_day_by_darkness_nor_snow_by_whiteness(dark: tuple[int, int, int]) -> None:
    for picture in (halves(dark, (8, 8, 10)), halves((150, 190, 240), (235, 240, 250))):
        caption = caption_of(picture, 0.9, 0.02, 0.02, 0.01, 0.05)
        assert not {"night", "sunset", "snow"}.intersection(caption.replace(",", "").split())


def test_a_caption_says_as_which_of_the_two_a_picture_was_read() -> None:
    reader = PhotographReader(ToyRecogniser(), toy_knowledge())  # type: ignore[arg-type]
    captioner = JoinedCaptioner(DrawnCaptions(), PhotographCaptioner(reader))
    red, drawing = Image.new("RGB", (SIDE, SIDE), (200, 20, 20)), Image.new("RGB", (50, 50), (200, 20, 20))
    of_photograph, of_drawing = captioner.caption([red, drawing], per_image=3, seed=0)
    assert of_drawing == ["a star"] * 3
    assert of_photograph[0] == f"{OPENING} a beagle, red"
    assert len(of_photograph) == 3
    assert captioner.fingerprint == "drawn"  # what was written of drawings stays valid


NOUNS = """  1 a licence
00000001 03 n 01 animal 0 000 | a living thing; "it moves"
00000002 05 n 02 dog 0 domestic_dog 0 001 @ 00000001 n 0000 | barks
00000003 05 n 01 pug 0 002 @ 00000002 n 0000 ~ 00000009 n 0000 | a small dog
00000004 05 n 01 beagle 0 001 @ 00000002 n 0000 | a hound
00000005 06 n 01 street_sign 0 000 | a board
"""


def test_wordnet_tells_kinds_groups_and_meanings(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(NOUNS)
    nouns = read_nouns(tmp_path)
    assert nouns["n00000002"].names == ("dog", "domestic dog")
    assert nouns["n00000001"].gloss == "a living thing"
    ids = ["n00000003", "n00000004", "n00000005"]
    assert class_kinds(nouns, ids) == {"animal": [0, 1], "dog": [0, 1]}
    groups = class_groups(nouns, ids)
    assert groups[:, ATTRIBUTES.index("street")].tolist() == [0, 0, 1]


def test_a_missing_or_strange_wordnet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="wordnet-base"):
        read_nouns(tmp_path)
    (tmp_path / "data.noun").write_text("no such thing")
    with pytest.raises(UnsafeFile, match="not a file of WordNet"):
        read_nouns(tmp_path)


def test_the_gate_learns_to_tell_photographs_from_drawings() -> None:
    rng = np.random.default_rng(0)
    photographs = rng.normal(size=(60, 20)).astype(np.float32)
    drawings = rng.normal(size=(200, 20)).astype(np.float32)
    photographs[:, 3] += 6
    gate, right = train_gate(photographs, drawings)
    assert right > 0.97
    assert (photographs @ gate[:-1] + gate[-1] > 0).mean() > 0.97
    assert (drawings @ gate[:-1] + gate[-1] < 0).mean() > 0.97


def test_what_is_known_of_photographs_is_refused_when_it_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="train photographs"):
        read_knowledge(tmp_path)
    for name in ("knowledge.safetensors", "classes.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UnsafeFile, match="cannot be read"):
        read_knowledge(tmp_path)


def before(ground: tuple[int, int, int], thing: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    picture.paste(thing, (20, 60, 120, 140))
    return picture


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), (235, 240, 250)])
def test_a_plain_ground_is_no_night_and_no_snow_and_has_no_colour(ground: tuple[int, int, int]) -> None:
    light = light_of(before(ground, (200, 20, 20)))
    assert {name for name, strength in light.items() if strength > 0.1} == {"red"}


def test_a_thing_before_a_plain_ground_is_cut_out_and_nothing_else_is() -> None:
    picture = before((0, 0, 0), (200, 20, 20))
    ground = plain_ground(picture)
    assert ground is not None
    square = alone(picture, ground, 0.0)
    assert square.width == square.height
    assert abs(square.width - 100) <= 4  # the thing is 100 wide
    assert square.getpixel((square.width // 2, square.height // 2)) == (200, 20, 20)
    assert square.getpixel((square.width // 2, 1)) == (0, 0, 0)
    assert plain_ground(halves((110, 160, 235), (60, 130, 50))) is None
    assert plain_ground(Image.new("RGB", (SIDE, SIDE), (200, 20, 20))) is None  # nothing stands before it


@pytest.mark.parametrize("text", ["dingo", "a dingo", "Dingoes", "the dingos"])
def test_one_noun_is_read_together_with_its_meaning(text: str) -> None:
    assert meanings_of(text) == ["dingo, wolflike yellowish-brown wild dog of Australia"]


def test_a_sentence_and_an_unknown_noun_are_read_as_they_are() -> None:
    assert not meanings_of("a dingo in the snow")
    assert not meanings_of("quux")
    assert not meanings_of("")


def test_a_noun_lies_nearer_to_what_it_means() -> None:
    encoder = WordSentences()
    texts = PhotographTexts(encoder, np.zeros(200, np.float32), np.eye(200, dtype=np.float32))
    alone_, meant = texts.concepts(["dingo", *meanings_of("dingo")])
    assert alone_ @ meant == pytest.approx(2 / np.sqrt(5))
    assert alone_ @ encoder.encode(["dingo"])[0] == pytest.approx(1 / np.sqrt(5))
