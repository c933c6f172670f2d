"""A client that sends exactly the bytes it is told to, over TLS, and reads whole answers."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)


class Client:
    """One connection; `pending` are bytes that were read too far."""

    def __init__(self, port: int, folder: Path | None = None, small_window: bool = False) -> None:
        raw = socket.socket()
        if small_window:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", port))
        self.socket = context(folder).wrap_socket(raw)
        self.pending = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send `data`."""
        self.socket.sendall(data)

    def request(self, method: str, target: str, *lines: str, body: bytes = b"") -> None:
        """Send a request with a Host header and the header `lines`."""
        head = [f"{method} {target} HTTP/1.1", "Host: hub", *lines]
        self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def ask(self, method: str, target: str, *lines: str, body: bytes = b"") -> Answer:
        """Send a request and return its answer."""
        self.request(method, target, *lines, body=body)
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        """Return the next answer; raises EOFError when the connection ends before its end."""
        status, headers = self.head()
        if method == "HEAD" or status in {100, 204, 304}:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunks())
        if "content-length" in headers:
            return Answer(status, headers, self.read(int(headers["content-length"])))
        return Answer(status, headers, self.rest())

    def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and headers of the next answer."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in pairs}

    def _chunks(self) -> bytes:
        parts = []
        while part := self.chunk():
            parts.append(part)
        return b"".join(parts)

    def chunk(self) -> bytes:
        """Return the next chunk of a chunked answer; an empty one is the last."""
        data = self.read(int(self._until(b"\r\n"), 16))
        self.read(2)
        return data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.pending:
            self._more()
        found, _, self.pending = self.pending.partition(mark)
        return found

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        while len(self.pending) < count:
            self._more()
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self.pending)
        self.pending += data

    def rest(self) -> bytes:
        """Return everything until the server ends the connection."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError, ssl.SSLEOFError):
            data, self.pending = self.pending, b""
            return data


def context(folder: Path | None) -> ssl.SSLContext:
    """Return a client's TLS; with a folder, it shows `client.crt` there."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if folder is not None:
        made.load_cert_chain(folder / "client.crt", folder / "client.key")
    return made
