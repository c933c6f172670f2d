"""Two web hosts on networks of their own, PostgreSQL and Redis on a third; one host is cut off.

A client knows both addresses, as a balancer would.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from thalihub.tests.hosts import Feed, another
from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.postgres import PostgresServer
from thalihub.tests.redisserver import RedisServer
from thalihub.tests.switchednetwork import Switch, switched

pytestmark = [
    pytest.mark.requires_netns,
    pytest.mark.requires_postgres,
    pytest.mark.requires_redis,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.allow_hosts(["127.0.0.1", *(f"10.78.0.{last}" for last in range(1, 4))]),
]


class Hosts:
    """The two hosts; requests come from the third machine unless they are said to be local."""

    def __init__(self, switch: Switch, folder: Path) -> None:
        self.switch = switch
        self._folder = folder

    def start(self, stack: ExitStack) -> None:
        postgres = PostgresServer(self.switch.address)
        redis = RedisServer(self._folder, self.switch.address)
        stack.push(postgres.__exit__)
        self.switch.middle.within(postgres.__enter__)
        stack.callback(redis.stop)
        self.switch.middle.within(redis.start)
        shared = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        shared |= {"HUB_HOST": "0.0.0.0", "HUB_ROLES": "web"}
        self.one, other = (
            HubProcess(self._folder / name, before=side.before, **shared)
            for name, side in zip(("one", "other"), self.switch.machines, strict=True)
        )
        stack.enter_context(self.one)
        # It is not to sign new devices, so it has no identity.key.
        self.other = stack.enter_context(another(self.one, other, signs=False))

    def _side_of(self, hub: HubProcess) -> Any:
        return self.switch.machines[0 if hub is self.one else 1]

    def url(self, hub: HubProcess) -> str:
        """Return where the third machine finds a host."""
        return f"https://{self.switch.address_of(self._side_of(hub))}:{hub.status['api_port']}"

    def client(self, hub: HubProcess, seconds: float = 60) -> httpx.Client:
        verify, timeout = hub.context(hub.owner), httpx.Timeout(60, connect=seconds)
        return httpx.Client(base_url=self.url(hub), verify=verify, timeout=timeout, trust_env=False)

    def ask(self, hub: HubProcess, method: str, path: str, **more: Any) -> httpx.Response:
        def send() -> httpx.Response:
            with self.client(hub) as client:
                return client.request(method, path, **more)

        return self.switch.middle.within(send)

    def ask_locally(self, hub: HubProcess, method: str, path: str, **more: Any) -> httpx.Response:
        def send() -> httpx.Response:
            with hub.client(hub.owner) as client:
                return client.request(method, path, **more)

        return self._side_of(hub).within(send)

    def ask_either(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask as a client does that tries one address after the other."""

        def send() -> httpx.Response:
            for hub in (self.other, self.one):
                try:
                    with self.client(hub, seconds=1) as client:
                        return client.request(method, path, **more)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    continue
            raise AssertionError("no host can be reached")

        return self.switch.middle.within(send)

    def health(self, hub: HubProcess) -> int:
        def send() -> int:
            with httpx.Client(verify=False, trust_env=False) as client:
                return client.get(f"{hub.pages_url}/health/").status_code

        return int(self._side_of(hub).within(send))

    def feed(self, hub: HubProcess, db_name: str) -> Feed:
        return Feed(self.client(hub), db_name, enter=self.switch.middle.enter)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with switched(2) as switch, ExitStack() as stack:
        hosts = Hosts(switch, tmp_path_factory.mktemp("hosts"))
        hosts.start(stack)
        yield hosts


def test_what_is_written_at_one_host_is_read_at_the_other(hosts: Hosts) -> None:
    content = bytes(range(256)) * 1000
    assert hosts.ask(hosts.one, "PUT", "/shelf").status_code == 201
    made = hosts.ask(hosts.one, "PUT", "/shelf/a", json={"text": "ä"}).json()
    kept = hosts.ask(
        hosts.other, "PUT", "/shelf/a/file", params={"rev": made["rev"]}, content=content
    )
    assert kept.status_code == 201, kept.text
    assert hosts.ask(hosts.one, "GET", "/shelf/a/file").content == content
    assert hosts.ask(hosts.other, "GET", "/shelf/a").json()["text"] == "ä"
    # A balancer may ask: that the worker runs elsewhere is no failure of this host.
    assert hosts.health(hosts.other) == 200
    for writer, reader in ((hosts.one, hosts.other), (hosts.other, hosts.one)):
        with hosts.feed(reader, "shelf") as feed:
            docid = f"of-{writer.folder.name}"
            assert hosts.ask(writer, "PUT", f"/shelf/{docid}", json={}).status_code == 201
            feed.shows(docid)


def test_a_host_that_is_cut_off_says_so_and_catches_up_when_it_is_back(hosts: Hosts) -> None:
    hosts.ask_either("PUT", "/desk")
    assert hosts.ask_either("PUT", "/desk/before", json={}).status_code == 201
    assert hosts.ask_locally(hosts.other, "GET", "/desk/before").status_code == 200
    seq = hosts.ask(hosts.other, "GET", "/desk").json()["update_seq"]

    hosts.switch.pull_out(hosts.switch.machines[1])
    with ThreadPoolExecutor(1) as pool:
        lonely = pool.submit(
            hosts.ask_locally, hosts.other, "PUT", "/desk/lonely", json={"is": "lost"}
        )
        assert hosts.ask_either("PUT", "/desk/meanwhile", json={}).status_code == 201
        assert hosts.ask_either("GET", "/desk/before").status_code == 200
        answer = lonely.result()
    assert (answer.status_code, answer.json()["error"]) == (503, "service_unavailable")
    assert int(answer.headers["retry-after"]) > 0

    hosts.switch.plug_in(hosts.switch.machines[1])
    eventually(
        lambda: hosts.ask_locally(hosts.other, "GET", "/desk/meanwhile").status_code == 200,
        what="the host is back",
    )
    rows = hosts.ask(hosts.other, "GET", "/desk/_changes", params={"since": seq}).json()["results"]
    assert [row["id"] for row in rows] == ["meanwhile"]
    with hosts.feed(hosts.other, "desk") as feed:
        assert hosts.ask(hosts.one, "PUT", "/desk/after", json={}).status_code == 201
        feed.shows("after")
    assert hosts.ask(hosts.other, "PUT", "/desk/of-other", json={}).status_code == 201
