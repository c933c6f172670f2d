"""What this hub says of itself to others: its person, its name, and where it can be reached.

`HUB_ADDRESSES` says where, else the addresses of this machine in its networks do.  An address of
this machine alone is named only where the hub listens nowhere else.

A laptop is carried to another network while its hub runs, so the networks are looked at again and
again.  What holds for two looks is noted; while there is no network, what was known stays.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterator, Sequence

import psutil
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User

from acl import sql
from acl.core.policy import ADDRESSBOOK
from couchapi import wakeups
from discovery import store as discovery
from discovery.core.addresses import Address
from thalihub import datafolder, store

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_EVERYWHERE = {"0.0.0.0", "::"}
# Networks of containers and virtual machines, which nobody outside reaches.
_INSIDE = ("docker", "br-", "veth", "virbr", "podman", "cni", "lxc")


def renew(port: int | None = None) -> None:
    """Note who we are, and where, if the API's port is given, we can be reached."""
    owner = User.objects.filter(is_superuser=True).order_by("pk").first()
    person = owner.first_name if owner else ""
    addresses = None if port is None else own_addresses(settings.HUB_HOST, port)
    discovery.set_me(name=person or None, addresses=addresses, hub=store.hub().name or None)


async def keep() -> None:
    """Note our addresses whenever they have become others, until cancelled."""
    seen: Sequence[str] = ()
    while True:
        try:
            seen = await looked(seen)
        except Exception as error:  # The outermost line of what runs beside other work.
            said = "The networks could not be looked at; trying again."
            await sql.recover(logger, error, said)
        await asyncio.sleep(_LOOK_SECONDS)


async def looked(before: Sequence[str]) -> Sequence[str]:
    """Return our addresses of now; note them if they are those of the look before, too."""
    port = datafolder.facts_of(settings.HUB_DATA).get("api_port")
    if port is None or not _is_anywhere():
        return before
    now = own_addresses(settings.HUB_HOST, port)
    if now == before and await sync_to_async(_note)(now):
        # The card and the address book say so at once.
        wakeups.announce(ADDRESSBOOK)
    return now


def _is_anywhere() -> bool:
    """Tell whether there is a network, or none is needed to know where we are."""
    is_told = settings.HUB_ADDRESSES or settings.HUB_HOST not in _EVERYWHERE
    return bool(is_told or any(_of_networks(settings.HUB_HOST == "::")))


def _note(addresses: Sequence[str]) -> bool:
    if discovery.me().addresses == addresses:
        return False
    discovery.set_me(addresses=addresses)
    return True


def own_addresses(host: str, port: int) -> list[str]:
    """Return `host:port` of a hub that listens on `host`, the best first.

    Raises AddressError where HUB_ADDRESSES holds something else.
    """
    if settings.HUB_ADDRESSES:
        return [str(Address.parse(text)) for text in settings.HUB_ADDRESSES]
    if host not in _EVERYWHERE:
        return [_shown(host, port)]
    found = sorted(_of_networks(host == "::"), key=lambda one: (one[0].startswith(_INSIDE), one))
    return [_shown(address, port) for _, address in found] or [_shown("127.0.0.1", port)]


def _of_networks(both: bool) -> Iterator[tuple[str, str]]:
    """Yield (interface, address) of every network that is up."""
    stats = psutil.net_if_stats()
    families = {socket.AF_INET, socket.AF_INET6} if both else {socket.AF_INET}
    for interface, addresses in psutil.net_if_addrs().items():
        is_up = interface in stats and stats[interface].isup
        for one in addresses:
            if is_up and one.family in families and _reachable(one.address):
                yield interface, one.address


def _reachable(text: str) -> bool:
    # A link-local address needs the other machine's own name for the network.
    if "%" in text:
        return False
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
