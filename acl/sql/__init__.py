"""The one door to the SQL database for the stores' hot paths.

Models and migrations are Django's; the admin uses its ORM.  The stores send SQL by connections
of their own, because the ORM costs twenty times the driver (design/performance.md).  This module
stands in the lowest app since every app's store uses it.

SQLite has one writer at a time, and a durable commit is dear.  So each process has one writer
thread: it takes all jobs that wait, runs each in a savepoint, commits once, and only then answers
them (*group commit*).  A job that raises is rolled back alone.  Reads of a few rows run on the
event loop, which costs less than a hop to a thread; long reads run in a pool.  On PostgreSQL,
which writes concurrently and answers over a socket, every job runs in the pool.

SQL text is written once for both: placeholders are `%s`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, close_old_connections, connections

from acl.core.errors import HubError
from acl.sql.connection import Announcement, Row, Sql, announce, open_postgresql, open_sqlite
from acl.sql.groupcommit import Writer

__all__ = [
    "OF_DJANGO", "Row", "Sql", "close", "first", "is_away", "later", "point", "read_sync",
    "recover", "renew_djangos", "scan", "write", "write_sync",
]  # fmt: skip

logger = logging.getLogger(__name__)
T = TypeVar("T")

_POOL_THREADS = 4
_TRIES_AFTER_A_DEADLOCK = 3
OF_DJANGO = (OperationalError, InterfaceError)
"""What Django makes of the driver's errors of a server that does not answer; those are the cause.
"""
_OF_A_SERVER = (psycopg.OperationalError, psycopg.InterfaceError, *OF_DJANGO)


async def write(job: Callable[[Sql], T]) -> T:
    """Run `job` in a transaction, and return once it is durable."""
    process = _process()
    if process.vendor == "sqlite":
        return await process.writer.submit(job)
    # A request that is cancelled meanwhile does not take the announcement with it.
    return await asyncio.get_running_loop().run_in_executor(process.pool, write_sync, job)


def later(job: Callable[[Sql], object]) -> None:
    """Have `job` run in a transaction that nobody waits for; if it fails, the log says so."""
    process = _process()
    done: asyncio.Future[Any]
    if process.vendor == "sqlite":
        done = process.writer.submit(job)
    else:
        done = asyncio.get_running_loop().run_in_executor(process.pool, write_sync, job)
    done.add_done_callback(_log_failure)


def _log_failure(done: asyncio.Future[Any]) -> None:
    if not done.cancelled() and done.exception() is not None:
        logger.warning("A note was not written: %s", done.exception())


async def point(job: Callable[[Sql], T]) -> T:
    """Run `job`, which reads a few rows by an index, and return what it returns."""
    process = _process()
    if process.vendor == "sqlite":
        return process.glance(job)
    return await scan(job)


async def first(statement: str, params: Sequence[Any] = ()) -> Row | None:
    """Return the first row of one statement, which needs no transaction to see one snapshot."""
    process = _process()
    if process.vendor == "sqlite":
        return process.reader.one(statement, params)
    return await scan(lambda sql: sql.one(statement, params))


async def scan(job: Callable[[Sql], T]) -> T:
    """Run `job`, which may read many rows, in the pool: all its reads see one snapshot."""
    process = _process()
    return await asyncio.get_running_loop().run_in_executor(process.pool, process.snapshot, job)


def write_sync(job: Callable[[Sql], T]) -> T:
    """Run `job` in a transaction: for commands, Celery tasks and the admin, which have no loop."""
    done, announcements = _process().transact(job)
    announce(announcements)
    return done


def read_sync(job: Callable[[Sql], T]) -> T:
    """Run the reading `job` where there is no loop."""
    return _process().snapshot(job)


def close() -> None:
    """End the writer thread and forget the connections (tests, and the end of a process)."""
    if _process.cache_info().currsize:
        _process().close()
        _process.cache_clear()


def is_away(error: BaseException) -> bool:
    """Tell whether an error says that the database server does not answer now."""
    return isinstance(error, _OF_A_SERVER) and connections["default"].vendor != "sqlite"


async def renew_djangos() -> None:
    """Let Django connect anew in the thread of `sync_to_async`: by itself it never would.

    It looks at its connections only between requests that it serves itself.
    """
    await sync_to_async(close_old_connections)()


async def recover(log: logging.Logger, error: Exception, said: str) -> None:
    """Log why a loop that goes on has failed, and let its thread of Django's connect anew.

    That the database server is away, or what the hub refuses (a full disk), is one line: the error
    says it all, and comes again with each try.
    """
    if is_away(error):
        log.warning("%s The database does not answer: %s", said, error)
    elif isinstance(error, HubError):
        log.warning("%s %s", said, error.reason)
    else:
        log.error(said, exc_info=error)
    await renew_djangos()


class _Process:
    """The connections of this process."""

    def __init__(self) -> None:
        self.vendor = connections["default"].vendor
        self._params = connections["default"].get_connection_params()
        self._open: set[Sql] = set()
        self.pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="sql")
        self._local = threading.local()

    @functools.cached_property
    def writer(self) -> Writer:
        return Writer(self.connect)

    @functools.cached_property
    def reader(self) -> Sql:
        return self.connect(read_only=True)

    def connect(self, *, read_only: bool = False) -> Sql:
        open_one = open_sqlite if self.vendor == "sqlite" else open_postgresql
        sql = Sql(open_one(self._params, read_only), self.vendor)
        self._open.add(sql)
        return sql

    def transact(self, job: Callable[[Sql], T]) -> tuple[T, list[Announcement]]:
        """Run `job` in a transaction of this thread; PostgreSQL may have to try again."""
        for left in reversed(range(_TRIES_AFTER_A_DEADLOCK)):
            try:
                return self._transact_once(job)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _transact_once(self, job: Callable[[Sql], T]) -> tuple[T, list[Announcement]]:
        sql = self._begin("BEGIN IMMEDIATE" if self.vendor == "sqlite" else "BEGIN")
        try:
            done = job(sql)
            sql.execute("COMMIT")
        except BaseException:
            sql.take_announcements()
            self._roll_back(sql)
            raise
        return done, sql.take_announcements()

    def glance(self, job: Callable[[Sql], T]) -> T:
        """Run a reading job on the event loop's own connection to SQLite."""
        self.reader.execute("BEGIN")
        try:
            return job(self.reader)
        finally:
            self.reader.execute("COMMIT")

    def snapshot(self, job: Callable[[Sql], T]) -> T:
        repeatable = "BEGIN" if self.vendor == "sqlite" else "BEGIN ISOLATION LEVEL REPEATABLE READ"
        sql = self._begin(repeatable)
        try:
            return job(sql)
        finally:
            self._roll_back(sql)

    def _begin(self, statement: str) -> Sql:
        """Begin a transaction on this thread's connection, on a new one if that was lost."""
        sql: Sql | None = getattr(self._local, "sql", None)
        if sql is not None:
            try:
                sql.execute(statement)
                return sql
            except psycopg.OperationalError:
                # The server was restarted.  Nothing has been done, so nothing is done twice.
                self._forget(sql)
        sql = self._local.sql = self.connect()
        sql.execute(statement)
        return sql

    def _roll_back(self, sql: Sql) -> None:
        try:
            sql.execute("ROLLBACK")
        except (psycopg.OperationalError, sqlite3.OperationalError):
            # The server went away, or SQLite has rolled back by itself (disk full).
            self._forget(sql)

    def _forget(self, sql: Sql) -> None:
        self._local.sql = None
        self._open.discard(sql)
        sql.close()

    def close(self) -> None:
        self.pool.shutdown(wait=True)
        if "writer" in self.__dict__:
            self.writer.close()
        for sql in self._open:
            sql.close()


@functools.cache
def _process() -> _Process:
    return _Process()
