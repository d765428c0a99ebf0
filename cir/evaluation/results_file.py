"""docs/results.md: measured tables, each between markers of its own, so that one command rewrites one table.

What is outside the markers belongs to whoever writes the file by hand and is never changed. This module knows
nothing of what is measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cir.errors import CirError
from cir.whole_files import write_whole

HEADING = """# Results

Measured by the commands below; each section says when, with which models and on how many queries. Numbers in [brackets] are
95 % bootstrap intervals over the queries. Measures are in percent, and the reference is left out of every ranking where a
section does not say otherwise.
"""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_SECTION = re.compile(
    r"<!-- section: (?P<name>[a-z0-9-]+) -->\n(?P<body>.*?)\n<!-- end: (?P=name) -->", re.DOTALL
)
_MANIFEST = re.compile(
    r"\n*<details><summary>How this was measured</summary>\n\n```json\n(?P<json>.*?)\n```\n\n</details>\s*$",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Section:
    """One measured table.

    Attributes:
        name: of its markers, such as "methods".
        markdown: heading, table and sentences; without the manifest.
        manifest: how it was measured.
    """

    name: str
    markdown: str
    manifest: Mapping[str, object]

    @property
    def title(self) -> str:
        """Its first heading, or its name."""
        heading = re.search(r"^#+ (.+)$", self.markdown, re.MULTILINE)
        return heading.group(1).strip() if heading else self.name


def write_section(path: Path, name: str, markdown: str, manifest: Mapping[str, object]) -> None:
    """Write one section, in the place where it stood or at the end; the rest of the file stays as it is.

    Args:
        path: the file; made with its heading where it is not there.
        name: small letters, digits and hyphens.
        markdown: begins with its own heading.
        manifest: date, seed, models, command, number of queries: what is needed to measure it again.

    Raises:
        ValueError: a name that cannot stand in a marker, or markdown that holds a marker.
    """
    if not _NAME.fullmatch(name) or f"<!-- end: {name} -->" in markdown:
        raise ValueError(f"not a section: {name!r}")
    before = path.read_text(encoding="utf-8") if path.exists() else HEADING
    said = json.dumps(manifest, indent=2, ensure_ascii=False)
    block = (
        f"<!-- section: {name} -->\n{markdown.strip()}\n\n"
        f"<details><summary>How this was measured</summary>\n\n```json\n{said}\n```\n\n</details>\n"
        f"<!-- end: {name} -->"
    )
    old = next((m for m in _SECTION.finditer(before) if m["name"] == name), None)
    if old is None:
        after = f"{before.rstrip()}\n\n{block}\n"
    else:
        after = before[: old.start()] + block + before[old.end() :]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, after)


def read_sections(path: Path) -> list[Section]:
    """All sections, in the order of the file; none where there is no file.

    Raises:
        CirError: a manifest that is no JSON.
    """
    if not path.exists():
        return []
    return [_read(m["name"], m["body"], path) for m in _SECTION.finditer(path.read_text(encoding="utf-8"))]


def _read(name: str, body: str, path: Path) -> Section:
    found = _MANIFEST.search(body)
    if found is None:
        return Section(name, body.strip(), {})
    try:
        manifest = json.loads(found["json"])
    except ValueError as error:
        raise CirError(
            f"The section {name} of {path.name} has a damaged manifest: {error}.",
            "Delete that section and measure its table again: python -m cir tables --help",
        ) from error
    return Section(name, body[: found.start()].strip(), manifest)
