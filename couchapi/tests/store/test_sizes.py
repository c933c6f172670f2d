"""What a database takes is measured to the byte."""

from __future__ import annotations

from functools import partial

from acl import sql
from couchapi.core.incoming import Inline
from couchapi.core.upkeep import Measured, Sizes
from couchapi.store import local_documents, maintenance, sizes
from couchapi.store.writes import Write


def _measure(shelf) -> Sizes:
    return sql.read_sync(partial(sizes.measure, database_id=shelf.row().id))


def _attach(shelf, docid, content, base=None):
    given = {"file": Inline(content, "text/plain", None)}
    (rev,) = shelf.write(Write(docid, base, False, b"{}", attachments=given))
    return rev


def test_nothing_takes_nothing(shelf):
    assert _measure(shelf) == Sizes()


def test_bodies_are_of_leaves_or_old(shelf):
    shelf.put("a", b'{"n":22}', shelf.put("a", b'{"n":1}'))
    found = _measure(shelf)
    assert (found.documents, found.old_bodies) == (8, 7)
    assert found.history > 0
    assert found.documents + found.old_bodies == shelf.row().body_size


def test_losing_leaves_are_not_old(couch_shelf):
    couch_shelf.arrive("a", "1-aa")
    couch_shelf.arrive("a", "1-bb")
    couch_shelf.arrive("a", "2-cc", "1-bb")
    found = _measure(couch_shelf)
    assert (found.documents, found.old_bodies) == (2 * len(b'{"rev":"1-aa"}'), 14)


def test_attachments_are_of_leaves_or_old(shelf):
    first = _attach(shelf, "a", b"x" * 100)
    _attach(shelf, "a", b"y" * 30, first)
    _attach(shelf, "b", b"z" * 7)
    found = _measure(shelf)
    assert (found.attachments, found.old_attachments) == (37, 100)
    assert found.attachments + found.old_attachments + found.documents + found.old_bodies == (
        shelf.row().body_size
    )


def test_compacting_leaves_nothing_old(shelf):
    _attach(shelf, "a", b"y" * 30, _attach(shelf, "a", b"x" * 100))
    before = _measure(shelf)
    sql.write_sync(partial(maintenance.compact_slice, db_name=shelf.name, after=""))
    after = _measure(shelf)
    assert after.reclaimable == 0
    assert (after.documents, after.attachments) == (before.documents, before.attachments)


def test_local_documents_count(shelf):
    sql.write_sync(lambda c: local_documents.write(c, shelf.name, "", "point", b'{"a":1}'))
    assert _measure(shelf).local_documents == 7


def test_what_was_measured_last_is_kept(shelf):
    number = shelf.row().id
    for at in (1, 2):
        note = partial(sizes.note, database_id=number, seq=at, now=at, sizes=Sizes(documents=at))
        sql.write_sync(note)
    assert sql.read_sync(sizes.measured)[number] == Measured(2, 2, Sizes(documents=2))
