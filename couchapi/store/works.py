"""Long work that goes on now: how far it is, for whoever looks, and whether it is to end.

A worker that was killed leaves its row; it counts no more when nothing was heard of it for a while.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from acl.sql import Sql

SILENT = 120
"""Seconds after which work that says nothing has ended."""


class Kind(StrEnum):
    """What is done."""

    COMPACTION = "compaction"


class Work(NamedTuple):
    """Work on a database; times in Unix seconds."""

    id: int
    kind: str
    db_name: str
    done: int
    total: int
    started_at: int
    seen_at: int
    cancelled: bool


def begin(sql: Sql, database_id: int, kind: Kind, total: int, now: int) -> int | None:
    """Return the number of work that begins; None where the same goes on already."""
    sql.execute(
        "DELETE FROM couchapi_work WHERE database_id = %s AND kind = %s AND seen_at < %s",
        (database_id, kind, now - SILENT),
    )
    row = sql.one(
        "INSERT INTO couchapi_work (database_id, kind, done, total, started_at, seen_at, cancelled)"
        " VALUES (%s, %s, 0, %s, %s, %s, FALSE)"
        " ON CONFLICT (database_id, kind) DO NOTHING RETURNING id",
        (database_id, kind, total, now, now),
    )
    return None if row is None else int(row[0])


def advance(sql: Sql, work: int, done: int, now: int) -> bool:
    """Note that so much more is done; return whether to go on."""
    row = sql.one(
        "UPDATE couchapi_work SET done = done + %s, seen_at = %s WHERE id = %s RETURNING cancelled",
        (done, now, work),
    )
    return row is not None and not row[0]


def end(sql: Sql, work: int) -> None:
    """Forget work that has ended."""
    sql.execute("DELETE FROM couchapi_work WHERE id = %s", (work,))


def cancel(sql: Sql, work: int) -> bool:
    """Have work end where it is; return whether it was still going on."""
    return bool(
        sql.execute("UPDATE couchapi_work SET cancelled = TRUE WHERE id = %s", (work,)).rowcount
    )


def going_on(sql: Sql, now: int) -> list[Work]:
    """Return what goes on, the oldest first."""
    return [one for one in _all(sql) if one.seen_at >= now - SILENT]


def left(sql: Sql, now: int) -> list[Work]:
    """Return what somebody has begun who was ended, and what nobody has cancelled."""
    return [one for one in _all(sql) if one.seen_at < now - SILENT and not one.cancelled]


def _all(sql: Sql) -> list[Work]:
    rows = sql.all(
        "SELECT w.id, w.kind, d.name, w.done, w.total, w.started_at, w.seen_at, w.cancelled"
        " FROM couchapi_work w JOIN couchapi_database d ON d.id = w.database_id"
        " WHERE NOT d.dropped ORDER BY w.id"
    )
    return [Work._make((*row[:7], bool(row[7]))) for row in rows]
