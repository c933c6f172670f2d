"""Feeds: a listing of changes that may go on while it is read.

A feed reads pages until there is nothing more; a live one then waits for a wake-up, sends
heartbeats so that both ends know the connection lives, and reads again.  It looks at the caller's
rights every few seconds: a right that was taken away ends it (design/access-control.md).

The rows of a page are rendered where they are read, in the pool: one hop for 500 rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from acl import sql
from couchapi import wakeups

_SECONDS_BETWEEN_CHECKS = 4.0
DEFAULT_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Page:
    """Rows that are ready to send; `last` is where the next page begins."""

    rows: list[bytes]
    last: int
    exhausted: bool
    pending: int = 0


class Reader(Protocol):
    """What reads one page that follows `since`, of at most `limit` rows."""

    def __call__(self, connection: sql.Sql, since: int, limit: int | None) -> Page: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a feed goes on; times are in milliseconds."""

    live: bool
    once: bool = False
    """A long poll: it ends with the first rows."""
    heartbeat: int | None = None
    timeout: int | None = None
    limit: int | None = None

    @property
    def end_ms(self) -> int | None:
        """A heartbeat keeps the feed for ever, else it ends when nothing came for this long."""
        if self.heartbeat is not None:
            return None
        return DEFAULT_TIMEOUT_MS if self.timeout is None else self.timeout


HEARTBEAT = Page([], 0, exhausted=False)
"""What stands in the feed where a heartbeat is due."""


async def follow(
    name: str, since: int, pace: Pace, read: Reader, allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Page]:
    """Give pages of the feed of database `name` that follow `since`, and HEARTBEAT between."""
    left = pace.limit
    with wakeups.listening(name) as waiter:
        while True:
            page = await sql.scan(partial(read, since=since, limit=left))
            since = page.last
            left = None if left is None else left - len(page.rows)
            yield page
            if left == 0 or (page.exhausted and (not pace.live or (pace.once and page.rows))):
                return
            if page.exhausted:
                async for beat in _wait(waiter, pace, allowed):
                    if beat is None:
                        return
                    yield beat


async def _wait(
    waiter: wakeups.Waiter, pace: Pace, allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Page | None]:
    """Wait for a wake-up, giving HEARTBEAT when one is due, and None where the feed is to end."""
    clock = asyncio.get_running_loop().time
    end = None if pace.end_ms is None else clock() + pace.end_ms / 1000
    beat = None if pace.heartbeat is None else clock() + pace.heartbeat / 1000
    while True:
        due = [at - clock() for at in (end, beat) if at is not None]
        if await waiter.wait(max(0.0, min([_SECONDS_BETWEEN_CHECKS, *due]))):
            return
        if not await allowed() or (end is not None and clock() >= end):
            yield None
            return
        if beat is not None and clock() >= beat:
            beat = clock() + (pace.heartbeat or 0) / 1000
            yield HEARTBEAT
