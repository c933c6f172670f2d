"""Parts of one hub in processes of their own, as in containers, on one data folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalihub import alive
from thalihub.tests.hubprocess import SOURCE, HubProcess, eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub that only serves."""
    folder: Path = tmp_path_factory.mktemp("roles")
    with HubProcess(folder, HUB_ROLES="web") as hub:
        yield hub


@pytest.fixture
def worker(web: HubProcess) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that only works and waits."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "hub", "--only", "worker,keeper"],
        cwd=SOURCE,
        env=web.environment,
        stdout=subprocess.DEVNULL,
    )
    yield process
    process.terminate()
    assert process.wait(timeout=30) == 0


def _living(hub: HubProcess) -> set[str]:
    return {one.name for one in alive.look(hub.data) if one.is_alive}


def test_a_part_is_seen_by_the_others_and_outlives_their_restart(
    web: HubProcess, worker: subprocess.Popen[bytes]
) -> None:
    assert not web.processes("worker")
    eventually(lambda: _living(web) == {"web 1", "worker", "keeper"}, what="all parts live")

    web.restart()

    assert worker.poll() is None
    eventually(lambda: _living(web) == {"web 1", "worker", "keeper"}, what="all parts live again")


def test_a_part_does_not_begin_before_the_tables(tmp_path: Path) -> None:
    refused = HubProcess(tmp_path).try_manage("hub", "--only", "worker")

    assert refused.returncode == 1
    assert "role web first" in refused.stderr


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    refused = HubProcess(tmp_path).try_manage("hub", "--only", "web,cook")

    assert refused.returncode == 1
    assert "no role cook" in refused.stderr


def test_a_password_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from thalihub import env

    (tmp_path / "password").write_text("s/e:c@ret\n")
    monkeypatch.setenv("REDIS_URL", "redis://redis:6379/0")
    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(tmp_path / "password"))
    assert env.url("REDIS_URL") == "redis://:s%2Fe%3Ac%40ret@redis:6379/0"
    monkeypatch.setenv("DATABASE_URL", "postgres://hub@postgres/hub")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    entry = env.database("DATABASE_URL", tmp_path / "none")
    assert (entry["USER"], entry["PASSWORD"], entry["HOST"]) == ("hub", "s/e:c@ret", "postgres")
