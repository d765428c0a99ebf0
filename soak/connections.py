"""A whole session with the real program, and every address that it turned to: this machine's own alone.

Python's own calls are noted by an audit hook in every process of the program; connections of native libraries
are seen in /proc while they last.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
from served import free_port, picture_bytes

from soak import ROOT

START_SECONDS = 300.0
OWN_NAMES = ("", "localhost", "None")


@dataclass
class Outcome:
    """How a session went: addresses noted, and those that are not this machine's own."""

    noted: int = 0
    foreign: list[str] = field(default_factory=list)


def is_own(host: object) -> bool:
    """Whether a host of an address is this machine."""
    if host is None or str(host) in OWN_NAMES:
        return True
    try:
        address = ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def foreign_of(line: str) -> str:
    """The host of a noted line, when it is not this machine; "" otherwise."""
    _, _, written = line.partition(" ")
    try:
        address = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return line
    if isinstance(address, str | bytes):  # a socket in the file system
        return ""
    host = address[0] if isinstance(address, tuple) and address else address
    host = host.decode() if isinstance(host, bytes) else host
    return "" if is_own(host) else str(host)


def campaign(arguments: tuple[str, ...] = ("--llm", "none")) -> Outcome:
    """Start the program, search in it as a program would, stop it; what it turned to."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "connections")
        log.touch()
        port, environment = free_port(), {**os.environ, "CIR_CONNECTIONS": str(log)}
        environment["PYTHONPATH"] = str(ROOT / "soak" / "watched")
        command = [sys.executable, "app.py", "--no-browser", "--port", str(port), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        over, seen = Event(), set[str]()
        watcher = Thread(target=_watch, args=(process.pid, over, seen))
        watcher.start()
        try:
            _session(f"http://127.0.0.1:{port}/", Path(folder), process)
        finally:
            over.set()
            watcher.join()
            process.terminate()
            process.wait(60)
        lines = log.read_text(encoding="utf-8").splitlines()
    foreign = sorted({*filter(None, map(foreign_of, lines)), *seen})
    return Outcome(len(lines), foreign)


def _session(url: str, folder: Path, process: subprocess.Popen) -> None:
    """Search by upload, by a gallery picture and by words; rank, explain, and ask for what is refused."""
    from gradio_client import Client, handle_file

    wait_for(url, process)
    picture = folder / "own.png"
    picture.write_bytes(picture_bytes("red", "circle"))
    client = Client(url, verbose=False)
    found = client.predict(image=handle_file(str(picture)), text="at night", api_name="/search")
    first = found["results"][0]["image_id"]
    for text in ("in the snow", ""):
        client.predict(text=text, gallery_image_id=first, api_name="/search")
    ranked = client.predict(alpha=0.1, beta=0.1, gamma=0.1, k=5, api_name="/rank")
    client.predict(image_id=ranked["results"][0]["image_id"], api_name="/explain")
    httpx.get(url, timeout=60)
    httpx.get(f"{url}gradio_api/file=https://example.org/picture.png", timeout=60)
    lure: dict[str, Any] = {"path": "https://example.org/picture.png", "meta": {"_type": "gradio.FileData"}}
    httpx.post(
        f"{url}gradio_api/call/search", json={"data": [lure, "a", "CVSI", 0.6, 0.4, 0.2, 5, ""]}, timeout=60
    )
    time.sleep(2)


def wait_for(url: str, process: subprocess.Popen) -> None:
    """Wait until the program that was started serves its page.

    Raises:
        RuntimeError: it ended, or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=30).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError("the page was not served")


def _watch(pid: int, over: Event, seen: set[str]) -> None:
    """Collect the peers of all TCP and UDP sockets of a process and its children, many times a second."""
    while not over.wait(0.05):
        for one in _family(pid):
            seen.update(_peers(one))


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(int(child)))]


def _peers(pid: int) -> set[str]:
    """Foreign peers of a process's sockets, as far as the system shows them."""
    try:
        links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except OSError:  # it has just ended
        return set()
    own = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = row.split()
            host = _host(columns[2].split(":")[0])
            if columns[9] in own and not is_own(host):
                found.add(f"{host} ({table})")
    return found


def _host(written: str) -> str:
    """An address of /proc/net: words of four bytes, each with its bytes turned round."""
    raw = bytes.fromhex(written)
    turned = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    address = ip_address(turned)
    return str(getattr(address, "ipv4_mapped", None) or address)
