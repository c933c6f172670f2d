"""Envelopes: where our listener is, for those alone whom an announcement is for.

What is read by Bluetooth says nothing of the network, so beside the beacons stand envelopes (HPKE,
RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305) for the same notification keys, bound to the same
preamble, as many as there are beacons; those that are for nobody are for keys that nobody has.
All are of one size:

    envelope = encapsulated key (32) | port (2), four IPv4 addresses (16) | tag (16)

HPKE draws its keys by lot itself.  It proves nothing of the sender: where an envelope leads, the
listener's certificate has to be the one of the beacon (`beacons.is_genuine`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from discovery.core.addresses import Address
from discovery.core.beacons import BEACON, PREAMBLE, Own, Party
from discovery.core.errors import AddressError

ENVELOPE: Final = 66
MOST_ADDRESSES: Final = 4
_MOST_ENVELOPES: Final = 84
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_INFO: Final = b"thali envelope 1 "


def seal(receivers: Iterable[Party], announced: bytes, hosts: Sequence[str], port: int) -> bytes:
    """Return the envelopes beside an announcement; empty where there is nowhere to lead to.

    Takes about a third of a millisecond for each.
    """
    packed = [ipaddress.IPv4Address(host).packed for host in hosts[:MOST_ADDRESSES]]
    if not packed or not port:
        return b""
    plain = (port.to_bytes(2, "big") + b"".join(packed)).ljust(2 + 4 * MOST_ADDRESSES, b"\0")
    info = _INFO + announced[:PREAMBLE]
    count = (len(announced) - PREAMBLE) // BEACON
    tries = [_sealed(plain, one.key, info) for one in receivers]
    made = [one for one in tries if one is not None][:count]
    while len(made) < count:
        made.append(_SUITE.encrypt(plain, X25519PrivateKey.generate().public_key(), info))
    return b"".join(sorted(made))  # They begin with what was drawn by lot: the order says nothing.


def _sealed(plain: bytes, key: bytes, info: bytes) -> bytes | None:
    try:
        return _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(key), info)
    except ValueError:  # No key, or one that gives everybody the same secret: nobody's loss.
        return None


def unseal(envelopes: bytes, ours: Own, preamble: bytes) -> tuple[Address, ...]:
    """Return where the envelope for us leads; empty where there is none."""
    if len(envelopes) % ENVELOPE or len(envelopes) > _MOST_ENVELOPES * ENVELOPE:
        return ()
    for at in range(0, len(envelopes), ENVELOPE):
        try:
            one = envelopes[at : at + ENVELOPE]
            plain = _SUITE.decrypt(one, ours.private, _INFO + preamble)
        except (InvalidTag, ValueError):
            continue
        return tuple(_addresses(plain))
    return ()


def _addresses(plain: bytes) -> Iterator[Address]:
    port = int.from_bytes(plain[:2], "big")
    for at in range(2, min(len(plain), 2 + 4 * MOST_ADDRESSES), 4):
        try:
            yield Address.parse(f"{ipaddress.IPv4Address(plain[at : at + 4])}:{port}")
        except (AddressError, ValueError):  # No address, or what is none for anybody.
            continue
