"""What a friend shares with us: asked of their hub, and kept here as a copy that follows.

The answer is another hub's: one that is too long is refused, and what is no name is left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

from acl import sql
from acl.core.keys import PREFIX, short_key
from couchapi.core import names
from couchapi.store import databases
from discovery.core.errors import MessageError
from replication import manager, routing
from replication.books.names import INBOX, ME
from replication.core.job import Direction, Mode, Wish
from thalihub import sentences

_LONGEST = 262_144
_MOST = 200


class Share(NamedTuple):
    """A database of a friend; `copy` is the name of ours, if we keep one."""

    name: str
    copy: str = ""
    state: str = ""
    error: str = ""


async def offered(key: str, name: str) -> list[str]:
    """Return the databases that we may do something with there; raises what dialling raises."""
    text = b""
    async with routing.way_to(key, name) as way, way.client.stream("GET", "/_all_dbs") as answer:
        async for piece in answer.aiter_bytes():
            text += piece
            if len(text) > _LONGEST:
                raise MessageError
    return _readable(text) if answer.status_code == 200 else []


def _readable(text: bytes) -> list[str]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise MessageError from None
    if not isinstance(found, list):
        raise MessageError
    fine = [one for one in found if isinstance(one, str) and names.is_database_name(one)]
    return [one for one in fine if one not in (INBOX, ME)][:_MOST]


def kept(key: str) -> dict[str, Share]:
    """Return the copies that follow databases of a friend, by the friend's name for each."""
    return {share.name: share for job in _jobs(key) if (share := _share(job))}


def _jobs(key: str) -> list[dict[str, Any]]:
    """Return the jobs that fetch from a friend, whatever the friend is called now."""
    return [
        job
        for job in manager.listing(time.time())
        if any(link["key"] == key and link["direction"] == Direction.PULL for link in job["links"])
    ]


def _share(job: dict[str, Any]) -> Share:
    there = job["there"] or job["database"]
    return Share(there, job["database"], job["state"], sentences.said(job["error"] or ""))


def keep(name: str, key: str, addresses: Sequence[str], db_name: str) -> None:
    """Keep a copy of a friend's database, and let it follow; raises HubError.

    A database of ours that is called so already is not touched: the copy gets another name.
    """
    if db_name in kept(key):
        return
    names.check_database_name(db_name)
    is_ours = sql.read_sync(partial(databases.find, name=db_name)) is not None
    copy = f"{db_name}-{short_key(key).lower()}" if is_ours else db_name
    # By key where we can: the name is the owner's, and may change.
    peer = f"httpkey://{addresses[0]}/{PREFIX}{key}/" if addresses else name
    manager.add(Wish(copy, peer, Direction.PULL, Mode.CONTINUOUS, there=db_name), time.time())


def leave(key: str, db_name: str | None = None) -> None:
    """Let a copy, or all of a friend's, follow no longer; what is here stays.  Raises HubError."""
    for job in _jobs(key):
        if not job["mesh"] and db_name in (None, _share(job).name):
            manager.remove(job["id"])
