"""The page and the commands of Tor say how it is, and do what the owner wants."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone, translation

from discovery import models, reaching, store, tasks
from discovery.core.onion import State
from thalihub import tor
from thalihub.pages import torpages

ADDRESS = "a" * 56 + ".onion"


@pytest.fixture(autouse=True)
def clean(api: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No Tor so far, and nobody who works on tasks."""
    settings.HUB_TOR, settings.HUB_TOR_PROGRAM = "", "no-such-program"
    for task in (tasks.reach_ourselves, tasks.tell_contacts):
        monkeypatch.setattr(task, "delay", lambda: None)
    _empty()
    yield
    _empty()


def _empty() -> None:
    for model in (models.TorState, models.TorEvent):
        model._default_manager.all().delete()


@pytest.fixture
def browser() -> Iterator[Client]:
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("torpages")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


def live() -> str:
    return render_to_string("hub/live/tor.html", torpages.shown())


def published(**more: Any) -> None:
    now = timezone.now()
    values = {"wanted": True, "state": State.PUBLISHED, "address": ADDRESS, "published_at": now}
    store.set_tor(**{**values, "tested_at": now, "answered_ms": 1234, **more})


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("tor", *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_without_the_program_the_page_says_how_to_get_it(browser: Client) -> None:
    assert "Tor is not installed" not in live()
    assert browser.post("/tor/", {"on": "1"}).status_code == 302
    assert "Tor is not installed" in live()
    assert "apt install tor" in live()
    assert store.onion_addresses() == []


def test_the_page_is_the_owners_alone() -> None:
    assert Client(headers={"host": "hub"}).get("/tor/").status_code == 302


@pytest.mark.parametrize("state", list(State))
def test_each_state_is_said_in_words(state: State) -> None:
    store.set_tor(wanted=state is not State.OFF, state=state, percent=42, said="Tor's own words")
    text = live()
    assert str(torpages._STATES[state]) in text
    assert ("42 %" in text) == (state is State.STARTING)
    assert ("Tor&#x27;s own words" in text) == (state in (State.MISSING, State.FAILED))


def test_a_published_address_is_shown_with_its_code() -> None:
    published()
    text = live()
    assert f"{ADDRESS}:6984" in text
    assert "<svg" in text
    assert "answered in 1.2 s" in text
    assert "Reachable" in text


def test_who_cannot_reach_themselves_is_told_why() -> None:
    published(problem="The other hub is not in Tor now.", answered_ms=None)
    text = live()
    assert "The address is known" in text
    assert "The other hub is not in Tor now." in text


def test_every_event_has_words_in_both_languages() -> None:
    for what in torpages._EVENTS:
        store.note_tor(timezone.now(), what, "more")
    english = [one["said"] for one in torpages.shown()["events"]]
    with translation.override("de"):
        german = [str(one["said"]) for one in torpages.shown()["events"]]
    assert not set(map(str, english)) & set(german)


def test_the_list_of_events_has_an_end() -> None:
    for number in range(130):
        store.note_tor(timezone.now(), "started", str(number))
    assert len(store.tor_events(1000)) == 100
    assert store.tor_events()[0].more == "129"


def test_what_happens_again_and_again_is_listed_once() -> None:
    later = timezone.now() + datetime.timedelta(minutes=1)
    for at, more in ((timezone.now(), "x"), (later, "x"), (later, "y")):
        store.note_tor(at, "failed", more)
    assert [(one.more, one.at) for one in store.tor_events()] == [("y", later), ("x", later)]


def test_the_switches_are_kept(browser: Client) -> None:
    browser.post("/tor/", {"choose": "1", "contacts_only": "on"})
    row = store.tor()
    assert (row.contacts_only, row.everything, row.for_applications) == (True, False, False)
    assert (
        'name="contacts_only" id="id_contacts_only" checked'
        in browser.get("/tor/").content.decode()
    )
    browser.post("/tor/", {"choose": "1"})
    assert not store.tor().contacts_only


def test_a_new_address_is_taken(browser: Client) -> None:
    browser.post("/tor/", {"on": "1"})
    before = store.tor().address
    browser.post("/tor/", {"renew": "1"})
    assert store.tor().address != before
    assert store.tor_events()[0].what == "renewed"


def test_where_the_environment_decides_the_page_does_not(browser: Client, settings: Any) -> None:
    settings.HUB_TOR = "off"
    browser.post("/tor/", {"on": "1"})
    assert "HUB_TOR says" in browser.get("/tor/").content.decode()
    assert not store.tor().wanted


def test_the_hours_of_the_command_are_those_of_the_machines_clock(settings: Any) -> None:
    settings.HUB_TIME_ZONE = "Asia/Tokyo"
    assert "Fri 18:00-20:00" in run("windows", "Fri 18:00-20:00")
    assert json.loads(run("status", "--json"))["windows"] == "Fri 09:00-11:00"
    assert "always" in run("windows", "")


def test_the_commands_do_the_same() -> None:
    assert "apt install tor" in run("on")
    found = json.loads(run("status", "--json"))
    assert (found["wanted"], found["state"]) == (True, "missing")
    run("set", "everything", "on")
    assert json.loads(run("status", "--json"))["everything"]
    run("set", "everything", "off")
    run("windows", "")
    with pytest.raises(CommandError, match="Times are given"):
        run("windows", "whenever")
    assert ".onion" in run("renew-address")
    with pytest.raises(CommandError):
        run("test")
    run("off")
    assert "Tor is off" in run("status")


def test_tests_are_due_after_a_publication_by_schedule_and_soon_after_a_failure() -> None:
    now, minute = timezone.now(), datetime.timedelta(minutes=1)
    assert not reaching.is_due(None, now)
    published(published_at=now, tested_at=None)
    assert reaching.is_due(store.tor(), now)
    published(published_at=now, tested_at=now)
    assert not reaching.is_due(store.tor(), now + 14 * minute)
    assert reaching.is_due(store.tor(), now + 15 * minute)
    published(published_at=now, tested_at=now, problem="x")
    assert reaching.is_due(store.tor(), now + minute)
    store.set_tor(state=State.STARTING)
    assert not reaching.is_due(store.tor(), now + minute)


def test_after_three_failures_it_is_published_again() -> None:
    published()
    for _ in range(3):
        assert not store.tor().again
        reaching._note("Nobody there.", 1, timezone.now())
    assert store.tor().again
    reaching._note("", 700, timezone.now())
    row = store.tor()
    assert (row.failures, row.answered_ms, row.problem) == (0, 700, "")


def test_status_has_what_programs_need() -> None:
    published()
    assert set(tor.status()) == {
        "wanted", "state", "percent", "said", "since", "address", "published_at", "tested_at",
        "answered_ms", "problem", "contacts_only", "everything", "for_applications", "windows",
        "socks_for_applications", "version", "events",
    }  # fmt: skip
