"""Names of Tor go to Tor, and nothing of them to DNS; what Tor answers is said in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from discovery import dialer, models, store
from discovery.core.addresses import Address
from discovery.core.errors import (
    NobodyAtOnion,
    NotAuthorized,
    NotInTor,
    OnionsOnly,
    TorFailed,
    TorOff,
    TorOnly,
    UnreachableError,
    WrongOnion,
)
from discovery.dialer import Ways, dial, outward
from discovery.tests.dialer.test_dialer import Keys, ours

__all__ = ["ours"]

HOST = "a" * 56 + ".onion"
ONION = Address.parse(f"{HOST}:6984")
LAN = Address.parse("192.168.250.250:6984")


@pytest.fixture(autouse=True)
def row(tables: None) -> Iterator[None]:
    models.TorState.objects.all().delete()
    yield
    models.TorState.objects.all().delete()


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a resolver was asked for: never a name of Tor's."""
    names: list[Any] = []
    real = socket.getaddrinfo

    def watched(host: Any, *more: Any, **options: Any) -> Any:
        names.append(host)
        return real(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    yield names
    assert not [name for name in names if "onion" in str(name)]


@dataclass
class Socks:
    """A SOCKS proxy that notes what it is asked for, and answers with `code`."""

    code: int = 0
    kind: bytes = b"\x01\0\0\0\0\0\0"
    users: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    hangs_up_after: int = 3
    is_silent: bool = False
    where: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Socks]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = (await reader.readexactly(2))[1]
        await reader.readexactly(count)
        if self.is_silent:
            await reader.read()
        if self.hangs_up_after == 0:
            return
        writer.write(b"\x05\x02")
        size = (await reader.readexactly(2))[1]
        self.users.append((await reader.readexactly(size)).decode())
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x01\x00")
        if self.hangs_up_after == 1:
            return
        size = (await reader.readexactly(5))[4]
        host = (await reader.readexactly(size)).decode()
        self.targets.append(f"{host}:{int.from_bytes(await reader.readexactly(2))}")
        for byte in b"\x05" + bytes([self.code]) + b"\0" + self.kind:
            writer.write(bytes([byte]))  # One after the other, as a network may.
            await writer.drain()


@pytest.fixture
async def socks() -> AsyncIterator[Socks]:
    async with Socks().running() as running:
        yield running


async def test_without_tor_an_onion_is_refused_and_never_looked_up(
    ours: Keys, asked: list[Any]
) -> None:
    with pytest.raises(TorOff):
        async with dial(None, [ONION]):
            pass
    assert not asked


@pytest.mark.parametrize(
    ("code", "error"),
    [(0x01, TorFailed), (0x02, OnionsOnly), (0x03, TorFailed), (0x04, TorFailed),
     (0x05, NobodyAtOnion), (0x06, TorFailed), (0x07, TorFailed), (0xF0, NotInTor),
     (0xF1, TorFailed), (0xF2, TorFailed), (0xF3, TorFailed), (0xF4, NotAuthorized),
     (0xF5, NotAuthorized), (0xF6, WrongOnion), (0xF7, TorFailed), (0xFF, TorFailed)],
)  # fmt: skip
async def test_every_answer_of_tor_is_said(
    ours: Keys, settings: Any, socks: Socks, code: int, error: type[UnreachableError]
) -> None:
    settings.HUB_TOR_SOCKS, socks.code = socks.where, code
    with pytest.raises(error) as raised:
        async with dial(None, [ONION]):
            pass
    assert type(raised.value) is error
    assert socks.targets == [f"{HOST}:6984"]


@pytest.mark.parametrize("hangs_up_after", [0, 1])
async def test_a_tor_that_hangs_up_is_an_error_in_words(
    ours: Keys, settings: Any, socks: Socks, hangs_up_after: int
) -> None:
    settings.HUB_TOR_SOCKS, socks.hangs_up_after = socks.where, hangs_up_after
    with pytest.raises(TorFailed):
        async with dial(None, [ONION]):
            pass


async def test_a_tor_that_is_gone_is_an_error_in_words(ours: Keys, tmp_path: Path) -> None:
    await sync_to_async(store.set_tor)(wanted=True, socks=f"unix:{tmp_path}/none")
    with pytest.raises(TorFailed):
        async with dial(None, [ONION]):
            pass


async def test_a_tor_that_says_nothing_is_given_up(
    ours: Keys, settings: Any, socks: Socks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outward, "TOR_SECONDS", 0.05)
    settings.HUB_TOR_SOCKS, socks.is_silent, socks.hangs_up_after = socks.where, True, 0
    with pytest.raises(TorFailed):
        async with dial(None, [ONION]):
            pass


@pytest.mark.parametrize("kind", [b"\x04" + bytes(18), b"\x03\x03abc\0\0"], ids=["6", "name"])
async def test_each_peer_has_its_own_user_name(socks: Socks, kind: bytes) -> None:
    socks.kind = kind
    for peer in ("one", "two"):
        backend = outward.Backend(Ways(socks.where), peer)
        stream = await backend.connect_tcp(HOST, 6984)
        await stream.aclose()
    assert socks.users == ["one", "two"]


def test_what_goes_through_tor() -> None:
    everything = Ways("127.0.0.1:9", everything=True)
    assert everything.through_tor(HOST)
    assert everything.through_tor("hub.example")
    assert everything.through_tor("8.8.8.8")
    assert not everything.through_tor("127.0.0.1")
    assert not everything.through_tor("::1")
    for host in ("192.168.1.2", "fd00::2", "printer.local", "desk"):
        with pytest.raises(TorOnly):
            everything.through_tor(host)


def test_with_everything_through_tor_nothing_leaves_without_it() -> None:
    for host in (HOST, "hub.example", "8.8.8.8"):
        with pytest.raises(TorOff):
            Ways("", everything=True).through_tor(host)


async def test_with_everything_through_tor_a_hub_in_the_network_is_not_tried(
    ours: Keys, socks: Socks
) -> None:
    await sync_to_async(store.set_tor)(wanted=True, everything=True, socks=socks.where)
    socks.code = 0xF0
    with pytest.raises(NotInTor):
        async with dial(None, [LAN, ONION]):
            pass
    with pytest.raises(TorOnly):
        async with dial(None, [LAN]):
            pass
    assert socks.targets == [f"{HOST}:6984"]


async def test_a_name_is_resolved_by_tor_where_everything_goes_there(
    socks: Socks, asked: list[Any]
) -> None:
    socks.code = 0x04
    context = ssl.create_default_context()
    ways = Ways(socks.where, everything=True)
    url = "https://couch.example/db"
    async with dialer.open_client(url, verify=context, ways=ways, peer="x", timeout=5) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")
    assert socks.targets == ["couch.example:443"]
    assert "couch.example" not in asked


async def test_the_last_of_many_addresses_is_the_one_through_tor(
    ours: Keys, settings: Any, socks: Socks
) -> None:
    settings.HUB_TOR_SOCKS, socks.code = socks.where, 0x01
    near = [Address.parse(f"127.0.0.1:{port}") for port in range(1, 12)]
    with pytest.raises(UnreachableError):
        async with dial(None, [*near, ONION]):
            pass
    assert socks.targets == [f"{HOST}:6984"]
