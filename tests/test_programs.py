"""What programs and assistants may call, end to end; and how the server is started."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import ToyClip
from served import Served, make_gallery, picture_bytes, serve_toys
from ui_doubles import shelf_of

import app
from cir.commands import serving as command
from cir.errors import BadQuery, CirError, MissingModel

gradio_client = pytest.importorskip("gradio_client", reason="gradio is not installed")

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLE = re.compile(r"<!-- programs:start -->.*?```python\n(.*?)```.*?<!-- programs:end -->", re.S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_toys(tmp_path_factory.mktemp("programs"), content={"text_encoder": ToyClip()}) as page:
        yield page


# --- the calls -------------------------------------------------------------------------------------------


def test_the_example_of_the_readme_runs_as_it_is_printed(served, tmp_path, monkeypatch, capsys):
    found = EXAMPLE.search(README.read_text(encoding="utf-8"))
    if found is None:
        pytest.skip("the README has no example for programs yet")
    (tmp_path / "photo.jpg").write_bytes(picture_bytes("red", "square"))
    monkeypatch.chdir(tmp_path)
    code = found[1]
    assert "http://127.0.0.1:7860" in code
    exec(compile(code.replace("http://127.0.0.1:7860", served.url), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "red-square.jpg" in printed


def test_a_gallery_image_is_the_reference_by_its_id_and_stays_out_of_the_results(served):
    client = served.client()
    red = served.id_of("red-square")
    found = client.predict(text="make it blue", gallery_image_id=red, k=12, api_name="/search")
    labels = [r["label"] for r in found["results"]]
    assert labels[0] == "blue-square.jpg"
    assert "red-square.jpg" not in labels
    assert len(labels) == 11
    again = client.predict(alpha=0, beta=0, gamma=0, k=12, api_name="/rank")
    assert sorted(r["label"] for r in again["results"]) == sorted(labels)
    assert {"red", "square"} & set(re.split("[-.]", again["results"][0]["label"]))


def test_a_program_puts_its_own_texts_in_the_place_of_the_machines(served):
    client = served.client()
    client.predict(text="make it blue", reference_id=served.id_of("red-square"), api_name="/search")
    own = {"modified_captions": ["a green circle"]}
    found = client.predict(trace=own, alpha=1, beta=0, gamma=0, top_k=12, api_name="/rank")
    assert found["results"][0]["label"] == "green-circle.jpg"


def test_an_uploaded_reference_after_a_gallery_image_is_the_upload(served, tmp_path):
    client = served.client()
    client.predict(text="make it blue", gallery_image_id=served.id_of("red-square"), api_name="/search")
    own = tmp_path / "own.png"
    own.write_bytes(picture_bytes("red", "square"))
    found = client.predict(image=gradio_client.handle_file(str(own)), text="", k=12, api_name="/search")
    assert found["results"][0]["label"] == "red-square.jpg"


def test_what_is_left_out_of_a_call_has_the_values_that_the_page_begins_with(served):
    found = served.client().predict(text="a blue square", api_name="/search")
    assert found["method"] == "CVSI"
    assert found["weights"] == {"alpha": 0.6, "beta": 0.4, "gamma": 0.2}
    assert found["results"][0]["label"] == "blue-square.jpg"


@pytest.mark.parametrize(
    ("image_id", "said"),
    [("nothing-like-this", "There is no image"), ("../../etc/passwd", "There is no image"), (7, "either")],
)
def test_fault_46_a_reference_id_that_the_gallery_does_not_have_is_refused(served, image_id, said):
    with pytest.raises(Exception, match=said):
        served.client().predict(text="blue", gallery_image_id=image_id, api_name="/search")


def test_a_picture_and_an_id_at_once_are_refused(served, tmp_path):
    own = tmp_path / "own.png"
    own.write_bytes(picture_bytes("red", "square"))
    with pytest.raises(Exception, match=r"either a picture .image. or the id"):
        served.client().predict(
            image=gradio_client.handle_file(str(own)),
            text="blue",
            gallery_image_id=served.id_of("red-circle"),
            api_name="/search",
        )


def test_an_explained_score_can_be_computed_from_its_terms(served):
    client = served.client()
    red = served.id_of("red-square")
    found = client.predict(
        text="make it blue", gallery_image_id=red, alpha=0.5, beta=0.3, gamma=0.4, k=6, api_name="/search"
    )
    assert len(served.model.prompts) > 0
    asked = list(served.model.prompts)
    for result in found["results"]:
        why = client.predict(image_id=result["image_id"], api_name="/explain")
        assert (why["rank"], why["score"]) == (result["rank"], pytest.approx(result["score"]))
        names = list(why["terms"])
        weights = np.array([why["effective_weights"][name] for name in names])
        rows = np.array([[why["terms"][name]["image"], why["terms"][name]["captions"]] for name in names])
        gamma = why["gamma"]
        dot = weights @ (rows @ [1 - gamma, gamma])
        query = np.sqrt(weights @ np.array(why["gram"]) @ weights)
        image = np.sqrt(
            (1 - gamma) ** 2 * why["tv_tv"] + 2 * gamma * (1 - gamma) * why["tv_tc"] + gamma**2 * why["tc_tc"]
        )
        assert dot / (query * image) == pytest.approx(result["score"], abs=1e-5)
        assert why["captions"][0].startswith("a ")
    assert served.model.prompts == asked


def test_explaining_needs_a_search_and_one_of_its_results(served):
    client = served.client()
    with pytest.raises(Exception, match="nothing to rank yet"):
        client.predict(image_id=served.id_of("red-square"), api_name="/explain")
    found = client.predict(text="a blue square", k=1, api_name="/search")
    others = set(served.gallery.image_ids) - {found["results"][0]["image_id"]}
    with pytest.raises(Exception, match="not among the results"):
        client.predict(image_id=min(others), api_name="/explain")


# --- the tool for assistants -----------------------------------------------------------------------------


def content_with_tool(folder: Path) -> object:
    from fakes import ToyCaptioner, ToyLanguageModel, toy_cvsi

    from cir.ranking.retriever import Retriever
    from cir.ui.page import PageContent

    composers = {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())}
    return PageContent(shelf_of(Retriever(make_gallery(folder), composers)), assistants=True)


def test_the_tool_finds_pictures_by_words_and_by_the_id_of_one_of_them(tmp_path):
    from cir.ui.server.assistants import find_pictures
    from cir.ui.server.programs.arguments import Arguments

    content = content_with_tool(tmp_path)

    def find(text: object, reference_id: object, top_k: object, **more: Any) -> list[dict]:
        given = Arguments({"text": text, "reference_id": reference_id, "top_k": top_k, **more})
        *_, (found, _) = find_pictures(content, given)
        assert ("top_k is 60: a whole number from 1 to 60 is possible." in found["notes"]) == (top_k == 61)
        return found["results"]

    (first, *_) = found = find("a blue square", "", 3)
    assert len(found) == 3
    assert first["label"] == "blue-square.jpg"
    assert first["caption"] == "a blue square"
    assert set(first) == {"image_id", "score", "caption", "label"}
    changed = find("make it green", first["image_id"], 12)
    assert changed[0]["label"] == "green-square.jpg"
    assert "blue-square.jpg" not in [one["label"] for one in changed]
    assert len(find("a blue square", None, 61)) == len(content.retriever.gallery)
    with pytest.raises(BadQuery, match="There is no image"):
        find("blue", "unknown", 3)
    with pytest.raises(BadQuery, match="nothing to search for"):
        find("", "", 3)
    with pytest.raises(BadQuery, match="there is no gallery 'other'\\. Choose one of: toys"):
        find("blue", "", 3, gallery="other")


def test_the_tool_is_one_call_more_and_of_all_calls_the_only_tool(tmp_path):
    from cir.ui.server.assistants import offer_tool_alone
    from cir.ui.view import build_page

    page = build_page(content_with_tool(tmp_path))
    calls = set(page.get_api_info()["named_endpoints"])
    assert calls == {"/search_gallery", "/search", "/rank", "/explain", "/galleries", "/methods"}
    page.mcp_server_obj = SimpleNamespace(tool_to_endpoint={name.strip("/"): name for name in calls})
    offer_tool_alone(page)
    assert page.mcp_server_obj.tool_to_endpoint == {"search_gallery": "/search_gallery"}
    page.mcp_server_obj = None
    page.close(verbose=False)


@pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="requirements-mcp.txt is not installed")
def test_an_assistant_lists_and_calls_the_one_tool(tmp_path):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def ask(url: str) -> tuple[list, dict, str]:
        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            asked = {"text": "a blue square", "reference_id": None, "count": 200}
            found = await session.call_tool("search_gallery", asked)
            hidden = await session.call_tool("rank", {"alpha": 0, "beta": 0, "gamma": 0, "k": 3})
            assert hidden.isError
            wrong = await session.call_tool("search_gallery", {"text": "blue", "image_id": "../etc/passwd"})
            return tools, json.loads(found.content[0].text), str(wrong.content)

    with serve_toys(tmp_path, content={"assistants": True}, assistants=True) as page:
        tools, found, wrong = asyncio.run(ask(f"{page.url}gradio_api/mcp/"))
        assert page.client().predict(text="a blue square", api_name="/search")["results"]
    assert [tool.name for tool in tools] == ["search_gallery"]
    assert set(tools[0].inputSchema["properties"]) == {
        "text",
        "reference_id",
        "top_k",
        "gallery",
        "without",
        "image_id",
        "count",
    }
    assert "pictures" in (tools[0].description or "")
    assert found["results"][0]["label"] == "blue-square.jpg"
    assert any("count is 60" in note for note in found["notes"])
    assert "There is no image" in wrong
    assert "Traceback" not in wrong


def test_without_its_package_the_tool_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingModel, match=r"requirements-mcp\.txt"):
        command.serve(app.read_options(["--mcp"]))


@pytest.mark.parametrize("options", [["--auth", "a:b"], ["--listen", "--auth", "a:b"]])
def test_the_tool_which_knows_no_password_is_not_served_beside_one(options):
    with pytest.raises(BadQuery, match="cannot give a password"):
        app.read_address(app.read_options(["--mcp", *options]))


# --- how it is started -----------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch):
    """An environment that says nothing about servers and screens."""
    names = ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "SPACE_ID", "SSH_CONNECTION", "WAYLAND_DISPLAY")
    for name in (*names, "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(command.sys, "platform", "linux")
    return monkeypatch


def test_serve_and_the_app_read_the_same_options_and_only_the_app_opens_a_browser(bare):
    from cir.__main__ import parser

    bare.setenv("DISPLAY", ":0")
    served = parser().parse_args(["serve", "--port", "8123", "--gallery", "toys"])
    opened = app.read_options(["--port", "8123", "--gallery", "toys"])
    assert served.browser is False
    assert opened.browser is True
    assert app.read_options(["--no-browser"]).browser is False
    same = set(vars(opened)) - {"browser"}
    assert {name: getattr(served, name) for name in same} == {name: getattr(opened, name) for name in same}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--auth="], "--auth was given without a value"),
        (["--gallery", ""], "--gallery was given without a value"),
        (["--thumbnails", "x"], "--thumbnails has no meaning with the engine exact"),
        (["--llm", "none", "--llm-key-env", "HOME"], "--llm-key-env has no meaning"),
        (["--port", "99999"], "There is no port 99999"),
    ],
)
def test_the_app_refuses_in_words_what_serve_refuses(bare, capsys, arguments, told):
    from cir.__main__ import main

    assert (app.main(arguments), main(["serve", *arguments])) == (2, 2)
    assert capsys.readouterr().err.count(told) == 2


def test_no_browser_is_opened_where_there_is_no_screen(bare):
    assert not command.has_screen()
    bare.setenv("DISPLAY", ":0")
    assert command.has_screen()
    bare.setenv("SSH_CONNECTION", "10.0.0.1 22 10.0.0.2 22")
    assert not command.has_screen()
    assert app.read_options([]).browser is False


def test_the_environment_names_the_address_and_the_port_but_not_without_a_password(bare):
    bare.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    bare.setenv("GRADIO_SERVER_PORT", "8124")
    options = app.read_options([])
    assert options.port == 8124
    with pytest.raises(BadQuery, match="Without a password"):
        app.read_address(options)
    address = app.read_address(app.read_options(["--auth", "a:b"]))
    assert (address.host, address.auth, address.names) == ("0.0.0.0", ("a", "b"), ("*",))
    bare.setenv("GRADIO_SERVER_NAME", "localhost")
    address = app.read_address(app.read_options([]))
    assert (address.host, address.auth, address.alone) == ("localhost", None, True)


def test_a_hosted_space_is_open_and_may_be_framed_by_the_hub_alone(bare):
    bare.setenv("SPACE_ID", "someone/recompose")
    address = app.read_address(app.read_options([]))
    assert (address.host, address.auth, address.names) == ("0.0.0.0", None, ("*",))
    assert command.SPACE_FRAMES == ("https://huggingface.co",)


@pytest.mark.parametrize(("host", "others"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_that_other_machines_reach_the_page_is_said_where_they_do_and_not_of_every_password(
    host, others, capsys
):
    from cir.commands.addresses import read_address

    options = SimpleNamespace(
        host=host,
        port=1,
        listen=False,
        auth="me:pw",
        root_path="",
        allowed_host=[],
        trusted_proxy=[],
        mcp=False,
    )
    command._say_where("http://x/", read_address(options), options)
    assert ("Other machines reach it" in capsys.readouterr().out) is others


def test_a_port_that_is_taken_is_said_in_a_sentence(served):
    import gradio as gr

    from cir.ui.server.serving import launch

    with gr.Blocks() as other:
        gr.Markdown("other")
    taken = httpx.URL(served.url).port
    with pytest.raises(CirError, match=f"Port {taken} of 127.0.0.1 is in use"):
        launch(other, port=taken)


def test_uploads_of_one_process_are_kept_in_a_folder_of_its_own(monkeypatch):
    import os
    import stat

    from cir.ui.server.uploads import keep_uploads_apart

    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    keep_uploads_apart()
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keep_uploads_apart()
    assert os.environ["GRADIO_TEMP_DIR"] == str(folder)


def test_tools_that_cannot_be_offered_are_an_error_and_not_a_page_without_them(monkeypatch):
    import gradio as gr

    from cir.ui.server import gradio_private, serving

    def refuse(blocks, *_):
        blocks.mcp_error = "Error launching MCP server: too new"

    monkeypatch.setattr(gradio_private.App, "setup_mcp_server", refuse)
    with gr.Blocks() as page:
        gr.Markdown("other")
    with pytest.raises(CirError, match="too new"):
        serving.launch(page, port=0, assistants=True)
