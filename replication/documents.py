"""The `_replicator` database: a document in it is a job (CouchDB docs, "replication/replicator").

Documents are what the owner wants, jobs are what is done about it.  A document that is changed
makes another job, one that is deleted ends it.  When a single replication has ended, its document
says so; from then on nothing is done about it until somebody takes that note away.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import orjson
from asgiref.sync import sync_to_async

from acl import sql
from acl.core.errors import HubError
from acl.core.keys import is_key_hash
from couchapi import writing
from couchapi.core import names, revid
from couchapi.core.names import REPLICATOR
from couchapi.store import databases, documents
from couchapi.store.documents import Found, Range
from couchapi.store.writes import OURSELVES, Write
from replication import asking, manager
from replication.core import couchwords
from replication.core import request as requests
from replication.core.job import ENDED, Priority, State, Wish, options_text
from replication.store import jobs, links
from replication.store.jobs import Asked, JobRow

_PAGE = 500
_OVER = ("completed", "failed")
_NOTES = tuple(f"_replication_{name}" for name in ("id", "state", "state_time", "state_reason"))


class _Doc(NamedTuple):
    docid: str
    rev: str
    body: Mapping[str, Any]

    @property
    def wished_by(self) -> str:
        """Key of the application whose wish it is; empty: the owner's."""
        owner = self.body.get("owner")
        return owner if isinstance(owner, str) and is_key_hash(owner) else ""

    @property
    def is_over(self) -> bool:
        return self.body.get("_replication_state") in _OVER


async def bring_up_to_date() -> None:
    """Make jobs of documents, and notes in documents of what has ended."""
    held = await sql.scan(_read)
    if held is None:
        return
    wanted, have = held
    for docid in have.keys() - {one.docid for one in wanted if not one.is_over}:
        await sql.write(partial(jobs.remove, number=have[docid].id))
    notes = [
        note
        for one in wanted
        if not one.is_over and (note := await _seen_to(one, have.get(one.docid))) is not None
    ]
    if notes:
        # One that is refused was changed in this moment: the next turn sees it.
        await writing.store(REPLICATOR, notes, OURSELVES)


def fingerprint(connection: sql.Sql) -> object:
    """Return what is another value when there may be something to do."""
    database = databases.find(connection, REPLICATOR)
    if database is None:
        return None
    return database.id, database.update_seq, links.ended_with_document(connection)


async def _seen_to(one: _Doc, job: JobRow | None) -> Write | None:
    """Keep a document's job; return the note that it has ended, or cannot be."""
    try:
        wish = requests.read(one.body, Priority.NORMAL).wish
        rep_id = asking.rep_id(wish)
        if job is not None and _is_that(job, rep_id, wish, one.wished_by):
            return await _outcome(one, job)
        if job is not None:
            await sql.write(partial(jobs.remove, number=job.id))
        asked = Asked(one.wished_by, rep_id, one.docid)
        await sync_to_async(manager.ask)(wish, asked, time.time())
    except HubError as error:
        return _noted(one, State.FAILED, {"_replication_state_reason": error.reason})
    return None


def _is_that(job: JobRow, rep_id: str, wish: Wish, wished_by: str) -> bool:
    held = (job.rep_id, job.wished_by, job.priority, job.windows, job.limit, job.lasts)
    asked = (rep_id, wished_by, wish.priority.value, wish.windows, wish.limit, wish.lasts)
    return held == asked and job.options == options_text(wish.options)


async def _outcome(one: _Doc, job: JobRow) -> Write | None:
    its = await sql.scan(partial(links.of_job, job_id=job.id))
    if not its or not all(link.state in ENDED for link in its):
        return None
    more: dict[str, Any] = {"_replication_id": job.rep_id}
    failed = next((link for link in its if link.state == State.FAILED), None)
    if failed is not None:
        return _noted(one, State.FAILED, more | {"_replication_state_reason": failed.last_error})
    return _noted(one, State.COMPLETED, more)


def _noted(one: _Doc, state: State, more: Mapping[str, Any]) -> Write:
    kept = {name: value for name, value in one.body.items() if name not in _NOTES}
    stamp = {"_replication_state": state.value, "_replication_state_time": _now()}
    return Write(one.docid, revid.parse(one.rev), False, orjson.dumps({**kept, **stamp, **more}))


def _now() -> str:
    return couchwords.time_text(time.time())


def _read(connection: sql.Sql) -> tuple[list[_Doc], dict[str, JobRow]] | None:
    """Return the documents and the jobs that were made of some; None without such a database."""
    database = databases.find(connection, REPLICATOR)
    have = {one.docid: one for one in jobs.everything(connection) if one.docid}
    if database is None:
        return ([], have) if have else None
    wanted = [
        _Doc(one.docid, one.rev, orjson.loads(one.body))
        for one in _each(connection, database.id)
        if not names.is_design(one.docid)
    ]
    return wanted, have


def _each(connection: sql.Sql, database_id: int) -> Iterator[Found]:
    after = None
    while page := documents.page(
        connection, database_id, Range(), after=after, skip=0, limit=_PAGE
    ):
        after = page[-1].docid
        yield from page
