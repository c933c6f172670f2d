"""The bytes of an HTTP/1.1 answer.  Pure: the connection is thalihub/frontend/exchange.py.

An answer's body is framed in one of four ways: by its length, in chunks, by the end of the
connection (HTTP/1.0), or it has none (HEAD, 204, 304).  A framing that the application broke,
by sending less than it declared, can only be mended by cutting the connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus

RawHeaders = Iterable[tuple[bytes, bytes]]

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_BODY = frozenset({204, 304})
_OURS = frozenset({b"connection", b"transfer-encoding", b"keep-alive"})


class Answer:
    """One answer on its way: `head` is for the wire, then `encode` each part of the body."""

    def __init__(
        self,
        status: int,
        headers: RawHeaders,
        *,
        method: bytes,
        version: bytes,
        first: int,
        more: bool,
    ) -> None:
        """Choose the framing, by the length of the `first` part and whether `more` comes.

        Raises ValueError for a header that would break out of its line.
        """
        self.status = status
        self._lines = [b"%b: %b\r\n" % (k, v) for k, v in headers if k.lower() not in _OURS]
        _check_lines(self._lines)
        declared = _declared_length(headers)
        self._left: int | None = declared
        self._silent = method == b"HEAD" or status in _WITHOUT_BODY
        self._chunked = False
        self.needs_close = False
        if self._silent:
            self._left = None
        elif declared is None:
            self._frame(version, first, more)
        if method == b"HEAD" and declared is None and not more:
            self._lines.append(b"content-length: %d\r\n" % first)

    @property
    def endless(self) -> bool:
        """Whether nobody has said how long the body will be."""
        return self._chunked or self.needs_close

    def _frame(self, version: bytes, first: int, more: bool) -> None:
        if not more:
            self._left = first
            self._lines.append(b"content-length: %d\r\n" % first)
        elif version == b"HTTP/1.1":
            self._chunked = True
            self._lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self.needs_close = True

    def head(self, date: bytes, *, keep_alive: bool) -> bytes:
        """Return the status line and the headers."""
        line = _STATUS_LINES.get(self.status) or b"HTTP/1.1 %d Status\r\n" % self.status
        tail = b"date: %b\r\n\r\n" if keep_alive else b"date: %b\r\nconnection: close\r\n\r\n"
        return b"".join((line, *self._lines, tail % date))

    def encode(self, part: bytes) -> bytes:
        """Return `part` as it stands on the wire.

        Raises ValueError when the application sends more than it declared.
        """
        if self._silent or not part:
            return b""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(part), part)
        if self._left is not None:
            self._left -= len(part)
            if self._left < 0:
                raise ValueError("The answer is longer than its Content-Length.")
        return part

    def end(self) -> bytes:
        """Return what stands after the last part.

        Raises ValueError when the application sent less than it declared.
        """
        if self._left:
            raise ValueError("The answer is shorter than its Content-Length.")
        return b"0\r\n\r\n" if self._chunked else b""


def _check_lines(lines: list[bytes]) -> None:
    joined = b"".join(lines)
    if not joined.count(b"\n") == joined.count(b"\r") == len(lines):
        raise ValueError("A header of the answer holds a line break.")


def _declared_length(headers: RawHeaders) -> int | None:
    for name, value in headers:
        if name.lower() == b"content-length":
            return int(value)
    return None


def refusal(status: int, word: str, reason: str) -> bytes:
    """Return a whole answer in CouchDB's form for an error; the connection ends after it."""
    body = json.dumps({"error": word, "reason": reason}, separators=(",", ":")).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"must-revalidate"),
        (b"content-length", b"%d" % len(body)),
    ]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    line = _STATUS_LINES[status]
    return b"".join((line, lines, b"connection: close\r\n\r\n", body))
