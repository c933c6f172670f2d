"""One run of a replication: what the source has and the target has not goes over.

    feed -> which are missing -> fetch -> write -> checkpoint

Three steps run side by side, each a batch ahead of the next: while one batch is written, the next
is fetched, and the one after it is looked for.  The checkpoint follows what was written, so a run
that is cut off repeats at most a batch (design/replication.md, "The protocol").
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, NamedTuple, TypeVar

from couchapi.core.errors import MissingStub
from replication.core import batch as batches
from replication.core import checkpoint
from replication.core.checkpoint import Session
from replication.core.errors import SourceMissing, TargetMissing
from replication.core.options import Options
from replication.peers.base import Batch, Changes, Failure, Fetched, Peer, Wanted

T = TypeVar("T")

_PAGE = 500
_CHECKPOINT_SECONDS = 30.0
_MOST_FAILURES = 100


@dataclass
class Result:
    """What a run has done."""

    session_id: str
    last_seq: Any
    caught_up: bool = False
    """Whether there was nothing more at the source; False where the deadline came first."""
    pending: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(checkpoint.COUNTS, 0))
    failures: list[Failure] = field(default_factory=list)
    """The first of the documents that the target refused for good."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """The checkpoint as it was written last: CouchDB's `_replicate` answers its history."""
    left: int = 0
    """Documents that were stepped over, because they have attachments (replication/passes.py)."""


Progress = Callable[[Result], None]


class _Read(NamedTuple):
    page: Changes
    batch: Batch


async def replicate(
    source: Peer,
    target: Peer,
    options: Options,
    *,
    ours: str,
    deadline: float | None = None,
    progress: Progress = lambda _: None,
) -> Result:
    """Bring the target in step with the source; returns when it is, or at the deadline.

    `ours` is this hub's id, part of the checkpoint's name; `deadline` is a time of
    `time.monotonic`; `progress` is told after each batch.  Raises Retryable, Fatal.
    """
    run = _Run(source, target, options, ours, progress)
    await run.begin()
    async with aclosing(_ahead(run.read())) as incoming:
        async for read in incoming:
            await run.write(read)
            if deadline is not None and time.monotonic() >= deadline:
                break
    await run.end()
    return run.result


class _Run:
    def __init__(
        self, source: Peer, target: Peer, options: Options, ours: str, progress: Progress
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._progress = progress
        self._id = checkpoint.replication_id(ours, source.name, target.name, options.identity())
        self._noted_at = time.monotonic()

    async def begin(self) -> None:
        """See that both are there, and find out where to go on."""
        await self._require_both()
        notes = [await one.read_note(self._id) for one in (self._source, self._target)]
        since = checkpoint.resume(*notes)
        if since == checkpoint.BEGINNING and self._options.since_seq is not None:
            since = self._options.since_seq
        session_id = uuid.uuid4().hex
        self._session = Session(session_id, _now(), since)
        self.result = Result(session_id, since)
        self._noted = since
        self.result.note = notes[1] or {}
        self._session.counts = self.result.counts

    async def _require_both(self) -> None:
        if not await self._source.exists():
            raise SourceMissing
        if not await self._target.exists():
            if not self._options.create_target:
                raise TargetMissing
            await self._target.create()

    # -- reading -----------------------------------------------------------------------------------

    async def read(self) -> AsyncIterator[_Read]:
        """Give the documents that the target has not, a page of the feed at a time."""
        async with aclosing(_ahead(self._pages())) as pages:
            async for page in pages:
                wanted = await self._target.missing(page.rows) if page.rows else []
                counts = self.result.counts
                counts["missing_checked"] += sum(len(row.revs) for row in page.rows)
                counts["missing_found"] += len(wanted)
                yield _Read(page, await self._fetch(wanted))

    async def _pages(self) -> AsyncIterator[Changes]:
        params, body = self._options.feed()
        since = self.result.last_seq
        while True:
            page = await self._source.changes(since, params, body, _PAGE)
            yield page
            if page.is_last:
                return
            since = page.last_seq

    async def _fetch(self, wanted: list[Wanted]) -> Batch:
        if not wanted:
            return Batch([], [])
        fetched = await self._source.fetch(wanted)
        counts = self.result.counts
        counts["bulk_get_attempts"] += 1
        counts["bulk_get_docs"] += len(wanted)
        counts["docs_read"] += len(fetched.documents)
        return fetched

    # -- writing -----------------------------------------------------------------------------------

    async def write(self, read: _Read) -> None:
        """Write what was read, and note it."""
        for some in batches.cut(read.batch.documents, lambda one: one.size):
            self._count(len(some), await self._target.write(some))
        if self._options.documents_only:
            self.result.left += len(read.batch.with_attachments)
        else:
            for wanted in read.batch.with_attachments:
                await self._carry(wanted)
        self.result.last_seq = read.page.last_seq
        self.result.pending = read.page.pending
        self.result.caught_up = read.page.is_last
        self._progress(self.result)
        if time.monotonic() - self._noted_at > _CHECKPOINT_SECONDS:
            await self._note()

    async def _carry(self, wanted: Wanted) -> None:
        """Take over one document with its attachments."""
        try:
            await self._carry_once(wanted)
        except MissingStub:
            # The target's ancestor went meanwhile, or has not what it should: send everything.
            if wanted.ancestors:
                await self._carry_once(wanted._replace(ancestors=()))
            else:
                failure = Failure(wanted.docid, MissingStub.word, "The source has no content.")
                self._count(1, [failure])

    async def _carry_once(self, wanted: Wanted) -> None:
        found = await self._source.fetch_related(wanted)
        if found is None:
            return
        self.result.counts["docs_read"] += 1
        if isinstance(found, Fetched):
            self._count(1, await self._target.write([found]))
            return
        async with aclosing(found.pieces):  # type: ignore[type-var]
            failure = await self._target.write_related(found)
        self._count(1, [failure] if failure else [])

    def _count(self, tried: int, failures: list[Failure]) -> None:
        counts = self.result.counts
        counts["docs_written"] += tried - len(failures)
        counts["doc_write_failures"] += len(failures)
        room = _MOST_FAILURES - len(self.result.failures)
        self.result.failures += failures[:room]

    # -- checkpoints -------------------------------------------------------------------------------

    async def end(self) -> None:
        """Note how far it has come, where that is further than before."""
        if self.result.last_seq != self._noted:
            await self._note()

    async def _note(self) -> None:
        for peer in (self._source, self._target):
            await peer.commit()
        seq = self.result.last_seq
        # The target first: what the source says alone counts for nothing.
        for peer in (self._target, self._source):
            held = await peer.read_note(self._id)
            self.result.note = checkpoint.updated(held, self._session, seq, _now())
            await peer.write_note(self._id, self.result.note)
        self._noted, self._noted_at = seq, time.monotonic()


async def _ahead(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Give the items; the next one is made while the caller works on this one."""
    ready: asyncio.Queue[T | None] = asyncio.Queue(maxsize=1)

    async def make() -> None:
        async with aclosing(items):  # type: ignore[type-var]
            async for item in items:
                await ready.put(item)
        await ready.put(None)

    making = asyncio.create_task(make())
    try:
        while True:
            item = await _next(ready, making)
            if item is None:
                return
            yield item
    finally:
        making.cancel()
        await asyncio.wait({making})


async def _next(ready: asyncio.Queue[T | None], making: asyncio.Task[None]) -> T | None:
    """Return the next item, None at the end; raises what the maker has raised."""
    getting = asyncio.create_task(ready.get())
    await asyncio.wait({getting, making}, return_when=asyncio.FIRST_COMPLETED)
    if not getting.done() and making.exception() is not None:
        getting.cancel()
        making.result()
    return await getting


def _now() -> str:
    return formatdate(time.time(), usegmt=True)
