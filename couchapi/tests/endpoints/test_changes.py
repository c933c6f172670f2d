"""`_changes` in its four forms (CouchDB docs, "api/database/changes")."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

A, B = "a" * 32, "b" * 32


@pytest.fixture
async def three(owner: Any, database: str) -> str:
    """The feed of a database where a, b and c were made, and a was changed."""
    rev = (await owner.put(f"{database}/a", {"kind": "fruit"})).json()["rev"]
    await owner.put(f"{database}/b", {"kind": "tool"})
    await owner.put(f"{database}/_design/c", {})
    await owner.put(f"{database}/a", {"_rev": rev, "kind": "fruit", "n": 2})
    return f"{database}/_changes"


def ids(answer: Any) -> list[str]:
    return [row["id"] for row in answer.json()["results"]]


async def test_each_document_stands_where_its_last_change_put_it(owner: Any, three: str) -> None:
    answer = await owner.get(three)
    assert ids(answer) == ["b", "_design/c", "a"]
    body = answer.json()
    assert body["pending"] == 0
    assert body["last_seq"] == body["results"][-1]["seq"]
    assert [int(row["seq"].split("-")[0]) for row in body["results"]] == [2, 3, 4]


async def test_a_reader_resumes_where_it_stopped(owner: Any, three: str) -> None:
    first = (await owner.get(three, limit=1)).json()
    assert [row["id"] for row in first["results"]] == ["b"]
    assert first["pending"] == 2
    rest = await owner.get(three, since=first["last_seq"])
    assert ids(rest) == ["_design/c", "a"]


async def test_now_and_no_limit_give_nothing(owner: Any, three: str) -> None:
    assert ids(await owner.get(three, since="now")) == []
    assert ids(await owner.get(three, limit=0)) == []


async def test_the_newest_may_come_first(owner: Any, three: str) -> None:
    assert ids(await owner.get(three, descending=True)) == ["a", "_design/c", "b"]
    assert ids(await owner.get(three, descending=True, limit=1)) == ["a"]


async def test_a_since_of_another_database_of_the_name_starts_again(
    owner: Any, three: str, database: str
) -> None:
    old = (await owner.get(three)).json()["last_seq"]
    await owner.delete(database)
    await owner.put(database)
    await owner.put(f"{database}/new", {})
    assert ids(await owner.get(three, since=old)) == ["new"]


async def test_deletions_are_told(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    await owner.delete(f"{database}/a", rev=rev)
    (row,) = (await owner.get(f"{database}/_changes", include_docs=True)).json()["results"]
    assert row["deleted"] is True
    assert row["doc"]["_deleted"] is True


async def test_all_leaves_are_told_when_asked_for(owner: Any, couch_database: str) -> None:
    docs = [{"_id": "d", "_rev": f"1-{one}"} for one in (A, B)]
    await owner.post(f"{couch_database}/_bulk_docs", {"new_edits": False, "docs": docs})
    feed = f"{couch_database}/_changes"
    (row,) = (await owner.get(feed)).json()["results"]
    assert row["changes"] == [{"rev": f"1-{B}"}]
    (row,) = (await owner.get(feed, style="all_docs")).json()["results"]
    assert row["changes"] == [{"rev": f"1-{B}"}, {"rev": f"1-{A}"}]
    (row,) = (await owner.get(feed, include_docs=True, conflicts=True)).json()["results"]
    assert row["doc"]["_conflicts"] == [f"1-{A}"]


async def test_sequences_may_be_told_now_and_then(owner: Any, three: str) -> None:
    rows = (await owner.get(three, seq_interval=2)).json()["results"]
    assert [row["seq"] is None for row in rows][:2] == [True, False]


async def test_some_documents_are_followed_by_their_ids(owner: Any, three: str) -> None:
    asked = {"doc_ids": ["a", "missing"]}
    assert ids(await owner.post(three, asked, filter="_doc_ids")) == ["a"]
    assert ids(await owner.get(three, filter="_doc_ids", doc_ids=["b"])) == ["b"]


async def test_some_documents_are_followed_by_a_selector(owner: Any, three: str) -> None:
    answer = await owner.post(three, {"selector": {"kind": "tool"}}, filter="_selector")
    assert ids(answer) == ["b"]
    assert answer.json()["last_seq"].startswith("4-")


async def test_design_documents_are_followed(owner: Any, three: str) -> None:
    assert ids(await owner.get(three, filter="_design")) == ["_design/c"]


async def test_a_filter_counts_before_the_limit(owner: Any, three: str) -> None:
    answer = await owner.post(three, {"selector": {"kind": "fruit"}}, filter="_selector", limit=1)
    assert ids(answer) == ["a"]


async def test_an_etag_saves_the_second_reading(owner: Any, three: str, database: str) -> None:
    etag = (await owner.get(three)).headers["etag"]
    assert (await owner("GET", three, headers={"if-none-match": etag})).status == 304
    await owner.put(f"{database}/more", {})
    assert (await owner("GET", three, headers={"if-none-match": etag})).status == 200


async def test_a_write_wakes_a_long_poll(owner: Any, database: str) -> None:
    async with owner.open(f"{database}/_changes", feed="longpoll", timeout="50000") as feed:
        pieces = feed.pieces()
        assert await anext(pieces) == b'{"results":[\n'
        await owner.put(f"{database}/a", {})
        rest = b"".join([piece async for piece in pieces])
    body = json.loads(b'{"results":[' + rest)
    assert [row["id"] for row in body["results"]] == ["a"]
    assert "etag" not in feed.headers


async def test_a_long_poll_that_finds_something_ends_at_once(owner: Any, three: str) -> None:
    answer = await owner.get(three, feed="longpoll", timeout="50000")
    assert ids(answer) == ["b", "_design/c", "a"]


async def test_a_long_poll_ends_with_nothing_when_its_time_is_over(
    owner: Any, database: str
) -> None:
    answer = await owner.get(f"{database}/_changes", feed="longpoll", timeout="10")
    assert answer.json()["results"] == []


async def test_a_continuous_feed_goes_on(owner: Any, three: str, database: str) -> None:
    async with owner.open(three, feed="continuous", heartbeat="20") as feed:
        lines = feed.lines()
        seen = [json.loads(await anext(lines))["id"] for _ in range(3)]
        assert await anext(lines) == b""  # a heartbeat
        await owner.put(f"{database}/more", {})
        while not (line := await anext(lines)):
            pass
        seen.append(json.loads(line)["id"])
    assert seen == ["b", "_design/c", "a", "more"]


async def test_a_continuous_feed_ends_with_where_it_stopped(owner: Any, three: str) -> None:
    answer = await owner.get(three, feed="continuous", timeout="10")
    *rows, end = [json.loads(line) for line in answer.body.splitlines() if line]
    assert [row["id"] for row in rows] == ["b", "_design/c", "a"]
    assert end == {"last_seq": rows[-1]["seq"], "pending": 0}


async def test_a_continuous_feed_stops_at_its_limit(owner: Any, three: str) -> None:
    answer = await owner.get(three, feed="continuous", limit=2, timeout="50000")
    rows = [json.loads(line) for line in answer.body.splitlines() if line]
    assert [row.get("id") for row in rows] == ["b", "_design/c", None]


async def test_an_event_source_is_told_ids_to_resume_from(owner: Any, three: str) -> None:
    async with owner.open(three, feed="eventsource", heartbeat="50000") as feed:
        lines = feed.lines()
        data, seq = await anext(lines), await anext(lines)
    assert feed.headers["content-type"].startswith("text/event-stream")
    assert json.loads(data.removeprefix(b"data: "))["id"] == "b"
    assert seq.startswith(b"id: 2-")
    last = seq.removeprefix(b"id: ").decode()
    answer = await owner("GET", three, headers={"last-event-id": last}, feed="eventsource", limit=1)
    assert b'"id":"_design/c"' in answer.body


async def test_a_client_that_leaves_ends_its_feed(owner: Any, database: str) -> None:
    from couchapi import wakeups

    async with owner.open(f"{database}/_changes", feed="continuous", heartbeat="50000") as feed:
        await anext(feed.pieces())
        while database[1:] not in wakeups._waiters:
            await asyncio.sleep(0)
    assert database[1:] not in wakeups._waiters


async def test_a_feed_of_a_deleted_database_ends(owner: Any, database: str) -> None:
    async with owner.open(f"{database}/_changes", feed="continuous", heartbeat="50000") as feed:
        pieces = feed.pieces()
        await anext(pieces)
        await owner.delete(database)
        rest = b"".join([piece async for piece in pieces])
    assert rest.count(b"last_seq") == 1


async def test_database_updates_are_followed(owner: Any, new_name: Any) -> None:
    since = (await owner.get("/_db_updates")).json()["last_seq"]
    name = new_name()
    async with owner.open(
        "/_db_updates", feed="continuous", since=since, heartbeat="50000"
    ) as feed:
        lines = feed.lines()
        await owner.put(f"/{name}")
        while not (line := await anext(lines)):
            pass
    assert json.loads(line)["db_name"] == name
    assert json.loads(line)["type"] == "created"
