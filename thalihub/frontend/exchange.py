"""One request and its answer, as an ASGI conversation.

Daphne starts the application when the whole body has come.  Here it starts at the end of the
headers: it judges the caller first and asks for the body after.  The body waits in an `Inbox`;
the answer goes out in pieces, and `send` returns when the client has room for the next.

If the answer is there before the body is, a small rest of the body is read away and the
connection goes on; after a large one the connection ends.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from daphne.http_protocol import WebRequest
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from couchapi.core.errors import BodyTooLarge, CouchError
from thalihub.frontend.answer import Answer
from thalihub.frontend.inbox import Inbox
from thalihub.frontend.target import Target, check_headers, parse_target

if TYPE_CHECKING:
    from thalihub.frontend.channel import HubChannel

logger = logging.getLogger(__name__)

_PIECE = 64 * 1024
_SMALL_REST = 64 * 1024
_ASGI = {"version": "3.0", "spec_version": "2.4"}


class RequestHeaders(list[tuple[bytes, bytes]]):
    """Headers in the order of arrival, names in lower case, as ASGI wants them."""

    def addRawHeader(self, name: bytes, value: bytes) -> None:  # noqa: N802 (Twisted's name)
        """Take a header from the parser; `X_Y` is dropped, as Django takes it for `X-Y`."""
        if b"_" not in name:
            self.append((name.lower(), value))


class Exchange(WebRequest):
    """A request of `channel` and its answer.

    Daphne's own constructor is left out on purpose: what it prepares is for requests that are
    complete, and costs more than the rest of the request.
    """

    def __init__(self, channel: HubChannel, _queued: object = None) -> None:
        self.channel: HubChannel = channel
        self.server = channel.server
        self.transport = channel.transport
        self.requestHeaders = self.headers = RequestHeaders()
        self.inbox = Inbox(self, 0)
        self.answering = False
        self._answer: Answer | None = None
        self._start: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._head = b""
        self._over = False
        self._invited = False
        self._mark = 0

    # The request

    def begin(self, method: bytes, uri: bytes, version: bytes, length: int | None) -> None:
        """Run the application: the headers are complete, the body may not be."""
        self.method, self.uri, self.clientproto = method, uri, version
        self.inbox = Inbox(self, length)
        try:
            target = parse_target(uri)
            check_headers(self.headers)
            if length is not None and length > self.channel.listener.max_body:
                raise BodyTooLarge
        except CouchError as error:
            self.channel.refuse(error.status, error.word, error.reason)
            return
        self._raw_target = target
        if not self._is_websocket():
            self._run(target)

    def _run(self, target: Target) -> None:
        loop = self.server.loop
        application = self.channel.listener.application
        self._task = loop.create_task(
            application(self._scope(target), self.inbox.receive, self.send)
        )
        self.server.tasks.add(self._task)
        self._task.add_done_callback(self._ended)

    def _scope(self, target: Target) -> dict[str, Any]:
        client, server = self.channel.addresses
        peer, extension = self.channel.shown
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1" if self.clientproto == b"HTTP/1.1" else "1.0",
            "method": self.method.decode("ascii"),
            "scheme": "https",
            "path": target.path,
            "raw_path": target.raw_path,
            "query_string": target.query,
            "root_path": "",
            "headers": self.headers,
            "client": client,
            "server": server,
            "extensions": {"tls": extension},
            "hub.peer": peer,
            "hub.listener": self.channel.listener.name,
        }

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 (Twisted's name, as below)
        """Take a part of the body."""
        if self.channel.ending:
            return
        inbox = self.inbox
        inbox.put(data)
        if inbox.received > self.channel.listener.max_body:
            error = BodyTooLarge()
            self.channel.refuse(error.status, error.word, error.reason)
        elif inbox.received - self._mark >= self.channel.limits.body_step:
            self._mark = inbox.received
            if self.channel.deadline < float("inf"):
                self.channel.watch_body()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Note that the body is complete."""
        if self.channel.ending:
            return
        self.channel.deadline = float("inf")
        self.inbox.end()
        if self._over:
            self.channel.requestDone(self)
        elif self._task is None:
            self._become_websocket()

    def pause_reading(self) -> None:
        """Stop reading the connection (`inbox.Source`); the clock stops too."""
        self.channel.deadline = float("inf")
        self.channel._networkProducer.pauseProducing()

    def resume_reading(self) -> None:
        """Read the connection again."""
        if not self.inbox.ended:
            self.channel.watch_body()
        self.channel._networkProducer.resumeProducing()

    def invite_body(self) -> None:
        """Send "100 Continue" to a client that waits for it (RFC 9110, 10.1.1)."""
        if self._expects_continue() and not self.answering:
            self._invited = True
            self.channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _expects_continue(self) -> bool:
        return self.clientproto == b"HTTP/1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
        )

    # The answer

    async def send(self, message: dict[str, Any]) -> None:
        """Take ASGI's message, and return when there is room for another."""
        if self._over:
            return
        if message["type"] == "http.response.start":
            if self._start is not None:
                raise ValueError("The application began two answers.")
            self._start = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if len(body) > _PIECE:
            await self._send_pieces(memoryview(body), more)
        else:
            self._write(body, more)
        if more and not self.channel.writable and not self._over:
            await self.channel.drained()

    async def _send_pieces(self, body: memoryview, more: bool) -> None:
        # `more` tells the framing of the first piece, so a whole body keeps its length.
        if self._answer is None:
            self._begin_answer(len(body), more)
        for begin in range(0, len(body), _PIECE):
            if self._over:
                return
            last = begin + _PIECE >= len(body)
            self._write(bytes(body[begin : begin + _PIECE]), more or not last)
            if not self.channel.writable and not self._over:
                await self.channel.drained()

    def _begin_answer(self, first: int, more: bool) -> None:
        if self._start is None:
            raise ValueError("The application sent a body before its status.")
        answer = Answer(
            self._start["status"],
            self._start.get("headers", ()),
            method=self.method,
            version=self.clientproto,
            first=first,
            more=more,
        )
        if answer.needs_close or not self._rest_is_small():
            self.channel.persistent = False
        self._answer, self.answering = answer, True
        self._head = answer.head(_date(int(time.time())), keep_alive=bool(self.channel.persistent))

    def _rest_is_small(self) -> bool:
        left = self.inbox.left
        if left == 0:
            return True
        # A client that waits for its invitation may or may not send the body now.
        uncertain = self._expects_continue() and not self._invited
        return left is not None and left <= _SMALL_REST and not uncertain

    def _write(self, body: bytes, more: bool) -> None:
        if self._answer is None:
            self._begin_answer(len(body), more)
        answer: Any = self._answer
        head, self._head = self._head, b""
        data = head + answer.encode(body)
        if not more:
            data += answer.end()
        if data:
            self.channel.write(data)
        if not more:
            self._finish()

    def _finish(self) -> None:
        self._over = True
        if self.inbox.ended or not self.channel.persistent:
            self.channel.requestDone(self)
        else:
            self.inbox.discard()
            self.channel.watch_body()

    # The end

    def abandon(self) -> None:
        """End the conversation: the client is gone, or was refused."""
        self._over = True
        self.inbox.disconnect()
        task = self._task
        if task is None or task.done():
            return
        if self.channel.listener.cancels:
            task.cancel()
        else:
            self.server.loop.call_later(self.server.application_close_timeout, task.cancel)

    def stop(self) -> None:
        """End an open feed, because the server stops; an answer of known length may be finished."""
        feed = self._start is not None and (self._answer is None or self._answer.endless)
        if feed and self._task is not None:
            self._task.cancel()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """Tell the application that its client is gone."""
        self.abandon()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.server.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("An application failed.", exc_info=error)
        if self._over:
            return
        if self.answering or task.cancelled():
            self.channel.abort()
        else:
            self.channel.refuse(500, "internal_server_error", "The hub failed. See its log.")

    # WebSockets (pages only)

    def _is_websocket(self) -> bool:
        return self.channel.listener.websockets and any(
            k == b"upgrade" and v.lower() == b"websocket" for k, v in self.headers
        )

    def _become_websocket(self) -> None:
        if self._over:
            return
        channel = self.channel
        channel.server.channels.discard(channel)
        self.client, self.host = channel.getPeer(), channel.getHost()
        self.path, self.content = self._raw_target.raw_path, io.BytesIO()
        self.requestHeaders = Headers()
        for name, value in self.headers:
            self.requestHeaders.addRawHeader(name, value)
        self.server.protocol_connected(self)
        WebRequest.process(self)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")
