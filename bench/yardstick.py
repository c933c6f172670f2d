"""A trivial ASGI application on the hub's own server: what the server alone costs.

`python -m bench.yardstick FOLDER` serves with the device key of that data folder, prints its port
and runs until SIGTERM.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

BODY = b'{"ok":true,"text":"' + b"x" * 1000 + b'"}\n'


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer everything with a kilobyte of JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def main(folder: Path) -> None:
    """Serve."""
    from thalihub.frontend import server, tls
    from thalihub.frontend.limits import Limits

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listener = server.Listener(
        "api", listening, application, tls.server_tls(folder, ask_for_certificate=True), 2**20
    )
    server.HubServer([listener], Limits(), lambda: print(port, flush=True)).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
