"""`_all_docs` and its kin, `_bulk_get`, `_revs_diff`: reading many documents at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

A, B = "a" * 32, "b" * 32


@pytest.fixture
async def letters(owner: Any, database: str) -> str:
    """A database of a, b, c and d, of which b is deleted, and a design document."""
    docs: list[dict[str, Any]] = [{"_id": docid, "n": n} for n, docid in enumerate("abcd")]
    rows = (await owner.post(f"{database}/_bulk_docs", {"docs": docs})).json()
    await owner.delete(f"{database}/b", rev=rows[1]["rev"])
    await owner.put(f"{database}/_design/x", {})
    return database


def ids(answer: Any) -> list[Any]:
    return [row.get("id") for row in answer.json()["rows"]]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["_design/x", "a", "c", "d"]),
        ({"descending": True}, ["d", "c", "a", "_design/x"]),
        ({"startkey": "b"}, ["c", "d"]),
        ({"start_key": "a", "end_key": "c"}, ["a", "c"]),
        ({"startkey": "a", "endkey": "c", "inclusive_end": False}, ["a"]),
        ({"startkey": "c", "endkey": "a", "descending": True}, ["c", "a"]),
        ({"startkey": "c", "endkey": "a", "descending": True, "inclusive_end": False}, ["c"]),
        ({"key": "c"}, ["c"]),
        ({"key": "b"}, []),
        ({"key": 1}, []),
        ({"startkey": [1]}, []),
        ({"skip": 1, "limit": 2}, ["a", "c"]),
        ({"limit": 0}, []),
        ({"skip": 9}, []),
    ],
)
async def test_a_listing_shows_what_is_asked_for(
    owner: Any, letters: str, params: dict[str, Any], expected: list[str]
) -> None:
    query = {name: json.dumps(value) for name, value in params.items()}
    assert ids(await owner.get(f"{letters}/_all_docs", **query)) == expected
    assert ids(await owner.post(f"{letters}/_all_docs", params)) == expected


async def test_a_listing_counts_and_says_where_it_starts(owner: Any, letters: str) -> None:
    body = (await owner.get(f"{letters}/_all_docs", startkey='"c"', update_seq=True)).json()
    assert (body["total_rows"], body["offset"]) == (4, 2)
    assert body["update_seq"].startswith("6-")


async def test_documents_are_included(owner: Any, letters: str) -> None:
    rows = (await owner.get(f"{letters}/_all_docs", key='"c"', include_docs=True)).json()["rows"]
    assert rows[0]["doc"]["n"] == 2
    assert rows[0]["value"]["rev"] == rows[0]["doc"]["_rev"]


async def test_keys_are_answered_in_their_order(owner: Any, letters: str) -> None:
    keys = ["d", "b", "missing", 1, "a"]
    answer = await owner.post(f"{letters}/_all_docs", {"keys": keys, "include_docs": True})
    rows = answer.json()["rows"]
    assert [row["key"] for row in rows] == keys
    assert rows[0]["doc"]["n"] == 3
    assert rows[1]["value"]["deleted"] is True and rows[1]["doc"] is None
    assert rows[2] == {"key": "missing", "error": "not_found"}
    assert rows[3] == {"key": 1, "error": "not_found"}


async def test_a_listing_longer_than_a_page_is_whole(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.listing._PAGE", 3)
    docs = [{"_id": f"{n:02}"} for n in range(10)]
    await owner.post(f"{database}/_bulk_docs", {"docs": docs})
    expected = [one["_id"] for one in docs]
    assert ids(await owner.get(f"{database}/_all_docs")) == expected
    assert ids(await owner.get(f"{database}/_all_docs", skip=4, limit=5)) == expected[4:9]
    assert ids(await owner.get(f"{database}/_all_docs", descending=True)) == expected[::-1]
    included = await owner.get(f"{database}/_all_docs", include_docs=True, skip=1)
    assert ids(included) == expected[1:]
    assert ids(await owner.post(f"{database}/_all_docs", {"keys": expected})) == expected


async def test_design_documents_are_a_listing_of_their_own(owner: Any, letters: str) -> None:
    assert ids(await owner.get(f"{letters}/_design_docs")) == ["_design/x"]
    assert ids(await owner.get(f"{letters}/_design_docs", startkey='"a"', endkey='"zzz"')) == []


async def test_several_questions_have_several_answers(owner: Any, letters: str) -> None:
    queries = {"queries": [{"key": "a"}, {"startkey": "c"}]}
    results = (await owner.post(f"{letters}/_all_docs/queries", queries)).json()["results"]
    assert [[row["id"] for row in one["rows"]] for one in results] == [["a"], ["c", "d"]]


async def test_bulk_get_opens_what_is_there_and_names_what_is_not(owner: Any, letters: str) -> None:
    rev = (await owner.get(f"{letters}/a")).json()["_rev"]
    asked = [{"id": "a", "rev": rev}, {"id": "c"}, {"id": "none"}, {"id": "a", "rev": f"9-{A}"}]
    answer = await owner.post(f"{letters}/_bulk_get", {"docs": asked}, revs=True)
    results = answer.json()["results"]
    assert [one["id"] for one in results] == ["a", "c", "none", "a"]
    assert results[0]["docs"][0]["ok"]["_revisions"]["start"] == 1
    assert results[1]["docs"][0]["ok"]["n"] == 2
    missing = {"error": "not_found", "reason": "missing"}
    assert results[2]["docs"] == [{"error": {"id": "none", "rev": "undefined", **missing}}]
    assert results[3]["docs"] == [{"error": {"id": "a", "rev": f"9-{A}", **missing}}]


async def test_bulk_get_opens_the_latest_leaf(owner: Any, letters: str) -> None:
    old = (await owner.get(f"{letters}/a")).json()["_rev"]
    await owner.put(f"{letters}/a", {"_rev": old, "n": "new"})
    asked = {"docs": [{"id": "a", "rev": old}]}
    plain = (await owner.post(f"{letters}/_bulk_get", asked)).json()["results"]
    assert plain[0]["docs"][0]["ok"]["n"] == 0
    latest = (await owner.post(f"{letters}/_bulk_get", asked, latest=True)).json()["results"]
    assert latest[0]["docs"][0]["ok"]["n"] == "new"


async def test_bulk_get_of_nothing_is_nothing(owner: Any, letters: str) -> None:
    assert (await owner.post(f"{letters}/_bulk_get", {"docs": []})).json() == {"results": []}


async def test_bulk_get_answers_multipart_when_asked(owner: Any, letters: str) -> None:
    answer = await owner(
        "POST",
        f"{letters}/_bulk_get",
        {"docs": [{"id": "a"}, {"id": "none"}]},
        headers={"accept": "multipart/mixed"},
    )
    assert answer.headers["content-type"].startswith("multipart/mixed; boundary=")
    assert b'"n":0' in answer.body and b'error="true"' in answer.body


async def test_missing_revisions_are_told_with_possible_ancestors(owner: Any, letters: str) -> None:
    rev = (await owner.get(f"{letters}/a")).json()["_rev"]
    asked = {"a": [rev, f"2-{B}"], "none": [f"1-{A}"], "c": []}
    assert (await owner.post(f"{letters}/_revs_diff", asked)).json() == {
        "a": {"missing": [f"2-{B}"], "possible_ancestors": [rev]},
        "none": {"missing": [f"1-{A}"]},
    }
    assert (await owner.post(f"{letters}/_missing_revs", asked)).json() == {
        "missing_revs": {"a": [f"2-{B}"], "none": [f"1-{A}"]}
    }


async def test_a_batch_refuses_one_and_writes_the_others(owner: Any, letters: str) -> None:
    docs = [{"_id": "new"}, {"_id": "a"}, {"_id": "c", "_rev": f"1-{A}"}, {}]
    answer = await owner.post(f"{letters}/_bulk_docs", {"docs": docs})
    rows = answer.json()
    assert answer.status == 201
    assert [row.get("ok") for row in rows] == [True, None, None, True]
    assert rows[1] == {"id": "a", "error": "conflict", "reason": "Document update conflict."}
    assert (await owner.get(f"{letters}/{rows[3]['id']}")).status == 200


async def test_a_batch_may_hold_a_document_twice(owner: Any, database: str) -> None:
    rows = (await owner.post(f"{database}/_bulk_docs", {"docs": [{"_id": "a"}] * 2})).json()
    assert [row.get("error") for row in rows] == [None, "conflict"]


async def test_an_edit_from_the_far_future_is_refused_alone(api: Any, database: str) -> None:
    from asgiref.sync import sync_to_async

    from acl import store
    from couchapi.core import revid

    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], friend.name, read=True, write=True)
    year_2090 = 3_790_000_000_000
    future = str(revid.mint(None, False, b"{}", (), year_2090))
    docs = [{"_id": "future", "_rev": future}, {"_id": "now", "_rev": f"1-{A}"}]
    answer = await friend.post(f"{database}/_bulk_docs", {"new_edits": False, "docs": docs})
    assert answer.status == 201
    assert [(row["id"], row["error"]) for row in answer.json()] == [("future", "forbidden")]
    assert (await friend.get(f"{database}/now")).status == 200


async def test_local_documents_may_come_in_a_batch(owner: Any, database: str) -> None:
    docs = [{"_id": "_local/x", "n": 1}, {"_id": "a"}]
    rows = (await owner.post(f"{database}/_bulk_docs", {"docs": docs})).json()
    assert [row["id"] for row in rows] == ["_local/x", "a"]
    assert (await owner.get(f"{database}/_local/x")).json()["n"] == 1
