"""Two real hubs on a cable find each other: real mDNS, real replication, and all that was sent.

Each has been given the other's identity; then one has moved, so that no address that it is known by
is right any more.
"""

from __future__ import annotations

import base64
import contextlib
import json
import platform
import re
import socket
import sqlite3
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, dump_certificate
from zeroconf import DNSIncoming

from acl.core import certs
from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.test_pairing_hubs import invite, name_it
from thalihub.tests.twonetworks import Capture, Side, two_networks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.requires_netns,
    pytest.mark.xdist_group("nearby"),
    pytest.mark.allow_hosts(["127.0.0.1", *(f"10.77.0.{last}" for last in range(1, 20))]),
]

SECRET = "only Ada and Bob know this"
RUNNING = "SELECT said <> '{}' FROM discovery_nearbyswitch"


class Two:
    """The two hubs and their networks; Bob pulls Ada's notes."""

    def __init__(self, folder: Path, sides: tuple[Side, Side]) -> None:
        self.sides = sides
        self.ada, self.bob = (
            HubProcess(folder / name, before=side.before, HUB_HOST="0.0.0.0")
            for name, side in zip(("ada", "bob"), sides, strict=True)
        )

    def ask(self, hub: HubProcess, method: str, path: str, **more: Any) -> Any:
        """Send a request to a hub as its owner, from within its network."""
        side = self.sides[0] if hub is self.ada else self.sides[1]

        def send() -> Any:
            with hub.client(hub.owner) as client:
                return client.request(method, path, **more)

        return side.within(send)

    def has(self, hub: HubProcess, path: str) -> bool:
        return bool(self.ask(hub, "GET", path).status_code == 200)

    def pull_out(self) -> None:
        """Part the two, and wait until they have noticed."""
        for side, hub in zip(self.sides, (self.ada, self.bob), strict=True):
            side.pull_out()
            eventually(lambda hub=hub: _networks(hub) == [], what="it is in no network")

    def meet(self) -> None:
        """Let them become friends, and share."""
        one, other = self.sides
        one.plug_in("10.77.0.1")
        other.plug_in("10.77.0.2")
        self.ada.start()
        self.bob.start()
        name_it(self.ada, "Ada Lovelace")
        name_it(self.bob, "Robert Bobson")
        invite(self.ada, self.bob)
        self.ask(self.ada, "PUT", "/notes")
        self.ask(self.ada, "PUT", "/notes/first", json={})
        self.ada.manage("grant", "add", "notes", "read", "Robert Bobson")
        self.bob.manage("database", "create", "notes")
        self.bob.manage("job", "add", "notes", "Ada Lovelace", "--pull", "--continuous")
        eventually(lambda: self.has(self.bob, "/notes/first"), what="they are in step")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with two_networks() as sides:
        made = Two(tmp_path_factory.mktemp("nearby"), sides)
        try:
            made.meet()
            yield made
        finally:
            made.ada.stop()
            made.bob.stop()


def _networks(hub: HubProcess) -> list[str] | None:
    ((said,),) = rows(hub, "SELECT said FROM discovery_nearbyswitch")
    return json.loads(said).get("networks")


def nearby(hub: HubProcess, *words: str) -> Any:
    return json.loads(hub.manage("nearby", "--json", *words))


def rows(hub: HubProcess, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(hub.data / "hub.sqlite3")) as connection:
        return connection.execute(query).fetchall()


def news(two: Two, name: str, addresses: tuple[str, str]) -> tuple[bytes, float]:
    """Let Ada write something while the cable is out, and plug it in again at other addresses.

    Returns all that was sent until Bob has it, and how many seconds that took.
    """
    two.pull_out()
    two.ask(two.ada, "PUT", f"/notes/{name}", json={"text": SECRET})
    with Capture(two.sides[0]) as capture:
        for side, address in zip(two.sides, addresses, strict=True):
            side.plug_in(address)
        began = time.monotonic()
        eventually(lambda: two.has(two.bob, f"/notes/{name}"), what="the news is there")
        return capture.all, time.monotonic() - began


def words_of(hub: HubProcess) -> Iterator[bytes]:
    """Everything by which a hub or its person could be told from others, as bytes."""
    for word in ("key", "device_key"):
        text = hub.status[word].removeprefix("sha256:")
        digest = base64.urlsafe_b64decode(text + "=")
        yield from (text.encode(), digest, digest.hex().encode())
    for name in ("identity", "device", "owner"):
        certificate = x509.load_pem_x509_certificates((hub.data / f"{name}.crt").read_bytes())[0]
        key = certificate.public_key()
        yield key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:33]
        yield certificate.serial_number.to_bytes(17).lstrip(b"\0")
    ((said,),) = rows(hub, "SELECT beacon FROM discovery_me")
    key = json.loads(said)["key"]
    yield from (key.encode(), base64.urlsafe_b64decode(key + "="))


def test_a_friend_who_walks_in_with_news_is_synced_and_a_stranger_learns_nothing(
    two: Two,
) -> None:
    for hub in (two.ada, two.bob):
        assert nearby(hub)["running"] is False, "It costs nothing until it is on."
        assert nearby(hub, "home", "here")["on"] is True
        eventually(lambda hub=hub: rows(hub, RUNNING) == [(1,)], what="it runs")
    first, _ = news(two, "second", ("10.77.0.3", "10.77.0.4"))
    second, _ = news(two, "third", ("10.77.0.5", "10.77.0.6"))
    (row,) = rows(two.bob, "SELECT address, way FROM discovery_nearbyhub")
    assert row[0].startswith("10.77.0.5:") and row[1] == "wifi"
    (found,) = nearby(two.bob)["nearby"]
    assert (found["name"], found["path"]) == ("Ada Lovelace", "wifi")

    sent = first + second
    assert b"_thali" in sent and len(sent) > 5000
    names = [b"Ada Lovelace", b"Lovelace", b"Robert", b"Bobson", b"notes", SECRET.encode()]
    names += [platform.node().encode(), b".onion", b"httpkey", b"User-Agent"]
    for word in (*names, *words_of(two.ada), *words_of(two.bob)):
        # Three letters are found in anything that is encrypted.
        assert len(word) < 5 or word not in sent
    drawn = [set(re.findall(rb"\x10([0-9a-f]{16})", one)) for one in (first, second)]
    assert all(drawn) and not drawn[0] & drawn[1], "The names are new each time."


def test_what_is_to_be_pushed_is_announced_too(two: Two) -> None:
    two.ask(two.ada, "PUT", "/plans")
    two.ask(two.bob, "PUT", "/plans")
    two.bob.manage("grant", "add", "plans", "read,write", "Ada Lovelace")
    two.ada.manage("job", "add", "plans", "Robert Bobson", "--push", "--continuous")
    two.pull_out()
    two.ask(two.ada, "PUT", "/plans/one", json={})
    for side, address in zip(two.sides, ("10.77.0.7", "10.77.0.8"), strict=True):
        side.plug_in(address)
    eventually(lambda: two.has(two.bob, "/plans/one"), what="it was pushed")


def test_a_stranger_at_the_door_finds_nothing_behind_it(two: Two, tmp_path: Path) -> None:
    (found,) = rows(two.bob, "SELECT address, certificate FROM discovery_nearbyhub")
    host, _, port = found[0].partition(":")
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(_self_signed())

    def ask(method: str, path: str, certificate: Path | None = None) -> tuple[int, bytes]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate is not None:
            context.load_cert_chain(certificate)
        with httpx.Client(verify=context, trust_env=False) as client:
            answer = client.request(method, f"https://{host}:{port}{path}", content=b"{}")
            return answer.status_code, answer.content

    def visit() -> None:
        assert ask("GET", "/NotificationBeacons")[0] in (200, 204)
        for path in ("/", "/_up", "/notes", "/_session", "/_thali/pair/v1/status"):
            assert ask("GET", path) == ask("GET", path, stranger) == (404, b"")
        for path in ("/_thali/nearby/v1/here", "/_thali/nearby/v1/waiting"):
            assert ask("POST", path) == ask("POST", path, stranger) == (404, b"")
        shown, names = _handshake(host, int(port))
        assert shown == bytes(found[1]) and not names
        assert not x509.load_der_x509_certificate(shown).subject.rdns

    two.sides[1].within(visit)


def test_two_who_wait_see_each_other_and_compare(two: Two) -> None:
    for hub in (two.ada, two.bob):
        hub.manage("pairing", "arm")
    waiting = "SELECT key, name FROM discovery_sighting WHERE nameless"
    ((handle, name),) = eventually(lambda: rows(two.bob, waiting), what="Bob sees one who waits")
    assert re.fullmatch(r"[A-Z2-7]{4}-[A-Z2-7]{4}", name)
    assert name == nearby(two.ada)["waits_as"]
    row = json.loads(two.bob.manage("pairing", "compare", f"sha256:{handle}", "--json"))
    assert (row["way"], row["key"]) == ("nearby", two.ada.status["key"])
    (theirs, *_) = json.loads(two.ada.manage("pairing", "list", "--json"))
    assert theirs["code"] == row["code"] != ""


def test_who_leaves_says_goodbye_and_costs_nothing_any_more(two: Two) -> None:
    two.ask(two.ada, "PUT", "/notes/last", json={})
    with Capture(two.sides[1]) as capture:
        assert nearby(two.ada, "leave", "all")["on"] is False
        eventually(lambda: not two.ada.processes("nearby"), what="the process has ended")
    assert any(_is_goodbye(packet) for packet in capture.packets)
    assert two.bob.processes("nearby")


def _is_goodbye(packet: bytes) -> bool:
    at = packet.find(struct.pack("!HH", 5353, 5353))
    if at < 0 or b"_thali" not in packet:
        return False
    message = DNSIncoming(packet[at + 8 :])
    return any(answer.ttl == 0 for answer in message.answers())


def _handshake(host: str, port: int) -> tuple[bytes, list[Any]]:
    """Return the certificate that a server shows, and the names of whom it asks for one."""
    with socket.create_connection((host, port), timeout=10) as plain:
        connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), plain)
        connection.set_connect_state()
        plain.settimeout(None)
        connection.do_handshake()
        shown = connection.get_peer_certificate()
        assert shown is not None
        return dump_certificate(FILETYPE_ASN1, shown), connection.get_client_ca_list()


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certs.self_signed(key, 7).public_bytes(Encoding.PEM) + private
