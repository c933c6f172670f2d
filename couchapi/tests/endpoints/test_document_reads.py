"""The forms in which `GET /db/docid` shows a document (CouchDB docs, "api/document/common")."""

from __future__ import annotations

import re
from typing import Any

import pytest

A, B, C = "a" * 32, "b" * 32, "c" * 32


async def push(owner: Any, database: str, *docs: dict[str, Any]) -> None:
    answer = await owner.post(f"{database}/_bulk_docs", {"new_edits": False, "docs": list(docs)})
    assert (answer.status, answer.json()) == (201, [])


def revision(docid: str, *hashes: str, **more: Any) -> dict[str, Any]:
    revisions = {"start": len(hashes), "ids": list(hashes)}
    return {"_id": docid, "_rev": f"{len(hashes)}-{hashes[0]}", "_revisions": revisions, **more}


@pytest.fixture
async def conflict(owner: Any, couch_database: str) -> str:
    """A document with two live leaves, 2-b and 2-a, and a deleted one, 2-c."""
    await push(
        owner,
        couch_database,
        revision("d", A, C, x="loser"),
        revision("d", B, C, x="winner"),
        revision("d", C, C, _deleted=True),
    )
    return f"{couch_database}/d"


async def test_the_winner_is_shown_and_the_loser_named(owner: Any, conflict: str) -> None:
    shown = (await owner.get(conflict, conflicts=True, deleted_conflicts=True)).json()
    assert shown["x"] == "winner"
    assert shown["_conflicts"] == [f"2-{A}"]
    assert shown["_deleted_conflicts"] == [f"2-{C}"]


async def test_one_revision_is_shown_by_its_name(owner: Any, conflict: str) -> None:
    assert (await owner.get(conflict, rev=f"2-{A}")).json()["x"] == "loser"
    deleted = (await owner.get(conflict, rev=f"2-{C}")).json()
    assert deleted["_deleted"] is True
    missing = await owner.get(conflict, rev="7-" + A)
    assert (missing.status, missing.json()["reason"]) == (404, "missing")


async def test_revisions_and_their_states_are_told(owner: Any, conflict: str) -> None:
    shown = (await owner.get(conflict, revs=True, revs_info=True, local_seq=True)).json()
    assert shown["_revisions"] == {"start": 2, "ids": [B, C]}
    assert shown["_revs_info"] == [
        {"rev": f"2-{B}", "status": "available"},
        {"rev": f"1-{C}", "status": "missing"},
    ]
    assert isinstance(shown["_local_seq"], int)


async def test_meta_is_all_of_it_without_an_etag(owner: Any, conflict: str) -> None:
    answer = await owner.get(conflict, meta=True)
    assert {"_revs_info", "_conflicts", "_deleted_conflicts"} <= set(answer.json())
    assert "etag" not in answer.headers


async def test_all_leaves_are_opened_as_json(owner: Any, conflict: str) -> None:
    answer = await owner("GET", conflict, headers={"accept": "application/json"}, open_revs="all")
    rows = answer.json()
    assert [row["ok"]["_rev"] for row in rows] == [f"2-{B}", f"2-{A}", f"2-{C}"]


async def test_missing_revisions_are_named_among_those_opened(owner: Any, conflict: str) -> None:
    asked = [f"2-{A}", "9-" + A]
    answer = await owner("GET", conflict, headers={"accept": "application/json"}, open_revs=asked)
    assert answer.json()[0]["ok"]["x"] == "loser"
    assert answer.json()[1] == {"missing": "9-" + A}


async def test_latest_opens_the_leaves_that_came_of_a_revision(owner: Any, conflict: str) -> None:
    headers = {"accept": "application/json"}
    answer = await owner("GET", conflict, headers=headers, open_revs=[f"1-{C}"], latest=True)
    assert {row["ok"]["_rev"] for row in answer.json()} == {f"2-{A}", f"2-{B}", f"2-{C}"}


async def test_opened_revisions_are_multipart_unless_json_is_asked_for(
    owner: Any, conflict: str
) -> None:
    answer = await owner.get(conflict, open_revs=[f"2-{A}", "9-" + A])
    found = re.fullmatch(r'multipart/mixed; boundary="(\w+)"', answer.headers["content-type"])
    assert found
    parts = answer.body.split(b"--" + found[1].encode())
    assert len(parts) == 4
    assert b'"x":"loser"' in parts[1]
    assert b'error="true"' in parts[2] and b'"missing"' in parts[2]
    assert parts[3] == b"--"


async def test_an_etag_saves_the_second_reading(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {"x": 1})
    first = await owner.get(f"{database}/a")
    again = await owner("GET", f"{database}/a", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = await owner("GET", f"{database}/a", headers={"if-none-match": '"1-x"'})
    assert other.status == 200


async def test_head_has_the_headers_and_no_body(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {"x": 1})
    shown = await owner.get(f"{database}/a")
    head = await owner("HEAD", f"{database}/a")
    assert (head.status, head.headers["etag"]) == (200, shown.headers["etag"])


async def test_a_deleted_document_is_not_found_and_says_so(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    assert (await owner.delete(f"{database}/a", rev=rev)).status == 200
    gone = await owner.get(f"{database}/a")
    assert (gone.status, gone.json()) == (404, {"error": "not_found", "reason": "deleted"})


async def test_a_document_continues_after_its_deletion(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    await owner.delete(f"{database}/a", rev=rev)
    assert (await owner.put(f"{database}/a", {})).json()["rev"].startswith("3-")


async def test_deleting_without_a_revision_conflicts(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {})
    assert (await owner.delete(f"{database}/a")).status == 409


async def test_the_revision_may_come_in_the_query_the_header_or_the_body(
    owner: Any, database: str
) -> None:
    path = f"{database}/a"
    rev = (await owner.put(path, {})).json()["rev"]
    rev = (await owner.put(path, {"_rev": rev})).json()["rev"]
    rev = (await owner.put(path, {}, rev=rev)).json()["rev"]
    rev = (await owner("PUT", path, {}, headers={"if-match": f'"{rev}"'})).json()["rev"]
    assert rev.startswith("4-")
    both = await owner.put(path, {"_rev": rev}, rev="1-" + A)
    assert both.status == 400


async def test_a_copy_has_the_body_and_an_id_of_its_own(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {"x": 1})
    copied = await owner("COPY", f"{database}/a", headers={"destination": "b"})
    assert copied.status == 201
    assert (await owner.get(f"{database}/b")).json()["x"] == 1
    again = await owner("COPY", f"{database}/a", headers={"destination": "b"})
    assert again.status == 409
    rev = copied.json()["rev"]
    over = await owner("COPY", f"{database}/a", headers={"destination": f"b?rev={rev}"})
    assert over.json()["rev"].startswith("2-")


async def test_a_batch_write_is_accepted(owner: Any, database: str) -> None:
    answer = await owner.put(f"{database}/a", {}, batch="ok")
    assert (answer.status, answer.json()) == (202, {"ok": True, "id": "a"})


@pytest.mark.parametrize(
    ("path", "docid"),
    [
        ("%C3%A4%20%E2%98%83", "ä ☃"),
        ("a%2Fb", "a/b"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("%F0%9F%98%80", "😀"),
        ("_design/views", "_design/views"),
        ("_design%2Fviews", "_design/views"),
    ],
)
async def test_ids_may_be_any_unicode(owner: Any, database: str, path: str, docid: str) -> None:
    made = await owner.put(f"{database}/{path}", {})
    assert made.json()["id"] == docid
    assert (await owner.get(f"{database}/{path}")).json()["_id"] == docid


async def test_a_database_name_may_hold_a_slash(owner: Any, new_name: Any) -> None:
    path = f"/{new_name()}%2Fsub"
    assert (await owner.put(path)).status == 201
    assert (await owner.put(f"{path}/a", {})).status == 201
    assert (await owner.get(f"{path}/a")).json()["_id"] == "a"
    assert (await owner.get(path)).json()["db_name"] == path[1:].replace("%2F", "/")


async def test_the_id_of_the_url_wins(owner: Any, database: str) -> None:
    await owner.put(f"{database}/a", {"_id": "b"})
    assert (await owner.get(f"{database}/a")).status == 200
    assert (await owner.get(f"{database}/b")).status == 404


async def test_a_revision_made_elsewhere_is_taken_as_it_is(owner: Any, database: str) -> None:
    document = revision("a", B, A, x=1)
    for _ in range(2):
        answer = await owner.put(f"{database}/a", document, new_edits=False)
        assert (answer.status, answer.json()["rev"]) == (201, f"2-{B}")
    assert (await owner.get(database)).json()["update_seq"].startswith("1-")


async def test_the_last_writer_wins_over_a_deeper_branch(owner: Any, database: str) -> None:
    first = (await owner.put(f"{database}/a", {"x": "first"})).json()["rev"]
    await push(owner, database, revision("a", A, B, C, x="a client's, later"))
    shown = (await owner.get(f"{database}/a", conflicts=True)).json()
    assert shown["x"] == "a client's, later"
    assert "_conflicts" not in shown
    assert (await owner.get(f"{database}/a", rev=first)).json()["x"] == "first"


async def test_a_method_that_is_not_there_says_which_are(owner: Any, database: str) -> None:
    answer = await owner("PATCH", f"{database}/a", {})
    assert answer.status == 405
    assert answer.json()["error"] == "method_not_allowed"
    assert set(answer.headers["allow"].split(", ")) == {"COPY", "DELETE", "GET", "HEAD", "PUT"}


async def test_local_documents_are_counted_and_not_listed(owner: Any, database: str) -> None:
    path = f"{database}/_local/check"
    assert (await owner.put(path, {"n": 1})).json() == {
        "ok": True,
        "id": "_local/check",
        "rev": "0-1",
    }
    assert (await owner.put(path, {"n": 2})).json()["rev"] == "0-2"
    assert (await owner.get(path)).json() == {"_id": "_local/check", "_rev": "0-2", "n": 2}
    assert (await owner.get(f"{database}/_all_docs")).json()["rows"] == []
    assert (await owner.get(f"{database}/_local_docs")).json()["rows"][0]["id"] == "_local/check"
    assert (await owner.delete(path)).json()["rev"] == "0-0"
    assert (await owner.get(path)).status == 404
