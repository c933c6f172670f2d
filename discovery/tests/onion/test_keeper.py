"""What the keeper of Tor makes of a control port: of every answer, of half of them, and of none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from discovery import models, store
from discovery.core import onion
from discovery.onion import keeper, keys, service
from discovery.onion.keeper import Keeper
from discovery.tests.onion.faketor import FakeTor, eventually

pytestmark = pytest.mark.slow

HALF = 'NOTICE BOOTSTRAP PROGRESS=50 TAG=x SUMMARY="Half way"'
STUCK = 'WARN BOOTSTRAP PROGRESS=10 TAG=x SUMMARY="x" WARNING="No route to host" REASON=NOROUTE'
BOOTSTRAP = "GETINFO status/bootstrap-phase"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onion, "pause", lambda failures: 0.01)
    monkeypatch.setattr(keeper, "_TURN_SECONDS", 0.01)
    monkeypatch.setattr(keeper, "_REST_SECONDS", 0.01)
    monkeypatch.setattr(keeper, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(service, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def fake(tables: None, settings: Any, tmp_path: Path) -> Iterator[FakeTor]:
    """A tor to connect to, and a hub that wants it."""
    _forget()
    settings.HUB_DATA = tmp_path
    fake = FakeTor(tmp_path)
    settings.HUB_TOR_CONTROL = fake.where
    store.set_tor(wanted=True)
    with fake.running():
        yield fake
    _forget()


def _forget() -> None:
    """Nothing of Tor, and nobody who is expected."""
    for model in (
        models.TorState,
        models.TorEvent,
        models.PairingRow,
        models.OfferRow,
        models.Arming,
    ):
        model._default_manager.all().delete()


@pytest.fixture
def running(fake: FakeTor) -> Iterator[Callable[[], Keeper]]:
    """Begins to keep that tor; the end of the test is its end."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def begin() -> Keeper:
        made = Keeper("127.0.0.1:1", stop)

        def run() -> None:
            made.run()
            connections.close_all()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return made

    yield begin
    stop.set()
    fake.drop()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def state() -> str:
    return str(store.tor().state)


def events() -> list[str]:
    return [event.what for event in store.tor_events()]


def becomes(wanted: str) -> None:
    eventually(lambda: state() == wanted, what=f"{wanted}, not {state()}")


def test_a_service_is_published_when_the_directories_have_it(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    running()
    becomes("published")
    row = store.tor()
    assert row.address == keys.ensure(fake.folder).address
    assert row.published_at is not None
    assert row.socks == "127.0.0.1:9050"
    assert store.onion_addresses() == [f"{row.address}:6984"]
    (command,) = [line for line in fake.heard if line.startswith("ADD_ONION")]
    assert "Port=6984,127.0.0.1:1" in command
    assert "V3Auth" not in command


def test_half_a_bootstrap_is_shown_and_goes_on(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    fake.says[BOOTSTRAP] = f"250-status/bootstrap-phase={HALF}|250 OK"
    running()
    eventually(lambda: (store.tor().percent, state()) == (50, "starting"), what="half")
    assert store.tor().said == "Half way"
    assert not fake.count("ADD_ONION")
    assert store.onion_addresses() == []
    del fake.says[BOOTSTRAP]
    becomes("published")


def test_a_bootstrap_that_stands_still_fails_with_tors_words(
    fake: FakeTor, running: Callable[[], Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_STUCK_SECONDS", 0.02)
    fake.says[BOOTSTRAP] = f"250-status/bootstrap-phase={STUCK}|250 OK"
    running()
    eventually(lambda: "failed" in events(), what="it is given up")
    assert "No route to host" in [event.more for event in store.tor_events()]
    del fake.says[BOOTSTRAP]
    becomes("published")


def test_a_lost_connection_is_made_again_and_the_service_published_again(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    running()
    becomes("published")
    fake.drop()
    eventually(lambda: fake.count("ADD_ONION") == 2, what="it is published again")
    becomes("published")
    assert "failed" in events()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("PROTOCOLINFO", "510 Unrecognized command"),
        ("AUTHENTICATE", "515 Authentication failed"),
        ("AUTHENTICATE", "not an answer"),
        ("SETEVENTS", "552 Unrecognized event"),
        ("GETINFO version", "552 Unrecognized key"),
        ("GETINFO version", "551 Internal error"),
        (BOOTSTRAP, "551 Internal error"),
        (BOOTSTRAP, "250-something=else|250 OK"),
        ("GETINFO net/listeners/socks", "552 Unrecognized key"),
        ("ADD_ONION", "512 Bad arguments to ADD_ONION"),
        ("ADD_ONION", "550 Onion address collision"),
        ("ADD_ONION", "551 Failed to add Onion Service"),
        ("ADD_ONION", "553 Invalid VIRTPORT/TARGET"),
    ],
    ids=lambda value: value.replace(" ", "-").replace("/", "-").replace("|", "-"),
)
def test_every_error_of_tor_is_told_and_tried_again(
    fake: FakeTor, running: Callable[[], Keeper], command: str, answer: str
) -> None:
    fake.says[command] = answer
    running()
    eventually(lambda: "failed" in events(), what="it has failed")
    assert fake.count(command) >= 1
    del fake.says[command]
    becomes("published")


def test_a_key_that_tor_does_not_take_hinders_nothing(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    fake.says["ONION_CLIENT_AUTH_ADD"] = "512 Invalid v3 address"
    running()
    becomes("published")
    assert "failed" not in events()


def test_a_directory_that_refuses_is_noted(fake: FakeTor, running: Callable[[], Keeper]) -> None:
    fake.events = ["UPLOAD", "FAILED"]
    running()
    eventually(lambda: "refused" in events(), what="it is noted")
    becomes("publishing")


def test_a_service_that_nobody_takes_is_begun_again(
    fake: FakeTor, running: Callable[[], Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PATIENCE_SECONDS", 0.05)
    fake.events = []
    running()
    eventually(lambda: fake.count("ADD_ONION") >= 2, what="it is begun again")
    assert fake.count("DEL_ONION") >= 1
    fake.events = ["UPLOAD", "UPLOADED"]
    becomes("published")
    assert "late" in events()


def test_for_contacts_only_the_service_names_them(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    store.set_tor(contacts_only=True)
    running()
    becomes("published")
    ours = keys.ensure(fake.folder)
    (command,) = [line for line in fake.heard if line.startswith("ADD_ONION")]
    assert "Flags=DiscardPK,V3Auth" in command
    assert f"ClientAuthV3={ours.client_public}" in command


def test_another_address_takes_the_place_of_the_one_before(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    running()
    becomes("published")
    before = keys.ensure(fake.folder).address
    after = keys.renew(fake.folder).address
    eventually(lambda: fake.count("ADD_ONION") == 2, what="the new one is published")
    assert before != after
    assert f"DEL_ONION {before.removesuffix('.onion')}" in fake.heard


def test_outside_its_hours_the_service_is_taken_back(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    running()
    becomes("published")
    store.set_me(windows="2020-01-01T00:00/2020-01-02T00:00")
    try:
        becomes("closed")
        assert fake.count("DEL_ONION") == 1
    finally:
        store.set_me(windows="")
    becomes("published")


def test_what_tor_knows_is_forgotten_when_a_hub_is_not_where_it_was(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    running()
    becomes("published")
    before = fake.count("ONION_CLIENT_AUTH_ADD")
    store.note_stale()
    eventually(lambda: "SIGNAL NEWNYM" in fake.heard, what="it forgets")
    assert fake.count("ONION_CLIENT_AUTH_ADD") == before  # Tor may rest for ten seconds first.
    fake.tell("650 SIGNAL NEWNYM")
    eventually(lambda: fake.count("ONION_CLIENT_AUTH_ADD") > before, what="keys again")


def test_keys_are_given_again_when_somebody_else_lets_a_shared_tor_forget_them(
    fake: FakeTor, running: Callable[[], Keeper]
) -> None:
    running()
    becomes("published")
    before = fake.count("ONION_CLIENT_AUTH_ADD")
    fake.tell("650 SIGNAL NEWNYM")
    eventually(lambda: fake.count("ONION_CLIENT_AUTH_ADD") > before, what="keys again")


def test_switched_off_it_ends(fake: FakeTor, running: Callable[[], Keeper]) -> None:
    running()
    becomes("published")
    store.set_tor(wanted=False)
    becomes("off")
    assert store.onion_addresses() == []


def test_without_the_program_it_says_so(
    fake: FakeTor, running: Callable[[], Keeper], settings: Any
) -> None:
    settings.HUB_TOR_CONTROL, settings.HUB_TOR_PROGRAM = "", "no-such-program"
    running()
    becomes("missing")


def test_a_control_port_where_nobody_listens_is_tried_again(
    fake: FakeTor, running: Callable[[], Keeper], settings: Any
) -> None:
    settings.HUB_TOR_CONTROL = "127.0.0.1:1"
    running()
    becomes("failed")
    assert store.tor().socks == ""
    settings.HUB_TOR_CONTROL = fake.where
    becomes("published")


def test_keys_are_kept_and_nobody_else_reads_them(tmp_path: Path) -> None:
    made = keys.ensure(tmp_path)
    assert keys.ensure(tmp_path) == made
    for file in ("onion.key", "client.key"):
        assert (tmp_path / "tor" / file).stat().st_mode & 0o077 == 0
    assert (tmp_path / "tor").stat().st_mode & 0o077 == 0
    renewed = keys.renew(tmp_path)
    assert renewed.address != made.address
    assert renewed.client == made.client
