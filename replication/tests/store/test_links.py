"""Links are taken by one worker, taken over from a dead one, and woken when something changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from acl import sql
from replication.core import schedule
from replication.core.errors import NoSuchJob
from replication.core.job import Direction, Mode, Priority, State, Wish
from replication.store import jobs, links, waking
from replication.store.links import Claim, Counts, Ended, LinkRow, Meant

NOW = 1_000_000.0
_numbers = itertools.count(1)


@dataclass
class Kept:
    """One job with its links."""

    number: int
    db_name: str
    key: str

    def links(self) -> list[LinkRow]:
        return sql.read_sync(partial(links.of_job, job_id=self.number))

    @property
    def link(self) -> LinkRow:
        (one,) = self.links()
        return one

    def claim(self, owner: str, now: float = NOW) -> Claim | None:
        """Return this job's link where the worker gets it; gives all others back."""
        claims = sql.write_sync(partial(links.claim, owner=owner, now=now, at_once=1000))
        for other in claims:
            if other.job_id != self.number:
                self.finish(other, Ended(State.PENDING, now), now)
        return next((one for one in claims if one.job_id == self.number), None)

    def finish(self, claim: Claim, ended: Ended, now: float = NOW) -> LinkRow:
        sql.write_sync(partial(links.finish, claim=claim, ended=ended, now=now))
        return self.links()[0]


@pytest.fixture
def keep(tables: None) -> Iterator[Callable[..., Kept]]:
    """Makes a job with one hub."""
    made = list[int]()

    def make(
        direction: Direction = Direction.PULL, mode: Mode = Mode.CONTINUOUS, now: float = NOW
    ) -> Kept:
        number = next(_numbers)
        db_name, key = f"links-{number}", f"{number:043d}"
        wish = Wish(db_name, f"peer{number}", direction, mode, every=60)
        job = sql.write_sync(partial(jobs.add, wish=wish, now=now))
        made.append(job)
        sql.write_sync(
            partial(
                links.reconcile,
                job_id=job,
                direction=direction,
                meant=[Meant(key, f"peer{number}")],
                now=now,
            )
        )
        return Kept(job, db_name, key)

    yield make
    for job in made:
        sql.write_sync(partial(jobs.remove, number=job))


def wake(what: Callable[..., Any], *args: Any, now: float) -> int:
    return int(sql.write_sync(lambda connection: what(connection, *args, now=now)))


def test_both_ways_are_two_links(keep: Callable[..., Kept]) -> None:
    assert [one.direction for one in keep(Direction.BOTH).links()] == ["pull", "push"]


def test_links_follow_who_is_meant(keep: Callable[..., Kept]) -> None:
    job = keep()
    first = job.link
    meant = [Meant(job.key, "renamed"), Meant("k" * 43, "another")]
    change = partial(
        links.reconcile, job_id=job.number, direction=Direction.PULL, meant=meant, now=NOW
    )
    assert sql.write_sync(change)
    assert not sql.write_sync(change)
    same, other = job.links()
    assert (same.id, same.name, other.name) == (first.id, "renamed", "another")
    sql.write_sync(partial(change, meant=meant[1:]))
    assert job.link.id == other.id


def test_one_worker_gets_a_link_and_no_second(keep: Callable[..., Kept]) -> None:
    job = keep()
    assert job.claim("first") is not None
    assert job.claim("second") is None


def test_the_link_of_a_killed_worker_is_taken_over_within_a_minute(
    keep: Callable[..., Kept],
) -> None:
    job = keep()
    held = job.claim("killed")
    assert held is not None
    assert schedule.LEASE < 60
    assert job.claim("other", NOW + schedule.LEASE - 1) is None
    assert job.claim("other", NOW + schedule.LEASE) is not None
    # What the first one says, if it is alive after all, changes nothing.
    before = job.link
    assert job.finish(held, Ended(State.COMPLETED, schedule.NEVER)) == before


def test_a_lease_that_is_renewed_stays(keep: Callable[..., Kept]) -> None:
    job = keep()
    job.claim("worker")
    later = NOW + schedule.LEASE - 1
    mine = [job.link.id]
    assert sql.write_sync(partial(links.renew, owner="worker", numbers=mine, now=later)) == {*mine}
    assert job.claim("other", NOW + schedule.LEASE) is None


def test_a_worker_learns_that_its_job_was_paused(keep: Callable[..., Kept]) -> None:
    job = keep()
    job.claim("worker")
    sql.write_sync(partial(jobs.pause, number=job.number, paused=True))
    mine = [job.link.id]
    assert not sql.write_sync(partial(links.renew, owner="worker", numbers=mine, now=NOW))
    assert job.claim("other", NOW + schedule.LEASE) is None
    sql.write_sync(partial(jobs.pause, number=job.number, paused=False))
    assert job.claim("other", NOW + schedule.LEASE) is not None


def test_what_a_worker_gives_back_is_free_at_once(keep: Callable[..., Kept]) -> None:
    job = keep()
    job.claim("worker")
    sql.write_sync(partial(links.release, owner="worker", now=NOW))
    assert job.claim("other") is not None


def test_a_link_rests_until_it_is_woken(keep: Callable[..., Kept]) -> None:
    job = keep()
    claim = job.claim("worker")
    assert claim is not None
    rests = Ended(State.WAITING, NOW + 3600, behind=0, counts=Counts(3, 2, 1))
    link = job.finish(claim, rests)
    assert (link.last_success, link.behind, link.docs_written) == (NOW, 0, 2)
    assert job.claim("worker", NOW + 1) is None
    assert wake(waking.wake_pull, job.key, [job.db_name], now=NOW + 2) == 1
    assert wake(waking.wake_pull, job.key, [job.db_name], now=NOW + 2) == 0
    assert job.claim("worker", NOW + 2) is not None


def test_a_change_during_a_run_is_not_forgotten(keep: Callable[..., Kept]) -> None:
    job = keep(Direction.PUSH)
    claim = job.claim("worker")
    assert claim is not None
    assert wake(waking.wake_push, [job.db_name], now=NOW + 1) == 1
    assert wake(waking.wake_push, [job.db_name], now=NOW + 1) == 0
    link = job.finish(claim, Ended(State.WAITING, NOW + 3600), NOW + 2)
    assert link.due_at == NOW + 2


def test_a_change_wakes_only_whom_it_concerns(keep: Callable[..., Kept]) -> None:
    pull, push, once = keep(), keep(Direction.PUSH), keep(mode=Mode.ONCE)
    for job in (pull, push, once):
        claim = job.claim("worker")
        assert claim is not None
        job.finish(claim, Ended(State.WAITING, NOW + 3600))
    assert wake(waking.wake_push, [pull.db_name, push.db_name, once.db_name], now=NOW) == 1
    assert wake(waking.wake_pull, once.key, [once.db_name], now=NOW) == 0
    assert wake(waking.wake_pull, pull.key, [push.db_name], now=NOW) == 0


def test_a_device_has_time_to_fetch_before_it_is_sent_to(tables: None) -> None:
    db_name, meant = "links-mesh", [Meant("m" * 43, "phone")]
    sql.write_sync(partial(jobs.add_mesh, db_name=db_name, now=NOW))
    sql.write_sync(partial(jobs.add_mesh, db_name=db_name, now=NOW))
    (job,) = [one for one in sql.read_sync(jobs.everything) if one.db_name == db_name]
    change = partial(links.reconcile, job_id=job.id, direction=job.direction, meant=meant)
    sql.write_sync(partial(change, now=NOW, grace=schedule.GRACE))
    kept = Kept(job.id, db_name, "m" * 43)
    assert [one.due_at - NOW for one in kept.links()] == [0, schedule.GRACE]
    for now in (NOW, NOW + schedule.GRACE):
        claim = kept.claim("worker", now)
        assert claim is not None
        kept.finish(claim, Ended(State.WAITING, NOW + 3600), now)
    assert wake(waking.wake_push, [db_name], now=NOW + 10) == 1
    assert wake(waking.wake_push, [db_name], now=NOW + 11) == 0
    assert kept.links()[1].due_at == NOW + 10 + schedule.GRACE
    sql.write_sync(partial(jobs.remove, number=job.id))


def test_pushes_look_for_what_was_written_unseen(keep: Callable[..., Kept]) -> None:
    pull, push, failed = keep(), keep(Direction.PUSH), keep(Direction.PUSH)
    for job, state in ((pull, State.WAITING), (push, State.WAITING), (failed, State.CRASHING)):
        claim = job.claim("worker")
        assert claim is not None
        job.finish(claim, Ended(state, NOW + 3600, error="No." if job is failed else ""))
    assert wake(waking.wake_pushes, now=NOW + 1) == 1
    assert push.link.due_at == NOW + 1


def test_what_failed_waits_its_time_unless_the_peer_is_back(keep: Callable[..., Kept]) -> None:
    job = keep()
    claim = job.claim("worker")
    assert claim is not None
    failed = Ended(State.CRASHING, NOW + 60, failures=2, error="Nobody answers.")
    link = job.finish(claim, failed)
    assert (link.last_error, link.failures, link.last_success) == ("Nobody answers.", 2, None)
    assert wake(waking.wake_pull, job.key, [job.db_name], now=NOW) == 0
    assert wake(waking.wake_peer, job.key, now=NOW) == 1


def test_what_has_ended_is_not_woken_but_may_be_run_again(keep: Callable[..., Kept]) -> None:
    job = keep(Direction.PUSH)
    claim = job.claim("worker")
    assert claim is not None
    job.finish(claim, Ended(State.COMPLETED, schedule.NEVER))
    assert wake(waking.wake_push, [job.db_name], now=NOW) == 0
    sql.write_sync(partial(jobs.pause, number=job.number, paused=False))
    assert job.claim("worker") is None
    sql.write_sync(partial(jobs.run, number=job.number, now=NOW))
    assert job.claim("worker") is not None


def test_the_next_time_is_known(keep: Callable[..., Kept]) -> None:
    early = NOW - 900_000  # Other tests' rows are later.
    job = keep(now=early)
    due = sql.read_sync(partial(waking.next_due, now=early - 10))
    assert due == early
    assert sql.read_sync(partial(waking.due_priorities, now=early)) == ["normal"]
    job.claim("worker", early)
    due = sql.read_sync(partial(waking.next_due, now=early))
    assert due == early + schedule.LEASE


def test_one_peers_many_databases_keep_nobody_waiting(tables: None) -> None:
    def fill(connection: sql.Sql) -> list[int]:
        numbers = []
        for peer, count, priority in (("a", 600, "normal"), ("b", 1, "normal"), ("a", 1, "now")):
            for _ in range(count):
                db_name = f"many-{next(_numbers)}"
                wish = Wish(db_name, peer, Direction.PULL, priority=Priority(priority))
                numbers.append(jobs.add(connection, wish, NOW))
                due = NOW + len(numbers) / 1000 - 10
                meant = [Meant(peer * 43, peer)]
                links.reconcile(connection, numbers[-1], "pull", meant, due)
        return numbers

    numbers = sql.write_sync(fill)
    try:
        claims = sql.write_sync(partial(links.claim, owner="w", now=NOW))
        ours = [one for one in claims if one.job_id in numbers]
        assert [one.name for one in ours].count("a") == schedule.AT_ONCE_WITH_ONE_PEER
        assert {numbers[-1], numbers[-2]} <= {one.job_id for one in ours}
        assert len(claims) <= schedule.AT_ONCE
        more = sql.write_sync(partial(links.claim, owner="other", now=NOW))
        assert not [one for one in more if one.job_id in numbers]
    finally:
        sql.write_sync(lambda one: [jobs.remove(one, number) for number in numbers])


def test_a_job_that_is_not_there_is_named_so(tables: None) -> None:
    for verb in (jobs.get, jobs.remove):
        with pytest.raises(NoSuchJob):
            sql.write_sync(partial(verb, number=10**9))
