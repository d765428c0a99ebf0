"""The served page without a browser: what programs may call, and what nobody may reach."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ui_doubles import ToyGallery, ToyRetriever, shelf_of

import app
from cir.composers.cvsi import weights as cvsi_weights
from cir.errors import BadQuery
from cir.ui.server.middleware import MAX_FILE_BYTES
from cir.ui.server.pictures import address_of

gradio_client = pytest.importorskip("gradio_client", reason="gradio is not installed")

WEIGHTS = {"alpha": 0.6, "beta": 0.4, "gamma": 0.2, "k": 5}


class Served:
    """A page that is being served, the double behind it, and a client for programs."""

    def __init__(self, url: str, retriever: ToyRetriever) -> None:
        self.url, self.retriever = url, retriever

    def client(self):
        return gradio_client.Client(self.url, verbose=False)

    def picture(self, image_id: str):
        return gradio_client.handle_file(str(self.retriever.gallery.thumbnail_path(image_id)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from cir.ui.page import PageContent
    from cir.ui.server.serving import launch
    from cir.ui.view import build_page

    retriever = ToyRetriever(ToyGallery(tmp_path_factory.mktemp("thumbnails")))
    content = PageContent(
        shelf_of(retriever), presets={"Start": cvsi_weights()}, fingerprints={"clip": "abc"}
    )
    page = build_page(content)
    with launch(page, port=0) as server:
        yield Served(server.url, retriever)


def test_programs_search_and_rank_again_with_the_fields_of_the_contract(served):
    client = served.client()
    found = client.predict(
        image=served.picture("red-square-large"),
        text="make it blue",
        method="CVSI",
        **WEIGHTS,
        api_name="/search",
    )
    assert [r["rank"] for r in found["results"]] == [1, 2, 3, 4, 5]
    assert found["results"][0]["image_id"] == "blue-square-large"
    assert found["gallery"] == {"name": "Toy shapes", "images": 40}
    assert found["models"] == {"clip": "abc"}
    assert found["trace"]["added_objects"] == ["blue"]
    calls = list(served.retriever.model_calls)
    again = client.predict(alpha=0, beta=0, gamma=0, k=3, api_name="/rank")
    assert again["results"][0]["image_id"] == "red-square-large"
    assert len(again["results"]) == 3
    assert served.retriever.model_calls == calls


def test_programs_see_the_first_answer_before_the_whole_one(served):
    job = served.client().submit(
        image=served.picture("red-square-large"),
        text="make it blue",
        method="CVSI",
        **WEIGHTS,
        api_name="/search",
    )
    job.result()
    assert [bool(answer["pending"]) for answer in job.outputs()] == [True, False]


def test_only_the_calls_for_programs_are_public(served):
    endpoints = served.client().view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/search", "/rank", "/explain", "/galleries", "/methods"}
    names = {name: [p["parameter_name"] for p in one["parameters"]] for name, one in endpoints.items()}
    weights = ["alpha", "beta", "gamma", "top_k"]
    first = ["reference_image", "text", "method", *weights, "reference_id"]
    assert names["/search"][:8] == first, "who sends values in order goes on as before"
    assert names["/rank"][:4] == weights
    assert names["/explain"][0] == "image_id"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": 5}, "text has to be a text"),
        ({"text": "", "image": None}, "nothing to search for"),
        ({"alpha": 5}, "0 to 1"),
        ({"alpha": "abc"}, "has to be a number"),
        ({"alpha": True}, "has to be a number"),
        ({"beta": []}, "has to be a number"),
        ({"alpha": 0.8, "beta": 0.8}, "at most 1"),
        ({"method": "FAISS"}, "no method 'FAISS'"),
        ({"k": "ten"}, "has to be a whole number"),
    ],
)
def test_faults_02_16_39_programs_are_told_in_words_what_was_wrong(served, changes, said):
    fields = {"image": None, "text": "blue", "method": "CVSI", **WEIGHTS, **changes}
    with pytest.raises(Exception, match=said):
        served.client().predict(**fields, api_name="/search")


def test_fault_43_a_bounded_number_of_results_is_said_to_programs(served):
    found = served.client().predict(
        image=None, text="blue", method="CVSI", **{**WEIGHTS, "k": 1000}, api_name="/search"
    )
    assert len(found["results"]) == 40
    assert any("k is 60" in note for note in found["notes"])


def test_a_fault_reaches_programs_as_a_sentence_with_an_id_alone(served, monkeypatch, caplog):
    monkeypatch.setattr(served.retriever, "fail_with", ZeroDivisionError("inner detail"))
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(Exception, match="the log has the details under") as caught,
    ):
        served.client().predict(image=None, text="blue", method="CVSI", **WEIGHTS, api_name="/search")
    assert "inner detail" not in str(caught.value)


def test_fault_84_ranking_again_needs_a_search_of_the_same_session(served):
    served.client().predict(image=None, text="blue", method="CVSI", **WEIGHTS, api_name="/search")
    with pytest.raises(Exception, match="nothing to rank yet"):
        served.client().predict(**WEIGHTS, api_name="/rank")


@pytest.mark.parametrize("url", ["http://127.0.0.1:22/", "http://localhost:22/x.png", "file:///etc/passwd"])
def test_fault_37_an_address_is_not_fetched_as_a_picture(served, url):
    image = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}
    fields = [image, "blue", "CVSI", 0.6, 0.4, 0.2, 5, ""]
    posted = httpx.post(f"{served.url}gradio_api/call/search", json={"data": fields})
    if posted.status_code == 200:
        heard = httpx.get(f"{served.url}gradio_api/call/search/{posted.json()['event_id']}").text
        assert "event: error" in heard
        assert "results" not in heard
    else:
        assert posted.status_code in (400, 403, 422, 500)


def test_fault_38_a_path_that_was_not_uploaded_is_refused(served):
    for path in ("/etc/passwd", str(Path(__file__).resolve()), "http://127.0.0.1:22/"):
        image = {"path": path, "meta": {"_type": "gradio.FileData"}}
        fields = [image, "blue", "CVSI", 0.6, 0.4, 0.2, 5, ""]
        posted = httpx.post(f"{served.url}gradio_api/call/search", json={"data": fields})
        if posted.status_code != 200:
            continue
        heard = httpx.get(f"{served.url}gradio_api/call/search/{posted.json()['event_id']}").text
        assert "event: error" in heard
        assert "results" not in heard


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=//etc/passwd",
        "gradio_api/file=/%2e%2e/etc/passwd",
        f"gradio_api/file={Path(__file__).resolve()}",
        "gradio_api/file=http://127.0.0.1:22",
        "gradio_api/file=http://169.254.169.254/latest/meta-data",
        "gradio_api/proxy=http://127.0.0.1:22/",
        "file=/etc/passwd",
        "openapi.json",
        "docs",
        "monitoring",
    ],
)
def test_nothing_but_thumbnails_and_the_page_can_be_fetched(served, path):
    assert httpx.get(f"{served.url}{path}").status_code in (400, 403, 404, 405)


def test_thumbnails_are_served_and_their_type_is_not_guessed(served):
    path = served.retriever.gallery.thumbnail_path("red-square-large")
    answer = httpx.get(served.url + address_of(path))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"


def test_a_shared_link_is_called_recompose_and_without_scripts_the_page_says_what_it_needs(served):
    answer = httpx.get(served.url)
    assert re.findall(r'(?:og|twitter):title" content="([^"]*)"', answer.text) == ["Recompose"]
    assert 'content="Search pictures with a picture and a sentence"' in answer.text
    assert '"og:image"' not in answer.text
    assert re.search(r"<body[^>]*><noscript>.*Recompose needs JavaScript", answer.text)
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_foreign_host_name_is_refused_so_that_rebinding_fails(served):
    assert httpx.get(served.url, headers={"host": "evil.example"}).status_code == 400
    assert httpx.get(served.url).status_code == 200


def test_fault_33_an_upload_above_the_limit_is_refused(served):
    answer = httpx.post(
        f"{served.url}gradio_api/upload",
        files={"files": ("big.png", b"\0" * (MAX_FILE_BYTES + 2**20), "image/png")},
        timeout=60,
    )
    assert answer.status_code == 413


def forge_click(served: Served, event_data: dict[str, object], session: str) -> dict[str, object]:
    """Call the private event behind every click on the Search tab by its number; how it ended."""
    config = httpx.get(f"{served.url}config").json()
    bridge = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "bridge")
    chosen = next(d["id"] for d in config["dependencies"] if [bridge, "submit"] in d["targets"])
    body = {"data": [None, ""], "event_data": event_data, "fn_index": chosen, "session_hash": session}
    assert (
        httpx.post(f"{served.url}gradio_api/queue/join", json={**body, "trigger_id": bridge}).status_code
        == 200
    )
    address = f"{served.url}gradio_api/queue/data?session_hash={session}"
    with httpx.stream("GET", address, timeout=30) as stream:
        messages = (json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:"))
        return next(message for message in messages if message["msg"] == "process_completed")


def test_fault_47_a_forged_click_chooses_by_the_servers_list_alone(served):
    """The private events can be called by number; only what this session was shown gets anywhere."""
    for session, meant in enumerate(
        (
            {"place": -1},
            {"place": 24},
            {"place": "red-square-large"},
            {"place": {"path": "/etc/passwd"}},
            {"place": True},
            {"id": "../../etc/passwd"},
            {"id": {"path": "/etc/passwd"}},
        )
    ):
        ended = json.dumps(forge_click(served, {"do": "look", **meant}, f"forger-{session}"))
        assert "not on the page any more" in ended or '"success": false' in ended
        assert "root:" not in ended
    assert ".webp" in json.dumps(forge_click(served, {"do": "turn", "kind": "next"}, "forger-own"))


def test_the_page_listens_on_this_machine_alone_unless_a_password_is_given():
    usual = app.read_address(app.read_options([]))
    assert (usual.host, usual.auth, usual.alone) == ("127.0.0.1", None, True)
    assert usual.names == ("127.0.0.1", "localhost", "[::1]")
    for exposed in (
        ["--listen"],
        ["--host", "0.0.0.0"],
        ["--host", "::"],
        ["--host", "[2001:db8::1]"],
        ["--listen", "--auth", "user"],
        ["--auth", ":secret"],
    ):
        with pytest.raises(BadQuery) as caught:
            app.read_address(app.read_options(exposed))
        assert "--auth USER:PASSWORD" in caught.value.remedy
    listening = app.read_address(app.read_options(["--listen", "--auth", "ann:s:x"]))
    assert (listening.host, listening.auth, listening.names) == ("0.0.0.0", ("ann", "s:x"), ("*",))
    assert not listening.alone


def test_an_error_for_people_at_the_start_is_one_line_and_an_exit_status(capsys):
    assert app.main(["--listen"]) == 2
    assert capsys.readouterr().err == (
        "Without a password the page is not served at 0.0.0.0. Add --auth USER:PASSWORD.\n"
    )


def test_without_more_wishes_nothing_leaves_the_machine():
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_an_idle_connection_is_not_closed_under_the_next_request(served):
    """uvicorn's own 5 seconds are what clients and proxies wait as well: then requests meet a closing connection."""
    address = httpx.URL(served.url)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        for pause in (0, 6):
            time.sleep(pause)
            connection.sendall(f"GET /config HTTP/1.1\r\nHost: {address.netloc.decode()}\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                assert b" 200 " in answer.readline()
                headers = dict(
                    line.lower().rstrip().split(b": ", 1) for line in iter(answer.readline, b"\r\n")
                )
                answer.read(int(headers[b"content-length"]))
