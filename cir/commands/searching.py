"""`python -m cir search`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from cir.application import build_composers, build_models, build_translator, open_for
from cir.composers.cvsi import CvsiSettings
from cir.errors import BadQuery
from cir.images import read_image
from cir.rerank import LOCAL_CONCEPTS, local_concepts, rerank_by_concepts
from cir.retriever import MAX_RESULTS, Explanation, Retriever, part_weights, weight_note
from cir.text import clean_text
from cir.translating import TRANSLATION
from cir.types import MODIFIED_CAPTIONS, PARTS, ComposedQuery, Query, RetrievedImage, Weights


def search(options: argparse.Namespace) -> int:
    """Print results for one query."""
    text, notes = clean_text(options.text)
    image = read_image(options.image) if options.image else None
    query = Query(image, text)  # before anything is loaded: an empty query is refused at once
    models = build_models(options.models, llm=options.llm, phi=options.phi)
    settings = CvsiSettings(captions=options.captions, joint_call=options.released_code)
    composers = build_composers(models, settings=settings, phi=options.phi)
    retriever = Retriever(open_for(models, options.gallery), composers, build_translator(models))
    method = _method(options.method, retriever)
    weights = _weights(options, retriever.composers[method].default_weights)
    *_, composed = retriever.compose(query, method)
    results = retriever.rank(composed, weights, top_k=options.top_k, cosine=not options.released_code)
    if options.rerank == LOCAL_CONCEPTS:
        best = retriever.rank(composed, weights, top_k=MAX_RESULTS, cosine=not options.released_code)
        concepts = local_concepts(composed, text)
        results = rerank_by_concepts(best, concepts, retriever.gallery, models.clip)[: options.top_k]
    notes += [*retriever.gallery.notes, *composed.notes, *filter(None, [weight_note(composed, weights)])]
    if options.json:
        answer = _answer(retriever, composed, weights, results, method, notes, explain=options.explain)
        answer["models"] = dict(models.fingerprints)
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    else:
        why = {}
        if options.explain:
            why = {r.image_id: retriever.explain(composed, weights, r.image_id) for r in results}
        _print(retriever, composed, results, notes, why)
    models.close()
    return 0


def _method(asked: str, retriever: Retriever) -> str:
    for name in retriever.methods:
        if name.lower() == asked.lower():
            return name
    raise BadQuery(
        f"There is no method called {asked!r} here.", f"Choose one of: {', '.join(retriever.methods)}."
    )


def _weights(options: argparse.Namespace, default: Weights) -> Weights:
    given = {name: getattr(options, name) for name in ("alpha", "beta", "gamma")}
    return Weights(
        **{name: getattr(default, name) if value is None else value for name, value in given.items()}
    )


def _answer(
    retriever: Retriever,
    composed: ComposedQuery,
    weights: Weights,
    results: list[RetrievedImage],
    method: str,
    notes: list[str],
    *,
    explain: bool,
) -> dict[str, Any]:
    gallery = retriever.gallery
    rows: list[dict[str, Any]] = []
    for result in results:
        row: dict[str, Any] = {
            "rank": result.rank,
            "image_id": result.image_id,
            "score": result.score,
            "label": gallery.label(result.image_id),
        }
        if explain:
            why = retriever.explain(composed, weights, result.image_id)
            nothing = {"image": 0.0, "captions": 0.0}
            row["terms"] = {name: why.terms.get(name, nothing) for name in PARTS}
            row |= {"tv_tv": why.tv_tv, "tc_tc": why.tc_tc, "tv_tc": why.tv_tc, "gamma": why.gamma}
        rows.append(row)
    trace = {
        name: list(composed.trace.get(name, ()))
        for name in (TRANSLATION, "captions", MODIFIED_CAPTIONS, "added_objects")
    }
    answer: dict[str, Any] = {
        "method": method,
        "weights": {"alpha": weights.alpha, "beta": weights.beta, "gamma": weights.gamma},
        "gallery": {"name": gallery.name, "images": len(gallery.image_ids)},
        "trace": trace,
        "notes": notes,
        "timings_ms": {name: round(value, 1) for name, value in composed.timings_ms.items()},
        "results": rows,
    }
    if explain:
        answer["parts"] = [name for name in PARTS if name in composed.parts]
        answer["gram"] = retriever.gram(composed)
        # A part that is missing counts as 0 and the others keep their ratio: these are the weights that counted.
        answer["effective_weights"] = part_weights(composed, weights)[0]
    return answer


def _print(
    retriever: Retriever,
    composed: ComposedQuery,
    results: list[RetrievedImage],
    notes: list[str],
    why: Mapping[str, Explanation],
) -> None:
    out = sys.stdout.write
    for name, texts in composed.trace.items():
        out(f"{name.replace('_', ' ')}: {'; '.join(texts) or 'none'}\n")
    for note in notes:
        out(f"note: {note}\n")
    for result in results:
        out(f"{result.rank:4d}  {result.score:.4f}  {retriever.gallery.label(result.image_id)}\n")
        if result.image_id in why:
            _print_shares(why[result.image_id])
    out("  ".join(f"{name} {value:.0f} ms" for name, value in composed.timings_ms.items()) + "\n")


def _print_shares(why: Explanation) -> None:
    """What each term adds to a score; together they are the score."""
    for name, share in why.shares.items():
        sys.stdout.write(
            f"      {name.replace('_', ' ')} (weight {why.weights[name]:.2f}): "
            f"{share['image']:+.4f} by its pixels, {share['captions']:+.4f} by its captions\n"
        )
