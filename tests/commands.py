"""A command of the program, run in this process."""

from __future__ import annotations

import pytest

from cir.__main__ import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Its exit status, and what it wrote to standard output and to standard error, and no one before it."""
    capsys.readouterr()
    status = main([str(one) for one in arguments])
    out, err = capsys.readouterr()
    return status, out, err
