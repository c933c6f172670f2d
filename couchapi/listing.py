"""Listings in the order of ids, sent while they are read (CouchDB docs, "api/database/bulk-api").

A listing is a head (how many documents there are, where this listing starts) and rows, which are
read and rendered a page at a time, so that a long one costs no more memory than a short one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import orjson

from acl import sql
from couchapi import reader
from couchapi.core import docjson, sequence
from couchapi.core.params import AllDocsQuery, DocumentQuery
from couchapi.core.visibility import Visible
from couchapi.reader import Form
from couchapi.store import databases, documents
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Found, Range

_PAGE = 500
_MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Listing:
    """What is listed, for whom; `within` are the ids that a special listing keeps to."""

    db_name: str
    query: AllDocsQuery
    visible: Visible | None
    within: tuple[str, str] | None = None

    @cached_property
    def wanted(self) -> DocumentQuery:
        """Which members the included documents have."""
        return DocumentQuery(conflicts=self.query.conflicts)

    @cached_property
    def form(self) -> Form:
        """How the attachments of included documents are shown."""
        return Form(inline=self.query.attachments, encoding_info=self.query.att_encoding_info)

    @property
    def reads_bodies(self) -> bool:
        """Whether rows need more than ids and revisions."""
        return self.query.include_docs or self.visible is not None

    def range(self) -> Range | None:
        """Return the range of ids, None where nothing can be in it."""
        asked = self.query.key_range()
        if asked is None:
            return None
        if self.query.key is not ... and "\0" in (asked.start or ""):
            return None
        start, end, inclusive = _storable(asked.start), _storable(asked.end), asked.inclusive_end
        if self.within is not None:
            start, end = _kept_within(start, end, self.within, self.query.descending)
        return Range(start, end, inclusive, self.query.descending)


def _storable(bound: str | None) -> str | None:
    """Return the same bound without NUL: no id holds one, and PostgreSQL cannot compare it."""
    if bound is None or "\0" not in bound:
        return bound
    return bound.partition("\0")[0] + "\1"


def _kept_within(
    start: str | None, end: str | None, within: tuple[str, str], descending: bool
) -> tuple[str, str]:
    """Cut a range to the ids that a special listing keeps to."""
    low, high = within
    if descending:
        low, high = high, low
    nearer_start, nearer_end = (min, max) if descending else (max, min)
    return nearer_start(start or low, low), nearer_end(end or high, high)


class Head(NamedTuple):
    """What stands before the rows."""

    database_id: int
    total: int
    offset: int | None
    update_seq: str | None


def head(listing: Listing, connection: sql.Sql) -> Head:
    """Read what stands before the rows; raises DatabaseMissing."""
    database = databases.get(connection, listing.db_name)
    total, offset = _counted(listing, connection, database)
    shown = sequence.format(database.update_seq, database.epoch)
    return Head(database.id, total, offset, shown if listing.query.update_seq else None)


def _counted(
    listing: Listing, connection: sql.Sql, database: DatabaseRow
) -> tuple[int, int | None]:
    """Return how many documents there are, and how many of them stand before the first row.

    The second number is None where it would cost too much or tell of what the caller cannot see.
    """
    if listing.within is not None:
        return _counted_within(listing, connection, database, Range(*listing.within))
    if listing.visible is not None:
        return reader.counted(connection, listing.db_name, listing.visible)[1][0], None
    total = database.doc_count
    within = listing.range()
    if listing.query.keys is not None or within is None:
        return total, None
    before = documents.count_before(connection, database.id, within, _MOST_COUNTED)
    return total, None if before is None else min(total, before + listing.query.skip)


def _counted_within(
    listing: Listing, connection: sql.Sql, database: DatabaseRow, within: Range
) -> tuple[int, int | None]:
    """Count the few documents of a special listing."""
    found = documents.page(connection, database.id, within, after=None, skip=0, limit=_MOST_COUNTED)
    ids = [one.docid for one in found if _sees(listing, one)]
    asked = listing.range()
    if listing.query.keys is not None or asked is None:
        return len(ids), None
    start = asked.start or ""
    before = sum(docid > start if asked.descending else docid < start for docid in ids)
    return len(ids), min(len(ids), before + listing.query.skip)


async def text(listing: Listing, first: Head, end: bytes = b"\n") -> AsyncIterator[bytes]:
    """Give the JSON text of a listing."""
    members: dict[str, Any] = {"total_rows": first.total, "offset": first.offset}
    if first.update_seq is not None:
        members["update_seq"] = first.update_seq
    separator = orjson.dumps(members)[:-1] + b',"rows":[\n'
    pages = (
        _by_keys(listing, first) if listing.query.keys is not None else _by_range(listing, first)
    )
    async for rows in pages:
        if rows:
            yield separator + b",\n".join(rows)
            separator = b",\n"
    yield (separator if separator != b",\n" else b"") + b"\n]}" + end


async def texts(several: Sequence[Listing], heads: Sequence[Head]) -> AsyncIterator[bytes]:
    """Give the JSON text of several listings."""
    yield b'{"results":['
    for number, (one, first) in enumerate(zip(several, heads, strict=True)):
        if number:
            yield b","
        async for piece in text(one, first, end=b""):
            yield piece
    yield b"]}\n"


def local_row(docid: str, kept: tuple[int, bytes] | None, include_docs: bool) -> bytes:
    """Return the row of a local document."""
    if kept is None:
        return _not_found(docid)
    rev, body = kept
    row = b'{"id":%s,"key":%s,"value":{"rev":"0-%d"}' % (*[orjson.dumps(docid)] * 2, rev)
    if include_docs:
        row += b',"doc":' + docjson.splice(docid, f"0-{rev}", body)
    return row + b"}"


async def _by_range(listing: Listing, first: Head) -> AsyncIterator[list[bytes]]:
    within = listing.range()
    left = listing.query.limit
    skip = listing.query.skip
    after: str | None = None
    while within is not None and left != 0:
        page = await sql.scan(partial(_page, listing, first, within, after, skip, left))
        yield page.rows
        if page.after is None:
            return
        after, skip = page.after, page.skip
        left = None if left is None else left - len(page.rows)


class _Page(NamedTuple):
    """Rows, and where the next page begins: None after the last."""

    rows: list[bytes]
    after: str | None
    skip: int


def _page(
    listing: Listing,
    first: Head,
    within: Range,
    after: str | None,
    skip: int,
    left: int | None,
    connection: sql.Sql,
) -> _Page:
    size = _PAGE if left is None or listing.visible is not None else min(_PAGE, left)
    if not listing.reads_bodies:
        ids = documents.id_page(
            connection, first.database_id, within, after=after, skip=skip, limit=size
        )
        rows = [_row(docid, rev) for docid, rev, _ in ids]
        return _Page(rows, ids[-1][0] if len(ids) == size else None, 0)
    # What the caller may not see is passed over before `skip` and `limit` count.
    in_sql = skip if listing.visible is None else 0
    found = documents.page(
        connection, first.database_id, within, after=after, skip=in_sql, limit=size
    )
    seen = [one for one in found if _sees(listing, one)]
    to_skip = 0 if listing.visible is None else min(skip, len(seen))
    rows = [_document_row(connection, listing, one) for one in seen[to_skip:][:left]]
    following = found[-1].docid if len(found) == size else None
    return _Page(rows, following, 0 if listing.visible is None else skip - to_skip)


async def _by_keys(listing: Listing, first: Head) -> AsyncIterator[list[bytes]]:
    keys = list(listing.query.keys or ())
    if listing.query.descending:
        keys.reverse()
    keys = keys[listing.query.skip :][: listing.query.limit]
    for at in range(0, len(keys), _PAGE):
        yield await sql.scan(partial(_rows_of_keys, listing, first, keys[at : at + _PAGE]))


def _rows_of_keys(
    listing: Listing, first: Head, keys: Sequence[Any], connection: sql.Sql
) -> list[bytes]:
    docids = [key for key in keys if isinstance(key, str) and "\0" not in key]
    found = documents.find_many(connection, first.database_id, docids)
    rows = []
    for key in keys:
        one = found.get(key) if isinstance(key, str) else None
        if one is None or not _sees(listing, one):
            rows.append(_not_found(key))
        elif one.deleted:
            rows.append(_deleted_row(one, listing.query.include_docs))
        else:
            rows.append(_document_row(connection, listing, one))
    return rows


def _sees(listing: Listing, found: Found) -> bool:
    if listing.within is not None and not listing.within[0] <= found.docid <= listing.within[1]:
        return False
    return listing.visible is None or listing.visible(found.docid, found.rev, found.body)


def _row(docid: str, rev: str) -> bytes:
    quoted = orjson.dumps(docid)
    return b'{"id":%s,"key":%s,"value":{"rev":"%s"}}' % (quoted, quoted, rev.encode())


def _document_row(connection: sql.Sql, listing: Listing, found: Found) -> bytes:
    row = _row(found.docid, found.rev)
    if not listing.query.include_docs:
        return row
    shown = reader.shown(connection, found, listing.wanted, listing.form, listing.visible)
    return row[:-1] + b',"doc":' + shown + b"}"


def _deleted_row(found: Found, include_docs: bool) -> bytes:
    quoted = orjson.dumps(found.docid)
    row = b'{"id":%s,"key":%s,"value":{"rev":"%s","deleted":true}' % (
        quoted,
        quoted,
        found.rev.encode(),
    )
    return row + (b',"doc":null}' if include_docs else b"}")


def _not_found(key: Any) -> bytes:
    return b'{"key":%s,"error":"not_found"}' % orjson.dumps(key)
