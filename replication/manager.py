"""What one does with jobs: the verbs of the command line, the API and the pages.

All are synchronous; everything that lasts is a row, and the process that waits hears of it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings

from acl import sql
from acl.core.errors import HubError
from couchapi.core import names
from couchapi.core.errors import FileExists
from couchapi.store import databases
from discovery import store as found
from discovery.core import windows
from replication import hours, rights, routing
from replication import listing as listings
from replication.core import bandwidth, schedule
from replication.core import job as words
from replication.core.errors import BadJob
from replication.core.job import Direction, Wish
from replication.store import jobs, links, policy
from replication.store.jobs import Asked, JobRow
from replication.store.links import Hours, LinkRow
from replication.store.policy import Chosen

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
    _link(number, wish.direction, meant, now, hours=_hours(wish, meant, now))
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
    _link(number, wish.direction, meant, now, hours=_hours(wish, meant, now))
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
    number: int,
    direction: str,
    meant: list[links.Meant],
    now: float,
    grace: float = 0.0,
    *,
    hours: Mapping[str, Hours],
) -> None:
    change = partial(links.reconcile, job_id=number, direction=direction, meant=meant)
    sql.write_sync(partial(change, now=now, grace=grace, hours=hours))


def _hours(wish: Wish, meant: list[links.Meant], now: float) -> dict[str, Hours]:
    return hours.of_peers(wish.windows, {one.key for one in meant}, hours.published(), now)


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


def choose(chosen: Chosen) -> None:
    """Decide what runs on battery and on a metered connection, and how much at most.

    Raises BadJob.
    """
    if chosen.limit and not bandwidth.SMALLEST <= chosen.limit <= bandwidth.LARGEST:
        raise BadJob(f"A limit has {bandwidth.SMALLEST} bytes a second or more; 0 is none.")
    sql.write_sync(partial(policy.choose, chosen=chosen))


def chosen() -> Chosen:
    """Return what the owner has chosen."""
    return sql.read_sync(policy.read).chosen


def be_reached(text: str) -> None:
    """Tell contacts when this hub can be reached: windows in UTC, empty for always.

    Raises BadWindows.
    """
    found.set_me(windows=windows.text(windows.parse(text)))


def reached() -> str:
    """Return the windows in which this hub can be reached."""
    return str(found.me().windows)


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
    if not job.mesh or not any(listings.deleted_there(link) for link in its):
        raise BadJob(f"No other device of yours has deleted {job.db_name}.")
    sql.write_sync(partial(databases.drop, name=job.db_name))


def listing(now: float) -> list[dict[str, Any]]:
    """Return every job with its links, as JSON; times are Unix seconds."""
    return listings.listing(now)


# -- keeping rows in step with the world -----------------------------------------------------------


def bring_up_to_date(now: float) -> None:
    """Give every job the links that its peer means now, and every database its place in the mesh.

    Also ends what nobody has renewed.  Writes nothing where nothing has changed: the process that
    waits calls it whenever something may have.
    """
    _mesh(now)
    held, of_job = listings.everything()
    known, said = routing.directory(), hours.published()
    meant = {peer: _meant(peer, known) for peer in {job.peer for job in held}}
    for job in held:
        its, has = meant[job.peer], of_job[job.id]
        if _is_over(job, has, now):
            logger.info("Job %s (%s) ends.", job.id, job.db_name)
            sql.write_sync(partial(jobs.remove, number=job.id))
        elif its is not None:
            when = hours.of_peers(job.windows, {one.key for one in its}, said, now)
            if _wanted(job, its, when) != {_as_wanted(one) for one in has}:
                grace = schedule.GRACE if job.mesh else 0.0
                _link(job.id, job.direction, its, now, grace, hours=when)


def _is_over(job: JobRow, its: list[LinkRow], now: float) -> bool:
    """Tell whether nobody has renewed a job, or who waited for its answer has gone away."""
    ended = bool(its) and all(one.state in words.ENDED for one in its)
    forgotten = job.transient and ended and job.created_at < now - _ANSWER_SECONDS
    return job.ends_at <= now or forgotten


def _meant(peer: str, known: routing.Directory) -> list[links.Meant] | None:
    try:
        return routing.meant(peer, known)
    except HubError as error:  # Nobody has this name any more: the links that are, stay.
        logger.warning("The peer of a job is not known: %s", type(error).__name__)
        return None


_Wanted = tuple[str, str, str, Hours]


def _wanted(job: JobRow, meant: list[links.Meant], when: Mapping[str, Hours]) -> set[_Wanted]:
    ways = Direction(job.direction).ways
    return {(one.key, one.name, way.value, when[one.key]) for one in meant for way in ways}


def _as_wanted(link: LinkRow) -> _Wanted:
    return link.key, link.name, link.direction, Hours(link.opens_at, link.closes_at)


def _mesh(now: float) -> None:
    if not found.other_devices():
        return
    wanted, held = sql.read_sync(lambda one: (databases.shared_names(one), jobs.everything(one)))
    meshed = {job.db_name: job.id for job in held if job.mesh}
    for db_name in set(wanted) - meshed.keys():
        sql.write_sync(partial(jobs.add_mesh, db_name=db_name, now=now))
    for db_name in meshed.keys() - set(wanted):
        sql.write_sync(partial(jobs.remove, number=meshed[db_name]))
