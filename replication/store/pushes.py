"""Pushes that have not come through: for whom something waits here."""

from __future__ import annotations

from acl.sql import Sql

_PATIENCE = 3.0
"""Seconds in which a push that has begun should have found its way."""


def unreached(sql: Sql, now: float) -> set[str]:
    """Return the keys of hubs to which a push is to go and that could not be reached so far."""
    rows = sql.all(
        "SELECT DISTINCT l.key FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        " WHERE l.key <> '' AND l.direction = 'push' AND NOT j.paused"
        " AND (l.state = 'crashing' OR (l.state = 'running' AND l.started_at < %s))",
        (now - _PATIENCE,),
    )
    return {key for (key,) in rows}
