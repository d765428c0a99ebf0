"""Start the page. Everything else is in `cir.commands.serving`, which `python -m cir serve` runs as well."""

from __future__ import annotations

import os

# Read when the libraries are imported: no request leaves the machine, and no thread waits by spinning.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from cir.commands.serving import main, read_address, read_options

__all__ = ["main", "read_address", "read_options"]

if __name__ == "__main__":
    raise SystemExit(main())
