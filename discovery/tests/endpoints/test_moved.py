"""A contact tells where their hub is now."""

from __future__ import annotations

import datetime
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.utils import timezone

from discovery import pairing, store
from discovery.core import card as cards
from discovery.core import invitation as invitations
from discovery.pairing import telling
from discovery.tests.conftest import OurHub, Peer
from discovery.tests.endpoints.test_codes import scan

PATH = "/_thali/pair/v1/moved"


def card_of(peer: Peer, changed: str, *addresses: str, key: Any = None) -> bytes:
    hub = cards.Hub(peer.leaf, "hub", addresses, tor_key="A" * 52)
    return orjson.dumps(cards.make(key or peer.identity, peer.name, [hub], changed=changed))


async def befriend(hub: OurHub, peer: Peer) -> None:
    offer = await pairing.offer(timezone.now())
    await scan(hub, peer, peer.scan(invitations.read(offer.url).secret, hub))
    (row,) = await sync_to_async(store.list_pairings)()
    await pairing.approve(row.pk, timezone.now())


async def addresses_of(name: str) -> list[str]:
    return list((await sync_to_async(store.contact)(name)).addresses)


async def test_a_contacts_new_address_is_taken(clean: OurHub, bob: Peer) -> None:
    await befriend(clean, bob)
    body = card_of(bob, "2026-02-02", "192.0.2.9:6984")
    answer = await clean.client(*bob.chain).post(PATH, body)
    assert answer.status == 200
    assert await addresses_of("Bob") == ["192.0.2.9:6984"]
    assert await sync_to_async(store.tor_clients)() == {"A" * 52}


async def test_an_older_card_changes_nothing(clean: OurHub, bob: Peer) -> None:
    await befriend(clean, bob)
    before = await addresses_of("Bob")
    answer = await clean.client(*bob.chain).post(PATH, card_of(bob, "2020-01-01", "192.0.2.9:1"))
    assert answer.status == 200
    assert await addresses_of("Bob") == before


async def test_a_stranger_tells_nothing(clean: OurHub, bob: Peer, eve: Peer) -> None:
    await befriend(clean, bob)
    before = await addresses_of("Bob")
    for body in (card_of(eve, "2026-02-02", "192.0.2.9:1"), card_of(bob, "2026-02-02", "x:1")):
        assert (await clean.client(*eve.chain).post(PATH, body)).status == 403
    assert await addresses_of("Bob") == before


async def test_another_keys_card_is_refused_and_raises_the_alarm(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    await befriend(clean, bob)
    body = card_of(bob, "2026-02-02", "192.0.2.9:1", key=eve.identity)
    assert (await clean.client(*bob.chain).post(PATH, body)).status == 422
    assert (await sync_to_async(store.contact)("Bob")).other_key == eve.key


def test_who_was_not_reached_is_tried_again_after_pauses_that_grow() -> None:
    changed = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    ages = [0, 15, 30, 60, 3600, 36_000]
    tried = [changed + datetime.timedelta(seconds=age) for age in ages]
    pauses = [telling._pause(changed.isoformat(), at).total_seconds() for at in tried]
    assert pauses == [15, 15, 30, 60, 3600, 3600]


async def test_what_is_no_card_is_refused(clean: OurHub, bob: Peer) -> None:
    await befriend(clean, bob)
    for body in (b"", b"[]", b"{}", b"x" * 5000):
        assert 400 <= (await clean.client(*bob.chain).post(PATH, body)).status < 500
