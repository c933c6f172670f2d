"""What the owner of a database does to it as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store
from couchapi import tasks

JSON = {"content-type": "application/json"}
NOBODY: dict[str, list[str]] = {"names": [], "roles": []}


# -- _security -------------------------------------------------------------------------------------


async def test_nobody_is_named_at_first(owner: Any, database: str) -> None:
    shown = (await owner.get(f"{database}/_security")).json()
    assert shown == {"admins": NOBODY, "members": NOBODY}


async def test_members_may_read_and_write_until_they_are_named_no_more(
    api: Any, database: str
) -> None:
    friend = await sync_to_async(api.principal)()
    assert (await friend.get(database)).status == 404
    path = f"{database}/_security"
    members = {"names": [friend.name], "roles": []}
    assert (await api.owner.put(path, {"members": members})).json() == {"ok": True}
    assert (await api.owner.get(path)).json() == {"admins": NOBODY, "members": members}
    assert (await friend.put(f"{database}/a", {})).status == 201
    assert (await friend.get(f"{database}/a")).status == 200
    assert (await friend.get(path)).status == 403
    await api.owner.put(path, {})
    assert (await friend.get(database)).status == 404


async def test_admins_administer_and_keys_are_names_too(api: Any, database: str) -> None:
    friend = await sync_to_async(api.principal)()
    key = (await friend.get("/_session")).json()["userCtx"]["name"]
    path = f"{database}/_security"
    await api.owner.put(path, {"admins": {"names": [key], "roles": ["_admin"]}})
    shown = (await friend.get(path)).json()
    assert shown["admins"] == {"names": [friend.name], "roles": []}
    assert (await friend.put(f"{database}/_revs_limit", b"10")).status == 200
    assert (await friend.delete(database)).status == 200


async def test_roles_are_groups(api: Any, database: str, new_name: Callable[[], str]) -> None:
    friend, group = await sync_to_async(api.principal)(), new_name()
    await sync_to_async(store.add_group)(group)
    await sync_to_async(store.add_member)(group, friend.name)
    roles = {"names": [], "roles": [group]}
    await api.owner.put(f"{database}/_security", {"members": roles})
    assert (await friend.get(database)).status == 200
    assert (await api.owner.get(f"{database}/_security")).json()["members"] == roles


async def test_finer_grants_are_not_touched(api: Any, database: str) -> None:
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    await api.owner.put(f"{database}/_security", {})
    assert (await reader.get(database)).status == 200
    assert (await reader.put(f"{database}/a", {})).status == 403


async def test_a_name_that_nobody_has_is_refused_and_nothing_is_changed(
    api: Any, database: str
) -> None:
    friend = await sync_to_async(api.principal)()
    path = f"{database}/_security"
    await api.owner.put(path, {"members": {"names": [friend.name]}})
    for members in ({"names": ["no such"]}, {"roles": ["no such"]}, {"names": ["a\0"]}):
        answer = await api.owner.put(path, {"members": members, "other": 1})
        assert answer.status == 400
    shown = (await api.owner.get(path)).json()
    assert shown["members"]["names"] == [friend.name]
    assert "other" not in shown


async def _application(api: Any, new_name: Callable[[], str]) -> tuple[Any, str]:
    """An application, and the path of the database that it has made."""
    app = await sync_to_async(api.principal)(kind="application")
    await sync_to_async(store.allow_create_databases)(app.name)
    path = f"/{new_name()}"
    assert (await app.put(path)).status == 201
    return app, path


async def test_an_application_does_not_learn_whom_the_owner_knows(
    api: Any, new_name: Callable[[], str]
) -> None:
    app, path = await _application(api, new_name)
    friend = await sync_to_async(api.principal)("secret friend")
    key = (await friend.get("/_session")).json()["userCtx"]["name"]
    session = (await app.get("/_session")).json()["userCtx"]["name"]
    unknown = "sha256:" + "A" * 43
    for names in ([friend.name], ["no such"], [key], [unknown], ["a\0"], [friend.name, "no such"]):
        wish = {"names": names, "roles": ["no such group"]}
        body = {"admins": {"names": [session], "roles": []}, "members": wish}
        answer = await app.put(f"{path}/_security", body)
        assert (answer.status, answer.body) == (200, b'{"ok":true}\n')
        assert (await app.get(f"{path}/_security")).json() == body
        granted = bool({friend.name, key} & set(names))
        assert (await friend.get(path)).status == (200 if granted else 404)
    by_owner = (await api.owner.get(f"{path}/_security")).json()
    assert by_owner["members"] == {"names": [friend.name], "roles": []}
    assert "_asked" not in by_owner


async def test_what_the_owner_says_of_an_applications_database_goes_before(
    api: Any, new_name: Callable[[], str]
) -> None:
    app, path = await _application(api, new_name)
    admins = {"names": [app.name], "roles": []}
    await app.put(f"{path}/_security", {"admins": admins, "members": {"names": ["x"]}})
    await api.owner.put(f"{path}/_security", {"admins": admins, "_asked": {"members": 1}})
    assert (await app.get(f"{path}/_security")).json() == {"admins": admins, "members": NOBODY}


@pytest.mark.parametrize(
    "body",
    [
        {"members": []},
        {"members": {"names": "a"}},
        {"members": {"names": [1]}},
        {"admins": {"roles": {}}},
        {"admins": None},
        [],
        b"",
        b"{",
    ],
)
async def test_what_is_no_security_object_is_refused(owner: Any, database: str, body: Any) -> None:
    answer = await owner.put(f"{database}/_security", body)
    assert answer.status == 400
    assert answer.json()["error"] == "bad_request"


async def test_what_else_the_object_holds_comes_back(owner: Any, database: str) -> None:
    await owner.put(f"{database}/_security", {"cloudant": {"x": ["y"]}})
    assert (await owner.get(f"{database}/_security")).json()["cloudant"] == {"x": ["y"]}


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_revs_limit", "_purged_infos_limit"])
async def test_a_limit_is_shown_and_set(owner: Any, database: str, name: str) -> None:
    path = f"{database}/{name}"
    assert (await owner.get(path)).body == b"1000\n"
    assert (await owner.put(path, b"5")).json() == {"ok": True}
    assert (await owner.get(path)).json() == 5
    for bad in (b"0", b"-1", b'"5"', b"1.5", b"true", b"", b"null", b"99999999999999999999"):
        assert (await owner.put(path, bad)).status == 400
    assert (await owner.get(path)).json() == 5


async def test_only_as_many_ancestors_are_kept_as_the_limit_says(owner: Any, database: str) -> None:
    await owner.put(f"{database}/_revs_limit", b"2")
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    for n in range(3):
        rev = (await owner.put(f"{database}/a", {"_rev": rev, "n": n})).json()["rev"]
    shown = (await owner.get(f"{database}/a", revs=True)).json()["_revisions"]
    assert (shown["start"], len(shown["ids"])) == (4, 2)


# -- commit, compaction ----------------------------------------------------------------------------


async def test_every_write_is_durable_already(owner: Any, database: str) -> None:
    answer = await owner("POST", f"{database}/_ensure_full_commit", b"", headers=JSON)
    assert (answer.status, answer.json()) == (201, {"ok": True, "instance_start_time": "0"})


@pytest.mark.parametrize(
    "name", ["_ensure_full_commit", "_compact", "_compact/ddoc", "_view_cleanup", "_purge"]
)
async def test_a_post_needs_the_type_json(owner: Any, database: str, name: str) -> None:
    for headers in ({"content-type": "text/plain"}, {"content-type": ""}):
        answer = await owner("POST", f"{database}/{name}", b"{}", headers=headers)
        assert answer.status == 415
        assert answer.json()["error"] == "bad_content_type"


@pytest.mark.parametrize(
    "name", ["_ensure_full_commit", "_compact", "_view_cleanup", "_revs_limit", "_security"]
)
async def test_a_missing_database_is_said(owner: Any, name: str) -> None:
    method = "GET" if name in ("_revs_limit", "_security") else "POST"
    answer = await owner(method, f"/nothing/{name}", b"", headers=JSON)
    assert answer.status == 404
    assert answer.json() == {"error": "not_found", "reason": "Database does not exist."}


async def test_compaction_is_handed_to_the_worker(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[tuple[str, ...]] = []
    monkeypatch.setattr(tasks.compact, "delay", lambda *args: handed.append(args))
    answer = await owner("POST", f"{database}/_compact", b"", headers=JSON)
    assert (answer.status, answer.json()) == (202, {"ok": True})
    assert handed == [(database[1:],)]


async def test_compaction_forgets_old_bodies_and_keeps_the_leaves(
    owner: Any, couch_database: str
) -> None:
    path = f"{couch_database}/a"
    old = (await owner.put(path, {"n": 1})).json()["rev"]
    new = (await owner.put(path, {"n": 2, "_rev": old})).json()["rev"]
    other = {"_id": "a", "_rev": "1-" + "f" * 32, "n": 3}
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": [other], "new_edits": False})
    assert (await owner.get(path, rev=old)).json()["n"] == 1
    size = (await owner.get(couch_database)).json()["sizes"]["active"]

    await sync_to_async(tasks.compact)(couch_database[1:])

    gone = await owner.get(path, rev=old)
    assert (gone.status, gone.json()["reason"]) == (404, "missing")
    assert (await owner.get(path, rev=new)).json()["n"] == 2
    assert (await owner.get(path, rev=other["_rev"])).json()["n"] == 3
    assert (await owner.get(couch_database)).json()["sizes"]["active"] < size
    infos = (await owner.get(path, revs_info=True)).json()["_revs_info"]
    assert [one["status"] for one in infos] == ["available", "missing"]


async def test_there_is_nothing_to_clean_up_in_views(owner: Any, database: str) -> None:
    answer = await owner("POST", f"{database}/_view_cleanup", b"", headers=JSON)
    assert (answer.status, answer.json()) == (202, {"ok": True})


# -- purging ---------------------------------------------------------------------------------------


async def test_a_purged_document_is_gone_without_a_trace(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    answer = await owner.post(f"{database}/_purge", {"a": [rev], "x": ["1-" + "a" * 32]})
    assert answer.status == 201
    assert answer.json()["purged"] == {"a": [rev], "x": []}
    shown = (await owner.get(database)).json()
    assert answer.json()["purge_seq"] == shown["purge_seq"]
    assert (shown["doc_count"], shown["doc_del_count"]) == (0, 0)
    assert (await owner.get(f"{database}/a")).json()["reason"] == "missing"
    (info,) = (await owner.get(f"{database}/_purged_infos")).json()["purged_infos"]
    assert (info["id"], info["revs"]) == ("a", [rev])
    assert (await owner.put(f"{database}/a", {})).status == 201


async def test_only_leaves_are_purged(owner: Any, database: str) -> None:
    old = (await owner.put(f"{database}/a", {})).json()["rev"]
    new = (await owner.put(f"{database}/a", {"_rev": old})).json()["rev"]
    answer = await owner.post(f"{database}/_purge", {"a": [old]})
    assert answer.json()["purged"] == {"a": []}
    assert (await owner.get(f"{database}/a")).json()["_rev"] == new


async def test_as_many_purges_are_remembered_as_the_limit_says(owner: Any, database: str) -> None:
    await owner.put(f"{database}/_purged_infos_limit", b"1")
    for docid in "ab":
        rev = (await owner.put(f"{database}/{docid}", {})).json()["rev"]
        await owner.post(f"{database}/_purge", {docid: [rev]})
    infos = (await owner.get(f"{database}/_purged_infos")).json()["purged_infos"]
    assert [one["id"] for one in infos] == ["b"]


@pytest.mark.parametrize(
    "body", [[], {"a": "1-a"}, {"a": [1]}, {"a": ["foo"]}, {"_bad": []}, b"", b"{"]
)
async def test_what_names_no_revisions_is_not_purged(owner: Any, database: str, body: Any) -> None:
    assert (await owner.post(f"{database}/_purge", body)).status == 400
