"""Jobs: adding, listing, pausing, ending them."""

from __future__ import annotations

from typing import NamedTuple

from acl.sql import Sql
from couchapi import wakeups
from replication.core import schedule
from replication.core.errors import NoSuchJob
from replication.core.job import (
    MY_DEVICES,
    Direction,
    Mode,
    Priority,
    State,
    Wish,
    database_at,
    options_text,
)
from replication.core.options import Options

JOBS = "_jobs"
"""What the process that waits listens to beside databases: a job was added or changed."""

_COLUMNS = (
    "id, db_name, peer, there, direction, mode, every, priority, options, mesh, wished_by, rep_id,"
    " docid, transient, paused, created_at, lasts, ends_at, windows,"
    " bytes_per_second"
)


class Asked(NamedTuple):
    """How a job was asked for by the API."""

    wished_by: str = ""
    """Key of an application; empty for the owner."""
    rep_id: str = ""
    docid: str = ""
    transient: bool = False


BY_THE_OWNER = Asked()


class JobRow(NamedTuple):
    """A job as it is kept."""

    id: int
    db_name: str
    peer: str
    there: str
    direction: str
    mode: str
    every: int
    priority: str
    options: str
    mesh: bool
    wished_by: str
    rep_id: str
    docid: str
    transient: bool
    paused: bool
    created_at: float
    lasts: int
    ends_at: float
    windows: str
    """When it runs, in UTC; empty: always."""
    limit: int
    """Bytes a second; 0: none."""


def add(
    sql: Sql, wish: Wish, now: float, *, mesh: bool = False, asked: Asked = BY_THE_OWNER
) -> int:
    """Keep a wish and return the number of its job."""
    row = sql.one(
        "INSERT INTO replication_job (db_name, peer, there, direction, mode, every, priority,"
        " options, mesh, wished_by, rep_id, docid, transient, paused, created_at, lasts, ends_at,"
        " windows, bytes_per_second)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING id",
        (
            wish.db_name,
            wish.peer,
            wish.there or database_at(wish.peer, wish.db_name),
            wish.direction.value,
            wish.mode.value,
            wish.every,
            wish.priority.value,
            options_text(wish.options),
            mesh,
            *asked,
            False,
            now,
            wish.lasts,
            now + wish.lasts if wish.lasts else schedule.NEVER,
            wish.windows,
            wish.limit,
        ),
    )
    assert row is not None
    sql.after_commit(wakeups.announce, JOBS)
    return int(row[0])


def by_rep_id(sql: Sql, rep_id: str, wished_by: str) -> JobRow | None:
    """Return the job of this id that somebody has asked for."""
    row = sql.one(
        f"SELECT {_COLUMNS} FROM replication_job WHERE rep_id = %s AND wished_by = %s",
        (rep_id, wished_by),
    )
    return None if row is None else _row(row)


def add_mesh(sql: Sql, db_name: str, now: float) -> None:
    """Keep a database in step with the owner's devices; a second time changes nothing."""
    known = sql.one("SELECT id FROM replication_job WHERE mesh AND db_name = %s", (db_name,))
    if known is None:
        options = Options(create_target=True)
        wish = Wish(db_name, MY_DEVICES, Direction.BOTH, Mode.CONTINUOUS, options=options)
        add(sql, wish, now, mesh=True)


def get(sql: Sql, number: int) -> JobRow:
    """Return one; raises NoSuchJob."""
    row = sql.one(f"SELECT {_COLUMNS} FROM replication_job WHERE id = %s", (number,))
    if row is None:
        raise NoSuchJob
    return _row(row)


def everything(sql: Sql) -> list[JobRow]:
    """Return all, oldest first."""
    return [_row(row) for row in sql.all(f"SELECT {_COLUMNS} FROM replication_job ORDER BY id")]


def count_of(sql: Sql, wished_by: str) -> int:
    """Return how many jobs an application has."""
    row = sql.one("SELECT count(*) FROM replication_job WHERE wished_by = %s", (wished_by,))
    return 0 if row is None else int(row[0])


def fingerprint(sql: Sql) -> tuple[object, ...]:
    """Return what is another value when a job was added, paused or removed."""
    row = sql.one(
        "SELECT count(*), max(id), sum(CASE WHEN paused THEN id ELSE 0 END) FROM replication_job"
    )
    return row or ()


def remove(sql: Sql, number: int) -> None:
    """Forget a job and its links; raises NoSuchJob.  A run of it ends when it looks next."""
    sql.execute("DELETE FROM replication_link WHERE job_id = %s", (number,))
    gone = sql.one("DELETE FROM replication_job WHERE id = %s RETURNING id", (number,))
    if gone is None:
        raise NoSuchJob
    sql.after_commit(wakeups.announce, JOBS)


def pause(sql: Sql, number: int, paused: bool) -> None:
    """Let a job rest, or go on at once, unless it has ended; raises NoSuchJob."""
    job = get(sql, number)
    sql.execute("UPDATE replication_job SET paused = %s WHERE id = %s", (paused, job.id))
    if not paused:
        sql.execute(
            "UPDATE replication_link SET due_at = 0, again = TRUE WHERE job_id = %s"
            " AND state NOT IN ('completed', 'failed')",
            (job.id,),
        )
    sql.after_commit(wakeups.announce, JOBS)


def run(sql: Sql, number: int, now: float) -> None:
    """Make a job run at `now`, whatever holds it, an ended one too; raises NoSuchJob."""
    sql.execute(
        "UPDATE replication_link SET due_at = %s, again = TRUE, failures = 0, forced = TRUE,"
        " state = CASE WHEN lease_until > 0 THEN state ELSE %s END WHERE job_id = %s",
        (now, State.PENDING.value, get(sql, number).id),
    )
    sql.after_commit(wakeups.announce, JOBS)


def renew(sql: Sql, number: int, now: float) -> None:
    """Let a job that would end last as long again; raises NoSuchJob."""
    job = get(sql, number)
    ends_at = now + job.lasts if job.lasts else schedule.NEVER
    sql.execute("UPDATE replication_job SET ends_at = %s WHERE id = %s", (ends_at, number))


def priority_of(job: JobRow) -> Priority:
    """Return a job's priority."""
    return Priority(job.priority)


def _row(row: tuple[object, ...]) -> JobRow:
    job = JobRow(*row)  # type: ignore[arg-type]
    # SQLite has no booleans.
    return job._replace(mesh=bool(job.mesh), transient=bool(job.transient), paused=bool(job.paused))
