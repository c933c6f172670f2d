"""`/db/docid` as CouchDB answers it."""

from __future__ import annotations

from typing import Any


async def test_put_makes_a_document_and_get_shows_it(owner: Any, database: str) -> None:
    made = await owner.put(f"{database}/a", {"x": 1})
    assert made.status == 201
    assert made.json()["ok"] is True
    shown = await owner.get(f"{database}/a")
    assert shown.json() == {"_id": "a", "_rev": made.json()["rev"], "x": 1}
    assert shown.headers["etag"] == f'"{made.json()["rev"]}"'
    assert shown.headers["content-type"] == "application/json"
    assert shown.body.endswith(b"\n")


async def test_put_with_stale_rev_conflicts(owner: Any, database: str) -> None:
    rev = (await owner.put(f"{database}/a", {"x": 1})).json()["rev"]
    await owner.put(f"{database}/a", {"x": 2, "_rev": rev})
    answer = await owner.put(f"{database}/a", {"x": 3, "_rev": rev})
    assert answer.status == 409
    assert answer.json() == {"error": "conflict", "reason": "Document update conflict."}
