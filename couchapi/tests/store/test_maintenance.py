"""Making room: purges leave no trace, compaction keeps leaves and frees blobs."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from couchapi import tasks
from couchapi.core import attached, revtree
from couchapi.core.errors import ContentMissing
from couchapi.core.incoming import Inline, Stub
from couchapi.core.revid import RevId, parse
from couchapi.store import attachments, databases, documents, maintenance
from couchapi.store.writes import Write
from couchapi.tests.store.conftest import Shelf


def _purge(shelf: Shelf, docid: str, *revs: str | RevId) -> list[str]:
    asked = {docid: [parse(str(rev)) for rev in revs]}
    _, purged = sql.write_sync(lambda c: maintenance.purge(c, shelf.name, asked))
    return purged[docid]


def _compact(shelf: Shelf) -> list[str | None]:
    """Compact, and return where each slice ended."""
    ends: list[str | None] = [""]
    while ends[-1] is not None:
        job = partial(maintenance.compact_slice, db_name=shelf.name, after=ends[-1])
        ends.append(sql.write_sync(job)[0])
    return ends[1:]


def _blobs(shelf: Shelf) -> int:
    return shelf.count(
        "SELECT count(*) FROM couchapi_blob b JOIN couchapi_document d ON d.id = b.document_id"
        " WHERE d.database_id = %s"
    )


def test_purging_the_only_leaf_removes_the_document(shelf: Shelf) -> None:
    rev = shelf.put("a", b'{"n":1}')

    assert _purge(shelf, "a", rev) == [str(rev)]

    row = shelf.row()
    assert shelf.changes() == []
    assert (row.doc_count, row.body_size, row.update_seq, row.purge_seq) == (0, 0, 2, 1)
    shelf.check_counts()
    assert shelf.put("a", b'{"n":1}').pos == 1


def test_purging_the_winner_shows_the_other_leaf(couch_shelf: Shelf) -> None:
    couch_shelf.arrive("a", "2-bb", "1-aa")
    couch_shelf.arrive("a", "2-cc", "1-aa")

    assert _purge(couch_shelf, "a", "2-cc", "9-missing") == ["2-cc"]

    found = couch_shelf.find("a")
    assert (found.rev, found.leaf_count, found.seq) == ("2-bb", 1, 3)
    assert "2-cc" not in revtree.encode(revtree.decode(found.tree)).decode()
    couch_shelf.check_counts()


def test_purging_what_closed_a_document_opens_it(couch_shelf: Shelf) -> None:
    couch_shelf.arrive("a", "1-aa")
    couch_shelf.arrive("a", "2-dd", "1-bb", deleted=True)
    couch_shelf.arrive("a", "2-ee", "1-aa", deleted=True)
    assert couch_shelf.row().doc_del_count == 1

    _purge(couch_shelf, "a", "2-ee")

    couch_shelf.check_counts()


def test_what_is_no_leaf_is_not_purged(shelf: Shelf) -> None:
    first = shelf.put("a")
    shelf.put("a", base=first)

    assert _purge(shelf, "a", first) == []
    assert _purge(shelf, "missing", first) == []
    assert shelf.row().purge_seq == 0


def test_only_the_newest_purges_are_remembered(shelf: Shelf) -> None:
    sql.write_sync(partial(databases.set_purged_infos_limit, name=shelf.name, limit=2))
    for docid in "abc":
        _purge(shelf, docid, shelf.put(docid))

    infos = sql.read_sync(partial(maintenance.purged_infos, db_name=shelf.name))

    assert [docid for _, docid, _ in infos] == ["b", "c"]
    assert len({one for one, _, _ in infos}) == 2


def test_compaction_keeps_every_leaf_and_frees_the_rest(couch_shelf: Shelf) -> None:
    couch_shelf.arrive("a", "1-aa")
    couch_shelf.arrive("a", "2-bb", "1-aa")
    couch_shelf.arrive("a", "2-cc", "1-aa")
    before = couch_shelf.find("a")

    _compact(couch_shelf)

    after = couch_shelf.find("a")
    assert after._replace(tree=b"") == before._replace(tree=b"")
    assert sql.read_sync(lambda c: documents.kept_revs(c, after.id)) == {"2-bb", "2-cc"}
    tree = revtree.decode(after.tree)
    assert set(tree) == set(revtree.decode(before.tree))
    assert not tree[parse("1-aa")].has_body
    couch_shelf.check_counts()


def test_compaction_goes_through_all_slices(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for docid in "abcde":
        shelf.put(docid, b'{"n":2}', shelf.put(docid, b'{"n":1}'))
    monkeypatch.setattr(maintenance, "SLICE", 2)

    assert _compact(shelf) == ["b", "d", None]

    assert shelf.row().body_size == 5 * len(b'{"n":2}')
    shelf.check_counts()


def test_compaction_frees_the_attachments_that_no_leaf_has(shelf: Shelf) -> None:
    old, kept = Inline(b"old", "text/plain", None), Inline(b"kept", "text/plain", None)
    (first,) = shelf.write(Write("a", None, False, b"{}", None, {"o": old, "k": kept}))
    assert isinstance(first, RevId)
    shelf.write(Write("a", first, False, b"{}", None, {"k": Stub(kept.digest, 1)}))
    assert _blobs(shelf) == 2

    _compact(shelf)

    (one,) = attached.decode(shelf.find("a").attachments).values()
    assert sql.read_sync(partial(attachments.read_all, blob=one.blob)) == b"kept"
    assert _blobs(shelf) == 1
    shelf.check_counts()


def test_purging_frees_attachments(shelf: Shelf) -> None:
    (rev,) = shelf.write(
        Write("a", None, False, b"{}", None, {"t": Inline(b"x", "text/plain", None)})
    )
    assert isinstance(rev, RevId)
    (one,) = attached.decode(shelf.find("a").attachments).values()

    _purge(shelf, "a", rev)

    shelf.check_counts()
    tasks.remove_contents(0)
    with pytest.raises(ContentMissing):
        sql.read_sync(partial(attachments.read_all, blob=one.blob))
