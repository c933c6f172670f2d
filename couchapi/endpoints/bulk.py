"""Many documents at once: `_bulk_docs`, `_bulk_get` (CouchDB docs, "api/database/bulk-api")."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import orjson
from django.conf import settings
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import HubError
from couchapi import exceptions, parsers, reader, renderers
from couchapi.core import docjson, revid
from couchapi.core.errors import BadRequest
from couchapi.core.params import DocumentQuery
from couchapi.core.revid import RevId
from couchapi.core.visibility import Visible
from couchapi.endpoints import multiparts
from couchapi.endpoints.base import READ, WRITE, Endpoint, visible_to
from couchapi.endpoints.documents import author_of, form_of, now_ms, write_all, write_of
from couchapi.reader import Form, Opened
from couchapi.store import databases, documents
from couchapi.store.writes import Write

_DOCUMENTS_AT_ONCE = 100

T = TypeVar("T")


class BulkDocs(Endpoint):
    """`POST /db/_bulk_docs`."""

    rights = {"POST": WRITE}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Write documents, each for itself: one that is refused does not stop the others."""
        parsers.require_json(request)
        body = await parsers.documents(request)
        new_edits = _new_edits(body)
        limit = settings.HUB_MAX_DOCUMENT
        batch = [_write(document, new_edits, limit) for document in _documents(body)]
        author, now = author_of(request), now_ms()
        written = await sql.write(
            lambda connection: write_all(connection, db_name, batch, author, now)
        )
        if new_edits:
            rows = [_row(docid, result) for docid, result in written]
        else:
            rows = [
                _row(docid, result) for docid, result in written if isinstance(result, HubError)
            ]
        return renderers.raw(b"[" + b",".join(rows) + b"]\n", 201)


class BulkGet(Endpoint):
    """`POST /db/_bulk_get`: what replicators read with."""

    rights = {"POST": READ}

    async def post(self, request: Any, db_name: str) -> HttpResponseBase:
        """Return the documents that the body names, at their revisions."""
        parsers.require_json(request)
        query = DocumentQuery.from_query(request.GET)
        asked = [_asked(one) for one in _documents(await parsers.json_object(request))]
        database = await sql.point(lambda connection: databases.get(connection, db_name))
        as_parts = multiparts.accepted(request)
        read = _Reading(database.id, query, form_of(query, follows=as_parts), visible_to(request))
        if as_parts:
            return multiparts.mixed_results(_batches(read.opened, asked))
        return renderers.stream(_results(_batches(read.rows, asked)))


class _Asked(NamedTuple):
    """One line of a `_bulk_get` request."""

    docid: str
    rev: str | None
    since: tuple[RevId, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the documents of one `_bulk_get` are read."""

    database_id: int
    query: DocumentQuery
    form: Form
    visible: Visible | None

    def opened(
        self, connection: sql.Sql, asked: Sequence[_Asked]
    ) -> list[tuple[_Asked, list[Opened | RevId | None]]]:
        """Return what is there for each line."""
        found = self._find(connection, asked)
        return [(one, self._open(connection, one, found.get(one.docid))) for one in asked]

    def rows(self, connection: sql.Sql, asked: Sequence[_Asked]) -> list[bytes]:
        """Return the answer to each line."""
        found = self._find(connection, asked)
        return [self._row(connection, one, found.get(one.docid)) for one in asked]

    def _find(self, connection: sql.Sql, asked: Sequence[_Asked]) -> Mapping[str, documents.Found]:
        # No id holds a NUL, and PostgreSQL does not even look for one.
        docids = [one.docid for one in asked if "\0" not in one.docid]
        return documents.find_many(connection, self.database_id, docids)

    def _row(self, connection: sql.Sql, one: _Asked, found: documents.Found | None) -> bytes:
        text = None
        if found is not None and self.visible is None and one.rev in (found.rev, None):
            text = reader.plain(found, self.query)
        if text is not None:
            return b'{"id":%s,"docs":[{"ok":%s}]}' % (orjson.dumps(one.docid), text)
        return _result(one, self._open(connection, one, found))

    def _open(
        self, connection: sql.Sql, one: _Asked, found: documents.Found | None
    ) -> list[Opened | RevId | None]:
        """Return what is there; a revision, or None for the winner, where it is not."""
        if found is None or not (
            self.visible is None or self.visible(found.docid, found.rev, found.body)
        ):
            return [revid.parse(one.rev) if one.rev else None]
        form = replace(self.form, since=one.since) if one.since else self.form
        # CouchDB sends every leaf where no revision is named.
        revs = _leaves(found) if one.rev is None else [revid.parse(one.rev)]
        return list(
            reader.opened_revisions(
                connection,
                found,
                revs,
                self.query,
                form,
                self.visible,
                latest=self.query.latest,
            )
        )


def _leaves(found: documents.Found) -> list[RevId] | None:
    """Return the only leaf, which is the winner and read already; None: all of several."""
    return [revid.parse(found.rev)] if found.leaf_count == 1 else None


async def _batches(
    read: Callable[[sql.Sql, Sequence[_Asked]], list[T]], asked: Sequence[_Asked]
) -> AsyncIterator[list[T]]:
    for at in range(0, len(asked), _DOCUMENTS_AT_ONCE):
        some = asked[at : at + _DOCUMENTS_AT_ONCE]
        yield await sql.scan(lambda connection, some=some: read(connection, some))


async def _results(batches: AsyncIterator[list[bytes]]) -> AsyncIterator[bytes]:
    separator = b'{"results":['
    async for rows in batches:
        yield separator + b",".join(rows)
        separator = b","
    yield b"]}\n" if separator == b"," else b'{"results":[]}\n'


def _result(one: _Asked, opened: Sequence[Opened | RevId | None]) -> bytes:
    docs = [
        b'{"ok":%s}' % each.text if isinstance(each, Opened) else _missing(one.docid, each)
        for each in opened
    ]
    return b'{"id":%s,"docs":[%s]}' % (orjson.dumps(one.docid), b",".join(docs))


def _missing(docid: str, rev: RevId | None) -> bytes:
    # CouchDB's own word for a revision that was not asked for.
    error = {
        "id": docid,
        "rev": "undefined" if rev is None else str(rev),
        "error": "not_found",
        "reason": "missing",
    }
    return orjson.dumps({"error": error})


def _new_edits(body: Any) -> bool:
    if not isinstance(body, dict):
        raise BadRequest("Request body must be a JSON object")
    new_edits = body.get("new_edits", True)
    if not isinstance(new_edits, bool):
        raise BadRequest("`new_edits` must be true or false.")
    return new_edits


def _documents(body: dict[str, Any]) -> list[Any]:
    if "docs" not in body:
        raise BadRequest("POST body must include `docs` parameter.")
    docs = body["docs"]
    if not isinstance(docs, list):
        raise BadRequest("`docs` parameter must be an array.")
    return docs


def _write(document: Any, new_edits: bool, limit: int) -> Write:
    parts = docjson.split(document, max_document=limit)
    return write_of(parts, parts.docid or uuid.uuid4().hex, parts.rev, new_edits)


def _row(docid: str, result: RevId | HubError) -> bytes:
    if isinstance(result, HubError):
        return orjson.dumps({"id": docid, **exceptions.row(result)})
    return b'{"ok":true,"id":%s,"rev":"%s"}' % (orjson.dumps(docid), str(result).encode())


def _asked(one: Any) -> _Asked:
    if not isinstance(one, dict) or not isinstance(one.get("id"), str):
        raise BadRequest("Each of `docs` must be an object with an `id`.")
    rev, since = one.get("rev"), one.get("atts_since") or ()
    if rev is not None and not isinstance(rev, str):
        raise BadRequest("Invalid rev format")
    if not isinstance(since, list | tuple) or not all(isinstance(each, str) for each in since):
        raise BadRequest("`atts_since` must be an array of revisions.")
    return _Asked(one["id"], revid.check(rev) if rev else None, tuple(map(revid.parse, since)))
