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


# The first condition is written out as the index has it: it is not used else.
_MET = "leaf_count > 1"
_UNDECIDED = f"{_MET} AND leaf_count > coalesce(decided_leaves, 1)"


def page(
    sql: Sql, database_id: int, before: int | None, limit: int, *, decided: bool = True
) -> list[Meeting]:
    """Return up to `limit` documents, what changed last first: all, or those before a sequence.

    Without `decided` those that the owner found right are left out, until more versions meet there.
    """
    rows = sql.all(
        "SELECT docid, seq, deleted, tree FROM couchapi_document"
        f" WHERE database_id = %s AND {_MET if decided else _UNDECIDED} AND seq < %s"
        " ORDER BY seq DESC LIMIT %s",
        (database_id, 2**62 if before is None else before, limit),
    )
    return [Meeting(docid, seq, bool(deleted), tree) for docid, seq, deleted, tree in rows]


def counts(sql: Sql, *, decided: bool = False) -> dict[str, int]:
    """Return how many there are in each database that has any, by name; MOST_COUNTED is many."""
    rows = sql.all(
        "SELECT b.name, (SELECT count(*) FROM (SELECT 1 FROM couchapi_document d"
        f" WHERE d.database_id = b.id AND {_MET if decided else _UNDECIDED} LIMIT %s) AS few)"
        " FROM couchapi_database b WHERE NOT b.dropped ORDER BY b.name",
        (MOST_COUNTED,),
    )
    return {name: count for name, count in rows if count}


def decide(sql: Sql, database_id: int, docid: str | None = None) -> int:
    """Take documents out of the count, as they are now: one, or all; return how many those were."""
    one, params = ("", ()) if docid is None else (" AND docid = %s", (docid,))
    changed = sql.execute(
        "UPDATE couchapi_document SET decided_leaves = leaf_count"
        f" WHERE database_id = %s AND {_UNDECIDED}{one}",
        (database_id, *params),
    )
    return int(changed.rowcount)
