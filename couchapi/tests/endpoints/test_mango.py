"""`_find`, `_index` and `_explain` (CouchDB docs, "api/database/find")."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from asgiref.sync import sync_to_async

from acl import store
from couchapi import finding
from couchapi.core import mangoquery

PEOPLE = [
    {"_id": "ada", "name": "Ada", "age": 36, "at": {"city": "London"}, "tags": ["math"]},
    {"_id": "bob", "name": "Bob", "age": 20, "at": {"city": "Paris"}, "tags": []},
    {"_id": "cid", "name": "Cid", "age": 36, "at": {"city": "Paris"}},
    {"_id": "dee", "name": "Dee", "age": 51},
    {"_id": "eve", "name": "Eve", "age": "unknown"},
    {"_id": "fay", "name": "Fay"},
]


@pytest.fixture
async def people(owner: Any, couch_database: str) -> str:
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": PEOPLE})
    return couch_database


async def find(client: Any, database: str, selector: Any, **more: Any) -> Any:
    answer = await client.post(f"{database}/_find", {"selector": selector, **more})
    assert answer.status == 200, answer.body
    return answer.json()


async def ids(client: Any, database: str, selector: Any, **more: Any) -> list[str]:
    return [doc["_id"] for doc in (await find(client, database, selector, **more))["docs"]]


async def index(owner: Any, database: str, *fields: Any, **more: Any) -> Any:
    definition = {"fields": list(fields), **more.pop("definition", {})}
    answer = await owner.post(f"{database}/_index", {"index": definition, **more})
    assert answer.status == 200, answer.body
    return answer.json()


async def explain(owner: Any, database: str, selector: Any, **more: Any) -> Any:
    answer = await owner.post(f"{database}/_explain", {"selector": selector, **more})
    assert answer.status == 200, answer.body
    return answer.json()


# -- finding ---------------------------------------------------------------------------------------


async def test_without_an_index_everything_is_looked_at_and_a_warning_says_so(
    owner: Any, people: str
) -> None:
    found = await find(owner, people, {"age": {"$gt": 30}}, execution_stats=True)
    assert [doc["_id"] for doc in found["docs"]] == ["ada", "cid", "dee", "eve"]
    assert found["warning"] == finding.NO_INDEX
    stats = found["execution_stats"]
    assert (stats["total_docs_examined"], stats["results_returned"]) == (6, 4)


async def test_an_index_serves_what_it_covers(owner: Any, people: str) -> None:
    made = await index(owner, people, "age", name="by-age", ddoc="people")
    assert made == {"result": "created", "id": "_design/people", "name": "by-age"}
    found = await find(owner, people, {"age": {"$gt": 30}}, execution_stats=True)
    assert [doc["_id"] for doc in found["docs"]] == ["ada", "cid", "dee", "eve"]
    assert "warning" not in found
    assert found["execution_stats"]["total_keys_examined"] == 4
    assert await ids(owner, people, {"age": {"$gt": 30, "$lt": 50}}) == ["ada", "cid"]
    assert await ids(owner, people, {"age": 36, "name": "Cid"}) == ["cid"]
    assert await ids(owner, people, {"age": {"$gte": 20, "$lte": 36}}) == ["bob", "ada", "cid"]
    # One without the field is not in the index, which therefore does not serve.
    assert await ids(owner, people, {"age": {"$exists": False}}) == ["fay"]


async def test_an_index_follows_the_documents(owner: Any, people: str) -> None:
    await index(owner, people, "age")
    assert await ids(owner, people, {"age": 36}) == ["ada", "cid"]
    rev = (await owner.get(f"{people}/ada")).json()["_rev"]
    await owner.put(f"{people}/ada", {"_rev": rev, "age": 37})
    rev = (await owner.get(f"{people}/cid")).json()["_rev"]
    await owner("DELETE", f"{people}/cid", rev=rev)
    await owner.put(f"{people}/gus", {"age": 36})
    assert await ids(owner, people, {"age": 36}) == ["gus"]
    assert await ids(owner, people, {"age": 37}) == ["ada"]


async def test_fields_choose_what_is_shown(owner: Any, people: str) -> None:
    found = await find(owner, people, {"_id": "ada"}, fields=["name", "at.city", "none"])
    assert found["docs"] == [{"name": "Ada", "at": {"city": "London"}}]


async def test_sorting_needs_an_index(owner: Any, people: str) -> None:
    asked = {"selector": {"age": {"$gt": None}}, "sort": [{"age": "desc"}]}
    refused = await owner.post(f"{people}/_find", asked)
    assert (refused.status, refused.json()["error"]) == (400, "no_usable_index")
    await index(owner, people, "age")
    await index(owner, people, "age", "name")
    assert await ids(owner, people, **asked) == ["eve", "dee", "cid", "ada", "bob"]
    asked["sort"] = ["age", "name"]
    assert await ids(owner, people, **asked) == ["bob", "ada", "cid", "dee", "eve"]
    fixed = {"selector": {"age": 36}, "sort": [{"name": "desc"}]}
    assert await ids(owner, people, **fixed) == ["cid", "ada"]
    by_id = {"selector": {"_id": {"$gt": "b"}}, "sort": [{"_id": "desc"}]}
    assert await ids(owner, people, **by_id) == ["fay", "eve", "dee", "cid", "bob"]


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("page", [1, 2, 5, 100])
async def test_bookmarks_page_through_everything_once(
    owner: Any, people: str, indexed: bool, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_PAGE", 2)
    if indexed:
        await index(owner, people, "age")
    seen, bookmark = [], "nil"
    for _ in range(10):
        found = await find(owner, people, {"age": {"$gt": 0}}, limit=page, bookmark=bookmark)
        if not found["docs"]:
            break
        seen += [doc["_id"] for doc in found["docs"]]
        bookmark = found["bookmark"]
    order = ["bob", "ada", "cid", "dee", "eve"] if indexed else ["ada", "bob", "cid", "dee", "eve"]
    assert seen == order
    assert found["bookmark"] == "nil"


async def test_limit_and_skip_count_what_matches(owner: Any, people: str) -> None:
    assert await ids(owner, people, {"age": {"$gt": 0}}, limit=2, skip=1) == ["bob", "cid"]
    assert await ids(owner, people, {"age": {"$gt": 0}}, limit=0) == []
    assert len(await ids(owner, people, {})) == 6
    many = [{"_id": f"n{n:03}", "n": n} for n in range(30)]
    await owner.post(f"{people}/_bulk_docs", {"docs": many})
    assert len(await ids(owner, people, {"n": {"$gte": 0}})) == 25


async def test_conflicts_are_named_when_asked_for(owner: Any, couch_database: str) -> None:
    docs = [{"_id": "c", "_rev": "1-aa", "n": 1}, {"_id": "c", "_rev": "1-bb", "n": 2}]
    await owner.post(f"{couch_database}/_bulk_docs", {"new_edits": False, "docs": docs})
    found = await find(owner, couch_database, {"n": 2}, conflicts=True)
    assert found["docs"] == [{"_id": "c", "_rev": "1-bb", "n": 2, "_conflicts": ["1-aa"]}]


async def test_design_documents_are_not_found(owner: Any, people: str) -> None:
    await index(owner, people, "age")
    assert len(await ids(owner, people, {"_id": {"$gt": None}})) == 6


async def test_a_partial_index_serves_who_names_it(owner: Any, people: str) -> None:
    only = {"partial_filter_selector": {"at.city": "Paris"}}
    await index(owner, people, "age", name="paris", ddoc="p", definition=only)
    assert (await explain(owner, people, {"age": 36}))["index"]["name"] == "_all_docs"
    assert await ids(owner, people, {"age": {"$gt": 0}}, use_index=["p", "paris"]) == ["bob", "cid"]


@pytest.mark.parametrize("named", ["p", "_design/p", ["p"], ["_design/p", "by-age"]])
async def test_an_index_can_be_named(owner: Any, people: str, named: Any) -> None:
    await index(owner, people, "age", name="by-age", ddoc="p")
    await index(owner, people, "age", "name", name="both", ddoc="q")
    explained = await explain(owner, people, {"age": 1, "name": "x"}, use_index=named)
    assert explained["index"]["ddoc"] == "_design/p"


async def test_a_named_index_that_does_not_serve_is_warned_of(owner: Any, people: str) -> None:
    await index(owner, people, "age", ddoc="p")
    found = await find(owner, people, {"name": "Ada"}, use_index="p")
    assert "_design/p was not used" in found["warning"]
    asked = {"selector": {"name": "Ada"}, "use_index": "p", "allow_fallback": False}
    refused = await owner.post(f"{people}/_find", asked)
    assert (refused.status, refused.json()["error"]) == (400, "no_usable_index")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "missing_required_key"),
        ({"selector": 5}, "invalid_selector_json"),
        ({"selector": {"a": {"$no": 1}}}, "invalid_operator"),
        ({"selector": {"$text": "a"}}, "not_supported"),
        ({"selector": {"$gt": 1}}, "invalid_selector"),
        ({"selector": {"a": {"$in": 1}}}, "bad_arg"),
        ({"selector": {}, "limit": -1}, "invalid_non_neg_integer"),
        ({"selector": {}, "limit": "5"}, "invalid_non_neg_integer"),
        ({"selector": {}, "skip": 1.5}, "invalid_non_neg_integer"),
        ({"selector": {}, "other": 1}, "invalid_key"),
        ({"selector": {}, "fields": "a"}, "invalid_fields"),
        ({"selector": {}, "fields": [1]}, "invalid_fields"),
        ({"selector": {}, "sort": "a"}, "invalid_sort_json"),
        ({"selector": {}, "sort": [{"a": "up"}]}, "invalid_sort_dir"),
        ({"selector": {}, "sort": [{"a": "asc"}, {"b": "desc"}]}, "unsupported_mixed_sort"),
        ({"selector": {}, "bookmark": "nonsense"}, "invalid_bookmark"),
        ({"selector": {}, "bookmark": "bm90aGluZw"}, "invalid_bookmark"),
        ({"selector": {}, "bookmark": 5}, "invalid_bookmark"),
        ({"selector": {}, "use_index": 5}, "invalid_index_name"),
        ({"selector": {}, "conflicts": 1}, "invalid_value"),
    ],
)
@pytest.mark.parametrize("endpoint", ["_find", "_explain"])
async def test_a_bad_query_is_refused(
    owner: Any, people: str, endpoint: str, body: Any, word: str
) -> None:
    answer = await owner.post(f"{people}/{endpoint}", body)
    assert (answer.status, answer.json()["error"]) == (400, word)


async def test_a_bookmark_goes_with_its_index(owner: Any, people: str) -> None:
    found = await find(owner, people, {"age": {"$gt": 0}}, limit=1)
    await index(owner, people, "age")
    asked = {"selector": {"age": {"$gt": 0}}, "bookmark": found["bookmark"]}
    answer = await owner.post(f"{people}/_find", asked)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_bookmark")


@pytest.mark.parametrize(
    ("indexed", "place"),
    [
        (True, []),
        (True, ["bob"]),
        (True, [20, "bob", 0]),
        (True, [[20], "bo\0b", 0]),
        (True, [[20], "bob", 2**63]),
        (True, [[20], "bob", True]),
        (False, [[20], "bob", 0]),
        (False, [5]),
        (False, ["bo\0b"]),
    ],
)
async def test_a_forged_bookmark_is_refused_before_the_answer_begins(
    owner: Any, people: str, indexed: bool, place: list[Any]
) -> None:
    if indexed:
        await index(owner, people, "age")
    query = {"selector": {"age": {"$gt": 0}}, "limit": 1}
    (real, *_) = orjson.loads(
        base64.urlsafe_b64decode((await find(owner, people, **query))["bookmark"] + "==")
    )
    forged = mangoquery.bookmark(real, place or [None])
    answer = await owner.post(f"{people}/_find", {**query, "bookmark": forged})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_bookmark")


async def test_an_id_that_no_document_can_have_finds_none(owner: Any, people: str) -> None:
    assert await ids(owner, people, {"_id": "a\0"}) == []
    assert len(await ids(owner, people, {"_id": {"$gt": "\0"}})) == 6


async def test_attachments_and_conflicts_can_be_asked_for(owner: Any, couch_database: str) -> None:
    held = {"a.txt": {"content_type": "text/plain", "data": "YQ=="}}
    docs = [
        {"_id": "c", "_rev": "1-aa", "n": 1},
        {"_id": "c", "_rev": "1-bb", "n": 2},
        {"_id": "with", "_rev": "1-aa", "_attachments": held},
    ]
    await owner.post(f"{couch_database}/_bulk_docs", {"new_edits": False, "docs": docs})
    for _ in range(2):
        assert await ids(owner, couch_database, {"_attachments": {"$exists": True}}) == ["with"]
        forked = {"_conflicts": {"$exists": True}}
        assert await ids(owner, couch_database, forked, conflicts=True) == ["c"]
        assert await ids(owner, couch_database, forked) == []
        await index(owner, couch_database, "_attachments")
        await index(owner, couch_database, "_conflicts")


async def test_an_element_of_an_array_can_be_indexed(owner: Any, people: str) -> None:
    selector = {"tags.0": "math"}
    assert await ids(owner, people, selector) == ["ada"]
    await index(owner, people, "tags.0", name="t", ddoc="d")
    assert (await explain(owner, people, selector))["index"]["name"] == "t"
    assert await ids(owner, people, selector) == ["ada"]


# -- indexes ---------------------------------------------------------------------------------------


async def test_an_index_is_kept_as_couchdb_keeps_it(owner: Any, people: str) -> None:
    only = {"partial_filter_selector": {"age": {"$gt": 1}}}
    await index(owner, people, "name", {"at.city": "asc"}, name="n", ddoc="d", definition=only)
    design = (await owner.get(f"{people}/_design/d")).json()
    fields = {"name": "asc", "at.city": "asc"}
    listed = [{"name": "asc"}, {"at.city": "asc"}]
    assert design["language"] == "query"
    assert design["views"] == {
        "n": {
            "map": {"fields": fields, **only},
            "reduce": "_count",
            "options": {"def": {"fields": listed, **only}},
        }
    }


async def test_an_index_is_made_once_and_gets_a_name(owner: Any, people: str) -> None:
    first = await index(owner, people, "age")
    second = await index(owner, people, {"age": "asc"})
    assert (first["result"], second["result"]) == ("created", "exists")
    assert first["id"] == second["id"] == "_design/" + first["name"]
    other = await index(owner, people, "age", "name")
    assert other["name"] != first["name"]


async def test_indexes_are_listed_and_removed(owner: Any, people: str) -> None:
    await index(owner, people, "age", name="a", ddoc="d")
    await index(owner, people, "name", name="n", ddoc="d")
    listed = (await owner.get(f"{people}/_index")).json()
    assert listed["total_rows"] == 3
    assert [one["name"] for one in listed["indexes"]] == ["_all_docs", "a", "n"]
    assert listed["indexes"][0] == {
        "ddoc": None,
        "name": "_all_docs",
        "type": "special",
        "def": {"fields": [{"_id": "asc"}]},
    }
    path = f"{people}/_index/_design/d/json"
    assert (await owner.delete(f"{path}/none")).status == 404
    assert (await owner.delete(f"{path}/a")).json() == {"ok": True}
    assert (await owner.get(f"{people}/_design/d")).json()["views"].keys() == {"n"}
    assert (await owner.delete(f"{people}/_index/d/json/n")).status == 200
    assert (await owner.get(f"{people}/_design/d")).status == 404
    assert (await owner.get(f"{people}/_index")).json()["total_rows"] == 1


async def test_many_indexes_are_removed_at_once(owner: Any, people: str) -> None:
    await index(owner, people, "age", ddoc="a")
    await index(owner, people, "name", ddoc="b")
    asked = {"docids": ["_design/a", "b", "none"]}
    answer = (await owner.post(f"{people}/_index/_bulk_delete", asked)).json()
    assert [one["id"] for one in answer["success"]] == ["_design/a", "b"]
    assert [(one["id"], one["error"]) for one in answer["fail"]] == [("none", "not_found")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"index": []},
        {"index": {"fields": []}},
        {"index": {"fields": "a"}},
        {"index": {"fields": [{"a": "asc", "b": "asc"}]}},
        {"index": {"fields": ["a..b"]}},
        {"index": {"fields": [{"a": "asc"}, {"b": "desc"}]}},
        {"index": {"fields": ["a"], "partial_filter_selector": {"$no": 1}}},
        {"index": {"fields": ["a"]}, "type": "text"},
        {"index": {"fields": ["a"]}, "ddoc": 5},
        {"index": {"fields": ["a"]}, "name": ["x"]},
        {"index": {"fields": [f"f{n}" for n in range(1000)]}},
    ],
)
async def test_a_bad_index_is_refused(owner: Any, people: str, body: Any) -> None:
    assert (await owner.post(f"{people}/_index", body)).status == 400
    assert (await owner.get(f"{people}/_index")).json()["total_rows"] == 1


async def test_views_and_indexes_do_not_share_a_design_document(owner: Any, people: str) -> None:
    await owner.put(f"{people}/_design/v", {"views": {"x": {"map": "doc => emit(1)"}}})
    body = {"index": {"fields": ["a"]}, "ddoc": "v"}
    assert (await owner.post(f"{people}/_index", body)).status == 400


async def test_unused_rows_are_cleaned_up(owner: Any, people: str) -> None:
    await index(owner, people, "age", name="a", ddoc="d")
    await ids(owner, people, {"age": 36})
    assert (await owner.post(f"{people}/_view_cleanup")).status in (200, 202)
    assert await ids(owner, people, {"age": 36}) == ["ada", "cid"]


async def test_an_explanation_shows_the_choice(owner: Any, people: str) -> None:
    await index(owner, people, "age", name="a", ddoc="d")
    await index(owner, people, "name", name="n", ddoc="d")
    explained = await explain(owner, people, {"age": {"$gt": 3}, "at": {"city": "Paris"}})
    assert explained["dbname"] == people[1:]
    assert explained["index"]["name"] == "a"
    assert explained["selector"] == {"$and": [{"age": {"$gt": 3}}, {"at.city": {"$eq": "Paris"}}]}
    (other,) = explained["index_candidates"]
    assert other["index"]["name"] == "n"
    assert other["analysis"]["reasons"] == [{"name": "field_mismatch"}]


# -- rights ----------------------------------------------------------------------------------------


async def test_a_selector_reader_finds_only_what_it_may_see(
    api: Any, owner: Any, people: str
) -> None:
    await index(owner, people, "age", name="a", ddoc="d")
    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(
        people[1:], friend.name, read=True, write=False, selector='{"at.city": "Paris"}'
    )
    found = await find(friend, people, {"age": {"$gt": 0}}, limit=5, execution_stats=True)
    assert [doc["_id"] for doc in found["docs"]] == ["bob", "cid"]
    stats = found["execution_stats"]
    assert (stats["total_keys_examined"], stats["total_docs_examined"]) == (0, 2)
    # The index stands in a document that it may not see, and is named nowhere.
    asked = {"selector": {"age": {"$gt": 0}}}
    explained = await friend.post(f"{people}/_explain", asked)
    assert b"_design" not in explained.body
    named = await friend.post(f"{people}/_find", {**asked, "use_index": "d"})
    unknown = await friend.post(f"{people}/_find", {**asked, "use_index": "e"})
    assert named.body.replace(b"_design/d", b"_design/e") == unknown.body
    assert (await friend.post(f"{people}/_find", {**asked, "sort": ["age"]})).status == 400
    listed = (await friend.get(f"{people}/_index")).json()
    assert [one["name"] for one in listed["indexes"]] == ["_all_docs"]
    assert (await friend.post(f"{people}/_index", {"index": {"fields": ["x"]}})).status == 403


async def test_a_writer_makes_indexes_and_reads_nothing(api: Any, owner: Any, people: str) -> None:
    friend = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(people[1:], friend.name, read=False, write=True)
    assert (await friend.post(f"{people}/_index", {"index": {"fields": ["x"]}})).status == 200
    assert (await friend.post(f"{people}/_find", {"selector": {}})).status == 403
    assert (await friend.post(f"{people}/_explain", {"selector": {}})).status == 403
    assert (await friend.get(f"{people}/_index")).status == 403
