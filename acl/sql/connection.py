"""One connection to the SQL database, with SQL text that is written once for both kinds."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson
import psycopg

Row = tuple[Any, ...]
Announcement = tuple[Callable[..., None], tuple[Any, ...]]
"""What is called after a commit, and with what."""

_BUSY_SECONDS = 30
_OF_DJANGO = ("cursor_factory", "context", "prepare_threshold")
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    # Pages that change again soon are copied from the log to the file once: 16 MB of them.
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA cache_size=-65536",
    "PRAGMA mmap_size=268435456",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA foreign_keys=ON",
)


class Sql:
    """One connection, and what its open transaction will announce once it is committed."""

    def __init__(self, connection: Any, vendor: str) -> None:
        self.vendor = vendor
        self._connection = connection
        self._announcements: list[Announcement] = []

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Send one statement and return its cursor."""
        return self._connection.execute(_dialect(sql, self.vendor), params)

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self.execute(sql, params).fetchone()
        return row

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Return every row."""
        rows: list[Row] = self.execute(sql, params).fetchall()
        return rows

    def each_row(self, sql: str, params: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows one by one: for who may stop before the last."""
        with contextlib.closing(self.execute(sql, params)) as cursor:
            yield from cursor

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Send one statement for each of `rows`."""
        self._connection.cursor().executemany(_dialect(sql, self.vendor), rows)

    def each(self, values: Sequence[str]) -> tuple[str, Any]:
        """Return a table expression `j` with a column `value`, and its parameter.

        Put it first in a `CROSS JOIN`: SQLite then looks each value up in the index of what
        follows, and does not scan (design/performance.md, "Storage").
        """
        if self.vendor == "sqlite":
            return "json_each(%s) AS j", orjson.dumps(values).decode()
        return "unnest(%s::text[]) AS j(value)", list(values)

    def after_commit(self, announce: Callable[..., None], *args: Any) -> None:
        """Call `announce(*args)` when this transaction is committed, never when it is rolled back.

        What several jobs of one commit announce alike is announced once.
        """
        self._announcements.append((announce, args))

    def take_announcements(self) -> list[Announcement]:
        """Return what has to be announced, and forget it."""
        taken, self._announcements = self._announcements, []
        return taken

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of SQLite is open: it ends some by itself (disk full)."""
        return bool(self._connection.in_transaction)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def announce(announcements: Iterable[Announcement]) -> None:
    """Call what was announced, each once."""
    for announce, args in dict.fromkeys(announcements):
        announce(*args)


def open_sqlite(params: dict[str, Any], read_only: bool) -> sqlite3.Connection:
    """Open the file that Django's settings name."""
    connection = sqlite3.connect(
        params["database"],
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


def open_postgresql(params: dict[str, Any], read_only: bool) -> psycopg.Connection:
    """Connect to the server that Django's settings name."""
    # Django's own cursors and types stay with Django.
    given = {name: value for name, value in params.items() if name not in _OF_DJANGO}
    return psycopg.connect(**given, autocommit=True)


@functools.lru_cache(maxsize=4096)
def _dialect(sql: str, vendor: str) -> str:
    return sql.replace("%s", "?") if vendor == "sqlite" else sql
