"""A NetworkManager on a private D-Bus that says what it is told to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property

NAME, PATH = "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"


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
