"""Indexing on Ray, on a cluster of two nodes on this computer: the same gallery, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from gallery_doubles import contents, index, opened, paint, paint_folder
from PIL import Image
from ray_doubles import (
    POISON,
    DeadlyCaptioner,
    StubbornEncoder,
    lines_of,
    read_or_die,
    reader_that_tells,
    toys,
)

from cir.errors import GalleryError, OtherModels
from cir.files import WalkedFile
from cir.gallery.encoding import Encoders, Reading
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.ray_cluster import LOOPBACK, SETTINGS, connected, wait_for_busy_nodes
from tests.commands import run

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.slow  # processes are started, and start again
TESTS = Path(__file__).resolve().parent
HERE = toys()
TOYS = {
    "image_encoder": HERE.images,
    "text_encoder": HERE.texts,
    "captioner": HERE.captioner,
    "captions_per_image": 2,
    "batch_size": 4,
    "thumbnails": True,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster of two nodes with one processor each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, **LOOPBACK}.items():
            patch.setenv(name, value)
        patch.setattr(
            "ray._private.ray_constants.ENABLE_RAY_CLUSTER", False
        )  # as `LOOPBACK` does at its import
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))  # for its processes
        wait_for_busy_nodes()
        node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
        yield cluster.address
        cluster.shutdown()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return paint_folder(tmp_path / "photos", 30)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "encoded"


def on_ray(
    address: str,
    root: Path,
    cache: Path,
    *,
    build: Callable[[], Encoders] = toys,
    see: Callable[[IndexingProgress], object] = lambda progress: None,
    **read: object,
) -> list[IndexingProgress]:
    """Index with the toys on a cluster, to the end; `see` is called with each progress."""
    seen = []
    with connected(address):
        from cir.gallery.on_ray import RayWorkers

        workers = RayWorkers(build, HERE.fingerprints, **read)
        for progress in index_folder(root, name="toys", cache_root=cache, workers=workers, **TOYS):
            see(progress)
            seen.append(progress)
    return seen


def here(root: Path, cache: Path) -> list[IndexingProgress]:
    """The same in this process."""
    return index(root, cache, **TOYS)


def everything(cache: Path) -> dict[str, object]:
    """All that a gallery says of its pictures, and their thumbnails; no content has two rows."""
    gallery = opened(cache, text="toy-1")
    with sqlite3.connect(cache / "toys" / "rows.sqlite") as database:
        kept, live = (
            database.execute(f"SELECT {what} FROM {table}").fetchone()[0]
            for what, table in (("sum(rows)", "shards"), ("count(*)", "features"))
        )
    assert kept == live
    thumbnails = {path.name: path.read_bytes() for path in (cache / "toys" / "thumbnails").iterdir()}
    return {"rows": contents(gallery), "thumbnails": thumbnails}


def test_two_nodes_make_the_gallery_that_one_process_makes_row_by_row(
    address: str, photos: Path, tmp_path: Path, log: Path
) -> None:
    large = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), np.uint8)
    Image.fromarray(large).save(photos / "large.jpg", quality=90)
    paint(photos / "again" / "0003.png", 3)  # the same bytes as 0003.png
    (photos / "0011.png").write_bytes((photos / "0010.png").read_bytes()[:40])
    (photos / "0020.png").write_bytes(b"")
    plain = here(photos, tmp_path / "plain")
    spread = on_ray(address, photos, tmp_path / "ray", build=partial(toys, log=log, seconds=0.05))
    assert everything(tmp_path / "ray") == everything(tmp_path / "plain")
    assert sorted(spread[-1].skipped) == sorted(plain[-1].skipped)
    assert (spread[-1].images, spread[-1].left_out) == (30, plain[-1].left_out)
    assert [p.stage for p in spread if p.done == p.total] == ["images", "captions", "captions"]
    colours = [line[2] for line in lines_of(log)]
    assert len(colours) == len(set(colours)) == 29
    assert len({line[1] for line in lines_of(log)}) == 2


def test_a_second_run_encodes_what_is_new_and_nothing_else(
    address: str, photos: Path, cache: Path, log: Path
) -> None:
    here(photos, cache)
    paint(photos / "new.png", 77)
    (photos / "0001.png").rename(photos / "elsewhere.png")
    last = on_ray(address, photos, cache, build=partial(toys, log=log))[-1]
    assert (last.images, len(lines_of(log))) == (31, 1)


def test_a_picture_that_ends_a_process_is_left_out_with_its_reason_and_no_other_is(
    address: str, photos: Path, cache: Path
) -> None:
    (photos / "0007.png").write_bytes(POISON)
    for name, colour in (("0012 encoded.png", (9, 99, 199)), ("0013 captioned.png", (19, 99, 199))):
        Image.new("RGB", (4, 4), colour).save(photos / name)
    deadly = partial(toys, captioner=DeadlyCaptioner((19, 99, 199)), dies_of=(9, 99, 199))
    last = on_ray(address, photos, cache, build=deadly, read=read_or_die)[-1]
    assert last.skipped == (
        ("0007.png", "it ended the process that reads it"),
        ("0012 encoded.png", "it ended the process that encodes it"),
        ("0013 captioned.png", "it ended the process that captions it"),
    )
    assert last.images == 30
    uncaptioned = [name for name, row in contents(opened(cache, text="toy-1")).items() if not row[2]]
    assert uncaptioned == ["0013 captioned.png"]


def test_a_process_that_is_killed_loses_no_picture(
    address: str, photos: Path, tmp_path: Path, log: Path
) -> None:
    killed: set[int] = set()

    def kill(progress: IndexingProgress) -> None:
        encoding = {int(line[0]) for line in lines_of(log)}
        if encoding and not killed:
            killed.add(max(encoding))
            os.kill(max(encoding), signal.SIGKILL)

    slow = partial(toys, log=log, seconds=0.05)
    last = on_ray(address, photos, tmp_path / "ray", build=slow, see=kill)[-1]
    here(photos, tmp_path / "plain")
    assert killed
    assert (last.images, last.skipped) == (30, ())
    assert everything(tmp_path / "ray") == everything(tmp_path / "plain")
    assert {int(line[0]) for line in lines_of(log)} - killed


RUN = """
import sys
import time
from pathlib import Path
from test_on_ray import on_ray

def stop(progress):
    if progress.done >= 12:
        Path(half).touch()
        time.sleep(600)

address, root, cache, half = sys.argv[1:]
on_ray(address, Path(root), Path(cache), see=stop)
"""


@contextmanager
def run_half(address: str, root: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process and a session of its own, which waits once 12 pictures are kept."""
    half = tmp_path / "half"
    command = [sys.executable, "-c", RUN, address, root, tmp_path / "ray", half]
    path = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, **path}, start_new_session=True
    ) as running:
        while not half.exists() and running.poll() is None:
            time.sleep(0.05)
        yield running


def of_session(leader: int) -> list[psutil.Process]:
    """The processes of a session that are alive."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def assert_goes_on(address: str, photos: Path, tmp_path: Path) -> None:
    """A run that was stopped in `tmp_path / "ray"` is gone on with: nothing is missing, nothing is there twice."""
    again = tmp_path / "encoded again"
    last = on_ray(address, photos, tmp_path / "ray", build=partial(toys, log=again))[-1]
    here(photos, tmp_path / "plain")
    assert last.images == 30
    assert 0 < len(lines_of(again)) <= 30 - 12
    assert everything(tmp_path / "ray") == everything(tmp_path / "plain")


def test_a_run_that_is_killed_goes_on_where_it_was_and_has_no_row_twice(
    address: str, photos: Path, tmp_path: Path
) -> None:
    with run_half(address, photos, tmp_path) as running:
        running.kill()
    assert running.returncode == -signal.SIGKILL
    assert_goes_on(address, photos, tmp_path)


@pytest.mark.parametrize("stopped", [signal.SIGINT, signal.SIGKILL])
def test_a_run_with_its_own_cluster_leaves_no_process_behind(
    stopped: signal.Signals, address: str, photos: Path, tmp_path: Path
) -> None:
    with run_half("local", photos, tmp_path) as running:
        assert len(of_session(running.pid)) > 5
        if stopped == signal.SIGINT:
            os.killpg(running.pid, stopped)  # as a terminal does
        else:
            running.kill()
    assert_goes_on(address, photos, tmp_path)
    # Two agents of Ray try for a minute to tell their cluster, which was killed, that it was.
    _, alive = psutil.wait_procs(of_session(running.pid), timeout=180)
    assert not alive


def test_a_fault_of_the_encoder_is_said_as_it_is_and_blames_no_picture(
    address: str, photos: Path, cache: Path
) -> None:
    with pytest.raises(ValueError, match="the encoder has a fault"):
        on_ray(address, photos, cache, build=partial(toys, StubbornEncoder))


def test_other_models_on_a_node_are_refused(address: str, photos: Path, cache: Path) -> None:
    with pytest.raises(OtherModels, match="toy-2"):
        on_ray(address, photos, cache, build=other_toys)


def other_toys() -> Encoders:
    """Of another version."""
    found = toys()
    found.images.fingerprint = "toy-2"
    return found


def test_reading_waits_for_who_encodes(address: str, photos: Path, log: Path) -> None:
    files = [WalkedFile(path.name.encode()) for path in sorted(photos.iterdir())]
    with connected(address):
        from cir.gallery.on_ray import RayWorkers

        workers = RayWorkers(partial(toys, seconds=0.2), HERE.fingerprints, read=reader_that_tells(log))
        encoded = workers.encode(Reading(photos, batch_size=1, thumbnails=False), files, set())
        for _ in range(8):
            next(encoded)
        assert 8 <= len(lines_of(log)) <= 8 + 4 + 3  # that wait to be encoded, and to be asked for
        assert sum(len(batch.features) for batch in encoded) == 30 - 8


def test_large_pictures_come_few_at_a_time(tmp_path: Path) -> None:
    from cir.gallery.on_ray import read_files

    for number in range(5):
        Image.new("RGB", (4000, 3000), (number, 0, 0)).save(tmp_path / f"{number}.png")
    files = [WalkedFile(f"{number}.png".encode()) for number in range(5)]
    (read, contents), pixels = read_files(Reading(tmp_path, thumbnails=False), files, ())
    assert [one.file.relative for one in read] == [b"0.png", b"1.png", b"2.png"]
    assert [pixels[content].shape for content in contents] == [(3000, 4000, 3)] * 3


def test_a_node_is_waited_for_on_a_busy_computer(monkeypatch) -> None:
    from ray._private import services

    looks = iter([RuntimeError("it is not there yet"), RuntimeError("nor yet"), {"its": "address"}])

    def look(gcs_address: str, node_id: str) -> dict[str, str]:
        if isinstance(found := next(looks), RuntimeError):
            raise found
        return found

    monkeypatch.setattr(services, "get_node", look)
    wait_for_busy_nodes()
    assert services.get_node("127.0.0.1:1", "a node") == {"its": "address"}


def test_a_node_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    from cir.gallery.on_ray import read_files

    with pytest.raises(GalleryError, match="The folder elsewhere is not there on"):
        read_files(Reading(tmp_path / "elsewhere"), [WalkedFile(b"a.png")], ())


def test_content_hashes_are_found_in_a_shared_array_as_in_a_set() -> None:
    from cir.gallery.on_ray import SortedHashes

    hashes = {f"{number:040x}" for number in range(0, 3000, 3)}
    shared = SortedHashes(hashes)
    assert all((f"{number:040x}" in shared) == (f"{number:040x}" in hashes) for number in range(3003))
    assert f"{3:040x}" not in SortedHashes(())


def test_an_address_where_no_cluster_is_is_said_in_words(photos: Path, cache: Path) -> None:
    with pytest.raises(GalleryError, match=r"There is no Ray cluster at 127\.0\.0\.1:9"):
        on_ray("127.0.0.1:9", photos, cache)


def test_without_ray_the_command_says_how_to_install_it(
    photos: Path, cache: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(cache))
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, said = run(capsys, "index", photos, "--ray", "--no-captions")
    assert status == 2
    assert "pip install -r requirements-scale.txt" in said
