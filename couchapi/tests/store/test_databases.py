"""Databases: making, dropping, counting, and the last event of each."""

from __future__ import annotations

from functools import partial

import pytest

from acl import sql
from acl import store as acl_store
from acl.models import Grant
from couchapi.core.errors import DatabaseMissing, FileExists
from couchapi.store import databases, maintenance
from couchapi.tests.store.conftest import Shelf


def _last_event() -> int:
    return sql.read_sync(databases.last_event)


def _events(since: int) -> list[tuple[str, str]]:
    found = sql.read_sync(partial(databases.events, since=since, limit=100))
    assert [seq for seq, _, _ in found] == sorted({seq for seq, _, _ in found})
    return [(name, kind) for _, name, kind in found]


def test_a_new_database_is_empty_and_listed(shelf: Shelf) -> None:
    row = shelf.row()

    assert (row.update_seq, row.doc_count, row.doc_del_count, row.body_size) == (0, 0, 0, 0)
    assert (row.epoch, row.revs_limit, row.security) == ("first", 1000, "{}")
    assert shelf.name in sql.read_sync(databases.names)
    assert row in sql.read_sync(databases.everything)


def test_a_name_can_be_taken_once(shelf: Shelf) -> None:
    with pytest.raises(FileExists):
        sql.write_sync(partial(databases.create, name=shelf.name, policy="lww", epoch="second"))

    assert shelf.row().epoch == "first"


def test_names_are_sorted_by_their_bytes(tables: None) -> None:
    for name in ("sorted-b", "sorted_a", "sorted/a", "sorted$a"):
        sql.write_sync(partial(databases.create, name=name, policy="lww", epoch="x"))

    names = [name for name in sql.read_sync(databases.names) if name.startswith("sorted")]
    listed = [row.name for row in sql.read_sync(databases.everything)]

    assert names == ["sorted$a", "sorted-b", "sorted/a", "sorted_a"]
    assert [name for name in listed if name.startswith("sorted")] == names


def test_a_dropped_database_is_gone_and_its_name_is_free(shelf: Shelf) -> None:
    shelf.put("a")
    sql.write_sync(partial(databases.drop, name=shelf.name))

    assert sql.read_sync(partial(databases.find, name=shelf.name)) is None
    assert shelf.name not in sql.read_sync(databases.names)
    with pytest.raises(DatabaseMissing):
        shelf.put("b")
    sql.write_sync(partial(databases.create, name=shelf.name, policy="lww", epoch="second"))
    assert shelf.changes() == []


def test_grants_go_with_the_database(shelf: Shelf) -> None:
    acl_store.add_principal("dropper", key="d" * 43, kind="friend")
    acl_store.add_grant(shelf.name, "dropper", read=True, write=False, view="", selector="")

    sql.write_sync(partial(databases.drop, name=shelf.name))

    assert not Grant.objects.filter(database=shelf.name).exists()
    acl_store.remove_principal("dropper")


def test_each_database_shows_its_last_event_only(shelf: Shelf) -> None:
    before = _last_event()
    other = Shelf(f"{shelf.name}-other")
    sql.write_sync(partial(databases.create, name=other.name, policy="lww", epoch="x"))
    shelf.put("a")
    other.put("a")
    shelf.put("b")

    assert _events(before) == [(other.name, "updated"), (shelf.name, "updated")]
    sql.write_sync(partial(databases.drop, name=other.name))
    assert _events(before) == [(shelf.name, "updated"), (other.name, "deleted")]
    assert _events(_last_event()) == []


def test_a_write_that_changes_nothing_is_no_event(shelf: Shelf) -> None:
    shelf.arrive("a", "1-aa")
    before = _last_event()

    shelf.arrive("a", "1-aa")

    assert _last_event() == before


def test_settings_of_a_database_are_kept(shelf: Shelf) -> None:
    sql.write_sync(partial(databases.set_security, name=shelf.name, security=b'{"a":"\\u0000"}'))
    sql.write_sync(partial(databases.set_revs_limit, name=shelf.name, limit=7))
    sql.write_sync(partial(databases.set_purged_infos_limit, name=shelf.name, limit=8))

    row = shelf.row()
    assert (row.security, row.revs_limit, row.purged_infos_limit) == ('{"a":"\\u0000"}', 7, 8)


def test_settings_of_a_missing_database_are_refused(tables: None) -> None:
    for job in (
        partial(databases.set_security, security=b"{}"),
        partial(databases.set_revs_limit, limit=1),
        partial(databases.set_purged_infos_limit, limit=1),
        databases.drop,
    ):
        with pytest.raises(DatabaseMissing):
            sql.write_sync(lambda c, job=job: job(c, name="missing"))


def test_a_dropped_database_leaves_in_slices(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    while sql.write_sync(maintenance.drop_slice):
        pass
    number = shelf.row().id
    for docid in "abc":
        shelf.put(docid)
    monkeypatch.setattr(maintenance, "SLICE", 2)
    sql.write_sync(partial(databases.drop, name=shelf.name))

    def left() -> int:
        row = sql.read_sync(
            lambda c: c.one(
                "SELECT count(*) FROM couchapi_document WHERE database_id = %s", (number,)
            )
        )
        assert row is not None
        return int(row[0])

    seen = [left()]
    while sql.write_sync(maintenance.drop_slice):
        seen.append(left())
    assert seen == [3, 1, 0, 0]
    gone = sql.read_sync(
        lambda c: c.all("SELECT 1 FROM couchapi_database WHERE id = %s", (number,))
    )
    assert gone == []
