"""Any server that speaks OpenAI's protocol as the language model: what it is asked, and what goes wrong."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from cir.errors import BadQuery, LanguageModelFailed
from cir.evaluation import answers
from cir.evaluation.answers import open_book
from cir.evaluation.composed import Witness
from cir.models.downloads import locate
from cir.models.model_set import Models
from cir.models.published import LANGUAGE_MODELS
from cir.models.server.address import Asking, is_server, read_address
from cir.models.server.client import ServerClient
from cir.models.server.model import ServerModel, connect, models_of
from cir.prompts import Prompt, cvsi_modified_caption
from cir.questions import in_order
from cir.types import Query
from tests.fakes import ToyCaptioner, draw, toy_cvsi
from tests.llm_server import KEY, Asked, LlmServer, drip, echo, flood, hang_up, llm_server
from tests.served import free_port, serve_toys

ONE_LINE = Prompt("Say it.", [("a cat", "a dog")], "a red dog")


@pytest.fixture
def llm() -> Iterator[LlmServer]:
    with llm_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _without_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIR_LLM", "CIR_LLM_KEY"):
        monkeypatch.delenv(name, raising=False)


def model_at(llm: LlmServer, *, key: str = "", **settings: Any) -> ServerModel:
    """A model that waits for little."""
    client = ServerClient(read_address(f"{llm.url}#small"), key, "CIR_LLM_KEY", backoff_seconds=0.01)
    return ServerModel(client, "small", **{"deadline_seconds": 5.0, "start_seconds": 0.0, **settings})


@pytest.mark.parametrize(
    ("text", "base", "shown", "model"),
    [
        ("http://localhost:8000#a/b", "http://localhost:8000/v1", "localhost:8000", "a/b"),
        ("https://api.host.org/v1/#m", "https://api.host.org/v1", "api.host.org", "m"),
        ("HTTPS://Host.org:443", "https://host.org/v1", "host.org", ""),
        ("https://host/api/v1/chat/completions#m", "https://host/api/v1", "host", "m"),
        ("http://[::1]:11434#m", "http://[::1]:11434/v1", "[::1]:11434", "m"),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, base: str, shown: str, model: str) -> None:
    found = read_address(text)
    assert (found.base, found.shown, found.model) == (base, shown, model)
    assert is_server(text)
    assert not is_server("qwen2.5-coder-0.5b")
    assert not is_server("C:\\a\\b.gguf")


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host#m",
        "http://#m",
        "http://host:99999#m",
        "http://ho st#m",
        f"https://me:{KEY}@host/v1#m",
        f"https://{KEY}@host/v1#m",
        f"https://host/v1?key={KEY}#m",
        f"{KEY}://host#m",
    ],
)
def test_what_is_no_address_or_holds_a_password_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(BadQuery) as refused:
        Models("embedded", llm=text).language_model  # noqa: B018
    assert KEY not in str(refused.value)
    assert refused.value.remedy


def test_a_prompt_goes_as_a_chat_and_its_answer_is_the_first_line(llm: LlmServer) -> None:
    def reply(asked: Asked, row: Any, number: int) -> None:
        asked.answer("\n a blue dog \nand more")

    llm.reply = reply
    with model_at(llm, key=KEY) as model:
        assert model.complete(ONE_LINE, max_tokens=7) == "a blue dog"
        assert model.complete(Prompt("", (), "a", stop=""), max_tokens=7) == "a blue dog \nand more"
    path, headers, row = llm.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert row == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Say it."},
            {"role": "user", "content": "a cat"},
            {"role": "assistant", "content": "a dog"},
            {"role": "user", "content": "a red dog"},
        ],
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": False,
    }


def test_an_answer_is_remembered_until_it_is_to_be_forgotten_and_a_seed_goes_with_a_temperature(
    llm: LlmServer,
) -> None:
    with model_at(llm) as model:
        for _ in range(2):
            assert model.complete("a cat", max_tokens=7) == "about a cat"
        assert len(llm.questions) == 1
        model.forget()
        model.complete("a cat", max_tokens=7)
        model.complete("a cat", max_tokens=7, temperature=0.7, seed=3)
    assert len(llm.questions) == 3
    assert "Authorization" not in llm.requests[0][1]
    assert (llm.questions[-1]["temperature"], llm.questions[-1]["seed"]) == (0.7, 3)


def test_the_only_model_of_a_server_needs_no_name_and_of_several_one_is_to_be_chosen(llm: LlmServer) -> None:
    with connect(llm.url) as model:
        assert model.name == "small"
        assert model.complete("a cat", max_tokens=7) == "about a cat"

    def several(asked: Asked, row: Any, number: int) -> None:
        asked.say({"data": [{"id": f"model-{n}"} for n in range(30)]})

    llm.reply = several
    with pytest.raises(
        BadQuery, match=r"several models: model-0, .* and 18 more\. Say which: --llm .*#model-0"
    ):
        connect(llm.url)
    llm.reply = lambda asked, row, number: asked.say({"data": []})
    with pytest.raises(BadQuery, match="has no model"):
        connect(llm.url)
    llm.reply = lambda asked, row, number: asked.say({"models": 3})
    with pytest.raises(LanguageModelFailed, match="does not say which models"):
        connect(llm.url)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda a, r, n: a.say("no JSON"), "sent something that is no answer"),
        (lambda a, r, n: a.say("[" * 200_000), "sent something that is no answer"),
        (lambda a, r, n: a.say({"choices": []}), "sent something that is no answer"),
        (lambda a, r, n: a.say({"choices": [{"message": {"content": ["a"]}}]}), "is no answer"),
        (lambda a, r, n: a.say([1]), "sent something that is no answer"),
        (flood, "sent more than 1 MB"),
        (drip, "no answer within 0 seconds"),
        (lambda a, r, n: time.sleep(3), "no answer within 0 seconds"),
        (hang_up, "broke the connection off"),
        (lambda a, r, n: a.say({}, 302, Location="http://elsewhere.org/"), "another address; they are not sent there"),
        (lambda a, r, n: a.say({"error": {"message": f"bad key {KEY}"}}, 401), "refuses the key, or wants one"),
        (lambda a, r, n: a.say({}, 403), "refuses the key, or wants one"),
        (lambda a, r, n: a.say({}, 404), "knows no model small there. Leave #MODEL out"),
        (lambda a, r, n: a.say({"error": f"no {KEY}\nfor \x1b[31myou"}, 400), r"refused the question \(400\): “no KEY for"),
        (lambda a, r, n: a.say({}, 500), r"failed \(500\)"),
        (lambda a, r, n: a.say({}, 429), "has too much to do"),
        (lambda a, r, n: a.say({}, 429, Retry_After="3600"), "asks for 3,?600 seconds of patience"),
        (lambda a, r, n: a.say({"error": {"code": "insufficient_quota"}}, 429), "nothing is left to be spent"),
        (lambda a, r, n: a.say({"error": {"message": "maximum context length is 9"}}, 400), "too long .* Shorten"),
        (lambda a, r, n: a.answer(None, reasoning_content="Let me think"), "thinks before it answers"),
        (lambda a, r, n: a.answer("<think>Let me"), "thinks before it answers"),
        (lambda a, r, n: a.say({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}), "back"),
    ],
)  # fmt: skip
def test_what_a_bad_server_does_is_one_sentence_with_a_way_out_and_no_key(
    llm: LlmServer, caplog: pytest.LogCaptureFixture, reply: Any, said: str
) -> None:
    caplog.set_level(logging.DEBUG)
    llm.reply = reply
    with (
        model_at(llm, key=KEY, deadline_seconds=0.4 if said.startswith("no answer") else 5.0) as model,
        pytest.raises(LanguageModelFailed, match=said) as failed,
    ):
        model.complete(ONE_LINE, max_tokens=7)
    assert failed.value.remedy
    assert KEY not in str(failed.value) + repr(failed.value)
    assert "\n" not in str(failed.value)
    shown: BaseException | None = failed.value
    while shown is not None:
        assert KEY not in f"{shown!r}"
        shown = shown.__cause__ or shown.__context__
    assert KEY not in caplog.text
    assert all(path.startswith("/v1/") for path, _, _ in llm.requests)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_where_a_server_sends_questions_on_to_nothing_is_sent(llm: LlmServer, status: int) -> None:
    with llm_server() as other:
        llm.reply = lambda asked, row, number: asked.say({}, status, Location=f"{other.url}{asked.path}")
        with model_at(llm, key=KEY) as model, pytest.raises(LanguageModelFailed, match="are not sent there"):
            model.complete("a cat", max_tokens=7)
        assert (len(llm.questions), other.requests) == (1, [])


def test_the_page_says_above_all_tabs_where_captions_and_edits_go(tmp_path: Path) -> None:
    said = "The language model is asked at host:1: captions and edits go there, pictures never."
    for sentence, told in ((said, True), ("", False)):
        with serve_toys(tmp_path / str(told), content={"where_asked": sentence}) as page:
            config = httpx.get(f"{page.url}config").json()
            pieces = [c["props"].get("value") for c in config["components"] if c["type"] == "html"]
            shown = [piece for piece in pieces if "where-asked" in str(piece)]
            assert [said in piece for piece in shown] == [True] * told


def test_a_server_that_is_gone_is_told_soon_and_asked_again_when_it_is_back() -> None:
    with llm_server() as gone:
        model = model_at(gone)
    with pytest.raises(LanguageModelFailed, match=r"cannot be reached\. See whether it runs"):
        model.complete("a cat", max_tokens=7)
    model.close()
    with pytest.raises(LanguageModelFailed, match="was closed"):
        model.complete("a cat", max_tokens=7)


@pytest.mark.parametrize("failure", [429, 500, 503, "hangs up"])
def test_what_may_pass_is_tried_again(llm: LlmServer, failure: int | str) -> None:
    def reply(asked: Asked, row: Any, number: int) -> None:
        if number < 3 and isinstance(failure, int):
            asked.say({}, failure)
        elif number < 3:
            hang_up(asked, row, number)
        else:
            echo(asked, row, number)

    llm.reply = reply
    with model_at(llm) as model:
        assert model.complete("a cat", max_tokens=7) == "about a cat"
    assert len(llm.questions) == 3


def test_a_server_is_left_alone_for_as_long_as_it_asks(llm: LlmServer) -> None:
    came: list[float] = []

    def reply(asked: Asked, row: Any, number: int) -> None:
        came.append(time.monotonic())
        if number == 1:
            asked.say({}, 429, Retry_After="1")
        else:
            echo(asked, row, number)

    llm.reply = reply
    with model_at(llm) as model:
        assert model.complete("a cat", max_tokens=7) == "about a cat"
    assert came[1] - came[0] >= 1.0


def test_a_wrong_key_is_not_tried_again(llm: LlmServer) -> None:
    llm.reply = lambda asked, row, number: asked.say({}, 401)
    with model_at(llm) as model, pytest.raises(LanguageModelFailed, match=r"environment \(CIR_LLM_KEY"):
        model.complete("a cat", max_tokens=7)
    assert len(llm.questions) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_where_a_template_has_no_place_for_an_instruction_it_goes_before_the_first_question(
    llm: LlmServer, status: int
) -> None:
    def reply(asked: Asked, row: Any, number: int) -> None:
        if row["messages"][0]["role"] == "system":
            asked.say({"error": {"message": "System role not supported"}}, status)
        else:
            asked.answer(row["messages"][0]["content"].replace("\n", "/"))

    llm.reply = reply
    with model_at(llm) as model:
        assert model.complete(ONE_LINE, max_tokens=7) == "Say it.//a cat"
        assert model.complete(ONE_LINE, max_tokens=8) == "Say it.//a cat"
    assert len(llm.questions) == 3


def test_a_model_that_wants_its_length_named_otherwise_and_its_own_temperature_is_asked_so(
    llm: LlmServer,
) -> None:
    """The refusals are worded as OpenAI's server words them."""

    def reply(asked: Asked, row: Any, number: int) -> None:
        if "max_tokens" in row:
            said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            asked.say({"error": {"message": said, "code": "unsupported_parameter"}}, 400)
        elif "temperature" in row:
            said = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
            asked.say({"error": {"message": said, "code": "unsupported_value"}}, 400)
        else:
            asked.answer(f"within {row['max_completion_tokens']}")

    llm.reply = reply
    with model_at(llm) as model:
        assert model.complete(ONE_LINE, max_tokens=7) == "within 1007"  # with room for its thoughts
        assert model.complete(ONE_LINE, max_tokens=8) == "within 1008"
    assert len(llm.questions) == 4  # it is known from then on


def test_a_model_whose_answer_is_cut_within_its_thoughts_says_so(llm: LlmServer) -> None:
    def reply(asked: Asked, row: Any, number: int) -> None:
        if "max_tokens" in row:
            asked.say({"error": {"message": "Use 'max_completion_tokens' instead."}}, 400)
        else:
            asked.say({"choices": [{"message": {"content": ""}, "finish_reason": "length"}]})

    llm.reply = reply
    with model_at(llm) as model, pytest.raises(LanguageModelFailed, match="thinks before it answers"):
        model.complete(ONE_LINE, max_tokens=7)


def test_what_a_model_thought_is_no_part_of_its_answer(llm: LlmServer) -> None:
    llm.reply = lambda asked, row, number: asked.answer("<think>\nhm\n</think>\n\na blue dog\nmore")
    with model_at(llm) as model:
        assert model.complete(ONE_LINE, max_tokens=7) == "a blue dog"


def test_the_first_answer_may_take_longer_and_those_after_it_not(llm: LlmServer) -> None:
    def reply(asked: Asked, row: Any, number: int) -> None:
        time.sleep(0.6)
        echo(asked, row, number)

    llm.reply = reply
    with model_at(llm, deadline_seconds=0.2, start_seconds=20.0) as model:
        model.warm_up([ONE_LINE])
        with pytest.raises(LanguageModelFailed, match="no answer within"):
            model.complete("a cat", max_tokens=7)
        assert model.complete("a cat", max_tokens=7, deadline_seconds=20.0) == "about a cat"


def test_a_closed_model_ends_what_is_under_way(llm: LlmServer) -> None:
    llm.reply = lambda asked, row, number: time.sleep(20)
    model = model_at(llm, deadline_seconds=60.0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(model.complete, "a cat", max_tokens=7)
        while not llm.requests:
            time.sleep(0.01)
        model.close()
        with pytest.raises(LanguageModelFailed, match="was closed"):
            asked.result(timeout=10)


def test_kept_answers_are_those_of_the_server_and_the_model_whatever_the_key(
    llm: LlmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "FOLDER", tmp_path)

    def ask(name: str, key: str) -> int:
        client = ServerClient(read_address(f"{llm.url}#{name}"), key)
        with ServerModel(client, name) as model:
            book = open_book("world", model)
            assert book.complete("a cat", max_tokens=7) == "about a cat"
            assert KEY not in book.path.name
            assert name in book.path.name
        return len(llm.questions)

    assert [ask("small", "one"), ask("small", KEY), ask("large", KEY), ask("large", "")] == [1, 1, 2, 2]
    assert all(KEY not in path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    with llm_server() as other:
        client = ServerClient(read_address(f"{other.url}#small"))
        assert ServerModel(client, "small").fingerprint != model_at(llm).fingerprint


def test_the_key_comes_from_the_environment_and_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Asking().key() == ""
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    assert Asking("MY_KEY").key() == KEY
    with pytest.raises(BadQuery, match="no variable OTHER_KEY"):
        Asking("OTHER_KEY").key()
    for wrong in ("schlüssel", "two words", "a\x00b".replace("\x00", "\x01")):
        monkeypatch.setenv("MY_KEY", wrong)
        with pytest.raises(BadQuery, match="cannot be a key") as refused:
            Asking("MY_KEY").key()
        assert wrong not in str(refused.value)


def test_a_proxy_of_the_environment_gets_nothing(llm: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with llm_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with model_at(llm) as model:
            assert model.complete("a cat", max_tokens=7) == "about a cat"
        assert proxy.requests == []
        assert len(llm.questions) == 1


def test_questions_go_at_once_as_far_as_allowed_and_come_in_order(llm: LlmServer) -> None:
    gate = threading.Barrier(3)

    def reply(asked: Asked, row: Any, number: int) -> None:
        gate.wait(timeout=10)  # nobody is answered before three have asked
        echo(asked, row, number)

    llm.reply = reply
    with model_at(llm, at_once=3) as model:

        def ask(text: str) -> str:
            return model.complete(text, max_tokens=7)

        asked = [f"question {n}" for n in range(9)]
        with ThreadPoolExecutor(9) as pool:
            assert list(pool.map(ask, asked)) == [f"about {text}" for text in asked]
    assert llm.most_under_way == 3


def test_a_server_that_answers_one_after_the_other_has_time_for_the_last_one(llm: LlmServer) -> None:
    turn, answered = threading.Condition(), 0

    def reply(asked: Asked, row: Any, number: int) -> None:
        nonlocal answered
        with turn:
            turn.wait_for(lambda: answered == number - 1, timeout=20)
            time.sleep(1.0)
            echo(asked, row, number)
            answered += 1
            turn.notify_all()

    llm.reply = reply
    with model_at(llm, at_once=4, deadline_seconds=3.0) as model:
        found = in_order(lambda n: model.complete(f"question {n}", max_tokens=7), range(4), 4)
        assert list(found) == [f"about question {n}" for n in range(4)]
        llm.reply = lambda asked, row, number: time.sleep(20)
        with pytest.raises(
            LanguageModelFailed, match=r"within [3-9] seconds"
        ):  # one that hangs has no more time
            list(in_order(lambda n: model.complete(f"other {n}", max_tokens=7), range(4), 4))


def test_the_questions_of_a_search_are_asked_at_once(llm: LlmServer) -> None:
    gate = threading.Barrier(3)

    def reply(asked: Asked, row: Any, number: int) -> None:
        gate.wait(timeout=10)
        added = "added:" in row["messages"][-1]["content"]
        asked.answer("nothing" if added else f"a blue {row['messages'][-1]['content'].split()[2]}")

    llm.reply = reply

    class TwoCaptions:
        fingerprint = "two"

        def caption(self, images: Any, *, per_image: int, seed: int) -> list[list[str]]:
            return [["red square", "crimson square"]]

    with model_at(llm) as model:
        witness = Witness(model)
        method = toy_cvsi(witness, TwoCaptions())
        stages = list(method.compose(Query(draw("red", "square"), "make it blue")))
    assert stages[-1].trace["modified_captions"] == ("a blue square", "a blue square")
    assert not stages[-1].notes
    assert not stages[-1].pending
    assert (witness.calls, witness.failures, len(witness.heard)) == (3, 0, 3)


def test_a_search_goes_on_without_a_server_that_fails(llm: LlmServer) -> None:
    llm.reply = lambda asked, row, number: asked.say({}, 401)
    with model_at(llm) as model:
        *_, last = toy_cvsi(model, ToyCaptioner()).compose(Query(draw("red", "square"), "make it blue"))
    assert set(last.parts) == {"reference_image", "fine_grained"}
    assert "did not answer" in last.notes[-1]
    assert "refuses the key" in last.notes[-1]


def test_models_are_listed_by_names_that_can_be_shown(llm: LlmServer) -> None:
    llm.reply = lambda asked, row, number: asked.say(
        {"data": [{"id": "a"}, {"id": "\x1b[31m"}, {"id": "x" * 999}]}
    )
    assert models_of(ServerClient(read_address(llm.url))) == ["a"]


def test_a_set_of_models_says_where_its_questions_go(llm: LlmServer) -> None:
    models = Models("embedded", llm=f"{llm.url}#small")
    shown = llm.url.removeprefix("http://")
    assert models.where_asked == (
        f"The language model is asked at {shown}: captions and edits go there, pictures never."
    )
    assert any(fact.part == "language model" and shown in fact.source for fact in models.facts)
    models.close()
    assert llm.requests == []
    assert Models("embedded", llm="none").where_asked == ""


def test_a_server_that_does_not_say_its_models_is_missing_and_the_rest_stands() -> None:
    with llm_server() as gone:
        url = gone.url
    models = Models("embedded", llm=url)
    assert models.language_model is None
    assert "cannot be reached" in models.missing["language model"]
    assert json.dumps(models.missing)


@pytest.fixture(scope="module")
def llama_cpp_server() -> Iterator[str]:
    """llama.cpp's own server with the smallest real model that is here; without either, the test is skipped."""
    for package in ("llama_cpp", "sse_starlette", "starlette_context", "pydantic_settings"):
        pytest.importorskip(package)
    names = ("qwen2.5-coder-0.5b", "gemma-3-270m", "qwen2.5-coder-1.5b")
    files = [LANGUAGE_MODELS[name].fetched for name in names]
    path = next((found for spec in files if spec and (found := locate(spec))), None)
    if path is None:
        pytest.skip("no language model is here: python -m cir models pull gemma-3-270m")
    port = free_port()
    options = {
        "host": "127.0.0.1",
        "port": port,
        "api_key": KEY,
        "model_alias": "small",
        "n_ctx": 2048,
        "n_threads": 1,
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [
        sys.executable,
        "-m",
        "llama_cpp.server",
        "--model",
        str(path),
        "--n_threads_batch",
        "2",
        *given,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.mark.slow
def test_the_own_server_of_llama_cpp_answers_and_refuses_as_it_should(
    llama_cpp_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIR_LLM_KEY", KEY)
    for _ in range(240):
        try:
            model = connect(llama_cpp_server)
            break
        except LanguageModelFailed:
            time.sleep(0.5)
    else:
        pytest.fail("the server did not start")
    with model:
        assert model.name == "small"
        prompt = cvsi_modified_caption("a red car", "make it blue")
        first = model.complete(prompt, max_tokens=16, deadline_seconds=300.0)
        assert first
        assert "\n" not in first
        model.forget()
        assert model.complete(prompt, max_tokens=16, deadline_seconds=300.0) == first
        with pytest.raises(LanguageModelFailed, match="Shorten the edit"):
            model.complete("word " * 3000, max_tokens=8, deadline_seconds=300.0)
    monkeypatch.setenv("CIR_LLM_KEY", "wrong")
    with (
        connect(f"{llama_cpp_server}#small") as model,
        pytest.raises(LanguageModelFailed, match="refuses the key"),
    ):
        model.complete(prompt, max_tokens=8)


STOPPED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
from contextlib import closing
from cir.models.server.model import connect
from cir.questions import in_order
with closing(connect(sys.argv[1])) as model:
    list(in_order(lambda n: model.complete(f"question {n}", max_tokens=4), range(4), 4))
"""


def test_a_command_that_is_stopped_does_not_wait_for_the_server(llm: LlmServer) -> None:
    llm.reply = lambda asked, row, number: time.sleep(100)
    command = [sys.executable, "-c", STOPPED, f"{llm.url}#small"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while len(llm.questions) < 4 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)  # the first answer would have ninety seconds
    assert "KeyboardInterrupt" in said
