"""TCP connections that write at once when they can.

Twisted keeps what is written until the next turn of its loop, which costs two system calls and a
turn for each answer: a quarter of a small request.  Here the socket is tried first, and only what
it does not take goes Twisted's way.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor, tcp


class PromptConnection(tcp.Server):
    """An accepted connection."""

    def write(self, data: bytes) -> None:
        """Send `data`, keeping for later what the socket does not take now."""
        if not self.connected or self.dataBuffer or self._tempDataBuffer:
            super().write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:  # Full, or broken: Twisted finds out which on its own way.
            sent = 0
        if sent < len(data):
            super().write(data[sent:])


def listen(bound: socket.socket, factory: Any) -> Any:
    """Accept connections for `factory` on a listening socket, and return Twisted's port."""
    bound.setblocking(False)
    port = reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
    port.transport = PromptConnection
    return port
