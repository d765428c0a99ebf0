"""Names of files that are taken along, and the pictures of triplets whatever gallery is searched."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, ToyLanguageModel, toy_cvsi
from served import make_gallery, picture_bytes

from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.ranking import export
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf


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
    from cir.ui.triplets.handlers import pictured

    toys = make_gallery(tmp_path)
    indexed(tmp_path, "few", {"one.png": picture_bytes("green", "circle")})
    first = Retriever(toys, {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())})
    shelf = Shelf(first, cache_root=tmp_path / "cache", image_encoder_fingerprint=ToyClip().fingerprint)
    searched = shelf.retriever("few").gallery
    assert len(pictured(shelf, searched, "toys")) == len(COLOURS) * len(SHAPES)
    assert pictured(shelf, searched, "elsewhere").name == "few"
    assert pictured(shelf, searched, "").name == "few"
    assert pictured(None, searched, "toys").name == "few"
