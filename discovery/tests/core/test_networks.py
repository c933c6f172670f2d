"""Networks are told apart by their gateways, so that nobody else's looks like home."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery import networks as system
from discovery.core import networks
from discovery.core.networks import Interface

ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0
wlan0 0001A8C0 00000000 0001 0 0 600 00FFFFFF 0 0 0
"""
TABLE = """IP address HW type Flags HW address Mask Device
192.168.1.1 0x1 0x2 AA:bb:cc:dd:ee:01 * wlan0
192.168.1.9 0x1 0x0 00:00:00:00:00:00 * wlan0
"""
HERE = Interface("wlan0", "192.168.1.5", "255.255.255.0")


def of(gateway: str = "", name: str = "") -> networks.Network:
    known = {"192.168.1.1": gateway} if gateway else {}
    called = {"wlan0": name} if name else {}
    (found,) = networks.of_interfaces([HERE], {"wlan0": "192.168.1.1"}, known, called)
    return found


def test_the_systems_tables_are_read() -> None:
    assert networks.gateways(ROUTES) == {"wlan0": "192.168.1.1"}
    assert networks.hardware(TABLE) == {"192.168.1.1": "aa:bb:cc:dd:ee:01"}
    assert networks.gateways("") == networks.hardware("") == {}


def test_a_network_of_the_same_addresses_is_another_one() -> None:
    home, cafe = of("aa:bb:cc:dd:ee:01"), of("aa:bb:cc:dd:ee:02")
    assert home.mark != cafe.mark
    assert home.is_sure and home.interface == "192.168.1.5/24"
    assert of("aa:bb:cc:dd:ee:01").mark == home.mark
    assert not of().is_sure


def test_a_person_is_told_the_networks_name() -> None:
    assert of(name="Our home").name == "Our home"
    assert of().name == "192.168.1.0/24 (wlan0)"


@pytest.mark.parametrize(
    "interface",
    [
        Interface("lo", "127.0.0.1", "255.0.0.0"),
        Interface("docker0", "172.17.0.1", "255.255.0.0"),
        Interface("eth0", "93.184.216.34", "255.255.255.0"),
        Interface("eth0", "no address", "255.255.255.0"),
        Interface("eth0", "127.0.0.2", "255.0.0.0"),
    ],
)
def test_what_leads_to_no_network_of_people_is_left_out(interface: Interface) -> None:
    assert networks.of_interfaces([interface], {}, {}, {}) == []


def test_only_addresses_of_our_networks_are_near() -> None:
    ours = ["192.168.1.5/24", "10.0.0.1/8"]
    assert networks.is_within("192.168.1.77", ours)
    assert networks.is_within("10.9.9.9", ours)
    for other in ("192.168.2.1", "8.8.8.8", "fe80::1", "x"):
        assert not networks.is_within(other, ours)


def test_what_is_known_of_a_gateway_holds_while_its_line_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes, table = tmp_path / "route", tmp_path / "arp"
    routes.write_text(ROUTES)
    table.write_text(TABLE)
    monkeypatch.setattr(system, "_ROUTES", routes)
    monkeypatch.setattr(system, "_HARDWARE", table)
    monkeypatch.setattr(system, "_interfaces", lambda: [HERE])
    watch = system.Watch()
    (home,) = watch.look()
    table.write_text("")
    assert watch.look() == [home]
    table.write_text(TABLE.replace("01 ", "02 "))
    assert watch.look() != [home]
    table.unlink()
    assert system.Watch().look()[0].is_sure is False


def test_this_machine_is_in_some_networks_or_none() -> None:
    assert all(one.mark and one.name for one in system.Watch().look())
