"""The networks that this machine is in now, as far as the system tells."""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

import psutil

from discovery.core import networks
from discovery.core.networks import Interface, Network

_ROUTES, _HARDWARE = Path("/proc/net/route"), Path("/proc/net/arp")
_GET_NAME = 0x8B1B  # SIOCGIWESSID of Linux's wireless extensions.
_LONGEST_NAME = 32


class Watch:
    """Looks at the networks; what it once knew of a gateway holds while that stays the same."""

    def __init__(self) -> None:
        self._hardware: dict[tuple[str, str], str] = {}

    def look(self) -> list[Network]:
        """Return the networks of now; this takes about a millisecond."""
        interfaces = [*_interfaces()]
        gateways = networks.gateways(_text(_ROUTES))
        now = networks.hardware(_text(_HARDWARE))
        held = {}
        for name, gateway in gateways.items():
            known = now.get(gateway) or self._hardware.get((name, gateway))
            if known:
                held[name, gateway] = known
        self._hardware = held
        hardware = {gateway: known for (_, gateway), known in held.items()}
        return networks.of_interfaces(interfaces, gateways, hardware, _names(interfaces))


def _interfaces() -> Iterable[Interface]:
    stats = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if one.family == socket.AF_INET and one.netmask and name in stats and stats[name].isup:
                yield Interface(name, one.address, one.netmask)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # Another system than Linux: then networks are known by their addresses.
        return ""


def _names(interfaces: Iterable[Interface]) -> dict[str, str]:
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for one in interfaces:
            with contextlib.suppress(OSError):
                found[one.name] = _name(asking, one.name)
    return {interface: name for interface, name in found.items() if name}


def _name(asking: socket.socket, interface: str) -> str:
    """Return the name of a wireless network; raises OSError for an interface that has none."""
    buffer = array.array("B", bytes(_LONGEST_NAME + 1))
    request = struct.pack("16sPHH", interface.encode()[:15], buffer.buffer_info()[0], 32, 0)
    fcntl.ioctl(asking.fileno(), _GET_NAME, request)
    text = buffer.tobytes().partition(b"\0")[0].decode(errors="replace")
    return "".join(letter for letter in text if letter.isprintable())
