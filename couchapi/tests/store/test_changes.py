"""The rows of _changes: each document once, at its last change."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from couchapi.core import revtree
from couchapi.store import changes
from couchapi.store.changes import Change
from couchapi.tests.store.conftest import Shelf


@pytest.fixture
def filled(couch_shelf: Shelf) -> Shelf:
    """Documents a to e; `a` was edited last, `c` has a conflict, `d` is deleted."""
    first = couch_shelf.put("a")
    for docid in "bcd":
        couch_shelf.arrive(docid, "1-aa")
    couch_shelf.arrive("c", "1-bb")
    couch_shelf.arrive("d", "2-dd", "1-aa", deleted=True)
    couch_shelf.put("e")
    couch_shelf.put("a", base=first)
    return couch_shelf


def _page(shelf: Shelf, since: int, until: int | None, limit: int, **order: bool) -> list[Change]:
    number = shelf.row().id
    return sql.read_sync(lambda c: changes.page(c, number, since, until, limit, **order))


def test_each_document_stands_where_its_last_change_put_it(filled: Shelf) -> None:
    assert [(one.seq, one.docid) for one in filled.changes()] == [
        (2, "b"),
        (5, "c"),
        (6, "d"),
        (7, "e"),
        (8, "a"),
    ]


def test_a_row_says_what_the_feed_shows(filled: Shelf) -> None:
    b, c, d, _, _ = filled.changes()

    assert b == Change(2, "b", "1-aa", False, 1, None)
    assert (c.rev, c.leaf_count) == ("1-bb", 2)
    assert c.tree is not None
    assert len(revtree.leaves(revtree.decode(c.tree))) == 2
    assert d.deleted is True


def test_a_feed_goes_on_after_since(filled: Shelf) -> None:
    assert [one.docid for one in filled.changes(since=5)] == ["d", "e", "a"]
    assert [one.docid for one in _page(filled, 5, None, 2)] == ["d", "e"]
    assert [one.docid for one in _page(filled, 2, 7, 10)] == ["c", "d"]
    assert filled.changes(since=8) == []


def test_descending_the_newest_come_first(filled: Shelf) -> None:
    rows = _page(filled, 2, None, 10, descending=True)
    assert [one.docid for one in rows] == ["a", "e", "d", "c"]
    assert [one.docid for one in _page(filled, 0, 7, 2, descending=True)] == ["d", "c"]


def test_some_documents_can_be_asked_for(filled: Shelf) -> None:
    number = filled.row().id
    asked = ["e", "c", "missing", "b"]
    rows = sql.read_sync(partial(changes.of_documents, database_id=number, since=2, docids=asked))

    assert [(one.seq, one.docid) for one in rows] == [(5, "c"), (7, "e")]
    assert sql.read_sync(lambda c: changes.of_documents(c, number, 0, [])) == []


def test_what_is_pending_is_counted_as_far_as_asked(filled: Shelf) -> None:
    number = filled.row().id

    assert sql.read_sync(lambda c: changes.count_after(c, number, 5, 100)) == 3
    assert sql.read_sync(lambda c: changes.count_after(c, number, 0, 2)) == 2
    assert sql.read_sync(lambda c: changes.count_after(c, number, 8, 100)) == 0


def test_one_database_does_not_see_the_other(filled: Shelf, shelf: Shelf) -> None:
    assert shelf.changes() == []
