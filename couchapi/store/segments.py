"""Segments of views: runs of neighbouring rows, with their number and what they reduce to.

They divide a view like the pages of a B-tree: from its position a segment reaches to the next
one's, the first begins below all keys, and every row is in exactly one.  What changes a row
forgets the reductions of its segment alone, so that they cost in proportion to what has changed;
they are computed again when somebody asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from acl.sql import Sql

SIZE = 500
"""Rows of a segment that was cut; it is cut again when it has twice as many."""

Position = tuple[bytes, str, int]
"""Sort key, document id, n: where a row stands in its view."""

BOTTOM: Position = (b"", "", 0)
TOP: Position = (b"\xff", "", 0)
LAST_N = 2**31 - 1
"""Above the rows that one document has under one key."""

_START = "(sortkey, docid, n)"
_OF_VIEW = "FROM couchapi_segment WHERE index_id = %s AND view = %s"


class Span(NamedTuple):
    """A range of rows: from `low`, included, to `high`, which is not."""

    low: Position
    high: Position


EVERYTHING = Span(BOTTOM, TOP)


class Segment(NamedTuple):
    """A run of rows; `reductions`, which are texts, are by the names they were kept with."""

    id: int
    span: Span
    row_count: int
    seq: int
    reductions: dict[str, str]


def note(
    sql: Sql,
    index_id: int,
    seq: int,
    gone: Sequence[tuple[int, bytes, str, int]],
    come: Sequence[tuple[int, bytes, str, int]],
) -> None:
    """Note which rows (view, sortkey, docid, n) have gone and come."""
    changes: dict[int, dict[Position, int]] = defaultdict(lambda: defaultdict(int))
    for rows, difference in ((gone, -1), (come, 1)):
        for view, *position in rows:
            changes[view][tuple(position)] += difference  # type: ignore[index]
    for view, differences in changes.items():
        _note_in(_View(sql, index_id, view, seq), sorted(differences.items()))


def page(
    sql: Sql, index_id: int, view: int, span: Span, *, descending: bool, limit: int
) -> list[Segment]:
    """Return up to `limit` of the segments that have a part in a range."""
    of = _View(sql, index_id, view)
    order = "DESC" if descending else "ASC"
    rows = sql.all(
        f"SELECT id, row_count, seq, reductions, sortkey, docid, n {_OF_VIEW}"
        f" AND {_START} >= (%s, %s, %s) AND {_START} < (%s, %s, %s)"
        f" ORDER BY sortkey {order}, docid {order}, n {order} LIMIT %s",
        (index_id, view, *of.start_of(span.low), *span.high, limit + 1),
    )
    starts: list[Position] = [row[4:] for row in rows]
    topmost = [of.after(span.high)] if descending or len(rows) <= limit else []
    ends = topmost + starts if descending else starts[1:] + topmost
    return [
        Segment(row[0], Span(start, end), row[1], row[2], orjson.loads(row[3] or b"{}"))
        for row, start, end in zip(rows[:limit], starts, ends, strict=False)
    ]


def count(sql: Sql, index_id: int, view: int) -> int:
    """Return how many rows a view has."""
    row = sql.one(f"SELECT coalesce(sum(row_count), 0) {_OF_VIEW}", (index_id, view))
    return int(row[0]) if row else 0


def count_before(sql: Sql, index_id: int, view: int, position: Position) -> tuple[int, Position]:
    """Return how many rows the segments before a position's have, and where that one begins."""
    start = _View(sql, index_id, view).start_of(position)
    row = sql.one(
        f"SELECT coalesce(sum(row_count), 0) {_OF_VIEW} AND {_START} < (%s, %s, %s)",
        (index_id, view, *start),
    )
    return (int(row[0]) if row else 0), start


def seek(sql: Sql, index_id: int, view: int, number: int) -> tuple[Position, int]:
    """Return where the segment of a view's so many-th row begins, and how many are before it."""
    rows = sql.execute(
        f"SELECT row_count, sortkey, docid, n {_OF_VIEW} ORDER BY sortkey, docid, n",
        (index_id, view),
    )
    before, start = 0, BOTTOM
    for row_count, *position in rows:
        start = tuple(position)
        if before + row_count > number:
            break
        before += row_count
    else:
        return TOP, before
    return start, before


def keep(sql: Sql, name: str, reductions: Sequence[tuple[Segment, str]]) -> None:
    """Keep what segments' rows reduce to, where none of them has changed since it was read."""
    for segment, reduction in reductions:
        row = sql.one(
            "SELECT reductions FROM couchapi_segment WHERE id = %s AND seq = %s AND row_count = %s",
            (segment.id, segment.seq, segment.row_count),
        )
        if row is not None:
            kept = orjson.loads(row[0] or b"{}") | {name: reduction}
            sql.execute(
                "UPDATE couchapi_segment SET reductions = %s WHERE id = %s",
                (orjson.dumps(kept), segment.id),
            )


class _View(NamedTuple):
    """One view whose segments are looked at."""

    sql: Sql
    index_id: int
    view: int
    seq: int = 0

    def start_of(self, position: Position) -> Position:
        """Return where the segment of a position begins."""
        row = self.sql.one(
            f"SELECT sortkey, docid, n {_OF_VIEW} AND {_START} <= (%s, %s, %s)"
            " ORDER BY sortkey DESC, docid DESC, n DESC LIMIT 1",
            (self.index_id, self.view, *position),
        )
        return row or BOTTOM

    def after(self, position: Position) -> Position:
        """Return the first beginning of a segment at or after a position."""
        row = self.sql.one(
            f"SELECT sortkey, docid, n {_OF_VIEW} AND {_START} >= (%s, %s, %s)"
            " ORDER BY sortkey, docid, n LIMIT 1",
            (self.index_id, self.view, *position),
        )
        return row or TOP

    def following(self, start: Position) -> Position:
        """Return where the segment that begins at `start` ends."""
        sortkey, docid, n = start
        return self.after((sortkey, docid, n + 1))

    def insert(self, start: Position, row_count: int) -> None:
        """Add a segment."""
        self.sql.execute(
            "INSERT INTO couchapi_segment (index_id, view, sortkey, docid, n, row_count, seq)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (self.index_id, self.view, *start, row_count, self.seq),
        )

    def add(self, start: Position, difference: int) -> int:
        """Change a segment's number of rows, forget its reductions, and return the number."""
        row = self.sql.one(
            "UPDATE couchapi_segment SET row_count = row_count + %s, seq = %s, reductions = NULL"
            " WHERE index_id = %s AND view = %s AND sortkey = %s AND docid = %s AND n = %s"
            " RETURNING row_count",
            (difference, self.seq, self.index_id, self.view, *start),
        )
        if row is not None:
            return int(row[0])
        self.insert(start, difference)  # The first of its view.
        return difference

    def remove(self, start: Position) -> None:
        """Let the segment before this one reach over it."""
        self.sql.execute(
            "DELETE FROM couchapi_segment WHERE index_id = %s AND view = %s AND sortkey = %s"
            " AND docid = %s AND n = %s",
            (self.index_id, self.view, *start),
        )

    def position(self, start: Position, distance: int) -> Position:
        """Return the position of a row so many rows after `start`."""
        row = self.sql.one(
            "SELECT sortkey, docid, n FROM couchapi_indexrow WHERE index_id = %s AND view = %s"
            f" AND {_START} >= (%s, %s, %s) ORDER BY sortkey, docid, n LIMIT 1 OFFSET %s",
            (self.index_id, self.view, *start, distance),
        )
        assert row is not None
        return row


def _note_in(view: _View, differences: Sequence[tuple[Position, int]]) -> None:
    at = 0
    while at < len(differences):
        start = view.start_of(differences[at][0])
        end = view.following(start)
        difference = 0
        while at < len(differences) and differences[at][0] < end:
            difference += differences[at][1]
            at += 1
        _resize(view, start, view.add(start, difference))


def _resize(view: _View, start: Position, row_count: int) -> None:
    """Cut a segment that has become too long, and remove an empty one."""
    if row_count == 0 and start != BOTTOM:
        view.remove(start)
    if row_count <= 2 * SIZE:
        return
    pieces = row_count // SIZE
    size = row_count // pieces
    view.add(start, size - row_count)
    for number in range(1, pieces):
        start = view.position(start, size)
        view.insert(start, size if number < pieces - 1 else row_count - size * (pieces - 1))
