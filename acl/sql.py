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
import contextlib
import functools
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import orjson
import psycopg
from django.db import connections

T = TypeVar("T")
Row = tuple[Any, ...]
Announcement = tuple[Callable[..., None], tuple[Any, ...]]
"""What is called after a commit, and with what."""

_JOBS_IN_A_COMMIT = 64
_POOL_THREADS = 4
_TRIES_AFTER_A_DEADLOCK = 3
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


async def write(job: Callable[[Sql], T]) -> T:
    """Run `job` in a transaction, and return once it is durable."""
    process = _process()
    if process.vendor == "sqlite":
        return await process.writer.submit(job)
    # A request that is cancelled meanwhile does not take the announcement with it.
    return await asyncio.get_running_loop().run_in_executor(process.pool, write_sync, job)


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
    _announce(announcements)
    return done


def read_sync(job: Callable[[Sql], T]) -> T:
    """Run the reading `job` where there is no loop."""
    return _process().snapshot(job)


def close() -> None:
    """End the writer thread and forget the connections (tests, and the end of a process)."""
    if _process.cache_info().currsize:
        _process().close()
        _process.cache_clear()


@functools.lru_cache(maxsize=4096)
def _dialect(sql: str, vendor: str) -> str:
    return sql.replace("%s", "?") if vendor == "sqlite" else sql


def _announce(announcements: Iterable[Announcement]) -> None:
    for announce, args in dict.fromkeys(announcements):
        announce(*args)


class _Process:
    """The connections of this process."""

    def __init__(self) -> None:
        self.vendor = connections["default"].vendor
        self._params = connections["default"].get_connection_params()
        self._open: set[Sql] = set()
        self.pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="sql")
        self._local = threading.local()

    @functools.cached_property
    def writer(self) -> _Writer:
        return _Writer(self.connect)

    @functools.cached_property
    def reader(self) -> Sql:
        return self.connect(read_only=True)

    def connect(self, *, read_only: bool = False) -> Sql:
        open_one = _open_sqlite if self.vendor == "sqlite" else _open_postgresql
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


def _open_sqlite(params: dict[str, Any], read_only: bool) -> sqlite3.Connection:
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


def _open_postgresql(params: dict[str, Any], read_only: bool) -> psycopg.Connection:
    # Django's own cursors and types stay with Django.
    given = {name: value for name, value in params.items() if name not in _OF_DJANGO}
    return psycopg.connect(**given, autocommit=True)


@functools.cache
def _process() -> _Process:
    return _Process()


class _Job(Generic[T]):
    """A job that waits for the writer, and where its outcome goes."""

    def __init__(self, work: Callable[[Sql], T]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.result: T | None = None
        self.error: BaseException | None = None
        self.announcements: list[Announcement] = []

    def run(self, sql: Sql) -> None:
        sql.execute("SAVEPOINT job")
        try:
            self.result = self.work(sql)
            self.announcements = sql.take_announcements()
        except BaseException as error:  # noqa: B036 - handed to the waiting request
            self.error = error
            sql.take_announcements()
            sql.execute("ROLLBACK TO job")
        sql.execute("RELEASE job")

    def answer(self) -> None:
        if self.future.done():  # The request was cancelled; its write stands all the same.
            return
        if self.error is None:
            self.future.set_result(self.result)  # type: ignore[arg-type]
        else:
            self.future.set_exception(self.error)


class _Writer(threading.Thread):
    """The process's one writer of SQLite."""

    def __init__(self, connect: Callable[[], Sql]) -> None:
        super().__init__(daemon=True, name="sql-writer")
        self._connect = connect
        self._sql = connect()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self.start()

    def submit(self, work: Callable[[Sql], T]) -> asyncio.Future[T]:
        job = _Job(work)
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        self._jobs.put(None)
        self.join()

    def run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first, *self._waiting()]
            self._commit(batch)
            for loop in dict.fromkeys(job.loop for job in batch):
                _hand_over(loop, [job for job in batch if job.loop is loop])

    def _waiting(self) -> Iterable[_Job[Any]]:
        for _ in range(_JOBS_IN_A_COMMIT - 1):
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._jobs.put(None)
                return
            yield job

    def _commit(self, batch: Sequence[_Job[Any]]) -> None:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.run(self._sql)
            self._sql.execute("COMMIT")
        except sqlite3.Error as error:
            for job in batch:
                job.error = error
            self._recover()

    def _recover(self) -> None:
        try:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
        except sqlite3.Error:
            # Closing rolls back too, and a new connection has no memory of what went wrong.
            self._sql.close()
            self._sql = self._connect()


def _hand_over(loop: asyncio.AbstractEventLoop, jobs: Sequence[_Job[Any]]) -> None:
    try:
        loop.call_soon_threadsafe(_deliver, jobs)
    except RuntimeError:  # The loop has closed.  Nobody waits there, but others' feeds may.
        _announce_all(jobs)


def _deliver(jobs: Sequence[_Job[Any]]) -> None:
    for job in jobs:
        job.answer()
    _announce_all(jobs)


def _announce_all(jobs: Sequence[_Job[Any]]) -> None:
    _announce([one for job in jobs if job.error is None for one in job.announcements])
