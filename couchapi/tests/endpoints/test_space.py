"""On a disk that is nearly full nothing more is written; reading and deleting go on."""

from __future__ import annotations

from typing import Any

import pytest

from couchapi.core.room import Disk
from couchapi.store import space

MIB = 1024**2


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what sets how many bytes are free of 100 MiB."""

    def fill(free: int) -> None:
        monkeypatch.setattr(space, "_disk", lambda reusable: Disk(100 * MIB, free, reusable))
        monkeypatch.setattr(space._Seen, "until", 0.0)

    fill(50 * MIB)
    yield fill
    monkeypatch.undo()
    space._Seen.until = 0.0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/more", {}),
        ("POST", "/_bulk_docs", {"docs": [{"_id": "more"}, {"_id": "kept", "_deleted": True}]}),
        ("POST", "/_bulk_docs", {"docs": [{"_id": "x", "_rev": "1-a"}], "new_edits": False}),
        ("PUT", "/kept/file", "x" * 200_000),
    ],
    ids=["document", "bulk", "replicated", "attachment"],
)
async def test_nothing_more_is_written(owner, database, fill, method, path, body):
    kept = (await owner.put(f"{database}/kept", {"n": 1})).json()
    fill(MIB)
    params = {"rev": kept["rev"]} if path == "/kept/file" else {}

    refused = await owner(method, f"{database}{path}", body, **params)

    assert refused.status == 507
    assert refused.json()["error"] == "insufficient_storage"
    assert "make room" in refused.json()["reason"]
    assert (await owner.get(database)).json()["doc_count"] == 1


async def test_no_database_is_made(owner, new_name, fill):
    fill(MIB)
    assert (await owner.put(f"/{new_name()}")).status == 507


async def test_reading_and_deleting_go_on(owner, database, fill):
    first = (await owner.put(f"{database}/first", {"n": 1})).json()
    second = (await owner.put(f"{database}/second", {"n": 2})).json()
    fill(MIB)

    assert (await owner.get(f"{database}/first")).json()["n"] == 1
    assert (await owner.delete(f"{database}/first", rev=first["rev"])).status == 200
    gone = {"_id": "second", "_rev": second["rev"], "_deleted": True}
    deleted = await owner.post(f"{database}/_bulk_docs", {"docs": [gone]})
    assert "ok" in deleted.json()[0]
    assert (await owner.get(database)).json()["doc_count"] == 0


async def test_writing_goes_on_when_there_is_room(owner, database, fill):
    fill(MIB)
    assert (await owner.put(f"{database}/a", {})).status == 507
    fill(50 * MIB)
    assert (await owner.put(f"{database}/a", {})).status == 201
