"""A data folder of each released version becomes one of today, with all that is in it.

`VERSION.sql` is the database of a hub of that version, `VERSION.json` has its keys (made for this
alone), and its one large attachment is made anew here.  A folder of a newer version is refused.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import HubProcess

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
VERSIONS = sorted(path.stem for path in HERE.glob("*.sql"))
LARGE = b"large " * 20_000


def unpacked(version: str, folder: Path) -> HubProcess:
    """Return a hub that was stopped when it had this version."""
    hub = HubProcess(folder)
    hub.data.mkdir(mode=0o700, parents=True)
    for name, content in json.loads((HERE / f"{version}.json").read_text()).items():
        (hub.data / name).write_text(content)
    connection = sqlite3.connect(hub.data / "hub.sqlite3")
    connection.executescript((HERE / f"{version}.sql").read_text())
    for (name,) in connection.execute("SELECT file FROM couchapi_blob WHERE file <> ''"):
        place = hub.data / "attachments" / name[:2]
        place.mkdir(parents=True)
        (place / name).write_bytes(LARGE)
    connection.close()
    return hub


@pytest.fixture(scope="module", params=VERSIONS)
def upgraded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HubProcess]:
    with unpacked(request.param, tmp_path_factory.mktemp("upgrade")) as hub:
        yield hub


def test_documents_and_attachments_are_there(upgraded: HubProcess) -> None:
    with upgraded.client(upgraded.owner) as owner:
        assert owner.get("/letters/d1").json()["n"] == 11
        assert owner.get("/letters/d2").json()["reason"] == "deleted"
        assert owner.get("/letters/small/file").content == b"few"
        assert owner.get("/letters/large/file").content == LARGE
        assert owner.get("/letters/_local/checkpoint").json()["at"] == 7
        rows = owner.get("/letters/_design/all/_view/by_n", params={"reduce": "false"}).json()
        assert [row["key"] for row in rows["rows"] if row["key"] is not None] == [0, 3, 4, 11]


def test_what_a_reader_had_seen_counts_on(upgraded: HubProcess) -> None:
    with upgraded.client(upgraded.owner) as owner:
        last = owner.get("/letters/_changes").json()["last_seq"]
        assert owner.put("/letters/new", json={}).status_code == 201
        rows = owner.get("/letters/_changes", params={"since": last}).json()["results"]
        assert [row["id"] for row in rows] == ["new"]


def test_people_rights_and_jobs_are_there(upgraded: HubProcess) -> None:
    assert "Ann" in upgraded.manage("principal", "list")
    assert "Ann" in upgraded.manage("grant", "list")
    assert "Family" in upgraded.manage("group", "list")
    assert "db.example" in upgraded.manage("job", "list")


def test_a_backup_of_it_can_be_made(upgraded: HubProcess) -> None:
    path = upgraded.folder / "one.backup"
    upgraded.manage("backup", str(path), HUB_PASSPHRASE="correct horse battery")
    assert path.stat().st_size > 10_000


def test_tables_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    hub = unpacked(VERSIONS[-1], tmp_path)
    connection = sqlite3.connect(hub.data / "hub.sqlite3")
    with connection:
        connection.execute(
            "INSERT INTO django_migrations (app, name, applied)"
            " VALUES ('couchapi', '9999_from_the_future', '2030-01-01 00:00:00')"
        )
    before = list(connection.execute("SELECT name FROM sqlite_master ORDER BY name"))
    done = hub.try_manage("hub")
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(connection.execute("SELECT name FROM sqlite_master ORDER BY name")) == before
    connection.close()
