"""What NetworkManager and the battery say is taken over, and their silence too."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property

from acl import sql
from replication import sensing
from replication.core.policy import Conditions
from replication.store import policy

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>"""
NAME, PATH = "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private dbus-daemon; its address."""
    folder = tmp_path_factory.mktemp("bus")
    config = folder / "bus.conf"
    config.write_text(_CONFIG.format(path=folder / "bus"))
    with subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
        daemon.terminate()


class Manager(ServiceInterface):
    """A NetworkManager that says what it is told to."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._metered = 0

    @dbus_property(access=PropertyAccess.READ, name="Metered")
    def metered(self) -> "u":  # type: ignore[name-defined]  # noqa: F821, UP037
        return self._metered

    def say(self, value: int) -> None:
        self._metered = value
        self.emit_properties_changed({"Metered": value})


@contextlib.asynccontextmanager
async def managing(address: str) -> AsyncIterator[Manager]:
    connection = await MessageBus(bus_address=address).connect()
    manager = Manager()
    connection.export(PATH, manager)
    await connection.request_name(NAME)
    try:
        yield manager
    finally:
        connection.disconnect()
        await connection.wait_for_disconnect()


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
async def test_a_bus_that_goes_away_is_noticed(tmp_path_factory: Any, monkeypatch: Any) -> None:
    made = bus.__wrapped__(tmp_path_factory)  # type: ignore[attr-defined]
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", next(made))
    with pytest.raises((EOFError, OSError)):
        async with sensing.network() as network:
            next(made, None)
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
