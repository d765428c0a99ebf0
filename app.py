"""Start the page. Everything else is in `cir.commands.serving`, which `python -m cir serve` runs as well."""

from __future__ import annotations

from cir.interrupts import ending_at_once, run_to_its_end

with ending_at_once():
    from cir.commands.serving import main, read_address, read_options
    from cir.environment import set_defaults

__all__ = ["main", "read_address", "read_options"]
set_defaults()

if __name__ == "__main__":
    run_to_its_end(main)
