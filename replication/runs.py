"""Running links: a worker takes those that are due, as many as there is room for, until none is.

All runs of a process share one event loop, in a thread of its own: Celery's messages only say
"look" and are done at once.  What a worker holds it renews every few seconds; when it is killed,
its links are free again half a minute later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any

import httpx
import orjson

from acl import sql
from acl.core.errors import HubError
from discovery.core.errors import DiscoveryError, UnreachableError
from replication import news, passes, rights, routing
from replication.core import job as words
from replication.core import schedule
from replication.core.errors import Retryable
from replication.core.job import Direction, Kind, Mode, State
from replication.mesh import Sharing, sharing
from replication.peers import LocalPeer, Peer, RemotePeer
from replication.replicator import Result, replicate
from replication.store import links
from replication.store.links import Claim, Counts, Ended, Pace
from replication.throttle import Meter, Meters

logger = logging.getLogger(__name__)

_NOTE_SECONDS = 1.0
_AWAY_SECONDS = 2.0


class Worker:
    """What this process runs."""

    def __init__(self) -> None:
        self._owner = secrets.token_hex(8)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._meters = Meters()

    async def look(self) -> None:
        """Take what is due, and begin it."""
        claims = await sql.write(partial(links.claim, owner=self._owner, now=time.time()))
        for claim in claims:
            meter = self._meters.begin(claim.id)
            self._running[claim.id] = asyncio.create_task(self._run(claim, meter))
        if claims:
            await self._meters.share()
        if self._running and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def _run(self, claim: Claim, meter: Meter) -> None:
        try:
            ended = await _ended(claim, meter)
        finally:
            self._running.pop(claim.id, None)
            self._meters.end(claim.id)
        await _finish(claim, ended)
        await self.look()

    async def _renew(self) -> None:
        while self._running:
            await asyncio.sleep(schedule.RENEWAL)
            try:
                await self._renew_once()
            except Exception:  # What runs goes on; whoever else could take it needs the database.
                logger.exception("The runs could not be renewed; trying again.")
        self._renewing = None

    async def _renew_once(self) -> None:
        running = [*self._running]
        renew = partial(links.renew, owner=self._owner, numbers=running)
        held = await sql.write(partial(renew, now=time.time()))
        for number in self._running.keys() & (set(running) - held):
            self._running[number].cancel()  # Paused, removed, or somebody else's.
        await self._meters.share()

    async def end(self) -> None:
        """Stop everything, and give it back."""
        tasks = [*self._running.values()]
        if self._renewing is not None:
            tasks.append(self._renewing)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await sql.write(partial(links.release, owner=self._owner, now=time.time()))


async def _finish(claim: Claim, ended: Ended) -> None:
    """Give a link back; while the database is away, for as long as nobody else could take it."""
    until = time.monotonic() + schedule.LEASE
    while True:
        try:
            await sql.write(partial(links.finish, claim=claim, ended=ended, now=time.time()))
            return
        except Exception as error:
            if not sql.is_away(error) or time.monotonic() > until:
                raise
        await asyncio.sleep(_AWAY_SECONDS)


# -- one run ---------------------------------------------------------------------------------------


async def _ended(claim: Claim, meter: Meter) -> Ended:
    """Run a link, and return how that went."""
    notes = _Notes(claim, meter)
    ended = await _attempted(claim, notes)
    if ended.error or ended.state is State.PENDING:  # What was left before is left still.
        left = max(ended.attachments_left, claim.attachments_left)
        ended = ended._replace(attachments_left=left)
    return ended._replace(pace=notes.pace())


async def _attempted(claim: Claim, notes: _Notes) -> Ended:
    try:
        result = await _replicated(claim, notes)
    except (HubError, httpx.HTTPError) as error:
        return _failed(claim, error, notes.counts())
    except asyncio.CancelledError:  # Paused, or this process ends: it goes on some time.
        return Ended(State.PENDING, time.time(), claim.failures, counts=notes.counts())
    except Exception as error:  # The outermost line of a run: the others go on.
        if sql.is_away(error):  # That is not the peer's failure, nor the job's.
            logger.warning("A run of job %s goes on when the database answers.", claim.job_id)
            await sql.renew_djangos()
            due_at = time.time() + _AWAY_SECONDS
            return Ended(State.PENDING, due_at, claim.failures, counts=notes.counts())
        logger.exception("A run of job %s failed.", claim.job_id)
        await sql.renew_djangos()
        return _failed(claim, HubError(), notes.counts())
    if isinstance(result, Sharing):
        return _left_alone(result)
    return _succeeded(claim, result, notes.counts())


def _left_alone(why: Sharing) -> Ended:
    due_at = time.time() + schedule.SAFETY * random.uniform(0.9, 1.1)
    said = orjson.dumps({"deleted_there": why is Sharing.DELETED_THERE}).decode()
    return Ended(State.WAITING, due_at, result=said)


def _succeeded(claim: Claim, result: Result, counts: Counts) -> Ended:
    now = time.time()
    if not result.caught_up:
        left = result.left
        return Ended(State.PENDING, now, 0, "", result.pending, counts, attachments_left=left)
    if result.left:  # They come when what is done in the background may run again.
        due_at = now + schedule.SAFETY * random.uniform(0.9, 1.1)
        return Ended(State.WAITING, due_at, behind=0, counts=counts, attachments_left=result.left)
    match Mode(claim.mode):
        case Mode.ONCE:
            answer = _answer(claim, result)
            return Ended(State.COMPLETED, schedule.NEVER, 0, "", 0, counts, answer)
        case Mode.PERIODIC:
            due_at = max(now, claim.started_at + claim.every)
        case Mode.CONTINUOUS:
            due_at = now + schedule.SAFETY * random.uniform(0.9, 1.1)
    return Ended(State.WAITING, due_at, behind=0, counts=counts)


def _failed(claim: Claim, error: HubError | httpx.HTTPError, counts: Counts) -> Ended:
    reason = error.reason if isinstance(error, HubError) else Retryable.reason
    failures = schedule.failures_now(claim.failures, time.time() - claim.started_at)
    told = {"error": getattr(error, "word", ""), "reason": reason}
    told |= {"status": getattr(error, "status", 500)}
    if claim.mode == Mode.ONCE and (claim.transient or not _worth_another_try(error)):
        said = orjson.dumps(told).decode() if claim.transient else ""
        return Ended(State.FAILED, schedule.NEVER, failures, reason, None, counts, said)
    pause = schedule.pause(failures, random.random())
    if isinstance(error, Retryable) and error.after is not None:
        pause = max(pause, error.after)
    return Ended(State.CRASHING, time.time() + pause, failures, reason, counts=counts)


def _worth_another_try(error: Exception) -> bool:
    return isinstance(error, Retryable | UnreachableError | httpx.HTTPError) or (
        isinstance(error, DiscoveryError) and error.status >= 500
    )


async def _replicated(claim: Claim, notes: _Notes) -> Result | Sharing:
    """Replicate until the slice is over, or tell why a device is left alone."""
    await rights.check(claim)
    if words.kind_of(claim.peer) is Kind.HERE:
        return await _between(claim, LocalPeer(claim.there), notes)
    async with routing.way_to(claim.key, claim.peer) as way:
        notes.begin(way)
        if claim.mesh and (found := await sharing(claim, way)) is not Sharing.IN_STEP:
            return found
        return await _between(claim, routing.remote(claim, way), notes)


async def _between(claim: Claim, far: Peer, notes: _Notes) -> Result:
    target = words.read_options(claim.options).target
    if not target:
        near = LocalPeer(claim.db_name, own_clocks=await rights.is_own(claim))
        return await _from_to(claim, far, near, notes)
    async with routing.way_to(routing.key_in(target), target) as way:
        notes.count(way)
        return await _from_to(claim, far, routing.end_at(target, way), notes)


async def _from_to(claim: Claim, far: Peer, near: Peer, notes: _Notes) -> Result:
    run = partial(
        replicate,
        *((far, near) if claim.direction == Direction.PULL else (near, far)),
        ours=routing.ours(),
        deadline=time.monotonic() + schedule.SLICE,
        progress=notes.progress,
    )
    result = await passes.replicated(claim, run)
    moved = result.note.get("session_id") == result.session_id
    if moved and claim.direction == Direction.PULL and isinstance(far, RemotePeer) and claim.key:
        await news.note_progress(far, routing.our_key(), result.last_seq)
    return result


def _answer(claim: Claim, result: Result) -> str:
    """Return what `_replicate` answers, where somebody waits for it."""
    if not claim.transient:
        return ""
    note = {**result.note}
    note.pop("_id", None)
    note.pop("_rev", None)
    nothing = {} if result.counts["missing_checked"] else {"no_changes": True}
    return orjson.dumps({"ok": True, **note, **nothing}).decode()


class _Notes:
    """Writes down how far a run is, once a second."""

    def __init__(self, claim: Claim, meter: Meter) -> None:
        self._path = ""
        self._claim = claim
        self._meter = meter
        self._began_at = time.monotonic()
        self._before: Counter[str] = Counter()
        self._result: Result | None = None
        self._noted_at = 0.0

    def begin(self, way: routing.Way) -> None:
        """Count what goes over the way to the peer."""
        self._path = way.path
        self.count(way)

    def count(self, way: routing.Way) -> None:
        """Count what goes over this way."""
        self._meter.watch(way.client)

    def progress(self, result: Result) -> None:
        """Take what the replicator tells."""
        if self._result is not None and self._result is not result:  # Another pass.
            self._before.update(self._result.counts)
        self._result = result
        now = time.monotonic()
        if now - self._noted_at >= _NOTE_SECONDS:
            self._noted_at = now
            note = partial(links.note, claim=self._claim, behind=result.pending, path=self._path)
            sql.later(partial(note, pace=self.pace()))

    def counts(self) -> Counts:
        """Return what was done so far."""
        counted = self._before + Counter(self._result.counts if self._result else {})
        return Counts(*(counted[name] for name in Counts._fields))

    def pace(self) -> Pace:
        """Return how fast it was so far."""
        seconds = max(0.001, time.monotonic() - self._began_at)
        moved = self._meter.moved
        return Pace(self.counts().docs_written / seconds, moved / seconds, moved)


# -- the loop of this process ----------------------------------------------------------------------


class _Loop:
    """An event loop in a thread, with the worker of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._worker = Worker()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="runs")
        self._thread.start()

    def call(self, what: Coroutine[Any, Any, None], seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(seconds)

    def look(self) -> None:
        self.call(self._worker.look(), seconds=60)

    def end(self) -> None:
        with contextlib.suppress(TimeoutError):
            self.call(self._worker.end(), seconds=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


_lock = threading.Lock()
_loops: list[_Loop] = []


def look() -> None:
    """Begin what is due, and return."""
    with _lock:
        if not _loops:
            _loops.append(_Loop())
    _loops[0].look()


def end() -> None:
    """Stop what this process runs, and give it back."""
    with _lock:
        held = [_loops.pop() for _ in [*_loops]]
    for loop in held:
        loop.end()
