"""The benchmark of natural photographs: its committed files, its unpacking, and the photographs where they were fetched."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from gallery_doubles import ToyEncoder, index, opened, paint_folder
from PIL import Image

from benchmarks.photographs import download, rows
from benchmarks.photographs.__main__ import add_own_features
from benchmarks.photographs.download import packages
from benchmarks.photographs.export import file_name, notice
from benchmarks.photographs.fetch import LONG_SIDE, place, unpack
from benchmarks.photographs.measure import by_short_query, first_rank, recalls, share_within
from benchmarks.photographs.queries import write_queries
from benchmarks.photographs.rows import Photograph, half_of
from benchmarks.photographs.table import as_table
from cir.composers.baselines import Sum
from cir.composers.slerp import SlerpTat
from cir.errors import MissingFeatures
from cir.evaluation.datasets.queries_file import read_queries
from cir.gallery.spaces import open_space
from cir.images import read_image
from tests.fakes import ToyClip

PHOTOGRAPHS = rows.photographs()
TRIPLETS = rows.triplets()
CUTOUTS = rows.cutouts()


def test_every_photograph_says_where_it_is_from_and_what_is_asked_of_it() -> None:
    assert len({row.id for row in (*PHOTOGRAPHS, *CUTOUTS)}) == len(PHOTOGRAPHS) + len(CUTOUTS)
    assert len({row.sha256 for row in PHOTOGRAPHS}) == len(PHOTOGRAPHS) >= 250
    for row in PHOTOGRAPHS:
        assert row.package in packages()
        assert row.licence
        assert len(row.sha256) == 64
        assert len(row.caption.split()) >= 2
        assert 1 <= len(row.queries) <= 2
        assert all(0 < len(query.split()) <= 5 and query.strip() == query for query in row.queries)
    assert {row.package for row in CUTOUTS} <= packages().keys()


def test_halves_follow_from_the_scene_alone_and_both_are_large() -> None:
    assert all(row.half == half_of(row.group) for row in PHOTOGRAPHS)
    assert all(row.half == half_of(row.name) for row in CUTOUTS)
    assert min(Counter(row.half for row in PHOTOGRAPHS).values()) > 100


def test_no_triplet_crosses_the_halves_and_each_half_has_fifty() -> None:
    halves = {row.id: row.half for row in PHOTOGRAPHS}
    for triplet in TRIPLETS:
        assert {halves[image] for image in (triplet.reference, *triplet.targets)} == {triplet.half}
        assert triplet.reference not in triplet.targets
        assert triplet.text.strip()
    assert len({triplet.id for triplet in TRIPLETS}) == len(TRIPLETS) >= 100
    assert min(Counter(triplet.half for triplet in TRIPLETS).values()) >= 50


@pytest.mark.parametrize("kind", ["wheel", "sdist", "resources"])
def test_a_package_gives_its_pictures_smaller_and_upright_and_refuses_others(
    tmp_path: Path, kind: str
) -> None:
    good, other = picture((1200, 600)), picture((300, 200))
    files = {"data/good.png": good, "data/other.png": other, "data/readme.txt": b"no picture"}
    prefix = "data.rcc!" if kind == "resources" else ""
    package = pack(tmp_path, kind, files)
    wanted = [
        row(prefix + "data/good.png", good),
        row(prefix + "data/other.png", b"what was looked at"),
        row(prefix + "data/gone.png", good),
    ]
    wrong = unpack(package, {one: place(tmp_path / "out", one) for one in wanted})
    assert [line.split()[1].rstrip(":") for line in wrong] == [
        prefix + "data/other.png",
        prefix + "data/gone.png",
    ]
    assert [path.name for path in (tmp_path / "out").rglob("*.jpg")] == [f"{wanted[0].id}.jpg"]
    assert Image.open(place(tmp_path / "out", wanted[0])).size == (LONG_SIDE, LONG_SIDE // 2)


def test_the_fetched_photographs_are_those_of_the_rows() -> None:
    root = rows.folder()
    if not (root / "tune").is_dir():
        pytest.skip(f"no photographs in {root}: python -m benchmarks.photographs.fetch")
    for half in rows.HALVES:
        wanted = {row.id for row in PHOTOGRAPHS if row.half == half}
        assert {path.stem for path in (root / half).glob("*.jpg")} == wanted
    assert all(max(read_image(place(root, row)).size) <= LONG_SIDE for row in PHOTOGRAPHS[:40])


def test_a_package_that_lies_there_is_not_fetched_again_and_one_that_nobody_has_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def refuse(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "E: not found")

    monkeypatch.setattr(download, "_run", refuse)
    package = download.Package("made", "1:2", "debian", "pool/made.deb")
    with pytest.raises(download.NotFetched, match=r"made==1:2.*E: not found"):
        download.fetch_package(package, tmp_path)
    assert asked
    lying = tmp_path / "debian" / "made==1_2" / "made_2_all.deb"
    lying.parent.mkdir()
    lying.write_bytes(b"a package")
    asked.clear()
    assert download.fetch_package(package, tmp_path) == lying
    assert not asked


def test_what_may_be_shipped_is_free_says_by_whom_and_is_not_of_the_untouched_half() -> None:
    halves = {row.id: row.half for row in PHOTOGRAPHS}
    free = rows.shippables()
    assert len({file_name(row) for row in free}) == len(free) >= 60
    for row in free:
        assert row.package in packages()
        assert row.licence in ("public-domain", "CC0-1.0") or (
            row.licence.startswith("CC-BY-") and row.author
        )
        assert not row.licence.startswith("CC-BY-SA")
        assert row.quote.strip()
        assert halves.get(row.id, "") == row.half != "untouched"
        assert file_name(row) in notice((row,))


@pytest.mark.parametrize("half", rows.HALVES)
def test_the_composed_queries_are_a_file_that_evaluate_reads(tmp_path: Path, half: str) -> None:
    write_queries(tmp_path / "queries.jsonl", half)
    images = {row.id: f"{row.id}.jpg" for row in PHOTOGRAPHS if row.half == half}
    read = read_queries(tmp_path / "queries.jsonl", images)
    wanted = [(row.reference, row.text, row.targets) for row in TRIPLETS if row.half == half]
    assert [
        (one.query.reference_id, one.query.modification_text, one.query.target_ids) for one in read
    ] == wanted


def test_a_short_query_is_right_with_each_photograph_it_was_written_for() -> None:
    asked = {one.text: one.targets for one in by_short_query(PHOTOGRAPHS)}
    assert len(asked["Eiffel Tower"]) > 1
    assert all(text in row.queries for row in PHOTOGRAPHS for text in row.queries if row.id in asked[text])
    assert first_rank(["a", "b", "c"], frozenset("cb")) == 2


def test_the_table_has_each_figure_with_its_interval_and_says_which_half() -> None:
    row = recalls([1, 2, 9, 1], 9)
    assert not any("among" in name for name in row)
    assert (row["n"], row["R@1"], row["R@5"]) == (4, 50.0, 75.0)
    low, high = row["R@1 interval"]
    assert 0.0 <= low < 50.0 < high <= 100.0
    found = {"half": "untouched", "photographs": 4, "set": "toy", "captions": {"Sum": row}, "naming": row}
    table = as_table(found | {"short queries": {"CIReVL": {"cannot": "no model"}}, "photograph and edit": {}})
    assert table.startswith("Half `untouched` (for the end")
    assert f"| captions | Sum | 4 | 50.0 | {low} to {high} |" in table
    assert "| short queries | CIReVL | no model |" in table


def row(member: str, data: bytes) -> Photograph:
    name = hashlib.sha256(member.encode()).hexdigest()[:8]
    digest = hashlib.sha256(data).hexdigest()
    return Photograph(f"p{name}", "made==1", member, digest, "CC0-1.0", "", name, "tune", "A lake", ("lake",))


def picture(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")
    return file.getvalue()


def pack(folder: Path, kind: str, files: dict[str, bytes]) -> Path:
    """A small package: a wheel, a source distribution, or a wheel with a Qt resource file that has the files."""
    if kind == "sdist":
        path = folder / "made-1.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return path
    path = folder / "made-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in ({"data.rcc": resources(files)} if kind == "resources" else files).items():
            archive.writestr(name, data)
    return path


def resources(files: dict[str, bytes]) -> bytes:
    """A Qt resource file, format 1: one folder `data` with files."""
    contents, names, tree = b"", b"", b""

    def name(text: str) -> int:
        nonlocal names
        start = len(names)
        names += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
        return start

    tree += struct.pack(">IHII", 0, 2, 1, 1) + struct.pack(">IHII", name("data"), 2, len(files), 2)
    for path, data in files.items():
        tree += struct.pack(">IHHHI", name(path.split("/")[1]), 0, 0, 1, len(contents))
        contents += struct.pack(">I", len(data)) + data
    starts = [20, 20 + len(tree), 20 + len(tree) + len(contents)]
    return b"qres" + struct.pack(">4I", 1, *starts) + tree + contents + names


def test_recall_among_fewer_photographs_is_what_drawing_them_at_random_gives() -> None:
    assert share_within(1, 1, 181, 150) == 1.0
    assert share_within(181, 5, 181, 150) == 0.0
    rng = np.random.default_rng(0)
    hits = [sum(rng.permutation(180)[:149] < 6) < 5 for _ in range(4000)]  # six are better
    assert share_within(7, 5, 181, 150) == pytest.approx(np.mean(hits), abs=0.03)
    row = recalls([1, 7, 40], 181)
    assert row["R@5"] < row["R@5 among 150"] < 100.0


def test_a_method_with_features_of_its_own_is_measured_too(tmp_path: Path) -> None:
    index(paint_folder(tmp_path / "photos", 4), tmp_path / "cache", name="rome")
    gallery = opened(tmp_path / "cache", "rome")
    tuned = ToyEncoder("tuned-1")
    composers = [Sum(tuned, ToyClip()), SlerpTat(tuned, ToyClip())]
    add_own_features(gallery, composers[:1])
    with pytest.raises(MissingFeatures):
        open_space(gallery, "tuned-1", tuned.dim)
    for _ in range(2):
        add_own_features(gallery, composers)
    assert len(open_space(gallery, "tuned-1", tuned.dim)) == tuned.encoded == 4
