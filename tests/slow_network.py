"""A network between the browser and the page: every byte takes its time, in each direction, and none overtakes another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from urllib.parse import urlsplit

from served import free_port


class SlowNetwork:
    """Forwards connections to a server.

    Args:
        url: of the server.

    Attributes:
        seconds: how long a byte takes, one way; may be changed at any time.
        url: where the server is found behind the network.
    """

    def __init__(self, url: str, seconds: float = 0.0) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        port = free_port()
        self.seconds, self.url = seconds, f"http://127.0.0.1:{port}/"
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", port))
        Thread(target=self._loop.run_forever, daemon=True).start()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection(self._host, self._port)
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await on_the_way.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        arriving = asyncio.ensure_future(arrive())
        with suppress(OSError):
            while data := await reader.read(65536):
                on_the_way.put_nowait((self._loop.time() + self.seconds, data))
        on_the_way.put_nowait((self._loop.time() + self.seconds, b""))
        with suppress(OSError):
            await arriving
            writer.close()

    def close(self) -> None:
        """Carry nothing any more."""

        def stop() -> None:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.1, self._loop.stop)

        self._loop.call_soon_threadsafe(stop)


@contextmanager
def slow_network(url: str, seconds: float = 0.0) -> Iterator[SlowNetwork]:
    """A network to a server, for as long as it is needed."""
    network = SlowNetwork(url, seconds)
    try:
        yield network
    finally:
        network.close()
