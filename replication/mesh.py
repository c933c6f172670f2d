"""The owner's own hubs keep all their databases in step, without anyone asking for it.

Left alone are databases that either hub keeps to itself, and those that were deleted on one of the
two: a database that goes on one device is not silently deleted, or made again, on another.
"""

from __future__ import annotations

import enum
import secrets
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson
from django.conf import settings

from acl import sql
from couchapi.core import names
from couchapi.core.errors import FileExists
from couchapi.store import databases
from discovery.dialer.broken import BROKEN
from replication.core.errors import Retryable
from replication.core.job import Direction
from replication.routing import Way
from replication.store.links import Claim

_LARGEST_ANSWER = 16 * 1024 * 1024


class Sharing(enum.Enum):
    """What the owner wants of a database on two devices."""

    IN_STEP = enum.auto()
    APART = enum.auto()
    """One of the two keeps it to itself, or has it not yet."""
    DELETED_THERE = enum.auto()


async def sharing(claim: Claim, way: Way) -> Sharing:
    """Tell whether a database is to be in step with this device."""
    here = await sql.point(partial(databases.find, name=claim.db_name))
    if here is None or here.local_only:
        return Sharing.APART
    status, there = await _asked(way, f"/{quote(claim.there, safe='')}")
    if status == 404:
        if await _was_deleted(way, claim.there):
            return Sharing.DELETED_THERE
        # It never was there: then a push makes it.
        return Sharing.IN_STEP if claim.direction == Direction.PUSH else Sharing.APART
    return Sharing.APART if _keeps_to_itself(there) else Sharing.IN_STEP


def _keeps_to_itself(described: Any) -> bool:
    props = described.get("props") if isinstance(described, dict) else None
    return isinstance(props, dict) and bool(props.get("local_only"))


async def _was_deleted(way: Way, db_name: str) -> bool:
    _, answer = await _asked(way, "/_db_updates", since="0", feed="normal")
    rows = answer.get("results", ()) if isinstance(answer, dict) else ()
    return any(row["db_name"] == db_name and row["type"] == "deleted" for row in rows)


async def take_over_new(way: Way) -> list[str]:
    """Make the databases here that a device has and this hub never had; return their names."""
    _, listed = await _asked(way, "/_all_dbs")
    known = await sql.scan(lambda one: {*databases.names(one), *databases.deleted_names(one)})
    made = []
    for name in listed if isinstance(listed, list) else ():
        if isinstance(name, str) and name not in known and names.is_database_name(name):
            _, described = await _asked(way, f"/{quote(name, safe='')}")
            if not _keeps_to_itself(described) and await _made(name):
                made.append(name)
    return made


async def _made(name: str) -> bool:
    policy, epoch = settings.HUB_CONFLICT_POLICY, secrets.token_hex(4)
    try:
        await sql.write(partial(databases.create, name=name, policy=policy, epoch=epoch))
    except FileExists:
        return False
    return True


async def _asked(way: Way, path: str, **params: str) -> tuple[int, Any]:
    """Return status and value of a short answer; raises Retryable."""
    content = b""
    try:
        async with way.client.stream("GET", path, params=params) as answer:
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > _LARGEST_ANSWER:
                    raise Retryable("The other hub's answer is too long.")
        if answer.status_code not in (200, 404):
            raise Retryable(f"The other hub answered {answer.status_code}.")
        return answer.status_code, orjson.loads(content)
    except (*BROKEN, orjson.JSONDecodeError) as error:
        raise Retryable from error
