"""Each concern says how it is, and what to do; nothing that fails hides the others."""

from __future__ import annotations

import time
from types import SimpleNamespace

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from acl import sql
from couchapi.store import space
from thalihub import alive, doctor, store
from thalihub.backups.store import runs
from thalihub.doctor import Finding, Light, data, others, processes
from thalihub.models import BackupPlan, BackupRun, Heartbeat, Hub


@pytest.fixture
def hub(api, settings, tmp_path):
    """A hub whose processes do not run; nothing is kept of it."""
    alive.begin(tmp_path)
    settings.HUB_DATA = tmp_path
    yield tmp_path
    for model in (Heartbeat, BackupPlan, BackupRun, Hub):
        model.objects.all().delete()


def light(findings):
    (finding,) = findings
    assert bool(finding.to_do) == (finding.light in (Light.AMBER, Light.RED))
    return finding.light


def test_a_process_that_lives_is_green_and_one_that_does_not_is_red(hub):
    assert light(processes.worker(time.time())) == Light.RED
    alive.hold(hub, "worker")
    assert light(processes.worker(time.time())) == Light.GREEN
    alive._held.pop().close()  # So does the system when a process is killed.
    (finding,) = processes.worker(time.time())
    assert (finding.light, "unexpectedly" in finding.said) == (Light.RED, True)
    alive.hold(hub, "worker")
    assert light(processes.worker(time.time())) == Light.AMBER
    assert light(processes.worker(time.time() + 3600)) == Light.GREEN
    alive._held.pop().close()


def test_a_part_that_runs_on_another_host_is_not_missed_here(hub, settings):
    settings.HUB_ROLES = ["web"]
    assert light(processes.worker(time.time())) == Light.OFF
    assert light(processes.frontend(time.time())) == Light.RED
    alive.hold(hub, "worker")  # Somebody has started one here all the same.
    alive._held.pop().close()
    assert light(processes.worker(time.time())) == Light.RED


def test_a_database_that_does_not_answer_is_red_and_the_others_say_that_they_do_not_know(
    hub, monkeypatch
):
    def fails(*_):
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(sql, "is_away", lambda error: isinstance(error, psycopg.Error))
    monkeypatch.setattr(sql, "read_sync", fails)
    monkeypatch.setattr(processes.store, "last_beat", fails)
    (finding,) = data.database(0)
    assert (finding.light, "Start PostgreSQL" in finding.to_do) == (Light.RED, True)
    (finding,) = doctor.examine(["scheduler"])
    assert finding.light == Light.AMBER
    assert "does not answer" in finding.said


def test_one_of_several_web_processes_is_missed(hub):
    alive.hold(hub, "web 1")
    alive.hold(hub, "web 2")
    assert light(processes.frontend(time.time())) == Light.GREEN
    alive._held.pop().close()
    assert light(processes.frontend(time.time())) == Light.AMBER
    alive._held.pop().close()


def test_a_schedule_that_stands_still_is_red(hub):
    assert light(processes.scheduler(1_800_000_000)) == Light.AMBER
    store.beat(1_800_000_000)
    assert light(processes.scheduler(1_800_000_060)) == Light.GREEN
    assert light(processes.scheduler(1_800_000_500)) == Light.RED


def test_a_clock_that_was_set_back_is_red(hub):
    store.beat(1_800_000_000)
    assert light(data.clock(1_800_000_001)) == Light.GREEN
    assert light(data.clock(1_799_990_000)) == Light.RED
    assert light(data.clock(86_400)) == Light.RED


def test_a_clock_of_another_hub_that_is_apart_is_amber_and_says_whose(hub, monkeypatch):
    monkeypatch.setattr(data.discovery, "other_clocks", lambda since: [("Ann", 7200), ("B", -300)])
    ann, other = data.clock(1_800_000_000)
    assert (ann.about, ann.light) == ("Ann", Light.AMBER)
    assert "Ann is ahead of it by 2\xa0hours" in ann.said
    assert "B is behind it by 5\xa0minutes" in other.said
    assert "Set the one that is wrong" in other.to_do


@pytest.mark.parametrize(
    ("free", "expected"), [(1, Light.RED), (7, Light.AMBER), (50, Light.GREEN)]
)
def test_the_disk_is_told_of_before_it_is_full(hub, settings, monkeypatch, free, expected):
    found = space.Disk(100 * 1024**2, free * 1024**2)
    monkeypatch.setattr(space, "look", lambda: found)
    settings.HUB_FREE_PERCENT = 5.0
    assert light(data.disk(0)) == expected


def test_backups_are_amber_without_one_and_red_when_one_fails(hub):
    assert light(data.backup(1000)) == Light.AMBER
    number = runs.begin("one", 1000)
    runs.end(number, runs.State.DONE, 1001)
    assert light(data.backup(1002)) == Light.AMBER  # No restore was tried.
    trial = runs.begin("one", 1003, is_test=True)
    runs.end(trial, runs.State.DONE, 1004)
    assert light(data.backup(1005)) == Light.GREEN
    assert light(data.backup(1005 + 30 * 86_400)) == Light.AMBER
    runs.end(trial, runs.State.FAILED, 1004)
    assert light(data.backup(1005)) == Light.RED


def test_a_backup_that_was_made_and_tried_by_a_command_counts(hub):
    runs.change_plan(by_hand_at=1000)
    assert light(data.backup(1001)) == Light.AMBER  # No restore was tried.
    runs.change_plan(tried_by_hand_at=1002)
    assert light(data.backup(1003)) == Light.GREEN
    assert light(data.backup(1003 + 30 * 86_400)) == Light.AMBER


def test_the_identity_is_amber_until_a_copy_was_saved(api, hub, monkeypatch):
    monkeypatch.setattr(data.identity, "load", lambda _: SimpleNamespace(key="k"))
    monkeypatch.setattr(data.identity, "has_identity_key", lambda _: True)
    assert light(data.identity_is_safe(0)) == Light.AMBER
    store.change(recovery_saved_at=timezone.now())
    assert light(data.identity_is_safe(0)) == Light.GREEN


def test_a_peer_with_an_error_is_amber_and_says_why(monkeypatch):
    links = [
        {"peer": "Ann", "error": "Nobody answers.", "changes_behind": None},
        {"peer": "Bob", "error": "", "changes_behind": 3},
    ]
    monkeypatch.setattr(others.manager, "listing", lambda now: [{"links": links}])
    ann, bob = others.replication(0)
    assert (ann.about, ann.light, ann.said) == ("Ann", Light.AMBER, "Nobody answers.")
    assert (bob.about, bob.light, bob.said) == ("Bob", Light.GREEN, "3 changes to go")


def test_a_concern_that_fails_is_red_and_the_others_are_told(hub, monkeypatch):
    def fails(now):
        raise OSError("the table is gone")

    monkeypatch.setitem(doctor._looks, "clock", fails)
    found = {one.concern: one for one in doctor.examine()}
    assert found["clock"].light == Light.RED
    assert found["database"].light == Light.GREEN


def test_the_exit_code_is_the_worst_light():
    green = Finding("a", "A", Light.GREEN, "")
    assert doctor.exit_code([green]) == 0
    assert doctor.exit_code([green, green._replace(light=Light.AMBER)]) == 1
    assert doctor.exit_code([green._replace(light=Light.RED), green]) == 2


def test_the_health_check_says_no_more_than_whether_the_hub_works(hub):
    browser = Client(headers={"host": "hub"})
    answer = browser.get("/health/")
    assert (answer.status_code, answer.json()) == (503, {"status": "failing"})
    alive.hold(hub, "web 1")
    alive.hold(hub, "worker")
    answer = browser.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    alive._held.pop().close()
    alive._held.pop().close()


def test_the_page_is_the_owners_alone(hub):
    browser = Client(headers={"host": "hub"})
    assert browser.get("/status/").status_code == 302
    owner = User.objects.create_superuser("status")
    browser.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    assert browser.get("/status/").status_code == 200
    owner.delete()


async def test_figures_are_the_owners_alone_and_name_no_person(api, owner, database, new_name):
    await owner.put(f"{database}/one", {})
    friend = new_name()
    answer = await owner.get("/_node/_local/_prometheus")
    text = answer.body.decode()
    name = database.strip("/")
    assert f'thali_database_documents{{database="{name}"}} 1' in text
    assert 'thali_concern{concern="worker"}' in text
    principal = await sync_to_async(api.principal)(friend)
    assert (await principal.get("/_node/_local/_prometheus")).status == 403
    assert friend not in (await owner.get("/_node/_local/_prometheus")).body.decode()
