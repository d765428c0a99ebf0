"""The third sample gallery: scenes that are edits of each other, and SynCir's triplets of them, which the Triplets tab shows first."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from cir.application import open_for, open_triplets
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import index_folder
from cir.gallery.opening import picture_places
from cir.places import SAMPLE_FAMILIES, SHIPPED_TRIPLETS
from cir.syncir.consistency import KEPT
from cir.syncir.excerpt import excerpt, excerpt_manifest
from cir.syncir.library import TripletLibrary, settings_of
from cir.syncir.picture_names import pictures_of_triplets
from cir.syncir.records import manifest_path, read_manifest, read_triplets
from tests.fakes import ToyClip, draw
from tests.triplet_doubles import triplet

FILE = SHIPPED_TRIPLETS / "families.jsonl"
KEY = "shipped/families.jsonl"


@pytest.fixture(scope="module")
def gallery(models) -> Gallery:
    return open_for(models, str(SAMPLE_FAMILIES))


@pytest.fixture
def library(models) -> TripletLibrary:
    return open_triplets(models)


def test_every_triplet_shows_pictures_that_are_there() -> None:
    rows = read_triplets(FILE)
    assert 1000 <= len(rows) <= 2000
    root, places = pictures_of_triplets(FILE, rows)
    assert root == SAMPLE_FAMILIES / "images"
    for row in rows:
        assert {row.reference_id, row.target_id} <= {*row.members}
        assert all((root / places[one]).is_file() for one in row.members)


def test_a_gallery_of_ones_own_with_their_name_and_file_names_does_not_stand_in_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_triplets(FILE)[:1]
    root, places = pictures_of_triplets(FILE, rows)
    for one in rows[0].members:
        path = tmp_path / "families" / places[one]
        path.parent.mkdir(parents=True, exist_ok=True)
        draw("green", "circle").save(path)
    clip, cache = ToyClip(), tmp_path / "cache"
    for _ in index_folder(
        tmp_path / "families",
        name="families",
        image_encoder=clip,
        text_encoder=clip,
        captioner=None,
        cache_root=cache,
    ):
        pass
    monkeypatch.setenv("CIR_CACHE", str(cache))
    own, there, _ = picture_places("families", cache)
    assert there == {one: places[one] for one in rows[0].members}  # the same ids
    for file in (FILE, *(shutil.copy(one, tmp_path) for one in (manifest_path(FILE), FILE))):
        if Path(file).suffix == ".jsonl":
            assert pictures_of_triplets(Path(file), rows)[0] == root
    assert pictures_of_triplets(FILE, rows, "families")[0] == own  # who names it means it


def test_the_tab_begins_with_them_and_their_groups_can_be_formed_anew(
    library: TripletLibrary, gallery: Gallery
) -> None:
    assert [(file.key, file.title) for file in library.files() if file.key.startswith("shipped")] == [
        (KEY, "Sample families: 1,204 pairs"),
        ("shipped/sample.jsonl", "Sample gallery: 1,600 pairs"),
    ]
    table = library.table(KEY)
    assert table.gallery == gallery.name
    recorded = table.funnel(table.thresholds.consistency)
    now = library.mine(KEY, gallery, table.thresholds)
    assert (now.images, now.groups, now.pairs) == (recorded.images, recorded.groups, recorded.pairs)
    assert recorded.kept == sum(row.verdict == KEPT for row in read_triplets(FILE))


def test_they_lead_to_near_pictures_where_those_of_the_sparse_sample_lead_far() -> None:
    near, far = (
        [row.similarities[max(row.ranks)] for row in read_triplets(SHIPPED_TRIPLETS / name)]
        for name in ("families.jsonl", "sample.jsonl")
    )
    assert sorted(near)[len(near) // 2] > sorted(far)[len(far) // 2] + 0.1


def test_an_excerpt_takes_whole_subgroups_that_share_their_pictures() -> None:
    def group(name: str, members: str, count: int) -> list:
        made = triplet((0, 1), members=tuple(members), reference_id=members[0], target_id=members[1])
        return [replace(made, triplet_id=f"{name}{i}") for i in range(count)]

    rows = [*group("far", "uvwxyz", 3), *group("many", "abcdef", 4), *group("near", "abcdeg", 2)]
    assert [row.triplet_id for row in excerpt(rows, 5)] == [
        "many0",
        "many1",
        "many2",
        "many3",
        "near0",
        "near1",
    ]
    assert excerpt(rows, 100) == rows  # in their order
    assert excerpt([], 5) == []


def test_an_excerpts_manifest_is_that_of_a_run_over_its_pictures_alone(gallery: Gallery) -> None:
    whole, part = read_manifest(FILE), read_triplets(FILE)[:20]
    made = excerpt_manifest(whole, part, gallery, settings_of(whole))
    assert made["gallery"]["images"] == len(gallery)
    assert made["models"] == whole["models"]
    kinds = Counter(row.verdict for row in part)
    assert (made["funnel"]["done"], made["funnel"]["kept"]) == (20, kinds[KEPT])
    lost = replace(part[0], members=("nowhere", *part[0].members[1:]))
    with pytest.raises(CirError, match="1 picture"):
        excerpt_manifest(whole, [lost], gallery, settings_of(whole))
