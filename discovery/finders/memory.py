"""Finders that find each other in one process: what the others are measured against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from discovery.core.addresses import LOOPBACK, Address
from discovery.finders import OFF, ON, Announcement, Found, Sighting, Status, checked

NAME = "memory"


class Air:
    """What carries announcements to whoever is in range."""

    def __init__(self) -> None:
        self._finders: dict[int, MemoryFinder] = {}
        self._numbers: Iterator[int] = itertools.count()

    def join(self, finder: MemoryFinder) -> int:
        """Bring a finder into range, and return its number."""
        number = next(self._numbers)
        self._finders[number] = finder
        return number

    def next_place(self) -> str:
        """Return a handle that no announcement has had before."""
        return f"air-{next(self._numbers)}"

    def others(self, number: int) -> list[MemoryFinder]:
        """Return everybody else."""
        return [one for key, one in self._finders.items() if key != number]


class MemoryFinder:
    """Announces to the finders that share its air."""

    name = NAME

    def __init__(self, air: Air) -> None:
        self._air = air
        self._number = air.join(self)
        self._said: Sighting | None = None
        self._found: Found | None = None

    async def announce(self, announcement: Announcement | None) -> None:
        """Let everybody in the air see this."""
        self._said = self._sighting(checked(announcement))
        for other in self._air.others(self._number):
            other.meet(self._said)

    def _sighting(self, announcement: Announcement | None) -> Sighting | None:
        if announcement is None:
            return None
        address = Address(LOOPBACK, "127.0.0.1", announcement.port)
        place = self._air.next_place()
        said = announcement
        more = (address,), said.pairing, said.envelopes
        return Sighting(NAME, place, said.beacons, *more)

    async def look(self, found: Found) -> None:
        """See what is in the air, and what comes."""
        self._found = found
        for other in self._air.others(self._number):
            self.meet(other.said)

    @property
    def said(self) -> Sighting | None:
        """What is announced now."""
        return self._said

    def meet(self, sighting: Sighting | None) -> None:
        """Take notice of what another one announces."""
        if sighting is not None and self._found is not None:
            self._found(sighting)

    async def forget(self) -> None:
        """Be silent, and look away."""
        self._said = self._found = None

    def status(self) -> Status:
        """Return whether anything is on."""
        return Status(OFF if self._said is None and self._found is None else ON)
