"""The comparison, as another hub sees it: its messages, in every order that it may try."""

from __future__ import annotations

import datetime
import json
import random
import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from discovery import pairing, store
from discovery.core import commitment as values
from discovery.core import messages
from discovery.core import pairing as machine
from discovery.core.errors import Locked, WrongState
from discovery.models import PairingRow
from discovery.tests.conftest import Peer

PATH = "/_thali/pair/v1/"


@dataclass
class Caller:
    """The initiator, on the other side."""

    peer: Peer
    hub: Any
    sid: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    transcript: bytes = bytes(32)

    def __post_init__(self) -> None:
        self.client = self.hub.client(*self.peer.chain)
        self.k_i, self.k_r = values.decoded(self.peer.leaf), values.decoded(self.hub.device_key)

    async def post(self, name: str, body: bytes, **headers: str) -> Any:
        return await self.client("POST", PATH + name, body, headers=headers)

    async def start(self, **more: Any) -> Any:
        commit = values.commitment(self.sid, self.k_i, self.k_r, self.nonce)
        plain = {
            "sid": self.sid,
            "commit": commit,
            "id": values.decoded(self.peer.key),
            "name": self.peer.name,
            "addresses": ["192.0.2.2:6984"],
        }
        body = messages.write(**{**plain, **more})
        answer = await self.post("start", body)
        if answer.status == 200:
            found = messages.read("started", answer.body)
            self.transcript = values.transcript(
                self.sid, self.k_i, self.k_r, self.nonce, found["nR"], body, answer.body
            )
        return answer

    async def reveal(self, nonce: bytes | None = None) -> Any:
        return await self.post("reveal", messages.write(sid=self.sid, nI=nonce or self.nonce))

    async def confirm(self, transcript: bytes | None = None, **more: Any) -> Any:
        said = transcript or self.transcript
        return await self.post("confirm", messages.write(sid=self.sid, T=said, **more))

    async def status(self) -> str:
        params = {"sid": values.encoded(self.sid), "wait": "0"}
        return str((await self.client.get(PATH + "status", **params)).json()["state"])

    async def card(self, card: Any = None) -> Any:
        return await self.post("card", messages.write(sid=self.sid, card=card or self.peer.card()))


@pytest.fixture
def caller(clean: Any, bob: Peer) -> Caller:
    return Caller(bob, clean)


@pytest.fixture
async def armed(caller: Caller) -> Caller:
    await pairing.arm(timezone.now())
    return caller


async def row_of(caller: Caller) -> PairingRow:
    row: PairingRow = await sync_to_async(store.by_sid)(caller.sid, caller.peer.leaf)
    return row


async def states() -> list[str]:
    return [row.state for row in await sync_to_async(store.list_pairings)()]


async def test_two_people_who_say_yes_are_paired(armed: Caller) -> None:
    assert (await armed.start()).status == 200
    assert (await armed.reveal()).status == 200
    row = await row_of(armed)
    assert (row.state, row.code) == ("comparing", values.code(armed.transcript))
    assert await armed.status() == "waiting"

    assert (await armed.confirm()).status == 200
    assert (await row_of(armed)).state == "requested"
    assert (await armed.card()).status == 409
    assert (await pairing.approve(row.pk, timezone.now(), "Bobby")).state == "confirmed"
    assert await armed.status() == "confirmed"

    answer = await armed.card()
    assert answer.json()["card"]["name"] == "Ada"
    (contact,) = await sync_to_async(store.list_contacts)()
    assert (contact.name, contact.key, contact.trust) == ("Bobby", armed.peer.key, "verified")
    assert (await armed.card()).json() == answer.json()


async def test_our_yes_may_come_first(armed: Caller) -> None:
    await armed.start()
    await armed.reveal()
    row = await row_of(armed)
    assert (await pairing.approve(row.pk, timezone.now())).state == "waiting"
    assert await armed.status() == "confirmed"
    assert (await armed.card()).status == 409
    assert (await armed.confirm()).json()["state"] == "confirmed"
    assert (await armed.confirm()).status == 200  # The same message again.
    assert (await armed.card()).status == 200
    assert (await row_of(armed)).state == "paired"


async def test_a_hub_that_is_not_armed_shows_nothing_of_itself(caller: Caller) -> None:
    answer = await caller.start()
    assert answer.status == 403
    assert set(answer.json()) == {"error", "reason"}
    assert caller.hub.key not in answer.body.decode()
    assert await states() == []


async def test_an_arming_ends_by_itself(caller: Caller) -> None:
    ago = timezone.now() - datetime.timedelta(seconds=121)
    await pairing.arm(ago)
    assert (await caller.start()).status == 403


async def test_one_commitment_for_each_arming(armed: Caller, eve: Peer) -> None:
    assert (await armed.start()).status == 200
    assert (await armed.start()).status == 409
    again = Caller(armed.peer, armed.hub)
    assert (await again.start()).status == 409
    assert (await Caller(eve, armed.hub).start()).status == 409
    await armed.reveal()
    assert (await again.start()).status == 409
    await armed.confirm(reject=True)
    assert (await again.start()).status == 403
    with pytest.raises(WrongState):
        await pairing.approve((await row_of(armed)).pk, timezone.now())


async def test_a_session_id_works_once(armed: Caller) -> None:
    await armed.start()
    await armed.confirm(reject=True)
    await pairing.arm(timezone.now())
    assert (await armed.start()).status == 409
    assert await states() == ["rejected"]


async def test_a_broken_promise_fails_in_red(armed: Caller) -> None:
    await armed.start()
    answer = await armed.reveal(b"x" * 32)
    assert answer.status == 422
    row = await row_of(armed)
    assert (row.state, row.problem, row.code) == ("failed", "bad_commitment", "")
    assert (await armed.reveal()).status == 409


async def test_a_yes_to_something_else_fails_in_red(armed: Caller) -> None:
    await armed.start()
    await armed.reveal()
    assert (await armed.confirm(b"x" * 32)).status == 422
    assert (await row_of(armed)).problem == "codes_differ"
    assert (await armed.confirm()).status == 409


async def test_a_no_is_told(armed: Caller) -> None:
    await armed.start()
    await armed.reveal()
    await pairing.reject((await row_of(armed)).pk, timezone.now())
    assert await armed.status() == "rejected"
    assert (await armed.confirm()).status == 409


async def test_another_hub_cannot_go_on_with_a_session(armed: Caller, eve: Peer) -> None:
    await armed.start()
    other = Caller(eve, armed.hub, armed.sid, armed.nonce, armed.transcript)
    for answer in (await other.reveal(), await other.confirm(), await other.card()):
        assert answer.status == 409
    assert (await row_of(armed)).state == "starting"


async def test_an_identity_that_has_not_signed_the_key_is_refused(armed: Caller, eve: Peer) -> None:
    answer = await armed.start(id=values.decoded(eve.key))
    assert answer.status == 400
    assert await states() == []


async def test_a_card_of_another_identity_fails_in_red(armed: Caller, eve: Peer) -> None:
    await armed.start()
    await armed.reveal()
    await armed.confirm()
    await pairing.approve((await row_of(armed)).pk, timezone.now())
    assert (await armed.card(eve.card())).status == 422
    assert (await row_of(armed)).problem == "key_changed"
    assert await sync_to_async(store.list_contacts)() == []


async def test_what_is_late_has_expired(armed: Caller) -> None:
    await armed.start()
    row = await row_of(armed)
    await sync_to_async(store.note)(row.pk, deadline=timezone.now())
    assert (await armed.reveal()).status == 409
    assert await armed.status() == "expired"
    assert await states() == ["expired"]


async def test_three_failures_lock_both_arming_and_answering(caller: Caller, bob: Peer) -> None:
    for _ in range(3):
        await pairing.arm(timezone.now())
        one = Caller(bob, caller.hub)
        await one.start()
        await one.reveal(b"x" * 32)
    with pytest.raises(Locked, match="after"):
        await pairing.arm(timezone.now())
    assert (await caller.start()).status == 429


async def test_a_revoked_key_is_refused(armed: Caller) -> None:
    from acl.store import add_principal

    lost = await sync_to_async(add_principal)("lost", armed.peer.leaf, "device")
    lost.revoked = True
    await sync_to_async(lost.save)()
    try:
        assert (await armed.start()).status == 403
    finally:
        await sync_to_async(lost.delete)()


async def test_a_name_that_somebody_else_has_raises_the_alarm(armed: Caller, eve: Peer) -> None:
    known = await sync_to_async(_befriend)(eve, "Bob")
    await armed.start()
    changed = await sync_to_async(store.contact)(known.name)
    assert changed.other_key == armed.peer.key


def _befriend(peer: Peer, name: str) -> Any:
    from discovery.core import card as cards

    return store.introduce(cards.read(peer.card()), "somebody", timezone.now(), name)


# -- what is no message ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["start", "reveal", "confirm", "card", "qr"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"v":1}', b"[" * 4000, b"\xff", b'{"v":1,"sid":"%%"}']
)
async def test_what_is_no_message_is_refused(armed: Caller, name: str, body: bytes) -> None:
    answer = await armed.post(name, body)
    assert answer.status == 400
    assert set(json.loads(answer.body)) == {"error", "reason"}
    assert await states() == []


@pytest.mark.parametrize("name", ["start", "reveal", "confirm", "card", "qr"])
async def test_a_body_of_more_than_4_kib_is_not_read(armed: Caller, name: str) -> None:
    exchange = armed.client.exchange("POST", PATH + name, b" " * 4097)
    assert (await exchange.run()).status == 413
    assert exchange.body_read == 0


@pytest.mark.parametrize("sid", ["", "x", "A" * 22, "%00", "A" * 3000])
async def test_the_status_of_an_unknown_session_says_nothing(armed: Caller, sid: str) -> None:
    answer = await armed.client.get(PATH + "status", sid=sid, wait="0")
    assert answer.status in (400, 409)


@pytest.mark.slow
async def test_no_storm_of_messages_pairs_without_our_yes(clean: Any, bob: Peer) -> None:
    source = random.Random(5)
    for _ in range(40):
        await sync_to_async(PairingRow.objects.all().delete)()
        await pairing.arm(timezone.now())
        one = Caller(bob, clean)
        for _ in range(12):
            name = source.choice(["start", "start", "reveal", "confirm", "confirm", "card", "x"])
            if name == "x":
                await one.confirm(source.randbytes(32))
            else:
                await getattr(one, name)()
        assert "paired" not in await states()
        assert set(await states()) <= {state.value for state in machine.State}
    assert await sync_to_async(store.list_contacts)() == []
