"""Start the page: build the models, the gallery and the retriever, hand them to `cir.ui`, serve."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread

# Read when the libraries are imported: no request leaves the machine, and no thread waits by spinning.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from cir.errors import BadQuery, CirError

EXAMPLES = Path(__file__).resolve().parent / "assets" / "examples.json"


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Search your pictures with a picture and a sentence.")
    sets, default = "embedded, base, large or giga", os.environ.get("CIR_MODELS", "embedded")
    parser.add_argument("--models", default=default, help=f"model set: {sets} (default: {default})")
    parser.add_argument("--llm", help="language model: a name from `models list`, or a path to a .gguf file")
    parser.add_argument("--gallery", help="a gallery's name, or the folder that it was indexed from")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: 7860)")
    parser.add_argument("--listen", action="store_true", help="listen on every address; needs --auth")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="what a visitor has to know")
    return parser.parse_args(arguments)


def read_address(options: argparse.Namespace) -> tuple[str, tuple[str, str] | None, list[str]]:
    """(host, auth, names by which the page may be called).

    Raises:
        BadQuery: the page would be open to other machines without a password.
    """
    host = "0.0.0.0" if options.listen else options.host
    user, _, password = (options.auth or "").partition(":")
    auth = (user, password) if user and password else None
    alone = host in ("127.0.0.1", "localhost", "::1")
    if auth is None and (options.auth or not alone):
        raise BadQuery(f"Without a password the page is not served at {host}.", "Add --auth USER:PASSWORD.")
    return host, auth, ["127.0.0.1", "localhost"] if alone else ["*"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status."""
    try:
        options = read_options(arguments)
        host, auth, names = read_address(options)
        from cir import application
        from cir.ui.handlers import load_examples
        from cir.ui.layout import PageContent
        from cir.ui.serving import launch
        from cir.ui.view import build_page

        models, retriever = application.build(options.models, llm=options.llm, gallery=options.gallery)
        if (
            models.language_model is not None
        ):  # the first search then does not wait for its prompts to be read
            Thread(target=application.warm_up, args=(models,), daemon=True).start()
        content = PageContent(
            retriever,
            presets=application.presets(models),
            missing=models.missing,
            facts=models.facts,
            fingerprints=models.fingerprints,
            examples=load_examples(EXAMPLES, retriever.gallery),
            gallery_title="" if options.gallery else "Sample gallery",
        )
        with closing(models):
            launch(build_page(content), host=host, port=options.port, auth=auth, allowed_hosts=names)
    except CirError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
