"""Peers of every kind, in this process."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from replication.peers import LocalPeer, Peer, RemotePeer

NewPeer = Callable[[str], Peer]


@pytest.fixture(params=["local", "remote"])
def source_of(request: pytest.FixtureRequest, owner_http: httpx.AsyncClient) -> NewPeer:
    """Makes the source, of every kind."""
    return _maker(request.param, owner_http)


@pytest.fixture(params=["local", "remote"])
def target_of(request: pytest.FixtureRequest, owner_http: httpx.AsyncClient) -> NewPeer:
    """Makes the target, of every kind."""
    return _maker(request.param, owner_http)


def _maker(kind: str, client: httpx.AsyncClient) -> NewPeer:
    if kind == "local":
        return lambda path: LocalPeer(path.removeprefix("/"))
    return lambda path: RemotePeer(client, path.removeprefix("/"), name=f"https://hub{path}")
