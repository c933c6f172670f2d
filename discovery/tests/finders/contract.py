"""What every finder keeps: `class TestMine(FinderContract)` with a fixture `pair`.

`pair` is two finders that can find each other, neither of which does anything yet; its teardown
forgets both.  `within` is how many seconds a sighting may take before a test has failed, and
`quiet` how many seconds nothing has to come: zero where all that comes has come at once.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from discovery.finders import LONGEST, OFF, ON, Announcement, Finder, Sighting

FAR = 4_102_444_800_000


def announcement(size: int = 473, **more: Any) -> Announcement:
    return Announcement(secrets.token_bytes(size), 47_001, FAR, **more)


class Seen(list[Sighting]):
    """What a finder has found."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, sighting: Sighting) -> None:
        self.append(sighting)
        self._changed.set()

    async def places(self, count: int, within: float) -> list[str]:
        """Wait until there are this many different handles, and return them in order."""
        async with asyncio.timeout(within):
            while len(dict.fromkeys(one.where for one in self)) < count:
                self._changed.clear()
                await self._changed.wait()
        return list(dict.fromkeys(one.where for one in self))


class FinderContract:
    within = 10.0
    quiet = 0.0

    async def test_what_one_announces_the_other_finds(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        seen = Seen()
        await other.look(seen)
        said = announcement()
        await one.announce(said)
        await seen.places(1, self.within)
        self.is_right(seen[0], said, one)

    async def test_what_was_announced_before_is_found(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        said = announcement()
        await one.announce(said)
        seen = Seen()
        await other.look(seen)
        await seen.places(1, self.within)
        self.is_right(seen[0], said, one)

    async def test_nobody_finds_itself(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        mine, theirs = Seen(), Seen()
        await one.look(mine)
        await other.look(theirs)
        await one.announce(announcement())
        await theirs.places(1, self.within)
        await other.announce(announcement())
        assert len(await mine.places(1, self.within)) == 1
        assert {sighting.where for sighting in mine}.isdisjoint(one.where for one in theirs)

    async def test_each_announcement_has_a_new_handle(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        seen = Seen()
        await other.look(seen)
        await one.announce(announcement())
        await seen.places(1, self.within)
        said = announcement()
        await one.announce(said)
        places = await seen.places(2, self.within)
        self.is_right(next(found for found in seen if found.where == places[1]), said, one)

    async def test_who_is_silent_again_is_not_found(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        await one.announce(announcement())
        await one.announce(None)
        seen = Seen()
        await other.look(seen)
        await asyncio.sleep(self.quiet)
        assert not seen

    async def test_who_was_forgotten_neither_sees_nor_is_seen(
        self, pair: tuple[Finder, Finder]
    ) -> None:
        one, other = pair
        mine, theirs = Seen(), Seen()
        await one.look(mine)
        await one.announce(announcement())
        await one.forget()
        await other.look(theirs)
        await other.announce(announcement())
        await asyncio.sleep(self.quiet)
        assert not mine and not theirs

    async def test_it_can_begin_again(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        await one.announce(announcement())
        await one.forget()
        await one.forget()
        seen = Seen()
        await other.look(seen)
        await one.announce(announcement())
        assert len(await seen.places(1, self.within)) == 1

    async def test_its_status_says_whether_it_is_on(self, pair: tuple[Finder, Finder]) -> None:
        one, _ = pair
        assert one.status().state == OFF
        await one.look(Seen())
        assert one.status().state == ON
        await one.forget()
        assert one.status().state == OFF

    @pytest.mark.parametrize("size", [0, LONGEST + 1])
    async def test_what_is_too_long_is_refused(
        self, pair: tuple[Finder, Finder], size: int
    ) -> None:
        with pytest.raises(ValueError, match="bytes"):
            await pair[0].announce(announcement(size))

    async def test_the_longest_is_found(self, pair: tuple[Finder, Finder]) -> None:
        one, other = pair
        seen = Seen()
        await other.look(seen)
        said = announcement(LONGEST)
        await one.announce(said)
        await seen.places(1, self.within)
        self.is_right(seen[0], said, one)

    def is_right(self, found: Sighting, said: Announcement, by: Finder) -> None:
        assert found.way == by.name
        assert found.where
        assert found.beacons in (None, said.beacons)
        if found.beacons is None:
            assert found.addresses
        assert all(address.port == said.port for address in found.addresses)
