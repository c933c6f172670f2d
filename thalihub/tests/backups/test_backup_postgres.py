"""Backups go from PostgreSQL to PostgreSQL, and between it and SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from thalihub.tests.backups.test_backup_restore import LARGE, PASSPHRASE, put_attachment
from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.requires_postgres]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def new_database(server: PostgresServer, name: str) -> dict[str, str]:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return {"DATABASE_URL": server.url.rpartition("/")[0] + f"/{name}"}


@pytest.fixture(scope="module")
def backup(
    server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Path], dict[str, Any]]:
    """A chain of two files from a hub on PostgreSQL, and what was seen there."""
    folder = tmp_path_factory.mktemp("postgres")
    files = [folder / "whole.backup", folder / "more.backup"]
    hub = HubProcess(folder / "hub", **new_database(server, "first"))
    with hub, hub.client(hub.owner) as owner:
        owner.put("/notes")
        docs = [{"_id": f"d{number:03}", "n": number} for number in range(250)]
        owner.post("/notes/_bulk_docs", json={"docs": docs})
        put_attachment(owner, "large", LARGE)
        hub.manage("backup", str(files[0]), **PASSPHRASE)
        put_attachment(owner, "small", b"few")
        owner.put("/notes/d300", json={"n": 300})
        hub.manage("backup", str(files[1]), "--since", str(files[0]), **PASSPHRASE)
        return files, seen(owner)


def seen(owner: httpx.Client) -> dict[str, Any]:
    return {
        "documents": owner.get("/notes/_all_docs", params={"include_docs": "true"}).json()["rows"],
        "large": owner.get("/notes/large/file").content == LARGE,
        "small": owner.get("/notes/small/file").content,
    }


def test_a_hub_on_postgresql_comes_back_and_can_move_to_sqlite_and_back(
    server: PostgresServer, backup: tuple[list[Path], dict[str, Any]], tmp_path: Path
) -> None:
    """It runs at last only: a backup needs no hub that runs."""
    files, state = backup
    places = [new_database(server, "second"), {}, new_database(server, "third")]
    for number, place in enumerate(places):
        hub = HubProcess(tmp_path / f"hub{number}", **place)
        hub.manage("restore", *map(str, files), **PASSPHRASE)
        if number < len(places) - 1:
            files = [tmp_path / f"moved{number}.backup"]
            hub.manage("backup", str(files[0]), **PASSPHRASE)
    with hub, hub.client(hub.owner) as owner:
        assert seen(owner) == state
        # Numbers of rows go on after those that came back.
        assert owner.put("/notes/later", json={}).status_code == 201
        put_attachment(owner, "another", b"a" * 70_000)


def test_a_backup_waits_for_attachments_whose_numbers_are_given_but_not_committed(
    server: PostgresServer, backup: tuple[list[Path], dict[str, Any]], tmp_path: Path
) -> None:
    """Else the one after it, which asks for higher numbers, would leave them out."""
    place = {"DATABASE_URL": server.url.rpartition("/")[0] + "/first"}
    hub = HubProcess(backup[0][0].parent / "hub", **place)
    with (
        psycopg.connect(place["DATABASE_URL"]) as writer,
        psycopg.connect(server.url, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        writer.execute(
            "INSERT INTO couchapi_blob (file, length, uploader, created_at) VALUES ('', 1, '', 1)"
        )
        made = pool.submit(hub.manage, "backup", str(tmp_path / "one.backup"), **PASSPHRASE)
        waits = "SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted"
        eventually(lambda: watcher.execute(waits).fetchone(), what="the backup waits")
        writer.rollback()
        assert "bytes" in made.result()


def test_a_database_that_is_in_use_is_not_overwritten(
    server: PostgresServer, backup: tuple[list[Path], dict[str, Any]], tmp_path: Path
) -> None:
    place = new_database(server, "used")
    with psycopg.connect(place["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE of_others (id integer)")
        hub = HubProcess(tmp_path, **place)
        done = hub.try_manage("restore", *map(str, backup[0]), **PASSPHRASE)
        assert "holds a hub already" in done.stderr
        assert connection.execute("SELECT count(*) FROM of_others").fetchone() == (0,)


def test_what_fails_on_the_way_leaves_no_table(
    server: PostgresServer, backup: tuple[list[Path], dict[str, Any]], tmp_path: Path
) -> None:
    """The disk is full when the attachments' folder is to be made: a file stands in its way."""
    place = new_database(server, "empty")
    hub = HubProcess(tmp_path, **place)
    hub.data.mkdir(parents=True)
    (hub.data / "tor").write_text("in the way of the folder of keys")
    broken = backup[0][0].with_name("half.backup")
    broken.write_bytes(backup[0][0].read_bytes()[:-100])
    assert hub.try_manage("restore", str(broken), **PASSPHRASE).returncode == 1
    with psycopg.connect(place["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchone()
    assert found == (0,)
