"""What one write does to one document: the rules of PUT, DELETE and `new_edits=false`.

The one idea: a write is a pure step from the stored tree to an `Outcome`, which says all that the
store has to keep.  There are three:

    apply_edit   a client edits what it has read: it must build on a leaf, or there is a conflict
    apply_path   a replicator brings a revision with its history: always taken, twice is once
    settle       nobody writes; a held stamp came due (design/conflicts.md, R4)

After each, when the database lets the last writer win, the resolver (core/lww.py) adds what it
must, in the same step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from couchapi.core import lww, revid, revtree
from couchapi.core.errors import Conflict
from couchapi.core.lww import BUDGET, NO_RECEIPTS
from couchapi.core.revid import RevId
from couchapi.core.revtree import RevTree


class Terms(NamedTuple):
    """Under which terms a write is taken."""

    now_ms: int
    lww: bool = True
    revs_limit: int = 1000
    from_owner: bool = False
    """Whether the writer is the owner of this hub: its clock is never refused (R9)."""
    recent_client: bool = False
    """Whether the writer was heard of within lww.RECENT, so that what it brings is fresh (R7)."""
    receipts: Mapping[RevId, int] = NO_RECEIPTS
    """When other leaves came from such clients, in Unix milliseconds, as far as remembered."""
    budget: int = BUDGET
    """How many revisions the resolver may add, see lww.budget_left (R10)."""


class Edit(NamedTuple):
    """A document as a client wants it; `base` is the revision it says it has read."""

    base: RevId | None
    deleted: bool
    body: bytes
    attachment_digests: Sequence[str] = ()


class Stored(NamedTuple):
    """A revision whose body has to be stored: the given one, or a copy of another revision's."""

    rev: RevId
    deleted: bool
    body_of: RevId | None


class Outcome(NamedTuple):
    """What to store.  Nothing when not `changed`: the document keeps its sequence.

    `rev` is what the writer is answered.  `due` says when to `settle` next, in Unix milliseconds.
    `stopped` asks to flag the document: the resolver wanted more than its budget.  `added` counts
    what it added.
    """

    tree: RevTree
    rev: RevId | None
    changed: bool
    stored: tuple[Stored, ...] = ()
    due: int | None = None
    stopped: bool = False
    added: int = 0


def apply_edit(tree: RevTree, edit: Edit, terms: Terms) -> Outcome:
    """Edit a document (PUT, DELETE, `new_edits=true`).

    Without a base, a document whose leaves are all deleted is continued from its winner.  Raises
    Conflict when the base is not a leaf, or is missing.  Where the last writer wins, deleting one
    of several live leaves closes that leaf only (R6): the answer is then a prune, and the body of
    the leaf is kept instead of the given one.
    """
    if not tree.chains and edit.base is None and not edit.deleted:
        return _first(edit, terms)
    parent = _base(tree, edit)
    body_of = None
    if not terms.lww:
        rev = revid.plain(parent, edit.deleted, edit.body, edit.attachment_digests)
    elif edit.deleted and parent is not None and _stands_beside_live(tree, parent):
        rev, body_of = _close(tree, parent, edit)
    else:
        ms = lww.next_ms(tree, terms.now_ms)
        rev = revid.mint(parent, edit.deleted, edit.body, edit.attachment_digests, ms)
    revs = (rev,) if parent is None else (rev, parent)
    grown = revtree.stem(revtree.merge(tree, revs, edit.deleted), terms.revs_limit)
    stored = (Stored(rev, edit.deleted, body_of),)
    return _resolved(grown, rev, stored, terms, terms.receipts, local_write=rev)


def apply_path(
    tree: RevTree, path: Sequence[RevId], deleted: bool, terms: Terms, *, alone: bool = True
) -> Outcome:
    """Take over a revision with its history, newest first (`new_edits=false`); never a conflict.

    Taking it twice is taking it once.  When the transaction brings several revisions of this
    document, none is taken `alone`, and `settle` comes last: a prune that stands by itself for a
    moment would be healed (R8).  Raises ForbiddenWrite for a stamp of the far future (R9).
    """
    rev = path[0]
    if terms.lww and not terms.from_owner:
        lww.refuse_stamp(_unknown(tree, path), terms.now_ms, terms.from_owner)
    if not tree.chains and not deleted:
        return _taken_over(path, terms)
    known = _has_body(tree, rev)
    merged = revtree.stem(revtree.merge(tree, path, deleted), terms.revs_limit)
    # What is stemmed away at once needs no body.
    fresh = not known and rev in merged
    if not fresh and merged == tree:
        return Outcome(tree, rev, changed=False)
    receipts = terms.receipts
    if fresh and terms.recent_client:
        receipts = {**receipts, rev: terms.now_ms}
    stored = (Stored(rev, deleted, None),) if fresh else ()
    if not alone:
        return Outcome(merged, rev, True, stored)
    return _resolved(merged, rev, stored, terms, receipts)


def settle(tree: RevTree, terms: Terms) -> Outcome:
    """Let the resolver look at a document: a held stamp is due, its budget is back, or a
    transaction brought several of its revisions.

    `due` is to be stored also when nothing else has changed.
    """
    outcome = _resolved(tree, revtree.winner(tree), (), terms, terms.receipts)
    return outcome._replace(changed=bool(outcome.added))


def _first(edit: Edit, terms: Terms) -> Outcome:
    """Begin a document: there is nothing to join, to stem or to resolve."""
    if terms.lww:
        ms = lww.possible_ms(terms.now_ms)
        rev = revid.mint(None, False, edit.body, edit.attachment_digests, ms)
    else:
        rev = revid.plain(None, False, edit.body, edit.attachment_digests)
    return Outcome(revtree.begun(rev), rev, True, (Stored(rev, False, None),))


def _taken_over(path: Sequence[RevId], terms: Terms) -> Outcome:
    """Begin a document with a live revision from elsewhere: nothing is there to contend."""
    tree = revtree.stem(revtree.merge(revtree.EMPTY, path), terms.revs_limit)
    return Outcome(tree, path[0], True, (Stored(path[0], False, None),))


def _base(tree: RevTree, edit: Edit) -> RevId | None:
    """Return what the edit becomes a child of, as couch_db:prep_and_validate_update decides."""
    if edit.base is not None:
        if edit.base not in revtree.leaves(tree):
            raise Conflict
        return edit.base
    if not tree.chains:
        return None
    # A tombstone upon a tombstone needs the revision; only a new document may come without.
    if edit.deleted or not revtree.is_deleted(tree):
        raise Conflict
    return revtree.winner(tree)


def _stands_beside_live(tree: RevTree, leaf: RevId) -> bool:
    return len(tree.chains) > 1 and any(tip != leaf for tip in revtree.live_leaves(tree))


def _close(tree: RevTree, leaf: RevId, edit: Edit) -> tuple[RevId, RevId | None]:
    """Return the revision that deletes one leaf and leaves the others alone, and its body."""
    if leaf in revtree.live_leaves(tree):
        return lww.prune_of(leaf), leaf
    # A prune always closes something live.  This delete says nothing, so it has no stamp either.
    return revid.plain(leaf, True, edit.body, edit.attachment_digests), None


def _has_body(tree: RevTree, rev: RevId) -> bool:
    return rev in revtree.leaves(tree) or (rev in tree and tree[rev].has_body)


def _unknown(tree: RevTree, path: Sequence[RevId]) -> Sequence[RevId]:
    """Return what of a path is new: what we hold was judged when it came."""
    for number, rev in enumerate(path):
        if rev in tree:
            return path[:number]
    return path


def _resolved(
    tree: RevTree,
    rev: RevId | None,
    stored: tuple[Stored, ...],
    terms: Terms,
    receipts: Mapping[RevId, int],
    local_write: RevId | None = None,
) -> Outcome:
    chains = tree.chains
    if not terms.lww or (len(chains) == 1 and not chains[0].deleted):
        return Outcome(tree, rev, True, stored)
    wanted = lww.resolve(tree, terms.now_ms, local_write, receipts, terms.budget + 1)
    added = wanted[: terms.budget]
    for one in added:
        tree = revtree.merge(tree, (one.rev, one.parent), one.deleted)
    tree = revtree.stem(tree, terms.revs_limit)
    stopped = len(wanted) > len(added)
    due = terms.now_ms + lww.HOUR if stopped else lww.held(tree, terms.now_ms)
    copies = [Stored(one.rev, one.deleted, one.body_of) for one in added]
    return Outcome(tree, rev, True, (*stored, *copies), due, stopped, len(added))
