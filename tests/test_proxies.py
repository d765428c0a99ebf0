"""What is believed of a reverse proxy, and what an address on the command line may be."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from cir.commands.addresses import read_host_name, read_root_path
from cir.errors import BadQuery
from cir.ui.server.proxies import ForwardedHeaders, SubPath


def ask(app, path: str, client: str = "127.0.0.1", **headers: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=(client, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://inner:7860") as web:
            return await web.get(
                path, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

    return asyncio.run(run())


async def echo(scope, receive, send):
    """Answers with what it was asked for."""
    host = dict(scope["headers"])[b"host"].decode()
    left = [name for name, _ in scope["headers"] if name.startswith(b"x-forwarded")]
    body = f"{scope['scheme']} {host} {scope['path']} {left}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("client", "trusted", "said"),
    [
        ("127.0.0.1", ("127.0.0.0/8",), "https photos.example.org / []"),
        ("::1", ("127.0.0.0/8", "::1"), "https photos.example.org / []"),
        ("::ffff:127.0.0.1", ("127.0.0.0/8",), "https photos.example.org / []"),
        ("10.0.0.9", ("127.0.0.0/8", "10.0.0.0/24"), "https photos.example.org / []"),
        ("10.0.1.9", ("127.0.0.0/8", "10.0.0.0/24"), "http inner:7860 / []"),
        ("testclient", ("127.0.0.0/8",), "http inner:7860 / []"),
    ],
)
def test_only_a_trusted_proxy_is_believed_in_what_was_asked_for(client, trusted, said):
    app = ForwardedHeaders(echo, trusted)
    answer = ask(app, "/", client, x_forwarded_host="photos.example.org, b", x_forwarded_proto="https, http")
    assert answer.text == said


@pytest.mark.parametrize("path", ["/photos/config", "/config"])
def test_a_path_is_the_same_whether_the_proxy_took_the_sub_path_away_or_not(path):
    assert "/photos/config" in ask(SubPath(echo, "/photos"), path).text


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Photos.Example.org", "photos.example.org"),
        ("https://photos.example.org:8443/photos", "photos.example.org"),
        ("*.example.org", "*.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[2001:db8::1]:7860", "[2001:db8::1]"),
    ],
)
def test_a_host_is_understood_as_people_write_it(given, name):
    assert read_host_name(given) == name


def test_a_path_that_is_none_or_the_pages_own_is_refused():
    assert read_root_path("photos/") == ("/photos", [])
    assert read_root_path("https://a.example/x/y") == ("/x/y", ["a.example"])
    assert read_root_path("") == ("", [])
    for wrong in ("/gradio_api", "/assets/x", "/a b", "/a?b", "/a//b"):
        with pytest.raises(BadQuery):
            read_root_path(wrong)
    for wrong in ("a b", "", "exa mple.org"):
        with pytest.raises(BadQuery):
            read_host_name(wrong)
