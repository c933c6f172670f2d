"""Many documents at once: `_bulk_docs`, `_bulk_get` (CouchDB docs, "api/database/bulk-api")."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.errors import HubError
from couchapi import exceptions, parsers, reader, renderers, writing
from couchapi.core import docjson, revid
from couchapi.core.errors import BadRequest, BodyTooLarge, ContentMissing
from couchapi.core.params import DocumentQuery
from couchapi.core.revid import RevId
from couchapi.core.visibility import Visible
from couchapi.endpoints import multiparts
from couchapi.endpoints.base import READ, WRITE, Endpoint, visible_to
from couchapi.endpoints.documents import author_of, form_of, write_of
from couchapi.reader import Form, Opened, Outcome
from couchapi.store import databases, documents
from couchapi.store.writes import Write

_DOCUMENTS_AT_ONCE = 100
_BYTES_SOON = 500_000
# A batch is one transaction: nobody else writes meanwhile, and it is held in memory.
_MOST_DOCUMENTS = 50_000
_MOST_OF_ONE = 2000


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
        _check_repetition(batch)
        written = await writing.store(db_name, batch, author_of(request))
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
            return multiparts.mixed_results(_opened(read, asked))
        return renderers.stream(_results(read, asked))


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
    ) -> list[tuple[_Asked, list[Outcome]]]:
        """Return what is there for each line."""
        found = self._find(connection, asked)
        return [(one, self._open(connection, one, found.get(one.docid))) for one in asked]

    def rows(self, connection: sql.Sql, asked: Sequence[_Asked]) -> list[bytes]:
        """Return the answer to each line."""
        found = self._find(connection, asked)
        return [self._row(connection, one, found.get(one.docid)) for one in asked]

    def rows_soon(self, connection: sql.Sql, asked: Sequence[_Asked]) -> list[bytes] | None:
        """Return what `rows` does where the event loop may wait for it, and None elsewhere.

        Another thread is a long way to go for what takes half a millisecond.
        """
        if self.visible is not None or self.form.inline:
            return None
        docids = _docids(asked)
        found = documents.find_small(connection, self.database_id, docids, _BYTES_SOON)
        if found is None:
            return None
        rows = [self._plain_row(one, found.get(one.docid)) for one in asked]
        return None if None in rows else rows  # type: ignore[return-value]

    def _find(self, connection: sql.Sql, asked: Sequence[_Asked]) -> Mapping[str, documents.Found]:
        return documents.find_many(connection, self.database_id, _docids(asked))

    def _row(self, connection: sql.Sql, one: _Asked, found: documents.Found | None) -> bytes:
        row = self._plain_row(one, found) if self.visible is None else None
        return row or _result(one, self._open(connection, one, found))

    def _plain_row(self, one: _Asked, found: documents.Found | None) -> bytes | None:
        """Return the row of a document whose winner is asked for and shown from its own row."""
        if found is None:
            return _result(one, [revid.parse(one.rev) if one.rev else None])
        text = reader.plain(found, self.query) if one.rev in (found.rev, None) else None
        if text is None:
            return None
        return b'{"id":%s,"docs":[{"ok":%s}]}' % (orjson.dumps(one.docid), text)

    def _open(
        self, connection: sql.Sql, one: _Asked, found: documents.Found | None
    ) -> list[Outcome]:
        """Return what is there; a revision, or None for the winner, where it is not."""
        if found is None or not (
            self.visible is None or self.visible(found.docid, found.rev, found.body)
        ):
            return [revid.parse(one.rev) if one.rev else None]
        form = replace(self.form, since=one.since) if one.since else self.form
        # CouchDB sends every leaf where no revision is named.
        revs = _leaves(found) if one.rev is None else [revid.parse(one.rev)]
        latest = self.query.latest
        try:
            return list(
                reader.opened_revisions(
                    connection, found, revs, self.query, form, self.visible, latest=latest
                )
            )
        except ContentMissing as error:
            return [error]


def _docids(asked: Sequence[_Asked]) -> list[str]:
    # No id holds a NUL, and PostgreSQL does not even look for one.
    return [one.docid for one in asked if "\0" not in one.docid]


def _leaves(found: documents.Found) -> list[RevId] | None:
    """Return the only leaf, which is the winner and read already; None: all of several."""
    return [revid.parse(found.rev)] if found.leaf_count == 1 else None


def _batches(asked: Sequence[_Asked]) -> Iterator[Sequence[_Asked]]:
    return (asked[at : at + _DOCUMENTS_AT_ONCE] for at in range(0, len(asked), _DOCUMENTS_AT_ONCE))


async def _opened(
    read: _Reading, asked: Sequence[_Asked]
) -> AsyncIterator[list[tuple[_Asked, list[Outcome]]]]:
    for some in _batches(asked):
        yield await sql.scan(partial(read.opened, asked=some))


async def _results(read: _Reading, asked: Sequence[_Asked]) -> AsyncIterator[bytes]:
    separator = b'{"results":['
    for some in _batches(asked):
        rows = await sql.point(partial(read.rows_soon, asked=some))
        if rows is None:
            rows = await sql.scan(partial(read.rows, asked=some))
        yield separator + b",".join(rows)
        separator = b","
    yield b"]}\n" if separator == b"," else b'{"results":[]}\n'


def _result(one: _Asked, opened: Sequence[Outcome]) -> bytes:
    docs = [
        b'{"ok":%s}' % each.text if isinstance(each, Opened) else _missing(one.docid, each)
        for each in opened
    ]
    return b'{"id":%s,"docs":[%s]}' % (orjson.dumps(one.docid), b",".join(docs))


def _missing(docid: str, rev: RevId | HubError | None) -> bytes:
    if isinstance(rev, HubError):
        return orjson.dumps({"error": {"id": docid, **exceptions.row(rev)}})
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
    if len(docs) > _MOST_DOCUMENTS:
        raise BodyTooLarge(f"One request takes at most {_MOST_DOCUMENTS} documents.")
    return docs


def _check_repetition(batch: Sequence[Write]) -> None:
    """Raise BodyTooLarge for too many revisions of one document: each costs a look at all."""
    if len(batch) <= _MOST_OF_ONE:
        return
    ((docid, times),) = Counter(one.docid for one in batch).most_common(1)
    if times > _MOST_OF_ONE:
        raise BodyTooLarge(f"One request takes at most {_MOST_OF_ONE} revisions of {docid}.")


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
