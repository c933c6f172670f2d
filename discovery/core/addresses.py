"""Where a hub may be reached: a host and a port, and what kind of way that is.

The kind follows from the host alone.  It decides how the address is dialled (an onion address only
through Tor, never by DNS) and what a person is told: “in your network”, “through Tor”.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from discovery.core.errors import AddressError

LOOPBACK: Final = "loopback"
LAN: Final = "lan"
INTERNET: Final = "internet"
TOR: Final = "tor"

_TEXT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[1-9][0-9]{0,4})")
_ONION = re.compile(r"[a-z2-7]{56}\.onion")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NEAREST_FIRST: Final = (LOOPBACK, LAN, INTERNET, TOR)


class Address(NamedTuple):
    """A host (an IPv6 address without its brackets) and a port."""

    kind: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port` or `[address]:port`; raises AddressError."""
        match = _TEXT.fullmatch(text.strip())
        if match is None or int(match["port"]) > 65_535:
            raise AddressError
        host = match["host"].strip("[]").lower()
        return cls(_kind(host, in_brackets=match["host"].startswith("[")), host, int(match["port"]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def nearest_first(addresses: Iterable[Address]) -> list[Address]:
    """Return each address once, what is near before what is far."""
    return sorted(dict.fromkeys(addresses), key=lambda one: _NEAREST_FIRST.index(one.kind))


def _kind(host: str, *, in_brackets: bool) -> str:
    if host.endswith(".onion"):
        if _ONION.fullmatch(host) is None:
            raise AddressError(
                "This is not the address of an onion service: those have 56 letters."
            )
        return TOR
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _kind_of_name(host)
    if in_brackets != (address.version == 6) or address.is_unspecified or address.is_multicast:
        raise AddressError
    if address.is_loopback:
        return LOOPBACK
    return LAN if address.is_private or address.is_link_local else INTERNET


def _kind_of_name(host: str) -> str:
    labels = host.split(".")
    # A name of digits alone would be read as an address, in ways that differ.
    if labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)) or len(host) > 253:
        raise AddressError
    if host == "localhost":
        return LOOPBACK
    return LAN if len(labels) == 1 or labels[-1] == "local" else INTERNET
