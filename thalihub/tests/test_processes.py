"""Several web processes serve one hub: they share its port, and wake each other's feeds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess

pytestmark = pytest.mark.slow

MOST_CONNECTIONS = 200


@pytest.fixture(scope="module")
def busy_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    folder: Path = tmp_path_factory.mktemp("processes")
    with HubProcess(folder, HUB_PROCESSES="2") as hub:
        yield hub


def connected(hub: HubProcess) -> list[int]:
    """Return how many connections each web process has."""
    port = hub.status["api_port"]
    return [
        sum(
            one.status == "ESTABLISHED" and one.laddr.port == port
            for one in process.net_connections(kind="tcp")
        )
        for process in hub.web_processes()
    ]


def connect_to_each(hub: HubProcess, stack: ExitStack) -> list[httpx.Client]:
    """Open connections until every process has one."""
    clients: list[httpx.Client] = []
    while len(clients) < MOST_CONNECTIONS:
        client = stack.enter_context(hub.client(hub.owner))
        assert client.get("/").status_code == 200
        clients.append(client)
        if all(connected(hub)):
            return clients
    raise AssertionError(f"the connections went to one process: {connected(hub)}")


def test_a_write_in_one_process_wakes_the_feeds_of_all(busy_hub: HubProcess) -> None:
    with ExitStack() as stack:
        clients = connect_to_each(busy_hub, stack)
        writer = stack.enter_context(busy_hub.client(busy_hub.owner))
        assert writer.put("/awake").status_code == 201
        pool = stack.enter_context(ThreadPoolExecutor(len(clients)))
        feeds = [
            pool.submit(
                client.get, "/awake/_changes", params={"feed": "longpoll", "timeout": "50000"}
            )
            for client in clients
        ]
        assert writer.put("/awake/news", json={}).status_code == 201
        for feed in feeds:
            answer = feed.result(timeout=30).json()
            assert [row["id"] for row in answer["results"]] == ["news"]


def test_a_write_from_the_command_line_wakes_a_feed(busy_hub: HubProcess) -> None:
    with busy_hub.client(busy_hub.owner) as client, ThreadPoolExecutor(1) as pool:
        since = client.get("/_db_updates").json()["last_seq"]
        params = {"feed": "longpoll", "since": since, "timeout": "50000"}
        with busy_hub.client(busy_hub.owner) as waiting:
            feed = pool.submit(waiting.get, "/_db_updates", params=params)
            busy_hub.manage("database", "create", "made")
            names = [row["db_name"] for row in feed.result(timeout=30).json()["results"]]
        assert client.get("/_all_dbs").json().count("made") == 1
    assert "made" in names


def test_every_process_sees_a_new_right_on_the_next_request(busy_hub: HubProcess) -> None:
    with ExitStack() as stack:
        owner = stack.enter_context(busy_hub.client(busy_hub.owner))
        assert owner.put("/shared").status_code == 201
        reader = busy_hub.add_person("reader")
        clients = [stack.enter_context(busy_hub.client(reader)) for _ in range(8)]
        assert {client.get("/shared").status_code for client in clients} == {404}
        busy_hub.manage("grant", "add", "shared", "read", "reader")
        assert {client.get("/shared").status_code for client in clients} == {200}
        busy_hub.manage("grant", "remove", "shared", "reader")
        assert {client.get("/shared").status_code for client in clients} == {404}
