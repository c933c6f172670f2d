"""The process that waits makes rows due and tells the workers; here the workers are a list."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import sql
from replication import manager, waiting, watching
from replication.core.job import LOCAL, Direction, Mode, Priority, State, Wish
from replication.store import jobs, links
from replication.store.jobs import Asked
from replication.store.links import Ended


@pytest.fixture
async def told(monkeypatch: pytest.MonkeyPatch, api: Any) -> AsyncIterator[list[Priority]]:
    """What the workers were told, while somebody waits."""
    said = list[Priority]()

    async def send(priority: Priority) -> None:
        said.append(priority)

    async def no_feed(watch: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(waiting, "_send", send)
    monkeypatch.setattr(watching, "again_and_again", no_feed)
    keeping = asyncio.create_task(waiting.keep())
    yield said
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def push(database: str, new_name: Callable[[], str], mode: Mode, **more: Any) -> int:
    wish = Wish(database.strip("/"), f"{LOCAL}{new_name()}", Direction.PUSH, mode, **more)
    return await sync_to_async(manager.ask)(wish, Asked(), time.time())


async def rest(number: int, at: float) -> None:
    """Let a worker run what is due, and this job rest until `at`."""
    claims = await sql.write(partial(links.claim, owner="w", now=time.time(), at_once=1000))
    for claim in claims:
        ended = Ended(State.WAITING, at if claim.job_id == number else time.time() + 9)
        await sql.write(partial(links.finish, claim=claim, ended=ended, now=time.time()))


async def test_a_new_job_is_told(
    told: list[Priority], database: str, new_name: Callable[[], str]
) -> None:
    number = await push(database, new_name, Mode.ONCE, priority=Priority.NOW)
    await until(lambda: Priority.NOW in told)
    await sql.write(partial(jobs.remove, number=number))


async def test_a_local_write_wakes_the_push(
    told: list[Priority], owner: Any, database: str, new_name: Callable[[], str]
) -> None:
    number = await push(database, new_name, Mode.CONTINUOUS)
    await until(lambda: told)
    await rest(number, time.time() + 3600)
    told.clear()
    await owner.put(f"{database}/doc", {})
    await until(lambda: told)
    await sql.write(partial(jobs.remove, number=number))


@pytest.mark.slow
async def test_a_time_that_comes_is_told(
    told: list[Priority], database: str, new_name: Callable[[], str]
) -> None:
    number = await push(database, new_name, Mode.PERIODIC, every=5)
    await until(lambda: told)
    await rest(number, time.time() + 0.2)
    told.clear()
    await until(lambda: told)
    await sql.write(partial(jobs.remove, number=number))


async def test_a_job_that_nobody_renews_ends(
    api: Any, database: str, new_name: Callable[[], str]
) -> None:
    number = await push(database, new_name, Mode.CONTINUOUS, lasts=60)
    bring = sync_to_async(manager.bring_up_to_date)
    await bring(time.time() + 50)
    assert number in await ids()
    await sync_to_async(manager.renew)(number, time.time() + 50)
    await bring(time.time() + 100)
    assert number in await ids()
    await bring(time.time() + 120)
    assert number not in await ids()


async def ids() -> list[int]:
    return [one["id"] for one in await sync_to_async(manager.listing)(time.time())]
