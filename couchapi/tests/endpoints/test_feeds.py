"""Feeds that go on: longpoll, continuous and eventsource, of `_changes` and `_db_updates`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import sql, store
from couchapi import feeds, wakeups
from couchapi.core.params import ChangesQuery
from couchapi.feeds import Pace, Page, changes

LIVE = ["longpoll", "continuous", "eventsource"]
BEAT = b"event: heartbeat\ndata: \n\n"


async def _until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds; a test's own limit ends what never does."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def _waits(name: str) -> Callable[[], bool]:
    return lambda: name.removeprefix("/") in wakeups._waiters


async def _next_row(lines: AsyncIterator[bytes]) -> Any:
    """Return the next line that is a row, of whichever feed."""
    async for line in lines:
        text = line.removeprefix(b"data: ").rstrip(b",")
        if text.startswith((b'{"seq"', b'{"db_name"', b'{"last_seq"')):
            return json.loads(text)
    raise AssertionError("The feed has ended.")


@pytest.mark.parametrize("feed", LIVE)
async def test_a_write_wakes_a_waiting_feed(owner: Any, database: str, feed: str) -> None:
    async with owner.open(f"{database}/_changes", feed=feed, since="now") as open_feed:
        lines = open_feed.lines()
        await _until(_waits(database))
        await owner.put(f"{database}/a", {})
        assert (await _next_row(lines))["id"] == "a"


async def test_a_longpoll_answers_at_once_where_there_is_something(
    owner: Any, database: str
) -> None:
    await owner.put(f"{database}/a", {})
    answer = (await owner.get(f"{database}/_changes", feed="longpoll")).json()
    assert [row["id"] for row in answer["results"]] == ["a"]
    assert answer["last_seq"].startswith("1-")


async def test_a_longpoll_ends_after_the_first_write(owner: Any, database: str) -> None:
    call = asyncio.create_task(owner.get(f"{database}/_changes", feed="longpoll", since="now"))
    await _until(_waits(database))
    await owner.put(f"{database}/a", {})
    answer = (await call).json()
    assert [row["id"] for row in answer["results"]] == ["a"]


async def test_a_longpoll_without_news_ends_with_its_timeout(owner: Any, database: str) -> None:
    answer = (await owner.get(f"{database}/_changes", feed="longpoll", timeout=1)).json()
    assert answer["results"] == []
    assert answer["last_seq"].startswith("0-")


async def test_a_continuous_feed_that_times_out_says_where_it_was(
    owner: Any, database: str
) -> None:
    await owner.put(f"{database}/a", {})
    answer = await owner.get(f"{database}/_changes", feed="continuous", timeout=1)
    *rows, end = [json.loads(line) for line in answer.body.splitlines() if line]
    assert [row["id"] for row in rows] == ["a"]
    assert end == {"last_seq": rows[0]["seq"], "pending": 0}


async def test_a_timeout_does_not_cut_the_backlog(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.feeds.changes._PAGE", 1)
    docs = [{"_id": docid} for docid in "abc"]
    await owner.post(f"{database}/_bulk_docs", {"docs": docs})
    answer = await owner.get(f"{database}/_changes", feed="continuous", timeout=0)
    assert len(answer.body.splitlines()) == 4


async def test_a_continuous_feed_ends_with_its_limit(owner: Any, database: str) -> None:
    async with owner.open(f"{database}/_changes", feed="continuous", limit=2) as feed:
        lines = feed.lines()
        for docid in "ab":
            await _until(_waits(database))
            await owner.put(f"{database}/{docid}", {})
            assert (await _next_row(lines))["id"] == docid
        assert (await _next_row(lines))["last_seq"].startswith("2-")


async def test_live_is_another_word_for_continuous(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    answer = await owner.get(f"{database}/_changes", feed="live", timeout=1)
    assert len(answer.body.splitlines()) == 2


@pytest.mark.parametrize("feed", ["longpoll", "continuous"])
async def test_a_heartbeat_is_a_newline(owner: Any, database: str, feed: str) -> None:
    async with owner.open(f"{database}/_changes", feed=feed, heartbeat=1) as open_feed:
        beats = [piece async for piece in _first(open_feed.pieces(), 6)]
    assert beats.count(b"\n") >= 3


async def test_an_event_source_has_events_ids_and_heartbeats(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    path = f"{database}/_changes"
    async with owner.open(path, feed="eventsource", heartbeat=1) as feed:
        seen: set[bytes] = set()
        async for piece in feed.pieces():
            seen.add(piece)
            if len(seen - {b"", BEAT}) == 1 and BEAT in seen:  # A beat may come before the row.
                break
    ((data, number, end),) = [piece.split(b"\n", 2) for piece in seen - {b"", BEAT}]
    assert feed.headers["content-type"] == "text/event-stream"
    row = json.loads(data.removeprefix(b"data: "))
    assert number == b"id: " + row["seq"].encode()
    assert end == b"\n"


async def test_an_event_source_goes_on_where_the_browser_left_it(owner: Any, database: str) -> None:
    await owner.post(f"{database}/_bulk_docs", {"docs": [{"_id": "a"}, {"_id": "b"}]})
    seen = (await owner.get(f"{database}/_changes", limit=1)).json()["last_seq"]
    answer = await owner(
        "GET",
        f"{database}/_changes",
        headers={"last-event-id": seen},
        feed="eventsource",
        timeout=1,
    )
    assert answer.body.count(b"data: ") == 1
    assert b'"id":"b"' in answer.body


async def test_an_event_without_number_leaves_the_id_out(owner: Any, database: str) -> None:
    await owner.post(f"{database}/_bulk_docs", {"docs": [{"_id": "a"}, {"_id": "b"}]})
    answer = await owner.get(f"{database}/_changes", feed="eventsource", seq_interval=2, timeout=1)
    assert answer.body.count(b"data: ") == 2
    assert answer.body.count(b"\nid: ") == 1


async def test_a_write_that_a_filter_passes_over_sends_nothing(owner: Any, database: str) -> None:
    params = {"feed": "continuous", "filter": "_doc_ids", "doc_ids": ["b"]}
    async with owner.open(f"{database}/_changes", **params) as feed:
        lines = feed.lines()
        await _until(_waits(database))
        await owner.put(f"{database}/a", {})
        await owner.put(f"{database}/b", {})
        assert (await _next_row(lines))["id"] == "b"


async def test_a_client_that_leaves_ends_the_feed(owner: Any, database: str) -> None:
    async with owner.open(f"{database}/_changes", feed="continuous", heartbeat=10_000):
        await _until(_waits(database))
    await _until(lambda: not _waits(database)())


@pytest.mark.parametrize("again", [False, True])
async def test_a_deleted_database_ends_its_feeds(owner: Any, database: str, again: bool) -> None:
    await owner.put(f"{database}/a", {})
    async with owner.open(f"{database}/_changes", feed="continuous", heartbeat=10_000) as feed:
        lines = feed.lines()
        assert (await _next_row(lines))["id"] == "a"
        await owner.delete(database)
        if again:
            await owner.put(database)
            await owner.put(f"{database}/other", {})
        assert (await _next_row(lines))["last_seq"].startswith("1-")


@pytest.mark.parametrize("feed", LIVE)
async def test_nothing_is_sent_with_a_right_that_was_taken_away_however_busy_the_database_is(
    api: Any, database: str, feed: str
) -> None:
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    path = f"{database}/_changes"
    async with reader.open(path, feed=feed, since="now", heartbeat=10_000) as open_feed:
        await _until(_waits(database))
        await sync_to_async(store.remove_grant)(database[1:], reader.name)
        await api.owner.put(f"{database}/secret", {})  # No check is due: the write itself asks.
        body = b"".join([piece async for piece in open_feed.pieces()])
    assert b"secret" not in body


async def test_the_right_is_asked_for_between_the_pages_of_a_backlog(hub_identity: Any) -> None:
    async def never() -> bool:
        return False

    async def read(since: int, limit: int | None) -> Page:
        return Page([b"row"], since + 1, exhausted=False)

    pages = feeds.follow("nothing", 0, Pace(live=False, limit=3), read, never)
    assert [page.last async for page in pages] == [1]


async def test_a_reader_does_not_take_a_new_database_for_the_old_one(
    owner: Any, database: str
) -> None:
    name, query = database[1:], ChangesQuery()
    _, epoch = await sql.scan(partial(changes.start, db_name=name, query=query))
    read = changes.reader_of(name, epoch, query, None)
    await owner.delete(database)
    await owner.put(database)
    await owner.put(f"{database}/other", {})
    page = await sql.scan(partial(read, since=0, limit=None))
    assert (page.gone, page.rows) == (True, [])


async def test_a_narrower_right_ends_a_feed(api: Any, database: str) -> None:
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    path = f"{database}/_changes"
    async with reader.open(path, feed="continuous", heartbeat=10_000) as feed:
        await _until(_waits(database))
        await sync_to_async(store.remove_grant)(database[1:], reader.name)
        await sync_to_async(store.add_grant)(
            database[1:], reader.name, read=True, write=False, selector='{"public": true}'
        )
        await api.owner.put(f"{database}/secret", {})
        body = b"".join([piece async for piece in feed.pieces()])
    assert b"secret" not in body


# -- _db_updates -----------------------------------------------------------------------------------


async def test_updates_name_what_happened_to_databases(
    owner: Any, new_name: Callable[[], str]
) -> None:
    start = (await owner.get("/_db_updates")).json()["last_seq"]
    name = new_name()
    await owner.put(f"/{name}")
    created = (await owner.get("/_db_updates", since=start)).json()
    assert [(row["db_name"], row["type"]) for row in created["results"]] == [(name, "created")]
    await owner.put(f"/{name}/a", {})
    updated = (await owner.get("/_db_updates", since=created["last_seq"])).json()
    assert [row["type"] for row in updated["results"]] == ["updated"]
    await owner.delete(f"/{name}")
    deleted = (await owner.get("/_db_updates", since=updated["last_seq"])).json()
    assert [row["type"] for row in deleted["results"]] == ["deleted"]


async def test_a_limit_of_updates_loses_none(owner: Any, new_name: Callable[[], str]) -> None:
    start = (await owner.get("/_db_updates")).json()["last_seq"]
    made = [new_name() for _ in range(3)]
    for name in made:
        await owner.put(f"/{name}")
    seen = []
    for _ in made:
        answer = (await owner.get("/_db_updates", since=start, limit=1)).json()
        seen += [row["db_name"] for row in answer["results"]]
        start = answer["last_seq"]
    assert seen == made
    none = (await owner.get("/_db_updates", since="now", limit=0)).json()
    assert none["results"] == []


@pytest.mark.parametrize("feed", LIVE)
async def test_updates_come_while_a_client_waits(
    owner: Any, new_name: Callable[[], str], feed: str
) -> None:
    async with owner.open("/_db_updates", feed=feed, since="now") as open_feed:
        lines = open_feed.lines()
        await _until(_waits(wakeups.ANY_DATABASE))
        name = new_name()
        await owner.put(f"/{name}")
        assert (await _next_row(lines))["db_name"] == name


async def test_updates_that_time_out_say_where_they_were(owner: Any, database: str) -> None:
    answer = await owner.get("/_db_updates", feed="continuous", timeout=1, since="now")
    assert json.loads(answer.body)["last_seq"].isdigit()
    events = await owner.get("/_db_updates", feed="eventsource", timeout=1)
    assert events.headers["content-type"] == "text/event-stream"


async def test_updates_end_when_the_caller_sees_other_databases(
    api: Any, database: str, couch_database: str
) -> None:
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    path, params = "/_db_updates", {"feed": "continuous", "since": "now", "heartbeat": 10_000}
    async with reader.open(path, **params) as feed:
        await _until(_waits(wakeups.ANY_DATABASE))
        await sync_to_async(store.remove_grant)(database[1:], reader.name)
        await api.owner.put(f"{database}/secret", {})
        body = b"".join([piece async for piece in feed.pieces()])
    assert database[1:].encode() not in body


async def _first(pieces: AsyncIterator[bytes], number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield await anext(pieces)
