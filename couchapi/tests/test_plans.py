"""What a request costs does not grow with the database: SQLite's plans use the indexes.

Every statement of the stores is explained, before and after ANALYZE: its figures must not mislead
the planner into reading a table from end to end.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from django.apps import apps
from django.db import connections

from acl.sql import Sql
from couchapi.core.attached import Attached
from couchapi.core.revid import parse
from couchapi.store import (
    attachments,
    changes,
    databases,
    designs,
    documents,
    held,
    indexes,
    local_documents,
    maintenance,
    segments,
    writes,
)
from couchapi.store.documents import Range
from couchapi.store.indexes import Entry, Fault
from couchapi.store.segments import Span
from couchapi.store.writes import OURSELVES, Author, Write
from couchapi.tests.store.conftest import NOW, foreign

PHONE = Author(key="phone", is_owner=False, is_client=True)
_SCAN = re.compile(r"SCAN (?!j VIRTUAL TABLE|counted$)")


class Explained(Sql):
    """A connection that notes how SQLite goes about each statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, "sqlite")
        self.plans: dict[str, list[str]] = {}

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Explain, then do."""
        self._explain(sql, params)
        return super().execute(sql, params)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Explain, then do."""
        listed = list(rows)
        if listed:
            self._explain(sql, listed[0])
        super().many(sql, listed)

    def _explain(self, sql: str, params: Sequence[Any]) -> None:
        rows = super().execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()
        self.plans[sql] = [row[3] for row in rows]


@pytest.fixture(params=["as it is", "analyzed"])
def connection(request: pytest.FixtureRequest, tables: None) -> Iterator[Explained]:
    """A database in memory with the hub's tables, one large database and two small ones."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    original = sqlite3.connect(connections["default"].settings_dict["NAME"])
    original.backup(copy)
    original.close()
    for model in apps.get_app_config("couchapi").get_models():
        copy.execute(f"DELETE FROM {model._meta.db_table}")  # What other tests have put there.
    explained = Explained(copy)
    for number, size in enumerate((2000, 2, 2)):
        databases.create(explained, f"plans-{number}", policy="lww", epoch="x")
        fill = [Write(f"d{at:04}", None, False, b"{}") for at in range(size)]
        writes.write(explained, f"plans-{number}", fill, OURSELVES, NOW)
    for number in range(100):
        blob = attachments.store(explained, b"x" * (1 + number % 3), "", 1)
        attachments.adopt(explained, [_attached(blob)], 1 + number // 4)
    if request.param == "analyzed":
        copy.execute("ANALYZE")
    explained.plans.clear()
    yield explained
    copy.close()


def _read_documents(c: Sql) -> None:
    number = databases.get(c, "plans-0").id
    found = documents.find(c, "plans-0", "d0001")
    documents.find_many(c, number, ["d0001", "missing"])
    documents.trees(c, number, ["d0001"])
    documents.bodies(c, found.id, [found.rev])
    documents.kept_revs(c, found.id)


def _list_documents(c: Sql) -> None:
    number = databases.get(c, "plans-0").id
    for descending in (False, True):
        for ends in ((None, None), ("d0100", "d0900")):
            for deleted in (False, True):
                within = Range(*ends, descending=descending, include_deleted=deleted)
                for after in (None, "d0500"):
                    documents.page(c, number, within, after=after, skip=0, limit=10)
                    documents.id_page(c, number, within, after=after, skip=0, limit=10)
                documents.count_before(c, number, within, 10)


def _read_changes(c: Sql) -> None:
    number = databases.get(c, "plans-0").id
    writes.write(c, "plans-0", [foreign("f", "1-aa"), foreign("f", "1-bb")], OURSELVES, NOW)
    for descending in (False, True):
        for until in (None, 3000):
            assert changes.page(c, number, 1995, until, 10, descending=descending)
    changes.count_after(c, number, 5, 10)
    databases.events(c, 0, 10)
    databases.last_event(c)


def _write(c: Sql) -> None:
    first = [Write("new", None, False, b"{}"), foreign("f", "1-aa"), foreign("d0001", "1-aa")]
    ((_, rev), *_) = writes.write(c, "plans-0", first, PHONE, NOW)
    assert not isinstance(rev, Exception)
    writes.write(c, "plans-0", [Write("new", rev, True, b"{}")], OURSELVES, NOW)
    writes.settle_due(c, "plans-0", ["d0001"], NOW)
    held.due(c, NOW, 10)
    held.stopped(c, NOW, 10)
    held.ahead(c, NOW, 10)


def _attach(c: Sql) -> None:
    attachments.new_blob(c, "", 1)
    blob = attachments.store(c, b"x", "", 1)
    attachments.unadopted(c, [blob])
    attachments.adopt(c, [_attached(blob)] * 2, 1)
    attachments.uploaders(c, [blob])
    attachments.read(c, blob, 0, 10)
    attachments.read_all(c, blob)
    attachments.remove(c, [blob])
    attachments.give_up(c, 10**9)
    attachments.forget(c, attachments.gone(c, 10))


def _attached(blob: int) -> Attached:
    return Attached(blob, "text/plain", "md5-", 1, 1)


def _local(c: Sql) -> None:
    local_documents.write(c, "plans-0", "", "point", b"{}")
    local_documents.read(c, "plans-0", "", "point")
    local_documents.everything(c, "plans-0", "")
    local_documents.delete(c, "plans-0", "", "point")


def _make_room(c: Sql) -> None:
    writes.write(c, "plans-0", [foreign("f", "1-aa")], OURSELVES, NOW)
    maintenance.purge(c, "plans-0", {"f": [parse("1-aa")]})
    maintenance.purged_infos(c, "plans-0")
    maintenance.compact_slice(c, "plans-0", "d0100")


def _build_an_index(c: Sql) -> None:
    database = databases.get(c, "plans-0")
    index = indexes.make(c, database.id, "s", "javascript")
    entries = [Entry(0, b"%04d" % n, f"d{n:04}", 0, b"1", b"1") for n in range(1990)]
    assert indexes.store(c, index, 1, 0, [], entries)
    index = indexes.of_database(c, database.id)[0]
    assert indexes.store(c, index, 2, 0, ["d0001"], entries[1:2], Fault("d", "timeout", ""))
    documents.changed(c, database.id, 1990, 100, 10**6)
    indexes.purged_since(c, index, 0)
    assert databases.by_id(c, database.id) == database
    assert designs.forget_unused(c, "plans-0") == 1
    indexes.remove_slice(c)


def _read_an_index(c: Sql) -> None:
    index = indexes.make(c, databases.get(c, "plans-0").id, "s", "javascript")
    entries = [Entry(0, b"%04d" % n, f"d{n:04}", 0, b"1", b"1") for n in range(1990)]
    indexes.store(c, index, 1, 0, [], entries)
    for descending in (False, True):
        within = Span((b"0100", "", 0), (b"1900", "", 0))
        indexes.rows(c, index.id, 0, within, descending=descending, limit=10)
        found = segments.page(c, index.id, 0, within, descending=descending, limit=2)
        assert len(found) == 2
        segments.keep(c, "_count", [(found[0], "1")])
    assert segments.count(c, index.id, 0) == 1990
    assert indexes.count_before(c, index.id, 0, (b"1000", "", 0)) == 1000
    assert indexes.position_of(c, index.id, 0, 1000) == (b"1000", "d1000", 0)


@pytest.mark.parametrize(
    "job",
    [
        _read_documents,
        _list_documents,
        _read_changes,
        _write,
        _attach,
        _local,
        _make_room,
        _build_an_index,
        _read_an_index,
    ],
)
def test_no_table_is_read_from_end_to_end(
    connection: Explained, job: Callable[[Sql], None]
) -> None:
    job(connection)

    assert connection.plans
    scanned = {sql: plan for sql, plan in connection.plans.items() if any(map(_SCAN.match, plan))}
    assert not scanned
    sorted_aside = {sql for sql, plan in connection.plans.items() if "TEMP B-TREE" in str(plan)}
    assert not sorted_aside


def test_changes_are_served_from_the_index_alone(connection: Explained) -> None:
    number = databases.get(connection, "plans-0").id
    changes.page(connection, number, 5, None, 10)

    (plan,) = (plan for sql, plan in connection.plans.items() if "d.seq > " in sql)
    assert plan == ["SEARCH d USING COVERING INDEX document_by_seq (database_id=? AND seq>?)"]


def test_a_document_is_found_by_three_look_ups(connection: Explained) -> None:
    documents.find(connection, "plans-0", "d0001")

    ((plan),) = connection.plans.values()
    assert [line.split(" USING")[0] for line in plan] == ["SEARCH b", "SEARCH d", "SEARCH r"]
    assert "(database_id=? AND docid=?)" in plan[1]
    assert "(document_id=? AND rev=?)" in plan[2]


def test_this_test_sees_a_scan(connection: Explained) -> None:
    connection.all("SELECT 1 FROM couchapi_document WHERE rev = %s", ("1-aa",))

    ((plan),) = connection.plans.values()
    assert any(map(_SCAN.match, plan))
