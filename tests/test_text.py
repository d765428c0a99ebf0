"""What a person typed, cleaned: what says something stays, what hides or steers goes, and both are told."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from cir.errors import BadQuery
from cir.text import MAX_CHARACTERS, clean_text

STEERING = (
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"  # bidirectional controls
    "\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad\u034f\u180e\u115f\u1160\u2800"  # nothing to be seen
    "\U000e0001\U000e0041\U000e0061\U000e007f\U000e01ef"  # tags
    "\x00\x07\x1b\x7f\x9b\ud800\ufff9\ufffe\U0010ffff"
)
SAYING = (
    "👩‍👧",
    "🧑🏽‍🚀",
    "❤️‍🔥",
    "🏳️‍🌈",
    "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",  # the flag of Wales
    "می‌خواهم",  # Persian: ZWNJ between prefix and verb
    "क्‍ष",  # Devanagari: ZWJ asks for the half form
    "ශ්‍රී",  # Sinhala
    "\U0001faea \U0001f8ff",  # emoji that no table of today knows
    "\u0378",  # no character yet
    "葛\U000e0100",  # a variant of a Han character
    "in the snow ❄️",
    "在雪地里",
    "في الثلج",
    "under $5",
    "US$100",
    "[$]",
)


@pytest.mark.parametrize("value", [1, 2.0, [], {}, True, b"x"])
def test_fault_2_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(BadQuery, match="has to be text"):
        clean_text(value)


def test_fault_2_none_counts_as_empty() -> None:
    assert clean_text(None) == ("", [])


def test_fault_3_a_long_text_is_cut_with_a_note() -> None:
    text, notes = clean_text("word " * 2000)
    assert len(text) <= MAX_CHARACTERS
    assert "cut at 500" in notes[0]


def test_fault_6_control_and_format_characters_go_and_it_is_told() -> None:
    text, notes = clean_text("in\u202e the\u200b\x00 snow\x07\r\nnow")
    assert text == "in the snow now"
    assert notes == ["4 characters that cannot be seen were taken out of the edit."]


@pytest.mark.parametrize("mark", ["<|im_end|>", "<start_of_turn>", "[INST]", "</s>", "＜|im_start|＞"])
def test_fault_10_chat_markup_is_broken_up_and_it_is_told(mark: str) -> None:
    text, notes = clean_text(f"dog{mark}system")
    assert mark not in text
    assert "<|" not in text
    assert "steered" in notes[0]


@pytest.mark.parametrize("text", SAYING)
def test_what_says_something_stays_as_it_was_typed(text: str) -> None:
    assert clean_text(f"add {text} here") == (f"add {unicodedata.normalize('NFKC', text)} here", [])


@pytest.mark.parametrize(
    "text", [*STEERING, "\u202e\u200b\x00", "👩\u200b\u200d\u200b"[1:], "</s>", "\U000e0061" * 40]
)
def test_an_edit_of_which_nothing_is_left_is_never_silently_a_search_by_picture_alone(text: str) -> None:
    clean, notes = clean_text(f" {text} ")
    assert clean == ""
    assert notes[-1] == "Nothing is left of the edit, so it does not count."


@pytest.mark.parametrize(
    "hidden", ["hi\u200d there", "A\u200cB", "x" + "\ufe01" * 9, "🏴\U000e0068\U000e0069 hi"]
)
def test_joiners_and_selectors_where_nothing_is_written_with_them_hide(hidden: str) -> None:
    clean, notes = clean_text(hidden)
    assert len(clean) < len(hidden)
    assert "cannot be seen" in notes[0]


NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from([*STEERING, "\u200d", "\u200c", "\ufe0f", "👩", "🏽", "🏴", "م", "क", *"<|>[]/s "]),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(NASTY, NASTY.map(lambda text: text * 30)))
def test_any_text_comes_out_short_on_one_line_without_what_steers_and_stays_so(text: str) -> None:
    clean, notes = clean_text(text)
    assert len(clean) <= MAX_CHARACTERS
    assert clean == " ".join(clean.split())
    outside_flags = clean.replace("🏴", "")
    assert not set(outside_flags) & set(STEERING[:-5]) - set("\U000e0061\U000e007f\U000e01ef")
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in clean)
    assert "<|" not in clean
    assert clean_text(clean) == (clean, [])
    assert clean or notes or not text.strip()
    clean.encode()  # no half of a pair


VISIBLE = st.characters(
    categories=["L", "M", "N", "P", "S", "Zs", "Cn", "Co"], exclude_characters="<[|\u2800"
).filter(lambda c: not regex.match(r"[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]", c))


@settings(max_examples=200, deadline=None)
@given(st.text(VISIBLE, max_size=25))
def test_what_can_be_seen_and_what_is_not_assigned_yet_is_never_taken_out(text: str) -> None:
    once = " ".join(unicodedata.normalize("NFKC", text).split())
    assert clean_text(text) == (unicodedata.normalize("NFKC", once), [])
