"""Mango queries: from a selector to documents, by an index where one serves.

Whatever is read, the selector itself has the last word on every document, and on the document as
it is now: an index only says where to look.  Documents come in pages and are sent as they come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import orjson

from acl import sql
from couchapi import indexer, reader
from couchapi.core import mango, mangoindex, mangoplan, mangoquery, sortkey
from couchapi.core.mangoerrors import InvalidBookmark, NoUsableIndex
from couchapi.core.mangoindex import ALL_DOCS, Index
from couchapi.core.mangoplan import Candidate
from couchapi.core.mangoquery import FindQuery
from couchapi.core.params import DocumentQuery
from couchapi.core.visibility import Visible
from couchapi.indexer import IndexGone, Mapped, Plan, Source
from couchapi.store import databases, designs, documents, indexes
from couchapi.store.databases import DatabaseRow
from couchapi.store.documents import Found, Range
from couchapi.store.indexes import Entry, IndexState
from couchapi.store.segments import Span

_PAGE = 200
_TRIES = 3
_PLAIN = DocumentQuery()
_CONFLICTS = DocumentQuery(conflicts=True)
NO_INDEX = "No matching index found, create an index to optimize query time."
_NOT_SERVED = "{name} was not used because it is not a valid index for this query."


@dataclass(frozen=True, slots=True)
class Choice:
    """The index that a query is answered by, those that were looked at, and what to warn of."""

    index: Index
    judged: Sequence[Candidate]
    warning: str | None


class Page(NamedTuple):
    """Documents that match, as JSON texts, and from where the query goes on."""

    texts: list[bytes]
    place: list[Any] | None
    exhausted: bool


@dataclass
class Finding:
    """One query while it runs; what it counts is of documents that the caller may see."""

    database: DatabaseRow
    query: FindQuery
    choice: Choice
    visible: Visible | None
    begun: float = field(default_factory=time.monotonic)
    keys: int = 0
    docs: int = 0
    found: int = 0
    place: list[Any] | None = None

    def __post_init__(self) -> None:
        self._matches = mango.compile(self.query.selector)
        self._project = mangoquery.projection(self.query.fields) if self.query.fields else None
        self._skip = self.query.skip

    async def pages(self) -> AsyncIterator[list[bytes]]:
        """Give the documents that match, a page at a time."""
        signature = self.choice.index.signature
        at = mangoquery.resume(self.query.bookmark, signature)
        state = await _built(self.database, self.choice.index, self.query.update)
        exhausted = False
        while not exhausted and self.found < self.query.limit:
            page = await sql.scan(partial(self._read, state=state, after=at))
            at, exhausted = page.place, page.exhausted
            self.found += len(page.texts)
            yield page.texts

    def bookmark(self) -> str:
        """Return from where the same query goes on."""
        if self.place is None:
            return "nil"
        return mangoquery.bookmark(self.choice.index.signature, self.place)

    def stats(self) -> dict[str, Any]:
        """Return `execution_stats`."""
        return {
            "total_keys_examined": self.keys,
            "total_docs_examined": self.docs,
            "total_quorum_docs_examined": 0,
            "results_returned": self.found,
            "execution_time_ms": round((time.monotonic() - self.begun) * 1000, 3),
        }

    def _read(self, connection: sql.Sql, state: IndexState | None, after: list[Any] | None) -> Page:
        if state is None:
            return self._from_documents(connection, after)
        return self._from_index(connection, state, after)

    def _from_documents(self, connection: sql.Sql, after: list[Any] | None) -> Page:
        low, high = mangoplan.id_bounds(self.query.selector)
        descending = self.query.descending
        within = Range(*((high, low) if descending else (low, high)), descending=descending)
        last = after[0] if after else None
        page = documents.page(connection, self.database.id, within, after=last, skip=0, limit=_PAGE)
        texts = self._taken(connection, [(found, [found.docid]) for found in page])
        return Page(texts, [page[-1].docid] if page else after, len(page) < _PAGE)

    def _from_index(self, connection: sql.Sql, state: IndexState, after: list[Any] | None) -> Page:
        span = _span(self.choice.index, self.query, after)
        rows, complete = indexes.page(
            connection, state.id, 0, span, descending=self.query.descending, limit=_PAGE
        )
        self.keys += len(rows) if self.visible is None else 0
        found = documents.find_many(connection, self.database.id, [row[1] for row in rows])
        places = [(orjson.loads(row[3]), row[1], row[2]) for row in rows]
        read = [
            (found[docid], [key, docid, n])
            for key, docid, n in places
            if docid in found and not found[docid].deleted
        ]
        texts = self._taken(connection, read)
        return Page(texts, list(places[-1]) if places else after, complete)

    def _taken(self, connection: sql.Sql, read: Sequence[tuple[Found, list[Any]]]) -> list[bytes]:
        """Return the texts of those documents that match, as many as are still wanted."""
        texts: list[bytes] = []
        for found, place in read:
            if self.found + len(texts) >= self.query.limit:
                break
            document = self._matching(connection, found)
            if document is None:
                continue
            if self._skip:
                self._skip -= 1
                continue
            self.place = place
            texts.append(self._text(connection, found, document))
        return texts

    def _matching(self, connection: sql.Sql, found: Found) -> dict[str, Any] | None:
        if found.docid.startswith("_design/"):
            return None
        if self.visible is not None and not self.visible(found.docid, found.rev, found.body):
            return None
        self.docs += 1
        document = self._document(connection, found)
        return document if self._matches(document) else None

    def _document(self, connection: sql.Sql, found: Found) -> dict[str, Any]:
        """Return the document as the selector sees it: with stubs, and conflicts if wanted."""
        named = self.query.conflicts and found.leaf_count > 1
        if found.attachments is None and not named:
            return {"_id": found.docid, "_rev": found.rev, **orjson.loads(found.body)}
        document: dict[str, Any] = orjson.loads(self._shown(connection, found))
        return document

    def _shown(self, connection: sql.Sql, found: Found) -> bytes:
        wanted = _CONFLICTS if self.query.conflicts else _PLAIN
        return reader.shown(connection, found, wanted, reader.STUBS, self.visible)

    def _text(self, connection: sql.Sql, found: Found, document: dict[str, Any]) -> bytes:
        if self._project is None:
            return self._shown(connection, found)
        return orjson.dumps(self._project(document))


async def find(db_name: str, query: FindQuery, visible: Visible | None) -> Finding:
    """Choose how a query is answered; raises DatabaseMissing, NoUsableIndex, InvalidBookmark.

    An index that the caller may not see is not there, as in every other answer.
    """
    database, known = await sql.scan(partial(_known, db_name=db_name, visible=visible))
    choice = chosen(query, known)
    place = mangoquery.resume(query.bookmark, choice.index.signature)
    if place and not mangoquery.is_place(place, of_index=choice.index.ddoc is not None):
        raise InvalidBookmark
    return Finding(database, query, choice, visible)


def chosen(query: FindQuery, known: Sequence[Index]) -> Choice:
    """Choose the index for a query; raises NoUsableIndex."""
    named = [index for index in known if _is_named(index, query.use_index)]
    judged = mangoplan.candidates(named, query.selector, query.sort, named=True) if named else []
    best = mangoplan.best(judged)
    if best is not None:
        return Choice(best.index, judged, None)
    warning = _unused(query.use_index)
    if query.use_index and not query.allow_fallback:
        raise NoUsableIndex(warning)
    judged = mangoplan.candidates(known, query.selector, query.sort, named=False)
    best = mangoplan.best(judged)
    if best is not None:
        return Choice(best.index, judged, warning)
    if not mangoplan.serves_alone(query.sort):
        raise NoUsableIndex
    if warning is None and mangoplan.id_bounds(query.selector) == (None, None):
        warning = NO_INDEX
    return Choice(ALL_DOCS, judged, warning)


def _is_named(index: Index, use_index: Sequence[str]) -> bool:
    if not use_index:
        return False
    return index.ddoc == use_index[0] and use_index[1:] in ((), (index.name,))


def _unused(use_index: Sequence[str]) -> str | None:
    return _NOT_SERVED.format(name=", ".join(use_index)) if use_index else None


def _known(
    connection: sql.Sql, db_name: str, visible: Visible | None
) -> tuple[DatabaseRow, list[Index]]:
    database = databases.get(connection, db_name)
    return database, designs.mango_indexes(connection, database.id, visible)


def _span(index: Index, query: FindQuery, after: list[Any] | None) -> Span:
    low, high = mangoplan.span(index, query.selector)
    span = Span((low, "", 0), (high, "", 0))
    if after is None:
        return span
    key, docid, n = sortkey.encode(after[0]), after[1], after[2]
    if query.descending:
        return Span(span.low, min(span.high, (key, docid, n)))
    return Span(max(span.low, (key, docid, n + 1)), span.high)


async def _built(database: DatabaseRow, index: Index, update: bool) -> IndexState | None:
    """Return the rows of an index, brought up to date if that is wanted; None for all documents."""
    if index.ddoc is None:
        return None
    for left in reversed(range(_TRIES)):
        make = partial(
            indexes.make,
            database_id=database.id,
            signature=index.signature,
            language=mangoindex.LANGUAGE,
        )
        find_one = partial(indexes.find, database_id=database.id, signature=index.signature)
        found = await sql.point(find_one)
        state = found or await sql.write(make)
        if not update:
            return state
        try:
            return await indexer.bring_up_to_date(state, plan_of(index), database.update_seq)
        except IndexGone:
            if not left:
                raise
    raise AssertionError("unreachable")


async def begin(database: DatabaseRow, index: Index) -> None:
    """Begin to bring an index up to date, and do not wait for it."""
    state = await _built(database, index, update=False)
    if state is not None:
        indexer.build(state, plan_of(index))


def plan_of(index: Index) -> Plan:
    """Return how the rows of an index are made."""
    return Plan(partial(_map, index))


async def _map(index: Index, sources: Sequence[Source]) -> list[Mapped]:
    return await asyncio.to_thread(_mapped, index, sources)


def _mapped(index: Index, sources: Sequence[Source]) -> list[Mapped]:
    matches = mango.compile(orjson.loads(index.partial))
    paths = [mango.parse_field(column) for column in index.columns]
    return [_entries(source, matches, paths) for source in sources]


def _entries(source: Source, matches: mango.Matcher, paths: Sequence[tuple[str, ...]]) -> Mapped:
    document = orjson.loads(source.text)
    key = mangoindex.key_of(document, paths) if matches(document) else None
    if key is None:
        return Mapped(())
    row = Entry(0, sortkey.encode(key), source.docid, 0, orjson.dumps(key), b"null")
    return Mapped((row,))
