"""Feeds: a listing of changes that may go on while it is read.

A feed reads pages until there is nothing more; a live one then waits for a wake-up, sends
heartbeats so that both ends know the connection lives, and reads again.  It looks at the caller's
rights before it reads, and every few seconds while it waits: a right that was taken away ends it
(design/access-control.md).

The rows of a page are rendered where they are read, in the pool: one hop for 500 rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
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
    gone: bool = False
    """What the feed is about does not exist any more."""


class Reader(Protocol):
    """What reads one page that follows `since`, of at most `limit` rows."""

    def __call__(self, connection: sql.Sql, since: int, limit: int | None) -> Page:
        """Return the page."""


Source = Callable[[int, int | None], Awaitable[Page]]
"""Where a feed has its pages from: as a Reader, and it may take its time."""


def scanned(read: Reader) -> Source:
    """Return the source that reads in the pool."""

    async def source(since: int, limit: int | None) -> Page:
        return await sql.scan(partial(read, since=since, limit=limit))

    return source


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


class _Clock:
    """When the next heartbeat is due, and when a feed that has nothing to send ends."""

    def __init__(self, pace: Pace) -> None:
        self._now = asyncio.get_running_loop().time
        self._pace = pace
        self.restart()

    def restart(self) -> None:
        """Begin again: something was sent."""
        now, end, beat = self._now(), self._pace.end_ms, self._pace.heartbeat
        self._end = None if end is None else now + end / 1000
        self._beat = None if beat is None else now + beat / 1000

    def seconds(self) -> float:
        """Return how long the feed may sleep; it wakes to look at the caller's rights."""
        due = [at - self._now() for at in (self._end, self._beat) if at is not None]
        return max(0.0, min([_SECONDS_BETWEEN_CHECKS, *due]))

    def is_over(self) -> bool:
        """Tell whether nothing came for so long that the feed ends."""
        return self._end is not None and self._now() >= self._end

    def until_beat(self) -> float | None:
        """Return the seconds until the next heartbeat, None for none."""
        return None if self._beat is None else max(0.0, self._beat - self._now())

    def beats(self) -> bool:
        """Tell whether a heartbeat is due, and set the time of the next one."""
        if self._beat is None or self._now() < self._beat:
            return False
        self.restart()
        return True


async def follow(
    name: str, since: int, pace: Pace, source: Source, allowed: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Page, None]:
    """Give pages of the feed of database `name` that follow `since`, and HEARTBEAT between.

    Asks `allowed` before every page but the first, so that not a row is read with a right that
    was taken away, however busy the database is.
    """
    left = pace.limit
    clock = _Clock(pace)
    with wakeups.listening(name) as waiter:
        while True:
            reading = asyncio.ensure_future(source(since, left))
            try:
                while not await _is_done(reading, clock):
                    yield HEARTBEAT
            finally:
                reading.cancel()
            page = reading.result()
            since = page.last
            left = None if left is None else left - len(page.rows)
            if page.rows:
                clock.restart()
            yield page
            if left == 0 or _is_last(page, pace):
                return
            woken = not page.exhausted
            while not woken:
                woken = await waiter.wait(clock.seconds())
                if clock.is_over() or not await allowed():
                    return
                if clock.beats():
                    yield HEARTBEAT
            if not (page.exhausted or await allowed()):
                return
            if clock.beats():  # A filter may pass over very much.
                yield HEARTBEAT


async def _is_done(reading: asyncio.Future[Page], clock: _Clock) -> bool:
    """Wait for a page; return False when a heartbeat is due before."""
    while not reading.done():
        await asyncio.wait({reading}, timeout=clock.until_beat())
        if not reading.done() and clock.beats():
            return False
    return True


def _is_last(page: Page, pace: Pace) -> bool:
    if page.gone:
        return True
    return page.exhausted and (not pace.live or (pace.once and bool(page.rows)))
