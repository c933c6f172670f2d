"""What makes links due: something was written here or there, or a peer answers again.

Also what the process that waits has to know: which peers to listen to, and when to look next.
"""

from __future__ import annotations

from collections.abc import Iterable

from acl.sql import Sql
from replication.core import schedule
from replication.core.job import Mode, Priority
from replication.store import policy
from replication.store.links import OPEN

_WAKE = (
    # What runs goes on once more; what rests is due.  Those that ended stay ended.
    "UPDATE replication_link SET due_at = CASE WHEN due_at > %s THEN %s ELSE due_at END,"
    " again = (lease_until > %s) WHERE (due_at > %s OR (lease_until > %s AND NOT again))"
    " AND state NOT IN ('completed', 'failed', 'crashing')"
)


def wake_push(sql: Sql, db_names: Iterable[str], now: float) -> int:
    """Make the continuous pushes of changed databases due; return how many became so.

    A device of the owner pulls by itself: what it can reach has not to be sent to it as well.
    """
    return sum(
        _wake(
            sql,
            now,
            " AND direction = 'push' AND job_id IN (SELECT id FROM replication_job"
            f" WHERE db_name = %s AND mode = 'continuous' AND {which})",
            (name,),
            due_at,
        )
        for name in db_names
        for which, due_at in (("NOT mesh", now), ("mesh", now + schedule.GRACE))
    )


def wake_pull(sql: Sql, key: str, there: Iterable[str], now: float) -> int:
    """Make the continuous pulls of databases that changed at a peer due."""
    return sum(
        _wake(
            sql,
            now,
            " AND key = %s AND direction = 'pull' AND job_id IN (SELECT id FROM replication_job"
            " WHERE there = %s AND mode = 'continuous')",
            (key, name),
        )
        for name in there
    )


def wake_peer(sql: Sql, key: str, now: float) -> int:
    """Make everything that waits for a hub due: it answers, and may have changed unseen."""
    changed = sql.execute(
        "UPDATE replication_link SET due_at = %s WHERE key = %s AND due_at > %s"
        " AND state IN ('waiting', 'crashing')"
        " AND job_id IN (SELECT id FROM replication_job WHERE mode = 'continuous')",
        (now, key, now),
    )
    return int(changed.rowcount)


def wake_pushes(sql: Sql, now: float) -> int:
    """Make all continuous pushes due: something may have been written unseen."""
    changed = sql.execute(
        "UPDATE replication_link SET due_at = %s WHERE direction = 'push' AND due_at > %s"
        " AND state = 'waiting'"
        " AND job_id IN (SELECT id FROM replication_job WHERE mode = 'continuous')",
        (now, now),
    )
    return int(changed.rowcount)


def wake_left(sql: Sql, now: float) -> int:
    """Make due what waits for attachments, where these may come now."""
    if Priority.BACKGROUND not in policy.read(sql).running():
        return 0
    changed = sql.execute(
        "UPDATE replication_link SET due_at = %s WHERE attachments_left > 0 AND due_at > %s"
        " AND state = 'waiting'",
        (now, now),
    )
    return int(changed.rowcount)


def wake_link(sql: Sql, number: int, now: float) -> int:
    """Make one link due."""
    return _wake(sql, now, " AND id = %s", (number,))


def _wake(
    sql: Sql, now: float, where: str, params: tuple[object, ...], due_at: float | None = None
) -> int:
    at = now if due_at is None else due_at
    return int(sql.execute(_WAKE + where, (at, at, now, at, now, *params)).rowcount)


# -- when and whom ---------------------------------------------------------------------------------


def due_priorities(sql: Sql, now: float) -> list[Priority]:
    """Return the priorities of which something may run now."""
    may_run, at = policy.may_run(sql, now)
    rows = sql.all(
        "SELECT DISTINCT j.priority FROM replication_link l JOIN replication_job j"
        f" ON j.id = l.job_id WHERE {OPEN} AND {may_run}",
        (now, now, now, *at),
    )
    return [Priority(row[0]) for row in rows]


def next_due(sql: Sql, now: float) -> float:
    """Return when something will be due, or a lease runs out, after `now`."""
    row = sql.one(
        "SELECT min(CASE WHEN l.lease_until > l.due_at THEN l.lease_until ELSE l.due_at END)"
        " FROM replication_link l JOIN replication_job j ON j.id = l.job_id WHERE NOT j.paused"
        " AND (l.due_at > %s OR l.lease_until > %s)",
        (now, now),
    )
    return schedule.NEVER if row is None or row[0] is None else float(row[0])


def watched_hubs(sql: Sql, now: float) -> list[tuple[str, str, bool]]:
    """Return (key, a peer's text, whether it is ours) of hubs that continuous jobs pull from.

    Who cannot be reached at this hour is not listened to.
    """
    rows = sql.all(
        "SELECT l.key, max(j.peer), max(CASE WHEN j.mesh THEN 1 ELSE 0 END) FROM replication_link l"
        " JOIN replication_job j ON j.id = l.job_id WHERE l.key <> '' AND l.direction = 'pull'"
        " AND j.mode = %s AND NOT j.paused AND l.opens_at <= %s AND l.closes_at > %s"
        " GROUP BY l.key",
        (Mode.CONTINUOUS.value, now, now),
    )
    return [(key, peer, bool(mesh)) for key, peer, mesh in rows]


def watched_servers(sql: Sql, now: float) -> list[tuple[int, str]]:
    """Return (link, URL) of the servers that continuous jobs pull from at this hour."""
    rows = sql.all(
        "SELECT l.id, j.peer FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        " WHERE l.key = '' AND l.direction = 'pull' AND j.mode = %s AND NOT j.paused"
        " AND l.opens_at <= %s AND l.closes_at > %s",
        (Mode.CONTINUOUS.value, now, now),
    )
    return [(number, peer) for number, peer in rows]
