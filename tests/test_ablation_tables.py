"""HyCIR's tables: what is printed and what is claimed follow from the runs alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cir.evaluation.results_file import read_sections
from cir.measuring.ablation_tables import compare, findings, markdown_table, mean, spread, write_table


def runs(*recalls: float) -> list[dict[str, float]]:
    return [{"R@1": r / 2, "R@5": r, "R@10": r, "R@50": r, "Avg": r} for r in recalls]


ROWS_5 = {
    "L_ZS-CIR": {"syncir": runs(60.0, 61.0, 62.0)},
    "L_triplet": {"syncir": runs(50.0, 50.5, 51.0), "world": runs(70.0, 71.0, 72.0)},
    "L_hybrid": {"syncir": runs(66.0, 67.0, 68.0), "world": runs(80.0, 81.0, 82.0)},
}


def test_the_spread_is_that_of_a_sample() -> None:
    assert mean(runs(60.0, 61.0, 62.0), "R@5") == 61.0
    assert spread(runs(60.0, 61.0, 62.0), "R@5") == pytest.approx(1.0)
    assert spread(runs(60.0), "R@5") == 0.0


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ((66.0, 67.0, 68.0), (60.0, 61.0, 62.0), "above"),
        ((60.0, 61.0, 62.0), (66.0, 67.0, 68.0), "below"),
        ((60.0, 61.0, 62.0), (60.5, 61.5, 62.5), "not apart"),
    ],
)
def test_a_difference_counts_only_beyond_both_spreads(first: tuple, second: tuple, found: str) -> None:
    assert compare(runs(*first), runs(*second)) == found


def test_every_row_and_source_has_its_line_with_the_papers_number_beside_it() -> None:
    lines = markdown_table("5", ROWS_5).splitlines()
    assert len(lines) == 2 + 5
    assert lines[2].startswith("| L_ZS-CIR | none | 30.5 ± 0.5 | 61.0 ± 1.0 |")
    assert lines[2].endswith("| 51.69 |")
    assert "| L_hybrid | the world's true edits | 40.5 ± 0.5 | 81.0 ± 1.0 |" in lines[6]
    assert lines[6].endswith("|  |")


def test_agreement_and_disagreement_with_the_paper_are_said_plainly() -> None:
    said = findings("5", ROWS_5)
    assert (
        "L_hybrid is above L_ZS-CIR in R@5 (+6.0 points, SynCir's triplets). The paper has +4.11: our small world agrees."
        in said
    )
    assert (
        "L_triplet is below L_ZS-CIR in R@5 (-10.5 points, SynCir's triplets). The paper has +0.78: our small world does not agree."
        in said
    )
    assert "The price of SynCir's noise, L_hybrid: +14.0 points of R@5" in said


def test_a_table_becomes_a_section_with_its_command(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    write_table(path, "5", ROWS_5, {"seeds": 3})
    (section,) = read_sections(path)
    assert section.name == "hycir-table-5"
    assert section.manifest == {"command": "python -m cir ablate --tables 5", "seeds": 3}


def test_blips_table_stands_beside_clips_with_the_papers_numbers_of_blip(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    write_table(path, "5", ROWS_5, {})
    write_table(path, "5", ROWS_5, {}, encoder="BLIP", options=" --models embedded-blip")
    clip, blip = read_sections(path)
    assert (clip.name, blip.name) == ("hycir-table-5", "hycir-table-5-blip")
    assert blip.manifest == {"command": "python -m cir ablate --tables 5 --models embedded-blip"}
    line = next(line for line in blip.markdown.splitlines() if line.startswith("| L_ZS-CIR |"))
    assert line.endswith("| 65.74 |")
    assert "The paper has +5.22: our small world does not agree." in blip.markdown
    assert markdown_table("3", {"SynCir with filter": {"syncir": runs(50.0)}}, "BLIP").endswith("| 69.52 |")
