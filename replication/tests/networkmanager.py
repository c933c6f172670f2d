"""A private D-Bus, and a NetworkManager on it that says what it is told to."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>"""
NAME, PATH = "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"


@contextlib.contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """Run a dbus-daemon, and give its address."""
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
