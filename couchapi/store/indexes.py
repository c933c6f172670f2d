"""Indexes of views and of Mango: which there are, how far each is built, and the rows of each.

An index's rows and the sequence number that they are built to change in one transaction, which
first moves the number from what the builder has seen to the new one.  So several processes may
build one index: whoever comes second changes nothing, and looks again.

Rows are kept in the order of their keys (core/sortkey.py); ranges of them are half open, from
one position to another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from acl.sql import Sql
from couchapi.core import sortkey
from couchapi.core.errors import DatabaseMissing
from couchapi.core.mapreduce import Row
from couchapi.store import segments
from couchapi.store.segments import Position, Span

PAGE_BYTES = 4_000_000
SLICE = 2000
"""Rows removed in one transaction."""

_COLUMNS = "id, database_id, signature, language, seq, purge_seq, size, last_error"
_MOST_SORTKEY = 600
"""Bytes that an index entry of PostgreSQL has left beside the longest document id."""


class IndexState(NamedTuple):
    """An index, as far as it is built."""

    id: int
    database_id: int
    signature: str
    language: str
    seq: int = 0
    purge_seq: int = 0
    size: int = 0
    last_error: str = ""


class Entry(NamedTuple):
    """One row of a view: `n` counts the rows that a document has in it."""

    view: int
    sortkey: bytes
    docid: str
    n: int
    key: bytes
    value: bytes


class Fault(NamedTuple):
    """A document that could not be mapped, and why."""

    docid: str
    kind: str
    message: str


class Outdated(Exception):
    """The index must be made anew: purges that it has not seen are forgotten."""


def find(sql: Sql, database_id: int, signature: str) -> IndexState | None:
    """Return the index, or None."""
    row = sql.one(
        f"SELECT {_COLUMNS} FROM couchapi_index WHERE database_id = %s AND signature = %s",
        (database_id, signature),
    )
    return None if row is None else IndexState(*row)


def get(sql: Sql, index_id: int) -> IndexState | None:
    """Return the index, None when it was removed."""
    row = sql.one(f"SELECT {_COLUMNS} FROM couchapi_index WHERE id = %s", (index_id,))
    return None if row is None else IndexState(*row)


def of_database(sql: Sql, database_id: int) -> list[IndexState]:
    """Return the indexes of a database."""
    rows = sql.all(
        f"SELECT {_COLUMNS} FROM couchapi_index WHERE database_id = %s ORDER BY signature",
        (database_id,),
    )
    return [IndexState(*row) for row in rows]


def make(sql: Sql, database_id: int, signature: str, language: str) -> IndexState:
    """Return the index, a new and empty one where there is none.

    What was purged before it was made is not in it: it has seen those purges.  Raises
    DatabaseMissing.
    """
    sql.execute(
        "INSERT INTO couchapi_index (database_id, signature, language, seq, purge_seq, size,"
        " last_error) SELECT id, %s, %s, 0, purge_seq, 0, '' FROM couchapi_database"
        " WHERE id = %s AND NOT dropped ON CONFLICT (database_id, signature) DO NOTHING",
        (signature, language, database_id),
    )
    made = find(sql, database_id, signature)
    if made is None:
        raise DatabaseMissing
    return made


def store(
    sql: Sql,
    index: IndexState,
    seq: int,
    purge_seq: int,
    docids: Collection[str],
    entries: Sequence[Entry],
    fault: Fault | None = None,
) -> bool:
    """Put `entries` in the place of the rows of `docids`; the index is then built to `seq`.

    Returns False, and changes nothing, where another has moved the index from where it was seen.
    """
    moved = sql.execute(
        "UPDATE couchapi_index SET seq = %s, purge_seq = %s WHERE id = %s AND seq = %s"
        " AND purge_seq = %s",
        (seq, purge_seq, index.id, index.seq, index.purge_seq),
    )
    if not moved.rowcount:
        return False
    gone, freed = _remove_rows(sql, index.id, docids) if docids else ([], 0)
    rows = sorted(_fitting(sql, entries))
    sql.many(
        "INSERT INTO couchapi_indexrow (index_id, view, sortkey, docid, n, key, value)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [(index.id, *row) for row in rows],
    )
    segments.note(sql, index.id, seq, gone, [row[:4] for row in rows])
    _note(sql, index.id, sum([len(row[4]) + len(row[5]) for row in rows]) - freed, fault)
    return True


def purged_since(sql: Sql, index: IndexState, purge_seq: int) -> list[str]:
    """Return the documents of the purges that the index has not seen, up to `purge_seq`.

    Raises Outdated where some of them are no longer remembered.
    """
    rows = sql.all(
        "SELECT docid FROM couchapi_purge WHERE database_id = %s AND seq > %s AND seq <= %s",
        (index.database_id, index.purge_seq, purge_seq),
    )
    if len(rows) < purge_seq - index.purge_seq:
        raise Outdated
    return [row[0] for row in rows]


def rows(
    sql: Sql, index_id: int, view: int, span: Span, *, descending: bool, limit: int
) -> list[Row]:
    """Return up to `limit` rows of a range."""
    found: list[Row] = _of_range(sql, _ROW, index_id, view, span, descending, limit).fetchall()
    return found


def page(
    sql: Sql, index_id: int, view: int, span: Span, *, descending: bool, limit: int
) -> tuple[list[Row], bool]:
    """Return rows as `rows` does, but not much more than a few megabytes, and whether it is all."""
    if sql.vendor != "sqlite":  # SQLite gives rows one by one, PostgreSQL all at once.
        sizes = _of_range(sql, _SIZE, index_id, view, span, descending, limit).fetchall()
        totals = accumulate([int(size) for (size,) in sizes])
        limit = min(limit, 1 + sum([total < PAGE_BYTES for total in totals]))
    found: list[Row] = []
    size = 0
    for row in _of_range(sql, _ROW, index_id, view, span, descending, limit):
        found.append(row)
        size += len(row[3]) + len(row[4])
        if size >= PAGE_BYTES:
            return found, False
    return found, len(found) < limit


_ROW = "sortkey, docid, n, key, value"
_SIZE = "length(key) + length(value)"


def _of_range(
    sql: Sql, columns: str, index_id: int, view: int, span: Span, descending: bool, limit: int
) -> Any:
    low, high = fitting(sql, span)
    order = "DESC" if descending else "ASC"
    return sql.execute(
        f"SELECT {columns} FROM couchapi_indexrow WHERE index_id = %s"
        " AND view = %s AND (sortkey, docid, n) >= (%s, %s, %s)"
        " AND (sortkey, docid, n) < (%s, %s, %s)"
        f" ORDER BY sortkey {order}, docid {order}, n {order} LIMIT %s",
        (index_id, view, *low, *high, limit),
    )


def count_before(sql: Sql, index_id: int, view: int, position: Position) -> int:
    """Return how many rows of a view stand before a position."""
    span = fitting(sql, Span(segments.BOTTOM, position))
    counted, last = segments.count_before(sql, index_id, view, span.high)
    row = sql.one(
        "SELECT count(*) FROM couchapi_indexrow WHERE index_id = %s AND view = %s"
        " AND (sortkey, docid, n) >= (%s, %s, %s) AND (sortkey, docid, n) < (%s, %s, %s)",
        (index_id, view, *last, *span.high),
    )
    return counted + (row[0] if row else 0)


def position_of(sql: Sql, index_id: int, view: int, number: int) -> Position:
    """Return the position of the row with so many rows before it in its view."""
    start, before = segments.seek(sql, index_id, view, number)
    row = sql.one(
        "SELECT sortkey, docid, n FROM couchapi_indexrow WHERE index_id = %s AND view = %s"
        " AND (sortkey, docid, n) >= (%s, %s, %s) ORDER BY sortkey, docid, n LIMIT 1 OFFSET %s",
        (index_id, view, *start, number - before),
    )
    return row or segments.TOP


def fitting(sql: Sql, span: Span) -> Span:
    """Return the range as its ends are stored.

    PostgreSQL keeps only the beginning of a very long key; keys that are alike so far are alike.
    """
    (low, *_), (high, *_) = span
    if sql.vendor == "sqlite" or (len(low) <= _MOST_SORTKEY and len(high) <= _MOST_SORTKEY):
        return span
    start = (low[:_MOST_SORTKEY], *span.low[1:])
    if len(high) <= _MOST_SORTKEY:
        return Span(start, span.high)
    return Span(start, (high[:_MOST_SORTKEY] + sortkey.MAX, "", 0))


def forget(sql: Sql, index_id: int) -> None:
    """Take an index out of use; its rows go in slices, see `remove_slice`."""
    # No database has this number, so nobody finds the index, and no builder moves it.
    sql.execute(
        "UPDATE couchapi_index SET database_id = -id, seq = -1 WHERE id = %s AND database_id > 0",
        (index_id,),
    )


def forget_all(
    sql: Sql, database_id: int, kept: Collection[str] = (), language: str | None = None
) -> int:
    """Take a database's indexes out of use, but those with the signatures `kept`.

    Returns how many there were.  With a language only its indexes are looked at.
    """
    unused = [
        one
        for one in of_database(sql, database_id)
        if one.signature not in kept and language in (None, one.language)
    ]
    for one in unused:
        forget(sql, one.id)
    return len(unused)


def remove_slice(sql: Sql) -> bool:
    """Remove some rows of indexes that are out of use; return whether there are more."""
    row = sql.one("SELECT id FROM couchapi_index WHERE database_id < 0 LIMIT 1")
    if row is None:
        return False
    gone = sql.execute(
        "DELETE FROM couchapi_indexrow WHERE index_id = %s AND docid IN (SELECT docid"
        " FROM couchapi_indexrow WHERE index_id = %s ORDER BY docid LIMIT %s)",
        (*row, *row, SLICE),
    )
    if not gone.rowcount:
        sql.execute("DELETE FROM couchapi_segment WHERE index_id = %s", row)
        sql.execute("DELETE FROM couchapi_index WHERE id = %s", row)
    return True


def _remove_rows(
    sql: Sql, index_id: int, docids: Collection[str]
) -> tuple[list[tuple[int, bytes, str, int]], int]:
    """Remove the rows of documents; return (view, sortkey, docid, n) of them, and their bytes."""
    each, param = sql.each(list(docids))
    gone = sql.all(
        "DELETE FROM couchapi_indexrow WHERE index_id = %s"
        f" AND docid IN (SELECT j.value FROM {each})"
        " RETURNING view, sortkey, docid, n, length(key) + length(value)",
        (index_id, param),
    )
    return [row[:4] for row in gone], sum([row[4] for row in gone])


def _fitting(sql: Sql, entries: Sequence[Entry]) -> Sequence[Entry]:
    if sql.vendor == "sqlite":
        return entries
    return [one._replace(sortkey=one.sortkey[:_MOST_SORTKEY]) for one in entries]


def _note(sql: Sql, index_id: int, grown: int, fault: Fault | None) -> None:
    sql.execute("UPDATE couchapi_index SET size = size + %s WHERE id = %s", (grown, index_id))
    if fault is not None:
        said = orjson.dumps({"id": fault.docid, "error": fault.kind, "reason": fault.message})
        sql.execute(
            "UPDATE couchapi_index SET last_error = %s WHERE id = %s", (said.decode(), index_id)
        )
