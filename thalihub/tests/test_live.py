"""Parts of pages that stay up to date: for the owner alone, and where something has changed."""

from __future__ import annotations

import datetime

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from discovery import store
from discovery.core import pairing as machine
from discovery.core.pairing import State, Way
from thalihub.asgi import pages_application
from thalihub.pages import consumers, live

HOST = b"hub"


@pytest.fixture
def cookie(api, monkeypatch):
    """The owner's cookie; pages are looked at more often than in life."""
    monkeypatch.setattr(live, "_SECONDS", 0.01)
    store.set_me(addresses=["127.0.0.1:1"])
    owner = User.objects.create_superuser("live")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client.cookies[settings.SESSION_COOKIE_NAME].value
    owner.delete()


def socket(path, cookie="", origin=b"https://hub", language=b"en"):
    headers = [(b"host", HOST), (b"origin", origin), (b"accept-language", language)]
    if cookie:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
    return WebsocketCommunicator(pages_application, path, headers=headers)


@pytest.mark.parametrize("path", ["/meet/", "/meet/show/", "/meet/compare/", "/people/1/"])
async def test_a_stranger_sees_nothing(api, path):
    connected, _ = await socket(path).connect()
    assert not connected


async def test_a_page_of_another_site_sees_nothing(cookie):
    connected, _ = await socket("/meet/", cookie, b"https://elsewhere.example").connect()
    assert not connected


async def test_an_address_that_nobody_serves_is_refused(cookie):
    connected, _ = await socket("/nothing/", cookie).connect()
    assert not connected


async def test_a_part_comes_again_when_it_has_changed(cookie, new_name):
    page = socket("/meet/", cookie)
    await page.connect()
    before = await page.receive_from()
    name = f"Hanna {new_name()}"
    row = await sync_to_async(add_pairing)(name)
    after = await page.receive_from(10)
    assert name not in before
    assert name in after
    await sync_to_async(store.change)(row.pk, refused, timezone.now())
    assert name not in await page.receive_from(10)
    await page.disconnect()


def refused(pairing):
    return machine.step(pairing, machine.Event.REFUSED, timezone.now())


def add_pairing(name, state=State.REQUESTED, way=Way.QR):
    number = len(store.list_pairings()) + 1
    pairing = machine.Pairing(
        way,
        outgoing=False,
        state=state,
        deadline=timezone.now() + datetime.timedelta(minutes=5),
        sid=b"live" + number.to_bytes(12),
        our_key=b"o" * 32,
        their_key=b"t" * 32,
        transcript=b"x" * 32,
    )
    return store.add_pairing(pairing, timezone.now(), key="A" * 43, name=name)


async def test_a_part_is_in_the_language_of_its_page(cookie):
    page = socket("/meet/nearby/", cookie, language=b"de")
    await page.connect()
    assert "In der Nähe ist kein Hub zu sehen" in await page.receive_from(10)
    await page.disconnect()


async def test_the_socket_ends_with_the_login(cookie):
    page = socket("/meet/", cookie)
    await page.connect()
    await page.receive_from(10)
    await Session.objects.filter(pk=cookie).adelete()
    assert (await page.receive_output(10))["type"] == "websocket.close"
    await page.disconnect()


async def test_a_code_is_withdrawn_with_its_page(cookie, hub_name):
    page = socket("/meet/show/", cookie)
    await page.connect()
    assert "<svg" in await page.receive_from(10)
    now = timezone.now()
    (offer,) = await sync_to_async(store.list_offers)(now)
    await page.disconnect()
    assert offer.pk not in [one.pk for one in await sync_to_async(store.list_offers)(now)]


async def test_a_code_leads_to_where_the_hub_is_now(cookie, hub_name):
    before = await sync_to_async(store.own_addresses)()
    page = socket("/meet/show/", cookie)
    await page.connect()
    first = await page.receive_from(10)
    await sync_to_async(store.set_me)(addresses=["10.1.1.8:6984"])
    assert "<svg" in (second := await page.receive_from(10))
    assert first != second
    assert len(await sync_to_async(store.list_offers)(timezone.now())) == 1
    await page.disconnect()
    await sync_to_async(store.set_me)(addresses=before)


@pytest.fixture
def hub_name():
    """The name that a code has in it."""
    store.set_me(name="Ann")


async def test_what_cannot_be_shown_is_said_in_words(cookie):
    page = socket("/meet/999999999/", cookie)
    await page.connect()
    assert "There is no such pairing" in await page.receive_from(10)
    await page.disconnect()


async def test_a_part_that_fails_ends_so_that_the_page_tries_again(cookie, monkeypatch):
    async def fails(consumer):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(consumers.LivePairings, "context", fails)
    page = socket("/meet/", cookie)
    await page.connect()
    assert (await page.receive_output(10))["code"] == 1011
    await page.disconnect()
