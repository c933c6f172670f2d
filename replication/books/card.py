"""The contact card in `me`: what friends may know, and where they find this person's hubs.

Only a hub that has the identity key signs it; the others get it as they get every document.  And
the other way round: what friends say of themselves is asked for from time to time, so that they are
found where they are now.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from functools import partial

import httpx
import orjson
from asgiref.sync import sync_to_async
from django.conf import settings

from acl import identity, sql
from acl.core.errors import HubError, RefusedError
from couchapi import writing
from couchapi.core import revid
from couchapi.core.errors import NotFound
from couchapi.store import documents
from couchapi.store.writes import OURSELVES, Write
from discovery import pairing
from discovery import store as discovery_store
from discovery.core import card as cards
from discovery.core.addresses import Address
from discovery.core.errors import DiscoveryError
from discovery.dialer import dial
from discovery.dialer.broken import BROKEN
from discovery.pairing import ourselves
from discovery.store import Contact
from replication.books.names import CARD, ME

logger = logging.getLogger(__name__)

_AT_ONCE = 4
_SECONDS = 15.0
_LARGEST = 64 * 1024


async def publish(now: datetime.datetime) -> None:
    """Put the card of now into `me`, where it is another than before."""
    found = await sql.scan(partial(_found, docid=CARD))
    if not identity.has_identity_key(settings.HUB_DATA):
        # Its notification key comes into the card by way of the hub that signs it.
        await sync_to_async(ourselves.publish_beacon)(now)
        await _take_over(found)
        return
    try:
        body = orjson.dumps(await pairing.own_card(now))
    except RefusedError:  # It does not know yet where it can be reached.
        return
    if found is not None and not found.deleted and orjson.loads(found.body) == orjson.loads(body):
        return
    base = revid.parse(found.rev) if found is not None and not found.deleted else None
    ((_, result),) = await writing.store(ME, [Write(CARD, base, False, body)], OURSELVES)
    if isinstance(result, HubError):
        raise result


async def _take_over(found: documents.Found | None) -> None:
    """Show the card that another device has signed, if it is ours."""
    if found is None or found.deleted:
        return
    document = orjson.loads(found.body)
    try:
        cards.read(document, identity.load(settings.HUB_DATA).key)
    except DiscoveryError as error:
        logger.warning("The card in “%s” is not ours: %s", ME, error.reason)
        return
    await sync_to_async(discovery_store.set_card)(document)


async def ask_friends(now: datetime.datetime) -> int:
    """Take the newest cards of all friends who can be reached; returns how many that were."""
    contacts = await sync_to_async(discovery_store.list_contacts)()
    turns = asyncio.Semaphore(_AT_ONCE)
    answered = await asyncio.gather(*(_ask(one, turns, now) for one in contacts))
    return sum(answered)


async def _ask(contact: Contact, turns: asyncio.Semaphore, now: datetime.datetime) -> bool:
    async with turns:
        try:
            addresses = [Address.parse(text) for text in contact.addresses]
            async with dial(contact.key, addresses, timeout=_SECONDS) as session:
                document = await _card_of(session.client)
            await pairing.receive_card(contact.name, document, now)
        except (HubError, *BROKEN, ValueError):
            # It is asked again; and a card of another key has raised the alarm already.
            return False
    return True


async def _card_of(client: httpx.AsyncClient) -> dict[str, object]:
    async with client.stream("GET", f"/{ME}/{CARD}") as answer:
        answer.raise_for_status()
        text = b""
        async for piece in answer.aiter_raw():
            text += piece
            if len(text) > _LARGEST:
                raise ValueError
    document = orjson.loads(text)
    return {name: document[name] for name in document if not name.startswith("_")}


def _found(connection: sql.Sql, docid: str) -> documents.Found | None:
    try:
        return documents.find(connection, ME, docid)
    except NotFound:
        return None
