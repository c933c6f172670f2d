"""Work on databases that nobody waits for: Celery runs it, the database says what is to be done.

A lost message costs time, never work: the housekeeping finds again what was not finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from itertools import groupby
from operator import itemgetter

from celery import shared_task
from celery.app.task import Task
from kombu.exceptions import OperationalError

from acl import sql
from couchapi import upkeep
from couchapi.core.errors import DatabaseMissing, WorkerUnreachable
from couchapi.store import attachments, contents, held, indexes, maintenance, space, writes

_AT_ONCE = 200


async def later(task: Task, *args: str) -> None:
    """Hand `task` to a worker; sending blocks, so not on the event loop.

    Raises WorkerUnreachable.
    """
    try:
        await asyncio.get_running_loop().run_in_executor(None, partial(task.delay, *args))
    except (OperationalError, OSError) as error:
        raise WorkerUnreachable from error


@shared_task(ignore_result=True)
def compact(db_name: str) -> None:
    """Forget the bodies of old revisions of one database."""
    upkeep.compact(db_name)
    remove_contents(int(time.time()))


@shared_task(ignore_result=True)
def look_after() -> None:
    """Measure what databases take, and compact them where that is due."""
    upkeep.look_after()
    remove_contents(int(time.time()))


@shared_task(ignore_result=True)
def measure() -> None:
    """Measure what has changed, for somebody who looks at it now."""
    upkeep.catch_up()


@shared_task(ignore_result=True)
def housekeeping() -> None:
    """Remove dropped databases and abandoned uploads, and settle what is due."""
    while sql.write_sync(maintenance.drop_slice):
        pass
    remove_indexes()
    space.keep_ballast()
    remove_contents(int(time.time()))
    settle(time.time_ns() // 1_000_000)


def remove_contents(now: int) -> None:
    """Remove the attachments that nothing needs any more; `now` in seconds."""
    sql.write_sync(partial(attachments.give_up, now=now))
    with contents.removing() as may_remove:
        while may_remove and (blobs := sql.read_sync(partial(attachments.gone, limit=_AT_ONCE))):
            contents.remove(blobs)
            sql.write_sync(partial(attachments.forget, blobs=blobs))


@shared_task(ignore_result=True)
def remove_indexes() -> None:
    """Remove the rows of indexes that are out of use."""
    while sql.write_sync(indexes.remove_slice):
        pass


def settle(now_ms: int) -> None:
    """Let the resolver look again at documents whose held stamps are due (conflicts.md, R4)."""
    while due := sql.read_sync(partial(held.due, now_ms=now_ms, limit=_AT_ONCE)):
        for db_name, rows in groupby(sorted(due), key=itemgetter(0)):
            docids = [docid for _, docid in rows]
            job = partial(writes.settle_due, db_name=db_name, docids=docids, now_ms=now_ms)
            with contextlib.suppress(DatabaseMissing):  # It has just been deleted.
                sql.write_sync(job)
