from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from discovery.finders import Finder
from discovery.finders.memory import Air, MemoryFinder
from discovery.tests.finders.contract import FinderContract, Seen, announcement


class TestMemoryFinder(FinderContract):
    @pytest.fixture
    async def pair(self) -> AsyncIterator[tuple[Finder, Finder]]:
        air = Air()
        one, other = MemoryFinder(air), MemoryFinder(air)
        yield one, other
        await one.forget()
        await other.forget()


async def test_all_in_the_air_see_an_announcement() -> None:
    air = Air()
    finders = [MemoryFinder(air) for _ in range(4)]
    seen = [Seen() for _ in finders]
    for finder, found in zip(finders, seen, strict=True):
        await finder.look(found)
    await finders[0].announce(announcement(pairing=True))
    assert [len(found) for found in seen] == [0, 1, 1, 1]
    assert seen[1][0].pairing
