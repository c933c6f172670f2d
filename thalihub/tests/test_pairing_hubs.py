"""Two real hubs on loopback meet in every way, driven by the command line."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]


def read(hub: HubProcess, *command: str) -> Any:
    return json.loads(hub.manage(*command, "--json"))


def name_it(hub: HubProcess, name: str) -> None:
    """Say who the person is, as the set-up's wizard does."""
    with contextlib.closing(sqlite3.connect(hub.data / "hub.sqlite3")) as connection, connection:
        connection.execute("UPDATE discovery_me SET name = ?, hub = ?", (name, name))


def newest(hub: HubProcess) -> dict[str, Any]:
    found: dict[str, Any] = read(hub, "pairing", "list")[0]
    return found


def arrived(hub: HubProcess, state: str) -> dict[str, Any]:
    """Wait until the hub's newest pairing is in this state, and return it."""

    # A command takes a second to start, so the waiting looks into the file itself.
    newest_state = "SELECT state FROM discovery_pairingrow ORDER BY created_at DESC, id DESC"
    with contextlib.closing(sqlite3.connect(hub.data / "hub.sqlite3")) as connection:

        def look() -> bool:
            row = connection.execute(newest_state).fetchone()
            return row is not None and row[0] == state

        eventually(look, what=f"a pairing is {state}")
    return newest(hub)


def contacts(hub: HubProcess) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in read(hub, "contact", "list")}


def invite(host: HubProcess, guest: HubProcess, purpose: str = "friend") -> None:
    """Let `guest` accept an invitation of `host`, and `host` accept the guest."""
    url = read(host, "invitation", "make", "--purpose", purpose)["url"]
    guest.manage("invitation", "accept", url)
    host.manage("pairing", "approve", str(arrived(host, "requested")["id"]))
    arrived(guest, "paired")


def acquaint(host: HubProcess, guest: HubProcess) -> None:
    """Make sure that two hubs know each other."""
    if guest.status["key"] not in {row["key"] for row in contacts(host).values()}:
        invite(host, guest)


def address_of(hub: HubProcess) -> str:
    return f"127.0.0.1:{hub.status['api_port']}"


def both_ready(*hubs: HubProcess) -> None:
    for hub in hubs:
        hub.manage("pairing", "arm")


# The hubs know more and more of each other: each test says what it needs.


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    yield from started(tmp_path_factory.mktemp("ada"), "Ada")


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    yield from started(tmp_path_factory.mktemp("bob"), "Bob")


@pytest.fixture(scope="module")
def carol(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    yield from started(tmp_path_factory.mktemp("carol"), "Carol")


def started(folder: Path, name: str) -> Iterator[HubProcess]:
    with HubProcess(folder) as hub:
        name_it(hub, name)
        yield hub


def test_a_refused_request_leaves_no_trace(ada: HubProcess, bob: HubProcess) -> None:
    before = contacts(ada), contacts(bob)
    bob.manage("invitation", "accept", read(ada, "invitation", "make")["url"])
    ada.manage("pairing", "reject", str(arrived(ada, "requested")["id"]))
    arrived(bob, "rejected")
    assert (contacts(ada), contacts(bob)) == before


def test_an_invitation_introduces_two_hubs(ada: HubProcess, bob: HubProcess) -> None:
    made = read(ada, "invitation", "make", "--minutes", "5")
    assert set(made) == {"url", "expires"}
    sent = read(bob, "invitation", "accept", made["url"])
    assert (sent["state"], sent["key"], sent["name"]) == ("waiting", ada.status["key"], "Ada")

    asked = arrived(ada, "requested")
    assert (asked["name"], asked["key"], asked["way"]) == ("Bob", bob.status["key"], "invitation")
    assert asked["code"] == sent["code"]

    ada.manage("pairing", "approve", str(asked["id"]), "--name", "Bobby")
    arrived(bob, "paired")
    of_ada, of_bob = contacts(ada)["Bobby"], contacts(bob)["Ada"]
    assert (of_ada["key"], of_bob["key"]) == (bob.status["key"], ada.status["key"])
    assert of_ada["trust"] == of_bob["trust"] == "introduced"

    again = bob.try_manage("invitation", "accept", made["url"])
    assert again.returncode == 1
    assert "second time" in again.stderr
    assert newest(ada)["problem"] == newest(bob)["problem"] == "used_twice"


def test_a_scanned_code_verifies_two_hubs(ada: HubProcess, carol: HubProcess) -> None:
    url = read(ada, "pairing", "offer")["url"]
    carol.manage("invitation", "accept", "--scanned", url)
    ada.manage("pairing", "approve", str(arrived(ada, "requested")["id"]))
    arrived(carol, "paired")
    assert contacts(ada)["Carol"]["trust"] == contacts(carol)["Ada"]["trust"] == "verified"


def test_a_group_introduces_its_members(
    ada: HubProcess, bob: HubProcess, carol: HubProcess, tmp_path: Path
) -> None:
    acquaint(ada, bob)
    acquaint(ada, carol)
    file = str(tmp_path / "club.json")
    ada.manage("contact", "export", file, "club", "Carol")

    (row,) = read(bob, "contact", "import", file)
    assert (row["name"], row["by"], row["key"]) == ("Carol", "Ada", carol.status["key"])
    bob.manage("contact", "import", file, "--add", "Carol")
    found = contacts(bob)["Carol"]
    assert (found["trust"], found["introduced_by"]) == ("introduced", "Ada")


def test_six_digits_verify_two_hubs(bob: HubProcess, carol: HubProcess) -> None:
    bob.manage("pairing", "arm")
    refused = bob.try_manage("pairing", "compare", address_of(carol))
    assert "not ready" in refused.stderr

    carol.manage("pairing", "arm")
    seen = read(bob, "pairing", "compare", address_of(carol))
    shown = arrived(carol, "comparing")
    assert len(seen["code"]) == 7
    assert (shown["code"], shown["key"]) == (seen["code"], bob.status["key"])

    bob.manage("pairing", "approve", str(seen["id"]))
    carol.manage("pairing", "approve", str(arrived(carol, "requested")["id"]))
    arrived(bob, "paired")
    arrived(carol, "paired")
    assert contacts(carol)["Bob"]["trust"] == contacts(bob)["Carol"]["trust"] == "verified"


def test_digits_that_differ_are_told_to_the_other_side(ada: HubProcess, bob: HubProcess) -> None:
    both_ready(ada, bob)
    seen = read(bob, "pairing", "compare", address_of(ada))
    bob.manage("pairing", "reject", str(seen["id"]))
    arrived(ada, "rejected")


def test_two_hubs_that_begin_at_once_make_one_comparison(
    ada: HubProcess, carol: HubProcess
) -> None:
    both_ready(ada, carol)
    with ThreadPoolExecutor(2) as pool:
        for hub, other in ((ada, carol), (carol, ada)):
            # Whoever comes late is told that a comparison runs already.
            pool.submit(hub.try_manage, "pairing", "compare", address_of(other))
    shown = [arrived(hub, "comparing") for hub in (ada, carol)]
    assert shown[0]["code"] == shown[1]["code"]
    assert {row["outgoing"] for row in shown} == {True, False}
    for hub, row in zip((ada, carol), shown, strict=True):
        hub.manage("pairing", "approve", str(row["id"]))
    for hub in (ada, carol):
        arrived(hub, "paired")


def test_a_hub_nearby_is_compared_by_its_key(ada: HubProcess, bob: HubProcess) -> None:
    with HubProcess(bob.folder / "dora") as dora:
        see = (
            "from django.utils import timezone; from discovery import store;"
            f"store.see({ada.status['key'][7:]!r}, 'Ada', [{address_of(ada)!r}], timezone.now())"
        )
        dora.manage("shell", "-c", see)
        both_ready(ada, dora)
        seen = read(dora, "pairing", "compare", ada.status["key"])
        assert (seen["way"], seen["key"]) == ("nearby", ada.status["key"])
        for hub in (ada, dora):
            hub.manage("pairing", "approve", str(newest(hub)["id"]))
        arrived(ada, "paired")
        arrived(dora, "paired")


def test_a_known_name_with_another_key_raises_the_alarm(
    ada: HubProcess, carol: HubProcess, tmp_path: Path
) -> None:
    acquaint(ada, carol)
    with HubProcess(tmp_path / "another") as another:
        name_it(another, "Carol")
        another.manage("invitation", "accept", read(ada, "invitation", "make")["url"])
        arrived(ada, "requested")
        found = contacts(ada)["Carol"]
        assert (found["key"], found["other_key"]) == (carol.status["key"], another.status["key"])
    ada.manage("contact", "settle", "Carol")
    assert contacts(ada)["Carol"]["other_key"] == ""


def test_a_second_hub_becomes_a_device_and_is_revoked(ada: HubProcess, tmp_path: Path) -> None:
    with HubProcess(tmp_path / "phone") as phone:
        name_it(phone, "phone")
        before = contacts(ada)
        invite(ada, phone, "device")

        status = json.loads((phone.data / "hub.json").read_text())
        assert status["key"] == ada.status["key"] != phone.status["key"]
        assert read(phone, "identity", "show")["key"] == ada.status["key"]
        assert contacts(ada) == before
        keys = {ada.status["device_key"], phone.status["device_key"]}
        for hub in (ada, phone):
            listed = read(hub, "device", "list")
            assert {row["key"] for row in listed} == keys
            (this,) = (row for row in listed if row["this"])
            assert this["key"] == hub.status["device_key"]
            assert hub.try_manage("device", "revoke", this["name"]).returncode == 1

        # Both act as the owner on both, without anybody having started a hub again.
        with ada.client(phone.owner) as client:
            assert client.put("/of-phone").status_code == 201
        with phone.client(ada.owner) as client:
            assert client.put("/of-ada").status_code == 201

        ada.manage("device", "revoke", "phone")
        assert {row["name"]: row["revoked"] for row in read(ada, "device", "list")}["phone"]
        with ada.client(phone.owner) as client:
            assert client.get("/of-phone").status_code == 404


def test_a_hub_with_friends_does_not_become_a_device(ada: HubProcess, bob: HubProcess) -> None:
    acquaint(ada, bob)
    before = read(ada, "pairing", "list")
    url = read(ada, "invitation", "make", "--purpose", "device")["url"]
    refused = bob.try_manage("invitation", "accept", url)
    assert refused.returncode == 1
    assert "friends" in refused.stderr
    assert read(ada, "pairing", "list") == before
