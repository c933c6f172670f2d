"""The pages of people, groups and devices change what the command line changes."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from acl import store as people
from acl.core import certs, keys
from discovery import store as discovery
from discovery.core import card as cards
from discovery.core.card import Hub, PublishedGroup


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("people")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()  # The tables are shared, and a hub with a login has an owner.


@pytest.fixture
def bob(api):
    """A friend; whatever became of it, it is gone afterwards."""
    name = api.principal("Bob").name
    pk = number(name)
    yield name
    for one in people.list_principals():
        if one.pk == pk:
            people.remove_principal(one.name)


def number(name):
    """Return what the address of somebody's page has in it."""
    return people.find_principal(name).pk


def show(browser, page, *args):
    """Return the page's text, without tags."""
    html = browser.get(reverse(page, args=args), secure=True).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<main") :]))


def send(browser, page, *args, **fields):
    """Send one of the page's forms, and return where it leads and the text there."""
    answer = browser.post(reverse(page, args=args), fields, secure=True, follow=True)
    return answer.request["PATH_INFO"], answer.content.decode()


def names():
    return [one.name for one in people.list_principals()]


@pytest.mark.slow
def test_somebody_who_is_known_stands_in_the_address_book(browser, bob):
    assert bob in show(browser, "people")
    key_text = people.find_principal(bob).key_text
    assert key_text in show(browser, "contact", number(bob))


@pytest.mark.slow
def test_a_person_gets_another_name_and_keeps_the_key(browser, bob):
    key = people.find_principal(bob).key
    path, text = send(browser, "contact", number(bob), rename="1", name=f"{bob} Miller")
    assert path == reverse("contact", args=[number(f"{bob} Miller")])
    assert "Renamed." in text
    assert people.find_principal(f"{bob} Miller").key == key


@pytest.mark.slow
def test_a_name_that_is_taken_is_refused_in_words(browser, bob):
    _, text = send(browser, "contact", number(bob), rename="1", name="owner")
    assert "“owner” is taken" in text
    assert bob in names()


@pytest.mark.slow
def test_somebody_who_is_forgotten_has_no_rights_left(browser, bob, database):
    people.add_grant(database.strip("/"), bob, read=True, write=False)
    assert database.strip("/") in show(browser, "contact", number(bob))
    path, _ = send(browser, "contact", number(bob), forget="1")
    assert path == reverse("people")
    assert bob not in names()
    assert people.list_grants(database.strip("/")) == []


def test_the_owner_is_no_contact(browser):
    assert browser.get(reverse("contact", args=[number("owner")]), secure=True).status_code == 404
    answer = browser.post(reverse("contact", args=[number("owner")]), {"forget": "1"}, secure=True)
    assert answer.status_code == 404


def test_groups_are_made_filled_emptied_and_deleted(browser, bob, new_name):
    group = f"Family {new_name()}"
    send(browser, "groups", make="1", group=group)
    send(browser, "groups", add="1", group=group, name=bob)
    assert (group, [bob]) in people.list_groups()
    assert f"Take {bob} out of {group}" in browser.get("/people/groups/", secure=True).text
    send(browser, "groups", remove="1", group=group, name=bob)
    assert (group, []) in people.list_groups()
    send(browser, "groups", delete="1", group=group)
    assert group not in dict(people.list_groups())


def test_a_group_has_a_group_in_it(browser, new_name):
    inner, outer = new_name(), new_name()
    send(browser, "groups", make="1", group=inner)
    send(browser, "groups", make="1", group=outer)
    send(browser, "groups", add="1", group=outer, name=inner)
    assert dict(people.list_groups())[outer] == [inner]
    for name in (inner, outer):
        people.remove_group(name)


@pytest.fixture
def phone(api, new_name):
    """The name of another hub of the owner."""
    name = f"phone {new_name()}"
    key, client = (certs.verified_keys(api.stranger().peer[0], ())[0] for _ in range(2))
    discovery.add_device(name, key, client, ["127.0.0.1:1"], timezone.now())
    return name


def test_a_device_is_renamed_and_revoked_for_good(browser, phone):
    assert phone in show(browser, "devices")
    send(browser, "devices", rename="1", device=phone, name=f"{phone} old")
    send(browser, "devices", revoke="1", device=f"{phone} old")
    assert people.find_principal(f"{phone} old").revoked
    assert people.find_principal(f"{phone} client").revoked
    assert "Revoked" in show(browser, "devices")


def test_the_hub_itself_and_friends_are_not_revoked_on_the_page_of_devices(browser, bob):
    assert "This hub" in show(browser, "devices")
    send(browser, "devices", revoke="1", device="this device")
    send(browser, "devices", revoke="1", device=bob)
    assert not any(people.find_principal(name).revoked for name in ("this device", bob))


def card_of(name):
    """Return a card of somebody who is called so, with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    hub = Hub("A" * 43, "", ("127.0.0.1:1",))
    return cards.read(cards.make(key, name, [hub], changed="2030-01-01T00:00:00+00:00"))


@pytest.fixture
def dora(api, new_name):
    """A contact whom somebody has introduced; gone afterwards, under whatever name."""
    row = discovery.introduce(card_of(f"Dora {new_name()}"), "Berta", timezone.now())
    yield row
    for one in people.list_principals():
        if one.pk == row.principal_id:
            people.remove_principal(one.name)


@pytest.mark.slow
def test_how_somebody_became_known_is_shown_with_them(browser, dora):
    assert "Introduced by Berta" in show(browser, "people")
    shown = show(browser, "contact", dora.principal_id)
    assert "Introduced by Berta" in shown
    assert "Compare six digits" in shown


@pytest.mark.slow
def test_another_key_raises_the_alarm_until_the_owner_has_asked(browser, dora):
    other = card_of(dora.name)
    discovery.alarm(dora.name, other.key, timezone.now())
    assert "Another key was shown" in show(browser, "people")
    shown = show(browser, "contact", dora.principal_id)
    assert keys.key_text(other.key) in shown
    send(browser, "contact", dora.principal_id, asked="1")
    assert keys.key_text(other.key) not in show(browser, "contact", dora.principal_id)


def test_a_name_that_stands_for_two_keys_is_shown(browser, dora):
    group = PublishedGroup("B" * 43, "Choir", (card_of(dora.name),))
    discovery.keep_group("Carl", group, timezone.now())
    shown = show(browser, "people")
    assert f"“{dora.name}” stands for different keys" in shown
    assert "says Carl" in shown
    discovery.keep_group("Carl", PublishedGroup("B" * 43, "Choir", ()), timezone.now())


@pytest.mark.parametrize("name", ["people", "groups", "devices", "meet"])
def test_a_stranger_comes_to_the_login(name):
    answer = Client(headers={"host": "hub"}).get(reverse(name), secure=True)
    assert answer["location"].startswith("/admin/login/")
