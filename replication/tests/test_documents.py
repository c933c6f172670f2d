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
from replication import documents
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

    assert (await owner.put(DB)).status == 201
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


async def test_the_database_is_the_owners_alone(api: Any, owner: Any) -> None:
    app = await sync_to_async(api.principal)(kind="application")
    await sync_to_async(acl_store.allow_create_databases)(app.name)
    assert (await app.put(DB)).status == 403
    with pytest.raises(BadName):
        await sync_to_async(acl_store.add_grant)("_replicator", app.name, read=True, write=True)
    assert (await owner.put(DB)).status == 201
    try:
        assert (await app.get(DB)).status == 404
        assert (await owner.get(DB)).json()["props"] == {"local_only": True}
    finally:
        await owner.delete(DB)
