"""Several processes on one PostgreSQL and one Redis; each of these may go away, and come back.

Two hosts on loopback have nothing in common but the two servers.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from thalihub.tests.gate import Gate
from thalihub.tests.hosts import Feed, Part, another
from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.postgres import PostgresServer
from thalihub.tests.redisserver import RedisServer

pytestmark = [
    pytest.mark.requires_postgres,
    pytest.mark.requires_redis,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.xdist_group("outages"),
]


class Hosts:
    """Two hosts that are one hub, each with a worker; `here` has the keeper, too."""

    def __init__(self, folder: Path) -> None:
        self.postgres = PostgresServer()
        self.redis = RedisServer(folder)
        self._folder = folder
        self._numbers = itertools.count(1)

    def start(self, stack: ExitStack) -> None:
        stack.enter_context(self.postgres)
        self.redis.start()
        stack.callback(self.redis.stop)
        shared = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}
        roles = {"HUB_ROLES": "web,keeper", **shared}
        self.here = stack.enter_context(HubProcess(self._folder / "here", **roles))
        there = HubProcess(self._folder / "there", **shared, HUB_ROLES="web")
        self.there = stack.enter_context(another(self.here, there))
        self.workers = [Part(host, "worker") for host in (self.here, self.there)]
        for worker in self.workers:
            stack.callback(worker.stop)
        self.a = stack.enter_context(self.here.client(self.here.owner))
        self.b = stack.enter_context(self.there.client(self.there.owner))
        self.gate = stack.enter_context(Gate(self.here))
        assert self.a.put("/_replicator").status_code == 201

    def new_database(self, documents: int = 0) -> str:
        name = f"shelf{next(self._numbers)}"
        assert self.a.put(f"/{name}").status_code == 201
        for number in range(documents):
            assert self.a.put(f"/{name}/{number}", json={}).status_code == 201
        return name

    def replicate(self, source: str, target: str, **more: Any) -> str:
        """Make a job; return its name."""
        name = f"job{next(self._numbers)}"
        wanted = {"source": source, "target": target, **more}
        assert self.b.put(f"/_replicator/{name}", json=wanted).status_code == 201
        return name

    def wait_until_completed(self, job: str) -> None:
        def state() -> str:
            return str(self.a.get(f"/_replicator/{job}").json().get("_replication_state"))

        assert eventually(lambda: state() != "None" and state(), what=f"{job} ends") == "completed"

    def holder_of_the_lease(self) -> str:
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT lease_owner FROM replication_link WHERE lease_until > %s", [time.time()]
            ).fetchall()
        ((owner,),) = rows
        return str(owner)

    def let_leases_run_out(self) -> None:
        """Let half a minute pass for whoever looks at the leases."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute("UPDATE replication_link SET lease_until = lease_until - 30")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path_factory.mktemp("outages"))
    with ExitStack() as stack:
        hosts.start(stack)
        yield hosts


def count(client: httpx.Client, db_name: str) -> int:
    return int(client.get(f"/{db_name}").json()["doc_count"])


def doctor(host: HubProcess) -> dict[str, dict[str, str]]:
    said = json.loads(host.try_manage("doctor", "--json").stdout)
    return {one["concern"]: one for one in said["concerns"]}


def test_a_write_at_one_host_wakes_who_waits_at_the_other(hosts: Hosts) -> None:
    shelf = hosts.new_database()
    with Feed(hosts.there.client(hosts.there.owner), shelf) as feed:
        asked = {"feed": "longpoll", "since": "now", "timeout": "50000"}
        polled: list[Any] = []
        poll = threading.Thread(
            target=lambda: polled.append(hosts.b.get(f"/{shelf}/_changes", params=asked).json())
        )
        poll.start()
        # The long poll may begin later than the write: then another one wakes it.
        for number in itertools.count():
            assert hosts.a.put(f"/{shelf}/{number}", json={}).status_code == 201
            poll.join(0.5)
            if not poll.is_alive():
                break
        assert polled[0]["results"]
        feed.shows("0")


def test_a_killed_workers_job_is_taken_over_and_no_job_is_done_twice(hosts: Hosts) -> None:
    first, second = hosts.workers
    source, gate = hosts.new_database(documents=3), hosts.gate
    gate.open.clear()
    first.start()
    target = hosts.new_database()
    job = hosts.replicate(f"{gate.url}/{source}", target)
    eventually(lambda: gate.came[source] == 1, what="the first worker fetches")
    second.start()
    first.kill()
    hosts.let_leases_run_out()
    eventually(lambda: gate.came[source] == 2, what="the second worker takes the job over")
    gate.open.set()
    hosts.wait_until_completed(job)
    assert count(hosts.a, target) == 3

    first.start()
    seen = set[str]()
    while len(seen) < 2:
        source, target = hosts.new_database(documents=1), hosts.new_database()
        gate.open.clear()
        job = hosts.replicate(f"{gate.url}/{source}", target)
        eventually(lambda source=source: gate.came[source] > 0, what="some worker fetches")
        seen.add(hosts.holder_of_the_lease())
        gate.open.set()
        hosts.wait_until_completed(job)
        assert gate.came[source] == 1


def test_without_redis_the_hub_goes_on_slower_and_says_so(hosts: Hosts) -> None:
    for worker in hosts.workers:
        worker.ensure()
    source, target = hosts.new_database(), hosts.new_database()
    late_source, late_target = hosts.new_database(documents=2), hosts.new_database()
    hosts.replicate(source, target, continuous=True)
    with Feed(hosts.there.client(hosts.there.owner), source) as feed:
        assert hosts.a.put(f"/{source}/before", json={}).status_code == 201
        eventually(lambda: count(hosts.b, target) == 1, what="the job goes")
        feed.shows("before")
        hosts.redis.kill()
        for client, docid in ((hosts.a, "from-here"), (hosts.b, "from-there")):
            assert client.put(f"/{source}/{docid}", json={}).status_code == 201
            assert client.get(f"/{source}/{docid}").status_code == 200
        assert hosts.a.put(f"/{source}/last", json={}).status_code == 201
        feed.shows("last")  # The other host looks by itself.
        late = hosts.replicate(late_source, late_target)
        found = doctor(hosts.here)
        hosts.redis.start()
        assert found["redis"]["light"] == "red"
        assert "Start Redis" in found["redis"]["to_do"]
        assert found["database"]["light"] == "green"

        eventually(lambda: count(hosts.b, target) == 4, what="all that was written is replicated")
        hosts.wait_until_completed(late)
        assert count(hosts.a, late_target) == 2
        assert hosts.a.put(f"/{source}/after", json={}).status_code == 201
        feed.shows("after")
    eventually(lambda: count(hosts.b, target) == 5, what="the job goes again")


class Writer:
    """Writes one document after the other, and notes what was said of each."""

    def __init__(self, client: httpx.Client, db_name: str, prefix: str) -> None:
        self.client, self._db_name, self._prefix = client, db_name, prefix
        self.said: list[tuple[str, int, str]] = []
        self.failed: list[Exception] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.client.close()

    def _write(self) -> None:
        for number in itertools.count():
            docid = f"{self._prefix}{number}"
            try:
                answer = self.client.put(f"/{self._db_name}/{docid}", json={})
                self.said.append((docid, answer.status_code, answer.text))
            except httpx.HTTPError as error:
                self.failed.append(error)
            if self._stop.wait(0.005):
                return

    def wait_for(self, status: int) -> None:
        """Wait until an answer of that kind has come since now."""
        seen = len(self.said)
        eventually(
            lambda: any(code == status for _, code, _ in self.said[seen:]),
            what=f"a write is answered with {status}",
        )


def test_without_postgresql_nothing_acknowledged_is_lost_and_all_goes_on_by_itself(
    hosts: Hosts,
) -> None:
    for worker in hosts.workers:
        worker.ensure()
    shelf, copy = hosts.new_database(), hosts.new_database()
    source, target = hosts.new_database(documents=3), hosts.new_database()
    hosts.replicate(shelf, copy, continuous=True)
    hosts.gate.open.clear()
    once = hosts.replicate(f"{hosts.gate.url}/{source}", target)
    eventually(lambda: hosts.gate.came[source] == 1, what="a run is in the midst of its work")
    served = [*hosts.here.web_processes(), *hosts.there.web_processes()]
    with (
        Writer(hosts.here.client(hosts.here.owner), shelf, "a") as here,
        Writer(hosts.there.client(hosts.there.owner), shelf, "b") as there,
    ):
        eventually(lambda: count(hosts.b, copy) > 0, what="the continuous job goes")
        for client in (hosts.a, hosts.b):
            assert client.get("/_scheduler/docs").status_code == 200
        hosts.postgres.kill()
        hosts.gate.open.set()  # What was fetched cannot be written.
        for writer in (here, there):
            writer.wait_for(503)
        _is_said_clearly(hosts)
        hosts.postgres.start()
        for writer in (here, there):
            writer.wait_for(201)
    said = here.said + there.said
    assert {status for _, status, _ in said} == {201, 503}
    assert not here.failed + there.failed
    kept = {row["id"] for row in hosts.a.get(f"/{shelf}/_all_docs").json()["rows"]}
    assert {docid for docid, status, _ in said if status == 201} <= kept
    eventually(lambda: count(hosts.a, copy) == len(kept), what="the continuous job has gone on")
    hosts.wait_until_completed(once)
    assert count(hosts.a, target) == 3
    for client in (hosts.a, hosts.b):  # Django's own connections, too, are new.
        eventually(
            lambda client=client: client.get("/_scheduler/docs").status_code == 200,
            what="the jobs are listed",
        )
    assert [*hosts.here.web_processes(), *hosts.there.web_processes()] == served


def _is_said_clearly(hosts: Hosts) -> None:
    answer = hosts.b.get("/_up")
    assert answer.json()["error"] == "service_unavailable"
    assert "Try again" in answer.json()["reason"]
    assert int(answer.headers["retry-after"]) > 0
    with httpx.Client(base_url=hosts.there.pages_url, verify=False, trust_env=False) as browser:
        assert browser.get("/health/").status_code == 503
        page = browser.get("/admin/login/")
        assert (page.status_code, "Start PostgreSQL" in page.text) == (503, True)
    found = doctor(hosts.here)
    assert found["database"]["light"] == "red"
    assert "Start PostgreSQL" in found["database"]["to_do"]
    assert {one["concern"] for one in found.values() if one["light"] == "red"} == {"database"}
