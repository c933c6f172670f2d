"""Group commit on SQLite: one commit for all who wait, and each gets an answer of its own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from acl import sql
from acl.sql import Sql
from acl.tests.test_sql import Refused, empty, names, put, put_and_fail, scratch, settled

__all__ = ["empty", "scratch"]

SOURCE = Path(__file__).resolve().parents[2]


class Gate:
    """A job that holds the writer until it is opened, so that others have to wait."""

    def __init__(self) -> None:
        self._begun, self._open = threading.Event(), threading.Event()

    async def close(self) -> None:
        """Let the writer wait."""
        self._holding = asyncio.ensure_future(sql.write(self._hold))
        await asyncio.to_thread(self._begun.wait, 60)

    async def open(self) -> None:
        """Let the writer go on."""
        self._open.set()
        await self._holding

    def _hold(self, connection: Sql) -> None:
        self._begun.set()
        assert self._open.wait(60)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """The writer waits, until the test opens the gate."""
    gate = Gate()
    await gate.close()
    yield gate
    await gate.open()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is sent to the database."""
    sent: list[str] = []
    original = Sql.execute

    def execute(connection: Sql, text: str, params: Any = ()) -> Any:
        sent.append(text)
        return original(connection, text, params)

    monkeypatch.setattr(Sql, "execute", execute)
    yield sent


async def waiting(*jobs: Any) -> list[asyncio.Task[Any]]:
    """Hand in jobs that wait for the gate."""
    tasks = [asyncio.ensure_future(sql.write(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_are_committed_at_once(gate: Gate, statements: list[str]) -> None:
    tasks = await waiting(*(lambda c, n=n: put(c, n) for n in "abcd"))

    await gate.open()

    assert await asyncio.gather(*tasks) == list("abcd")
    assert names() == list("abcd")
    # One for the gate, one for the four.
    assert statements.count("COMMIT") == 2


async def test_one_failing_job_of_a_commit_leaves_the_others(gate: Gate) -> None:
    tasks = await waiting(
        lambda c: put(c, "a"), lambda c: put_and_fail(c, "b"), lambda c: put(c, "c")
    )

    await gate.open()

    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in done] == [str, Refused, str]
    assert names() == ["a", "c"]


async def test_one_commit_announces_the_same_once(gate: Gate) -> None:
    told: list[str] = []
    tasks = await waiting(*(lambda c: c.after_commit(told.append, "same") for _ in range(5)))

    await gate.open()
    await asyncio.gather(*tasks)
    await settled(lambda: bool(told))

    assert told == ["same"]


@pytest.mark.parametrize("failing", ["BEGIN IMMEDIATE", "COMMIT"])
async def test_a_failing_commit_reaches_all_who_wait(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    told: list[str] = []
    original = Sql.execute

    def job(connection: Sql, name: str) -> None:
        connection.after_commit(told.append, put(connection, name))

    tasks = await waiting(*(lambda c, n=n: job(c, n) for n in "abc"))
    left = [1 if failing == "COMMIT" else 0]  # The gate's own commit comes first.

    def execute(connection: Sql, text: str, params: Any = ()) -> Any:
        if text == failing and threading.current_thread().name == "sql-writer":
            left[0] -= 1
            if left[0] < 0:
                raise sqlite3.OperationalError("disk I/O error")
        return original(connection, text, params)

    monkeypatch.setattr(Sql, "execute", execute)
    await gate.open()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    monkeypatch.undo()

    assert [type(one) for one in done] == [sqlite3.OperationalError] * 3
    assert names() == []
    assert told == []
    assert await sql.write(lambda c: put(c, "later")) == "later"


async def test_a_connection_that_cannot_even_roll_back_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Sql.execute
    await sql.write(lambda c: None)

    def execute(connection: Sql, text: str, params: Any = ()) -> Any:
        if text in ("COMMIT", "ROLLBACK") and threading.current_thread().name == "sql-writer":
            raise sqlite3.OperationalError("disk I/O error")
        return original(connection, text, params)

    monkeypatch.setattr(Sql, "execute", execute)
    with pytest.raises(sqlite3.OperationalError):
        await sql.write(lambda c: put(c, "a"))
    monkeypatch.undo()

    assert names() == []
    assert await sql.write(lambda c: put(c, "later")) == "later"


async def test_when_sqlite_rolls_all_back_nobody_is_told_otherwise(gate: Gate) -> None:
    def disk_full(connection: Sql) -> None:
        connection.execute("ROLLBACK")  # As SQLite does by itself.
        raise sqlite3.OperationalError("database or disk is full")

    tasks = await waiting(lambda c: put(c, "a"), disk_full, lambda c: put(c, "b"))
    await gate.open()
    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in done] == [sqlite3.OperationalError] * 3
    assert names() == []
    assert await sql.write(lambda c: put(c, "later")) == "later"


async def test_a_write_of_a_loop_that_has_ended_is_announced_all_the_same(gate: Gate) -> None:
    told: list[str] = []

    def leave() -> None:
        loop = asyncio.new_event_loop()

        async def submit() -> None:
            asyncio.ensure_future(
                sql.write(lambda c: c.after_commit(told.append, put(c, "a")))
            ).add_done_callback(lambda _: None)
            await asyncio.sleep(0)

        loop.run_until_complete(submit())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    await asyncio.to_thread(leave)
    await gate.open()
    await settled(lambda: bool(told))

    assert names() == ["a"]


_CHILD = """
import django, sys
django.setup()
from acl import sql
for number in range(60):
    sql.write_sync(lambda c: c.execute(
        "INSERT INTO scratch (name) VALUES (%s)", (f"{sys.argv[1]}{number:03}",)))
"""


@pytest.mark.slow
async def test_processes_that_write_at_once_lose_nothing() -> None:
    path = connections["default"].settings_dict["NAME"]
    env = os.environ | {
        "DATABASE_URL": f"sqlite:///{path}",
        "DJANGO_SETTINGS_MODULE": "thalihub.settings",
    }
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, name], cwd=SOURCE, env=env)
        for name in ("x", "y")
    ]
    for number in range(60):
        await sql.write(lambda c, number=number: put(c, f"here{number:03}"))
    codes = [await asyncio.to_thread(child.wait, 120) for child in children]

    assert codes == [0, 0]
    assert len(names()) == 180
