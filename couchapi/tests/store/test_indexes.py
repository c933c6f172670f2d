"""Rows of indexes and the segments that divide them, against a list that is sorted anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acl import sql
from couchapi.core import sortkey
from couchapi.store import indexes, segments
from couchapi.store.indexes import Entry, Fault, IndexState
from couchapi.store.segments import BOTTOM, EVERYTHING, TOP, Span
from couchapi.tests.store.conftest import Shelf


@pytest.fixture
def index(shelf: Shelf) -> IndexState:
    """An empty index."""
    return _make(shelf.row().id)


def _make(database_id: int, signature: str = "s") -> IndexState:
    return sql.write_sync(
        lambda c: indexes.make(c, database_id, signature=signature, language="javascript")
    )


def _state(index: IndexState) -> IndexState:
    found = sql.read_sync(partial(indexes.get, index_id=index.id))
    assert found is not None
    return found


def _entry(docid: str, key: Any, n: int = 0, view: int = 0, value: bytes = b"1") -> Entry:
    return Entry(view, sortkey.encode(key), docid, n, b"%d" % key, value)


def _store(index: IndexState, docids: list[str], *entries: Entry, **more: Any) -> IndexState:
    now = _state(index)
    job = partial(
        indexes.store,
        index=now,
        seq=now.seq + 1,
        purge_seq=0,
        docids=docids,
        entries=entries,
        **more,
    )
    assert sql.write_sync(job)
    return _state(index)


def _ids(index: IndexState, span: Span = EVERYTHING, view: int = 0, **asked: Any) -> list[str]:
    wanted = {"descending": False, "limit": 10_000} | asked
    return [
        row[1] for row in sql.read_sync(lambda c: indexes.rows(c, index.id, view, span, **wanted))
    ]


def _pages(index: IndexState, span: Span = EVERYTHING, **asked: Any) -> list[segments.Segment]:
    wanted = {"descending": False, "limit": 10_000} | asked
    return sql.read_sync(lambda c: segments.page(c, index.id, 0, span, **wanted))


def test_rows_come_in_the_order_of_keys_then_ids(index: IndexState) -> None:
    _store(index, [], _entry("b", 2), _entry("c", 1), _entry("a", 2), _entry("a", 0, 1))
    assert _ids(index) == ["a", "c", "a", "b"]
    assert _ids(index, descending=True) == ["b", "a", "c", "a"]
    assert _ids(index, descending=True, limit=2) == ["b", "a"]
    low, high = (sortkey.encode(1), "", 0), (sortkey.encode(2), "a", segments.LAST_N)
    assert _ids(index, Span(low, high)) == ["c", "a"]


def test_a_changed_documents_old_rows_go(index: IndexState) -> None:
    _store(index, [], _entry("a", 1), _entry("a", 2, 1), _entry("b", 3), _entry("a", 4, view=1))
    state = _store(index, ["a", "unknown"], _entry("a", 9))
    assert _ids(index) == ["b", "a"]
    assert _ids(index, view=1) == []
    assert state.size == 4


def test_keys_and_ids_of_any_length_are_found_again(index: IndexState) -> None:
    keys = ["x" * 9000, "x" * 9000 + "y", ["x" * 9000, 1]]
    entries = [
        Entry(0, sortkey.encode(key), f"{n}" * 2000, 0, orjson.dumps(key), b"1")
        for n, key in enumerate(keys)
    ]
    _store(index, [], *entries)
    assert [docid[0] for docid in _ids(index)] == ["0", "1", "2"]
    for n, key in enumerate(keys):
        low, high = sortkey.group(key, None)
        assert f"{n}" * 2000 in _ids(index, Span((low, "", 0), (high, "", 0)))
    low, high = sortkey.group(keys[2], 1)
    assert [docid[0] for docid in _ids(index, Span((low, "", 0), (high, "", 0)))] == ["2"]


def test_who_comes_second_changes_nothing(index: IndexState) -> None:
    seen = _state(index)
    _store(index, [], _entry("a", 1))
    late = partial(
        indexes.store, index=seen, seq=9, purge_seq=0, docids=["a"], entries=[_entry("b", 2)]
    )
    assert not sql.write_sync(late)
    assert _ids(index) == ["a"]


def test_an_index_is_made_once(index: IndexState) -> None:
    assert _make(index.database_id).id == index.id
    assert _make(index.database_id, "other").id != index.id
    sql.write_sync(partial(indexes.forget, index_id=index.id))
    assert _make(index.database_id).id != index.id


def test_the_last_fault_is_remembered(index: IndexState) -> None:
    state = _store(index, [], fault=Fault("d", "exception", "no"))
    assert state.last_error == '{"id":"d","error":"exception","reason":"no"}'
    assert _store(index, [], _entry("a", 1)).last_error == state.last_error


def test_an_index_that_is_not_used_goes_in_slices(
    index: IndexState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "SLICE", 2)
    kept = _make(index.database_id, "kept")
    _store(index, [], *[_entry(f"d{n}", n) for n in range(5)])
    _store(kept, [], _entry("k", 1))
    database_id = index.database_id
    assert sql.write_sync(lambda c: indexes.forget_all(c, database_id, {"kept"})) == 1
    assert sql.read_sync(lambda c: indexes.find(c, database_id, "s")) is None
    while sql.write_sync(indexes.remove_slice):
        pass
    assert sql.read_sync(partial(indexes.get, index_id=index.id)) is None
    assert _ids(index) == []
    assert _pages(index) == []
    assert _ids(kept) == ["k"]


# -- segments --------------------------------------------------------------------------------------


def _check(index: IndexState, model: dict[tuple[bytes, str, int], Entry]) -> None:
    """Compare the segments with the rows that should be there."""
    positions = sorted(model)
    found = _pages(index)
    assert [one.span.low for one in found[:1]] in ([], [BOTTOM])
    assert [one.span.high for one in found[-1:]] in ([], [TOP])
    for one, following in zip(found, found[1:], strict=False):
        assert one.span.high == following.span.low
    for one in found:
        inside = [p for p in positions if one.span.low <= p < one.span.high]
        assert one.row_count == len(inside) <= 2 * segments.SIZE
    assert sum(one.row_count for one in found) == len(positions)
    assert sql.read_sync(lambda c: segments.count(c, index.id, 0)) == len(positions)
    for at in range(0, len(positions), 3):
        job = partial(indexes.count_before, index_id=index.id, view=0, position=positions[at])
        assert sql.read_sync(job) == at
    for at in range(0, len(positions) + 2, 3):
        job = partial(indexes.position_of, index_id=index.id, view=0, number=at)
        assert sql.read_sync(job) == (positions[at] if at < len(positions) else TOP)


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 50)), max_size=12)))
def test_segments_count_every_row_once(
    new_shelf: Callable[..., Shelf], batches: list[list[tuple[int, int]]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SIZE", 3)
        index = _make(new_shelf().row().id)
        model: dict[tuple[bytes, str, int], Entry] = {}
        for batch in batches:
            docids = {f"d{document}" for document, _ in batch}
            entries = [_entry(f"d{d}", key, n) for n, (d, key) in enumerate(batch)]
            _store(index, sorted(docids), *entries)
            model = {at: one for at, one in model.items() if at[1] not in docids}
            model |= {one[1:4]: one for one in entries}
            _check(index, model)


@pytest.fixture
def cut(index: IndexState, monkeypatch: pytest.MonkeyPatch) -> IndexState:
    """An index of 30 rows in segments of at most four."""
    monkeypatch.setattr(segments, "SIZE", 2)
    _store(index, [], *[_entry(f"d{n:02}", n) for n in range(30)])
    return index


def test_segments_of_a_range_are_read_by_the_page(cut: IndexState) -> None:
    everything = _pages(cut)
    assert len(everything) == 15
    assert _pages(cut, limit=4) == everything[:4]
    assert _pages(cut, descending=True, limit=4) == everything[:-5:-1]
    low, high = (sortkey.encode(5), "", 0), (sortkey.encode(9), "", 0)
    some = _pages(cut, Span(low, high))
    assert some == [one for one in everything if one.span.low < high and one.span.high > low]
    assert _pages(cut, Span(low, high), descending=True) == some[::-1]


def _keep(name: str, *reductions: tuple[segments.Segment, str]) -> None:
    sql.write_sync(partial(segments.keep, name=name, reductions=reductions))


def test_a_reduction_is_kept_until_a_row_of_its_segment_changes(cut: IndexState) -> None:
    first, second, *_ = _pages(cut)
    _keep("0", (first, "2"), (second, "2"))
    _keep("1", (second, "x"))
    assert [one.reductions for one in _pages(cut)[:3]] == [{"0": "2"}, {"0": "2", "1": "x"}, {}]
    _store(cut, ["d00"], _entry("d00", 0, value=b"2"))
    assert [one.reductions for one in _pages(cut)[:2]] == [{}, {"0": "2", "1": "x"}]
    _keep("0", (first, "9"))
    assert _pages(cut)[0].reductions == {}
