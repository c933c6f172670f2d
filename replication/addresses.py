"""Where the hubs of a principal may be reached, and where they lately have been.

What cards, devices and the neighbourhood tell is put in order by `core/trying.py`; how it went is
remembered in rows.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from acl import sql
from acl.core.httpkey import HttpKey
from discovery import store as found
from discovery.core import windows
from discovery.core.addresses import Address
from discovery.core.errors import AddressError
from replication.core import job as jobs
from replication.core import trying
from replication.core.job import Kind
from replication.core.trying import Known
from replication.store import routes

_PORT = 6984
_SEEN: Final = 100
"""The priority of an address at which a hub was seen: before all that was only told."""


def addresses_of(key: str) -> list[Address]:
    """Return where the hub of a principal may be reached, as far as we have been told."""
    return list(dict.fromkeys(one.address for one in _known(key, time.time())))


def _known(key: str, now: float) -> Iterator[Known]:
    """Yield the addresses, and what is known of them; one that was told twice comes twice."""
    tried = sql.read_sync(partial(routes.of_hub, key=key))
    for text, priority, is_open in _told(key, now):
        with contextlib.suppress(AddressError):
            address = Address.parse(text)
            route = tried.get(str(address), routes.Route("", None, None, 0))
            yield Known(address, priority, is_open, *route[1:])


def _told(key: str, now: float) -> Iterator[tuple[str, int, bool]]:
    """Yield each address as it was told, its hub's priority, and whether that is there now."""
    for one in found.other_devices():
        if one.principal.key == key:
            is_open = windows.is_open(windows.published(one.windows), now)
            yield from ((text, 0, is_open) for text in one.addresses)
    for contact in found.list_contacts():
        if contact.key == key:
            yield from _told_by(contact, now)
    nearby = found.sighting(key)
    if nearby is not None:
        yield from ((text, _SEEN, True) for text in nearby.addresses)


def _told_by(contact: found.Contact, now: float) -> Iterator[tuple[str, int, bool]]:
    of_card = set[str]()
    for hub in contact.card.get("hubs") or ():
        is_open = windows.is_open(windows.published(hub.get("windows") or ""), now)
        addresses = hub.get("addresses") or ()
        of_card.update(addresses)
        yield from ((text, hub.get("priority", 0), is_open) for text in addresses)
    yield from ((text, 0, True) for text in contact.addresses if text not in of_card)


def in_order(key: str, peer: str) -> list[Address]:
    """Return the addresses of a hub in the order in which they are tried."""
    now = time.time()
    known = trying.ranked(_known(key, now), now)
    if jobs.kind_of(peer) is Kind.HUB:
        url = HttpKey.parse(peer)
        host = f"[{url.host}]" if ":" in url.host else url.host
        return [Address.parse(f"{host}:{url.port or _PORT}"), *known]
    return known


def note(key: str, outcomes: Mapping[Address, bool]) -> None:
    """Remember where the hub has answered: that is tried first the next time."""
    said = {str(address): answered for address, answered in outcomes.items()}
    # Where nothing of it answers the hub is off: that says nothing about its addresses.
    now = time.time()
    if any(said.values()) and routes.is_news(sql.read_sync(_reading(key)), said, now):
        sql.write_sync(partial(routes.note, key=key, outcomes=said, now=now))


def _reading(key: str) -> Callable[[sql.Sql], dict[str, routes.Route]]:
    return partial(routes.of_hub, key=key)
