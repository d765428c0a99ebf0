"""A gallery on a Qdrant server: sent, compared, brought back; what is cut off goes on; what goes wrong is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_doubles import ToyCaptioner, contents, folder_in_memory, index, opened, paint, paint_folder

pytest.importorskip("qdrant_client", reason="requirements-scale.txt is not installed")
from qdrant_doubles import edge_server, local_server

from cir.__main__ import main
from cir.commands import pushing as commands
from cir.errors import CirError, GalleryError
from cir.gallery.served.facts import read_facts
from cir.gallery.served.pulling import pull_gallery
from cir.gallery.served.pushing import Settings, push_gallery, verify_gallery
from cir.gallery.served.server import Server, connect

PICTURES = 7


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with folder_in_memory() as place:
        yield place


@pytest.fixture(scope="module")
def cache(folder: Path) -> Path:
    """A gallery of pictures in folders, with captions; one file twice; one with a name that is no UTF-8."""
    root = paint_folder(folder / "photos", 4)
    paint(root / "rome" / "forum" / "2024-05-17.png", 50)
    paint(root / "rome" / "again.png", 2)
    os.rename(root / "rome" / "again.png", bytes(root / "rome") + b"/\xff.png")
    paint(root / "rome" / "pantheon.png", 51)
    index(root, folder / "cache", captioner=ToyCaptioner(), text_encoder=index_text())
    return folder / "cache"


def index_text():
    from gallery_doubles import ToyEncoder

    return ToyEncoder()


@pytest.fixture(params=["local mode", "edge"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    return local_server() if request.param == "local mode" else edge_server(tmp_path)


def push(server: Server, cache: Path):
    return push_gallery(server, opened(cache), Settings())


def written(server: Server) -> list[int]:
    """How many points each request from now on writes."""
    sizes: list[int] = []
    upsert = server.client.upsert

    def counting(name: str, **options):
        sizes.append(len(options["points"]))
        return upsert(name, **options)

    server.client.upsert = counting  # type: ignore[method-assign]
    return sizes


def test_a_gallery_that_is_pushed_and_pulled_is_the_same(server: Server, cache: Path, tmp_path: Path) -> None:
    pushed = push(server, cache)
    assert (pushed.images, pushed.sent, pushed.deleted) == (PICTURES, PICTURES, 0)
    pull_gallery(server, "toys", tmp_path / "elsewhere")
    here, there = opened(cache), opened(tmp_path / "elsewhere")
    assert contents(there) == contents(here)
    assert (there.relatives, there.contents, there.taken) == (here.relatives, here.contents, here.taken)
    assert there.root == here.root
    assert there.fingerprints == here.fingerprints
    assert verify_gallery(server, there) == PICTURES


def test_what_is_there_is_not_sent_again(server: Server, cache: Path) -> None:
    push(server, cache)
    sizes = written(server)
    assert push(server, cache).sent == 0
    assert sizes == []


def test_a_push_that_is_killed_goes_on_where_it_stopped(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cir.gallery.served.pushing.AT_ONCE", 2)
    upsert, calls = server.client.upsert, []

    def killed(name: str, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return upsert(name, **options)

    server.client.upsert = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        push(server, cache)
    server.client.upsert = upsert  # type: ignore[method-assign]
    with pytest.raises(GalleryError, match=r"has 4 of 7 pictures.*galleries push"):
        verify_gallery(server, opened(cache))
    assert push(server, cache).sent == 3
    assert verify_gallery(server, opened(cache)) == PICTURES


def test_pictures_that_are_gone_here_go_there_too(server: Server, cache: Path) -> None:
    push(server, cache)
    whole = opened(cache)
    fewer = replace(
        whole,
        **{
            name: getattr(whole, name)[2:]
            for name in ("image_ids", "relatives", "texts", "contents", "taken")
        },
        **{
            name: getattr(whole, name)[2:]
            for name in ("image_features", "caption_features", "captioned", "norms")
        },
    )
    done = push_gallery(server, fewer, Settings())
    assert (done.images, done.sent, done.deleted) == (5, 0, 2)
    with pytest.raises(GalleryError, match="has 5 of 7 pictures"):
        verify_gallery(server, whole)


def test_a_row_that_was_changed_on_the_server_is_found(server: Server, cache: Path) -> None:
    from qdrant_client import models

    push(server, cache)
    (point, *_), _next = server.client.scroll("toys", limit=1, with_payload=True, with_vectors=True)
    spoilt = np.array(point.vector["cat"])
    spoilt[0] += 0.01
    changed = models.PointStruct(id=point.id, vector={"cat": spoilt.tolist()}, payload=point.payload)
    server.client.upsert("toys", points=[changed], wait=True)
    with pytest.raises(GalleryError, match="of 7 pictures that were compared, 1 are other ones"):
        verify_gallery(server, opened(cache))


def test_a_gallery_of_other_models_is_not_mixed_in(server: Server, cache: Path) -> None:
    push(server, cache)
    facts = read_facts(server, "toys")
    from cir.gallery.served.facts import write_facts

    write_facts(server, replace(facts, models=replace(facts.models, image_encoder="another")))
    with pytest.raises(GalleryError, match="was made by other models"):
        push(server, cache)


def test_a_collection_of_somebody_else_is_left_alone(server: Server, cache: Path) -> None:
    from qdrant_client import models

    size = models.VectorParams(size=24, distance=models.Distance.DOT)
    server.client.create_collection("toys", vectors_config={"cat": size}, metadata={})
    with pytest.raises(GalleryError, match="toys on here is no gallery of this program"):
        push(server, cache)
    assert server.client.count("toys", exact=True).count == 0


def test_a_half_filled_gallery_is_not_pulled(server: Server, cache: Path, tmp_path: Path) -> None:
    from cir.gallery.served.facts import write_facts

    push(server, cache)
    write_facts(server, replace(read_facts(server, "toys"), is_whole=False))
    with pytest.raises(GalleryError, match=r"is not whole.*push"):
        pull_gallery(server, "toys", tmp_path / "elsewhere")
    with pytest.raises(GalleryError, match="no gallery others on the server here"):
        pull_gallery(server, "others", tmp_path / "elsewhere")


def answering(status: int, tries: list[int] | None = None) -> Callable[..., object]:
    import httpx
    from qdrant_client.http.exceptions import UnexpectedResponse

    def answer(*_: object, **__: object) -> object:
        if tries is not None:
            tries.append(status)
        raise UnexpectedResponse(status, "reason", b'{"status": {"error": "key sesame"}}', httpx.Headers())

    return answer


@pytest.mark.parametrize(
    ("status", "words", "tried"),
    [
        (401, "refuses the key", 1),
        (403, "refuses the key", 1),
        (404, "no gallery toys", 1),
        (503, "answered 503", 3),
    ],
)
def test_what_a_server_answers_is_said_in_a_sentence_and_tried_again_where_that_helps(
    status: int, words: str, tried: int
) -> None:
    server, tries = local_server(), []
    server.client.get_collection = answering(status, tries)  # type: ignore[method-assign]
    with pytest.raises(GalleryError, match=words) as caught:
        read_facts(server, "toys")
    assert len(tries) == tried
    assert "sesame" not in str(caught.value)
    assert caught.value.remedy
    assert caught.value.__cause__ is None


def test_a_server_that_answers_at_the_third_time_is_not_spoken_of(server: Server, cache: Path) -> None:
    import httpx
    from qdrant_client.http.exceptions import ResponseHandlingException

    push(server, cache)
    get, failures = server.client.get_collection, [httpx.ConnectError("no"), httpx.ReadTimeout("late")]

    def seldom(*arguments: object, **options: object) -> object:
        if failures:
            raise ResponseHandlingException(failures.pop())
        return get(*arguments, **options)

    server.client.get_collection = seldom  # type: ignore[method-assign]
    assert read_facts(server, "toys").images == PICTURES


def test_nobody_at_the_address_is_said_by_the_command_and_the_key_by_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(cache))
    monkeypatch.setenv("MY_KEY", "open-sesame")
    monkeypatch.setattr("cir.gallery.served.server.BACKOFF_SECONDS", 0.0)
    arguments = [
        "galleries",
        "verify",
        "toys",
        "--qdrant-url",
        "http://127.0.0.1:9",
        "--qdrant-key-env",
        "MY_KEY",
    ]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert "The server 127.0.0.1:9 does not answer." in said.err
    assert "open-sesame" not in said.err + said.out


@pytest.mark.parametrize(
    ("url", "key", "words"),
    [
        ("localhost:6333", "", "no address of a Qdrant server"),
        ("http://me:secret@localhost:6333", "", "holds a password"),
        ("http://localhost:6333", "NOT_SET", "no variable NOT_SET"),
    ],
)
def test_an_address_that_is_none_and_a_key_that_is_not_there_are_refused(
    url: str, key: str, words: str
) -> None:
    with pytest.raises(CirError, match=words) as caught:
        connect(url, key)
    assert "secret" not in str(caught.value)


def test_the_commands_push_verify_and_pull(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = local_server()
    monkeypatch.setattr(commands, "connect", lambda *_, **__: here)
    monkeypatch.setenv("CIR_CACHE", str(cache))
    place = ["toys", "--qdrant-url", "http://here:6333"]
    assert main(["gallery", "push", *place]) == 0
    assert "7 pictures, 7 sent. Compared" in capsys.readouterr().out
    assert main(["galleries", "verify", *place]) == 0
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "elsewhere"))
    assert main(["galleries", "pull", *place]) == 0
    assert len(opened(tmp_path / "elsewhere")) == PICTURES
    assert main(["galleries", "pull", *place]) == 2
    assert "There is a gallery called toys already." in capsys.readouterr().err
