"""The page of the ACLs says what the gate says, and changes it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from acl import store as people


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("sharing")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()  # The tables are shared, and a hub with a login has an owner.


@pytest.fixture
def db_name(database):
    """The name of an empty database."""
    return database.strip("/")


@pytest.fixture
def bob(api):
    """The name of a friend."""
    name = api.principal("Bob").name
    yield name
    people.remove_principal(name)


def show(browser, **query):
    """Return the page's text, without tags."""
    html = browser.get(reverse("sharing"), query, secure=True).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<main") :]))


def send(browser, db_name, **fields):
    """Send one of the page's forms."""
    return browser.post(f"{reverse('sharing')}?database={db_name}", fields, secure=True)


@pytest.mark.slow
def test_a_right_that_is_given_on_the_page_holds_and_is_shown(browser, db_name, bob):
    assert "Nobody but you" in show(browser, database=db_name)
    answer = send(browser, db_name, add="1", who=bob, read="on")
    assert answer.status_code == 302
    assert f"{bob} reads everything directly" in show(browser, database=db_name)


def test_a_right_that_is_taken_back_is_gone(browser, db_name, bob):
    line = people.add_grant(db_name, bob, read=True, write=True)
    send(browser, db_name, remove=line.pk)
    assert people.list_grants(db_name) == []
    assert "Nobody but you" in show(browser, database=db_name)


def test_a_line_of_another_database_is_not_taken_back_from_here(browser, db_name, bob):
    line = people.add_grant(f"{db_name}-other", bob, read=True, write=False)
    send(browser, db_name, remove=line.pk)
    assert people.list_grants(f"{db_name}-other") == [line]


def test_a_right_through_a_group_names_the_group(browser, db_name, bob):
    group = f"Family {db_name}"
    people.add_group(group)
    people.add_member(group, bob)
    people.add_grant(db_name, group, read=False, write=True)
    shown = show(browser, database=db_name)
    assert f"{bob} does not read, writes {group}" in shown
    people.remove_group(group)


def test_seen_as_somebody_the_hub_has_what_the_gate_lets_them_have(browser, db_name, bob):
    assert f"{bob} sees no database at all" in show(browser, **{"as": bob, "database": db_name})
    people.add_grant(db_name, bob, read=True, write=False, selector='{"kind": "open"}')
    shown = show(browser, **{"as": bob, "database": db_name})
    assert f"{db_name} reads the documents that match" in shown.partition("as somebody else")[2]


def test_a_right_that_means_nothing_is_refused_in_words(browser, db_name, bob):
    answer = send(browser, db_name, add="1", who=bob)
    assert answer.status_code == 200
    assert people.list_grants(db_name) == []


def test_a_stranger_comes_to_the_login(db_name):
    answer = Client(headers={"host": "hub"}).get(reverse("sharing"), secure=True)
    assert answer["location"].startswith("/admin/login/")


def test_the_owner_is_not_offered_to_share_with(browser, db_name):
    assert send(browser, db_name, add="1", who="owner", read="on").status_code == 200
    assert people.list_grants(db_name) == []
