"""The page behind a real nginx: another name, https, below a path, bodies passed on while they arrive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from browsing import IN_A_BROWSER
from served import Served, free_port, picture_bytes, serve_toys

from cir.ui.server.pictures import address_of
from cir.ui.server.serving import THIS_MACHINE

gradio_client = pytest.importorskip("gradio_client", reason="gradio is not installed")
ROOT = Path(__file__).resolve().parents[1]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
needs_nginx = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None, reason="no nginx, or no openssl, is installed"
)
NAME = "photos.localhost"  # browsers find it on this machine
WHOLE = """
worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon off; {user}
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{server}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: int, *, passed_on: bool) -> Iterator[int]:
    """The configuration of docs/reverse-proxy.md, running; yields its port.

    `passed_on`: bodies and answers are passed on while they arrive, and the path is taken away.
    """
    folder.mkdir()
    port, key, certificate = free_port(), folder / "photos.key", folder / "photos.pem"
    subprocess.run(
        [
            "openssl",
            *["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj"],
            f"/CN={NAME}",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    said = (ROOT / "docs" / "reverse-proxy.md").read_text(encoding="utf-8")
    server = said.split("```nginx\n")[1].split("```")[0]
    for written, here in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "photos.example.org": NAME,
        "/etc/ssl/photos.pem": str(certificate),
        "/etc/ssl/photos.key": str(key),
        "http://127.0.0.1:7860": f"http://127.0.0.1:{upstream}" + ("/" if passed_on else ""),
    }.items():
        assert written in server
        server = server.replace(written, here)
    if passed_on:
        server = server.replace(
            "proxy_http_version", "proxy_buffering off; proxy_request_buffering off;\nproxy_http_version"
        )
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(WHOLE.format(folder=folder, server=server, user=user), encoding="utf-8")
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(path)], stderr=subprocess.PIPE)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            httpx.get(f"https://127.0.0.1:{port}/", verify=False)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("nginx does not answer")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Served]:
    with serve_toys(
        tmp_path_factory.mktemp("proxied"), root_path="/photos", allowed_hosts=(*THIS_MACHINE, NAME)
    ) as served:
        yield served


@pytest.fixture(scope="module", params=[False, True], ids=["buffered", "passed on"])
def proxied(page, tmp_path_factory, request) -> Iterator[tuple[Served, int]]:
    upstream = httpx.URL(page.url).port
    with nginx(tmp_path_factory.mktemp("nginx") / "run", upstream, passed_on=request.param) as port:
        yield page, port


@needs_nginx
def test_a_program_searches_with_an_upload_through_the_proxy_and_hears_each_stage(proxied, tmp_path):
    _, port = proxied
    picture = tmp_path / "red.png"
    picture.write_bytes(picture_bytes("red", "square"))
    client = gradio_client.Client(f"https://localhost:{port}/photos/", verbose=False, ssl_verify=False)
    job = client.submit(
        image=gradio_client.handle_file(str(picture)), text="make it blue", api_name="/search"
    )
    assert job.result(timeout=120)["results"][0]["label"] == "blue-square.jpg"
    assert len(job.outputs()) >= 2


@needs_nginx
def test_page_pictures_and_scripts_are_found_below_the_path_and_named_with_https(proxied):
    served, port = proxied
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}", verify=False, headers={"host": f"{NAME}:{port}"}
    ) as web:
        page = web.get("/photos/")
        assert page.status_code == 200
        assert f"https://{NAME}:{port}/photos" in page.text
        assert f"http://{NAME}" not in page.text
        script = re.search(r'src="\.?/?((?:photos/)?assets/[^"]+\.js)"', page.text)
        assert script is not None
        assert web.get("/photos/" + script[1].removeprefix("photos/")).status_code == 200
        picture = served.gallery.thumbnail_path(served.gallery.image_ids[0])
        assert web.get(f"/photos/{address_of(picture)}").headers["content-type"] == "image/webp"
        assert web.get("/photos/gradio_api/file=/etc/passwd").status_code == 403
        assert web.get("/photos/", headers={"host": "evil.example"}).status_code == 400


@needs_nginx
def test_a_body_whose_length_is_not_told_is_taken_while_it_fits(proxied):
    _, port = proxied
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body += picture_bytes("red", "square") + b"\r\n--x--\r\n"

    def pieces(data: bytes, times: int = 1) -> Iterator[bytes]:
        for _ in range(times):
            yield data

    headers = {"host": f"{NAME}:{port}", "content-type": "multipart/form-data; boundary=x"}
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}/photos/gradio_api/", verify=False, timeout=60
    ) as web:
        assert web.post("upload", content=pieces(body), headers=headers).status_code == 200
        headers["content-type"] = "application/json"
        assert web.post("queue/join", content=pieces(b" " * 2**20, 21), headers=headers).status_code == 413


@needs_nginx
@pytest.mark.browser
@IN_A_BROWSER[1]
def test_a_person_searches_through_the_proxy(proxied, browser):
    _, port = proxied
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"https://{NAME}:{port}/photos/")
    page.wait_for_selector("#browse-grid img:visible")
    page.fill("#edit textarea", "a blue square")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results img:visible")
    page.wait_for_function("document.querySelector('#results img').naturalWidth > 0")
    context.close()


def test_a_host_that_lures_the_page_is_refused_whatever_it_forwards(page):
    headers = {"host": "evil.example", "x-forwarded-host": "localhost"}
    assert httpx.get(page.url, headers=headers).status_code == 400
    assert httpx.get(page.url, headers={"x-forwarded-host": "evil.example"}).status_code == 400
    assert httpx.get(page.url).status_code == 200
