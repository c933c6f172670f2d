"""How Tor is here and what the owner wants of it: one row, and what has happened lately.

The keeper of tor writes how it is, the pages and commands what is wanted; everybody reads.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence

from django.db import transaction

from discovery.core import card
from discovery.core.addresses import TOR, Address
from discovery.core.card import MOST_ADDRESSES
from discovery.core.errors import AddressError
from discovery.core.onion import PORT
from discovery.core.pairing import OPEN
from discovery.models import Contact, Device, PairingRow, TorEvent, TorState
from discovery.store.arming import armed_until
from discovery.store.me import me
from discovery.store.offers import list_offers

_ONLY = 1
_MOST_EVENTS = 100


def tor() -> TorState:
    """Return the row, made if there is none."""
    row, _made = TorState.objects.get_or_create(pk=_ONLY)
    return row


def tor_or_none() -> TorState | None:
    """Return the row where there is one."""
    return TorState.objects.filter(pk=_ONLY).first()


def set_tor(**values: object) -> None:
    """Set fields of the row."""
    tor()
    TorState.objects.filter(pk=_ONLY).update(**values)


def note_stale() -> None:
    """Note that a service could not be reached where it was known to be."""
    TorState.objects.filter(pk=_ONLY, stale=False).update(stale=True)


@transaction.atomic
def note_tor(now: datetime.datetime, what: str, more: str = "") -> None:
    """Add to what has happened, or note that the last happened again; the oldest goes."""
    last = TorEvent.objects.order_by("-pk").first()
    if last is not None and (last.what, last.more) == (what, more[:200]):
        TorEvent.objects.filter(pk=last.pk).update(at=now)
        return
    TorEvent.objects.create(at=now, what=what, more=more[:200])
    for old in TorEvent.objects.order_by("-pk")[_MOST_EVENTS:]:
        old.delete()


def tor_events(most: int = 20) -> Sequence[TorEvent]:
    """Return what has happened, the latest first."""
    return list(TorEvent.objects.order_by("-pk")[:most])


def own_addresses() -> list[str]:
    """Return where this hub may be reached, as `host:port`: near, and through Tor at the end."""
    onions = onion_addresses()
    return [*me().addresses[: MOST_ADDRESSES - len(onions)], *onions]


def onion_addresses() -> list[str]:
    """Return where this hub is reached through Tor, as `host:port`: nowhere, or at one address.

    That is nowhere until it was published once.
    """
    row = _wanted()
    return [f"{row.address}:{PORT}"] if row is not None and row.published_at is not None else []


def own_tor_key() -> str:
    """Return the key by which others let this hub through, or an empty text."""
    row = _wanted()
    return row.client_key if row is not None else ""


def _wanted() -> TorState | None:
    return TorState.objects.filter(pk=_ONLY, wanted=True).first()


def tor_clients() -> frozenset[str]:
    """Return the public keys by which friends' hubs and the owner's devices come through Tor."""
    contacts = Contact.objects.filter(principal__revoked=False)
    devices = Device.objects.filter(principal__revoked=False).exclude(tor_key="")
    known = {key for contact in contacts for key in card.tor_keys(contact.card)}
    return frozenset(known | {device.tor_key for device in devices})


def onion_peers() -> frozenset[str]:
    """Return the onion addresses, without a port, of everybody whom this hub may want to reach."""
    texts = [one for row in Contact.objects.all() for one in row.addresses]
    texts += [one for row in Device.objects.all() for one in row.addresses]
    return frozenset(_onions(texts))


def _onions(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        with contextlib.suppress(AddressError):
            address = Address.parse(text)
            if address.kind == TOR:
                yield address.host


def expects_strangers(now: datetime.datetime) -> bool:
    """Tell whether somebody whom we do not know yet is to reach us now, to pair."""
    waiting = PairingRow.objects.filter(state__in=OPEN).exists()
    return waiting or bool(list_offers(now)) or armed_until(now) is not None
