"""How a connection leaves this machine: straight, or through Tor.  All of them pass here.

One network backend below httpx decides by the name it is to connect to.  What belongs to Tor is
handed to its SOCKS with the name as it is, so no resolver ever sees one; where there is no Tor it
is refused (RFC 7686).  With “everything through Tor” that holds for every other name and address,
but for this machine's own.

Each peer has a SOCKS user name, and so circuits of its own (tor's manual, IsolateSOCKSAuth).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import httpcore
import httpx
from asgiref.sync import sync_to_async
from django.conf import settings
from httpcore import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream
from socksio.exceptions import ProtocolError
from socksio.socks5 import (
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5Connection,
    SOCKS5UsernamePasswordRequest,
)

from discovery import store
from discovery.core import addresses as kinds
from discovery.core import onion
from discovery.core.addresses import Address
from discovery.core.errors import AddressError, TorFailed, TorOff, TorOnly, UnreachableError
from discovery.dialer.unpacking import Transport

TOR_SECONDS: Final = 30.0
"""How long Tor has for a connection: it looks for the service, and builds three circuits."""
_CONNECTIONS: Final = 8
_REST_OF_ANSWER: Final = {1: 4 + 2, 4: 16 + 2}


class Ways(NamedTuple):
    """Where Tor's SOCKS is (`host:port`, `unix:path` or empty), and what has to go there."""

    socks: str = ""
    everything: bool = False

    def through_tor(self, host: str) -> bool:
        """Tell which way leads to a host; raises TorOff, TorOnly where none does."""
        if onion.is_onion(host):
            wanted = True
        else:
            kind = _kind(host) if self.everything else kinds.LOOPBACK
            if kind == kinds.LAN:
                raise TorOnly
            wanted = kind != kinds.LOOPBACK
        if wanted and not self.socks:
            raise TorOff
        return wanted


async def ways() -> Ways:
    """Return the ways that there are now."""
    row = await sync_to_async(store.tor_or_none)()
    if row is None or not row.wanted:
        return Ways(settings.HUB_TOR_SOCKS)
    return Ways(row.socks or settings.HUB_TOR_SOCKS, row.everything)


def _kind(host: str) -> str:
    try:
        return Address.parse(f"[{host}]:1" if ":" in host else f"{host}:1").kind
    except AddressError:
        return kinds.INTERNET


def client(
    url: str,
    *,
    verify: ssl.SSLContext,
    ways: Ways,
    peer: str,
    timeout: float,
    auth: httpx.Auth | None = None,
) -> httpx.AsyncClient:
    """Return a client of one peer, which goes the ways that there are."""
    return httpx.AsyncClient(
        base_url=url,
        transport=_Transport(verify, Backend(ways, peer)),
        timeout=timeout,
        auth=auth,
        trust_env=False,
        follow_redirects=False,
    )


class _Transport(Transport):
    """One over another network: httpx's own has no argument for that."""

    def __init__(self, verify: ssl.SSLContext, backend: AsyncNetworkBackend) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=httpx.Limits().keepalive_expiry,
            network_backend=backend,
        )


class RefusedByTorError(httpcore.ConnectError):
    """Tor does not make the connection; `reason` says why."""

    def __init__(self, reason: UnreachableError) -> None:
        super().__init__(reason.reason)
        self.reason = reason


class Backend(AsyncNetworkBackend):
    """Opens connections for one peer."""

    def __init__(self, ways: Ways, peer: str) -> None:
        self._ways = ways
        self._peer = peer
        self._network = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        """Return a stream; raises RefusedByTorError and what httpcore raises."""
        try:
            if self._ways.through_tor(host):
                return await self._through_tor(host, port)
        except UnreachableError as error:
            raise RefusedByTorError(error) from error
        return await self._network.connect_tcp(host, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks for between two tries."""
        await self._network.sleep(seconds)

    async def _through_tor(self, host: str, port: int) -> AsyncNetworkStream:
        try:
            async with asyncio.timeout(TOR_SECONDS):
                stream = await self._proxy()
                try:
                    await _connected(stream, self._peer, host, port)
                except BaseException:
                    await stream.aclose()
                    raise
                return stream
        except TorFailed:
            await sync_to_async(store.note_stale)()
            raise
        except TimeoutError:
            await sync_to_async(store.note_stale)()
            raise TorFailed from None
        except (httpcore.NetworkError, httpcore.TimeoutException, ProtocolError):
            raise TorFailed from None

    async def _proxy(self) -> AsyncNetworkStream:
        socks = self._ways.socks
        if socks.startswith("unix:"):
            return await self._network.connect_unix_socket(socks.removeprefix("unix:"))
        host, _, port = socks.rpartition(":")
        return await self._network.connect_tcp(host.strip("[]"), int(port))


async def _connected(stream: AsyncNetworkStream, peer: str, host: str, port: int) -> None:
    """Ask SOCKS for a connection (RFC 1928, 1929); raises UnreachableError, ProtocolError.

    The last answer is read here: the library knows none of Tor's own (ExtendedErrors).
    """
    socks = SOCKS5Connection()
    for request in (
        SOCKS5AuthMethodsRequest([SOCKS5AuthMethod.USERNAME_PASSWORD]),
        SOCKS5UsernamePasswordRequest(peer.encode()[:255], b"hub"),
    ):
        socks.send(request)
        await stream.write(socks.data_to_send())
        socks.receive_data(await _read(stream, 2))
    socks.send(SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, (host, port)))
    await stream.write(socks.data_to_send())
    _version, code, _, kind = await _read(stream, 4)
    if code:
        raise onion.socks_error(code)
    rest = _REST_OF_ANSWER.get(kind) or (await _read(stream, 1))[0] + 2
    await _read(stream, rest)


async def _read(stream: AsyncNetworkStream, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = await stream.read(size - len(found))
        if not piece:
            raise httpcore.ReadError("Tor has hung up.")
        found += piece
    return found
