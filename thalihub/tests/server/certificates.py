"""Certificates for the tests, made on the spot."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

_START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_END = datetime.datetime(2054, 1, 1, tzinfo=datetime.UTC)


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str | None = None,
    signer: ec.EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    """Return a certificate of `key`, signed by itself or by `signer`."""
    builder = x509.CertificateBuilder(
        issuer_name=_named(issuer or name),
        subject_name=_named(name),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=_START,
        not_valid_after=_END,
    ).add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    return builder.sign(signer or key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def write_chain(folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name`.crt (leaf signed by an identity, and the identity) and `name`.key."""
    identity, leaf = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    chain = [
        certificate(f"{name} leaf", leaf, f"{name} identity", identity),
        certificate(f"{name} identity", identity),
    ]
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    crt.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
    key.write_bytes(leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return crt, key
