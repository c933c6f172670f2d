"""Every change of the ACL tables raises the version, whichever way it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import transaction

from acl import sql, store
from acl.models import (
    AclVersion,
    AllowedOrigin,
    ApplicationToken,
    ApplicationUse,
    Grant,
    Group,
    Membership,
    Principal,
)
from acl.tests.conftest import key

pytestmark = pytest.mark.usefixtures("acls")


def _version() -> int:
    return sql.read_sync(store.version)


@pytest.fixture
def rows() -> Iterator[list[type]]:
    """One row in each table."""
    anna = Principal.objects.create(name="anna", key=key("anna"))
    group = Group.objects.create(name="friends")
    Membership.objects.create(group=group, principal=anna)
    Grant.objects.create(database="notes", principal=anna, read=True)
    AllowedOrigin.objects.create(origin="https://app.example", principal=anna)
    ApplicationToken.objects.create(principal=anna, digest="d" * 64, made_at=0)
    yield [Principal, Group, Membership, Grant, AllowedOrigin, ApplicationToken]


@pytest.mark.parametrize("number", range(6))
def test_inserts_updates_and_deletes_of_each_table_raise_the_version(
    rows: list[type], number: int
) -> None:
    model = rows[number]
    one = model.objects.get()
    for change in (
        lambda: model.objects.update(**{model._meta.pk.attname: one.pk}),
        lambda: one.save(),
        lambda: model.objects.all().delete(),
        lambda: model.objects.bulk_create([one]),
    ):
        before = _version()
        change()
        assert _version() > before, model


def test_that_an_application_was_used_does_not(rows: list[type]) -> None:
    anna = Principal.objects.get()
    before = _version()
    for now in (1, 2):
        sql.write_sync(lambda one, now=now: store.note_use(one, anna.pk, now))
    assert ApplicationUse.objects.get().used_at == 2
    assert _version() == before


def test_plain_sql_raises_the_version(rows: list[type]) -> None:
    before = _version()
    sql.write_sync(lambda one: one.execute("DELETE FROM acl_grant"))
    assert _version() > before


def test_a_cascade_raises_the_version(rows: list[type]) -> None:
    before = _version()
    Principal.objects.all().delete()
    assert _version() > before
    assert not Grant.objects.exists()


def test_a_change_that_is_rolled_back_does_not(rows: list[type]) -> None:
    before = _version()

    class Stop(Exception):
        """Ends the transaction."""

    def change() -> None:
        with transaction.atomic():
            Group.objects.create(name="more")
            raise Stop

    with pytest.raises(Stop):
        change()
    assert _version() == before


def test_tables_that_were_emptied_do_not_start_at_an_old_number(rows: list[type]) -> None:
    """A process that kept the old ACLs by their number must not take them for the new ones."""
    seen = set()
    for _ in range(8):
        AclVersion.objects.all().delete()
        Group.objects.update(name="friends")
        seen.add(_version())
    assert len(seen) == 8


@pytest.mark.parametrize(
    "write",
    [
        lambda: store.add_group("club"),
        lambda: store.remove_principal("anna"),
        lambda: store.add_grant("db", "friends", read=True, write=False),
        lambda: store.remove_grant("notes", "anna"),
        lambda: store.allow_create_databases("anna"),
        lambda: sql.write_sync(lambda one: store.forget_database(one, "notes")),
    ],
)
def test_what_the_store_writes_raises_the_version(
    rows: list[type], write: Callable[[], object]
) -> None:
    before = _version()
    write()
    assert _version() > before
