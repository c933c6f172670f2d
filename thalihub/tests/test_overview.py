"""The first page says how things are, and what to do about it."""

from __future__ import annotations

import pytest

from acl import store as people
from thalihub import store
from thalihub.pages import overview


@pytest.fixture
def hub_row(api):
    """This hub's row; what a test sets in it is set back."""
    yield store.hub()
    store.change(recovery_saved_at=None, size_warning=0)


def texts():
    return " ".join(notice.text for notice in overview.now().warnings)


def test_an_identity_without_a_copy_is_warned_of_until_there_is_one(hub_row):
    from django.utils import timezone

    assert "no copy of your identity" in texts()
    store.change(recovery_saved_at=timezone.now())
    assert "no copy of your identity" not in texts()


async def _put_some(owner, database):
    assert (await owner.put(f"{database}/a", {"text": "x" * 100})).status == 201


@pytest.fixture
def filled(database, owner):
    import asyncio

    asyncio.run(_put_some(owner, database))
    return database.strip("/")


def test_data_beyond_the_limit_is_warned_of(hub_row, filled):
    assert "more room" not in texts()
    store.change(size_warning=1)
    assert "more room" in texts()


def test_a_friend_who_was_given_a_database_is_named_with_it(api, filled, monkeypatch):
    monkeypatch.setattr(overview, "_MOST_LISTED", 10_000)
    name = api.principal("Carol").name
    people.add_grant(filled, name, read=True, write=False)
    now = overview.now()
    assert name in [friend.name for friend in now.friends]
    assert [one.holders for one in now.shared if one.name == filled] == [name]
    people.remove_principal(name)
