"""How much memory this process may still take: what the machine has left, and what its container is allowed."""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes such a number where there is none


def available_bytes() -> int:
    """Bytes that can be taken without swapping, by the machine and by every control group around the process."""
    import psutil

    return max(0, min([psutil.virtual_memory().available, *_left_in_groups()]))


def _left_in_groups() -> list[int]:
    """What the limits of the process's control groups, of both versions, still allow."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return []
    left: list[int] = []
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = _GROUPS / "memory" if controllers else _GROUPS
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, usage, reclaimable = (
            names if controllers else ("memory.max", "memory.current", "inactive_file")
        )
        group = top / inside.strip("/")
        for folder in (group, *group.parents):  # a container sees its own group as the top
            if folder.is_relative_to(top):
                left += _left_in(folder, limit, usage, reclaimable)
    return left


def _left_in(folder: Path, limit: str, usage: str, reclaimable: str) -> list[int]:
    try:
        allowed = (folder / limit).read_text(encoding="ascii").strip()
        if allowed == "max" or int(allowed) >= _NO_LIMIT:
            return []
        used = int((folder / usage).read_text(encoding="ascii"))
        stat = dict(
            line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        )
        return [int(allowed) - used + int(stat.get(reclaimable, 0))]
    except (OSError, ValueError):  # no such limit here
        return []
