"""Jobs between databases of this process, and a worker that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx

from acl import sql
from replication.core.job import Direction, State, Wish
from replication.core.options import Options
from replication.routing import Way
from replication.runs import Worker
from replication.store import jobs, links
from replication.store.links import LinkRow, Meant

_numbers = itertools.count(1)


class Bench:
    """Jobs between databases of this process, and a worker."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.error: Exception | None = None
        self.worker = Worker()
        self.numbers: list[int] = []

    @contextlib.asynccontextmanager
    async def way_to(self, key: str, peer: str) -> AsyncIterator[Way]:
        if self.error is not None:
            raise self.error
        yield Way(self.client, "loopback")

    async def add(
        self, here: str, there: str, direction: Direction = Direction.PULL, **more: Any
    ) -> int:
        mesh = more.pop("mesh", False)
        key = more.pop("key", f"{next(_numbers):043d}")
        if more.pop("winning", False):
            more["options"] = Options(winning_revs_only=True)
        wish = Wish(here.strip("/"), "peer", direction, there=there.strip("/"), **more)
        now = time.time()
        number = await sql.write(partial(jobs.add, wish=wish, now=now, mesh=mesh))
        meant = [Meant(key, "peer")]
        await sql.write(
            partial(links.reconcile, job_id=number, direction=direction, meant=meant, now=now)
        )
        self.numbers.append(number)
        return number

    async def link(self, number: int) -> LinkRow:
        (one,) = await sql.scan(partial(links.of_job, job_id=number))
        return one

    async def run(self, number: int) -> LinkRow:
        """Run what is due until this job rests."""
        await self.worker.look()
        async with asyncio.timeout(30):
            while (await self.link(number)).state in (State.PENDING, State.RUNNING):
                await asyncio.sleep(0.01)
        return await self.link(number)
