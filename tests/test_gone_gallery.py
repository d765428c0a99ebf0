"""A gallery is deleted while it is searched: every handler of the page and every call says so, in the error's own words."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gallery_doubles import ToyEncoder, folder_in_memory, paint_folder
from shelf_doubles import Bench
from triplet_doubles import ToySource

from cir.gallery import delete_gallery

gradio = pytest.importorskip("gradio", reason="gradio is not installed")

SENTENCE = "There is no gallery rome"


class Visit:
    """A page whose visitor searches the gallery "rome", which is gone."""

    def __init__(self, bench: Bench) -> None:
        from cir.ui.layout import PageContent
        from cir.ui.view import build_page

        self.bench, self.asked = bench, 0
        bench.make_of("photos / rome")
        self.content = PageContent(
            bench.shelf.retriever(),
            shelf=bench.shelf,
            making=bench.making,
            text_encoder=ToyEncoder(),  # type: ignore[arg-type]
            triplets=ToySource(),  # type: ignore[arg-type]
            assistants=True,
        )
        self.page = build_page(self.content)
        self.session = self._searching()

    def _searching(self) -> Any:
        """A visitor's session in the middle of a search."""
        from cir.ui import handlers
        from cir.ui.handlers import Session, Settings

        session = Session(gallery="rome", **({"token": "one"} if "token" in Session.__slots__ else {}))
        retriever = self.bench.shelf.retriever("rome")
        handlers.browse(retriever.gallery, session)
        picture = {"path": str(handlers.pick(retriever.gallery, session, retriever.gallery.image_ids[0]))}
        list(
            handlers.search(
                retriever, session, image=picture, text="", method="Image-only", settings=Settings()
            )
        )
        return session

    def delete(self) -> None:
        """The gallery goes, as another tab deletes it."""
        delete_gallery(self.bench.cache, "rome")
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
        request = SimpleNamespace(query_params={"gallery": "rome", "text": "red"})
        given = iter(values)
        arguments = []
        for parameter in inspect.signature(function.fn).parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                arguments += given
            elif "EventData" in str(parameter.annotation):
                arguments.append(event)
            elif "Request" in str(parameter.annotation):
                arguments.append(request)
            elif (value := next(given, self)) is not self:
                arguments.append(value)
        return asyncio.run(_drain(function.fn, arguments)), self.asked - before


async def _drain(handler: Any, arguments: list[Any]) -> list[Any]:
    answer = handler(*arguments)
    if inspect.isasyncgen(answer):
        return [one async for one in answer]
    if inspect.isawaitable(answer):
        return [await answer]
    return [*answer] if inspect.isgenerator(answer) else [answer]


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    with folder_in_memory() as place:
        paint_folder(place / "photos" / "rome", 4, 10)
        visit = Visit(Bench(place))
        visit.delete()
        yield visit


def test_every_handler_of_the_page_says_that_the_gallery_is_gone(visit: Visit) -> None:
    silent, asking = [], 0
    for function in visit.page.fns.values():
        if function.fn is None or function.api_visibility == "public":
            continue
        answers, lookups = visit.call(function)  # none may raise
        asking += lookups > 0
        if lookups and SENTENCE not in str(answers):
            silent.append(function.fn.__qualname__)
    assert asking > 10
    assert silent == ["wire_search.<locals>.choose"]  # of a method: the search that follows it says so


@pytest.mark.parametrize("name", ["search", "rank", "explain"])
def test_every_call_for_programs_ends_in_the_errors_own_sentence(visit: Visit, name: str) -> None:
    function = next(f for f in visit.page.fns.values() if f.api_name == name)
    with pytest.raises(gradio.Error, match=SENTENCE) as problem:
        visit.call(function)
    assert not problem.value.print_exception


def test_an_assistant_is_told_that_the_picture_of_a_gallery_that_is_gone_is_not_there(visit: Visit) -> None:
    function = next(f for f in visit.page.fns.values() if f.api_name == "search_gallery")
    gone = Path(visit.session.result_ids[0]).name
    with pytest.raises(gradio.Error, match="There is no image") as problem:
        asyncio.run(_drain(function.fn, ["red", gone, 3]))
    assert not problem.value.print_exception
