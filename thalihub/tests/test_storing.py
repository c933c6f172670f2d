"""The page about storage says what everything takes, and makes room."""

from __future__ import annotations

import json
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from acl import sql
from acl import store as people
from couchapi import tasks, upkeep
from couchapi.core.errors import DatabaseMissing
from couchapi.store import databases, shares, works
from couchapi.store.works import Kind
from couchapi.store.writes import Author, Write
from couchapi.tests.store.conftest import Shelf
from thalihub.pages import storing


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("storing")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


@pytest.fixture
def shelf(api, new_name):
    """A database with one old version."""
    name = new_name()
    sql.write_sync(partial(databases.create, name=name, policy="lww", epoch="first"))
    shelf = Shelf(name)
    shelf.put("a", b'{"n":2}', shelf.put("a", b'{"n":1}'))
    upkeep.measure(name)
    yield shelf
    try:
        sql.write_sync(partial(databases.drop, name=name))
    except DatabaseMissing:
        return


@pytest.fixture
def handed(monkeypatch):
    """What was handed to the worker."""
    given = []
    monkeypatch.setattr(tasks.compact, "delay", lambda *args: given.append(args))
    return given


def line_of(name):
    (line,) = [one for one in storing.now().lines if one.name == name]
    return line


def drawn():
    return render_to_string("hub/live/room.html", storing.context())


def press(browser, **fields):
    return browser.post(reverse("storage"), fields, secure=True, follow=True)


def test_each_database_says_what_it_consists_of(shelf, monkeypatch):
    monkeypatch.setattr(storing, "_WORTH_A_WORD", 7)
    parts = dict(line_of(shelf.name).parts)
    assert (parts["Documents"], parts["Old versions of documents"]) == (7, 7)
    assert shelf.name in drawn()
    assert "Old versions: 7" in drawn().replace("\u00a0", " ")


@pytest.mark.usefixtures("no_other_databases")
def test_who_opens_the_page_sees_what_a_new_database_consists_of_in_a_moment(
    browser, shelf, monkeypatch
):
    asked = []
    monkeypatch.setattr(tasks.measure, "delay", lambda: asked.append("measure"))
    tasks.measure()
    browser.get(reverse("storage"), secure=True)
    assert not asked
    other = Shelf(shelf.name + "-new")
    sql.write_sync(partial(databases.create, name=other.name, policy="lww", epoch="first"))
    other.put("a", b'{"n":2}')
    browser.get(reverse("storage"), secure=True)
    assert asked == ["measure"]
    assert line_of(other.name).parts == []
    assert "is being measured" in drawn()
    tasks.measure()
    assert ("Documents", 7) in line_of(other.name).parts
    sql.write_sync(partial(databases.drop, name=other.name))


def test_the_page_opens_without_a_worker_to_measure(browser, shelf, monkeypatch):
    def gone():
        raise OSError("nobody takes it")

    monkeypatch.setattr(tasks.measure, "delay", gone)
    monkeypatch.setattr(upkeep, "changed", lambda: [shelf.name])
    assert browser.get(reverse("storage"), secure=True).status_code == 200


def test_a_database_is_compacted_when_the_owner_asks(browser, shelf, handed):
    shown = press(browser, compact=shelf.name)
    assert handed == [(shelf.name,)]
    assert f"“{shelf.name}” is being compacted." in shown.content.decode()
    tasks.compact(shelf.name)
    assert line_of(shelf.name).sizes.reclaimable == 0


def test_work_shows_how_far_it_is_and_can_be_stopped(browser, shelf):
    begin = partial(works.begin, database_id=shelf.row().id, kind=Kind.COMPACTION, total=5)
    work = sql.write_sync(partial(begin, now=upkeep._now()))
    assert 'max="5"' in drawn()
    press(browser, end=str(work))
    assert line_of(shelf.name).work.cancelled
    sql.write_sync(partial(works.end, work=work))


def test_a_database_is_deleted_but_none_of_the_hubs_own(browser, shelf):
    press(browser, delete=shelf.name)
    assert shelf.name not in drawn()
    assert all(not line.can_go for line in storing.now().lines if line.name == "addressbook")
    refused = press(browser, delete="addressbook")
    assert "belongs to the hub" in refused.content.decode()


def test_a_name_that_nobody_has_is_refused_in_words(browser):
    assert "Database does not exist" in press(browser, compact="nowhere").content.decode()


def test_a_database_and_a_person_are_limited(browser, shelf, api, new_name):
    friend = api.principal(new_name())
    press(browser, quota="1", whose=f"database:{shelf.name}", megabytes="1.5")
    assert line_of(shelf.name).quota == 1.5 * 1024**2
    press(browser, quota="1", whose=f"database:{shelf.name}", megabytes="")
    assert line_of(shelf.name).quota is None

    press(browser, quota="1", whose=f"person:{friend.name}", megabytes="2")
    key = people.find_principal(friend.name).key
    shelf.write(Write("b", None, False, b"{}"), author=Author(key=key, is_owner=False))
    (holder,) = [one for one in storing.now().holders if one.name == friend.name]
    assert (holder.size, holder.quota) == (2, 2 * 1024**2)
    assert friend.name in drawn()
    sql.write_sync(partial(shares.set_quota, key=key, quota=None))


@pytest.mark.parametrize("megabytes", ["-1", "0", "much", "9" * 20])
def test_a_limit_that_is_none_is_asked_for_again(browser, shelf, megabytes):
    shown = press(browser, quota="1", whose=f"database:{shelf.name}", megabytes=megabytes)
    assert shown.status_code == 200
    assert "errorlist" in shown.content.decode()
    assert line_of(shelf.name).quota is None


def test_a_full_disk_is_said(monkeypatch, api):
    monkeypatch.setattr(storing.room, "is_short", lambda *_: True)
    assert "nothing more is written" in drawn()


def test_the_command_says_the_same(shelf, capsys):
    call_command("storage", "list", "--json")
    found = json.loads(capsys.readouterr().out)
    (ours,) = [one for one in found["databases"] if one["name"] == shelf.name]
    assert (ours["documents"], ours["old_bodies"]) == (7, 7)
    assert found["disk"]["free"] > 0

    call_command("storage", "limit", "--database", shelf.name, "2.5MB")
    call_command("storage", "compact", shelf.name)
    capsys.readouterr()
    call_command("storage", "list", "--measure")
    (line,) = [one for one in capsys.readouterr().out.splitlines() if shelf.name in one]
    assert line.split()[-2:] == ["2.5", "MB"]
    assert " 0 bytes " in line


@pytest.mark.parametrize(
    "given",
    [
        ("compact", "nowhere"),
        ("limit", "--person", "nobody", "1GB"),
        ("limit", "--database", "a", "1"),
    ],
    ids=["no database", "nobody", "no size"],
)
def test_the_command_refuses_in_words(api, given):
    with pytest.raises(CommandError, match="nobody|not exist|reads"):
        call_command("storage", *given)
