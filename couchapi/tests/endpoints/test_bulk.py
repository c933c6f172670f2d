"""`_bulk_docs` and `_bulk_get` as CouchDB answers them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store
from couchapi.core import revid

A, B = "a" * 32, "b" * 32
DAY = 24 * 3_600_000


async def _write(client: Any, database: str, *docs: Any, **members: Any) -> Any:
    return await client.post(f"{database}/_bulk_docs", {"docs": list(docs), **members})


async def _get(client: Any, database: str, *asked: Any, **params: Any) -> list[Any]:
    answer = await client.post(f"{database}/_bulk_get", {"docs": list(asked)}, **params)
    assert answer.status == 200, answer.body
    results: list[Any] = answer.json()["results"]
    return results


# -- _bulk_docs ------------------------------------------------------------------------------------


async def test_each_document_is_answered_in_the_order_sent(owner: Any, database: str) -> None:
    answer = await _write(owner, database, {"_id": "b"}, {"x": 1}, {"_id": "a"})
    assert answer.status == 201
    rows = answer.json()
    assert [rows[0]["id"], rows[2]["id"]] == ["b", "a"]
    assert len(rows[1]["id"]) == 32
    assert all(row["ok"] is True and row["rev"].startswith("1-") for row in rows)


async def test_an_empty_batch_is_fine(owner: Any, database: str) -> None:
    answer = await _write(owner, database)
    assert (answer.status, answer.json()) == (201, [])


async def test_a_conflict_stops_its_document_and_no_other(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    rows = (await _write(owner, database, {"_id": "a", "x": 1}, {"_id": "b"})).json()
    assert rows[0] == {"id": "a", "error": "conflict", "reason": "Document update conflict."}
    assert rows[1]["ok"] is True
    assert (await owner.get(f"{database}/a")).json().get("x") is None


async def test_a_document_that_stands_twice_conflicts_with_itself(
    owner: Any, database: str
) -> None:
    rows = (await _write(owner, database, {"_id": "a", "x": 1}, {"_id": "a", "x": 2})).json()
    assert rows[0]["ok"] is True
    assert rows[1]["error"] == "conflict"
    assert (await owner.get(f"{database}/a")).json()["x"] == 1


async def test_a_batch_updates_and_deletes(owner: Any, database: str) -> None:
    first = (await _write(owner, database, {"_id": "a"}, {"_id": "b"})).json()
    rows = (
        await _write(
            owner,
            database,
            {"_id": "a", "_rev": first[0]["rev"], "x": 2},
            {"_id": "b", "_rev": first[1]["rev"], "_deleted": True},
        )
    ).json()
    assert [row["rev"][:2] for row in rows] == ["2-", "2-"]
    assert (await owner.get(f"{database}/a")).json()["x"] == 2
    assert (await owner.get(f"{database}/b")).json() == {"error": "not_found", "reason": "deleted"}


async def test_revisions_made_elsewhere_are_answered_with_an_empty_list(
    owner: Any, database: str
) -> None:
    revisions = {"start": 3, "ids": ["c" * 32, B, A]}
    doc = {"_id": "d", "_rev": "3-" + "c" * 32, "_revisions": revisions, "x": 1}
    answer = await _write(owner, database, doc, new_edits=False)
    assert (answer.status, answer.json()) == (201, [])
    shown = (await owner.get(f"{database}/d", revs=True)).json()
    assert shown == doc
    again = await _write(owner, database, doc, new_edits=False)
    assert again.json() == []
    assert (await owner.get(database)).json()["update_seq"].startswith("1-")


async def test_an_edit_dated_far_ahead_is_refused_alone(api: Any, database: str) -> None:
    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], friend.name, read=True, write=True)
    ahead = revid.mint(None, False, b"{}", (), time.time_ns() // 1_000_000 + 3 * DAY)
    docs = [{"_id": "future", "_rev": str(ahead)}, {"_id": "now", "_rev": f"1-{A}"}]
    rows = (await _write(friend, database, *docs, new_edits=False)).json()
    assert [(row["id"], row["error"]) for row in rows] == [("future", "forbidden")]
    assert (await friend.get(f"{database}/future")).status == 404
    assert (await friend.get(f"{database}/now")).status == 200


@pytest.mark.parametrize(
    ("doc", "new_edits", "word"),
    [
        ({"_id": "_bad"}, True, "illegal_docid"),
        ({"_id": ""}, True, "illegal_docid"),
        ({"_id": 1}, True, "illegal_docid"),
        ({"_id": "a", "_nothing": 1}, True, "doc_validation"),
        ({"_id": "a"}, False, "bad_request"),
        ({"_id": "a", "_rev": "foo"}, True, "bad_request"),
        ([], True, "bad_request"),
        ("a", True, "bad_request"),
    ],
)
async def test_one_bad_document_fails_the_whole_batch(
    owner: Any, database: str, doc: Any, new_edits: bool, word: str
) -> None:
    good = {"_id": "good", "_rev": f"1-{A}"} if not new_edits else {"_id": "good"}
    answer = await _write(owner, database, good, doc, new_edits=new_edits)
    assert answer.status == 400, answer.body
    assert answer.json()["error"] == word
    assert (await owner.get(f"{database}/good")).status == 404


@pytest.mark.parametrize(
    "body", [{}, {"docs": {}}, {"docs": 1}, [], {"docs": [], "new_edits": 1}, b"", b"{", b"\xff"]
)
async def test_a_body_that_is_no_batch_is_refused(owner: Any, database: str, body: Any) -> None:
    answer = await owner.post(f"{database}/_bulk_docs", body)
    assert answer.status == 400
    assert answer.json()["error"] == "bad_request"


@pytest.mark.parametrize("name", ["_bulk_docs", "_bulk_get"])
async def test_a_body_without_the_type_json_is_refused(
    owner: Any, database: str, name: str
) -> None:
    headers = {"content-type": "text/plain"}
    answer = await owner("POST", f"{database}/{name}", {"docs": []}, headers=headers)
    assert answer.status == 415
    assert answer.json()["error"] == "bad_content_type"


async def test_an_unknown_attachment_fails_the_whole_batch(owner: Any, database: str) -> None:
    stub = {"_id": "a", "_attachments": {"f": {"stub": True, "digest": "md5-x", "length": 1}}}
    answer = await _write(owner, database, {"_id": "good"}, stub)
    assert answer.status == 412
    assert answer.json()["error"] == "missing_stub"
    assert (await owner.get(f"{database}/good")).status == 404


async def test_local_documents_of_a_batch_are_not_replicated(owner: Any, database: str) -> None:
    rows = (await _write(owner, database, {"_id": "a"}, {"_id": "_local/l", "x": 1})).json()
    assert [row["id"] for row in rows] == ["a", "_local/l"]
    assert rows[1]["rev"] == "0-1"
    assert (await owner.get(f"{database}/_local/l")).json()["x"] == 1
    assert (await owner.get(database)).json()["doc_count"] == 1
    await _write(owner, database, {"_id": "_local/l", "_rev": "0-1", "_deleted": True})
    assert (await owner.get(f"{database}/_local/l")).status == 404
    again = (await _write(owner, database, {"_id": "_local/l", "_deleted": True})).json()
    assert again[0]["error"] == "not_found"


async def test_numbers_come_back_as_they_were_sent(owner: Any, database: str) -> None:
    text = b'{"docs":[{"_id":"n","a":1e2,"b":-0,"c":123456789012345678901234567890,"d":1.0}]}'
    await owner.post(f"{database}/_bulk_docs", text)
    shown = (await owner.get(f"{database}/n")).body
    assert b'"a":1e2,"b":-0,"c":123456789012345678901234567890,"d":1.0' in shown


# -- _bulk_get -------------------------------------------------------------------------------------


async def test_documents_come_at_their_revisions(owner: Any, database: str) -> None:
    first = (await owner.put(f"{database}/a", {"x": 1})).json()["rev"]
    second = (await owner.put(f"{database}/a", {"x": 2, "_rev": first})).json()["rev"]
    old, new, plain = await _get(
        owner, database, {"id": "a", "rev": first}, {"id": "a", "rev": second}, {"id": "a"}
    )
    assert old["docs"] == [{"ok": {"_id": "a", "_rev": first, "x": 1}}]
    assert new["docs"] == plain["docs"] == [{"ok": {"_id": "a", "_rev": second, "x": 2}}]
    (latest,) = await _get(owner, database, {"id": "a", "rev": first}, latest=True)
    assert latest["docs"][0]["ok"]["_rev"] == second


async def test_what_is_missing_is_said_for_each_document(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    missing, without, here = await _get(
        owner, database, {"id": "x", "rev": f"1-{A}"}, {"id": "x"}, {"id": "a", "rev": f"1-{A}"}
    )
    error = {"id": "x", "rev": f"1-{A}", "error": "not_found", "reason": "missing"}
    assert missing == {"id": "x", "docs": [{"error": error}]}
    assert without["docs"] == [{"error": {**error, "rev": "undefined"}}]
    assert here["docs"] == [{"error": {**error, "id": "a"}}]


async def test_without_a_revision_every_leaf_comes(owner: Any, couch_database: str) -> None:
    docs = [{"_id": "d", "_rev": f"1-{letters}"} for letters in (A, B)]
    await _write(owner, couch_database, *docs, new_edits=False)
    (row,) = await _get(owner, couch_database, {"id": "d"})
    assert {one["ok"]["_rev"] for one in row["docs"]} == {f"1-{A}", f"1-{B}"}


async def test_a_deleted_document_comes_as_its_tombstone(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    gone = (await owner.delete(f"{database}/a", rev=rev)).json()["rev"]
    (row,) = await _get(owner, database, {"id": "a", "rev": gone})
    assert row["docs"] == [{"ok": {"_id": "a", "_rev": gone, "_deleted": True}}]


async def test_revisions_come_where_they_are_asked_for(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    (row,) = await _get(owner, database, {"id": "a", "rev": rev}, revs=True)
    expected = {"start": 1, "ids": [rev.removeprefix("1-")]}
    assert row["docs"][0]["ok"]["_revisions"] == expected


async def test_attachments_come_inline_or_as_stubs_or_only_the_newer(
    owner: Any, database: str
) -> None:
    attachments = {"f": {"content_type": "text/plain", "data": "YWJj"}}
    first = (await owner.put(f"{database}/a", {"_attachments": attachments})).json()["rev"]
    one = {"id": "a", "rev": first}
    (row,) = await _get(owner, database, one)
    assert row["docs"][0]["ok"]["_attachments"]["f"]["stub"] is True
    (row,) = await _get(owner, database, one, attachments=True)
    assert row["docs"][0]["ok"]["_attachments"]["f"]["data"] == "YWJj"
    (row,) = await _get(owner, database, {**one, "atts_since": [first]}, attachments=True)
    assert row["docs"][0]["ok"]["_attachments"]["f"]["stub"] is True


async def test_results_come_as_parts_where_that_is_accepted(owner: Any, database: str) -> None:
    attachments = {"f": {"content_type": "text/plain", "data": "YWJj"}}
    rev = (await owner.put(f"{database}/a", {"_attachments": attachments})).json()["rev"]
    answer = await owner(
        "POST",
        f"{database}/_bulk_get",
        {"docs": [{"id": "a", "rev": rev}, {"id": "x"}]},
        headers={"accept": "multipart/mixed"},
        attachments=True,
    )
    assert answer.headers["content-type"].startswith("multipart/mixed; boundary=")
    assert b"\r\nabc\r\n" in answer.body
    assert b"X-Doc-Id: a" in answer.body
    assert b'"error":"not_found"' in answer.body


async def test_more_documents_than_one_reading_holds_all_come(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.endpoints.bulk._DOCUMENTS_AT_ONCE", 2)
    await _write(owner, database, *[{"_id": docid} for docid in "abcde"])
    rows = await _get(owner, database, *[{"id": docid} for docid in "edcba"])
    assert [row["id"] for row in rows] == list("edcba")
    assert all("ok" in row["docs"][0] for row in rows)


async def test_no_documents_are_no_results(owner: Any, database: str) -> None:
    assert await _get(owner, database) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"docs": 1},
        {"docs": [1]},
        {"docs": [{}]},
        {"docs": [{"id": 1}]},
        {"docs": [{"id": "a", "rev": "foo"}]},
        {"docs": [{"id": "a", "rev": 1}]},
        {"docs": [{"id": "a", "atts_since": 1}]},
        {"docs": [{"id": "a", "atts_since": ["foo"]}]},
    ],
)
async def test_a_question_that_cannot_be_read_is_refused(
    owner: Any, database: str, body: Any
) -> None:
    answer = await owner.post(f"{database}/_bulk_get", body)
    assert answer.status == 400
    assert answer.json()["error"] == "bad_request"


async def test_ids_that_no_document_can_have_are_missing(owner: Any, database: str) -> None:
    rows = await _get(owner, database, {"id": "a\0b"}, {"id": "x" * 5000}, {"id": "_nothing"})
    assert all(row["docs"][0]["error"]["error"] == "not_found" for row in rows)
    assert json.dumps(rows)


async def test_large_and_small_documents_are_got_alike(owner: Any, database: str) -> None:
    docs = [{"_id": f"d{n}", "text": str(n) * 200_000} for n in range(5)]
    written = (await owner.post(f"{database}/_bulk_docs", {"docs": docs})).json()
    asked = [{"id": row["id"], "rev": row["rev"]} for row in written]
    answer = await owner.post(f"{database}/_bulk_get", {"docs": [*asked, {"id": "missing"}]})
    *found, missing = answer.json()["results"]
    expected = [dict(doc, _rev=row["rev"]) for doc, row in zip(docs, written, strict=True)]
    assert [row["docs"][0]["ok"] for row in found] == expected
    assert missing["docs"][0]["error"]["error"] == "not_found"
