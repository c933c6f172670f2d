"""What the worker does: compaction in slices, and the housekeeping."""

from __future__ import annotations

import time
from functools import partial

import pytest

from acl import sql
from couchapi import tasks
from couchapi.core import lww, revid, revtree
from couchapi.core.errors import ContentMissing
from couchapi.store import attachments, databases, maintenance
from couchapi.tests.store.conftest import Shelf, couch_shelf, new_shelf, shelf

__all__ = ["couch_shelf", "new_shelf", "shelf"]


def _live(shelf: Shelf, docid: str) -> list[revid.RevId]:
    return revtree.live_leaves(revtree.decode(shelf.find(docid).tree))


def test_compaction_goes_to_the_end(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "SLICE", 2)
    for docid in "abcde":
        shelf.put(docid, b'{"n":2}', shelf.put(docid, b'{"n":1}'))

    tasks.compact(shelf.name)

    assert shelf.row().body_size == 5 * len(b'{"n":2}')
    shelf.check_counts()


def test_compacting_a_missing_database_is_no_failure(tables: None) -> None:
    tasks.compact("nowhere")


def test_a_held_stamp_is_settled_when_it_is_due(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_AT_ONCE", 2)
    ahead = revid.mint(None, False, b"2", (), shelf.now + lww.HOUR)
    for docid in "abcde":
        shelf.put(docid, b'{"n":1}')
        shelf.arrive(docid, str(ahead))

    tasks.settle(shelf.now)
    assert [len(_live(shelf, docid)) for docid in "abcde"] == [2] * 5

    tasks.settle(shelf.now + lww.HOUR)
    assert [_live(shelf, docid) for docid in "abcde"] == [[ahead]] * 5
    shelf.check_counts()


def test_housekeeping_removes_what_was_dropped_and_what_was_never_adopted(shelf: Shelf) -> None:
    number = shelf.row().id
    shelf.put("a")
    now = int(time.time())
    old = sql.write_sync(lambda c: attachments.store(c, b"old", "", now - 2 * 24 * 3600))
    new = sql.write_sync(lambda c: attachments.store(c, b"new", "", now))
    sql.write_sync(partial(databases.drop, name=shelf.name))

    tasks.housekeeping()

    rows = "SELECT 1 FROM couchapi_document WHERE database_id = %s"
    assert sql.read_sync(lambda c: c.all(rows, (number,))) == []
    with pytest.raises(ContentMissing):
        sql.read_sync(partial(attachments.read_all, blob=old))
    assert sql.read_sync(partial(attachments.read_all, blob=new)) == b"new"
