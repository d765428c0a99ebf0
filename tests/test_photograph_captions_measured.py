"""The benchmark's measure of captions: which words are things, and when a word that is said is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.photographs.captions import as_table, colours_in, compare, measure
from benchmarks.photographs.words import Nouns
from cir.errors import MissingModel

# id, names, kind of: a little WordNet
SYNSETS = {
    "00001930": ("physical_entity", ""),
    "00000010": ("animal", "00001930"),
    "00000011": ("dog", "00000010"),
    "00000012": ("pug", "00000011"),
    "00000013": ("goat", "00000010"),
    "00000014": ("balloon", "00001930"),
    "00000015": ("hot_air_balloon", "00000014"),
    "00000016": ("person", "00001930"),
    "00000017": ("man", "00000016"),
    "00000018": ("leaf", "00001930"),
    "00000019": ("bat", "00000010"),
    "00000020": ("bat", "00000023"),
    "00000021": ("idea", ""),
    "00000022": ("open", "00001930"),
    "00000023": ("club", "00001930"),
}


@pytest.fixture
def nouns(tmp_path: Path) -> Nouns:
    lines, senses = [], {}
    for offset, (name, kind) in SYNSETS.items():
        pointers = f"001 @ {kind} n 0000" if kind else "000"
        lines.append(f"{offset} 05 n 01 {name} 0 {pointers} | what it is")
        senses.setdefault(name, []).append(offset)
    (tmp_path / "data.noun").write_text("  1 a licence\n" + "\n".join(lines) + "\n")
    index = [f"{name} n {len(o)} 1 @ {len(o)} 0 {' '.join(o)}" for name, o in senses.items()]
    (tmp_path / "index.noun").write_text("  1 a licence\n" + "\n".join(index) + "\n")
    (tmp_path / "cntlist.rev").write_text("open%1:06:00:: 1 2\nopen%3:00:01:: 1 90\ndog%1:05:00:: 1 42\n")
    return Nouns(tmp_path)


def test_things_are_named_in_the_singular_and_by_their_longest_name(nouns: Nouns) -> None:
    assert nouns.named("Two men and goats under hot air balloons") == ["man", "goat", "hot air balloon"]
    assert nouns.named("people with leaves") == ["person", "leaf"]


def test_what_is_no_thing_and_what_is_mostly_no_noun_is_not_named(nouns: Nouns) -> None:
    assert nouns.named("an open idea, red and black, of a quux") == []


def test_a_kind_and_what_is_of_that_kind_are_the_same_and_neighbours_are_not(nouns: Nouns) -> None:
    assert nouns.same("animal", "goat")
    assert nouns.same("pug", "dog")
    assert not nouns.same("dog", "goat")
    assert nouns.same("bat", "animal")  # one of its meanings is
    assert not nouns.same("person", "animal")


def test_rarer_meanings_count_only_where_all_do(nouns: Nouns) -> None:
    commonest = Nouns(nouns.folder, 1)
    assert nouns.same("bat", "club")
    assert not commonest.same("bat", "club")
    assert commonest.same("bat", "animal")


def test_precision_is_of_what_is_said_and_recall_of_what_is_written(nouns: Nouns) -> None:
    found = measure(
        ["a photograph of a pug and a balloon, black", "a photograph of an animal"],
        ["a dog with a man, black or gray", "a goat"],
        nouns,
        nouns,
    )
    things, colours = found["things"], found["colours"]
    assert (things["said"], things["precision"]) == (3, 66.7)  # the balloon is not written
    assert (things["written"], things["recall"]) == (3, 66.7)  # the man is not said
    assert (colours["precision"], colours["recall"]) == (100.0, 50.0)
    assert "| things | 3 | 66.7 |" in as_table(found)


def test_nothing_said_is_neither_right_nor_wrong() -> None:
    found = compare([[]], [["dog"]], str.__eq__)
    assert (found["said"], found["precision"], found["recall"]) == (0, None, 0.0)


def test_colours_are_known_by_their_names() -> None:
    assert colours_in("A golden, gray and red coloured thing; red again") == ["yellow", "grey", "red"]


def test_without_wordnet_it_is_said_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="WordNet"):
        Nouns(tmp_path)
