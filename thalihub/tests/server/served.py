"""The process under test: the hub's frontend with the views of urls.py.

`python -m thalihub.tests.server.served FOLDER LIMITS` prints its two ports once it serves.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import django


def main(folder: Path, limits: dict[str, float]) -> None:
    """Serve until SIGTERM."""
    django.setup()
    from channels.routing import ProtocolTypeRouter

    from thalihub import asgi
    from thalihub.frontend import server, tls
    from thalihub.frontend.lean import LeanHandler
    from thalihub.frontend.limits import Limits
    from thalihub.processes.webprocess import calm_the_collector
    from thalihub.tests.server import urls

    max_body = int(limits.pop("max_body", 2**30))
    api, pages = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    ports = [api.getsockname()[1], pages.getsockname()[1]]
    handler = LeanHandler("thalihub.tests.server.urls")
    listeners = [
        server.Listener(
            "api",
            api,
            handler,
            tls.server_tls(folder, ask_for_certificate=True),
            max_body=max_body,
            cancels=True,
        ),
        server.Listener(
            "pages",
            pages,
            ProtocolTypeRouter(
                {"http": asgi.pages_application, "websocket": asgi.SameOrigin(urls.shout)}
            ),
            tls.server_tls(folder, ask_for_certificate=False),
            max_body=max_body,
            websockets=True,
        ),
    ]
    hub = server.HubServer(listeners, Limits(**limits), lambda: _say(ports))
    urls.seen["server"] = hub
    calm_the_collector()
    hub.run()


def _say(ports: list[int]) -> None:
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
