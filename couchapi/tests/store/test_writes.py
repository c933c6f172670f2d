"""Writing: sequence numbers, counts, refusals, the resolver and what it has to come back to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acl import sql
from couchapi.core import attached, lww, revid, revtree
from couchapi.core.errors import Conflict, DatabaseMissing, MissingStub, NotFound
from couchapi.core.incoming import Inline, Stub
from couchapi.core.revid import RevId, parse
from couchapi.store import attachments, documents, held, maintenance, writes
from couchapi.store.writes import Author, Write
from couchapi.tests.store.conftest import Shelf, foreign

FRIEND = Author(key="friend", is_owner=False)
PHONE = Author(key="phone", is_owner=False, is_client=True)


def test_each_changed_document_of_a_batch_takes_the_next_sequence_number(shelf: Shelf) -> None:
    shelf.write(*(Write(docid, None, False, b"{}") for docid in ("b", "a", "c")))

    assert [(one.seq, one.docid) for one in shelf.changes()] == [(1, "b"), (2, "a"), (3, "c")]
    assert shelf.row().update_seq == 3


def test_a_refused_document_leaves_the_others_alone(shelf: Shelf) -> None:
    shelf.put("a")

    refused, written = shelf.write(Write("a", None, False, b"{}"), Write("b", None, False, b"{}"))

    assert isinstance(refused, Conflict)
    assert isinstance(written, RevId)
    assert shelf.row().update_seq == 2


def test_a_document_twice_in_a_batch_is_written_once_and_conflicts_once(shelf: Shelf) -> None:
    first, second = shelf.write(
        Write("a", None, False, b'{"n":1}'), Write("a", None, False, b'{"n":2}')
    )

    assert isinstance(second, Conflict)
    found = shelf.find("a")
    assert (found.rev, found.body, found.seq) == (str(first), b'{"n":1}', 1)
    assert shelf.row().update_seq == 1
    shelf.check_counts()


def test_a_batch_may_bring_several_revisions_of_a_document(couch_shelf: Shelf) -> None:
    couch_shelf.write(foreign("a", "2-bb", "1-aa"), foreign("a", "2-cc", "1-aa"))

    found = couch_shelf.find("a")
    assert (found.rev, found.leaf_count, found.seq) == ("2-cc", 2, 1)
    couch_shelf.check_counts()


def test_a_leaf_and_the_prune_that_closes_it_may_come_in_one_batch(shelf: Shelf) -> None:
    live = revid.mint(None, False, b"{}", (), shelf.now)
    prune = lww.prune_of(live)
    other = revid.mint(None, False, b'{"n":2}', (), shelf.now + 1)

    shelf.write(
        foreign("a", str(prune), str(live), deleted=True),
        foreign("a", str(live)),
        foreign("a", str(other)),
    )

    found = shelf.find("a")
    assert (found.rev, found.deleted, found.leaf_count) == (str(other), False, 2)
    shelf.check_counts()


def test_a_prune_that_comes_by_itself_is_healed(shelf: Shelf) -> None:
    live = revid.mint(None, False, b"{}", (), shelf.now)

    shelf.arrive("a", str(lww.prune_of(live)), str(live), deleted=True)

    assert not shelf.find("a").deleted
    shelf.check_counts()


def test_fresh_edits_of_a_client_are_stamped_also_when_they_come_in_one_batch(
    shelf: Shelf,
) -> None:
    shelf.write(foreign("a", "1-aa"), foreign("a", "1-bb"), author=PHONE)

    leaves = revtree.leaves(revtree.decode(shelf.find("a").tree))
    assert sum(revid.stamp_of(leaf) is not None for leaf in leaves) >= 1


def test_taking_a_revision_twice_is_taking_it_once(shelf: Shelf) -> None:
    shelf.arrive("a", "2-bb", "1-aa")
    shelf.arrive("a", "2-bb", "1-aa")

    assert shelf.row().update_seq == 1
    shelf.check_counts()


def test_where_the_last_writer_wins_the_older_edit_is_closed_and_its_body_kept(
    shelf: Shelf,
) -> None:
    older = revid.mint(None, False, b"1", (), shelf.now - 10)
    newer = revid.mint(None, False, b"2", (), shelf.now)
    shelf.arrive("a", str(newer))

    shelf.arrive("a", str(older))

    found = shelf.find("a")
    assert (found.rev, found.leaf_count) == (str(newer), 2)
    prune = str(lww.prune_of(older))
    kept = sql.read_sync(partial(documents.bodies, document_id=found.id, revs=[prune, str(older)]))
    assert kept[prune].body == kept[str(older)].body
    shelf.check_counts()


def test_a_held_stamp_is_due_later_and_is_settled_then(shelf: Shelf) -> None:
    shelf.put("a", b'{"n":1}')
    ahead = revid.mint(None, False, b"2", (), shelf.now + lww.HOUR)
    shelf.arrive("a", str(ahead))
    assert len(revtree.live_leaves(revtree.decode(shelf.find("a").tree))) == 2
    seq = shelf.row().update_seq
    due_at = shelf.now + lww.HOUR - lww.HOLD_AFTER
    assert (shelf.name, "a") not in sql.read_sync(lambda c: held.due(c, due_at - 1, 10_000))
    assert (shelf.name, "a") in sql.read_sync(lambda c: held.due(c, due_at, 10_000))

    sql.write_sync(lambda c: writes.settle_due(c, shelf.name, ["a"], due_at))

    found = shelf.find("a")
    assert (found.rev, found.seq) == (str(ahead), seq + 1)
    assert revtree.live_leaves(revtree.decode(found.tree)) == [ahead]
    assert (shelf.name, "a") not in sql.read_sync(lambda c: held.due(c, due_at, 10_000))
    shelf.check_counts()


def test_settling_too_early_changes_nothing(shelf: Shelf) -> None:
    shelf.put("a", b'{"n":1}')
    shelf.arrive("a", str(revid.mint(None, False, b"2", (), shelf.now + lww.HOUR)))
    before = shelf.find("a")

    sql.write_sync(lambda c: writes.settle_due(c, shelf.name, ["a"], shelf.now))

    assert shelf.find("a") == before
    assert shelf.row().update_seq == before.seq


def test_settling_a_document_that_is_gone_changes_nothing(shelf: Shelf) -> None:
    sql.write_sync(lambda c: writes.settle_due(c, shelf.name, ["gone"], shelf.now))

    assert shelf.row().update_seq == 0
    shelf.check_counts()


def test_a_document_that_keeps_the_resolver_busy_is_shown_and_looked_at_in_an_hour(
    shelf: Shelf,
) -> None:
    shelf.put("busy")
    for number in range(lww.BUDGET + 2):
        shelf.arrive(
            "busy", str(revid.mint(None, False, b"%d" % number, (), shelf.now - number - 1))
        )
    stopped = sql.read_sync(lambda c: held.stopped(c, shelf.now, 10_000))
    assert (shelf.name, "busy") in stopped
    assert len(revtree.live_leaves(revtree.decode(shelf.find("busy").tree))) > 1

    later = shelf.now + lww.HOUR
    sql.write_sync(lambda c: writes.settle_due(c, shelf.name, ["busy"], later))

    assert (shelf.name, "busy") not in sql.read_sync(lambda c: held.stopped(c, later, 10_000))
    assert len(revtree.live_leaves(revtree.decode(shelf.find("busy").tree))) == 1
    shelf.check_counts()


def test_only_so_many_ancestors_are_kept(shelf: Shelf) -> None:
    from couchapi.store import databases

    sql.write_sync(partial(databases.set_revs_limit, name=shelf.name, limit=3))
    rev = None
    for _ in range(6):
        rev = shelf.put("a", base=rev)

    assert len(revtree.decode(shelf.find("a").tree)) == 3


def test_writing_to_a_missing_database_is_refused(shelf: Shelf) -> None:
    with pytest.raises(DatabaseMissing):
        Shelf("nowhere").put("a")


def test_an_attachment_is_kept_and_a_stub_finds_it_in_an_edit_of_the_same_batch(
    shelf: Shelf,
) -> None:
    path = (parse("2-bb"), parse("1-aa"))
    text = Inline(b"hello", "text/plain", None)
    shelf.write(
        Write("a", None, False, b"{}", (parse("1-aa"),), {"t": text}),
        Write("a", None, False, b"{}", path, {"t": Stub(text.digest, 1)}),
    )

    (kept,) = attached.decode(shelf.find("a").attachments).values()
    assert kept.digest == text.digest
    assert sql.read_sync(partial(attachments.read_all, blob=kept.blob)) == b"hello"


def test_an_unknown_stub_fails_the_whole_batch(shelf: Shelf) -> None:
    with pytest.raises(MissingStub):
        shelf.write(
            Write("a", None, False, b"{}"),
            Write("b", None, False, b"{}", None, {"t": Stub("md5-x", 1)}),
        )

    assert shelf.row().update_seq == 0
    assert shelf.changes() == []


def test_a_writer_who_may_not_read_cannot_find_an_attachment_by_its_digest(shelf: Shelf) -> None:
    text = Inline(b"secret", "text/plain", None)
    (rev,) = shelf.write(Write("a", None, False, b"{}", None, {"t": text}))
    assert isinstance(rev, RevId)
    guess = Write("a", rev, False, b"{}", None, {"t": Stub(text.digest, 1)})

    with pytest.raises(MissingStub):
        shelf.write(guess, author=FRIEND._replace(may_read=False))
    (written,) = shelf.write(guess, author=FRIEND)

    assert isinstance(written, RevId)


def test_attaching_and_removing_an_attachment_are_edits(shelf: Shelf) -> None:
    rev = shelf.put("a", b'{"n":1}')
    blob = sql.write_sync(lambda c: attachments.store(c, b"hello", "", 1))
    sent = writes.Uploaded(blob, "text/plain", "md5-x", 5)

    def attach(base: RevId | None, uploaded: writes.Uploaded | None) -> object:
        one = sql.read_sync(lambda c: writes.attaching(c, shelf.name, "a", base, "t", uploaded))
        return shelf.write(one)[0] if isinstance(one, writes.Write) else one

    second = attach(rev, sent)
    assert isinstance(second, RevId)
    assert (shelf.find("a").rev, shelf.find("a").body) == (str(second), b'{"n":1}')
    assert list(attached.decode(shelf.find("a").attachments)) == ["t"]
    third = attach(second, None)
    assert isinstance(third, RevId)
    assert attached.decode(shelf.find("a").attachments) == {}
    assert isinstance(attach(third, None), NotFound)
    assert isinstance(attach(None, None), Conflict)
    assert isinstance(attach(parse("7-ff"), sent), Conflict)


DOCIDS = st.sampled_from(["a", "b", "c"])
REVS = st.sampled_from(["aa", "bb", "cc"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), DOCIDS, st.booleans()),
        st.tuples(st.just("path"), DOCIDS, st.lists(REVS, min_size=1, max_size=3), st.booleans()),
        st.tuples(st.just("stamped"), DOCIDS, st.integers(-9, 9), st.booleans()),
        st.tuples(st.just("purge"), DOCIDS),
        st.tuples(st.just("compact")),
    ),
    max_size=12,
)


@pytest.mark.slow
@given(steps=STEPS, policy=st.sampled_from(["lww", "couch"]), at_once=st.integers(1, 4))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_are_always_those_of_a_recount(
    new_shelf: Callable[..., Shelf], steps: list[tuple[object, ...]], policy: str, at_once: int
) -> None:
    shelf = new_shelf(policy)
    batch: list[Write] = []
    for step in steps:
        if step[0] in ("purge", "compact"):
            shelf.write(*batch)
            batch = []
            _make_room(shelf, step)
        else:
            batch.append(_write_of(shelf, step))
        if len(batch) >= at_once:
            shelf.write(*batch)
            batch = []
        shelf.check_counts()
    shelf.write(*batch)
    shelf.check_counts()
    assert len(shelf.changes()) == shelf.row().doc_count + shelf.row().doc_del_count


def _write_of(shelf: Shelf, step: tuple[object, ...]) -> Write:
    kind, docid = step[0], str(step[1])
    if kind == "path":
        names, deleted = step[2], step[3]
        assert isinstance(names, list)
        path = [f"{len(names) - at}-{name}" for at, name in enumerate(names)]
        return foreign(docid, *path, deleted=bool(deleted))
    if kind == "stamped":
        assert isinstance(step[2], int)
        rev = revid.mint(None, bool(step[3]), b"", (), shelf.now + step[2] * 60_000)
        return foreign(docid, str(rev), deleted=bool(step[3]))
    try:
        base = parse(shelf.find(docid).rev)
    except NotFound:
        base = None
    return Write(docid, base, bool(step[2]), b'{"edited":true}')


def _make_room(shelf: Shelf, step: tuple[object, ...]) -> None:
    if step[0] == "compact":
        sql.write_sync(lambda c: maintenance.compact_slice(c, shelf.name, ""))
        return
    docid = str(step[1])
    try:
        leaves = revtree.leaves(revtree.decode(shelf.find(docid).tree))
    except NotFound:
        return
    sql.write_sync(lambda c: maintenance.purge(c, shelf.name, {docid: leaves[:1]}))
