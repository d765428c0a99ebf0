"""Write down every address that this process, or one that it starts, turns to. Loaded by Python itself.

`soak.connections` puts this folder first on PYTHONPATH and names the file in CIR_CONNECTIONS.
"""

import os
import sys

_FILE = os.environ.get("CIR_CONNECTIONS", "")
_EVENTS = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")


def _note(event, arguments):
    if event in _EVENTS:
        address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[:2]
        with open(_FILE, "a", encoding="utf-8") as file:
            file.write(f"{event} {address!r}\n")


if _FILE:
    sys.addaudithook(_note)
