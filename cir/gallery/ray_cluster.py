"""A Ray cluster to index on: that of an address, or one of this computer alone. This and `on_ray` alone know ray.

Ray is optional (requirements-scale.txt), and reads its settings when it is imported: so it is imported when they are settled.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

from cir.errors import CirError, GalleryError
from cir.memory import available_bytes
from cir.processors import processors

# As addresses: a cluster of this computer alone, which ends with the run; and the one that runs on it already.
HERE, RUNNING = "local", "auto"
SECONDS_TO_ANSWER = 10
SECONDS_TO_START = 180
LEAST_SHARED, MOST_SHARED = 256 * 2**20, 2 * 2**30  # bytes of pixels on their way from one process to another
SETTINGS: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_gcs_server_port_wait_time_s": str(SECONDS_TO_START),
    "RAY_worker_niceness": "0",  # as urgent as a plain run; by itself Ray lets everything else go first
}
# What keeps Ray to the loopback address, so that nobody but this computer can reach it; named for where it is the default.
LOOPBACK: Mapping[str, str] = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@contextmanager
def connected(address: str = HERE) -> Iterator[None]:
    """While this lasts, this process is connected to a cluster.

    Args:
        address: "host:port", `RUNNING` or `HERE`.

    Raises:
        CirError: Ray is not installed.
        GalleryError: there is no cluster, it is of another version, or does not start.
    """
    os.environ.update(SETTINGS if address != HERE else {**SETTINGS, **LOOPBACK})
    try:
        import ray
    except ModuleNotFoundError as error:
        raise CirError(
            "Ray is not installed.", "Install it: pip install -r requirements-scale.txt"
        ) from error
    with _own_folder() if address == HERE else nullcontext() as logs:
        settings = _of_its_own(logs) if logs else {}
        try:
            if address == HERE:
                wait_for_busy_nodes()
            elif address != RUNNING:
                _reach(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **settings)
        except Exception as error:  # Ray raises what it likes, a bare Exception where a node takes too long
            raise _refusal(address, error) from error
        try:
            yield
        finally:
            ray.shutdown()


def wait_for_busy_nodes() -> None:
    """Give a node that starts on this computer `SECONDS_TO_START`.

    Ray gives it 30, a number in its code: on a computer that is busy with other things its processes take longer. It asks for the
    node again and again until then, through a function that raises as long as the node is not there; here that one waits.
    """
    from ray._private import services as of_ray

    services: Any = of_ray
    look = getattr(services.get_node, "__wrapped__", services.get_node)

    @wraps(look)
    def wait(*node: Any) -> Any:
        until = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                return look(*node)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    services.get_node = wait


def _refusal(address: str, error: Exception) -> GalleryError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if address == HERE:
        message = f"Ray did not start on this computer: {reason}"
        return GalleryError(message, "Index without --ray, or again when the computer is less busy.")
    remedy = "Start one (ray start --head) and give its address; or only --ray, for this computer alone."
    return GalleryError(f"There is no Ray cluster at {address}: {reason}", remedy)


def _reach(address: str) -> None:
    """See to it that somebody listens there: Ray itself would ask for many minutes.

    Raises:
        OSError, ValueError: nobody does; it is no address.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER):
        pass


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)


def _of_its_own(logs: str) -> dict[str, Any]:
    """How a cluster of this computer alone is started."""
    return {
        "num_cpus": processors(),
        "include_dashboard": False,
        "object_store_memory": min(MOST_SHARED, max(LEAST_SHARED, available_bytes() // 4)),
        "_temp_dir": logs,
    }
