"""Documents of which several versions have met: those with more than one leaf."""

from __future__ import annotations

from typing import NamedTuple

from acl.sql import Sql

MOST_COUNTED = 1000


class Meeting(NamedTuple):
    """A document, and its encoded tree (core/revtree.py)."""

    docid: str
    seq: int
    deleted: bool
    tree: bytes


def page(sql: Sql, database_id: int, before: int | None, limit: int) -> list[Meeting]:
    """Return up to `limit` documents, what changed last first: all, or those before a sequence."""
    # The condition is written out as the index has it: it is not used else.
    rows = sql.all(
        "SELECT docid, seq, deleted, tree FROM couchapi_document"
        " WHERE database_id = %s AND leaf_count > 1 AND seq < %s ORDER BY seq DESC LIMIT %s",
        (database_id, 2**62 if before is None else before, limit),
    )
    return [Meeting(docid, seq, bool(deleted), tree) for docid, seq, deleted, tree in rows]


def counts(sql: Sql) -> dict[str, int]:
    """Return how many there are in each database that has any, by name; MOST_COUNTED is many."""
    rows = sql.all(
        "SELECT b.name, (SELECT count(*) FROM (SELECT 1 FROM couchapi_document d"
        " WHERE d.database_id = b.id AND d.leaf_count > 1 LIMIT %s) AS few)"
        " FROM couchapi_database b WHERE NOT b.dropped ORDER BY b.name",
        (MOST_COUNTED,),
    )
    return {name: count for name, count in rows if count}
