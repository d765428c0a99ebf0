"""The book of wordings: what it reads, what it leaves to others, and that what is shipped of it is up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cir.application.language_model import frequent_words
from cir.evaluation.benchmark import read_benchmark
from cir.models.catalog import SHIPPED, sentence_encoder_folder
from cir.models.clip import load_clip
from cir.models.protocols import SentenceEncoder
from cir.models.sentence_encoder import load_sentence_encoder
from cir.phrasebook import Phrasebook, book, denials, reading
from cir.phrasebook.book import book_key, encode_book, nouns, read_book, read_encoded
from cir.phrasebook.orders import KINDS
from cir.phrasebook.second_wording import both_wordings
from cir.phrasebook.slips import corrected
from cir.rewording import things_seen
from cir.training.data import training_edit
from cir.translating import NOT_READ
from cir.world.reading import nouns_in
from cir.world.vocabulary import BACKGROUNDS, TIMES, load_nouns

VALIDATION_WORDINGS = Path(__file__).parent / "data" / "validation-wordings.jsonl"
NEGATIONS = VALIDATION_WORDINGS.with_name("wordings-with-negations.jsonl")
WORDINGS_BY_REGISTER = VALIDATION_WORDINGS.with_name("validation-wordings-by-register.jsonl")


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_sentence_encoder(sentence_encoder_folder(), device="cpu")


@pytest.fixture(scope="module")
def reader(encoder) -> Phrasebook:
    words = frequent_words(encoder)
    return Phrasebook(lambda: encoder, lambda word: word in words)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("scrub the cow from this", "remove the cow"),
        ("have the penguins walked away?", "remove the penguins"),
        ("would love a cactus over there", "add a cactus"),
        ("also stick two penguins on it", "add two penguins"),
        ("a red umbrella shows up beside them", "add a red umbrella"),
        ("cow out, penguin in", "replace the cow with a penguin"),
        ("what was a pizza is a cactus today", "replace the pizza with a cactus"),
        ("prefer a guitar to that umbrella", "replace the umbrella with a guitar"),
        ("a cactus in lieu of the cow", "replace the cow with a cactus"),
        ("three cows would be better", "make it three cows"),
        ("make do with a single penguin", "make it one penguin"),
        ("I need a pair of umbrellas", "make it two umbrellas"),
        ("whittle it down to one cow", "make it one cow"),
        ("bump the cows up to three", "make it three cows"),
        ("take the two cows away", "remove the cows"),
        ("the guitar, only in crimson", "make the guitar red"),
        ("spray the guitar blue", "make the guitar blue"),
        ("I fancy a much bigger cow", "make the cow bigger"),
        ("the cow could be tinier", "make the cow smaller"),
        ("transport everybody to the seashore", "the same but on the beach"),
        ("somewhere hot and dry with dunes", "the same but in the desert"),
        ("it has snowed everywhere", "the same but in the snow"),
        ("sunk to the ocean floor", "the same but under water"),
        ("wait until midnight", "the same at night"),
        ("as the evening draws near", "the same at sunset"),
        ("ditch the cow and bring in two penguins", "replace the cow with two penguins"),
        ("lose the pizza, and have it at midnight", "remove the pizza and the same at night"),
        ("turn the cow into a penguin and paint it blue", "replace the cow with a penguin and make the penguin blue"),
        ("teh same place, after nightfall", "the same at night"),
        ("the cow has left and it is night", "remove the cow and the same at night"),
        ("the night is over", "the same by day"),
        ("it is no longer dark", "the same by day"),
        ("the scene is lit by the setting sun", "the same at sunset"),
        ("a cow lies on the ground next to it", "add a cow"),
        ("please, could you lose the cow", "remove the cow"),
        ("by the sea at sundown", "the same but on the beach and the same at sunset"),
        ("remvoe the cow", "remove the cow"),
        ("swpa the pengiun for a guitar", "replace the penguin with a guitar"),
        ("put it in teh snwo", "the same but in the snow"),
        ("maek it thre cwos", "make it three cows"),
        ("tow pizzas, not oen", "make it two pizzas"),
        ("ditch the cow and the pizza", "remove the cow and remove the pizza"),
        ("double the cacti", "make it two cacti"),
        ("trim it back to two cows", "make it two cows"),
        ("both cows should be ginormous", "make the cows bigger"),
        ("a telly in the cow's place", "replace the cow with a television"),
        ("swap the cow for a penguin, a tiny one", "replace the cow with a penguin and make the penguin smaller"),
        ("chuck in two cacti and put it on the motorway", "add two cacti and the same but on the road"),
        ("the pizza has grown and is out on a meadow", "make the pizza bigger and the same but in a grassy field"),
    ],
)  # fmt: skip
def test_an_edit_in_other_words_is_read_as_the_order_that_it_means(reader, typed: str, plain: str) -> None:
    assert reader.read(typed) == plain


@pytest.mark.parametrize(
    "typed",
    [
        "make it look like a painting",
        "turn the picture upside down",
        "something completely different",
        "the dog is running",
        "the dog looks sad",
        "a dog wearing a hat",
        "a dog",
        "the dog",
        "more dogs",
        "the dog is on the couch",
        "a cat sitting next to a dog",
        "the cat sits on the sofa",
        "show the dog from behind",
        "in the bathroom",
        "at the airport",
        "add a lighthouse",
        "the same picture please",
        "",
        "?!",
        "the the the",
    ],
)
def test_what_the_world_cannot_be_asked_for_is_left_to_others(reader, typed: str) -> None:
    assert reader.read(typed) == ""


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("not at night", ""),
        ("it's not sunset anymore", ""),
        ("no longer in the snow", ""),
        ("get it out of the snow", ""),
        ("anywhere but the beach", ""),
        ("not on the beach but in the forest", "the same but in the forest"),
        ("I dont want it in the snow, put it at the beach", "the same but on the beach"),
        ("not on the beach by the sea", ""),
        ("it isn't night yet, the sun is just setting", "the same at sunset"),
        ("it isn't out there any longer but in a carpeted room", "the same but in a living room"),
        ("it's evening light rather than the light from before", "the same at sunset"),
        ("wouldnt the desrt be nicer for this", "the same but in the desert"),
        ("instead of night, day", "the same by day"),
        ("the garden isn't the right place, space is", "the same but in space"),
        ("any colour but red", ""),
        ("less red", ""),
        ("the cow should not be red", ""),
        ("the cow shouldn't be red but blue", "make the cow blue"),
        ("two cows, not in blue, in green", "two green cows instead"),
        ("make the cow green, sorry, I mean yellow", "make the cow yellow"),
        ("anything but big", ""),
        ("not so big a cow", "make the cow smaller"),
        ("the cow is not big enough", "make the cow bigger"),
        ("why don't you make it night", "the same at night"),
        ("wouldn't it be nice on the beach?", "the same but on the beach"),
    ],
)
def test_fault_267_a_place_a_time_a_colour_or_a_size_that_is_denied_is_not_ordered(
    reader, typed: str, plain: str
) -> None:
    assert reader.read(typed) == plain


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("don't remove the cow", ""),
        ("dont touch the cow, add a pizza", "add a pizza"),
        ("without changing anything else, make it night", "the same at night"),
        ("never mind the cow, add a pizza", "add a pizza"),
        ("no need to remove the cow, just make it night", "the same at night"),
        ("don't forget the cow", "add a cow"),
        ("dont forget to make it night", "the same at night"),
        ("rather than removing the cow, make the pizza tiny", "make the pizza smaller"),
        ("ditch the cow, not the pizza", "remove the cow"),
        ("a cow, not a pizza", "replace the pizza with a cow"),
        ("how many cows are there?", ""),
        ("neither the cow nor the pizza", "remove the cow and remove the pizza"),
        ("not a single cow", "remove the cow"),
        ("I don't need three cows, one will do", "make it one"),
        ("is it day?", ""),
        ("is there a cow?", ""),
        ("is it possible to have it at night?", "the same at night"),
        ("hey computer show me a damn cow", "add a cow"),
        ("a violin made of ice", ""),
    ],
)
def test_fault_268_what_is_forbidden_or_only_asked_is_not_ordered(reader, typed: str, plain: str) -> None:
    assert reader.read(typed) == plain


@pytest.mark.parametrize(("half", "least"), [("repair", 29), ("judge", 32)])
def test_sentences_with_negations_are_read_as_meant_or_left_alone(reader, half: str, least: int) -> None:
    rows = [json.loads(line) for line in NEGATIONS.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["half"] == half]
    meant = [
        set(reader.read(row["plain"]).split(" and ")) == set(reader.read(row["text"]).split(" and "))
        for row in rows
    ]
    assert (len(rows), sum(meant) >= least) == (45, True), sum(meant)


def test_words_that_deny_and_forbid_in_any_order_only_leave_words_out() -> None:
    words = [
        "not",
        "rather",
        "than",
        "any",
        "but",
        "only",
        "don't",
        "touch",
        "never",
        "mind",
        "out",
        "of",
        "without",
        "changing",
        "neither",
        "nor",
        "red",
        "the",
        "cow",
        ",",
        "night",
        "big",
    ]
    rng = np.random.default_rng(0)
    for _ in range(2000):
        tokens = list(rng.choice(words, 8))
        left = denials.without_forbidden(tokens)
        assert {*left} <= {*tokens, "remove", "and"}
        assert len(denials.denied(left)[0]) <= len(left)


def test_no_thing_that_is_named_is_lost_and_none_is_made_up(reader) -> None:
    rng = np.random.default_rng(0)
    names = [
        name for name, (_, plural) in nouns().items() if not plural and " " not in name and nouns_in(name)
    ]
    for line in (
        "kindly dispose of the {}",
        "it would be great to have a {} around",
        "exchange that {} against a {}",
    ):
        for _ in range(15):
            typed = line.format(*rng.choice(names, line.count("{}"), replace=False))
            plain = reader.read(typed)
            assert not plain or nouns_in(plain) == nouns_in(typed), typed


def test_slips_are_put_right_but_english_words_are_not_taken_for_slips() -> None:
    known = {"chat", "house", "brown", "ad"}
    assert corrected("Remvoe teh pengiun!, adn ad a gutiar", known.__contains__) == [
        "remove", "the", "penguin", ",", "and", "add", "a", "guitar",
    ]  # fmt: skip
    assert corrected("chat brown", known.__contains__) == ["chat", "brown"]
    assert corrected("xqzzy", known.__contains__) == ["xqzzy"]


@pytest.mark.parametrize(
    "typed", ["kick out the cow, " * 9, "and " * 40, ", ".join("abcdefghij"), "x" * 5000, "remvoe teh " * 18]
)
def test_an_edit_of_very_many_parts_is_left_to_others_and_takes_no_long_search(reader, typed: str) -> None:
    encoded: list[str] = []
    encoder = reader._encoder()

    class Watched:
        fingerprint = encoder.fingerprint

        def encode(self, texts):
            encoded.extend(texts)
            return encoder.encode(texts)

    assert Phrasebook(Watched).read(typed) == ""
    assert len(encoded) < 300


def test_the_book_has_what_is_written_in_it_about_any_thing(reader) -> None:
    assert reader.has("get rid of the cow")
    assert reader.has("get rid of the cow, and the same scene at midnight")
    assert not reader.has("scrub the cow from this")


def test_without_a_sentence_encoder_nothing_is_read() -> None:
    assert Phrasebook(lambda: None).read("ditch the cow") == ""


def test_every_kind_of_order_has_wordings_and_each_wording_is_read_as_its_kind(reader) -> None:
    wordings = read_book().wordings
    assert {wording.kind for wording in wordings} == set(KINDS)
    misread = []
    for wording in wordings[::5]:
        kind = KINDS[wording.kind]
        said = reader.naming.said(wording.text.split(), None)
        if kind.form != "typed" and len(said.things) == kind.things and "other" not in wording.kind:
            meant = kind.order(said, wording.value, wording.swapped)
            misread += (
                []
                if reader.read(wording.text) in (meant, "")
                else [(wording.text, reader.read(wording.text))]
            )
    assert len(misread) <= 0.05 * len(wordings[::5]), misread


# Of those to judge by, when it was measured: 123 of 131 and 96 of 106; by the book as it was when they were written, 102 and 82.
SHARES_READ_RIGHT = {VALIDATION_WORDINGS: 0.92, WORDINGS_BY_REGISTER: 0.88}


@pytest.mark.parametrize("path", SHARES_READ_RIGHT, ids=lambda path: path.stem)
def test_other_wordings_of_validation_edits_that_the_book_was_not_written_from_are_read_right(
    reader, path: Path
) -> None:
    """Those to judge by: `share` "work" is what the book may be repaired by. What a picture shows is what CLIP tells of it."""
    clip, benchmark = load_clip(SHIPPED / "clip", device="cpu"), read_benchmark("world-validation")
    see = things_seen(clip.encode_images, clip.encode_texts)
    references = {query.query_id: query.reference_id for query in benchmark.queries}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    right = []
    for row in rows:
        if row["share"] == "judge":
            seen = see(benchmark.picture(references[row["query_id"]]))
            meant = [set(orders) for orders in (row["orders"], *row.get("or", []))]
            right += [
                set(reader.read(text, seen).split(" and ")) in meant for text in row["wordings"].values()
            ]
    assert len(right) >= 100
    assert sum(right) >= SHARES_READ_RIGHT[path] * len(right), f"{sum(right)} of {len(right)}"


def test_the_two_halves_of_the_wordings_by_register_have_every_kind_of_edit_and_each_edit_one_wording() -> (
    None
):
    kinds = {query.query_id: query.kind for query in read_benchmark("world-validation").queries}
    rows = [json.loads(line) for line in WORDINGS_BY_REGISTER.read_text(encoding="utf-8").splitlines()]
    worked = {json.loads(line)["query_id"] for line in VALIDATION_WORDINGS.read_text("utf-8").splitlines()}
    ids = [row["query_id"] for row in rows]
    assert len(ids) == len(set(ids)) >= 200
    assert worked.isdisjoint(ids)
    for share in ("work", "judge"):
        of = [row for row in rows if row["share"] == share]
        assert {kinds[row["query_id"]] for row in of} == set(kinds.values())
        assert len({register for row in of for register in row["wordings"]}) == 15


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("three cows, not two", "make it three cows"),
        ("three, not two cows", "make it three cows"),
        ("from one cow to two", "make it two cows"),
        ("only one of the two cows is left", "make it one cow"),
        ("a third cow has joined the other two", "make it three cows"),
        ("there used to be two cows, now there is just one cow", "make it one cow"),
        ("two cows aren't enough, make it three", "make it three cows"),
        ("cow x3", "make it three cows"),
        ("instead of two cows there should be three of them", "make it three cows"),
    ],
)
def test_of_several_numbers_the_one_that_is_wanted_is_told(reader, typed: str, plain: str) -> None:
    assert reader.read(typed, {"cow": 4.0}) == plain


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("same two cows, in the desert", "the same but in the desert"),
        ("same big cow, at night", "the same at night"),
        ("the same red cow but on the beach", "the same but on the beach"),
        ("same cow, bigger", "make the cow bigger"),
        ("same cow, three of them", "make it three cows"),
    ],
)
def test_what_is_said_of_the_same_thing_is_no_order(reader, typed: str, plain: str) -> None:
    assert reader.read(typed) == plain


def test_black_and_white_is_no_colour_of_a_thing(reader) -> None:
    assert reader.read("black and white") == ""


@pytest.mark.parametrize(
    "typed", ["a penguin stands in place of the cow", "the cow's place belongs to a penguin"]
)
def test_the_picture_tells_which_of_two_things_is_the_old_one(reader, typed: str) -> None:
    assert reader.read(typed, {"cow": 4.0, "penguin": -2.5}) == "replace the cow with a penguin"


def test_one_removed_and_one_added_is_one_replaced(reader) -> None:
    assert reader.read("ditch the cow and bring in two penguins, at midnight") == (
        "replace the cow with two penguins and the same at night"
    )


def test_a_number_said_with_a_colour_is_told_with_it(reader) -> None:
    assert reader.read("I'd like three cows in blue", {"cow": 4.0}) == "three blue cows instead"
    assert reader.read("I'd like three cows in blue", {"cow": -2.5}) == "add three blue cows"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("make the cow lage", "make the cow large"),
        ("ake the cow red", "make the cow red"),
        ("there are there cows now", "there are three cows now"),
        ("make it to cows", "make it two cows"),
        ("without the nake", "without the snake"),
        ("with a robot oo", "with a robot too"),
        ("add a tedy ber", "add a teddy bear"),
        ("two aple leaves", "two maple leaves"),
        ("add thehat andthen removethe cows", "add the hat and then remove the cows"),
        ("make thetreebigger", "make the tree bigger"),
        ("two basketballsnow", "two basketballs now"),
        ("without the ballon", "without the balloon"),
        ("the same btu in the forset", "the same but in the forest"),
        ("paint the hat re", "paint the hat red"),
        ("ad a bi hat", "add a big hat"),
        ("has there red tents as well", "has three red tents as well"),
        ("make thee laptop tiny", "make the laptop tiny"),
        ("put a tv on it", "put a tv on it"),
        ("turn the cars to bikes", "turn the cars to bikes"),
        ("turn the hot dogs to small bikes", "turn the hot dogs to small bikes"),
        ("remove the catfish", "remove the catfish"),
        ("add a treehouse", "add a treehouse"),
        ("a sunhat and a doghouse", "a sunhat and a doghouse"),
        ("move it to the beach", "move it to the beach"),
        ("put a cow there", "put a cow there"),
    ],
)
def test_what_stands_beside_a_slip_tells_what_was_meant(typed: str, meant: str) -> None:
    assert corrected(typed, {"put", "move"}.__contains__) == meant.split()


def test_what_the_picture_shows_decides_between_adding_and_counting(reader) -> None:
    assert reader.read("two cows over there", {"cow": -2.5}) == "add two cows"
    assert reader.read("two cows over there", {"cow": 4.0}) == "make it two cows"


def test_a_number_a_colour_a_size_or_a_place_that_was_said_is_not_passed_over(reader) -> None:
    assert reader.read("a huge purple cow stands there", {"cow": -2.5}) == "add a big purple cow"
    assert reader.read("cut it down to one cow") == "make it one cow"
    assert reader.read("the cow is red and stands in the kitchen") == (
        "make the cow red and the same but in the kitchen"
    )


def test_a_slip_that_makes_another_known_word_is_no_taught_wording(reader) -> None:
    for typed in ("there are to foxes now", "replace the sunflowers with tree lions", "make it too cows"):
        assert not reader.is_taught(typed), typed
    assert reader.read("there are to foxes now") == "make it two foxes"


def test_all_that_the_grammar_writes_is_taught_and_other_wordings_of_known_words_are_not(reader) -> None:
    rng = np.random.default_rng(11)
    edits = [training_edit(rng)[1].text for _ in range(400)]
    assert [text for text in edits if not reader.is_taught(text)] == []
    clip = load_clip(SHIPPED / "clip", device="cpu")
    rows = [json.loads(line) for line in VALIDATION_WORDINGS.read_text(encoding="utf-8").splitlines()]
    others = [text for row in rows for text in row["wordings"].values() if clip.known([text])[0] == 1]
    assert len(others) > 30
    assert [text for text in others if reader.is_taught(text)] == ["a huge guitar instead of the butterfly"]


def test_what_is_shipped_of_the_book_is_what_the_encoder_makes_of_it_now(encoder) -> None:
    shipped, now = read_encoded(encoder.fingerprint), encode_book(encoder)
    assert shipped is not None, "python scripts/encode_wordings.py"
    for name, rows in now.items():
        np.testing.assert_allclose(shipped[name], rows, atol=2e-3)
    assert read_encoded("another encoder") is None
    assert book_key("another encoder") != book_key(encoder.fingerprint)


def test_a_damaged_file_of_rows_is_made_anew(encoder, monkeypatch, tmp_path) -> None:
    made, shipped = [], read_encoded(encoder.fingerprint)
    monkeypatch.setattr(reading, "encode_book", lambda by: made.append(by) or shipped)
    monkeypatch.setattr(book, "ENCODED", tmp_path / "wordings.safetensors")
    (tmp_path / "wordings.safetensors").write_bytes(b"no rows")
    assert read_encoded(encoder.fingerprint) is None
    assert Phrasebook(lambda: encoder).read("get rid of the cow") == "remove the cow"
    assert made == [encoder]


@pytest.mark.parametrize(
    "typed",
    [
        "could you get rid of everything green and throw in a pair of doggos?",
        "make it look like a painting and remove the dog",
        "turn the camera around, then add three whales",
        "crop it, and make the dog bigger",
    ],
)
def test_an_order_is_not_passed_over_because_the_one_beside_it_cannot_be_read(reader, typed: str) -> None:
    """As a whole each is most like another order, some of them for the opposite; told are both or none."""
    assert reader.read(typed) == ""


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("write hello on the sign and take the bus away", "remove the bus"),
        ("put a border around it; and take away the umbrella", "remove the umbrella"),
        ("remove the cow, and add two penguins", "replace the cow with two penguins"),
        ("a penguin in the cow's place", "replace the cow with a penguin"),
    ],
)
def test_what_can_be_read_of_an_edit_is_told_where_its_order_is(reader, typed: str, plain: str) -> None:
    assert reader.read(typed) == plain


@pytest.mark.parametrize(
    ("orders", "second"),
    [
        ("remove the hot dogs", "without the hot dogs"),
        ("add two big red cows", "with two big red cows too"),
        ("replace the cow with a red hat", "a red hat instead of the cow"),
        ("make it one cow", "there is one cow now"),
        ("make it three cows", "there are three cows now"),
        ("make the ice cream bigger", "make the ice cream big"),
        ("make the cows smaller", "make the cows small"),
        ("make the ice cream blue", "paint the ice cream blue"),
        ("the same but in the desert", "move it in the desert"),
        ("the same at night", "make it at night"),
        ("remove the cow and the same at night", "without the cow and make it at night"),
    ],
)
def test_plain_orders_have_a_second_wording_that_was_taught_too(reader, orders: str, second: str) -> None:
    assert both_wordings(orders) == (orders, second)
    assert all(reader.is_taught(order) for order in second.split(" and "))


@pytest.mark.parametrize(
    "orders",
    [
        "make it red",
        "three red cows instead",
        "make it two",
        "make it red and add a cow",
        "make the dog jump",
        "make the sky dark",
        "make the dog happier",
        "the same but bigger",
        "the same dog at night",
        "the same scene but at night",
        "the same by the window",
        "add a dog and a cat",
        "add a man with a red umbrella",
        "replace the dog with a cat and a hat",
        "remove the dog from the left",
        "make it one of them",
        "make it two bigger dogs",
    ],
)
def test_what_is_no_plain_order_of_the_book_is_said_once(orders: str) -> None:
    """A language model's plainer words are orders of other things, too: "paint the dog jump" would be another."""
    assert both_wordings(orders) == (orders,)


def test_every_plain_order_about_every_thing_has_a_second_wording() -> None:
    for singular, plural in (noun.names[0] for noun in load_nouns().values()):
        for order in (
            f"remove the {singular}",
            f"add two big red {plural}",
            f"replace the {plural} with {'an' if singular[0] in 'aeiou' else 'a'} {singular}",
            f"make it one {singular}",
            f"make it three {plural}",
            f"make the {plural} bigger",
            f"make the {singular} black",
        ):
            assert len(both_wordings(order)) == 2, order
    for phrases in BACKGROUNDS.values():
        assert len(both_wordings(f"the same but {phrases[0]}")) == 2
    for phrases in TIMES.values():
        assert len(both_wordings(f"the same {phrases[0]}")) == 2


def test_fault_243_what_the_note_says_can_be_asked_for_is_taught_or_read(reader) -> None:
    examples = re.findall("“(.+?)”", NOT_READ)
    assert len(examples) == 8
    assert [text for text in examples if not reader.is_taught(text) and not reader.read(text)] == []


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("dog -> cat", "replace the dog with a cat"),
        ("dog→two foxes", "replace the dog with two foxes"),
        ("+ small fox", "add a small fox"),
        ("-dog, +fox", "replace the dog with a fox"),
        ("3 dogs + cat", "make it three dogs and add a cat"),
        ("same @ night", "the same at night"),
        ("w/o dog", "remove the dog"),
        ("dog = red", "make the dog red"),
        ("it's night! remove the dog", "the same at night and remove the dog"),
        ("beach bg / night", "the same but on the beach and the same at night"),
        ("small fox too", "add a small fox"),
    ],
)
def test_fault_244_signs_and_notes_without_articles_are_read_as_what_they_stand_for(
    reader, typed: str, plain: str
) -> None:
    assert reader.read(typed, {"dog": 3.0, "fox": -2.0, "cat": -2.0}) == plain


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("a fox instead of the dog, and make it red", "replace the dog with a fox and make the fox red"),
        ("replace the dog with a fox, and make it red", "replace the dog with a fox and make the fox red"),
        (
            "where the dog was there's a pig, and it's green",
            "replace the dog with a pig and make the pig green",
        ),
        ("add a fox, it's night", "add a fox and the same at night"),
        ("remove the dog, and it is in the woods now", "remove the dog and the same but in the forest"),
    ],
)
def test_fault_245_it_is_the_new_thing_and_nothing_where_a_place_or_time_is_told(
    reader, typed: str, plain: str
) -> None:
    assert reader.read(typed, {"dog": 3.0, "fox": -2.0, "pig": -2.0}) == plain
