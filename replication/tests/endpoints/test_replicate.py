"""`_replicate` and `_scheduler`, as CouchDB's clients use them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from acl import identity
from acl import store as acl_store
from couchapi import wakeups
from replication import manager, routing
from replication.core.policy import Power, Rules, Runs
from replication.runs import Worker
from replication.store.jobs import JOBS
from replication.store.policy import Chosen


@pytest.fixture
async def worker(api: Any) -> AsyncIterator[None]:
    """A worker that looks whenever a job has changed."""
    worker = Worker()

    async def work() -> None:
        with wakeups.listening(JOBS) as waiter:
            while True:
                await worker.look()
                await waiter.wait(1)

    working = asyncio.create_task(work())
    yield
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await worker.end()


@pytest.fixture
async def pair(owner: Any, new_name: Callable[[], str]) -> tuple[str, str]:
    source, target = new_name(), new_name()
    for name in (source, target):
        assert (await owner.put(f"/{name}")).status == 201
    assert (await owner.put(f"/{source}/one", {"type": "a"})).status == 201
    assert (await owner.put(f"/{source}/two", {"type": "b"})).status == 201
    return source, target


async def ids(owner: Any, name: str) -> list[str]:
    return [row["id"] for row in (await owner.get(f"/{name}/_all_docs")).json()["rows"]]


async def test_one_replication_is_answered_with_its_history(
    worker: None, owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    answer = await owner.post("/_replicate", {"source": source, "target": target})
    assert answer.status == 200, answer.body
    told = answer.json()
    assert told["ok"] is True
    assert told["replication_id_version"] == 4
    assert told["history"][0]["docs_written"] == 2
    assert told["history"][0]["session_id"] == told["session_id"]
    assert "no_changes" not in told
    assert await ids(owner, target) == ["one", "two"]
    again = (await owner.post("/_replicate", {"source": source, "target": target})).json()
    assert again["ok"] is True
    assert again["no_changes"] is True
    assert await sync_to_async(jobs_of)(source) == []


def jobs_of(db_name: str) -> list[dict[str, Any]]:
    return [one for one in manager.listing(0) if one["database"] == db_name]


@pytest.mark.parametrize(
    "options", [{"doc_ids": ["one"]}, {"selector": {"type": "a"}}], ids=["doc_ids", "selector"]
)
async def test_only_what_was_asked_for_goes_over(
    worker: None, owner: Any, pair: tuple[str, str], options: dict[str, Any]
) -> None:
    source, target = pair
    await owner.post("/_replicate", {"source": source, "target": target, **options})
    assert await ids(owner, target) == ["one"]


async def test_the_target_is_made_only_where_that_is_asked_for(
    worker: None, owner: Any, pair: tuple[str, str], new_name: Callable[[], str]
) -> None:
    asked = {"source": pair[0], "target": new_name()}
    refused = await owner.post("/_replicate", asked)
    assert (refused.status, refused.json()["error"]) == (404, "db_not_found")
    assert (await owner.post("/_replicate", {**asked, "create_target": True})).status == 200
    assert await ids(owner, asked["target"]) == ["one", "two"]


async def test_a_source_that_is_missing_is_not_found(
    worker: None, owner: Any, pair: tuple[str, str], new_name: Callable[[], str]
) -> None:
    refused = await owner.post("/_replicate", {"source": new_name(), "target": pair[1]})
    assert (refused.status, refused.json()["error"]) == (404, "db_not_found")


async def test_a_continuous_one_goes_on_until_it_is_cancelled(
    worker: None, owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    asked = {"source": source, "target": target, "continuous": True}
    begun = await owner.post("/_replicate", asked)
    assert begun.status == 202
    name = begun.json()["_local_id"]
    assert name.endswith("+continuous")
    assert (await owner.post("/_replicate", asked)).json()["_local_id"] == name
    async with asyncio.timeout(30):
        while await ids(owner, target) != ["one", "two"]:
            await asyncio.sleep(0.01)
    shown = (await owner.get("/_scheduler/jobs")).json()
    (job,) = [one for one in shown["jobs"] if one["id"] == name]
    assert (job["source"], job["target"], job["database"]) == (source, target, None)
    assert (await owner.get(f"/_scheduler/jobs/{name}")).json()["id"] == name
    assert (await owner.get("/_scheduler/docs")).json()["docs"] == []
    assert (await owner.post("/_replicate", {**asked, "cancel": True})).json()["ok"] is True
    assert (await owner.get(f"/_scheduler/jobs/{name}")).status == 404
    assert (await owner.post("/_replicate", {**asked, "cancel": True})).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": "a"},
        {"source": "a", "target": 7},
        {"source": "https://one.example/a", "target": "https://two.example/"},
        {"source": "https://one.example/a", "target": "thaligroup:/sha256:x/g/a"},
        {"source": "a", "target": "b", "windows": "at night"},
        {"source": "a", "target": "b", "windows": 5},
        {"source": "a", "target": "b", "bytes_per_second": "much"},
        {"source": "a", "target": "b", "bytes_per_second": 3},
        {"source": "a", "target": "b", "priority": "soon"},
        {"source": "a", "target": "b", "attachments": "never"},
        {"source": "a", "target": "http://elsewhere.example/a"},
        {"source": "a", "target": {"url": ""}},
        {"source": "a", "target": {"url": "https://x.example/a", "headers": {"cookie": "x"}}},
        {"source": "a", "target": {"url": "https://x.example/a", "auth": {"basic": {}}}},
        {"source": "a", "target": "b", "doc_ids": "one"},
        {"source": "a", "target": "b", "selector": {"$nothing": 1}},
        {"source": "a", "target": "b", "doc_ids": [], "selector": {}},
        {"source": "a", "target": "b", "continuous": "yes"},
        {"source": "a", "target": "b", "since_seq": []},
        {"source": "a", "target": "httpkey://host/md5:x/a"},
    ],
    ids=lambda body: "-".join(map(str, body)) or "empty",
)
async def test_what_cannot_be_meant_is_refused(owner: Any, body: dict[str, Any]) -> None:
    assert (await owner.post("/_replicate", body)).status == 400


async def test_a_hub_carries_between_two_urls(
    worker: None,
    owner: Any,
    owner_http: httpx.AsyncClient,
    pair: tuple[str, str],
    new_name: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextlib.asynccontextmanager
    async def way_to(key: str, peer: str) -> AsyncIterator[routing.Way]:
        assert key == ("A" * 43 if "sha256" in peer else "")
        yield routing.Way(owner_http, "internet")

    monkeypatch.setattr(routing, "way_to", way_to)
    source, target = pair[0], new_name()
    asked = {
        "source": f"https://ann:secret@one.example/{source}",
        "target": f"httpkey://10.0.0.1/sha256:{'A' * 43}/{target}",
    }
    answer = await owner.post("/_replicate", {**asked, "create_target": True})
    assert (answer.status, answer.json()["ok"]) == (200, True), answer.body
    assert await ids(owner, target) == ["one", "two"]
    begun = await owner.post("/_replicate", {**asked, "continuous": True})
    listed = await told(begun.json()["_local_id"])
    assert listed["links"][0]["direction"] == "pull"
    row = (await owner.get(f"/_scheduler/jobs/{listed['rep_id']}")).json()
    assert (row["source"], row["target"]) == (
        asked["source"].replace(":secret", ""),
        asked["target"],
    )
    assert (
        await owner.post("/_replicate", {**asked, "continuous": True, "cancel": True})
    ).status == 200


async def told(rep_id: str) -> dict[str, Any]:
    listed = await sync_to_async(manager.listing)(0)
    return next(one for one in listed if one["rep_id"] == rep_id)


async def test_a_request_may_say_when_how_fast_and_how_urgently(
    owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    more = {"windows": "Mon 18:00-20:00", "bytes_per_second": 5000, "priority": "background"}
    asked = {"source": source, "target": target, "continuous": True, **more}
    begun = await owner.post("/_replicate", {**asked, "attachments": "later", "lasts": 60})
    job = await told(begun.json()["_local_id"])
    assert (job["windows"], job["bytes_per_second_at_most"]) == ("Mon 18:00-20:00", 5000)
    assert (job["priority"], job["attachments"]) == ("background", "later")
    assert job["ends_at"] is not None
    assert (await owner.post("/_replicate", {**asked, "cancel": True})).status == 200


async def test_the_scheduler_says_why_something_waits(owner: Any, pair: tuple[str, str]) -> None:
    nothing = Chosen(power=Power.BATTERY, rules=Rules(battery=Runs.NOTHING))
    await sync_to_async(manager.choose)(nothing)
    asked = {"source": pair[0], "target": pair[1], "continuous": True}
    try:
        name = (await owner.post("/_replicate", asked)).json()["_local_id"]
        job = (await owner.get(f"/_scheduler/jobs/{name}")).json()
        assert job["info"]["waits"] == "on battery"
        assert job["pid"] is None
    finally:
        await sync_to_async(manager.choose)(Chosen())
        await owner.post("/_replicate", {**asked, "cancel": True})


class TestApplications:
    """An application replicates its own databases, and reaches nothing by the hub."""

    @pytest.fixture
    def app(self, api: Any, new_name: Callable[[], str]) -> Any:
        return api.principal(new_name(), kind="application")

    async def grant(self, app: Any, name: str, **rights: bool) -> None:
        await sync_to_async(acl_store.add_grant)(name, app.name, **rights)

    async def test_it_needs_to_read_one_and_to_write_the_other(
        self, worker: None, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        asked = {"source": source, "target": target}
        assert (await app.post("/_replicate", asked)).status == 404
        await self.grant(app, source, read=True, write=False)
        assert (await app.post("/_replicate", asked)).status == 404
        await self.grant(app, target, read=True, write=False)
        assert (await app.post("/_replicate", asked)).status == 403
        assert await ids(owner, target) == []
        await self.grant(app, target, read=True, write=True)
        assert (await app.post("/_replicate", asked)).status == 200
        assert await ids(owner, target) == ["one", "two"]

    async def test_it_sends_nothing_to_servers_and_takes_no_other_database(
        self, app: Any, pair: tuple[str, str]
    ) -> None:
        source, _ = pair
        await self.grant(app, source, read=True, write=True)
        key = "A" * 43
        for end in ("https://x.example/db", f"httpkey://host/sha256:{key}/another"):
            to = {"source": source, "target": end}
            by = {"source": end, "target": source}
            for asked in (to, by):
                assert (await app.post("/_replicate", asked)).status == 403

    async def test_it_asks_no_stranger_and_no_device(
        self, app: Any, api: Any, pair: tuple[str, str]
    ) -> None:
        source, _ = pair
        await self.grant(app, source, read=True, write=True)
        friend = await sync_to_async(api.principal)(f"friend of {source}")
        key = (await sync_to_async(acl_store.find_principal)(friend.name)).key
        asked = {"source": source, "continuous": True}
        for unknown in ("A" * 43, identity.load(settings.HUB_DATA).key):
            end = f"httpkey://10.0.0.1/sha256:{unknown}/{source}"
            assert (await app.post("/_replicate", {**asked, "target": end})).status == 403
        asked["target"] = f"httpkey://10.0.0.1/sha256:{key}/{source}"
        assert (await app.post("/_replicate", asked)).status == 202
        assert (await app.post("/_replicate", {**asked, "cancel": True})).status == 200

    async def test_it_has_no_more_than_a_hundred_jobs(
        self, app: Any, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, target = pair
        for name in pair:
            await self.grant(app, name, read=True, write=True)
        monkeypatch.setattr(manager, "_MOST_JOBS", 1)
        asked = {"source": source, "target": target, "continuous": True}
        assert (await app.post("/_replicate", asked)).status == 202
        assert (await app.post("/_replicate", {**asked, "doc_ids": ["x"]})).status == 400
        assert (await app.post("/_replicate", {**asked, "cancel": True})).status == 200

    async def test_a_right_that_was_taken_away_ends_what_it_began(
        self, worker: None, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        for name in pair:
            await self.grant(app, name, read=True, write=True)
        asked = {"source": source, "target": target, "continuous": True}
        name = (await app.post("/_replicate", asked)).json()["_local_id"]
        assert (await owner.post("/_replicate", {"replication_id": name, "cancel": True})).status
        async with asyncio.timeout(30):
            while await ids(owner, target) != ["one", "two"]:
                await asyncio.sleep(0.01)
        await sync_to_async(acl_store.remove_grant)(target, app.name)
        await owner.put(f"/{source}/three", {})
        from functools import partial

        from acl import sql
        from replication.store import waking

        await sql.write(partial(waking.wake_push, db_names=[source], now=10.0))
        wakeups.announce(JOBS)
        async with asyncio.timeout(30):
            while True:
                jobs = (await owner.get("/_scheduler/jobs")).json()["jobs"]
                (job,) = [one for one in jobs if one["id"] == name]
                if job["info"]["error"]:
                    break
                await asyncio.sleep(0.01)
        assert await ids(owner, target) == ["one", "two"]
        cancelled = await app.post("/_replicate", {**asked, "cancel": True})
        assert cancelled.json()["ok"] is True

    async def test_strangers_and_friends_ask_for_nothing(
        self, api: Any, pair: tuple[str, str]
    ) -> None:
        asked = {"source": pair[0], "target": pair[1]}
        assert (await api.anonymous.post("/_replicate", asked)).status == 401
        friend = await sync_to_async(api.principal)("friend-of-replicate")
        assert (await friend.post("/_replicate", asked)).status == 403
        for path in ("/_active_tasks", "/_scheduler/jobs", "/_scheduler/docs"):
            assert (await friend.get(path)).status == 403
