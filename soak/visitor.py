"""A visitor of the page without a browser: the same requests, in the same order, by the components' own events.

Knows gradio's protocol as its own front end speaks it (a session, a heartbeat, the queue, differences between two
answers) and no component of the page by number: they are found by their elem_id. Scripts do not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from gradio_client.utils import apply_diff

PATIENCE = httpx.Timeout(300.0)
_PICTURE = re.compile(r'src="([^"]+)"')


class Refused(RuntimeError):
    """The server did not take an event, or its handler failed."""


@dataclass
class Visitor:
    """One page in one browser.

    Attributes:
        http: how the server is reached; its base address is the page's.
        config: what the page consists of, as it was loaded.
        values: component -> its value now.
        session: the session's name.
        told: every value that the component "stage" has had.
    """

    http: httpx.AsyncClient
    config: dict[str, Any] = field(default_factory=dict)
    values: dict[int, Any] = field(default_factory=dict)
    session: str = field(default_factory=lambda: secrets.token_hex(6))
    told: list[str] = field(default_factory=list)

    async def open(self) -> None:
        """Load the page, and do what it does when it is loaded."""
        (await self.http.get("/")).raise_for_status()
        self.config = (await self.http.get("/config")).raise_for_status().json()
        self.values = {c["id"]: c["props"].get("value") for c in self.config["components"]}
        for event in self.events(None, "load"):
            await self.run(event)

    def find(self, elem_id: str) -> int:
        """The component of that elem_id."""
        return next(c["id"] for c in self.config["components"] if c["props"].get("elem_id") == elem_id)

    def value(self, elem_id: str) -> Any:
        """What a component shows."""
        return self.values[self.find(elem_id)]

    def events(self, component: int | None, name: str) -> list[dict[str, Any]]:
        """The handlers of an event, scripts among them."""
        found = self.config["dependencies"]
        if component is None:
            return [d for d in found if any(event == name for _, event in d["targets"])]
        return [d for d in found if [component, name] in d["targets"]]

    async def upload(self, picture: bytes, name: str = "own.png") -> dict[str, Any]:
        """Upload a picture; what the component then holds."""
        sent = await self.http.post("/gradio_api/upload", files={"files": (name, picture, "image/png")})
        (path,) = sent.raise_for_status().json()
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def set(self, elem_id: str, value: object) -> None:
        """Give a component a value, as its user does."""
        self.values[self.find(elem_id)] = value

    async def act(self, elem_id: str, event: str, data: object = None) -> None:
        """Let something happen to a component, and wait for all that follows."""
        component = self.find(elem_id)
        for handler in self.events(component, event):
            await self.run(handler, component, data)

    async def run(self, handler: dict[str, Any], trigger: int | None = None, data: object = None) -> None:
        """Call a handler and those that come after it; what they answer is on the page then. Scripts are passed over."""
        if handler["backend_fn"]:
            await self._call(handler, trigger, data)
        for following in self.config["dependencies"]:
            if following["trigger_after"] == handler["id"] and not following["trigger_only_on_failure"]:
                await self.run(following, trigger)

    async def _call(self, handler: dict[str, Any], trigger: int | None, data: object) -> None:
        body = {
            "data": [self.values.get(i) if not self._is_state(i) else None for i in handler["inputs"]],
            "event_data": data,
            "fn_index": handler["id"],
            "session_hash": self.session,
            "trigger_id": trigger,
        }
        if handler["queue"] is False:
            sent = await self.http.post("/gradio_api/run/predict", json=body)
            self._show(handler, sent.raise_for_status().json()["data"])
        else:
            async with contextlib.aclosing(self._answers(body)) as answers:
                async for answer in answers:
                    self._show(handler, answer)

    async def pictures(self, elem_id: str, most: int = 3) -> int:
        """Fetch the first pictures that a component shows; how many there were."""
        addresses = _PICTURE.findall(str(self.value(elem_id)))[:most]
        for address in addresses:
            (await self.http.get(address.replace("&amp;", "&"))).raise_for_status()
        return len(addresses)

    @contextlib.asynccontextmanager
    async def staying(self) -> AsyncIterator[None]:
        """Hold the connection by which the server knows that the page is open; it is closed at the end."""

        async def beat() -> None:
            address = f"/gradio_api/heartbeat/{self.session}"
            async with self.http.stream("GET", address, timeout=None) as stream:
                async for _ in stream.aiter_raw():
                    pass

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.TransportError):
                await task

    def _is_state(self, component: int) -> bool:
        return any(c["id"] == component and c["type"] == "state" for c in self.config["components"])

    async def _answers(self, body: dict[str, Any]) -> AsyncGenerator[list[Any], None]:
        sent = await self.http.post("/gradio_api/queue/join", json=body)
        if sent.status_code != 200:
            raise Refused(sent.text)
        event, shown = sent.json()["event_id"], None
        address = f"/gradio_api/queue/data?session_hash={self.session}"
        async with self.http.stream("GET", address) as stream:
            async for line in stream.aiter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("event_id") != event:
                    continue
                output = message.get("output") or {}
                if message["msg"] == "process_generating":
                    came = output["data"]
                    # After the first one come differences to what was sent before.
                    shown = came if shown is None else [*map(apply_diff, shown, came)]
                    yield shown
                elif message["msg"] == "process_completed":
                    if not message["success"]:
                        raise Refused(str(output.get("error")))
                    if output.get("data"):
                        yield output["data"]
                    return

    def _show(self, handler: dict[str, Any], values: list[Any]) -> None:
        for component, value in zip(handler["outputs"], values, strict=False):
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" not in value:
                    continue
                value = value["value"]
            self.values[component] = value
            if component == self._stage():
                self.told.append(str(value))

    def _stage(self) -> int:
        return self.find("stage")
