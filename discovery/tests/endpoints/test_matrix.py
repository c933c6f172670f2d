"""Who may knock at the doors of pairing: every route, for every kind of caller.

None of these routes asks the ACL: whoever holds the key of a session goes on with it, and a
stranger may begin one where the owner has opened the window.  So what counts here is that nobody
without a key and no web page gets in, and that nothing of this hub is shown before.
"""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from discovery import pairing
from discovery.core import messages
from discovery.tests.conftest import OurHub, Peer
from discovery.urls import urlpatterns

TABLE = {
    "_thali/pair/v1/start": "POST",
    "_thali/pair/v1/reveal": "POST",
    "_thali/pair/v1/confirm": "POST",
    "_thali/pair/v1/card": "POST",
    "_thali/pair/v1/qr": "POST",
    "_thali/pair/v1/moved": "POST",
    "_thali/pair/v1/status": "GET",
}
SID, THIRTY_TWO = b"s" * 16, b"x" * 32
BODIES = {
    "start": {"commit": THIRTY_TWO, "id": THIRTY_TWO, "name": "", "addresses": []},
    "reveal": {"nI": THIRTY_TWO},
    "confirm": {"T": THIRTY_TWO},
    "card": {"card": {}},
    "qr": {"proof": THIRTY_TWO},
    "moved": {},
}
# What a hub with a certificate hears without an open window, session or code.
REFUSALS = {
    "start": 403,
    "reveal": 409,
    "confirm": 409,
    "card": 409,
    "qr": 403,
    "moved": 403,
    "status": 409,
}

cases = pytest.mark.parametrize("route", sorted(TABLE))


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    found = {str(one.pattern): one.callback.method for one in urlpatterns}  # type: ignore[attr-defined]
    assert found == TABLE


def asking(client: Any, route: str, peer: Peer, **headers: str) -> Any:
    name = route.rpartition("/")[2]
    if TABLE[route] == "GET":
        return client.exchange("GET", f"/{route}", None, headers=headers, sid="c3Nz" * 5 + "cw")
    card = {"card": peer.card()} if name == "qr" else {}
    body = messages.write(sid=SID, **{**BODIES[name], **card})
    return client.exchange("POST", f"/{route}", body, headers=headers)


@cases
async def test_without_a_certificate_nobody_knocks(clean: OurHub, bob: Peer, route: str) -> None:
    exchange = asking(clean.api.anonymous, route, bob)
    assert (await exchange.run()).status == 401
    assert exchange.body_read == 0


@cases
@pytest.mark.parametrize("header", ["origin", "sec-fetch-site"])
async def test_no_web_page_pairs(clean: OurHub, bob: Peer, route: str, header: str) -> None:
    value = {"origin": "https://127.0.0.1:6984", "sec-fetch-site": "same-origin"}[header]
    for client in (clean.client(*bob.chain), clean.api.owner):
        exchange = asking(client, route, bob, **{header: value})
        assert (await exchange.run()).status == 403
        assert exchange.body_read == 0


@cases
@pytest.mark.parametrize("kind", ["stranger", "friend", "owner"])
async def test_nothing_is_shown_before_the_owner_wants_it(
    clean: OurHub, bob: Peer, route: str, kind: str
) -> None:
    client = clean.client(*bob.chain)
    if kind == "friend":
        client = await sync_to_async(clean.api.principal)("friend")
    if kind == "owner":
        client = clean.api.owner
    answer = await asking(client, route, bob).run()
    name = route.rpartition("/")[2]
    wanted = 422 if name == "qr" and kind != "stranger" else REFUSALS[name]
    assert answer.status == wanted, answer.body
    for secret in (clean.key, clean.device_key, "Ada", "desk"):
        assert secret not in answer.body.decode()


@cases
async def test_an_open_code_changes_nothing_for_who_does_not_know_it(
    clean: OurHub, bob: Peer, route: str
) -> None:
    await pairing.offer(timezone.now())
    answer = await asking(clean.client(*bob.chain), route, bob).run()
    assert answer.status == REFUSALS[route.rpartition("/")[2]]


@cases
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_are_refused(clean: OurHub, bob: Peer, route: str, method: str) -> None:
    if method == TABLE[route]:
        return
    answer = await clean.client(*bob.chain)(method, f"/{route}")
    assert answer.status == 405
    assert answer.headers["allow"] == TABLE[route]


async def test_the_answer_of_a_long_wait_comes_with_the_decision(clean: OurHub, bob: Peer) -> None:
    from discovery import store
    from discovery.core import invitation

    made = await pairing.offer(timezone.now())
    client = clean.client(*bob.chain)
    body = bob.scan(invitation.read(made.url).secret, clean)
    await client.post("/_thali/pair/v1/qr", body)
    (row,) = await sync_to_async(store.list_pairings)()
    async with client.open("/_thali/pair/v1/status", sid=row.sid, wait="25") as exchange:
        await pairing.reject(row.pk, timezone.now())
        said = b"".join([piece async for piece in exchange.pieces()])
    assert messages.read("status", said)["state"] == "rejected"
