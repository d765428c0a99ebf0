"""The command line, on the shipped models without a language model: what it prints, what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cir.files import image_id_of
from cir.gallery.manifest import list_galleries
from cir.models.published import SETS
from cir.places import SAMPLE_GALLERY
from tests.commands import run

ROOT = Path(__file__).resolve().parents[1]
PICTURE = SAMPLE_GALLERY / "images" / "0648.webp"
REFERENCE = image_id_of(b"0648.webp")


def test_search_prints_one_json_object_from_which_every_score_can_be_computed_again(capsys) -> None:
    status, out, _ = run(
        capsys, "search", "--image", PICTURE, "--text", "at night", "--llm", "none", "--json", "--explain",
        "--alpha", 0.2, "--beta", 0.5, "--gamma", 0.3, "--top-k", 7,
    )  # fmt: skip
    answer = json.loads(out)
    assert status == 0
    assert answer["method"] == "CVSI"
    assert answer["weights"] == {"alpha": 0.2, "beta": 0.5, "gamma": 0.3}
    assert answer["gallery"]["images"] == 1800
    assert set(answer["trace"]) == {
        "translation",
        "reworded",
        "captions",
        "modified_captions",
        "added_objects",
        "removed_objects",
    }
    assert answer["trace"]["captions"]
    assert any("language model" in note for note in answer["notes"])
    assert answer["models"]["clip"].startswith("embedded@")
    order = ("modified_captions", "fine_grained", "reference_image")
    k = np.array([answer["effective_weights"][name] for name in order])
    query = np.sqrt(k @ np.array(answer["gram"]) @ k)
    assert [row["rank"] for row in answer["results"]] == list(range(1, 8))
    for row in answer["results"]:
        g = row["gamma"]
        a = np.array([row["terms"][name]["image"] for name in order])
        b = np.array([row["terms"][name]["captions"] for name in order])
        image = np.sqrt((1 - g) ** 2 * row["tv_tv"] + 2 * g * (1 - g) * row["tv_tc"] + g**2 * row["tc_tc"])
        assert row["score"] == pytest.approx(((1 - g) * a + g * b) @ k / (query * image), abs=1e-5)


@pytest.mark.parametrize(
    ("method", "opened"),
    [
        ("text-only", set()),
        ("Pic2Word", {"mapping_pic2word"}),
        ("Context-I2W", {"patches_context-i2w"}),
        ("TIRG", {"fusion_tirg"}),
        ("cvsi", {"captioner", f"mapping_{next(iter(SETS['embedded'].mapping))}"}),
    ],
)
def test_a_search_opens_the_models_of_its_method_and_no_others(
    capsys: pytest.CaptureFixture[str], method: str, opened: set[str]
) -> None:
    half = () if method == "text-only" else ("--reference-id", REFERENCE)
    status, out, err = run(
        capsys, "search", *half, "--text", "at night", "--llm", "none", "--json", "--method", method
    )
    assert status == 0, err
    assert set(json.loads(out)["models"]) == {"clip", *opened}


def test_a_gallery_image_is_the_reference_and_what_is_wanted_beside_it_counts_in_every_score(capsys) -> None:
    status, out, _ = run(
        capsys, "search", "--reference-id", REFERENCE, "--text", "at night", "--llm", "none", "--json", "--explain",
        "--method", "cvsi", "--without", "a dog", "--more", image_id_of(b"0010.webp"), "--at-least", 0.1, "--top-k", 5,
    )  # fmt: skip
    answer = json.loads(out)
    assert status == 0
    assert answer["results"]
    assert REFERENCE not in {row["image_id"] for row in answer["results"]}
    names = list(answer["results"][0]["terms"])
    assert names[3:] == ["without 1", "more 2"]
    k = np.array([answer["effective_weights"][name] for name in names])
    query = np.sqrt(k @ np.array(answer["gram"]) @ k)
    for row in answer["results"]:
        g = row["gamma"]
        dots = np.array([[row["terms"][name]["image"], row["terms"][name]["captions"]] for name in names])
        image = np.sqrt((1 - g) ** 2 * row["tv_tv"] + 2 * g * (1 - g) * row["tv_tc"] + g**2 * row["tc_tc"])
        assert row["score"] >= 0.1
        assert row["score"] == pytest.approx(k @ dots @ [1 - g, g] / (query * image), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--reference-id", "0648", "--image", PICTURE], "no meaning beside --reference-image"),
        (["search", "--text", "x", "--keep-reference"], "no meaning without a reference"),
        (["search", "--text", "x", "--since", "one day"], "one day"),
        (["search", "--text", "x", "--since", "2024", "--until", "2023"], "later than"),
        (["search", "--text", "x", "--at-least", "7"], "--at-least is 7"),
    ],
)
def test_options_that_cannot_be_are_refused_before_a_model_is_loaded(
    capsys, monkeypatch, arguments: list[object], said: str
) -> None:
    monkeypatch.setattr("cir.commands.searching.build_models", None)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search"], "nothing to search for"),
        (["search", "--text", "x", "--llm", "none", "--method", "no-such"], "no method called"),
        (["search", "--text", "x", "--llm", "none", "--gallery", "no-such-gallery"], "no-such-gallery"),
        (["search", "--text", "x", "--llm", "none", "--alpha", "7"], "alpha is 7"),
        (["search", "--text", "x", "--models", "no-such"], "no-such"),
        (["index", "/no/such/folder", "--llm", "none"], "/no/such/folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_with_a_way_out(capsys, arguments: list[str], said: str) -> None:
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_a_folder_of_which_nothing_can_be_read_is_not_called_ready(
    capsys, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "broken.jpg").write_bytes(b"not a picture")
    for more in ((), ("--json",)):
        status, out, err = run(capsys, "index", photos, "--no-captions", *more)
        assert (status, "broken.jpg" in out, "ready" in out) == (2, True, False)
        assert "There are no images in photos that can be searched." in err
    status, out, _ = run(capsys, "galleries")
    assert "no images in photos that can be searched" in out
    assert "ready" not in out
    (shown,) = list_galleries(tmp_path / "cache")
    assert shown.remedy.endswith("python -m cir index PHOTOS")


def test_what_was_changed_or_repaired_while_indexing_is_printed(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (1, 2):
        kept = (SAMPLE_GALLERY / "images" / f"{number:04d}.webp").read_bytes()
        (photos / f"{number:04d}.webp").write_bytes(kept)
    assert "searched with" not in run(capsys, "index", photos, "--no-captions")[1]
    (photos / "0002.webp").unlink()
    other = ("--models", "embedded-blip", "--no-captions", "--confirm-purge")
    status, out, _ = run(capsys, "index", photos, *other)
    assert status == 0
    assert "Taken out of the gallery, as they have vanished: 1 image." in out
    assert re.search(r"photos was made with embedded@\w+, and is searched with blip@\w+ from now on\.", out)
    status, out, _ = run(capsys, "index", photos, "--no-captions", "--json")
    (note,) = json.loads(out)["notes"]
    assert note.startswith("photos was made with blip@")


def test_a_folder_is_indexed_and_then_searched(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "rome").mkdir()
    for number in (1, 2, 3, 648):
        kept = (SAMPLE_GALLERY / "images" / f"{number:04d}.webp").read_bytes()
        (photos / ("rome" if number == 1 else "") / f"{number:04d}.webp").write_bytes(kept)
    (photos / "broken.jpg").write_bytes(b"not a picture")
    status, out, _ = run(capsys, "index", photos, "--captions-per-image", 1, "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer["images"] == 4
    assert [row["file"] for row in answer["skipped"]] == ["broken.jpg"]
    search = ("search", "--image", PICTURE, "--gallery", photos, "--llm", "none")
    status, out, _ = run(capsys, *search, "--json", "--keep-reference")
    assert status == 0
    assert json.loads(out)["results"][0]["label"] == "0648.webp"
    status, out, _ = run(
        capsys,
        "search",
        "--text",
        "a dog",
        "--gallery",
        photos,
        "--folder",
        "rome",
        "--llm",
        "none",
        "--json",
    )
    answer = json.loads(out)
    assert [row["label"] for row in answer["results"]] == ["rome/0001.webp"]
    assert any("Searched only in rome: 1 of 4 pictures" in note for note in answer["notes"])
    assert json.loads(out)["left_out"] == []


@pytest.mark.parametrize("rerank", [[], ["--rerank", "local-concepts"]])
def test_the_reference_itself_is_no_result_under_whatever_name_the_gallery_has_it(
    capsys, tmp_path: Path, rerank: list[str]
) -> None:
    (tmp_path / "my dog.webp").write_bytes(PICTURE.read_bytes())
    (tmp_path / "link.webp").symlink_to(tmp_path / "my dog.webp")
    search = ("search", "--image", tmp_path / "link.webp", "--text", "at night", "--llm", "none", *rerank)
    answer = json.loads(run(capsys, *search, "--json")[1])
    kept = json.loads(run(capsys, *search, "--json", "--keep-reference")[1])
    labels = [row["label"] for row in answer["results"]]
    assert [row["label"] for row in answer["left_out"]] == ["0648.webp"]
    assert "0648.webp" not in labels
    assert len(labels) == 10
    assert kept["left_out"] == []
    assert "0648.webp" in [row["label"] for row in kept["results"]]
    assert "left out: 0648.webp" in " ".join(answer["notes"])


@pytest.mark.parametrize(("side", "is_tiny"), [(1, True), (15, True), (16, False)])
def test_a_tiny_reference_is_searched_and_the_answer_says_that_it_is(
    capsys, tmp_path: Path, side: int, is_tiny: bool
) -> None:
    Image.new("RGB", (side, side), (200, 40, 40)).save(tmp_path / "tiny.png")
    status, out, _ = run(
        capsys, "search", "--image", tmp_path / "tiny.png", "--text", "at night", "--llm", "none", "--json"
    )
    note = f"This is a tiny image ({side} x {side} pixels): expect little of it."
    assert status == 0
    assert (note in json.loads(out)["notes"]) is is_tiny


def test_models_list_names_a_licence_for_every_part(capsys) -> None:
    status, out, _ = run(capsys, "models", "list", "--json")
    rows = json.loads(out)
    assert status == 0
    assert {"embedded", "base", "large", "giga"} <= {row["set"] for row in rows}
    assert all(row["licence"] for row in rows)


def test_an_own_reference_picture_may_be_a_phone_photograph(capsys, tmp_path: Path) -> None:
    Image.new("RGB", (1200, 900), (80, 120, 200)).save(tmp_path / "photo.jpg")
    status, out, _ = run(
        capsys, "search", "--image", tmp_path / "photo.jpg", "--text", "with a dog", "--llm", "none", "--json"
    )
    assert status == 0
    assert len(json.loads(out)["results"]) == 10


def test_the_commands_and_files_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in re.findall(r"^make (\w+)", readme, flags=re.MULTILINE):
        assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for path in re.findall(r"`(cir/[\w/]+\.py)`", readme) + re.findall(r"\]\((assets/[\w./]+)\)", readme):
        assert (ROOT / path).exists(), path
    tree = readme.split("## The tree")[1].split("```")[1]
    for line in tree.strip().splitlines():
        names = re.findall(r"^\s*((?:[\w]+(?:/|\.py)\s?)+)", line)
        for name in names[0].split() if names else []:
            inside = ROOT / "cir" / name if line.startswith("  ") else ROOT / name
            assert inside.exists(), name
