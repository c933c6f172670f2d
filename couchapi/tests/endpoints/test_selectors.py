"""A read grant with a selector: its holder sees the matching documents as if no others existed."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async

from acl import store

SEEN = ["b", "d", "f"]
HIDDEN = ["a", "c", "e", "g"]
FILE = {"f": {"content_type": "text/plain", "data": "YWJj"}}


class Place(NamedTuple):
    """A database of seven documents, of which the reader sees three."""

    reader: Any
    path: str
    revs: dict[str, str]


@pytest.fixture
async def place(api: Any, database: str) -> Place:
    docs = [{"_id": letter, "public": letter in SEEN, "_attachments": FILE} for letter in "abcdefg"]
    made = (await api.owner.post(f"{database}/_bulk_docs", {"docs": docs})).json()
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        database[1:], reader.name, read=True, write=False, selector='{"public": true}'
    )
    return Place(reader, database, {row["id"]: row["rev"] for row in made})


def _same(hidden: Any, missing: Any) -> bool:
    return (hidden.status, hidden.headers, hidden.body) == (
        missing.status,
        missing.headers,
        missing.body,
    )


async def test_a_hidden_document_answers_like_a_missing_one(place: Place) -> None:
    reader, path = place.reader, place.path
    for end in ("", "/f"):
        for method in ("GET", "HEAD"):
            assert (await reader(method, f"{path}/b{end}")).status == 200
            hidden = await reader(method, f"{path}/a{end}")
            assert hidden.status == 404
            assert _same(hidden, await reader(method, f"{path}/missing{end}"))


async def test_a_hidden_revision_answers_like_a_missing_one(place: Place) -> None:
    reader, path, unknown = place.reader, place.path, "1-" + "a" * 32
    rev = place.revs["a"]
    for end in ("", "/f"):
        hidden = await reader.get(f"{path}/a{end}", rev=rev)
        assert hidden.status == 404
        assert _same(hidden, await reader.get(f"{path}/missing{end}", rev=unknown))
    shown = await reader.get(f"{path}/b", rev=place.revs["b"])
    assert shown.status == 200


async def test_an_old_revision_that_matched_does_not_show_a_hidden_document(
    api: Any, place: Place
) -> None:
    rev = place.revs["b"]
    await api.owner.put(f"{place.path}/b", {"_rev": rev, "public": False, "secret": 1})
    assert (await place.reader.get(f"{place.path}/b")).status == 404
    assert (await place.reader.get(f"{place.path}/b", rev=rev)).status == 404


async def test_an_old_revision_that_did_not_match_is_not_shown(api: Any, place: Place) -> None:
    rev = place.revs["a"]
    changed = await api.owner.put(f"{place.path}/a", {"_rev": rev, "public": True})
    assert (await place.reader.get(f"{place.path}/a")).status == 200
    assert (await place.reader.get(f"{place.path}/a", rev=rev)).status == 404
    assert (await place.reader.get(f"{place.path}/a/f", rev=rev)).status == 404
    asked = {"docs": [{"id": "a", "rev": rev}, {"id": "a", "rev": changed.json()["rev"]}]}
    answer = (await place.reader.post(f"{place.path}/_bulk_get", asked)).json()
    assert ["ok" in row["docs"][0] for row in answer["results"]] == [False, True]


@pytest.mark.parametrize("revs", ["all", "this"])
async def test_open_revs_shows_no_hidden_document(place: Place, revs: str) -> None:
    async def opened(docid: str, rev: str) -> Any:
        asked = "all" if revs == "all" else json.dumps([rev])
        headers = {"accept": "application/json"}
        path = f"{place.path}/{docid}"
        return await place.reader("GET", path, headers=headers, open_revs=asked)

    assert "ok" in (await opened("b", place.revs["b"])).json()[0]
    hidden = await opened("a", place.revs["a"])
    assert b"public" not in hidden.body
    assert _same(hidden, await opened("missing", place.revs["a"]))


async def test_a_conflict_that_does_not_match_is_not_shown(api: Any, couch_database: str) -> None:
    docs = [
        {"_id": "d", "_rev": "1-" + "a" * 32, "public": False, "secret": 1},
        {"_id": "d", "_rev": "1-" + "b" * 32, "public": True},
    ]
    await api.owner.post(f"{couch_database}/_bulk_docs", {"docs": docs, "new_edits": False})
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        couch_database[1:], reader.name, read=True, write=False, selector='{"public": true}'
    )
    headers = {"accept": "application/json"}
    path = f"{couch_database}/d"
    opened = await reader("GET", path, headers=headers, open_revs="all")
    assert b"secret" not in opened.body
    bulk = await reader.post(f"{couch_database}/_bulk_get", {"docs": [{"id": "d"}]})
    assert b"secret" not in bulk.body
    assert b'"public":true' in bulk.body


@pytest.mark.parametrize("name", ["_all_docs", "_changes"])
async def test_listings_show_what_matches(place: Place, name: str) -> None:
    answer = (await place.reader.get(f"{place.path}/{name}", include_docs=True)).json()
    rows = answer.get("rows") or answer.get("results")
    assert [row["id"] for row in rows] == SEEN
    assert all(row["doc"]["public"] for row in rows)


async def test_all_docs_counts_what_matches(place: Place) -> None:
    answer = (await place.reader.get(f"{place.path}/_all_docs")).json()
    assert answer["total_rows"] == 3
    assert answer["offset"] in (None, 0)
    from_c = (await place.reader.get(f"{place.path}/_all_docs", startkey='"c"')).json()
    # How many hidden documents stand before is nobody's business.
    assert from_c["offset"] in (None, 1)


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"limit": 2}, ["b", "d"]),
        ({"limit": 1}, ["b"]),
        ({"limit": 0}, []),
        ({"skip": 1}, ["d", "f"]),
        ({"skip": 1, "limit": 1}, ["d"]),
        ({"skip": 3}, []),
        ({"descending": True, "limit": 2}, ["f", "d"]),
        ({"descending": True, "skip": 2}, ["b"]),
        ({"startkey": '"c"'}, ["d", "f"]),
        ({"startkey": '"b"', "endkey": '"d"', "inclusive_end": False}, ["b"]),
    ],
)
@pytest.mark.parametrize("page", [1, 2, 500])
async def test_pages_of_all_docs_hold_what_matches(
    place: Place, params: Any, ids: list[str], page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.listing._PAGE", page)
    answer = (await place.reader.get(f"{place.path}/_all_docs", **params)).json()
    assert [row["id"] for row in answer["rows"]] == ids


@pytest.mark.parametrize("page", [1, 2, 500])
async def test_pages_of_changes_hold_what_matches(
    place: Place, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.feeds.changes._PAGE", page)
    path = f"{place.path}/_changes"
    first = (await place.reader.get(path, limit=2)).json()
    assert [row["id"] for row in first["results"]] == ["b", "d"]
    rest = (await place.reader.get(path, limit=2, since=first["last_seq"])).json()
    assert [row["id"] for row in rest["results"]] == ["f"]
    down = (await place.reader.get(path, limit=2, descending=True)).json()
    assert [row["id"] for row in down["results"]] == ["f", "d"]
    assert first["pending"] in (0, 1)


async def test_named_documents_that_are_hidden_are_not_found(place: Place) -> None:
    body = {"keys": ["a", "b", "missing"], "include_docs": True}
    rows = (await place.reader.post(f"{place.path}/_all_docs", body)).json()["rows"]
    assert rows[0] == {"key": "a", "error": "not_found"}
    assert rows[1]["doc"]["_id"] == "b"
    assert rows[2] == {"key": "missing", "error": "not_found"}
    queries = {"queries": [{"keys": ["a"]}, {"limit": 1}]}
    results = (await place.reader.post(f"{place.path}/_all_docs/queries", queries)).json()
    assert [one["total_rows"] for one in results["results"]] == [3, 3]
    assert "id" not in results["results"][0]["rows"][0]
    assert results["results"][1]["rows"][0]["id"] == "b"


async def test_a_filter_of_changes_does_not_reach_hidden_documents(place: Place) -> None:
    path = f"{place.path}/_changes"
    named = await place.reader.get(path, filter="_doc_ids", doc_ids=["a", "b"])
    assert [row["id"] for row in named.json()["results"]] == ["b"]
    asked = {"selector": {"public": False}}
    assert (await place.reader.post(path, asked, filter="_selector")).json()["results"] == []


async def test_bulk_get_finds_what_matches(place: Place) -> None:
    for params in ({}, {"latest": True, "revs": True, "attachments": True}):
        asked = [{"id": letter, "rev": place.revs[letter]} for letter in "ab"] + [{"id": "a"}]
        answer = await place.reader.post(f"{place.path}/_bulk_get", {"docs": asked}, **params)
        hidden, seen, without = answer.json()["results"]
        error = {"id": "a", "error": "not_found", "reason": "missing"}
        assert hidden["docs"] == [{"error": {**error, "rev": place.revs["a"]}}]
        assert seen["docs"][0]["ok"]["public"] is True
        assert without["docs"] == [{"error": {**error, "rev": "undefined"}}]


@pytest.mark.parametrize("name", ["_revs_diff", "_missing_revs"])
async def test_hidden_revisions_are_missing(place: Place, name: str) -> None:
    asked = {letter: [place.revs[letter], "2-" + "c" * 32] for letter in "ab"}
    answer = (await place.reader.post(f"{place.path}/{name}", asked)).json()
    if name == "_missing_revs":
        missing = answer["missing_revs"]
        assert set(missing["a"]) == set(asked["a"])
        assert missing["b"] == asked["b"][1:]
        return
    assert set(answer["a"]["missing"]) == set(asked["a"])
    assert "possible_ancestors" not in answer["a"]
    assert answer["b"] == {"missing": asked["b"][1:], "possible_ancestors": [place.revs["b"]]}


async def test_the_description_counts_what_matches(api: Any, place: Place) -> None:
    shown = (await place.reader.get(place.path)).json()
    assert (shown["doc_count"], shown["doc_del_count"]) == (3, 0)
    assert set(shown["sizes"].values()) == {0}
    (info,) = (await place.reader.get("/_dbs_info")).json()
    assert info["info"] == shown


async def test_design_documents_are_hidden_too(api: Any, place: Place) -> None:
    await api.owner.put(f"{place.path}/_design/d", {"language": "javascript"})
    listing = (await place.reader.get(f"{place.path}/_design_docs")).json()
    assert (listing["total_rows"], listing["rows"]) == (0, [])
    assert (await place.reader.get(f"{place.path}/_design/d")).status == 404


async def test_an_open_feed_sends_what_matches(api: Any, place: Place) -> None:
    path = f"{place.path}/_changes"
    async with place.reader.open(path, feed="continuous", since="now", include_docs=True) as feed:
        lines = feed.lines()
        docs = [{"_id": "h", "public": False}, {"_id": "i", "public": True}]
        pieces = feed.pieces()
        await anext(pieces)
        await api.owner.post(f"{place.path}/_bulk_docs", {"docs": docs})
        async for line in lines:
            if line:
                assert json.loads(line)["doc"]["_id"] == "i"
                break


async def test_one_of_several_selectors_is_enough(api: Any, place: Place) -> None:
    await sync_to_async(store.add_grant)(
        place.path[1:], place.reader.name, read=True, write=False, selector='{"_id": "a"}'
    )
    listing = (await place.reader.get(f"{place.path}/_all_docs")).json()
    assert [row["id"] for row in listing["rows"]] == ["a", *SEEN]
    await sync_to_async(store.add_grant)(place.path[1:], place.reader.name, read=True, write=False)
    listing = (await place.reader.get(f"{place.path}/_all_docs")).json()
    assert listing["total_rows"] == 7


async def test_copying_a_hidden_document_is_not_possible(api: Any, place: Place) -> None:
    await sync_to_async(store.add_grant)(place.path[1:], place.reader.name, read=False, write=True)
    hidden = await place.reader("COPY", f"{place.path}/a", headers={"destination": "mine"})
    missing = await place.reader("COPY", f"{place.path}/no", headers={"destination": "mine"})
    assert hidden.status == 404
    assert _same(hidden, missing)
    seen = await place.reader("COPY", f"{place.path}/b", headers={"destination": "mine"})
    assert seen.status == 201


async def test_a_stub_of_a_revision_that_cannot_be_seen_is_unknown(api: Any, place: Place) -> None:
    await sync_to_async(store.add_grant)(place.path[1:], place.reader.name, read=False, write=True)

    async def takes(letter: str) -> int:
        stub = {"f": {"stub": True, "revpos": 1}}
        document = {"_rev": place.revs[letter], "public": True, "_attachments": stub}
        answer = await place.reader.put(f"{place.path}/{letter}", document)
        return int(answer.status)

    assert [await takes(letter) for letter in "bc"] == [201, 412]
    assert (await place.reader.get(f"{place.path}/c/f")).status == 404
    assert (await place.reader.get(f"{place.path}/b/f")).body == b"abc"
