"""Packages by their ordinary clients: apt-get, or the configured mirror's pool, and pip."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("packages.json")


class NotFetched(Exception):
    """A package could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of one version."""

    name: str
    version: str
    source: str  # "debian", "pypi" (a wheel) or "pypi-source"
    pool: str = ""  # where Debian's mirrors keep it

    @property
    def key(self) -> str:
        """Name and version, as the rows of the benchmark name it."""
        return f"{self.name}=={self.version}"


def packages() -> dict[str, Package]:
    """Every package of the benchmark, by its key."""
    rows = json.loads(LIST.read_text(encoding="utf-8"))
    found = (Package(row["name"], row["version"], row["from"], row.get("pool", "")) for row in rows)
    return {package.key: package for package in found}


def fetch_package(package: Package, folder: Path) -> Path:
    """The package's file, downloaded into `folder` unless it lies there.

    Raises:
        NotFetched: no client could bring it.
    """
    kept = folder / package.source / package.key.replace(":", "_")
    lying = [path for path in kept.glob("*") if path.is_file()] if kept.is_dir() else []
    if lying:
        return lying[0]
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as making:
        bring = _from_debian if package.source == "debian" else _from_pypi
        bring(package, Path(making))
        shutil.copytree(making, kept, dirs_exist_ok=True)
    return next(path for path in kept.glob("*") if path.is_file())


def _from_debian(package: Package, folder: Path) -> None:
    """By apt-get; where the release has another version, from the pool of the mirror that apt-get uses."""
    asked = _run(["apt-get", "download", f"{package.name}={package.version}"], folder)
    if not asked.returncode and any(folder.glob("*.deb")):
        return
    sites = _run(["apt-get", "indextargets", "--format", "$(SITE)"], folder).stdout.split()
    for site in dict.fromkeys(sites):
        try:
            with urllib.request.urlopen(f"{site}/{package.pool}", timeout=120) as answer:
                (folder / Path(package.pool).name).write_bytes(answer.read())
                return
        except OSError:
            continue
    raise NotFetched(f"{package.key}: apt-get and its mirror's pool do not have it ({_last(asked)})")


def _from_pypi(package: Package, folder: Path) -> None:
    # Only the package itself as source: what builds its metadata may come as wheels.
    flag = "--no-binary" if package.source == "pypi-source" else "--only-binary"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        flag,
        package.name,
        "-d",
        ".",
        package.key,
    ]
    asked = _run(command, folder)
    if asked.returncode or not any(folder.iterdir()):
        raise NotFetched(f"{package.key}: pip does not have it ({_last(asked)})")


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _last(asked: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in asked.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "no word about why"
