"""Databases are kept small by themselves, and what goes on can be seen and ended."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from couchapi import upkeep
from couchapi.store import maintenance, sizes, works
from couchapi.store.works import Kind
from couchapi.tests.store.conftest import Shelf, couch_shelf, new_shelf, shelf

__all__ = ["couch_shelf", "new_shelf", "shelf"]

pytestmark = pytest.mark.usefixtures("small_slices")


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice be two documents."""
    monkeypatch.setattr(maintenance, "SLICE", 2)


def _edit_twice(shelf: Shelf, docids: str = "abcde") -> None:
    for docid in docids:
        shelf.put(docid, b'{"n":2}', shelf.put(docid, b'{"n":1}'))


def _measured(shelf: Shelf) -> sizes.Measured:
    return sql.read_sync(sizes.measured)[shelf.row().id]


def _going_on(shelf: Shelf) -> list[works.Work]:
    found = sql.read_sync(partial(works.going_on, now=upkeep._now()))
    return [one for one in found if one.db_name == shelf.name]


def test_compacting_measures_and_leaves_no_work(shelf: Shelf) -> None:
    _edit_twice(shelf)
    upkeep.compact(shelf.name)
    assert _measured(shelf).sizes.documents == shelf.row().body_size == 35
    assert _measured(shelf).seq == shelf.row().update_seq
    assert _going_on(shelf) == []


def test_how_far_it_is_can_be_seen(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    _edit_twice(shelf)
    seen: list[works.Work] = []
    slice_of = maintenance.compact_slice

    def looking(connection: sql.Sql, *given: str) -> tuple[str | None, int]:
        seen.extend(works.going_on(connection, upkeep._now()))
        return slice_of(connection, *given)

    monkeypatch.setattr(maintenance, "compact_slice", looking)
    upkeep.compact(shelf.name)
    assert [(one.kind, one.done, one.total) for one in seen] == [
        ("compaction", done, 5) for done in (0, 2, 4)
    ]


def test_it_ends_where_it_is_when_it_is_cancelled(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    _edit_twice(shelf)
    slice_of = maintenance.compact_slice

    def cancelling(connection: sql.Sql, *given: str) -> tuple[str | None, int]:
        (work,) = works.going_on(connection, upkeep._now())
        works.cancel(connection, work.id)
        return slice_of(connection, *given)

    monkeypatch.setattr(maintenance, "compact_slice", cancelling)
    upkeep.compact(shelf.name)
    assert shelf.row().body_size == 2 * 7 + 3 * 14
    assert _going_on(shelf) == []


def test_it_does_not_go_on_twice(shelf: Shelf) -> None:
    _edit_twice(shelf)
    begin = partial(works.begin, database_id=shelf.row().id, kind=Kind.COMPACTION, total=5)
    work = sql.write_sync(partial(begin, now=upkeep._now()))
    upkeep.compact(shelf.name)
    assert shelf.row().body_size == 70
    sql.write_sync(partial(works.end, work=work))


@pytest.mark.slow
def test_what_a_killed_worker_left_is_begun_again(shelf: Shelf) -> None:
    _edit_twice(shelf)
    begin = partial(works.begin, database_id=shelf.row().id, kind=Kind.COMPACTION, total=5)
    sql.write_sync(partial(begin, now=upkeep._now() - works.SILENT - 1))
    assert _going_on(shelf) == []
    upkeep.look_after()
    assert shelf.row().body_size == 35


def test_what_is_due_is_compacted_unasked_and_the_rest_measured(
    shelf: Shelf, new_shelf, settings
) -> None:
    settings.HUB_COMPACT_BYTES, settings.HUB_COMPACT_PERCENT = 20, 30
    _edit_twice(shelf)
    other = new_shelf()
    _edit_twice(other, "a")
    upkeep.look_after()
    assert shelf.row().body_size == 35
    assert _measured(other).sizes.old_bodies == 7
