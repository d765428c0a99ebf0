"""`evaluate world`: the embedded models, and every method on them, on the world benchmark.

Per-query ranks come first; the report is made of them. The reference is left out of every ranking. What is slow is kept:
see `cir.evaluation.encoders` and `cir.evaluation.answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.composers.composer import Composer
from cir.composers.parameters import Values, defaults
from cir.evaluation.benchmark import PICTURE_PX, Benchmark, held_out_scenes, scenes_digest
from cir.evaluation.encoders import Encoders, Say, unit
from cir.evaluation.measures import recalls
from cir.gallery.gallery import Gallery
from cir.models.protocols import TextEncoder
from cir.ranking.engines import open_whole
from cir.ranking.retriever import Retriever
from cir.text import counted
from cir.types import CirQuery, ComposedQuery, Query
from cir.world.captions import caption_scene, describe_scene
from cir.world.reading import background_in, nouns_in
from cir.world.render import HELD_OUT_VARIANTS, RenderedScene, render_scene
from cir.world.scene import Scene
from cir.world.vocabulary import load_nouns

Report = dict[str, Any]
SCENES = 5000
CROPS = 1000
CAPTIONED_SCENES = 1000
HELD_OUT = "held-out"  # the name of what is kept of them


def mean_captions(captions: Sequence[Sequence[str]], text_encoder: TextEncoder) -> NDArray[np.float32]:
    """t_c of each image, Eq. 5; zeros where it has no caption."""
    flat = [caption for row in captions for caption in row]
    features = text_encoder.encode_texts(flat)
    out = np.zeros((len(captions), text_encoder.dim), np.float32)
    start = 0
    for i, row in enumerate(captions):
        if row:
            out[i] = features[start : start + len(row)].mean(axis=0)
        start += len(row)
    return out


def benchmark_gallery(
    name: str, benchmark: Benchmark, encoders: Encoders, *, per_image: int, say: Say
) -> Gallery:
    """The benchmark's scenes as a gallery in memory, encoded and captioned by the models under test.

    Args:
        name: of the benchmark.
        benchmark: its scenes.
        encoders: the models under test.
        per_image: captions of each scene; 0 for a gallery of pixels alone.
        say: told how far it is.
    """
    ids = tuple(benchmark.scenes)
    drawn = benchmark.drawn
    raw = encoders.images(name, drawn, lambda: (benchmark.picture(i) for i in ids))
    if not per_image:
        return Gallery.from_features(name, ids, raw)
    captions = encoders.captions(name, drawn, pictures_of(benchmark), per_image, say)
    means = mean_captions(captions, encoders.text_encoder)
    return Gallery.from_features(name, ids, raw, caption_features=means, captions=captions)


def pictures_of(benchmark: Benchmark) -> list[Callable[[], Image.Image]]:
    """What draws each of its scenes, in their order."""
    return [lambda i=i: benchmark.picture(i) for i in benchmark.scenes]


def target_rank(retriever: Retriever, composed: ComposedQuery, values: Values, query: CirQuery) -> int:
    """Rank of the intended target among all images but the reference, from 1."""
    return retriever.rank_of(composed, values, query.target_ids[0], exclude=(query.reference_id,))


def compose_whole(composer: Composer, query: Query) -> ComposedQuery:
    """The last, whole stage of a composition."""
    *_, composed = composer.compose(query)
    return composed


def by_kind(queries: Sequence[CirQuery], ranks: Sequence[int]) -> Report:
    """Recalls of all queries, and R@1 of each kind with the number of its queries."""
    kinds = sorted({q.kind for q in queries})
    split = {kind: [r for q, r in zip(queries, ranks, strict=True) if q.kind == kind] for kind in kinds}
    return {
        **recalls(ranks),
        "by_kind": {
            kind: {"R@1": recalls(rows)["R@1"], "queries": len(rows)} for kind, rows in split.items()
        },
    }


def compose_all(
    benchmark: Benchmark, queries: Sequence[CirQuery], composer: Composer, say: Say
) -> list[ComposedQuery]:
    """Every query composed, in order."""
    out = []
    for i, query in enumerate(queries, start=1):
        out.append(
            compose_whole(composer, Query(benchmark.picture(query.reference_id), query.modification_text))
        )
        if i % 50 == 0:
            say(f"{composer.name}: {i} of {counted(len(queries), 'query', 'queries')}")
    return out


def oracle_caption_ranks(
    benchmark: Benchmark, queries: Sequence[CirQuery], gallery: Gallery, text_encoder: TextEncoder
) -> list[int]:
    """Ranks by the target's true caption as a text query, pixels alone."""
    texts = text_encoder.encode_texts([describe_scene(benchmark.scenes[q.target_ids[0]]) for q in queries])
    scores = open_whole(gallery).dots(texts).image.T
    ranks = []
    for row, query in zip(scores, queries, strict=True):
        row[gallery.find(query.reference_id)] = -np.inf
        ranks.append(1 + int((row > row[gallery.find(query.target_ids[0])]).sum()))
    return ranks


def text_to_image(encoders: Encoders) -> Report:
    """Captions against 1,000 and 5,000 held-out scenes, none said twice."""
    rng = np.random.default_rng(5)
    scenes: dict[Any, Scene] = {}
    for scene in held_out_scenes(rng):
        scenes.setdefault(scene.key, scene)
        if len(scenes) == SCENES:
            break
    listed = list(scenes.values())
    images = unit(encoders.images(HELD_OUT, scenes_digest(listed), lambda: (_draw(s).image for s in listed)))
    texts = encoders.text_encoder.encode_texts([caption_scene(s, rng, drop=0.0) for s in listed])
    out = {}
    for name, n in (("1k", 1000), ("5k", SCENES)):
        scores = texts[:n] @ images[:n].T
        out[name] = recalls((1 + (scores > scores.diagonal()[:, None]).sum(1)).tolist())
    return out


def _draw(scene: Scene) -> RenderedScene:
    return render_scene(scene, PICTURE_PX, variants=HELD_OUT_VARIANTS)


def noun_accuracy(encoders: Encoders) -> dict[str, float]:
    """Naming: a single object cut out of its scene, and a single object in its scene with all else said.

    Both among all nouns, zero-shot, on held-out content before held-out backgrounds.
    """
    rng = np.random.default_rng(6)
    singles = []
    for scene in held_out_scenes(rng):
        if len(scene.groups) == 1 and scene.groups[0].count == 1:
            singles.append(scene)
        if len(singles) == CROPS:
            break
    nouns = list(load_nouns())
    truth = np.array([nouns.index(s.groups[0].noun) for s in singles])
    drawn = scenes_digest(singles)
    crops = unit(encoders.images("crops", drawn, lambda: (_crop(_draw(s)) for s in singles)))
    names = encoders.text_encoder.encode_texts([f"a photo of {_article(n)} {n}" for n in nouns])
    right = (crops @ names.T).argmax(1) == truth
    whole = unit(encoders.images("singles", drawn, lambda: (_draw(s).image for s in singles)))
    in_scene = []
    for row, scene, noun in zip(whole[:300], singles, truth, strict=False):
        said = describe_scene(scene)
        texts = encoders.text_encoder.encode_texts([_renamed(said, nouns[noun], other) for other in nouns])
        in_scene.append(int((texts @ row).argmax()) == noun)
    return {"noun_top1": 100.0 * float(right.mean()), "noun_in_scene_top1": 100.0 * float(np.mean(in_scene))}


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _renamed(text: str, noun: str, other: str) -> str:
    words = text.replace(noun, other, 1)
    return words.replace("an ", "a ", 1) if words.startswith("an ") and other[0] not in "aeiou" else words


def _crop(picture: RenderedScene) -> Image.Image:
    (box,), side = picture.boxes, picture.image.width
    span = 1.25 * max(box.right - box.left, box.bottom - box.top)
    span = min(span, 1.0)
    left = min(max(0.0, (box.left + box.right - span) / 2), 1.0 - span)
    top = min(max(0.0, (box.top + box.bottom - span) / 2), 1.0 - span)
    return picture.image.crop(
        (round(left * side), round(top * side), round((left + span) * side), round((top + span) * side))
    )


def captioned_scenes() -> list[Scene]:
    """The held-out scenes by whose captions the captioner is judged."""
    return list(islice(held_out_scenes(np.random.default_rng(7)), CAPTIONED_SCENES))


def drawings(scenes: Sequence[Scene]) -> list[Callable[[], Image.Image]]:
    """What draws each of these scenes."""
    return [lambda s=s: _draw(s).image for s in scenes]


def captioner_quality(encoders: Encoders, say: Say) -> dict[str, float]:
    """One sampled caption for each of 1,000 held-out scenes: object recall and precision, background right."""
    scenes = captioned_scenes()
    captions = encoders.captions(HELD_OUT, scenes_digest(scenes), drawings(scenes), 1, say)
    texts = [row[0] if row else "" for row in captions]
    found, real = [nouns_in(t) for t in texts], [{g.noun for g in s.groups} for s in scenes]
    right = sum(len(f & r) for f, r in zip(found, real, strict=True))
    return {
        "object_recall": 100.0 * right / sum(map(len, real)),
        "object_precision": 100.0 * right / max(1, sum(map(len, found))),
        "background": 100.0
        * float(np.mean([background_in(t) == s.background for t, s in zip(texts, scenes, strict=True)])),
    }


def method_reports(
    benchmark: Benchmark,
    retriever: Retriever,
    values: Mapping[str, Values],
    say: Say,
    *,
    limit: int | None = None,
) -> dict[str, Report]:
    """Recalls of every method of the retriever, in its order; by its own numbers where `values` has none for it."""
    queries = benchmark.queries[:limit]
    reports = {}
    for name, composer in retriever.composers.items():
        composed = compose_all(benchmark, queries, composer, say)
        chosen = values.get(name, defaults(composer.parameters))
        ranks = [target_rank(retriever, c, chosen, q) for c, q in zip(composed, queries, strict=True)]
        reports[name] = by_kind(queries, ranks)
        if composer.parameters:
            reports[name]["weights"] = dict(chosen)
            reports[name]["parts"] = part_recalls(retriever, composed, queries)
    return reports


def part_recalls(
    retriever: Retriever, composed: Sequence[ComposedQuery], queries: Sequence[CirQuery]
) -> Report:
    """R@1 and R@10 of each part alone, by pixels."""
    names = list(dict.fromkeys(name for query in composed for name in query.parts))
    return {
        name: recalls(
            [_rank_alone(retriever, c, name, q) for c, q in zip(composed, queries, strict=True)], (1, 10)
        )
        for name in names
    }


def _rank_alone(retriever: Retriever, composed: ComposedQuery, name: str, query: CirQuery) -> int:
    """By one part, or by all alike where the query lacks it."""
    alone = ComposedQuery({name: composed.parts[name]} if name in composed.parts else composed.parts)
    return target_rank(retriever, alone, {}, query)
