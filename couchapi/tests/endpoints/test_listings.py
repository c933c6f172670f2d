"""`_all_docs`, `_design_docs` and `_local_docs` as CouchDB answers them."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
async def five(owner: Any, database: str) -> str:
    """A database with the documents a to e, which hold their own letter."""
    docs = [{"_id": letter, "x": letter} for letter in "abcde"]
    await owner.post(f"{database}/_bulk_docs", {"docs": docs})
    return database


async def _list(client: Any, database: str, name: str = "_all_docs", **params: Any) -> Any:
    answer = await client.get(f"{database}/{name}", **params)
    assert answer.status == 200, answer.body
    return answer.json()


def _ids(listing: Any) -> str:
    return "".join(row["id"] for row in listing["rows"])


async def test_all_documents_are_listed_by_id(owner: Any, five: str) -> None:
    listing = await _list(owner, five)
    assert (listing["total_rows"], listing["offset"]) == (5, 0)
    assert _ids(listing) == "abcde"
    row = listing["rows"][0]
    assert row == {"id": "a", "key": "a", "value": {"rev": row["value"]["rev"]}}
    assert "update_seq" not in listing


async def test_an_empty_database_has_no_rows(owner: Any, database: str) -> None:
    assert await _list(owner, database) == {"total_rows": 0, "offset": 0, "rows": []}


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"startkey": '"b"'}, "bcde"),
        ({"start_key": '"b"', "end_key": '"d"'}, "bcd"),
        ({"startkey": '"b"', "endkey": '"d"', "inclusive_end": False}, "bc"),
        ({"descending": True}, "edcba"),
        ({"descending": True, "startkey": '"d"', "endkey": '"b"'}, "dcb"),
        ({"descending": True, "startkey": '"d"', "endkey": '"b"', "inclusive_end": False}, "dc"),
        ({"startkey": '"d"', "endkey": '"b"'}, ""),
        ({"key": '"c"'}, "c"),
        ({"key": '"x"'}, ""),
        ({"key": "1"}, ""),
        ({"key": '"a\\u0000"'}, ""),
        ({"startkey": '"b\\u0000"'}, "cde"),
        ({"endkey": '"b\\u0000"'}, "ab"),
        ({"limit": 2}, "ab"),
        ({"limit": 0}, ""),
        ({"limit": 10**30}, "abcde"),
        ({"skip": 3}, "de"),
        ({"skip": 9}, ""),
        ({"skip": 1, "limit": 2, "descending": True}, "dc"),
        ({"startkey": "null"}, "abcde"),
        ({"endkey": "{}"}, "abcde"),
        ({"startkey": "{}"}, ""),
    ],
)
async def test_a_range_is_listed(owner: Any, five: str, params: Any, ids: str) -> None:
    listing = await _list(owner, five, **params)
    assert _ids(listing) == ids
    assert listing["total_rows"] == 5


async def test_the_offset_counts_what_stands_before(owner: Any, five: str) -> None:
    assert (await _list(owner, five, startkey='"c"'))["offset"] == 2
    assert (await _list(owner, five, startkey='"c"', skip=1))["offset"] == 3
    assert (await _list(owner, five, startkey='"d"', descending=True))["offset"] == 1
    assert (await _list(owner, five, skip=99))["offset"] == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "-1"),
        ("limit", "x"),
        ("skip", "-1"),
        ("descending", "maybe"),
        ("include_docs", "1"),
        ("startkey", "a"),
        ("keys", "1"),
        ("reduce", "true"),
        ("group_level", "1"),
        ("partition", "p"),
    ],
)
async def test_a_parameter_that_cannot_be_read_is_refused(
    owner: Any, five: str, name: str, value: str
) -> None:
    answer = await owner.get(f"{five}/_all_docs", **{name: value})
    assert answer.status == 400
    assert answer.json()["error"] in ("bad_request", "query_parse_error")


async def test_documents_are_included_with_their_attachments(owner: Any, database: str) -> None:
    attachments = {"f": {"content_type": "text/plain", "data": "YWJj"}}
    await owner.put(f"{database}/a", {"x": 1, "_attachments": attachments})
    (row,) = (await _list(owner, database, include_docs=True))["rows"]
    assert row["doc"] == (await owner.get(f"{database}/a")).json()
    (row,) = (await _list(owner, database, include_docs=True, attachments=True))["rows"]
    assert row["doc"]["_attachments"]["f"]["data"] == "YWJj"


async def test_conflicts_are_included_where_they_are_asked_for(
    owner: Any, couch_database: str
) -> None:
    docs = [{"_id": "d", "_rev": "1-" + letter * 32} for letter in "ab"]
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": docs, "new_edits": False})
    (row,) = (await _list(owner, couch_database, include_docs=True, conflicts=True))["rows"]
    assert row["doc"]["_conflicts"] == ["1-" + "a" * 32]


async def test_named_documents_are_listed_in_the_order_named(owner: Any, five: str) -> None:
    rev = (await owner.get(f"{five}/b")).json()["_rev"]
    gone = (await owner.delete(f"{five}/b", rev=rev)).json()["rev"]
    keys = ["c", "b", "x", "c", 1, "a\0"]
    answer = await owner.post(f"{five}/_all_docs", {"keys": keys, "include_docs": True})
    c, b, x, again, number, nul = answer.json()["rows"]
    assert c == again
    assert c["doc"]["x"] == "c"
    assert b == {"id": "b", "key": "b", "value": {"rev": gone, "deleted": True}, "doc": None}
    assert x == {"key": "x", "error": "not_found"}
    assert number == {"key": 1, "error": "not_found"}
    assert nul == {"key": "a\0", "error": "not_found"}
    listing = await _list(owner, five, keys=["e", "a"])
    assert _ids(listing) == "ea"
    assert listing["total_rows"] == 4
    assert _ids(await _list(owner, five, keys=["a", "c", "e"], skip=1, limit=1)) == "c"
    assert _ids(await _list(owner, five, keys=["a", "c"], descending=True)) == "ca"
    assert (await _list(owner, five, keys=[]))["rows"] == []


async def test_rxdb_asks_with_a_word_for_deleted_ones(owner: Any, five: str) -> None:
    body = {"keys": ["a"], "include_docs": True, "deleted": "ok"}
    answer = await owner.post(f"{five}/_all_docs", body)
    assert answer.json()["rows"][0]["doc"]["x"] == "a"


async def test_names_and_a_range_do_not_go_together(owner: Any, five: str) -> None:
    answer = await owner.post(f"{five}/_all_docs", {"keys": ["a"], "startkey": "a"})
    assert answer.status == 400
    assert answer.json()["error"] == "query_parse_error"


async def test_the_parameters_may_stand_in_the_body(owner: Any, five: str) -> None:
    answer = await owner.post(f"{five}/_all_docs", {"startkey": "b", "limit": 1})
    assert _ids(answer.json()) == "b"
    empty = await owner(
        "POST", f"{five}/_all_docs", b"", headers={"content-type": "application/json"}
    )
    assert _ids(empty.json()) == "abcde"
    plain = await owner("POST", f"{five}/_all_docs", {}, headers={"content-type": "text/plain"})
    assert plain.status == 415


async def test_the_sequence_number_comes_where_it_is_asked_for(owner: Any, five: str) -> None:
    listing = await _list(owner, five, update_seq=True)
    assert listing["update_seq"] == (await owner.get(five)).json()["update_seq"]


async def test_several_questions_are_answered_in_their_order(owner: Any, five: str) -> None:
    queries = [{"keys": ["e"]}, {"limit": 1}, {"startkey": "z"}]
    answer = await owner.post(f"{five}/_all_docs/queries", {"queries": queries})
    assert [_ids(one) for one in answer.json()["results"]] == ["e", "a", ""]
    none = await owner.post(f"{five}/_all_docs/queries", {"queries": []})
    assert none.json() == {"results": []}
    for body in ({}, {"queries": 1}, {"queries": [1]}, {"queries": [{"limit": -1}]}):
        assert (await owner.post(f"{five}/_all_docs/queries", body)).status == 400


async def test_a_long_listing_is_sent_whole(
    owner: Any, five: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.listing._PAGE", 2)
    assert _ids(await _list(owner, five)) == "abcde"
    assert _ids(await _list(owner, five, skip=1, limit=3)) == "bcd"
    assert _ids(await _list(owner, five, descending=True, include_docs=True)) == "edcba"
    assert _ids(await _list(owner, five, keys=list("abcde"))) == "abcde"


async def test_ids_are_compared_by_code_point(owner: Any, database: str) -> None:
    ids = ["a", "B", "ä", "\U0001f600", "\uffee", "_design/x", "1"]
    await owner.post(f"{database}/_bulk_docs", {"docs": [{"_id": docid} for docid in ids]})
    listing = await _list(owner, database)
    assert [row["id"] for row in listing["rows"]] == sorted(ids)


# -- _design_docs and _local_docs ------------------------------------------------------------------


async def test_design_documents_are_listed_alone(owner: Any, five: str) -> None:
    docs = [{"_id": f"_design/{letter}"} for letter in "xyz"]
    await owner.post(f"{five}/_bulk_docs", {"docs": docs})
    listing = await _list(owner, five, "_design_docs")
    assert (listing["total_rows"], listing["offset"]) == (3, 0)
    assert [row["id"] for row in listing["rows"]] == ["_design/x", "_design/y", "_design/z"]
    some = await _list(owner, five, "_design_docs", startkey='"_design/y"', limit=1)
    assert (some["total_rows"], some["offset"]) == (3, 1)
    assert [row["id"] for row in some["rows"]] == ["_design/y"]
    down = await _list(owner, five, "_design_docs", descending=True, skip=1)
    assert [row["id"] for row in down["rows"]] == ["_design/y", "_design/x"]
    assert down["offset"] == 1
    answer = await owner.post(f"{five}/_design_docs/queries", {"queries": [{"limit": 1}]})
    assert [row["id"] for row in answer.json()["results"][0]["rows"]] == ["_design/x"]
    outside = await _list(owner, five, "_design_docs", startkey='"a"')
    assert outside["rows"] == []


async def test_a_named_document_that_is_no_design_document_is_not_shown_among_them(
    owner: Any, five: str
) -> None:
    listing = await _list(owner, five, "_design_docs", keys=["a"])
    assert "value" not in listing["rows"][0]


async def test_local_documents_of_the_owner_are_listed(owner: Any, database: str) -> None:
    for letter in "ab":
        await owner.put(f"{database}/_local/{letter}", {"x": letter})
    listing = await _list(owner, database, "_local_docs", include_docs=True)
    assert (listing["total_rows"], listing["offset"]) == (None, None)
    assert [row["id"] for row in listing["rows"]] == ["_local/a", "_local/b"]
    assert listing["rows"][0]["doc"] == {"_id": "_local/a", "_rev": "0-1", "x": "a"}
    one = await owner.post(f"{database}/_local_docs", {"keys": ["_local/b", "_local/x"]})
    assert [row.get("id") for row in one.json()["rows"]] == ["_local/b", None]
    assert json.loads((await owner.get(f"{database}/_local_docs", limit=1)).body)["rows"]
