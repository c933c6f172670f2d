"""Tells contacts where this hub is now: who only knows an address that is gone cannot come and ask.

The card says it, signed as ever, so it may be taken from whoever is a contact.  Contacts who cannot
be reached are tried again, each hour in the end; or they fetch it when they meet us in another way.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any, Final

import httpx
import orjson
from asgiref.sync import sync_to_async

from acl.core.errors import Forbidden, HubError
from discovery import store
from discovery.core import card as cards
from discovery.core import signed
from discovery.core.errors import KeyChanged
from discovery.dialer import dial
from discovery.dialer.broken import BROKEN
from discovery.pairing import ourselves
from discovery.store import Contact

PATH: Final = "/_thali/pair/v1/moved"
_SOONEST, _LATEST = datetime.timedelta(seconds=15), datetime.timedelta(hours=1)
_AT_ONCE = 4
_SECONDS = 30.0


async def tell_contacts(now: datetime.datetime) -> int:
    """Send our card to contacts who have another one; returns how many took it."""
    card = await sync_to_async(ourselves.card)(now)
    waiting = await sync_to_async(_untold)(str(card["changed"]), now)
    turns = asyncio.Semaphore(_AT_ONCE)
    return sum(await asyncio.gather(*(_tell(one, card, turns, now) for one in waiting)))


def _untold(changed: str, now: datetime.datetime) -> Sequence[Contact]:
    return [
        row
        for row in store.list_contacts()
        if row.told != changed
        and not row.principal.revoked
        and (row.told_at is None or now - row.told_at >= _pause(changed, row.told_at))
    ]


def _pause(changed: str, tried: datetime.datetime) -> datetime.timedelta:
    """Return how long to wait after a try: as long again as the card was old then."""
    return min(max(tried - datetime.datetime.fromisoformat(changed), _SOONEST), _LATEST)


async def _tell(
    contact: Contact, card: dict[str, Any], turns: asyncio.Semaphore, now: datetime.datetime
) -> bool:
    async with turns:
        took = await _sent(contact, card)
        await sync_to_async(store.note_told)(contact.pk, str(card["changed"]) if took else "", now)
        return took


async def _sent(contact: Contact, card: dict[str, Any]) -> bool:
    addresses = ourselves.parsed(contact.addresses)
    headers = {"Content-Type": "application/json"}
    try:
        async with dial(contact.key, addresses, timeout=_SECONDS) as session:
            answer = await session.client.post(PATH, content=orjson.dumps(card), headers=headers)
            return answer.status_code == httpx.codes.OK
    except (HubError, *BROKEN):
        return False


def take(body: bytes, keys: Sequence[str], now: datetime.datetime) -> bytes:
    """Take the card of a contact who has moved; raises Forbidden for anybody else.

    One of another key is refused and raises the alarm: KeyChanged.  Raises MessageError too.
    """
    contact = next((one for one in store.list_contacts() if one.key in keys), None)
    if contact is None or contact.principal.revoked:
        raise Forbidden("Only a contact tells where they are.")
    receive(contact.name, signed.parsed(body, cards.LARGEST), now)
    return b"{}"


def receive(name: str, document: object, now: datetime.datetime) -> None:
    """Take a newer card of a contact; raises like `take`."""
    contact = store.contact(name)
    try:
        card = cards.read(document, contact.key)
    except KeyChanged:
        store.alarm(name, signed.verified(document), now)
        raise
    store.change_card(name, card, now)
