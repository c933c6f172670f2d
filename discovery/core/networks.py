"""Which network this is: by its gateway's hardware address, its addresses, and its name.

A person says of a network that it is theirs, and this hub may be found there.  Another one that
happens to use the same addresses has another gateway.  A network without a gateway, such as two
laptops make between themselves, is recognised by its addresses and its name alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_NO_HARDWARE = "00:00:00:00:00:00"
_GATEWAY_FLAG = 0x2
INSIDE: Final = ("lo", "docker", "br-", "veth", "virbr", "podman", "cni", "lxc", "tun", "wg", "tap")
"""How interfaces begin that lead to no network of people."""


class Interface(NamedTuple):
    """One address of this machine."""

    name: str
    address: str
    netmask: str


class Network(NamedTuple):
    """A network that this machine is in."""

    mark: str
    """By what it is recognised."""
    name: str
    """What a person is told."""
    interface: str
    """Our address there, with the length of its prefix: `192.168.1.5/24`."""
    is_sure: bool
    """Whether it is told apart from others with the same addresses."""


def of_interfaces(
    interfaces: Iterable[Interface],
    gateways: Mapping[str, str],
    hardware: Mapping[str, str],
    names: Mapping[str, str],
) -> list[Network]:
    """Return the networks of these addresses.

    `gateways` are addresses by interface, `hardware` hardware addresses by address, `names` the
    names of wireless networks by interface.
    """
    found = []
    for one in interfaces:
        parsed = _parsed(one)
        if parsed is None or one.name.startswith(INSIDE):
            continue
        gateway = hardware.get(gateways.get(one.name, ""), "")
        called = names.get(one.name, "")
        mark = " ".join(part for part in (str(parsed.network), gateway, called) if part)
        shown = called or f"{parsed.network} ({one.name})"
        found.append(Network(mark, shown[:64], parsed.with_prefixlen, bool(gateway or called)))
    return found


def _parsed(one: Interface) -> ipaddress.IPv4Interface | None:
    try:
        parsed = ipaddress.IPv4Interface(f"{one.address}/{one.netmask}")
    except ValueError:
        return None
    ours = parsed.is_private or parsed.is_link_local
    return parsed if ours and not parsed.is_loopback else None


def gateways(routes: str) -> dict[str, str]:
    """Return the default gateway of each interface, of the text of /proc/net/route."""
    found: dict[str, str] = {}
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[1] == "00000000" and int(fields[3], 16) & _GATEWAY_FLAG:
            address = ipaddress.IPv4Address(bytes.fromhex(fields[2])[::-1])
            found.setdefault(fields[0], str(address))
    return found


def hardware(table: str) -> dict[str, str]:
    """Return hardware addresses by address, of the text of /proc/net/arp."""
    found = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] != _NO_HARDWARE:
            found[fields[0]] = fields[3].lower()
    return found


def is_within(address: str, interfaces: Iterable[str]) -> bool:
    """Tell whether an address is of the network of one of these interfaces of ours."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_interface(one).network for one in interfaces)
