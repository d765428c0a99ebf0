"""A gallery with features by several encoders: made, gone on with, refused, and searched by methods that have their own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gallery_doubles import ToyEncoder, folder_in_memory, index, opened, paint_folder

from cir.commands import features
from cir.composers.baselines import ImageOnly, Sum
from cir.composers.slerp import Slerp, SlerpTat
from cir.errors import BadQuery, GalleryError, MissingFeatures
from cir.gallery.manifest import image_key, read_manifest
from cir.gallery.spaces import add_space, open_space
from cir.gallery.upkeep import pack_gallery
from cir.images import read_image
from cir.measuring.bench import Bench
from cir.ranking.explaining import why
from cir.ranking.export import to_csv
from cir.ranking.folding import fold
from cir.ranking.relevance import relevance_note
from cir.ranking.retriever import Retriever
from cir.ranking.wishes import like_image, without
from cir.shelf import Shelf
from cir.types import CirQuery, Query
from cir.ui.compare.handlers import Comparison, column, compare
from cir.ui.search.handlers import Session
from tests.commands import run
from tests.fakes import ToyCaptioner, ToyClip, ToyTuned, draw, toy_gallery

METHOD = "Slerp+TAT"


class Wider(ToyEncoder):
    """Another encoder: the colours of nine parts."""

    dim = 27

    def encode_images(self, images):
        self.encoded += len(images)
        return np.stack([np.asarray(image.resize((3, 3)), np.float32).ravel() + 1 for image in images])


@pytest.fixture
def place() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def photos(place: Path) -> Path:
    root = paint_folder(place / "photos", 6)
    index(root, place / "cache", name="rome")
    return root


def rome(place: Path):
    return opened(place / "cache", "rome")


def add(place: Path, encoder: ToyEncoder | None = None, **options: int):
    *_, last = add_space(place / "cache" / "rome", encoder or Wider("wide-1"), **options)
    return last


def first_features(place: Path, fingerprint: str = "wide-1") -> Path:
    with closing(sqlite3.connect(place / "cache" / "rome" / "rows.sqlite")) as database:
        sql = "SELECT name FROM shards WHERE key = ?"
        name = database.execute(sql, (image_key(fingerprint),)).fetchone()[0]
    return place / "cache" / "rome" / "features" / f"{name}.npy"


def test_the_pictures_have_the_rows_of_the_other_encoder_in_the_galleries_own_order(photos, place):
    assert add(place).done == 6
    gallery = rome(place)
    found = open_space(gallery, "wide-1", Wider.dim)
    raw = Wider("wide-1").encode_images([read_image(gallery.image_path(i)) for i in gallery.image_ids])
    np.testing.assert_allclose(found.image_features, raw / np.linalg.norm(raw, axis=1)[:, None], atol=1e-6)
    assert (found.image_ids, found.captioned_images) == (gallery.image_ids, 0)
    assert gallery.image_features.shape[1] == ToyEncoder.dim


def test_a_run_that_was_stopped_goes_on_and_encodes_nothing_twice(photos, place):
    begun = Wider("wide-1")
    run = add_space(place / "cache" / "rome", begun, batch_size=2)
    next(run), next(run)
    run.close()
    assert begun.encoded < 6
    with pytest.raises(MissingFeatures, match="have none of them yet"):
        open_space(rome(place), "wide-1", Wider.dim)
    again = Wider("wide-1")
    assert add(place, again).done == 6
    assert begun.encoded + again.encoded == 6
    third = Wider("wide-1")
    add(place, third)
    assert third.encoded == 0


def test_indexing_again_keeps_the_features_and_a_new_picture_needs_its_own(photos, place):
    add(place)
    days = rome(place).days
    paint_folder(place / "photos", 8)
    index(place / "photos", place / "cache", name="rome")
    with pytest.raises(MissingFeatures, match="Of 8 pictures of rome, 2 have none"):
        open_space(rome(place), "wide-1", Wider.dim)
    encoder = Wider("wide-1")
    add(place, encoder)
    assert encoder.encoded == 2
    assert len(open_space(rome(place), "wide-1", Wider.dim)) == 8
    np.testing.assert_array_equal(rome(place).days[:6], days)


def test_damaged_features_are_refused_and_made_again(photos, place):
    add(place)
    shard = first_features(place)
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(MissingFeatures):
        open_space(rome(place), "wide-1", Wider.dim)
    assert add(place).done == 6
    assert len(open_space(rome(place), "wide-1", Wider.dim)) == 6


def test_a_picture_that_cannot_be_read_is_named_and_the_gallery_is_refused(photos, place):
    next(photos.iterdir()).write_bytes(b"no picture")
    found = add(place)
    assert (found.done, len(found.skipped)) == (5, 1)
    with pytest.raises(MissingFeatures, match="1 have none"):
        open_space(rome(place), "wide-1", Wider.dim)


def test_a_shipped_gallery_keeps_the_features_that_it_was_packed_with_and_gets_no_others(place):
    root = paint_folder(place / "cache" / "rome" / "images", 4)
    index(root, place / "cache", name="rome")
    add(place)
    pack_gallery(place / "cache" / "rome", half=True, spaces=("wide-1",))
    assert len(open_space(rome(place), "wide-1", Wider.dim)) == 4
    with pytest.raises(GalleryError, match="shipped"):
        add(place, Wider("wide-2"))


def searched(place: Path) -> Retriever:
    encoder = ToyEncoder()
    methods = {"Sum": Sum(encoder, encoder), METHOD: SlerpTat(Wider("wide-1"), encoder)}
    return Retriever(rome(place), methods)


def compose(retriever: Retriever, method: str, query: Query):
    *_, whole = retriever.compose(query, method)
    return whole


def test_a_method_whose_features_are_missing_is_listed_and_says_the_command_that_makes_them(photos, place):
    retriever = searched(place)
    query = Query(read_image(next(photos.iterdir())))
    assert METHOD in retriever.methods
    stages = retriever.compose(query, METHOD)
    with pytest.raises(MissingFeatures) as refused:
        next(stages)
    assert "python -m cir galleries features rome --method Slerp+TAT" in refused.value.remedy
    assert compose(retriever, "Sum", query).space == ""
    add(place)
    composed = compose(retriever, METHOD, query)  # the same retriever looks again
    assert retriever.rank(composed, {"t": 0.0}, top_k=1)[0].score == pytest.approx(1.0)


def test_a_page_that_is_open_sees_the_features_that_were_made_meanwhile(photos, place):
    shelf = Shelf(searched(place), cache_root=place / "cache", image_encoder_fingerprint="toy-1")
    before = shelf.retriever()
    add(place)
    assert shelf.retriever() is not before
    query = Query(read_image(next(photos.iterdir())))
    assert compose(shelf.retriever(), METHOD, query).parts


def toys() -> Retriever:
    clip = ToyClip()
    methods = {"Slerp": Slerp(clip, clip), METHOD: SlerpTat(ToyTuned(), clip)}
    return Retriever(toy_gallery(), methods)


EDIT = Query(draw("red", "square"), "blue")


def test_scores_ranks_and_explanations_are_those_of_the_methods_own_features():
    retriever = toys()
    gallery = toy_gallery()
    composed = compose(retriever, METHOD, EDIT)
    values = {"t": 0.4}
    rows = gallery.spaces[ToyTuned.fingerprint]
    scoring = composed.scoring(composed, values)
    fused = sum(scoring.weights[name] * row for name, row in composed.parts.items())
    expected = rows @ (fused / np.linalg.norm(fused))
    ranked = retriever.rank(composed, values, top_k=12)
    assert [r.score for r in ranked] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-6)
    found = dict(zip(gallery.image_ids, retriever.scores(composed, values).tolist(), strict=True))
    assert found == pytest.approx(dict(zip(gallery.image_ids, expected.tolist(), strict=True)), abs=1e-6)
    last = ranked[-1].image_id
    assert retriever.rank_of(composed, values, last) == 12
    explained = why(retriever, composed, SlerpTat.parameters, values, last)
    total = sum(sum(share.values()) for share in explained.shares.values())
    assert total == pytest.approx(ranked[-1].score, abs=1e-6)
    engine, asked = retriever.engine_of(composed), retriever.rows_of(composed)
    least = ranked[4].score - 1e-6
    assert engine.count_reaching(asked, scoring, least) == np.count_nonzero(expected >= least)


def test_more_of_a_picture_is_asked_for_by_the_methods_own_features():
    retriever = toys()
    wish = like_image(retriever, "more", "blue-circle", "blue circle", 0.5)
    plain = compose(retriever, METHOD, EDIT)
    wished = replace(plain, signed=(wish,))
    row = retriever.rows_of(wished)["more 1"]
    own = toy_gallery().spaces[ToyTuned.fingerprint][retriever.gallery.find("blue-circle")]
    np.testing.assert_allclose(row, own, atol=1e-6)
    before, after = (retriever.rank_of(one, {"t": 0.5}, "blue-circle") for one in (plain, wished))
    assert after <= before
    assert retriever.rank(replace(plain, signed=(without(ToyClip(), "square"),)), {"t": 0.2}, top_k=1)


def test_a_wish_in_words_is_refused_where_no_text_tower_fits_the_methods_features():
    retriever = toys()
    retriever.composers[METHOD].words_fit = False
    wished = replace(compose(retriever, METHOD, EDIT), signed=(without(ToyClip(), "square"),))
    with pytest.raises(BadQuery, match="'square'"):
        retriever.rank(wished, {"t": 0.2})


def test_folding_export_and_the_note_on_relevance_go_on_to_work():
    retriever = toys()
    composed = compose(retriever, METHOD, EDIT)
    ranked = retriever.rank(composed, {"t": 0.5}, top_k=5)
    shown, _ = fold(retriever, ranked)
    assert shown == tuple(ranked)
    assert to_csv(ranked, retriever.gallery).count(b"\n") == 6
    assert relevance_note(retriever, composed, {"t": 0.5}, ranked) == ""


def test_a_gallery_on_a_server_says_that_it_has_only_its_own_features():
    served = SimpleNamespace(name="far", fingerprints={"image_encoder": "toy@1"}, __len__=lambda: 3)
    retriever = toys()
    retriever.gallery = served  # type: ignore[assignment]
    with pytest.raises(MissingFeatures, match=r"far is on a server.*galleries pull far"):
        next(retriever.compose(EDIT, METHOD))


class TestCommand:
    @pytest.fixture
    def models(self, monkeypatch: pytest.MonkeyPatch, place: Path):
        encoder = ToyEncoder()
        models = SimpleNamespace(clip=encoder, text_encoder=encoder, captioner=None, missing={})
        made = {"Image-only": ImageOnly(encoder), METHOD: SlerpTat(Wider("wide-1"), encoder)}

        def build_composers(_: object, only: Sequence[str] = ()) -> dict[str, object]:
            return {name: one for name, one in made.items() if not only or name.lower() == only[0].lower()}

        for module in ("places", "commands.features", "application.galleries", "commands.indexing"):
            monkeypatch.setattr(f"cir.{module}.gallery_cache", lambda: place / "cache")
        for module in ("commands.features", "commands.indexing"):
            monkeypatch.setattr(f"cir.{module}.build_models", lambda *_, **__: models)
        monkeypatch.setattr(features, "build_composers", build_composers)
        return models

    def test_it_makes_the_features_of_a_method_and_says_so(self, models, photos, place, capsys):
        status, out, _ = run(capsys, "galleries", "features", "rome", "--method", "slerp+tat")
        assert (status, out) == (0, "6 pictures: Slerp+TAT can search them.\n")
        assert len(open_space(rome(place), "wide-1", Wider.dim)) == 6
        assert read_manifest(place / "cache" / "rome").images == 6
        _, out, _ = run(capsys, "galleries", "features", "rome", "--method", METHOD, "--json")
        assert json.loads(out) == {"gallery": "rome", "method": METHOD, "images": 6, "skipped": []}

    def test_indexing_makes_them_as_well_where_that_is_asked_for(self, models, place, capsys):
        root = paint_folder(place / "photos", 3)
        status, out, _ = run(capsys, "index", str(root), "--name", "rome", "--also", METHOD)
        assert (status, "3 pictures: Slerp+TAT can search them." in out) == (0, True)
        assert len(open_space(rome(place), "wide-1", Wider.dim)) == 3

    @pytest.mark.parametrize(
        ("method", "said"),
        [
            ("image-only", "compares with the features that every gallery has"),
            ("cvsi", "There is no method called 'cvsi' here"),
        ],
    )
    def test_other_methods_are_refused(self, models, photos, capsys, method, said):
        status, _, error = run(capsys, "galleries", "features", "rome", "--method", method)
        assert status != 0
        assert said in error
        assert "Choose one of: Slerp+TAT" in error


def test_compared_with_others_a_method_without_features_says_so_in_its_own_column(tmp_path):
    draw("red", "square", 96).save(tmp_path / "red.png")
    clip = ToyClip()
    bare = replace(toy_gallery(), spaces={})
    retriever = Retriever(bare, {"Sum": Sum(clip, clip), METHOD: SlerpTat(ToyTuned(), clip)})
    state = Comparison()
    asked = {"image": {"path": str(tmp_path / "red.png")}, "text": "blue", "chosen": ["Sum", METHOD]}
    list(compare(retriever, Session(), state, sliders=None, **asked))
    assert "galleries features toy" in state.problems[METHOD].remedy
    assert column(retriever, state, "Sum").results


class ToyBench(Bench):
    """The toy gallery, asked for its blue shapes."""

    key = "toys"

    def __init__(self, folder: Path) -> None:
        self.options = SimpleNamespace(
            clip=None, limit=None, captions=1, kept_only=False, fresh=False, methods=""
        )
        self.folder, self.captioner = folder, ToyCaptioner()
        self.models, self._spaces = SimpleNamespace(clip=ToyClip(), text_encoder=ToyClip()), {}
        self.tuned, clip = ToyTuned(), ToyClip()
        self.methods = {"Slerp": Slerp(clip, clip), METHOD: SlerpTat(self.tuned, clip)}
        self.gallery = replace(toy_gallery(), spaces={})
        self.all_queries = [
            CirQuery(shape, f"red-{shape}", "blue", (f"blue-{shape}",)) for shape in ("square", "circle")
        ]

    def picture(self, image_id: str):
        return draw(*image_id.split("-"))

    def books(self):
        return {}


def test_a_benchmark_is_ranked_by_features_of_the_methods_own_encoder_which_are_kept(tmp_path):
    bench, values = ToyBench(tmp_path), {"t": 0.4}
    composed = bench.composed(METHOD, bench.methods[METHOD], None)
    found = bench.ranks(composed, values)
    retriever = Retriever(toy_gallery(), bench.methods)
    for query in bench.queries:
        asked = composed[query.query_id]
        rank = retriever.rank_of(asked, values, query.target_ids[0], exclude=[query.reference_id])
        assert found[query.query_id] == (rank,)
    again = ToyBench(tmp_path)  # what was composed says again which features it is compared with
    kept = again.composed(METHOD, again.methods[METHOD], None)
    assert again.ranks(kept, values) == found
    assert again.tuned.calls == 0
