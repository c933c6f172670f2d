"""What others have put here: how many bytes each holds, and how many it may.

Each body knows whose share it takes, and each attachment who sent it; whatever is removed leaves
the share that it took.  What the owner writes, and what the hub fetches for the owner, is nobody's
share, and costs nothing to count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from acl.sql import Sql
from couchapi.core.errors import StorageFull
from couchapi.store.databases import DatabaseRow


class Share(NamedTuple):
    """What a principal has put here, and may, in bytes; None: as much as there is room for."""

    key: str
    size: int
    quota: int | None


def number(sql: Sql, key: str) -> int:
    """Return the number of a principal's share, which is made if there is none."""
    known = sql.one("SELECT id FROM couchapi_share WHERE key = %s", (key,))
    if known is None:
        known = sql.one(
            "INSERT INTO couchapi_share (key, size) VALUES (%s, 0)"
            " ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id",
            (key,),
        )
    assert known is not None
    return int(known[0])


def charge(
    sql: Sql, share: int | None, database: DatabaseRow, size: int, *, only_deletes: bool
) -> None:
    """Note what a batch has stored; raises StorageFull beyond a quota, unless it but deletes.

    `share` is None for the owner, and `database` is the row of before.
    """
    is_limited = size > 0 and not only_deletes
    if share is not None:
        grown = sql.one(
            "UPDATE couchapi_share SET size = size + %s WHERE id = %s RETURNING size, quota",
            (size, share),
        )
        if is_limited and grown and _exceeds(*grown):
            raise StorageFull(
                f"Your share of this hub is used up: {grown[1]} bytes. Delete something of yours,"
                " or ask the hub's owner for more."
            )
    if is_limited and _exceeds(database.body_size + size, database.quota):
        raise StorageFull(
            f"This database may hold {database.quota} bytes. Delete and compact, or let it hold"
            " more on the hub's page about storage."
        )


def _exceeds(size: int, quota: int | None) -> bool:
    return quota is not None and size > quota


def credit(sql: Sql, freed: Mapping[int | None, int]) -> None:
    """Take removed bodies out of the shares that they took; None is the owner's."""
    sql.many(
        "UPDATE couchapi_share SET size = size - %s WHERE id = %s",
        [(size, share) for share, size in freed.items() if share is not None],
    )


def credit_uploader(sql: Sql, key: str, size: int) -> None:
    """Take a removed attachment out of the share of who sent it, if it took one."""
    sql.execute("UPDATE couchapi_share SET size = size - %s WHERE key = %s", (size, key))


def everything(sql: Sql) -> list[Share]:
    """Return all shares, the largest first."""
    rows = sql.all("SELECT key, size, quota FROM couchapi_share ORDER BY size DESC, key")
    return [Share(*row) for row in rows]


def set_quota(sql: Sql, key: str, quota: int | None) -> None:
    """Let a principal put at most so many bytes here; None: any."""
    share = number(sql, key)
    sql.execute("UPDATE couchapi_share SET quota = %s WHERE id = %s", (quota, share))
