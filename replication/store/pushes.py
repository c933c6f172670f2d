"""Pushes that have not come through: for whom something waits here."""

from __future__ import annotations

from acl.sql import Sql


def unreached(sql: Sql) -> set[str]:
    """Return the keys of hubs to which a push is to go and that could not be reached."""
    rows = sql.all(
        "SELECT DISTINCT l.key FROM replication_link l JOIN replication_job j ON j.id = l.job_id"
        " WHERE l.key <> '' AND l.direction = 'push' AND l.state = 'crashing' AND NOT j.paused"
    )
    return {key for (key,) in rows}
