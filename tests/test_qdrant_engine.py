"""A gallery on a Qdrant server is ranked as the exact engine ranks it, and found in as it is on the disk."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_engines import a_query, scoring
from test_fusion import SHARES, a_gallery

pytest.importorskip("qdrant_client", reason="requirements-scale.txt is not installed")
from qdrant_doubles import edge_server, local_server

from cir.errors import GalleryError
from cir.gallery.gallery import TOP, Gallery
from cir.gallery.served.gallery import ServedGallery, open_served
from cir.gallery.served.pushing import Settings, push_gallery
from cir.ranking.engines import open_engine
from cir.ranking.engines import qdrant as qdrant_engine
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.engines.qdrant import QdrantEngine

IMAGES = 300
FOLDERS = (b"", b"rome/", b"rome/forum/", b"z\xc3\xbcrich/")
every_server = pytest.mark.parametrize("kind", ["local mode", "edge"])


@cache
def gallery() -> Gallery:
    """Pictures in folders, most with a day in their names; some twice, some without captions, some that nearly cancel."""
    image, captions, _ = a_gallery(4, IMAGES, 32)
    image[100:120], captions[100:120] = image[:20], captions[:20]
    captions[200:204] = -0.9 * image[200:204]
    made = Gallery.from_features(
        "made",
        [str(i) for i in range(IMAGES)],
        image,
        caption_features=captions,
        captions=[[f"number {i}"] for i in range(IMAGES)],
    )
    names = [b"%s%04d.webp" % (FOLDERS[i % 4], i) for i in range(IMAGES)]
    names = [
        n if i % 3 else n.replace(b".webp", b" 2024-%02d-11.webp" % (1 + i % 12)) for i, n in enumerate(names)
    ]
    order = sorted(range(IMAGES), key=lambda i: names[i])
    return replace(
        made,
        image_ids=tuple(str(i) for i in order),
        image_features=made.image_features[order],
        caption_features=made.caption_features[order],
        captioned=made.captioned[order],
        norms=made.norms[order],
        texts=tuple(made.texts[i] for i in order),
        relatives=tuple(names[i] for i in order),
        contents=tuple(f"{i:064x}" for i in order),
        taken=("",) * IMAGES,
    )


def no_thumbnail(_: ServedGallery, __: str) -> Path:
    raise GalleryError("There is none.")


@cache
def served(kind: str) -> ServedGallery:
    server = local_server() if kind == "local mode" else edge_server(Path(tempfile.mkdtemp()))
    push_gallery(server, gallery(), Settings())
    return open_served(
        server, "made", no_thumbnail, image_encoder_fingerprint="", text_encoder_fingerprint=None
    )


@cache
def engine(kind: str) -> QdrantEngine:
    found = open_engine(served(kind), "qdrant")  # type: ignore[arg-type]
    assert isinstance(found, QdrantEngine)
    return found


@cache
def exact() -> ExactEngine:
    return ExactEngine(gallery())


CHOICES = st.fixed_dictionaries(
    {
        "folder": st.sampled_from([b"", TOP, b"rome", b"rome/forum", b"z\xc3\xbcrich"]),
        "since": st.sampled_from([None, date(2024, 1, 1), date(2024, 5, 11)]),
        "until": st.sampled_from([None, date(2024, 8, 30)]),
        "with_undated": st.booleans(),
    }
)


@every_server
@settings(
    max_examples=20, deadline=None, phases=[Phase.generate]
)  # each asks a server often: shrinking takes minutes
@given(
    seed=st.integers(0, 500),
    moves=st.lists(
        st.tuples(SHARES, st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]))),
        min_size=1,
        max_size=4,
    ),
    chosen=CHOICES,
    left_out=st.lists(st.integers(0, IMAGES - 1), max_size=3),
    cosine=st.booleans(),
    kept=st.sampled_from([16, 64, 2048]),
)
def test_the_top_50_is_that_of_the_exact_engine_for_any_weights_and_filters(
    kind: str, seed: int, moves: list, chosen: dict, left_out: list, cosine: bool, kept: int
) -> None:
    """With few that are kept, and few that are looked for at first: then most moves have to ask again."""
    rows, count = a_query(seed), min(50, kept)
    there, here = served(kind), gallery()
    exclude = [there.find(here.image_ids[i]) for i in left_out]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qdrant_engine, "KEPT", kept)
        patch.setattr(qdrant_engine, "FIRST", 2 * kept)
        for shares, gamma in moves:
            how = replace(scoring(shares, gamma), cosine=cosine)
            places, scores = engine(kind).top(rows, how, count, among=there.select(**chosen), exclude=exclude)
            truth, expected = exact().top(rows, how, count, among=here.select(**chosen), exclude=left_out)
            np.testing.assert_allclose(scores, expected, atol=1e-6)
            ids = there.ids_at(places)
            for place, (found, wanted) in enumerate(zip(ids, truth, strict=True)):
                if found != here.image_ids[wanted]:  # only where two are equal to within float32
                    own = exact().scores(rows, how, [here.find(found)])[0]
                    assert abs(own - expected[place]) <= 1e-6


@every_server
def test_a_slider_that_moves_a_little_asks_the_server_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, rows = QdrantEngine(served(kind)), a_query(3)
    monkeypatch.setattr(qdrant_engine, "KEPT", 200)
    one.top(rows, scoring((0.4, 0.3), 0.2), 5)

    def gone(*_: object, **__: object) -> None:
        raise GalleryError("The server is asked.")

    monkeypatch.setattr(one._gallery.server.client, "query_batch_points", gone)
    moved, _ = one.top(rows, scoring((0.41, 0.3), 0.21), 5)
    truth, _ = exact().top(rows, scoring((0.41, 0.3), 0.21), 5)
    assert served(kind).ids_at(moved) == [gallery().image_ids[i] for i in truth]
    with pytest.raises(GalleryError, match="is asked"):  # a long way
        one.top(rows, scoring((0.0, 0.0), 1.0), 5)
