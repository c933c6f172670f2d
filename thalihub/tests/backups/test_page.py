"""The page of backups lets the owner take a finished one along, and delete it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse

from thalihub.backups import schedule
from thalihub.backups.store import runs
from thalihub.backups.store.runs import State
from thalihub.models import BackupPlan, BackupRun
from thalihub.pages import backuppages

CONTENT = b"sealed " * 100_000


@pytest.fixture
def folder(no_other_databases, settings, tmp_path):
    """A chain of three whose second file has gone, one that failed, and a trial."""
    settings.HUB_BACKUPS = tmp_path
    for at, state in enumerate([State.DONE, State.DONE, State.DONE, State.FAILED]):
        number = runs.begin(f"hub-{at}.thali-backup", 1000 + at, is_whole=at == 0)
        runs.end(number, state, 2000 + at, size=len(CONTENT))
        if at != 1:
            (tmp_path / f"hub-{at}.thali-backup").write_bytes(CONTENT)
    runs.end(runs.begin("hub-2.thali-backup", 3000, is_test=True), State.DONE, 3001)
    yield tmp_path
    BackupRun.objects.all().delete()
    BackupPlan.objects.all().delete()


@pytest.fixture
def owner(folder):
    owner = User.objects.create_superuser("takes-backups-along")
    yield owner
    owner.delete()


@pytest.fixture
def browser(owner):
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client


def number_of(at: int) -> int:
    return BackupRun.objects.get(file=f"hub-{at}.thali-backup", is_test=False).pk


def url_of(at: int) -> str:
    return reverse("backup-file", args=[number_of(at)])


async def test_a_finished_backup_is_sent_as_it_is(owner, folder):
    client = AsyncClient(headers={"host": "hub"})
    await client.aforce_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    row = await BackupRun.objects.aget(file="hub-0.thali-backup")
    answer = await client.get(reverse("backup-file", args=[row.pk]))
    assert answer.status_code == 200
    assert answer.is_async  # In pieces: not all of it is ever in memory.
    assert b"".join([piece async for piece in answer]) == CONTENT
    said = answer.headers
    assert said["Content-Disposition"] == 'attachment; filename="hub-0.thali-backup"'
    assert said["Content-Type"] == "application/octet-stream"
    assert said["Content-Length"] == str(len(CONTENT))
    assert "no-store" in said["Cache-Control"]


def test_nobody_but_the_owner_gets_one(folder):
    stranger = Client(headers={"host": "hub"})
    answer = stranger.get(url_of(0))
    assert (answer.status_code, "login" in answer.headers["Location"]) == (302, True)
    assert stranger.post(reverse("backups"), {"remove": number_of(0)}).status_code == 302
    assert (folder / "hub-0.thali-backup").exists()


@pytest.mark.parametrize("at", [1, 3])
def test_what_is_not_finished_or_has_gone_is_not_sent(browser, at):
    answer = browser.get(url_of(at))
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("backups"))
    assert b"not in the folder" in browser.get(reverse("backups")).content


def test_only_a_backup_that_is_there_has_a_link(folder):
    shown = {line.file: line for line in backuppages._context()["lines"] if line.documents == 0}
    lines = [one for one in backuppages._context()["lines"] if one.when]
    assert {one.file for one in lines if one.is_here} == {
        "hub-0.thali-backup",
        "hub-2.thali-backup",
    }
    assert shown["hub-1.thali-backup"].is_lost
    assert shown["hub-0.thali-backup"].going_along == 2


def test_what_continues_a_deleted_backup_goes_with_it(browser, folder):
    browser.post(reverse("backups"), {"remove": number_of(2)})
    assert [run.file[4:5] for run in runs.chains()[0]] == ["0", "1"]
    browser.post(reverse("backups"), {"remove": number_of(0)})
    assert runs.chains() == []
    assert [path.name for path in folder.iterdir()] == ["hub-3.thali-backup"]
    again = browser.post(reverse("backups"), {"remove": 999}, follow=True)
    assert b"no such backup" in again.content


def test_retention_counts_only_what_is_still_there(folder):
    """The newest chain has lost a file: the one before it is kept."""
    for at in (5, 6):
        number = runs.begin(f"hub-{at}.thali-backup", 4000 + at)
        runs.end(number, State.DONE, 4000 + at)
    (folder / "hub-5.thali-backup").write_bytes(CONTENT)
    schedule._remove_old(1)
    assert [chain[0].file for chain in runs.chains()] == [
        "hub-6.thali-backup",
        "hub-5.thali-backup",
    ]
