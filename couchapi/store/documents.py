"""Reading documents: one, by their ids, or in the order of their ids.

What is read comes as stored: the body is JSON text without `_` members, the tree is encoded
(core/revtree.py).  Writing is in `writes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from acl.sql import Row, Sql
from couchapi.core.errors import NotFound
from couchapi.store import databases


class Found(NamedTuple):
    """A document as its winner shows it."""

    id: int
    docid: str
    seq: int
    rev: str
    deleted: bool
    leaf_count: int
    body: bytes
    attachments: bytes | None
    tree: bytes


class Body(NamedTuple):
    """What is kept of one revision."""

    rev: str
    body: bytes
    attachments: bytes | None


@dataclass(frozen=True, slots=True)
class Range:
    """Which documents a listing in the order of ids shows, ends included unless it says so."""

    start: str | None = None
    end: str | None = None
    inclusive_end: bool = True
    descending: bool = False
    include_deleted: bool = False

    def after(self, docid: str) -> tuple[str, list[str]]:
        """Return the SQL condition of what follows `docid` in this listing."""
        return ("d.docid < %s" if self.descending else "d.docid > %s"), [docid]

    def conditions(self) -> tuple[list[str], list[str]]:
        """Return the SQL conditions and their parameters."""
        low, high = (self.end, self.start) if self.descending else (self.start, self.end)
        # Only the end of the listing can be left out; which end of the range that is, depends.
        low_operator = ">" if self.descending and not self.inclusive_end else ">="
        high_operator = "<" if not self.descending and not self.inclusive_end else "<="
        terms, params = [], []
        for bound, operator in ((low, low_operator), (high, high_operator)):
            if bound is not None:
                terms.append(f"d.docid {operator} %s")
                params.append(bound)
        if not self.include_deleted:
            terms.append("NOT d.deleted")
        return terms, params


_FOUND = "d.id, d.docid, d.seq, d.rev, d.deleted, d.leaf_count, r.body, r.attachments, d.tree"
_WINNER = "couchapi_document d JOIN couchapi_revision r ON r.document_id = d.id AND r.rev = d.rev"


_FIND_MANY = (
    f"SELECT {_FOUND} FROM {{}} CROSS JOIN {_WINNER} WHERE d.database_id = %s AND d.docid = j.value"
)


def find(sql: Sql, db_name: str, docid: str) -> Found:
    """Return the document, deleted or not.

    Raises DatabaseMissing, or NotFound("missing").
    """
    row = sql.one(
        f"SELECT {_FOUND} FROM couchapi_database b JOIN couchapi_document d"
        " ON d.database_id = b.id AND d.docid = %s"
        " JOIN couchapi_revision r ON r.document_id = d.id AND r.rev = d.rev WHERE b.name = %s",
        (docid, db_name),
    )
    if row is None:
        databases.get(sql, db_name)
        raise NotFound
    return _found(row)


def find_many(sql: Sql, database_id: int, docids: Sequence[str]) -> dict[str, Found]:
    """Return the documents that exist among `docids`, deleted ones too."""
    each, param = sql.each(docids)
    rows = sql.all(_FIND_MANY.format(each), (param, database_id))
    return {row[1]: _found(row) for row in rows}


def find_small(
    sql: Sql, database_id: int, docids: Sequence[str], most: int
) -> dict[str, Found] | None:
    """Return what `find_many` does, or None when their bodies are more than `most` bytes.

    The event loop may wait for the one, and must not wait for the other.
    """
    each, param = sql.each(docids)
    found = {}
    for row in sql.each_row(_FIND_MANY.format(each), (param, database_id)):
        one = found[row[1]] = _found(row)
        most -= len(one.body)
        if most < 0:
            return None
    return found


def trees(sql: Sql, database_id: int, docids: Sequence[str]) -> list[Row]:
    """Return (docid, winner, encoded tree) of the documents that exist among `docids`."""
    each, param = sql.each(docids)
    return sql.all(
        f"SELECT d.docid, d.rev, d.tree FROM {each} CROSS JOIN couchapi_document d"
        " WHERE d.database_id = %s AND d.docid = j.value",
        (param, database_id),
    )


def bodies(sql: Sql, document_id: int, revs: Sequence[str]) -> dict[str, Body]:
    """Return the bodies that are still kept among `revs`."""
    each, param = sql.each(revs)
    rows = sql.all(
        f"SELECT r.rev, r.body, r.attachments FROM {each} CROSS JOIN couchapi_revision r"
        " WHERE r.document_id = %s AND r.rev = j.value",
        (param, document_id),
    )
    return {row[0]: Body(*row) for row in rows}


def kept_revs(sql: Sql, document_id: int) -> set[str]:
    """Return the revisions whose bodies are kept: those `revs_info` calls available."""
    rows = sql.all("SELECT rev FROM couchapi_revision WHERE document_id = %s", (document_id,))
    return {row[0] for row in rows}


def page(
    sql: Sql, database_id: int, within: Range, *, after: str | None, skip: int, limit: int
) -> list[Found]:
    """Return up to `limit` documents of a listing, from the first or those that follow `after`."""
    return [
        _found(row) for row in _page(sql, _FOUND, _WINNER, database_id, within, after, skip, limit)
    ]


def id_page(
    sql: Sql, database_id: int, within: Range, *, after: str | None, skip: int, limit: int
) -> list[Row]:
    """Return (docid, rev, deleted) as `page` does, without reading bodies."""
    columns = "d.docid, d.rev, d.deleted"
    return _page(sql, columns, "couchapi_document d", database_id, within, after, skip, limit)


def changed(
    sql: Sql, database_id: int, since: int, limit: int, most_bytes: int
) -> tuple[list[Found], bool]:
    """Return documents that changed after `since`, oldest first, and whether those are all.

    There are up to `limit` of them, with bodies of about `most_bytes` together: at least one.
    """
    if sql.vendor != "sqlite":  # SQLite gives rows one by one, PostgreSQL all at once.
        limit = min(limit, _fitting(sql, database_id, since, limit, most_bytes))
    rows = sql.execute(
        f"SELECT {_FOUND} FROM {_WINNER} WHERE d.database_id = %s AND d.seq > %s"
        " ORDER BY d.seq LIMIT %s",
        (database_id, since, limit),
    )
    found: list[Found] = []
    size = 0
    for row in rows:
        found.append(_found(row))
        size += len(found[-1].body)
        if size >= most_bytes:
            return found, False
    return found, len(found) < limit


def _fitting(sql: Sql, database_id: int, since: int, limit: int, most_bytes: int) -> int:
    """Return how many of the next documents have bodies of `most_bytes` together."""
    sizes = sql.all(
        f"SELECT length(r.body) FROM {_WINNER} WHERE d.database_id = %s AND d.seq > %s"
        " ORDER BY d.seq LIMIT %s",
        (database_id, since, limit),
    )
    totals = accumulate([int(size) for (size,) in sizes])
    return 1 + sum([total < most_bytes for total in totals])


def count_before(sql: Sql, database_id: int, within: Range, at_most: int) -> int | None:
    """Return how many documents stand before the listing's start; None where it is too many.

    CouchDB's trees know this number; an SQL index has to count, and a page must not cost more in
    a large database than in a small one.
    """
    if within.start is None:
        return 0
    operator = ">" if within.descending else "<"
    row = sql.one(
        "SELECT count(*) FROM (SELECT 1 FROM couchapi_document d WHERE d.database_id = %s"
        f" AND d.docid {operator} %s AND NOT d.deleted LIMIT %s) AS counted",
        (database_id, within.start, at_most + 1),
    )
    counted = int(row[0]) if row else 0
    return counted if counted <= at_most else None


def _page(
    sql: Sql,
    columns: str,
    source: str,
    database_id: int,
    within: Range,
    after: str | None,
    skip: int,
    limit: int,
) -> list[Row]:
    terms, params = within.conditions()
    if after is not None:
        term, value = within.after(after)
        terms.append(term)
        params += value
    where = " AND ".join(["d.database_id = %s", *terms])
    order = "DESC" if within.descending else "ASC"
    return sql.all(
        f"SELECT {columns} FROM {source} WHERE {where} ORDER BY d.docid {order} LIMIT %s OFFSET %s",
        [database_id, *params, limit, skip],
    )


def _found(row: Row) -> Found:
    # SQLite has no booleans.
    number, docid, seq, rev, deleted, *rest = row
    return Found(number, docid, seq, rev, bool(deleted), *rest)
