"""Indexes of views: how they follow the database, what is known of them, who may read them."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import sql, store
from acl.core.errors import NoSuchHolder
from couchapi import javascript, parsers, tasks
from couchapi.store import databases, indexes
from couchapi.tests.endpoints.tenviews import VIEWS, Ask, ask, ids_of, ten, write
from couchapi.viewreader import groups, rows

__all__ = ["ask", "ten"]


# -- the index -------------------------------------------------------------------------------------


async def test_an_index_follows_what_is_written(owner: Any, ask: Ask, ten: str) -> None:
    assert (await ask("count"))["rows"][0]["value"] == 10
    rev = (await owner.get(f"{ten}/d3")).json()["_rev"]
    await owner.delete(f"{ten}/d3", rev=rev)
    rev = (await owner.get(f"{ten}/d4")).json()["_rev"]
    await owner.put(f"{ten}/d4", {"_rev": rev, "n": 40, "kind": "even"})
    assert ids_of(await ask("by_n")) == "012567894"
    assert (await ask("count"))["rows"][0]["value"] == 9


async def test_an_index_is_brought_up_to_date_as_asked(owner: Any, ask: Ask, ten: str) -> None:
    assert (await ask("by_n", update="false"))["total_rows"] == 0
    await ask("by_n")
    await write(owner, ten, [10])
    assert (await ask("by_n", update="false"))["total_rows"] == 10
    assert (await ask("by_n", stale="ok"))["total_rows"] == 10
    async with asyncio.timeout(20):
        while (await ask("by_n", update="lazy"))["total_rows"] != 11:
            await asyncio.sleep(0)
    assert (await ask("by_n"))["total_rows"] == 11


async def test_the_sequence_number_comes_where_it_is_asked_for(
    owner: Any, ask: Ask, ten: str
) -> None:
    seq = (await owner.get(ten)).json()["update_seq"]
    assert (await ask("by_n", update_seq="true", limit=1))["update_seq"] == seq
    assert (await ask("count", update_seq="true"))["update_seq"] == seq


async def test_a_document_that_cannot_be_mapped_does_not_stop_the_index(
    owner: Any, database: str
) -> None:
    for docid in "abc":
        await owner.put(f"{database}/{docid}", {"bad": docid == "b"})
    source = "function (doc) { if (doc.bad) throw 'no'; emit(doc._id, null); }"
    await owner.put(f"{database}/_design/d", {"views": {"v": {"map": source}}})
    answer = (await owner.get(f"{database}/_design/d/_view/v")).json()
    assert [row["id"] for row in answer["rows"]] == ["a", "c"]
    state = (await _indexes(database))[0]
    assert '"id":"b"' in state.last_error


async def test_documents_that_emit_very_much_are_stored_few_at_a_time(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    store_batch = indexes.store

    def noting(connection: Any, index: Any, seq: int, *rest: Any) -> bool:
        batches.append(len(rest[2]))
        return store_batch(connection, index, seq, *rest)

    monkeypatch.setattr(indexes, "store", noting)
    monkeypatch.setattr(javascript, "_BATCH", 2)
    monkeypatch.setattr(javascript, "_MOST_OUTPUT", 500)
    await write(owner, database, range(9))
    source = "function (doc) { for (var n = 0; n < 10; n++) emit(n, 'x'.repeat(20)); }"
    await owner.put(f"{database}/_design/d", {"views": {"v": {"map": source}}})
    answer = await owner.get(f"{database}/_design/d/_view/v", limit=0)
    assert answer.json()["total_rows"] == 90
    assert batches == [40, 40, 10]


async def test_options_choose_what_a_map_function_sees(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    design = {
        "views": {"v": {"map": "function (doc) { emit(doc._id, doc._local_seq); }"}},
        "options": {"local_seq": True, "include_design": True},
    }
    await owner.put(f"{database}/_design/d", design)
    rows = (await owner.get(f"{database}/_design/d/_view/v")).json()["rows"]
    assert [(row["key"], row["value"]) for row in rows] == [("_design/d", 2), ("a", 1)]


async def _indexes(database: str) -> list[indexes.IndexState]:
    def job(connection: sql.Sql) -> list[indexes.IndexState]:
        found = databases.get(connection, database[1:])
        return indexes.of_database(connection, found.id)

    return await sql.scan(job)


async def test_groups_of_views_that_are_alike_share_an_index(
    owner: Any, ask: Ask, ten: str
) -> None:
    await owner.put(f"{ten}/_design/e", {"views": VIEWS, "filters": {"f": "function () {}"}})
    await ask("by_n")
    assert len((await owner.get(f"{ten}/_design/e/_view/by_n")).json()["rows"]) == 10
    assert len(await _indexes(ten)) == 1


async def test_indexes_that_no_view_needs_are_cleaned_up(
    owner: Any, ask: Ask, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Any] = []
    monkeypatch.setattr(tasks.remove_indexes, "delay", lambda: handed.append(1))
    await ask("by_n")
    (old,) = await _indexes(ten)
    rev = (await owner.get(f"{ten}/_design/d")).json()["_rev"]
    changed = {"_rev": rev, "views": {"by_n": VIEWS["by_n"]}}
    await owner.put(f"{ten}/_design/d", changed)
    await ask("by_n")
    assert len(await _indexes(ten)) == 2
    path, headers = f"{ten}/_view_cleanup", {"content-type": "application/json"}
    assert (await owner("POST", path, b"", headers=headers)).status == 202
    (kept,) = await _indexes(ten)
    assert kept.id != old.id
    assert handed == [1]
    await sync_to_async(tasks.remove_indexes)()
    assert await sql.scan(partial(indexes.get, index_id=old.id)) is None
    assert (await ask("by_n"))["total_rows"] == 10
    assert (await owner("POST", path, b"", headers=headers)).status == 202
    assert handed == [1]


async def test_an_index_goes_with_its_database(owner: Any, ask: Ask, ten: str) -> None:
    await ask("by_n")
    (index,) = await _indexes(ten)
    await owner.delete(ten)
    await sync_to_async(tasks.housekeeping)()
    assert await sql.scan(partial(indexes.get, index_id=index.id)) is None


async def test_what_is_known_of_an_index(owner: Any, ask: Ask, ten: str) -> None:
    before = (await owner.get(f"{ten}/_design/d/_info")).json()
    assert before["name"] == "d"
    assert before["view_index"]["update_seq"] == 0
    assert before["view_index"]["updates_pending"]["total"] == 11
    await ask("by_n")
    after = (await owner.get(f"{ten}/_design/d/_info")).json()["view_index"]
    assert after["signature"] == before["view_index"]["signature"]
    assert (after["language"], after["update_seq"]) == ("javascript", 11)
    assert after["updates_pending"] == {"minimum": 0, "preferred": 0, "total": 0}
    assert after["sizes"]["active"] > 0
    assert after["updater_running"] is False


# -- ETag ------------------------------------------------------------------------------------------


async def test_an_answer_that_did_not_change_is_not_sent_again(owner: Any, ten: str) -> None:
    path = f"{ten}/_design/d/_view/by_n"
    tag = (await owner.get(path, limit=1)).headers["etag"]

    async def status(**params: Any) -> int:
        answer = await owner("GET", path, headers={"if-none-match": tag}, **params)
        return int(answer.status)

    assert await status(limit=1) == 304
    assert await status(limit=2) == 200
    await write(owner, ten, [10])
    assert await status(limit=1) == 200


# -- rights ----------------------------------------------------------------------------------------


async def _granted(api: Any, database: str, **grant: Any) -> Any:
    friend = await sync_to_async(api.principal)()
    wanted = {"read": True, "write": False} | grant
    await sync_to_async(store.add_grant)(database[1:], friend.name, **wanted)
    return friend


async def test_who_may_read_a_view_gets_its_rows_and_nothing_else(api: Any, ten: str) -> None:
    friend = await _granted(api, ten, view="d/count")
    path = f"{ten}/_design/d/_view"
    rows = await friend.get(f"{path}/count", reduce="false", limit=1)
    assert rows.json()["total_rows"] == 10
    assert "etag" not in rows.headers
    assert (await friend.get(f"{path}/count", group="true")).status == 200
    assert (await friend.post(f"{path}/count/queries", {"queries": [{}]})).status == 200
    for params in ("include_docs", "conflicts", "attachments", "att_encoding_info", "update_seq"):
        refused = await friend.get(f"{path}/count", reduce="false", **{params: "true"})
        assert (refused.status, refused.json()["error"]) == (403, "forbidden")
        body = {"queries": [{"reduce": False, params: True}]}
        assert (await friend.post(f"{path}/count/queries", body)).status == 403
    other, missing = await friend.get(f"{path}/by_n"), await friend.get(f"{path}/nothing")
    assert (other.status, other.body) == (missing.status, missing.body)
    assert other.status == 403
    for path in ("/_design/d/_info", "/_design/d", "/d1", "/_all_docs", "/_changes"):
        assert (await friend.get(ten + path)).status == 403


async def test_a_selector_applies_to_rows_totals_and_reductions(
    api: Any, owner: Any, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_PAGE", 3)
    monkeypatch.setattr(groups, "_PAGE", 3)
    friend = await _granted(api, ten, selector='{"n": {"$gte": 6}}')
    path = f"{ten}/_design/d/_view"
    answer = (await friend.get(f"{path}/by_n", include_docs="true")).json()
    assert ids_of(answer) == "6789"
    assert answer["total_rows"] == 4
    assert answer["offset"] is None
    some = await friend.get(f"{path}/by_n", skip=1, limit=2, descending="true")
    assert ids_of(some.json()) == "87"
    assert ids_of((await friend.get(f"{path}/by_n", keys="[7,1,9]")).json()) == "79"
    assert (await friend.get(f"{path}/count")).json()["rows"][0]["value"] == 4
    grouped = (await friend.get(f"{path}/total", group_level=1)).json()["rows"]
    assert grouped == [{"key": ["even"], "value": 17}, {"key": ["odd"], "value": 13}]
    assert (await owner.get(f"{path}/count")).json()["rows"][0]["value"] == 10


async def test_a_selector_hides_linked_documents(api: Any, owner: Any, ten: str) -> None:
    friend = await _granted(api, ten, selector='{"n": {"$gte": 6}}')
    await owner.put(f"{ten}/a", {"n": 7, "friend": "d1"})
    await owner.put(f"{ten}/b", {"n": 7, "friend": "d9"})
    path = f"{ten}/_design/d/_view/linked"
    found = (await friend.get(path, keys='["a","b"]', include_docs="true")).json()["rows"]
    assert found[0]["doc"] is None
    assert found[1]["doc"]["_id"] == "d9"


async def test_a_row_of_an_older_version_is_not_shown_by_the_newer_one(
    api: Any, owner: Any, ask: Ask, ten: str
) -> None:
    await ask("by_n")
    rev = (await owner.get(f"{ten}/d1")).json()["_rev"]
    await owner.put(f"{ten}/d1", {"_rev": rev, "n": 99, "kind": "now to be seen"})
    friend = await _granted(api, ten, selector='{"n": {"$gte": 6}}')
    path = f"{ten}/_design/d/_view/by_n"
    assert ids_of((await friend.get(path, update="false")).json()) == "6789"
    assert ids_of((await friend.get(path)).json()) == "67891"


async def test_documents_are_no_longer_sent_when_only_the_right_on_the_view_is_left(
    api: Any, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsers, "SECONDS_TRUSTED", -1)
    monkeypatch.setattr(rows, "_PAGE", 1)
    friend = await _granted(api, ten)
    kind_of_request = type(friend.open("/"))
    send = kind_of_request._send

    async def take_slowly(exchange: Any, message: dict[str, Any]) -> None:
        await send(exchange, message)
        if message.get("body"):
            with contextlib.suppress(NoSuchHolder):
                await sync_to_async(store.remove_grant)(ten[1:], friend.name)
            grant = {"read": True, "write": False, "view": "d/by_n"}
            await sync_to_async(store.add_grant)(ten[1:], friend.name, **grant)

    monkeypatch.setattr(kind_of_request, "_send", take_slowly)
    async with friend.open(f"{ten}/_design/d/_view/by_n", include_docs="true") as answer:
        await asyncio.wait([answer._task])
        assert answer._task.cancelled()
