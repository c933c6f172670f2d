"""A database of this hub, by the same functions that the API's endpoints use.

The last step of a pull is the last step of PUT: `writing.store` (ARCHITECTURE.md, "Routes
through the house").
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
from django.conf import settings

from acl import sql
from acl.core.errors import HubError
from couchapi import exceptions, reader, uploads, writing
from couchapi.core import docjson, multipart, names, revid, told
from couchapi.core.errors import (
    DatabaseMissing,
    FileExists,
    ForbiddenWrite,
    MissingStub,
    NotFound,
    StorageFull,
)
from couchapi.core.params import ChangesQuery, DocumentQuery
from couchapi.endpoints import multiparts, revs
from couchapi.endpoints.documents import write_of
from couchapi.feeds import Page, filtered
from couchapi.feeds.changes import ChangesReader, function_of, reader_of, start
from couchapi.reader import Form, Opened
from couchapi.store import databases, documents, local_documents
from couchapi.store.documents import Found
from couchapi.store.writes import OURSELVES, Write
from replication.core.errors import Fatal, ReplicationError, Retryable, SourceMissing
from replication.peers.base import Batch, Change, Changes, Failure, Fetched, Related, Wanted

_REVS = DocumentQuery(revs=True, latest=True)
_AS_PARTS = DocumentQuery(revs=True, latest=True, attachments=True)
_STUBS = Form()


class LocalPeer:
    """A database of this hub, as its owner sees it."""

    def __init__(self, db_name: str, *, own_clocks: bool = True) -> None:
        """`own_clocks`: what comes was dated by the owner's own hubs (design/conflicts.md, R9)."""
        self.name = f"local:{db_name}"
        self._db_name = db_name
        self._author = OURSELVES._replace(own_clocks=own_clocks)

    async def exists(self) -> bool:
        """Tell whether there is such a database."""
        found = await sql.point(partial(databases.find, name=self._db_name))
        return found is not None

    async def create(self) -> None:
        """Make the database."""
        make = partial(
            databases.create,
            name=self._db_name,
            policy=settings.HUB_CONFLICT_POLICY,
            epoch=secrets.token_hex(4),
        )
        async with _translated():
            try:
                await sql.write(make)
            except FileExists:
                return

    async def read_note(self, replication_id: str) -> Mapping[str, Any] | None:
        """Return the checkpoint's content."""
        read = partial(local_documents.read, db_name=self._db_name, owner="", docid=replication_id)
        async with _translated():
            try:
                _, body = await sql.point(read)
            except DatabaseMissing:
                raise
            except NotFound:
                return None
        note: dict[str, Any] = orjson.loads(body)
        return note

    async def write_note(self, replication_id: str, note: Mapping[str, Any]) -> None:
        """Keep the checkpoint."""
        body = orjson.dumps({name: note[name] for name in note if not name.startswith("_")})
        write = partial(
            local_documents.write,
            db_name=self._db_name,
            owner="",
            docid=replication_id,
            body=body,
        )
        async with _translated():
            await sql.write(write)

    async def changes(
        self, since: Any, params: Mapping[str, str], body: Mapping[str, Any] | None, limit: int
    ) -> Changes:
        """Return what follows `since`."""
        asked = {**params, "since": str(since)}
        async with _translated():
            query = ChangesQuery.from_query(asked, body=body)
            begin = partial(start, db_name=self._db_name, query=query)
            at, epoch = await sql.point(begin)
            read = reader_of(self._db_name, epoch, query, None)
            if function_of(query) is None:
                page = await sql.scan(partial(read, since=at, limit=limit))
            else:
                page = await self._filtered(read, query, params, at, limit)
        rows = orjson.loads(b"[" + b",".join(page.rows) + b"]")
        return Changes(
            [Change(row["id"], tuple(one["rev"] for one in row["changes"])) for row in rows],
            f"{page.last}-{epoch}",
            0 if page.exhausted else max(1, page.pending),
            is_last=page.exhausted,
        )

    async def _filtered(
        self,
        read: ChangesReader,
        query: ChangesQuery,
        params: Mapping[str, str],
        since: int,
        limit: int,
    ) -> Page:
        name = self._db_name
        function = await sql.scan(partial(filtered.find, db_name=name, query=query))
        user = told.user_context(name, OURSELVES.key, (), OURSELVES.is_owner)
        path = f"/{name}/_changes"
        request = told.request_object("GET", path, params, {}, {"db_name": name}, user, {})
        return await filtered.source_of(read, function, orjson.dumps(request))(since, limit)

    async def missing(self, rows: Sequence[Change]) -> list[Wanted]:
        """Return the revisions that the database has not."""
        asked: dict[str, list[str]] = {}
        for row in rows:
            asked.setdefault(row.docid, []).extend(row.revs)
        async with _translated():
            diff = await sql.scan(
                lambda connection: revs.diff(connection, self._db_name, asked, None, True)
            )
        return [
            Wanted(docid, rev, tuple(one.get("possible_ancestors", ())))
            for docid, one in diff.items()
            for rev in one["missing"]
        ]

    async def fetch(self, wanted: Sequence[Wanted], *, latest: bool = True) -> Batch:
        """Return the documents at these revisions."""
        async with _translated():
            return await sql.scan(partial(self._open_many, wanted=wanted))

    def _open_many(self, connection: sql.Sql, wanted: Sequence[Wanted]) -> Batch:
        database = databases.get(connection, self._db_name)
        docids = list(dict.fromkeys(one.docid for one in wanted))
        found = documents.find_many(connection, database.id, docids)
        batch = Batch([], [])
        here = [(one, found[one.docid]) for one in wanted if one.docid in found]
        gone = len(wanted) - len(here)
        for one, held in here:
            text = reader.plain(held, _REVS) if one.rev == held.rev else None
            if text is not None:
                batch.documents.append(Fetched(one.docid, one.rev, text=text))
                continue
            opened = _opened(connection, held, one, _REVS, _STUBS)
            gone += not opened
            _sort_in(batch, one, opened)
        return batch._replace(failed=gone)

    async def fetch_related(self, wanted: Wanted) -> Related | Fetched | None:
        """Return one document and the attachments that no ancestor has."""
        since = tuple(map(revid.parse, wanted.ancestors))
        form = Form(follows=True, since=since)
        read = partial(self._open_one, wanted=wanted, form=form)
        async with _translated():
            opened = await sql.scan(read)
        if opened is None:
            return None
        if not opened.parts:
            return Fetched(wanted.docid, opened.rev, text=opened.text)
        boundary = secrets.token_hex(16)
        pieces = multiparts.pieces(boundary, opened)
        return Related(wanted, multipart.related_type(boundary), pieces)

    def _open_one(self, connection: sql.Sql, wanted: Wanted, form: Form) -> Opened | None:
        try:
            found = documents.find(connection, self._db_name, wanted.docid)
        except DatabaseMissing:
            raise
        except NotFound:
            return None
        return next(iter(_opened(connection, found, wanted, _AS_PARTS, form)), None)

    async def write(self, documents: Sequence[Fetched]) -> list[Failure]:
        """Write revisions that were made elsewhere."""
        batch, refused = _writes(documents)
        if not batch:
            return refused
        async with _translated():
            written = await writing.store(self._db_name, batch, self._author)
        return refused + [
            _failure(docid, result) for docid, result in written if isinstance(result, HubError)
        ]

    async def write_related(self, related: Related) -> Failure | None:
        """Write one revision with its attachments; raises MissingStub."""
        try:
            async with _translated():
                return await self._write_related(related)
        except Fatal as refused:
            # What the database refuses for good is counted; a connection that broke is tried again.
            if isinstance(refused.__cause__, HubError):
                return _failure(related.wanted.docid, refused.__cause__)
            raise

    async def _write_related(self, related: Related) -> Failure | None:
        docid = related.wanted.docid
        _refuse_local(docid)
        document, uploaded = await multiparts.take(
            related.content_type, related.pieces, OURSELVES.key
        )
        async with uploads.adopting(list(uploaded.values())):
            parts = docjson.split(document, docid)
            one = write_of(parts, docid, parts.rev, False, uploaded)
            ((_, result),) = await writing.store(self._db_name, [one], self._author)
        return _failure(docid, result) if isinstance(result, HubError) else None

    async def commit(self) -> None:
        """Every write is durable already."""


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except DatabaseMissing as error:
        raise SourceMissing from error
    except (MissingStub, ReplicationError):
        raise
    except StorageFull as error:
        raise Retryable(error.reason) from error
    except HubError as error:
        raise Fatal(error.reason) from error


def _opened(
    connection: sql.Sql, found: Found, wanted: Wanted, query: DocumentQuery, form: Form
) -> list[Opened]:
    opened = reader.opened_revisions(
        connection, found, [revid.parse(wanted.rev)], query, form, None, latest=True
    )
    return [one for one in opened if isinstance(one, Opened)]


def _sort_in(batch: Batch, wanted: Wanted, opened: Sequence[Opened]) -> None:
    for one in opened:
        if orjson.loads(one.text).get("_attachments"):
            batch.with_attachments.append(wanted._replace(rev=one.rev))
        else:
            batch.documents.append(Fetched(wanted.docid, one.rev, text=one.text))


def _writes(documents: Sequence[Fetched]) -> tuple[list[Write], list[Failure]]:
    """Return the writes, and what cannot be one: the others are written all the same."""
    batch, refused = [], []
    for one in documents:
        try:
            parts = docjson.split(one.value, max_document=settings.HUB_MAX_DOCUMENT)
            _refuse_local(one.docid)
            batch.append(write_of(parts, one.docid, parts.rev, False))
        except HubError as error:
            refused.append(_failure(one.docid, error))
    return batch, refused


def _refuse_local(docid: str) -> None:
    # Here they would be the owner's: the checkpoints of what is replicated with others.
    if names.is_local(docid):
        raise ForbiddenWrite


def _failure(docid: str, error: HubError) -> Failure:
    row = exceptions.row(error)
    return Failure(docid, row["error"], row["reason"])
