"""Applications in the tables: rights, tokens, and when they were used."""

from __future__ import annotations

import asyncio
import time

import pytest

from acl import authentication, gate, sql, store, usage
from acl.core import tokens
from acl.core.errors import AccessError, HubError, NoSuchHolder, RefusedError
from acl.core.policy import Right
from acl.models import ApplicationToken, Principal
from acl.store import Rights
from acl.tests.conftest import key

pytestmark = pytest.mark.usefixtures("acls")

TOKEN = tokens.spelled(bytes(32))
DIGEST = tokens.digest_of(TOKEN)


@pytest.fixture
def notes() -> Principal:
    """An application that may read and write `notes`, and write `inbox`."""
    return store.add_application(
        "notes",
        key("notes"),
        [Rights("notes"), Rights("inbox", read=False)],
        origins=["https://notes.example"],
    )


def _caller(now: float = 10.0) -> authentication.Caller | None:
    return asyncio.run(authentication.of_token(DIGEST, now))


def test_an_application_has_its_rights_and_pages(notes: Principal) -> None:
    [found] = store.list_applications()
    assert [(one.database, one.read, one.write) for one in found.grants] == [
        ("inbox", False, True),
        ("notes", True, True),
    ]
    assert found.origins == ["https://notes.example"]
    assert (found.token, found.used_at) == (None, None)
    assert not notes.may_create_databases


def test_an_application_that_cannot_be_made_leaves_nothing() -> None:
    with pytest.raises(HubError):
        store.add_application("notes", key("notes"), [Rights("notes")], origins=["no origin"])
    assert not Principal.objects.exists()


def test_a_token_names_its_application_until_it_ends(notes: Principal) -> None:
    store.put_token("notes", DIGEST, 5, 20)
    found = _caller(now=19.9)
    assert found is not None
    assert (found.principal_id, found.is_owner, found.has_certificate) == (notes.pk, False, False)
    assert _caller(now=20) is None


def test_a_new_token_ends_the_one_before(notes: Principal) -> None:
    store.put_token("notes", DIGEST, 5, None)
    store.put_token("notes", tokens.digest_of("another"), 6, None)
    assert _caller() is None
    assert ApplicationToken.objects.count() == 1


def test_revoking_ends_the_token_and_it_does_not_come_back(notes: Principal) -> None:
    store.put_token("notes", DIGEST, 5, None)
    store.revoke_application("notes", 9)
    assert _caller() is None
    with pytest.raises(RefusedError, match="revoked"):
        store.put_token("notes", DIGEST, 5, None)
    store.restore_application("notes")
    assert _caller() is None
    store.put_token("notes", DIGEST, 5, None)
    assert _caller() is not None


@pytest.mark.parametrize("kind", [kind for kind in Principal.Kind.values if kind != "application"])
def test_only_applications_have_tokens(kind: str) -> None:
    somebody = Principal.objects.create(name="somebody", key=key("somebody"), kind=kind)
    for change in (
        lambda: store.put_token("somebody", DIGEST, 0, None),
        lambda: store.revoke_application("somebody", 0),
        lambda: store.restore_application("somebody"),
    ):
        with pytest.raises(NoSuchHolder):
            change()
    ApplicationToken.objects.create(principal=somebody, digest=DIGEST, made_at=0)
    assert _caller() is None


def test_revoking_does_not_prolong_a_token_that_has_ended(notes: Principal) -> None:
    store.put_token("notes", DIGEST, 5, 7)
    store.revoke_application("notes", 9)
    [found] = store.list_applications()
    assert found.token is not None
    assert found.token.expires_at == 7


def test_the_gate_asks_for_the_token_each_time(notes: Principal) -> None:
    now = int(time.time())
    store.put_token("notes", DIGEST, now, now + 1000)
    caller = _caller(now)
    assert caller is not None
    permit = asyncio.run(gate.check(caller, Right.READ, "notes"))
    assert permit.is_application
    store.put_token("notes", DIGEST, now, now - 1)
    assert asyncio.run(gate.permit_of(caller, "notes")).is_known is False


def test_a_caller_whose_token_ended_is_refused(notes: Principal) -> None:
    store.put_token("notes", DIGEST, 0, 20)
    caller = _caller()
    assert caller is not None
    for right in (Right.READ, Right.KNOWN, Right.APPLICATION):
        with pytest.raises(AccessError):
            asyncio.run(gate.check(caller, right, "notes"))


def test_only_the_owner_and_applications_have_the_right_of_applications(notes: Principal) -> None:
    store.put_token("notes", DIGEST, 0, None)
    store.add_principal("friend", key("friend"))
    friend = store.find_principal("friend")
    by_token = _caller()
    assert by_token is not None
    known = authentication.Caller(friend.pk, "friend", friend.key, has_certificate=True)
    assert asyncio.run(gate.permit_of(by_token)).allows(Right.APPLICATION)
    assert not asyncio.run(gate.permit_of(known)).allows(Right.APPLICATION)


def test_that_it_was_used_is_written_without_waiting(notes: Principal) -> None:
    usage._noted.clear()

    async def use() -> None:
        usage.note(notes.pk)
        async with asyncio.timeout(10):
            while await sql.first("SELECT 1 FROM acl_applicationuse") is None:
                await asyncio.sleep(0)

    before = int(time.time())
    asyncio.run(use())
    [found] = store.list_applications()
    assert found.used_at is not None
    assert found.used_at >= before


def test_the_use_of_an_application_that_is_gone_is_nothing(notes: Principal) -> None:
    sql.write_sync(lambda connection: store.note_use(connection, notes.pk + 1, 5))
    [found] = store.list_applications()
    assert found.used_at is None
