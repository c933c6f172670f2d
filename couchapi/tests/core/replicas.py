"""Replicas in memory, for the tests of the last writer: a plain CouchDB, and a hub.

The plain one is written anew, so that the cores are not judged by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from couchapi.core import edits, lww, revtree
from couchapi.core.edits import Edit, Outcome, Terms
from couchapi.core.errors import ForbiddenWrite
from couchapi.core.revid import RevId, plain, stamp_of

MINUTE = 60_000
HOUR = 60 * MINUTE
MARK = "0" * 12
"""How the hash of every prune and revive begins."""


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

    def take(self, sent: Sent, sender: Couch | None, now: int, alone: bool = True) -> None:
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

    def settle(self, now: int) -> None:
        """Do nothing: conflicts stay."""

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

    def take(self, sent: Sent, sender: Couch | None, now: int, alone: bool = True) -> None:
        """Take over a leaf."""
        now += self.skew
        terms = self.terms(now)._replace(
            recent_client=self.fresh, from_owner=sender is None or sender.from_owner
        )
        try:
            outcome = edits.apply_path(self.tree, sent.path, sent.deleted, terms, alone=alone)
        except ForbiddenWrite:
            return
        if terms.recent_client and outcome.changed:
            self.receipts[sent.path[0]] = now
        self.store(outcome, sent.body, now, settled=alone)

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
        if self.due is not None and self.due <= now + self.skew:
            self.settle(now)

    def settle(self, now: int) -> None:
        """Resolve after several leaves came in one transaction."""
        now += self.skew
        if self.tree.chains:
            self.store(edits.settle(self.tree, self.terms(now)), "", now)

    def terms(self, now: int) -> Terms:
        """Return the terms of a write."""
        # A receipt serves as long as the client is heard of again and again; here: ten minutes.
        self.receipts = {rev: ms for rev, ms in self.receipts.items() if now - ms < 10 * MINUTE}
        return Terms(now, receipts=self.receipts, budget=lww.budget_left(self.spent, now))

    def store(self, outcome: Outcome, body: str, now: int, settled: bool = True) -> None:
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
        if outcome.changed or settled:
            self.due = outcome.due
        self.spent += [now] * outcome.added
        if settled and not outcome.stopped:
            assert lww.resolve(self.tree, now) == []

    def note_stamp(self, rev: RevId, outcome: Outcome) -> None:
        """Remember which revisions hubs have stamped."""
        minted = rev == outcome.rev or any(one.rev == rev and one.body_of for one in outcome.stored)
        if minted and stamp_of(rev) is not None:
            self.stamps.add(rev)
