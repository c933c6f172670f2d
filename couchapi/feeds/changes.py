"""The rows of `_changes`, read and rendered by the page (CouchDB docs, "api/database/changes")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import orjson

from acl.sql import Sql
from couchapi import reader
from couchapi.core import mango, revtree, sequence
from couchapi.core.params import ChangesQuery, DocumentQuery
from couchapi.core.visibility import Visible
from couchapi.feeds import Page
from couchapi.reader import Form
from couchapi.store import changes, databases, documents
from couchapi.store.changes import Change
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Found

_PAGE = 500
_MOST_COUNTED = 1000
NEWEST = 2**62
"""Where a descending feed starts: after every sequence number."""

Filter = Callable[[Change, Found | None], bool]
_PLAIN = DocumentQuery()


class Candidate(NamedTuple):
    """A row that a filter function has to judge: its leaves are asked about one by one."""

    seq: int
    head: bytes
    leaves: Sequence[tuple[str, bytes]]
    """(rev, JSON text of the document at it)."""
    tail: bytes

    def row(self, revs: Sequence[str]) -> bytes:
        """Return the text of the row with those of its revisions that passed."""
        return self.head + b",".join([b'{"rev":"%s"}' % rev.encode() for rev in revs]) + self.tail


@dataclass(frozen=True)
class ChangesReader:
    """Reads the pages of one feed for one caller."""

    db_name: str
    epoch: str
    query: ChangesQuery
    visible: Visible | None
    passes: Filter | None
    reads_bodies: bool

    def __call__(self, connection: Sql, since: int, limit: int | None) -> Page:
        """Read up to `limit` rows that follow `since`; passes over what is filtered out."""
        database = databases.find(connection, self.db_name)
        if database is None or database.epoch != self.epoch:
            # Deleted, and perhaps made again: its numbers mean other things now.
            return Page([], since, exhausted=True, gone=True)
        picks = self.passes is not None or self.visible is not None
        size = _PAGE if limit is None or picks else min(_PAGE, limit)
        found = self._read(connection, database.id, since, size)
        rows, last = self._rows(connection, database, found, limit)
        cut = bool(found) and last != found[-1].seq
        exhausted = not cut and (len(found) < size or self.query.doc_ids is not None)
        resting = self._resting(database, since if last is None else last, exhausted)
        pending = self._pending(connection, database, resting, limit, exhausted)
        return Page(rows, resting, exhausted, pending)

    def candidates(self, connection: Sql, since: int, at_most: int) -> tuple[list[Candidate], Page]:
        """Read changes that a filter function is asked about, and the page that they would make.

        The page has no rows yet; it ends where the last change that was looked at stands.
        """
        database = databases.find(connection, self.db_name)
        if database is None or database.epoch != self.epoch:
            return [], Page([], since, exhausted=True, gone=True)
        found = self._read(connection, database.id, since, at_most)
        bodies = self._bodies(connection, database.id, found)
        shown = [
            self._candidate(connection, database, change, body)
            for change in found
            if (body := bodies.get(change.docid)) is not None and self._shows(change, body)
        ]
        exhausted = len(found) < at_most or self.query.doc_ids is not None
        resting = self._resting(database, found[-1].seq if found else since, exhausted)
        pending = 0 if exhausted or self.visible is not None else database.update_seq - resting
        return shown, Page([], resting, exhausted, pending)

    def _candidate(
        self, connection: Sql, database: DatabaseRow, change: Change, found: Found
    ) -> Candidate:
        head, tail = self._head(database, change), self._tail(connection, change, found)
        if self.query.style == "main_only" or found.leaf_count == 1:
            text = reader.shown(connection, found, _PLAIN, reader.STUBS)
            return Candidate(change.seq, head, ((found.rev, text),), tail)
        opened = reader.opened_revisions(
            connection, found, None, _PLAIN, reader.STUBS, self.visible
        )
        leaves = [(one.rev, one.text) for one in opened if isinstance(one, reader.Opened)]
        return Candidate(change.seq, head, leaves, tail)

    def _resting(self, database: DatabaseRow, last: int, exhausted: bool) -> int:
        """Return where the next page begins: what was passed over and purged was seen too."""
        if self.query.descending:
            return database.update_seq if last == NEWEST else last
        return max(last, database.update_seq) if exhausted else last

    def _rows(
        self, connection: Sql, database: DatabaseRow, found: Sequence[Change], limit: int | None
    ) -> tuple[list[bytes], int | None]:
        """Return up to `limit` rows, and the number of the last change that was looked at."""
        rows: list[bytes] = []
        last = None
        bodies = self._bodies(connection, database.id, found)
        for change in found:
            if limit is not None and len(rows) >= limit:
                break
            last = change.seq
            body = bodies.get(change.docid)
            if self._shows(change, body):
                rows.append(self._row(connection, database, change, body))
        if self.query.seq_interval is not None:
            rows = thinned(rows, self.query.seq_interval)
        return rows, last

    def _read(self, connection: Sql, database_id: int, since: int, size: int) -> Sequence[Change]:
        if self.query.doc_ids is not None:
            return self._read_documents(connection, database_id, since, self.query.doc_ids)
        if self.query.descending:
            return changes.page(connection, database_id, 0, since, size, descending=True)
        return changes.page(connection, database_id, since, None, size)

    def _read_documents(
        self, connection: Sql, database_id: int, since: int, docids: Sequence[str]
    ) -> Sequence[Change]:
        if not self.query.descending:
            return changes.of_documents(connection, database_id, since, docids)
        found = changes.of_documents(connection, database_id, 0, docids)
        return [change for change in reversed(found) if change.seq < since]

    def _bodies(
        self, connection: Sql, database_id: int, found: Sequence[Change]
    ) -> Mapping[str, Found]:
        if not self.reads_bodies:
            return {}
        return documents.find_many(connection, database_id, [change.docid for change in found])

    def _shows(self, change: Change, found: Found | None) -> bool:
        if self.visible is not None and (
            found is None or not self.visible(found.docid, found.rev, found.body)
        ):
            return False
        return self.passes is None or self.passes(change, found)

    def _row(
        self, connection: Sql, database: DatabaseRow, change: Change, found: Found | None
    ) -> bytes:
        revs = self._revs(connection, change, found)
        return b"".join([self._head(database, change), revs, self._tail(connection, change, found)])

    def _head(self, database: DatabaseRow, change: Change) -> bytes:
        docid = orjson.dumps(change.docid)
        return b'{"seq":"%d-%s","id":%s,"changes":[' % (change.seq, database.epoch.encode(), docid)

    def _tail(self, connection: Sql, change: Change, found: Found | None) -> bytes:
        tail = b'],"deleted":true' if change.deleted else b"]"
        if self.query.include_docs:
            tail += b',"doc":' + self._document(connection, found)
        return tail + b"}"

    def _document(self, connection: Sql, found: Found | None) -> bytes:
        if found is None:
            return b"null"
        return reader.shown(connection, found, self._wanted, self._form, self.visible)

    def _revs(self, connection: Sql, change: Change, found: Found | None) -> bytes:
        if change.tree is None or self.query.style == "main_only":
            return b'{"rev":"%s"}' % change.rev.encode()
        if self.visible is not None and found is not None:
            leaves = reader.visible_leaves(connection, found, self.visible)
        else:
            leaves = revtree.leaves(revtree.decode(change.tree))
        return b",".join([b'{"rev":"%s"}' % str(leaf).encode() for leaf in leaves])

    @cached_property
    def _wanted(self) -> DocumentQuery:
        return DocumentQuery(conflicts=self.query.conflicts, revs=self.query.revs)

    @cached_property
    def _form(self) -> Form:
        return Form(inline=self.query.attachments, encoding_info=self.query.att_encoding_info)

    def _pending(
        self, connection: Sql, database: DatabaseRow, last: int, limit: int | None, exhausted: bool
    ) -> int:
        """Return how many rows may follow, exact while they are few.

        Nothing is said to a caller who sees only some documents: the number of the others is
        none of its business.
        """
        if exhausted or self.query.descending or limit is None or self.visible is not None:
            return 0
        counted = changes.count_after(connection, database.id, last, _MOST_COUNTED)
        return counted if counted < _MOST_COUNTED else database.update_seq - last


def reader_of(
    db_name: str, epoch: str, query: ChangesQuery, visible: Visible | None
) -> ChangesReader:
    """Return the reader of a feed, up to what a filter function says (feeds/filtered.py)."""
    passes, needs_body = _filter(query)
    if query.doc_ids is not None:
        # No id holds a NUL, and PostgreSQL does not even look for one.
        query = replace(query, doc_ids=tuple(one for one in query.doc_ids if "\0" not in one))
    reads_bodies = query.include_docs or needs_body or visible is not None
    return ChangesReader(db_name, epoch, query, visible, passes, reads_bodies)


def function_of(query: ChangesQuery) -> str | None:
    """Return the `ddoc/name` of the function that filters, None where none does."""
    if query.filter == "_view":
        return query.view
    return None if query.filter is None or query.filter.startswith("_") else query.filter


def start(connection: Sql, db_name: str, query: ChangesQuery) -> tuple[int, str]:
    """Return where the feed starts and the epoch of its sequences; raises DatabaseMissing."""
    database = databases.get(connection, db_name)
    since = sequence.resume(query.since, database.epochs, database.update_seq)
    return (NEWEST if query.descending else since), database.epoch


def _filter(query: ChangesQuery) -> tuple[Filter | None, bool]:
    if query.filter == "_design":
        return _is_design, False
    if query.filter == "_selector" and query.selector is not None:
        return partial(_matches, mango.compile(query.selector)), True
    return None, function_of(query) is not None


def _is_design(change: Change, found: Found | None) -> bool:
    return change.docid.startswith("_design/")


def _matches(
    matches: Callable[[Mapping[str, Any]], bool], change: Change, found: Found | None
) -> bool:
    if found is None:
        return False
    document = {**orjson.loads(found.body), "_id": found.docid, "_rev": found.rev}
    if found.deleted:
        document["_deleted"] = True
    return bool(matches(document))


def thinned(rows: list[bytes], interval: int) -> list[bytes]:
    """Leave only each `interval`th sequence and the last: they cost CouchDB much, us nothing."""
    return [
        row
        if number % interval == 0 or number == len(rows)
        else b'{"seq":null,' + row.partition(b",")[2]
        for number, row in enumerate(rows, 1)
    ]
