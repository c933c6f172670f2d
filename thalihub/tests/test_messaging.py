"""The page of the inbox shows what came in, and files it."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from acl import store as people
from replication.books.names import INBOX


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("inbox")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


async def _made(owner):
    assert (await owner.put(f"/{INBOX}")).status in (201, 412)


@pytest.fixture
def bob(api, owner):
    """A friend who may write to the inbox, and nothing else."""
    asyncio.run(_made(owner))
    friend = api.principal("Bob")
    people.add_grant(INBOX, friend.name, read=False, write=True)
    yield friend
    people.remove_principal(friend.name)


def post(client, path, body):
    answer = asyncio.run(client.put(path, body))
    assert answer.status == 201
    return answer.json()["rev"]


def get(client, path):
    return asyncio.run(client.get(path))


def show(browser):
    html = browser.get("/inbox/", secure=True).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<main") :]))


def message(docid):
    return {
        "from": f"Bob of {docid}",
        "subject": "Party",
        "text": "On <Sunday>",
        "_attachments": {
            "map.txt": {"content_type": "text/plain", "data": base64.b64encode(b"here").decode()}
        },
    }


def test_what_a_friend_sends_is_shown_as_text(browser, bob, new_name):
    docid = new_name()
    post(bob, f"/{INBOX}/{docid}", message(docid))
    shown = show(browser)
    assert f"It says that it is from Bob of {docid}" in shown
    assert "On &lt;Sunday&gt;" in shown
    assert "map.txt" in shown
    assert get(bob, f"/{INBOX}/{docid}").status == 403


def test_a_message_is_moved_with_what_is_attached_to_it(browser, bob, owner, database, new_name):
    docid = new_name()
    rev = post(bob, f"/{INBOX}/{docid}", message(docid))
    sent = {"id": docid, "rev": rev, "keep": "1", "target": database.strip("/")}
    browser.post("/inbox/", sent, secure=True)
    assert get(owner, f"/{INBOX}/{docid}").status == 404
    assert get(owner, f"{database}/{docid}").json()["subject"] == "Party"
    assert get(owner, f"{database}/{docid}/map.txt").body == b"here"


def test_a_message_that_changed_meanwhile_stays(browser, bob, owner, database, new_name):
    docid = new_name()
    first = post(bob, f"/{INBOX}/{docid}", message(docid))
    post(owner, f"/{INBOX}/{docid}", {"subject": "Another", "_rev": first})
    for action in ({"keep": "1", "target": database.strip("/")}, {"delete": "1"}):
        browser.post("/inbox/", {"id": docid, "rev": first, **action}, secure=True)
    assert get(owner, f"/{INBOX}/{docid}").json()["subject"] == "Another"
    assert get(owner, f"{database}/{docid}").status == 404


def test_a_message_is_thrown_away(browser, bob, owner, new_name):
    docid = new_name()
    rev = post(bob, f"/{INBOX}/{docid}", {"text": "Buy!"})
    browser.post("/inbox/", {"id": docid, "rev": rev, "delete": "1"}, secure=True)
    assert get(owner, f"/{INBOX}/{docid}").status == 404


def test_nothing_is_moved_into_a_database_that_is_not_offered(browser, bob, owner, new_name):
    docid = new_name()
    rev = post(bob, f"/{INBOX}/{docid}", {"text": "Trick"})
    for target in ("addressbook", "me", INBOX, "missing"):
        sent = {"id": docid, "rev": rev, "keep": "1", "target": target}
        browser.post("/inbox/", sent, secure=True)
    assert get(owner, f"/{INBOX}/{docid}").status == 200
