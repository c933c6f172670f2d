"""A connection that fails at any byte costs a batch at most, and never a document.

A database goes over in batches of a few documents, through a proxy that cuts, truncates, corrupts
or delays at one of several hundred offsets.  Then it is tried again without mischief, as a job is:
the target has everything that the source has, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import httpx
import pytest

from acl.core.errors import HubError
from replication import replicator
from replication.core.options import Options
from replication.peers import LocalPeer, Peer, RemotePeer, remote
from replication.peers.base import Batch, Failure, Fetched, Related, Wanted
from thalihub.tests.faultproxy import Fault, FaultProxy, Kind, To
from thalihub.tests.hubprocess import HubProcess

pytestmark = [pytest.mark.slow, pytest.mark.long]

PAGE = 4
IMPATIENT = 0.25
"""Seconds until a client gives up where the fault is that nothing comes."""
OFFSETS = {Kind.CUT: 34, Kind.TRUNCATE: 34, Kind.CORRUPT: 34, Kind.DELAY: 24}
"""Of each way of the bytes, and of each direction of the replication: 504 in all."""
_names = (f"faults{number}" for number in itertools.count())


class Sent(NamedTuple):
    """How often each revision was handed over, of how many."""

    times: Counter[tuple[str, str]]

    @property
    def again(self) -> int:
        """How many were handed over more than once."""
        return self.times.total() - len(self.times)


@pytest.fixture(autouse=True)
def _in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicator, "_PAGE", PAGE)
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)


@pytest.fixture
async def proxy(hub: HubProcess) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(hub.status["api_port"]) as proxy:
        yield proxy


def client(hub: HubProcess, port: int, seconds: float = 60) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{port}",
        verify=hub.context(hub.owner),
        timeout=seconds,
        trust_env=False,
    )


async def fill(owner: Any, path: str) -> None:
    """Make documents with histories, deletions, conflicts and attachments."""
    plain = [{"_id": f"d{n:02}", "n": n, "text": "x" * 80 * n} for n in range(10)]
    edits = [
        {"_id": f"d{n:02}", "_rev": f"2-{n:032x}", "_revisions": _history(n), "n": -n}
        for n in range(0, 10, 5)
    ]
    conflict = {"_id": "d01", "_rev": "1-" + "f" * 32, "n": "other"}
    await owner.post(f"{path}/_bulk_docs", {"docs": plain})
    await owner.post(f"{path}/_bulk_docs", {"docs": [*edits, conflict], "new_edits": False})
    for n, size in enumerate((10, 70_000)):
        data = base64.b64encode(hashlib.sha256(b"%d" % n).digest() * (size // 32 + 1)).decode()
        attached = {"file": {"content_type": "application/octet-stream", "data": data}}
        await owner.put(f"{path}/a{n}", {"n": n, "_attachments": attached})


def _history(n: int) -> dict[str, Any]:
    return {"start": 2, "ids": [f"{n:032x}", f"{n + 100:032x}"]}


async def state_of(owner: Any, path: str) -> dict[str, Any]:
    """Return everything that a client can see of a database."""
    feed = (await owner.get(f"{path}/_changes", style="all_docs")).json()
    leaves = sorted((row["id"], one["rev"]) for row in feed["results"] for one in row["changes"])
    asked = {"docs": [{"id": docid, "rev": rev} for docid, rev in leaves]}
    opened = (await owner.post(f"{path}/_bulk_get", asked, revs="true")).json()
    contents = [(await owner.get(f"{path}/a{n}/file")).body for n in range(2)]
    return {
        "leaves": leaves,
        "documents": opened["results"],
        "contents": [hashlib.sha256(content).hexdigest() for content in contents],
    }


class Side:
    """The owner's requests to a real hub, in the words of those to this process."""

    def __init__(self, direct: httpx.AsyncClient) -> None:
        self._direct = direct

    async def get(self, path: str, **params: str) -> Any:
        answer = await self._direct.get(path, params=params)
        answer.body = answer.content  # type: ignore[attr-defined]
        return answer

    async def put(self, path: str, body: Any = None, **params: str) -> Any:
        return await self._direct.put(path, json=body, params=params)

    async def post(self, path: str, body: Any, **params: str) -> Any:
        return await self._direct.post(path, json=body, params=params)


def counted(peer: Peer, sent: Sent) -> Peer:
    """Have `peer`, a target, note what it is handed."""
    write, write_related = peer.write, peer.write_related

    async def writing(documents: Sequence[Fetched]) -> list[Failure]:
        sent.times.update((one.docid, one.rev) for one in documents)
        return await write(documents)

    async def writing_related(related: Related) -> Failure | None:
        sent.times[related.wanted.docid, related.wanted.rev] += 1
        return await write_related(related)

    peer.write, peer.write_related = writing, writing_related  # type: ignore[method-assign]
    return peer


def fetched(peer: Peer, sent: Sent) -> Peer:
    """Have `peer`, a source, note what it has handed out."""
    fetch = peer.fetch

    async def fetching(wanted: Sequence[Wanted]) -> Batch:
        batch = await fetch(wanted)
        sent.times.update((one.docid, one.rev) for one in batch.documents)
        return batch

    peer.fetch = fetching  # type: ignore[method-assign,assignment]
    return peer


class Trial:
    """One database that goes over through the proxy, in one direction."""

    def __init__(self, hub: HubProcess, proxy: FaultProxy, pulls: bool, here: str, there: str):
        self._hub, self._proxy, self._pulls = hub, proxy, pulls
        self._here, self._there = here, there
        self.sent = Sent(Counter())

    async def attempt(self, seconds: float) -> bool:
        """Replicate once, on a new connection; tell whether it came to an end."""
        async with client(self._hub, self._proxy.port, seconds) as connection:
            far = RemotePeer(connection, self._there, name="far")
            near = LocalPeer(self._here)
            source, target = (far, near) if self._pulls else (near, far)
            if self._pulls:
                fetched(source, self.sent)
            else:
                counted(target, self.sent)
            try:
                result = await replicator.replicate(source, target, Options(), ours="us")
            except (HubError, httpx.HTTPError):
                return False
            assert result.failures == []
            return result.caught_up


@pytest.fixture
async def sides(hub: HubProcess, owner: Any) -> AsyncIterator[tuple[Any, Side]]:
    """The owner's client of this process, and the one of the real hub."""
    async with client(hub, hub.status["api_port"]) as direct:
        yield owner, Side(direct)


async def _fresh(side: Any) -> str:
    name = next(_names)
    await side.put(f"/{name}", conflict_policy="couch")
    return name


def _offsets(kind: Kind, to: To, lengths: Counter[To]) -> list[int]:
    """Spread offsets over all bytes that go this way in an undisturbed run."""
    number, length = OFFSETS[kind], lengths[to]
    return [length * turn // number for turn in range(number)]


@pytest.mark.parametrize("pulls", [True, False], ids=["pull", "push"])
@pytest.mark.parametrize("kind", list(Kind))
async def test_a_fault_at_any_byte_loses_nothing(
    hub: HubProcess, proxy: FaultProxy, sides: tuple[Any, Side], kind: Kind, pulls: bool
) -> None:
    near, far = sides
    source_side, target_side = (far, near) if pulls else (near, far)
    source = await _fresh(source_side)
    await fill(source_side, f"/{source}")
    wanted = await state_of(source_side, f"/{source}")

    async def run(fault: Fault | None) -> None:
        target = await _fresh(target_side)
        here, there = (target, source) if pulls else (source, target)
        trial = Trial(hub, proxy, pulls, here, there)
        proxy.arm(fault)
        patience = IMPATIENT if kind is Kind.DELAY and fault else 60
        if not await trial.attempt(patience):
            assert await trial.attempt(60), f"{fault}: the second try came to no end"
        assert await state_of(target_side, f"/{target}") == wanted, fault
        assert trial.sent.again <= PAGE, fault

    await run(None)
    lengths = +proxy.passed
    assert min(lengths.values()) > 3000
    done = 0
    for to in To:
        for offset in _offsets(kind, to, lengths):
            await run(Fault(kind, to, offset))
            done += proxy.has_failed
    assert done >= 0.9 * 2 * OFFSETS[kind], "most of the faults were met"
