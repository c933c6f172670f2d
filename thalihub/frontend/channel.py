"""One HTTP/1.1 connection: Twisted's parser, with a clock, a gentle end and back-pressure.

Twisted parses; this adds what a server on the open network needs.  A connection is always in one
phase, and each phase has a deadline that the server's sweep compares with the clock, so no timer
is made per request:

    headers   the request line and headers must be complete by `header_seconds`
    body      each `body_step` bytes must come within `body_seconds`, while we want to read
    answering the application has all the time it wants
    stuck     the client must take some of its answer within `write_seconds`
    idle      the next request must begin within `idle_seconds`
    ending    the last answer is sent; what still comes is dropped for `linger_seconds`

Requests are handed over when their headers are complete (`allHeadersReceived`), not when their
body is: see thalihub/frontend/exchange.py.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web import http

from thalihub import refusals
from thalihub.frontend import tls
from thalihub.frontend.answer import refusal

if TYPE_CHECKING:
    from thalihub.frontend.exchange import Exchange
    from thalihub.frontend.server import Listener

_LINGER_BYTES = 1024 * 1024
_BAD = re.compile(rb"[\r\n\0]")
_NAMES_KEPT = 256
_good_names: dict[bytes, bytes] = {}
_REQUEST_IS_TOO_LARGE = "The request line and headers are larger than 16 KB."


class HubChannel(http.HTTPChannel):
    """A connection of one of the hub's listeners."""

    timeOut = None  # Ours are the deadlines below.  # noqa: N815
    totalHeadersSize = MAX_LENGTH = 16384  # noqa: N815
    requests: list[Exchange]

    def connectionMade(self) -> None:  # noqa: N802 (Twisted's name, as below)
        """Begin the connection: TLS and the first headers share one deadline."""
        super().connectionMade()
        self.server = self.factory.server
        self.listener: Listener = self.factory.listener
        self.limits = self.server.limits
        self.deadline = time.monotonic() + self.limits.header_seconds
        self.writable = True
        self._idle = False
        self.ending = False
        self._dropped = 0
        self._drained: asyncio.Future[None] | None = None
        self._addresses: tuple[Any, Any] | None = None
        self._shown: tuple[tls.Peer, dict[str, Any]] | None = None
        self.server.channels.add(self)

    # Reading

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take bytes from the network."""
        if self.ending:
            self._drop(len(data))
            return
        if self._idle:
            self._idle = False
            self.deadline = time.monotonic() + self.limits.header_seconds
        LineReceiver.dataReceived(self, data)

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take a part of the body, or what follows a request that is not answered yet.

        Twisted would take any amount of the latter from a client that reads nothing.
        """
        if self._handlingRequest and self._waitingForTransport:
            self._networkProducer.pauseProducing()
        super().rawDataReceived(data)

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802
        """Take one header; names that Twisted found good before are not judged again."""
        raw, _, value = line.partition(b":")
        name = _good_names.get(raw)
        if name is None or self._receivedHeaderCount >= self.maxHeaders or _BAD.search(value):
            try:
                good: bool = super().headerReceived(line)
            except ValueError:  # Python reads no number of thousands of digits.
                self._respondToBadRequestAndDisconnect()
                return False
            if good and len(_good_names) < _NAMES_KEPT and _is_plain(raw):
                _good_names[raw] = raw.lower()
            return good
        self._receivedHeaderCount += 1
        self.requests[-1].headers.append((name, value.strip(b" \t")))
        return True

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Hand the request over, before its body has come."""
        exchange = self.requests[-1]
        self.deadline = math.inf
        if self.length != 0:
            self.watch_body()
        self.persistent = _persists(exchange.headers, self._version)
        exchange.begin(self._command, self._path, self._version, self.length)

    def watch_body(self) -> None:
        """Give the client `body_seconds` for the next step of the body."""
        self.deadline = time.monotonic() + self.limits.body_seconds

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """Refuse a header line of more than 16 KB."""
        self.refuse(400, "bad_request", _REQUEST_IS_TOO_LARGE)

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        self.refuse(400, "bad_request", "This is not an HTTP/1.1 request.")

    def requestDone(self, request: Exchange) -> None:  # noqa: N802
        """Go on to the next request, or end the connection."""
        self._idle = True
        self.deadline = time.monotonic() + self.limits.idle_seconds
        super().requestDone(request)

    # Writing

    def pauseProducing(self) -> None:  # noqa: N802
        """Note that the client reads slower than we write."""
        self.writable = False
        if not self.ending:
            self.deadline = time.monotonic() + self.limits.write_seconds
        super().pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        """Note that what we wrote is on its way."""
        self.writable = True
        if not (self.ending or self._idle):
            self.deadline = math.inf
            if self.requests and self.requests[-1].inbox.reading:
                self.watch_body()
        super().resumeProducing()
        self._wake()

    async def drained(self) -> None:
        """Wait until the client has taken what was written, or is gone."""
        while not self.writable and self in self.server.channels:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # The end

    def refuse(self, status: int, word: str, reason: str) -> None:
        """Answer the current request with an error of our own and end the connection."""
        if self.ending:
            return
        exchange = self.requests[-1] if self.requests else None
        if exchange is not None and exchange.answering:
            self.abort()
            return
        self.transport.write(refusal(status, word, reason))
        if exchange is not None:
            exchange.abandon()
        self.loseConnection()

    def loseConnection(self) -> None:  # noqa: N802
        """End the connection so that the client can still read its answer.

        Closing a socket with unread bytes resets it, and the client may then lose the answer: so
        TLS says goodbye, and what comes before the client's own goodbye is dropped.
        """
        self.ending = True
        self.deadline = time.monotonic() + self.limits.linger_seconds
        self._networkProducer.resumeProducing()
        super().loseConnection()

    def abort(self) -> None:
        """End the connection at once."""
        self.ending = True
        self.transport.abortConnection()

    def cut(self) -> None:
        """End a connection whose deadline has passed."""
        if self.ending:
            self.abort()
        elif self._idle:
            self.loseConnection()
        elif not self.writable or not self.requests:
            self.abort()
        else:
            self.refuse(408, "timeout", "The request came too slowly.")

    def _drop(self, count: int) -> None:
        self._dropped += count
        if self._dropped > _LINGER_BYTES:
            self._networkProducer.pauseProducing()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """Tell the request that its client is gone."""
        self.ending = True
        self.server.channels.discard(self)
        if self._shown is None and self.listener.cancels and reason.check(SSL.Error):
            # Not on the pages' port, where browsers warn of the certificate and try again.
            refusals.count(refusals.Why.TLS)
        super().connectionLost(reason)
        self._wake()

    # Who is at the other end

    @property
    def addresses(self) -> tuple[Any, Any]:
        """The client's and our own `[host, port]`."""
        if self._addresses is None:
            far, near = self.getPeer(), self.getHost()
            self._addresses = ([far.host, far.port], [near.host, near.port])
        return self._addresses

    @property
    def shown(self) -> tuple[tls.Peer, dict[str, Any]]:
        """What the client showed, and the ASGI TLS extension: read once per connection."""
        if self._shown is None:
            peer = tls.peer(self.transport)
            self._shown = (peer, tls.extension(self.transport, peer))
        return self._shown


def _is_plain(name: bytes) -> bool:
    # The framing of a body is always judged by Twisted.
    return b"_" not in name and name.lower() not in {b"content-length", b"transfer-encoding"}


def _persists(headers: list[tuple[bytes, bytes]], version: bytes) -> bool:
    """Return whether the connection stays (RFC 9112, 9.3); HTTP/1.0 asks anew each time."""
    if version != b"HTTP/1.1":
        return False
    return not any(
        b"close" in value.lower().replace(b" ", b"").split(b",")
        for name, value in headers
        if name == b"connection"
    )
