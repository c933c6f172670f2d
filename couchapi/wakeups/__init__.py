"""Wake-ups: a write in any process lets every process's feeds look again, within milliseconds.

A wake-up says only "look at this database"; losing one costs time, never data.  Inside a process
it sets the events of the waiting feeds.  Between processes it is a datagram to the Unix sockets
in the data folder (`local`), and where there is Redis, a message that reaches the processes of
other hosts too (`remote`; design/replication.md, "What a hub adds").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

from django.conf import settings

from couchapi.wakeups import local, remote

ANY_DATABASE = ""
"""What a feed of _db_updates listens to."""


class Waiter:
    """A feed that waits; it belongs to the event loop it was made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Let the feed look again; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # The loop has closed: nobody waits.
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Return True when woken, False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


_waiters: dict[str, set[Waiter]] = defaultdict(set)


@contextlib.contextmanager
def listening(db_name: str) -> Iterator[Waiter]:
    """Give a waiter that is woken by every later write to `db_name`."""
    local.mailbox().receive(wake)
    if settings.REDIS_URL:
        remote.channel().receive(wake, wake_all)
    waiter = Waiter()
    _waiters[db_name].add(waiter)
    try:
        yield waiter
    finally:
        _waiters[db_name].discard(waiter)
        if not _waiters[db_name]:
            del _waiters[db_name]


def announce(db_name: str) -> None:
    """Wake the feeds of `db_name` in every process of this hub."""
    wake(db_name)
    local.mailbox().send(db_name)
    if settings.REDIS_URL:
        remote.channel().send(db_name)


def wake(db_name: str) -> None:
    """Wake the feeds of `db_name` in this process."""
    for key in (db_name, ANY_DATABASE):
        for waiter in tuple(_waiters.get(key, ())):
            waiter.wake()


def wake_all() -> None:
    """Wake every feed in this process: something may have been written unseen."""
    for waiters in tuple(_waiters.values()):
        for waiter in tuple(waiters):
            waiter.wake()
