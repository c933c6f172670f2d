"""`/db/_changes` as CouchDB answers it, in its normal form; test_feeds has those that go on."""

from __future__ import annotations

from typing import Any

import pytest


async def _docs(client: Any, database: str, *docids: str, **members: Any) -> list[dict[str, str]]:
    docs = [{"_id": docid, **members} for docid in docids]
    made: list[dict[str, str]] = (
        await client.post(f"{database}/_bulk_docs", {"docs": docs})
    ).json()
    return made


async def _changes(client: Any, database: str, **params: Any) -> Any:
    answer = await client.get(f"{database}/_changes", **params)
    assert answer.status == 200, answer.body
    return answer.json()


def _ids(changes: Any) -> list[str]:
    return [row["id"] for row in changes["results"]]


async def test_changes_are_in_the_order_of_writing_each_document_once(
    owner: Any, database: str
) -> None:
    a, b = await _docs(owner, database, "a", "b")
    again = (await owner.put(f"{database}/a", {"_rev": a["rev"]})).json()["rev"]
    changes = await _changes(owner, database)
    assert _ids(changes) == ["b", "a"]
    assert [row["changes"] for row in changes["results"]] == [[{"rev": b["rev"]}], [{"rev": again}]]
    assert [int(row["seq"].split("-")[0]) for row in changes["results"]] == [2, 3]
    assert changes["last_seq"] == changes["results"][-1]["seq"]
    assert changes["pending"] == 0


async def test_an_empty_database_has_no_changes(owner: Any, database: str) -> None:
    changes = await _changes(owner, database)
    assert changes["results"] == []
    assert changes["last_seq"].startswith("0-")
    downwards = await _changes(owner, database, descending=True)
    assert downwards["last_seq"].startswith("0-")


async def test_since_leaves_out_what_was_seen(owner: Any, database: str) -> None:
    await _docs(owner, database, "a", "b", "c")
    seen = (await _changes(owner, database, limit=2))["last_seq"]
    assert _ids(await _changes(owner, database, since=seen)) == ["c"]
    assert _ids(await _changes(owner, database, since="2")) == ["c"]
    assert _ids(await _changes(owner, database, since=f'"{seen}"')) == ["c"]
    assert _ids(await _changes(owner, database, since="now")) == []


@pytest.mark.parametrize("since", ["foo", "-1", "1-", "{}", "1e3", "٣"])
async def test_since_that_is_no_sequence_is_refused(owner: Any, database: str, since: str) -> None:
    answer = await owner.get(f"{database}/_changes", since=since)
    assert answer.status == 400
    assert answer.json()["error"] == "bad_request"


async def test_limit_leaves_the_rest_pending(owner: Any, database: str) -> None:
    await _docs(owner, database, "a", "b", "c")
    changes = await _changes(owner, database, limit=1)
    assert _ids(changes) == ["a"]
    assert changes["pending"] == 2
    assert changes["last_seq"].startswith("1-")
    none = await _changes(owner, database, limit=0)
    assert (none["results"], none["pending"]) == ([], 3)
    assert none["last_seq"].startswith("0-")
    assert (await owner.get(f"{database}/_changes", limit=-1)).status == 400


async def test_descending_starts_with_the_newest(owner: Any, database: str) -> None:
    await _docs(owner, database, "a", "b", "c")
    assert _ids(await _changes(owner, database, descending=True)) == ["c", "b", "a"]
    assert _ids(await _changes(owner, database, descending=True, limit=2)) == ["c", "b"]
    some = await _changes(
        owner, database, descending=True, filter="_doc_ids", doc_ids=["a", "c", "x"]
    )
    assert _ids(some) == ["c", "a"]


async def test_style_all_docs_names_every_leaf(owner: Any, couch_database: str) -> None:
    revs = ["1-" + letter * 32 for letter in "ab"]
    docs = [{"_id": "d", "_rev": rev} for rev in revs]
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": docs, "new_edits": False})
    (row,) = (await _changes(owner, couch_database))["results"]
    assert row["changes"] == [{"rev": revs[1]}]
    (row,) = (await _changes(owner, couch_database, style="all_docs"))["results"]
    assert row["changes"] == [{"rev": revs[1]}, {"rev": revs[0]}]
    (row,) = (await _changes(owner, couch_database, include_docs=True, conflicts=True))["results"]
    assert row["doc"]["_conflicts"] == [revs[0]]
    assert (await owner.get(f"{couch_database}/_changes", style="some")).status == 400


async def test_documents_come_with_their_attachments(owner: Any, database: str) -> None:
    attachments = {"f": {"content_type": "text/plain", "data": "YWJj"}}
    await _docs(owner, database, "d", _attachments=attachments)
    (row,) = (await _changes(owner, database, include_docs=True))["results"]
    assert row["doc"]["_attachments"]["f"]["stub"] is True
    (row,) = (await _changes(owner, database, include_docs=True, attachments=True))["results"]
    assert row["doc"]["_attachments"]["f"]["data"] == "YWJj"


async def test_a_deleted_document_is_a_change(owner: Any, database: str) -> None:
    (made,) = await _docs(owner, database, "d")
    gone = (await owner.delete(f"{database}/d", rev=made["rev"])).json()["rev"]
    (row,) = (await _changes(owner, database, include_docs=True))["results"]
    assert row["deleted"] is True
    assert row["doc"] == {"_id": "d", "_rev": gone, "_deleted": True}


async def test_a_filter_by_ids_shows_those_documents(owner: Any, database: str) -> None:
    await _docs(owner, database, "a", "b", "c")
    changes = await _changes(owner, database, filter="_doc_ids", doc_ids=["c", "a", "x"])
    assert _ids(changes) == ["a", "c"]
    path = f"{database}/_changes"
    posted = await owner.post(path, {"doc_ids": ["b"]}, filter="_doc_ids")
    assert _ids(posted.json()) == ["b"]
    # What the filter passed over has been seen too.
    assert posted.json()["last_seq"].startswith("3-")
    limited = await _changes(owner, database, filter="_doc_ids", doc_ids=["a", "c"], limit=1)
    assert _ids(limited) == ["a"]
    rest = await _changes(
        owner, database, filter="_doc_ids", doc_ids=["a", "c"], since=limited["last_seq"]
    )
    assert _ids(rest) == ["c"]
    assert (await owner.get(path, filter="_doc_ids")).status == 400


async def test_a_filter_by_selector_shows_what_matches(owner: Any, database: str) -> None:
    await _docs(owner, database, "a", "c", kind="x")
    await _docs(owner, database, "b", "d", kind="y")
    path = f"{database}/_changes"
    asked = {"selector": {"kind": "y"}}
    answer = await owner.post(path, asked, filter="_selector", limit=1)
    assert _ids(answer.json()) == ["b"]
    seen = answer.json()["last_seq"]
    answer = await owner.post(path, asked, filter="_selector", since=seen, include_docs=True)
    assert [row["doc"]["kind"] for row in answer.json()["results"]] == ["y"]
    bad = await owner.post(path, {"selector": {"kind": {"$no": 1}}}, filter="_selector")
    assert bad.status == 400
    assert (await owner.get(path, filter="_selector")).status == 400


async def test_a_filter_by_design_shows_design_documents(owner: Any, database: str) -> None:
    await _docs(owner, database, "a", "_design/d", "b")
    assert _ids(await _changes(owner, database, filter="_design")) == ["_design/d"]


async def test_a_filter_that_is_not_known_is_refused(owner: Any, database: str) -> None:
    for name in ("_nothing", "ddoc", "ddoc/name"):
        assert (await owner.get(f"{database}/_changes", filter=name)).status in (400, 404)


async def test_seq_interval_leaves_numbers_out_but_not_the_last(owner: Any, database: str) -> None:
    await _docs(owner, database, *"abcde")
    rows = (await _changes(owner, database, seq_interval=2))["results"]
    assert [row["seq"] is None for row in rows] == [True, False, True, False, False]
    assert [row["id"] for row in rows] == list("abcde")
    assert (await owner.get(f"{database}/_changes", seq_interval=0)).status == 400


async def test_a_normal_feed_has_an_etag_and_others_have_none(owner: Any, database: str) -> None:
    await _docs(owner, database, "a")
    path = f"{database}/_changes"
    etag = (await owner.get(path)).headers["etag"]
    again = await owner("GET", path, headers={"if-none-match": etag})
    assert (again.status, again.body) == (304, b"")
    assert (await owner("HEAD", path)).headers["etag"] == etag
    await _docs(owner, database, "b")
    changed = await owner("GET", path, headers={"if-none-match": etag})
    assert changed.status == 200
    assert changed.headers["etag"] != etag
    assert "etag" not in (await owner.get(path, feed="longpoll")).headers
    assert "etag" not in (await owner.get(path, feed="continuous", timeout=0)).headers


@pytest.mark.parametrize("feed", ["what", ""])
async def test_a_feed_that_is_not_known_is_refused(owner: Any, database: str, feed: str) -> None:
    assert (await owner.get(f"{database}/_changes", feed=feed)).status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [("heartbeat", "0"), ("heartbeat", "x"), ("timeout", "-1"), ("timeout", "x"), ("limit", "x")],
)
async def test_numbers_that_are_none_are_refused(
    owner: Any, database: str, name: str, value: str
) -> None:
    answer = await owner.get(f"{database}/_changes", **{name: value})
    assert answer.status == 400


async def test_what_was_purged_is_seen_and_not_asked_for_again(owner: Any, database: str) -> None:
    a, _ = await _docs(owner, database, "a", "b")
    await owner.post(f"{database}/_purge", {"a": [a["rev"]]})
    changes = await _changes(owner, database)
    assert _ids(changes) == ["b"]
    assert changes["last_seq"] == (await owner.get(database)).json()["update_seq"]


async def test_a_sequence_of_a_deleted_database_counts_from_nothing(
    owner: Any, database: str
) -> None:
    await _docs(owner, database, "a", "b")
    old = (await _changes(owner, database))["last_seq"]
    await owner.delete(database)
    await owner.put(database)
    await _docs(owner, database, "c", "d", "e")
    assert _ids(await _changes(owner, database, since=old)) == ["c", "d", "e"]


async def test_a_post_needs_the_type_json(owner: Any, database: str) -> None:
    answer = await owner("POST", f"{database}/_changes", {}, headers={"content-type": "text/plain"})
    assert answer.status == 415
    assert answer.json()["error"] == "bad_content_type"


async def test_more_changes_than_a_page_are_all_sent(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.feeds.changes._PAGE", 2)
    await _docs(owner, database, *"abcde")
    assert _ids(await _changes(owner, database)) == list("abcde")
    assert _ids(await _changes(owner, database, descending=True)) == list("edcba")
    assert _ids(await _changes(owner, database, limit=3)) == list("abc")
    asked = {"selector": {"_id": {"$gt": "c"}}}
    found = await owner.post(f"{database}/_changes", asked, filter="_selector", limit=1)
    assert _ids(found.json()) == ["d"]
