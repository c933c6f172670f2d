"""What one does with jobs: the verbs of the command line, the API and the pages.

All are synchronous; everything that lasts is a row, and the process that waits hears of it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections import defaultdict
from functools import partial
from typing import Any

import orjson
from django.conf import settings

from acl import sql
from acl.core.errors import HubError
from couchapi.core import names
from couchapi.core.errors import FileExists
from couchapi.store import databases
from discovery import store as found
from replication import rights, routing
from replication.core import job as words
from replication.core import schedule
from replication.core.errors import BadJob
from replication.core.job import Direction, State, Wish
from replication.store import jobs, links
from replication.store.jobs import Asked, JobRow
from replication.store.links import LinkRow

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 3600
_MOST_JOBS = 100


def add(wish: Wish, now: float) -> int:
    """Keep a wish, and return the number of its job; what is pulled gets its database here.

    Raises BadJob, NoSuchHolder for a peer that nobody is, IllegalDatabaseName.
    """
    names.check_database_name(wish.db_name)
    meant = routing.meant(wish.peer)
    _see_to_database(wish)
    number = sql.write_sync(partial(jobs.add, wish=wish, now=now))
    _link(number, wish.direction, meant, now)
    return number


def ask(wish: Wish, asked: Asked, now: float) -> int:
    """Keep what the API was asked for, and return the number of its job.

    Nothing is made for it: a database that is missing is told.  Raises as `add`, and Forbidden.
    """
    names.check_database_name(wish.db_name)
    meant = routing.meant(wish.peer)
    if asked.wished_by:
        rights.check_wish(wish, meant)
        if sql.read_sync(partial(jobs.count_of, wished_by=asked.wished_by)) >= _MOST_JOBS:
            raise BadJob(f"An application has at most {_MOST_JOBS} jobs. End some of them.")
    number = sql.write_sync(partial(jobs.add, wish=wish, now=now, asked=asked))
    _link(number, wish.direction, meant, now)
    return number


def _see_to_database(wish: Wish) -> None:
    if sql.read_sync(partial(databases.find, name=wish.db_name)) is not None:
        return
    if wish.direction == Direction.PUSH:
        raise BadJob(
            f"There is no database {wish.db_name} on this hub. See them with: "
            "manage.py database list"
        )
    make = partial(
        databases.create,
        name=wish.db_name,
        policy=settings.HUB_CONFLICT_POLICY,
        epoch=secrets.token_hex(4),
    )
    with contextlib.suppress(FileExists):  # By somebody else, in this moment.
        sql.write_sync(make)


def _link(
    number: int, direction: str, meant: list[links.Meant], now: float, grace: float = 0.0
) -> None:
    change = partial(links.reconcile, job_id=number, direction=direction, meant=meant)
    sql.write_sync(partial(change, now=now, grace=grace))


def pause(number: int) -> None:
    """Let a job rest; a run of it ends within seconds.  Raises NoSuchJob."""
    sql.write_sync(partial(jobs.pause, number=number, paused=True))


def resume(number: int) -> None:
    """Let a job go on; raises NoSuchJob."""
    sql.write_sync(partial(jobs.pause, number=number, paused=False))


def run(number: int, now: float) -> None:
    """Run a job now, whatever its time is, one that has ended too; raises NoSuchJob."""
    sql.write_sync(partial(jobs.run, number=number, now=now))


def renew(number: int, now: float) -> None:
    """Let a job with an end last as long again; raises NoSuchJob."""
    sql.write_sync(partial(jobs.renew, number=number, now=now))


def remove(number: int) -> None:
    """Forget a job; what was replicated stays.  Raises NoSuchJob, BadJob for one of the hub's."""
    if sql.read_sync(partial(jobs.get, number=number)).mesh:
        raise BadJob(
            "The hub made this job itself, to keep your devices in step. Pause it, or mark the "
            "database with: manage.py database local-only NAME"
        )
    sql.write_sync(partial(jobs.remove, number=number))


def delete_here(number: int) -> None:
    """Delete a database that another device of the owner has deleted; raises NoSuchJob, BadJob."""
    job, its = sql.read_sync(
        lambda one: (jobs.get(one, number), links.of_job(one, number)),
    )
    if not job.mesh or not any(_deleted_there(link) for link in its):
        raise BadJob(f"No other device of yours has deleted {job.db_name}.")
    sql.write_sync(partial(databases.drop, name=job.db_name))


def _deleted_there(link: LinkRow) -> bool:
    return bool(link.result) and bool(orjson.loads(link.result).get("deleted_there"))


# -- what there is ---------------------------------------------------------------------------------


def listing(now: float) -> list[dict[str, Any]]:
    """Return every job with its links, as JSON; times are Unix seconds."""
    held, of_job = _everything()
    return [_told(job, of_job[job.id], now) for job in held]


def _told(job: JobRow, its: list[LinkRow], now: float) -> dict[str, Any]:
    shown = [_told_link(job, link, now) for link in its]
    behind = [one["changes_behind"] for one in shown]
    return {
        "id": job.id,
        "database": job.db_name,
        "there": job.there,
        "peer": words.shown(job.peer),
        "direction": job.direction,
        "mode": job.mode,
        "every": job.every or None,
        "priority": job.priority,
        "mesh": job.mesh,
        "rep_id": job.rep_id,
        "docid": job.docid,
        "created_at": job.created_at,
        "state": _state(job, [State(one["state"]) for one in shown]),
        "changes_behind": None if None in behind or not behind else sum(behind),
        "last_success": min(_known(shown, "last_success"), default=None),
        "next_try": min(_known(shown, "next_try"), default=None),
        "error": next((one["error"] for one in shown if one["error"]), None),
        "links": shown,
    }


def _known(shown: list[dict[str, Any]], name: str) -> list[float]:
    return [one[name] for one in shown if one[name] is not None]


def _state(job: JobRow, states: list[State]) -> str:
    summed = words.summary(states)
    paused = job.paused and summed not in words.ENDED
    return (State.PAUSED if paused else summed).value


def _told_link(job: JobRow, link: LinkRow, now: float) -> dict[str, Any]:
    state = State(link.state)
    running = link.lease_until > now
    ended = state in words.ENDED
    if not ended:
        state = State.PAUSED if job.paused else State.RUNNING if running else state
    rests = ended or running or job.paused or link.due_at >= schedule.NEVER
    return {
        "id": link.id,
        "peer": link.name,
        "key": link.key or None,
        "direction": link.direction,
        "state": state.value,
        "changes_behind": link.behind,
        "path": link.path or None,
        "started_at": link.started_at,
        "last_success": link.last_success,
        "next_try": None if rests else link.due_at,
        "error": link.last_error or None,
        "deleted_there": _deleted_there(link),
        "failures": link.failures,
        "docs_read": link.docs_read,
        "docs_written": link.docs_written,
        "doc_write_failures": link.doc_write_failures,
    }


# -- keeping rows in step with the world -----------------------------------------------------------


def bring_up_to_date(now: float) -> None:
    """Give every job the links that its peer means now, and every database its place in the mesh.

    Also ends what nobody has renewed.  Writes nothing where nothing has changed: the process that
    waits calls it whenever something may have.
    """
    _mesh(now)
    held, of_job = _everything()
    known = routing.directory()
    meant = {peer: _meant(peer, known) for peer in {job.peer for job in held}}
    for job in held:
        its, has = meant[job.peer], of_job[job.id]
        if _is_over(job, has, now):
            logger.info("Job %s (%s) ends.", job.id, job.db_name)
            sql.write_sync(partial(jobs.remove, number=job.id))
        elif its is not None and _wanted(job, its) != {
            (one.key, one.name, one.direction) for one in has
        }:
            _link(job.id, job.direction, its, now, schedule.GRACE if job.mesh else 0.0)


def _everything() -> tuple[list[JobRow], dict[int, list[LinkRow]]]:
    """Return all jobs, and their links by the number of the job."""
    held, every_link = sql.read_sync(lambda one: (jobs.everything(one), links.everything(one)))
    of_job = defaultdict[int, list[LinkRow]](list)
    for link in every_link:
        of_job[link.job_id].append(link)
    return held, of_job


def _is_over(job: JobRow, its: list[LinkRow], now: float) -> bool:
    """Tell whether nobody has renewed a job, or who waited for its answer has gone away."""
    ended = bool(its) and all(one.state in words.ENDED for one in its)
    forgotten = job.transient and ended and job.created_at < now - _ANSWER_SECONDS
    return job.ends_at <= now or forgotten


def _meant(peer: str, known: routing.Directory) -> list[links.Meant] | None:
    try:
        return routing.meant(peer, known)
    except HubError as error:  # Nobody has this name any more: the links that are, stay.
        logger.warning("A job's peer “%s” is not known: %s", words.shown(peer), error.reason)
        return None


def _wanted(job: JobRow, meant: list[links.Meant]) -> set[tuple[str, str, str]]:
    ways = Direction(job.direction).ways
    return {(one.key, one.name, way.value) for one in meant for way in ways}


def _mesh(now: float) -> None:
    if not found.other_devices():
        return
    wanted, held = sql.read_sync(lambda one: (databases.shared_names(one), jobs.everything(one)))
    meshed = {job.db_name: job.id for job in held if job.mesh}
    for db_name in set(wanted) - meshed.keys():
        sql.write_sync(partial(jobs.add_mesh, db_name=db_name, now=now))
    for db_name in meshed.keys() - set(wanted):
        sql.write_sync(partial(jobs.remove, number=meshed[db_name]))
