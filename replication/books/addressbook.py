"""The `addressbook` database: principals, groups and grants, for the owner's other devices.

The tables of `acl` and `discovery` say what holds on this hub, the documents say it to the others.
Both are kept alike by core/merge.py.  What was alike the last time is noted in a local document,
which does not replicate.  A step that is cut off is found again, so nothing needs one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings

from acl import identity, sql
from acl import store as acl_store
from acl.core.errors import HubError
from acl.core.keys import PREFIX
from acl.core.policy import ADDRESSBOOK
from acl.store import Own
from couchapi import writing
from couchapi.core import revid
from couchapi.core.errors import NotFound
from couchapi.store import databases, documents, local_documents
from couchapi.store.documents import Range
from couchapi.store.writes import OURSELVES, Write
from discovery import store as discovery_store
from replication.core import merge
from replication.core.merge import Entry

logger = logging.getLogger(__name__)

_AGREED = "hub-tables"
_ORDER = (*acl_store.KINDS, *discovery_store.KINDS)
_KINDS = tuple(f"{kind}:" for kind in _ORDER)
_PAGE = 1000


async def put_in_step(own: Own, now: datetime) -> bool:
    """Make tables and documents alike; returns whether anything had to be done."""
    tables = await sync_to_async(_tables)(own)
    held = await sql.scan(_documents)
    agreed, deleted = await sql.scan(_agreed), await sql.scan(databases.deleted_names)
    shown = {name: entry for name, (_, entry) in held.items() if entry is not None}
    kept = _kept_for_others(tables, shown, agreed, deleted)
    steps = merge.steps(
        tables,
        _without(shown, kept),
        _without(agreed, kept),
        is_first=identity.has_identity_key(settings.HUB_DATA),
    )
    ours = {name: tables.get(name) for name in steps.to_tables if name == _of_this_hub(own)}
    taken = steps.to_tables.keys() - ours
    for name in sorted(taken, key=_place):
        await _take_over(name, steps.to_tables[name], own, now)
    came_out = await sync_to_async(_tables)(own) if taken else tables
    to_documents = {**steps.to_documents, **ours}
    refused = await _write(to_documents, {name: rev for name, (rev, _) in held.items()})
    # What a command has changed since is agreed with nobody: the next turn finds it.
    alike = _without(tables, {*taken}) | {name: came_out[name] for name in taken & came_out.keys()}
    as_before = {name: agreed[name] for name in kept | refused if name in agreed}
    noted = merge.agreement(_without(alike, refused)) | as_before
    if noted != agreed:
        await sql.write(partial(_note, agreed=noted))
    return came_out != tables or bool(to_documents)


def _kept_for_others(
    tables: Mapping[str, Entry],
    shown: Mapping[str, Entry],
    agreed: Mapping[str, str],
    deleted: Collection[str],
) -> set[str]:
    """Return the grants that went with a database here, and are of use where it still is.

    When there is a database of this name again, it does not inherit them: they go everywhere.
    """
    gone = agreed.keys() & shown.keys() - tables.keys()
    return {name for name in gone if shown[name].get("database") in deleted}


def _without(entries: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name not in names}


def _of_this_hub(own: Own) -> str:
    """Return the entry that nobody knows better than this hub."""
    return f"device:{PREFIX}{own.device_key}"


def _place(name: str) -> int:
    return _ORDER.index(name.partition(":")[0])


def _tables(own: Own) -> dict[str, Entry]:
    known = discovery_store.all_entries(own.device_key, own.owner_key)
    return {**acl_store.all_entries(own), **known}


async def _take_over(name: str, entry: Entry | None, own: Own, now: datetime) -> None:
    try:
        await sync_to_async(_put)(name, entry, own, now)
    except HubError as error:
        logger.warning("An entry of the address book is left out: %s", type(error).__name__)


def _put(name: str, entry: Entry | None, own: Own, now: datetime) -> None:
    if name.startswith(tuple(f"{kind}:" for kind in discovery_store.KINDS)):
        discovery_store.put_entry(name, entry, own.device_key, now)
    else:
        acl_store.put_entry(name, entry, own)


# -- documents -----------------------------------------------------------------------------------


def _documents(connection: sql.Sql) -> dict[str, tuple[str, Entry | None]]:
    """Return (rev, content) of the entries' documents by id; None for content that is no object."""
    found: dict[str, tuple[str, Entry | None]] = {}
    database = databases.get(connection, ADDRESSBOOK)
    after = None
    while page := documents.page(
        connection, database.id, Range(), after=after, skip=0, limit=_PAGE
    ):
        after = page[-1].docid
        found |= {
            one.docid: (one.rev, orjson.loads(one.body))
            for one in page
            if one.docid.startswith(_KINDS)
        }
    return found


async def _write(changed: Mapping[str, Entry | None], revs: Mapping[str, str]) -> set[str]:
    """Write the documents; returns the names of those that were changed in this very moment."""
    batch = [
        Write(
            name,
            revid.parse(revs[name]) if name in revs else None,
            entry is None,
            b"{}" if entry is None else orjson.dumps(entry),
        )
        for name, entry in changed.items()
        if entry is not None or name in revs
    ]
    written = await writing.store(ADDRESSBOOK, batch, OURSELVES) if batch else []
    return {name for name, result in written if isinstance(result, HubError)}


def _agreed(connection: sql.Sql) -> dict[str, str]:
    try:
        _, body = local_documents.read(connection, ADDRESSBOOK, "", _AGREED)
    except NotFound:
        return {}
    agreed: dict[str, str] = orjson.loads(body)["agreed"]
    return agreed


def _note(connection: sql.Sql, agreed: Mapping[str, str]) -> None:
    body = orjson.dumps({"agreed": agreed})
    local_documents.write(connection, ADDRESSBOOK, "", _AGREED, body)
