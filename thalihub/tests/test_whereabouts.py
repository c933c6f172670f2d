"""Where a hub says that it can be reached."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from discovery.core.errors import AddressError
from thalihub import whereabouts


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_hub_that_listens_everywhere_names_its_networks(networks: None) -> None:
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
