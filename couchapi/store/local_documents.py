"""Local documents: not replicated, and one namespace for each principal.

A replicator keeps its checkpoints here; one principal's are invisible to another
(design/access-control.md).  There is no conflict check: `_rev` is only counted.
"""

from __future__ import annotations

from acl.sql import Sql
from couchapi.core.errors import NotFound
from couchapi.store import databases


def namespace(key: str, is_owner: bool) -> str:
    """Return the namespace of the principal of this key; the owner's devices share one."""
    return "" if is_owner else key


def read(sql: Sql, db_name: str, owner: str, docid: str) -> tuple[int, bytes]:
    """Return (rev, body) of `_local/<docid>`; raises NotFound."""
    row = sql.one(
        "SELECT l.rev, l.body FROM couchapi_database b JOIN couchapi_localdocument l"
        " ON l.database_id = b.id AND l.owner = %s AND l.docid = %s WHERE b.name = %s",
        (owner, docid, db_name),
    )
    if row is None:
        databases.get(sql, db_name)
        raise NotFound
    return row[0], row[1]


def write(sql: Sql, db_name: str, owner: str, docid: str, body: bytes) -> int:
    """Store the body and return the new rev, counted from 1."""
    database = databases.get(sql, db_name)
    row = sql.one(
        "INSERT INTO couchapi_localdocument (database_id, owner, docid, rev, body)"
        " VALUES (%s, %s, %s, 1, %s) ON CONFLICT (database_id, owner, docid) DO UPDATE"
        " SET rev = couchapi_localdocument.rev + 1, body = excluded.body RETURNING rev",
        (database.id, owner, docid, body),
    )
    assert row is not None
    return int(row[0])


def delete(sql: Sql, db_name: str, owner: str, docid: str) -> None:
    """Delete `_local/<docid>`; raises NotFound."""
    gone = sql.one(
        "DELETE FROM couchapi_localdocument WHERE database_id = %s AND owner = %s AND docid = %s"
        " RETURNING id",
        (databases.get(sql, db_name).id, owner, docid),
    )
    if gone is None:
        raise NotFound


def everything(sql: Sql, db_name: str, owner: str) -> list[tuple[str, int, bytes]]:
    """Return a namespace's local documents (docid, rev, body) in order."""
    return [
        (docid, rev, body)
        for docid, rev, body in sql.all(
            "SELECT docid, rev, body FROM couchapi_localdocument WHERE database_id = %s"
            " AND owner = %s ORDER BY docid",
            (databases.get(sql, db_name).id, owner),
        )
    ]


def beginning_with(sql: Sql, prefix: str) -> list[tuple[str, str, str, bytes]]:
    """Return (database, owner, docid, body) of all local documents whose ids begin so."""
    pattern = prefix.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + "%"
    return [
        (name, owner, docid, body)
        for name, owner, docid, body in sql.all(
            "SELECT b.name, l.owner, l.docid, l.body FROM couchapi_localdocument l"
            " JOIN couchapi_database b ON b.id = l.database_id"
            " WHERE NOT b.dropped AND l.docid LIKE %s ESCAPE '\\'",
            (pattern,),
        )
    ]
