"""The rows of a large gallery stay in their shards, and are the same as in memory."""

from __future__ import annotations

from pathlib import Path
from time import sleep

import numpy as np
import pytest

from cir.errors import UnsafeFile
from cir.gallery.shards import gather_rows, read_shard, shard_path, write_shard
from cir.gallery.stored_rows import StoredRows, _File

DIM = 12


def three_shards(folder: Path) -> tuple[np.ndarray, dict[int, str], np.ndarray]:
    """Places of rows in three shards, one of them small, in no order, one of none; names; and the rows themselves."""
    rng = np.random.default_rng(1)
    shards = [
        rng.normal(size=(count, DIM)).astype(dtype) for count, dtype in ((50, "f4"), (60, "f2"), (5, "f4"))
    ]
    names = [write_shard(folder, rows) for rows in shards]
    chosen = [(s, int(r)) for s in range(3) for r in rng.permutation(len(shards[s]))[:40]]
    chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    places = np.array([s + 5 << 32 | r for s, r in chosen])
    places[7] = -1
    rows = np.stack([shards[s][r].astype(np.float32) for s, r in chosen])
    rows[7] = 0.0
    return places, {number + 5: name for number, name in enumerate(names)}, rows


@pytest.fixture(params=[10, 10_000], ids=["mapped", "in memory"])
def mapped_from(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("cir.gallery.shards.MAPPED_FROM", request.param)
    return request.param


@pytest.mark.usefixtures("mapped_from")
@pytest.mark.parametrize("at_once", [True, False], ids=["in one call", "as on Windows"])
def test_rows_out_of_shards_are_those_of_the_shards_however_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    if not at_once:
        monkeypatch.delattr("os.preadv", raising=False)
    places, names, rows = three_shards(tmp_path)
    stored, lengths = gather_rows(tmp_path, DIM, places, names)
    np.testing.assert_array_equal(stored[:], rows)
    np.testing.assert_array_equal(np.asarray(stored), rows)
    np.testing.assert_allclose(lengths, np.linalg.norm(rows, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(stored[5], rows[5])
    np.testing.assert_array_equal(stored[10:30], rows[10:30])
    np.testing.assert_array_equal(stored[[3, 7, 3]], rows[[3, 7, 3]])
    np.testing.assert_array_equal(stored[rows[:, 0] > 0], rows[rows[:, 0] > 0])
    assert (stored.shape, len(stored)) == (rows.shape, len(rows))
    columns = np.random.default_rng(2).normal(size=(DIM, 3)).astype(np.float32)
    np.testing.assert_allclose(stored @ columns, rows @ columns, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("mapped_from")
def test_some_of_the_rows_are_divided_as_an_array_would_be(tmp_path: Path) -> None:
    places, names, rows = three_shards(tmp_path)
    stored, lengths = gather_rows(tmp_path, DIM, places, names)
    some = np.flatnonzero(lengths)[::2]
    few = stored.among(some, lengths[some])
    np.testing.assert_array_equal(few[:], rows[some] / lengths[some, None])
    columns = np.eye(DIM, 2, dtype=np.float32)
    np.testing.assert_allclose(few @ columns, few[:] @ columns, rtol=1e-6)
    np.testing.assert_array_equal(few[4], rows[some[4]] / lengths[some[4]])


@pytest.mark.usefixtures("mapped_from")
def test_a_shard_with_a_flipped_bit_gives_no_row_and_the_others_give_theirs(tmp_path: Path) -> None:
    places, names, rows = three_shards(tmp_path)
    broken = places[0] >> 32
    path = shard_path(tmp_path, names[int(broken)])
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(bytes(data))
    stored, lengths = gather_rows(tmp_path, DIM, places, names)
    lost = np.isin(places >> 32, [broken, -1])
    assert isinstance(stored, StoredRows)
    assert (lengths[lost] == 0).all()
    np.testing.assert_array_equal(stored[:], np.where(lost[:, None], 0.0, rows))


@pytest.mark.usefixtures("mapped_from")
def test_rows_stay_readable_when_indexing_again_has_deleted_their_shards(tmp_path: Path) -> None:
    places, names, rows = three_shards(tmp_path)
    stored, _ = gather_rows(tmp_path, DIM, places, names)
    for name in names.values():
        shard_path(tmp_path, name).unlink()
    np.testing.assert_array_equal(stored[:], rows)
    np.testing.assert_allclose(stored @ np.eye(DIM, dtype=np.float32), rows, atol=1e-6)


def test_of_rows_that_lie_apart_nothing_but_these_is_read_and_the_disk_is_told_of_all_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a mapped file brings megabytes around it: a first answer then took a second where nothing was in memory."""
    monkeypatch.setattr("cir.gallery.shards.MAPPED_FROM", 10)
    rows = np.random.default_rng(3).normal(size=(5000, DIM)).astype(np.float32)
    name = write_shard(tmp_path, rows)
    stored, _ = gather_rows(tmp_path, DIM, np.arange(5000), {0: name})
    done, read, expect = [], _File.read, _File.expect
    monkeypatch.setattr(_File, "expect", lambda *asked: done.append(("told", *asked[1:])) or expect(*asked))
    monkeypatch.setattr(
        _File, "read", lambda *asked: done.append(("read", asked[1], len(asked[2]))) or read(*asked)
    )
    places = [4000, 17, 18, 20, 999]
    np.testing.assert_array_equal(stored[places], rows[places])
    spans = [(17, 4), (999, 1), (4000, 1)]
    assert done == [("told", *span) for span in spans] + [("read", *span) for span in spans]
    done.clear()
    many = np.random.default_rng(4).permutation(5000)
    np.testing.assert_array_equal(stored[many], rows[many])
    assert len(done) < 1500  # not each row alone


def test_a_shard_that_was_cut_off_since_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cir.gallery.shards.MAPPED_FROM", 10)
    rows = np.random.default_rng(3).normal(size=(500, DIM)).astype(np.float32)
    name = write_shard(tmp_path, rows)
    stored, _ = gather_rows(tmp_path, DIM, np.arange(500), {0: name})
    with shard_path(tmp_path, name).open("r+b") as file:
        file.truncate(10_000)
    np.testing.assert_array_equal(stored[:100], rows[:100])
    with pytest.raises(UnsafeFile, match="cut off"):
        stored[[2, 499]]


def test_headers_are_read_one_at_a_time_and_again_where_another_thread_was_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own parser, by which numpy reads them, fails at random where two threads are in it (until 3.12)."""
    names = [write_shard(tmp_path, np.full((3, 4), n + 1.0, np.float32)) for n in range(8)]
    load, inside, most, failed = np.load, [], [], []

    def slow(*args: object, **options: object) -> np.ndarray:
        inside.append(1)
        most.append(len(inside))
        sleep(0.01)
        inside.pop()
        if not failed:
            failed.append(1)
            raise SystemError("AST constructor recursion depth mismatch (before=45, after=42)")
        return load(*args, **options)

    monkeypatch.setattr(np, "load", slow)
    places = np.arange(8, dtype=np.int64) << 32
    rows, lengths = gather_rows(tmp_path, 4, places, dict(enumerate(names)))
    np.testing.assert_array_equal(rows[np.arange(8)][:, 0], np.arange(8) + 1.0)
    assert lengths.all()
    assert max(most) == 1
    np.testing.assert_array_equal(read_shard(tmp_path, names[0]), np.ones((3, 4)))
