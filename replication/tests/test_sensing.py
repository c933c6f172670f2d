"""What NetworkManager and the battery say is taken over, and their silence too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from acl import sql
from acl.tests.privatebus import private_bus
from replication import sensing
from replication.core.policy import Conditions
from replication.store import policy
from replication.tests.networkmanager import managing


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private dbus-daemon; its address."""
    with private_bus(tmp_path_factory.mktemp("bus")) as address:
        yield address


@pytest.fixture
def system_bus(bus: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
    return bus


@pytest.mark.requires_dbus
async def test_each_word_of_the_manager_is_understood(system_bus: str) -> None:
    async with managing(system_bus) as manager, sensing.network() as network:
        said = []
        for value in (0, 1, 2, 3, 4, 99):
            manager.say(value)
            said.append(await network.metered())
    assert said == [None, True, False, True, False, None]


@pytest.mark.requires_dbus
async def test_a_bus_without_a_manager_knows_nothing(system_bus: str) -> None:
    async with sensing.network() as network:
        assert await network.metered() is None
        # It comes, and is heard of.
        waiting = asyncio.create_task(network.changed(60))
        async with managing(system_bus) as manager:
            await asyncio.wait_for(waiting, 20)
            manager.say(1)
            assert await network.metered() is True


@pytest.mark.requires_dbus
async def test_a_change_is_noted_at_once(
    system_bus: str, tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "battery", lambda: (None, None))
    monkeypatch.setattr(sensing, "_SECONDS", 3600.0)
    async with managing(system_bus) as manager:
        keeping = asyncio.create_task(sensing.keep())
        for value, expected in ((1, True), (2, False), (0, None)):
            manager.say(value)
            await until(lambda: noted().metered is expected)  # noqa: B023
        keeping.cancel()
        await asyncio.wait({keeping})


async def test_without_a_bus_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tables: None
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nothing")
    async with sensing.network() as network:
        assert await network.metered() is None
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "nonsense")
    async with sensing.network() as network:
        assert await network.metered() is None
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS")
    monkeypatch.setattr(sensing, "_SOCKETS", (tmp_path / "none",))
    async with sensing.network() as network:
        assert await network.metered() is None
        await network.changed(0)


@pytest.mark.requires_dbus
async def test_a_bus_that_goes_away_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(private_bus(tmp_path))
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        with pytest.raises((EOFError, OSError)):
            async with sensing.network() as network:
                stack.close()
                await network.changed(60)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, (None, None)),
        (SimpleNamespace(power_plugged=True, percent=80.4), (False, 80)),
        (SimpleNamespace(power_plugged=False, percent=7), (True, 7)),
        (SimpleNamespace(power_plugged=None, percent=50), (None, 50)),
    ],
    ids=["none", "plugged", "unplugged", "unsure"],
)
def test_the_battery_is_asked(
    monkeypatch: pytest.MonkeyPatch, said: Any, expected: tuple[bool | None, int | None]
) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: said, raising=False)
    assert sensing.battery() == expected


def test_a_battery_that_cannot_be_asked_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("no such device")

    monkeypatch.setattr(psutil, "sensors_battery", broken, raising=False)
    assert sensing.battery() == (None, None)


@pytest.fixture(autouse=True)
def forget(tables: None) -> Iterator[None]:
    yield
    sql.write_sync(partial(policy.sense, conditions=Conditions()))


def noted() -> Conditions:
    return sql.read_sync(policy.read).sensed


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)
