"""The documents of which several versions have met are listed, and counted."""

from __future__ import annotations

from functools import partial

from acl import sql
from couchapi.core import revtree
from couchapi.store import meetings
from couchapi.store.meetings import Meeting
from couchapi.tests.store.conftest import Shelf

A, B = "a" * 32, "b" * 32


def _page(shelf: Shelf, before: int | None = None, limit: int = 50) -> list[Meeting]:
    number = shelf.row().id
    return sql.read_sync(partial(meetings.page, database_id=number, before=before, limit=limit))


def test_they_come_newest_first_a_page_at_a_time(shelf: Shelf) -> None:
    shelf.put("alone")
    for docid in ("one", "two", "three"):
        shelf.arrive(docid, f"1-{A}")
        shelf.arrive(docid, f"1-{B}")
    first = _page(shelf, limit=2)
    assert [one.docid for one in first] == ["three", "two"]
    rest = _page(shelf, before=first[-1].seq, limit=2)
    assert [one.docid for one in rest] == ["one"]
    assert len(revtree.leaves(revtree.decode(rest[0].tree))) == 2
    assert sql.read_sync(meetings.counts)[shelf.name] == 3


def test_a_database_without_any_is_not_named(shelf: Shelf) -> None:
    shelf.put("alone")
    assert _page(shelf) == []
    assert shelf.name not in sql.read_sync(meetings.counts)
