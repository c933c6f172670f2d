"""Binds the hub's ports; the children inherit the sockets."""

from __future__ import annotations

import errno
import socket
import time

_PATIENCE_SECONDS = 12.0  # The children of a killed hub keep its ports while they end.
_PAUSE_SECONDS = 0.2
_BACKLOG = 512


class CannotListenError(Exception):
    """The port is taken, or not ours to take."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 lets the system choose.

    Raises CannotListenError; a port in use is tried again for some seconds before.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _listening(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                reason = f"Cannot listen on {host} port {port}: {error.strerror}."
                raise CannotListenError(reason) from None
        time.sleep(_PAUSE_SECONDS)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def reachable(host: str) -> str:
    """Return how a URL on this machine names a hub that listens on `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    return everywhere.get(host, f"[{host}]" if ":" in host else host)
