"""What another hub says that it shares is read with care, and a copy never touches what is ours."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import orjson
import pytest

from acl import store as people
from acl.core.keys import short_key
from acl.models import Principal
from acl.store.people import rename_principal
from discovery.core.errors import MessageError
from replication import manager, routing
from thalihub.pages import shares


def said(monkeypatch, content, status=200):
    """Return what we read where the other hub says this."""

    @contextlib.asynccontextmanager
    async def way_to(key, peer):
        transport = httpx.MockTransport(lambda request: httpx.Response(status, content=content))
        async with httpx.AsyncClient(transport=transport, base_url="https://hub") as client:
            yield routing.Way(client, "lan")

    monkeypatch.setattr(routing, "way_to", way_to)
    return asyncio.run(shares.offered("A" * 43, "Bob"))


def test_databases_are_named_but_those_of_the_hub_itself(monkeypatch):
    told = orjson.dumps(["inbox", "letters", "me", "photos"])
    assert said(monkeypatch, told) == ["letters", "photos"]


def test_what_is_no_name_is_left_out(monkeypatch):
    told = orjson.dumps(["letters", "<b>", "../x", 7, None, "A", "_users"])
    assert said(monkeypatch, told) == ["letters"]


def test_a_hub_that_shares_nothing_shares_nothing(monkeypatch):
    assert said(monkeypatch, b'{"error":"unauthorized"}', status=401) == []
    assert said(monkeypatch, b"[]") == []


@pytest.mark.parametrize("content", [b"{}", b"[", b"[" + b'"a",' * 100_000 + b'"a"]'])
def test_an_answer_that_cannot_be_is_refused(monkeypatch, content):
    with pytest.raises(MessageError):
        said(monkeypatch, content)


@pytest.fixture
def bob(api):
    principal = people.find_principal(api.principal("Bob").name)
    yield principal
    shares.leave(principal.key)
    people.remove_principal(Principal.objects.get(pk=principal.pk).name)


@pytest.mark.parametrize("addresses", [(), ("127.0.0.1:1",), ("[::1]:1",)])
def test_a_copy_is_kept_once_and_left_again(bob, new_name, addresses):
    name = new_name()
    for _ in range(2):
        shares.keep(bob.name, bob.key, addresses, name)
    assert len(jobs_of(bob)) == 1
    assert shares.kept(bob.key)[name].copy == name
    rename_principal(bob.name, f"{bob.name} Miller")
    assert shares.kept(bob.key)[name].copy == name
    shares.leave(bob.key, name)
    assert shares.kept(bob.key) == {}


def jobs_of(principal):
    return [one for one in manager.listing(0.0) if one["links"][0]["key"] == principal.key]


def test_a_database_of_ours_of_the_same_name_is_not_touched(bob, database):
    name = database.strip("/")
    shares.keep(bob.name, bob.key, ("127.0.0.1:1",), name)
    (job,) = jobs_of(bob)
    assert job["database"] == f"{name}-{short_key(bob.key).lower()}"
