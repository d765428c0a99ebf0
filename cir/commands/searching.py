"""`python -m cir search`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cir.answers import AnswerRow, answer_row, query_row, reaching, row_names, terms_row
from cir.application import (
    build_composers,
    build_models,
    build_translator,
    open_for,
    open_on_server,
)
from cir.commands.console import IndexProgress, print_json
from cir.commands.serving import on_server
from cir.commands.values import given_values, method_values
from cir.composers.composer import Composer
from cir.composers.ingredients import CvsiSettings
from cir.composers.parameters import Values, defaults, starting, starting_note
from cir.composers.registry import cards_of
from cir.errors import BadQuery, MissingModel
from cir.files import content_hash
from cir.gallery import narrowing
from cir.images import read_image
from cir.models.server.address import Asking
from cir.places import title_of_sample
from cir.ranking.engines import DEFAULT
from cir.ranking.rerank import LOCAL_CONCEPTS, local_concepts, rerank_by_concepts
from cir.ranking.retriever import MAX_RESULTS, Explanation, Retriever, weight_note
from cir.ranking.wishes import like_image, without
from cir.text import clean_text
from cir.types import ComposedQuery, Query, RetrievedImage, SignedTerm

if TYPE_CHECKING:
    from PIL.Image import Image

    from cir.gallery.searchable import Searchable
    from cir.models.model_set import Models
    from cir.models.protocols import TextEncoder


def search(options: argparse.Namespace) -> int:
    """Print results for one query."""
    models = build_models(
        options.models,
        llm=options.llm,
        phi=options.phi,
        device=options.device,
        asking=Asking.of(options),
        networks=options.networks,
    )
    with closing(models):
        _search(options, models)
    return 0


def _search(options: argparse.Namespace, models: Models) -> None:
    text, notes = clean_text(options.text)
    settings = CvsiSettings(captions=options.captions, joint_call=options.released_code)
    composers = _composers(options, models, settings)
    place = on_server(options)
    gallery = open_on_server(models, options.gallery, place) if place else open_for(models, options.gallery)
    retriever = Retriever(gallery, composers, build_translator(models), engine=options.engine)
    if options.engine != DEFAULT:
        retriever.engine.prepare(IndexProgress())
    method, composer = next(iter(retriever.composers.items()))
    values, follows = (
        method_values(options, composer, defaults(composer.parameters)),
        not given_values(options),
    )
    only = _only(options, retriever.gallery)
    among = narrowing.among(retriever.gallery, only)
    wanted = _wanted(options, retriever, models.clip)
    *_, composed = retriever.compose(Query(_reference(options, retriever.gallery), text), method)
    composed = replace(composed, signed=wanted)
    values = starting(composer.parameters, composed) if follows else values
    itself = () if options.keep_reference else _copies(options, retriever.gallery)
    rank = partial(
        retriever.rank,
        composed,
        values,
        cosine=not options.released_code,
        among=among,
        exclude=itself,
    )
    results = rank(top_k=options.top_k)
    if options.rerank == LOCAL_CONCEPTS:
        concepts = local_concepts(composed, text)
        best = rank(top_k=MAX_RESULTS)
        results = rerank_by_concepts(best, concepts, retriever, models.clip)[: options.top_k]
    results, hidden_note = reaching(results, options.at_least)
    notes += [
        models.where_asked,
        *composed.notes,
        starting_note(composer.parameters, composed) if follows else "",
        weight_note(composed, composer.parameters, values),
        hidden_note,
        narrowing.note(retriever.gallery, only, among),
        retriever.promise(composed, values).note,
    ]
    left_out = [{"image_id": i, "label": retriever.gallery.label(i)} for i in itself]
    if left_out:
        names = ", ".join(row["label"] for row in left_out)
        notes.append(f"The reference itself is left out: {names}. To rank it too: --keep-reference")
    if options.json:
        answer = answer_row(
            retriever,
            composed,
            values,
            results,
            method=method,
            models=models.opened,
            notes=notes,
            gallery_name=title_of_sample(retriever.gallery.folder),
        )
        whole = _explained(retriever, composed, values, results, answer) if options.explain else answer
        print_json({**whole, "left_out": left_out})
    else:
        why = {}
        if options.explain:
            why = {r.image_id: retriever.explain(composed, values, r.image_id) for r in results}
        _print(retriever, composed, results, notes, why)


def _copies(options: argparse.Namespace, gallery: Searchable) -> tuple[str, ...]:
    """Ids of the gallery's images that are the reference: the one that was named, or that very file by its content."""
    if options.reference_id or not options.image:
        return (options.reference_id,) if options.reference_id else ()
    content = content_hash(options.image.expanduser().resolve())
    return gallery.with_content(content)


def _reference(options: argparse.Namespace, gallery: Searchable) -> Image | None:
    if options.reference_id:
        return read_image(gallery.thumbnail_path(options.reference_id))
    return read_image(options.image) if options.image else None


def _only(options: argparse.Namespace, gallery: Searchable) -> narrowing.Narrowing:
    since, until = narrowing.read_only_days(options.since, options.until)
    return narrowing.Narrowing(
        narrowing.folder_at(gallery, options.inside), since, until, options.with_undated
    )


def _wanted(
    options: argparse.Namespace, retriever: Retriever, encoder: TextEncoder
) -> tuple[SignedTerm, ...]:
    images = [
        like_image(retriever, kind, image_id, retriever.gallery.label(image_id))
        for kind in ("more", "less")
        for image_id in getattr(options, kind) or ()
    ]
    texts = filter(None, (clean_text(text)[0] for text in options.without or ()))
    return (*(without(encoder, text) for text in texts), *images)


def _composers(options: argparse.Namespace, models: Models, settings: CvsiSettings) -> dict[str, Composer]:
    """The method that was asked for, alone: what only others need is not opened."""
    only = (options.method,)
    if found := build_composers(models, settings=settings, phi=options.phi, only=only):
        return found
    for card in cards_of(only):
        recipe = next(
            (need.removeprefix("network ") for need in card.needs if need.startswith("network ")), ""
        )
        if recipe:
            raise MissingModel(
                models.missing.get(
                    f"network {recipe}", f"{card.name} needs a network, and the set {models.name} has none."
                ),
                f"Train one: python -m cir train fusion --recipe {recipe} --from syncir --gallery NAME --triplets FILE "
                f"--models {models.name}. Then search with --network FILE.",
            )
    names = ", ".join(build_composers(models, phi=options.phi))
    raise BadQuery(f"There is no method called {options.method!r} here.", f"Choose one of: {names}.")


def _explained(
    retriever: Retriever,
    composed: ComposedQuery,
    values: Values,
    results: Sequence[RetrievedImage],
    answer: AnswerRow,
) -> dict[str, Any]:
    """An answer, each result with every term of its score."""
    rows = [terms_row(retriever, composed, values, result) for result in results]
    parts = [name for name in row_names(composed) if name in composed.parts]
    return {**answer, "results": rows, "parts": parts, **query_row(retriever, composed, values)}


def _print(
    retriever: Retriever,
    composed: ComposedQuery,
    results: Sequence[RetrievedImage],
    notes: list[str],
    why: Mapping[str, Explanation],
) -> None:
    out = sys.stdout.write
    for name, texts in composed.trace.items():
        out(f"{name.replace('_', ' ')}: {'; '.join(texts) or 'none'}\n")
    for note in dict.fromkeys(note for note in (*retriever.gallery.notes, *notes) if note):
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
