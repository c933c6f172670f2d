"""The page of what is kept in step says how everything is, and lets it rest or run."""

from __future__ import annotations

import re
import time
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import translation

from acl import sql
from couchapi.store import databases
from replication import manager
from replication.core.job import Direction, Mode, State, Wish
from replication.core.policy import Conditions, Network, Power, Rules, Runs
from replication.store import jobs, links, policy
from replication.store.links import Ended
from replication.store.policy import Chosen
from thalihub.pages import syncing


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("syncing")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


@pytest.fixture
def job(api, new_name):
    """A job with a friend."""
    friend = api.principal(new_name()).name
    wish = Wish(new_name(), friend, Direction.PULL, Mode.CONTINUOUS)
    number = manager.add(wish, time.time())
    yield number
    sql.write_sync(partial(jobs.remove, number=number))


def ended(number, ended):
    """Let a worker run the job's link, and end so."""
    claims = sql.write_sync(partial(links.claim, owner="w", now=time.time(), at_once=1000))
    (claim,) = [one for one in claims if one.job_id == number]
    sql.write_sync(partial(links.finish, claim=claim, ended=ended, now=time.time()))


def said(number):
    """Return the line of the job as its page shows it."""
    (line,) = [one for peer in syncing.cards() for one in peer.lines if one.job == number]
    html = render_to_string("hub/live/sync.html", {"peers": syncing.cards()})
    assert line.said in html
    return re.sub(r"&#x27;", "'", line.said), line


def told(number):
    (one,) = [one for one in manager.listing(time.time()) if one["id"] == number]
    return one


def test_each_state_is_said_in_words(job):
    assert said(job)[0] == "Begins in a moment"
    ended(job, Ended(State.WAITING, time.time() + 3600, behind=0))
    text, line = said(job)
    assert (text, line.last, line.error) == ("In step", "Just now", "")
    manager.run(job, time.time())
    failed = Ended(State.CRASHING, time.time() + 305, 4, "Nobody answers.")
    ended(job, failed)
    text, line = said(job)
    assert re.sub(r"\s", " ", text) == "Did not work. Next try: in 5 minutes"
    assert line.error == "Nobody answers."
    with translation.override("de"):
        assert said(job)[0].startswith("Hat nicht geklappt. Nächster Versuch: in 5")


def test_the_page_pauses_resumes_and_runs(browser, job):
    for verb, state in (("pause", "paused"), ("resume", "pending"), ("run", "pending")):
        answer = browser.post(reverse("sync"), {verb: str(job)}, secure=True, follow=True)
        assert answer.status_code == 200
        assert told(job)["state"] == state


def test_a_database_that_a_device_has_deleted_is_offered(browser, database):
    name, key = database.strip("/"), "d" * 43
    sql.write_sync(partial(jobs.add_mesh, db_name=name, now=time.time()))
    (number,) = [one["id"] for one in manager.listing(0) if one["database"] == name]
    change = partial(links.reconcile, job_id=number, direction=Direction.PUSH, now=time.time())
    sql.write_sync(partial(change, meant=[links.Meant(key, "Phone")]))
    ended(number, Ended(State.WAITING, time.time() + 9, result='{"deleted_there":true}'))
    assert said(number)[0] == "Was deleted there"
    browser.post(reverse("sync"), {"delete": str(number)}, secure=True)
    assert sql.read_sync(partial(databases.find, name=name)) is None
    sql.write_sync(partial(jobs.remove, number=number))


def asked_for(database, **more):
    """Return what the form sends."""
    usual = {"add": "1", "peer": "my devices", "direction": "both", "mode": "continuous"}
    return {"database": database, **usual, **more}


def test_the_form_begins_a_job_and_the_page_removes_it(api, browser, database, new_name):
    friend, name = api.principal(new_name()).name, database.strip("/")
    form = asked_for(name, peer=friend, direction="push", mode="periodic", minutes="5")
    said = browser.post(reverse("sync"), form, secure=True, follow=True).content.decode()
    assert "It begins." in said
    (job,) = [one for one in manager.listing(time.time()) if one["database"] == name]
    assert (job["peer"], job["direction"], job["mode"]) == (friend, "push", "periodic")
    assert job["every"] == 300
    browser.post(reverse("sync"), {"remove": str(job["id"])}, secure=True)
    assert name not in [one["database"] for one in manager.listing(time.time())]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"peer": "nobody that is known"}, "Select a valid choice"),
        ({"database": "No Name"}, "Name:"),
        ({"mode": "periodic", "minutes": "0"}, "greater than or equal to 1"),
        ({"direction": "push"}, "There is no database"),
    ],
    ids=["peer", "name", "period", "missing"],
)
def test_a_form_that_cannot_be_meant_says_why_and_begins_nothing(browser, new_name, more, why):
    before = len(manager.listing(time.time()))
    answer = browser.post(reverse("sync"), asked_for(new_name()) | more, secure=True)
    assert answer.status_code == 200
    assert why in answer.content.decode()
    assert len(manager.listing(time.time())) == before


def test_what_the_hub_does_by_itself_is_not_removed_by_hand(browser, database):
    sql.write_sync(partial(jobs.add_mesh, db_name=database.strip("/"), now=time.time()))
    listed = manager.listing(0)
    (number,) = [one["id"] for one in listed if one["database"] == database.strip("/")]
    answer = browser.post(reverse("sync"), {"remove": str(number)}, secure=True, follow=True)
    assert "The hub made this job itself" in answer.content.decode()
    sql.write_sync(partial(jobs.remove, number=number))


def test_a_job_that_is_not_there_is_told(browser):
    answer = browser.post(reverse("sync"), {"run": "999999999"}, secure=True, follow=True)
    assert "There is no such job" in answer.content.decode()
    assert browser.post(reverse("sync"), {"run": "x"}, secure=True).status_code == 302


def test_the_numbers_are_there_for_programs(browser, job):
    answer = browser.get(reverse("sync-status"), secure=True)
    assert job in [one["id"] for one in answer.json()["jobs"]]
    assert answer.json() == browser.get("/admin/status.json", secure=True).json()


@pytest.fixture
def thrift(settings):
    """Hours are those of UTC; what the owner decides is forgotten afterwards."""
    settings.HUB_TIME_ZONE = "UTC"
    yield
    manager.choose(Chosen())
    manager.be_reached("")
    sql.write_sync(partial(policy.sense, conditions=Conditions()))


USUAL = {
    "thrift": "1",
    "network": "auto",
    "power": "auto",
    "on_metered": "normal",
    "on_battery": "normal",
    "on_low": "now",
}


def test_what_waits_says_why_and_what_is_spared(job, thrift):
    manager.choose(Chosen(rules=Rules(battery=Runs.NOTHING)))
    sql.write_sync(partial(policy.sense, conditions=Conditions(on_battery=True, charge=64)))
    assert said(job)[0] == "Waits: on battery"
    expected = "This machine runs on battery (64 %). So not everything runs now."
    assert syncing.conditions() == expected
    manager.choose(Chosen(network=Network.METERED, rules=Rules(metered=Runs.NOW)))
    assert said(job)[0] == "Waits: the connection is metered"
    manager.choose(Chosen(power=Power.MAINS))
    assert (said(job)[0], syncing.conditions()) == ("Begins in a moment", "")


def test_the_owner_decides_what_is_spared_and_when_others_can_come(browser, thrift):
    given = USUAL | {
        "power": "battery",
        "on_battery": "now",
        "limit": "250",
        "hours": "18:00-20:00",
    }
    answer = browser.post(reverse("sync"), given, secure=True, follow=True).content.decode()
    assert "Kept." in answer
    assert manager.chosen() == Chosen(
        power=Power.BATTERY, rules=Rules(battery=Runs.NOW), limit=250_000
    )
    assert manager.reached() == "18:00-20:00"
    assert 'value="250"' in answer
    assert 'value="18:00-20:00"' in answer
    assert browser.get("/admin/status.json", secure=True).json()["policy"]["running"] == ["now"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"hours": "at night"}, "Times are given as"),
        ({"limit": "1"}, "greater than or equal to 2"),
        ({"power": "wind"}, "Select a valid choice"),
    ],
    ids=["hours", "limit", "power"],
)
def test_what_cannot_be_meant_changes_nothing(browser, thrift, more, why):
    answer = browser.post(reverse("sync"), USUAL | more, secure=True)
    assert why in answer.content.decode()
    assert manager.chosen() == Chosen()


def test_a_job_of_the_form_may_have_hours_a_limit_and_late_attachments(
    api, browser, new_name, thrift
):
    friend, name = api.principal(new_name()).name, new_name()
    more = {"hours": "Sat 09:00-12:00", "limit": "20", "later": "on", "priority": "background"}
    form = asked_for(name, peer=friend, direction="pull", **more)
    browser.post(reverse("sync"), form, secure=True)
    (job,) = [one for one in manager.listing(time.time()) if one["database"] == name]
    assert (job["windows"], job["bytes_per_second_at_most"]) == ("Sat 09:00-12:00", 20_000)
    assert (job["attachments"], job["priority"]) == ("later", "background")
    line = said(job["id"])[1]
    assert line.hours == "Sat 09:00-12:00"
    sql.write_sync(partial(jobs.remove, number=job["id"]))


def test_a_run_shows_how_far_and_how_fast_it_is(job):
    claims = sql.write_sync(partial(links.claim, owner="w", now=time.time(), at_once=1000))
    (claim,) = [one for one in claims if one.job_id == job]
    for behind in (1000, 400):
        pace = links.Pace(120.4, 50_000.0, 9)
        sql.write_sync(partial(links.note, claim=claim, behind=behind, path="lan", pace=pace))
    text, line = said(job)
    assert (text, line.progress) == ("400 changes to go", syncing.Progress(600, 1000, 120, 50_000))
    html = render_to_string("hub/live/sync.html", {"peers": syncing.cards()})
    assert "120 documents a second" in html
    sql.write_sync(partial(links.release, owner="w", now=time.time()))


def test_a_job_that_ends_unless_it_is_renewed_can_be_renewed(browser, api, new_name):
    friend = api.principal(new_name()).name
    wish = Wish(new_name(), friend, Direction.PULL, Mode.CONTINUOUS, lasts=7200)
    number = manager.add(wish, time.time() - 3600)
    assert re.sub(r"\s", " ", said(number)[1].ends) in ("in 59 minutes", "in 1 hour")
    browser.post(reverse("sync"), {"renew": str(number)}, secure=True)
    assert told(number)["ends_at"] > time.time() + 7000
    sql.write_sync(partial(jobs.remove, number=number))


def test_nobody_else_sees_them(api):
    stranger = Client(headers={"host": "hub"})
    for name in ("sync", "sync-status"):
        assert stranger.get(reverse(name), secure=True).status_code == 302
