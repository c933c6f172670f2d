"""The one way out: connections to other hubs, by mutual TLS with a key that is known beforehand.

`dial` is given whom to reach, by key, and where.  It tries the addresses one after the other, each
with a head start before the next, and keeps the first that answers with the right key.  What key
the other end has is seen at the end of the TLS handshake, before the first byte of HTTP is sent
(design/identity-and-tls.md, "httpkey URLs").  There are no redirects, no proxies of the
environment, and no DNS for onion addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import httpx
from django.conf import settings

from acl import identity
from discovery.core import addresses as kinds
from discovery.core.addresses import Address
from discovery.core.errors import (
    AddressError,
    DiscoveryError,
    OurselvesError,
    TorOff,
    TorOnly,
    UnreachableError,
    WrongKeyError,
)
from discovery.dialer.broken import BROKEN
from discovery.dialer.outward import RefusedByTorError, Ways, ways
from discovery.dialer.outward import client as open_client
from discovery.dialer.pinned import PinnedContext

__all__ = ["Session", "Ways", "dial", "open_client", "ways"]

_HEAD_START_SECONDS = 2.0
_AT_ONCE = 8
_LONGEST_PROBE = 4096


class Session(NamedTuple):
    """An open connection: `client` has the other hub's address as its base URL."""

    client: httpx.AsyncClient
    leaf_key: str
    """Hash of the key that the other hub holds."""
    keys: tuple[str, ...]
    """That key, then those that have verifiably signed it."""
    address: Address


@contextlib.asynccontextmanager
async def dial(
    key: str | None,
    addresses: Sequence[Address],
    *,
    timeout: float = 30,
    in_order: bool = False,
    outcomes: dict[Address, bool] | None = None,
) -> AsyncIterator[Session]:
    """Give a session with the hub of this key, of an identity or of one device.

    None takes whoever answers: the caller has to look at `Session.keys`.  `timeout` is in seconds,
    for connecting and for each reading or writing.  Nearer addresses go first, unless they come
    `in_order`.  `outcomes` takes which have answered, and which have not.  Raises AddressError
    where there is no address, UnreachableError, WrongKeyError, OurselvesError.
    """
    ranked = list(dict.fromkeys(addresses)) if in_order else kinds.nearest_first(addresses)
    session = await _first(key, _few(ranked), timeout, {} if outcomes is None else outcomes)
    try:
        yield session
    finally:
        await session.client.aclose()


async def _first(
    key: str | None, addresses: Sequence[Address], timeout: float, outcomes: dict[Address, bool]
) -> Session:
    if not addresses:
        raise AddressError("There is no address to reach this hub at.")
    there_are = await ways()
    tries: list[asyncio.Task[Session]] = []
    for address in addresses:
        attempt = _after([*tries], key, address, timeout, there_are)
        tries.append(asyncio.create_task(attempt))
    try:
        return await _winner(tries)
    finally:
        for address, one in zip(addresses, tries, strict=True):
            if one.done():  # Who was still trying may only have been slower.
                outcomes[address] = _succeeded(one)
        await _abandon(tries)


def _few(ranked: Sequence[Address]) -> list[Address]:
    """Return what is tried: of too many, the first, and what is reached from everywhere."""
    first, rest = ranked[: _AT_ONCE - 1], ranked[_AT_ONCE - 1 :]
    onions = [one for one in rest if one.kind == kinds.TOR]
    return [*first, *(onions or rest)[:1]]


async def _winner(tries: Sequence[asyncio.Task[Session]]) -> Session:
    failures: list[DiscoveryError] = []
    for attempt in asyncio.as_completed(tries):
        try:
            return await attempt
        except DiscoveryError as error:
            failures.append(error)
    raise min(failures, key=_worth)


def _worth(failure: DiscoveryError) -> int:
    """Rank failures: that a stranger answers is worth more to know than that nobody does."""
    if not isinstance(failure, UnreachableError):
        return 0
    return 2 if isinstance(failure, TorOff | TorOnly) else 1


async def _abandon(tries: Sequence[asyncio.Task[Session]]) -> None:
    """End what is still trying, and close what came second."""
    winner = next((one for one in tries if _succeeded(one)), None)
    for one in tries:
        one.cancel()
    await asyncio.wait(tries)
    for one in tries:
        if one is not winner and _succeeded(one):
            await one.result().client.aclose()


def _succeeded(attempt: asyncio.Task[Session]) -> bool:
    return attempt.done() and not attempt.cancelled() and attempt.exception() is None


async def _after(
    earlier: Sequence[asyncio.Task[Session]],
    key: str | None,
    address: Address,
    timeout: float,
    ways: Ways,
) -> Session:
    """Connect when the tries before have failed, or have had their head start."""
    ways.through_tor(address.host)  # Or it raises, at once.
    if earlier:
        await asyncio.wait(earlier, timeout=_HEAD_START_SECONDS * len(earlier))
    return await _connect(key, address, timeout, ways)


async def _connect(key: str | None, address: Address, timeout: float, ways: Ways) -> Session:
    context = _context(key)
    url, peer = f"https://{address}", key or str(address)
    client = open_client(url, verify=context, ways=ways, peer=peer, timeout=timeout)
    try:
        # The least that a hub answers to everybody: it opens the connection that is kept.
        async with client.stream("GET", "/_up") as answer:
            await drained(answer)
    except BROKEN as error:
        await client.aclose()
        raise _translated(context, error) from error
    except BaseException:
        await client.aclose()
        raise
    return Session(client, context.keys[0], context.keys, address)


async def drained(answer: httpx.Response) -> None:
    """Read a short answer to its end; raises RemoteProtocolError for a long one."""
    size = 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size > _LONGEST_PROBE:
            raise httpx.RemoteProtocolError("This is no hub.")


def _translated(context: PinnedContext, error: Exception) -> DiscoveryError:
    if context.is_ourselves:
        return OurselvesError()
    if context.is_stranger:
        return WrongKeyError()
    if isinstance(error.__cause__, RefusedByTorError):
        return error.__cause__.reason
    if isinstance(error, httpx.RemoteProtocolError):
        return UnreachableError("What answers at this address is not a hub.")
    return UnreachableError()


def _context(key: str | None) -> PinnedContext:
    folder = settings.HUB_DATA
    context = PinnedContext(key, identity.load(folder).device_key)
    context.load_cert_chain(folder / "device.crt", folder / "device.key")
    return context
