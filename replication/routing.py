"""Who is meant by a job, and the way there.

The text that names a peer is looked up anew at every run: a group may have a member more, a device
may have moved to another address.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings

from acl import identity
from acl import store as acl_store
from acl.core.errors import NoSuchHolder
from acl.core.httpkey import HttpKey, ThaliGroup
from discovery import store as found
from discovery.core.addresses import Address
from discovery.core.errors import AddressError, OurselvesError
from discovery.dialer import dial
from replication.core import job as jobs
from replication.core.errors import BadJob
from replication.core.job import Kind
from replication.peers import RemotePeer
from replication.store.links import Claim, Meant

_PORT = 6984
_SECONDS = 30.0
_PEOPLE = ("friend", "device", "application")


class Way(NamedTuple):
    """An open way to a peer."""

    client: httpx.AsyncClient
    path: str
    """The kind of address, as a person knows it."""
    base: str = ""
    """What stands before the name of a database in URLs of a server."""


def ours() -> str:
    """Return this hub's id: part of the names of its checkpoints."""
    key = identity.load(settings.HUB_DATA).device_key
    return hashlib.sha256(f"uuid:{key}".encode()).hexdigest()[:32]


# -- who is meant ----------------------------------------------------------------------------------


def meant(peer: str) -> list[Meant]:
    """Return the hubs and servers that a peer's text means now; raises BadJob, NoSuchHolder."""
    match jobs.kind_of(peer):
        case Kind.DEVICES:
            return [Meant(one.principal.key, one.principal.name) for one in found.other_devices()]
        case Kind.HUB:
            url = HttpKey.parse(peer)
            return [Meant(url.key, _name_of(url.key) or url.authority)]
        case Kind.GROUP:
            return _members_of_url(ThaliGroup.parse(peer))
        case Kind.SERVER | Kind.HERE:
            return [Meant("", jobs.shown(peer))]
    return _called(peer)


def _called(name: str) -> list[Meant]:
    people = _people()
    if name in people:
        return [Meant(people[name], name)]
    groups = dict(acl_store.list_groups())
    if name not in groups:
        acl_store.find_holder(name)  # The owner, perhaps; else it raises NoSuchHolder.
        raise BadJob(f"“{name}” is no other hub.")
    names = _all_members(groups, name)
    return [Meant(people[one], one) for one in sorted(names) if one in people]


def _people() -> dict[str, str]:
    return {
        one.name: one.key
        for one in acl_store.list_principals()
        if one.kind in _PEOPLE and not one.revoked
    }


def _name_of(key: str) -> str | None:
    return next((name for name, one in _people().items() if one == key), None)


def _all_members(groups: dict[str, list[str]], name: str) -> set[str]:
    """Return the names in a group, and in the groups in it."""
    names, left = set[str](), [name]
    while left:
        for one in groups.get(left.pop(), ()):
            if one not in names:
                names.add(one)
                left.append(one)
    return names


def _members_of_url(url: ThaliGroup) -> list[Meant]:
    if url.owner != identity.load(settings.HUB_DATA).key:
        raise BadJob("This is a group of somebody else's. Only your own are known here.")
    groups = dict(acl_store.list_groups())
    if url.group not in groups:
        raise NoSuchHolder(f"There is no group called “{url.group}”.")
    return _called(url.group)


# -- the way there ---------------------------------------------------------------------------------


def addresses_of(key: str) -> list[Address]:
    """Return where the hub of a principal may be reached, as far as we have been told."""
    texts = list[str]()
    for one in found.other_devices():
        if one.principal.key == key:
            texts += one.addresses
    for contact in found.list_contacts():
        if contact.key == key:
            texts += contact.addresses
    nearby = found.sighting(key)
    texts += nearby.addresses if nearby is not None else []
    return list(_readable(texts))


def _readable(texts: Iterable[str]) -> Iterable[Address]:
    for text in dict.fromkeys(texts):
        with contextlib.suppress(AddressError):
            yield Address.parse(text)


def _addresses(key: str, peer: str) -> list[Address]:
    known = addresses_of(key)
    if jobs.kind_of(peer) is Kind.HUB:
        url = HttpKey.parse(peer)
        host = f"[{url.host}]" if ":" in url.host else url.host
        return [Address.parse(f"{host}:{url.port or _PORT}"), *known]
    return known


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
    addresses = await sync_to_async(_addresses)(key, peer)
    async with dial(key, addresses, timeout=_SECONDS) as session:
        yield Way(session.client, session.address.kind)


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
    async with httpx.AsyncClient(
        base_url=f"{parts.scheme}://{host}{before}",
        auth=auth,
        timeout=_SECONDS,
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=8),
    ) as client:
        yield Way(client, "internet")


def remote(claim: Claim, way: Way) -> RemotePeer:
    """Return the far end of a link."""
    name = f"httpkey:{claim.key}/{claim.there}" if claim.key else jobs.shown(claim.peer)
    return RemotePeer(way.client, claim.there, name=name)
