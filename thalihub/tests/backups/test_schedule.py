"""The hub makes backups by itself, keeps some of them, and tries whether they can be restored."""

from __future__ import annotations

import errno
import json
import os
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from couchapi import tasks as couch
from couchapi.store import contents
from thalihub import tasks
from thalihub.backups import restoring, schedule, sealing
from thalihub.backups.store import runs
from thalihub.backups.store.runs import State
from thalihub.models import BackupPlan, BackupRun

pytestmark = pytest.mark.slow  # All together: each is below a quarter of a second.

PASSPHRASE = "correct horse battery"


@pytest.fixture
def folder(no_other_databases, settings, tmp_path, monkeypatch):
    """Where backups go; nothing is kept of the plan."""
    settings.HUB_BACKUPS = tmp_path / "backups"
    monkeypatch.setattr(schedule.making, "new_lock", _cheap_lock)
    monkeypatch.setattr(tasks.look_after_backups, "delay", lambda: None)
    yield settings.HUB_BACKUPS
    BackupRun.objects.all().delete()
    BackupPlan.objects.all().delete()


def _cheap_lock(passphrase, *, private, salt):
    return sealing.new_lock(passphrase, private=private, salt=salt, cost=2)


@pytest.fixture
def browser(folder):
    owner = User.objects.create_superuser("backups")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


def kinds() -> list[str]:
    return ["whole" if run.is_whole else "more" for chain in runs.chains() for run in chain]


def test_nothing_is_made_without_a_passphrase(folder):
    runs.change_plan(every=3600)
    schedule.look(1_000_000)
    assert not folder.exists()


def test_one_in_so_many_is_whole_and_the_oldest_go(folder):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(every=3600, whole_each=2, keep=2, test_every=0)
    for hour in range(7):
        schedule.look(1_000_000 + hour * 3600)
        schedule.look(1_000_000 + hour * 3600 + 60)  # Nothing is due.
    assert kinds() == ["whole", "whole", "more"]
    assert len(list(folder.iterdir())) == 3
    chain = [folder / run.file for run in runs.chains()[1]]
    opening = restoring.by_passphrase(PASSPHRASE)
    heads = [restoring.Backup(path, restoring.head_of(path, opening)) for path in chain]
    assert restoring.ordered(heads) == heads


def test_another_passphrase_begins_a_new_chain(folder):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_000)
    schedule.set_passphrase(PASSPHRASE + " two")
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_001)
    assert kinds() == ["whole", "whole"]


def test_neither_the_tables_nor_the_data_folder_open_what_was_made(folder, settings):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_000)
    schedule.set_passphrase("yet another one")  # Ends the chain: its keys go.
    texts = [path.read_bytes() for path in settings.HUB_DATA.glob("*") if path.is_file()]
    assert not any(PASSPHRASE.encode() in text for text in texts)
    assert not (settings.HUB_DATA / "backup-keys.json").exists()


def test_a_run_that_is_not_wanted_any_more_ends_and_leaves_no_file(folder, monkeypatch):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    monkeypatch.setattr(runs, "note", lambda number, *_: runs.cancel(number))
    schedule.look(1_000_000)
    assert [run.state for run in runs.recent(9)] == [State.CANCELLED]
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(folder):
    folder.write_text("a file in the way")
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(every=86_400)
    schedule.look(int(time.time()))
    (run,) = runs.recent(9)
    assert run.state == State.FAILED
    assert "File exists" in run.problem
    assert runs.plan().next_at < time.time() + 7200


def test_the_run_of_a_worker_that_died_does_not_hinder_the_next(folder):
    first = runs.begin("one", 1_000)
    assert runs.begin("two", 1_060) is None
    assert runs.begin("two", 1_200) is not None
    assert BackupRun.objects.get(pk=first).state == State.FAILED


class _PowerCut(BaseException):
    """Nothing is tidied up after it."""


@pytest.mark.parametrize("step", ["keep the key", "note it as made"])
def test_a_backup_that_was_cut_before_it_was_noted_is_none(folder, monkeypatch, step):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_000)
    (good,) = runs.chains()[0]
    with monkeypatch.context() as patch:
        place, name = {
            "keep the key": (schedule, "_keep_key"),
            "note it as made": (runs, "end"),
        }[step]
        patch.setattr(place, name, _cut)
        runs.change_plan(next_at=runs.NOW, test_every=0, whole_each=1)
        with pytest.raises(_PowerCut):
            schedule.look(1_000_001)
    assert len(list(folder.iterdir())) == 2  # It is whole, but nobody knows.
    assert [run.file for chain in runs.chains() for run in chain] == [good.file]
    assert good.file in schedule._keys()  # So it can still be tried.
    runs.end_silent(2_000_000_000)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_002)
    assert {path.name for path in folder.iterdir()} == {
        run.file for chain in runs.chains() for run in chain
    }
    assert len(runs.chains()) == 2


def _cut(*_: object, **__: object) -> None:
    raise _PowerCut


def test_a_full_disk_keeps_the_earlier_backup_and_says_what_to_do(folder, monkeypatch):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_000)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(schedule.making.os, "fsync", full)
    runs.change_plan(next_at=runs.NOW, test_every=0)
    schedule.look(1_000_001)
    assert "Make room there" in runs.last(is_test=False).problem
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_a_restore_is_tried_by_schedule_and_a_damaged_file_is_found(folder):
    schedule.set_passphrase(PASSPHRASE)
    runs.change_plan(next_at=runs.NOW, test_every=86_400)
    schedule.look(int(time.time()))
    assert runs.last(is_test=True).state == State.DONE, runs.last(is_test=True).problem
    (run,) = runs.chains()[0]
    content = (folder / run.file).read_bytes()
    (folder / run.file).write_bytes(content[:-20])
    runs.change_plan(next_test_at=runs.NOW)
    schedule.look(int(time.time()))
    found = runs.last(is_test=True)
    assert (found.state, "damaged" in found.problem) == (State.FAILED, True)


def test_the_page_sets_the_passphrase_and_the_plan(browser, folder):
    url = reverse("backups")
    short = browser.post(url, {"secret": 1, "passphrase": "short", "again": "short"})
    assert b"12 characters" in short.content
    two = browser.post(url, {"secret": 1, "passphrase": PASSPHRASE, "again": PASSPHRASE + "x"})
    assert b"not the same" in two.content
    assert not runs.plan().lock
    browser.post(url, {"secret": 1, "passphrase": PASSPHRASE, "again": PASSPHRASE})
    assert json.loads(runs.plan().lock)["sealed"]
    browser.post(url, {"plan": 1, "every": 86_400, "keep": 3, "test_every": 0})
    assert (runs.plan().keep, runs.plan().next_at) == (3, runs.NOW)
    tasks.look_after_backups()
    assert kinds() == ["whole"]
    assert browser.get(url).status_code == 200


def test_no_content_is_removed_while_a_backup_reads(api, monkeypatch):
    removed = []
    monkeypatch.setattr(couch.contents, "remove", removed.append)
    monkeypatch.setattr(couch.attachments, "gone", lambda *_, **__: [] if removed else ["blob"])
    monkeypatch.setattr(couch.attachments, "forget", lambda *_, **__: None)
    with contents.kept():
        couch.remove_contents(0)
        assert removed == []
    couch.remove_contents(0)
    assert removed == [["blob"]]
