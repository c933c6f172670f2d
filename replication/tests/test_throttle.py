"""Bytes are counted both ways and wait for their share, whatever the pieces are."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from acl import sql
from replication.core.job import Direction, Wish
from replication.store import jobs, links, policy
from replication.store.links import Meant
from replication.tests.workbench import Bench
from replication.throttle import Meter, Meters

MB = 1_000_000


class Clock:
    """A clock that goes on when somebody sleeps."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Echo(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        sent = [piece async for piece in request.stream]
        return httpx.Response(200, stream=Pieces(sent))


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


@pytest.fixture
async def server() -> AsyncIterator[httpx.AsyncClient]:
    """Answers with what it was sent, as a connection does: piece by piece."""
    async with httpx.AsyncClient(transport=Echo(), base_url="http://hub") as client:
        yield client


async def test_what_goes_and_what_comes_is_counted(server: httpx.AsyncClient, clock: Clock) -> None:
    meter = Meter(clock, clock.sleep)
    meter.watch(server)
    answer = await server.post("/", content=b"x" * MB)
    assert answer.content == b"x" * MB
    assert (meter.moved, clock.now) == (2 * MB, 0.0)


async def test_a_limit_makes_both_ways_wait(server: httpx.AsyncClient, clock: Clock) -> None:
    meter = Meter(clock, clock.sleep)
    meter.watch(server)
    meter.allow(MB / 10)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"y" * (MB // 10)

    answer = await server.post("/", content=pieces())
    assert len(answer.content) == MB
    assert clock.now == pytest.approx(20)


async def test_a_limit_that_is_lifted_lets_the_rest_pass(
    server: httpx.AsyncClient, clock: Clock
) -> None:
    meter = Meter(clock, clock.sleep)
    meter.allow(1000)
    await meter.passes(2000)
    meter.allow(0)
    await meter.passes(MB)
    assert clock.now == 2.0


@pytest.fixture
async def running(tables: None, new_name: Callable[[], str]) -> AsyncIterator[Callable[..., Any]]:
    """Makes a job with a limit that runs, and tells the number of its link."""
    made = list[int]()

    async def make(limit: int) -> int:
        now, name = time.time(), new_name()
        wish = Wish(name, name, Direction.PULL, limit=limit)
        number = await sql.write(partial(jobs.add, wish=wish, now=now))
        made.append(number)
        link = partial(links.reconcile, job_id=number, direction=Direction.PULL)
        await sql.write(partial(link, meant=[Meant("", name)], now=now))
        claims = await sql.write(partial(links.claim, owner="w", now=now, at_once=1000))
        return next(one.id for one in claims if one.job_id == number)

    yield make
    for number in made:
        await sql.write(partial(jobs.remove, number=number))
    await sql.write(partial(policy.choose, chosen=policy.Chosen()))


async def test_runs_of_all_processes_share_what_there_is(running: Callable[..., Any]) -> None:
    modest, free, elsewhere = await running(10_000), await running(0), await running(0)
    assert elsewhere
    await sql.write(partial(policy.choose, chosen=policy.Chosen(limit=90_000)))
    clock, meters = Clock(), Meters()
    held = [meters.begin(modest), meters.begin(free)]
    await meters.share()
    for meter in held:
        meter._clock, meter._sleep = clock, clock.sleep
        meter._bucket = meter._bucket._replace(at=0.0)
    await held[0].passes(10_000)
    assert clock.now == pytest.approx(1)
    await held[1].passes(40_000)
    # What the modest one leaves is for the two others: 40,000 bytes a second each.
    assert clock.now == pytest.approx(2 - 0.25)


async def test_a_run_gets_its_jobs_limit_and_notes_what_it_moved(
    bench: Bench, owner: Any, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, allow = list[float](), Meter.allow

    def noted(meter: Meter, rate: float) -> None:
        allowed.append(rate)
        allow(meter, rate)

    monkeypatch.setattr(Meter, "allow", noted)
    here, there = pair
    await owner.put(f"{there}/big", {"text": "x" * 50_000})
    link = await bench.run(await bench.add(here, there, limit=10_000_000))
    assert (link.state, link.docs_written) == ("completed", 2)
    assert 10_000_000 in allowed
    assert link.bytes_moved > 50_000
    assert link.documents_rate > 0
    assert link.bytes_rate > 0
