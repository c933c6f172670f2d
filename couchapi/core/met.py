"""Versions that met: what the leaves of a revision tree are to a person.

The one idea: a leaf that the hub itself closed (core/lww.py, R5) stands for the edit it closed, and
keeps that edit's body; so what lost can be read, and taken back, for as long as the leaf is there.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from couchapi.core import lww, revtree
from couchapi.core.revid import RevId
from couchapi.core.revtree import Chain, RevTree


class Kind(enum.StrEnum):
    """What became of a version."""

    SHOWN = "shown"
    """All replicas show it."""
    OPEN = "open"
    """It stands beside the one that is shown, until somebody decides, or its time has come."""
    CLOSED = "closed"
    """A newer one won."""
    DELETED = "deleted"
    """Somebody deleted it."""


class Version(NamedTuple):
    """One of the versions that met; `clock` is in Unix milliseconds, 0 where nobody knows."""

    tip: RevId
    """The leaf."""
    kind: Kind
    clock: int
    is_deletion: bool
    bodies: tuple[RevId, ...]
    """Where its body may be kept, best first."""


def versions(tree: RevTree) -> list[Version]:
    """Return the version that is shown, then the others, best first.

    Of a document that is deleted, that is the deletion: a leaf that the hub closed may have more
    edits before it, and so be the winner, but it stands for an edit that lost.
    """
    shown = next((chain for chain in tree.chains if not _is_closed(tree, chain)), tree.chains[0])
    others = [chain for chain in tree.chains if chain is not shown]
    first = Version(
        shown.tip, Kind.SHOWN, lww.clock_of(tree, shown.tip), shown.deleted, (shown.tip,)
    )
    ancestors = set(revtree.ancestry(tree, shown.tip))
    return [first, *(_other(tree, chain, ancestors) for chain in others)]


def _is_closed(tree: RevTree, chain: Chain) -> bool:
    before = revtree.ancestry(tree, chain.tip)[1:2]
    return chain.deleted and bool(before) and chain.tip == lww.prune_of(before[0])


def _other(tree: RevTree, chain: Chain, ancestors: set[RevId]) -> Version:
    tip = chain.tip
    clock = lww.clock_of(tree, tip)
    if not chain.deleted:
        return Version(tip, Kind.OPEN, clock, False, (tip,))
    before = revtree.ancestry(tree, tip)[1:2]
    if _is_closed(tree, chain):
        return Version(tip, Kind.CLOSED, clock, False, (tip, before[0]))
    # What all had before it was deleted is no other version of what is shown.
    bodies = tuple(rev for rev in before if rev not in ancestors)
    return Version(tip, Kind.DELETED, clock, not bodies, bodies)
