"""Links: which are due, who runs them, and what came of it.

A worker holds a link by a *lease* that it renews; one that is killed stops renewing, and another
takes the link over when the lease has run out (design/replication.md, "What a hub adds").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from acl.sql import Row, Sql
from couchapi import wakeups
from replication.core import schedule
from replication.core.job import Direction, Priority, State
from replication.core.schedule import Due
from replication.store import policy
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
    forced: bool
    opens_at: float
    closes_at: float
    bytes_moved: int
    documents_rate: float
    bytes_rate: float
    at_first: int | None
    attachments_left: int


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
    priority: str
    limit: int
    """Bytes a second; 0: none."""
    forced: bool
    attachments_left: int
    owner: str = ""
    started_at: float = 0.0


class Counts(NamedTuple):
    """What a run has done so far."""

    docs_read: int = 0
    docs_written: int = 0
    doc_write_failures: int = 0


class Pace(NamedTuple):
    """How fast a run goes or went, and how many bytes it moved."""

    documents_rate: float = 0.0
    """Documents a second."""
    bytes_rate: float = 0.0
    """Bytes a second."""
    moved: int = 0


NO_PACE: Final = Pace()


class Hours(NamedTuple):
    """When a link may run next, and until when."""

    opens_at: float = 0.0
    closes_at: float = schedule.NEVER


ALWAYS: Final = Hours()
_NO_HOURS: Final[Mapping[str, Hours]] = {}


class Ended(NamedTuple):
    """How a run went; `due_at` is when the next one is."""

    state: State
    due_at: float
    failures: int = 0
    error: str = ""
    behind: int | None = None
    counts: Counts = Counts()
    result: str = ""
    attachments_left: int = 0
    pace: Pace = NO_PACE


_LINK = (
    "id, job_id, key, name, direction, state, due_at, failures, lease_until, started_at,"
    " last_success, last_error, behind, path, docs_read, docs_written, doc_write_failures,"
    " result, forced, opens_at, closes_at, bytes_moved, documents_rate, bytes_rate, at_first,"
    " attachments_left"
)
_CLAIM = (
    "l.id, l.job_id, l.key, l.name, l.direction, l.failures, j.db_name, j.peer, j.there, j.mode,"
    " j.every, j.options, j.wished_by, j.transient, j.mesh, j.priority, j.bytes_per_second,"
    " l.forced, l.attachments_left"
)
OPEN: Final = "NOT j.paused AND j.ends_at > %s AND l.due_at <= %s AND l.lease_until <= %s"


# -- which there are -------------------------------------------------------------------------------


def of_job(sql: Sql, job_id: int) -> list[LinkRow]:
    """Return the links of a job."""
    rows = sql.all(f"SELECT {_LINK} FROM replication_link WHERE job_id = %s ORDER BY id", (job_id,))
    return [LinkRow(*row) for row in rows]


def everything(sql: Sql) -> list[LinkRow]:
    """Return all links."""
    return [LinkRow(*row) for row in sql.all(f"SELECT {_LINK} FROM replication_link ORDER BY id")]


def reconcile(
    sql: Sql,
    job_id: int,
    direction: str,
    meant: Sequence[Meant],
    now: float,
    grace: float = 0.0,
    hours: Mapping[str, Hours] = _NO_HOURS,
) -> bool:
    """Give the job a link for each of `meant` and each way, and no others; tell what changed.

    New ones are due now, those that push after `grace` seconds.  `hours`, by key, are those at
    which each may run.
    """
    wanted = {(one.key, way.value): one for one in meant for way in Direction(direction).ways}
    held = {(row.key, row.direction): row for row in of_job(sql, job_id)}
    for place in held.keys() - wanted.keys():
        sql.execute("DELETE FROM replication_link WHERE id = %s", (held[place].id,))
    for place, one in wanted.items():
        if place not in held:
            due_at = now + grace if place[1] == Direction.PUSH else now
            _insert(sql, job_id, one, place[1], due_at)
            _set_hours(sql, job_id, place, hours.get(one.key, ALWAYS))
        elif held[place].name != one.name:
            sql.execute(
                "UPDATE replication_link SET name = %s WHERE id = %s", (one.name, held[place].id)
            )
    for place in wanted.keys() & held.keys():
        known = Hours(held[place].opens_at, held[place].closes_at)
        if known != hours.get(place[0], ALWAYS):
            _set_hours(sql, job_id, place, hours.get(place[0], ALWAYS))
    if held.keys() != wanted.keys():
        # A job alone has nothing to run: now it has.
        sql.after_commit(wakeups.announce, JOBS)
    return held.keys() != wanted.keys()


def _set_hours(sql: Sql, job_id: int, place: tuple[str, str], hours: Hours) -> None:
    sql.execute(
        "UPDATE replication_link SET opens_at = %s, closes_at = %s"
        " WHERE job_id = %s AND key = %s AND direction = %s",
        (*hours, job_id, *place),
    )


def _insert(sql: Sql, job_id: int, meant: Meant, direction: str, due_at: float) -> None:
    sql.execute(
        "INSERT INTO replication_link (job_id, key, name, direction, state, due_at, again,"
        " failures, lease_owner, lease_until, last_error, path, docs_read, docs_written,"
        " doc_write_failures, result, forced, opens_at, closes_at, bytes_moved, documents_rate,"
        " bytes_rate, attachments_left)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 0, '', 0, '', '', 0, 0, 0, '', FALSE, 0, %s, 0, 0,"
        " 0, 0)",
        (job_id, meant.key, meant.name, direction, State.PENDING.value, due_at, False)
        + (schedule.NEVER,),
    )


def ended_with_document(sql: Sql) -> int:
    """Return how many links of documents in `_replicator` have ended."""
    row = sql.one(
        "SELECT count(*) FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        " WHERE j.docid <> '' AND l.state IN ('completed', 'failed')"
    )
    return 0 if row is None else int(row[0])


# -- running ---------------------------------------------------------------------------------------


def claim(sql: Sql, owner: str, now: float, at_once: int = schedule.AT_ONCE) -> list[Claim]:
    """Take the links that this worker, `owner`, is to run now."""
    rows = _ready(sql, now)
    running = Counter(_running(sql, now))
    due = [Due(row[0], row[2] or row[3], Priority(row[-6]).rank, row[-2]) for row in rows]
    chosen = set(schedule.choose(due, running, at_once - running.total()))
    return [
        Claim._make((*row[:-2], owner, now))
        for row in rows
        if row[0] in chosen and _take(sql, row[0], owner, now)
    ]


def _ready(sql: Sql, now: float) -> list[Row]:
    """Return what may run now: of each peer as much as may run at once, whoever has waited longer.

    So a thousand databases of one peer do not stand before the one of another.
    """
    may_run, at = policy.may_run(sql, now)
    return sql.all(
        f"SELECT * FROM (SELECT {_CLAIM}, l.due_at, row_number() OVER (PARTITION BY j.priority,"
        " CASE WHEN l.key = '' THEN l.name ELSE l.key END ORDER BY l.due_at, l.id) AS place"
        " FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        f" WHERE {OPEN} AND {may_run}) AS ready WHERE place <= %s ORDER BY"
        " CASE priority WHEN 'now' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END, place, due_at LIMIT %s",
        (now, now, now, *at, schedule.AT_ONCE_WITH_ONE_PEER, _MOST_LOOKED_AT),
    )


def _running(sql: Sql, now: float) -> list[str]:
    rows = sql.all("SELECT key, name FROM replication_link WHERE lease_until > %s", (now,))
    return [key or name for key, name in rows]


def _take(sql: Sql, number: int, owner: str, now: float) -> bool:
    taken = sql.execute(
        "UPDATE replication_link SET lease_owner = %s, lease_until = %s, started_at = %s,"
        " state = %s, again = FALSE, at_first = NULL WHERE id = %s AND lease_until <= %s",
        (owner, now + schedule.LEASE, now, State.RUNNING.value, number, now),
    )
    return bool(taken.rowcount)


def renew(sql: Sql, owner: str, numbers: Iterable[int], now: float) -> set[int]:
    """Hold links for longer; return those that are still this worker's, and may go on."""
    may_run, at = policy.may_run(sql, now)
    return {
        number
        for number in numbers
        if sql.execute(
            "UPDATE replication_link AS l SET lease_until = %s WHERE id = %s AND lease_owner = %s"
            " AND lease_until > %s AND EXISTS (SELECT 1 FROM replication_job j"
            f" WHERE j.id = l.job_id AND NOT j.paused AND {may_run})",
            (now + schedule.LEASE, number, owner, now, *at),
        ).rowcount
    }


def limits(sql: Sql, now: float) -> dict[int, float]:
    """Return the limit of each link that runs, in whichever process; 0: none."""
    rows = sql.all(
        "SELECT l.id, j.bytes_per_second FROM replication_link l JOIN replication_job j"
        " ON j.id = l.job_id WHERE l.lease_until > %s",
        (now,),
    )
    return {number: float(limit) for number, limit in rows}


def note(sql: Sql, claim: Claim, behind: int | None, path: str, pace: Pace = NO_PACE) -> None:
    """Note how far a run is, and how fast."""
    sql.execute(
        "UPDATE replication_link SET behind = %s, path = %s, documents_rate = %s, bytes_rate = %s,"
        " at_first = CASE WHEN at_first > %s THEN at_first ELSE %s END"
        " WHERE id = %s AND lease_owner = %s",
        (behind, path, *pace[:2], behind, behind, claim.id, claim.owner),
    )


def finish(sql: Sql, claim: Claim, ended: Ended, now: float) -> None:
    """Note how a run went and give the link back; what another worker holds now stays."""
    succeeded = not ended.error and ended.state is not State.FAILED
    sql.execute(
        "UPDATE replication_link SET lease_owner = '', lease_until = 0, state = %s, failures = %s,"
        " due_at = CASE WHEN again AND %s THEN %s ELSE %s END, again = FALSE, last_error = %s,"
        " last_success = CASE WHEN %s THEN %s ELSE last_success END, behind = %s,"
        " result = %s, docs_read = docs_read + %s, docs_written = docs_written + %s,"
        " doc_write_failures = doc_write_failures + %s, attachments_left = %s,"
        " forced = CASE WHEN %s THEN forced ELSE FALSE END,"
        # A run that has only looked says nothing of how fast it goes.
        " documents_rate = CASE WHEN %s > 0 THEN %s ELSE documents_rate END,"
        " bytes_rate = CASE WHEN %s > 0 THEN %s ELSE bytes_rate END,"
        " bytes_moved = bytes_moved + %s WHERE id = %s AND lease_owner = %s",
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
            ended.attachments_left,
            ended.state is State.PENDING,
            ended.pace.documents_rate,
            ended.pace.documents_rate,
            ended.pace.documents_rate,
            ended.pace.bytes_rate,
            ended.pace.moved,
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
