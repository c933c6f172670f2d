"""What the leaves of a tree are to a person: versions that met, and where their bodies are."""

from __future__ import annotations

from couchapi.core import lww, revid, revtree
from couchapi.core.met import Kind, versions
from couchapi.core.revid import RevId

ROOT = revid.mint(None, False, b"{}", (), 1_750_000_000_000)
OLD = revid.mint(ROOT, False, b'{"a":1}', (), 1_750_000_001_000)
NEW = revid.mint(ROOT, False, b'{"a":2}', (), 1_750_000_002_000)


def tree(*histories: tuple[tuple[RevId, ...], bool]) -> revtree.RevTree:
    """Return the tree of histories, newest first, and whether each ends in a deletion."""
    grown = revtree.EMPTY
    for path, deleted in histories:
        grown = revtree.merge(grown, path, deleted)
    return grown


def test_what_lost_is_read_where_it_was_closed() -> None:
    closed = lww.prune_of(OLD)
    shown, other = versions(tree(((NEW, ROOT), False), ((closed, OLD, ROOT), True)))
    assert (shown.tip, shown.kind, shown.clock) == (NEW, Kind.SHOWN, 1_750_000_002_000)
    assert (other.tip, other.kind, other.clock) == (closed, Kind.CLOSED, 1_750_000_001_000)
    assert other.bodies == (closed, OLD)
    assert not other.is_deletion


def test_of_a_deleted_document_the_deletion_is_shown_and_not_what_it_won_over() -> None:
    gone = revid.mint(ROOT, True, b"{}", (), 1_750_000_002_000)
    closed = lww.prune_of(OLD)
    grown = tree(((gone, ROOT), True), ((closed, OLD, ROOT), True))
    assert grown.chains[0].tip == closed
    shown, other = versions(grown)
    assert (shown.tip, shown.is_deletion) == (gone, True)
    assert (other.kind, other.bodies) == (Kind.CLOSED, (closed, OLD))


def test_what_nobody_has_decided_is_open() -> None:
    found = versions(tree(((NEW, ROOT), False), ((OLD, ROOT), False)))
    assert [one.kind for one in found] == [Kind.SHOWN, Kind.OPEN]
    assert found[1].bodies == (found[1].tip,)


def test_a_deletion_is_told_from_a_version_that_was_deleted() -> None:
    gone = revid.mint(ROOT, True, b"{}", (), 1_750_000_001_500)
    _, other = versions(tree(((NEW, ROOT), False), ((gone, ROOT), True)))
    assert (other.kind, other.is_deletion, other.bodies) == (Kind.DELETED, True, ())
    gone = revid.plain(OLD, True, b"{}", ())
    _, other = versions(tree(((NEW, ROOT), False), ((gone, OLD, ROOT), True)))
    assert (other.kind, other.is_deletion, other.bodies) == (Kind.DELETED, False, (OLD,))


def test_foreign_revisions_have_no_time() -> None:
    foreign = RevId(1, "a" * 32)
    (only,) = versions(tree(((foreign,), False)))
    assert only.clock == 0
