"""Setting up: without a compiler, and as an installed package."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pytest
from llama_doubles import write_gguf

from cir.models import model_set
from cir.models.model_set import Models

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    """scripts/install_language_model.py, on a computer that has the package not yet; `.calls` are pip's."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "scripts" / "install_language_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.calls, module.status = [], 0  # type: ignore[attr-defined]

    def run(command, **_):
        module.calls.append(command)  # type: ignore[attr-defined]
        return type("Done", (), {"returncode": module.status})  # type: ignore[attr-defined]

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.delenv("CXX", raising=False)
    return module


def with_compiler(folder: Path, monkeypatch, name: str = "g++") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n", encoding="ascii")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return str(folder / name)


def test_without_a_compiler_one_sentence_says_what_is_missing_and_how_to_add_it(
    script, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = script.install(False, tmp_path / "failed")
    assert "no C++ compiler" in said
    assert "make llm" in said
    assert script.calls == []


def test_a_build_that_failed_is_tried_again_with_another_compiler_or_on_request(
    script, tmp_path, monkeypatch
):
    failures = tmp_path / "failed"
    found = with_compiler(tmp_path / "one", monkeypatch)
    script.status = 1
    assert found in script.install(False, failures)
    assert found in script.install(False, failures)
    assert len(script.calls) == 1
    script.install(True, failures)
    assert len(script.calls) == 2
    with_compiler(tmp_path / "two", monkeypatch, "clang++")
    script.status = 0
    assert script.install(False, failures) == ""
    assert len(script.calls) == 3
    assert "requirements-llm.txt" in script.calls[-1]
    assert not failures.exists()


def test_without_its_package_the_page_says_that_the_language_model_is_missing_and_how_to_get_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(model_set, "find_spec", lambda name: None)
    models = Models(llm=str(write_gguf(tmp_path / "model.gguf")), folder=tmp_path)
    assert models.language_model is None
    assert "llama-cpp-python, is not installed" in models.missing["language model"]
    assert "make llm" in models.missing["language model"]


def test_a_wheel_holds_what_the_program_needs_and_its_command(tmp_path):
    hatchling = pytest.importorskip(
        "hatchling.build", reason="hatchling is not installed (pip fetches it to build)"
    )
    name = hatchling.build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as wheel:
        names = set(wheel.namelist())
        entry = next(one for one in names if one.endswith("entry_points.txt"))
        metadata = next(one for one in names if one.endswith("METADATA"))
        assert "recompose = cir.__main__:recompose" in wheel.read(entry).decode()
        needs = wheel.read(metadata).decode()
    for file in (
        "ui/static/page.js",
        "ui/static/style.css",
        "assets/examples.json",
        "assets/NOTICE",
        "docs/results.md",
    ):
        assert f"cir/{file}" in names
    shipped = {p.relative_to(ROOT).as_posix() for p in (ROOT / "assets" / "models").rglob("*") if p.is_file()}
    assert {f"cir/{one}" for one in shipped} <= names
    assert "Requires-Dist: gradio" in needs
    assert "Requires-Dist: llama-cpp-python<0.4,>=0.3.36; extra == 'llm'" in needs


def test_what_an_installed_program_writes_goes_to_the_person_and_not_among_packages(tmp_path, monkeypatch):
    from cir import places

    monkeypatch.delenv("CIR_CACHE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(places, "IS_CHECKOUT", False)
    monkeypatch.setattr(places.sys, "platform", "linux")
    assert places.gallery_cache() == tmp_path / "recompose" / "gallery_cache"
