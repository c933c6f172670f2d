"""Codes and invitations, as the hub that answers them sees it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from acl.core import certs
from acl.core.errors import RefusedError
from discovery import pairing, store
from discovery.core import commitment as values
from discovery.core import invitation as invitations
from discovery.core import messages
from discovery.core.errors import KeyChanged, WrongState
from discovery.models import PairingRow
from discovery.tests.conftest import OurHub, Peer

PATH = "/_thali/pair/v1/"


async def scan(hub: OurHub, peer: Peer, body: bytes) -> Any:
    return await hub.client(*peer.chain).post(PATH + "qr", body)


async def status(hub: OurHub, peer: Peer, row: PairingRow) -> str:
    answer = await hub.client(*peer.chain).get(PATH + "status", sid=row.sid, wait="0")
    return str(answer.json()["state"])


async def the_row() -> PairingRow:
    (row,) = await sync_to_async(store.list_pairings)()
    return row


async def secret_of(offer: pairing.Offer) -> bytes:
    return invitations.read(offer.url).secret


@pytest.mark.parametrize(("way", "trust"), [("qr", "verified"), ("invitation", "introduced")])
async def test_a_code_or_invitation_pairs_after_our_yes(
    clean: OurHub, bob: Peer, way: str, trust: str
) -> None:
    make = pairing.offer if way == "qr" else pairing.invite
    body = bob.scan(await secret_of(await make(timezone.now())), clean)
    assert (await scan(clean, bob, body)).json()["state"] == "waiting"
    row = await the_row()
    assert (row.state, row.name, row.way, row.key) == ("requested", "Bob", way, bob.key)
    k_s, k_d = values.decoded(bob.leaf), values.decoded(clean.device_key)
    sid = values.decoded(row.sid)
    assert row.code == values.code(values.qr_transcript(sid, k_s, k_d, body))
    card = messages.write(sid=sid, card={})
    assert (await clean.client(*bob.chain).post(PATH + "card", card)).status == 409

    assert (await pairing.approve(row.pk, timezone.now())).state == "paired"
    assert await status(clean, bob, row) == "confirmed"
    answer = await clean.client(*bob.chain).post(PATH + "card", card)
    assert answer.json()["card"]["name"] == "Ada"
    (contact,) = await sync_to_async(store.list_contacts)()
    assert (contact.name, contact.trust, contact.addresses) == ("Bob", trust, ["192.0.2.2:6984"])


async def test_the_same_message_again_is_the_same_pairing(clean: OurHub, bob: Peer) -> None:
    body = bob.scan(await secret_of(await pairing.offer(timezone.now())), clean)
    assert (await scan(clean, bob, body)).status == 200
    assert (await scan(clean, bob, body)).status == 200
    assert (await the_row()).state == "requested"


async def test_a_second_use_is_refused_and_ends_the_first_in_red(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    secret = await secret_of(await pairing.offer(timezone.now()))
    await scan(clean, bob, bob.scan(secret, clean))
    assert (await scan(clean, eve, eve.scan(secret, clean))).status == 409
    row = await the_row()
    assert (row.state, row.problem) == ("failed", "used_twice")
    assert await status(clean, bob, row) == "rejected"
    with pytest.raises(WrongState):
        await pairing.approve(row.pk, timezone.now())


async def test_a_second_use_after_the_pairing_is_shown_in_red(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    secret = await secret_of(await pairing.offer(timezone.now()))
    await scan(clean, bob, bob.scan(secret, clean))
    await pairing.approve((await the_row()).pk, timezone.now())
    assert (await scan(clean, eve, eve.scan(secret, clean))).status == 409
    row = await the_row()
    assert (row.state, row.problem) == ("paired", "used_twice")


async def test_a_replayed_proof_of_another_hub_is_refused(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    secret = await secret_of(await pairing.offer(timezone.now()))
    found = messages.read("qr", bob.scan(secret, clean))
    replayed = eve.scan(secret, clean, sid=found["sid"], proof=found["proof"])
    assert (await scan(clean, eve, replayed)).status == 403
    assert await sync_to_async(store.list_pairings)() == []


async def test_five_bad_proofs_burn_a_code_but_no_invitation(clean: OurHub, bob: Peer) -> None:
    code = await secret_of(await pairing.offer(timezone.now()))
    mailed = await secret_of(await pairing.invite(timezone.now()))
    for _ in range(5):
        assert (await scan(clean, bob, bob.scan(b"x" * 16, clean))).status == 403
    assert (await scan(clean, bob, bob.scan(code, clean))).status == 410
    assert (await scan(clean, bob, bob.scan(mailed, clean))).status == 200


async def test_four_bad_proofs_do_not_burn_a_code(clean: OurHub, bob: Peer) -> None:
    code = await secret_of(await pairing.offer(timezone.now()))
    for _ in range(4):
        await scan(clean, bob, bob.scan(b"x" * 16, clean))
    assert (await scan(clean, bob, bob.scan(code, clean))).status == 200


async def test_a_code_lasts_five_minutes(clean: OurHub, bob: Peer) -> None:
    made = await pairing.offer(timezone.now() - datetime.timedelta(minutes=5, seconds=1))
    assert (await scan(clean, bob, bob.scan(await secret_of(made), clean))).status == 410


async def test_a_withdrawn_code_is_unknown(clean: OurHub, bob: Peer) -> None:
    made = await pairing.offer(timezone.now())
    await pairing.withdraw(made.id)
    assert (await scan(clean, bob, bob.scan(await secret_of(made), clean))).status == 403


async def test_a_card_of_another_identity_is_refused(clean: OurHub, bob: Peer, eve: Peer) -> None:
    secret = await secret_of(await pairing.offer(timezone.now()))
    assert (await scan(clean, bob, bob.scan(secret, clean, card=eve.card()))).status == 422
    assert (await scan(clean, bob, bob.scan(secret, clean))).status == 200


async def test_a_rejected_request_is_told(clean: OurHub, bob: Peer) -> None:
    await scan(clean, bob, bob.scan(await secret_of(await pairing.offer(timezone.now())), clean))
    row = await the_row()
    await pairing.reject(row.pk, timezone.now())
    assert await status(clean, bob, row) == "rejected"


async def test_a_name_that_is_taken_gets_a_piece_of_the_key(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    eve.name = "Bob"
    for peer in (bob, eve):
        secret = await secret_of(await pairing.offer(timezone.now()))
        await scan(clean, peer, peer.scan(secret, clean))
        row = (await sync_to_async(store.list_pairings)())[0]
        await pairing.approve(row.pk, timezone.now())
    names = [one.name for one in await sync_to_async(store.list_contacts)()]
    assert names[0] == "Bob"
    assert names[1].startswith("Bob ")


async def test_meeting_again_raises_the_trust_and_never_lowers_it(clean: OurHub, bob: Peer) -> None:
    found = []
    for make in (pairing.invite, pairing.offer, pairing.invite):
        secret = await secret_of(await make(timezone.now()))
        await scan(clean, bob, bob.scan(secret, clean))
        row = (await sync_to_async(store.list_pairings)())[0]
        await pairing.approve(row.pk, timezone.now())
        (contact,) = await sync_to_async(store.list_contacts)()
        found.append(contact.trust)
    assert found == ["introduced", "verified", "verified"]


# -- my other device ---------------------------------------------------------------------------


async def test_a_new_device_gets_certificates_of_our_identity(clean: OurHub, bob: Peer) -> None:
    made = await pairing.offer(timezone.now(), purpose="device")
    assert invitations.read(made.url).purpose == "device"
    keys = [bob.spki(bob.device), bob.spki(bob.client)]
    await scan(clean, bob, bob.scan(await secret_of(made), clean, keys=keys))
    row = await the_row()
    await pairing.approve(row.pk, timezone.now(), "laptop")

    body = messages.write(sid=values.decoded(row.sid), card={})
    answer = (await clean.client(*bob.chain).post(PATH + "card", body)).json()
    given, device, owner = (values.decoded(text) for text in answer["certificates"])
    client_key = certs.public_key_hash(bob.client.public_key())
    assert certs.verified_keys(device, [given]) == [bob.leaf, clean.key]
    assert certs.verified_keys(owner, [given]) == [client_key, clean.key]
    assert "laptop" in [one.name for one in await pairing.list_devices()]
    hubs = {hub["name"] for hub in (await pairing.own_card(timezone.now()))["hubs"]}
    assert hubs == {"desk", "laptop"}

    as_device = clean.client(device, given)
    assert (await as_device.get("/_all_dbs")).status == 200
    await pairing.revoke_device("laptop")
    assert (await as_device.get("/_all_dbs")).status == 403
    assert (await clean.client(owner, given).get("/_all_dbs")).status == 403
    hubs = {hub["name"] for hub in (await pairing.own_card(timezone.now()))["hubs"]}
    assert hubs == {"desk"}


async def test_a_friends_code_gives_no_certificates(clean: OurHub, bob: Peer) -> None:
    secret = await secret_of(await pairing.offer(timezone.now()))
    keys = [bob.spki(bob.device), bob.spki(bob.client)]
    await scan(clean, bob, bob.scan(secret, clean, keys=keys))
    row = await the_row()
    await pairing.approve(row.pk, timezone.now())
    body = messages.write(sid=values.decoded(row.sid), card={})
    assert "certificates" not in (await clean.client(*bob.chain).post(PATH + "card", body)).json()


async def test_keys_of_somebody_else_are_not_signed(clean: OurHub, bob: Peer, eve: Peer) -> None:
    made = await pairing.offer(timezone.now(), purpose="device")
    keys = [bob.spki(eve.device), bob.spki(bob.client)]
    await scan(clean, bob, bob.scan(await secret_of(made), clean, keys=keys))
    with pytest.raises(KeyChanged):
        await pairing.approve((await the_row()).pk, timezone.now())
    assert (await the_row()).state == "requested"


async def test_this_device_cannot_be_revoked_here(clean: OurHub) -> None:
    (this,) = [line for line in await pairing.list_devices() if line.is_this]
    with pytest.raises(RefusedError, match="using"):
        await pairing.revoke_device(this.name)
