"""Names of files that are taken along, and the pictures of triplets whatever gallery is searched."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, ToyLanguageModel, toy_cvsi
from served import make_gallery, picture_bytes
from triplet_doubles import ToyLibrary, triplet
from ui_doubles import shelf_of

from cir.cache_keys import gallery_digest
from cir.errors import BadQuery
from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.ranking import export
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf
from cir.syncir.table import TripletTable
from cir.ui.triplets import handlers
from cir.ui.triplets.cards import FileView, ShownTriplet
from cir.ui.triplets.handlers import TripletSession, pictured


def indexed(folder: Path, name: str, pictures: dict[str, bytes]):
    (folder / name).mkdir(parents=True)
    for file_name, data in pictures.items():
        (folder / name / file_name).write_bytes(data)
    clip = ToyClip()
    for _ in index_folder(
        folder / name, name=name, image_encoder=clip, text_encoder=clip, captioner=None, cache_root=folder / "cache"
    ):  # fmt: skip
        pass
    return open_gallery(name, cache_root=folder / "cache", image_encoder_fingerprint=clip.fingerprint)


@pytest.mark.parametrize(
    ("label", "packed"),
    [
        ("Müller Söhne.png", "001-Müller Söhne.webp"),
        ("holiday 2024 (1).png", "001-holiday 2024 (1).webp"),
        ("日本.png", "001-日本.webp"),
        ("con.png", "001-con.webp"),
        ('a:b*c?"d.png', "001-a-b-c--d.webp"),
        (" dots... .png", "001-dots.webp"),
        ("\u202egnp.png", "001-\ufffdgnp.webp"),
    ],
)
def test_a_packed_picture_keeps_blanks_and_letters_in_a_name_that_every_system_takes(tmp_path, label, packed):
    gallery = indexed(tmp_path, "named", {label: picture_bytes("red", "square")})
    data, missing = export.to_zip(gallery.image_ids, gallery, dict.fromkeys(gallery.image_ids, 1))
    assert missing == []
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == [packed]


def test_triplets_are_shown_with_the_pictures_of_their_own_gallery_while_another_is_searched(tmp_path):
    toys = make_gallery(tmp_path)
    indexed(tmp_path, "few", {"one.png": picture_bytes("green", "circle")})
    first = Retriever(toys, {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())})
    shelf = Shelf(first, cache_root=tmp_path / "cache", image_encoder_fingerprint=ToyClip().fingerprint)
    searched = shelf.retriever("few").gallery
    of = {name: TripletTable(gallery=name) for name in ("toys", "elsewhere", "")}
    assert len(pictured(shelf, searched, of["toys"])) == len(COLOURS) * len(SHAPES)
    assert pictured(shelf, searched, of["elsewhere"]).name == "few"
    assert pictured(shelf, searched, of[""]).name == "few"
    assert pictured(shelf_of(shelf.retriever("few")), searched, of["toys"]).name == "few"


@pytest.fixture
def two_of_a_name(tmp_path: Path) -> tuple[Shelf, Shelf]:
    """A shipped gallery "families" and one of a person's own, whose files have the same names; then the latter alone."""
    clip = ToyClip()
    shipped = indexed(tmp_path / "shipped", "families", {"0001.png": picture_bytes("red", "square")})
    own = indexed(tmp_path, "families", {"0001.png": picture_bytes("green", "circle")})
    assert shipped.image_ids == own.image_ids
    assert shipped.folder is not None
    manifest = shipped.folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"packed": True}))
    first = Retriever(make_gallery(tmp_path), {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())})
    with_shipped, alone = (
        Shelf(first, cache_root=tmp_path / "cache", image_encoder_fingerprint=clip.fingerprint, shipped=others)
        for others in ({"Sample families": shipped.folder}, {})
    )  # fmt: skip
    return with_shipped, alone


@pytest.mark.parametrize("content", ["", "that of the shipped one"])
def test_a_gallery_of_ones_own_that_is_called_as_the_sample_does_not_stand_in_for_it(two_of_a_name, content):
    shelf, alone = two_of_a_name
    sample, own = (shelf.retriever(name).gallery for name in (":Sample families", "families"))
    library = ToyLibrary()
    library.tables["toy"] = table = TripletTable(
        [triplet((0, 1), reference_id=own.image_ids[0], target_id=own.image_ids[0])],
        gallery="families",
        content=content and gallery_digest(sample.image_ids, sample.contents, sample.texts),
        shipped=not content,
    )
    for searched in (own, sample):
        assert handlers.pictured(shelf, searched, table) is sample
    seen = ShownTriplet("toy", 0, table.triplets[0].triplet_id)
    handlers.refuse_other_pictures(library, seen, shelf, sample)
    with pytest.raises(BadQuery, match="not in the gallery that is searched"):
        handlers.refuse_other_pictures(library, seen, shelf, own)
    if table.shipped:  # where the sample cannot be opened, names stand in the place of pictures
        mine = alone.retriever("families").gallery
        view = FileView(table, "toy", handlers.pictured(alone, mine, table), 0.7, 0)
        assert view.picture(own.image_ids[0]).path is None
        assert "another gallery" in handlers.funnel(library, TripletSession(key="toy"), mine).why_not


def test_own_triplets_keep_their_gallery_when_it_grows_or_is_renamed(two_of_a_name):
    shelf, _ = two_of_a_name
    own = shelf.retriever("families").gallery
    grown = TripletTable(gallery="families", content="of before")
    assert handlers.pictured(shelf, shelf.retriever().gallery, grown) is own
    renamed = TripletTable(gallery="before", content=gallery_digest(own.image_ids, own.contents, own.texts))
    assert handlers.pictured(shelf, own, renamed) is own
