"""The door to the database: what holds on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from acl import sql
from acl.core.errors import RefusedError
from acl.sql import Sql


@pytest.fixture(scope="module", autouse=True)
def scratch(tables: None) -> Iterator[None]:
    """A table to write to."""
    binary = "blob" if sql.read_sync(lambda c: c.vendor) == "sqlite" else "bytea"
    sql.write_sync(
        lambda c: c.execute(f"CREATE TABLE scratch (name text PRIMARY KEY, content {binary})")
    )
    yield
    sql.write_sync(lambda c: c.execute("DROP TABLE scratch"))


@pytest.fixture(autouse=True)
def empty(scratch: None) -> None:
    """Nothing in it."""
    sql.write_sync(lambda c: c.execute("DELETE FROM scratch"))


def put(connection: Sql, name: str) -> str:
    """Insert a row and return its name."""
    connection.execute("INSERT INTO scratch (name) VALUES (%s)", (name,))
    return name


def names() -> list[str]:
    """What is committed."""
    rows = sql.read_sync(lambda c: c.all("SELECT name FROM scratch ORDER BY name"))
    return [row[0] for row in rows]


class Refused(Exception):
    """What a job raises."""


def put_and_fail(connection: Sql, name: str) -> None:
    """Insert a row and raise."""
    put(connection, name)
    raise Refused


async def test_a_write_is_seen_by_every_reader() -> None:
    assert await sql.write(lambda c: put(c, "a")) == "a"

    query = "SELECT name FROM scratch"
    assert await sql.point(lambda c: c.one(query)) == ("a",)
    assert await sql.scan(lambda c: c.all(query)) == [("a",)]
    assert names() == ["a"]


async def test_a_failing_job_is_rolled_back_alone() -> None:
    done = await asyncio.gather(
        sql.write(lambda c: put(c, "a")),
        sql.write(lambda c: put_and_fail(c, "b")),
        sql.write(lambda c: put(c, "c")),
        return_exceptions=True,
    )

    assert [type(one) for one in done] == [str, Refused, str]
    assert names() == ["a", "c"]


def test_a_failing_job_without_a_loop_is_rolled_back() -> None:
    with pytest.raises(Refused):
        sql.write_sync(lambda c: put_and_fail(c, "a"))

    assert names() == []
    assert sql.write_sync(lambda c: put(c, "b")) == "b"


async def test_what_is_announced_is_committed() -> None:
    seen: list[list[str]] = []

    def job(connection: Sql) -> None:
        put(connection, "a")
        connection.after_commit(lambda: seen.append(names()))

    await sql.write(job)
    sql.write_sync(lambda c: c.after_commit(lambda: seen.append(names())))
    await settled(lambda: len(seen) == 2)

    assert seen == [["a"], ["a"]]


async def test_a_failing_job_announces_nothing() -> None:
    told: list[str] = []

    def failing(connection: Sql) -> None:
        connection.after_commit(told.append, "failed")
        put_and_fail(connection, "a")

    with pytest.raises(Refused):
        await sql.write(failing)
    with pytest.raises(Refused):
        sql.write_sync(failing)
    await sql.write(lambda c: c.after_commit(told.append, "committed"))
    await settled(lambda: bool(told))

    assert told == ["committed"]


async def test_the_same_announcement_is_made_once() -> None:
    told: list[str] = []

    def job(connection: Sql) -> None:
        for name in ("a", "b", "a"):
            connection.after_commit(told.append, name)

    await sql.write(job)
    await settled(lambda: len(told) >= 2)

    assert told == ["a", "b"]


async def test_the_write_of_a_cancelled_request_stands_and_is_announced() -> None:
    begun, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def job(connection: Sql) -> None:
        begun.set()
        assert go_on.wait(60)
        connection.after_commit(told.append, put(connection, "a"))

    request = asyncio.ensure_future(sql.write(job))
    await asyncio.to_thread(begun.wait, 60)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    go_on.set()
    await settled(lambda: bool(told))

    assert names() == ["a"]


async def test_a_scan_sees_one_snapshot() -> None:
    begun, go_on = threading.Event(), threading.Event()
    count = "SELECT count(*) FROM scratch"

    def job(connection: Sql) -> list[object]:
        first = connection.one(count)
        begun.set()
        assert go_on.wait(60)
        return [first, connection.one(count)]

    scan = asyncio.ensure_future(sql.scan(job))
    await asyncio.to_thread(begun.wait, 60)
    await sql.write(lambda c: put(c, "a"))
    go_on.set()

    assert await scan == [(0,), (0,)]
    assert await sql.point(lambda c: c.one(count)) == (1,)


async def test_a_reader_that_fails_leaves_the_connection_usable() -> None:
    for read in (sql.point, sql.scan):
        with pytest.raises(Refused):
            await read(_fail)
        assert await read(lambda c: c.one("SELECT 1")) == (1,)


def _fail(connection: Sql) -> None:
    connection.one("SELECT 1")
    raise Refused


def test_text_and_bytes_come_back_as_they_were() -> None:
    content = bytes(range(256))
    name = "ä'\"%s\U0001f600"
    sql.write_sync(
        lambda c: c.many("INSERT INTO scratch (name, content) VALUES (%s, %s)", [(name, content)])
    )

    row = sql.read_sync(lambda c: c.one("SELECT name, content FROM scratch"))
    assert row == (name, content)
    assert row is not None
    assert type(row[1]) is bytes


@pytest.mark.parametrize("asked", [[], ["a"], ["b", "missing", "a", "'", '"', "ä"]])
def test_each_value_is_looked_up(asked: list[str]) -> None:
    for name in ("a", "b", "ä", "unasked"):
        sql.write_sync(lambda c, name=name: put(c, name))

    def job(connection: Sql) -> list[sql.Row]:
        each, param = connection.each(asked)
        return connection.all(
            f"SELECT s.name FROM {each} CROSS JOIN scratch s WHERE s.name = j.value", (param,)
        )

    found = {row[0] for row in sql.read_sync(job)}
    assert found == set(asked) & {"a", "b", "ä"}


async def test_many_requests_at_once_lose_nothing() -> None:
    await asyncio.gather(*(sql.write(lambda c, n=n: put(c, f"{n:03}")) for n in range(200)))

    assert names() == [f"{n:03}" for n in range(200)]


async def settled(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` is true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def test_a_loop_that_goes_on_says_a_refusal_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("a.loop")
    await sql.recover(log, RefusedError("The disk is full."), "It was not kept.")
    await sql.recover(log, KeyError("a fault"), "It was not kept.")
    refused, fault = caplog.records
    assert (refused.getMessage(), refused.exc_info) == ("It was not kept. The disk is full.", None)
    assert fault.exc_info
