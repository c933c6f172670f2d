"""Views: building one, reading its rows, reducing them by groups."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from bench.connection import Connection
from bench.meter import Call

_fresh = itertools.count(1)
_MAP = "function (doc) { emit([doc.license || 'none', doc._id], 1); } // %d"


async def build(database: str, connections: Sequence[Connection]) -> list[Call]:
    """GET of a view that was never asked for; the unit is a document of the database."""
    connection = connections[0]

    async def call() -> int:
        path = await _define(connection, database)
        return int((await _read(connection, f"{path}?reduce=false&limit=0"))["total_rows"])

    return [call]


async def rows(database: str, connections: Sequence[Connection]) -> list[Call]:
    """GET of all rows of a view."""
    connection = connections[0]
    path = await _define(connection, database)

    async def call() -> int:
        answer = await connection.request("GET", f"{path}?reduce=false")
        return answer.body.count(b"\n") - 2

    return [call]


async def groups(database: str, connections: Sequence[Connection]) -> list[Call]:
    """GET of what the rows of a view reduce to, by the first part of their keys."""
    connection = connections[0]
    path = await _define(connection, database)
    assert (await _read(connection, path))["rows"]

    async def call() -> int:
        assert (await _read(connection, f"{path}?group_level=1"))["rows"]
        return 1

    return [call]


async def _define(connection: Connection, database: str) -> str:
    """Write a design document with a view like no other, and return the view's path."""
    number = next(_fresh)
    view = {"map": _MAP % number, "reduce": "_count"}
    made = {"docs": [{"_id": f"_design/bench{number}", "views": {"v": view}}]}
    (written,) = await connection.post(f"/{database}/_bulk_docs", made)
    assert "rev" in written, written
    return f"/{database}/_design/bench{number}/_view/v"


async def _read(connection: Connection, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await connection.request("GET", path)).json()
    return answer
