"""The announcement listeners: doors to this hub that say nothing of whose it is.

Each has an ephemeral certificate and a port of its own.  Anybody is told what is announced, which
nobody but those whom it is for can read.  Whoever comes by mutual TLS and is known here finds the
hub's API behind it; to everybody else there is nothing (design/discovery.md, "From beacon to
connection").
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from acl.authentication import authenticate
from acl.core import certs
from acl.core.errors import KeyFormatError
from discovery.core import hello
from discovery.core.errors import DiscoveryError
from discovery.core.listener import Ephemeral
from discovery.dialer.near import PATH
from discovery.known import milliseconds
from discovery.nearby import Nearby
from thalihub.frontend import tls
from thalihub.frontend.limits import Limits
from thalihub.frontend.server import Application, HubServer, Listener

from twisted.internet import reactor  # isort: skip  After the server, which chooses it.

logger = logging.getLogger(__name__)

_BACKLOG = 64
_MOST_DOORS = 4
_TRIES = 5
_WINDOW = 60.0
_ANONYMOUS = 60
"""Requests of one address in a window that say nothing of who asks."""
_MOST_ADDRESSES = 1024

Send = Callable[[dict[str, Any]], Awaitable[None]]


class DoorServer(HubServer):
    """A server whose listeners come and go, and a loop beside them that says when it is over."""

    def __init__(self, limits: Limits) -> None:
        super().__init__([], limits, self._begin)
        self._live: Callable[[], Awaitable[None]] | None = None
        self._end: Callable[[], Awaitable[None]] | None = None
        self._living: asyncio.Task[None] | None = None

    def run_with(
        self,
        live: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
        begun: Callable[[], None],
    ) -> None:
        """Serve until `live` returns, or SIGTERM; then `end`."""
        self._live, self._end = live, end
        begun()
        self.run()

    def _begin(self) -> None:
        self._living = self.loop.create_task(self._while_alive())

    async def _while_alive(self) -> None:
        assert self._live is not None
        await self._live()
        reactor.stop()

    async def _stop(self) -> None:
        if self._living is not None:
            self._living.cancel()
            await asyncio.wait({self._living})
        if self._end is not None:
            await self._end()
        await super()._stop()


@dataclass
class Door:
    """One listener."""

    ports: list[Any]
    expires: int
    stream: bytes = b""

    def close(self) -> None:
        """Take no more connections; those that are open go on."""
        for port in self.ports:
            port.stopListening()


class Doors:
    """The listeners of this process, on the addresses of the networks where it may be found."""

    def __init__(self, server: HubServer, api: Application) -> None:
        self.addresses: Sequence[str] = ()
        self.nearby: Nearby | None = None
        self._server, self._api = server, api
        self._doors: dict[int, Door] = {}
        self._pace = Pace()

    async def open(self, ephemeral: Ephemeral, expires: int) -> int:
        """Open one more until then, and return its port; 0 where this hub is in no network.

        Raises OSError where none of the ports that were tried is free on all addresses.
        """
        self._close_old()
        if not self.addresses:
            return 0
        sockets = _bound(self.addresses)
        port: int = sockets[0].getsockname()[1]
        made = tls.GivenTls(ephemeral.certificate, ephemeral.key)
        answer = _Answering(self, port)
        ports = [
            self._server.open(
                Listener(f"near {port}", one, answer, made, settings.HUB_MAX_BODY, cancels=True)
            )
            for one in sockets
        ]
        for one in sockets:  # The reactor has descriptors of its own.
            one.close()
        self._doors[port] = Door(ports, expires)
        return port

    def hand_out(self, port: int, stream: bytes) -> None:
        """Hand out an announcement at one of them, and nothing at the others."""
        for number, door in self._doors.items():
            door.stream = stream if number == port else b""

    def stream(self, port: int) -> bytes:
        """Return what is handed out there."""
        door = self._doors.get(port)
        return door.stream if door is not None else b""

    def is_too_fast(self, address: str) -> bool:
        """Tell whether somebody asks too often, and count that they have."""
        return self._pace.is_too_fast(address, time.monotonic())

    def close(self) -> None:
        """Close them all."""
        for port in [*self._doors]:
            self._doors.pop(port).close()

    def _close_old(self) -> None:
        now = milliseconds()
        old = [port for port, door in self._doors.items() if door.expires <= now]
        for port in [*old, *self._doors][: max(len(old), len(self._doors) - _MOST_DOORS + 1)]:
            self._doors.pop(port).close()

    async def hand_on(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        """Hand a request of somebody who is known to the API."""
        await self._api({**scope, "hub.listener": "api"}, receive, send)


class Pace:
    """How often each address has asked in the current window."""

    def __init__(self, most: int = _ANONYMOUS) -> None:
        self._most, self._began = most, 0.0
        self._counts: Counter[str] = Counter()

    def is_too_fast(self, address: str, now: float) -> bool:
        """Tell whether an address asks too often, and count that it has."""
        if now - self._began >= _WINDOW or len(self._counts) > _MOST_ADDRESSES:
            self._counts.clear()
            self._began = now
        self._counts[address] += 1
        return self._counts[address] > self._most


class _Answering:
    """The application of one door."""

    def __init__(self, doors: Doors, port: int) -> None:
        self._doors, self._port = doors, port

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        """Answer one request."""
        path, client = scope["path"], scope["client"][0]
        if path in (PATH, hello.WAITING) and self._doors.is_too_fast(client):
            await _say(send, 429)
        elif path == PATH and scope["method"] == "GET":
            stream = self._doors.stream(self._port)
            await _say(send, 200 if stream else 204, stream)
        elif path == hello.WAITING and scope["method"] == "POST":
            await self._waiting(client, receive, send)
        else:
            await self._if_known(scope, receive, send)

    async def _waiting(self, client: str, receive: Any, send: Send) -> None:
        answer = None
        if self._doors.nearby is not None:
            try:
                answer = await self._doors.nearby.greeted(client, await _body(receive))
            except DiscoveryError:
                answer = None
        await _say(send, 404 if answer is None else 200, answer or b"")

    async def _if_known(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        leaf, others = scope["hub.peer"]
        caller = await authenticate(leaf, others)
        if caller.principal_id is None:
            await _say(send, 404)
        elif scope["path"] == hello.HERE and scope["method"] == "POST":
            await self._here(scope, receive, send)
        else:
            await self._doors.hand_on(scope, receive, send)

    async def _here(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        leaf, others = scope["hub.peer"]
        try:
            keys = certs.verified_keys(leaf, others)
            if self._doors.nearby is not None:
                body = await _body(receive)
                await self._doors.nearby.here(keys, scope["client"][0], body)
        except (DiscoveryError, KeyFormatError):
            await _say(send, 400)
            return
        await _say(send, 204)


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > hello.LARGEST:
            return body


async def _say(send: Send, status: int, body: bytes = b"") -> None:
    headers = [(b"cache-control", b"no-cache")]
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    if body:
        headers.append((b"content-type", b"application/octet-stream"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bound(addresses: Sequence[str]) -> list[socket.socket]:
    """Return listening sockets of one free port on all the addresses; raises OSError."""
    for _ in range(_TRIES):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                port = sockets[0].getsockname()[1] if sockets else 0
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                sockets.append(
                    socket.create_server((address, port), family=family, backlog=_BACKLOG)
                )
        except OSError:  # The port is taken at one of them, or an address has gone.
            for one in sockets:
                one.close()
            continue
        return sockets
    raise OSError(f"No port can be opened on {', '.join(addresses)}.")
