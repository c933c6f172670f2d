"""mDNS on loopback: two finders of this process hear each other as two machines would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from discovery.finders import OFF, ON, UNAVAILABLE, Finder
from discovery.finders.wifi import WifiFinder
from discovery.tests.finders.contract import FinderContract, Seen, announcement

pytestmark = pytest.mark.slow

LOOPBACK = "127.0.0.1/8"


class TestWifiFinder(FinderContract):
    quiet = 0.3

    @pytest.fixture
    async def pair(self) -> AsyncIterator[tuple[Finder, Finder]]:
        one, other = WifiFinder([LOOPBACK]), WifiFinder([LOOPBACK])
        yield one, other
        await one.forget()
        await other.forget()


@pytest.fixture
async def finder() -> AsyncIterator[WifiFinder]:
    made = WifiFinder()
    yield made
    await made.forget()


async def test_in_no_network_it_is_silent_and_says_what_to_do(finder: WifiFinder) -> None:
    assert finder.status().state == OFF
    await finder.look(Seen())
    await finder.announce(announcement())
    status = finder.status()
    assert status.state == UNAVAILABLE and status.why and status.what_to_do


async def test_it_goes_on_in_another_network(finder: WifiFinder) -> None:
    other, seen = WifiFinder([LOOPBACK]), Seen()
    await other.look(seen)
    try:
        await finder.announce(announcement())
        await finder.use([LOOPBACK])
        assert finder.status().state == ON
        assert len(await seen.places(1, 10)) == 1
        await finder.use([])
        assert finder.status().state == UNAVAILABLE
    finally:
        await other.forget()


async def test_an_address_that_is_not_ours_to_use_is_a_status_and_no_crash(
    finder: WifiFinder,
) -> None:
    await finder.use(["192.0.2.1/24"])
    await finder.look(Seen())
    await finder.announce(announcement())
    assert finder.status().state == UNAVAILABLE
    assert "5353" in finder.status().what_to_do


async def test_what_it_says_names_nobody() -> None:
    """All that a listener in the network gets: random names, an address, a port, and `v=1`."""
    finder, seen = WifiFinder([LOOPBACK]), Seen()
    other = WifiFinder([LOOPBACK])
    await other.look(seen)
    try:
        await finder.announce(announcement())
        await seen.places(1, 10)
        info = finder._info
        assert info is not None
        assert re.fullmatch(r"[0-9a-f]{16}\._thali\._tcp\.local\.", info.name)
        assert re.fullmatch(r"[0-9a-f]{16}\.local\.", info.server or "")
        assert info.decoded_properties == {"v": "1"}
        assert (info.host_ttl, info.other_ttl) == (60, 120)
    finally:
        await finder.forget()
        await other.forget()
