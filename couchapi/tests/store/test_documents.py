"""Reading documents: by id, in ranges, and the bodies that are kept."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from couchapi.core import revid
from couchapi.core.errors import DatabaseMissing, NotFound
from couchapi.store import documents
from couchapi.store.documents import Range
from couchapi.tests.store.conftest import Shelf

# In the order of their bytes: capitals first, then letters, then what UTF-8 writes longer.
IDS = ["B", "a", "b", "c", "ä", "\U0001f600"]


@pytest.fixture
def filled(shelf: Shelf) -> Shelf:
    """Every one of IDS, of which `b` is deleted."""
    for docid in reversed(IDS):
        shelf.put(docid, b'{"id":"%s"}' % docid.encode())
    shelf.put("b", b'{"why":"old"}', revid.parse(shelf.find("b").rev), deleted=True)
    return shelf


def _ids(shelf: Shelf, within: Range, **given: object) -> list[str]:
    number = shelf.row().id
    asked = {"after": None, "skip": 0, "limit": 100, **given}
    found = sql.read_sync(partial(documents.page, database_id=number, within=within, **asked))
    ids = sql.read_sync(partial(documents.id_page, database_id=number, within=within, **asked))
    assert [(one.docid, one.rev, one.deleted) for one in found] == [
        (docid, rev, bool(deleted)) for docid, rev, deleted in ids
    ]
    return [one.docid for one in found]


def test_a_document_comes_as_it_was_written(filled: Shelf) -> None:
    found = filled.find("ä")

    assert found.body == '{"id":"ä"}'.encode()
    assert (found.docid, found.deleted, found.leaf_count) == ("ä", False, 1)
    assert isinstance(found.body, bytes)
    assert isinstance(found.tree, bytes)
    assert found.attachments is None


def test_a_deleted_document_is_found_with_its_body(filled: Shelf) -> None:
    assert filled.find("b").deleted is True
    assert filled.find("b").body == b'{"why":"old"}'


def test_what_is_missing_is_told_apart(shelf: Shelf) -> None:
    with pytest.raises(NotFound):
        shelf.find("nothing")
    with pytest.raises(DatabaseMissing):
        Shelf("nowhere").find("nothing")


def test_many_are_found_only_when_they_are_small(filled: Shelf) -> None:
    number = filled.row().id
    asked = ["c", "missing", "b"]
    found = sql.read_sync(partial(documents.find_many, database_id=number, docids=asked))
    size = sum(len(one.body) for one in found.values())
    small = partial(documents.find_small, database_id=number, docids=asked)
    assert sql.read_sync(partial(small, most=size)) == found
    assert sql.read_sync(partial(small, most=size - 1)) is None


def test_many_are_found_at_once(filled: Shelf) -> None:
    number = filled.row().id
    asked = ["c", "missing", "b", "c"]
    found = sql.read_sync(partial(documents.find_many, database_id=number, docids=asked))
    trees = sql.read_sync(partial(documents.trees, database_id=number, docids=asked))

    assert set(found) == {"b", "c"}
    assert found["c"] == filled.find("c")
    assert {(one.docid, one.rev, one.tree) for one in found.values()} == set(trees)


def test_ids_are_listed_by_their_bytes(filled: Shelf) -> None:
    live = [docid for docid in IDS if docid != "b"]

    assert _ids(filled, Range()) == live
    assert _ids(filled, Range(descending=True)) == live[::-1]
    assert _ids(filled, Range(include_deleted=True)) == IDS


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        (Range(start="a"), ["a", "c", "ä", "\U0001f600"]),
        (Range(end="c"), ["B", "a", "c"]),
        (Range(start="a", end="c"), ["a", "c"]),
        (Range(start="a", end="c", inclusive_end=False), ["a"]),
        (Range(start="c", end="a", descending=True), ["c", "a"]),
        (Range(start="c", end="a", descending=True, inclusive_end=False), ["c"]),
        (Range(start="a", end="c", include_deleted=True), ["a", "b", "c"]),
        (Range(start="d", end="a"), []),
    ],
)
def test_a_range_has_its_ends(filled: Shelf, within: Range, expected: list[str]) -> None:
    assert _ids(filled, within) == expected


def test_a_listing_goes_on_where_it_stopped(filled: Shelf) -> None:
    assert _ids(filled, Range(), limit=2) == ["B", "a"]
    assert _ids(filled, Range(), after="a", limit=2) == ["c", "ä"]
    assert _ids(filled, Range(descending=True), after="c") == ["a", "B"]
    assert _ids(filled, Range(), skip=3) == ["ä", "\U0001f600"]


def test_the_offset_is_counted_as_far_as_asked(filled: Shelf) -> None:
    number = filled.row().id

    def before(within: Range, at_most: int) -> int | None:
        return sql.read_sync(lambda c: documents.count_before(c, number, within, at_most))

    assert before(Range(), 10) == 0
    assert before(Range(start="c"), 10) == 2
    assert before(Range(start="c", descending=True), 10) == 2
    assert before(Range(start="c"), 1) is None


def test_old_bodies_stay_until_they_are_compacted(shelf: Shelf) -> None:
    first = shelf.put("a", b'{"n":1}')
    second = shelf.put("a", b'{"n":2}', first)
    number = shelf.find("a").id

    kept = sql.read_sync(
        lambda c: documents.bodies(c, number, [str(first), str(second), "9-missing"])
    )

    assert {rev: body.body for rev, body in kept.items()} == {
        str(first): b'{"n":1}',
        str(second): b'{"n":2}',
    }
    assert sql.read_sync(lambda c: documents.kept_revs(c, number)) == {str(first), str(second)}
