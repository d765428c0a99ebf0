"""Install the package of the language model, which is built on this computer; do without it where that cannot be.

`make app` and `make test` run this each time. What failed is tried again when another compiler is there, or by
`make llm`. It never fails but with --again: the page starts without a language model and says what is left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPILERS = ("c++", "g++", "clang++", "cl")
WITHOUT = (
    "There is no C++ compiler, so the language model's package (llama-cpp-python) is not installed and the page starts "
    "without edited descriptions. To add it, install a compiler (Debian: apt install g++; macOS: xcode-select "
    "--install), then: make llm"
)
FAILED = "The language model's package could not be built with {}; the page starts without it. To try again: make llm"


def compiler() -> str | None:
    """The C++ compiler that a build would find."""
    named = os.environ.get("CXX", "").split()[:1]
    return next((found for name in (*named, *COMPILERS) if (found := shutil.which(name))), None)


def install(again: bool, failures: Path) -> str:
    """Install the package unless it is there; a sentence about what is missing, or "".

    Args:
        again: also where it failed with this compiler before.
        failures: the file that remembers with which compiler it failed.
    """
    if find_spec("llama_cpp") is not None:
        return ""
    found = compiler()
    if found is None:
        return WITHOUT
    if not again and failures.is_file() and failures.read_text(encoding="utf-8") == found:
        return FAILED.format(found)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "-r",
        "requirements-llm.txt",
        "-c",
        "constraints.txt",
    ]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        failures.write_text(found, encoding="utf-8")
        return FAILED.format(found)
    failures.unlink(missing_ok=True)
    return ""


def main() -> int:
    """Install it or say why not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--again", action="store_true", help="also where it failed before; a failure is an error"
    )
    again = parser.parse_args().again
    missing = install(again, Path(sys.prefix) / "llm.failed")
    if missing:
        sys.stderr.write(f"{missing}\n")
    return int(bool(missing) and again)


if __name__ == "__main__":
    raise SystemExit(main())
