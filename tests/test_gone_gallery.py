"""A gallery is deleted while it is searched: every handler of the page and every call says so, in the error's own words."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from gallery_doubles import ToyEncoder, folder_in_memory, paint_folder
from shelf_doubles import Bench
from triplet_doubles import ToyLibrary

from cir.gallery.removal import delete_gallery

gradio = pytest.importorskip("gradio", reason="gradio is not installed")

SENTENCE = re.compile("The gallery rome is not there any more")
# A tick of the clock, and another method: what a person does next says so. And whoever leaves it for another gallery.
SILENT = {"wire_progress.<locals>.progress", "wire_search.<locals>.choose", "wire_switcher.<locals>.switch"}
REQUEST = SimpleNamespace(query_params={"gallery": "rome", "text": "red"}, session_hash="one")


class Visit:
    """A page whose visitor searches the gallery "rome", which is gone."""

    def __init__(self, bench: Bench) -> None:
        from cir.ui.page import PageContent
        from cir.ui.view import build_page

        self.bench, self.asked = bench, 0
        bench.make_of("photos / rome")
        self.content = PageContent(
            bench.shelf,
            indexing=bench.indexing,
            text_encoder=ToyEncoder(),  # type: ignore[arg-type]
            triplets=ToyLibrary(),  # type: ignore[arg-type]
            assistants=True,
        )
        self.page = build_page(self.content)
        self.session = self._searching()
        self.ask("search", gallery="rome", reference_id=self.session.result_ids[0])

    def _searching(self) -> Any:
        """A visitor's session in the middle of a search."""
        from cir.ui.search import handlers, reference
        from cir.ui.search.handlers import Session, Settings

        session = Session(gallery="rome", **({"token": "one"} if "token" in Session.__slots__ else {}))
        retriever = self.bench.shelf.retriever("rome")
        handlers.browse(retriever.gallery, session)
        picture = {"path": str(reference.pick(retriever.gallery, session, retriever.gallery.image_ids[0]))}
        list(
            handlers.search(
                retriever, session, image=picture, text="", method="Image-only", settings=Settings()
            )
        )
        return session

    def delete(self, *, by_another_process: bool) -> None:
        """The gallery goes, as another tab deletes it, or the command line."""
        delete_gallery(self.bench.cache, "rome")
        if not by_another_process:
            self.bench.shelf.drop("rome")
        self.bench.indexer.start = lambda *_, **__: None  # type: ignore[method-assign]  "Go on" would make it anew
        lookup = self.bench.shelf.retriever

        def retriever(name: str = "") -> Any:
            self.asked += name == "rome"
            return lookup(name)

        self.bench.shelf.retriever = retriever  # type: ignore[method-assign]

    def call(self, function: Any) -> tuple[list[Any], int]:
        """Everything that a handler answers, and how often it asked for the gallery that is gone."""
        before, values = self.asked, []
        for component in function.inputs:
            value = deepcopy(getattr(component, "value", None))
            values.append(deepcopy(self.session) if hasattr(value, "picked_id") else value)
        event = SimpleNamespace(_data={"do": "look", "image_id": self.session.result_ids[0], "place": 0})
        given = iter(values)
        arguments = []
        for parameter in inspect.signature(function.fn).parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                arguments += given
            elif "EventData" in str(parameter.annotation):
                arguments.append(event)
            elif "Request" in str(parameter.annotation):
                arguments.append(REQUEST)
            elif (value := next(given, self)) is not self:
                arguments.append(value)
        return asyncio.run(_drain(function.fn, *arguments)), self.asked - before

    def ask(self, name: str, **arguments: Any) -> list[Any]:
        """What a program or an assistant is answered."""
        function = next(one for one in self.page.fns.values() if one.api_name == name)
        given = {"request": REQUEST, **arguments}  # handed over in order, as gradio does
        return asyncio.run(_drain(function.fn, *map(given.get, inspect.signature(function.fn).parameters)))


async def _drain(handler: Any, *arguments: Any, **named: Any) -> list[Any]:
    answer = handler(*arguments, **named)
    if inspect.isasyncgen(answer):
        return [one async for one in answer]
    if inspect.isawaitable(answer):
        return [await answer]
    return [*answer] if inspect.isgenerator(answer) else [answer]


@pytest.fixture(scope="module", params=["another tab", "another process"])
def visit(request: pytest.FixtureRequest) -> Iterator[Visit]:
    with folder_in_memory() as place:
        paint_folder(place / "photos" / "rome", 4, 10)
        visit = Visit(Bench(place))
        visit.delete(by_another_process=request.param == "another process")
        yield visit


def test_every_handler_of_the_page_says_that_the_gallery_is_gone(visit: Visit) -> None:
    silent, asking = [], 0
    for function in visit.page.fns.values():
        if function.fn is None or function.api_visibility == "public":
            continue
        answers, lookups = visit.call(function)  # none may raise
        asking += lookups > 0
        if lookups and not SENTENCE.search(str(answers)):
            silent.append(function.fn.__qualname__)
    assert asking > 10
    assert set(silent) <= SILENT


def test_the_search_of_a_program_cannot_be_ranked_or_explained_any_more_and_that_is_said(
    visit: Visit,
) -> None:
    for name, arguments in (("rank", {}), ("explain", {"image_id": visit.session.result_ids[0]})):
        with pytest.raises(gradio.Error, match=SENTENCE) as problem:
            visit.ask(name, **arguments)
        assert not problem.value.print_exception  # no traceback in the log


@pytest.mark.parametrize("name", ["search", "search_gallery"])
def test_a_program_and_an_assistant_are_told_which_galleries_there_are(visit: Visit, name: str) -> None:
    with pytest.raises(gradio.Error, match=r"rome.*At home") as problem:
        visit.ask(name, gallery="rome", text="red")
    assert not problem.value.print_exception
