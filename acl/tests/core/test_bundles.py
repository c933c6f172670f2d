"""Files for applications, and certificates for keys that applications keep to themselves."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from acl.core import bundles, certs
from acl.core.errors import KeyFormatError

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def _request(key: Any, digest: Any = None) -> x509.CertificateSigningRequest:
    if digest is None and not isinstance(key, ed25519.Ed25519PrivateKey):
        digest = hashes.SHA256()
    return x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, digest)


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_a_pkcs12_file_opens_with_its_passphrase_only(key: Any) -> None:
    certificate = certs.self_signed(key, 1)
    content = bundles.pkcs12_file("notes", key, certificate, "secret")
    opened, shown, _ = pkcs12.load_key_and_certificates(content, b"secret")
    assert shown == certificate
    assert opened is not None
    assert opened.public_key() == key.public_key()
    with pytest.raises(ValueError):
        pkcs12.load_key_and_certificates(content, b"other")


def test_a_pem_file_holds_both(key: Any) -> None:
    content = bundles.pem_file(key, certs.self_signed(key, 1))
    assert load_pem_private_key(content, None).public_key() == key.public_key()
    assert certs.key_of(x509.load_pem_x509_certificate(content)) == certs.public_key_hash(
        key.public_key()
    )


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_the_key_of_a_request_is_taken(key: Any, encoding: Encoding) -> None:
    text = _request(key).public_bytes(encoding)
    assert bundles.requested_key(text) == key.public_key()


def test_a_request_that_somebody_else_signed_is_refused(key: Any) -> None:
    raw = bytearray(_request(key).public_bytes(Encoding.DER))
    raw[-3] ^= 1
    with pytest.raises(KeyFormatError):
        bundles.requested_key(bytes(raw))


@pytest.mark.parametrize("made", [lambda: rsa.generate_private_key(65537, 1024),
                                  lambda: ec.generate_private_key(ec.SECP521R1())],
                         ids=["rsa-1024", "p-521"])  # fmt: skip
def test_a_request_for_a_key_that_the_hub_does_not_take_is_refused(made: Any) -> None:
    with pytest.raises(KeyFormatError):
        bundles.requested_key(_request(made()).public_bytes(Encoding.PEM))


@pytest.mark.parametrize("text", [b"", b"x", b"-----BEGIN CERTIFICATE REQUEST-----", b"0" * 20_000])
def test_what_is_no_request_is_refused_in_words(text: bytes) -> None:
    with pytest.raises(KeyFormatError, match="request"):
        bundles.requested_key(text)


def test_a_certificate_for_a_key_proves_that_key_and_no_other(key: Any) -> None:
    thrown_away = ec.generate_private_key(ec.SECP256R1())
    made = bundles.certificate_for(key.public_key(), thrown_away, serial=5, now=NOW)
    proven = certs.verified_keys(made.public_bytes(Encoding.DER), [])
    assert proven == [certs.public_key_hash(key.public_key())]
