"""The ACLs in memory: read whole, and again when their version has changed."""

from __future__ import annotations

from acl import sql, store
from acl.store import Everything

_kept: dict[str, Everything] = {}


async def current() -> Everything:
    """Return all ACLs as they are now; costs one indexed read while they do not change."""
    row = await sql.first(store.VERSION)
    version = int(row[0]) if row else 0
    kept = _kept.get("now")
    if kept is None or kept.version != version:
        kept = _kept["now"] = await sql.point(store.load)
    return kept
