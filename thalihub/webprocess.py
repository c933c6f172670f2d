"""One web process of the hub: `python -m thalihub.webprocess --api=3 --pages=4 …`.

The numbers are file descriptors that the supervisor hands down (thalihub/supervisor.py).
"""

from __future__ import annotations

import argparse
import gc
import os
import socket

import django

from thalihub import lifeline


def main() -> None:
    """Serve on the inherited sockets until SIGTERM."""
    arguments = _arguments()
    lifeline.watch(arguments.lifeline)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")
    django.setup()
    _serve(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("api", "pages", "lifeline", "ready"):
        parser.add_argument(f"--{name}", type=int, required=True, help="a file descriptor")
    return parser.parse_args()


def _serve(arguments: argparse.Namespace) -> None:
    from thalihub import asgi, limits, server
    from thalihub.listeners import listeners

    api = socket.socket(fileno=arguments.api)
    pages = socket.socket(fileno=arguments.pages)
    applications = (asgi.api_application, asgi.pages_application)
    hub = server.HubServer(
        listeners(api, pages, *applications),
        limits.from_settings(),
        on_ready=lambda: _say_ready(arguments.ready),
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


if __name__ == "__main__":
    main()
