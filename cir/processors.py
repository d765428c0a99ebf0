"""How many processors this process may use, and so how many threads are of use.

A machine's count says nothing in a container or under `taskset`: threads beyond what is granted wait for each other.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from cir.environment import setting
from cir.errors import BadQuery

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def processors() -> int:
    """How many processors this process may keep busy: $CIR_THREADS, or its affinity and its control groups' quotas.

    Raises:
        BadQuery: $CIR_THREADS is no number from 1.
    """
    wanted = setting("CIR_THREADS")
    if wanted and not (wanted.isdecimal() and int(wanted)):
        raise BadQuery(f"CIR_THREADS is {wanted!r}.", "Give a number from 1, or leave it out.")
    return int(wanted) if wanted else max(1, math.floor(min(_granted(), cgroup_limit())))


def _granted() -> int:
    if sys.version_info >= (3, 13):  # affinity, and what PYTHON_CPU_COUNT says
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def cgroup_limit(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float:
    """Processors that the control groups grant, the tightest of a group and all above it; infinite without a quota.

    Args:
        root: where the groups are mounted; version 2, or version 1 with its controllers below.
        membership: the groups of this process, a line for each hierarchy.
    """
    try:
        lines = membership.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return math.inf
    limits = [math.inf]
    for line in lines:
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            limits += [_quota_v2(folder) for folder in _upwards(root, group)]
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", controllers):
                limits += [_quota_v1(folder) for folder in _upwards(root / mount, group)]
    return min(limits)


def _upwards(root: Path, group: str) -> Iterator[Path]:
    """A group's folder and all above it. In a container the group may be mounted as the root itself."""
    folder = root / group.strip("/")
    while folder != root and root in folder.parents:
        yield folder
        folder = folder.parent
    yield root


def _quota_v2(folder: Path) -> float:
    return _ratio(*[*_words(folder / "cpu.max"), "", ""][:2])


def _quota_v1(folder: Path) -> float:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return _ratio(*[*quota[:1], *period[:1], "", ""][:2])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _ratio(quota: str, period: str) -> float:
    """Quota by period; infinite where there is none ("max", -1) or where they cannot be read."""
    if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
        return int(quota) / int(period)
    return math.inf
