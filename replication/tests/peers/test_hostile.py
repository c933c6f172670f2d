"""What the other side may say, and what it gets by it: nothing that it was not to have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from replication import watching
from replication.core import schedule
from replication.core.errors import Retryable
from replication.peers import LocalPeer, RemotePeer
from replication.peers.base import Change, Fetched, Related, Wanted

NOTE = {"_id": "_local/note", "_rev": "1-a", "n": 1}


def peer(answer: httpx.Response) -> RemotePeer:
    """A database of a server that always answers so."""
    transport = httpx.MockTransport(lambda _: answer)
    return RemotePeer(httpx.AsyncClient(transport=transport, base_url="https://x"), "db", name="x")


async def test_target_gets_no_document_that_it_was_not_asked_about() -> None:
    diff = {"a": {"missing": ["1-a", "1-secret"]}, "secret": {"missing": ["1-a"]}}
    target = peer(httpx.Response(200, json=diff))
    assert await target.missing([Change("a", ("1-a", "2-b"))]) == [Wanted("a", "1-a")]


@pytest.mark.parametrize("seconds", ["999999999999", "9" * 400])
async def test_nobody_is_waited_for_until_after_the_last_year(seconds: str) -> None:
    target = peer(httpx.Response(503, headers={"retry-after": seconds}))
    with pytest.raises(Retryable) as raised:
        await target.exists()
    assert raised.value.after == schedule.LONGEST_PAUSE


async def test_source_writes_no_local_documents_here(owner: Any, database: str) -> None:
    here = LocalPeer(database.strip("/"))
    (failure,) = await here.write([Fetched("_local/note", "1-a", value=NOTE)])
    assert (failure.docid, failure.word) == ("_local/note", "forbidden")
    related = Related(Wanted("_local/note", "1-a"), "multipart/related", _pieces())
    again = await here.write_related(related)
    assert again is not None and again.word == "forbidden"
    assert (await owner.get(f"{database}/_local/note")).status == 404


async def test_server_that_describes_its_database_at_length_is_not_heard_out() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * 100_000

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport, base_url="https://x") as client:
        with pytest.raises(Retryable):
            await watching._json(client, "/db", {})
    assert read < 100


async def _pieces() -> AsyncIterator[bytes]:
    yield b""
