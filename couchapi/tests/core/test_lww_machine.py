"""Last writer wins among hubs and plain CouchDB replicas that meet in any order.

One document on three hubs and two replicas that know nothing of our rules.  They edit, delete,
part, meet, send only winners, break off in the middle, crash, and their clocks are wrong.  At the
end all links work, all stamps are due, and everybody replicates until nothing changes: then the
invariants of design/conflicts.md must hold.

The plain replicas (replicas.py), the winner and the order of edits are written anew, so that the
cores are not judged by themselves.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from couchapi.core import revtree
from couchapi.core.revid import RevId
from couchapi.tests.core.replicas import HOUR, MARK, MINUTE, Couch, Hub

START = 1_750_000_000_000
PAIRS = list(permutations(range(5), 2))


class Written(NamedTuple):
    """What a user did."""

    rev: RevId
    deleted: bool
    by_hub: bool


class LastWriterWins(RuleBasedStateMachine):
    """The world."""

    hubs_count = 3
    couches_count = 2

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.stamps: set[RevId] = set()
        self.hubs = [Hub(f"hub {number}", self.stamps) for number in range(self.hubs_count)]
        self.couches = [Couch(f"couch {number}") for number in range(self.couches_count)]
        self.replicas: list[Couch] = [*self.hubs, *self.couches]
        self.couches[-1].from_owner = False
        self.cut: set[frozenset[str]] = set()
        self.writes: list[Written] = []
        self.closed: set[RevId | None] = set()
        self.parents: dict[RevId, RevId | None] = {}

    # -- what happens --

    @initialize(at=st.integers(0, 4), everywhere=st.booleans())
    def create(self, at: int, everywhere: bool) -> None:
        """Make the document, and let everybody have it or not."""
        self.user_writes(self.replicas[at], None, False)
        if everywhere:
            for replica in self.replicas:
                self.send(self.replicas[at], replica)

    @rule(at=st.integers(0, 4), leaf=st.sampled_from([0, 0, 0, 1, 2]))
    def edit(self, at: int, leaf: int) -> None:
        """Edit a live leaf, or make or continue the document."""
        replica = self.replicas[at]
        live = replica.live()
        tips = live or replica.leaves()
        self.user_writes(replica, tips[leaf % len(tips)] if tips else None, False)

    @rule(at=st.integers(0, 4), leaf=st.sampled_from([0, 0, 0, 1, 2]))
    def delete(self, at: int, leaf: int) -> None:
        """Delete a live leaf."""
        live = self.replicas[at].live()
        if live:
            self.user_writes(self.replicas[at], live[leaf % len(live)], True)

    @rule(pair=st.sampled_from(PAIRS), deleted=st.booleans())
    def write_apart(self, pair: tuple[int, int], deleted: bool) -> None:
        """Let two write at once, who do not know of each other."""
        for at, delete in zip(pair, (False, deleted), strict=True):
            live = self.replicas[at].live()
            if live:
                self.user_writes(self.replicas[at], live[0], delete)

    @rule(pair=st.sampled_from(PAIRS))
    def synchronise(self, pair: tuple[int, int]) -> None:
        """Replicate in both directions."""
        self.replicate(pair, False, None, True)
        self.replicate(pair[::-1], False, None, True)

    @rule(at=st.integers(0, 4))
    def prune(self, at: int) -> None:
        """Resolve conflicts as applications do: delete all live leaves but the winner."""
        for loser in self.replicas[at].live()[1:]:
            self.user_writes(self.replicas[at], loser, True)

    @rule(
        pair=st.sampled_from(PAIRS),
        winner_only=st.booleans(),
        broken_after=st.sampled_from([None, None, None, 0, 1, 2]),
        together=st.booleans(),
    )
    def replicate(
        self, pair: tuple[int, int], winner_only: bool, broken_after: int | None, together: bool
    ) -> None:
        """Send what the other does not have; the line may break."""
        source, target = (self.replicas[number] for number in pair)
        if frozenset((source.name, target.name)) not in self.cut:
            self.send(
                source,
                target,
                winner_only=winner_only,
                broken_after=broken_after,
                together=together,
            )

    @rule(pair=st.sampled_from(PAIRS))
    def part_or_join(self, pair: tuple[int, int]) -> None:
        """Cut a link, or mend it."""
        self.cut ^= {frozenset(self.replicas[number].name for number in pair)}

    @rule(at=st.integers(0, 2))
    def crash(self, at: int) -> None:
        """Restart a hub."""
        self.hubs[at].forget()

    @rule(at=st.integers(0, 2), minutes=st.sampled_from([0, 0, -60, -10, 4, 10, 60, 3000]))
    def clock_jump(self, at: int, minutes: int) -> None:
        """Set a hub's clock wrong, by an hour or by days."""
        self.hubs[at].skew = minutes * MINUTE

    @rule(seconds=st.sampled_from([1, 30, 100, 300, 3600, 40_000]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.pass_time(seconds * 1000)

    # -- how it happens --

    def user_writes(self, replica: Couch, base: RevId | None, deleted: bool) -> None:
        """Write, and remember what the user did."""
        by_hub = isinstance(replica, Hub)
        rev = replica.write(base, deleted, f"body {len(self.writes)}", self.now)
        self.learn(replica)
        if by_hub and rev.hash.startswith(MARK):
            # One of several leaves was closed: nobody asked for the document to be dead (R6).
            self.closed.add(base)
        else:
            self.writes.append(Written(rev, deleted, by_hub))
        self.pass_time(7)

    def send(
        self,
        source: Couch,
        target: Couch,
        *,
        winner_only: bool = False,
        broken_after: int | None = None,
        together: bool = False,
    ) -> bool:
        """Replicate once, and say whether something was sent."""
        self.pass_time(1)
        tips = source.leaves()[:1] if winner_only else source.leaves()
        wanted = [source.sent(rev) for rev in tips if rev not in target.parents][:broken_after]
        target.meet(source, self.now)
        for sent in wanted:
            target.take(sent, source, self.now, alone=not together)
        if together:
            target.settle(self.now)
        self.learn(target)
        return bool(wanted)

    def learn(self, replica: Couch) -> None:
        """Keep the ancestry of all that was ever written, for the judge."""
        for rev, parent in replica.parents.items():
            if self.parents.setdefault(rev, parent) is None:
                self.parents[rev] = parent

    def pass_time(self, milliseconds: int) -> None:
        """Move the time on, and wake the hubs that asked for it."""
        self.now += milliseconds
        for hub in self.hubs:
            hub.wake(self.now)

    # -- what must hold --

    @invariant()
    def every_hub_shows_couchs_winner(self) -> None:
        """The winner is CouchDB's at every moment, and no body is missing."""
        for hub in self.hubs:
            tips = Couch.leaves(hub)
            assert revtree.leaves(hub.tree) == tips
            assert all(tip in hub.bodies for tip in tips)

    @rule()
    def rest(self) -> None:
        """Heal everything, replicate until quiet, and judge."""
        if not self.writes:
            return
        self.heal()
        first = self.replicas[0]
        for replica in self.replicas:
            assert set(replica.leaves()) == set(first.leaves()), replica.name
            assert replica.leaves()[0] == first.leaves()[0], replica.name
            assert {rev: replica.bodies[rev] for rev in replica.leaves()} == {
                rev: first.bodies[rev] for rev in first.leaves()
            }
        assert len(first.live()) <= 1
        self.judge(first)

    def teardown(self) -> None:
        """Judge what the last steps left."""
        self.rest()

    def heal(self) -> None:
        """Let time pass until no stamp is ahead, and replicate everything to everybody."""
        self.cut.clear()
        latest = max([int(rev.hash[:12], 16) for rev in self.stamps], default=0)
        self.now = max(self.now, latest) + 25 * HOUR
        for hub in self.hubs:
            hub.skew = 0
        for _ in range(60):
            self.pass_time(HOUR)
            sent = [self.send(*pair) for pair in permutations(self.replicas, 2)]
            if not any(sent) and all(hub.due is None for hub in self.hubs):
                return
        raise AssertionError("the replicas do not come to rest")

    def judge(self, replica: Couch) -> None:
        """Compare what is left with what users did."""
        newest = max(self.writes, key=lambda write: self.order(write.rev))
        live = replica.live()
        if not newest.deleted:
            assert live, f"dead, but {newest} was the newest"
            if newest.rev not in self.closed:
                assert self.clock(live[0]) >= self.clock(newest.rev), f"{live[0]} beat {newest}"
        elif newest.rev in self.stamps and live:
            spared = self.origin(live[0])
            assert spared not in self.stamps or self.clock(spared) >= self.clock(newest.rev)
        if all(write.by_hub for write in self.writes) and newest.rev not in self.closed:
            winner = self.origin(live[0]) if live else None
            assert winner == (None if newest.deleted else newest.rev)

    def order(self, rev: RevId) -> tuple[int, int, str]:
        """Return the rank of an edit in time (R3)."""
        return self.clock(rev), rev.pos, rev.hash

    def clock(self, rev: RevId | None) -> int:
        """Return the time of an edit or of its nearest stamped ancestor."""
        while rev is not None and rev not in self.stamps:
            rev = self.parents[rev]
        return 0 if rev is None else int(rev.hash[:12], 16)

    def origin(self, rev: RevId | None) -> RevId | None:
        """Return the edit that a resolver's revision stands for."""
        while rev is not None and rev.hash.startswith(MARK):
            rev = self.parents[rev]
        return rev


ORDINARY = settings(
    max_examples=800,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_hubs_and_plain_replicas_agree_on_the_last_writer() -> None:
    run_state_machine_as_test(LastWriterWins, settings=ORDINARY)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_hubs_and_plain_replicas_agree_in_many_histories() -> None:
    many = settings(ORDINARY, max_examples=20_000, stateful_step_count=100)
    run_state_machine_as_test(LastWriterWins, settings=many)
