"""`_changes` through functions of design documents, on every kind of feed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store
from couchapi.feeds import filtered
from couchapi.tests.endpoints.test_feeds import _until, _waits

DESIGN = {
    "filters": {
        "even": "function(doc, req) { return doc.n % 2 === 0; }",
        "least": "(doc, req) => doc.n >= parseInt(req.query.least)",
        "gone": "doc => doc._deleted",
        "throws": "doc => { throw new Error('odd'); }",
        "late": "doc => { if (doc.n === 3) throw new Error('odd'); return true; }",
        "broken": "function(",
        "shows": "(doc, req) => { throw toJSON([req.query, req.headers, req.peer, req.cookie]); }",
        "public": "doc => doc.public",
    },
    "views": {"big": {"map": "doc => { if (doc.n > 2) emit(doc.n); }"}},
}


@pytest.fixture
async def numbered(owner: Any, couch_database: str) -> str:
    """A database with the documents 0 to 5, and the design document first."""
    await owner.put(f"{couch_database}/_design/d", DESIGN)
    docs = [{"_id": str(n), "n": n} for n in range(6)]
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": docs})
    return couch_database


async def ids(client: Any, database: str, **params: Any) -> list[str]:
    answer = await client.get(f"{database}/_changes", **params)
    assert answer.status == 200, answer.body
    return [row["id"] for row in answer.json()["results"]]


async def test_a_filter_function_chooses_the_rows(owner: Any, numbered: str) -> None:
    assert await ids(owner, numbered, filter="d/even") == ["0", "2", "4"]
    assert await ids(owner, numbered, filter="d/least", least=4) == ["4", "5"]
    assert await ids(owner, numbered, filter="d/even", descending=True) == ["4", "2", "0"]


async def test_a_view_chooses_what_it_emits_for(owner: Any, numbered: str) -> None:
    assert await ids(owner, numbered, filter="_view", view="d/big") == ["3", "4", "5"]


async def test_the_limit_counts_rows_that_passed_and_the_next_page_goes_on(
    owner: Any, numbered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtered, "_PAGE", 2)
    path = f"{numbered}/_changes"
    seen, since = [], "0"
    for _ in range(4):
        answer = (await owner.get(path, filter="d/even", limit=1, since=since)).json()
        seen += [row["id"] for row in answer["results"]]
        since = answer["last_seq"]
    assert seen == ["0", "2", "4"]
    assert answer["pending"] == 0
    assert await ids(owner, numbered, filter="d/even", limit=0) == []


async def test_deleted_documents_are_filtered_too(owner: Any, numbered: str) -> None:
    rev = (await owner.get(f"{numbered}/1")).json()["_rev"]
    await owner("DELETE", f"{numbered}/1", rev=rev)
    assert await ids(owner, numbered, filter="d/gone") == ["1"]


async def test_with_all_leaves_each_is_judged_by_itself(owner: Any, couch_database: str) -> None:
    await owner.put(f"{couch_database}/_design/d", DESIGN)
    docs = [
        {"_id": "c", "_rev": "1-aa", "n": 1},
        {"_id": "c", "_rev": "1-bb", "n": 2},
        {"_id": "c", "_rev": "1-cc", "n": 4},
    ]
    await owner.post(f"{couch_database}/_bulk_docs", {"new_edits": False, "docs": docs})
    path = f"{couch_database}/_changes"
    asked = {"filter": "d/even", "style": "all_docs", "include_docs": True}
    (row,) = (await owner.get(path, **asked)).json()["results"]
    assert row["changes"] == [{"rev": "1-cc"}, {"rev": "1-bb"}]
    assert row["doc"]["_rev"] == "1-cc"


@pytest.mark.parametrize("feed", ["longpoll", "continuous", "eventsource"])
async def test_live_feeds_filter_what_comes(owner: Any, numbered: str, feed: str) -> None:
    path = f"{numbered}/_changes"
    seen = (await owner.get(path)).json()["last_seq"]
    asked = {"filter": "d/even", "feed": feed, "since": seen, "heartbeat": 10_000}
    async with owner.open(path, **asked) as exchange:
        await _until(_waits(numbered))
        await owner.put(f"{numbered}/odd", {"n": 7})
        await owner.put(f"{numbered}/even", {"n": 8})
        text = b""
        async for piece in exchange.pieces():
            text += piece
            if b'"even"' in text:
                break
    assert b'"odd"' not in text


@pytest.mark.parametrize(
    ("params", "status", "word", "reason"),
    [
        ({"filter": "none/f"}, 404, "not_found", "missing"),
        ({"filter": "d/none"}, 404, "not_found", "missing json key: none"),
        ({"filter": "d"}, 400, "bad_request", "designname/filtername"),
        ({"filter": "_view"}, 400, "bad_request", "`view` filter"),
        ({"filter": "_view", "view": "d/none"}, 404, "not_found", "missing json key: none"),
        ({"filter": "_nothing"}, 400, "bad_request", "builtin"),
        ({"filter": "d/broken"}, 400, "compilation_error", "SyntaxError"),
        ({"filter": "d/throws"}, 400, "function_failed", "odd"),
    ],
)
@pytest.mark.parametrize("feed", ["normal", "continuous"])
async def test_a_filter_that_is_missing_or_fails_says_so(
    owner: Any,
    numbered: str,
    feed: str,
    params: dict[str, str],
    status: int,
    word: str,
    reason: str,
) -> None:
    answer = await owner.get(f"{numbered}/_changes", feed=feed, timeout=1, **params)
    assert (answer.status, answer.json()["error"]) == (status, word)
    assert reason in answer.json()["reason"]


async def test_a_filter_that_fails_later_breaks_the_answer_off(
    owner: Any, numbered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtered, "_PAGE", 2)
    answer = await owner.get(f"{numbered}/_changes", filter="d/late", feed="continuous", timeout=1)
    *rows, last = answer.body.strip().splitlines()
    assert json.loads(last) == {"error": "function_failed", "reason": "Error: odd"}
    assert json.loads(rows[0])["id"] == "_design/d"
    with pytest.raises(ValueError):
        (await owner.get(f"{numbered}/_changes", filter="d/late")).json()


async def test_a_filter_that_fails_later_ends_an_event_source(
    owner: Any, numbered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtered, "_PAGE", 2)
    asked = {"filter": "d/late", "feed": "eventsource", "timeout": 1}
    answer = await owner.get(f"{numbered}/_changes", **asked)
    *_, last = answer.body.strip().split(b"\n\n")
    kind, data = last.split(b"\n")
    assert kind == b"event: error"
    failed = {"error": "function_failed", "reason": "Error: odd"}
    assert json.loads(data.removeprefix(b"data:")) == failed


async def test_a_listing_that_lets_nothing_through_sends_heartbeats_and_ends(
    owner: Any, numbered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtered, "_PAGE", 1)
    asked = {"filter": "d/least", "least": 99, "heartbeat": 1}
    answer = await owner.get(f"{numbered}/_changes", **asked)
    assert answer.json()["results"] == []
    assert answer.body.removeprefix(b'{"results":[\n').startswith(b"\n\n")


async def test_a_function_learns_nothing_that_identifies_the_client(
    api: Any, owner: Any, numbered: str
) -> None:
    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(numbered[1:], friend.name, read=True, write=False)
    headers = {"user-agent": "secret-agent", "cookie": "c=secret"}
    answer = await friend.get(f"{numbered}/_changes", filter="d/shows", q="1", headers=headers)
    query, headers, peer, cookie = json.loads(json.loads(answer.body)["reason"])
    assert query == {"filter": "d/shows", "q": "1"}
    assert headers.keys() <= {"Accept", "Content-Type"}
    assert (peer, cookie) == ("undefined", {})


async def test_a_function_does_not_see_the_token_of_the_application(
    api: Any, numbered: str
) -> None:
    app = await sync_to_async(api.application)()
    await sync_to_async(store.add_grant)(numbered[1:], app.name, read=True, write=False)
    answer = await app.get(f"{numbered}/_changes", filter="d/shows", q="1")
    assert answer.json()["reason"].startswith("[")
    assert app.token not in answer.body.decode()


async def test_a_selector_reader_sees_only_what_it_may_and_what_passes(
    api: Any, owner: Any, couch_database: str
) -> None:
    await owner.put(f"{couch_database}/_design/d", DESIGN)
    docs = [{"_id": str(n), "n": n, "public": n > 2} for n in range(6)]
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": docs})
    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        couch_database[1:], friend.name, read=True, write=False, selector='{"public": true}'
    )
    # The design document is hidden from this caller, and still filters for it.
    assert await ids(friend, couch_database, filter="d/even") == ["4"]


async def test_a_filter_that_lets_nothing_through_sends_heartbeats(
    owner: Any, numbered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtered, "_PAGE", 1)
    path = f"{numbered}/_changes"
    asked = {"filter": "d/least", "least": 99, "feed": "continuous", "heartbeat": 1}
    async with owner.open(path, **asked) as exchange:
        async for piece in exchange.pieces():
            if b"\n" in piece:
                break
    assert piece.strip() == b""


async def test_a_feed_keeps_the_function_that_it_began_with(owner: Any, numbered: str) -> None:
    path = f"{numbered}/_changes"
    seen = (await owner.get(path)).json()["last_seq"]
    asked = {"filter": "d/even", "feed": "continuous", "since": seen, "heartbeat": 10_000}
    async with owner.open(path, **asked) as exchange:
        await _until(_waits(numbered))
        design = (await owner.get(f"{numbered}/_design/d")).json()
        await owner("DELETE", f"{numbered}/_design/d", rev=design["_rev"])
        await owner.put(f"{numbered}/even", {"n": 8})
        async for piece in exchange.pieces():
            if b'"even"' in piece:
                break
    answer = await owner.get(path, filter="d/even")
    assert (answer.status, answer.json()["reason"]) == (404, "deleted")
