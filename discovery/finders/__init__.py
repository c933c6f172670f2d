"""Finders: what announces this hub to hubs nearby, and looks for theirs, one way each.

The one idea: a finder carries bytes and knows nobody.  Who an announcement is for, and who has sent
one, is decided by `discovery.core.beacons`; who is told, and what a sighting leads to, by the
process that runs the finders.  So a finder cannot tell a stranger anything: it has nothing to tell.
Every finder passes `discovery/tests/finders/contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from discovery.core.addresses import Address

__all__ = [
    "LONGEST",
    "OFF",
    "ON",
    "UNAVAILABLE",
    "Announcement",
    "Finder",
    "Found",
    "Sighting",
    "Status",
    "checked",
]

LONGEST: Final = 4096
"""Bytes of the beacons of one announcement."""

ON: Final = "on"
OFF: Final = "off"
UNAVAILABLE: Final = "unavailable"


class Announcement(NamedTuple):
    """What this hub announces, until the next one replaces it."""

    beacons: bytes
    """The whole stream: preamble and beacons."""
    port: int
    """The TCP port of the announcement listener, for networks."""
    expires: int
    """Milliseconds since 1970."""
    pairing: bool = False
    """Whether this hub waits for another one to compare codes with."""
    envelopes: bytes = b""
    """Where the listener is, for those alone whom this is for; for finders without addresses."""


class Sighting(NamedTuple):
    """Somebody nearby announces something."""

    way: str
    """The finder's name."""
    where: str
    """The same for as long as one announcement lasts, and another for the next one."""
    beacons: bytes | None
    """The stream, where the finder reads it; None: the listener at the addresses has it."""
    addresses: tuple[Address, ...] = ()
    """Where the announcement listener may be reached."""
    pairing: bool = False
    """Whether it waits for another hub, as far as this finder can see."""
    envelopes: bytes = b""
    """Where its listener is, for whom it is meant (`discovery.core.hints`)."""


class Status(NamedTuple):
    """What a person is told of a finder; `why` and `what_to_do` are English sentences, or empty."""

    state: str
    why: str = ""
    what_to_do: str = ""


Found = Callable[[Sighting], None]


class Finder(Protocol):
    """One way of finding hubs nearby.

    Where the means are missing (no adapter, no D-Bus, no network), nothing is raised: `status` says
    "unavailable", and the finder goes on by itself when they come.
    """

    @property
    def name(self) -> str:
        """“memory”, “wifi” or “ble”."""

    async def announce(self, announcement: Announcement | None) -> None:
        """Announce this instead of what was announced before; None: be silent.

        Nothing of an announcement may be found in the next: names are random and new.  Raises
        ValueError for beacons that are longer than LONGEST.
        """

    async def look(self, found: Found) -> None:
        """Start looking, and return; `found` is called on this event loop, and must not block.

        It is called once for each announcement of others, at least; never for our own.
        """

    async def forget(self) -> None:
        """Stop all, and say goodbye where that can be said; it may be started again."""

    def status(self) -> Status:
        """Return how it is now; this takes no time."""


def checked(announcement: Announcement | None) -> Announcement | None:
    """Return an announcement that may be sent; raises ValueError."""
    if announcement is not None and not 0 < len(announcement.beacons) <= LONGEST:
        raise ValueError(f"An announcement has from 1 to {LONGEST} bytes.")
    return announcement
