"""The rules R1-R10 of design/conflicts.md, one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from couchapi.core import lww, revid, revtree
from couchapi.core.errors import ForbiddenWrite
from couchapi.core.lww import BUDGET, HOUR, ResolverRevision
from couchapi.core.revid import FIRST_STAMP, LAST_STAMP, MAX_POS, RevId
from couchapi.core.revtree import EMPTY, RevTree

NOW = 1_750_000_000_000
MINUTE = 60_000
ROOT = revid.mint(None, False, b"root", (), NOW - HOUR)


def stamped(ms: int, parent: RevId | None = ROOT, *, deleted: bool = False) -> RevId:
    """Return an edit that a hub made."""
    return revid.mint(parent, deleted, b"", (), ms)


def foreign(body: str, parent: RevId | None = ROOT, *, deleted: bool = False) -> RevId:
    """Return an edit that a client made."""
    return revid.plain(parent, deleted, body.encode(), ())


def tree_of(*tips: Sequence[RevId], dead: Sequence[RevId] = ()) -> RevTree:
    """Build a tree from paths, newest first."""
    tree = EMPTY
    for path in tips:
        tree = revtree.merge(tree, path, path[0] in dead)
    return tree


def added(tree: RevTree, revisions: Sequence[ResolverRevision]) -> RevTree:
    for one in revisions:
        tree = revtree.merge(tree, (one.rev, one.parent), one.deleted)
    return tree


def prune(leaf: RevId) -> ResolverRevision:
    return ResolverRevision(lww.prune_of(leaf), leaf, True, leaf)


# -- R2: what time an edit gets --


def test_a_first_edit_is_stamped_now() -> None:
    assert lww.next_ms(EMPTY, NOW) == NOW


def test_an_edit_is_later_than_every_leaf_the_document_has() -> None:
    ahead = stamped(NOW + MINUTE)
    tree = tree_of((ahead, ROOT), (foreign("x", ahead), ahead, ROOT))
    assert lww.next_ms(tree, NOW) == NOW + MINUTE + 1
    deleted = stamped(NOW + 2 * MINUTE, deleted=True)
    assert lww.next_ms(revtree.merge(tree, (deleted, ROOT), True), NOW) == NOW + 2 * MINUTE + 1


def test_a_clock_that_was_never_set_still_makes_a_stamp() -> None:
    assert lww.next_ms(EMPTY, 0) == FIRST_STAMP
    assert lww.next_ms(tree_of((stamped(LAST_STAMP, None),)), NOW) == LAST_STAMP


# -- R3, R5: order and prune --


def test_a_single_live_leaf_is_left_alone() -> None:
    assert lww.resolve(tree_of((stamped(NOW), ROOT)), NOW) == []
    assert lww.resolve(EMPTY, NOW) == []


def test_the_older_of_two_edits_is_pruned_whatever_its_generation() -> None:
    old = stamped(NOW - 20)
    deeper = stamped(NOW - 15, old)
    new = stamped(NOW - 10)
    tree = tree_of((deeper, old, ROOT), (new, ROOT))
    assert revtree.winner(tree) == deeper
    assert lww.resolve(tree, NOW) == [prune(deeper)]
    assert revtree.winner(added(tree, [prune(deeper)])) == new


def test_a_prune_is_the_same_on_every_hub() -> None:
    leaf = RevId(2, "0123456789abcdef0123456789abcdef")
    pruned = lww.prune_of(leaf)
    assert pruned.pos == 3
    assert re.fullmatch("0{12}[0-9a-f]{20}", pruned.hash)
    assert revid.stamp_of(pruned) is None
    # Computed once: other hubs must find the same bytes.
    assert str(pruned) == "3-000000000000c631e6190b69a34585ff"
    assert str(lww.revive_of(pruned)) == "4-000000000000d96fd8abf50b0920e488"


def test_an_edit_by_a_client_is_as_old_as_its_nearest_stamped_ancestor() -> None:
    base = stamped(NOW - 30)
    client = foreign("2", foreign("1", base))
    other = stamped(NOW - 40)
    tree = tree_of((client, foreign("1", base), base, ROOT), (other, ROOT))
    assert lww.resolve(tree, NOW) == [prune(other)]
    newer = stamped(NOW - 20)
    assert prune(client) in lww.resolve(revtree.merge(tree, (newer, ROOT)), NOW)


def test_edits_without_any_stamp_are_resolved_as_couchdb_chooses() -> None:
    low, high = sorted([foreign("a", None), foreign("b", None)])
    assert lww.resolve(tree_of((low,), (high,)), NOW) == [prune(low)]


def test_all_losers_are_pruned_at_once() -> None:
    edits = [stamped(NOW - ago) for ago in (5, 4, 3)]
    revisions = lww.resolve(tree_of(*((edit, ROOT) for edit in edits)), NOW)
    assert sorted(revisions) == sorted([prune(edits[0]), prune(edits[1])])


# -- R4: who contends --


def test_a_newer_delete_prunes_an_older_edit() -> None:
    edit, delete = stamped(NOW - 20), stamped(NOW - 10, deleted=True)
    tree = tree_of((edit, ROOT), (delete, ROOT), dead=[delete])
    assert lww.resolve(tree, NOW) == [prune(edit)]
    assert lww.resolve(added(tree, [prune(edit)]), NOW) == []


def test_an_older_delete_prunes_nothing() -> None:
    edit, delete = stamped(NOW - 10), stamped(NOW - 20, deleted=True)
    assert lww.resolve(tree_of((edit, ROOT), (delete, ROOT), dead=[delete]), NOW) == []


def test_a_delete_does_not_prune_the_edit_of_a_client() -> None:
    edit, delete = foreign("x"), stamped(NOW - 10, deleted=True)
    assert lww.resolve(tree_of((edit, ROOT), (delete, ROOT), dead=[delete]), NOW) == []


def test_of_several_edits_that_a_delete_spares_one_stays() -> None:
    low, high = sorted([foreign("x"), foreign("y")])
    delete = stamped(NOW - 10, deleted=True)
    tree = tree_of((low, ROOT), (high, ROOT), (delete, ROOT), dead=[delete])
    assert lww.resolve(tree, NOW) == [prune(low)]


def test_a_delete_by_a_client_prunes_nothing() -> None:
    base, edit, older = stamped(NOW - 10), stamped(NOW - 20), stamped(NOW - 30)
    delete = foreign("x", base, deleted=True)
    tree = tree_of((delete, base, ROOT), (edit, ROOT), dead=[delete])
    assert lww.resolve(tree, NOW) == []
    assert lww.resolve(revtree.merge(tree, (older, ROOT)), NOW) == [prune(older)]


def test_a_delete_prunes_the_revival_of_a_stamped_edit_only() -> None:
    delete = stamped(NOW - 10, deleted=True)
    for edit, expected in ((stamped(NOW - 20), True), (foreign("x"), False)):
        pruned = lww.prune_of(edit)
        revived = lww.revive_of(pruned)
        tree = tree_of((revived, pruned, edit, ROOT), (delete, ROOT), dead=[delete])
        assert lww.resolve(tree, NOW) == ([prune(revived)] if expected else [])


@pytest.mark.parametrize("deleted", [False, True])
def test_a_stamp_of_the_future_prunes_nothing_until_it_is_due(deleted: bool) -> None:
    edit, ahead = stamped(NOW - 20), stamped(NOW + HOUR, deleted=deleted)
    tree = tree_of((edit, ROOT), (ahead, ROOT), dead=[ahead] if deleted else [])
    assert lww.resolve(tree, NOW) == []
    due = lww.held(tree, NOW)
    assert due == NOW + HOUR - 5 * MINUTE
    assert lww.resolve(tree, due - 1) == []
    assert lww.resolve(tree, due) == [prune(edit)]
    assert lww.held(tree, due) is None


def test_among_what_is_due_the_newest_wins_while_another_is_held() -> None:
    old, new, ahead = stamped(NOW - 20), stamped(NOW - 10), stamped(NOW + HOUR)
    tree = tree_of((old, ROOT), (new, ROOT), (ahead, ROOT))
    assert lww.resolve(tree, NOW) == [prune(old)]


def test_the_first_of_several_held_stamps_is_named() -> None:
    tree = tree_of(*((stamped(NOW + n * HOUR), ROOT) for n in (2, 1, 3)))
    assert lww.held(tree, NOW) == NOW + HOUR - 5 * MINUTE


def test_nothing_is_held_when_nothing_would_change() -> None:
    assert lww.held(EMPTY, NOW) is None
    ahead = stamped(NOW + HOUR)
    assert lww.held(tree_of((ahead, ROOT)), NOW) is None
    delete = foreign("x", ahead, deleted=True)
    other = foreign("y", deleted=True)
    dead = [delete, other]
    assert lww.held(tree_of((delete, ahead, ROOT), (other, ROOT), dead=dead), NOW) is None
    edit = foreign("z")
    assert lww.held(tree_of((delete, ahead, ROOT), (edit, ROOT), dead=dead), NOW) is None


# -- R6: local writes --


def test_a_local_write_prunes_all_that_its_writer_could_see() -> None:
    old, ahead = stamped(NOW - 20), stamped(NOW + HOUR)
    mine = stamped(NOW + HOUR + 1, old)
    tree = tree_of((mine, old, ROOT), (ahead, ROOT))
    assert lww.resolve(tree, NOW, local_write=mine) == [prune(ahead)]
    assert lww.resolve(tree, NOW) == []


# -- R7: fresh edits of clients --


def test_a_fresh_edit_of_a_client_is_stamped_in_a_conflict() -> None:
    client, other = foreign("x"), stamped(NOW - 20)
    tree = tree_of((client, ROOT), (other, ROOT))
    stamp, pruned = lww.resolve(tree, NOW, receipts={client: NOW - 5})
    assert (stamp.parent, stamp.deleted, stamp.body_of) == (client, False, client)
    assert revid.stamp_of(stamp.rev) == NOW - 5
    assert pruned == prune(other)
    assert lww.resolve(added(tree, [stamp, pruned]), NOW, receipts={client: NOW - 5}) == []


def test_a_fresh_edit_can_still_be_older_than_another() -> None:
    client, other = foreign("x"), stamped(NOW - 5)
    tree = tree_of((client, ROOT), (other, ROOT))
    stamp, pruned = lww.resolve(tree, NOW, receipts={client: NOW - 10})
    assert pruned == prune(stamp.rev)


def test_an_edit_is_never_dated_before_what_it_was_made_from() -> None:
    base = stamped(NOW + MINUTE)
    client, other = foreign("x", base), stamped(NOW - 5)
    tree = tree_of((client, base, ROOT), (other, ROOT))
    stamp, _ = lww.resolve(tree, NOW, receipts={client: NOW})
    assert revid.stamp_of(stamp.rev) == NOW + MINUTE + 1


def test_without_a_conflict_nothing_is_stamped() -> None:
    client = foreign("x")
    assert lww.resolve(tree_of((client, ROOT)), NOW, receipts={client: NOW}) == []
    gone = foreign("y", deleted=True)
    tree = tree_of((client, ROOT), (gone, ROOT), dead=[gone])
    assert lww.resolve(tree, NOW, receipts={client: NOW}) == []


def test_what_hubs_wrote_is_not_stamped_again() -> None:
    edit, other = stamped(NOW - 5), stamped(NOW - 10)
    revived = lww.revive_of(lww.prune_of(edit))
    for tip in (edit, revived):
        path = (revived, lww.prune_of(edit), edit, ROOT) if tip == revived else (edit, ROOT)
        assert lww.resolve(tree_of(path, (other, ROOT)), NOW, receipts={tip: NOW}) == [prune(other)]


# -- R8: heal --


def test_when_two_were_pruned_for_each_other_the_newer_is_revived() -> None:
    old, new = stamped(NOW - 20), stamped(NOW - 10)
    dead = [lww.prune_of(old), lww.prune_of(new)]
    tree = tree_of((dead[0], old, ROOT), (dead[1], new, ROOT), dead=dead)
    revive = ResolverRevision(lww.revive_of(dead[1]), dead[1], False, dead[1])
    assert lww.resolve(tree, NOW) == [revive]
    healed = added(tree, [revive])
    assert revtree.winner(healed) == revive.rev
    assert lww.resolve(healed, NOW) == []


def test_what_a_newer_delete_beat_is_not_revived() -> None:
    edit, delete = stamped(NOW - 20), stamped(NOW - 10, deleted=True)
    dead = [lww.prune_of(edit), delete]
    assert lww.resolve(tree_of((dead[0], edit, ROOT), (delete, ROOT), dead=dead), NOW) == []


def test_what_beat_an_older_delete_is_revived() -> None:
    edit, delete = stamped(NOW - 10), stamped(NOW - 20, deleted=True)
    dead = [lww.prune_of(edit), delete]
    (revive,) = lww.resolve(tree_of((dead[0], edit, ROOT), (delete, ROOT), dead=dead), NOW)
    assert revive.parent == dead[0]


def test_a_delete_that_closes_the_last_leaf_may_reveal_a_newer_edit() -> None:
    edit, delete, closed = stamped(NOW - 30), stamped(NOW - 20, deleted=True), stamped(NOW - 10)
    dead = [delete, lww.prune_of(closed)]
    tree = tree_of((edit, ROOT), (delete, ROOT), (dead[1], closed, ROOT), dead=dead)
    revisions = lww.resolve(tree, NOW)
    assert [one.rev for one in revisions] == [lww.prune_of(edit), lww.revive_of(dead[1])]
    assert lww.resolve(added(tree, revisions), NOW) == []


def test_a_deleted_document_stays_deleted() -> None:
    delete = stamped(NOW, deleted=True)
    assert lww.resolve(tree_of((delete, ROOT), dead=[delete]), NOW) == []


# -- R9: stamps of the far future --


def test_a_stamp_of_the_day_after_tomorrow_is_refused() -> None:
    far = stamped(NOW + 24 * HOUR + 1)
    with pytest.raises(ForbiddenWrite, match="a day ahead"):
        lww.refuse_stamp([foreign("x", far), far], NOW, from_owner=False)
    lww.refuse_stamp([far], NOW, from_owner=True)
    lww.refuse_stamp([far], NOW + 1, from_owner=False)
    lww.refuse_stamp([foreign("x"), ROOT], NOW, from_owner=False)


# -- R10: guard --


def test_the_resolver_keeps_to_its_budget() -> None:
    tree = tree_of(*((stamped(NOW - ago), ROOT) for ago in range(30)))
    assert len(lww.resolve(tree, NOW)) == BUDGET
    assert len(lww.resolve(tree, NOW, budget=3)) == 3
    assert lww.resolve(tree, NOW, budget=0) == []
    assert len(lww.resolve(tree, NOW, budget=100)) == 29


def test_the_budget_comes_back_after_an_hour() -> None:
    assert lww.budget_left([], NOW) == BUDGET
    assert lww.budget_left([NOW - 5] * 4 + [NOW - HOUR], NOW) == BUDGET - 4
    assert lww.budget_left([NOW] * (BUDGET + 1), NOW) == 0


def test_a_document_that_cannot_grow_is_left_alone() -> None:
    low, high = RevId(MAX_POS, "a"), RevId(MAX_POS, "b")
    tree = tree_of((low,), (high,))
    assert lww.resolve(tree, NOW, receipts={low: NOW, high: NOW}) == []
    closed = lww.prune_of(RevId(MAX_POS - 1, "a"))
    dead = tree_of((closed, RevId(MAX_POS - 1, "a")), dead=[closed])
    assert lww.resolve(dead, NOW) == []
