"""Connections to other hubs: with the right key, or not a byte of HTTP."""

from __future__ import annotations

import contextlib
import datetime
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from acl import identity
from acl.core import certs
from discovery import dialer
from discovery.core.addresses import Address
from discovery.core.errors import AddressError, OurselvesError, UnreachableError, WrongKeyError
from discovery.dialer import dial

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Keys:
    """A hub's key files: an identity, and a device below it."""

    folder: Path
    identity_key: str = ""
    device_key: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        owner, device = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer = certs.self_signed(owner, 1)
        leaf = certs.signed_leaf(device.public_key(), issuer, owner, serial=2, now=NOW)
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, issuer))
        private = device.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "device.crt").write_bytes(chain)
        (self.folder / "device.key").write_bytes(private)
        self.identity_key, self.device_key = map(certs.key_of, (issuer, leaf))


@dataclass
class Peer:
    """A TLS server that notes what it is sent."""

    keys: Keys
    answer: bytes = ANSWER
    received: bytearray = field(default_factory=bytearray)
    clients: list[str] = field(default_factory=list)
    address: Address = Address("loopback", "127.0.0.1", 1)

    @contextlib.contextmanager
    def running(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[Peer]:
        """Serve on a free port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = version
        context.load_cert_chain(self.keys.folder / "device.crt", self.keys.folder / "device.key")

        class Connection(socketserver.BaseRequestHandler):
            def handle(handler) -> None:  # noqa: N805 - `self` is the peer
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(handler.request, server_side=True) as connection,
                ):
                    self._serve(connection)

        with _Server(("127.0.0.1", 0), Connection) as server:
            self.address = Address("loopback", "127.0.0.1", server.server_address[1])
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def _serve(self, connection: ssl.SSLSocket) -> None:
        while piece := connection.recv(65_536):
            self.received += piece
            if self.received.endswith(b"\r\n\r\n"):
                connection.sendall(self.answer)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False  # Leaving the `with` waits for every connection
    block_on_close = True


@pytest.fixture
def ours(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, tables: None) -> Keys:
    keys = Keys(tmp_path / "ours")
    settings.HUB_DATA = keys.folder
    known = identity.Identity(keys.identity_key, keys.device_key, "")
    monkeypatch.setattr(identity, "load", lambda _: known)
    return keys


@pytest.fixture
def peer(tmp_path: Path, ours: Keys) -> Iterator[Peer]:
    with Peer(Keys(tmp_path / "peer")).running() as running:
        yield running


@pytest.mark.parametrize("which", ["identity", "device", "whoever"])
async def test_the_hub_with_the_key_is_reached(peer: Peer, which: str) -> None:
    named = {"identity": peer.keys.identity_key, "device": peer.keys.device_key}.get(which)
    async with dial(named, [peer.address]) as session:
        assert session.leaf_key == peer.keys.device_key
        assert session.keys == (peer.keys.device_key, peer.keys.identity_key)
        assert session.address == peer.address
        answer = await session.client.get("/letters")
        assert answer.json() == {}
    assert peer.received.count(b"GET /letters HTTP/1.1\r\n") == 1
    assert b"thali" not in peer.received.lower()


async def test_another_hub_gets_no_byte_of_http(peer: Peer, ours: Keys) -> None:
    with pytest.raises(WrongKeyError):
        async with dial("A" * 43, [peer.address]):
            pass
    assert not peer.received


async def test_a_hub_does_not_talk_to_itself(ours: Keys) -> None:
    with Peer(ours).running() as mirror:
        for key in (None, ours.identity_key, ours.device_key):
            with pytest.raises(OurselvesError):
                async with dial(key, [mirror.address]):
                    pass
        assert not mirror.received


async def test_another_device_of_ours_is_no_stranger(tmp_path: Path, ours: Keys) -> None:
    other = Peer(Keys(tmp_path / "laptop"))
    with other.running():
        async with dial(None, [other.address]) as session:
            assert session.leaf_key == other.keys.device_key


async def test_older_tls_is_refused(tmp_path: Path, ours: Keys) -> None:
    with Peer(Keys(tmp_path / "old")).running(ssl.TLSVersion.TLSv1_2) as old:
        with pytest.raises(UnreachableError):
            async with dial(old.keys.device_key, [old.address]):
                pass
        assert not old.received


async def test_the_address_that_answers_is_taken(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialer, "_HEAD_START_SECONDS", 0.01)
    with Peer(Keys(tmp_path / "stranger")).running() as stranger:
        nobody = Address("loopback", "127.0.0.1", 1)
        tried = [nobody, stranger.address, peer.address]
        async with dial(peer.keys.identity_key, tried) as session:
            assert session.address == peer.address
        with pytest.raises(WrongKeyError):
            async with dial(peer.keys.identity_key, [nobody, stranger.address]):
                pass


async def test_who_dials_learns_which_address_has_answered(peer: Peer) -> None:
    nobody, outcomes = Address("loopback", "127.0.0.1", 1), dict[Address, bool]()
    opening = dial(peer.keys.device_key, [nobody, peer.address], in_order=True, outcomes=outcomes)
    async with opening as session:
        assert session.address == peer.address
    assert outcomes == {nobody: False, peer.address: True}


async def test_nobody_there_is_said_so(ours: Keys) -> None:
    with pytest.raises(UnreachableError):
        async with dial(None, [Address("loopback", "127.0.0.1", 1)]):
            pass
    with pytest.raises(AddressError):
        async with dial(None, []):
            pass


@pytest.mark.parametrize(
    "answer", [b"220 mail.example ESMTP\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9999]
)
async def test_what_is_not_a_hub_is_not_taken_for_one(peer: Peer, answer: bytes) -> None:
    peer.answer = answer
    with pytest.raises(UnreachableError, match="not a hub"):
        async with dial(None, [peer.address]):
            pass
