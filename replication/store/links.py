"""Links: which are due, who runs them, and what came of it.

A worker holds a link by a *lease* that it renews; one that is killed stops renewing, and another
takes the link over when the lease has run out (design/replication.md, "What a hub adds").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from acl.sql import Sql
from couchapi import wakeups
from replication.core import schedule
from replication.core.job import Direction, Mode, Priority, State
from replication.core.schedule import Due
from replication.store.jobs import JOBS

_MOST_LOOKED_AT = 500


class Meant(NamedTuple):
    """A hub or server that a job means; `key` is empty for a server."""

    key: str
    name: str


class LinkRow(NamedTuple):
    """A link as lists show it."""

    id: int
    job_id: int
    key: str
    name: str
    direction: str
    state: str
    due_at: float
    failures: int
    lease_until: float
    started_at: float | None
    last_success: float | None
    last_error: str
    behind: int | None
    path: str
    docs_read: int
    docs_written: int
    doc_write_failures: int
    result: str


class Claim(NamedTuple):
    """A link that this worker runs now, with what it needs of the job."""

    id: int
    job_id: int
    key: str
    name: str
    direction: str
    failures: int
    db_name: str
    peer: str
    there: str
    mode: str
    every: int
    options: str
    wished_by: str
    transient: bool
    mesh: bool
    owner: str = ""
    started_at: float = 0.0


class Counts(NamedTuple):
    """What a run has done so far."""

    docs_read: int = 0
    docs_written: int = 0
    doc_write_failures: int = 0


class Ended(NamedTuple):
    """How a run went; `due_at` is when the next one is."""

    state: State
    due_at: float
    failures: int = 0
    error: str = ""
    behind: int | None = None
    counts: Counts = Counts()
    result: str = ""


_LINK = (
    "id, job_id, key, name, direction, state, due_at, failures, lease_until, started_at,"
    " last_success, last_error, behind, path, docs_read, docs_written, doc_write_failures,"
    " result"
)
_CLAIM = (
    "l.id, l.job_id, l.key, l.name, l.direction, l.failures, j.db_name, j.peer, j.there, j.mode,"
    " j.every, j.options, j.wished_by, j.transient, j.mesh"
)
_OPEN = "NOT j.paused AND j.ends_at > %s AND l.due_at <= %s AND l.lease_until <= %s"


# -- which there are -------------------------------------------------------------------------------


def of_job(sql: Sql, job_id: int) -> list[LinkRow]:
    """Return the links of a job."""
    rows = sql.all(f"SELECT {_LINK} FROM replication_link WHERE job_id = %s ORDER BY id", (job_id,))
    return [LinkRow(*row) for row in rows]


def everything(sql: Sql) -> list[LinkRow]:
    """Return all links."""
    return [LinkRow(*row) for row in sql.all(f"SELECT {_LINK} FROM replication_link ORDER BY id")]


def reconcile(
    sql: Sql, job_id: int, direction: str, meant: Sequence[Meant], now: float, grace: float = 0.0
) -> bool:
    """Give the job a link for each of `meant` and each way, and no others; tell what changed.

    New ones are due now, those that push after `grace` seconds.
    """
    wanted = {(one.key, way.value): one for one in meant for way in Direction(direction).ways}
    held = {(row.key, row.direction): row for row in of_job(sql, job_id)}
    for place in held.keys() - wanted.keys():
        sql.execute("DELETE FROM replication_link WHERE id = %s", (held[place].id,))
    for place, one in wanted.items():
        if place not in held:
            due_at = now + grace if place[1] == Direction.PUSH else now
            _insert(sql, job_id, one, place[1], due_at)
        elif held[place].name != one.name:
            sql.execute(
                "UPDATE replication_link SET name = %s WHERE id = %s", (one.name, held[place].id)
            )
    return held.keys() != wanted.keys()


def _insert(sql: Sql, job_id: int, meant: Meant, direction: str, due_at: float) -> None:
    sql.execute(
        "INSERT INTO replication_link (job_id, key, name, direction, state, due_at, again,"
        " failures, lease_owner, lease_until, last_error, path, docs_read, docs_written,"
        " doc_write_failures, result)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 0, '', 0, '', '', 0, 0, 0, '')",
        (job_id, meant.key, meant.name, direction, State.PENDING.value, due_at, False),
    )


def ended_with_document(sql: Sql) -> int:
    """Return how many links of documents in `_replicator` have ended."""
    row = sql.one(
        "SELECT count(*) FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        " WHERE j.docid <> '' AND l.state IN ('completed', 'failed')"
    )
    return 0 if row is None else int(row[0])


# -- waking ----------------------------------------------------------------------------------------

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


def wake_link(sql: Sql, number: int, now: float) -> int:
    """Make one link due."""
    return _wake(sql, now, " AND id = %s", (number,))


def _wake(
    sql: Sql, now: float, where: str, params: tuple[object, ...], due_at: float | None = None
) -> int:
    at = now if due_at is None else due_at
    return int(sql.execute(_WAKE + where, (at, at, now, at, now, *params)).rowcount)


# -- running ---------------------------------------------------------------------------------------


def due_priorities(sql: Sql, now: float) -> list[Priority]:
    """Return the priorities of which something may run now."""
    rows = sql.all(
        "SELECT DISTINCT j.priority FROM replication_link l JOIN replication_job j"
        f" ON j.id = l.job_id WHERE {_OPEN}",
        (now, now, now),
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


def claim(sql: Sql, owner: str, now: float, at_once: int = schedule.AT_ONCE) -> list[Claim]:
    """Take the links that this worker, `owner`, is to run now."""
    rows = sql.all(
        f"SELECT {_CLAIM}, l.due_at, j.priority FROM replication_link l JOIN replication_job j"
        f" ON j.id = l.job_id WHERE {_OPEN} ORDER BY l.due_at LIMIT %s",
        (now, now, now, _MOST_LOOKED_AT),
    )
    running = Counter(_running(sql, now))
    due = [Due(row[0], row[2] or row[3], Priority(row[-1]).rank, row[-2]) for row in rows]
    chosen = set(schedule.choose(due, running, at_once - running.total()))
    return [
        Claim._make((*row[:-2], owner, now))
        for row in rows
        if row[0] in chosen and _take(sql, row[0], owner, now)
    ]


def _running(sql: Sql, now: float) -> list[str]:
    rows = sql.all("SELECT key, name FROM replication_link WHERE lease_until > %s", (now,))
    return [key or name for key, name in rows]


def _take(sql: Sql, number: int, owner: str, now: float) -> bool:
    taken = sql.execute(
        "UPDATE replication_link SET lease_owner = %s, lease_until = %s, started_at = %s,"
        " state = %s, again = FALSE WHERE id = %s AND lease_until <= %s",
        (owner, now + schedule.LEASE, now, State.RUNNING.value, number, now),
    )
    return bool(taken.rowcount)


def renew(sql: Sql, owner: str, numbers: Iterable[int], now: float) -> set[int]:
    """Hold links for longer; return those that are still this worker's, and not paused."""
    return {
        number
        for number in numbers
        if sql.execute(
            "UPDATE replication_link SET lease_until = %s WHERE id = %s AND lease_owner = %s"
            " AND lease_until > %s"
            " AND job_id IN (SELECT id FROM replication_job WHERE NOT paused)",
            (now + schedule.LEASE, number, owner, now),
        ).rowcount
    }


def note(sql: Sql, claim: Claim, behind: int | None, path: str) -> None:
    """Note how far a run is."""
    sql.execute(
        "UPDATE replication_link SET behind = %s, path = %s WHERE id = %s AND lease_owner = %s",
        (behind, path, claim.id, claim.owner),
    )


def finish(sql: Sql, claim: Claim, ended: Ended, now: float) -> None:
    """Note how a run went and give the link back; what another worker holds now stays."""
    succeeded = not ended.error and ended.state is not State.FAILED
    sql.execute(
        "UPDATE replication_link SET lease_owner = '', lease_until = 0, state = %s, failures = %s,"
        " due_at = CASE WHEN again AND %s THEN %s ELSE %s END, again = FALSE, last_error = %s,"
        " last_success = CASE WHEN %s THEN %s ELSE last_success END, behind = %s,"
        " result = %s, docs_read = docs_read + %s, docs_written = docs_written + %s,"
        " doc_write_failures = doc_write_failures + %s WHERE id = %s AND lease_owner = %s",
        (
            ended.state.value,
            ended.failures,
            succeeded,
            now,
            ended.due_at,
            ended.error,
            succeeded,
            now,
            ended.behind,
            ended.result,
            *ended.counts,
            claim.id,
            claim.owner,
        ),
    )
    sql.after_commit(wakeups.announce, JOBS)


def release(sql: Sql, owner: str, now: float) -> None:
    """Give back all that a worker holds: it ends in order."""
    sql.execute(
        "UPDATE replication_link SET lease_owner = '', lease_until = 0, state = %s, due_at = %s"
        " WHERE lease_owner = %s",
        (State.PENDING.value, now, owner),
    )


# -- peers -----------------------------------------------------------------------------------------


def watched_hubs(sql: Sql) -> list[tuple[str, str, bool]]:
    """Return (key, a peer's text, whether it is ours) of hubs that continuous jobs pull from."""
    rows = sql.all(
        "SELECT l.key, max(j.peer), max(CASE WHEN j.mesh THEN 1 ELSE 0 END) FROM replication_link l"
        " JOIN replication_job j ON j.id = l.job_id WHERE l.key <> '' AND l.direction = 'pull'"
        " AND j.mode = %s AND NOT j.paused GROUP BY l.key",
        (Mode.CONTINUOUS.value,),
    )
    return [(key, peer, bool(mesh)) for key, peer, mesh in rows]


def watched_servers(sql: Sql) -> list[tuple[int, str]]:
    """Return (link, URL) of the servers that continuous jobs pull from."""
    rows = sql.all(
        "SELECT l.id, j.peer FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        " WHERE l.key = '' AND l.direction = 'pull' AND j.mode = %s AND NOT j.paused",
        (Mode.CONTINUOUS.value,),
    )
    return [(number, peer) for number, peer in rows]
