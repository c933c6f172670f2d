"""Bluetooth through D-Bus as in production; BlueZ and its radios are ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from acl.tests.privatebus import private_bus
from discovery.core import advert
from discovery.core.advert import BadAdvert
from discovery.finders import OFF, ON, UNAVAILABLE, Finder, Status, ble_radio
from discovery.finders.ble import BleFinder
from discovery.finders.ble_peripheral import BluezPeripheral, Pages, has_privacy
from discovery.finders.ble_radio import Trouble, Words
from discovery.tests.finders.contract import FinderContract, Seen, announcement
from discovery.tests.finders.fakebluez import (
    ADVERTISING,
    DENYING,
    FakeBluez,
    bluez,
)

pytestmark = [pytest.mark.requires_dbus]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_bus(tmp_path_factory.mktemp("bus")) as address:
        yield address


@pytest.fixture
async def fake(bus: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBluez]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
    async with bluez(bus) as made:
        yield made


@pytest.fixture
def privacy(tmp_path: Path) -> Path:
    config = tmp_path / "main.conf"
    config.write_text("[General]\nPrivacy = device\n")
    return config


@pytest.fixture
async def new_finder(fake: FakeBluez, privacy: Path) -> AsyncIterator[Callable[[int], BleFinder]]:
    made = list[BleFinder]()

    def new(number: int) -> BleFinder:
        radio = partial(BluezPeripheral, f"hci{number}", privacy)
        made.append(BleFinder("eager", radio, retry=0.02))
        return made[-1]

    yield new
    for one in made:
        await one.forget()


class TestBleFinder(FinderContract):
    quiet = 0.1

    @pytest.fixture
    def pair(self, new_finder: Callable[[int], BleFinder]) -> tuple[Finder, Finder]:
        return new_finder(0), new_finder(1)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.005)


NewFinder = Callable[[int], BleFinder]


async def test_a_token_that_was_read_is_not_read_again(
    fake: FakeBluez, new_finder: NewFinder
) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    await other.look(seen)
    await one.announce(announcement())
    await seen.places(1, 10)
    for _ in range(3):
        fake.spread()
    await one.announce(announcement())
    await seen.places(2, 10)
    assert (fake.connections, len(seen)) == (2, 2)


async def test_a_long_stream_is_read_in_pages(fake: FakeBluez, new_finder: NewFinder) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    await other.look(seen)
    await one.announce(said := announcement(1022))
    await seen.places(1, 10)
    assert seen[0].beacons == said.beacons
    assert fake.reads == 3  # 1024 bytes with their length, and a page that is empty.


async def test_envelopes_come_with_the_beacons(new_finder: NewFinder) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    await other.look(seen)
    await one.announce(said := announcement(4096, envelopes=bytes(84 * 66)))
    await seen.places(1, 10)
    assert (seen[0].beacons, seen[0].envelopes) == (said.beacons, said.envelopes)


async def test_who_waits_to_compare_says_so(new_finder: NewFinder) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    await other.look(seen)
    await one.announce(announcement(pairing=True))
    await seen.places(1, 10)
    assert seen[0].pairing


@pytest.mark.parametrize("data", [b"", b"\x02" + bytes(9), bytes(10), b"\x01" * 13])
async def test_strangers_bytes_lead_to_no_connection(
    fake: FakeBluez, new_finder: NewFinder, data: bytes
) -> None:
    one, seen = new_finder(0), Seen()
    await one.look(seen)
    await until(fake.is_scanning)
    fake.say(1, {advert.SERVICE: data})
    fake.say(1, {"0000180f-0000-1000-8000-00805f9b34fb": b"\x05"})
    other = new_finder(1)
    await other.announce(announcement())
    await seen.places(1, 10)
    assert fake.connections == 1


async def test_it_goes_on_when_the_adapter_was_off(fake: FakeBluez, new_finder: NewFinder) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    await other.look(seen)
    await one.announce(announcement())
    await seen.places(1, 10)
    fake.power(0, on=False)
    await until(lambda: one.status().state == UNAVAILABLE)
    await until(lambda: "switched off" in one.status().why)
    assert one.status().what_to_do
    fake.power(0, on=True)
    await until(lambda: one.status().state == ON)
    await one.announce(announcement())
    await seen.places(2, 10)


async def test_it_goes_on_when_bluez_has_died_and_is_back(
    bus: str, fake: FakeBluez, new_finder: NewFinder
) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    await other.look(seen)
    await one.announce(announcement())
    await seen.places(1, 10)
    await fake.stop()
    await until(lambda: {one.status().state, other.status().state} == {UNAVAILABLE})
    await until(lambda: "does not run" in one.status().why)
    async with bluez(bus) as again:
        await until(lambda: {one.status().state, other.status().state} == {ON})
        assert len(again.adverts) == 1
        await one.announce(announcement())
        await seen.places(2, 10)


@pytest.mark.parametrize(
    "error", ["org.freedesktop.DBus.Error.AccessDenied", "org.bluez.Error.NotPermitted"]
)
async def test_who_may_not_use_it_is_told_what_to_do(
    fake: FakeBluez, new_finder: NewFinder, error: str
) -> None:
    fake.refused["RegisterApplication"] = error
    one = new_finder(0)
    await one.announce(announcement())
    assert one.status() == Status(UNAVAILABLE, *ble_radio.DENIED)
    fake.refused.clear()
    await until(lambda: one.status().state == ON)


async def test_an_advert_that_is_too_long_is_refused(fake: FakeBluez, privacy: Path) -> None:
    radio = BluezPeripheral("hci0", privacy)
    await radio.open()
    try:
        await radio.serve(bytes(10), b"stream")
        with pytest.raises(Trouble) as refused:
            await radio.serve(bytes(11), b"stream")
        assert refused.value.words == ble_radio.REFUSED
        assert not fake.adverts
    finally:
        await radio.close()


async def test_a_device_that_vanishes_while_it_is_read_is_read_when_it_is_back(
    fake: FakeBluez, new_finder: NewFinder
) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    fake.hangs = True
    await other.look(seen)
    await one.announce(announcement())
    await until(lambda: fake.waiting == 1)
    fake.vanish(0)
    await until(lambda: fake.waiting == 0)
    assert not seen and other.status().state == ON
    fake.hangs = False
    await until(lambda: fake.spread() or bool(seen))
    assert len(seen) == 1


async def test_who_never_answers_is_asked_three_times(
    fake: FakeBluez, new_finder: NewFinder
) -> None:
    one, other, seen = new_finder(0), new_finder(1), Seen()
    fake.refused["ReadValue"] = "org.bluez.Error.Failed"
    await other.look(seen)
    await one.announce(announcement())
    await until(lambda: fake.spread() or fake.connections == 3)
    for _ in range(5):
        fake.spread()
    fake.refused.clear()
    await one.announce(announcement())
    await seen.places(1, 10)
    assert fake.connections == 4


@pytest.mark.parametrize(
    ("adapters", "has", "words"),
    [
        (0, (), ble_radio.NO_ADAPTER),
        (1, ("Powered",), ble_radio.SWITCHED_OFF),
        (1, (ADVERTISING,), ble_radio.NO_ADVERTS),
    ],
    ids=["none", "off", "scans alone"],
)
async def test_what_is_missing_is_a_status(
    fake: FakeBluez, adapters: int, has: tuple[str, ...], words: Words
) -> None:
    fake.keep(adapters, without=has)
    one = BleFinder(retry=0.02)
    await one.look(Seen())
    assert one.status() == Status(UNAVAILABLE, *words)
    await one.forget()
    assert one.status().state == OFF


async def test_without_a_bus_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (f"unix:path={tmp_path}/nothing", "nonsense"):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        one = BleFinder()
        await one.announce(announcement())
        assert one.status() == Status(UNAVAILABLE, *ble_radio.NO_BUS)
        await one.forget()


async def test_a_bus_that_does_not_let_us_speak_to_bluez_is_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_bus(tmp_path, DENYING) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        async with bluez(address):
            one = BleFinder()
            await one.look(Seen())
            assert one.status() == Status(UNAVAILABLE, *ble_radio.DENIED)
            await one.forget()


async def test_an_adapter_that_shows_its_own_address_is_warned_of(
    fake: FakeBluez, new_finder: NewFinder, privacy: Path
) -> None:
    one = new_finder(0)
    await one.announce(announcement())
    assert one.status() == Status(ON)
    privacy.write_text("[General]\n#Privacy = device\n")
    await one.announce(announcement())
    assert one.status() == Status(ON, *ble_radio.PUBLIC)


@pytest.mark.parametrize(
    "text", [None, "", "Privacy = device", "[General]\nPrivacy = off", "\xff["]
)
def test_privacy_is_only_what_is_written(tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "main.conf"
    if text is not None:
        config.write_text(text, encoding="latin-1")
    assert not has_privacy(config)


def test_each_reader_has_a_place_of_its_own_in_the_stream_it_began_with() -> None:
    pages = Pages()
    pages.stream = b"a" * 600
    pages.seek("one", b"\0\0")
    pages.stream = b"b" * 600
    pages.seek("other", b"\0\0")
    pages.seek("one", b"\x02\0")
    assert pages.read("one") == b"a" * 88
    assert pages.read("other") == b"b" * 512
    for number in range(32):
        pages.seek(f"device {number}", b"\0\0")
    assert pages.read("one") == b"b" * 512
    with pytest.raises(BadAdvert):
        pages.seek("one", b"\0")
