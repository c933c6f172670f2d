"""What the system tells of its battery and its connection; where it does not tell, nobody knows.

NetworkManager says on the system's D-Bus whether the connection is metered, and sends a signal when
that changes.  The battery is looked at now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import psutil

from acl import sql
from replication.core.policy import Conditions
from replication.store import policy

logger = logging.getLogger(__name__)

_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_AFTER_FAILURE_SECONDS = 60.0
_SOCKETS = (Path("/run/dbus/system_bus_socket"), Path("/var/run/dbus/system_bus_socket"))
_NAME: Final = "org.freedesktop.NetworkManager"
_PATH: Final = "/org/freedesktop/NetworkManager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_METERED: Final = {1: True, 2: False, 3: True, 4: False}
"""NetworkManager's NMMetered: yes, no, and what it guesses; 0 is unknown."""


class Network(Protocol):
    """Who knows of the connection."""

    async def metered(self) -> bool | None:
        """Tell whether it is metered; None: unknown."""

    async def changed(self, seconds: float) -> None:
        """Wait until it may be otherwise, at most so long."""


async def keep() -> None:
    """Note how battery and connection are, whenever that changes, until cancelled."""
    known = (await sql.point(policy.read)).sensed
    while True:
        try:
            async with network() as asked:
                while True:
                    known = await _noted(known, await asked.metered())
                    await asked.changed(_SECONDS)
        except (TimeoutError, OSError, EOFError) as error:
            logger.info("The system's bus has gone; it is looked for again: %s", error)
        except Exception:  # The outermost line of what runs beside other work.
            logger.exception("Battery and connection could not be looked at; trying again.")
        known = await _noted(known, None)
        await asyncio.sleep(_AFTER_FAILURE_SECONDS)


async def _noted(known: Conditions, metered: bool | None) -> Conditions:
    now = Conditions(metered, *battery())
    if now != known:
        await sql.write(partial(policy.sense, conditions=now))
    return now


def battery() -> tuple[bool | None, int | None]:
    """Return whether the machine runs on its battery, and its charge in percent."""
    try:
        found = psutil.sensors_battery()
    except (AttributeError, OSError, ValueError):  # A system that psutil cannot ask.
        return None, None
    if found is None:
        return None, None
    plugged = found.power_plugged
    return None if plugged is None else not plugged, round(found.percent)


# -- NetworkManager --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """Give whoever knows of the connection; raises OSError, EOFError where the bus goes away."""
    if "DBUS_SYSTEM_BUS_ADDRESS" not in os.environ and not any(map(Path.exists, _SOCKETS)):
        yield _Nobody()
        return
    # Most hubs have no such bus, and need not load this.
    from dbus_fast import BusType
    from dbus_fast.aio import MessageBus
    from dbus_fast.errors import AuthError, InvalidAddressError

    try:
        bus = await asyncio.wait_for(MessageBus(bus_type=BusType.SYSTEM).connect(), _ANSWER_SECONDS)
    except (TimeoutError, OSError, EOFError, AuthError, InvalidAddressError) as error:
        logger.info("The system's bus does not answer: %s", error)
        yield _Nobody()
        return
    manager = _Manager(bus)
    try:
        await manager.listen()
        yield manager
    finally:
        await manager.end()


class _Nobody:
    """Where there is no bus."""

    async def metered(self) -> bool | None:
        return None

    async def changed(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Manager:
    """NetworkManager, on a bus of dbus-fast."""

    def __init__(self, bus: Any) -> None:
        self._bus = bus
        self._news = asyncio.Event()
        self._gone = asyncio.create_task(self._end_of_bus())

    async def listen(self) -> None:
        """Have an ear for its signals."""
        self._bus.add_message_handler(self._heard)
        rules = (
            f"type='signal',interface='{_PROPERTIES}',path='{_PATH}'",
            f"type='signal',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
            f"arg0='{_NAME}'",
        )
        for rule in rules:
            await self._call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "AddMatch", rule)

    def _heard(self, message: Any) -> None:
        if message.member in ("PropertiesChanged", "NameOwnerChanged"):
            self._news.set()

    async def metered(self) -> bool | None:
        self._news.clear()
        said = await self._call(_NAME, _PATH, _PROPERTIES, "Get", _NAME, "Metered")
        value = said[0].value if said else None
        return _METERED.get(value) if isinstance(value, int) else None

    async def changed(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        if self._gone.done():
            raise EOFError("disconnected")

    async def end(self) -> None:
        """Leave the bus."""
        self._bus.disconnect()
        await asyncio.wait({self._gone})

    async def _end_of_bus(self) -> None:
        # It belongs to the bus: cancelling it would end the connection.
        with contextlib.suppress(OSError, EOFError):
            await self._bus.wait_for_disconnect()
        self._news.set()

    async def _call(self, name: str, path: str, interface: str, member: str, *body: str) -> Any:
        """Return what is answered, None where it is an error: nobody of that name, most often."""
        from dbus_fast import Message, MessageFlag, MessageType

        asked = Message(
            destination=name,
            path=path,
            interface=interface,
            member=member,
            signature="s" * len(body),
            body=list(body),
            # It is not started for us.
            flags=MessageFlag.NO_AUTOSTART,
        )
        answer = await asyncio.wait_for(self._bus.call(asked), _ANSWER_SECONDS)
        if answer is None or answer.message_type is MessageType.ERROR:
            return None
        return answer.body
