"""The contact card in `me`: what friends may know, and where they find this person's hubs.

Only a hub that has the identity key signs it; the others get it as they get every document.
"""

from __future__ import annotations

import datetime
from functools import partial

import orjson
from django.conf import settings

from acl import identity, sql
from acl.core.errors import HubError, RefusedError
from couchapi import writing
from couchapi.core import revid
from couchapi.core.errors import NotFound
from couchapi.store import documents
from couchapi.store.writes import OURSELVES, Write
from discovery import pairing
from replication.books.names import CARD, ME


async def publish(now: datetime.datetime) -> None:
    """Put the card of now into `me`, where it is another than before."""
    try:
        if not identity.has_identity_key(settings.HUB_DATA):
            return
        body = orjson.dumps(await pairing.own_card(now))
    except RefusedError:  # It does not know yet where it can be reached.
        return
    found = await sql.scan(partial(_found, docid=CARD))
    if found is not None and not found.deleted and orjson.loads(found.body) == orjson.loads(body):
        return
    base = revid.parse(found.rev) if found is not None and not found.deleted else None
    ((_, result),) = await writing.store(ME, [Write(CARD, base, False, body)], OURSELVES)
    if isinstance(result, HubError):
        raise result


def _found(connection: sql.Sql, docid: str) -> documents.Found | None:
    try:
        return documents.find(connection, ME, docid)
    except NotFound:
        return None
