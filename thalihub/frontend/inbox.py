"""The body of one request, between the connection that brings it and the application.

The application runs when the headers are there and asks for the body when it wants it.  Until it
asks, at most `HIGH` bytes wait here and then the connection is not read any further: an upload of
any size costs the same memory, and a caller without the right has nothing read at all.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

HIGH = 128 * 1024
_DISCONNECT = {"type": "http.disconnect"}


class Source(Protocol):
    """The connection, as the inbox needs it."""

    def pause_reading(self) -> None:
        """Let no more arrive."""

    def resume_reading(self) -> None:
        """Let more arrive."""

    def invite_body(self) -> None:
        """Tell a client that waits for "100 Continue" to go on."""


class Inbox:
    """A bounded queue of bytes with ASGI's `receive` at its end."""

    def __init__(self, source: Source, length: int | None) -> None:
        """Expect `length` bytes, or None: chunks until `complete`."""
        self.received = 0
        self.ended = length == 0
        self._source = source
        self._length = length
        self._parts: list[bytes] = []
        self._waiting = 0
        self._paused = False
        self._invited = False
        self._told_end = False
        self._discarding = False
        self._gone = False
        self._wake: asyncio.Future[None] | None = None

    @property
    def left(self) -> int | None:
        """Bytes that the client has still to send; None when only the client knows."""
        if self.ended:
            return 0
        return None if self._length is None else self._length - self.received

    @property
    def reading(self) -> bool:
        """Whether it is the client's turn: more has to come, and there is room for it."""
        return not (self.ended or self._paused)

    def put(self, data: bytes) -> None:
        """Take bytes of the body from the connection."""
        self.received += len(data)
        if self._discarding:
            return
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting > HIGH and not self._paused:
            self._paused = True
            self._source.pause_reading()
        self._notify()

    def end(self) -> None:
        """Note that the body is complete."""
        self.ended = True
        self._notify()

    def discard(self) -> None:
        """Drop what is here and what will come: the request is answered."""
        self._discarding = True
        self._take()

    def disconnect(self) -> None:
        """Note that the client is gone."""
        self._gone = True
        self._notify()

    async def receive(self) -> dict[str, Any]:
        """Return ASGI's next message: parts of the body, then (at the client's end) disconnect."""
        while not (self._parts or self._gone or self._says_end()):
            self._invite()
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self._gone:
            return dict(_DISCONNECT)
        body = self._take()
        self._told_end = self.ended
        return {"type": "http.request", "body": body, "more_body": not self.ended}

    def _says_end(self) -> bool:
        return self.ended and not self._told_end

    def _invite(self) -> None:
        if not self._invited and not self.ended:
            self._invited = True
            self._source.invite_body()

    def _take(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting = 0
        if self._paused:
            self._paused = False
            self._source.resume_reading()
        return body

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
