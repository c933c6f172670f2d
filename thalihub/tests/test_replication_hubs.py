"""Real hubs on loopback keep each other up to date, driven by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def ada(tmp_path: Path) -> Iterator[HubProcess]:
    with HubProcess(tmp_path / "ada") as hub:
        yield hub


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[HubProcess]:
    with HubProcess(tmp_path / "bob") as hub:
        yield hub


def know(hub: HubProcess, name: str, other: HubProcess, kind: str = "friend") -> None:
    """Note another hub as a principal: a friend by its identity, a device by its own key."""
    key = other.status["device_key" if kind == "device" else "key"]
    hub.manage("principal", "add", name, "--key", key, "--kind", kind)


def url_of(hub: HubProcess, db_name: str) -> str:
    return f"httpkey://127.0.0.1:{hub.status['api_port']}/{hub.status['device_key']}/{db_name}"


def jobs(hub: HubProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(hub.manage("job", "list", "--json"))
    return found


def add(hub: HubProcess, *words: str) -> int:
    return int(json.loads(hub.manage("job", "add", *words, "--json"))["id"])


def has(hub: HubProcess, path: str) -> bool:
    with hub.client(hub.owner) as owner:
        return bool(owner.get(path).status_code == 200)


def test_a_friend_pulls_what_was_shared(ada: HubProcess, bob: HubProcess) -> None:
    know(ada, "bob", bob)
    with ada.client(ada.owner) as owner:
        owner.put("/notes")
        owner.put("/notes/one", json={"text": "hello"})
    ada.manage("grant", "add", "notes", "read", "bob")
    bob.manage("database", "create", "notes")
    number = add(bob, "notes", url_of(ada, "notes"), "--pull", "--continuous")
    eventually(lambda: has(bob, "/notes/one"), what="the document is at Bob's")
    with ada.client(ada.owner) as owner:
        owner.put("/notes/two", json={"text": "again"})
    eventually(lambda: has(bob, "/notes/two"), what="a later change follows by itself")
    (job,) = [one for one in jobs(bob) if one["id"] == number]
    assert job["state"] in ("waiting", "running", "pending")
    assert job["error"] is None
