"""Last writer wins, on a revision tree that stays CouchDB's own (design/conflicts.md, R1-R10).

The one idea: a hub never chooses another winner than CouchDB does; it *writes* until CouchDB's
winner is the newest edit.  It deletes every live leaf that lost ("prune") by a revision that is
a pure function of that leaf, so all hubs write the same bytes, and the tree stays a union.

    T(rev)       its own stamp, else the nearest stamped ancestor's, else 0         (R3)
    contenders   live leaves, and stamped deletes; a stamp of the future is held    (R4)
    prune        child of a live leaf that lost, deleted, keeps the leaf's body     (R5, R6)
    edge stamp   stamped child, same body, of a fresh edit by a client              (R7)
    revive       live child of a prune, when nothing is live and it lost to nobody  (R8)

A *delete* is somebody's wish; a prune is not, and counts as the leaf it closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from couchapi.core import revtree
from couchapi.core.errors import ForbiddenWrite
from couchapi.core.revid import FIRST_STAMP, LAST_STAMP, MAX_POS, RevId, mint, stamp_of
from couchapi.core.revtree import Chain, RevTree

HOUR: Final = 3_600_000
HOLD_AFTER: Final = 5 * 60_000
"""Milliseconds: a stamp that is further ahead is held (R4)."""

REFUSE_AFTER: Final = 24 * HOUR
"""Milliseconds: a stamp that is further ahead is refused (R9)."""

RECENT: Final = 2 * 60_000
"""Milliseconds: a client heard of within these delivers its edits fresh (R7)."""

BUDGET: Final = 10
"""Resolver revisions for one document in one hour (R10)."""

_LABEL: Final = b"thali-lww-1"
# Two bytes more than the stamp's milliseconds could be: no stamp begins so.
_MARK: Final = "000000000000"

NO_RECEIPTS: Final[Mapping[RevId, int]] = {}


class ResolverRevision(NamedTuple):
    """A revision that the resolver adds; its body is a copy of that of `body_of`."""

    rev: RevId
    parent: RevId
    deleted: bool
    body_of: RevId


class _Tip(NamedTuple):
    """What the rules ask of a leaf.  They compare by (T, generation, hash)."""

    clock: int
    rev: RevId
    deleted: bool
    stamped: bool
    closes: RevId | None


def resolve(
    tree: RevTree,
    now_ms: int,
    local_write: RevId | None = None,
    receipts: Mapping[RevId, int] = NO_RECEIPTS,
    budget: int = BUDGET,
) -> list[ResolverRevision]:
    """Return what has to be added for the newest edit to be the one live leaf; [] is usual.

    `local_write` is the leaf that this hub minted in the same transaction (R6).  `receipts` says
    when (Unix milliseconds) leaves came from clients that were in contact just before, see RECENT
    (R7).  At most `budget` revisions are returned: more are wanted when there are as many.
    """
    if not tree.chains or _is_settled(tree):
        return []
    tips = [_tip(tree, chain) for chain in tree.chains]
    live = [tip for tip in tips if not tip.deleted]
    if not live:
        return _heal(tips)[:budget]
    added: list[ResolverRevision] = []
    if any(tip.rev == local_write for tip in live):
        losers = [tip for tip in live if tip.rev != local_write]
    else:
        if len(live) > 1:
            added, live = _edge_stamps(live, receipts)
        losers = _losers(tips, live, now_ms)
    added += [_prune(tip.rev) for tip in losers if tip.rev.pos < MAX_POS]
    if len(losers) == len(live):
        # A delete closed the last one, but an edit that somebody closed before may be newer.
        added += _heal(tips)
    return added[:budget]


def next_ms(tree: RevTree, now_ms: int) -> int:
    """Return the milliseconds to mint with: later than all that this document has seen (R2)."""
    newest = max((clock_of(tree, chain.tip) for chain in tree.chains), default=0)
    return possible_ms(max(now_ms, newest + 1))


def clock_of(tree: RevTree, rev: RevId) -> int:
    """Return T: when this was written, in Unix milliseconds; 0 where nobody knows (R3)."""
    stamp = stamp_of(rev)
    if stamp is not None:
        return stamp
    # A prune or a revive, or an edit by a client: its ancestors say when.
    return next((ms for ms in map(stamp_of, revtree.ancestry(tree, rev)[1:]) if ms is not None), 0)


def possible_ms(ms: int) -> int:
    """Return the milliseconds that a stamp can say which are nearest to `ms`."""
    return min(max(ms, FIRST_STAMP), LAST_STAMP)


def prune_of(leaf: RevId) -> RevId:
    """Return the revision by which every hub closes this leaf (R5)."""
    return RevId(leaf.pos + 1, _named("prune", leaf))


def revive_of(closed: RevId) -> RevId:
    """Return the revision by which every hub opens what a prune closed (R8)."""
    return RevId(closed.pos + 1, _named("revive", closed))


def refuse_stamp(path: Iterable[RevId], now_ms: int, from_owner: bool) -> None:
    """Refuse a write whose new revisions claim to be of the day after tomorrow (R9).

    Raises ForbiddenWrite.  The owner's own devices are never refused: see `held`.
    """
    if from_owner:
        return
    for rev in path:
        stamp = stamp_of(rev)
        if stamp is not None and stamp > now_ms + REFUSE_AFTER:
            raise ForbiddenWrite(
                "This edit is dated more than a day ahead. Set the clock of its device."
            )


def held(tree: RevTree, now_ms: int) -> int | None:
    """Return when the first held stamp is due in Unix milliseconds, to resolve again then (R4).

    None when nothing is held, or nothing would change.
    """
    if len(tree.chains) < 2 or tree.chains[0].deleted or _is_settled(tree):
        return None
    tips = [_tip(tree, chain) for chain in tree.chains]
    contested = sum(not tip.deleted for tip in tips) > 1
    waiting = [
        tip.clock
        for tip in tips
        if tip.clock > now_ms + HOLD_AFTER and (tip.stamped if tip.deleted else contested)
    ]
    return min(waiting) - HOLD_AFTER if waiting else None


def budget_left(written_ms: Sequence[int], now_ms: int) -> int:
    """Return how many more revisions the resolver may add, given when it added others (R10)."""
    return max(0, BUDGET - sum(now_ms - HOUR < ms <= now_ms for ms in written_ms))


def _is_settled(tree: RevTree) -> bool:
    """Say whether one leaf is live and nothing contends with it: the usual case, cheaply seen."""
    winner, *others = tree.chains
    return not winner.deleted and all(
        chain.deleted and stamp_of(chain.tip) is None for chain in others
    )


def _named(act: str, rev: RevId) -> str:
    text = f"{act}\0{rev}".encode()
    return _MARK + sha256(_LABEL + b"\0" + text).digest()[:10].hex()


def _tip(tree: RevTree, chain: Chain) -> _Tip:
    rev = chain.tip
    stamp = stamp_of(rev)
    if stamp is not None:
        return _Tip(stamp, rev, chain.deleted, True, None)
    path = revtree.ancestry(tree, rev)
    stamps = map(stamp_of, path[1:])
    clock = next((ms for ms in stamps if ms is not None), 0)
    closes = path[1] if len(path) > 1 and path[0] == prune_of(path[1]) else None
    return _Tip(clock, rev, chain.deleted, not chain.deleted and _is_revival(path), closes)


def _is_revival(path: Sequence[RevId]) -> bool:
    """Say whether the newest of `path` stands for a stamped edit that was pruned and revived."""
    at = 0
    while (
        path[at].hash.startswith(_MARK)
        and len(path) > at + 2
        and path[at] == revive_of(path[at + 1])
        and path[at + 1] == prune_of(path[at + 2])
    ):
        at += 2
    return stamp_of(path[at]) is not None


def _losers(tips: Sequence[_Tip], live: Sequence[_Tip], now_ms: int) -> list[_Tip]:
    due = now_ms + HOLD_AFTER
    deletes = [tip for tip in tips if tip.deleted and tip.stamped and tip.clock <= due]
    newest_delete = max(deletes, default=None)
    losers = [tip for tip in live if tip.stamped and newest_delete and tip < newest_delete]
    standing = [tip for tip in live if tip not in losers]
    newest = max((tip for tip in standing if tip.clock <= due), default=None)
    return losers + [tip for tip in standing if newest and tip < newest]


def _prune(leaf: RevId) -> ResolverRevision:
    return ResolverRevision(prune_of(leaf), leaf, True, leaf)


def _edge_stamps(
    live: Sequence[_Tip], receipts: Mapping[RevId, int]
) -> tuple[list[ResolverRevision], list[_Tip]]:
    """Stamp the fresh edits of clients, and return the live leaves that there are then (R7).

    The time of receipt is not taken when an ancestor is stamped later: no edit is older than what
    it was made from.
    """
    added, standing = [], []
    for tip in live:
        receipt = receipts.get(tip.rev)
        settled = tip.stamped or tip.rev.hash.startswith(_MARK) or tip.rev.pos >= MAX_POS
        if receipt is None or settled:
            standing.append(tip)
            continue
        ms = min(max(receipt, FIRST_STAMP, tip.clock + 1), LAST_STAMP)
        # The id of the parent names the body already.
        rev = mint(tip.rev, False, b"", (), ms)
        added.append(ResolverRevision(rev, tip.rev, False, tip.rev))
        standing.append(_Tip(ms, rev, False, True, None))
    return added, standing


def _heal(tips: Sequence[_Tip]) -> list[ResolverRevision]:
    """Revive the newest head when it is one that was pruned (R8)."""
    head = max(tips, key=lambda tip: (tip.clock, tip.closes or tip.rev))
    if head.closes is None or head.rev.pos >= MAX_POS:
        return []
    return [ResolverRevision(revive_of(head.rev), head.rev, False, head.rev)]
