"""What an application is given to prove who it is: its key and certificate in files.

A certificate is only an envelope for a key.  One for a key that the application keeps to itself is
signed by a key that is thrown away: were it signed by ours, or by that of one of our devices, the
application could pass for the owner's device once its own key is forgotten (acl/core/certs.py).
"""

from __future__ import annotations

import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from acl.core import certs
from acl.core.certs import PublicKey
from acl.core.errors import KeyFormatError
from acl.core.keys import accepted_key_type

LARGEST_REQUEST: Final = 16_384


def pkcs12_file(
    name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, passphrase: str
) -> bytes:
    """Return key and certificate as browsers import them (RFC 7292); "" is no passphrase."""
    sealed: KeySerializationEncryption = NoEncryption()
    if passphrase:
        sealed = BestAvailableEncryption(passphrase.encode())
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, None, sealed)


def pem_file(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    """Return key and certificate, readable by whoever has the file."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def requested_key(text: bytes) -> PublicKey:
    """Return the key of a certificate request (PKCS#10, PEM or DER) that its holder has signed.

    Nothing else of the request counts: no name, no extension.  Raises KeyFormatError.
    """
    request = _read(text)
    try:
        key, signed = request.public_key(), request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise KeyFormatError(
            "The key in this request is of a kind that the hub does not know."
        ) from (error)
    if not signed:
        raise KeyFormatError("This request is not signed by the key that it names.")
    if not accepted_key_type(key):
        raise KeyFormatError("A key has to be P-256, P-384, Ed25519, or RSA of at least 2048 bits.")
    return key  # type: ignore[return-value]


def _read(text: bytes) -> x509.CertificateSigningRequest:
    if len(text) > LARGEST_REQUEST:
        raise KeyFormatError("A certificate request has at most 16 KiB.")
    try:
        if b"-----BEGIN" in text:
            return x509.load_pem_x509_csr(text)
        return x509.load_der_x509_csr(text)
    except ValueError as error:
        raise KeyFormatError(
            "This is not a certificate request. It begins with “BEGIN CERTIFICATE REQUEST”."
        ) from error


def certificate_for(
    key: PublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    serial: int,
    now: datetime.datetime,
) -> x509.Certificate:
    """Return a certificate for `key`, signed by `issuer_key`, which is to be thrown away."""
    issuer = certs.self_signed(issuer_key, serial)
    return certs.signed_leaf(key, issuer, issuer_key, serial=serial, now=now)
