"""The process that waits: it holds all feeds, and wakes the workers when there is something to do.

Waiting is separate from working (design/replication.md, "What a hub adds").  Each hub that we pull
from has one feed of its databases' changes, however many of them are replicated; each server has
one for each database.  Local writes come by wake-ups.  What is found becomes rows that are due, and
a message to the workers that says "look".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from asgiref.sync import sync_to_async
from kombu.exceptions import OperationalError

from acl import gate, sql
from couchapi import wakeups
from couchapi.store import databases
from couchapi.wakeups import ANY_DATABASE
from replication import documents, manager, watching
from replication.core.job import Priority
from replication.store import jobs, policy, waking
from replication.tasks import look

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_MESSAGE_SECONDS = 5.0
_TOGETHER_SECONDS = 0.02
_AFTER_FAILURE_SECONDS = 10.0
_EVENTS = 1000


async def keep() -> None:
    """Wait, and have done what is due, until cancelled."""
    waiting = _Waiting()
    try:
        while True:
            try:
                await waiting.go_on()
            except Exception as error:  # The outermost line of a process with other work, too.
                said = "Waiting for changes has failed; trying again."
                await sql.recover(logger, error, said)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
    finally:
        await waiting.end()


class _Waiting:
    def __init__(self) -> None:
        self._feeds: dict[object, asyncio.Task[None]] = {}
        self._last_event = 0
        self._world: object = None
        self._documents: object = None
        self._policy: object = None
        self._said_at = 0.0

    async def go_on(self) -> None:
        """Look whenever something was written, and again after a while."""
        self._last_event = await sql.point(databases.last_event)
        # What was written before, nobody has seen.
        await sql.write(partial(waking.wake_pushes, now=time.time()))
        self._world = self._documents = None
        woken = True
        with wakeups.listening(ANY_DATABASE) as waiter:
            while True:
                await self._turn(woken)
                woken = await waiter.wait(await _rest())
                # What comes together is looked at together.
                await asyncio.sleep(_TOGETHER_SECONDS)

    async def _turn(self, woken: bool) -> None:
        changed = await self._local_changes()
        if changed:
            await sql.write(partial(waking.wake_push, db_names=changed, now=time.time()))
        if await self._policy_has_changed():
            await sql.write(partial(waking.wake_left, now=time.time()))
        if await self._documents_have_changed():
            await documents.bring_up_to_date()
        if await self._world_has_changed():
            await sync_to_async(manager.bring_up_to_date)(time.time())
            await self._open_feeds()
        await self._say_look(woken)

    async def _local_changes(self) -> list[str]:
        read = partial(databases.events, since=self._last_event, limit=_EVENTS)
        found = await sql.point(read)
        if found:
            self._last_event = found[-1][0]
        return [name for _, name, _ in found]

    async def _world_has_changed(self) -> bool:
        """Tell whether jobs, databases or people are others than at the last look."""
        minute = time.time() // 60  # Jobs end by themselves, too.
        now = await sql.point(_jobs_and_databases), await gate.acl_version(), minute
        changed = now != self._world
        self._world = now
        return changed

    async def _policy_has_changed(self) -> bool:
        now = await sql.point(policy.read)
        changed = now != self._policy
        self._policy = now
        return changed

    async def _documents_have_changed(self) -> bool:
        now = await sql.point(documents.fingerprint)
        changed = now != self._documents
        self._documents = now
        return changed

    async def _say_look(self, woken: bool) -> None:
        """Send the workers a message; another one after seconds where the first was lost."""
        due = await sql.point(partial(waking.due_priorities, now=time.time()))
        if due and (woken or time.monotonic() - self._said_at > _MESSAGE_SECONDS):
            self._said_at = time.monotonic()
            await _send(min(due, key=lambda one: one.rank))

    async def _open_feeds(self) -> None:
        wanted = await _wanted_feeds()
        for place in self._feeds.keys() - wanted.keys():
            self._feeds.pop(place).cancel()
        for place in wanted.keys() - self._feeds.keys():
            self._feeds[place] = asyncio.create_task(watching.again_and_again(wanted[place]))

    async def end(self) -> None:
        """Close all feeds."""
        feeds = [*self._feeds.values()]
        for feed in feeds:
            feed.cancel()
        if feeds:
            await asyncio.wait(feeds)


def _jobs_and_databases(one: sql.Sql) -> object:
    return jobs.fingerprint(one), frozenset(databases.shared_names(one))


async def _rest() -> float:
    now = time.time()
    due_at = await sql.point(partial(waking.next_due, now=now))
    return max(_TOGETHER_SECONDS, min(_LOOK_SECONDS, due_at - now))


async def _wanted_feeds() -> dict[object, Callable[[], Awaitable[None]]]:
    hubs = await sql.point(partial(waking.watched_hubs, now=time.time()))
    servers = await sql.point(partial(waking.watched_servers, now=time.time()))
    return {
        **{one: partial(watching.watch_hub, *one) for one in hubs},
        **{one: partial(watching.watch_server, *one) for one in servers},
    }


async def _send(priority: Priority) -> None:
    send = partial(look.apply_async, queue=priority.value)
    try:
        await asyncio.get_running_loop().run_in_executor(None, send)
    except (OperationalError, OSError) as error:
        logger.warning("The workers could not be told to look: %s", error)
