"""Finding hubs nearby, as one loop: where are we, may we be found here, and who is to be told.

It looks once a second, which costs a few rows and the system's list of addresses; all else is done
when something has changed.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Collection, Sequence
from functools import partial
from importlib import import_module
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.utils import timezone

from acl import gate, sql
from couchapi import wakeups
from discovery import store
from discovery.core.networks import Network
from discovery.finders import UNAVAILABLE, Finder
from discovery.finders.wifi import WifiFinder
from discovery.known import Known
from discovery.nearby import Nearby
from discovery.networks import Watch
from replication import news
from replication.news import Reader
from replication.store import waking
from replication.store.jobs import JOBS
from thalihub import asgi, nearby
from thalihub.processes.announcing import Doors, DoorServer

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_TURN_SECONDS = 60.0
_RETRY_SECONDS = 2.0
_SECOND_LOOK_SECONDS = 4.0
"""After a change: by then it shows whether what was begun finds its way by itself."""
_TOGETHER_SECONDS = 0.2
_END_SECONDS = 3.0
_AFTER_FAILURE_SECONDS = 3.0
_NAMELESS = datetime.timedelta(seconds=150)


class World(NamedTuple):
    """What the owner wants, and what this machine is in."""

    homes: frozenset[str]
    """Marks of the networks where this hub may be found."""
    bluetooth: bool
    duty: str
    armed: bool
    people: int
    """The version of the ACLs: a friend more or less."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.homes) or self.bluetooth


class Finding:
    """All that this process does beside answering."""

    def __init__(self, server: DoorServer, api_port: int) -> None:
        self._server = server
        self._doors = Doors(server, asgi.api_application)
        self._wifi = WifiFinder()
        self._finders: list[Finder] = [self._wifi]
        self._nearby = Nearby(self._finders, self._doors, _news, _arrived, api_port=api_port)
        self._doors.nearby = self._nearby
        self._watch = Watch()
        self._networks: Sequence[Network] = ()
        self._before: object = None
        self._turn_at = 0.0
        self._retry_at = 0.0
        self._said: object = None

    async def live(self) -> None:
        """Look at the world again and again; returns when all is switched off."""
        with wakeups.listening(wakeups.ANY_DATABASE) as waiter:
            woken = True
            while True:
                try:
                    if not await self._look(woken):
                        return
                except Exception as error:  # The outermost line of this process.
                    said = "Looking for hubs nearby has failed; trying again."
                    await sql.recover(logger, error, said)
                    await asyncio.sleep(_AFTER_FAILURE_SECONDS)
                woken = await waiter.wait(_LOOK_SECONDS)
                await asyncio.sleep(_TOGETHER_SECONDS)

    async def _look(self, woken: bool) -> bool:
        networks = self._watch.look()
        world = await _world(networks if networks != self._networks else ())
        self._networks = networks
        if not world.is_wanted:
            return False
        place = tuple(one.interface for one in networks if one.mark in world.homes)
        changed = (world, place) != self._before
        if changed:
            self._before = None  # Until it has come to an end, it has to be tried again.
            await self._move(world, place)
            self._before = world, place
        now = time.monotonic()
        if not changed and now >= self._retry_at and self._is_troubled():
            self._retry_at = now + _RETRY_SECONDS
            await self._nearby.begin()
        if changed or woken or now >= self._turn_at:
            self._turn_at = now + (_SECOND_LOOK_SECONDS if changed or woken else _TURN_SECONDS)
            await self._nearby.turn(armed=world.armed, place=(place, world.bluetooth, world.duty))
            await sync_to_async(store.forget_nameless)(timezone.now() - _NAMELESS)
        await self._say()
        return True

    def _is_troubled(self) -> bool:
        """Tell whether a network has not let us speak: it may have been too new."""
        return bool(self._doors.addresses) and self._wifi.status().state == UNAVAILABLE

    async def _move(self, world: World, place: Sequence[str]) -> None:
        """Go on elsewhere, or with other means."""
        self._doors.close()
        self._doors.addresses = [one.partition("/")[0] for one in place]
        await self._wifi.use(place)
        for one in self._finders[1:]:
            await one.forget()
        self._finders[1:] = _radios(world)
        await self._nearby.begin()

    async def _say(self) -> None:
        """Keep for the pages how it is, where that is another than before."""
        said = {
            "finders": {one.name: one.status()._asdict() for one in self._finders},
            "told": self._nearby.told,
            "name": self._nearby.name,
            "networks": [one.mark for one in self._networks],
        }
        if said != self._said:
            self._said = said
            await sync_to_async(store.say)(said, timezone.now())

    async def end(self) -> None:
        """Say goodbye to whoever is nearby."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._nearby.end()
        except TimeoutError:
            logger.info("There was no time for goodbyes.")
        self._doors.close()
        await sync_to_async(store.say)({}, timezone.now())


def _radios(world: World) -> list[Finder]:
    """Return what finds hubs without a network; loaded only where the owner wants it."""
    if not world.bluetooth or not nearby.has_bluetooth():
        return []
    found: Finder = import_module("discovery.finders.ble").BleFinder(world.duty)
    return [found]


async def _world(new: Sequence[Network]) -> World:
    people = await gate.acl_version()
    return await sync_to_async(_read)(new, people)


def _read(new: Sequence[Network], people: int) -> World:
    now = timezone.now()
    for one in new:
        store.note_network(one.mark, one.name, now)
    switch = store.switch()
    armed = store.armed_until(now) is not None
    return World(frozenset(store.homes()), switch.bluetooth, switch.duty, armed, people)


async def _news(known: Sequence[Known]) -> Collection[str]:
    return await news.waits_for(Reader(one.device, one.key, one.is_own) for one in known)


async def _arrived(key: str) -> None:
    """Let everything that waits for a hub begin: it is here."""
    if await sql.write(partial(waking.wake_peer, key=key, now=time.time())):
        wakeups.announce(JOBS)
