"""`_revs_diff` and `_missing_revs` as CouchDB answers them."""

from __future__ import annotations

from typing import Any

import pytest

A, B, C, D = (letter * 32 for letter in "abcd")


@pytest.fixture
async def tree(owner: Any, couch_database: str) -> str:
    """A database whose document `d` has the leaves 3-c and 2-d, which share 1-a."""
    docs = [
        {"_id": "d", "_rev": f"3-{C}", "_revisions": {"start": 3, "ids": [C, B, A]}},
        {"_id": "d", "_rev": f"2-{D}", "_revisions": {"start": 2, "ids": [D, A]}},
    ]
    await owner.post(f"{couch_database}/_bulk_docs", {"docs": docs, "new_edits": False})
    return couch_database


async def _diff(client: Any, database: str, asked: Any, name: str = "_revs_diff") -> Any:
    answer = await client.post(f"{database}/{name}", asked)
    assert answer.status == 200, answer.body
    return answer.json()


async def test_what_is_here_is_not_missing(owner: Any, tree: str) -> None:
    known = [f"3-{C}", f"2-{B}", f"1-{A}", f"2-{D}"]
    assert await _diff(owner, tree, {"d": known}) == {}
    assert await _diff(owner, tree, {"d": known}, "_missing_revs") == {"missing_revs": {}}


async def test_what_is_not_here_is_missing(owner: Any, tree: str) -> None:
    asked = {"d": [f"3-{C}", f"4-{D}"], "new": [f"1-{A}", f"2-{B}"]}
    diff = await _diff(owner, tree, asked)
    assert diff["d"]["missing"] == [f"4-{D}"]
    assert diff["new"] == {"missing": asked["new"]}
    missing = await _diff(owner, tree, asked, "_missing_revs")
    assert missing == {"missing_revs": {"d": [f"4-{D}"], "new": asked["new"]}}


async def test_ancestors_are_leaves_of_lower_generations(owner: Any, tree: str) -> None:
    diff = await _diff(owner, tree, {"d": [f"4-{D}"]})
    assert set(diff["d"]["possible_ancestors"]) == {f"3-{C}", f"2-{D}"}
    diff = await _diff(owner, tree, {"d": [f"3-{D}"]})
    assert diff["d"]["possible_ancestors"] == [f"2-{D}"]
    diff = await _diff(owner, tree, {"d": [f"2-{C}"]})
    assert "possible_ancestors" not in diff["d"]


async def test_a_revision_asked_for_twice_is_missing_once(owner: Any, tree: str) -> None:
    assert (await _diff(owner, tree, {"d": [f"9-{A}", f"9-{A}"]}))["d"]["missing"] == [f"9-{A}"]


async def test_a_deleted_documents_revisions_are_here(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {})).json()["rev"]
    gone = (await owner.delete(f"{database}/a", rev=rev)).json()["rev"]
    assert await _diff(owner, database, {"a": [rev, gone]}) == {}


async def test_nothing_asked_is_nothing_missing(owner: Any, database: str) -> None:
    assert await _diff(owner, database, {}) == {}
    assert await _diff(owner, database, {"a": []}) == {}


@pytest.mark.parametrize("name", ["_revs_diff", "_missing_revs"])
@pytest.mark.parametrize(
    "body",
    [
        [],
        {"d": "1-a"},
        {"d": [1]},
        {"d": ["foo"]},
        {"d": None},
        {"_bad": [f"1-{A}"]},
        {"a\0": [f"1-{A}"]},
        b"",
        b"{",
    ],
)
async def test_a_question_that_cannot_be_read_is_refused(
    owner: Any, database: str, name: str, body: Any
) -> None:
    answer = await owner.post(f"{database}/{name}", body)
    assert answer.status == 400
    assert answer.json()["error"] in ("bad_request", "illegal_docid")


@pytest.mark.parametrize("name", ["_revs_diff", "_missing_revs"])
async def test_a_question_needs_the_type_json(owner: Any, database: str, name: str) -> None:
    headers = {"content-type": "text/plain"}
    assert (await owner("POST", f"{database}/{name}", {}, headers=headers)).status == 415


async def test_a_missing_database_is_said(owner: Any) -> None:
    answer = await owner.post("/nothing/_revs_diff", {"a": [f"1-{A}"]})
    assert answer.status == 404
    assert answer.json()["reason"] == "Database does not exist."
