"""One web process of the hub, which serves on sockets that the supervisor opened."""

from __future__ import annotations

import gc
import os
import socket


def main(api: int, pages: int, onion: int, ready: int) -> None:
    """Serve until SIGTERM on the sockets with these descriptors; say to `ready` when."""
    from thalihub import asgi
    from thalihub.frontend import limits, server
    from thalihub.frontend.listeners import listeners

    hub = server.HubServer(
        listeners(
            socket.socket(fileno=api),
            socket.socket(fileno=pages),
            socket.socket(fileno=onion),
            asgi.api_application,
            asgi.pages_application,
        ),
        limits.from_settings(),
        on_ready=lambda: _say_ready(ready),
    )
    calm_the_collector()
    hub.run()
    from acl import sql
    from couchapi import javascript

    javascript.close()
    sql.close()


def _say_ready(descriptor: int) -> None:
    os.write(descriptor, b"1")
    os.close(descriptor)


def calm_the_collector() -> None:
    """Make the garbage collector leave alone what is loaded, and come more rarely."""
    # What is loaded now stays: the collector need not look at it again.  A request makes few
    # cycles, so looking after each 700 objects is waste.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
