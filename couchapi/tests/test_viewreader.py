"""Rows and groups of a view equal what a list of all rows gives, through any edits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acl import sql
from couchapi.core import mapreduce, sortkey
from couchapi.core.mapreduce import View
from couchapi.core.viewparams import ViewQuery
from couchapi.store import indexes, segments
from couchapi.store.indexes import Entry, IndexState
from couchapi.tests.store.conftest import Shelf, new_shelf
from couchapi.viewreader import groups, rows
from couchapi.viewreader.opening import Design, OpenView
from couchapi.viewreader.rows import RowsQuery

__all__ = ["new_shelf"]

_keys = st.lists(st.integers(0, 2), max_size=3) | st.integers(0, 2)
_batches = st.lists(
    st.lists(st.tuples(st.integers(0, 9), _keys), min_size=1, max_size=8), min_size=1, max_size=5
)
_queries = st.fixed_dictionaries(
    {},
    optional={
        "startkey": _keys,
        "endkey": _keys,
        "keys": st.lists(_keys, max_size=4).map(tuple),
        "inclusive_end": st.booleans(),
        "descending": st.booleans(),
        "skip": st.integers(0, 9),
        "limit": st.integers(0, 9),
        "group_level": st.none() | st.integers(0, 3),
    },
)


class Shown:
    """An index that is filled without documents, and the rows that it should hold."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        number = shelf.row().id
        self.index = sql.write_sync(lambda c: indexes.make(c, number, "s", "javascript"))
        self.held: list[Entry] = []

    def write(self, batch: Sequence[tuple[int, Any]]) -> None:
        """Put new rows in the place of those of the same documents."""
        docids = {f"d{number}" for number, _ in batch}
        entries = [
            Entry(0, sortkey.encode(key), f"d{number}", n, orjson.dumps(key), b"%d" % (number + n))
            for n, (number, key) in enumerate(batch)
        ]
        store = partial(
            indexes.store,
            index=self.index,
            seq=self.index.seq + 1,
            purge_seq=0,
            docids=docids,
            entries=entries,
        )
        assert sql.write_sync(store)
        self.index = self._state()
        self.held = sorted([one for one in self.held if one.docid not in docids] + entries)

    def _state(self) -> IndexState:
        found = sql.read_sync(partial(indexes.get, index_id=self.index.id))
        assert found is not None
        return found

    def answer(self, query: ViewQuery, reduce: str | None) -> Any:
        """Return what the hub answers."""
        view = View("v", 0, reduce)
        group = mapreduce.group({"views": {"v": {"map": "", "reduce": reduce}}})
        opened = OpenView(Design(self.shelf.row(), group, self.index), view, self.index)
        text = groups.text if reduce else rows.text
        return orjson.loads(asyncio.run(_joined(text(RowsQuery(opened, query, None)))))

    def expected(self, query: ViewQuery) -> list[Entry]:
        """Return the rows of the ranges that are asked for."""
        found = []
        for low, high in query.ranges():
            inside = [one for one in self.held if low <= one[1:4] < high]
            found += inside[::-1] if query.descending else inside
        return found


async def _joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def _query(asked: dict[str, Any]) -> ViewQuery:
    chosen = dict(asked)
    if chosen.get("keys") is not None:
        chosen = {name: chosen[name] for name in chosen if not name.endswith("key")}
        chosen["group_level"] = None
    return ViewQuery(**chosen)


def _cut(found: list[Any], query: ViewQuery) -> list[Any]:
    return found[query.skip :][: query.limit]


def _group_of(one: Entry, level: int | None) -> Any:
    key = orjson.loads(one.key)
    if level == 0:
        return None
    return key if level is None or not isinstance(key, list) else key[:level]


def _grouped(shown: Shown, query: ViewQuery) -> list[tuple[Any, list[int]]]:
    """Return (key, values) of each group; a key that is named twice is two groups."""
    ranges = [query] if query.keys is None else [_of_key(query, key) for key in _named(query)]
    return [
        (key, [int(one.value) for one in members])
        for each in ranges
        for key, members in groupby(
            shown.expected(each), key=lambda one: _group_of(one, query.group_level)
        )
    ]


def _named(query: ViewQuery) -> Sequence[Any]:
    keys = query.keys or ()
    return keys[::-1] if query.descending else keys


def _of_key(query: ViewQuery, key: Any) -> ViewQuery:
    return ViewQuery(
        startkey=key, endkey=key, inclusive_end=query.inclusive_end, descending=query.descending
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and segments of a few rows."""
    monkeypatch.setattr(segments, "SIZE", 2)
    monkeypatch.setattr(rows, "_PAGE", 3)
    monkeypatch.setattr(indexes, "PAGE_BYTES", 20)
    monkeypatch.setattr(groups, "_SEGMENTS", 2)
    monkeypatch.setattr(groups, "_STATES_AT_ONCE", 2)


_settings = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@_settings
@given(_batches, st.lists(_queries, min_size=1, max_size=4))
def test_groups_are_what_all_rows_reduce_to(
    new_shelf: Callable[..., Shelf],
    small: None,
    batches: list[list[tuple[int, Any]]],
    asked: list[dict[str, Any]],
) -> None:
    shown = Shown(new_shelf())
    for batch in batches:
        shown.write(batch)
        for each in asked:
            query = _query(each)
            expected = _cut(_grouped(shown, query), query)
            for reduce, result in (("_count", len), ("_sum", sum), ("_stats", _stats)):
                answer = [(row["key"], row["value"]) for row in shown.answer(query, reduce)["rows"]]
                assert answer == [(key, result(values)) for key, values in expected]


def _stats(values: list[int]) -> dict[str, int]:
    return {
        "sum": sum(values),
        "count": len(values),
        "min": min(values),
        "max": max(values),
        "sumsqr": sum(value * value for value in values),
    }


@pytest.mark.slow
@_settings
@given(_batches, st.lists(_queries, min_size=1, max_size=4))
def test_rows_are_those_of_the_list(
    new_shelf: Callable[..., Shelf],
    small: None,
    batches: list[list[tuple[int, Any]]],
    asked: list[dict[str, Any]],
) -> None:
    shown = Shown(new_shelf())
    for batch in batches:
        shown.write(batch)
    for each in asked:
        query = _query(each)
        answer = shown.answer(query, None)
        expected = [
            {"id": one.docid, "key": orjson.loads(one.key), "value": int(one.value)}
            for one in _cut(shown.expected(query), query)
        ]
        assert answer["rows"] == expected
        assert answer["total_rows"] == len(shown.held)
