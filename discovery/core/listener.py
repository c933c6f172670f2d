"""The certificate of an announcement listener: it says nothing, and is new with each announcement.

It is its own and only trust anchor at the other end, so that nobody sends a certificate with a name
to anybody else (design/discovery.md, "From beacon to connection").  Its dates are the same in
every hub: a clock would tell one from another.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

_BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_END = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)
_NOBODY = x509.Name([])


class Ephemeral(NamedTuple):
    """A key that lives as long as one announcement."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def hash(self) -> bytes:
        """What beacons are bound to."""
        return hash_of(self.der)


def hash_of(der: bytes) -> bytes:
    """Return the hash of a certificate that beacons are bound to: SHA-256."""
    return hashlib.sha256(der).digest()


def certify(key: ec.EllipticCurvePrivateKey, serial: int) -> Ephemeral:
    """Return a certificate of this key without a name."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_NOBODY)
        .issuer_name(_NOBODY)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return Ephemeral(key, builder.sign(key, hashes.SHA256()))
