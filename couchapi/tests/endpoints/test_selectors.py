"""A reader with a selector sees the database as if only the matching documents existed."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async

from acl import store

JSON = {"accept": "application/json"}


class Shared(NamedTuple):
    """A database where `seen*` are public and `hidden*` are not, and who reads it."""

    reader: Any
    path: str
    revs: dict[str, str]


@pytest.fixture
async def shared(api: Any, database: str) -> Shared:
    attachment = {"f": {"content_type": "text/plain", "data": "YWJj"}}
    docs = [
        {"_id": f"{word}{n}", "public": word == "seen", "n": n, "_attachments": attachment}
        for n in range(3)
        for word in ("hidden", "seen")
    ]
    rows = (await api.owner.post(f"{database}/_bulk_docs", {"docs": docs})).json()
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        database[1:], reader.name, read=True, write=False, selector='{"public": true}'
    )
    return Shared(reader, database, {row["id"]: row["rev"] for row in rows})


async def test_only_matching_documents_can_be_read(shared: Shared) -> None:
    reader, path, revs = shared
    assert (await reader.get(f"{path}/seen1")).json()["n"] == 1
    for method in ("GET", "HEAD"):
        hidden = await reader(method, f"{path}/hidden1")
        missing = await reader(method, f"{path}/no-such")
        assert (hidden.status, hidden.body) == (missing.status, missing.body)
    hidden = await reader.get(f"{path}/hidden1", rev=revs["hidden1"])
    assert (hidden.status, hidden.json()["reason"]) == (404, "missing")
    assert (await reader.get(f"{path}/hidden1/f")).status == 404
    assert (await reader.get(f"{path}/seen1/f")).body == b"abc"


async def test_listings_and_counts_are_of_the_matching(shared: Shared) -> None:
    reader, path, _ = shared
    body = (await reader.get(f"{path}/_all_docs")).json()
    assert [row["id"] for row in body["rows"]] == ["seen0", "seen1", "seen2"]
    assert body["total_rows"] == 3
    info = (await reader.get(path)).json()
    assert (info["doc_count"], info["doc_del_count"], info["sizes"]["file"]) == (3, 0, 0)
    keys = {"keys": ["hidden0", "seen0"]}
    rows = (await reader.post(f"{path}/_all_docs", keys)).json()["rows"]
    assert rows[0] == {"key": "hidden0", "error": "not_found"}
    assert rows[1]["id"] == "seen0"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"limit": 2}, ["seen0", "seen1"]),
        ({"skip": 1}, ["seen1", "seen2"]),
        ({"skip": 1, "limit": 1}, ["seen1"]),
        ({"descending": True, "limit": 1}, ["seen2"]),
    ],
)
async def test_pages_are_cut_after_the_selector(
    shared: Shared,
    params: dict[str, Any],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("couchapi.listing._PAGE", 2)
    rows = (await shared.reader.get(f"{shared.path}/_all_docs", **params)).json()["rows"]
    assert [row["id"] for row in rows] == expected


async def test_changes_are_of_the_matching(shared: Shared) -> None:
    reader, path, _ = shared
    body = (await reader.get(f"{path}/_changes")).json()
    assert [row["id"] for row in body["results"]] == ["seen0", "seen1", "seen2"]
    body = (await reader.get(f"{path}/_changes", limit=1, style="all_docs")).json()
    assert [row["id"] for row in body["results"]] == ["seen0"]
    assert body["pending"] == 0
    answer = await reader.post(f"{path}/_changes", {"doc_ids": ["hidden0"]}, filter="_doc_ids")
    assert answer.json()["results"] == []


async def test_bulk_questions_know_only_the_matching(shared: Shared) -> None:
    reader, path, revs = shared
    asked = {"docs": [{"id": "hidden0", "rev": revs["hidden0"]}, {"id": "seen0"}]}
    results = (await reader.post(f"{path}/_bulk_get", asked)).json()["results"]
    assert results[0]["docs"][0]["error"]["error"] == "not_found"
    assert results[1]["docs"][0]["ok"]["n"] == 0
    diff = (await reader.post(f"{path}/_revs_diff", {"hidden0": [revs["hidden0"]]})).json()
    assert diff == {"hidden0": {"missing": [revs["hidden0"]]}}
    opened = await reader("GET", f"{path}/hidden0", headers=JSON, open_revs=[revs["hidden0"]])
    assert opened.json() == [{"missing": revs["hidden0"]}]


async def test_a_document_that_was_hidden_before_shows_no_old_body(
    api: Any, shared: Shared
) -> None:
    reader, path, revs = shared
    old = revs["hidden0"]
    await api.owner.put(f"{path}/hidden0", {"_rev": old, "public": True, "n": "now"})
    assert (await reader.get(f"{path}/hidden0")).json()["n"] == "now"
    assert (await reader.get(f"{path}/hidden0", rev=old)).status == 404
    assert (await reader.get(f"{path}/hidden0/f", rev=old)).status == 404
    opened = await reader("GET", f"{path}/hidden0", headers=JSON, open_revs=[old])
    assert opened.json() == [{"missing": old}]
    got = await reader.post(f"{path}/_bulk_get", {"docs": [{"id": "hidden0", "rev": old}]})
    assert "ok" not in got.json()["results"][0]["docs"][0]


async def test_conflicts_that_do_not_match_are_not_named(api: Any, couch_database: str) -> None:
    hidden, seen = f"1-{'a' * 32}", f"1-{'b' * 32}"
    docs = [
        {"_id": "d", "_rev": hidden, "public": False},
        {"_id": "d", "_rev": seen, "public": True},
    ]
    await api.owner.post(f"{couch_database}/_bulk_docs", {"new_edits": False, "docs": docs})
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        couch_database[1:], reader.name, read=True, write=False, selector='{"public": true}'
    )
    shown = (await reader.get(f"{couch_database}/d", meta=True)).json()
    assert shown["_rev"] == seen
    assert "_conflicts" not in shown
    (row,) = (await reader.get(f"{couch_database}/_changes", style="all_docs")).json()["results"]
    assert row["changes"] == [{"rev": seen}]
    leaves = (await reader("GET", f"{couch_database}/d", headers=JSON, open_revs="all")).json()
    assert [one["ok"]["_rev"] for one in leaves if "ok" in one] == [seen]
    assert hidden not in str(leaves)


async def test_a_second_grant_without_a_selector_shows_everything(api: Any, shared: Shared) -> None:
    await sync_to_async(store.add_grant)(
        shared.path[1:], shared.reader.name, read=True, write=False
    )
    assert (await shared.reader.get(f"{shared.path}/hidden0")).status == 200
