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


async def mango_build(database: str, connections: Sequence[Connection]) -> list[Call]:
    """`_find` by an index that was never asked for; the unit is a document of the database."""
    connection = connections[0]
    counts = await _read(connection, f"/{database}")

    async def call() -> int:
        name = f"mango{next(_fresh)}"
        only = {"partial_filter_selector": {"section": {"$ne": name}}}
        made = {"index": {"fields": ["section"], **only}, "ddoc": name}
        await connection.post(f"/{database}/_index", made)
        asked = {"selector": {"section": {"$gt": None}}, "limit": 1, "use_index": name}
        assert "warning" not in await connection.post(f"/{database}/_find", asked)
        return int(counts["doc_count"])

    return [call]


async def found(database: str, connections: Sequence[Connection]) -> list[Call]:
    """`_find` by an index that holds every document."""
    connection = connections[0]
    await connection.post(f"/{database}/_index", {"index": {"fields": ["section"]}})
    asked = {"selector": {"section": {"$gt": None}}, "limit": 1_000_000}

    async def call() -> int:
        return len((await connection.post(f"/{database}/_find", asked))["docs"])

    return [call]


async def looked_through(database: str, connections: Sequence[Connection]) -> list[Call]:
    """`_find` without an index that serves; the unit is a document that is looked at."""
    connection = connections[0]
    counts = await _read(connection, f"/{database}")
    asked = {"selector": {"none": {"$gt": None}}}

    async def call() -> int:
        assert (await connection.post(f"/{database}/_find", asked))["warning"]
        return int(counts["doc_count"])

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
