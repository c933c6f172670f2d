"""The containers for real: up, paired, in step, killed one by one, down and up: nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from thalihub.tests.compose import Engine, Project
from thalihub.tests.hubprocess import eventually

pytestmark = [pytest.mark.requires_docker, pytest.mark.slow, pytest.mark.timeout(1500)]

_IDLE_MB = 250
SERVICES = ("postgres", "redis", "hub", "worker", "keeper")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    try:
        with engine.building():
            engine.build()
        with engine.closed():
            yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="module")
def home(engine: Engine) -> Iterator[Project]:
    """A hub of all services."""
    began = time.monotonic()
    project = Project(engine, "home", "hub", "172.30.84")
    project.up()
    took = time.monotonic() - began
    assert (project.data / "setup-link.txt").is_file()
    print(f"first-start link after {took:.1f} s")  # noqa: T201
    yield project
    project.down()


@pytest.fixture(scope="module")
def single(engine: Engine, home: Project) -> Iterator[Project]:
    """A hub in one container on SQLite, which reaches the other one."""
    project = Project(engine, "single", "single", "172.30.85")
    project.join("home_inside")
    project.up()
    yield project
    project.down()


def owner_of(project: Project) -> httpx.Client:
    return httpx.Client(
        base_url=f"https://127.0.0.1:{project.port}",
        verify=project.context(),
        timeout=60,
        trust_env=False,
    )


def test_the_first_start_shows_a_link_and_makes_passwords(home: Project) -> None:
    link = (home.data / "setup-link.txt").read_text().strip()
    assert link in home.compose("logs", "hub")
    page = httpx.get(
        link.replace("localhost", "127.0.0.1"), verify=False, follow_redirects=True, timeout=30
    )
    assert page.status_code == 200
    for name in ("database", "redis"):
        file = home.data / "secrets" / name
        assert len(file.read_text().strip()) >= 30
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_is_root_or_writes_to_its_image(home: Project, service: str) -> None:
    name = home.container(service)
    run = home._engine.try_run
    assert run("docker", "exec", name, "id", "-u").stdout.strip() == "1000"
    assert run("docker", "exec", name, "touch", "/srv/x").returncode != 0
    published = home._engine.run("docker", "port", name)
    assert bool(published) == (service == "hub")


def test_one_container_alone_is_small(single: Project) -> None:
    used = single.memory("single") / 1e6
    print(f"single container at rest: {used:.0f} MB")  # noqa: T201
    assert used < _IDLE_MB


def test_what_the_profiles_add_does_its_part(home: Project) -> None:
    home.compose("--profile", "tor", "--profile", "nearby", "up", "-d")
    home.manage("tor", "on")
    # It has begun; the network that these containers are in leads nowhere.
    eventually(lambda: home.read("tor", "status")["state"] == "starting", what="Tor starts")
    home.manage("tor", "off")
    for service in ("tor", "discovery"):
        assert home.lives(service)


def test_two_hubs_pair_and_keep_in_step(home: Project, single: Project) -> None:
    link = home.read("invitation", "make")["url"]
    single.manage("invitation", "accept", link)
    asked = eventually(
        lambda: [one for one in home.read("pairing", "list") if one["state"] == "requested"],
        what="the other hub has asked",
    )
    home.manage("pairing", "approve", str(asked[0]["id"]), "--name", "single")
    eventually(
        lambda: single.read("pairing", "list")[0]["state"] == "paired", what="both know each other"
    )
    with owner_of(home) as owner:
        assert owner.put("/notes").status_code == 201
        assert owner.put("/notes/one", json={"text": "hello"}).status_code == 201
    home.manage("grant", "add", "notes", "read", "single")
    single.manage("database", "create", "notes")
    url = f"httpkey://{home.address}/{home.status['device_key']}/notes"
    single.manage("job", "add", "notes", url, "--pull", "--continuous")
    eventually(lambda: _has(single, "/notes/one"), what="the document came over")


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_that_is_killed_comes_back(
    home: Project, single: Project, service: str
) -> None:
    before = home.inspect(service)
    os.kill(before["Pid"], signal.SIGKILL)  # As a crash: the engine's own kill stops for good.
    eventually(
        lambda: (
            home.inspect(service)["StartedAt"] != before["StartedAt"]
            and home.health(service) == "healthy"
        ),
        what=f"{service} is there again",
    )
    with owner_of(home) as owner:
        made = eventually(
            lambda: _written(owner, f"/notes/after-{service}"), what="the hub writes again"
        )
    assert made
    eventually(lambda: _has(single, f"/notes/after-{service}"), what="news go over again")


def test_down_and_up_loses_nothing(home: Project, single: Project) -> None:
    key = home.status["key"]
    for project in (single, home):  # The other way round, a network is still in use.
        project.down()
        assert not Path(project.data / "hub.json").exists()
    home.up()
    single.up()

    assert home.status["key"] == key
    for path in ("/notes/one", *(f"/notes/after-{service}" for service in SERVICES)):
        assert _has(home, path)
        assert _has(single, path)
    with owner_of(home) as owner:
        assert owner.put("/notes/last", json={}).status_code == 201
    eventually(lambda: _has(single, "/notes/last"), what="the two are in step again")


def _written(owner: httpx.Client, path: str) -> bool:
    try:
        return owner.put(path, json={}).status_code in (201, 409)
    except httpx.TransportError:
        return False


def _has(project: Project, path: str) -> bool:
    with owner_of(project) as owner:
        try:
            return owner.get(path).status_code == 200
        except httpx.TransportError:
            return False
