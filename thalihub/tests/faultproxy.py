"""A TCP proxy that knows nothing of TLS and fails at a given byte.

It counts the bytes that go each way, over all connections, and does one mischief when the count
comes to the armed offset.  After that it is an honest proxy again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What goes wrong."""

    CUT = "cut"
    """Both sides are reset."""
    TRUNCATE = "truncate"
    """Both sides are closed in order, as if that had been all."""
    CORRUPT = "corrupt"
    """One bit is another."""
    DELAY = "delay"
    """Nothing more comes for as long as somebody waits."""


class To(StrEnum):
    """Which way the bytes go."""

    SERVER = "server"
    CLIENT = "client"


class Fault(NamedTuple):
    """One mischief."""

    kind: Kind
    to: To
    offset: int


class FaultProxy:
    """Stands before a port of this machine; use it as an asynchronous context manager."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.passed: Counter[To] = Counter()
        self._server_port = port
        self._fault: Fault | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        # The clients have gone, so each connection comes to its end.
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=30)
        await self._server.wait_closed()

    def arm(self, fault: Fault | None) -> None:
        """Count from the beginning, and do this when its offset is reached."""
        self.passed.clear()
        self._fault = fault

    @property
    def has_failed(self) -> bool:
        """Whether the mischief is done."""
        return self._fault is None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._server_port)
        ways = [
            asyncio.create_task(self._carry(reader, there[1], To.SERVER)),
            asyncio.create_task(self._carry(there[0], writer, To.CLIENT)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            done = await asyncio.gather(*ways, return_exceptions=True)
            if any(isinstance(one, _Reset) for one in done):
                for end in (writer, there[1]):
                    end.transport.abort()
            for end in (writer, there[1]):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: To
    ) -> None:
        while piece := await reader.read(65536):
            start = self.passed[to]
            self.passed[to] += len(piece)
            fault = self._fault
            if fault is None or fault.to != to or not start <= fault.offset < self.passed[to]:
                writer.write(piece)
                await writer.drain()
                continue
            self._fault = None
            at = fault.offset - start
            if fault.kind is Kind.CORRUPT:
                writer.write(piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :])
                await writer.drain()
                continue
            writer.write(piece[:at])
            await writer.drain()
            if fault.kind is Kind.CUT:
                raise _Reset
            if fault.kind is Kind.TRUNCATE:
                return
            await asyncio.Event().wait()  # Until the other side gives up.


class _Reset(Exception):
    """The connection is to be reset."""
