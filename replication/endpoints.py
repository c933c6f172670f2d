"""CouchDB's routes of replication: `_replicate`, `_scheduler` and `_active_tasks`.

`_replicate` makes a job like any other, which a worker runs; the request only waits for its end.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.policy import Right
from couchapi import parsers, renderers, wakeups
from couchapi.core.errors import NotFound
from couchapi.endpoints.base import Endpoint
from couchapi.store import works
from replication import asking, manager, rights
from replication.core import couchwords
from replication.core import job as words
from replication.core import request as requests
from replication.core.couchwords import Link
from replication.core.job import Direction, Mode, State, Wish
from replication.store import jobs, links
from replication.store.jobs import JOBS, Asked

_LOOK_SECONDS = 2.0


class Replicate(Endpoint):
    """`POST /_replicate`."""

    rights = {"POST": Right.APPLICATION}

    async def post(self, request: Any) -> HttpResponseBase:
        """Replicate once and answer how it went, begin a continuous one, or end it."""
        parsers.require_json(request)
        body = await parsers.json_object(request)
        wished_by = "" if request.permit.is_owner else request.caller.key
        if body.get("cancel") is True and _named(body):
            return await _cancel(_named(body), wished_by)
        asked = requests.read(body)
        rep_id = asking.rep_id(asked.wish)
        if asked.cancel:
            return await _cancel(rep_id, wished_by)
        await _check(asked.wish, wished_by)
        if asked.wish.mode is Mode.CONTINUOUS:
            return await _begin(asked.wish, Asked(wished_by, rep_id, transient=True))
        return await _replicate(asked.wish, Asked(wished_by, transient=True))


def _named(body: dict[str, Any]) -> str:
    return str(body.get("replication_id") or body.get("_local_id") or "")


async def _check(wish: Wish, wished_by: str) -> None:
    if wished_by:
        there = wish.there or words.database_at(wish.peer, wish.db_name)
        pulls = wish.direction is Direction.PULL
        await rights.check_databases(wished_by, wish.db_name, there, wish.peer, pulls=pulls)


async def _cancel(rep_id: str, wished_by: str) -> HttpResponseBase:
    held = await sql.scan(partial(jobs.by_rep_id, rep_id=rep_id, wished_by=wished_by))
    if held is None:
        raise NotFound
    await sql.write(partial(jobs.remove, number=held.id))
    return renderers.ok(_local_id=rep_id)


async def _begin(wish: Wish, asked: Asked) -> HttpResponseBase:
    held = await sql.scan(partial(jobs.by_rep_id, rep_id=asked.rep_id, wished_by=asked.wished_by))
    if held is None:
        await sync_to_async(manager.ask)(wish, asked, time.time())
    return renderers.ok(202, _local_id=asked.rep_id)


async def _replicate(wish: Wish, asked: Asked) -> HttpResponseBase:
    with wakeups.listening(JOBS) as waiter:
        number = await sync_to_async(manager.ask)(wish, asked, time.time())
        while (answer := await sql.scan(partial(_answer, number=number))) is None:
            await waiter.wait(_LOOK_SECONDS)
    await sql.write(partial(jobs.remove, number=number))
    return renderers.json(answer, answer.pop("status", 200))


def _answer(connection: sql.Sql, number: int) -> dict[str, Any] | None:
    """Return what came of a job with one peer; None before its end."""
    its = links.of_job(connection, number)
    jobs.get(connection, number)
    if len(its) != 1:
        return {"status": 400, "error": "bad_request", "reason": "Nobody, or several are meant."}
    if its[0].state not in (State.COMPLETED, State.FAILED):
        return None
    answer: dict[str, Any] = orjson.loads(its[0].result or b'{"ok":true}')
    return answer


class ActiveTasks(Endpoint):
    """`GET /_active_tasks`."""

    rights = {"GET": Right.APPLICATION}

    async def get(self, request: Any) -> HttpResponseBase:
        """Return the replications that run now, and to the owner what else goes on."""
        running = [one for one in await _links(request) if one.link["state"] == State.RUNNING]
        shown = [couchwords.active_task(one) for one in running]
        if request.permit.is_owner:
            going_on = await sql.point(partial(works.going_on, now=int(time.time())))
            shown += [couchwords.compaction(*one[2:7], number=one.id) for one in going_on]
        return renderers.json(shown)


class SchedulerJobs(Endpoint):
    """`GET /_scheduler/jobs`."""

    rights = {"GET": Right.APPLICATION}

    async def get(self, request: Any) -> HttpResponseBase:
        """Return the replications that have not ended."""
        shown = [couchwords.scheduler_job(one) for one in await _links(request) if _goes_on(one)]
        return renderers.json({"total_rows": len(shown), "offset": 0, "jobs": shown})


class SchedulerJob(Endpoint):
    """`GET /_scheduler/jobs/id`."""

    rights = {"GET": Right.APPLICATION}

    async def get(self, request: Any, name: str) -> HttpResponseBase:
        """Return one of them; raises NotFound."""
        for one in await _links(request):
            if one.number == name and _goes_on(one):
                return renderers.json(couchwords.scheduler_job(one))
        raise NotFound


class SchedulerDocs(Endpoint):
    """`GET /_scheduler/docs`."""

    rights = {"GET": Right.APPLICATION}

    async def get(self, request: Any) -> HttpResponseBase:
        """Return the replications that stand in documents."""
        shown = [couchwords.scheduler_doc(one) for one in await _links(request) if one.job["docid"]]
        return renderers.json({"total_rows": len(shown), "offset": 0, "docs": shown})


def _goes_on(one: Link) -> bool:
    return one.link["state"] not in (State.COMPLETED, State.FAILED)


async def _links(request: Any) -> list[Link]:
    """Return all links, for an application those of what it has asked for itself."""
    found = couchwords.links_of(await sync_to_async(manager.listing)(time.time()))
    if request.permit.is_owner:
        return [*found]
    return [one for one in found if one.job["wished_by"] == request.caller.key]
