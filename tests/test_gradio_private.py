"""Gradio still does what the page takes for granted without being promised it: each on a page of a few lines."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from PIL import Image
from starlette.middleware import Middleware

from cir.ui.server import gradio_private as private


def count(kept: int) -> tuple[int, int]:
    return kept + 1, kept + 1


def size_of(picture: str | None) -> str:
    return "nothing" if picture is None else str(Image.open(picture).size)


def shout(text: str, times: int = 1) -> str:
    """Make a text loud."""
    return text.upper() * times


class Small:
    """A page with a counter, a picture and a call, mounted as the program mounts its own."""

    def __init__(self, **options: Any) -> None:
        self.held: list[int] = []
        self.released = threading.Event()
        with private.CheckedBlocks() as self.page:
            kept, number, picture, said = gr.State(0), gr.Number(), gr.Image(type="filepath"), gr.Textbox()
            gr.Button().click(count, [kept], [number, kept], api_name="count")
            gr.Button().click(size_of, [picture], [said], api_name="size")
            self.call = gr.api(shout, api_name="shout")
            gr.api(self.hold, api_name="hold", concurrency_limit=None)
        private.limit(self.page, sessions=2, threads=3)
        private.keep_no_statistics()
        self.page.queue()
        outer = FastAPI()
        gr.mount_gradio_app(outer, self.page, path="/", ssr_mode=False, **options)
        self.app = private.mounted(outer)
        private.mark_as_launched(self.page, self.app, "http://testserver/")
        self.client = TestClient(outer, raise_server_exceptions=False)

    def hold(self) -> str:
        """Begin, and end when it is released."""
        self.held.append(1)
        self.released.wait(30)
        return ""

    def ask(self, name: str, *values: object, session: str = "one") -> Any:
        """What a call answers, or its error."""
        asked = self.client.post(
            f"/gradio_api/call/{name}", json={"data": [*values], "session_hash": session}
        ).json()
        came = self.client.get(f"/gradio_api/call/{name}/{asked['event_id']}").text
        kind, _, data = came.strip().rpartition("event: ")[2].partition("\ndata: ")
        return json.loads(data)[0] if kind == "complete" else data

    def upload(self) -> dict[str, Any]:
        """A picture of four by three pixels, uploaded."""
        data = io.BytesIO()
        Image.new("RGB", (4, 3)).save(data, "PNG")
        path = self.client.post("/gradio_api/upload", files={"files": ("a.png", data.getvalue())}).json()[0]
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Small]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    made = Small()
    with made.client:
        yield made


def test_an_upload_lies_in_the_folder_of_uploads_and_a_picture_copied_there_may_be_fetched(small, tmp_path):
    sent = small.upload()
    assert Path(sent["path"]).is_relative_to(private.upload_folder())
    assert small.ask("size", sent) == "(4, 3)"
    own = tmp_path.parent / "own.png"
    Image.new("RGB", (2, 2)).save(own)
    assert small.client.get(f"/gradio_api/file={own}").status_code == 403
    copy = private.copied_among_uploads(own)
    assert small.client.get(f"/gradio_api/file={copy}").content == own.read_bytes()


def test_a_page_that_is_marked_as_launched_refuses_a_file_that_was_not_uploaded(small):
    foreign = {"path": str(Path(__file__)), "meta": {"_type": "gradio.FileData"}}
    assert "4, 3" not in str(small.ask("size", foreign))
    small.page.has_launched = False  # what the mark is for
    assert small.ask("size", foreign) != small.ask("size", None)


def test_an_address_in_the_place_of_a_file_is_not_fetched(small, monkeypatch):
    asked: list[str] = []

    async def fetch(url: str) -> None:
        asked.append(url)
        raise gr.Error("fetched")

    from gradio import processing_utils

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", fetch)
    address = {"path": "http://example.com/a.png", "meta": {"_type": "gradio.FileData"}}
    small.ask("size", address)
    assert asked == ["http://example.com/a.png"]  # it would be, by the function that is replaced
    private.fetch_no_addresses()
    assert "Addresses are not fetched" in small.ask("size", address)
    assert len(asked) == 1


def test_what_is_kept_of_a_page_is_forgotten_when_it_is_closed_and_when_there_are_too_many(small):
    assert [small.ask("count"), small.ask("count")] == [1, 2]
    private.forget_session(small.page, "one")
    assert small.ask("count") == 1
    for session in ("two", "three"):
        small.ask("count", session=session)
    assert small.ask("count") == 1  # two are kept


def test_as_many_handlers_run_at_once_as_the_page_is_told(small):
    for number in range(4):
        small.client.post("/gradio_api/call/hold", json={"data": [], "session_hash": str(number)})
    until = time.monotonic() + 20
    while len(small.held) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.3)  # in which a fourth could begin
    assert len(small.held) == 3
    small.released.set()
    while len(small.held) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(small.held) == 4


def test_of_past_events_one_is_kept(small):
    for _ in range(3):
        small.ask("shout", "a")
    assert len(small.page._queue.event_analytics) <= 1


def test_streams_to_open_pages_end_when_they_are_told_to(small):
    ended = threading.Event()

    def listen() -> None:
        small.client.get("/gradio_api/heartbeat/one")
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    assert not ended.wait(0.5)
    small.client.portal.call(private.stop_streams, small.app)
    assert ended.wait(20)


def test_who_has_given_the_password_is_known_by_a_cookie(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    class Asked:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") == "/may":
                await JSONResponse(private.has_given_password(scope))(scope, receive, send)
            else:
                await self.app(scope, receive, send)

    guarded = Small(auth=("ann", "secret"), app_kwargs={"middleware": [Middleware(Asked)]})
    with guarded.client as client:
        assert client.get("/may").json() is False
        client.post("/login", data={"username": "ann", "password": "wrong"})
        assert client.get("/may").json() is False
        client.post("/login", data={"username": "ann", "password": "secret"})
        assert client.get("/may").json() is True
    with Small(app_kwargs={"middleware": [Middleware(Asked)]}).client as client:
        assert client.get("/may").json() is True


def test_a_page_looks_at_the_values_of_a_public_call_before_gradio_does(small):
    seen: list[tuple[str, list[Any]]] = []

    def check(call: Any, values: list[Any]) -> list[Any]:
        seen.append((call.__name__, [*values]))
        return [*values, 2][:2]

    small.page.check = check
    assert small.ask("shout", "a") == "AA"  # gradio alone refuses a value too few
    assert seen == [("shout", ["a"])]


def test_what_is_said_of_arguments_stands_on_the_api_page(small):
    private.describe_call(small.page, small.call, {"text": "what to shout", "times": "how often"})
    small.page.config = small.page.get_config_file()
    told = small.client.get("/gradio_api/info").json()["named_endpoints"]["/shout"]["parameters"]
    assert [(one["label"], one["python_type"]["description"]) for one in told] == [
        ("text", "what to shout"),
        ("times", "how often"),
    ]
    assert private.arguments_of_calls(small.page)["/shout"] == ["text", "times"]


def test_a_call_or_an_argument_that_there_is_none_of_is_an_error_that_can_be_told(small):
    seen: list[Exception] = []

    async def handler(request: Any, error: Exception) -> JSONResponse:
        seen.append(error)
        return JSONResponse(None, 404)

    for kind in (*private.NO_CALL, TypeError):
        small.app.add_exception_handler(kind, handler)
    small.app.middleware_stack = None
    small.client.post("/gradio_api/call/sing", json={"data": []})
    small.client.post("/gradio_api/call/v2/sing", json={})
    small.client.post("/gradio_api/call/v2/shout", json={"tone": "high"})
    assert [isinstance(error, private.NO_CALL) for error in seen] == [True, True, False]
    assert [private.unknown_argument(error) for error in seen] == [None, None, "tone"]


def test_of_all_public_calls_assistants_are_offered_one():
    pytest.importorskip("mcp", reason="the package for assistants is not installed")
    from gradio import mcp

    with gr.Blocks() as page:
        gr.api(shout, api_name="shout")
        gr.api(lambda: "", api_name="quiet")
    page.mcp_server_obj, page.mcp_error = mcp.GradioMCPServer(page), None
    assert private.only_tool(page, "shout") == ""
    assert [*page.mcp_server_obj.tool_to_endpoint.values()] == ["/shout"]


def test_tools_that_gradio_cannot_offer_are_told():
    assert (
        private.only_tool(SimpleNamespace(mcp_server_obj=None, mcp_error="No package"), "a") == "No package"
    )  # type: ignore[arg-type]


def test_what_gradio_says_of_itself_where_a_link_is_shared_is_replaced(small):
    document = small.client.get("/").text
    assert re.findall(r'"og:title" content="([^"]*)"', document)[:1] == ["Gradio"]
    changed = private.with_own_words(document, '<meta property="og:title" content="Mine">', "<p>Hello</p>")
    assert re.findall(r'<meta[^>]*"(?:og|twitter):[^>]*>', changed) == [
        '<meta property="og:title" content="Mine">'
    ]
    head, _, body = changed.partition("</head>")
    assert "Mine" in head
    assert re.search(r"<body[^>]*><p>Hello</p>", body)


def test_every_class_of_gradio_that_the_styles_name_is_listed():
    ui = Path(private.__file__).parents[1]
    styles = re.sub(
        r"/\*.*?\*/", "", (ui / "static" / "style.css").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    named = set(re.findall(r"\.([a-zA-Z][\w-]*)", " ".join(re.findall(r"([^{}]+)\{", styles))))
    sources = [p for kind in ("*.py", "*.js") for p in ui.rglob(kind) if p.name != "gradio_private.py"]
    written = " ".join(path.read_text(encoding="utf-8") for path in (*sources, ui.parent / "types.py"))
    ours = {name for name in named if re.search(rf"(?<![\w.-]){name}(?![\w-])", written)}
    listed = " ".join(selector for selectors in private.MARKUP.values() for selector in selectors)
    assert {name for name in named - ours if f".{name}" not in listed} == set()
