"""A database of ten documents with views, for the tests of views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., Any]

VIEWS = {
    "by_n": {"map": "function (doc) { emit(doc.n, doc.kind); }"},
    "kinds": {
        "map": "function (doc) { if (doc.kind) emit([doc.kind, doc.n % 2], doc.n); }",
        "reduce": "_stats",
    },
    "total": {
        "map": "function (doc) { if (doc.kind) emit([doc.kind, doc.n % 2], doc.n); }",
        "reduce": "function (keys, values, rereduce) { return sum(values); }",
    },
    "count": {
        "map": "function (doc) { if (doc.kind) emit([doc.kind, doc.n % 2], doc.n); }",
        "reduce": "_count",
    },
    "twice": {"map": "function (doc) { emit(1, 'a'); emit(1, 'b'); }"},
    "linked": {"map": "function (doc) { emit(doc._id, {_id: doc.friend, _rev: doc.rev}); }"},
}


@pytest.fixture
async def ten(owner: Any, database: str) -> str:
    """A database with the documents d0 to d9 and a design document."""
    await write(owner, database, range(10))
    assert (await owner.put(f"{database}/_design/d", {"views": VIEWS})).status == 201
    return database


async def write(owner: Any, database: str, numbers: Any) -> None:
    docs = [{"_id": f"d{n}", "n": n, "kind": "even" if n % 4 < 2 else "odd"} for n in numbers]
    await owner.post(f"{database}/_bulk_docs", {"docs": docs})


@pytest.fixture
def ask(owner: Any, ten: str) -> Ask:
    """Asks a view of the design document, and returns what it answers."""

    async def _ask(view: str, **params: Any) -> Any:
        answer = await owner.get(f"{ten}/_design/d/_view/{view}", **params)
        assert answer.status == 200, answer.body
        return answer.json()

    return _ask


def ids_of(answer: Any) -> str:
    return "".join(row["id"][1:] for row in answer["rows"])
