"""Whom this hub may hear of nearby: the hubs of all friends, and the owner's own."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from django.conf import settings

from acl import identity
from discovery import store
from discovery.core import card as cards
from discovery.core.beacons import Party
from discovery.core.commitment import decoded
from discovery.core.errors import DiscoveryError

_MOST_READ = 4096
_read: dict[tuple[str, str], cards.Card] = {}
"""Cards whose signatures were verified: each sighting asks for all of them."""


class Known(NamedTuple):
    """A hub of somebody whom we know."""

    party: Party
    device: str
    """The hub's key."""
    key: str
    """Whom we know it as: a friend's identity, or the key of a device of ours."""
    name: str
    is_own: bool


def known_hubs(now: int) -> list[Known]:
    """Return the hubs of all friends and devices that have a notification key now."""
    found = list[Known]()
    for contact in store.list_contacts():
        if not contact.principal.revoked:
            found += _of_card(contact.card, contact.key, contact.name, now)
    for device in store.other_devices():
        key, until = cards.beacon(device.beacon)
        if until > now:
            party = Party(_identity(), decoded(device.principal.key), decoded(key))
            name = device.principal.name
            found.append(Known(party, device.principal.key, device.principal.key, name, True))
    return found


def _identity() -> bytes:
    return decoded(identity.load(settings.HUB_DATA).key)


def _of_card(document: dict[str, Any], key: str, name: str, now: int) -> list[Known]:
    place = key, str(document.get("signature"))
    card = _read.get(place)
    if card is None:
        try:
            card = cards.read(document, key)
        except DiscoveryError:
            return []
        if len(_read) >= _MOST_READ:
            _read.clear()
        _read[place] = card
    return [
        Known(
            Party(decoded(key), decoded(hub.key), decoded(hub.beacon_key)),
            hub.key,
            key,
            name,
            False,
        )
        for hub in card.hubs
        if hub.beacon_key and hub.beacon_until > now
    ]


def milliseconds() -> int:
    """Return the time of now."""
    return int(time.time() * 1000)
