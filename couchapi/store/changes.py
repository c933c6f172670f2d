"""The rows of `_changes`: each document once, where its last change put it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from acl.sql import Sql


class Change(NamedTuple):
    """A document's last change; `tree` is read only where there is more than one leaf."""

    seq: int
    docid: str
    rev: str
    deleted: bool
    leaf_count: int
    tree: bytes | None


_CHANGE = "d.seq, d.docid, d.rev, d.deleted, d.leaf_count"


def page(
    sql: Sql,
    database_id: int,
    since: int,
    until: int | None,
    limit: int,
    *,
    descending: bool = False,
) -> list[Change]:
    """Return up to `limit` changes after `since`, oldest first.

    Descending, they run from `until` (exclusive; None: from the newest) down to the first after
    `since`.  Served from the covering index alone.
    """
    order = "DESC" if descending else "ASC"
    upper, params = ("", [database_id, since])
    if until is not None:
        upper, params = (" AND d.seq < %s", [database_id, since, until])
    rows = sql.all(
        f"SELECT {_CHANGE} FROM couchapi_document d WHERE d.database_id = %s AND d.seq > %s{upper}"
        f" ORDER BY d.seq {order} LIMIT %s",
        [*params, limit],
    )
    trees = _trees(sql, database_id, [row[0] for row in rows if row[4] > 1])
    return [
        Change(seq, docid, rev, bool(deleted), leaf_count, trees.get(seq))
        for seq, docid, rev, deleted, leaf_count in rows
    ]


def of_documents(sql: Sql, database_id: int, since: int, docids: Sequence[str]) -> list[Change]:
    """Return the changes after `since` of the documents `docids`, oldest first."""
    each, param = sql.each(docids)
    rows = sql.all(
        f"SELECT {_CHANGE}, d.tree FROM {each} CROSS JOIN couchapi_document d"
        " WHERE d.database_id = %s AND d.docid = j.value AND d.seq > %s ORDER BY d.seq",
        (param, database_id, since),
    )
    return [
        Change(seq, docid, rev, bool(deleted), leaf_count, tree)
        for seq, docid, rev, deleted, leaf_count, tree in rows
    ]


def count_after(sql: Sql, database_id: int, seq: int, at_most: int) -> int:
    """Return how many changes there are after `seq`, counting no further than `at_most`."""
    row = sql.one(
        "SELECT count(*) FROM (SELECT 1 FROM couchapi_document WHERE database_id = %s AND seq > %s"
        " LIMIT %s) AS counted",
        (database_id, seq, at_most),
    )
    return int(row[0]) if row else 0


def _trees(sql: Sql, database_id: int, seqs: Sequence[int]) -> dict[int, bytes]:
    each, param = sql.each([str(seq) for seq in seqs])
    if not seqs:
        return {}
    return dict(
        sql.all(
            f"SELECT d.seq, d.tree FROM {each} CROSS JOIN couchapi_document d"
            " WHERE d.database_id = %s AND d.seq = CAST(j.value AS BIGINT)",
            (param, database_id),
        )
    )
