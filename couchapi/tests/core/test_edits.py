"""What one write does to one document."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from couchapi.core import edits, lww, revid, revtree
from couchapi.core.edits import Edit, Outcome, Stored, Terms
from couchapi.core.errors import BadRequest, Conflict, ForbiddenWrite
from couchapi.core.lww import HOUR
from couchapi.core.revid import MAX_POS, RevId
from couchapi.core.revtree import EMPTY, RevTree

NOW = 1_750_000_000_000
LWW = Terms(NOW)
COUCH = Terms(NOW, lww=False)
BODY = b'{"a":1}'
BOTH = pytest.mark.parametrize("terms", [LWW, COUCH], ids=["lww", "couch"])


def edited(tree: RevTree, base: RevId | None, terms: Terms, *, deleted: bool = False) -> Outcome:
    return edits.apply_edit(tree, Edit(base, deleted, BODY), terms)


def brought(
    tree: RevTree, path: Sequence[RevId], terms: Terms = COUCH, *, deleted: bool = False
) -> Outcome:
    return edits.apply_path(tree, path, deleted, terms)


def stamped(ms: int, parent: RevId | None = None) -> RevId:
    return revid.mint(parent, False, b"", (), ms)


def conflict_of(one: RevId, two: RevId) -> RevTree:
    """Return a tree of two first generations."""
    return brought(brought(EMPTY, [one]).tree, [two]).tree


# -- new_edits=true --


@BOTH
def test_a_new_document_begins_at_the_first_generation(terms: Terms) -> None:
    outcome = edited(EMPTY, None, terms)
    assert outcome.rev is not None
    assert outcome.rev.pos == 1
    assert outcome.changed
    assert outcome.stored == (Stored(outcome.rev, False, None),)
    assert revtree.leaves(outcome.tree) == [outcome.rev]
    assert (revid.stamp_of(outcome.rev) == NOW) == terms.lww


@BOTH
def test_an_edit_builds_on_the_leaf_it_names(terms: Terms) -> None:
    first = edited(EMPTY, None, terms)
    second = edited(first.tree, first.rev, terms)
    assert second.rev is not None
    assert revtree.ancestry(second.tree, second.rev) == [second.rev, first.rev]
    assert revtree.leaves(second.tree) == [second.rev]


@BOTH
@pytest.mark.parametrize("deleted", [False, True])
def test_what_does_not_build_on_a_leaf_conflicts(terms: Terms, deleted: bool) -> None:
    first = edited(EMPTY, None, terms)
    second = edited(first.tree, first.rev, terms)
    for base in (None, first.rev, RevId(1, "unheard-of"), RevId(7, "unheard-of")):
        with pytest.raises(Conflict):
            edited(second.tree, base, terms, deleted=deleted)
    with pytest.raises(Conflict):
        edited(EMPTY, RevId(1, "unheard-of"), terms, deleted=deleted)


@BOTH
def test_a_deleted_document_is_continued_without_a_rev(terms: Terms) -> None:
    first = edited(EMPTY, None, terms)
    second = edited(first.tree, first.rev, terms, deleted=True)
    assert revtree.is_deleted(second.tree)
    third = edited(second.tree, None, terms)
    assert third.rev is not None
    assert third.rev.pos == 3
    assert revtree.leaves(third.tree) == [third.rev]
    assert not revtree.is_deleted(third.tree)


@BOTH
def test_deleting_the_deleted_needs_its_rev(terms: Terms) -> None:
    gone = edited(EMPTY, None, terms, deleted=True)
    with pytest.raises(Conflict):
        edited(gone.tree, None, terms, deleted=True)
    again = edited(gone.tree, gone.rev, terms, deleted=True)
    assert again.rev is not None
    assert again.rev.pos == 2


def test_under_couch_an_edit_leaves_conflicts_alone() -> None:
    tree = conflict_of(RevId(1, "a"), RevId(1, "b"))
    outcome = edited(tree, RevId(1, "a"), COUCH)
    assert revtree.leaves(outcome.tree) == [outcome.rev, RevId(1, "b")]
    deleted = edited(tree, RevId(1, "b"), COUCH, deleted=True)
    assert revtree.winner(deleted.tree) == RevId(1, "a")
    assert deleted.added == outcome.added == 0


def test_an_edit_prunes_what_its_writer_could_see() -> None:
    other = stamped(NOW + HOUR)
    tree = conflict_of(RevId(1, "a"), other)
    outcome = edited(tree, RevId(1, "a"), LWW)
    assert outcome.rev is not None
    assert revid.stamp_of(outcome.rev) == NOW + HOUR + 1
    assert revtree.live_leaves(outcome.tree) == [outcome.rev]
    assert outcome.stored == (
        Stored(outcome.rev, False, None),
        Stored(lww.prune_of(other), True, other),
    )
    assert outcome.added == 1
    assert outcome.due is None


def test_deleting_one_of_two_live_leaves_closes_it_and_keeps_its_body() -> None:
    one, two = stamped(NOW), stamped(NOW + HOUR)
    outcome = edited(conflict_of(one, two), two, LWW, deleted=True)
    assert outcome.rev == lww.prune_of(two)
    assert outcome.stored == (Stored(lww.prune_of(two), True, two),)
    assert revtree.live_leaves(outcome.tree) == [one]


def test_deleting_a_tombstone_beside_a_live_leaf_says_nothing() -> None:
    gone, live = stamped(NOW), stamped(NOW - HOUR)
    tree = brought(brought(EMPTY, [gone], deleted=True).tree, [live]).tree
    outcome = edited(tree, gone, LWW, deleted=True)
    assert outcome.rev is not None
    assert revid.stamp_of(outcome.rev) is None
    assert revtree.live_leaves(outcome.tree) == [live]


def test_deleting_the_only_live_leaf_is_a_stamped_delete() -> None:
    first = edited(EMPTY, None, LWW)
    outcome = edited(first.tree, first.rev, LWW, deleted=True)
    assert outcome.rev is not None
    assert revid.stamp_of(outcome.rev) == NOW + 1
    assert outcome.stored == (Stored(outcome.rev, True, None),)


@BOTH
def test_only_so_many_generations_are_remembered(terms: Terms) -> None:
    tree, rev = EMPTY, None
    for _ in range(7):
        outcome = edited(tree, rev, terms._replace(revs_limit=4))
        tree, rev = outcome.tree, outcome.rev
    assert rev is not None
    assert [each.pos for each in revtree.ancestry(tree, rev)] == [7, 6, 5, 4]


@BOTH
def test_the_last_generation_is_not_edited(terms: Terms) -> None:
    deepest = RevId(MAX_POS, "a")
    with pytest.raises(BadRequest):
        edited(brought(EMPTY, [deepest]).tree, deepest, terms)


# -- new_edits=false --


@BOTH
def test_a_history_is_taken_over_as_it_is(terms: Terms) -> None:
    path = revid.path(3, ["c", "b"])
    outcome = brought(EMPTY, path, terms)
    assert outcome.rev == RevId(3, "c")
    assert revtree.ancestry(outcome.tree, RevId(3, "c")) == list(path)
    assert outcome.stored == (Stored(RevId(3, "c"), False, None),)


@BOTH
def test_taking_a_history_twice_changes_nothing(terms: Terms) -> None:
    path = revid.path(2, ["b", "a"])
    tree = brought(EMPTY, path, terms).tree
    again = brought(tree, path, terms)
    assert (again.changed, again.stored, again.tree) == (False, (), tree)
    assert not brought(tree, path[:1], terms).changed


def test_an_ancestor_whose_body_was_missing_is_stored_once() -> None:
    tree = brought(EMPTY, revid.path(2, ["b", "a"])).tree
    outcome = brought(tree, [RevId(1, "a")])
    assert outcome.stored == (Stored(RevId(1, "a"), False, None),)
    assert revtree.leaves(outcome.tree) == [RevId(2, "b")]
    assert not brought(outcome.tree, [RevId(1, "a")]).changed


def test_a_longer_history_of_a_known_revision_changes_the_tree_only() -> None:
    tree = brought(EMPTY, [RevId(2, "b")]).tree
    outcome = brought(tree, revid.path(2, ["b", "a"]))
    assert (outcome.changed, outcome.stored) == (True, ())
    assert len(outcome.tree) == 2


def test_what_is_stemmed_at_once_is_not_stored() -> None:
    terms = COUCH._replace(revs_limit=2)
    tree = brought(EMPTY, revid.path(4, ["d", "c", "b", "a"]), terms).tree
    assert len(tree) == 2
    again = brought(tree, revid.path(4, ["d", "c", "b", "a"]), terms)
    assert not again.changed


def test_under_couch_both_versions_stay() -> None:
    tree = conflict_of(RevId(1, "a"), RevId(1, "b"))
    assert revtree.winner(tree) == RevId(1, "b")
    assert revtree.conflicts(tree) == [RevId(1, "a")]


def test_the_newer_version_wins_in_the_same_step() -> None:
    old, new = stamped(NOW - 20), stamped(NOW - 10)
    for first, second in ((old, new), (new, old)):
        outcome = brought(brought(EMPTY, [first], LWW).tree, [second], LWW)
        assert revtree.live_leaves(outcome.tree) == [new]
        assert outcome.stored == (
            Stored(second, False, None),
            Stored(lww.prune_of(old), True, old),
        )


def test_a_fresh_edit_of_a_client_beats_an_older_one() -> None:
    other = stamped(NOW - 20)
    tree = brought(EMPTY, [other], LWW).tree
    fresh = brought(tree, [RevId(1, "client")], LWW._replace(recent_client=True))
    assert revtree.ancestry(fresh.tree, revtree.leaves(fresh.tree)[0])[1:] == [RevId(1, "client")]
    stale = brought(tree, [RevId(1, "client")], LWW)
    assert revtree.live_leaves(stale.tree) == [other]


def test_a_far_stamp_is_refused_unless_it_is_the_owners_or_known() -> None:
    far = stamped(NOW + 25 * HOUR)
    with pytest.raises(ForbiddenWrite):
        brought(EMPTY, [far], LWW)
    tree = brought(EMPTY, [far], LWW._replace(from_owner=True)).tree
    outcome = brought(tree, [RevId(2, "on-it"), far], LWW)
    assert revtree.leaves(outcome.tree) == [RevId(2, "on-it")]
    assert brought(EMPTY, [far], COUCH).changed


def test_a_held_stamp_is_settled_when_it_is_due() -> None:
    edit, ahead = stamped(NOW), stamped(NOW + HOUR)
    held = brought(brought(EMPTY, [edit], LWW).tree, [ahead], LWW)
    assert sorted(revtree.live_leaves(held.tree)) == sorted([edit, ahead])
    assert held.due is not None
    early = edits.settle(held.tree, LWW._replace(now_ms=held.due - 1))
    assert (early.changed, early.due) == (False, held.due)
    settled = edits.settle(held.tree, LWW._replace(now_ms=held.due))
    assert revtree.live_leaves(settled.tree) == [ahead]
    assert (settled.changed, settled.due, settled.added) == (True, None, 1)


def test_several_revisions_of_one_transaction_are_resolved_together() -> None:
    old, new = stamped(NOW - 20), stamped(NOW - 10)
    pruned = lww.prune_of(old)
    by_itself = brought(EMPTY, [pruned, old], LWW, deleted=True)
    assert revtree.live_leaves(by_itself.tree) == [lww.revive_of(pruned)]
    first = edits.apply_path(EMPTY, [pruned, old], True, LWW, alone=False)
    second = edits.apply_path(first.tree, [new], False, LWW, alone=False)
    assert (first.added, second.added) == (0, 0)
    settled = edits.settle(second.tree, LWW)
    assert not settled.changed
    assert revtree.leaves(settled.tree) == [new, pruned]


def test_beyond_its_budget_the_resolver_stops_and_comes_back() -> None:
    tree = EMPTY
    for ago in range(5):
        tree = brought(tree, [stamped(NOW - ago)]).tree
    outcome = edits.settle(tree, LWW._replace(budget=3))
    assert (outcome.added, outcome.stopped, outcome.due) == (3, True, NOW + HOUR)
    assert len(revtree.live_leaves(outcome.tree)) == 2
    rest = edits.settle(outcome.tree, LWW)
    assert (rest.added, rest.stopped, rest.due) == (1, False, None)
    assert revtree.live_leaves(rest.tree) == [stamped(NOW)]


def test_nothing_is_settled_under_couch() -> None:
    tree = conflict_of(stamped(NOW - 20), stamped(NOW - 10))
    assert not edits.settle(tree, COUCH).changed


STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from(["edit", "path", "stale"])),
    max_size=25,
)


@given(STEPS, st.booleans(), st.sampled_from([2, 1000]))
@settings(deadline=None)
def test_what_is_stored_is_what_the_tree_says(
    steps: list[tuple[int, bool, str]], last_wins: bool, revs_limit: int
) -> None:
    tree, bodies, now = EMPTY, set[RevId](), NOW
    for pick, deleted, kind in steps:
        now += 1000
        terms = Terms(now, lww=last_wins, revs_limit=revs_limit)
        outcome = _stepped(tree, pick, deleted, kind, terms)
        for one in outcome.stored:
            assert one.rev not in bodies
            assert one.body_of is None or one.body_of in bodies
            bodies.add(one.rev)
        assert outcome.changed == (outcome.tree != tree)
        tree = revtree.decode(revtree.encode(outcome.tree))
        assert {rev for rev, node in tree.items() if node.has_body} <= bodies
        assert all(tree[leaf].has_body for leaf in revtree.leaves(tree))
        if last_wins:
            assert len(revtree.live_leaves(tree)) <= 1


def _stepped(tree: RevTree, pick: int, deleted: bool, kind: str, terms: Terms) -> Outcome:
    known = sorted(tree)
    rev = known[pick % len(known)] if known else None
    if kind == "edit" and (rev is None or rev in revtree.leaves(tree)):
        return edited(tree, rev, terms, deleted=deleted)
    if rev is None:
        return brought(tree, [RevId(1, "a")], terms, deleted=deleted)
    path = revtree.ancestry(tree, rev)
    if kind == "path":
        path = [RevId(rev.pos + 1, f"{terms.now_ms}"), *path]
        return brought(tree, path, terms, deleted=deleted)
    return brought(tree, path, terms, deleted=tree[rev].deleted)
