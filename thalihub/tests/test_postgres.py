"""On PostgreSQL the stores keep the same contract, and a hub serves from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from thalihub.tests.hubprocess import HubProcess
from thalihub.tests.postgres import PostgresServer, run_on

pytestmark = [pytest.mark.requires_postgres, pytest.mark.slow, pytest.mark.long]

CONTRACT = [
    "couchapi/tests/store",
    "discovery/tests/store",
    "discovery/tests/endpoints",
    "discovery/tests/test_commands.py",
    "acl/tests/test_sql.py",
    "acl/tests/test_store.py",
    "acl/tests/test_version.py",
    "acl/tests/test_gate.py",
    "acl/tests/test_applications.py",
    "couchapi/tests/test_tasks.py",
    "couchapi/tests/test_indexer.py",
    "couchapi/tests/test_viewreader.py",
    "replication/tests/store",
    "replication/tests/test_runs.py",
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A running server."""
    with PostgresServer() as server:
        yield server


def test_the_stores_keep_their_contract(postgres: PostgresServer) -> None:
    run_on(postgres, *CONTRACT)


def test_a_hub_serves_from_it_and_survives_its_restart(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE served")
    url = postgres.url.replace("/postgres", "/served")
    with HubProcess(tmp_path, DATABASE_URL=url) as hub, hub.client(hub.owner) as owner:
        assert owner.put("/shelf").status_code == 201
        made = owner.put("/shelf/ä", json={"text": "\u0000", "number": 1e2})
        assert made.status_code == 201, made.text
        found = owner.get("/shelf/ä").json()
        assert (found["text"], found["_rev"]) == ("\u0000", made.json()["rev"])
        content = bytes(range(256)) * 6000
        kept = owner.put("/shelf/ä/file", params={"rev": found["_rev"]}, content=content)
        assert kept.status_code == 201, kept.text
        assert owner.get("/shelf/ä/file").content == content
        assert not (hub.data / "attachments").exists()
        found = owner.get("/shelf/ä").json()
        assert _shown_while_waiting(hub) == "b"
        assert not (hub.data / "hub.sqlite3").exists()

        postgres.stop()
        for asked in (owner.get("/shelf/ä"), owner.put("/shelf/e", json={}), owner.get("/_up")):
            assert asked.status_code == 503, asked.text
            assert asked.json()["error"] == "service_unavailable"
            assert int(asked.headers["retry-after"]) > 0
        postgres.start()

        assert owner.get("/shelf/ä").json() == found
        rows = owner.get("/shelf/_changes").json()["results"]
        assert [row["id"] for row in rows] == ["ä", "b"]
        for docid in "cde":
            assert owner.put(f"/shelf/{docid}", json={}).status_code == 201


def test_a_hub_of_another_identity_does_not_start_on_it(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE owned")
    url = postgres.url.replace("/postgres", "/owned")
    with (
        HubProcess(tmp_path / "one", DATABASE_URL=url) as hub,
        pytest.raises(RuntimeError, match=f"another identity, {hub.status['key']}"),
    ):
        HubProcess(tmp_path / "two", DATABASE_URL=url).start()


def _shown_while_waiting(hub: HubProcess) -> str:
    """Return the id that a feed shows which was already waiting when it was written."""
    query = {"feed": "continuous", "since": "now", "heartbeat": "100"}
    with (
        hub.client(hub.owner) as reader,
        hub.client(hub.owner) as writer,
        reader.stream("GET", "/shelf/_changes", params=query) as feed,
    ):
        lines = feed.iter_lines()
        assert next(lines) == "", "the feed does not wait"
        assert writer.put("/shelf/b", json={}).status_code == 201
        row = json.loads(next(line for line in lines if line))
        return str(row["id"])
