"""Threads by what this process is granted, and settings by what stands in the variable; not by what surrounds them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cir.environment import folder_list, folder_setting, leave_proxies_out, setting
from cir.errors import BadQuery
from cir.models import llama
from cir.models.chosen import chosen_set
from cir.models.model_files import models_folder
from cir.places import data_folder
from cir.processors import cgroup_limit, processors

ROOT = Path(__file__).resolve().parents[1]


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n", encoding="ascii")


@pytest.mark.parametrize(
    ("membership", "groups", "limit"),
    [
        ("0::/", {"": "150000 100000"}, 1.5),
        ("0::/", {"": "max 100000"}, float("inf")),
        ("0::/a/b", {"a/b": "max 100000", "a": "200000 100000"}, 2.0),
        ("0::/a/b", {"a/b": "50000 100000", "a": "200000 100000"}, 0.5),
        ("0::/a/b", {}, float("inf")),
        ("0::/../../elsewhere", {"": "300000 100000"}, 3.0),  # as seen from inside a container
    ],
)
def test_the_tightest_quota_of_a_group_and_those_above_counts(tmp_path, membership, groups, limit):
    (tmp_path / "cgroup").write_text(membership + "\n", encoding="ascii")
    for name, quota in groups.items():
        group(tmp_path / "fs" / name, cpu__max=quota)
    assert cgroup_limit(tmp_path / "fs", tmp_path / "cgroup") == limit


def test_the_first_version_of_control_groups_has_its_quotas_below_the_controllers_name(tmp_path):
    (tmp_path / "cgroup").write_text("5:memory:/x\n4:cpu,cpuacct:/docker/abc\n", encoding="ascii")
    group(tmp_path / "fs/cpu,cpuacct/docker/abc", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(tmp_path / "fs/cpu,cpuacct/docker", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    assert cgroup_limit(tmp_path / "fs", tmp_path / "cgroup") == 2.5
    assert cgroup_limit(tmp_path / "fs", tmp_path / "none") == float("inf")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system knows no affinity")
def test_a_process_that_is_bound_to_one_processor_gives_its_language_model_one_thread():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from cir.processors import processors; print(processors())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_the_language_model_takes_as_many_threads_as_are_granted_or_said(monkeypatch, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + (1).to_bytes(8, "little") + bytes(64))
    for said, threads in ((" 3 \n", "3"), ("64", "8")):
        monkeypatch.setenv("CIR_THREADS", said)
        command = llama.LlamaWorker(path)._command
        assert command[command.index("--threads") + 1] == threads
    monkeypatch.setenv("CIR_THREADS", "many")
    with pytest.raises(BadQuery, match="CIR_THREADS is 'many'"):
        processors()


@pytest.mark.parametrize(
    "said", ["large", " large ", "large\n", "large:", '"large"', "'large' ", "\tlarge;\r\n"]
)
def test_a_variable_is_read_without_what_stands_around_it(monkeypatch, said):
    monkeypatch.setenv("CIR_MODELS", said)
    assert setting("CIR_MODELS", "embedded") == "large"


@pytest.mark.parametrize("said", ["", "  ", "\n", ":", '""'])
def test_a_variable_that_says_nothing_is_as_none(monkeypatch, said):
    monkeypatch.setenv("CIR_CACHE", said)
    assert folder_setting("CIR_CACHE") is None
    assert setting("CIR_CACHE", "usual") == "usual"


@pytest.mark.skipif(sys.platform == "win32", reason="homes are known otherwise there")
def test_without_a_home_nothing_is_found_there_and_nothing_fails(monkeypatch):
    import pwd

    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "CIR_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert chosen_set() == ""
    assert not models_folder().exists()
    assert not data_folder().exists()


def test_a_list_of_folders_may_end_with_its_separator(monkeypatch):
    monkeypatch.setenv("CIR_GALLERY_ROOTS", f" /a b{os.pathsep} ~/c {os.pathsep}\n")
    assert folder_list("CIR_GALLERY_ROOTS") == [Path("/a b"), Path.home() / "c"]


def test_every_variable_of_ours_is_read_by_the_one_reader():
    for path in (ROOT / "cir").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:environ(?:\.get)?[\[(]|getenv\()\s*\"(?:CIR_|GRADIO_SERVER_)", text), path


def test_no_proxy_variable_is_left_to_a_process_that_serves(monkeypatch):
    names = ["HTTP_PROXY", "https_proxy", "All_Proxy", "NO_PROXY", "ftp_proxy", "SOCKS_PROXY"]
    for name in names:
        monkeypatch.setenv(name, "socks5h://127.0.0.1:1")
    leave_proxies_out()
    assert not [name for name in names if name in os.environ]
