"""The language model's answers to a benchmark, written down: on a CPU they take an hour, so they are kept with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from cir.errors import LanguageModelFailed
from cir.evaluation.benchmark import FOLDER
from cir.files import file_name
from cir.models.protocols import LanguageModel
from cir.places import kept_beside
from cir.questions import at_once


def answer_key(prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
    """Under what an answer is written down: all that was asked, word for word, and where the answer ends."""
    text = f"{prompt}\x00{max_tokens}\x00{temperature}\x00{seed}"
    if (stop := getattr(prompt, "stop", "\n")) != "\n":  # one line is the rule
        text += f"\x00{stop}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class AnswerBook:
    """A language model whose answers are written down: asked again, it answers from the book.

    Args:
        path: JSON lines {"prompt": hash, "answer": text}, made with its folder for the first answer.
        model: who answers what is not in the book; None makes that an error.
        fresh: do not read what is there.
        shipped: a book that is read, too, and never written.
    """

    def __init__(
        self, path: Path, model: LanguageModel | None, *, fresh: bool = False, shipped: Path | None = None
    ) -> None:
        self.path, self.model = path, model
        self.fingerprint = model.fingerprint if model else "answers in the book"
        self.at_once = at_once(model)
        self._writing = Lock()
        self.answers: dict[str, str] = {}
        for book in (shipped, path):
            if book is not None and book.exists() and not fresh:
                for line in book.read_text(encoding="utf-8").splitlines():
                    row = json.loads(line)
                    self.answers[row["prompt"]] = row["answer"]

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        """The answer in the book, or a new one, which is written down at once."""
        key = answer_key(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)
        if key not in self.answers:
            if self.model is None:
                raise LanguageModelFailed(
                    "An answer is not in the book, and there is no language model to ask.",
                    "Fetch one: python -m cir models pull embedded",
                )
            answer = self.model.complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)
            self.answers[key] = answer
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._writing, self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"prompt": key, "answer": answer}) + "\n")
        return self.answers[key]


class MissingAnswers:
    """A language model that answers from a book alone, and counts the answers that it would have to ask for.

    Args:
        book: what is kept.
        instead: what is answered where nothing is kept, so that all that a method asks is counted; None: an error.
    """

    def __init__(self, book: AnswerBook, instead: str | None = None) -> None:
        self.book, self.instead, self.count = book, instead, 0
        self.keys: set[str] = set()  # of the answers that are missing: methods share some
        self.fingerprint = book.fingerprint
        self.first: Mapping[str, Any] | None = None  # arguments of the first call that nobody has answered

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        """The answer in the book; one that is not there is counted.

        Raises:
            LanguageModelFailed: it is not there, and nothing is answered instead.
        """
        asked = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        key = answer_key(prompt, **asked)
        found = self.book.answers.get(key)
        if found is not None:
            return found
        self.count += 1
        self.keys.add(key)
        self.first = self.first or {"prompt": prompt, **asked}
        if self.instead is not None:
            return self.instead
        raise LanguageModelFailed("An answer is not kept.", "Let the language model be asked.")


def open_book(
    benchmark: str,
    model: LanguageModel | None,
    wanted: str = "",
    *,
    ask: bool = True,
    fresh: bool = False,
) -> AnswerBook:
    """One language model's answers for a benchmark; without a model, those of `wanted`.

    The file's name is the manifest of what answered: benchmark and the model's fingerprint.

    Args:
        benchmark: its name.
        model: who answers; None where it is not here.
        wanted: the name of the language model that was asked for.
        ask: whether the model is asked for what is not in the book.
        fresh: do not read what is there.
    """
    if model is not None:
        file = f"{benchmark}-answers-{file_name(model.fingerprint, '_')}.jsonl"
    else:
        known = [file for name, file in books_of(benchmark) if name == wanted]
        file = known[0] if known else f"{benchmark}-answers-none.jsonl"
    return AnswerBook(kept_beside(FOLDER) / file, model if ask else None, fresh=fresh, shipped=FOLDER / file)


def books_of(benchmark: str) -> list[tuple[str, str]]:
    """The name of each language model that has answered a benchmark, and of its book, shipped or written here."""
    files = {
        path.name
        for folder in (FOLDER, kept_beside(FOLDER))
        for path in folder.glob(f"{benchmark}-answers-*.jsonl")
    }
    return [(file.removeprefix(f"{benchmark}-answers-").rsplit("_", 1)[0], file) for file in sorted(files)]
