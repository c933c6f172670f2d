"""The nearby: whom this hub tells that there is something for them, and where a sighting leads.

One loop decides what is announced, from who has news (`replication.news`, by way of whoever starts
this).  A sighting is followed in two steps: who is it, without saying who we are; and, when it is a
hub that we know and it means us, by mutual TLS: from then on both know the way to each other.
Whatever else is found out there is passed over in silence.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from channels.db import database_sync_to_async as in_database
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.utils import timezone

from acl.core.errors import HubError
from discovery import beaconkeys, store
from discovery.core import beacons, hello, hints, listener
from discovery.core.addresses import LAN, Address
from discovery.core.beacons import Candidate, Memory, Party, Waiting
from discovery.core.commitment import encoded
from discovery.core.errors import DiscoveryError, UnreachableError, WrongKeyError
from discovery.core.hello import Here
from discovery.core.listener import Ephemeral
from discovery.dialer import near
from discovery.finders import Announcement, Finder, Sighting
from discovery.known import Known, known_hubs, milliseconds

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_MOST = 100
_TRIES = 3
_SOON, _LATER = 2_000, 60_000
"""Milliseconds: a new announcement follows an old one no sooner; one for fewer, later."""
_HERE_SECONDS = 10.0
PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each try to reach a listener: of two who come together one may be late."""
HINTED = (LAN,)
"""Kinds of addresses to which an envelope may lead."""
_DAY = datetime.timedelta(days=1)


class Doors(Protocol):
    """The listeners that hand out announcements; each has a certificate and a port of its own."""

    addresses: Sequence[str]
    """Ours, in the networks where we may be found."""

    async def open(self, ephemeral: Ephemeral, expires: int) -> int:
        """Open one more until then, and return its port; it has nothing to hand out yet."""

    def hand_out(self, port: int, stream: bytes) -> None:
        """Hand out an announcement there; an empty one is none."""


class Said(NamedTuple):
    """What is announced now."""

    told: tuple[Party, ...]
    made: int
    armed: bool
    place: object


class Door(NamedTuple):
    """An open listener of ours."""

    port: int
    ephemeral: Ephemeral
    expires: int


News = Callable[[Sequence[Known]], Awaitable[Collection[str]]]


class Nearby:
    """Announces, and follows what is found, on one event loop."""

    def __init__(
        self,
        finders: Sequence[Finder],
        doors: Doors,
        news: News,
        arrived: Callable[[str], Awaitable[None]],
        *,
        api_port: int = 0,
    ) -> None:
        """`arrived` is told whom a hub is known as when the way to it is known."""
        self.finders = finders
        self.name = ""
        """What this hub is called while it waits for another; empty: it does not wait."""
        self._doors, self._news, self._arrived = doors, news, arrived
        self._api_port = api_port
        self._memory = Memory()
        self._unheard: Counter[str] = Counter()
        self._said: Said | None = None
        self._door: Door | None = None
        self._place: object = None
        self._sightings: OrderedDict[str, tuple[Sighting, int]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    # -- announcing --------------------------------------------------------------------------------

    @property
    def told(self) -> int:
        """How many hubs are told at present that there is something for them."""
        return len(self._said.told) if self._said is not None else 0

    async def begin(self) -> None:
        """Start looking."""
        for finder in self.finders:
            await finder.look(self.found)

    async def turn(self, *, armed: bool, place: object = None) -> None:
        """See who is to be told, and announce it; `place` is where we are, by any name."""
        now = milliseconds()
        if place != self._place:  # Nobody reaches the doors that were opened elsewhere.
            self._place, self._door = place, None
        self._arm(armed)
        known = await in_database(known_hubs)(now)
        wanted = await self._news(known)
        for device in [one for one in self._unheard if one not in wanted]:
            del self._unheard[device]
        waiting = [
            Waiting(one.party, self._unheard[one.device]) for one in known if one.device in wanted
        ]
        told = tuple(sorted(beacons.chosen(waiting)))
        if not told and not armed:
            await self._be_silent()
        elif self._is_due(Said(told, now, armed, place)):
            self._unheard.update(one.device for one in known if one.party in told)
            await self._announce(Said(told, now, armed, place))

    def _is_due(self, new: Said) -> bool:
        old = self._said
        if old is None:
            return True
        if (old.armed, old.place) != (new.armed, new.place):
            return True
        if set(new.told) < set(old.told):
            return not old.made <= new.made < old.made + _LATER
        is_stale = beacons.is_stale(old.made, old.told, new.told, new.made)
        return is_stale and not old.made <= new.made < old.made + _SOON

    async def _announce(self, said: Said) -> None:
        expires = said.made + beacons.LIFE
        door = await self._open(expires)
        own = (await in_database(beaconkeys.own)(settings.HUB_DATA, said.made))[0]
        stream = beacons.make(own, said.told, door.ephemeral.hash, expires, secrets.token_bytes)
        self._doors.hand_out(door.port, stream)
        self._said = said
        envelopes = hints.seal(said.told, stream, self._doors.addresses, door.port)
        announcement = Announcement(stream, door.port, expires, said.armed, envelopes)
        for finder in self.finders:
            await finder.announce(announcement)

    async def _be_silent(self) -> None:
        if self._said is not None:
            self._said = None
            for finder in self.finders:
                await finder.announce(None)
            if self._door is not None:
                self._doors.hand_out(self._door.port, b"")

    async def _open(self, expires: int) -> Door:
        key = ec.generate_private_key(ec.SECP256R1())
        ephemeral = listener.certify(key, secrets.randbits(64) | 1)
        port = await self._doors.open(ephemeral, expires)
        self._door = Door(port, ephemeral, expires)
        return self._door

    async def end(self) -> None:
        """Say goodbye."""
        tasks = {*self._tasks}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for finder in self.finders:
            await finder.forget()

    # -- following ---------------------------------------------------------------------------------

    def found(self, sighting: Sighting) -> None:
        """Take what a finder has found."""
        _, tries = self._sightings.pop(sighting.where, (sighting, 0))
        self._sightings[sighting.where] = (sighting, tries + 1)
        while len(self._sightings) > _MOST:
            self._sightings.popitem(last=False)
        if tries < _TRIES and len(self._tasks) < _MOST:
            self._start(sighting)

    def _start(self, sighting: Sighting) -> None:
        task = asyncio.create_task(self._follow(sighting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, sighting: Sighting) -> None:
        try:
            for pause in PAUSES:
                await asyncio.sleep(pause)
                async with self._turns:
                    ways = await self._ways(sighting)
                    if not ways or await self._visit(sighting, ways):
                        return
        except HubError as error:
            logger.debug("A sighting has led nowhere: %s", error.reason)
        except Exception:  # The outermost line of a sighting; there are others.
            logger.exception("Following a sighting has failed.")

    async def _ways(self, sighting: Sighting) -> Sequence[Address]:
        """Return where to go after a sighting; what a radio has read tells more before."""
        if sighting.beacons is None or (sighting.pairing and self.name and sighting.addresses):
            return sighting.addresses
        now = milliseconds()
        candidate, _ = await in_database(_found)(sighting.beacons, now)
        if candidate is None or not self._memory.may_follow(candidate, now):
            return ()
        return sighting.addresses or self._opened(sighting, candidate)

    def _opened(self, sighting: Sighting, candidate: Candidate) -> Sequence[Address]:
        """Return what the envelope for us says; nobody is visited in networks not our own."""
        if not self._doors.addresses:
            return ()
        found = hints.unseal(sighting.envelopes, candidate.receiver, candidate.preamble)
        return [one for one in found if one.kind in HINTED]

    async def _visit(self, sighting: Sighting, ways: Sequence[Address]) -> bool:
        """Go where a sighting leads; False: nobody answers there, or not yet."""
        for address in ways[:4]:
            try:
                fetched = await near.fetch(address)
            except UnreachableError:
                continue
            await self._judge(sighting, address, fetched)
            return True
        return False

    async def _judge(self, sighting: Sighting, address: Address, fetched: near.Fetched) -> None:
        if self.name:
            await self._greet(address, fetched.certificate)
        now = milliseconds()
        candidate, known = await in_database(_found)(fetched.beacons, now)
        if candidate is None or known is None:
            return
        seen = listener.hash_of(fetched.certificate)
        if beacons.is_genuine(candidate, seen) and self._memory.is_new(candidate, seen, now):
            await self._met(
                known, sighting.way, str(address), fetched.certificate, candidate.expires
            )
            await self._say_here(known, address, fetched.certificate)

    async def _met(
        self, known: Known, way: str, address: str, certificate: bytes, expires: int
    ) -> None:
        now = timezone.now()
        until = datetime.datetime.fromtimestamp(expires / 1000, datetime.UTC)
        await in_database(store.put_near)(
            known.device,
            key=known.key,
            way=way,
            address=address,
            certificate=certificate,
            expires_at=min(until, now + _DAY),
            now=now,
        )
        await self._arrived(known.key)

    async def _say_here(self, known: Known, address: Address, certificate: bytes) -> None:
        """Tell a hub that means us how it reaches this one: it may have something to send."""
        now = milliseconds()
        door = self._door
        if door is None or door.expires - now < _LATER:
            door = await self._open(now + beacons.LIFE)
        said = hello.write_here(Here(door.port, door.ephemeral.der, door.expires))
        try:
            async with near.session(
                known.device, address, certificate, timeout=_HERE_SECONDS
            ) as to:
                await near.tell(to, hello.HERE, said)
        except WrongKeyError:
            await in_database(store.forget_near)(known.device)

    # -- being followed ----------------------------------------------------------------------------

    async def here(self, keys: Collection[str], client: str, body: bytes) -> None:
        """Take from a hub that TLS has proven to hold `keys` where it can be reached.

        Raises MessageError.
        """
        said, now = hello.read_here(body), milliseconds()
        hubs = await in_database(known_hubs)(now)
        known = next((one for one in hubs if one.device in keys and one.key in keys), None)
        if known is None or said.expires <= now:
            return
        address = str(
            Address.parse(f"[{client}]:{said.port}" if ":" in client else f"{client}:{said.port}")
        )
        self._unheard.pop(known.device, None)
        await self._met(known, "wifi", address, said.certificate, said.expires)

    # -- comparing codes ---------------------------------------------------------------------------

    def _arm(self, armed: bool) -> None:
        if armed and not self.name:
            self.name = hello.spelled(secrets.token_bytes(hello.NAME_BYTES))
            for sighting, _ in self._sightings.values():
                self._start(sighting)
        elif not armed:
            self.name = ""

    async def _greet(self, address: Address, certificate: bytes) -> None:
        """Ask a hub whether it waits for another one, too."""
        body = hello.write_waiting(self.name, self._api_port)
        try:
            answer = await near.ask(address, certificate, hello.WAITING, body)
            name, port = hello.read_waiting(answer)
        except DiscoveryError:  # It does not wait.
            return
        await self._shown(name, f"{_bare(address)}:{port}")

    async def greeted(self, client: str, body: bytes) -> bytes | None:
        """Answer a hub that waits for another one; None while this one does not.

        Raises MessageError.
        """
        name, port = hello.read_waiting(body)
        if not self.name:
            return None
        await self._shown(name, f"[{client}]:{port}" if ":" in client else f"{client}:{port}")
        return hello.write_waiting(self.name, self._api_port)

    async def _shown(self, name: str, address: str) -> None:
        handle = encoded(listener.hash_of(f"{name} {address}".encode()))
        now = timezone.now()
        await in_database(store.see_nameless)(handle, name, str(Address.parse(address)), now)


def _bare(address: Address) -> str:
    return f"[{address.host}]" if ":" in address.host else address.host


def _found(stream: bytes, now: int) -> tuple[Candidate | None, Known | None]:
    hubs = known_hubs(now)
    by_party = {one.party: one for one in hubs}
    own = beaconkeys.own(settings.HUB_DATA, now)
    candidate = beacons.find(stream, own, beacons.marks(by_party), now)
    return candidate, by_party[candidate.sender] if candidate is not None else None
