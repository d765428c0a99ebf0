"""A Qdrant server: asked again where it does not answer at once, and what goes wrong said in sentences.

Knows nothing of galleries. A key is read from the environment alone, and stands in no sentence.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from cir.errors import BadQuery, GalleryError, MissingModel

TRIES = 3
BACKOFF_SECONDS = 0.25  # before the second try; four times as long before each further one
SECONDS = 10  # within which a search has to be answered
WRITING_SECONDS = 60  # within which a batch has to be written
URL_SETTING, KEY_SETTING = "CIR_QDRANT_URL", "CIR_QDRANT_KEY"
_REFUSED, _NOT_FOUND, _BUSY, _FAILED = (401, 403), 404, 429, 500


class Client(Protocol):
    """What is asked of `qdrant_client.QdrantClient`, by the names and with the models that it has there."""

    def get_collection(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """What the server says of a collection."""
        ...

    def create_collection(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Make a collection."""
        ...

    def update_collection(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Change its metadata."""
        ...

    def collection_exists(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Whether there is one."""
        ...

    def create_payload_index(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Make a field quick to filter by."""
        ...

    def upsert(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Write points, in the place of those with the same ids."""
        ...

    def delete(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Delete points."""
        ...

    def count(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """How many points there are."""
        ...

    def retrieve(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Points by their ids."""
        ...

    def scroll(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """A page of points, and where the next one begins."""
        ...

    def facet(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """The values of a field, with how many points have them."""
        ...

    def query_batch_points(self, collection_name: str, *args: Any, **options: Any) -> Any:
        """Answers to several queries."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is asked.

    Attributes:
        client: what asks it.
        shown: what it is called in sentences: its host, without anything that is secret.
        backoff_seconds: what is waited for before the second try.
    """

    client: Client
    shown: str
    backoff_seconds: float = BACKOFF_SECONDS

    def ask(self, what: str, collection: str, **options: Any) -> Any:
        """Call a method of `Client`, again where the server did not answer.

        Raises:
            GalleryError: it does not answer, refuses the key, has no such collection, or cannot do what is asked.
        """
        method, wait = getattr(self.client, what), self.backoff_seconds
        for left in reversed(range(TRIES)):
            try:
                return method(collection, **options)
            except (
                Exception
            ) as error:  # whichever of its libraries' errors; those of our own code are raised again
                problem, is_passing = self._problem(error, collection)
                if problem is None:
                    raise
                if not is_passing or not left:
                    raise problem from None  # its own words hold the address and what was sent
            time.sleep(wait)
            wait *= 4
        raise AssertionError("the last try answers or raises")

    def _problem(self, error: Exception, collection: str) -> tuple[GalleryError | None, bool]:
        """What went wrong in a sentence, and whether it may be over soon; None for what is no fault of a server."""
        from httpx import TimeoutException
        from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        if isinstance(error, ResponseHandlingException):
            if isinstance(error.source, TimeoutException):
                said = f"The server {self.shown} did not answer in time."
                return GalleryError(said, "Try again; if it stays so, it has too much to do."), True
            return self._gone(), True
        if isinstance(error, ResourceExhaustedResponse):
            return GalleryError(f"The server {self.shown} has too much to do.", "Try again later."), True
        if isinstance(error, UnexpectedResponse):
            return self._refusal(error.status_code or 0, collection)
        if isinstance(error, ValueError) and "not found" in str(
            error
        ):  # as its client says it without a server
            return self._refusal(_NOT_FOUND, collection)
        return (self._gone(), True) if isinstance(error, ConnectionError) else (None, False)

    def _gone(self) -> GalleryError:
        return GalleryError(
            f"The server {self.shown} does not answer.",
            "See whether it runs, and whether the address is right: --qdrant-url URL",
        )

    def _refusal(self, status: int, collection: str) -> tuple[GalleryError, bool]:
        if status in _REFUSED:
            said = f"The server {self.shown} refuses the key, or wants one."
            remedy = f"Put the right one into the environment ({KEY_SETTING}, or the name that --qdrant-key-env gives)."
            return GalleryError(said, remedy), False
        if status == _NOT_FOUND:
            said = f"There is no gallery {collection} on the server {self.shown}."
            return GalleryError(said, f"Push it there: python -m cir galleries push {collection}"), False
        said = f"The server {self.shown} answered {status} where {collection} was asked."
        remedy = "Its log says why. It has to be Qdrant 1.16 or later."
        return GalleryError(said, remedy), status >= _FAILED or status == _BUSY


def connect(url: str, key_setting: str = "", *, seconds: int = SECONDS) -> Server:
    """A server by its address. Nothing is asked yet.

    Args:
        url: "http://HOST:6333" or "https://...".
        key_setting: the name of the environment's variable that holds the key; "" for KEY_SETTING, which may be unset.
        seconds: within which it has to answer each time.

    Raises:
        BadQuery: that is no address, or there is no such variable.
        MissingModel: the package that asks is not installed.
    """
    host = shown_host(url)
    key = os.environ.get(key_setting or KEY_SETTING, "")
    if key_setting and not key:
        raise BadQuery(
            f"The environment has no variable {key_setting[:40]}, which is to hold the server's key.",
            f"Set it: export {key_setting[:40]}=...",
        )
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        message = "The package through which a Qdrant server is asked (qdrant-client) is not installed."
        raise MissingModel(message, "Install it: pip install -r requirements-scale.txt") from error
    client = QdrantClient(url=url, api_key=key or None, timeout=seconds, check_compatibility=False)
    return Server(client, host)


def shown_host(url: str) -> str:
    """HOST:PORT of an address.

    Raises:
        BadQuery: it is no address of a server, or holds a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadQuery("That is no address of a Qdrant server.", "Write it like http://localhost:6333")
    if parts.username or parts.password:
        raise BadQuery(
            "The address of the server holds a password, which others could read on the command line.",
            f"Leave it out, and put the key into the environment: {KEY_SETTING}",
        )
    return f"{parts.hostname}:{port}" if port else parts.hostname
