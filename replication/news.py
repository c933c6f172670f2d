"""News: which hubs have not seen yet what is for them here.

A hub that pulls notes on the other side how far it has come, in `_local/thali_<its key>`:
`{"lastSyncedSequenceNumber": n}`.  While that is below where a database of ours is, and its person
may read the database, there is news for it.  There is, too, while a push to it has not come through
(design/discovery.md, "Local discovery without leaking who you are").
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import orjson

from acl import gate, sql
from acl.authentication import Caller
from acl.snapshot import current
from couchapi.core import sequence
from couchapi.core.errors import BadRequest
from couchapi.store import databases, local_documents
from replication.books.names import INBOX, ME
from replication.core.errors import Fatal, Retryable
from replication.peers import RemotePeer
from replication.store import pushes

PREFIX: Final = "thali_"
_MEMBER: Final = "lastSyncedSequenceNumber"
_ASKED_FOR = frozenset({ME, INBOX})
"""What is in these is asked for by itself, now and then."""


class Reader(NamedTuple):
    """A hub for which there may be news."""

    device: str
    """The hub's key."""
    key: str
    """Whom we know it as: a friend's identity, or the key of a device of ours."""
    is_own: bool


async def note_progress(far: RemotePeer, device: str, seq: Any) -> None:
    """Tell the hub that we have pulled from how far we are; it matters to nobody if that fails."""
    with contextlib.suppress(Retryable, Fatal):
        await far.write_note(PREFIX + device, {_MEMBER: seq})


async def waits_for(readers: Iterable[Reader]) -> set[str]:
    """Return the keys of those hubs for which there is news."""
    asked = [*readers]
    if not asked:
        return set()
    shared = {row.name: row.update_seq for row in await sql.scan(_shared)}
    progress = await sql.scan(_progress)
    unreached = await sql.point(partial(pushes.unreached, now=time.time()))
    readable = {key: await _readable(key, shared) for key in {one.key for one in asked}}
    return {
        one.device
        for one in asked
        if one.key in unreached or _is_behind(one, readable[one.key], shared, progress)
    }


def _is_behind(
    reader: Reader,
    names: Iterable[str],
    shared: Mapping[str, int],
    progress: Mapping[tuple[str, str, str], int],
) -> bool:
    owner = local_documents.namespace(reader.key, reader.is_own)
    return any(
        shared[name] > progress.get((name, owner, PREFIX + reader.device), 0) for name in names
    )


async def _readable(key: str, shared: Iterable[str]) -> list[str]:
    known = (await current()).principals.get(key)
    if known is None:
        return []
    caller = Caller(known[0], known[1], key, key, has_certificate=True)
    visible = await gate.visible_databases(caller)
    names = [name for name in shared if visible is None or name in visible]
    permits = {name: await gate.permit_of(caller, name) for name in names}
    return [
        name
        for name, permit in permits.items()
        if permit.read and (permit.is_owner or name not in _ASKED_FOR)
    ]


def _shared(connection: sql.Sql) -> list[databases.DatabaseRow]:
    return [row for row in databases.everything(connection) if not row.local_only]


def _progress(connection: sql.Sql) -> dict[tuple[str, str, str], int]:
    rows = local_documents.beginning_with(connection, PREFIX)
    return {(name, owner, docid): _number(body) for name, owner, docid, body in rows}


def _number(body: bytes) -> int:
    """Return how far somebody says to be; what nobody can understand says nothing."""
    try:
        return sequence.number(orjson.loads(body)[_MEMBER])
    except (orjson.JSONDecodeError, KeyError, TypeError, BadRequest):
        return 0
