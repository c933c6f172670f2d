"""The one door: who may do what, by the ACLs of this moment."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from acl import gate, store
from acl.authentication import NOBODY, Caller
from acl.core.errors import AccessError, Forbidden, NoCertificate, NotVisible
from acl.core.policy import Permit, Right
from acl.models import Principal
from acl.tests.conftest import key

READ, WRITE, VIEW, ADMIN = Right.READ, Right.WRITE, Right.VIEW, Right.ADMIN
CREATE, OWNER, KNOWN, ANY = Right.CREATE, Right.OWNER, Right.KNOWN, Right.ANY

pytestmark = pytest.mark.usefixtures("people")

STRANGER = Caller(key=key("stranger"), leaf_key=key("stranger"), has_certificate=True)


@pytest.fixture
def people(acls: None) -> None:
    store.register_own(key("owner"), key("device"), key("owner client"))
    for name in ("reader", "writer", "inbox", "viewer", "maker", "nothing"):
        store.add_principal(name, key(name))
    store.add_grant("notes", "reader", read=True, write=False)
    store.add_grant("notes", "writer", read=True, write=True)
    store.add_grant("notes", "inbox", read=False, write=True)
    store.add_grant("notes", "viewer", read=True, write=False, view="d/v")
    store.add_grant("notes", "maker", read=True, write=True, admin=True)
    store.allow_create_databases("maker")


def _caller(name: str, leaf: str | None = None) -> Caller:
    if name == "anonymous":
        return NOBODY
    if name == "stranger":
        return STRANGER
    one = Principal.objects.get(name=name)
    is_owner = one.kind in ("owner", "device")
    return Caller(one.pk, name, one.key, key(leaf) if leaf else one.key, is_owner, True)


def _check(name: str, right: Right, db_name: str | None = "notes", view: str = "") -> Permit:
    return asyncio.run(gate.check(_caller(name), right, db_name, view or None))


def _outcome(name: str, right: Right, db_name: str | None, view: str = "") -> str:
    try:
        _check(name, right, db_name, view)
    except AccessError as error:
        return type(error).__name__
    return "ok"


NO, HID, OUT = "Forbidden", "NotVisible", "NoCertificate"
ASKED = [
    (READ, "notes", ""), (WRITE, "notes", ""), (READ | WRITE, "notes", ""), (VIEW, "notes", "d/v"),
    (VIEW, "notes", "d/w"), (ADMIN, "notes", ""), (OWNER, "notes", ""), (CREATE, "new", ""),
    (OWNER, None, ""), (KNOWN, None, ""), (ANY, None, ""), (READ, "nowhere", ""),
]  # fmt: skip
#             read  write r|w   v     w     admin owner create hub   known any   nowhere
MATRIX = {
    "owner":        ["ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"],
    "this device":  ["ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok"],
    "maker":        ["ok", "ok", "ok", "ok", "ok", "ok", NO, "ok", NO, "ok", "ok", HID],
    "writer":       ["ok", "ok", "ok", "ok", "ok", NO, NO, NO, NO, "ok", "ok", HID],
    "reader":       ["ok", NO, "ok", "ok", "ok", NO, NO, NO, NO, "ok", "ok", HID],
    "inbox":        [NO, "ok", "ok", NO, NO, NO, NO, NO, NO, "ok", "ok", HID],
    "viewer":       [NO, NO, NO, "ok", NO, NO, NO, NO, NO, "ok", "ok", HID],
    "nothing":      [HID, HID, HID, HID, HID, HID, HID, NO, NO, "ok", "ok", HID],
    "stranger":     [HID, HID, HID, HID, HID, HID, HID, NO, NO, NO, "ok", HID],
    "anonymous":    [OUT, OUT, OUT, OUT, OUT, OUT, OUT, OUT, OUT, OUT, "ok", OUT],
}  # fmt: skip


@pytest.mark.parametrize("name", MATRIX)
def test_the_matrix_of_rights_holds(name: str) -> None:
    outcomes = [_outcome(name, *asked) for asked in ASKED]
    assert outcomes == MATRIX[name]


@pytest.mark.parametrize("name", ["nothing", "stranger"])
def test_a_hidden_database_and_none_at_all_get_the_same_words(name: str) -> None:
    with pytest.raises(NotVisible) as there:
        _check(name, READ, "notes")
    with pytest.raises(NotVisible) as nowhere:
        _check(name, READ, "nowhere")
    assert (there.value.status, there.value.word, there.value.reason) == (
        nowhere.value.status,
        nowhere.value.word,
        nowhere.value.reason,
    )


def test_a_right_that_is_taken_away_is_gone_at_the_next_question() -> None:
    assert _check("reader", READ).read
    store.remove_grant("notes", "reader")
    with pytest.raises(NotVisible):
        _check("reader", READ)


def test_a_right_that_is_given_is_there_at_the_next_question() -> None:
    with pytest.raises(Forbidden):
        _check("reader", WRITE)
    store.add_grant("notes", "reader", read=False, write=True)
    assert _check("reader", WRITE).write


@pytest.mark.parametrize("name", ["reader", "this device", "owner"])
def test_a_revoked_principal_is_a_stranger_to_its_open_feeds_too(name: str) -> None:
    caller = _caller(name)
    assert asyncio.run(gate.check(caller, READ, "notes")).read
    Principal.objects.filter(name=name).update(revoked=True)
    with pytest.raises(NotVisible):
        asyncio.run(gate.check(caller, READ, "notes"))
    assert asyncio.run(gate.visible_databases(caller)) == frozenset()


def test_a_removed_principal_is_a_stranger_to_its_open_feeds_too() -> None:
    caller = _caller("reader")
    store.remove_principal("reader")
    with pytest.raises(NotVisible):
        asyncio.run(gate.check(caller, READ, "notes"))


def test_a_lost_device_of_a_friend_can_be_revoked_by_itself() -> None:
    on_phone, on_laptop = _caller("reader", "phone"), _caller("reader", "laptop")
    Principal.objects.create(name="lost", key=key("phone"), revoked=True)
    assert asyncio.run(gate.check(on_laptop, READ, "notes")).read
    with pytest.raises(NotVisible):
        asyncio.run(gate.check(on_phone, READ, "notes"))


# -- groups


def test_a_group_gives_its_members_what_it_holds() -> None:
    store.add_group("club")
    store.add_grant("games", "club", read=True, write=False)
    with pytest.raises(NotVisible):
        _check("nothing", READ, "games")
    store.add_member("club", "nothing")
    permit = _check("nothing", READ, "games")
    assert permit.groups == ("club",)
    store.remove_member("club", "nothing")
    with pytest.raises(NotVisible):
        _check("nothing", READ, "games")


def test_a_group_in_a_group_gives_too_but_not_the_other_way_round() -> None:
    for name in ("all", "some"):
        store.add_group(name)
        store.add_grant(f"of-{name}", name, read=True, write=False)
    store.add_member("all", "some")
    store.add_member("some", "nothing")
    store.add_member("all", "inbox")
    assert _check("nothing", READ, "of-all").groups == ("all", "some")
    assert _check("nothing", READ, "of-some").read
    assert _check("inbox", READ, "of-all").read
    with pytest.raises(NotVisible):
        _check("inbox", READ, "of-some")


def test_groups_in_a_circle_do_no_harm() -> None:
    names = ["a", "b", "c"]
    for name in names:
        store.add_group(name)
        store.add_grant(f"of-{name}", name, read=True, write=False)
    for outer, inner in zip(names, [*names[1:], "a"], strict=True):
        store.add_member(outer, inner)
    store.add_member("a", "a")
    store.add_member("b", "nothing")
    assert all(_check("nothing", READ, f"of-{name}").read for name in names)


# -- selectors


def test_selectors_of_all_read_grants_are_alternatives() -> None:
    store.add_group("club")
    store.add_member("club", "nothing")
    store.add_grant("photos", "nothing", read=True, write=False, selector='{"type":"cat"}')
    store.add_grant("photos", "club", read=True, write=False, selector='{"type":"dog"}')
    selectors = _check("nothing", READ, "photos").selectors
    assert selectors is not None
    assert sorted(one["type"] for one in selectors) == ["cat", "dog"]
    store.add_grant("photos", "club", read=True, write=False)
    assert _check("nothing", READ, "photos").selectors is None


# -- lists of databases


def test_only_databases_that_can_be_read_or_written_are_listed() -> None:
    store.add_grant("more", "reader", read=False, write=True)
    listed = {
        name: asyncio.run(gate.visible_databases(_caller(name)))
        for name in ("reader", "inbox", "viewer", "nothing", "stranger", "anonymous", "owner")
    }
    assert listed == {
        "reader": {"notes", "more"},
        "inbox": {"notes"},
        "viewer": frozenset(),
        "nothing": frozenset(),
        "stranger": frozenset(),
        "anonymous": frozenset(),
        "owner": None,
    }


# -- origins


def _origin(name: str | None, origin: str) -> bool:
    caller = None if name is None else _caller(name)
    return asyncio.run(gate.origin_allowed(caller, origin))


def test_a_page_acts_for_the_principal_it_is_allowed_to() -> None:
    store.allow_origin("reader", "https://app.example")
    assert _origin("reader", "https://app.example")
    assert _origin(None, "https://app.example")
    for name in ("writer", "owner", "owner client"):
        assert not _origin(name, "https://app.example")
    for name, other in itertools.product(
        ("reader", "owner", None), ("https://evil.example", "null", "", "https://app.example.evil")
    ):
        assert not _origin(name, other)


def test_a_page_of_the_owner_acts_for_each_device() -> None:
    store.allow_origin("owner", "https://own.example")
    assert _origin("owner", "https://own.example")
    assert _origin("this device", "https://own.example")
    assert not _origin("reader", "https://own.example")


def test_a_page_for_everybody_acts_for_everybody() -> None:
    store.allow_origin(None, "https://public.example")
    for name in ("owner", "this device", "reader", "stranger", "anonymous", None):
        assert _origin(name, "https://public.example")


def test_an_origin_that_is_taken_back_is_refused_at_once() -> None:
    store.allow_origin("reader", "https://app.example")
    assert _origin("reader", "https://app.example")
    store.disallow_origin("reader", "https://app.example")
    assert not _origin("reader", "https://app.example")
    assert not _origin(None, "https://app.example")


def test_the_version_changes_with_the_acls() -> None:
    before = asyncio.run(gate.acl_version())
    assert asyncio.run(gate.acl_version()) == before
    store.add_group("club")
    assert asyncio.run(gate.acl_version()) > before


def test_no_certificate_has_an_error_of_its_own() -> None:
    with pytest.raises(NoCertificate):
        _check("anonymous", READ)
