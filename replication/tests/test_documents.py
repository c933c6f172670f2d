"""Documents of `_replicator` are jobs, and say when they have ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store as acl_store
from acl.core.errors import BadName
from couchapi import wakeups
from couchapi.wakeups import ANY_DATABASE
from replication import documents, manager
from replication.runs import Worker

DB = "/_replicator"


@pytest.fixture
async def replicator(owner: Any) -> AsyncIterator[None]:
    """The database, with somebody who works on it."""
    worker = Worker()

    async def work() -> None:
        with wakeups.listening(ANY_DATABASE) as waiter:
            while True:
                await documents.bring_up_to_date()
                await worker.look()
                await waiter.wait(0.2)

    assert (await owner.put(DB)).status in (201, 412)
    working = asyncio.create_task(work())
    yield
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await worker.end()
    await owner.delete(DB)
    await documents.bring_up_to_date()


@pytest.fixture
async def pair(owner: Any, new_name: Callable[[], str]) -> tuple[str, str]:
    source, target = new_name(), new_name()
    for name in (source, target):
        await owner.put(f"/{name}")
    await owner.put(f"/{source}/one", {"x": 1})
    return source, target


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(30):
        while not (met := await condition()):
            await asyncio.sleep(0.01)
    return met


async def state_of(owner: Any, docid: str) -> Any:
    return (await owner.get(f"{DB}/{docid}")).json().get("_replication_state")


async def scheduled(owner: Any) -> dict[str, Any]:
    rows = (await owner.get("/_scheduler/docs")).json()["docs"]
    return {row["doc_id"]: row for row in rows}


async def test_a_single_replication_says_that_it_is_completed(
    replicator: None, owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    made = await owner.put(f"{DB}/once", {"source": source, "target": target, "mine": 1e2})
    assert made.status == 201
    await until(lambda: state_of(owner, "once"))
    document = (await owner.get(f"{DB}/once")).json()
    assert document["_replication_state"] == "completed"
    assert document["_replication_id"]
    assert document["_replication_state_time"].endswith("Z")
    assert (document["source"], document["mine"]) == (source, 100)
    assert (await owner.get(f"/{target}/one")).status == 200
    await until(lambda: gone(owner, "once"))


async def gone(owner: Any, docid: str) -> bool:
    return docid not in await scheduled(owner)


async def test_a_continuous_one_goes_on_until_its_document_is_deleted(
    replicator: None, owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    body = {"source": source, "target": target, "continuous": True}
    rev = (await owner.put(f"{DB}/on", body)).json()["rev"]
    await until(lambda: has(owner, f"/{target}/one"))
    row = (await scheduled(owner))["on"]
    assert (row["database"], row["source"], row["target"]) == ("_replicator", source, target)
    assert row["state"] in ("running", "pending")
    assert await state_of(owner, "on") is None
    await owner.delete(f"{DB}/on", rev=rev)
    await until(lambda: gone(owner, "on"))


async def has(owner: Any, path: str) -> bool:
    return bool((await owner.get(path)).status == 200)


async def test_a_document_that_is_changed_is_another_replication(
    replicator: None, owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    body = {"source": source, "target": target, "continuous": True, "doc_ids": ["none"]}
    rev = (await owner.put(f"{DB}/changed", body)).json()["rev"]
    first = await until(lambda: shown(owner, "changed"))
    await owner.put(f"{DB}/changed", {**body, "doc_ids": ["one"]}, rev=rev)
    await until(lambda: has(owner, f"/{target}/one"))
    assert (await shown(owner, "changed"))["id"] != first["id"]


async def shown(owner: Any, docid: str) -> Any:
    return (await scheduled(owner)).get(docid)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"source": "a"}, "`target` has to be"),
        ({"source": "nowhere-at-all", "target": "b", "create_target": True}, "no such database"),
    ],
    ids=["malformed", "missing"],
)
async def test_what_cannot_be_done_is_said_in_the_document(
    replicator: None, owner: Any, body: dict[str, Any], reason: str
) -> None:
    await owner.put(f"{DB}/bad", body)
    assert await until(lambda: state_of(owner, "bad")) == "failed"
    assert reason in (await owner.get(f"{DB}/bad")).json()["_replication_state_reason"]


async def test_nobody_is_given_the_database(api: Any, owner: Any) -> None:
    app = await sync_to_async(api.principal)(kind="application")
    await sync_to_async(acl_store.allow_create_databases)(app.name)
    assert (await app.put(DB)).status == 403
    with pytest.raises(BadName):
        await sync_to_async(acl_store.add_grant)("_replicator", app.name, read=True, write=True)
    assert (await owner.put(DB)).status in (201, 412)
    try:
        assert (await owner.get(DB)).json()["props"] == {"local_only": True}
        friend = await sync_to_async(api.principal)()
        assert (await friend.get(DB)).status == 404
        assert (await friend.put(f"{DB}/mine", {})).status == 404
        for method, path in (
            ("DELETE", DB),
            ("PUT", f"{DB}/_security"),
            ("POST", f"{DB}/_compact"),
        ):
            assert (await app(method, path, {})).status == 403
    finally:
        await owner.delete(DB)


class TestApplications:
    """An application has its own wishes there, and sees no others."""

    @pytest.fixture
    async def app(self, api: Any, replicator: None) -> Any:
        """One that has nothing but a token."""
        return await sync_to_async(api.application)()

    async def may(self, app: Any, *names: str) -> None:
        add = sync_to_async(acl_store.add_grant)
        for name in names:
            await add(name, app.name, read=True, write=True)

    async def test_its_document_is_a_job_within_its_databases(
        self, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        await self.may(app, source, target)
        assert (await app.put(f"{DB}/mine", {"source": source, "target": target})).status == 201
        assert await until(lambda: state_of(app, "mine")) == "completed"
        assert (await app.get(f"/{target}/one")).status == 200

    async def test_what_it_may_not_read_is_not_fetched_for_it(
        self, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        await self.may(app, target)
        body = {"source": source, "target": target, "owner": "", "user_ctx": {"roles": ["_admin"]}}
        assert (await app.put(f"{DB}/greedy", body)).status == 201
        assert await until(lambda: state_of(app, "greedy")) == "failed"
        assert (await owner.get(f"/{target}/one")).status == 404

    async def test_it_sees_its_own_documents_alone(
        self, api: Any, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        await self.may(app, source, target)
        on = {"source": source, "target": target, "continuous": True}
        assert (await owner.put(f"{DB}/owners", {**on, "doc_ids": ["secret"]})).status == 201
        rev = (await app.put(f"{DB}/mine", on)).json()["rev"]
        await until(lambda: shown(owner, "mine"))
        await until(lambda: shown(owner, "owners"))
        listed = (await app.get(f"{DB}/_all_docs")).json()["rows"]
        changes = (await app.get(f"{DB}/_changes")).json()["results"]
        scheduled_here = (await app.get("/_scheduler/docs")).json()["docs"]
        assert [row["id"] for row in listed] == ["mine"]
        assert [row["id"] for row in changes] == ["mine"]
        assert [row["doc_id"] for row in scheduled_here] == ["mine"]
        assert [row["doc_id"] for row in (await app.get("/_scheduler/jobs")).json()["jobs"]] == [
            "mine"
        ]
        assert (await app.get(f"{DB}/owners")).status == 404
        other = await sync_to_async(api.application)()
        assert (await other.get(f"{DB}/mine")).status == 404
        assert (await other.get("/_scheduler/docs")).json()["docs"] == []
        assert (await app.delete(f"{DB}/mine", rev=rev)).status == 200
        await until(lambda: gone(owner, "mine"))

    async def test_it_changes_no_document_of_another(
        self, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        on = {"source": source, "target": target, "continuous": True}
        rev = (await owner.put(f"{DB}/owners", on)).json()["rev"]
        assert (await app.put(f"{DB}/owners", on)).status == 409
        told = {
            "_id": "owners",
            "_rev": f"2-{'f' * 32}",
            "_revisions": {"start": 2, "ids": ["f" * 32, rev[2:]]},
        }
        assert (
            await app.post(f"{DB}/_bulk_docs", {"new_edits": False, "docs": [told]})
        ).status == 403
        assert (await app.put(f"{DB}/_design/d", {"validate_doc_update": "x"})).status == 403
        index = {"index": {"fields": ["owner"]}, "ddoc": "planted"}
        assert (await app.post(f"{DB}/_index", index)).status == 403
        found = await app.post(f"{DB}/_find", {"selector": {"source": source}})
        assert found.json()["docs"] == []
        held = (await owner.get(f"{DB}/owners")).json()
        assert held["_rev"] == rev
        assert "owner" not in held

    async def test_no_wish_reaches_the_wishes_of_others(
        self, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        mine, _ = pair
        await self.may(app, mine)
        await owner.put(f"/{mine}/planted", {"source": "inbox", "target": mine})
        for docid, source, target in (("out", "_replicator", mine), ("in", mine, "_replicator")):
            asked = {"source": source, "target": target}
            assert (await app.post("/_replicate", asked)).status == 403
            await app.put(f"{DB}/{docid}", asked)
            assert await until(lambda: state_of(app, docid)) == "failed"  # noqa: B023
        assert (await owner.get(f"{DB}/planted")).status == 404

    async def test_a_copy_of_anothers_key_is_written_over(
        self, app: Any, owner: Any, pair: tuple[str, str]
    ) -> None:
        source, target = pair
        body = {"source": source, "target": target, "owner": "B" * 43}
        assert (await app.put(f"{DB}/copied", body)).status == 201
        assert (await owner.get(f"{DB}/copied")).json()["owner"] not in ("B" * 43, "")
        assert await until(lambda: state_of(owner, "copied")) == "failed"


async def test_more_or_less_urgent_is_another_job(
    replicator: None, owner: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    body = {"source": source, "target": target, "continuous": True}
    rev = (await owner.put(f"{DB}/calm", body)).json()["rev"]
    await until(lambda: shown(owner, "calm"))
    await owner.put(f"{DB}/calm", {**body, "priority": "background"}, rev=rev)
    await until(lambda: is_calm(owner))


async def is_calm(owner: Any) -> bool:
    listed = await sync_to_async(manager.listing)(0)
    return "background" in [one["priority"] for one in listed if one["docid"] == "calm"]
