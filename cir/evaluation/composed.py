"""Queries of a benchmark, composed, and kept between runs: what a table needs of a method, without asking a model again.

One file per method and models: named rows of numbers in .npz, never pickled. A stop loses at most fifty queries.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from cir.cache_keys import digest_of
from cir.composers.averaging import mean_of
from cir.composers.composer import Composer, gallery_encoder_of
from cir.errors import CirError, LanguageModelFailed
from cir.evaluation.answers import answer_key
from cir.evaluation.encoders import Say
from cir.files import file_name
from cir.models.protocols import LanguageModel
from cir.questions import at_once
from cir.text import counted
from cir.types import CirQuery, ComposedQuery, Query
from cir.whole_files import replacing

KEEP_EVERY = 50
Texts = Callable[[CirQuery], Sequence[str]]


class Witness:
    """A language model that is watched: how often it failed, how long it took, and what it said.

    Args:
        model: who is asked; it may be an answer book.

    Attributes:
        heard: of each answer, its key in a book and a digest of it.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.fingerprint = model, model.fingerprint
        self.failures, self.calls, self.seconds = 0, 0, 0.0
        self.heard: list[str] = []
        self.at_once = at_once(model)
        self._lock, self._under_way, self._since = Lock(), 0, 0.0

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        """The model's answer.

        Raises:
            LanguageModelFailed: the model's own; it is counted.
        """
        self._count(1)
        try:
            answer = self.model.complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)
            key = answer_key(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)
            self.heard.append(f"{key}:{digest_of(answer)}")
            return answer
        except LanguageModelFailed:
            self.failures += 1
            raise
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        """Questions that begin and end; the time counts in which any is under way."""
        with self._lock:
            if not self._under_way:
                self._since = time.perf_counter()
            self._under_way += more
            if more > 0:
                self.calls += 1
            if not self._under_way:
                self.seconds += time.perf_counter() - self._since


@dataclass(slots=True)
class Kept:
    """Composed queries of one method.

    Attributes:
        queries: query id -> what was composed.
        unanswered: ids for which the language model had no answer: composed without its parts, or not at all.
        answers: how many answers were known when they were composed; more of them are a reason to try again.
        heard: query id -> the answers that it was composed with, see `Witness`.
    """

    queries: dict[str, ComposedQuery] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    answers: int = 0
    heard: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def outdated(self, answers: Mapping[str, str]) -> set[str]:
        """Ids of queries that were composed with answers that the book does not hold, or holds otherwise."""
        known = {f"{key}:{digest_of(answer)}" for key, answer in answers.items()}
        return {name for name, heard in self.heard.items() if not known.issuperset(heard)}

    @property
    def whole(self) -> dict[str, ComposedQuery]:
        """The queries whose answers were all there."""
        return {name: q for name, q in self.queries.items() if name not in self.unanswered}


def kept_path(folder: Path, benchmark: str, method: str, models: Mapping[str, object]) -> Path:
    """Where a method's composed queries are kept; another file for other models or settings."""
    digest = hashlib.blake2b(json.dumps([method, models], sort_keys=True).encode(), digest_size=6).hexdigest()
    return folder / f"composed-{benchmark}-{file_name(method.lower())}-{digest}.npz"


def one_text(query: CirQuery) -> Sequence[str]:
    """The query's own text, as most benchmarks have it."""
    return (query.modification_text,)


def compose_texts(composer: Composer, picture: Image.Image, texts: Sequence[str]) -> ComposedQuery:
    """The whole composition of a picture and a text; of several texts, each part is the mean of theirs."""
    found = []
    for text in texts:
        *_, composed = composer.compose(Query(picture, text))
        found.append(composed)
    return mean_of(found)


def compose_kept(
    path: Path,
    queries: Sequence[CirQuery],
    picture: Callable[[str], Image.Image],
    composer: Composer,
    say: Say,
    *,
    texts: Texts = one_text,
    witness: Witness | None = None,
    answers: Mapping[str, str] | None = None,
    live: bool = False,
    fresh: bool = False,
) -> Kept:
    """Compose what is not kept yet, and keep it.

    Args:
        path: from `kept_path`.
        queries: in their order.
        picture: image id -> picture.
        composer: the method.
        say: told how far it is.
        texts: what is asked of each query; the features of several texts are averaged.
        witness: the language model of the composer, when it has one.
        answers: what that model has answered, by key; None where it keeps no book.
        live: whether it answers what it does not know, too: what was not answered is then asked again.
        fresh: compose everything again.

    Raises:
        CirError: the method cannot compose one of them; those before it are kept.
    """
    kept = Kept() if fresh else read_kept(path, composer)
    count = len(answers or ())
    again = kept.unanswered if live or count != kept.answers else set()
    outdated = set() if answers is None else kept.outdated(answers)
    done = (set(kept.queries) | kept.unanswered) - again - outdated
    todo = [q for q in queries if q.query_id not in done]
    kept.answers = count
    try:
        for i, query in enumerate(todo, start=1):
            _compose_one(kept, query, texts, picture, composer, witness)
            if i % KEEP_EVERY == 0:
                write_kept(path, kept)
                say(f"{composer.name}: {i} of {counted(len(todo), 'query', 'queries')}")
    finally:
        if todo:
            write_kept(path, kept)
    return kept


def _compose_one(
    kept: Kept,
    query: CirQuery,
    texts: Texts,
    picture: Callable[[str], Image.Image],
    composer: Composer,
    witness: Witness | None,
) -> None:
    before, heard = (witness.failures, len(witness.heard)) if witness else (0, 0)
    try:
        kept.queries[query.query_id] = compose_texts(composer, picture(query.reference_id), texts(query))
    except LanguageModelFailed:  # a method, or an edit, that is nothing without it
        kept.queries.pop(query.query_id, None)
        kept.unanswered.add(query.query_id)
        return
    missed = witness is not None and witness.failures > before
    (kept.unanswered.add if missed else kept.unanswered.discard)(query.query_id)
    if witness is not None:
        kept.heard[query.query_id] = tuple(witness.heard[heard:])


def write_kept(path: Path, kept: Kept) -> None:
    """Write all of them, replacing the file at once."""
    names = list(kept.queries)
    parts = sorted({part for q in kept.queries.values() for part in q.parts})
    arrays: dict[str, Any] = {
        "queries": np.array(names, dtype=np.str_),
        "unanswered": np.array(sorted(kept.unanswered), dtype=np.str_),
        "answers": np.array(kept.answers),
        "heard": np.array([" ".join(kept.heard.get(name, ())) for name in names], dtype=np.str_),
    }
    for part in parts:
        rows = [q.parts.get(part) for q in kept.queries.values()]
        width = next(len(row) for row in rows if row is not None)
        arrays[f"has:{part}"] = np.array([row is not None for row in rows])
        arrays[f"part:{part}"] = np.stack([np.zeros(width, np.float32) if r is None else r for r in rows])
    for name in sorted({name for q in kept.queries.values() for name in q.numbers}):
        arrays[f"number:{name}"] = np.array([q.numbers.get(name, np.nan) for q in kept.queries.values()])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)


def read_kept(path: Path, composer: Composer) -> Kept:
    """What `write_kept` wrote of a method's queries; nothing where there is no file.

    Raises:
        CirError: a file that is damaged.
    """
    if not path.exists():
        return Kept()
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        names = [str(name) for name in arrays["queries"]]
        parts = [name.removeprefix("part:") for name in arrays if name.startswith("part:")]
        numbers = {
            name.removeprefix("number:"): a for name, a in arrays.items() if name.startswith("number:")
        }
        encoder = gallery_encoder_of(composer)
        space = "" if encoder is None else encoder.fingerprint
        queries = {
            name: ComposedQuery(
                {p: arrays[f"part:{p}"][i] for p in parts if arrays[f"has:{p}"][i]},
                scoring=composer.scoring,
                numbers={n: float(a[i]) for n, a in numbers.items() if not np.isnan(a[i])},
                space=space,
            )
            for i, name in enumerate(names)
        }
        unanswered = {str(name) for name in arrays["unanswered"]}
        heard = {n: tuple(str(row).split()) for n, row in zip(names, arrays["heard"], strict=True)}
        return Kept(queries, unanswered, int(arrays["answers"]), heard)
    except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise CirError(
            f"{path} cannot be read: {error!r}.",
            "Delete it; it is made again by: python -m cir tables methods",
        ) from error
