"""The pages of versions that met: what they say of them, and what becomes of the choice."""

from __future__ import annotations

import re
import time
from functools import partial
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from acl import sql
from couchapi.core import lww, revid
from couchapi.store import maintenance, meetings
from thalihub.pages import overview


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("deciding")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


def minted(parent, ms, deleted=False):
    return revid.mint(parent, deleted, b"{}", (), ms)


ROOT = minted(None, 1_750_000_000_000)
OLD = minted(ROOT, 1_750_000_001_000)
NEW = minted(ROOT, 1_750_000_002_000)


async def arrive(owner, database, path, **members):
    """Bring a revision with its history, as another hub does."""
    revisions = {"start": path[0].pos, "ids": [one.hash for one in path]}
    document = {"_id": "apple pie", "_revisions": revisions, "_rev": str(path[0]), **members}
    sent = {"docs": [document], "new_edits": False}
    answer = await owner.post(f"{database}/_bulk_docs", sent)
    assert (answer.status, answer.json()) == (201, [])


async def meet(owner, database):
    await arrive(owner, database, (NEW, ROOT), eggs=3, sugar="much")
    await arrive(owner, database, (OLD, ROOT), eggs=2, sugar="much")


def asked(database, docid="apple pie"):
    query = {"database": database.strip("/"), "document": docid}
    return f"{reverse('conflict')}?{urlencode(query)}"


async def shown(browser, url):
    """Return what a page says, in one line."""
    answer = await sync_to_async(browser.get)(url, secure=True)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


async def choose(browser, url, **form):
    answer = await sync_to_async(browser.post)(url, form, secure=True, follow=True)
    return " ".join(answer.content.decode().split())


async def test_the_list_names_the_document(browser, owner, database):
    await meet(owner, database)
    await owner.put(f"{database}/alone", {})
    said = await shown(browser, f"{reverse('conflicts')}?database={database.strip('/')}")
    assert ">apple pie</a>" in said
    assert "1 other version" in said
    assert "Decided" in said
    assert ">alone</a>" not in said
    nothing = await shown(
        browser, f"{reverse('conflicts')}?database={database.strip('/')}&before=1"
    )
    assert "There are no more." in nothing


async def test_both_versions_stand_side_by_side_and_the_newer_won(browser, owner, database):
    await meet(owner, database)
    said = await shown(browser, asked(database))
    assert "The last writer wins: what is shown was written later." in said
    assert "</span>&quot;eggs&quot;: 3</mark>" in said
    assert "</span>&quot;eggs&quot;: 2</mark>" in said
    assert said.count("<li>&quot;sugar&quot;: &quot;much&quot;</li>") == 2


async def test_the_times_tell_apart_what_came_within_a_second(browser, owner, database):
    await meet(owner, database)
    said = await shown(browser, asked(database))
    assert ":42.000" in said
    assert ":41.000" in said
    assert '<a href="/sync/" aria-current' in said


async def test_the_first_page_counts_them(browser, owner, database):
    before = await sync_to_async(overview.now)()
    await meet(owner, database)
    after = await sync_to_async(overview.now)()
    assert after.met == before.met + 1


async def test_the_other_one_is_kept(browser, owner, database):
    await meet(owner, database)
    closed = lww.prune_of(OLD)
    said = await choose(browser, asked(database), base=str(NEW), keep=str(closed))
    assert "Done." in said
    assert "Both say the same." in said
    kept = (await owner.get(f"{database}/apple pie", conflicts="true")).json()
    assert (kept["eggs"], kept["_rev"][:2], "_conflicts" in kept) == (2, "3-", False)


async def test_attachments_are_kept_with_it(browser, owner, database):
    await arrive(owner, database, (NEW, ROOT), eggs=3)
    picture = {"content_type": "text/plain", "data": "aGVsbG8="}
    await arrive(owner, database, (OLD, ROOT), _attachments={"a.txt": picture})
    assert "a.txt" in await shown(browser, asked(database))
    form = {"base": str(NEW), "keep": str(lww.prune_of(OLD))}
    assert "Done." in await choose(browser, asked(database), **form)
    assert (await owner.get(f"{database}/apple pie/a.txt")).body == b"hello"


async def test_who_has_seen_an_older_state_looks_again(browser, owner, database):
    await meet(owner, database)
    changed = await owner.put(f"{database}/apple pie", {"_rev": str(NEW), "eggs": 4})
    assert changed.status == 201
    form = {"base": str(NEW), "keep": str(lww.prune_of(OLD))}
    assert "has changed in the meantime" in await choose(browser, asked(database), **form)
    assert (await owner.get(f"{database}/apple pie")).json()["eggs"] == 4


@pytest.mark.parametrize("form", [{}, {"base": "x", "keep": "y"}, {"base": str(NEW)}])
async def test_a_form_that_says_nothing_changes_nothing(browser, owner, database, form):
    await meet(owner, database)
    await choose(browser, asked(database), **form)
    assert (await owner.get(f"{database}/apple pie")).json()["_rev"] == str(NEW)


@pytest.mark.parametrize("keeps_shown", [True, False], ids=["shown", "other"])
async def test_couchdbs_conflicts_are_decided(browser, owner, couch_database, keeps_shown):
    await meet(owner, couch_database)
    shown_rev, other_rev = sorted((NEW, OLD), reverse=True)
    said = await shown(browser, asked(couch_database))
    assert "This database keeps both until somebody decides." in said
    assert "Keep what is shown" in said
    keep = shown_rev if keeps_shown else other_rev
    form = {"base": str(shown_rev), "keep": str(keep)}
    assert "Done." in await choose(browser, asked(couch_database), **form)
    kept = (await owner.get(f"{couch_database}/apple pie", conflicts="true")).json()
    assert "_conflicts" not in kept
    assert kept["eggs"] == (3 if keep == NEW else 2)


async def test_a_version_that_is_no_longer_kept_is_told(browser, owner, couch_database):
    await meet(owner, couch_database)
    await owner.delete(f"{couch_database}/apple pie", rev=str(OLD))
    assert "This version was deleted" in await shown(browser, asked(couch_database))
    compact = partial(maintenance.compact_slice, db_name=couch_database.strip("/"), after="")
    await sql.write(compact)
    assert "What this version said is no longer kept." in await shown(
        browser, asked(couch_database)
    )


async def test_a_deletion_that_lost_can_be_done_after_all(browser, owner, database):
    gone = minted(ROOT, 1_750_000_001_500, deleted=True)
    await arrive(owner, database, (NEW, ROOT), eggs=3)
    await arrive(owner, database, (gone, ROOT), _deleted=True)
    assert "The other version is a deletion." in await shown(browser, asked(database))
    await choose(browser, asked(database), base=str(NEW), keep=str(gone))
    assert (await owner.get(f"{database}/apple pie")).status == 404


async def test_an_edit_that_a_later_deletion_won_over_is_taken_back(browser, owner, database):
    gone = minted(ROOT, 1_750_000_002_000, deleted=True)
    await arrive(owner, database, (OLD, ROOT), eggs=2)
    await arrive(owner, database, (gone, ROOT), _deleted=True)
    path = f"{database}/apple pie"
    assert (await owner.get(path)).status == 404
    said = await shown(browser, asked(database))
    assert "The last writer wins" in said
    assert "eggs" in said
    (base,) = set(re.findall(r'name="base" value="([^"]+)"', said))
    (keep,) = re.findall(r'name="keep" value="([^"]+)"', said)
    assert "Done." in await choose(browser, asked(database), base=base, keep=keep)
    assert (await owner.get(path)).json()["eggs"] == 2


async def test_what_is_not_there_is_not_found(browser, owner, database):
    for url in (asked(database), asked("/nowhere"), reverse("conflict")):
        assert (await sync_to_async(browser.get)(url, secure=True)).status_code == 404


async def test_it_speaks_german(browser, owner, database):
    await meet(owner, database)
    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    assert "Wer zuletzt geschrieben hat, gewinnt" in await shown(browser, asked(database))


def test_nobody_else_sees_them(api):
    stranger = Client(headers={"host": "hub"})
    for name in ("conflicts", "conflict", "status"):
        assert stranger.get(reverse(name), secure=True).status_code == 302


def counted(database):
    return sql.read_sync(meetings.counts).get(database.strip("/"), 0)


async def test_what_the_owner_finds_right_leaves_the_count_until_more_meets(
    browser, owner, database
):
    name = database.strip("/")
    count = sync_to_async(counted)
    await meet(owner, database)
    assert await count(database) == 1
    (base,) = await tips(owner, database)
    stale = await choose(browser, asked(database), right="1", base=str(OLD))
    assert "has changed in the meantime" in stale
    assert await count(database) == 1
    await choose(browser, asked(database), right="1", base=base)
    assert await count(database) == 0
    nothing = await shown(browser, f"{reverse('conflicts')}?database={name}")
    assert f"database={name}&amp;document" not in nothing
    everything = await shown(browser, f"{reverse('conflicts')}?database={name}&all=1")
    assert ">apple pie</a>" in everything
    other = minted(ROOT, 1_750_000_001_500)
    await arrive(owner, database, (other, ROOT), eggs=9)
    assert await count(database) == 1


async def test_a_choice_leaves_the_count_and_so_do_all_at_once(browser, owner, database):
    count = sync_to_async(counted)
    await meet(owner, database)
    (base,) = await tips(owner, database)
    said = await shown(browser, asked(database))
    (keep,) = set(re.findall(r'name="keep" value="([^"]+)"', said))
    await choose(browser, asked(database), keep=keep, base=base)
    assert await count(database) == 0
    await arrive(owner, database, (minted(ROOT, 1_750_000_001_500), ROOT), eggs=9)
    assert await count(database) == 1
    page = f"{reverse('conflicts')}?database={database.strip('/')}"
    assert "All of them are right" in await choose(browser, page, right="1")
    assert await count(database) == 0


async def tips(owner, database):
    answer = await owner.get(f"{database}/apple%20pie")
    return [answer.json()["_rev"]]


async def test_a_clock_that_is_ahead_and_a_restless_document_are_shown(browser, owner, database):
    soon = minted(ROOT, time.time_ns() // 1_000_000 + 3_600_000)
    await arrive(owner, database, (OLD, ROOT), eggs=2)
    await arrive(owner, database, (soon, ROOT), eggs=4)
    said = await shown(browser, reverse("conflicts"))
    assert "clock is ahead" in said
    assert f"{database.strip('/')}: apple pie" in said
    busy = (
        "UPDATE couchapi_document SET resolver_count = 10 WHERE docid = 'apple pie'"
        " AND database_id = (SELECT id FROM couchapi_database WHERE name = %s)"
    )
    await sql.write(lambda one: one.execute(busy, (database.strip("/"),)))
    said = await shown(browser, reverse("conflicts"))
    assert "Too much to decide" in said
