"""The served page against strangers: what can be fetched, how much can be sent, who sees what."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from urllib.parse import quote

import httpx
import pytest
from gallery_doubles import folder_in_memory
from PIL import Image
from served import PATIENCE, SECRET, Served, picture_bytes, serve_toys

from cir.ui.server import middleware
from cir.ui.server.pictures import address_of
from soak import connections, kills, mutations, users
from soak.visitor import Visitor

gradio_client = pytest.importorskip("gradio_client", reason="gradio is not installed")

WEB = httpx.Client(timeout=PATIENCE)
MEGABYTE = 2**20
ROOM = 30 * MEGABYTE  # for uploads in these tests
SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'self'",
}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of uploads of this module's servers."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, uploads: Path) -> Iterator[Served]:
    with serve_toys(tmp_path_factory.mktemp("safety"), upload_limit=ROOM) as page:
        yield page


def fetch(served: Served, path: str, **options) -> httpx.Response:
    """Ask for exactly this path: httpx would tidy up dots and slashes in a whole address."""
    url = httpx.URL(served.url)
    request = httpx.Request("GET", url, **options)
    request.url = url.copy_with(raw_path=path.encode("utf-8", "surrogateescape"))
    return WEB.send(request)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def upload(served: Served, content: bytes, name: str = "picture.png") -> httpx.Response:
    files = {"files": (name, content, "image/png")}
    return WEB.post(f"{served.url}gradio_api/upload", files=files)


# --- files -----------------------------------------------------------------------------------------------


def tricks(served: Served) -> list[str]:
    """Ways to ask for an original."""
    assert served.gallery.root is not None
    assert served.gallery.folder is not None
    original = str(served.gallery.root / "red-square.jpg")
    thumbnails = str(served.gallery.folder / "thumbnails")
    up = os.path.relpath(original, thumbnails)
    image_id = served.id_of("red-square")
    asked = [
        original,
        quote(original),
        quote(original, safe=""),
        f"/{original}",
        f"{thumbnails}/{up}",
        f"{thumbnails}/{quote(up, safe='')}",
        f"{thumbnails}/%2e%2e/%2e%2e/%2e%2e/photos/red-square.jpg",
        f"{thumbnails}/..%2f..%2f..%2fphotos%2fred-square.jpg",
        f"{thumbnails}/....//....//....//photos/red-square.jpg",
        f"{thumbnails}/..\\..\\..\\photos\\red-square.jpg",
        f"{thumbnails}%00{original}",
        f"file://{original}",
        f"file:{original}",
        os.path.relpath(original),
        f"~{original}",
        str(served.gallery.folder / "rows.sqlite"),
        str(served.gallery.folder / "manifest.json"),
        thumbnails,
        image_id,
        f"http://127.0.0.1:{httpx.URL(served.url).port}/",
        "https://example.org/picture.png",
    ]
    routes = [
        "gradio_api/file=",
        "file=",
        "gradio_api/file/",
        "file/",
        "static/",
        "gradio_api/proxy=",
        "assets/",
        "small-pictures/",
        f"{os.path.dirname(address_of(Path(thumbnails, 'x.webp')))}/",
    ]
    return [f"/{route}{path}" for route in routes for path in asked]


def test_no_original_can_be_had_by_any_way_of_asking(served):
    original = (served.gallery.root / "red-square.jpg").read_bytes()
    assert SECRET.encode() in original
    asked = tricks(served)
    assert len(asked) >= 140
    for path in asked:
        answer = fetch(served, path)
        assert answer.status_code in (307, 400, 403, 404, 405), path
        assert SECRET.encode() not in answer.content, path
        assert not answer.content.startswith((b"\xff\xd8\xff", b"SQLite")), path


def test_a_link_among_the_thumbnails_is_not_followed(served):
    link = served.gallery.folder / "thumbnails" / "link.webp"
    link.symlink_to(served.gallery.root / "red-square.jpg")
    try:
        for asked in (str(link), quote(str(link), safe=""), f"/{link}"):
            assert fetch(served, f"/gradio_api/file={asked}").status_code == 403
        assert fetch(served, f"/{address_of(link)}").status_code == 404
    finally:
        link.unlink()


def test_thumbnails_are_small_encoded_anew_and_silent_about_their_originals(served):
    for image_id in served.gallery.image_ids:
        path = served.gallery.thumbnail_path(image_id)
        answer = fetch(served, f"/{address_of(path)}")
        assert fetch(served, f"/gradio_api/file={path}").status_code == 403
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/webp"
        assert SECRET.encode() not in answer.content
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, max(image.size)) == ("WEBP", 320)
            assert dict(image.getexif()) == {}


def test_answers_name_images_by_ids_and_never_by_a_path(served):
    client = served.client()
    found = client.predict(
        text="make it blue", gallery_image_id=served.id_of("red-square"), api_name="/search"
    )
    why = client.predict(image_id=found["results"][0]["image_id"], api_name="/explain")
    said = json.dumps([found, why])
    assert "blue-square.jpg" in said
    assert str(served.gallery.root) not in said
    assert str(served.gallery.folder) not in said
    assert str(served.gallery.root) not in WEB.get(f"{served.url}config").text


# --- headers and faults ----------------------------------------------------------------------------------


def test_every_answer_has_the_headers_refusals_and_static_files_included(served):
    page = WEB.get(served.url)
    script = re.search(r'(?:src|href)="\.?/?((?:static|assets)/[^"]+\.(?:js|css))"', page.text)
    assert script is not None
    thumbnail = served.gallery.thumbnail_path(served.gallery.image_ids[0])
    answers = {
        200: [page, fetch(served, f"/{script[1]}"), fetch(served, f"/{address_of(thumbnail)}")],
        400: [fetch(served, "/", headers={"host": "evil.example"})],
        403: [
            fetch(served, f"/gradio_api/file={thumbnail}"),
            fetch(served, "/gradio_api/file=/etc/passwd"),
            fetch(served, "/gradio_api/file=http://a.example"),
        ],
        404: [fetch(served, "/nothing/here")],
        413: [WEB.post(f"{served.url}gradio_api/queue/join", content=iter([b" " * MEGABYTE] * 21))],
        422: [WEB.post(f"{served.url}gradio_api/queue/join", json={"nonsense": 1})],
        507: [upload(served, b"\0" * (ROOM + MEGABYTE))],
    }
    for status, some in answers.items():
        for answer in some:
            assert answer.status_code == status
            assert {name: answer.headers.get(name) for name in SAFE} == SAFE, str(answer.request.url)


def test_a_foreign_host_is_refused_on_every_kind_of_route(served):
    foreign = {"host": "evil.example", "origin": "http://evil.example"}
    thumbnail = served.gallery.thumbnail_path(served.gallery.image_ids[0])
    for path in ("/", "/config", "/gradio_api/info", f"/gradio_api/file={thumbnail}", "/theme.css"):
        assert fetch(served, path, headers=foreign).status_code == 400
    for path in ("upload", "queue/join", "call/search"):
        answer = WEB.post(f"{served.url}gradio_api/{path}", headers=foreign, json={"data": []})
        assert answer.status_code == 400


async def ask(app, path: str = "/", method: str = "GET", **options) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
        return await client.request(method, path, **options)


def test_a_fault_below_the_page_is_told_by_an_id_that_the_log_explains(caplog):
    async def broken(scope, receive, send):
        raise ZeroDivisionError("inner detail")

    with caplog.at_level(logging.ERROR):
        answer = asyncio.run(ask(middleware.SafeHeaders(broken)))
    assert answer.status_code == 500
    assert "inner detail" not in answer.text
    (fault_id,) = re.findall(r"under ([0-9a-f]{8})\.", answer.text)
    assert fault_id in caplog.text
    assert "inner detail" in caplog.text
    assert {name: answer.headers.get(name) for name in SAFE} == SAFE


def test_only_a_named_origin_may_frame_the_page(served):
    async def page(scope, receive, send):
        await middleware.PlainTextResponse("page")(scope, receive, send)

    answer = asyncio.run(ask(middleware.SafeHeaders(page, framed_by=("https://huggingface.co",))))
    assert answer.headers["content-security-policy"] == "frame-ancestors 'self' https://huggingface.co"
    assert "x-frame-options" not in answer.headers


def test_with_a_password_nothing_but_the_way_in_is_open(tmp_path):
    with serve_toys(tmp_path, auth=("ann", "secret")) as page:
        thumbnail = page.gallery.thumbnail_path(page.gallery.image_ids[0])
        for path in ("config", "gradio_api/info", f"gradio_api/file={thumbnail}", address_of(thumbnail)):
            assert WEB.get(f"{page.url}{path}").status_code == 401
        for path in ("gradio_api/queue/join", "gradio_api/call/search"):
            assert WEB.post(f"{page.url}{path}", json={"data": []}).status_code == 401
        assert upload(page, picture_bytes("red", "square")).status_code == 401
        assert "red-square" not in WEB.get(page.url).text
        with pytest.raises(Exception, match="Could not login"):
            page.client(auth=("ann", "wrong"))
        found = page.client(auth=("ann", "secret")).predict(text="a blue square", api_name="/search")
        assert found["results"][0]["label"] == "blue-square.jpg"
        with httpx.Client(timeout=PATIENCE) as visitor:
            visitor.cookies.set("access-token-unsecure-x", "x")
            assert visitor.get(page.url + address_of(thumbnail)).status_code == 401
            visitor.post(f"{page.url}login", data={"username": "ann", "password": "secret"})
            assert visitor.get(page.url + address_of(thumbnail)).status_code == 200


# --- what may be sent ------------------------------------------------------------------------------------


def test_fault_34_twelve_hundred_files_at_once_are_refused(served):
    files = [("files", (f"{number}.png", b"x", "image/png")) for number in range(1200)]
    answer = WEB.post(f"{served.url}gradio_api/upload", files=files)
    assert answer.status_code == 400
    assert "Too many files" in answer.text


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "..\\..\\evil.png",
        "/etc/cron.d/evil.png",
        "evil\0.png",
        "x" * 300 + ".png",
        "\u202egnp.exe",
        "a\nb.png",
        ".",
        "..",
        "con.png",
        "🐕 ü.png",
    ],
)
def test_fault_35_whatever_an_upload_is_called_it_stays_in_its_own_folder(served, uploads, name):
    content = picture_bytes("red", "square")
    before = {path for path in uploads.parent.rglob("*") if path.is_file()}
    answer = upload(served, content, name)
    after = {path for path in uploads.parent.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(uploads) for path in after)
    if answer.status_code != 200:
        assert answer.status_code in (400, 422)
        return
    (kept,) = map(Path, answer.json())
    assert kept.parent.parent == uploads
    assert kept.read_bytes() == content
    assert len(kept.name.encode()) <= 255
    assert not set(kept.name) & set("/\\\0\n")


def test_fault_36_uploads_beyond_the_room_are_refused_until_old_ones_can_go(served, uploads):
    for path in [path for path in uploads.rglob("*") if path.is_file()]:
        path.unlink()
    sent = [upload(served, bytes([number]) * (9 * MEGABYTE)) for number in range(3)]
    assert [answer.status_code for answer in sent] == [200, 200, 200]
    first, second, third = [Path(answer.json()[0]) for answer in sent]
    refused = upload(served, b"\7" * (9 * MEGABYTE))
    assert refused.status_code == 507
    assert refused.text == "There is no room for uploads at the moment. Try again in ten minutes."
    assert upload(served, picture_bytes("red", "square")).status_code == 200
    long_ago = time.time() - middleware.KEPT_SECONDS - 60
    os.utime(first, (long_ago, long_ago))
    os.utime(second, (long_ago + 30, long_ago + 30))
    assert upload(served, b"\7" * (9 * MEGABYTE)).status_code == 200
    assert (first.exists(), second.exists(), third.exists()) == (False, True, True)
    assert served.client().predict(text="a blue square", api_name="/search")["results"]


async def take(scope, receive, send):
    """An application that reads the body and says how long it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await middleware.PlainTextResponse(str(size))(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/gradio_api/queue/join", b"x" * 1000, 200),
        ("/gradio_api/queue/join", b"x" * (middleware.MAX_BODY_BYTES + 1), 413),
        ("/gradio_api/upload", b"x" * 1000, 200),
        ("/gradio_api/upload", b"x" * 1001, 507),
        ("/gradio_api/upload/", b"x" * 1001, 507),
    ],
)
def test_a_body_is_taken_only_when_there_is_room_for_it(path, body, status, tmp_path):
    quota = middleware.UploadQuota(take, lambda: tmp_path, limit=1000)
    assert asyncio.run(ask(quota, path, "POST", content=body)).status_code == status


def test_uploads_that_arrive_at_once_share_the_room(tmp_path):
    waiting = asyncio.Event()

    async def slow(scope, receive, send):
        await waiting.wait()
        await take(scope, receive, send)

    async def both() -> list[int]:
        quota = middleware.UploadQuota(slow, lambda: tmp_path, limit=1000)
        first = asyncio.create_task(ask(quota, "/upload", "POST", content=b"x" * 700))
        await asyncio.sleep(0.3)
        second = await ask(quota, "/upload", "POST", content=b"x" * 700)
        waiting.set()
        statuses = [(await first).status_code, second.status_code]
        return [*statuses, (await ask(quota, "/upload", "POST", content=b"x" * 700)).status_code]

    assert asyncio.run(both()) == [200, 507, 200]


def test_a_body_whose_length_is_not_told_is_counted_while_it_is_read(tmp_path):
    read = []

    async def count(scope, receive, send):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RuntimeError("the client went away")
            read.append(len(message["body"]))
            if not message["more_body"]:
                break
        await middleware.PlainTextResponse("taken")(scope, receive, send)

    def pieces(number: int):
        async def one_by_one():
            for _ in range(number):
                yield b"x" * 100

        return one_by_one()

    async def all_of_them() -> list[int]:
        quota = middleware.UploadQuota(count, lambda: tmp_path, limit=1000)
        answers = [await ask(quota, path, "POST", content=pieces(n)) for path, n in SENT]
        return [answer.status_code for answer in answers]

    SENT = [("/upload", 10), ("/upload", 11), ("/upload", 10), ("/queue/join", 11)]
    assert asyncio.run(all_of_them()) == [200, 507, 200, 200]
    assert sum(read) == 1000 + 1000 + 1000 + 1100


def test_fault_37_a_public_address_is_not_fetched_either(served):
    lure = {"path": "https://example.org/picture.png", "meta": {"_type": "gradio.FileData"}}
    body = {"data": [lure, "blue", "CVSI", 0.6, 0.4, 0.2, 5, ""]}
    with watched() as asked_for:
        posted = httpx.post(f"{served.url}gradio_api/call/search", json=body, timeout=PATIENCE)
        heard = WEB.get(f"{served.url}gradio_api/call/search/{posted.json()['event_id']}").text
        assert fetch(served, "/gradio_api/file=https://example.org/picture.png").status_code == 403
    assert "event: error" in heard
    assert "addresses are not fetched" in heard
    assert [host for host in asked_for if not connections.is_own(host)] == []
    assert asked_for != []


# --- who sees what ---------------------------------------------------------------------------------------


def test_fault_84_what_one_visitor_uploads_is_nothing_to_the_next(served, tmp_path):
    own = tmp_path / "my-private-picture.png"
    own.write_bytes(picture_bytes("green", "triangle"))
    first, second = served.client(), served.client()
    first.predict(image=gradio_client.handle_file(str(own)), text="user 77 wants blue", api_name="/search")
    found = second.predict(text="a red square", api_name="/search")
    seen = json.dumps([found, second.config, second.predict(alpha=0, beta=0, gamma=0, k=3, api_name="/rank")])
    seen += WEB.get(f"{served.url}config").text + WEB.get(served.url).text
    assert "my-private-picture" not in seen
    assert "user 77" not in seen
    assert "my-private-picture" not in fetch(served, f"/gradio_api/file={os.environ['GRADIO_TEMP_DIR']}").text


def test_fault_82_visitors_at_once_all_get_their_own_answers(served):
    went = users.campaign(8, served)
    assert went.wrong == []
    assert (went.first, went.own) == (16, 16)
    assert went.furthest > 2


def test_while_the_language_model_answers_nobody_all_have_first_results_and_are_told_their_place(
    tmp_path,
):
    many = 45  # more than gradio has threads by default
    with serve_toys(tmp_path) as page:
        page.model.free.clear()
        red = page.id_of("red-square")
        asked = [
            page.client().submit(text=f"make it blue for user {n}", gallery_image_id=red, api_name="/search")
            for n in range(many)
        ]
        until(lambda: all(job.outputs() for job in asked))
        assert all(job.outputs()[0]["results"][0]["label"] == "blue-square.jpg" for job in asked)
        until(lambda: sum("before you" in job.outputs()[-1]["pending"] for job in asked) == many - 2)
        assert all(
            page.client().predict(text="a red square", api_name="/search")["results"] for _ in range(2)
        )  # what needs no language model does not wait for those who do
        page.model.free.set()
        for number, job in enumerate(asked):
            found = job.result(timeout=PATIENCE)
            assert found["pending"] == ""
            assert set(re.findall(r"user \d+", str(found["trace"]))) == {f"user {number}"}


def test_fault_83_for_a_page_that_was_left_while_it_waited_the_language_model_is_not_asked(tmp_path):
    async def visit(url: str, model) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as http:
            pages = {name: Visitor(http) for name in ("user 1", "user 2", "user 3", "user 4")}
            searches = {}
            for name, page in pages.items():  # two are served at a time, so the others wait
                await page.open()
                await page.set("reference", await page.upload(picture_bytes("red", "square")))
                await page.set("edit", f"make it blue for {name}")
                searches[name] = asyncio.create_task(page.act("search", "click"))
                while not page.value("results"):
                    await asyncio.sleep(0.05)
            while not all("before you" in pages[name].told[-1] for name in ("user 3", "user 4")):
                await asyncio.sleep(0.05)
            searches.pop("user 3").cancel()  # its connection is closed, as by a browser that goes away
            await asyncio.sleep(1)
            model.free.set()
            await asyncio.gather(*searches.values())
            for name in searches:
                assert name in pages[name].value("trace")

    with serve_toys(tmp_path) as page:
        page.model.free.clear()
        asyncio.run(asyncio.wait_for(visit(page.url, page.model), PATIENCE))
        asked = {user for prompt in page.model.prompts for user in re.findall(r"user \d", prompt)}
    assert asked == {"user 1", "user 2", "user 4"}


def test_of_a_page_that_is_closed_nothing_is_kept_by_gradio_and_the_others_go_on(served):
    kept = served.page.server_app.state_holder.session_data

    async def visit() -> None:
        async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE) as http:
            closed, stays = Visitor(http), Visitor(http)
            async with stays.staying():
                for page in (closed, stays):
                    await page.open()
                async with closed.staying():
                    await closed.set("edit", "a blue square")
                    await closed.act("search", "click")
                    assert {closed.session, stays.session} <= set(kept)
                while closed.session in kept:
                    await asyncio.sleep(0.1)
                await stays.set("edit", "a green circle")
                await stays.act("search", "click")
                assert "green circle" in stays.value("results")
                assert stays.session in kept

    asyncio.run(asyncio.wait_for(visit(), PATIENCE))


def test_fault_82_a_full_queue_is_said_and_the_others_are_served(tmp_path, monkeypatch):
    from fakes import ToyClip

    from cir.ui.server import serving

    encode, go_on = ToyClip.encode_texts, Event()
    monkeypatch.setattr(serving, "MAX_VISITORS", 2)
    with serve_toys(tmp_path) as page:
        monkeypatch.setattr(ToyClip, "encode_texts", lambda *given: (go_on.wait(PATIENCE), encode(*given))[1])
        visitors = [page.client() for _ in range(8)]

        def search(visitor) -> str:
            try:
                return visitor.predict(text="a blue square", api_name="/search")["results"][0]["label"]
            except Exception as error:
                return str(error)

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(search, visitor) for visitor in visitors]
            refused = [next(as_completed(asked)).result()]  # nobody is answered before all may go on
            go_on.set()
            said = [one.result() for one in asked]
        full = [one for one in said if "Queue is full" in one]
        assert "Queue is full" in refused[0]
        assert said.count("blue-square.jpg") + len(full) == 8
        assert said.count("blue-square.jpg") >= 3
        assert search(visitors[0]) == "blue-square.jpg"


# --- the campaigns of `make soak`, in a reduced size -------------------------------------------------------

_heard: list[list[object]] = []


def _listen(event: str, arguments: tuple) -> None:
    """An audit hook stays for ever; it hears only while somebody listens."""
    if _heard and event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        _heard[-1].append(address[0] if isinstance(address, tuple) else address)


sys.addaudithook(_listen)


class watched:
    """Every host that this process turns to inside the block."""

    def __enter__(self) -> list[object]:
        _heard.append([])
        return _heard[-1]

    def __exit__(self, *_: object) -> None:
        _heard.clear()


def test_a_session_turns_to_no_other_machine(served, tmp_path):
    own = tmp_path / "own.png"
    own.write_bytes(picture_bytes("red", "circle"))
    with watched() as asked_for:
        client = served.client()
        client.predict(image=gradio_client.handle_file(str(own)), text="make it blue", api_name="/search")
        client.predict(alpha=0, beta=0, gamma=0, k=3, api_name="/rank")
        WEB.get(served.url)
    assert len(asked_for) > 3
    assert [host for host in asked_for if not connections.is_own(host)] == []


@pytest.mark.parametrize(
    ("line", "foreign"),
    [
        ("socket.connect ('127.0.0.1', 7860)", ""),
        ("socket.connect ('::1', 7860, 0, 0)", ""),
        ("socket.connect '/tmp/.X11-unix/X0'", ""),
        ("socket.getaddrinfo ('localhost', 80)", ""),
        ("socket.getaddrinfo (b'huggingface.co', 443)", "huggingface.co"),
        ("socket.connect ('93.184.216.34', 443)", "93.184.216.34"),
        ("socket.getaddrinfo (None, 0)", ""),
    ],
)
def test_an_address_of_another_machine_is_told_from_an_own_one(line, foreign):
    assert connections.foreign_of(line) == foreign


def test_fault_22_damaged_files_are_read_or_refused_and_nothing_escapes():
    went = mutations.campaign(300)
    assert went.escaped == []
    assert went.tried == 300
    assert min(went.read, went.refused) > 20


def test_a_mutation_that_breaks_its_reader_would_be_told(monkeypatch):
    def broken(data: bytes) -> None:
        raise RuntimeError("decoder")

    monkeypatch.setattr(mutations, "read_image", broken)
    assert mutations.read_one(b"x")[0] == "RuntimeError: decoder"
    outcome = mutations.Outcome()
    mutations._count(outcome, 7, "RuntimeError: decoder", 1.0)
    assert outcome.escaped == ["7: RuntimeError: decoder"]


def test_fault_63_processes_that_are_killed_leave_a_gallery_that_can_be_finished():
    with folder_in_memory() as folder:
        went = kills.campaign(3, folder, seed=5)
    assert went.lost == []
    assert went.killed == 3
