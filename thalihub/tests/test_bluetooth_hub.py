"""A running hub uses the system's Bluetooth when its owner wants that, and says what lacks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from acl.tests.privatebus import private_bus
from discovery.tests.finders.fakebluez import FakeBluez, bluez
from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.requires_dbus]


async def test_bluetooth_is_used_only_when_it_is_wanted(tmp_path: Path) -> None:
    with private_bus(tmp_path) as address:
        async with bluez(address, adapters=1) as fake:
            await asyncio.to_thread(_live, tmp_path, address, fake)


def _live(folder: Path, address: str, fake: FakeBluez) -> None:
    with HubProcess(folder / "hub", DBUS_SYSTEM_BUS_ADDRESS=address) as hub:
        assert not fake.is_scanning()
        hub.manage("nearby", "bluetooth", "on", "--duty", "eager")
        eventually(fake.is_scanning, what="it looks for others")
        eventually(lambda: _bluetooth(hub)["state"] == "on", what="the page says so")
        hub.manage("nearby", "bluetooth", "off")
        eventually(lambda: not fake.is_scanning(), what="it does not look any more")
        fake.objects.clear()
        hub.manage("nearby", "bluetooth", "on")
        eventually(lambda: "no Bluetooth adapter" in _bluetooth(hub).get("why", ""), what="it says")


def _bluetooth(hub: HubProcess) -> Any:
    """Return what the page shows."""
    with contextlib.closing(sqlite3.connect(hub.data / "hub.sqlite3")) as connection:
        ((said,),) = connection.execute("SELECT said FROM discovery_nearbyswitch")
    return json.loads(said).get("finders", {}).get("ble", {"state": "none"})
