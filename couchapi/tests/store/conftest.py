"""What the store's tests share: a database of their own, and short ways to write and read it.

The same tests run on PostgreSQL (thalihub/tests/test_postgres.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from acl import sql
from acl.core.errors import HubError
from couchapi.core.revid import RevId, parse
from couchapi.store import changes, databases, documents, writes
from couchapi.store.changes import Change
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Found
from couchapi.store.writes import OURSELVES, Author, Write

NOW = 1_750_000_000_000
_numbers = itertools.count(1)


@dataclass
class Shelf:
    """One database."""

    name: str
    now: int = NOW

    def write(self, *batch: Write, author: Author = OURSELVES) -> list[RevId | HubError]:
        """Write a batch and return what became of each write."""
        job = partial(writes.write, db_name=self.name, writes=batch, author=author, now_ms=self.now)
        return [result for _, result in sql.write_sync(job)]

    def put(
        self, docid: str, body: bytes = b"{}", base: RevId | None = None, deleted: bool = False
    ) -> RevId:
        """Write one document, which must not be refused."""
        (result,) = self.write(Write(docid, base, deleted, body))
        assert isinstance(result, RevId), result
        return result

    def arrive(
        self, docid: str, *path: str, deleted: bool = False, author: Author = OURSELVES
    ) -> None:
        """Take over a revision with its history, newest first, as a replicator brings it."""
        self.write(foreign(docid, *path, deleted=deleted), author=author)

    def row(self) -> DatabaseRow:
        """Return the database."""
        return sql.read_sync(partial(databases.get, name=self.name))

    def find(self, docid: str) -> Found:
        """Return a document."""
        return sql.read_sync(partial(documents.find, db_name=self.name, docid=docid))

    def changes(self, since: int = 0) -> list[Change]:
        """Return all changes after `since`."""
        number = self.row().id
        return sql.read_sync(lambda c: changes.page(c, number, since, None, 10_000))

    def count(self, query: str) -> int:
        """Return the number that `query` gives for this database's id."""
        row = sql.read_sync(partial(_one, query=query, number=self.row().id))
        return int(row[0] or 0)

    def check_counts(self) -> None:
        """Compare what the database's row says with a recount."""
        row = self.row()
        of = "FROM couchapi_document WHERE database_id = %s"
        assert row.doc_count == self.count(f"SELECT count(*) {of} AND NOT deleted")
        assert row.doc_del_count == self.count(f"SELECT count(*) {of} AND deleted")
        bodies = self.count(
            "SELECT sum(length(r.body)) FROM couchapi_revision r JOIN couchapi_document d"
            " ON d.id = r.document_id WHERE d.database_id = %s"
        )
        contents = self.count(
            "SELECT sum(b.length) FROM couchapi_blob b JOIN couchapi_document d"
            " ON d.id = b.document_id WHERE d.database_id = %s"
        )
        assert row.body_size == bodies + contents


def foreign(docid: str, *path: str, deleted: bool = False) -> Write:
    """Return the write of a revision that was made elsewhere; its body is its name."""
    revs = tuple(parse(text) for text in path)
    return Write(docid, None, deleted, b'{"rev":"%s"}' % path[0].encode(), revs)


def _one(connection: sql.Sql, query: str, number: int) -> sql.Row:
    row = connection.one(query, (number,))
    assert row is not None
    return row


@pytest.fixture
def new_shelf(tables: None) -> Callable[..., Shelf]:
    """Make a database: `new_shelf(policy="couch")`."""

    def make(policy: str = "lww") -> Shelf:
        name = f"shelf-{next(_numbers)}"
        sql.write_sync(partial(databases.create, name=name, policy=policy, epoch="first"))
        return Shelf(name)

    return make


@pytest.fixture
def shelf(new_shelf: Callable[..., Shelf]) -> Shelf:
    """An empty database where the last writer wins."""
    return new_shelf()


@pytest.fixture
def couch_shelf(new_shelf: Callable[..., Shelf]) -> Shelf:
    """An empty database where conflicts stay."""
    return new_shelf("couch")
