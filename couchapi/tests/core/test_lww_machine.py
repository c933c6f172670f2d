"""Last writer wins among hubs and plain CouchDB replicas that meet in any order.

One document on three hubs and two replicas that know nothing of our rules.  They edit, delete,
part, meet, send only winners, break off in the middle, crash, and their clocks are wrong.  At the
end all links work, all stamps are due, and everybody replicates until nothing changes: then the
invariants of design/conflicts.md must hold.

The plain replicas, the winner and the order of edits are written here anew, so that the cores are
not judged by themselves.
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

from couchapi.core import edits, lww, revtree
from couchapi.core.edits import Edit, Outcome, Terms
from couchapi.core.errors import ForbiddenWrite
from couchapi.core.revid import RevId, plain, stamp_of

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_750_000_000_000
MARK = "0" * 12
PAIRS = list(permutations(range(5), 2))


class Sent(NamedTuple):
    """A leaf on its way from one replica to another."""

    path: tuple[RevId, ...]
    deleted: bool
    body: str


class Couch:
    """A CouchDB that keeps every edit it ever saw, and chooses by depth and hash."""

    from_owner = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.parents: dict[RevId, RevId | None] = {}
        self.dead: set[RevId] = set()
        self.bodies: dict[RevId, str] = {}

    def leaves(self) -> list[RevId]:
        """Return the leaves, the best first."""
        inner = set(self.parents.values())
        tips = [rev for rev in self.parents if rev not in inner]
        return sorted(tips, key=lambda rev: (rev not in self.dead, *rev), reverse=True)

    def live(self) -> list[RevId]:
        """Return the live leaves, the best first."""
        return [rev for rev in self.leaves() if rev not in self.dead]

    def path(self, rev: RevId) -> tuple[RevId, ...]:
        """Return a revision and its ancestors, newest first."""
        parent = self.parents[rev]
        return (rev,) if parent is None else (rev, *self.path(parent))

    def sent(self, rev: RevId) -> Sent:
        """Return a leaf as it is sent."""
        return Sent(self.path(rev), rev in self.dead, self.bodies[rev])

    def take(self, sent: Sent, sender: Couch | None, now: int) -> None:
        """Take over a leaf with its history."""
        rev = sent.path[0]
        if rev not in self.bodies:
            self.bodies[rev] = sent.body
            if sent.deleted:
                self.dead.add(rev)
        for child, parent in zip(sent.path, (*sent.path[1:], None), strict=True):
            self.parents.setdefault(child, parent)

    def write(self, base: RevId | None, deleted: bool, body: str, now: int) -> RevId:
        """Edit as CouchDB does."""
        rev = plain(base, deleted, body.encode(), ())
        path = (rev,) if base is None else (rev, *self.path(base))
        self.take(Sent(path, deleted, body), None, now)
        return rev

    def meet(self, sender: Couch, now: int) -> None:
        """Do nothing: who comes is not noted here."""

    def wake(self, now: int) -> None:
        """Do nothing: no rule of ours is known here."""


class Hub(Couch):
    """A replica of ours.  Its clock may be wrong, and it forgets what it does not store."""

    def __init__(self, name: str, world: set[RevId]) -> None:
        super().__init__(name)
        self.tree = revtree.EMPTY
        self.skew = 0
        self.due: int | None = None
        self.stamps = world
        self.fresh = False
        self.forget()

    def forget(self) -> None:
        """Lose what is only in memory."""
        self.contacts: dict[Couch, int] = {}
        self.receipts: dict[RevId, int] = {}
        self.spent: list[int] = []

    def meet(self, sender: Couch, now: int) -> None:
        """Note that a client is here; what it brings is fresh if it was here just before."""
        now += self.skew
        self.fresh = (
            not isinstance(sender, Hub)
            and abs(now - self.contacts.get(sender, -HOUR)) <= lww.RECENT
        )
        self.contacts[sender] = now

    def take(self, sent: Sent, sender: Couch | None, now: int) -> None:
        """Take over a leaf."""
        now += self.skew
        terms = self.terms(now)._replace(
            recent_client=self.fresh, from_owner=sender is None or sender.from_owner
        )
        try:
            outcome = edits.apply_path(self.tree, sent.path, sent.deleted, terms)
        except ForbiddenWrite:
            return
        if terms.recent_client and outcome.changed:
            self.receipts[sent.path[0]] = now
        self.store(outcome, sent.body, now)

    def write(self, base: RevId | None, deleted: bool, body: str, now: int) -> RevId:
        """Edit as a client of this hub."""
        now += self.skew
        if self.tree.chains and not self.live():
            base = None if not deleted else base
        outcome = edits.apply_edit(self.tree, Edit(base, deleted, body.encode()), self.terms(now))
        self.store(outcome, body, now)
        assert outcome.rev is not None
        return outcome.rev

    def wake(self, now: int) -> None:
        """Resolve again when the time that the core named has come."""
        now += self.skew
        if self.due is not None and self.due <= now:
            self.store(edits.settle(self.tree, self.terms(now)), "", now)

    def terms(self, now: int) -> Terms:
        """Return the terms of a write."""
        # A receipt serves as long as the client is heard of again and again; here: ten minutes.
        self.receipts = {rev: ms for rev, ms in self.receipts.items() if now - ms < 10 * MINUTE}
        return Terms(now, receipts=self.receipts, budget=lww.budget_left(self.spent, now))

    def store(self, outcome: Outcome, body: str, now: int) -> None:
        """Keep what the core says, through the stored form."""
        if outcome.changed:
            for one in outcome.stored:
                self.bodies[one.rev] = body if one.body_of is None else self.bodies[one.body_of]
                if not one.rev.hash.startswith(MARK) and one.rev not in self.parents:
                    self.note_stamp(one.rev, outcome)
        else:
            assert outcome.tree == self.tree
        self.tree = revtree.decode(revtree.encode(outcome.tree))
        self.parents = {rev: node.parent for rev, node in self.tree.items()}
        self.dead = {rev for rev, node in self.tree.items() if node.deleted}
        self.due = outcome.due
        self.spent += [now] * outcome.added
        if not outcome.stopped:
            assert lww.resolve(self.tree, now) == []

    def note_stamp(self, rev: RevId, outcome: Outcome) -> None:
        """Remember which revisions hubs have stamped."""
        minted = rev == outcome.rev or any(one.rev == rev and one.body_of for one in outcome.stored)
        if minted and stamp_of(rev) is not None:
            self.stamps.add(rev)


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
                self.send(self.replicas[at], replica, False, None)

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
        self.replicate(pair, False, None)
        self.replicate(pair[::-1], False, None)

    @rule(at=st.integers(0, 4))
    def prune(self, at: int) -> None:
        """Resolve conflicts as applications do: delete all live leaves but the winner."""
        for loser in self.replicas[at].live()[1:]:
            self.user_writes(self.replicas[at], loser, True)

    @rule(
        pair=st.sampled_from(PAIRS),
        winner_only=st.booleans(),
        broken_after=st.sampled_from([None, None, None, 0, 1, 2]),
    )
    def replicate(self, pair: tuple[int, int], winner_only: bool, broken_after: int | None) -> None:
        """Send what the other does not have; the line may break."""
        source, target = (self.replicas[number] for number in pair)
        if frozenset((source.name, target.name)) not in self.cut:
            self.send(source, target, winner_only, broken_after)

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
        self, source: Couch, target: Couch, winner_only: bool, broken_after: int | None
    ) -> bool:
        """Replicate once, and say whether something was sent."""
        self.pass_time(1)
        tips = source.leaves()[:1] if winner_only else source.leaves()
        wanted = [source.sent(rev) for rev in tips if rev not in target.parents][:broken_after]
        target.meet(source, self.now)
        for sent in wanted:
            target.take(sent, source, self.now)
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

    def teardown(self) -> None:
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

    def heal(self) -> None:
        """Let time pass until no stamp is ahead, and replicate everything to everybody."""
        self.cut.clear()
        latest = max([int(rev.hash[:12], 16) for rev in self.stamps], default=0)
        self.now = max(self.now, latest) + 25 * HOUR
        for hub in self.hubs:
            hub.skew = 0
        for _ in range(60):
            self.pass_time(HOUR)
            sent = [self.send(*pair, False, None) for pair in permutations(self.replicas, 2)]
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
