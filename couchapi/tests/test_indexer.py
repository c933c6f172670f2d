"""Indexes are built by what has changed, and are what they would be if built at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from acl import sql
from couchapi import indexer
from couchapi.core import sortkey
from couchapi.core.revid import RevId
from couchapi.indexer import IndexGone, Mapped, Plan, Source
from couchapi.store import databases, indexes, maintenance, segments
from couchapi.store.indexes import Entry, Fault, IndexState
from couchapi.store.segments import EVERYTHING
from couchapi.tests.store.conftest import Shelf, couch_shelf, new_shelf, shelf

__all__ = ["couch_shelf", "new_shelf", "shelf"]

Found = list[tuple[str, int, Any, Any]]


def _mapped(source: Source) -> Mapped:
    """Emit each of `doc.keys` in view 0 and, in view 1, how many there are."""
    document = orjson.loads(source.text)
    keys = document.get("keys")
    if keys is None:
        return Mapped((), Fault(source.docid, "exception", "no keys"))
    rows = [
        Entry(0, sortkey.encode(key), source.docid, n, orjson.dumps(key), b"%d" % n)
        for n, key in enumerate(keys)
    ]
    counted = Entry(1, sortkey.encode(len(keys)), source.docid, 0, b"%d" % len(keys), source.text)
    return Mapped([*rows, counted])


async def _map(sources: Sequence[Source]) -> list[Mapped]:
    return [_mapped(source) for source in sources]


PLAN = Plan(_map)


def _make(shelf: Shelf, signature: str = "s") -> IndexState:
    number = shelf.row().id
    return sql.write_sync(lambda c: indexes.make(c, number, signature, "javascript"))


async def _update(shelf: Shelf, index: IndexState, plan: Plan = PLAN) -> IndexState:
    return await indexer.bring_up_to_date(index, plan, shelf.row().update_seq)


def _found(index: IndexState, view: int = 0) -> Found:
    job = partial(
        indexes.rows,
        index_id=index.id,
        view=view,
        span=EVERYTHING,
        descending=False,
        limit=10_000,
    )
    rows = sql.read_sync(job)
    return [(row[1], row[2], orjson.loads(row[3]), orjson.loads(row[4])) for row in rows]


def _ids(index: IndexState) -> list[str]:
    return [row[0] for row in _found(index)]


async def test_what_has_changed_takes_the_place_of_what_was(shelf: Shelf) -> None:
    rev = shelf.put("a", b'{"keys":[1,2]}')
    gone = shelf.put("b", b'{"keys":[3]}')
    index = await _update(shelf, _make(shelf))
    assert _found(index) == [("a", 0, 1, 0), ("a", 1, 2, 1), ("b", 0, 3, 0)]
    shelf.put("a", b'{"keys":[9]}', rev)
    shelf.put("b", b"{}", gone, deleted=True)
    index = await _update(shelf, index)
    assert _found(index) == [("a", 0, 9, 0)]
    assert index.seq == shelf.row().update_seq


async def test_only_what_has_changed_is_mapped(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "BATCH", 10)
    mapped: list[str] = []

    async def noting(sources: Sequence[Source]) -> list[Mapped]:
        mapped.extend(source.docid for source in sources)
        return await _map(sources)

    for n in range(25):
        shelf.put(f"d{n:02}", b'{"keys":[1]}')
    index = await _update(shelf, _make(shelf), Plan(noting))
    assert len(mapped) == 25
    shelf.put("new", b'{"keys":[1]}')
    await _update(shelf, index, Plan(noting))
    assert mapped[25:] == ["new"]


async def test_large_documents_are_read_few_at_a_time(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "BATCH_BYTES", 100)  # The last of a batch may go beyond.
    batches: list[int] = []

    async def noting(sources: Sequence[Source]) -> list[Mapped]:
        batches.append(len(sources))
        return await _map(sources)

    for n, length in enumerate((10, 10, 500, 500, 10)):
        shelf.put(f"d{n}", orjson.dumps({"keys": [n], "x": "x" * length}))
    index = await _update(shelf, _make(shelf), Plan(noting))
    assert batches == [3, 1, 1]
    assert _ids(index) == ["d0", "d1", "d2", "d3", "d4"]


async def test_a_document_that_cannot_be_mapped_does_not_stop_the_others(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.put("good", b'{"keys":[1]}')
    shelf.put("bad", b"{}")
    shelf.put("late", b'{"keys":[2]}')
    index = await _update(shelf, _make(shelf))
    assert _ids(index) == ["good", "late"]
    assert orjson.loads(index.last_error)["id"] == "bad"
    assert "A document was not indexed: exception" in caplog.text


async def test_design_documents_are_mapped_where_the_plan_says_so(shelf: Shelf) -> None:
    shelf.put("_design/d", b'{"keys":[1]}')
    assert _ids(await _update(shelf, _make(shelf))) == []
    with_design = Plan(_map, include_design=True)
    assert _ids(await _update(shelf, _make(shelf, "t"), with_design)) == ["_design/d"]


async def test_a_map_function_sees_conflicts_and_the_sequence_where_it_wants_it(
    couch_shelf: Shelf,
) -> None:
    for name in ("1-aa", "1-bb"):
        couch_shelf.arrive("d", name)
    couch_shelf.put("other")
    texts: dict[str, Any] = {}

    async def noting(sources: Sequence[Source]) -> list[Mapped]:
        texts.update({source.docid: orjson.loads(source.text) for source in sources})
        return [Mapped(()) for _ in sources]

    await _update(couch_shelf, _make(couch_shelf), Plan(noting))
    assert texts["d"] == {"_id": "d", "_rev": "1-bb", "_conflicts": ["1-aa"], "rev": "1-bb"}
    assert "_local_seq" not in texts["other"]
    await _update(couch_shelf, _make(couch_shelf, "t"), Plan(noting, local_seq=True))
    assert texts["d"]["_local_seq"] == 2
    assert texts["other"]["_local_seq"] == 3


async def test_a_batch_of_which_only_a_part_was_mapped_is_gone_on_with(shelf: Shelf) -> None:
    asked: list[int] = []

    async def two_at_most(sources: Sequence[Source]) -> list[Mapped]:
        asked.append(len(sources))
        return (await _map(sources))[:2]

    revs = {docid: shelf.put(docid, b'{"keys":[1]}') for docid in "abcde"}
    index = await _update(shelf, _make(shelf), Plan(two_at_most))
    assert asked == [5, 3, 1]
    assert _ids(index) == list("abcde")
    asked.clear()
    for docid, rev in revs.items():
        shelf.put(docid, b'{"keys":[2]}', rev, deleted=docid in "ad")
    index = await _update(shelf, index, Plan(two_at_most))
    assert asked == [3, 1]
    assert _found(index) == [(docid, 0, 2, 0) for docid in "bce"]


async def test_several_who_wait_share_one_build(shelf: Shelf) -> None:
    begun, may_go = asyncio.Event(), asyncio.Event()
    calls = 0

    async def slow(sources: Sequence[Source]) -> list[Mapped]:
        nonlocal calls
        calls += 1
        begun.set()
        await may_go.wait()
        return await _map(sources)

    shelf.put("a", b'{"keys":[1]}')
    index = _make(shelf)
    waiting = [asyncio.create_task(_update(shelf, index, Plan(slow))) for _ in range(3)]
    await begun.wait()
    assert indexer.is_building(index)
    waiting[0].cancel()  # A client that leaves.
    may_go.set()
    states = await asyncio.gather(*waiting[1:])
    assert calls == 1
    assert _ids(states[0]) == ["a"]
    assert not indexer.is_building(index)


async def test_what_goes_wrong_reaches_all_who_wait_and_the_next_try_begins_anew(
    shelf: Shelf,
) -> None:
    async def broken(sources: Sequence[Source]) -> list[Mapped]:
        raise RuntimeError("no engine")

    shelf.put("a", b'{"keys":[1]}')
    index = _make(shelf)
    tries = [_update(shelf, index, Plan(broken)) for _ in range(2)]
    failed = await asyncio.gather(*tries, return_exceptions=True)
    assert [str(one) for one in failed] == ["no engine"] * 2
    assert _ids(await _update(shelf, index)) == ["a"]


async def test_another_process_may_build_the_same_index(shelf: Shelf) -> None:
    async def overtaken(sources: Sequence[Source]) -> list[Mapped]:
        batch = await indexer._load(_state(index), PLAN)
        mapped, done = await indexer._mapped(batch, PLAN)
        await indexer._save(done, mapped)
        return await _map(sources)

    shelf.put("a", b'{"keys":[1,1]}')
    index = _make(shelf)
    index = await _update(shelf, index, Plan(overtaken))
    assert _found(index) == [("a", 0, 1, 0), ("a", 1, 1, 1)]


async def test_purged_documents_leave_the_index(shelf: Shelf) -> None:
    rev = shelf.put("a", b'{"keys":[1]}')
    shelf.put("b", b'{"keys":[2]}')
    index = await _update(shelf, _make(shelf))
    _purge(shelf, {"a": [rev]})
    index = await _update(shelf, index)
    assert _ids(index) == ["b"]
    assert index.purge_seq == 1


async def test_an_index_that_missed_forgotten_purges_is_made_anew(shelf: Shelf) -> None:
    revs = {docid: [shelf.put(docid, b'{"keys":[1]}')] for docid in "abc"}
    index = await _update(shelf, _make(shelf))
    sql.write_sync(partial(databases.set_purged_infos_limit, name=shelf.name, limit=1))
    _purge(shelf, {"a": revs["a"], "b": revs["b"]})
    with pytest.raises(IndexGone):
        await _update(shelf, index)
    assert _ids(await _update(shelf, _make(shelf))) == ["c"]


async def test_a_build_ends_when_its_index_is_removed(shelf: Shelf) -> None:
    shelf.put("a", b'{"keys":[1]}')
    index = _make(shelf)
    sql.write_sync(partial(indexes.forget, index_id=index.id))
    with pytest.raises(IndexGone):
        await _update(shelf, index)


def _purge(shelf: Shelf, asked: dict[str, list[RevId]]) -> None:
    sql.write_sync(partial(maintenance.purge, db_name=shelf.name, asked=asked))


class Edits(RuleBasedStateMachine):
    """Random edits: the index that follows them equals one that is built at once."""

    shelf_of: Callable[..., Shelf]

    def __init__(self) -> None:
        super().__init__()
        self.shelf = type(self).shelf_of("couch")
        self.revs: dict[str, RevId] = {}
        self.index = _make(self.shelf)
        self.made = 0

    _ids = st.sampled_from("abcdef")
    _keys = st.lists(st.integers(0, 5) | st.sampled_from(["x", "é", None]), max_size=4)

    @rule(docid=_ids, keys=_keys)
    def put(self, docid: str, keys: list[Any]) -> None:
        body = orjson.dumps({"keys": keys})
        self.revs[docid] = self.shelf.put(docid, body, self.revs.get(docid))

    @rule(docid=_ids)
    def spoil(self, docid: str) -> None:
        self.revs[docid] = self.shelf.put(docid, b"{}", self.revs.get(docid))

    @precondition(lambda self: self.revs)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        docid = data.draw(st.sampled_from(sorted(self.revs)))
        self.shelf.put(docid, b"{}", self.revs.pop(docid), deleted=True)

    @precondition(lambda self: self.revs)
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        docid = data.draw(st.sampled_from(sorted(self.revs)))
        _purge(self.shelf, {docid: [self.revs.pop(docid)]})

    @rule()
    def update(self) -> None:
        self.index = asyncio.run(_update(self.shelf, self.index))

    @invariant()
    def nothing_is_lost(self) -> None:
        if self.index.seq < self.shelf.row().update_seq:
            return
        self.made += 1
        anew = asyncio.run(_update(self.shelf, _make(self.shelf, f"anew{self.made}")))
        assert _state(anew).size == _state(self.index).size
        for view in (0, 1):
            assert _found(self.index, view) == _found(anew, view)
            counted = partial(segments.count, index_id=self.index.id, view=view)
            assert sql.read_sync(counted) == len(_found(anew, view))


def _state(index: IndexState) -> IndexState:
    found = sql.read_sync(partial(indexes.get, index_id=index.id))
    assert found is not None
    return found


@pytest.mark.slow
def test_following_edits_gives_what_building_at_once_gives(
    new_shelf: Callable[..., Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "BATCH", 2)
    monkeypatch.setattr(segments, "SIZE", 2)
    monkeypatch.setattr(Edits, "shelf_of", staticmethod(new_shelf), raising=False)
    run_state_machine_as_test(
        Edits, settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
    )
