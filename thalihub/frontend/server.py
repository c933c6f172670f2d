"""Daphne for the hub: mutual TLS on sockets that we are given, bodies on demand, slow clients cut.

Daphne brings the reactor, WebSockets and the shutdown; this replaces its way with HTTP requests
(`channel`: the connection; `exchange`: one request).  Its command line is not used, because it
opens a port without TLS.

An application finds in its scope, beside ASGI's own:
    hub.listener    "api", "pages" or "onion"
    hub.peer        (leaf DER or None, the other certificates' DER): thalihub/frontend/tls.py
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from daphne.server import Server, twisted_loop  # First: it installs the asyncio reactor.

from daphne.http_protocol import HTTPFactory  # isort: skip
from twisted.internet import defer, reactor
from twisted.internet.interfaces import IAddress
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from thalihub.frontend import promptport, tls
from thalihub.frontend.channel import HubChannel
from thalihub.frontend.exchange import Exchange
from thalihub.frontend.limits import Limits

logger = logging.getLogger(__name__)

_LARGEST_MESSAGE = 64 * 1024
"""Bytes that a page may send in one message of a WebSocket."""

Application = Callable[[dict[str, Any], Any, Any], Any]


@dataclass(frozen=True)
class Listener:
    """A bound socket and what answers there."""

    name: str
    socket: socket.socket
    application: Application
    tls: tls.Maker
    max_body: int
    websockets: bool = False
    cancels: bool = False
    """Whether the application is cancelled at once when its client goes away."""


class HubFactory(HTTPFactory):
    """Makes the connections of one listener."""

    protocol = HubChannel

    def __init__(self, server: HubServer, listener: Listener) -> None:
        super().__init__(server)
        self.listener = listener

    def buildProtocol(self, addr: IAddress) -> HubChannel:  # noqa: N802 (Twisted's name, as below)
        """Return the channel of a new connection."""
        self.server.make_room()
        channel = super().buildProtocol(addr)
        channel.requestFactory = Exchange
        channel.timeOut = None
        return channel

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802
        """Return what ALPN may choose: HTTP/2 costs three times as much in Twisted."""
        return [tls.HTTP_1_1]

    def log(self, request: object) -> None:
        """Keep no access log."""


class HubServer(Server):
    """Serves `listeners` until the process gets SIGTERM or SIGINT."""

    def __init__(
        self, listeners: Sequence[Listener], limits: Limits, on_ready: Callable[[], None]
    ) -> None:
        pages = next((one.application for one in listeners if one.websockets), None)
        super().__init__(pages, endpoints=["-"], ready_callable=self._listen)
        self.endpoints = []  # Ours are sockets, not Twisted's descriptions.
        self.hub_listeners = listeners
        self.limits = limits
        self.loop: asyncio.AbstractEventLoop = twisted_loop
        self.channels: set[HubChannel] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._ports: list[Any] = []
        self._on_ready = on_ready

    def _listen(self) -> None:
        self.ws_factory.setProtocolOptions(
            maxFramePayloadSize=_LARGEST_MESSAGE, maxMessagePayloadSize=_LARGEST_MESSAGE
        )
        for listener in self.hub_listeners:
            self._ports.append(self.open(listener))
        self.loop.call_later(self._sweep_seconds, self._sweep)
        reactor.callWhenRunning(self._on_ready)

    def open(self, listener: Listener) -> Any:
        """Accept connections on one more socket, and return Twisted's port."""
        factory = TLSMemoryBIOFactory(listener.tls, False, HubFactory(self, listener))
        # The exchange writes whole pieces: Twisted's own collecting of small writes would only
        # cost another turn of the loop for each answer.
        factory.protocol = TLSMemoryBIOProtocol
        return promptport.listen(listener.socket, factory)

    @property
    def _sweep_seconds(self) -> float:
        limits = self.limits
        return min(1.0, limits.header_seconds / 4, limits.body_seconds / 4, limits.idle_seconds / 4)

    def _sweep(self) -> None:
        now = time.monotonic()
        for channel in [one for one in self.channels if one.deadline < now]:
            channel.cut()
        self.loop.call_later(self._sweep_seconds, self._sweep)

    def make_room(self) -> None:
        """End one connection where there are as many as there may be.

        It is one that waits for its client, the nearest to its deadline: a stranger can hold no
        other.  If all are being answered, it is one of whoever has the most.
        """
        if len(self.channels) < self.limits.connections:
            return
        waiting = [one for one in self.channels if one.deadline < math.inf]
        if waiting:
            victim = min(waiting, key=lambda one: one.deadline)
        else:
            leaves = Counter(one.shown[0].leaf for one in self.channels)
            ((busiest, _),) = leaves.most_common(1)
            victim = next(one for one in self.channels if one.shown[0].leaf == busiest)
        self.channels.discard(victim)
        victim.abort()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Run the application of a WebSocket with the hub's own keys in its scope."""
        shown = tls.peer(protocol.transport)
        scope["scheme"] = "wss"
        scope.setdefault("extensions", {})["tls"] = tls.extension(protocol.transport, shown)
        scope["hub.peer"], scope["hub.listener"] = shown, "pages"
        return super().create_application(protocol, scope)

    def kill_all_applications(self) -> defer.Deferred[Any]:
        """Let running requests end, for `stop_seconds`; feeds are told to end at once."""
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._stop(), loop=self.loop))

    async def _stop(self) -> None:
        for port in self._ports:
            port.stopListening()
        for channel in list(self.channels):
            for exchange in channel.requests:
                exchange.stop()
        if self.tasks:
            await asyncio.wait(set(self.tasks), timeout=self.limits.stop_seconds)
        leftover = {*self.tasks, *self._websocket_tasks()}
        for task in leftover:
            task.cancel()
        if leftover:
            await asyncio.wait(leftover, timeout=1)
        if self._ports:  # Else it has rested, as it does again and again while nothing is wanted.
            logger.info("Stopped.")

    def _websocket_tasks(self) -> set[asyncio.Future[Any]]:
        running = (details.get("application_instance") for details in self.connections.values())
        return {task for task in running if task is not None and not task.done()}
