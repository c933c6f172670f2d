"""Changes that a function of a design document lets through (`filter=d/f`, `filter=_view`).

A page is read and rendered in the pool, judged by the engine, and only then cut to the limit: so
no thread of the pool waits for JavaScript, and a limit counts the rows that passed.  The function
is the one that the design document had when the feed began, as in CouchDB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import orjson

from acl import sql
from couchapi import javascript
from couchapi.core.errors import FunctionFailed, NotFound
from couchapi.core.params import ChangesQuery
from couchapi.feeds import Page, Source
from couchapi.feeds.changes import Candidate, ChangesReader, function_of, thinned
from couchapi.javascript import Program
from couchapi.store import databases, documents

_PAGE = 200


@dataclass(frozen=True)
class Function:
    """A filter function, or the map function of a view that is used as one."""

    program: Program
    name: str
    is_view: bool

    async def passes(self, texts: Sequence[bytes], request: bytes) -> list[bool]:
        """Tell which documents pass; raises CompilationError, FunctionFailed."""
        if self.is_view:
            return await javascript.filter_by_view(self.program, self.name, texts)
        return await javascript.filter_documents(self.program, self.name, texts, request)


def find(connection: sql.Sql, db_name: str, query: ChangesQuery) -> Function:
    """Return the function that the query names; raises NotFound."""
    database = databases.get(connection, db_name)
    ddoc, _, name = (function_of(query) or "").partition("/")
    design = documents.find(connection, db_name, f"_design/{ddoc}")
    if design.deleted:
        raise NotFound("deleted")
    is_view = query.filter == "_view"
    group = "views" if is_view else "filters"
    functions = orjson.loads(design.body).get(group)
    if not isinstance(functions, dict):
        raise NotFound(f"missing json key: {group}")
    if name not in functions:
        raise NotFound(f"missing json key: {name}")
    return Function(Program(str(database.id), design.body), name, is_view)


def source_of(read: ChangesReader, function: Function, request: bytes) -> Source:
    """Return the pages of a feed with the rows that pass."""

    async def source(since: int, limit: int | None) -> Page:
        candidates, page = await sql.scan(partial(read.candidates, since=since, at_most=_PAGE))
        rows = await _passing(function, candidates, request)
        if limit is not None and len(rows) > limit:
            rows = rows[:limit]
            last = rows[-1][0] if rows else since
            page = Page([], last, exhausted=False, pending=page.pending + page.last - last)
        texts = [text for _, text in rows]
        if read.query.seq_interval is not None:
            texts = thinned(texts, read.query.seq_interval)
        return Page(texts, page.last, page.exhausted, max(0, page.pending), page.gone)

    return source


async def primed(source: Source, since: int, limit: int | None) -> Source:
    """Return the source with its first page read: a function that fails is an answer then."""
    first: list[Page] = [await source(since, limit)]

    async def after(since: int, limit: int | None) -> Page:
        return first.pop() if first else await source(since, limit)

    return after


async def _passing(
    function: Function, candidates: Sequence[Candidate], request: bytes
) -> list[tuple[int, bytes]]:
    """Return (seq, text) of the rows of which any revision passes."""
    texts = [text for one in candidates for _, text in one.leaves]
    verdicts = await function.passes(texts, request)
    if len(verdicts) != len(texts):
        raise FunctionFailed
    left = iter(verdicts)
    rows = []
    for one in candidates:
        judged = zip(one.leaves, islice(left, len(one.leaves)), strict=True)
        revs = [rev for (rev, _), passed in judged if passed]
        if revs:
            rows.append((one.seq, one.row(revs)))
    return rows
