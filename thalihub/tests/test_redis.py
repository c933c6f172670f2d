"""With Redis, hubs of several machines wake each other; without it, for a while, nothing fails."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from couchapi.wakeups import remote
from couchapi.wakeups.remote import Channel
from thalihub.tests.hubprocess import SOURCE, HubProcess
from thalihub.tests.postgres import PostgresServer
from thalihub.tests.redisserver import SECONDS, RedisServer

pytestmark = [pytest.mark.requires_redis, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


class Listener:
    """A channel, and what has come by it; None stands for "look everywhere"."""

    def __init__(self, url: str) -> None:
        self.channel = Channel(url)
        self._heard: asyncio.Queue[str | None] = asyncio.Queue()
        self.channel.receive(self._heard.put_nowait, lambda: self._heard.put_nowait(None))

    async def hear(self) -> str | None:
        """Return what comes next."""
        return await asyncio.wait_for(self._heard.get(), SECONDS)


@pytest.fixture
async def listener(server: RedisServer) -> AsyncIterator[Listener]:
    """Somebody who listens, as far as that is possible."""
    listener = Listener(server.url)
    yield listener
    await listener.channel.close()


async def test_what_is_sent_is_heard_by_all(server: RedisServer, listener: Listener) -> None:
    other = Listener(server.url)
    assert await listener.hear() is None
    assert await other.hear() is None

    other.channel.send("shelf")

    assert await listener.hear() == "shelf"
    assert await other.hear() == "shelf"
    await other.channel.close()


async def test_redis_may_go_and_come_back(
    server: RedisServer,
    listener: Listener,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "_SECONDS_TO_RECONNECT", 0.05)
    assert await listener.hear() is None
    await asyncio.to_thread(server.stop)
    listener.channel.send("lost")
    assert await listener.hear() is None, "while Redis is away, nobody looks"
    await asyncio.to_thread(server.start)

    # What was missed is looked for once more when the connection stands.
    while (heard := await listener.hear()) is None:
        listener.channel.send("shelf")
    assert heard == "shelf"
    assert {record.levelno for record in caplog.records} <= {logging.WARNING, logging.DEBUG}
    assert any("Redis" in record.message for record in caplog.records)


_WRITE = """
import django
django.setup()
from functools import partial
from acl import sql
from couchapi.store import writes
sql.write_sync(partial(writes.write, db_name="shelf", author=writes.OURSELVES,
                       now_ms=1750000000000, writes=[writes.Write("a", None, False, b"{}")]))
"""


@pytest.mark.requires_postgres
def test_a_write_on_another_machine_wakes_a_feed(server: RedisServer, tmp_path: Path) -> None:
    with PostgresServer() as postgres:
        shared = {"DATABASE_URL": postgres.url, "REDIS_URL": server.url}
        query = {"feed": "continuous", "since": "now", "heartbeat": "100"}
        with HubProcess(tmp_path / "a", **shared) as hub, hub.client(hub.owner) as owner:
            assert owner.put("/shelf").status_code == 201
            with owner.stream("GET", "/shelf/_changes", params=query) as feed:
                lines = feed.iter_lines()
                assert next(lines) == "", "the feed does not wait"
                # A data folder of its own: only Redis is in common.
                elsewhere = hub.environment | {"HUB_DATA": str(tmp_path / "b")}
                elsewhere |= {"DJANGO_SETTINGS_MODULE": "thalihub.settings"}
                subprocess.run(
                    [sys.executable, "-c", _WRITE], cwd=SOURCE, env=elsewhere, check=True
                )
                row = json.loads(next(line for line in lines if line))
    assert row["id"] == "a"
