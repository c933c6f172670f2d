"""Finding hubs in the networks of this machine, by mDNS (RFC 6762) with python-zeroconf.

What is said there is that some hub is at an address, under names that were drawn by lot for this
announcement, and nothing else: what is announced, and to whom, the listener hands out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
from collections.abc import Sequence
from typing import Final

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from discovery.core.addresses import Address
from discovery.core.errors import AddressError
from discovery.core.networks import is_within
from discovery.finders import OFF, ON, UNAVAILABLE, Announcement, Found, Sighting, Status, checked

logger = logging.getLogger(__name__)
# It warns of each packet that finds no network, with a traceback; our status says that better.
logging.getLogger("zeroconf").setLevel(logging.ERROR)

NAME: Final = "wifi"
SERVICE: Final = "_thali._tcp.local."
_HOST_TTL, _OTHER_TTL = 60, 120
"""Seconds; an hour and more, as is usual, would keep names of hubs that have left long ago."""
_MOST_PEERS = 100
_ASK_MS = 1500
_MOST_ADDRESSES = 4
_NOWHERE = Status(
    UNAVAILABLE,
    "This hub is in no network where it may be found.",
    "Join a network, and say here that this hub may be found in it.",
)


class WifiFinder:
    """Announces and looks in the networks of some of our addresses."""

    name = NAME

    def __init__(self, interfaces: Sequence[str] = ()) -> None:
        """`interfaces` are our addresses with their prefixes, such as `192.168.1.5/24`."""
        self._interfaces = tuple(interfaces)
        self._network: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._announcement: Announcement | None = None
        self._info: AsyncServiceInfo | None = None
        self._found: Found | None = None
        self._own: set[str] = set()
        self._peers: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Future[None] | None = None
        self._problem = ""

    async def use(self, interfaces: Sequence[str]) -> None:
        """Go on in other networks: goodbye in those that are left."""
        if tuple(interfaces) == self._interfaces:
            return
        await self._close()
        self._interfaces = tuple(interfaces)
        await self._go_on()

    async def announce(self, announcement: Announcement | None) -> None:
        """Announce this under new names."""
        self._announcement = checked(announcement)
        await self._withdraw()
        await self._go_on()

    async def look(self, found: Found) -> None:
        """Look for others."""
        self._found = found
        await self._go_on()

    async def forget(self) -> None:
        """Stop all, with a goodbye."""
        self._announcement = self._found = None
        await self._close()

    def status(self) -> Status:
        """Return how it is."""
        if self._announcement is None and self._found is None:
            return Status(OFF)
        if self._problem:
            todo = "Look whether another program holds UDP port 5353 for itself."
            return Status(UNAVAILABLE, self._problem, todo)
        return Status(ON) if self._interfaces else _NOWHERE

    # -- what is open --------------------------------------------------------------------------

    async def _go_on(self) -> None:
        """Open, announce and look, as far as that is wanted and not done yet."""
        if not self._interfaces or (self._announcement is None and self._found is None):
            return
        try:
            if self._network is None:
                addresses = [one.partition("/")[0] for one in self._interfaces]
                _check_ours(addresses)
                self._network = AsyncZeroconf(interfaces=addresses, ip_version=IPVersion.V4Only)
            if self._browser is None and self._found is not None:
                zeroconf = self._network.zeroconf
                self._browser = AsyncServiceBrowser(zeroconf, SERVICE, handlers=[self._changed])
            if self._info is None and self._announcement is not None:
                await self._register(self._network, self._announcement)
            self._problem = ""
        except (OSError, ZeroconfError) as error:
            self._problem = "The network does not let this hub speak."
            logger.warning("Hubs in the network cannot be found: %s", error)

    async def _register(self, network: AsyncZeroconf, announcement: Announcement) -> None:
        instance, host = secrets.token_hex(8), secrets.token_hex(8)
        addresses = [ipaddress.ip_interface(one).ip.packed for one in self._interfaces]
        self._info = AsyncServiceInfo(
            SERVICE,
            f"{instance}.{SERVICE}",
            port=announcement.port,
            properties={"v": "1"},
            server=f"{host}.local.",
            addresses=addresses,
            host_ttl=_HOST_TTL,
            other_ttl=_OTHER_TTL,
        )
        self._own.add(self._info.name)
        # Drawn by lot, it is nobody else's: so nobody is asked first.
        sending = await network.async_register_service(self._info, cooperating_responders=True)
        self._sending = asyncio.ensure_future(sending)

    async def _withdraw(self) -> None:
        if self._sending is not None:  # It repeats itself, and must not do so after the goodbye.
            self._sending.cancel()
        info, self._info, self._sending = self._info, None, None
        if info is not None and self._network is not None:
            await (await self._network.async_unregister_service(info))

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        browser, network = self._browser, self._network
        try:
            await self._withdraw()
            if browser is not None:
                await browser.async_cancel()
        except (OSError, ZeroconfError) as error:  # The network has gone before the goodbye.
            logger.debug("There was no goodbye: %s", error)
        finally:
            self._browser = self._network = None
            self._peers.clear()
            if network is not None:
                await network.async_close()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what is found -------------------------------------------------------------------------

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if name in self._own:
            return
        if state_change is ServiceStateChange.Removed:
            self._peers.discard(name)
        elif name in self._peers or len(self._peers) < _MOST_PEERS:
            self._peers.add(name)
            self._keep(asyncio.get_running_loop().create_task(self._resolve(zeroconf, name)))

    async def _resolve(self, zeroconf: Zeroconf, name: str) -> None:
        info = AsyncServiceInfo(SERVICE, name)
        try:
            if not await info.async_request(zeroconf, _ASK_MS) or self._found is None:
                return
        except (OSError, ZeroconfError) as error:
            logger.debug("%s cannot be resolved: %s", name, error)
            return
        addresses = _near(info, self._interfaces)
        if addresses and self._found is not None:
            self._found(Sighting(NAME, name.removesuffix(f".{SERVICE}"), None, addresses))


def _check_ours(addresses: Sequence[str]) -> None:
    """Raise OSError for an address that this machine has not: zeroconf would leave sockets open."""
    for address in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))


def _near(info: AsyncServiceInfo, interfaces: Sequence[str]) -> tuple[Address, ...]:
    """Return where it may be reached; an address outside of our networks is no hub nearby."""
    found = []
    for text in info.parsed_addresses(IPVersion.V4Only)[:_MOST_ADDRESSES]:
        if is_within(text, interfaces):
            try:
                found.append(Address.parse(f"{text}:{info.port}"))
            except AddressError:
                continue
    return tuple(found)
