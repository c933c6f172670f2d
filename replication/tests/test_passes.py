"""Attachments later: documents first, nothing ever half, and the rest when there is leisure."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from acl import sql
from replication.core.job import Direction, Mode, State
from replication.core.options import LATER, Options
from replication.core.policy import Conditions
from replication.store import jobs, policy, waking
from replication.tests.workbench import Bench

TEXT = {"note": {"content_type": "text/plain", "data": "aGVsbG8="}}
LATER_ON = Options(attachments=LATER)


@pytest.fixture
async def on_battery(api: Any) -> AsyncIterator[None]:
    await sql.write(partial(policy.sense, conditions=Conditions(on_battery=True)))
    yield
    await sql.write(partial(policy.sense, conditions=Conditions()))


async def fill(owner: Any, there: str) -> None:
    await owner.put(f"{there}/with", {"_attachments": TEXT})
    await owner.put(f"{there}/without", {"n": 1})


async def content(owner: Any, here: str) -> Any:
    return (await owner.get(f"{here}/with/note")).body


async def test_both_come_where_nothing_speaks_against(
    bench: Bench, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    await fill(owner, there)
    link = await bench.run(await bench.add(here, there, options=LATER_ON))
    assert (link.state, link.attachments_left, link.docs_written) == (State.COMPLETED, 0, 3)
    assert await content(owner, here) == b"hello"


@pytest.mark.usefixtures("on_battery")
@pytest.mark.parametrize("mode", [Mode.ONCE, Mode.CONTINUOUS])
async def test_on_battery_documents_come_and_attachments_wait(
    bench: Bench, owner: Any, pair: tuple[str, str], mode: Mode
) -> None:
    here, there = pair
    await fill(owner, there)
    number = await bench.add(here, there, options=LATER_ON, mode=mode)
    link = await bench.run(number)
    assert (link.state, link.attachments_left, link.docs_written) == (State.WAITING, 1, 2)
    assert (await owner.get(f"{here}/without")).status == 200
    # Not a document whose content is missing: none at all.
    assert (await owner.get(f"{here}/with")).status == 404

    assert await sql.write(partial(waking.wake_left, now=time.time())) == 0
    await sql.write(partial(policy.sense, conditions=Conditions(on_battery=False)))
    assert await sql.write(partial(waking.wake_left, now=time.time())) >= 1
    link = await bench.run(number)
    done = State.COMPLETED if mode is Mode.ONCE else State.WAITING
    assert (link.state, link.attachments_left) == (done, 0)
    assert await content(owner, here) == b"hello"


@pytest.mark.usefixtures("on_battery")
async def test_who_says_now_gets_attachments_now(
    bench: Bench, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    await fill(owner, there)
    number = await bench.add(here, there, Direction.PULL, options=LATER_ON)
    await sql.write(partial(jobs.run, number=number, now=time.time()))
    link = await bench.run(number)
    assert (link.state, link.attachments_left) == (State.COMPLETED, 0)


@pytest.mark.usefixtures("on_battery")
async def test_what_waits_is_counted_once_and_newer_versions_come_at_once(
    bench: Bench, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    await fill(owner, there)
    number = await bench.add(here, there, options=LATER_ON, mode=Mode.CONTINUOUS)
    await bench.run(number)
    rev = (await owner.get(f"{there}/with")).json()["_rev"]
    await owner.put(f"{there}/with", {"_rev": rev, "plain": True})
    await sql.write(partial(jobs.run, number=number, now=time.time()))
    link = await bench.run(number)
    assert link.attachments_left == 0
    assert (await owner.get(f"{here}/with")).json()["plain"] is True


async def test_attachments_can_be_pushed_later(
    bench: Bench, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    await fill(owner, here)
    await bench.run(await bench.add(here, there, Direction.PUSH, options=LATER_ON))
    assert await content(owner, there) == b"hello"
