"""Searching by an index: what it answers, what it promises, and how it is kept beside the shards of its gallery."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from commands import run
from gallery_doubles import folder_in_memory, index, opened, paint, paint_folder
from shelf_doubles import Bench

from cir.composers.baselines import ImageOnly
from cir.gallery.gallery import Gallery
from cir.ranking.engines import fused_index, index_files, open_engine
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.engines.faiss import FaissEngine
from cir.ranking.engines.fused_index import FusedIndex
from cir.ranking.retriever import Retriever
from cir.ranking.scoring import Factor, Linear, Product
from cir.shelf import Shelf
from cir.types import ComposedQuery
from cir.ui.search import handlers
from cir.ui.session import Session

DIM, IMAGES = 16, 11_000
Engines = tuple[FaissEngine, ExactEngine]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@cache
def clustered() -> Gallery:
    """Images around 300 centres, some of them twice; a tenth have no captions."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(300, DIM))[rng.integers(0, 300, IMAGES)]
    image = unit(centres + 0.4 * rng.normal(size=(IMAGES, DIM)))
    captions = 0.8 * unit(centres + 0.5 * rng.normal(size=(IMAGES, DIM)))
    image[:100], captions[:100] = image[-100:], captions[-100:]
    captions[rng.random(IMAGES) < 0.1] = 0.0
    return Gallery.from_features(
        "clustered", [str(i) for i in range(IMAGES)], image, caption_features=captions.astype(np.float32)
    )


@cache
def engines() -> Engines:
    found = FaissEngine(clustered())
    found.prepare()
    return found, ExactEngine(clustered(), quantised=False)


def drawn_query(rng: np.random.Generator) -> dict[str, np.ndarray]:
    near = clustered().image_features[int(rng.integers(IMAGES))]
    return {name: unit(near + 0.2 * rng.normal(size=DIM)) for name in ("a", "b")}


def drawn_scoring(rng: np.random.Generator) -> Linear:
    alpha, gamma = rng.random(2)
    return Linear({"a": alpha, "b": 1 - alpha}, float(rng.choice([0.0, gamma, 1.0])), bool(rng.integers(2)))


def test_where_all_lists_are_looked_at_the_answer_is_that_of_the_exact_engine_under_any_weights_and_filters() -> (
    None
):
    found, exact = engines()
    whole = FaissEngine(clustered())
    kept = index_of(found)
    lists = kept.settings.lists
    whole._index = FusedIndex(kept.index, kept.settings, kept.norms, replace(kept.measured, probes=lists))
    rng = np.random.default_rng(0)
    for _ in range(40):
        rows, scoring = drawn_query(rng), drawn_scoring(rng)
        among = rng.random(IMAGES) < rng.choice([0.0005, 0.01, 0.3, 1.0])
        exclude = rng.integers(0, IMAGES, 3).tolist()
        asked = {"among": among if rng.integers(4) else None, "exclude": exclude}
        ours, scores = whole.top(rows, scoring, 50, **asked)
        true, true_scores = exact.top(rows, scoring, 50, **asked)
        assert ours.tolist() == true.tolist()
        np.testing.assert_array_equal(scores, true_scores)


def test_as_many_lists_are_looked_at_as_the_promised_recall_takes_and_new_queries_have_it() -> None:
    found, exact = engines()
    measured = index_of(found).measured
    assert measured.probes < index_of(found).settings.lists
    assert 0.98 <= found.recall <= 1.0
    rng, hits = np.random.default_rng(5), []
    for _ in range(100):
        rows, scoring = drawn_query(rng), replace(drawn_scoring(rng), cosine=True)
        true = exact.top(rows, scoring, 10)[0]
        hits.append(np.isin(true, found.top(rows, scoring, 10)[0]).mean())
    assert np.mean(hits) > 0.95


def test_a_filter_that_leaves_few_images_finds_them_all_in_whatever_lists_they_are() -> None:
    found, exact = engines()
    rng = np.random.default_rng(7)
    among = np.zeros(IMAGES, bool)
    among[rng.integers(0, IMAGES, 12)] = True
    rows, scoring = drawn_query(rng), Linear.even("ab", 0.3)
    ours = found.top(rows, scoring, 50, among=among)[0]
    assert ours.tolist() == exact.top(rows, scoring, 50, among=among)[0].tolist()
    assert set(ours.tolist()) == set(np.flatnonzero(among).tolist())
    assert not len(found.top(rows, scoring, 50, among=np.zeros(IMAGES, bool))[0])


def test_images_without_captions_are_found_when_captions_are_all_that_counts() -> None:
    found, _ = engines()
    bare = int(np.flatnonzero(~clustered().captioned)[5])
    row = {"a": clustered().image_features[bare]}
    places, scores = found.top(row, Linear({"a": 1.0}, 1.0), 1)
    np.testing.assert_array_equal(clustered().image_features[places[0]], row["a"])
    assert scores[0] == pytest.approx(1.0, abs=1e-6)


def test_a_product_of_likenesses_is_answered_by_looking_at_all_images_and_that_is_said() -> None:
    found, exact = engines()
    rows = drawn_query(np.random.default_rng(2))
    product = Product({"a": Factor(1.0, 0.1), "b": Factor(1.0, 0.1)}, 0.1)
    assert found.top(rows, product, 10)[0].tolist() == exact.top(rows, product, 10)[0].tolist()
    promise = found.promise(product)
    assert (promise.engine, promise.recall) == ("exact", 1.0)
    assert "every picture was looked at" in promise.note
    assert found.promise(Linear({})).engine == "faiss"


def test_a_query_that_is_zero_has_the_first_images_as_the_exact_engine_has() -> None:
    found, exact = engines()
    row = drawn_query(np.random.default_rng(3))["a"]
    rows, scoring = {"a": row, "b": -row}, Linear.even("ab", 0.2)
    assert found.top(rows, scoring, 5)[0].tolist() == exact.top(rows, scoring, 5)[0].tolist()


# --- on the disk ----------------------------------------------------------------------------------------


@pytest.fixture
def cache_root() -> Iterator[Path]:
    """A cache with the gallery "toys"."""
    with folder_in_memory() as place:
        index(paint_folder(place / "photos", 7), place / "cache")
        yield place / "cache"


def prepared(gallery: Gallery, name: str = "faiss") -> FaissEngine:
    engine = open_engine(gallery, name)
    assert isinstance(engine, FaissEngine)
    engine.prepare()
    return engine


def index_of(engine: FaissEngine) -> FusedIndex:
    assert engine._index is not None
    return engine._index


def best_of(engine: FaissEngine, gallery: Gallery, label: str) -> str:
    """The picture that is found by the very row of one."""
    at = next(i for i, image_id in enumerate(gallery.image_ids) if gallery.label(image_id) == label)
    places, _ = engine.top({"a": gallery.image_features[at]}, Linear({"a": 1.0}), 1)
    return gallery.label(gallery.image_ids[int(places[0])])


def file_of(cache_root: Path) -> Path:
    return next((cache_root / "toys" / "index").glob("*.faiss"))


def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages of all building from now on."""
    stages: list[str] = []
    real = fused_index.build_index

    def watched(*args: object) -> FusedIndex:
        stages.append("built")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fused_index, "build_index", watched)
    return stages


@pytest.mark.parametrize("name", ["faiss", "faiss-hnsw"])
def test_an_index_is_built_once_and_read_again_with_what_was_measured(
    name: str, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, gallery = builds(monkeypatch), opened(cache_root)
    first = prepared(gallery, name)
    again = prepared(opened(cache_root), name)
    assert built == ["built"]
    assert index_of(again).measured == index_of(first).measured
    assert again.promise(Linear({})).engine == name
    assert best_of(again, gallery, "0003.png") == "0003.png"


def flip_a_byte(folder: Path) -> None:
    file = next(folder.glob("*.faiss"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(folder: Path) -> None:
    file = next(folder.glob("*.faiss"))
    file.write_bytes(file.read_bytes()[:-20])


def lose_the_file(folder: Path) -> None:
    next(folder.glob("*.faiss")).unlink()


def lose_the_norms(folder: Path) -> None:
    next(folder.glob("*.npy")).unlink()


def praise(folder: Path) -> None:
    manifest = json.loads((folder / "ivf.json").read_text())
    manifest["measured"]["recall"] = 2.0
    (folder / "ivf.json").write_text(json.dumps(manifest))


def name_another_file(folder: Path) -> None:
    manifest = json.loads((folder / "ivf.json").read_text())
    manifest["index"] = "../../elsewhere"
    (folder / "ivf.json").write_text(json.dumps(manifest))


def no_json(folder: Path) -> None:
    (folder / "ivf.json").write_bytes(b"\x80\x04\x95")


def a_list(folder: Path) -> None:
    (folder / "ivf.json").write_text("[1, 2]")


@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, cut, lose_the_file, lose_the_norms, praise, name_another_file, no_json, a_list],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_index_is_refused_and_built_again(
    damage: Callable[[Path], None], cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = opened(cache_root)
    prepared(gallery)
    damage(cache_root / "toys" / "index")
    built = builds(monkeypatch)
    assert best_of(prepared(gallery), gallery, "0004.png") == "0004.png"
    assert built == ["built"]
    prepared(gallery)
    assert built == ["built"]  # what was written is whole


def test_the_index_of_another_gallery_is_refused(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = cache_root.parent / "others"
    index(paint_folder(photos, 7, first=50), cache_root, name="others")  # as many, of the same shape
    prepared(opened(cache_root, "others"))
    shutil.copytree(cache_root / "others" / "index", cache_root / "toys" / "index")
    built, gallery = builds(monkeypatch), opened(cache_root)
    assert best_of(prepared(gallery), gallery, "0002.png") == "0002.png"
    assert built == ["built"]


def test_pictures_that_were_added_replaced_and_removed_are_what_the_next_index_knows(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(opened(cache_root))
    photos, old = cache_root.parent / "photos", file_of(cache_root)
    (photos / "0000.png").unlink()
    paint(photos / "0001.png", 71)
    paint(photos / "new.png", 72)
    index(photos, cache_root)
    built, gallery = builds(monkeypatch), opened(cache_root)
    engine = prepared(gallery)
    assert built == ["built"]
    for label in ("0001.png", "new.png", "0006.png"):
        assert best_of(engine, gallery, label) == label
    assert not old.exists()
    assert len(list((cache_root / "toys" / "index").iterdir())) == 3  # no older one stays


def test_a_building_that_is_cut_off_leaves_nothing_and_the_next_begins_anew(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gallery = index_files.faiss.write_index, opened(cache_root)

    def cut_off(_: object, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(index_files.faiss, "write_index", cut_off)
    with pytest.raises(KeyboardInterrupt):
        prepared(gallery)
    folder = cache_root / "toys" / "index"
    assert list(folder.iterdir()) == []
    (folder / ".ivf.1.tmp").write_bytes(b"of a process that was killed")
    monkeypatch.setattr(index_files.faiss, "write_index", real)
    assert best_of(prepared(gallery), gallery, "0005.png") == "0005.png"
    assert not (folder / ".ivf.1.tmp").exists()


def test_on_a_full_disk_the_index_serves_from_memory(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("write error in x: 1 != 2 (No space left on device)")

    monkeypatch.setattr(index_files.faiss, "write_index", full)
    gallery = opened(cache_root)
    engine = prepared(gallery)
    assert best_of(engine, gallery, "0005.png") == "0005.png"
    assert engine.promise(Linear({})).engine == "faiss"
    assert "The disk is full" in caplog.text


def test_an_index_that_cannot_be_built_is_said_and_all_pictures_are_looked_at(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError("no room for 2 GB")

    monkeypatch.setattr(fused_index, "build_index", no_memory)
    gallery = opened(cache_root)
    engine = prepared(gallery)
    assert best_of(engine, gallery, "0005.png") == "0005.png"
    promise = engine.promise(Linear({}))
    assert promise.engine == "exact"
    assert "could not be built (no room for 2 GB)" in promise.note


# --- to the user ----------------------------------------------------------------------------------------


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_until_its_index_is_there_a_gallery_is_searched_as_a_whole_and_the_page_says_so(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go_on = fused_index.build_index, Event()

    def slow(*args: object) -> FusedIndex:
        go_on.wait(60)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fused_index, "build_index", slow)
    gallery = opened(cache_root)
    engine = open_engine(gallery, "faiss")
    assert isinstance(engine, FaissEngine)
    engine.prepare(behind=True)
    try:
        assert best_of(engine, gallery, "0005.png") == "0005.png"
        promise = engine.promise(Linear({}))
        assert promise.engine == "exact"
        assert "until then every picture is looked at" in promise.note
    finally:
        go_on.set()
    until(lambda: engine.promise(Linear({})).engine == "faiss")


def test_the_page_says_what_an_index_finds_with_each_answer_and_in_its_list_of_galleries() -> None:
    with folder_in_memory() as place:
        bench = Bench(place)
        home = bench.shelf.retriever("")
        retriever = Retriever(home.gallery, {"Image-only": ImageOnly(bench.encoder)}, engine="faiss")
        retriever.engine.prepare()
        shelf = Shelf(retriever, cache_root=bench.cache, image_encoder_fingerprint=bench.encoder.fingerprint)
        index(paint_folder(place / "more", 4), bench.cache, name="more")
        other = shelf.retriever("more")
        until(lambda: other.engine.promise(Linear({})).engine == "faiss")
        words = {entry.name: entry.engine for entry in shelf.entries()}
        assert all("100.0 % of the true 10 best" in words[name] for name in ("", "more"))
        session = Session()
        session.method = "Image-only"
        session.composed = ComposedQuery({"reference_image": home.gallery.image_features[1]})
        found = handlers.answer(other, session)
        assert any("100.0 % of the true 10 best" in note for note in found.notes)
        answer = handlers.as_json(found, other, {})
        assert answer["engine"] == {"name": "faiss", "recall_at_10": 1.0}


def test_an_index_is_proposed_where_there_are_a_million_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    with folder_in_memory() as place:
        bench = Bench(place)
        assert not any("--engine" in state for state in bench.table().values())
        monkeypatch.setattr("cir.shelf.PROPOSED_FROM", 3)
        assert "start the page with --engine faiss" in bench.table()["At home"]


def test_the_command_line_builds_an_index_and_searches_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    photos = paint_folder(tmp_path / "photos", 4)
    status, out, _ = run(
        capsys, "index", photos, "--no-captions", "--llm", "none", "--engine", "faiss", "--json"
    )
    assert status == 0
    assert json.loads(out)["engine"] == {"name": "faiss", "recall_at_10": 1.0}
    assert list((tmp_path / "cache" / "photos" / "index").glob("*.faiss"))
    asked = ("search", "--gallery", "photos", "--image", photos / "0002.png", "--keep-reference", "--llm", "none",
             "--method", "image-only", "--json")  # fmt: skip
    monkeypatch.setenv("CIR_ENGINE", "faiss")
    by_index = json.loads(run(capsys, *asked)[1])
    by_all = json.loads(run(capsys, *asked, "--engine", "exact")[1])
    assert by_index["results"] == by_all["results"]
    assert by_index["results"][0]["label"] == "0002.png"
    assert (by_index["engine"]["name"], by_all["engine"]["name"]) == ("faiss", "exact")
    assert any("of the true 10 best" in note for note in by_index["notes"])
    status, _, err = run(capsys, *asked, "--engine", "annoy")
    assert status == 2
    assert "There is no engine called 'annoy'.\nChoose one of: exact, faiss, faiss-hnsw, qdrant." in err
