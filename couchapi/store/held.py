"""Documents that the resolver has to look at again (design/conflicts.md, R4 and R10)."""

from __future__ import annotations

from acl.sql import Sql
from couchapi.core import lww

# CROSS JOIN: SQLite would begin with the databases, and read all documents.
_WAITING = (
    "couchapi_document d CROSS JOIN couchapi_database b"
    " WHERE b.id = d.database_id AND NOT b.dropped AND d.due IS NOT NULL"
)


def due(sql: Sql, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` documents (database name, docid) that have to be settled."""
    rows = sql.all(
        f"SELECT b.name, d.docid FROM {_WAITING} AND d.due <= %s LIMIT %s",
        (now_ms, limit),
    )
    return [(name, docid) for name, docid in rows]


def stopped(sql: Sql, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` documents (database name, docid) that the resolver has given up on.

    It spent its revisions of this hour there, and looks again when the hour is over (rule R10).
    """
    rows = sql.all(
        f"SELECT b.name, d.docid FROM {_WAITING}"
        " AND d.due > %s AND d.resolver_count >= %s LIMIT %s",
        (now_ms, lww.BUDGET, limit),
    )
    return [(name, docid) for name, docid in rows]


def ahead(sql: Sql, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` documents (database name, docid) with a stamp of the future (rule R4).

    A clock of one of the owner's devices was ahead: a friend's edit is not taken in (rule R9).
    """
    rows = sql.all(
        f"SELECT b.name, d.docid FROM {_WAITING} AND d.due > %s AND d.resolver_count < %s LIMIT %s",
        (now_ms, lww.BUDGET, limit),
    )
    return [(name, docid) for name, docid in rows]
