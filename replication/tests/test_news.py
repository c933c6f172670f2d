"""Who has not yet seen what is for them: told by what the others note here."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from acl import store as acl_store
from acl.core import certs
from replication import news
from replication.news import PREFIX, Reader
from replication.peers import RemotePeer

DEVICE, OTHER = "d" * 43, "e" * 43


def key_of(client: Any) -> str:
    return certs.verified_keys(client.peer[0], ())[0]


@pytest.fixture
async def friend(api: Any, database: str) -> Any:
    """A friend who may read the database."""
    friend = await sync_to_async(api.principal)(kind="friend")
    await sync_to_async(acl_store.add_grant)(
        database.strip("/"), friend.name, read=True, write=False
    )
    return friend


async def note(client: Any, database: str, seq: Any, device: str = DEVICE) -> Any:
    body = {"lastSyncedSequenceNumber": seq}
    return await client.put(f"{database}/_local/{PREFIX}{device}", body)


async def waiting(client: Any, *devices: str) -> set[str]:
    key = key_of(client)
    return await news.waits_for(Reader(one, key, False) for one in devices or (DEVICE,))


async def test_there_is_news_until_a_friend_has_pulled_it(
    owner: Any, friend: Any, database: str
) -> None:
    assert await waiting(friend) == set()
    await owner.put(f"{database}/one", {})
    assert await waiting(friend) == {DEVICE}
    described = await owner.get(database)
    await note(friend, database, described.json()["update_seq"])
    assert await waiting(friend) == set()
    await owner.put(f"{database}/two", {})
    assert await waiting(friend) == {DEVICE}


async def test_each_hub_of_a_friend_is_told_by_itself(
    owner: Any, friend: Any, database: str
) -> None:
    await owner.put(f"{database}/one", {})
    await note(friend, database, 1)
    assert await waiting(friend, DEVICE, OTHER) == {OTHER}


async def test_who_may_not_read_a_database_has_no_news_of_it(
    api: Any, owner: Any, database: str
) -> None:
    stranger = await sync_to_async(api.principal)(kind="friend")
    await owner.put(f"{database}/one", {})
    await sync_to_async(acl_store.add_grant)(
        database.strip("/"), stranger.name, read=False, write=True
    )
    assert await waiting(stranger) == set()


async def test_nobody_notes_progress_for_another(
    api: Any, owner: Any, friend: Any, database: str
) -> None:
    other = await sync_to_async(api.principal)(kind="friend")
    await sync_to_async(acl_store.add_grant)(
        database.strip("/"), other.name, read=True, write=False
    )
    await owner.put(f"{database}/one", {})
    await note(other, database, 10**6)
    assert await waiting(friend) == {DEVICE}


@pytest.mark.parametrize("said", [-1, "x", None, [], {}, 1.5, True])
async def test_what_cannot_be_understood_says_nothing(
    owner: Any, friend: Any, database: str, said: Any
) -> None:
    await owner.put(f"{database}/one", {})
    await note(friend, database, said)
    assert await waiting(friend) == {DEVICE}


async def test_a_pull_notes_its_progress_at_the_source(
    owner: Any, owner_http: httpx.AsyncClient, database: str
) -> None:
    far = RemotePeer(owner_http, database.strip("/"), name="far")
    await news.note_progress(far, DEVICE, "7-epoch")
    held = await owner.get(f"{database}/_local/{PREFIX}{DEVICE}")
    assert held.json()["lastSyncedSequenceNumber"] == "7-epoch"
    await news.note_progress(RemotePeer(owner_http, "nowhere", name="far"), DEVICE, 1)


@pytest.mark.usefixtures("no_other_databases")
async def test_a_device_of_the_owner_has_news_of_all_that_is_not_kept_apart(
    api: Any, owner: Any, database: str
) -> None:
    device = await sync_to_async(api.principal)(kind="device")
    key = key_of(device)
    await owner.put(f"{database}/one", {})
    assert await news.waits_for([Reader(key, key, True)]) == {key}
    names = (await owner.get("/_all_dbs")).json()
    for name in names:
        described = await owner.get(f"/{name}")
        if described.status == 200:
            await note(device, f"/{name}", described.json()["update_seq"], key)
    assert await news.waits_for([Reader(key, key, True)]) == set()
