"""A worker runs what is due, and notes how it went; the far end is this process's own API."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from acl import sql
from acl import store as acl_store
from couchapi.core import revid
from discovery.core.errors import UnreachableError, WrongKeyError
from replication import manager, routing, watching
from replication.core import schedule
from replication.core.errors import BadJob, NotAllowed, Retryable
from replication.core.job import Direction, Mode, State, Wish
from replication.mesh import Sharing, sharing
from replication.routing import Way
from replication.runs import Worker
from replication.store import jobs, links, waking
from replication.store.links import Ended, LinkRow
from replication.tests.workbench import Bench


async def has(owner: Any, path: str) -> bool:
    return bool((await owner.get(path)).status == 200)


async def test_a_pull_runs_and_is_completed(
    bench: Bench, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    link = await bench.run(await bench.add(here, there))
    assert (link.state, link.docs_written, link.last_error) == (State.COMPLETED, 1, "")
    assert link.due_at == schedule.NEVER
    assert await has(owner, f"{here}/of-{there[1:]}")
    assert not await has(owner, f"{there}/of-{here[1:]}")


async def test_a_push_runs_and_waits_for_more(
    bench: Bench, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    number = await bench.add(here, there, Direction.PUSH, mode=Mode.CONTINUOUS)
    link = await bench.run(number)
    assert (link.state, link.behind) == (State.WAITING, 0)
    assert await has(owner, f"{there}/of-{here[1:]}")
    await owner.put(f"{here}/more", {})
    woken = partial(waking.wake_push, db_names=[here.strip("/")], now=time.time())
    assert await sql.write(woken) == 1
    link = await bench.run(number)
    assert (link.state, link.docs_written) == (State.WAITING, 2)


async def test_only_the_owners_hubs_may_be_days_ahead(
    bench: Bench, api: Any, owner: Any, pair: tuple[str, str]
) -> None:
    here, there = pair
    far = int(time.time() * 1000) + 3 * 86_400_000
    rev = str(revid.mint(revid.parse("1-" + "a" * 32), False, b"{}", [], far))
    digests = [one.partition("-")[2] for one in (rev, "1-" + "a" * 32)]
    doc = {"_id": "late", "_rev": rev, "_revisions": {"start": 2, "ids": digests}}
    await owner.post(f"{there}/_bulk_docs", {"docs": [doc], "new_edits": False})
    link = await bench.run(await bench.add(here, there))
    assert (link.state, link.docs_written, link.doc_write_failures) == (State.COMPLETED, 1, 1)
    assert not await has(owner, f"{here}/late")
    device = await sync_to_async(api.principal)(kind="device")
    number = await bench.add(here, there, key=await key_of(device.name), winning=True)
    assert (await bench.run(number)).doc_write_failures == 0
    assert await has(owner, f"{here}/late")


async def key_of(name: str) -> str:
    return (await sync_to_async(acl_store.find_principal)(name)).key


async def test_a_periodic_job_has_its_time(bench: Bench, pair: tuple[str, str]) -> None:
    number = await bench.add(*pair, mode=Mode.PERIODIC, every=600)
    link = await bench.run(number)
    assert link.state == State.WAITING
    assert 590 < link.due_at - time.time() <= 600


@pytest.mark.parametrize("error", [Retryable(), UnreachableError(), httpx.ReadError("cut")])
async def test_what_may_be_better_later_is_tried_again(
    bench: Bench, pair: tuple[str, str], error: Exception
) -> None:
    number = await bench.add(*pair)
    bench.error = error
    link = await bench.run(number)
    assert (link.state, link.failures) == (State.CRASHING, 1)
    assert link.last_error
    assert 20 < link.due_at - time.time() < 40
    bench.error = None
    await sql.write(partial(jobs.run, number=number, now=time.time()))
    link = await bench.run(number)
    assert (link.state, link.failures, link.last_error) == (State.COMPLETED, 0, "")


@pytest.mark.parametrize("error", [NotAllowed(), WrongKeyError()])
async def test_what_a_person_has_to_see_ends_a_single_run_and_not_a_standing_one(
    bench: Bench, pair: tuple[str, str], error: Exception
) -> None:
    once, standing = await bench.add(*pair), await bench.add(*pair, mode=Mode.CONTINUOUS)
    bench.error = error
    retried = isinstance(error, WrongKeyError)
    assert (await bench.run(once)).state == (State.CRASHING if retried else State.FAILED)
    assert (await bench.run(standing)).state == State.CRASHING


async def test_a_database_that_is_missing_is_said_to_be(
    bench: Bench, pair: tuple[str, str]
) -> None:
    link = await bench.run(await bench.add(pair[0], "/nowhere"))
    assert link.state == State.FAILED
    assert "no such database at the source" in link.last_error


async def test_a_worker_that_ends_gives_back_what_it_runs(
    bench: Bench, owner: Any, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    @contextlib.asynccontextmanager
    async def never(key: str, peer: str) -> AsyncIterator[Way]:
        begun.set()
        await asyncio.Event().wait()
        yield Way(bench.client, "loopback")

    number = await bench.add(*pair)
    with monkeypatch.context() as patch:
        patch.setattr(routing, "way_to", never)
        await bench.worker.look()
        await begun.wait()
        await bench.worker.end()
    link = await bench.link(number)
    assert (link.state, link.lease_until, link.failures) == (State.PENDING, 0, 0)
    assert (await bench.run(number)).state == State.COMPLETED


class TestMesh:
    """The owner's devices, each with its own will."""

    @pytest.fixture
    async def way(self, owner_http: httpx.AsyncClient) -> Way:
        return Way(owner_http, "loopback")

    def claim(self, here: str, there: str, direction: Direction) -> Any:
        names = {"db_name": here.strip("/"), "there": there.strip("/"), "direction": direction}
        return type("Claim", (), names)

    @pytest.mark.parametrize("direction", [Direction.PULL, Direction.PUSH])
    async def test_what_either_keeps_to_itself_is_left_alone(
        self, way: Way, pair: tuple[str, str], direction: Direction
    ) -> None:
        from couchapi.store import databases

        here, there = pair
        assert await sharing(self.claim(here, there, direction), way) is Sharing.IN_STEP
        for path in pair:
            name = path.strip("/")
            set_it = partial(databases.set_local_only, name=name)
            await sql.write(partial(set_it, local_only=True))
            assert await sharing(self.claim(here, there, direction), way) is Sharing.APART
            await sql.write(partial(set_it, local_only=False))

    async def test_a_database_that_was_deleted_there_is_not_made_again(
        self, way: Way, owner: Any, pair: tuple[str, str]
    ) -> None:
        here, there = pair
        await owner.delete(there)
        for direction in (Direction.PULL, Direction.PUSH):
            found = await sharing(self.claim(here, there, direction), way)
            assert found is Sharing.DELETED_THERE

    async def test_a_database_that_never_was_there_is_made(
        self, way: Way, pair: tuple[str, str], new_name: Callable[[], str]
    ) -> None:
        fresh = new_name()
        push = self.claim(pair[0], fresh, Direction.PUSH)
        assert await sharing(push, way) is Sharing.IN_STEP
        pull = self.claim(pair[0], fresh, Direction.PULL)
        assert await sharing(pull, way) is Sharing.APART

    async def test_a_database_that_was_deleted_there_is_offered_and_not_deleted(
        self, bench: Bench, owner: Any, pair: tuple[str, str]
    ) -> None:
        here, there = (path.strip("/") for path in pair)
        number = await bench.add(here, there, Direction.PUSH, mode=Mode.CONTINUOUS, mesh=True)
        await bench.run(number)
        with pytest.raises(BadJob):
            await sync_to_async(manager.delete_here)(number)
        await owner.delete(f"/{there}")
        await sql.write(partial(jobs.run, number=number, now=time.time()))
        link = await bench.run(number)
        assert (link.state, link.last_error) == (State.WAITING, "")
        assert (await owner.get(f"/{there}")).status == 404
        told = {one["id"]: one for one in await sync_to_async(manager.listing)(time.time())}
        assert told[number]["links"][0]["deleted_there"]
        assert (await owner.get(f"/{here}")).status == 200
        await sync_to_async(manager.delete_here)(number)
        assert (await owner.get(f"/{here}")).status == 404


class TestServers:
    """CouchDB and the like, by URL."""

    @pytest.fixture
    def server(self, owner_http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> str:
        """Lets connections to a server come to this process; its address."""

        real = httpx.AsyncClient

        def client(**options: Any) -> httpx.AsyncClient:
            return real(**{**options, "transport": owner_http._transport})

        monkeypatch.setattr(routing.httpx, "AsyncClient", client)
        return "http://127.0.0.1:5984"

    async def add(self, url: str, here: str, mode: Mode = Mode.ONCE) -> tuple[int, Any]:
        wish = Wish(here.strip("/"), url, Direction.PULL, mode)
        number = await sync_to_async(manager.ask)(wish, jobs.Asked(), time.time())
        return number, await sql.scan(partial(links.of_job, job_id=number))

    async def test_a_server_is_pulled_from_by_its_url(
        self, server: str, owner: Any, pair: tuple[str, str]
    ) -> None:
        here, there = pair
        number, (link,) = await self.add(f"{server}{there}/", here)
        assert (link.key, link.name) == ("", f"{server}{there}/")
        worker = Worker()
        await worker.look()
        async with asyncio.timeout(30):
            while not await has(owner, f"{here}/of-{there[1:]}"):
                await asyncio.sleep(0.01)
        await worker.end()
        await sql.write(partial(jobs.remove, number=number))

    @pytest.mark.slow
    async def test_a_change_at_a_server_wakes_its_pull(
        self, server: str, owner: Any, pair: tuple[str, str]
    ) -> None:
        here, there = pair
        url = f"{server}{there}"
        number, (link,) = await self.add(url, here, Mode.CONTINUOUS)
        watching_it = asyncio.create_task(watching.watch_server(link.id, url))
        try:
            for turn in range(2):
                await self._rest(link.id, number)
                await owner.put(f"{there}/{turn}", {})
                async with asyncio.timeout(30):
                    while (await self._link(number)).due_at > time.time():
                        await asyncio.sleep(0.01)
        finally:
            watching_it.cancel()
            await asyncio.wait({watching_it})
            await sql.write(partial(jobs.remove, number=number))

    async def _link(self, number: int) -> LinkRow:
        (one,) = await sql.scan(partial(links.of_job, job_id=number))
        return one

    async def _rest(self, link: int, number: int) -> None:
        """Let the link rest after it was woken once: the feed looks for what it has missed."""
        async with asyncio.timeout(30):
            while (await self._link(number)).due_at > time.time():
                await asyncio.sleep(0.01)
        claims = await sql.write(partial(links.claim, owner="w", now=time.time(), at_once=1000))
        (claim,) = [one for one in claims if one.id == link]
        ended = Ended(State.WAITING, time.time() + 3600)
        await sql.write(partial(links.finish, claim=claim, ended=ended, now=time.time()))
