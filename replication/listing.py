"""What there is: every job with its links, as JSON for commands, pages and CouchDB's clients.

Times are Unix seconds.  A link that is due and does not run says why (`waits`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import orjson

from acl import sql
from replication.core import job as words
from replication.core import policy, schedule
from replication.core.job import LOCAL, Priority, State
from replication.core.policy import Reason
from replication.store import jobs, links
from replication.store import policy as kept_policy
from replication.store.jobs import JobRow
from replication.store.links import LinkRow
from replication.store.policy import Kept


def everything() -> tuple[list[JobRow], dict[int, list[LinkRow]]]:
    """Return all jobs, and their links by the number of the job."""
    held, every_link = sql.read_sync(lambda one: (jobs.everything(one), links.everything(one)))
    of_job = defaultdict[int, list[LinkRow]](list)
    for link in every_link:
        of_job[link.job_id].append(link)
    return held, of_job


def listing(now: float) -> list[dict[str, Any]]:
    """Return every job with its links."""
    held, of_job = everything()
    kept = sql.read_sync(kept_policy.read)
    return [_told(job, of_job[job.id], kept, now) for job in held]


def conditions() -> dict[str, Any]:
    """Return how battery and connection are, and what the owner wants of them."""
    kept = sql.read_sync(kept_policy.read)
    chosen, now = kept.chosen, kept.conditions
    return {
        "network": chosen.network.value,
        "power": chosen.power.value,
        "on_metered": chosen.rules.metered.value,
        "on_battery": chosen.rules.battery.value,
        "on_low_battery": chosen.rules.low.value,
        "bytes_per_second": chosen.limit or None,
        "is_metered": now.metered,
        "is_on_battery": now.on_battery,
        "charge": now.charge,
        "running": [one.value for one in Priority if one in kept.running()],
    }


def deleted_there(link: LinkRow) -> bool:
    """Tell whether the other device has deleted the database."""
    return bool(link.result) and bool(orjson.loads(link.result).get("deleted_there"))


# -- one job ---------------------------------------------------------------------------------------


def _told(job: JobRow, its: list[LinkRow], kept: Kept, now: float) -> dict[str, Any]:
    shown = [_told_link(job, link, kept, now) for link in its]
    behind = [one["changes_behind"] for one in shown]
    options = words.read_options(job.options)
    return {
        "id": job.id,
        "database": job.db_name,
        "target": options.target and words.shown(options.target),
        "there": job.there,
        "peer": words.shown(job.peer),
        "direction": job.direction,
        "mode": job.mode,
        "every": job.every or None,
        "priority": job.priority,
        "windows": job.windows or None,
        "bytes_per_second_at_most": job.limit or None,
        "attachments": options.attachments,
        "ends_at": None if job.ends_at >= schedule.NEVER else job.ends_at,
        "mesh": job.mesh,
        "rep_id": job.rep_id,
        "docid": job.docid,
        "wished_by": job.wished_by or None,
        "created_at": job.created_at,
        "state": _state(job, [State(one["state"]) for one in shown]),
        "waits": next((one["waits"] for one in shown if one["waits"]), None),
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


def _told_link(job: JobRow, link: LinkRow, kept: Kept, now: float) -> dict[str, Any]:
    state = _state_of(job, link, now)
    reason = _held(job, link, state, kept, now)
    return {
        "id": link.id,
        "peer": link.name,
        "key": link.key or None,
        "direction": link.direction,
        "state": state.value,
        "reason": reason and reason.value,
        "waits": reason and policy.WORDS[reason],
        "changes_behind": link.behind,
        "changes_at_first": link.at_first,
        "attachments_left": link.attachments_left,
        "path": link.path or None,
        "started_at": link.started_at,
        "last_success": link.last_success,
        "next_try": _next_try(link, state, now),
        "error": link.last_error or None,
        "deleted_there": deleted_there(link),
        "failures": link.failures,
        "docs_read": link.docs_read,
        "docs_written": link.docs_written,
        "doc_write_failures": link.doc_write_failures,
        "bytes": link.bytes_moved,
        "documents_per_second": round(link.documents_rate, 1),
        "bytes_per_second": round(link.bytes_rate),
    }


def _state_of(job: JobRow, link: LinkRow, now: float) -> State:
    state = State(link.state)
    if state in words.ENDED:
        return state
    if job.paused:
        return State.PAUSED
    if link.lease_until > now:
        return State.RUNNING
    # Whoever ran it has gone without a word: it is due.
    return State.PENDING if state is State.RUNNING else state


_RESTS = (State.PAUSED, State.RUNNING, *words.ENDED)


def _held(job: JobRow, link: LinkRow, state: State, kept: Kept, now: float) -> Reason | None:
    """Return why a link does not run that would run otherwise."""
    if state in _RESTS or link.forced:
        return None
    if not link.opens_at <= now < link.closes_at:
        return Reason.HOURS
    if state is State.WAITING and link.due_at > now:
        # It is in step, but for attachments perhaps.
        return kept.held(Priority.BACKGROUND) if link.attachments_left else None
    return kept.held(Priority(job.priority), near=job.peer.startswith(LOCAL))


def _next_try(link: LinkRow, state: State, now: float) -> float | None:
    at = link.due_at if link.forced else max(link.due_at, link.opens_at)
    return None if state in _RESTS or at >= schedule.NEVER else at
