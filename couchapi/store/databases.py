"""Databases: making, listing, describing and dropping them."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from acl import store as acl_store
from acl.sql import Sql
from couchapi import wakeups
from couchapi.core.errors import DatabaseMissing, FileExists
from couchapi.core.names import REPLICATOR, is_database_name

_COLUMNS = (
    "id, name, conflict_policy, update_seq, purge_seq, epochs, revs_limit, "
    "purged_infos_limit, doc_count, doc_del_count, body_size, security, design_seq, quota,"
    " local_only"
)


class DatabaseRow(NamedTuple):
    """What a request needs to know of its database; sizes are in bytes."""

    id: int
    name: str
    conflict_policy: str
    update_seq: int
    purge_seq: int
    epochs: tuple[tuple[str, int], ...]
    revs_limit: int
    purged_infos_limit: int
    doc_count: int
    doc_del_count: int
    body_size: int
    security: str
    design_seq: int
    quota: int | None
    local_only: bool

    @property
    def epoch(self) -> str:
        """The epoch that new sequence numbers carry (design/replication.md)."""
        return self.epochs[-1][0]


def create(
    sql: Sql, name: str, *, policy: str, epoch: str, creator_id: int | None = None
) -> DatabaseRow:
    """Make a database; `creator_id` is the application that made it and may administer it.

    Raises FileExists.
    """
    made = sql.one(
        "INSERT INTO couchapi_database (name, conflict_policy, update_seq, purge_seq, epochs,"
        " revs_limit, purged_infos_limit, doc_count, doc_del_count, body_size, security,"
        " design_seq, dropped, local_only, created_at)"
        " VALUES (%s, %s, 0, 0, %s, 1000, 1000, 0, 0, 0, '{}', 0, FALSE, %s, CURRENT_TIMESTAMP)"
        " ON CONFLICT (name) DO NOTHING RETURNING " + _COLUMNS,
        # What this hub is to do is not for the others to do.
        (name, policy, orjson.dumps([[epoch, 0]]).decode(), name == REPLICATOR),
    )
    if made is None:
        raise FileExists
    if creator_id is not None:
        acl_store.add_grant_in(sql, name, creator_id, read=True, write=True, admin=True)
    note_event(sql, name, "created")
    return _row(made)


def find(sql: Sql, name: str) -> DatabaseRow | None:
    """Return the database, or None."""
    if not is_database_name(name):  # Such as those that dropped databases have.
        return None
    found = sql.one(f"SELECT {_COLUMNS} FROM couchapi_database WHERE name = %s", (name,))
    return None if found is None else _row(found)


def get(sql: Sql, name: str) -> DatabaseRow:
    """Return the database; raises DatabaseMissing."""
    found = find(sql, name)
    if found is None:
        raise DatabaseMissing
    return found


def by_id(sql: Sql, database_id: int) -> DatabaseRow | None:
    """Return the database, None when it was deleted."""
    found = sql.one(
        f"SELECT {_COLUMNS} FROM couchapi_database WHERE id = %s AND NOT dropped", (database_id,)
    )
    return None if found is None else _row(found)


def lock(sql: Sql, name: str) -> DatabaseRow:
    """Return the database and keep every other writer of it out until the transaction ends.

    So the order of commits is the order of sequence numbers (design/replication.md).
    """
    if not is_database_name(name):
        raise DatabaseMissing
    # SQLite's transaction is the only writer already.
    keep = "" if sql.vendor == "sqlite" else " FOR UPDATE"
    found = sql.one(f"SELECT {_COLUMNS} FROM couchapi_database WHERE name = %s{keep}", (name,))
    if found is None:
        raise DatabaseMissing
    return _row(found)


def names(sql: Sql) -> list[str]:
    """Return the names of all databases, in CouchDB's order."""
    rows = sql.all("SELECT name FROM couchapi_database WHERE NOT dropped")
    return sorted(row[0] for row in rows)


def shared_names(sql: Sql) -> list[str]:
    """Return the names of the databases that the owner's other devices are to have, too."""
    rows = sql.all("SELECT name FROM couchapi_database WHERE NOT dropped AND NOT local_only")
    return [row[0] for row in rows]


def deleted_names(sql: Sql) -> list[str]:
    """Return the names of databases that were deleted here, and not made again."""
    rows = sql.all("SELECT name FROM couchapi_databaseevent WHERE kind = 'deleted'")
    return [row[0] for row in rows]


def everything(sql: Sql) -> list[DatabaseRow]:
    """Return all databases by name."""
    rows = sql.all(f"SELECT {_COLUMNS} FROM couchapi_database WHERE NOT dropped ORDER BY name")
    return [_row(row) for row in rows]


def drop(sql: Sql, name: str) -> None:
    """Delete a database: its name is free at once, its rows go in the background.

    Its grants go with it, so that a later database of this name does not inherit them.
    """
    database = lock(sql, name)
    sql.execute(
        # Capitals are not legal in names, so nobody can ask for a dropped database.
        "UPDATE couchapi_database SET dropped = TRUE, name = %s WHERE id = %s",
        (f"DROPPED-{database.id}", database.id),
    )
    acl_store.forget_database(sql, name)
    note_event(sql, name, "deleted")


def count(sql: Sql, database: DatabaseRow, *, seq: int, docs: int, deleted: int, size: int) -> None:
    """Note what a write did to the database: its new sequence number, and the differences."""
    sql.execute(
        "UPDATE couchapi_database SET update_seq = %s, doc_count = doc_count + %s,"
        " doc_del_count = doc_del_count + %s, body_size = body_size + %s WHERE id = %s",
        (seq, docs, deleted, size, database.id),
    )
    note_event(sql, database.name, "updated")


def note_designs(sql: Sql, database: DatabaseRow, seq: int) -> None:
    """Note that a design document changed at `seq`."""
    sql.execute("UPDATE couchapi_database SET design_seq = %s WHERE id = %s", (seq, database.id))


def set_security(sql: Sql, name: str, security: bytes) -> None:
    """Keep the _security object as it was sent."""
    sql.execute(
        "UPDATE couchapi_database SET security = %s WHERE id = %s",
        (security.decode(), lock(sql, name).id),
    )


def set_revs_limit(sql: Sql, name: str, limit: int) -> None:
    """Keep at most `limit` ancestors of each leaf from the next write on."""
    sql.execute(
        "UPDATE couchapi_database SET revs_limit = %s WHERE id = %s", (limit, lock(sql, name).id)
    )


def set_purged_infos_limit(sql: Sql, name: str, limit: int) -> None:
    """Keep the records of at most `limit` purges."""
    sql.execute(
        "UPDATE couchapi_database SET purged_infos_limit = %s WHERE id = %s",
        (limit, lock(sql, name).id),
    )


def set_local_only(sql: Sql, name: str, local_only: bool) -> None:
    """Keep a database on this hub alone, or no longer."""
    sql.execute(
        "UPDATE couchapi_database SET local_only = %s WHERE id = %s",
        (local_only, lock(sql, name).id),
    )
    note_event(sql, name, "updated")


def set_quota(sql: Sql, name: str, quota: int | None) -> None:
    """Let a database hold at most so many bytes of bodies and attachments; None: any."""
    sql.execute(
        "UPDATE couchapi_database SET quota = %s WHERE id = %s", (quota, lock(sql, name).id)
    )


def note_event(sql: Sql, name: str, kind: str) -> None:
    """Put the database's last event at the end of _db_updates, and wake who waits for it."""
    sql.after_commit(wakeups.announce, name)
    if sql.vendor != "sqlite":
        # Numbers must be committed in their order; the lock ends with this transaction.
        sql.execute("SELECT pg_advisory_xact_lock(hashtext('couchapi_databaseevent'))")
    next_seq = "(SELECT coalesce(max(seq), 0) + 1 FROM couchapi_databaseevent)"
    noted = sql.execute(
        f"UPDATE couchapi_databaseevent SET seq = {next_seq}, kind = %s WHERE name = %s",
        (kind, name),
    )
    if not noted.rowcount:
        sql.execute(
            f"INSERT INTO couchapi_databaseevent (name, seq, kind) VALUES (%s, {next_seq}, %s)",
            (name, kind),
        )


def events(sql: Sql, since: int, limit: int) -> list[tuple[int, str, str]]:
    """Return (seq, name, kind) of the databases with an event after `since`, oldest first."""
    return [
        (seq, name, kind)
        for seq, name, kind in sql.all(
            "SELECT seq, name, kind FROM couchapi_databaseevent WHERE seq > %s"
            " ORDER BY seq LIMIT %s",
            (since, limit),
        )
    ]


def last_event(sql: Sql) -> int:
    """Return the number of the newest event."""
    row = sql.one("SELECT coalesce(max(seq), 0) FROM couchapi_databaseevent")
    return int(row[0]) if row else 0


def _row(found: tuple[object, ...]) -> DatabaseRow:
    values = list(found)
    values[5] = tuple((epoch, first) for epoch, first in orjson.loads(str(values[5])))
    values[-1] = bool(values[-1])  # SQLite has no booleans.
    return DatabaseRow(*values)  # type: ignore[arg-type]
