"""The list of faults is kept: nearly every one has a test that bears its number."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import by_fault, numbers_of


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_fault_07_an_edit", {7}),
        ("test_faults_02_16_39_programs", {2, 16, 39}),
        ("test_fault_39_and_40_a_weight", {39, 40}),
        ("test_fault_12", {12}),
        ("test_a_fault_is_logged", set()),
        ("test_fault_63_10_is_no_word", {63, 10}),
    ],
)
def test_the_numbers_of_a_test_are_those_before_its_words(name, numbers):
    assert numbers_of(name) == numbers


def test_at_least_eighty_of_the_eighty_four_faults_have_a_test():
    without = [number for number, names in by_fault(Path(__file__).parent).items() if not names]
    assert len(without) <= 4, f"no test bears the number of {without}"
