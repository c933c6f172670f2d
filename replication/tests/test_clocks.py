"""Clocks that are apart are noticed by the date of an answer."""

from __future__ import annotations

import datetime
import secrets
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from django.utils import timezone

from acl import store as people
from acl.core import keys
from discovery import store as found
from discovery.models import Contact
from replication import routing
from replication.core import clocks

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, 0), (119, 0), (-119, 0), (120, 120), (-7200, -7200)]
)
def test_what_may_be_the_way_of_an_answer_is_no_difference(seconds: int, said: int) -> None:
    assert clocks.ahead(formatdate(NOW + seconds, usegmt=True), NOW) == said


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT", "\x00" * 99]
)
def test_a_date_that_nobody_can_read_says_nothing(date: str | None) -> None:
    assert clocks.ahead(date, NOW) == 0


async def test_the_first_answer_tells_and_a_clock_that_was_set_is_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = list[tuple[str, int]]()
    monkeypatch.setattr(found, "note_clock", lambda *what: noted.append(what))
    monkeypatch.setattr(routing, "_ahead", {})
    monkeypatch.setattr(routing.time, "time", lambda: NOW)
    for seconds in (3600, 0, 0):
        answers = [httpx.Response(200, headers={"date": formatdate(NOW + seconds)})] * 2
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _, left=answers: left.pop()), base_url="http://hub"
        ) as client:
            routing._compare_clocks(client, "key")
            await client.get("/")
            await client.get("/")
    assert noted == [("key", 3600), ("key", 0)]


def test_a_contact_whose_clock_is_apart_is_found_until_it_is_right(
    tables: None, new_name: Any
) -> None:
    now, name, key = timezone.now(), new_name(), keys.key_hash(secrets.token_bytes(32))
    principal = people.add_principal(name, key)
    contact = Contact.objects.create(principal=principal, trust="verified", way="qr", paired_at=now)
    found.seen(key, now)
    found.note_clock(key, -7200)
    assert (name, -7200) in found.other_clocks(now)
    assert name not in dict(found.other_clocks(now + datetime.timedelta(days=1)))
    found.note_clock(key, 0)
    assert name not in dict(found.other_clocks(now))
    contact.delete()
