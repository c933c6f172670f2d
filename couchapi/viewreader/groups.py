"""What a view's rows reduce to, whole or by groups of keys.

The rows are walked by segments (store/segments.py).  A segment that lies in one group is not read
if what it reduces to is kept already; else it is read, and that is kept for the next time.  So an
answer costs in proportion to the segments and to the edges of groups.  A caller who sees only
some documents gets what the rows of those reduce to; nothing is kept then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import orjson

from acl import sql
from couchapi import javascript
from couchapi.core import mapreduce, sortkey
from couchapi.core.mapreduce import Reducer, Row
from couchapi.store import indexes, segments
from couchapi.store.segments import Segment, Span
from couchapi.viewreader import rows as viewrows
from couchapi.viewreader.opening import OpenView
from couchapi.viewreader.rows import RowsQuery

_PAGE = 500
_SEGMENTS = 64
_ROWS_AT_ONCE = 4 * _PAGE
_STATES_AT_ONCE = 100


class Bounds(NamedTuple):
    """The keys of one group, from `low` to `high`, which is not one; `key` is shown."""

    low: bytes
    high: bytes
    key: bytes

    def hold(self, span: Span) -> bool:
        """Tell whether every row of a range is in the group."""
        return self.low <= span.low[0] and span.high <= (self.high, "", 0)


@dataclass(slots=True)
class Part:
    """Rows of one group, or the state that they reduce to; `segment` is where to keep that."""

    bounds: Bounds
    rows: Sequence[Row] = ()
    state: str = ""
    segment: Segment | None = None


@dataclass(slots=True)
class Group:
    """A group that is being gathered."""

    bounds: Bounds
    states: list[str] = field(default_factory=list)


_ALL = Bounds(sortkey.MIN, b"\xff", b"null")


@dataclass(frozen=True)
class Engine:
    """Runs a view's reduce function on rows and on states, which are JSON text."""

    opened: OpenView
    builtin: Reducer | None

    @property
    def name(self) -> str:
        """What states are kept under: views with the same rows may have different functions."""
        return self.opened.view.reduce or ""

    def reduce_here(self, part: Part) -> None:
        """Reduce a part's rows, where no engine is needed for it."""
        if self.builtin is not None and part.rows:
            part.state = mapreduce.dumps(self.builtin.reduce(part.rows)).decode()
            part.rows = ()

    async def reduce(self, part: Part) -> None:
        """Reduce a part's rows by the engine."""
        given = [(row[3], row[1], row[4]) for row in part.rows]
        program, view = self.opened.design.program, self.opened.view.name
        part.state = (await javascript.reduce(program, view, given)).decode()
        part.rows = ()

    async def join(self, states: Sequence[str]) -> str:
        """Return one state of several."""
        if self.builtin is not None:
            values = [mapreduce.loads(state) for state in states]
            return mapreduce.dumps(self.builtin.rereduce(values)).decode()
        program, view = self.opened.design.program, self.opened.view.name
        joined = await javascript.rereduce(program, view, [state.encode() for state in states])
        return joined.decode()

    async def shown(self, group: Group) -> tuple[bytes, bytes]:
        """Return the key and the value that are shown of a group."""
        state = group.states[0] if len(group.states) == 1 else await self.join(group.states)
        if self.builtin is None or self.builtin.show is None:
            return group.bounds.key, state.encode()
        value = self.builtin.show(mapreduce.loads(state))
        return group.bounds.key, mapreduce.dumps(value)


Shown = list[tuple[bytes, bytes]]


async def text(asked: RowsQuery, end: bytes = b"\n") -> AsyncGenerator[bytes, None]:
    """Give the JSON text of a view's groups; `skip` and `limit` count groups."""
    members = viewrows.head_members(asked)
    separator = (orjson.dumps(members)[:-1] + b"," if members else b"{") + b'"rows":[\n'
    async for groups in _limited(asked):
        if groups:
            yield separator + b",\n".join([b'{"key":%b,"value":%b}' % one for one in groups])
            separator = b",\n"
    yield (separator if separator != b",\n" else b"") + b"\n]}" + end


async def _limited(asked: RowsQuery) -> AsyncIterator[Shown]:
    """Give the groups that are left of `skip` and `limit`."""
    skip, left = asked.query.skip, asked.query.limit
    if left == 0:
        return
    async for groups in _groups(asked):
        shown = groups[skip:][:left]
        skip = max(0, skip - len(groups))
        yield shown
        left = None if left is None else left - len(shown)
        if left == 0:
            return


async def _groups(asked: RowsQuery) -> AsyncIterator[Shown]:
    """Give the groups as they are complete."""
    engine = Engine(asked.opened, mapreduce.builtin(asked.opened.view.reduce or ""))
    for each in asked.query.ranges():
        held: list[Group] = []
        async for parts in _pages(asked, engine, Span(*each)):
            for part in parts:
                if not held or held[-1].bounds.low != part.bounds.low:
                    held.append(Group(part.bounds))
                held[-1].states.append(part.state)
            complete, held = held[:-1], held[-1:]
            if held and len(held[0].states) >= _STATES_AT_ONCE:
                held[0].states = [await engine.join(held[0].states)]
            yield [await engine.shown(group) for group in complete]
        yield [await engine.shown(group) for group in held]


async def _pages(asked: RowsQuery, engine: Engine, span: Span) -> AsyncIterator[list[Part]]:
    """Give the parts of a range in their order, each with its state."""
    bounds = _ALL if asked.query.group_level == 0 else None
    rest: Span | None = span
    while rest is not None:
        walk = _Walk(asked, engine, bounds)
        parts, rest = await sql.scan(partial(walk.page, span=rest))
        await asyncio.gather(*[engine.reduce(part) for part in parts if part.rows])
        await _keep(engine, parts)
        yield parts
        bounds = walk.bounds


async def _keep(engine: Engine, parts: Sequence[Part]) -> None:
    fresh = [(part.segment, part.state) for part in parts if part.segment is not None]
    if fresh:
        await sql.write(partial(segments.keep, name=engine.name, reductions=fresh))


@dataclass
class _Walk:
    """Reads one page of segments; `bounds` is the group that it is in."""

    asked: RowsQuery
    engine: Engine
    bounds: Bounds | None

    def page(self, connection: sql.Sql, span: Span) -> tuple[list[Part], Span | None]:
        """Return the parts of some segments, and what of the range is left."""
        if self.asked.visible is not None:
            return self._seen(connection, span)
        opened, descending = self.asked.opened, self.asked.query.descending
        span = indexes.fitting(connection, span)
        found = segments.page(
            connection,
            opened.index.id,
            opened.number,
            span,
            descending=descending,
            limit=_SEGMENTS,
        )
        parts: list[Part] = []
        read = 0
        for segment in found:
            within = Span(max(segment.span.low, span.low), min(segment.span.high, span.high))
            for part in self._of_segment(connection, segment, within):
                read += len(part.rows)
                self.engine.reduce_here(part)
                parts.append(part)
            span = Span(span.low, within.low) if descending else Span(within.high, span.high)
            if read >= _ROWS_AT_ONCE:
                return parts, span
        return parts, span if len(found) == _SEGMENTS else None

    def _of_segment(self, connection: sql.Sql, segment: Segment, within: Span) -> list[Part]:
        if not segment.row_count:
            return []
        if within != segment.span or not self._is_one_group(connection, within):
            return self._split(self._rows(connection, within, segment.row_count))
        assert self.bounds is not None
        kept = segment.reductions.get(self.engine.name)
        if kept is not None:
            return [Part(self.bounds, state=kept)]
        rows = self._rows(connection, within, segment.row_count)
        return [Part(self.bounds, rows, segment=segment)]

    def _rows(self, connection: sql.Sql, span: Span, limit: int) -> list[Row]:
        opened, descending = self.asked.opened, self.asked.query.descending
        return indexes.rows(
            connection, opened.index.id, opened.number, span, descending=descending, limit=limit
        )

    def _is_one_group(self, connection: sql.Sql, span: Span) -> bool:
        """Tell whether a segment lies in one group, and be in that group."""
        if self.bounds is not None and self.bounds.hold(span):
            return True
        first = self._rows(connection, span, 1)
        if not first or not (bounds := self._bounds_of(first[0])).hold(span):
            return False
        self.bounds = bounds
        return True

    def _split(self, rows: Sequence[Row]) -> list[Part]:
        """Return rows that follow each other as parts of their groups."""
        parts: list[Part] = []
        begun = 0
        for at, row in enumerate(rows):
            bounds = self.bounds
            if bounds is not None and bounds.low <= row[0] < bounds.high:
                continue
            if bounds is not None and at > begun:
                parts.append(Part(bounds, rows[begun:at]))
            self.bounds, begun = self._bounds_of(row), at
        if rows and self.bounds is not None:
            parts.append(Part(self.bounds, rows[begun:]))
        return parts

    def _bounds_of(self, row: Row) -> Bounds:
        level = self.asked.query.group_level
        if level is None:
            return Bounds(row[0], sortkey.after(row[0]), row[3])
        key = mapreduce.parse(row[3])
        low, high = sortkey.group(key, level)
        shown = mapreduce.dumps(key[:level]) if type(key) is list else row[3]
        # Of a very long key the row may have only the beginning (store/indexes.py, `fitting`).
        return Bounds(min(low, row[0]), max(high, sortkey.after(row[0])), shown)

    def _seen(self, connection: sql.Sql, span: Span) -> tuple[list[Part], Span | None]:
        """Return the parts of some rows that the caller may see, and what is left."""
        read, whole = self.asked.page(connection, span, limit=_PAGE)
        parts = self._split(viewrows.seen(self.asked, connection, read))
        for part in parts:
            self.engine.reduce_here(part)
        if whole:
            return parts, None
        return parts, viewrows.following(span, read[-1], descending=self.asked.query.descending)
