"""Two hubs on one machine: how fast a database goes over, how soon a change arrives, and what
jobs cost that have nothing to do.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.meter import Cost, Meter
from bench.workloads import documents
from thalihub.tests.hubprocess import HubProcess, eventually

# Three times what CouchDB's own replicator does between two databases on such a machine.
PER_SECOND = 6000
ARRIVES_MS = 500

IDLE_JOBS = 500
IDLE_MB = 150
IDLE_PERCENT = 3

_TRIES = 50
_SECONDS_EACH = 0.06
_ADD = """
import time
from replication import manager
from replication.core.job import Direction, Mode, Wish
for number in range({count}):
    wish = Wish(f"idle{{number}}", {url!r}, Direction.PULL, Mode.CONTINUOUS)
    manager.add(wish, time.time())
"""


class Idle(NamedTuple):
    """What jobs cost that wait for changes."""

    jobs: int
    megabytes: float
    """More than without them."""
    percent: float
    """Of a core."""


class Between(NamedTuple):
    """Two hubs: what a database costs that goes over, delays in ms, jobs that wait."""

    pulled: Cost
    pushed: Cost
    delays: list[float]
    idle: Idle


def measure(hub: HubProcess, folder: Path, count: int) -> Between:
    """Measure `count` documents both ways; the CPU is that of all processes of both hubs."""
    with HubProcess(folder / "second", HUB_LOG_LEVEL="WARNING") as second:
        hub.manage("principal", "add", "second", "--key", second.status["key"])
        second.manage("principal", "add", "first", "--key", hub.status["key"])
        return Between(
            _whole(hub, second, count),
            _whole(hub, second, count, pushes=True),
            _delays(hub, second),
            _idle(hub, second, min(IDLE_JOBS, 1 + count // 40)),
        )


def _whole(hub: HubProcess, second: HubProcess, count: int, *, pushes: bool = False) -> Cost:
    name = "pushed" if pushes else "carried"
    with hub.client(hub.owner) as owner, second.client(second.owner) as other:
        owner.put(f"/{name}")
        for _ in range(0, count, 1000):
            batch = documents(min(1000, count))
            assert owner.post(f"/{name}/_bulk_docs", json={"docs": batch}).status_code == 201
        meter = Meter([psutil.Process(one.status["pid"]) for one in (hub, second)])
        if pushes:
            other.put(f"/{name}")
            second.manage("grant", "add", name, "read", "first")
            second.manage("grant", "add", name, "write", "first")
            _add(hub, second, name, "--once", "--push")
        else:
            hub.manage("grant", "add", name, "read", "second")
            _add(second, hub, name, "--once")

        def arrived() -> int:
            return int(other.get(f"/{name}").json().get("doc_count", 0))

        # The job may run before the command that made it has ended: what came before does not
        # count, and where all has come, as of few documents, there is nothing to measure.
        before = eventually(arrived, what="the job runs")
        cpu, start = meter.cpu(), time.perf_counter()
        eventually(lambda: arrived() == count, what="all is there", seconds=600, pause=0.1)
    return Cost(count - before or count, meter.cpu() - cpu, time.perf_counter() - start)


def _delays(hub: HubProcess, second: HubProcess) -> list[float]:
    with hub.client(hub.owner) as source, second.client(second.owner) as target:
        source.put("/fresh")
        hub.manage("grant", "add", "fresh", "read", "second")
        source.put("/fresh/first", json={})
        _add(second, hub, "fresh", "--continuous")
        eventually(lambda: target.get("/fresh/first").status_code == 200, what="the job runs")
        found = []
        for turn in range(_TRIES):
            since = target.get("/fresh").json()["update_seq"]
            start = time.perf_counter()
            source.put(f"/fresh/{turn}", json={})
            answer = target.get("/fresh/_changes", params={"feed": "longpoll", "since": since})
            assert [row["id"] for row in answer.json()["results"]] == [str(turn)]
            found.append((time.perf_counter() - start) * 1000)
    return sorted(found)


def _idle(hub: HubProcess, second: HubProcess, count: int) -> Idle:
    meter = Meter([one for name in ("web 1", "worker", "keeper") for one in second.processes(name)])
    before = meter.memory()
    second.manage("shell", "-v", "0", "-c", _ADD.format(count=count, url=_url(hub, "fresh")))
    with second.client(second.owner) as owner:

        def waiting() -> int:
            told = owner.get("/_scheduler/jobs").json()["jobs"]
            return sum(one["pid"] is None and one["info"]["docs_written"] > 0 for one in told)

        eventually(lambda: waiting() >= count, what="all have run once", seconds=600, pause=1)
    cpu, start = meter.cpu(), time.perf_counter()
    time.sleep(count * _SECONDS_EACH)
    percent = 100 * (meter.cpu() - cpu) / (time.perf_counter() - start)
    return Idle(count, (meter.memory() - before) / 1e6, percent)


def _url(hub: HubProcess, db_name: str) -> str:
    return f"httpkey://127.0.0.1:{hub.status['api_port']}/{hub.status['device_key']}/{db_name}"


def _add(second: HubProcess, hub: HubProcess, db_name: str, often: str, way: str = "--pull") -> int:
    words = ("job", "add", db_name, _url(hub, db_name), way, often, "--priority", "now", "--json")
    return int(json.loads(second.manage(*words))["id"])
