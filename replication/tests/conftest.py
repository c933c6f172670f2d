"""Peers of every kind, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from replication.peers import LocalPeer, Peer, RemotePeer

NewPeer = Callable[[str], Peer]


def over_http(owner: Any, **options: Any) -> httpx.AsyncClient:
    """Return a client that calls the API of this process as the owner."""
    from thalihub.tests.apiclient import _handler

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found = {**scope, "hub.peer": owner.peer, "hub.listener": "api"}
        await _handler()(found, receive, send)

    transport = httpx.ASGITransport(app=application)
    return httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1:6984", **options)


@pytest.fixture
async def client(api: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The owner's HTTP client."""
    async with over_http(api.owner) as made:
        yield made


@pytest.fixture(params=["local", "remote"])
def source_of(request: pytest.FixtureRequest, client: httpx.AsyncClient) -> NewPeer:
    """Makes the source, of every kind."""
    return _maker(request.param, client)


@pytest.fixture(params=["local", "remote"])
def target_of(request: pytest.FixtureRequest, client: httpx.AsyncClient) -> NewPeer:
    """Makes the target, of every kind."""
    return _maker(request.param, client)


def _maker(kind: str, client: httpx.AsyncClient) -> NewPeer:
    if kind == "local":
        return lambda path: LocalPeer(path.removeprefix("/"))
    return lambda path: RemotePeer(client, path.removeprefix("/"), name=f"https://hub{path}")
