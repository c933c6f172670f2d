"""Who is meant by a job, and the way there.

The text that names a peer is looked up anew at every run: a group may have a member more, a device
may have moved to another address.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from acl import identity
from acl import store as acl_store
from acl.core.httpkey import HttpKey, ThaliGroup
from discovery import store as found
from discovery.core.addresses import Address
from discovery.core.errors import DiscoveryError, OurselvesError
from discovery.dialer import Session, dial, near, open_client, ways
from replication import addresses
from replication.core import clocks
from replication.core import job as jobs
from replication.core.errors import BadJob
from replication.core.job import Kind
from replication.peers import RemotePeer
from replication.store.links import Claim, Meant

_SECONDS = 30.0
_SEEN_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_PEOPLE = ("friend", "device", "application")


_seen_at: dict[str, float] = {}
_ahead: dict[str, int] = {}


class Way(NamedTuple):
    """An open way to a peer."""

    client: httpx.AsyncClient
    path: str
    """The kind of address, as a person knows it."""


def ours() -> str:
    """Return this hub's id: part of the names of its checkpoints."""
    key = identity.load(settings.HUB_DATA).device_key
    return hashlib.sha256(f"uuid:{key}".encode()).hexdigest()[:32]


def our_key() -> str:
    """Return the key of this hub."""
    return identity.load(settings.HUB_DATA).device_key


# -- who is meant ----------------------------------------------------------------------------------


class Directory(NamedTuple):
    """Everybody whom this hub knows, read once for many questions."""

    people: Mapping[str, str]
    """Key by name, without those who are revoked."""
    groups: Mapping[str, Sequence[str]]
    devices: Sequence[Meant]


def directory() -> Directory:
    """Return who is known now."""
    people = {
        one.name: one.key
        for one in acl_store.list_principals()
        if one.kind in _PEOPLE and not one.revoked
    }
    devices = [Meant(one.principal.key, one.principal.name) for one in found.other_devices()]
    return Directory(people, dict(acl_store.list_groups()), devices)


def meant(peer: str, known: Directory | None = None) -> list[Meant]:
    """Return the hubs and servers that a peer's text means now; raises BadJob, NoSuchHolder."""
    known = known or directory()
    match jobs.kind_of(peer):
        case Kind.DEVICES:
            return list(known.devices)
        case Kind.HUB:
            url = HttpKey.parse(peer)
            name = next((name for name, key in known.people.items() if key == url.key), None)
            return [Meant(url.key, name or url.authority)]
        case Kind.GROUP:
            return _called(_own_group(ThaliGroup.parse(peer)), known)
        case Kind.SERVER | Kind.HERE:
            return [Meant("", jobs.shown(peer))]
    return _called(peer, known)


def _called(name: str, known: Directory) -> list[Meant]:
    if name in known.people:
        return [Meant(known.people[name], name)]
    if name not in known.groups:
        acl_store.find_holder(name)  # The owner, perhaps; else it raises NoSuchHolder.
        raise BadJob(f"“{name}” is no other hub.")
    names = _all_members(known.groups, name)
    return [Meant(known.people[one], one) for one in sorted(names) if one in known.people]


def _all_members(groups: Mapping[str, Sequence[str]], name: str) -> set[str]:
    """Return the names in a group, and in the groups in it."""
    names, left = set[str](), [name]
    while left:
        for one in groups.get(left.pop(), ()):
            if one not in names:
                names.add(one)
                left.append(one)
    return names


def _own_group(url: ThaliGroup) -> str:
    if url.owner != identity.load(settings.HUB_DATA).key:
        raise BadJob("This is a group of somebody else's. Only your own are known here.")
    return url.group


# -- the way there ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def way_to(key: str, peer: str) -> AsyncIterator[Way]:
    """Open a way to a hub, or with an empty key to the server that `peer` is a URL of.

    Raises what `dial` raises.
    """
    if not key:
        async with _server(peer) as way:
            yield way
        return
    if key in _own_keys():
        raise OurselvesError
    async with contextlib.AsyncExitStack() as stack:
        session = await _nearby(key, stack) or await _dialled(key, peer, stack)
        await _note_seen(key)
        _compare_clocks(session.client, key)
        yield Way(session.client, session.address.kind)


async def _nearby(key: str, stack: contextlib.AsyncExitStack) -> Session | None:
    """Return a session with the hub where it was seen nearby, if it was and still is."""
    if (await ways()).everything:  # Through Tor, that is.
        return None
    for row in await sync_to_async(found.near)(key, timezone.now()):
        try:
            address = Address.parse(row.address)
            opening = near.session(row.device, address, bytes(row.certificate), timeout=_SECONDS)
            return await stack.enter_async_context(opening)
        except DiscoveryError:  # It has gone, or announces something else by now.
            await sync_to_async(found.forget_near)(row.device)
    return None


async def _dialled(key: str, peer: str, stack: contextlib.AsyncExitStack) -> Session:
    """Return a session at an address that is known; a hub that comes near meanwhile goes first."""
    known = await sync_to_async(addresses.in_order)(key, peer)
    outcomes = dict[Address, bool]()
    opening = dial(key, known, timeout=_SECONDS, in_order=True, outcomes=outcomes)
    dialling = asyncio.ensure_future(stack.enter_async_context(opening))
    coming = asyncio.ensure_future(_comes_near(key))
    try:
        await asyncio.wait({dialling, coming}, return_when=asyncio.FIRST_COMPLETED)
        if dialling.done():
            return dialling.result()
    finally:
        for one in (dialling, coming):
            one.cancel()
        await asyncio.wait({dialling, coming})
        await sync_to_async(addresses.note)(key, outcomes)
    return await _nearby(key, stack) or await _dialled(key, peer, stack)


async def _comes_near(key: str) -> None:
    while not await sync_to_async(found.near)(key, timezone.now()):
        await asyncio.sleep(_LOOK_SECONDS)


async def _note_seen(key: str) -> None:
    """Note that a contact or device was reached, once a minute."""
    now = time.monotonic()
    if now - _seen_at.get(key, -math.inf) >= _SEEN_SECONDS:
        _seen_at[key] = now
        await sync_to_async(found.seen)(key, timezone.now())


def _compare_clocks(client: httpx.AsyncClient, key: str) -> None:
    """Look at the date of the first answer, and note how far their clock is from ours."""

    async def look(answer: httpx.Response) -> None:
        client.event_hooks = {}
        ahead = clocks.ahead(answer.headers.get("date"), time.time())
        if ahead or _ahead.get(key, 1):  # Once, too, that it is right: it may have been set.
            _ahead[key] = ahead
            await sync_to_async(found.note_clock)(key, ahead)

    client.event_hooks = {"response": [look]}


def _own_keys() -> tuple[str, ...]:
    own = identity.load(settings.HUB_DATA)
    return own.key, own.device_key, own.owner_key


@contextlib.asynccontextmanager
async def _server(url: str) -> AsyncIterator[Way]:
    parts = urlsplit(url)
    before = parts.path.rstrip("/").rpartition("/")[0]
    host = parts.netloc.rpartition("@")[2]
    auth = None
    if parts.username is not None:
        auth = httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    client = open_client(
        f"{parts.scheme}://{host}{before}",
        verify=httpx.create_ssl_context(trust_env=False),
        ways=await ways(),
        peer=host,
        timeout=_SECONDS,
        auth=auth,
    )
    async with client:
        yield Way(client, "internet")


def remote(claim: Claim, way: Way) -> RemotePeer:
    """Return the far end of a link."""
    name = f"httpkey:{claim.key}/{claim.there}" if claim.key else jobs.shown(claim.peer)
    return RemotePeer(way.client, claim.there, name=name)


def key_in(url: str) -> str:
    """Return the key of the hub in a URL, empty for another server."""
    return HttpKey.parse(url).key if jobs.kind_of(url) is Kind.HUB else ""


def end_at(url: str, way: Way) -> RemotePeer:
    """Return the database of a URL."""
    db_name, key = jobs.database_at(url, ""), key_in(url)
    name = f"httpkey:{key}/{db_name}" if key else jobs.shown(url)
    return RemotePeer(way.client, db_name, name=name)
