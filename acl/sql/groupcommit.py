"""The one writer of SQLite in a process: the jobs that wait share a commit.

Each job runs in a savepoint, so one that raises is rolled back alone; all are answered once the
commit is durable.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from acl.sql.connection import Announcement, Sql, announce

T = TypeVar("T")

_JOBS_IN_A_COMMIT = 64


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


class Writer(threading.Thread):
    """The process's one writer of SQLite."""

    def __init__(self, connect: Callable[[], Sql]) -> None:
        super().__init__(daemon=True, name="sql-writer")
        self._connect = connect
        self._sql = connect()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self.start()

    def submit(self, work: Callable[[Sql], T]) -> asyncio.Future[T]:
        """Let `work` run in a transaction; the future is done when that is durable."""
        job = _Job(work)
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Do what waits, and end."""
        self._jobs.put(None)
        self.join()

    def run(self) -> None:
        """Commit batch after batch, until `close`."""
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
    announce([one for job in jobs if job.error is None for one in job.announcements])
