"""Limits of bytes a second, kept where bytes pass: at the connection of each run, both ways.

What all runs may use together is shared by all processes of the hub: each looks at the rows of
what runs, comes to the same shares, and keeps to those of its own runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

import httpx

from acl import sql
from replication.core import bandwidth
from replication.core.bandwidth import Bucket
from replication.store import links, policy

_PIECE = 64 * 1024


class Meter:
    """Counts the bytes of one run, and makes it wait where it has used up its share."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.moved = 0
        self._bucket = Bucket(bandwidth.UNLIMITED)
        self._clock = clock
        self._sleep = sleep

    @property
    def is_limited(self) -> bool:
        """Whether it has a limit now."""
        return bool(self._bucket.rate)

    def allow(self, rate: float) -> None:
        """Give it so many bytes a second from now on; 0: no limit."""
        self._bucket = bandwidth.changed(self._bucket, rate, self._clock())

    async def passes(self, size: int) -> None:
        """Note that so many bytes went or came."""
        self.moved += size
        self._bucket, wait = bandwidth.take(self._bucket, size, self._clock())
        if wait:
            await self._sleep(wait)

    def watch(self, client: httpx.AsyncClient) -> None:
        """Count all that goes over a connection."""

        async def went(request: httpx.Request) -> None:
            request.stream = _Metered(request.stream, self)

        async def came(response: httpx.Response) -> None:
            response.stream = _Metered(response.stream, self)

        client.event_hooks = {"request": [went], "response": [came]}


class _Metered(httpx.AsyncByteStream):
    def __init__(self, stream: object, meter: Meter) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self._meter = meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            for piece in self._pieces(chunk):
                await self._meter.passes(len(piece))
                yield piece

    def _pieces(self, chunk: bytes) -> Iterable[bytes]:
        if not self._meter.is_limited or len(chunk) <= _PIECE:
            return (chunk,)
        return (chunk[at : at + _PIECE] for at in range(0, len(chunk), _PIECE))

    async def aclose(self) -> None:
        await self._stream.aclose()


class Meters:
    """Those of the runs of this process, by link."""

    def __init__(self) -> None:
        self._of_link: dict[int, Meter] = {}

    def begin(self, link: int) -> Meter:
        """Return the meter of a run that begins."""
        return self._of_link.setdefault(link, Meter())

    def end(self, link: int) -> None:
        """Forget a run."""
        self._of_link.pop(link, None)

    async def share(self) -> None:
        """Give every run here its share of now."""
        now = time.time()
        total = (await sql.point(policy.read)).chosen.limit
        shares = bandwidth.allot(total, await sql.point(partial(links.limits, now=now)))
        for link, meter in self._of_link.items():
            meter.allow(shares.get(link, bandwidth.UNLIMITED))
