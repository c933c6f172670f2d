"""Where a hub says that it can be reached."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from discovery import store as discovery
from discovery.core.errors import AddressError
from thalihub import datafolder, whereabouts


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    def address(text: str) -> Any:
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        return SimpleNamespace(family=family, address=text)

    found = {
        "docker0": [address("172.17.0.1")],
        "eth0": [address("192.168.1.20"), address("fe80::1%eth0"), address("fd00::20")],
        "lo": [address("127.0.0.1"), address("::1")],
        "wlan0": [address("10.0.0.7")],
    }
    up = {name: SimpleNamespace(isup=name != "wlan0") for name in found}
    monkeypatch.setattr(whereabouts.psutil, "net_if_addrs", lambda: found)
    monkeypatch.setattr(whereabouts.psutil, "net_if_stats", lambda: up)
    return found


def test_a_hub_that_listens_everywhere_names_its_networks(networks: dict[str, list[Any]]) -> None:
    found = whereabouts.own_addresses("0.0.0.0", 6984)
    assert found == ["192.168.1.20:6984", "172.17.0.1:6984"]
    assert "[fd00::20]:6984" in whereabouts.own_addresses("::", 6984)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1")])
def test_a_hub_that_listens_at_one_address_names_that(host: str, shown: str) -> None:
    assert whereabouts.own_addresses(host, 1) == [shown]


def test_a_machine_without_network_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts.psutil, "net_if_addrs", dict)
    assert whereabouts.own_addresses("0.0.0.0", 1) == ["127.0.0.1:1"]


def test_the_owner_may_say_where(settings: Any) -> None:
    settings.HUB_ADDRESSES = [" hub.example:1234 ", "192.0.2.1:1"]
    assert whereabouts.own_addresses("0.0.0.0", 1) == ["hub.example:1234", "192.0.2.1:1"]
    settings.HUB_ADDRESSES = ["hub.example"]
    with pytest.raises(AddressError):
        whereabouts.own_addresses("0.0.0.0", 1)


@pytest.fixture
def running(api: Any, settings: Any, tmp_path: Path) -> Iterator[None]:
    """A hub that serves on port 6984 of every network."""
    settings.HUB_DATA, settings.HUB_HOST = tmp_path, "0.0.0.0"
    datafolder.announce(tmp_path, {"api_port": 6984})
    before = discovery.me().addresses
    yield
    discovery.set_me(addresses=before)


async def _noted_after(*looks: Callable[[], object]) -> list[str]:
    seen: Any = ()
    for change in looks:
        change()
        seen = await whereabouts.looked(seen)
    return await sync_to_async(discovery.own_addresses)()


async def test_a_hub_that_is_carried_to_another_network_notes_it(
    running: None, networks: dict[str, list[Any]]
) -> None:
    def wander() -> None:
        networks["eth0"][0].address = "10.1.1.8"

    def stay() -> None:
        return None

    at_home = ["192.168.1.20:6984", "172.17.0.1:6984"]
    assert await _noted_after(stay, stay) == at_home
    # What is seen once may be a network that only comes up.
    assert await _noted_after(stay, wander) == at_home
    assert await _noted_after(stay, stay) == ["10.1.1.8:6984", "172.17.0.1:6984"]
    # In a tunnel, what was known stays.
    assert await _noted_after(networks.clear, stay) == ["10.1.1.8:6984", "172.17.0.1:6984"]


async def test_a_hub_that_does_not_serve_notes_nothing(
    running: None, networks: dict[str, list[Any]], tmp_path: Path
) -> None:
    datafolder.withdraw(tmp_path)
    assert await whereabouts.looked(["before"]) == ["before"]
