"""`/db` as CouchDB answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async

from acl import sql, store


async def test_a_database_is_made_described_and_deleted(
    owner: Any, new_name: Callable[[], str]
) -> None:
    name = new_name()
    made = await owner.put(f"/{name}")
    assert (made.status, made.json()) == (201, {"ok": True})
    assert made.headers["location"].endswith(f"/{name}")
    shown = (await owner.get(f"/{name}")).json()
    assert shown["db_name"] == name
    assert shown["doc_count"] == shown["doc_del_count"] == 0
    assert shown["update_seq"].startswith("0-")
    assert shown["instance_start_time"] == "0"
    assert (await owner.get(f"/{name}/")).json() == shown
    gone = await owner.delete(f"/{name}")
    assert (gone.status, gone.json()) == (200, {"ok": True})
    for method in ("GET", "HEAD", "DELETE"):
        assert (await owner(method, f"/{name}")).status == 404
    missing = {"error": "not_found", "reason": "Database does not exist."}
    assert (await owner.get(f"/{name}")).json() == missing


async def test_a_database_counts_its_documents(owner: Any, database: str) -> None:
    made = (await owner.post(f"{database}/_bulk_docs", {"docs": [{"_id": "a"}, {}]})).json()
    await owner.delete(f"{database}/a", rev=made[0]["rev"])
    shown = (await owner.get(database)).json()
    assert (shown["doc_count"], shown["doc_del_count"]) == (1, 1)
    assert shown["update_seq"].startswith("3-")
    assert shown["sizes"]["active"] > 0


async def test_a_database_that_exists_cannot_be_made(owner: Any, database: str) -> None:
    answer = await owner.put(database)
    assert answer.status == 412
    assert answer.json() == {
        "error": "file_exists",
        "reason": "The database could not be created, the file already exists.",
    }


@pytest.mark.parametrize("name", ["A", "1a", "a.b", "a b", "ä", "a%00", "_users", "-a", "a%25"])
async def test_an_illegal_name_cannot_be_made_and_is_not_there(owner: Any, name: str) -> None:
    path = "/" + quote(name, safe="%")
    refused = await owner.put(path)
    assert refused.status == 400
    assert refused.json()["error"] == "illegal_database_name"
    assert (await owner.get(path)).status == 404
    assert (await owner.delete(path)).status == 404


@pytest.mark.parametrize("end", ["/d", "/_all_docs", "/_changes", "/_local/l", "/d/f"])
async def test_nothing_is_in_a_database_of_an_illegal_name(owner: Any, end: str) -> None:
    for name in ("A", "a%00", "a.b"):
        assert (await owner.get(f"/{name}{end}")).status == 404


async def test_a_deleted_database_cannot_be_reached_by_the_name_it_has_until_it_is_removed(
    owner: Any, database: str
) -> None:
    await owner.delete(database)
    rows = await sql.scan(
        lambda connection: connection.all("SELECT name FROM couchapi_database WHERE dropped")
    )
    assert rows
    for (name,) in rows:
        for method in ("GET", "HEAD", "DELETE"):
            assert (await owner(method, f"/{name}")).status == 404
        assert (await owner.post(f"/{name}", {})).status == 404
        (info,) = (await owner.post("/_dbs_info", {"keys": [name]})).json()
        assert info["error"] == "not_found"


async def test_a_name_that_is_too_long_is_refused(owner: Any) -> None:
    answer = await owner.put("/" + "a" * 239)
    assert answer.status == 400
    assert answer.json()["error"] == "database_name_too_long"
    assert (await owner.get("/" + "a" * 239)).status == 404


@pytest.mark.parametrize("name", ["_nothing", "_users"])
async def test_a_name_of_the_server_is_no_database(owner: Any, name: str) -> None:
    assert (await owner.put(f"/{name}")).status in (400, 404)
    assert (await owner.get(f"/{name}")).status == 404


@pytest.mark.parametrize("end", ["/b", "+c", "$(x)-_"])
async def test_a_name_may_hold_what_couchdb_allows(
    owner: Any, new_name: Callable[[], str], end: str
) -> None:
    name = new_name() + end
    path = "/" + quote(name, safe="")
    assert (await owner.put(path)).status == 201
    assert (await owner.get(path)).json()["db_name"] == name
    assert name in (await owner.get("/_all_dbs")).json()
    assert (await owner.put(f"{path}/doc", {"x": 1})).status == 201
    assert (await owner.get(f"{path}/doc")).json()["x"] == 1
    assert (await owner.get(f"{path}/_all_docs")).json()["total_rows"] == 1


async def test_rights_on_a_name_with_a_slash_are_those_of_the_whole_name(
    api: Any, new_name: Callable[[], str]
) -> None:
    first = new_name()
    for name in (first, f"{first}/sub"):
        await api.owner.put("/" + quote(name, safe=""))
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(first, reader.name, read=True, write=False)
    assert (await reader.get(f"/{first}")).status == 200
    assert (await reader.get(f"/{first}%2Fsub")).status == 404


async def test_conflicts_stay_where_the_policy_is_couchdbs(
    owner: Any, couch_database: str, database: str
) -> None:
    docs = [{"_id": "d", "_rev": "1-" + letter * 32} for letter in "ab"]
    for path, left in ((couch_database, True), (database, False)):
        await owner.post(f"{path}/_bulk_docs", {"docs": docs, "new_edits": False})
        shown = (await owner.get(f"{path}/d", conflicts=True)).json()
        assert ("_conflicts" in shown) is left


async def test_the_setting_chooses_the_policy_of_new_databases(
    owner: Any, new_name: Callable[[], str], settings: Any
) -> None:
    settings.HUB_CONFLICT_POLICY = "couch"
    path = f"/{new_name()}"
    await owner.put(path)
    docs = [{"_id": "d", "_rev": "1-" + letter * 32} for letter in "ab"]
    await owner.post(f"{path}/_bulk_docs", {"docs": docs, "new_edits": False})
    assert "_conflicts" in (await owner.get(f"{path}/d", conflicts=True)).json()


async def test_a_policy_that_is_not_known_is_refused(
    owner: Any, new_name: Callable[[], str]
) -> None:
    path = f"/{new_name()}"
    assert (await owner.put(path, conflict_policy="mine")).status == 400
    assert (await owner.get(path)).status == 404


async def test_what_clusters_ask_of_a_new_database_is_taken(
    owner: Any, new_name: Callable[[], str]
) -> None:
    assert (await owner.put(f"/{new_name()}", q=8, n=3, partitioned=False)).status == 201


async def test_deleting_with_a_rev_is_a_mistake(owner: Any, database: str) -> None:
    answer = await owner.delete(database, rev="1-a")
    assert answer.status == 400
    assert "DELETE a document" in answer.json()["reason"]
    assert (await owner.get(database)).status == 200


async def test_a_database_made_again_is_empty_and_forgets_its_grants(
    api: Any, database: str
) -> None:
    owner, reader = api.owner, await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    await owner.put(f"{database}/a", {})
    await owner.put(f"{database}/_local/l", {})
    old = (await owner.get(database)).json()
    await owner.delete(database)
    assert (await owner.put(database)).status == 201
    new = (await owner.get(database)).json()
    assert new["doc_count"] == 0
    assert new["update_seq"].split("-")[1] != old["update_seq"].split("-")[1]
    assert (await owner.get(f"{database}/a")).status == 404
    assert (await owner.get(f"{database}/_local/l")).status == 404
    assert (await reader.get(database)).status == 404


async def test_a_document_may_be_posted_without_an_id(owner: Any, database: str) -> None:
    made = await owner.post(database, {"x": 1})
    assert made.status == 201
    docid = made.json()["id"]
    assert (await owner.get(f"{database}/{docid}")).json()["x"] == 1
    named = await owner.post(database, {"_id": "mine", "x": 2})
    assert named.json()["id"] == "mine"
    assert (await owner.post(database, {"_id": "mine"})).status == 409
    plain = await owner("POST", database, {}, headers={"content-type": "text/plain"})
    assert plain.status == 415


async def test_temporary_views_are_gone(owner: Any, database: str) -> None:
    answer = await owner.post(f"{database}/_temp_view", {"map": "x"})
    assert answer.status == 410
    assert answer.json()["error"] == "gone"
