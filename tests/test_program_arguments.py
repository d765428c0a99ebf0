"""What a program sends is understood, or refused in a sentence that names the argument; no traceback anywhere."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from fakes import ToyCaptioner, ToyClip, ToyLanguageModel, toy_cvsi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import PATIENCE, Served, make_gallery, picture_bytes, serve_toys
from ui_doubles import shelf_of

from cir.composers.cvsi import PARAMETERS
from cir.composers.slerp import Slerp
from cir.errors import BadQuery
from cir.ranking.retriever import Retriever
from cir.ui.page import PageContent
from cir.ui.server.programs.arguments import Arguments
from cir.ui.server.programs.calls import calls as calls_of
from cir.ui.server.programs.kept import KeptSearches
from cir.ui.server.programs.offering import checked, names_of
from cir.ui.server.programs.searching import stages

OLD = {"k": "top_k", "image": "reference_image", "gallery_image_id": "reference_id"}
JUNK = itertools.cycle([{"a": 1}, [[1]], [{"of": 3}]])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_toys(tmp_path_factory.mktemp("arguments"), content={"text_encoder": ToyClip()}) as page:
        yield page


def post(served: Served, path: str, body: object) -> tuple[bool, Any]:
    """Call by HTTP alone: (True, the last answer) or (False, what was said)."""
    url = f"{served.url}gradio_api/call/{path}"
    asked = httpx.post(url, json=body, timeout=PATIENCE)
    if asked.status_code != 200:
        return False, asked.json().get("error")
    heard = httpx.get(f"{url}/{asked.json()['event_id']}", timeout=PATIENCE).text
    kind, _, data = heard.strip().rpartition("event: ")[2].partition("\ndata: ")
    said = json.loads(data)
    return (True, said[0]) if kind == "complete" else (False, said["error"])


def routes(served: Served) -> dict[str, list[str]]:
    calls = served.page.get_api_info()["named_endpoints"]
    return {
        name.strip("/"): [p["parameter_name"] for p in call["parameters"]] for name, call in calls.items()
    }


def usual(served: Served, route: str) -> dict[str, Any]:
    """Arguments with which a call succeeds."""
    if route == "search":
        return {"text": "a blue square", "top_k": 2}
    if route in ("galleries", "methods"):
        return {}
    found, answer = post(served, "v2/search", {"text": "a blue square", "top_k": 2})
    assert found, answer
    own = {"search_id": answer["search_id"]}
    return own if route == "rank" else {**own, "image_id": answer["results"][0]["image_id"]}


# --- wrong arguments --------------------------------------------------------------------------------------


def test_whatever_stands_in_the_place_of_an_argument_is_refused_by_a_sentence_about_it(served, caplog):
    printed = io.StringIO()
    with caplog.at_level(logging.WARNING), redirect_stderr(printed):
        for route, names in routes(served).items():
            known = usual(served, route)
            found, said = post(served, f"v2/{route}", known)
            assert found, (route, said)
            for name in names:
                junk = next(JUNK)
                sent = {**known, name: junk}
                if name in OLD:
                    sent.pop(OLD[name], None)
                found, said = post(served, f"v2/{route}", sent)
                assert not found, (route, name, junk)
                assert name in said, (route, name, junk, said)
                assert said.count(". ") >= 1, said  # what is wrong, and what to do
    assert "Traceback" not in printed.getvalue() + caplog.text
    assert not caplog.records


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"reference_image": "photo.jpg"}, 'reference_image=handle_file("photo.jpg")'),
        ({"image": "photo.jpg"}, 'image=handle_file("photo.jpg")'),
        ({"reference_image": "https://example.org/cat.jpg"}, "addresses are not fetched"),
        ({"reference_image": 7}, "reference_image has to be an uploaded picture, not 7"),
        ({"reference_image": {"path": "/etc/passwd"}}, "reference_image has to be an uploaded picture"),
        (
            {"reference_image": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}},
            "reference_image has to be an uploaded picture",
        ),
        ({"text": "x", "more": [{"path": "/etc/passwd", "meta": None}]}, "more"),
        ({"text": "x", "top_k": "many"}, "top_k has to be a whole number from 1 to 60, not 'many'"),
        ({"text": "x", "k": "many"}, "k has to be a whole number"),
        ({"text": "x", "k": 3, "top_k": 4}, "k is the old name of top_k"),
        ({"text": 5}, "text has to be a text, not 5"),
        ({"text": "x", "method": "magic"}, "Choose one of: CVSI"),
        ({"text": "x", "gallery": "other"}, "Choose one of: toys"),
        ({"text": "x", "folder": "nowhere"}, "folder"),
        ({"text": "x", "since": "soon"}, "since: 'soon' is no day"),
        ({"text": "x", "since": "2024", "until": "2023"}, "Exchange the two days"),
        ({"text": "x", "alpha": 5}, "alpha has to be a number from 0 to 1, not 5"),
        ({"text": "x", "beta": True}, "beta has to be a number"),
        ({"text": "x", "more": ["unknown"]}, "more: There is no image 'unknown'"),
        ({"text": "x", "without": ["a"] * 9}, "without has 9 entries"),
        ({"text": "x", "leave_out_reference": "no"}, "leave_out_reference has to be true or false"),
        ({"text": "x", "reference_id": "../../etc/passwd"}, "reference_id: There is no image"),
        ({}, "nothing to search for"),
        ({"text": "x", "nonsense": 1}, "There is no argument 'nonsense'. Choose among: reference_image"),
    ],
)
def test_a_wrong_argument_of_a_search_says_what_would_be_right(served, sent, said):
    found, answer = post(served, "v2/search", sent)
    assert not found
    assert said in answer


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("v2/nothing", {}, "There is no call /nothing. Choose one of: /search"),
        ("nothing", {"data": []}, "There is no call /nothing"),
        ("search", {"data": "x"}, "The body has to be"),
        ("search", [], "The body has to be"),
        ("v2/search", [1], "The body has to be an object"),
        ("search", {"data": [None] * 50}, "), and 50 came"),
        ("galleries", {"data": [None]}, "/galleries takes no value, and 1 came."),
    ],
)
def test_a_call_that_is_none_is_refused_in_a_sentence(served, path, body, said, caplog):
    with caplog.at_level(logging.WARNING):
        found, answer = post(served, path, body)
    assert not found
    assert said in answer
    assert not caplog.records


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12) | st.sampled_from(["path", "meta", "gradio.FileData", "http://x/y.png", "\x00"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["path", "meta", "_type", "url", "of", "weight", "captions"]), inner, max_size=4),
    max_leaves=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    """The functions behind the calls, with a search that `s` names."""
    retriever = Retriever(
        make_gallery(tmp_path_factory.mktemp("calls")),
        {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())},
    )
    content, kept = PageContent(shelf_of(retriever), text_encoder=ToyClip()), KeptSearches()
    for search, _, _ in stages(content, "me", Arguments({"text": "a blue square"})):
        kept.keep(replace(search, search_id="s"))
    return {call.__name__: call for call in calls_of(content, kept)}


async def last(answers: Any) -> Any:
    """The last answer of a call in stages."""
    return [answer async for answer in answers][-1]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_argument_whatever_is_a_fault_of_the_program(calls, data, caplog):
    caplog.clear()
    name = data.draw(st.sampled_from(["search", "rank", "explain"]))
    names = names_of(calls[name])
    sent = data.draw(st.dictionaries(st.sampled_from(names), ANYTHING, max_size=3))
    request = SimpleNamespace(session_hash="me")
    try:
        values = checked(calls[name], [sent.get(one) for one in names])
        answer = calls[name](request, *values)
        assert asyncio.run(last(answer)) if name == "search" else answer
        refused = None
    except gr.Error as error:
        refused = error
    assert refused is None or (not refused.print_exception and refused.message.endswith("."))
    assert not caplog.records, "no traceback for what is the caller's own"


# --- what a program can choose ----------------------------------------------------------------------------


def labels(answer: dict[str, Any]) -> list[str]:
    return [result["label"].removesuffix(".jpg") for result in answer["results"]]


def test_more_less_and_without_steer_a_search_as_on_the_page(served):
    client = served.client()
    plain = labels(client.predict(text="a square", top_k=12, api_name="/search"))
    wished = client.predict(
        text="a square",
        top_k=12,
        more=[{"of": served.id_of("blue-circle"), "weight": 0.9}],
        without=["red"],
        api_name="/search",
    )
    assert labels(wished)[0] == "blue-square"
    assert labels(wished).index("red-square") > plain.index("red-square")
    less = client.predict(less=[served.id_of("blue-square")], more=[], without=[], api_name="/rank")
    assert labels(less).index("blue-square") > labels(wished).index("blue-square")
    again = client.predict(less=[], api_name="/rank")
    assert labels(again) == plain


def test_a_least_score_hides_what_is_below_and_the_reference_can_be_a_result(served):
    client, red = served.client(), served.id_of("red-square")
    found = client.predict(reference_id=red, top_k=12, leave_out_reference=False, api_name="/search")
    assert labels(found)[0] == "red-square"
    scores = [result["score"] for result in found["results"]]
    fewer = client.predict(at_least=0.6, api_name="/rank")
    assert 1 <= len(fewer["results"]) == sum(score >= 0.6 for score in scores) < 12
    without_it = client.predict(leave_out_reference=True, at_least=0.0, api_name="/rank")
    assert "red-square" not in labels(without_it)


def test_days_narrow_a_search_and_a_rank_and_a_refused_call_changes_nothing(served):
    client = served.client()
    with pytest.raises(Exception, match="No picture is from"):
        client.predict(text="a square", since="2001", until="2001-02", api_name="/search")
    found = client.predict(text="a square", top_k=12, since="2001", with_undated=True, api_name="/search")
    assert len(found["results"]) == 12
    assert any("from 2001-01-01" in note for note in found["notes"])
    with pytest.raises(Exception, match="No picture is"):
        client.predict(with_undated=False, api_name="/rank")
    assert len(client.predict(api_name="/rank")["results"]) == 12
    assert not any("from 2001" in note for note in client.predict(since="", api_name="/rank")["notes"])


def test_the_machines_texts_can_be_replaced_and_no_model_is_asked_again(served):
    client = served.client()
    found = client.predict(
        text="make it blue", reference_id=served.id_of("red-square"), top_k=5, api_name="/search"
    )
    assert labels(found)[0] == "blue-square"
    asked = len(served.model.prompts)
    changed = client.predict(
        trace={"modified_captions": ["a green circle"]}, alpha=1.0, beta=0.0, gamma=0.0, api_name="/rank"
    )
    assert labels(changed)[0] == "green-circle"
    assert changed["trace"]["modified_captions"] == ["a green circle"]
    with pytest.raises(Exception, match="modified_captions has to be a list of texts, not of 5"):
        client.predict(trace={"modified_captions": [5]}, api_name="/rank")
    assert len(served.model.prompts) == asked


def test_what_can_be_named_is_listed(served):
    client = served.client()
    (gallery,) = client.predict(api_name="/galleries")
    assert gallery == {"name": "toys", "images": 12, "captioned": 12, "problem": ""}
    methods = client.predict(api_name="/methods")
    assert methods[0]["name"] == "CVSI"
    assert [p["name"] for p in methods[0]["parameters"]] == ["alpha", "beta", "gamma"]
    found = client.predict(
        text="a blue square", gallery=gallery["name"], method=methods[0]["name"].lower(), api_name="/search"
    )
    assert (found["gallery"]["name"], found["method"]) == ("toys", "CVSI")
    assert found["weights"] == methods[0]["weights"]


def test_another_gallery_and_its_folders_are_searched_by_their_names(tmp_path, served):
    from cir.gallery.indexing import index_folder
    from cir.shelf import Shelf

    first = Retriever(served.gallery, {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())})
    shelf = Shelf(first, cache_root=tmp_path / "cache", image_encoder_fingerprint=ToyClip().fingerprint)
    (tmp_path / "few" / "deep").mkdir(parents=True)
    (tmp_path / "few" / "one.png").write_bytes(picture_bytes("green", "circle"))
    (tmp_path / "few" / "deep" / "two.png").write_bytes(picture_bytes("green", "square"))
    clip = ToyClip()
    for _ in index_folder(
        tmp_path / "few", name="few", image_encoder=clip, text_encoder=clip, captioner=None, cache_root=tmp_path / "cache"
    ):  # fmt: skip
        pass
    with serve_toys(tmp_path / "toys", content={"shelf": shelf}) as page:
        client = page.client()
        assert [g["name"] for g in client.predict(api_name="/galleries")] == ["toys", "few"]
        found = client.predict(text="a blue square", gallery="Few", api_name="/search")
        assert set(labels(found)) == {"one.png", "deep/two.png"}
        assert labels(client.predict(folder="deep", api_name="/rank")) == ["deep/two.png"]
        assert labels(client.predict(folder="/", api_name="/rank")) == ["one.png"]
        assert len(labels(client.predict(folder="", api_name="/rank"))) == 2
        assert len(client.predict(text="a blue square", top_k=12, api_name="/search")["results"]) == 12


def test_a_search_is_spoken_of_by_its_id_from_anywhere_and_callers_do_not_mix(served):
    one, other = served.client(), served.client()
    red = one.predict(text="a red square", top_k=3, api_name="/search")
    blue = other.predict(text="a blue circle", top_k=3, api_name="/search")
    assert labels(one.predict(api_name="/rank"))[0] == "red-square"
    assert labels(other.predict(api_name="/rank", search_id=red["search_id"]))[0] == "red-square"
    why = one.predict(
        image_id=blue["results"][0]["image_id"], search_id=blue["search_id"], api_name="/explain"
    )
    assert why["score"] == pytest.approx(blue["results"][0]["score"])
    with pytest.raises(Exception, match="search_id: 'gone' is not kept any more"):
        one.predict(search_id="gone", api_name="/rank")


def test_weights_that_are_left_out_of_a_rank_stay_as_they_were(served):
    client = served.client()
    client.predict(text="a red square", alpha=0.1, beta=0.2, gamma=0.3, api_name="/search")
    ranked = client.predict(gamma=0.9, top_k=4, api_name="/rank")
    assert np.allclose([*ranked["weights"].values()], [0.1, 0.2, 0.9])
    assert len(ranked["results"]) == 4


def test_the_api_page_says_what_each_argument_means_and_types_the_answer(served):
    info = served.client().view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name, call in info.items():
        for parameter in call["parameters"]:
            assert len(parameter["python_type"]["description"]) > 10, (name, parameter["parameter_name"])
        (answer,) = call["returns"]
        assert answer["python_type"]["type"] not in ("Any", "str | float | bool | list | dict")
    top_k = next(p for p in info["/search"]["parameters"] if p["parameter_name"] == "top_k")
    assert top_k["python_type"]["description"].startswith("how many results, from 1 to 60")
    assert (
        "results: list[dict(rank: int, image_id: str, score: float"
        in info["/search"]["returns"][0]["python_type"]["type"]
    )


def test_numbers_of_any_method_are_read_by_name_and_those_of_before_go_on_working() -> None:
    slerp, cvsi = Slerp.parameters, PARAMETERS
    assert Arguments({"values": {"t": 0.3}}).numbers(slerp, {"t": 0.8}) == {"t": 0.3}
    assert Arguments({"alpha": 1.0, "beta": 0.4}).numbers(slerp, {"t": 0.8}) == {"t": 0.4}
    before = {"alpha": 0.6, "beta": 0.2, "gamma": 0.2}
    assert Arguments({"alpha": 0.1, "values": {"gamma": 0.9}}).numbers(cvsi, before) == {
        "alpha": 0.1,
        "beta": 0.2,
        "gamma": 0.9,
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (3, "values has to be an object"),
        (["t"], "values has to be an object"),
        ({"alpha": 0.5}, "this method has no number 'alpha'.*: t"),
        ({"t": "much"}, "t has to be a number from 0 to 1"),
        ({"t": 1.5}, "t has to be a number from 0 to 1"),
        ({3: 1}, "this method has no number 3"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(values: object, said: str) -> None:
    with pytest.raises(BadQuery) as caught:
        Arguments({"values": values}).numbers(Slerp.parameters, {"t": 0.8})
    assert re.search(said, str(caught.value))
