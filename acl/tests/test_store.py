"""People, groups and grants as the command line and the admin keep them."""

from __future__ import annotations

import json

import orjson
import pytest

from acl import sql, store
from acl.core import keys
from acl.core.errors import AlreadyThere, BadName, NoSuchHolder, RefusedError
from acl.models import AllowedOrigin, Grant, Principal
from acl.store.people import rename_principal
from acl.tests.conftest import key

pytestmark = pytest.mark.usefixtures("acls")


def _grants() -> list[tuple[str, str, bool, bool, bool, str, str]]:
    return [
        (one.database, str(one.principal or one.group), one.read, one.write, one.admin, one.view,
         one.selector)
        for one in store.list_grants()
    ]  # fmt: skip


# -- principals


def test_a_principal_is_known_by_its_key() -> None:
    store.add_principal("anna", key("anna"))
    found = store.find_principal("anna")
    assert (found.key, found.kind, found.revoked) == (key("anna"), "friend", False)


def test_a_name_or_key_that_is_taken_is_refused() -> None:
    store.add_principal("anna", key("anna"))
    store.add_group("friends")
    for name, of in (("anna", "other"), ("friends", "other"), ("berta", "anna")):
        with pytest.raises(AlreadyThere):
            store.add_principal(name, key(of))
    with pytest.raises(AlreadyThere):
        store.add_group("anna")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " anna",
        "anna ",
        "a/b",
        "a\nb",
        "a\0b",
        "x" * 65,
        "a\u202eb",
        "a\u2028b",
        "\u200d",
        "\udcff",
    ],
)
def test_a_name_that_would_mislead_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        store.add_principal(name, key("anna"))
    with pytest.raises(BadName):
        store.add_group(name)


@pytest.mark.parametrize("name", ["Anna B.", "Ærø", "安娜", "نرم‌افزار", "👩‍🚀", "x" * 64])
def test_a_name_of_any_script_is_taken(name: str) -> None:
    assert store.add_principal(name, key("anna")).name == name


@pytest.mark.parametrize(
    ("name", "like_it"),
    [
        ("Anna", "anna"),
        ("Zoe\u0301", "Zo\u00e9"),
        ("\uff21nna", "Anna"),
        ("Stra\u00dfe", "STRASSE"),
        ("An\u200dna", "Anna"),
        ("\ufb01le", "file"),
    ],
    ids=ascii,
)
def test_a_name_that_looks_like_another_is_taken(name: str, like_it: str) -> None:
    store.add_principal(name, key("one"))
    with pytest.raises(AlreadyThere, match=name):
        store.add_principal(like_it, key("two"))
    with pytest.raises(AlreadyThere, match=name):
        store.add_group(like_it)


def test_a_name_that_looks_like_a_key_is_refused() -> None:
    of_somebody = key("somebody")
    for name in (f"sha256:{of_somebody}", "SHA256:x", of_somebody, keys.key_text(of_somebody)):
        with pytest.raises(BadName):
            store.add_principal(name, key("one"))
        with pytest.raises(BadName):
            store.add_group(name)


def test_a_key_that_is_known_is_refused_with_the_name_that_it_has() -> None:
    store.register_own(key("identity"), key("device"), key("client"))
    with pytest.raises(AlreadyThere, match="“this device”[.]"):
        store.add_principal("anna", key("device"))
    store.remove_principal("this device")
    with pytest.raises(AlreadyThere, match="“this device” .revoked.[.]"):
        store.add_principal("anna", key("device"))


def test_a_removed_principal_leaves_no_grant_behind() -> None:
    store.add_principal("anna", key("anna"))
    store.add_grant("notes", "anna", read=True, write=True)
    assert store.remove_principal("anna")
    assert not Grant.objects.exists()
    store.add_principal("anna", key("another"))
    assert _grants() == []


def test_a_device_is_revoked_and_stays_known() -> None:
    store.register_own(key("identity"), key("device"), key("owner"))
    assert not store.remove_principal("this device")
    assert Principal.objects.get(key=key("device")).revoked
    store.register_own(key("identity"), key("device"), key("owner"))
    assert Principal.objects.get(key=key("device")).revoked


def test_a_principal_gets_another_name_that_is_free_or_its_own() -> None:
    store.add_principal("anna", key("anna"))
    store.add_principal("berta", key("berta"))
    rename_principal("anna", "Anna")
    assert store.find_principal("Anna").key == key("anna")
    with pytest.raises(AlreadyThere):
        rename_principal("Anna", "BERTA")
    assert store.find_principal("Anna").key == key("anna")


def test_the_owner_cannot_be_removed() -> None:
    store.register_own(key("identity"), key("device"), key("owner"))
    with pytest.raises(RefusedError, match="your own"):
        store.remove_principal("owner")


def test_our_keys_never_take_the_place_of_somebody_of_the_same_name() -> None:
    store.add_principal("owner", key("a friend"))
    store.register_own(key("identity"), key("device"), key("client"))
    assert store.find_principal("owner").key == key("a friend")
    assert Principal.objects.get(key=key("identity")).kind == "owner"


def test_our_key_that_was_known_by_another_name_becomes_ours() -> None:
    store.add_principal("me elsewhere", key("identity"))
    store.register_own(key("identity"), key("device"), key("client"))
    assert store.find_principal("me elsewhere").kind == "owner"


def test_registering_twice_changes_nothing() -> None:
    store.register_own(key("identity"), key("device"), key("client"))
    before = sql.read_sync(store.version)
    store.register_own(key("identity"), key("device"), key("client"))
    assert sql.read_sync(store.version) == before


def test_an_unknown_name_is_refused() -> None:
    for ask in (store.find_principal, store.remove_principal, store.find_holder):
        with pytest.raises(NoSuchHolder):
            ask("nobody")


def test_an_origin_is_kept_as_browsers_send_it() -> None:
    anna = store.add_principal("anna", key("anna"))
    store.allow_origin("anna", "https://App.Example:8443")
    store.allow_origin("anna", "https://app.example:8443")
    assert store.origins_by_principal() == {anna.pk: ["https://app.example:8443"]}
    store.disallow_origin("anna", "https://APP.example:8443")
    assert store.origins_by_principal() == {}
    with pytest.raises(NoSuchHolder):
        store.disallow_origin("anna", "https://app.example:8443")


def test_an_origin_that_stands_twice_for_everybody_is_one() -> None:
    for _ in range(2):
        AllowedOrigin.objects.create(origin="https://app.example", principal=None)
    store.allow_origin(None, "https://app.example")
    store.disallow_origin(None, "https://app.example")
    assert store.origins_by_principal() == {}


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "*",
        "null",
        "app.example",
        "https://",
        "https://a/",
        "https://u@a",
        "https://a b",
        "https://*.example",
        "https://b\u00fccher.example",
        "https://a:x",
        "https://a:1:2",
        "https://a\x01",
        "https://[::1",
        "https://a\\b",
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    store.add_principal("anna", key("anna"))
    with pytest.raises(BadName):
        store.allow_origin("anna", origin)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("https://App.example:443", "https://app.example"),
        ("http://a:80", "http://a"),
        ("https://a:80", "https://a:80"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("app://obsidian.md", "app://obsidian.md"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_that_is_typed_another_way_means_what_browsers_send(
    typed: str, sent: str
) -> None:
    assert store.check_origin(typed) == sent
    store.allow_origin(None, typed)
    assert store.origins_by_principal() == {None: [sent]}
    store.disallow_origin(None, typed)
    assert store.origins_by_principal() == {}


# -- groups


def test_groups_have_principals_and_groups() -> None:
    store.add_principal("anna", key("anna"))
    store.add_group("family")
    store.add_group("everybody")
    store.add_member("family", "anna")
    store.add_member("family", "anna")
    store.add_member("everybody", "family")
    assert store.list_groups() == [("everybody", ["family"]), ("family", ["anna"])]
    store.remove_member("everybody", "family")
    assert store.list_groups() == [("everybody", []), ("family", ["anna"])]
    with pytest.raises(NoSuchHolder):
        store.remove_member("everybody", "family")


def test_a_removed_group_leaves_its_members_but_no_grant() -> None:
    store.add_principal("anna", key("anna"))
    store.add_group("family")
    store.add_member("family", "anna")
    store.add_grant("notes", "family", read=True, write=False)
    store.remove_group("family")
    assert not Grant.objects.exists()
    assert store.find_principal("anna")


# -- grants


def test_grants_add_up_and_are_taken_back_one_by_one() -> None:
    store.add_principal("anna", key("anna"))
    store.add_grant("notes", "anna", read=True, write=False)
    store.add_grant("notes", "anna", read=False, write=True)
    assert _grants() == [("notes", "anna", True, True, False, "", "")]
    store.remove_grant("notes", "anna", read=True, write=False)
    assert _grants() == [("notes", "anna", False, True, False, "", "")]
    store.remove_grant("notes", "anna", read=False, write=True)
    assert _grants() == []
    with pytest.raises(NoSuchHolder):
        store.remove_grant("notes", "anna")


def test_a_view_and_a_selector_are_grants_of_their_own() -> None:
    store.add_principal("anna", key("anna"))
    store.add_grant("notes", "anna", read=True, write=False, selector='{"b":1,"a":2}')
    store.add_grant("notes", "anna", read=True, write=False, view="d/v")
    found = {(view, selector) for *_, view, selector in _grants()}
    assert found == {("", json.dumps({"a": 2, "b": 1})), ("d/v", "")}
    store.remove_grant("notes", "anna", view="d/v")
    assert [view for *_, view, _ in _grants()] == [""]


@pytest.mark.parametrize(
    "wrong",
    [
        {"read": False, "write": False},
        {"read": True, "write": True, "view": "d/v"},
        {"read": True, "write": False, "view": "dv"},
        {"read": True, "write": False, "view": "/v"},
        {"read": False, "write": True, "selector": "{}"},
        {"read": True, "write": False, "view": "d/v", "selector": "{}"},
        {"read": True, "write": False, "selector": "[]"},
        {"read": True, "write": False, "selector": "{"},
        {"read": True, "write": False, "selector": '{"a": "' + "x" * 16_384 + '"}'},
        {"read": True, "write": False, "selector": '{"a":' * 101 + "1" + "}" * 101},
        {"read": True, "write": False, "selector": "[" * 8_000},
        {"read": True, "write": False, "selector": '{"a": NaN}'},
        {"read": True, "write": False, "selector": '{"a": 1e400}'},
        {"read": True, "write": False, "selector": '{"a": "\\ud800"}'},
    ],
)
def test_a_grant_that_would_not_mean_what_it_seems_to_is_refused(wrong: dict[str, object]) -> None:
    store.add_principal("anna", key("anna"))
    with pytest.raises(BadName):
        store.add_grant("notes", "anna", **wrong)  # type: ignore[arg-type]
    assert _grants() == []


@pytest.mark.parametrize(
    "text",
    ['{"a":' * 100 + "1" + "}" * 100, '{"a": {"$gt": ' + "9" * 300 + "}}", '{"é": "\\u0000"}'],
)
def test_what_is_taken_as_a_selector_can_be_read_by_whoever_applies_it(text: str) -> None:
    taken = json.loads(store.check_selector(text))
    assert orjson.loads(orjson.dumps(taken)) == taken == orjson.loads(text)


def test_a_grant_that_security_put_beside_another_is_one_with_it_again() -> None:
    store.add_principal("anna", key("anna"))
    store.add_grant("notes", "anna", read=True, write=False)
    members = store.Members(("anna",))
    sql.write_sync(lambda one: store.set_members(one, "notes", members, store.Members()))
    assert len(_grants()) == 2
    store.add_grant("notes", "anna", read=True, write=False)
    assert _grants() == [("notes", "anna", True, True, False, "", "")]


def test_who_is_no_longer_a_member_keeps_a_grant_of_its_own() -> None:
    store.add_principal("anna", key("anna"))
    store.add_grant("notes", "anna", read=True, write=False)
    for members in (store.Members(("anna",)), store.Members()):
        sql.write_sync(
            lambda one, named=members: store.set_members(one, "notes", named, store.Members())
        )
    assert _grants() == [("notes", "anna", True, False, False, "", "")]


def test_the_application_that_makes_a_database_has_one_grant_on_it() -> None:
    app = store.add_principal("app", key("app"))
    store.add_principal("anna", key("anna"))
    for name in ("app", "anna"):
        store.add_grant("notes", name, read=True, write=False)
    store.add_grant("notes", "app", read=True, write=False, view="d/v")
    sql.write_sync(
        lambda one: store.add_grant_in(one, "notes", app.pk, read=True, write=True, admin=True)
    )
    assert sorted(_grants()) == [
        ("notes", "anna", True, False, False, "", ""),
        ("notes", "app", True, False, False, "d/v", ""),
        ("notes", "app", True, True, True, "", ""),
    ]


def test_a_deleted_database_takes_its_grants_with_it() -> None:
    anna = store.add_principal("anna", key("anna"))
    sql.write_sync(
        lambda one: store.add_grant_in(one, "a", anna.pk, read=True, write=True, admin=True)
    )
    store.add_grant("b", "anna", read=True, write=False)
    sql.write_sync(lambda one: store.forget_database(one, "a"))
    assert [database for database, *_ in _grants()] == ["b"]


def test_security_names_who_may_read_and_write_everything() -> None:
    store.add_principal("anna", key("anna"))
    store.add_principal("berta", key("berta"))
    store.add_group("family")
    store.add_grant("notes", "berta", read=True, write=False)
    members, admins = store.Members(("anna",), ("family",)), store.Members()
    sql.write_sync(lambda one: store.set_members(one, "notes", members, admins))
    assert sql.read_sync(lambda one: store.members_of(one, "notes")) == {
        "admins": {"names": [], "roles": []},
        "members": {"names": ["anna"], "roles": ["family"]},
    }
    admins = store.Members((f"sha256:{key('anna')}",))
    sql.write_sync(lambda one: store.set_members(one, "notes", store.Members(), admins))
    assert sql.read_sync(lambda one: store.members_of(one, "notes")) == {
        "admins": {"names": ["anna"], "roles": []},
        "members": {"names": [], "roles": []},
    }
    assert ("notes", "berta", True, False, False, "", "") in _grants()


@pytest.mark.parametrize("name", ["x", "", "a\0b", "sha256:"])
def test_security_that_names_nobody_changes_nothing(name: str) -> None:
    store.add_principal("anna", key("anna"))
    store.add_grant("notes", "anna", read=True, write=True)
    for nobody in (store.Members((name,)), store.Members((), (name,))):
        with pytest.raises(NoSuchHolder):
            sql.write_sync(
                lambda one, named=nobody: store.set_members(one, "notes", named, store.Members())
            )
    assert _grants() == [("notes", "anna", True, True, False, "", "")]
