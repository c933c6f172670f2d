"""Jobs in CouchDB's words: `_active_tasks` and `_scheduler` (CouchDB docs, "api/server/common").

What CouchDB calls a job is a link here: one direction with one peer.  Its answers are made of what
`manager.listing` tells.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

NODE = "nonode@nohost"
DATABASE = "_replicator"
_STATES = {"waiting": "running", "paused": "pending"}

Told = Mapping[str, Any]


class Link(NamedTuple):
    """A link and its job, as `manager.listing` tells of them."""

    job: Told
    link: Told

    @property
    def ends(self) -> tuple[str, str]:
        """Source and target, without passwords."""
        job, link = self.job, self.link
        far = job["peer"].removeprefix("local:")
        if link["key"] and "://" not in far:
            far = f"httpkey:sha256:{link['key']}/{job['there']}"
        near = job["target"] or job["database"]
        return (far, near) if link["direction"] == "pull" else (near, far)

    @property
    def number(self) -> str:
        """What `_scheduler/jobs` calls it."""
        return self.job["rep_id"] or f"{self.link['id']}"


def links_of(jobs: Iterable[Told]) -> Iterator[Link]:
    """Yield every link of the jobs."""
    return (Link(job, link) for job in jobs for link in job["links"])


def active_task(one: Link) -> dict[str, Any]:
    """Return a row of `_active_tasks`; times are Unix seconds."""
    job, link = one
    source, target = one.ends
    return {
        "type": "replication",
        "node": NODE,
        "pid": f"link-{link['id']}",
        "replication_id": one.number,
        "source": source,
        "target": target,
        "continuous": job["mode"] == "continuous",
        "database": DATABASE if job["docid"] else None,
        "doc_id": job["docid"] or None,
        "user": None,
        "docs_read": link["docs_read"],
        "docs_written": link["docs_written"],
        "doc_write_failures": link["doc_write_failures"],
        "changes_pending": link["changes_behind"],
        "started_on": int(link["started_at"] or 0),
        "updated_on": int(link["started_at"] or 0),
    }


def compaction(
    database: str, done: int, total: int, started_at: int, seen_at: int, *, number: int
) -> dict[str, Any]:
    """Return a row of `_active_tasks` about a database that is being compacted."""
    return {
        "type": "database_compaction",
        "node": NODE,
        "pid": f"work-{number}",
        "database": database,
        "progress": min(100, 100 * done // total) if total else 0,
        "changes_done": done,
        "total_changes": total,
        "started_on": started_at,
        "updated_on": seen_at,
    }


def scheduler_job(one: Link) -> dict[str, Any]:
    """Return a row of `_scheduler/jobs`."""
    job, link = one
    source, target = one.ends
    return {
        "database": DATABASE if job["docid"] else None,
        "doc_id": job["docid"] or None,
        "id": one.number,
        "node": NODE,
        "pid": f"link-{link['id']}" if link["state"] == "running" else None,
        "source": source,
        "target": target,
        "user": None,
        "start_time": time_text(job["created_at"]),
        "info": _info(link),
        "history": _history(one),
    }


def scheduler_doc(one: Link) -> dict[str, Any]:
    """Return a row of `_scheduler/docs`."""
    job, link = one
    source, target = one.ends
    return {
        "database": DATABASE,
        "doc_id": job["docid"],
        "id": one.number,
        "node": NODE,
        "source": source,
        "target": target,
        "state": _STATES.get(link["state"], link["state"]),
        "info": {"error": link["error"]} if link["error"] else _info(link),
        "error_count": link["failures"],
        "start_time": time_text(job["created_at"]),
        "last_updated": time_text(link["started_at"] or job["created_at"]),
    }


def _info(link: Told) -> dict[str, Any]:
    return {
        "docs_read": link["docs_read"],
        "docs_written": link["docs_written"],
        "doc_write_failures": link["doc_write_failures"],
        "changes_pending": link["changes_behind"],
        "error": link["error"],
        "waits": link["waits"],
    }


def _history(one: Link) -> list[dict[str, Any]]:
    """Return what is known of the past, the latest first."""
    job, link = one
    rows: list[dict[str, Any]] = []
    if link["error"]:
        when = time_text(link["started_at"] or job["created_at"])
        rows.append({"timestamp": when, "type": "crashed", "reason": link["error"]})
    if link["started_at"]:
        rows.append({"timestamp": time_text(link["started_at"]), "type": "started"})
    return [*rows, {"timestamp": time_text(job["created_at"]), "type": "added"}]


def time_text(seconds: float) -> str:
    """Return a time as CouchDB's scheduler writes it."""
    return f"{datetime.datetime.fromtimestamp(int(seconds), datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
