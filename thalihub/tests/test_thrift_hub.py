"""A running hub hears from the system what its connection costs, and spares it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from acl.tests.privatebus import private_bus
from replication.tests.networkmanager import Manager, managing
from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.requires_dbus]

NOBODY = "http://127.0.0.1:1/notes"


@contextmanager
def manager(address: str) -> Iterator[Any]:
    """Run a NetworkManager beside the test; gives what has it say something."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Any, Manager]:
        opened = managing(address)
        return opened, await opened.__aenter__()

    opened, made = asyncio.run_coroutine_threadsafe(begin(), loop).result(20)
    try:
        yield lambda value: loop.call_soon_threadsafe(made.say, value)
    finally:
        end = opened.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(end, loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_on_a_metered_connection_the_background_waits(tmp_path: Path) -> None:
    with (
        private_bus(tmp_path) as address,
        manager(address) as say,
        HubProcess(tmp_path / "hub", DBUS_SYSTEM_BUS_ADDRESS=address) as hub,
    ):
        say(1)
        row = partial(one, hub.data / "hub.sqlite3")
        heard = "SELECT is_metered FROM replication_policy"
        eventually(lambda: row(heard) == (1,), what="the hub has heard that it is metered")
        hub.manage("job", "add", "notes", NOBODY, "--pull", "--priority", "background")
        told = next(job for job in json.loads(hub.manage("job", "list", "--json")))
        assert (told["state"], told["waits"]) == ("pending", "on a metered connection")
        assert told["links"][0]["started_at"] is None
        say(2)
        failed = "SELECT last_error <> '' FROM replication_link"
        eventually(lambda: row(failed) == (1,), what="it runs, and finds nobody")


def one(path: Path, question: str) -> Any:
    """Return the first row of what the hub's tables answer."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchone()
