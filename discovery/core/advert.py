"""Adverts: the ten bytes that a hub sends into the air, and the pages behind them.

An advert of Bluetooth LE has 31 bytes, of which flags and a UUID of 128 bits leave ten
(design/discovery.md, "Bluetooth LE"):

    service data = version (1) | flags (1) | epoch token (8)

The token is drawn by lot for each announcement, so whoever has read the stream behind it need not
read it again, and two tokens have nothing in common.  The stream is longer than a GATT value may
be; so a reader writes the offset (2 bytes, big-endian) and reads a page, until one is not full:

    stream = length of the beacons (2) | beacons | envelopes (`discovery.core.hints`)
"""

from __future__ import annotations

from typing import Final, NamedTuple

SERVICE: Final = "74adfdd6-f720-46fb-b45a-8ff22c6b851a"
PAGES: Final = "57db2289-45e2-4af1-97ee-1170638441fc"
"""The service, and its one characteristic."""

LONGEST_ADVERT: Final = 31
PAGE: Final = 512
"""The longest value of GATT (Bluetooth Core Specification, Vol 3, Part F, 3.2.9)."""
TOKEN: Final = 8
LONGEST_STREAM: Final = 2 + 4096 + 84 * 66
"""The longest beacons, and as many envelopes as there may be beacons."""
_VERSION: Final = 1
_PAIRING: Final = 1
_FLAGS_AND_HEAD: Final = 3 + 2 + 16
"""Bytes of the flags that a peripheral must send, and of the head and UUID of service data."""


class BadAdvert(ValueError):
    """This is nothing that a hub sends; nobody is told, for nobody has asked."""


class Advert(NamedTuple):
    """What a hub sends into the air."""

    token: bytes
    pairing: bool = False
    """Whether it waits for another hub to compare codes with."""


def pack(advert: Advert) -> bytes:
    """Return the service data of an advert."""
    data = bytes([_VERSION, _PAIRING if advert.pairing else 0]) + advert.token
    if len(advert.token) != TOKEN or _FLAGS_AND_HEAD + len(data) > LONGEST_ADVERT:
        raise ValueError(f"A token has {TOKEN} bytes.")
    return data


def parse(data: bytes) -> Advert:
    """Read service data of whomever; flags that we do not know are passed over.

    Raises BadAdvert.
    """
    if len(data) != 2 + TOKEN or data[0] != _VERSION:
        raise BadAdvert
    return Advert(bytes(data[2:]), bool(data[1] & _PAIRING))


# -- pages -----------------------------------------------------------------------------------------


def frame(beacons: bytes, envelopes: bytes = b"") -> bytes:
    """Return the stream that is read page by page."""
    stream = len(beacons).to_bytes(2, "big") + beacons + envelopes
    if len(stream) > LONGEST_STREAM:
        raise ValueError(f"A stream has at most {LONGEST_STREAM} bytes.")
    return stream


def unframe(stream: bytes) -> tuple[bytes, bytes]:
    """Return beacons and envelopes of a stream; raises BadAdvert."""
    size = int.from_bytes(stream[:2], "big")
    if size == 0 or len(stream) < 2 + size or len(stream) > LONGEST_STREAM:
        raise BadAdvert
    return stream[2 : 2 + size], stream[2 + size :]


def page(stream: bytes, offset: int) -> bytes:
    """Return the page that begins there; an empty one is after the end."""
    return stream[offset : offset + PAGE]


def is_last(read: bytes) -> bool:
    """Tell whether no page comes after this one."""
    return len(read) < PAGE


def write_offset(offset: int) -> bytes:
    """Return what a reader writes before it reads a page."""
    return offset.to_bytes(2, "big")


def read_offset(data: bytes) -> int:
    """Return where a reader wants to read; raises BadAdvert."""
    if len(data) != 2:
        raise BadAdvert
    return int.from_bytes(data, "big")
