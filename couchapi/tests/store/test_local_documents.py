"""Local documents: counted revs, and one namespace for each principal."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from couchapi.core.errors import DatabaseMissing, NotFound
from couchapi.store import local_documents
from couchapi.tests.store.conftest import Shelf


def _write(shelf: Shelf, owner: str, docid: str, body: bytes) -> int:
    return sql.write_sync(lambda c: local_documents.write(c, shelf.name, owner, docid, body))


def _read(shelf: Shelf, owner: str, docid: str) -> tuple[int, bytes]:
    return sql.read_sync(lambda c: local_documents.read(c, shelf.name, owner, docid))


def test_a_local_document_counts_its_writes(shelf: Shelf) -> None:
    assert _write(shelf, "", "point", b'{"n":1}') == 1
    assert _write(shelf, "", "point", b'{"n":2}') == 2

    assert _read(shelf, "", "point") == (2, b'{"n":2}')


def test_a_local_document_is_no_change(shelf: Shelf) -> None:
    _write(shelf, "", "point", b"{}")

    assert shelf.changes() == []
    assert shelf.row().update_seq == 0
    shelf.check_counts()


def test_one_principal_does_not_see_the_other(shelf: Shelf) -> None:
    _write(shelf, "friend", "point", b'{"of":"friend"}')

    with pytest.raises(NotFound):
        _read(shelf, "", "point")
    assert _write(shelf, "", "point", b'{"of":"owner"}') == 1
    assert _read(shelf, "friend", "point") == (1, b'{"of":"friend"}')


def test_the_owner_has_one_namespace_for_all_devices() -> None:
    assert local_documents.namespace("phone", is_owner=True) == ""
    assert local_documents.namespace("friend", is_owner=False) == "friend"


def test_local_documents_are_listed_in_order(shelf: Shelf) -> None:
    for docid in ("b", "C", "a"):
        _write(shelf, "", docid, b"{}")
    _write(shelf, "friend", "x", b"{}")

    listed = sql.read_sync(partial(local_documents.everything, db_name=shelf.name, owner=""))

    assert listed == [("C", 1, b"{}"), ("a", 1, b"{}"), ("b", 1, b"{}")]


def test_a_deleted_local_document_is_gone_and_starts_anew(shelf: Shelf) -> None:
    def delete() -> None:
        sql.write_sync(lambda c: local_documents.delete(c, shelf.name, "", "point"))

    _write(shelf, "", "point", b"{}")
    delete()

    with pytest.raises(NotFound):
        delete()
    assert _write(shelf, "", "point", b"{}") == 1


def test_a_missing_database_is_told_apart(tables: None) -> None:
    with pytest.raises(DatabaseMissing):
        _read(Shelf("nowhere"), "", "point")
    with pytest.raises(DatabaseMissing):
        _write(Shelf("nowhere"), "", "point", b"{}")
