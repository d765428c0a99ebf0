"""Models that are known before they are loaded: the page does not wait for their libraries."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread
from time import sleep

import numpy as np
import pytest
from fakes import ToyClip, ToyPhi, draw

from cir.composers.cvsi import Cvsi
from cir.composers.pic2word import pic2word
from cir.errors import MissingModel, UnsafeFile
from cir.models import deferred
from cir.models.deferred import KNOWN_FILE, Deferred, KnownModels
from cir.models.mapping import MappingNetwork, save_mapping
from cir.models.model_set import Models
from cir.types import Query

ROOT = Path(__file__).resolve().parents[1]


class Loaded:
    fingerprint, dim = "toy@1", 8

    def double(self, x: int) -> int:
        return 2 * x


def known(folder: Path, path: Path) -> KnownModels:
    found = KnownModels(folder)
    found.record(path, Loaded())
    return found


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder


def test_what_is_known_loads_nothing_and_everything_else_loads_once() -> None:
    loads = []
    model = Deferred({"fingerprint": "toy@1"}, lambda: loads.append(1) or Loaded())
    assert model.fingerprint == "toy@1"
    assert not loads
    assert (model.double(4), model.dim, len(loads)) == (8, 8, 1)


def test_many_threads_load_one_model() -> None:
    loads, answers = [], []
    model = Deferred({}, lambda: loads.append(1) or Loaded())
    threads = [Thread(target=lambda n=n: answers.append(model.double(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert len(loads) == 1


def test_one_model_is_loaded_at_a_time_for_their_libraries_import_one_another_in_circles() -> None:
    """Else a search right after the start, beside the one that loads ahead, saw half of a library and failed."""
    loading, most, begun = [], [], Event()

    def load() -> Loaded:
        loading.append(1)
        begun.set()
        sleep(0.05)
        most.append(len(loading))
        loading.pop()
        return Loaded()

    inner = Deferred({}, load)
    models = [Deferred({}, load), Deferred({}, lambda: Loaded() if inner.double(1) == 2 else None)]
    threads = [Thread(target=model.double, args=(2,)) for model in models]
    threads[0].start()
    assert begun.wait(5)
    threads[1].start()
    for thread in threads:
        thread.join(5)
    assert most == [1, 1]


def test_another_model_than_was_promised_is_refused() -> None:
    model = Deferred({"fingerprint": "toy@0"}, Loaded)
    with pytest.raises(UnsafeFile, match=r"toy@0 is now toy@1.*start it again"):
        model.double(1)


def test_a_model_that_cannot_be_loaded_says_so_at_each_use() -> None:
    def gone() -> Loaded:
        raise MissingModel("The weights are gone.", "Fetch them.")

    model = Deferred({"fingerprint": "toy@1"}, gone)
    for _ in range(2):
        with pytest.raises(MissingModel, match="gone"):
            model.double(1)


def test_facts_hold_while_files_and_libraries_stay_as_they_are(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = known(tmp_path, weights)
    assert found.facts(weights) == {"fingerprint": "toy@1", "dim": 8}
    assert KnownModels(tmp_path).facts(weights) == {"fingerprint": "toy@1", "dim": 8}
    monkeypatch.setattr(deferred, "version", lambda _: "99")
    assert found.facts(weights) is None
    monkeypatch.undo()
    monkeypatch.setattr(deferred, "code_digest", lambda _: "our wrappers work otherwise")
    assert found.facts(weights) is None
    monkeypatch.undo()
    (weights / "more.json").write_text("{}")
    assert found.facts(weights) is None
    found.record(weights, Loaded())
    os.utime(weights / "weights.bin", ns=(1, 1))
    assert found.facts(weights) is None


def test_a_damaged_record_and_a_folder_that_cannot_be_written_only_cost_time(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = known(tmp_path, weights)
    (tmp_path / KNOWN_FILE).write_text('{"half')
    assert found.facts(weights) is None

    def refused(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(deferred.LockFile, "record", refused)
    found.record(weights, Loaded())
    assert found.facts(weights) is None


def mapping_file(folder: Path, seed: int) -> Path:
    import torch

    torch.manual_seed(seed)
    path = folder / "mapping" / "pic2word.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mapping(MappingNetwork(4, [8], 1, 6), path, {})
    return path


def test_a_set_puts_off_what_it_has_loaded_before_and_gives_the_same_answers(tmp_path: Path) -> None:
    mapping_file(tmp_path / "shipped", 0)

    def start() -> Models:
        return Models(shipped=tmp_path / "shipped", folder=tmp_path / "home", llm="none", deferred=True)

    first = start()
    at_once = first.phi("pic2word")
    assert first.ready
    second = start()
    later = second.phi("pic2word")
    assert isinstance(later, Deferred)
    assert (later.fingerprint, later.tokens) == (at_once.fingerprint, 1)
    assert not second.ready
    features = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(later.map_features(features), at_once.map_features(features))
    second.load_all()
    assert second.ready
    mapping_file(tmp_path / "shipped", 1)
    third = start()
    assert third.phi("pic2word").fingerprint != at_once.fingerprint
    assert third.ready


def test_a_model_that_fails_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    path = mapping_file(tmp_path / "shipped", 0)
    options = {"shipped": tmp_path / "shipped", "folder": tmp_path / "home", "llm": "none", "deferred": True}
    Models(**options).phi("pic2word")
    models = Models(**options)
    later = models.phi("pic2word")
    path.unlink()
    with pytest.raises(MissingModel):
        models.load_all()
    assert models.ready
    with pytest.raises(MissingModel):
        later.map_features(np.ones((1, 4), np.float32))


BUILD = """
import json, sys
from cir import application
models, retriever = application.build(llm="none", deferred=True)
from cir.ui.view import build_page
from cir.commands.serving import page_content, read_options
build_page(page_content(read_options(["--no-browser"]), models, retriever))
print(json.dumps([sorted({"torch", "open_clip", "transformers"} & set(sys.modules)), models.fingerprints, models.ready]))
"""


def test_the_second_start_builds_the_page_without_the_model_libraries(tmp_path: Path) -> None:
    environment = {**os.environ, "CIR_HOME": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False"}

    def start() -> list:
        command = [sys.executable, "-c", BUILD]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    loaded, fingerprints, ready = start()
    assert ready
    assert loaded == ["open_clip", "torch", "transformers"]
    assert start() == [[], fingerprints, False]


class TellingClip(ToyClip):
    def nearest_words(self, pseudo_words: np.ndarray, count: int = 5) -> list[str]:
        return ["square", "red"][:count]

    def read_as(self, pseudo_words: np.ndarray) -> str:
        return "a drawing"


@pytest.mark.parametrize("put_off", [False, True])
@pytest.mark.parametrize("method", ["CVSI", "Pic2Word"])
def test_the_image_word_is_told_by_a_model_that_was_put_off_as_by_one_that_was_not(
    method: str, put_off: bool
) -> None:
    clip = TellingClip()
    encoder = Deferred({"fingerprint": clip.fingerprint, "dim": clip.dim}, lambda: clip) if put_off else clip
    composer = (
        Cvsi(encoder, encoder, encoder, ToyPhi(), None, None)
        if method == "CVSI"
        else pic2word(encoder, ToyPhi(), encoder)
    )
    *_, composed = composer.compose(Query(draw("red", "square"), "make it blue"))
    assert list(composed.trace["image_word"]) == ["square", "red"]
    assert list(composed.trace["read_as"]) == ["a drawing"]


def test_no_protocol_is_asked_by_isinstance_whose_answer_depends_on_the_version_of_python() -> None:
    """From 3.12 on, `isinstance` looks at a runtime protocol's members statically: a stand-in has none of them."""
    runtime = [
        f"{module}.{name}"
        for module in protocol_modules()
        for name, value in vars(importlib.import_module(module)).items()
        if getattr(value, "_is_runtime_protocol", False) and value.__module__ == module
    ]
    stands_for = {
        name: inspect.getattr_static(Deferred({}, TellingClip), name, None) for name in ("nearest_words",)
    }
    assert stands_for == {
        "nearest_words": None
    }  # so no such question about a stand-in has the model's answer
    assert runtime == []


def protocol_modules() -> list[str]:
    """The modules of `cir` that define protocols."""
    found = [path for path in (ROOT / "cir").rglob("*.py") if "(Protocol" in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]
