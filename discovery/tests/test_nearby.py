"""What this hub announces, and where a sighting leads: to a friend who means us, or nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.utils import timezone

from discovery import beaconkeys, models, store
from discovery import nearby as module
from discovery.core import beacons, hello, hints, listener
from discovery.core import card as cards
from discovery.core.addresses import LOOPBACK, Address
from discovery.core.beacons import Own, Party
from discovery.core.commitment import decoded, encoded
from discovery.core.errors import MessageError
from discovery.core.hello import Here
from discovery.core.listener import Ephemeral
from discovery.dialer.near import PATH
from discovery.finders import Sighting
from discovery.finders.memory import Air, MemoryFinder
from discovery.known import Known, known_hubs, milliseconds
from discovery.nearby import Nearby
from discovery.tests.conftest import OurHub, Peer
from discovery.tests.finders.contract import Seen

HOUR = 3_600_000


def ephemeral() -> Ephemeral:
    return listener.certify(ec.generate_private_key(ec.SECP256R1()), secrets.randbits(64) | 1)


@dataclass
class Listener:
    """Somebody's announcement listener, and what it was asked."""

    stream: bytes = b""
    shown: Ephemeral = field(default_factory=ephemeral)
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: bytes = b""
    open: set[asyncio.Task[None]] = field(default_factory=set)
    address: Address = Address("loopback", "127.0.0.1", 1)

    @contextlib.asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Listener]:
        pem = folder / f"{secrets.token_hex(4)}.pem"
        key = self.shown.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem.write_bytes(self.shown.certificate.public_bytes(Encoding.PEM) + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.address = Address("loopback", "127.0.0.1", server.sockets[0].getsockname()[1])
        async with server:
            yield self
        if self.open:  # Whoever came has closed their end, too, before the loop ends.
            await asyncio.wait(self.open)
        for _ in range(5):  # Turns of the loop in which transports let go of their sockets.
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        task.add_done_callback(self.open.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                size = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
                body = await reader.readexactly(int(size or 0))
                self.asked.append(" ".join(head.split()[:2]))
                self.bodies.append(body)
                said = self.stream if PATH in head else self.answer
                length = f"content-length: {len(said)}\r\n\r\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\n" + length + said)
                await writer.drain()
        writer.close()

    @property
    def sighting(self) -> Sighting:
        return Sighting("memory", secrets.token_hex(4), None, (self.address,))


@dataclass
class FakeDoors:
    """Doors that nobody comes to."""

    opened: list[Ephemeral] = field(default_factory=list)
    streams: dict[int, bytes] = field(default_factory=dict)
    addresses: Sequence[str] = ("127.0.0.1",)

    async def open(self, ephemeral: Ephemeral, expires: int) -> int:
        self.opened.append(ephemeral)
        return 40_000 + len(self.opened)

    def hand_out(self, port: int, stream: bytes) -> None:
        self.streams = {port: stream}


class Bench:
    """This hub, with one friend, whose hub has a notification key."""

    def __init__(self, ours: OurHub, bob: Peer) -> None:
        self.ours, self.bob = ours, bob
        self.secret = X25519PrivateKey.generate()
        self.own = Own(
            Party(decoded(bob.key), decoded(bob.leaf), self.secret.public_key().public_bytes_raw()),
            self.secret,
        )
        self.air = Air()
        self.finder, self.listening = MemoryFinder(self.air), MemoryFinder(self.air)
        self.doors = FakeDoors()
        self.wanted: set[str] = set()
        self.arrived: list[str] = []
        self.nearby = Nearby([self.finder], self.doors, self._news, self._note, api_port=6984)

    def befriend(self) -> None:
        hub = cards.Hub(
            self.bob.leaf,
            beacon_key=encoded(self.own.party.key),
            beacon_until=milliseconds() + HOUR,
        )
        card = cards.read(cards.make(self.bob.identity, "Bob", [hub], changed="2026-01-01"))
        store.introduce(card, "owner", timezone.now())

    async def _news(self, known: Sequence[Known]) -> Collection[str]:
        return self.wanted & {one.device for one in known}

    async def _note(self, key: str) -> None:
        self.arrived.append(key)

    async def us(self) -> Party:
        return (await sync_to_async(beaconkeys.own)(settings.HUB_DATA, milliseconds()))[0].party

    async def said(self, to: Party | None = None, by: Own | None = None, **more: Any) -> bytes:
        """An announcement of Bob's, for us."""
        certificate = more.pop("certificate", bytes(32))
        expires = more.pop("expires", milliseconds() + HOUR)
        parties = [to or await self.us()]
        return beacons.make(by or self.own, parties, certificate, expires, secrets.token_bytes)

    async def see(self, at: Listener, **more: Any) -> None:
        """Let the finder find a listener, and follow that to its end."""
        self.nearby.found(at.sighting._replace(**more))
        while self.nearby._tasks:
            await asyncio.wait(self.nearby._tasks)

    async def near(self) -> list[models.NearbyHub]:
        return await sync_to_async(store.near)(self.bob.key, timezone.now())


@pytest.fixture
def bench(clean: OurHub, bob: Peer) -> Iterator[Bench]:
    made = Bench(clean, bob)
    made.befriend()
    models.NearbyHub.objects.all().delete()
    yield made
    models.NearbyHub.objects.all().delete()


@pytest.fixture
async def at_bob(tmp_path: Path) -> AsyncIterator[Listener]:
    async with Listener().running(tmp_path) as running:
        yield running


# -- following -------------------------------------------------------------------------------------


async def test_a_friend_who_means_us_is_met(bench: Bench, at_bob: Listener) -> None:
    at_bob.stream = await bench.said(certificate=at_bob.shown.hash)
    await bench.see(at_bob)
    (row,) = await bench.near()
    assert (row.device, row.address, row.way) == (bench.bob.leaf, str(at_bob.address), "memory")
    assert bytes(row.certificate) == at_bob.shown.der
    assert bench.arrived == [bench.bob.key]
    assert at_bob.asked == [f"GET {PATH}", "GET /_up", f"POST {hello.HERE}"]
    here = hello.read_here(at_bob.bodies[-1])
    assert here.certificate == bench.doors.opened[-1].der


@pytest.mark.parametrize(
    "forged",
    ["for another", "by a stranger", "relayed", "too old", "too new", "noise", "nothing"],
)
async def test_everything_else_is_passed_over_in_silence(
    bench: Bench, at_bob: Listener, eve: Peer, forged: str
) -> None:
    shown, now = at_bob.shown.hash, milliseconds()
    private = X25519PrivateKey.generate()
    names = decoded(eve.key), decoded(eve.leaf), private.public_key().public_bytes_raw()
    stranger = Own(Party(*names), private)
    at_bob.stream = {
        "for another": await bench.said(stranger.party, certificate=shown),
        "by a stranger": await bench.said(by=stranger, certificate=shown),
        "relayed": await bench.said(certificate=ephemeral().hash),
        "too old": await bench.said(certificate=shown, expires=now - 1),
        "too new": await bench.said(certificate=shown, expires=now + 25 * HOUR),
        "noise": secrets.token_bytes(473),
        "nothing": b"",
    }[forged]
    await bench.see(at_bob)
    assert at_bob.asked == [f"GET {PATH}"], "Nobody was told who has asked."
    assert not await bench.near() and not bench.arrived


async def test_a_replay_from_another_listener_is_refused(
    bench: Bench, at_bob: Listener, tmp_path: Path
) -> None:
    at_bob.stream = await bench.said(certificate=at_bob.shown.hash)
    await bench.see(at_bob)
    async with Listener(at_bob.stream).running(tmp_path) as other:
        await bench.see(other)
        assert other.asked == [f"GET {PATH}"]
    (row,) = await bench.near()
    assert row.address == str(at_bob.address)
    assert bench.arrived == [bench.bob.key]


async def test_what_a_radio_has_read_is_followed_only_if_it_may_be_for_us(
    bench: Bench, at_bob: Listener, eve: Peer
) -> None:
    at_bob.stream = await bench.said(certificate=at_bob.shown.hash)
    others = Party(decoded(eve.key), decoded(eve.leaf), secrets.token_bytes(32))
    await bench.see(at_bob, beacons=await bench.said(others))
    assert at_bob.asked == []
    await bench.see(at_bob, beacons=at_bob.stream)
    assert len(await bench.near()) == 1


async def test_an_envelope_leads_to_a_friend(
    bench: Bench, at_bob: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_bob.stream = await bench.said(certificate=at_bob.shown.hash)
    port = at_bob.address.port
    sealed = hints.seal([await bench.us()], at_bob.stream, ["127.0.0.1"], port)
    read = {"beacons": at_bob.stream, "addresses": (), "envelopes": sealed, "way": "ble"}
    await bench.see(at_bob, **read)
    assert at_bob.asked == [], "An envelope leads into networks alone, not to this machine."
    monkeypatch.setattr(module, "HINTED", (LOOPBACK,))
    bench.doors.addresses = ()
    await bench.see(at_bob, **read)
    assert at_bob.asked == [], "Nobody is visited in a network where we may not be found."
    bench.doors.addresses = ("127.0.0.1",)
    await bench.see(at_bob, **read)
    (row,) = await bench.near()
    assert (row.way, row.address) == ("ble", str(at_bob.address))


async def test_an_announcement_has_envelopes_for_those_who_are_told(bench: Bench) -> None:
    seen = Seen()
    await bench.listening.look(seen)
    bench.wanted = {bench.bob.leaf}
    await bench.nearby.turn(armed=False)
    said = seen[0]
    assert said.beacons is not None
    preamble = said.beacons[: beacons.PREAMBLE]
    (there,) = hints.unseal(said.envelopes, bench.own, preamble)
    assert str(there) == "127.0.0.1:40001"


async def test_a_sighting_that_leads_nowhere_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    nobody = Listener(address=Address("loopback", "127.0.0.1", 9))
    await bench.see(nobody)
    await bench.see(Listener(), addresses=())
    assert not await bench.near()


async def test_one_who_is_revoked_is_a_stranger(bench: Bench, at_bob: Listener) -> None:
    def revoke() -> None:
        contact = store.contact(bench.bob.key)
        contact.principal.revoked = True
        contact.principal.save()

    assert len(await sync_to_async(known_hubs)(milliseconds())) == 1
    await sync_to_async(revoke)()
    assert await sync_to_async(known_hubs)(milliseconds()) == []
    at_bob.stream = await bench.said(certificate=at_bob.shown.hash)
    await bench.see(at_bob)
    assert not await bench.near()


def test_the_owners_other_hubs_are_known_too(bench: Bench) -> None:
    other = Peer("mine")
    device = store.add_device("laptop", other.leaf, None, [], timezone.now())
    assert [one.name for one in known_hubs(milliseconds())] == ["Bob"]
    key, until = secrets.token_bytes(32), milliseconds() + HOUR
    device.beacon = {"key": encoded(key), "until": until}
    device.save()
    try:
        mine = next(one for one in known_hubs(milliseconds()) if one.is_own)
        assert (mine.device, mine.key, mine.name) == (other.leaf, other.leaf, "laptop")
        assert mine.party == Party(decoded(bench.ours.key), decoded(other.leaf), key)
        assert not [one for one in known_hubs(until) if one.is_own], "Keys end."
    finally:
        device.principal.delete()


# -- announcing ------------------------------------------------------------------------------------


async def test_it_is_silent_while_there_is_no_news(bench: Bench) -> None:
    seen = Seen()
    await bench.listening.look(seen)
    await bench.nearby.turn(armed=False)
    assert not seen and not bench.doors.opened and bench.nearby.told == 0


async def test_whoever_has_news_to_come_for_can_read_that(bench: Bench) -> None:
    seen = Seen()
    await bench.listening.look(seen)
    bench.wanted = {bench.bob.leaf}
    await bench.nearby.turn(armed=False)
    (found,) = seen
    (door,) = bench.doors.opened
    assert bench.nearby.told == 1
    assert bench.doors.streams == {40_001: found.beacons}
    us = beacons.marks([await bench.us()])
    candidate = beacons.find(found.beacons or b"", [bench.own], us, milliseconds())
    assert candidate is not None and beacons.is_genuine(candidate, door.hash)
    await bench.nearby.turn(armed=False)
    assert len(seen) == 1, "Nothing has changed."
    bench.wanted = set()
    await bench.nearby.turn(armed=False)
    assert bench.finder.said is None and bench.doors.streams == {40_001: b""}


async def test_in_another_place_it_is_announced_anew(bench: Bench) -> None:
    seen = Seen()
    await bench.listening.look(seen)
    bench.wanted = {bench.bob.leaf}
    await bench.nearby.turn(armed=False, place="home")
    await bench.nearby.turn(armed=False, place="work")
    assert len({one.beacons for one in seen}) == len({one.der for one in bench.doors.opened}) == 2
    await bench.nearby.end()
    assert bench.finder.said is None


# -- being told ------------------------------------------------------------------------------------


async def test_a_friend_says_where_it_can_be_reached(bench: Bench) -> None:
    door = ephemeral()
    body = hello.write_here(Here(47_000, door.der, milliseconds() + HOUR))
    await bench.nearby.here([bench.bob.leaf, bench.bob.key], "192.0.2.7", body)
    (row,) = await bench.near()
    assert (row.address, bytes(row.certificate)) == ("192.0.2.7:47000", door.der)
    assert bench.arrived == [bench.bob.key]


async def test_nobody_says_that_for_another(bench: Bench, eve: Peer) -> None:
    body = hello.write_here(Here(47_000, b"certificate", milliseconds() + HOUR))
    for keys in ([eve.leaf, eve.key], [bench.bob.leaf], [eve.leaf, bench.bob.key], []):
        await bench.nearby.here(keys, "192.0.2.7", body)
    old = hello.write_here(Here(47_000, b"certificate", milliseconds() - 1))
    await bench.nearby.here([bench.bob.leaf, bench.bob.key], "192.0.2.7", old)
    assert not await bench.near() and not bench.arrived


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"v":2}',
        b"x" * 3000,
        hello.write_here(Here(0, b"c", 1)),
        hello.write_here(Here(70_000, b"c", 1)),
        hello.write_here(Here(1, b"", 1)),
        hello.write_here(Here(1, b"c" * 1025, 1)),
        hello.write_here(Here(1, b"c", -1)),
        b'{"v":1,"port":true,"certificate":"AA","expires":1}',
        b'{"v":1,"port":1,"certificate":7,"expires":1}',
        b'{"v":1,"port":1,"certificate":"AA","expires":1.5}',
    ],
)
async def test_what_says_nothing_is_refused(bench: Bench, body: bytes) -> None:
    with pytest.raises(MessageError):
        await bench.nearby.here([bench.bob.leaf, bench.bob.key], "192.0.2.7", body)


# -- comparing codes -------------------------------------------------------------------------------


async def test_who_does_not_wait_neither_asks_nor_answers(bench: Bench, at_bob: Listener) -> None:
    assert await bench.nearby.greeted("192.0.2.7", hello.write_waiting("ABCD-EFGH", 6984)) is None
    await bench.see(at_bob)
    assert at_bob.asked == [f"GET {PATH}"]


async def test_two_who_wait_see_each_other_by_names_drawn_by_lot(
    bench: Bench, at_bob: Listener
) -> None:
    at_bob.answer = hello.write_waiting("ABCD-EFGH", 7000)
    await bench.see(at_bob)
    await bench.nearby.turn(armed=True)
    while bench.nearby._tasks:
        await asyncio.wait(bench.nearby._tasks)
    assert at_bob.asked[-1] == f"POST {hello.WAITING}"
    name, port = hello.read_waiting(at_bob.bodies[-1])
    assert (name, port) == (bench.nearby.name, 6984)
    (row,) = await sync_to_async(store.list_sightings)()
    assert (row.nameless, row.name, row.addresses) == (True, "ABCD-EFGH", ["127.0.0.1:7000"])
    assert bench.finder.said is not None and bench.finder.said.pairing
    answer = await bench.nearby.greeted("192.0.2.7", hello.write_waiting("ZZZZ-2345", 6984))
    assert hello.read_waiting(answer or b"") == (name, 6984)
    await bench.nearby.turn(armed=False)
    assert bench.nearby.name == "" and bench.finder.said is None
    await bench.nearby.turn(armed=True)
    assert bench.nearby.name not in ("", name), "The next comparison has another name."
    while bench.nearby._tasks:
        await asyncio.wait(bench.nearby._tasks)


@pytest.mark.parametrize("name", ["", "Ada", "abcd-efgh", "ABCD-EFGH\n", "ABCD-EFGH-", 7, None])
async def test_a_name_that_was_not_drawn_by_lot_is_refused(bench: Bench, name: Any) -> None:
    with pytest.raises(MessageError):
        await bench.nearby.greeted("192.0.2.7", hello.write_waiting(name, 6984))
