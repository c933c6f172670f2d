"""The revision tree against a second model: nested trees, as CouchDB keeps them.

The model is a set of root-to-leaf paths.  A rev's parent follows from its name, as hashes of real
edits do, so that any two histories can be joined.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from couchapi.core import revid, revtree
from couchapi.core.revid import RevId
from couchapi.core.revtree import Node, RevTree

Path = tuple[str, ...]  # the hashes from the root to a leaf
LIMIT = 3

# An edit is named by the way to it: the hash "aba" is the b-child's a-child of the root "a".
# Hence dead leaves end in "x", and histories agree on who descends from whom.
PATHS = st.lists(st.sampled_from("abx"), min_size=1, max_size=7).map(
    lambda letters: tuple("".join(letters[: n + 1]) for n in range(len(letters)))
)
HISTORIES = st.lists(PATHS, max_size=8)


def path_of(path: Path, known: int | None = None) -> tuple[RevId, ...]:
    """Return a path as a replicator sends it: newest first, perhaps stemmed."""
    return revid.path(len(path), path[::-1])[:known]


def is_dead(path: Path) -> bool:
    return path[-1].endswith("x")


def join(paths: Iterable[Path], tree: RevTree = revtree.EMPTY) -> RevTree:
    """Build a tree by taking one path after the other."""
    for path in paths:
        tree = revtree.merge(tree, path_of(path), is_dead(path))
    return tree


def model_leaves(paths: Sequence[Path]) -> list[RevId]:
    """Return the leaves, the best first, by comparing every path with every other."""
    tips = [
        path
        for path in set(paths)
        if not any(other != path and other[: len(path)] == path for other in paths)
    ]
    tips.sort(key=lambda path: (not is_dead(path), len(path), path[-1]), reverse=True)
    return [RevId(len(path), path[-1]) for path in tips]


def model_nodes(paths: Sequence[Path]) -> dict[RevId, RevId | None]:
    """Return every revision with its parent."""
    return {
        RevId(pos, path[pos - 1]): RevId(pos - 1, path[pos - 2]) if pos > 1 else None
        for path in paths
        for pos in range(1, len(path) + 1)
    }


def check_against_the_model(paths: list[Path]) -> None:
    tree = join(paths)
    assert revtree.leaves(tree) == model_leaves(paths)
    assert {rev: node.parent for rev, node in tree.items()} == model_nodes(paths)
    assert len(tree) == len(model_nodes(paths))
    sent = {RevId(len(path), path[-1]): is_dead(path) for path in paths}
    for rev, node in tree.items():
        assert node.has_body == (rev in sent)
        assert node.deleted == sent.get(rev, False)


def check_commutative(paths: list[Path], shuffled: list[Path]) -> None:
    assert join(paths) == join(shuffled)
    assert revtree.leaves(join(paths)) == revtree.leaves(join(shuffled))


def check_associative(one: list[Path], two: list[Path], three: list[Path]) -> None:
    assert join(three, join(two, join(one))) == join([*two, *three], join(one))
    assert join(one, join(two, join(three))) == join(three, join(one, join(two)))


def check_idempotent(paths: list[Path]) -> None:
    tree = join(paths)
    assert join(paths, tree) == tree


def check_stemming(paths: list[Path], limit: int) -> None:
    tree = join(paths)
    stemmed = revtree.stem(tree, limit)
    assert revtree.leaves(stemmed) == revtree.leaves(tree)
    assert revtree.winner(stemmed) == revtree.winner(tree)
    near = {rev for tip in model_leaves(paths) for rev in revtree.ancestry(tree, tip)[:limit]}
    assert set(stemmed) == near
    for tip in revtree.leaves(tree):
        kept = revtree.ancestry(stemmed, tip)
        assert kept == revtree.ancestry(tree, tip)[: len(kept)]
        assert len(kept) >= min(limit, tip.pos)


def check_round_trip(paths: list[Path]) -> None:
    tree = join(paths)
    again = revtree.decode(revtree.encode(tree))
    assert again == tree
    assert revtree.leaves(again) == revtree.leaves(tree)
    assert revtree.conflicts(again) == revtree.conflicts(tree)
    assert revtree.from_nodes(tree.nodes()) == tree


PROPERTIES: list[tuple[Callable[..., None], st.SearchStrategy[object]]] = [
    (check_against_the_model, st.tuples(HISTORIES)),
    (
        check_commutative,
        HISTORIES.flatmap(lambda paths: st.tuples(st.just(paths), st.permutations(paths))),
    ),
    (check_associative, st.tuples(HISTORIES, HISTORIES, HISTORIES)),
    (check_idempotent, st.tuples(HISTORIES)),
    (check_stemming, st.tuples(HISTORIES, st.integers(1, 8))),
    (check_round_trip, st.tuples(HISTORIES)),
]
EVERY_PROPERTY = pytest.mark.parametrize(
    ("check", "strategy"), PROPERTIES, ids=[check.__name__ for check, _ in PROPERTIES]
)


def run(check: Callable[..., None], strategy: st.SearchStrategy[object], examples: int) -> None:
    """Try a property on that many random histories."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def holds(arguments: tuple[object, ...]) -> None:
        check(*arguments)

    holds()


@pytest.mark.slow
@EVERY_PROPERTY
def test_a_property_of_histories_holds(
    check: Callable[..., None], strategy: st.SearchStrategy[object]
) -> None:
    run(check, strategy, 200)


@pytest.mark.slow
def test_merging_holds_in_ten_thousand_histories() -> None:
    """The merge properties on histories from a generator that is faster than Hypothesis'."""
    chance = random.Random(20)

    def history() -> list[Path]:
        return [
            tuple("".join(letters[: n + 1]) for n in range(len(letters)))
            for _ in range(chance.randrange(7))
            for letters in [chance.choices("abx", k=chance.randrange(1, 8))]
        ]

    for _ in range(10_000):
        paths, more = history(), history()
        check_against_the_model(paths)
        check_commutative(paths, chance.sample(paths, len(paths)))
        check_associative(paths, more, paths[:3])
        check_idempotent(paths)


@given(HISTORIES, st.data())
@settings(deadline=None)
def test_partial_histories_join_when_the_missing_part_comes(
    paths: list[Path], data: st.DataObject
) -> None:
    cut = [(path_of(path, data.draw(st.integers(1, len(path)))), is_dead(path)) for path in paths]
    tree = revtree.EMPTY
    for revs, deleted in cut:
        tree = revtree.merge(tree, revs, deleted)
    assert revtree.decode(revtree.encode(tree)) == tree
    assert join(paths, tree) == join(paths)


@given(HISTORIES, st.data())
@pytest.mark.slow
def test_purging_leaves_what_the_other_leaves_need(paths: list[Path], data: st.DataObject) -> None:
    tips = model_leaves(paths)
    purged = set(data.draw(st.lists(st.sampled_from(tips)))) if tips else set()
    rest, removed = revtree.without_leaves(join(paths), [*purged, RevId(1, "unheard-of")])
    kept = [path for path in paths if not any(path[-1] == rev.hash for rev in purged)]
    kept = [
        path
        for path in kept
        if any(tip.hash.startswith(path[-1]) for tip in tips if tip not in purged)
    ]
    assert removed == [tip for tip in tips if tip in purged]
    assert revtree.leaves(rest) == [tip for tip in tips if tip not in purged]
    assert set(rest) == set(model_nodes(kept))


@given(HISTORIES, st.data())
def test_ancestry_latest_and_missing_agree_with_the_model(
    paths: list[Path], data: st.DataObject
) -> None:
    tree = join(paths)
    parents = model_nodes(paths)
    assert revtree.missing(tree, [RevId(1, "c"), *parents]) == [RevId(1, "c")]
    for rev in parents:
        ancestry = revtree.ancestry(tree, rev)
        assert [each.hash for each in ancestry] == [rev.hash[:n] for n in range(rev.pos, 0, -1)]
        below = [tip for tip in model_leaves(paths) if tip.hash.startswith(rev.hash)]
        assert revtree.latest(tree, rev) == below
    assert revtree.ancestry(tree, RevId(1, "c")) == []
    assert revtree.latest(tree, RevId(1, "c")) == []


@given(HISTORIES)
def test_compaction_leaves_bodies_to_leaves_only(paths: list[Path]) -> None:
    tree = join(paths)
    compacted = revtree.without_old_bodies(tree)
    assert {rev for rev, node in compacted.items() if node.has_body} == set(revtree.leaves(tree))
    assert [node.deleted for node in compacted.values()] == [n.deleted for n in tree.values()]


def test_an_empty_tree_has_no_winner() -> None:
    assert revtree.winner(revtree.EMPTY) is None
    assert revtree.leaves(revtree.EMPTY) == []
    assert not revtree.is_deleted(revtree.EMPTY)
    assert revtree.decode(revtree.encode(revtree.EMPTY)) == revtree.EMPTY


def test_a_live_leaf_wins_over_a_deeper_deleted_one() -> None:
    tree = join([("a",), ("a", "ab", "abx"), ("a", "aa")])
    assert revtree.winner(tree) == RevId(2, "aa")
    assert revtree.conflicts(tree) == []
    assert revtree.deleted_conflicts(tree) == [RevId(3, "abx")]


def test_possible_ancestors_are_leaves_of_a_lower_generation() -> None:
    tree = join([("a", "ab", "aba"), ("a", "aa"), ("b",)])
    assert revtree.possible_ancestors(tree, RevId(3, "c")) == [RevId(2, "aa"), RevId(1, "b")]
    assert revtree.possible_ancestors(tree, RevId(1, "c")) == []


def test_a_linear_tree_is_stored_as_its_hashes() -> None:
    tree = join([("a", "ab", "aba")])
    assert revtree.encode(tree) == b"3\n1aba\n0ab\n0a"


def test_a_branch_names_where_it_forks() -> None:
    tree = join([("a", "ab", "aba"), ("a", "ax")])
    assert revtree.encode(tree) == b"3\n1aba\n0ab\n0a 2\n3ax\n^a"


def test_an_edit_onto_the_losing_branch_can_make_it_win() -> None:
    tree = join([("a", "ab", "aba"), ("a", "aa"), ("a", "aa", "aaa", "aaaa")])
    assert revtree.leaves(tree) == [RevId(4, "aaaa"), RevId(3, "aba")]
    assert revtree.ancestry(tree, RevId(3, "aba"))[-1] == RevId(1, "a")


def test_an_old_revision_after_stemming_is_a_conflict_until_a_history_joins_it() -> None:
    """CouchDB has these spurious conflicts, too."""
    whole = tuple("a" * n for n in range(1, 9))
    stemmed = revtree.stem(join([whole]), LIMIT)
    assert len(stemmed) == LIMIT
    old = revtree.merge(stemmed, revid.path(2, ["aa"]))
    assert revtree.conflicts(old) == [RevId(2, "aa")]
    joined = revtree.merge(old, path_of((*whole, "a" * 9)))
    assert revtree.leaves(joined) == [RevId(9, "a" * 9)]


def test_a_rev_with_two_parents_keeps_the_first() -> None:
    """No honest replica tells this; it must not make a leaf without a body."""
    tree = revtree.merge(revtree.EMPTY, revid.path(2, ["same", "one"]))
    assert revtree.merge(tree, revid.path(2, ["same", "two"])) == tree
    grown = revtree.merge(tree, revid.path(3, ["next", "same", "two"]))
    assert revtree.leaves(grown) == [RevId(3, "next")]
    assert RevId(1, "two") not in grown


def test_a_body_that_comes_after_the_name_is_noted() -> None:
    tree = revtree.merge(revtree.EMPTY, revid.path(2, ["b", "a"]))
    assert tree[RevId(1, "a")] == Node(None, False, has_body=False)
    assert revtree.merge(tree, revid.path(1, ["a"]), deleted=True)[RevId(1, "a")] == Node(
        None, True
    )


def test_a_tree_does_not_equal_what_is_no_tree() -> None:
    assert join([("a",)]) != {RevId(1, "a"): Node(None)}
    assert repr(join([("a",)])) == "RevTree(b'1\\n1a')"


def test_a_thousand_generations_are_kept_in_a_text_of_their_hashes() -> None:
    hashes = [f"{n:032x}" for n in range(1000)]
    tree = revtree.merge(revtree.EMPTY, revid.path(1000, hashes))
    encoded = revtree.encode(tree)
    assert len(encoded) == len("1000") + 1000 * 34
    assert revtree.ancestry(revtree.decode(encoded), RevId(1000, hashes[0]))[-1].pos == 1
    grown = revtree.stem(revtree.merge(tree, revid.path(1001, ["new", hashes[0]])), 1000)
    assert len(grown) == 1000
    assert RevId(2, hashes[998]) in grown
    assert RevId(1, hashes[999]) not in grown


def test_a_tree_is_begun_as_by_joining_its_first_revision() -> None:
    rev = RevId(1, "a" * 32)
    assert revtree.encode(revtree.begun(rev)) == revtree.encode(
        revtree.merge(revtree.EMPTY, (rev,))
    )
