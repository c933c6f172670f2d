"""This hub's side of every pairing: its keys, its addresses, and the card of its person."""

from __future__ import annotations

import datetime
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings

from acl import identity
from acl.core.errors import RefusedError
from acl.core.keys import short_key
from acl.identity import Identity
from discovery import beaconkeys, store
from discovery.core import card as cards
from discovery.core.addresses import TOR, Address
from discovery.core.card import Card, Hub
from discovery.core.commitment import encoded
from discovery.core.errors import AddressError, DiscoveryError
from discovery.core.messages import cut

INBOX = "inbox"
_OURS, _OTHERS = 10, 5
_MESSAGING = {"database": INBOX}


def keys() -> Identity:
    """Return this hub's keys; raises RefusedError when it has none yet."""
    return identity.load(settings.HUB_DATA)


def name() -> str:
    """Return what this hub calls its person, so that a message can carry it."""
    row = store.me()
    return cut(row.name or row.hub or f"Hub {short_key(keys().key)}")


def addresses() -> list[str]:
    """Return where this hub may be reached, the best first; raises RefusedError for nowhere."""
    found = store.own_addresses()
    if not found:
        raise RefusedError(
            "This hub does not know its own address. Start it, or set HUB_ADDRESSES to where "
            "others can reach it, such as 192.168.1.20:6984."
        )
    return found


def card(now: datetime.datetime) -> dict[str, Any]:
    """Return our person's card, signed anew where it has changed.

    A device without the identity key has the card that another device has signed.
    """
    kept = store.me().card
    publish_beacon(now)
    if not identity.has_identity_key(settings.HUB_DATA):
        if not kept:
            raise RefusedError("Your card is signed by your first device. Connect to it once.")
        return dict(kept)
    hubs = _hubs()
    if not _says(kept, hubs):
        kept = cards.make(
            signing_key(), name(), hubs, changed=now.isoformat(), messaging=_MESSAGING
        )
        store.set_card(kept)
    return dict(kept)


def publish_beacon(now: datetime.datetime) -> None:
    """Say our notification key: in the card, and to the owner's other hubs."""
    newest = beaconkeys.ensure(settings.HUB_DATA, int(now.timestamp() * 1000))[0]
    said = {"key": newest.public, "until": newest.until}
    if store.me().beacon != said:
        store.set_me(beacon=said)


def _says(document: dict[str, Any], hubs: list[Hub]) -> bool:
    try:
        known = cards.read(document, keys().key)
    except DiscoveryError:
        return False
    wanted = Card(keys().key, name(), tuple(hubs), messaging=_MESSAGING, changed=known.changed)
    return known == wanted


def _hubs() -> list[Hub]:
    row, ours = store.me(), keys()
    here = Hub(
        ours.device_key,
        cut(row.hub),
        tuple(store.own_addresses()),
        _OURS,
        "",
        *cards.beacon(row.beacon),
        store.own_tor_key(),
        row.windows,
    )
    others = [
        Hub(
            one.principal.key,
            cut(one.principal.name),
            _few(one.addresses),
            _OTHERS,
            "",
            *cards.beacon(one.beacon),
            one.tor_key,
            one.windows,
        )
        for one in store.other_devices()
    ]
    return [here, *others][: cards.MOST_HUBS]


def _few(addresses: list[str]) -> tuple[str, ...]:
    """Return the first addresses, and the one that is reached from everywhere."""
    onions = [one for one in parsed(addresses) if one.kind == TOR]
    return (*[one for one in addresses if ".onion:" not in one][:3], *map(str, onions[:1]))


def invited_to() -> list[str]:
    """Return the addresses of a link: through Tor first, as that one is reached from everywhere."""
    found = addresses()
    return sorted(found, key=lambda one: ".onion:" not in one)[:2]


def signing_key() -> ec.EllipticCurvePrivateKey:
    """Return the identity key; raises RefusedError on a hub that has none."""
    try:
        pem = (settings.HUB_DATA / "identity.key").read_bytes()
    except FileNotFoundError:
        raise RefusedError("Your identity key is on another of your devices: sign there.") from None
    return cast(ec.EllipticCurvePrivateKey, load_pem_private_key(pem, password=None))


def device_keys() -> list[str]:
    """Return the public keys that another device is to sign, as a message carries them."""
    request = identity.device_request(settings.HUB_DATA)
    return [encoded(request.device), encoded(request.owner)]


def parsed(texts: list[str] | tuple[str, ...]) -> list[Address]:
    """Return those addresses that can be read: some may be of a kind that a later hub knows."""
    found = []
    for text in texts:
        try:
            found.append(Address.parse(text))
        except AddressError:
            continue
    return found
