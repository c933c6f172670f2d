"""Three hubs of one person: what one knows all know, and a revoked device is a stranger to all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import HubProcess, Person, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]

SOMEBODY = "sha256:" + "a" * 42 + "E"


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[dict[str, HubProcess]]:
    with ExitStack() as stack:
        names = ("home", "laptop", "tablet")
        started = {name: stack.enter_context(HubProcess(tmp_path / name)) for name in names}
        for name in ("laptop", "tablet"):
            take_in(started["home"], started[name], name)
        yield started


def take_in(home: HubProcess, device: HubProcess, name: str) -> None:
    """Make `device` a device of the person whose hub `home` is."""
    made = json.loads(home.manage("invitation", "make", "--purpose", "device", "--json"))
    device.manage("invitation", "accept", made["url"])
    newest = json.loads(home.manage("pairing", "list", "--json"))[0]
    home.manage("pairing", "approve", str(newest["id"]), "--name", name)


def read(hub: HubProcess, path: str) -> dict[str, str] | None:
    with hub.client(hub.owner) as owner:
        answer = owner.get(path)
        return answer.json() if answer.status_code == 200 else None


def principal(hub: HubProcess, of: HubProcess) -> dict[str, str]:
    """Return what the hub's address book says of another's device key."""
    return read(hub, f"/addressbook/principal:{of.status['device_key']}") or {}


def test_what_one_hub_of_a_person_knows_all_know(hubs: dict[str, HubProcess]) -> None:
    home, laptop, tablet = hubs["home"], hubs["laptop"], hubs["tablet"]
    for hub in hubs.values():
        for name in ("laptop", "tablet"):
            eventually(
                lambda hub=hub, name=name: principal(hub, hubs[name]).get("name") == name,
                what=f"every hub knows the {name} by its name",
            )
    with home.client(home.owner) as owner:
        owner.put("/letters")
        owner.put("/letters/hello", json={"text": "Good day"})
    home.manage("principal", "add", "bob", "--key", SOMEBODY)
    home.manage("grant", "add", "letters", "read", "bob")
    for hub in (laptop, tablet):
        eventually(lambda hub=hub: read(hub, "/letters/hello"), what="the database is there")
        eventually(
            lambda hub=hub: "bob" in hub.manage("grant", "list", "letters"),
            what="the grant is there",
        )
    # The two have never met: each has heard of the other.
    with tablet.client(tablet.owner) as owner:
        owner.put("/letters/reply", json={})
    eventually(lambda: read(laptop, "/letters/reply"), what="a letter goes from one to the other")


def test_a_revoked_device_is_a_stranger_to_all(hubs: dict[str, HubProcess]) -> None:
    home, laptop, tablet = hubs["home"], hubs["laptop"], hubs["tablet"]
    eventually(lambda: principal(tablet, laptop), what="the tablet knows the laptop", seconds=120)
    home.manage("device", "revoke", "laptop")
    eventually(lambda: principal(tablet, laptop).get("revoked"), what="the tablet has heard of it")
    for hub in (home, tablet):
        for leaf in ("owner", "device"):
            keys = (laptop.data / f"{leaf}.crt", laptop.data / f"{leaf}.key")
            with hub.client(Person("thief", *keys)) as thief:
                eventually(
                    lambda thief=thief: thief.get("/_all_dbs").status_code == 403,
                    what=f"the laptop's {leaf} key opens nothing",
                )
                assert thief.get("/letters").status_code == 404
