"""The admin refuses what the command line refuses, and forgets no rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, override_settings

from acl import sql, store
from acl.core.keys import key_text, short_key
from acl.models import AllowedOrigin, Grant, Group, Membership, Principal
from acl.tests.conftest import key

pytestmark = pytest.mark.slow  # All together: each is below a quarter of a second.

ADMIN = "/admin/acl"
NO_MEMBERS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
NO_ORIGINS = {"allowedorigin_set-TOTAL_FORMS": "0", "allowedorigin_set-INITIAL_FORMS": "0"}


@pytest.fixture
def browser(acls: None) -> Iterator[Client]:
    """The owner, logged in."""
    user = get_user_model().objects.create_superuser("owner-of-the-pages")
    client = Client()
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        yield client
    user.delete()


def _post(browser: Client, path: str, **fields: Any) -> Any:
    return browser.post(f"{ADMIN}/{path}", fields, secure=True)


def _get(browser: Client, path: str, **query: str) -> str:
    answer = browser.get(f"{ADMIN}/{path}", query, secure=True)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def _errors(answer: Any) -> str:
    assert answer.status_code == 200, answer
    form = answer.context["adminform"].form
    return " ".join(str(error) for errors in form.errors.values() for error in errors)


def _person(**fields: str) -> dict[str, str]:
    return {"name": "anna", "key": key_text(key("anna")), "kind": "friend"} | NO_ORIGINS | fields


def _with_origin(origin: str) -> dict[str, str]:
    return _person() | {
        "allowedorigin_set-TOTAL_FORMS": "1",
        "allowedorigin_set-0-origin": origin,
    }


@pytest.mark.slow
def test_a_person_is_added_by_the_key_text_that_they_read_out(browser: Client) -> None:
    assert _post(browser, "principal/add/", **_person()).status_code == 302
    assert Principal.objects.get(name="anna").key == key("anna")
    anna = Principal.objects.get(name="anna")
    listed, whole = _get(browser, "principal/"), _get(browser, f"principal/{anna.pk}/change/")
    assert short_key(key("anna")) in listed
    assert key_text(key("anna")) not in listed
    assert key_text(key("anna")) in whole


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"key": key_text(key("anna"))[:-1] + "?"}, "56 letters"),
        ({"key": "sha256:x"}, "43 characters"),
        ({"name": "friends"}, "taken"),
        ({"name": "a/b"}, "no slash"),
        ({"name": "FRIENDS"}, "taken"),
        ({"kind": "owner"}, "The owner is you"),
    ],
)
def test_a_person_with_a_wrong_name_or_key_is_refused(
    browser: Client, fields: dict[str, str], says: str
) -> None:
    store.add_group("friends")
    assert says in _errors(_post(browser, "principal/add/", **_person(**fields)))
    assert not Principal.objects.exists()


def test_the_key_of_somebody_who_is_known_stays(browser: Client) -> None:
    anna = store.add_principal("anna", key("anna"))
    changed = _person(key=key_text(key("mallory")), name="anne")
    assert _post(browser, f"principal/{anna.pk}/change/", **changed).status_code == 302
    anna.refresh_from_db()
    assert (anna.name, anna.key) == ("anne", key("anna"))


def test_a_person_is_added_with_the_pages_that_may_act_for_it(browser: Client) -> None:
    wrong = _post(browser, "principal/add/", **_with_origin("https://app.example/path"))
    assert "origin looks like" in wrong.content.decode()
    assert not Principal.objects.exists()
    right = _post(browser, "principal/add/", **_with_origin("https://App.example"))
    assert right.status_code == 302
    anna = Principal.objects.get(name="anna")
    assert store.origins_by_principal() == {anna.pk: ["https://app.example"]}


def test_the_owner_and_devices_cannot_be_deleted(browser: Client) -> None:
    store.register_own(key("identity"), key("device"), key("client"))
    for one in Principal.objects.all():
        answer = _post(browser, f"principal/{one.pk}/delete/", post="yes")
        assert answer.status_code == 403
    ids = [one.pk for one in Principal.objects.all()]
    _post(browser, "principal/", action="delete_selected", _selected_action=ids, post="yes")
    assert Principal.objects.count() == 3


def test_a_device_can_be_revoked_and_the_owner_not(browser: Client) -> None:
    store.register_own(key("identity"), key("device"), key("client"))
    for name in ("this device", "owner"):
        one = Principal.objects.get(name=name)
        fields = {"name": name, "kind": one.kind, "revoked": "on"} | NO_ORIGINS
        assert _post(browser, f"principal/{one.pk}/change/", **fields).status_code == 302
    assert list(Principal.objects.filter(revoked=True).values_list("name")) == [("this device",)]


def test_a_group_is_made_with_its_members(browser: Client) -> None:
    anna = store.add_principal("anna", key("anna"))
    members = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "0",
        "memberships-0-principal": str(anna.pk),
    }
    assert _post(browser, "group/add/", name="friends", **members).status_code == 302
    assert store.list_groups() == [("friends", ["anna"])]
    assert "anna" in _get(browser, "group/")


def test_a_member_is_one_principal_or_group(browser: Client) -> None:
    anna = store.add_principal("anna", key("anna"))
    other = store.add_group("other")
    members = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "0",
        "memberships-0-principal": str(anna.pk),
        "memberships-0-subgroup": str(other.pk),
    }
    answer = _post(browser, "group/add/", name="friends", **members)
    assert "one of them" in answer.content.decode()
    assert not Membership.objects.exists()


def test_a_group_called_like_somebody_is_refused(browser: Client) -> None:
    store.add_principal("anna", key("anna"))
    assert "taken" in _errors(_post(browser, "group/add/", name="anna", **NO_MEMBERS))


def test_a_grant_is_made_and_reaches_the_gate(browser: Client) -> None:
    anna = store.add_principal("anna", key("anna"))
    before = sql.read_sync(store.version)
    fields = {"database": "notes", "principal": anna.pk, "read": "on", "selector": '{"a": 1}'}
    assert _post(browser, "grant/add/", **fields).status_code == 302
    assert sql.read_sync(store.version) > before
    assert Grant.objects.get().selector == '{"a": 1}'
    assert "anna" in _get(browser, "grant/", q="notes")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"read": ""}, "right to read"),
        ({"principal": ""}, "one of them"),
        ({"group": "yes"}, "one of them"),
        ({"selector": "[]"}, "JSON object"),
        ({"selector": "{"}, "JSON object"),
        ({"view": "nothing"}, "ddoc/view"),
        ({"view": "d/v", "write": "on"}, "ddoc/view"),
        ({"read": "", "write": "on", "selector": "{}"}, "selector limits"),
    ],
)
def test_a_grant_that_would_not_mean_what_it_seems_to_is_refused(
    browser: Client, fields: dict[str, str], says: str
) -> None:
    anna = store.add_principal("anna", key("anna"))
    group = store.add_group("friends")
    whole: dict[str, Any] = {"database": "notes", "principal": anna.pk, "read": "on"} | fields
    if whole.get("group"):
        whole["group"] = group.pk
    sent = {name: value for name, value in whole.items() if value != ""}
    answer = _post(browser, "grant/add/", **sent)
    assert says in _errors(answer)
    assert "onstraint" not in answer.content.decode()
    assert not Grant.objects.exists()


def test_grants_deleted_as_a_selection_reach_the_gate(browser: Client) -> None:
    store.add_principal("anna", key("anna"))
    ids = [store.add_grant(name, "anna", read=True, write=False).pk for name in ("a", "b")]
    before = sql.read_sync(store.version)
    _post(browser, "grant/", action="delete_selected", _selected_action=ids, post="yes")
    assert not Grant.objects.exists()
    assert sql.read_sync(store.version) > before


def test_an_origin_is_kept_as_browsers_send_it(browser: Client) -> None:
    assert _post(browser, "allowedorigin/add/", origin="https://App.example").status_code == 302
    assert AllowedOrigin.objects.get().origin == "https://app.example"
    assert "origin looks like" in _errors(
        _post(browser, "allowedorigin/add/", origin="https://app.example/path")
    )


def test_every_list_can_be_searched(browser: Client) -> None:
    store.add_principal("anna", key("anna"))
    Group.objects.create(name="friends")
    store.allow_origin("anna", "https://app.example")
    for page in ("principal", "group", "grant", "allowedorigin"):
        assert "nothing-of-the-kind" in _get(browser, f"{page}/", q="nothing-of-the-kind")
