"""Two hubs that know each other through Tor alone: a private Tor network on loopback, real tors.

The tests go on from one another: the network and the hubs are started once.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from asgiref.sync import sync_to_async

from discovery import models, store
from discovery.core.addresses import Address
from discovery.core.errors import NotAuthorized, UnreachableError, WrongKeyError
from discovery.core.onion import PORT, Torrc
from discovery.dialer import Ways, dial, outward
from discovery.onion import control as connections
from discovery.onion import program
from discovery.tests.dialer.test_dialer import Keys, Peer
from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.tornetwork import TorNetwork

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.requires_tor]

# Addresses where nobody is: whoever looked for a hub there would not find it.
NOWHERE = {"ada": "192.0.2.1:6984", "bob": "192.0.2.2:6984"}


class TorHub(HubProcess):
    """A hub that is reached through Tor alone."""

    def tor(self) -> dict[str, Any]:
        """Return how Tor is there."""
        found: dict[str, Any] = json.loads(self.manage("tor", "status", "--json"))
        return found

    def row(self) -> dict[str, Any]:
        """Return the row of Tor, which costs less than a command."""
        path = f"file:{self.data}/hub.sqlite3?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT * FROM discovery_torstate").fetchone()
            return dict(found) if found is not None else {}

    def is_reachable(self) -> bool:
        """Tell whether it has reached itself since it was published."""
        row = self.row()
        tested = row.get("tested_at") and row["tested_at"] >= row["published_at"]
        return bool(tested) and row["state"] == "published" and not row["problem"]

    @property
    def socks(self) -> str:
        """Where its own connections enter Tor."""
        return f"unix:{self.data}/tor/run/socks"

    def controller(self) -> connections.Control:
        """Return one more control connection to its tor."""
        return connections.connect(f"unix:{self.data}/tor/run/control")

    def tor_process(self) -> psutil.Process:
        """Return its tor."""
        (keeper,) = self.processes("tor")
        (found,) = keeper.children()
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """Return its jobs of replication."""
        found: list[dict[str, Any]] = json.loads(self.manage("job", "list", "--json"))
        return found

    def get(self, path: str) -> Any:
        """Ask its API as its owner."""
        with self.client(self.owner) as owner:
            return owner.get(path)

    def put(self, path: str, document: Any = None) -> None:
        """Write as its owner."""
        with self.client(self.owner) as owner:
            owner.put(path, json=document or {}).raise_for_status()


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TorHub, TorHub]]:
    """Both, published and reachable; everything that they say to others goes through Tor."""
    folder = tmp_path_factory.mktemp("tor")
    network, lines = TorNetwork(folder / "net"), folder / "lines"
    ada, bob = (
        TorHub(
            tmp_path_factory.mktemp(name),
            HUB_TOR_LINES=str(lines),
            HUB_TOR_SECONDS="5",
            HUB_ADDRESSES=address,
        )
        for name, address in NOWHERE.items()
    )
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        list(pool.map(stack.enter_context, (network, ada, bob)))
        lines.write_text("\n".join(network.lines))
        list(pool.map(_switched_on, (ada, bob)))
        yield ada, bob


def _switched_on(hub: TorHub) -> None:
    assert hub.tor()["state"] == "off"
    for switch in ("everything", "for_applications"):
        hub.manage("tor", "set", switch, "on")
    hub.manage("tor", "on")
    eventually(hub.is_reachable, what=f"{hub.folder.name} is reachable", seconds=120)


@pytest.fixture(scope="module")
def friends(hubs: tuple[TorHub, TorHub]) -> tuple[TorHub, TorHub]:
    """Both, paired by an invitation: the only way to the other was the onion address."""
    ada, bob = hubs
    url = json.loads(ada.manage("invitation", "make", "--json"))["url"]
    assert url.startswith(f"httpkey://{ada.tor()['address']}/")
    bob.manage("invitation", "accept", url)
    number = eventually(lambda: _requested(ada), what="Bob has asked")
    ada.manage("pairing", "approve", str(number), "--name", "bob")
    eventually(lambda: _contacts(bob), what="both are contacts")
    return ada, bob


def _requested(hub: TorHub) -> Any:
    rows = json.loads(hub.manage("pairing", "list", "--json"))
    return rows and rows[0]["state"] == "requested" and rows[0]["id"]


def _contacts(hub: TorHub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(hub.manage("contact", "list", "--json"))
    return found


def onion_of(hub: TorHub) -> Address:
    return Address.parse(f"{hub.row()['address']}:{PORT}")


def test_two_hubs_pair_through_tor(friends: tuple[TorHub, TorHub]) -> None:
    for hub, other in (friends, friends[::-1]):
        (contact,) = _contacts(hub)
        assert contact["key"] == other.status["key"]
        assert str(onion_of(other)) in contact["addresses"]


def test_documents_go_both_ways_through_tor(friends: tuple[TorHub, TorHub]) -> None:
    ada, bob = friends
    (contact,) = _contacts(bob)
    for hub in friends:
        hub.put("/notes")
    ada.manage("grant", "add", "notes", "read,write", "bob")
    ada.put("/notes/pulled")
    bob.put("/notes/pushed")
    bob.manage("job", "add", "notes", contact["name"], "--both", "--continuous")
    eventually(lambda: bob.get("/notes/pulled").status_code == 200, what="pulled")
    eventually(lambda: ada.get("/notes/pushed").status_code == 200, what="pushed")
    assert "Reached through Tor" in ada.manage("tor", "test")
    ada.put("/notes/later")
    eventually(lambda: bob.get("/notes/later").status_code == 200, what="and goes on")
    (job,) = [job for job in bob.jobs() if job["database"] == "notes"]
    assert {link["path"] for link in job["links"]} == {"tor"}


def test_tor_is_started_again_and_the_rest_comes(friends: tuple[TorHub, TorHub]) -> None:
    ada, bob = friends
    address, before = ada.tor()["address"], ada.tor_process()
    with ada.client(ada.owner) as owner:
        docs = [{"_id": f"many{n:04d}", "text": "x" * 1000} for n in range(1000)]
        owner.post("/notes/_bulk_docs", json={"docs": docs}).raise_for_status()
    before.send_signal(signal.SIGKILL)
    eventually(lambda: bob.get("/notes").json()["doc_count"] >= 1003, what="all came", seconds=150)
    eventually(ada.is_reachable, what="Ada is reachable", seconds=120)
    assert ada.tor()["address"] == address
    assert ada.tor_process().pid != before.pid
    assert "failed" in {event["what"] for event in ada.tor()["events"]}


@pytest.fixture
async def way_of_bob(hubs: tuple[TorHub, TorHub], hub_identity: Any) -> Any:
    """Let this process, a stranger, connect through Bob's tor; DNS hears of no onion."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def watched(host: Any, *more: Any, **options: Any) -> Any:
        asked.append(str(host))
        return real(host, *more, **options)

    await sync_to_async(store.set_tor)(wanted=True, socks=hubs[1].socks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", watched)
        yield
    await sync_to_async(models.TorState.objects.all().delete)()
    assert not [name for name in asked if "onion" in name]


async def test_the_hub_behind_the_onion_is_reached_by_its_key(
    hubs: tuple[TorHub, TorHub], way_of_bob: None
) -> None:
    ada, _ = hubs
    onion = onion_of(ada)
    key = ada.status["key"].removeprefix("sha256:")
    async with dial(key, [onion]) as session:
        # It came from 127.0.0.1, and is nobody for that.
        for path in ("/notes", "/no-such-database"):
            assert (await session.client.get(path)).status_code == 404


async def test_another_key_behind_the_onion_gets_no_byte_of_http(
    hubs: tuple[TorHub, TorHub], way_of_bob: None, tmp_path: Path
) -> None:
    keys = await sync_to_async(Keys)(tmp_path / "stranger")
    with Peer(keys).running() as stranger, _published(hubs[0], stranger) as onion:
        with pytest.raises(WrongKeyError):
            async with dial(hubs[0].status["key"].removeprefix("sha256:"), [onion]):
                pass
        assert not stranger.received
        async with dial(keys.identity_key, [onion]):
            assert stranger.received


@contextlib.contextmanager
def _published(hub: TorHub, peer: Peer) -> Iterator[Address]:
    """Publish another server as an onion service, until the end."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from discovery.core import onion

    seed = secrets.token_bytes(32)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    address = onion.address_of(public)
    uploads = onion.Uploads()
    control = hub.controller()
    control.watch()
    try:
        control.publish(seed, f"127.0.0.1:{peer.address.port}", None)
        while not uploads.are_complete:
            event = control.next_event(60)
            assert event is not None
            if event.address == address:
                uploads.saw(event.action, event.directory)
        yield Address.parse(f"{address}:{onion.PORT}")
    finally:
        control.close()


async def test_applications_have_a_port_of_their_own(hubs: tuple[TorHub, TorHub]) -> None:
    ada, bob = hubs
    facts = json.loads((bob.data / "hub.json").read_text())
    onion = onion_of(ada)
    stream = await outward.Backend(Ways(facts["tor_socks"]), "an-app").connect_tcp(*onion[1:])
    await stream.aclose()


async def test_only_contacts_come_through_where_the_owner_wants_that(
    friends: tuple[TorHub, TorHub], way_of_bob: None, tmp_path: Path
) -> None:
    ada, bob = friends
    manage = sync_to_async(ada.manage)
    before = ada.row()["published_at"]
    await manage("tor", "set", "contacts_only", "on")
    await sync_to_async(eventually)(
        lambda: ada.row()["published_at"] != before and ada.is_reachable(),
        what="it is published for contacts",
    )
    onion = onion_of(ada)
    async with dial(None, [onion]):
        pass  # Bob is one.
    with _tor_of_a_stranger(bob, tmp_path) as (control, socks):
        await sync_to_async(store.set_tor)(wanted=True, socks=socks)
        await _refused(onion)
        control.authorize(onion.host, bytes(range(32)))
        await _refused(onion)


@contextlib.contextmanager
def _tor_of_a_stranger(hub: TorHub, folder: Path) -> Iterator[tuple[connections.Control, str]]:
    """Run one more tor in the network of a hub, which nobody has given a key."""
    lines = Path(hub.environment["HUB_TOR_LINES"]).read_text().split("\n")
    places = {name: str(folder / name) for name in ("data", "control", "socks", "log")}
    config = Torrc(**places, owner=os.getpid(), more=lines)
    found = program.find()
    assert found is not None
    (folder / "data").mkdir(mode=0o700)
    (folder / "torrc").write_text(config.text())
    process = subprocess.Popen(
        [found, "--hush", "--defaults-torrc", "/dev/null", "-f", str(folder / "torrc")]
    )
    try:
        eventually((folder / "control").exists, what="it listens")
        with contextlib.closing(connections.connect(f"unix:{folder}/control")) as control:
            eventually(
                lambda: control.bootstrap().percent == 100, what="it is connected", seconds=120
            )
            yield control, f"unix:{folder}/socks"
    finally:
        process.terminate()
        process.wait(timeout=60)


async def _refused(onion: Address) -> None:
    """See that whoever has another key, or none, does not even connect."""
    with pytest.raises(NotAuthorized):
        async with dial(secrets.token_hex(8), [onion]):
            pass


def test_a_new_address_is_told_to_contacts(friends: tuple[TorHub, TorHub]) -> None:
    ada, bob = friends
    before = ada.tor()["address"]
    ada.manage("tor", "renew-address")
    eventually(ada.is_reachable, what="the new one is reachable", seconds=120)
    after = ada.tor()["address"]
    assert after != before
    eventually(
        lambda: after in _contacts(bob)[0]["addresses"], what="Bob knows", seconds=150, pause=0.5
    )
    assert before not in _contacts(bob)[0]["addresses"]
    ada.put("/notes/moved")
    eventually(
        lambda: bob.get("/notes/moved").status_code == 200, what="and comes there", seconds=150
    )


async def test_outside_its_hours_a_hub_is_not_there(
    hubs: tuple[TorHub, TorHub], way_of_bob: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, _ = hubs
    # Tor asks again and again where a service was known to be.
    monkeypatch.setattr(outward, "TOR_SECONDS", 2)
    await sync_to_async(ada.manage)("tor", "windows", "2020-01-01T00:00/2020-01-02T00:00")
    await sync_to_async(eventually)(lambda: ada.row()["state"] == "closed", what="it is closed")
    onion = onion_of(ada)
    with pytest.raises(UnreachableError):
        async with dial(None, [onion]):
            pass
    await sync_to_async(ada.manage)("tor", "windows", "")
    await sync_to_async(eventually)(ada.is_reachable, what="it is there again")


def _tor_of(hub: TorHub) -> psutil.Process | None:
    with contextlib.suppress(ValueError, psutil.NoSuchProcess):
        return hub.tor_process()
    return None


def test_switched_off_nothing_of_tor_runs(hubs: tuple[TorHub, TorHub]) -> None:
    ada, _ = hubs
    killed = ada.tor_process()
    ada.processes("tor")[0].kill()
    eventually(lambda: not killed.is_running(), what="tor ends with whoever owns it")
    tor = eventually(lambda: _tor_of(ada), what="another one is started")
    ada.manage("tor", "off")
    eventually(lambda: not ada.processes("tor"), what="the process rests")
    assert not tor.is_running()
    assert ada.tor()["state"] == "off"
    assert "tor_socks" not in json.loads((ada.data / "hub.json").read_text())
