"""validate_doc_update on every way that a document is written (CouchDB docs, "ddocs/ddocs")."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store
from acl.core import keys
from couchapi import javascript, writing

NEEDS_TYPE = """function(doc, old, user, sec) {
    if (doc._deleted) return;
    if (!doc.type) throw({forbidden: 'no type'});
    if (doc.type === 'who') throw({unauthorized: 'log in'});
}"""


async def judge(owner: Any, database: str, source: str, name: str = "rules") -> dict[str, Any]:
    """Give the database a design document with this function."""
    answer = await owner.put(f"{database}/_design/{name}", {"validate_doc_update": source})
    assert answer.status == 201
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
async def judged(owner: Any, database: str) -> str:
    await judge(owner, database, NEEDS_TYPE)
    return database


def refusal(answer: Any) -> tuple[int, str, str]:
    return answer.status, answer.json()["error"], answer.json()["reason"]


FORBIDDEN = (403, "forbidden", "no type")


async def test_put_asks(owner: Any, judged: str) -> None:
    assert refusal(await owner.put(f"{judged}/d", {"a": 1})) == FORBIDDEN
    assert (await owner.get(f"{judged}/d")).status == 404
    answer = await owner.put(f"{judged}/d", {"type": "who"})
    assert refusal(answer) == (401, "unauthorized", "log in")
    assert (await owner.put(f"{judged}/d", {"type": "x"})).status == 201


async def test_post_asks(owner: Any, judged: str) -> None:
    assert refusal(await owner.post(judged, {"_id": "d"})) == FORBIDDEN
    assert (await owner.post(judged, {"_id": "d", "type": "x"})).status == 201


async def test_delete_asks(owner: Any, database: str) -> None:
    made = (await owner.put(f"{database}/d", {"keep": True})).json()
    source = "(doc, old) => { if (doc._deleted && old.keep) throw {forbidden: 'kept'}; }"
    await judge(owner, database, source)
    answer = await owner("DELETE", f"{database}/d", rev=made["rev"])
    assert refusal(answer) == (403, "forbidden", "kept")
    assert (await owner.get(f"{database}/d")).json()["keep"] is True


async def test_copy_asks(owner: Any, database: str) -> None:
    await owner.put(f"{database}/d", {"a": 1})
    await judge(owner, database, NEEDS_TYPE)
    answer = await owner("COPY", f"{database}/d", headers={"destination": "e"})
    assert refusal(answer) == FORBIDDEN
    assert (await owner.get(f"{database}/e")).status == 404


async def test_an_attachment_asks(owner: Any, database: str) -> None:
    made = (await owner.put(f"{database}/d", {"n": 1})).json()
    source = """(doc, old) => {
        if (doc._attachments && doc._attachments.bad) throw {forbidden: 'bad ' + doc.n};
        if (old && old._attachments && !doc._attachments) throw {forbidden: 'lost'};
    }"""
    await judge(owner, database, source)
    answer = await owner.put(f"{database}/d/bad", b"x", rev=made["rev"])
    assert refusal(answer) == (403, "forbidden", "bad 1")
    answer = await owner.put(f"{database}/d/good", b"x", rev=made["rev"])
    assert answer.status == 201
    answer = await owner("DELETE", f"{database}/d/good", rev=answer.json()["rev"])
    assert refusal(answer) == (403, "forbidden", "lost")
    assert (await owner.get(f"{database}/d/good")).body == b"x"


async def test_a_batch_asks_of_each_document(owner: Any, judged: str) -> None:
    docs = [
        {"_id": "a", "type": "x"},
        {"_id": "b"},
        {"_id": "c", "type": "who"},
        {"_id": "_local/l"},
    ]
    rows = (await owner.post(f"{judged}/_bulk_docs", {"docs": docs})).json()
    assert [row["id"] for row in rows] == ["a", "b", "c", "_local/l"]
    assert [row.get("error") for row in rows] == [None, "forbidden", "unauthorized", None]
    assert (await owner.get(f"{judged}/b")).status == 404


async def test_replicated_documents_are_asked_about_once(owner: Any, database: str) -> None:
    history = {"start": 2, "ids": ["bb", "aa"]}
    known = {"_id": "known", "_revisions": history}
    replicate = {"new_edits": False, "docs": [known]}
    await owner.post(f"{database}/_bulk_docs", replicate)
    await judge(owner, database, NEEDS_TYPE)
    newer = {"_id": "known", "_revisions": {"start": 3, "ids": ["cc", "bb", "aa"]}}
    good = {"_id": "good", "_rev": "1-aa", "type": "x"}
    replicate = {"new_edits": False, "docs": [known, newer, good, {"_id": "bad", "_rev": "1-aa"}]}
    rows = (await owner.post(f"{database}/_bulk_docs", replicate)).json()
    assert [(row["id"], row["error"]) for row in rows] == [
        ("known", "forbidden"),
        ("bad", "forbidden"),
    ]
    listed = (await owner.get(f"{database}/_all_docs")).json()["rows"]
    revs = {row["id"]: row["value"]["rev"] for row in listed}
    assert revs == {"known": "2-bb", "good": "1-aa", "_design/rules": revs["_design/rules"]}
    answer = await owner.put(f"{database}/bad", {"_rev": "1-aa"}, new_edits="false")
    assert refusal(answer) == FORBIDDEN


async def test_a_function_sees_the_document_that_is_replaced(owner: Any, database: str) -> None:
    show = "(doc, old) => { if (doc.show) throw {forbidden: toJSON([doc, old])}; }"
    await judge(owner, database, show)
    made = (await owner.put(f"{database}/d", {"n": 1})).json()
    answer = await owner.put(f"{database}/d", {"_rev": made["rev"], "n": 2, "show": 1})
    new, old = json.loads(answer.json()["reason"])
    revisions = {"start": 1, "ids": [made["rev"][2:]]}
    assert new == {"_id": "d", "_rev": made["rev"], "_revisions": revisions, "n": 2, "show": 1}
    assert old == {"_id": "d", "_rev": made["rev"], "_revisions": revisions, "n": 1}
    answer = await owner.put(f"{database}/new", {"show": 1})
    assert json.loads(answer.json()["reason"]) == [{"_id": "new", "show": 1}, None]


async def test_a_function_sees_who_writes_and_the_security_object(
    api: Any, owner: Any, database: str
) -> None:
    show = "(doc, old, user, sec) => { throw {forbidden: toJSON([user, sec.members])}; }"
    await judge(owner, database, show)
    friend = await sync_to_async(api.principal)()
    group = f"group-{friend.name}"
    await sync_to_async(store.add_group)(group)
    await sync_to_async(store.add_member)(group, friend.name)
    await sync_to_async(store.add_grant)(database[1:], group, read=True, write=True)
    answer = await friend.put(f"{database}/d", {})
    user, members = json.loads(answer.json()["reason"])
    assert user["db"] == database[1:]
    assert user["roles"] == [group]
    assert keys.parse_key_text(user["name"])
    assert members["roles"] == [group]
    answer = await owner.put(f"{database}/d", {})
    user, _ = json.loads(answer.json()["reason"])
    assert "_admin" in user["roles"]


async def test_every_design_document_is_asked(owner: Any, judged: str) -> None:
    await judge(owner, judged, "doc => { if (doc.b) throw {forbidden: 'b'}; }", "second")
    assert (await owner.put(f"{judged}/d", {"type": "x", "b": 1})).json()["reason"] == "b"
    assert (await owner.put(f"{judged}/d", {"b": 1})).json()["reason"] in ("b", "no type")
    assert (await owner.put(f"{judged}/d", {"type": "x"})).status == 201


@pytest.mark.parametrize(
    "source",
    [
        "function(",
        "5",
        "function() { throw 'odd'; }",
        "() => nothing.at.all",
        "() => { throw null }",
    ],
)
async def test_a_function_that_fails_lets_nothing_in_until_it_is_mended(
    owner: Any, database: str, source: str
) -> None:
    made = await judge(owner, database, source)
    status, word, reason = refusal(await owner.put(f"{database}/d", {}))
    assert (status, word) == (403, "forbidden")
    assert "_design/rules failed" in reason
    assert "replaced or deleted" in reason
    assert (await owner("DELETE", f"{database}/_design/rules", rev=made["rev"])).status == 200
    assert (await owner.put(f"{database}/d", {})).status == 201


async def test_local_and_design_documents_are_not_asked_about(owner: Any, database: str) -> None:
    await judge(owner, database, "() => { throw {forbidden: 'nothing'}; }")
    assert (await owner.put(f"{database}/_local/l", {})).status == 201
    assert (await owner.put(f"{database}/_design/other", {})).status == 201
    assert (await owner.put(f"{database}/d", {})).status == 403


async def test_a_changed_function_counts_for_the_next_write(owner: Any, judged: str) -> None:
    assert (await owner.put(f"{judged}/d", {})).status == 403
    rev = (await owner.get(f"{judged}/_design/rules")).json()["_rev"]
    allow = {"_rev": rev, "validate_doc_update": "function() {}"}
    made = (await owner.put(f"{judged}/_design/rules", allow)).json()
    assert (await owner.put(f"{judged}/d", {})).status == 201
    purged = {"_design/rules": [made["rev"]]}
    assert (await owner.post(f"{judged}/_purge", purged)).status == 201
    await judge(owner, judged, NEEDS_TYPE)
    assert (await owner.put(f"{judged}/e", {})).status == 403


async def test_a_database_that_is_made_again_has_forgotten_its_functions(
    owner: Any, judged: str
) -> None:
    assert (await owner.put(f"{judged}/d", {})).status == 403
    await owner("DELETE", judged)
    await owner.put(judged)
    assert (await owner.put(f"{judged}/d", {})).status == 201


async def test_a_function_that_comes_while_documents_are_judged_judges_them_too(
    owner: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await judge(owner, database, "function() {}")
    asked = javascript.validate
    came = []

    async def validate(*given: Any) -> Any:
        judged = await asked(*given)
        if not came:
            came.append(True)
            await judge(owner, database, NEEDS_TYPE, "second")
        return judged

    monkeypatch.setattr(writing.javascript, "validate", validate)
    assert refusal(await owner.put(f"{database}/d", {"a": 1})) == FORBIDDEN
    assert (await owner.get(f"{database}/d")).status == 404
