"""A client that costs little: one kept-alive TLS connection, HTTP/1.1, no conveniences.

The bench shares the machine with the hub, so what the client wastes the hub cannot use.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson


class Answer(NamedTuple):
    """A status and the whole body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the parsed body."""
        return orjson.loads(self.body)


class Connection:
    """One connection to a hub; open it with `connect`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        self.reader = reader
        self._writer = writer
        self._host = host

    @classmethod
    async def connect(cls, url: str, context: ssl.SSLContext) -> Connection:
        """Shake hands with the server of `url`."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port, ssl=context, limit=2**22
        )
        return cls(reader, writer, parts.netloc)

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()

    async def send(
        self, method: str, target: str, body: bytes | None = None, kind: str = "application/json"
    ) -> None:
        """Send a request, and do not wait."""
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n"
        if body is not None:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + (body or b""))
        await self._writer.drain()

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        """Read a status and the headers, their names in lower case."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        pairs = (line.split(b":", 1) for line in lines)
        return int(first.split(b" ")[1]), {name.lower(): value.strip() for name, value in pairs}

    async def request(
        self, method: str, target: str, body: bytes | None = None, kind: str = "application/json"
    ) -> Answer:
        """Send a request and return its answer; raises RuntimeError on an answer above 399."""
        await self.send(method, target, body, kind)
        status, headers = await self.head()
        content = await self._body(headers)
        if status >= 400:
            raise RuntimeError(f"{method} {target}: {status} {content[:300]!r}")
        return Answer(status, content)

    async def _body(self, headers: dict[bytes, bytes]) -> bytes:
        if headers.get(b"transfer-encoding") != b"chunked":
            return await self.reader.readexactly(int(headers.get(b"content-length", 0)))
        parts = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            parts.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return b"".join(parts)

    async def post(self, target: str, value: Any) -> Any:
        """Send JSON, and return the JSON of the answer."""
        return (await self.request("POST", target, orjson.dumps(value))).json()
