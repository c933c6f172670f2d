"""The rows of a view, sent while they are read (CouchDB docs, "api/ddoc/views").

Where the caller sees only some documents, rows of the others are passed over before anything is
counted; so are rows of documents that have changed since, for nobody knows whether the caller
would have seen them as they were.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import orjson

from acl import sql
from couchapi import reader
from couchapi.core import mapreduce, revid, sequence
from couchapi.core.errors import BadRequest, NotFound
from couchapi.core.mapreduce import Row
from couchapi.core.params import DocumentQuery
from couchapi.core.viewparams import ViewQuery
from couchapi.core.visibility import Visible
from couchapi.reader import Form
from couchapi.store import documents, indexes, segments
from couchapi.store.segments import EVERYTHING, Span
from couchapi.viewreader.opening import OpenView

_PAGE = 500
_WITH_DOCUMENTS = 16
"""Rows of the first page with documents; the next are larger if those are small."""


@dataclass(frozen=True)
class RowsQuery:
    """Which rows of a view are shown, and to whom."""

    opened: OpenView
    query: ViewQuery
    visible: Visible | None

    @cached_property
    def wanted(self) -> DocumentQuery:
        """Which members the included documents have."""
        return DocumentQuery(conflicts=bool(self.query.conflicts))

    @cached_property
    def form(self) -> Form:
        """How the attachments of included documents are shown."""
        return Form(inline=self.query.attachments, encoding_info=self.query.att_encoding_info)

    def page(self, connection: sql.Sql, span: Span, limit: int) -> tuple[list[Row], bool]:
        """Read rows of a range, and tell whether these are all."""
        return indexes.page(
            connection,
            self.opened.index.id,
            self.opened.number,
            span,
            descending=self.query.descending,
            limit=limit,
        )


class Place(NamedTuple):
    """Where reading goes on: the ranges that are left, the next one last, and rows to show.

    `skip` are rows to pass over among those that the caller may see, `size` those of a page.
    """

    ranges: list[Span]
    skip: int
    left: int | None
    size: int


async def text(asked: RowsQuery, end: bytes = b"\n") -> AsyncGenerator[bytes, None]:
    """Give the JSON text of a view's rows."""
    members, rows, place = await sql.scan(partial(_first, asked))
    separator = orjson.dumps(members)[:-1] + b',"rows":[\n'
    while True:
        if rows:
            yield separator + b",\n".join(rows)
            separator = b",\n"
        if not place.ranges or place.left == 0:
            break
        rows, place = await sql.scan(partial(_page, asked, place))
    yield (separator if separator != b",\n" else b"") + b"\n]}" + end


def head_members(asked: RowsQuery) -> dict[str, Any]:
    """Return what stands before rows and groups alike."""
    if not asked.query.update_seq:
        return {}
    epoch = asked.opened.design.database.epoch
    return {"update_seq": sequence.format(asked.opened.index.seq, epoch)}


def seen(asked: RowsQuery, connection: sql.Sql, rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows that the caller may see."""
    if asked.visible is None or not rows:
        return rows
    index = indexes.get(connection, asked.opened.index.id)
    if index is None:
        return []
    docids = list(dict.fromkeys(row[1] for row in rows))
    found = documents.find_many(connection, index.database_id, docids)
    shown = {
        one.docid
        for one in found.values()
        if one.seq <= index.seq and not one.deleted and asked.visible(one.docid, one.rev, one.body)
    }
    return [row for row in rows if row[1] in shown]


def _first(asked: RowsQuery, connection: sql.Sql) -> tuple[dict[str, Any], list[bytes], Place]:
    """Read what stands before the rows, and the first of them: most answers are no longer."""
    members = _head(asked, connection)
    return members, *_page(asked, _start(asked, connection), connection)


def _head(asked: RowsQuery, connection: sql.Sql) -> dict[str, Any]:
    if asked.visible is not None:
        total = _count_seen(asked, connection)
        return {"total_rows": total, "offset": None, **head_members(asked)}
    index_id, view = asked.opened.index.id, asked.opened.number
    total = segments.count(connection, index_id, view)
    before = 0
    ranges = asked.query.ranges()
    if ranges:
        low, high = ranges[0]
        at = high if asked.query.descending else low
        before = indexes.count_before(connection, index_id, view, at)
        before = total - before if asked.query.descending else before
    offset = min(total, before + asked.query.skip)
    return {"total_rows": total, "offset": offset, **head_members(asked)}


def _count_seen(asked: RowsQuery, connection: sql.Sql) -> int:
    counted, span = 0, EVERYTHING
    while True:
        rows, whole = indexes.page(
            connection,
            asked.opened.index.id,
            asked.opened.number,
            span,
            descending=False,
            limit=_PAGE,
        )
        counted += len(seen(asked, connection, rows))
        if whole:
            return counted
        span = following(span, rows[-1], descending=False)


def _start(asked: RowsQuery, connection: sql.Sql) -> Place:
    """Return where reading begins; rows that are only passed over are counted, not read."""
    spans = [Span(*each) for each in reversed(asked.query.ranges())]
    skip = asked.query.skip
    size = _PAGE if not asked.query.include_docs else min(_PAGE, _WITH_DOCUMENTS)
    if asked.visible is not None:
        return Place(spans, skip, asked.query.limit, size)
    while spans and skip:
        rest, skip = _passed_over(asked, connection, spans.pop(), skip)
        if rest is not None:
            spans.append(rest)
    return Place(spans, 0, asked.query.limit, size)


def _passed_over(
    asked: RowsQuery, connection: sql.Sql, span: Span, skip: int
) -> tuple[Span | None, int]:
    """Return what follows the first `skip` rows of a range, None if it has no more than those."""
    index_id, view = asked.opened.index.id, asked.opened.number
    before, until = (indexes.count_before(connection, index_id, view, end) for end in span)
    if until - before <= skip:
        return None, skip - max(0, until - before)
    if asked.query.descending:
        at = indexes.position_of(connection, index_id, view, until - skip)
        return Span(span.low, min(span.high, at)), 0
    at = indexes.position_of(connection, index_id, view, before + skip)
    return Span(max(span.low, at), span.high), 0


def following(span: Span, last: Row, *, descending: bool) -> Span:
    """Return what is left of a range after its row `last`."""
    sortkey, docid, n, *_ = last
    if descending:
        return Span(span.low, (sortkey, docid, n))
    return Span((sortkey, docid, n + 1), span.high)


def _page(asked: RowsQuery, place: Place, connection: sql.Sql) -> tuple[list[bytes], Place]:
    """Return some rows, and where reading goes on."""
    ranges, skip, left, most = place
    chosen: list[Row] = []
    size_read = 0
    for _ in range(_PAGE):  # Of many keys, each may have no row at all.
        if not ranges or len(chosen) >= most or left == 0 or size_read >= indexes.PAGE_BYTES:
            break
        size = most if left is None or asked.visible is not None else min(most, left)
        span = ranges.pop()
        read, whole = asked.page(connection, span, size)
        found = seen(asked, connection, read)
        taken = found[skip:][:left]
        skip = max(0, skip - len(found))
        left = None if left is None else left - len(taken)
        chosen += taken
        if not whole:
            ranges.append(following(span, read[-1], descending=asked.query.descending))
        size_read += sum([len(row[4]) for row in read])
    rendered = _rendered(asked, connection, chosen)
    return rendered, Place(ranges, skip, left, _next_size(asked, most, rendered))


def _next_size(asked: RowsQuery, size: int, rendered: Sequence[bytes]) -> int:
    """Return how many rows the next page may have: many rows may show one large document."""
    if not asked.query.include_docs:
        return size
    fitting = size * indexes.PAGE_BYTES // (1 + sum(map(len, rendered)))
    return max(1, min(_PAGE, 4 * size, fitting))


def _rendered(asked: RowsQuery, connection: sql.Sql, rows: Sequence[Row]) -> list[bytes]:
    dumps = orjson.dumps
    if not asked.query.include_docs:
        return [
            b'{"id":%b,"key":%b,"value":%b}' % (dumps(docid), key, value)
            for _, docid, _, key, value in rows
        ]
    linked = [_linked(row) for row in rows]
    docids = list(dict.fromkeys(docid for docid, _ in linked))
    database_id = asked.opened.design.database.id
    found = documents.find_many(connection, database_id, docids)
    return [
        b'{"id":%b,"key":%b,"value":%b,"doc":%b}'
        % (dumps(row[1]), row[3], row[4], _document(asked, connection, found, *link))
        for row, link in zip(rows, linked, strict=True)
    ]


def _linked(row: Row) -> tuple[str, str | None]:
    """Return the document, and perhaps the revision, that is shown with a row."""
    if row[4].startswith(b"{") and b'"_id"' in row[4]:
        value = mapreduce.parse(row[4])
        docid, rev = value.get("_id"), value.get("_rev")
        if isinstance(docid, str) and "\0" not in docid:
            return docid, rev if isinstance(rev, str) else None
    return row[1], None


def _document(
    asked: RowsQuery,
    connection: sql.Sql,
    found: Mapping[str, documents.Found],
    docid: str,
    rev: str | None,
) -> bytes:
    one = found.get(docid)
    visible = asked.visible
    if one is None or (visible is not None and not visible(docid, one.rev, one.body)):
        return b"null"
    if rev is not None and rev != one.rev:
        return _revision(asked, connection, docid, rev)
    if one.deleted:
        return b"null"
    return reader.shown(connection, one, asked.wanted, asked.form, visible)


def _revision(asked: RowsQuery, connection: sql.Sql, docid: str, rev: str) -> bytes:
    name = asked.opened.design.database.name
    try:
        parsed = revid.parse(rev)
        return reader.revision(
            connection, name, docid, parsed, asked.wanted, asked.form, asked.visible
        ).text
    except (BadRequest, NotFound):
        return b"null"
