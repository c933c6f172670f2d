"""Real hubs on loopback keep each other up to date, driven by the command line."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.redisserver import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.long]


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


def make_device(host: HubProcess, guest: HubProcess) -> None:
    """Let `guest` become a device of the person of `host`."""
    url = json.loads(host.manage("invitation", "make", "--purpose", "device", "--json"))["url"]
    guest.manage("invitation", "accept", url)

    def requested() -> Any:
        found = json.loads(host.manage("pairing", "list", "--json"))
        return found and found[0]["state"] == "requested" and found[0]["id"]

    host.manage("pairing", "approve", str(eventually(requested, what="the guest has asked")))
    eventually(
        lambda: json.loads(guest.manage("pairing", "list", "--json"))[0]["state"] == "paired",
        what="both are one person's",
    )


def test_the_owners_devices_keep_all_databases_in_step(ada: HubProcess, bob: HubProcess) -> None:
    with ada.client(ada.owner) as owner:
        owner.put("/notes")
        owner.put("/notes/one", json={"text": "hello"})
        owner.put("/secret")
        owner.put("/secret/one", json={})
        ada.manage("database", "local-only", "secret")
    make_device(ada, bob)
    eventually(lambda: has(bob, "/notes/one"), what="a database that was there came over")
    with bob.client(bob.owner) as owner:
        owner.put("/notes/two", json={"text": "from the other one"})
        owner.put("/later")
        owner.put("/later/one", json={})
    eventually(lambda: has(ada, "/notes/two"), what="changes go back")
    eventually(lambda: has(ada, "/later/one"), what="a new database came over")
    assert not has(bob, "/secret")
    with bob.client(bob.owner) as owner:
        owner.delete("/later")
    with ada.client(ada.owner) as owner:
        owner.put("/later/two", json={})
        owner.put("/notes/three", json={})
    eventually(lambda: has(bob, "/notes/three"), what="others go on")
    assert has(ada, "/later/one")
    assert not has(bob, "/later")


def both_may(one: HubProcess, other: HubProcess, db_name: str) -> None:
    """Let two friends read and write each other's database."""
    for hub, friend in ((one, other), (other, one)):
        know(hub, "friend", friend)
        hub.manage("database", "create", db_name)
        hub.manage("grant", "add", db_name, "read,write", "friend")


def documents(hub: HubProcess, db_name: str) -> Any:
    with hub.client(hub.owner) as owner:
        asked = {"include_docs": "true", "conflicts": "true"}
        return owner.get(f"/{db_name}/_all_docs", params=asked).json()["rows"]


def test_two_hubs_that_write_at_once_end_alike(ada: HubProcess, bob: HubProcess) -> None:
    both_may(ada, bob, "notes")
    add(ada, "notes", url_of(bob, "notes"), "--both", "--continuous")
    draw = random.Random(7)
    for turn in range(60):
        hub = draw.choice([ada, bob])
        path = f"/notes/doc{draw.randrange(6)}"
        with hub.client(hub.owner) as owner:
            held = owner.get(path)
            rev = {"rev": held.json()["_rev"]} if held.status_code == 200 else {}
            if rev and draw.random() < 0.2:
                owner.delete(path, params=rev)
            else:
                owner.put(path, json={"turn": turn, "by": hub.folder.name}, params=rev)
    eventually(lambda: documents(ada, "notes") == documents(bob, "notes"), what="both are alike")
    assert not [row for row in documents(ada, "notes") if "_conflicts" in row["doc"]]


def test_an_attachment_goes_along(ada: HubProcess, bob: HubProcess) -> None:
    both_may(ada, bob, "notes")
    content = random.Random(1).randbytes(3_000_000)
    with ada.client(ada.owner) as owner:
        owner.put("/notes/doc/picture", content=content, headers={"content-type": "image/png"})
    add(ada, "notes", url_of(bob, "notes"), "--push")
    eventually(lambda: has(bob, "/notes/doc"), what="the document is there")
    with bob.client(bob.owner) as owner:
        assert owner.get("/notes/doc/picture").content == content


def test_a_killed_worker_loses_nothing(ada: HubProcess, bob: HubProcess) -> None:
    both_may(ada, bob, "notes")
    text = "x" * 1000
    with ada.client(ada.owner) as owner:
        for start in range(0, 20_000, 1000):
            docs = [{"_id": f"{start + at:06d}", "text": text} for at in range(1000)]
            owner.post("/notes/_bulk_docs", json={"docs": docs}).raise_for_status()
    number = add(bob, "notes", url_of(ada, "notes"), "--pull", "--priority", "now")
    eventually(lambda: count(bob, "notes") > 500, what="it has begun", pause=0.005)
    (worker,) = bob.processes("worker")
    worker.kill()
    assert count(bob, "notes") < 20_000
    eventually(lambda: count(bob, "notes") == 20_000, what="the rest came, too")
    (job,) = jobs(bob)
    assert job["id"] == number


def count(hub: HubProcess, db_name: str) -> int:
    with hub.client(hub.owner) as owner:
        return int(owner.get(f"/{db_name}").json()["doc_count"])


@pytest.mark.requires_redis
def test_redis_carries_the_wake_ups_where_there_is_one(ada: HubProcess, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        with HubProcess(tmp_path / "bob", REDIS_URL=redis.url) as bob:
            know(ada, "bob", bob)
            ada.manage("database", "create", "notes")
            ada.manage("grant", "add", "notes", "read", "bob")
            add(bob, "notes", url_of(ada, "notes"), "--pull", "--continuous")
            for docid in ("one", "two"):
                with ada.client(ada.owner) as owner:
                    owner.put(f"/notes/{docid}", json={})
                path = f"/notes/{docid}"
                eventually(lambda path=path: has(bob, path), what=f"{path} has come")
            assert not [*(bob.data / "queue" / "messages").glob("*")]
    finally:
        redis.stop()
