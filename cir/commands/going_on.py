"""The page goes on with another set of models: the process ends what it serves, and begins anew as the same command.

Models in use are held by everything on the page, and their memory is given back only by a process that ends; what follows
is exactly what a start by hand would give.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Timer

from cir.errors import MissingModel
from cir.models.catalog import model_set
from cir.models.chosen import choose_set

SHIPPED_SET = "embedded"
PHOTOGRAPH_SET = "laptop"  # what the page offers to fetch
OF_ANOTHER_SET = ("--gallery", "--phi")  # also as an abbreviation that the command line takes
ANSWER_SECONDS = 2.5  # in which pages are told that the server will be away


@dataclass(slots=True)
class GoingOn:
    """What the serving process is to do once it has ended.

    Attributes:
        environment: as it was when the process began, with the proxies that a serving process leaves out.
        end: ends the server, without waiting for that.
        wanted: the set that the page goes on with; "" while it stays as it is.
    """

    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    end: Callable[[], object] = lambda: None
    wanted: str = ""

    def with_set(self, name: str) -> None:
        """Let the page go on with a set, which is begun with from now on.

        Raises:
            BadQuery: there is no such set.
            MissingModel: the choice cannot be kept.
        """
        model_set(name)
        try:
            choose_set("" if name == SHIPPED_SET else name)
        except OSError as error:
            raise MissingModel(
                f"The choice of {name} could not be kept: {error.strerror or error}.",
                f"Start the page with it by hand: python app.py --models {name}",
            ) from error
        self.wanted = name
        Timer(ANSWER_SECONDS, lambda: self.end()).start()

    def begin_anew(self, port: int) -> int:
        """Replace this process by the same command with the wanted set; where a system cannot, wait for that command.

        The gallery and the mapping network that the command names are of the set before.
        """
        if (uploads := os.environ.get("GRADIO_TEMP_DIR")) and "GRADIO_TEMP_DIR" not in self.environment:
            shutil.rmtree(uploads, ignore_errors=True)  # the end of the process would have done it
        command = [sys.executable, *again_with(sys.orig_argv[1:], self.wanted, port)]
        back = (
            ""
            if self.wanted == SHIPPED_SET
            else f" Should it not come up: python app.py --models {SHIPPED_SET}"
        )
        sys.stdout.write(f"The page goes on with the models of the set {self.wanted}.{back}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        if os.name != "nt":  # there, the new process would not be the one that the console waits for
            os.execve(command[0], command, self.environment)
        return subprocess.run(command, env=self.environment, check=False).returncode


def again_with(arguments: Sequence[str], name: str, port: int) -> list[str]:
    """The arguments of a command that serves the page with a set: without those that belong to the set before, and where the page is now."""
    kept, is_value = list[str](), False
    for one in arguments:
        flag, equals, _ = one.partition("=")
        if is_value:
            is_value = False
        elif len(flag) > len("--") and any(option.startswith(flag) for option in OF_ANOTHER_SET):
            is_value = not equals
        else:
            kept.append(one)
    return [*kept, "--models", name, "--port", str(port), "--no-browser"]
