"""Peers of every kind, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from acl import sql
from replication import routing
from replication.peers import LocalPeer, Peer, RemotePeer
from replication.store import jobs
from replication.tests.workbench import Bench

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


@pytest.fixture
async def bench(
    owner_http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    made = Bench(owner_http)
    monkeypatch.setattr(routing, "way_to", made.way_to)
    yield made
    await made.worker.end()
    for number in made.numbers:
        await sql.write(partial(jobs.remove, number=number))


@pytest.fixture
async def pair(owner: Any, new_name: Callable[[], str]) -> tuple[str, str]:
    here, there = f"/{new_name()}", f"/{new_name()}"
    for path in (here, there):
        assert (await owner.put(path)).status == 201
        assert (await owner.put(f"{path}/of-{path[1:]}", {})).status == 201
    return here, there
