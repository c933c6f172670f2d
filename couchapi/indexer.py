"""Building indexes: what has changed in a database since, mapped and put in the place of old rows.

A build goes on by batches until it has caught up.  Each batch is read from one snapshot, mapped,
and stored with the sequence number that it reaches in one transaction (store/indexes.py), so a
build that was cut off goes on where it was.  Whoever needs an index waits for the build of this
process, and a client that leaves does not end it.  What maps the documents comes from outside:
the engine for JavaScript, a function for Mango.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from acl import sql
from couchapi import reader
from couchapi.core import docjson
from couchapi.core.params import DocumentQuery
from couchapi.store import databases, documents, indexes, space
from couchapi.store.documents import Found
from couchapi.store.indexes import Entry, Fault, IndexState, Outdated

_log = logging.getLogger(__name__)

BATCH = 1000
BATCH_BYTES = 4_000_000


class Source(NamedTuple):
    """A document that is mapped: its id, and its JSON text with `_id` and `_rev`."""

    docid: str
    text: bytes
    seq: int = 0


class Mapped(NamedTuple):
    """The rows of one document, and what went wrong with it, if anything did."""

    entries: Sequence[Entry]
    fault: Fault | None = None


@dataclass(frozen=True)
class Plan:
    """How the rows of an index are made: `map` returns what it made of each document.

    It may leave out documents at the end, but not the first: they are asked for again.
    """

    map: Callable[[Sequence[Source]], Awaitable[Sequence[Mapped]]]
    include_design: bool = False
    local_seq: bool = False


class IndexGone(Exception):
    """The index was removed while it was being built."""


async def bring_up_to_date(index: IndexState, plan: Plan, until: int) -> IndexState:
    """Return the index once it is built to `until`.

    Raises IndexGone, and what `plan.map` raises.
    """
    while index.seq < until:
        index = await _build(index, plan).reach(until)
    return index


def build(index: IndexState, plan: Plan) -> None:
    """Begin to bring an index up to date, and do not wait for it."""
    _build(index, plan)


def is_building(index: IndexState) -> bool:
    """Tell whether this process is building the index."""
    return index.id in _builds


class _Build:
    """One index that is being built by this process."""

    def __init__(self, index: IndexState, plan: Plan) -> None:
        self.state = index
        self.loop = asyncio.get_running_loop()
        self._plan = plan
        self._moved = self.loop.create_future()
        self._task = self.loop.create_task(self._run())

    async def reach(self, seq: int) -> IndexState:
        """Return the index once it is built to `seq`, or as far as this build came."""
        while self.state.seq < seq and not self._task.done():
            await asyncio.shield(self._moved)
        return self.state

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            await self._follow()
        except BaseException as raised:  # noqa: B036 - handed to those who wait
            error = raised
            if not isinstance(raised, Exception):
                raise
        finally:
            if _builds.get(self.state.id) is self:
                del _builds[self.state.id]
            self._move(error)

    async def _follow(self) -> None:
        """Index batch after batch; each is read while the one before it is mapped."""
        ahead: asyncio.Task[_Batch] | None = None
        try:
            caught_up = False
            while not caught_up:
                batch = await (ahead or _load(self.state, self._plan))
                ahead = None
                if not batch.caught_up:
                    ahead = self.loop.create_task(_load(batch.after, self._plan))
                mapped, done = await _mapped(batch, self._plan)
                self.state = await _save(done, mapped)
                caught_up = done.caught_up
                self._move()
                if ahead is not None and self.state[4:6] != batch.after[4:6]:
                    ahead.cancel()  # Part of it was left out, or another process is building too.
                    ahead = None
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    def _move(self, error: BaseException | None = None) -> None:
        """Let those who wait look again."""
        moved, self._moved = self._moved, self.loop.create_future()
        if error is None:
            moved.set_result(None)
        else:
            moved.set_exception(error)
            moved.exception()  # Perhaps nobody waits.


_builds: dict[int, _Build] = {}


def _build(index: IndexState, plan: Plan) -> _Build:
    found = _builds.get(index.id)
    if found is None or found.loop is not asyncio.get_running_loop():
        found = _builds[index.id] = _Build(index, plan)
    return found


class _Batch(NamedTuple):
    """What is indexed next, from `index` on; `sources` are those that are mapped."""

    index: IndexState
    seq: int
    purge_seq: int
    changed: list[tuple[int, str]]
    purged: list[str]
    sources: list[Source]
    caught_up: bool

    @property
    def after(self) -> IndexState:
        """The index when this is in it."""
        return self.index._replace(seq=self.seq, purge_seq=self.purge_seq)

    def until(self, seq: int) -> _Batch:
        """Return the part of it that ends with one document."""
        changed = [one for one in self.changed if one[0] <= seq]
        return self._replace(seq=seq, changed=changed, caught_up=False)


async def _load(index: IndexState, plan: Plan) -> _Batch:
    try:
        return await sql.scan(partial(_read, index=index, plan=plan))
    except Outdated:
        await sql.write(partial(indexes.forget, index_id=index.id))
        raise IndexGone from None


async def _mapped(batch: _Batch, plan: Plan) -> tuple[Mapped, _Batch]:
    """Return the rows of all documents of a batch with the last fault, and what was mapped."""
    entries: list[Entry] = []
    fault = None
    results = await plan.map(batch.sources) if batch.sources else ()
    if len(results) < len(batch.sources):
        batch = batch.until(batch.sources[len(results) - 1].seq)
    for made in results:
        entries += made.entries
        if made.fault is not None:
            fault = made.fault
            _log.warning("A document was not indexed: %s", fault.kind)
    return Mapped(entries, fault), batch


async def _save(batch: _Batch, mapped: Mapped) -> IndexState:
    """Store a batch; return the index, which another process may have moved.

    Raises IndexGone and StorageFull.
    """
    await space.require()
    after = await sql.write(partial(_store, batch=batch, mapped=mapped))
    if after is None:
        raise IndexGone
    return after


def _store(connection: sql.Sql, batch: _Batch, mapped: Mapped) -> IndexState | None:
    """Store the batch, unless another process was faster; return the index as it is then."""
    before, seq, purge_seq, changed, purged, *_ = batch
    if (seq, purge_seq) != before[4:6]:
        docids = [docid for _, docid in changed] + purged
        indexes.store(connection, before, seq, purge_seq, docids, *mapped)
    return indexes.get(connection, before.id)


def _read(connection: sql.Sql, index: IndexState, plan: Plan) -> _Batch:
    database = databases.by_id(connection, index.database_id)
    if database is None:
        raise IndexGone
    found, all_read = documents.changed(connection, database.id, index.seq, BATCH, BATCH_BYTES)
    changed = [(one.seq, one.docid) for one in found]
    purged = indexes.purged_since(connection, index, database.purge_seq)
    seq = database.update_seq if all_read else found[-1].seq
    sources = [
        Source(one.docid, _text(connection, one, plan), one.seq)
        for one in found
        if _is_mapped(one, plan)
    ]
    return _Batch(index, seq, database.purge_seq, changed, purged, sources, all_read)


def _is_mapped(found: Found, plan: Plan) -> bool:
    return not found.deleted and (plan.include_design or not found.docid.startswith("_design/"))


_PLAIN = DocumentQuery()
_FORKED = DocumentQuery(conflicts=True, deleted_conflicts=True)


def _text(connection: sql.Sql, found: Found, plan: Plan) -> bytes:
    if found.leaf_count == 1 and found.attachments is None and not plan.local_seq:
        return docjson.splice(found.docid, found.rev, found.body)  # Nearly every document.
    wanted = _FORKED if found.leaf_count > 1 else _PLAIN
    if plan.local_seq:
        wanted = DocumentQuery(conflicts=True, deleted_conflicts=True, local_seq=True)
    return reader.shown(connection, found, wanted, reader.STUBS)
