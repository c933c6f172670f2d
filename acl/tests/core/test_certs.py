"""Which keys a connection proves: the leaf, and what verifiably signed it; nothing else."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from acl.core import certs
from acl.core.certs import PrivateKey, public_key_hash
from acl.core.errors import KeyFormatError

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
LONG_AGO = datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _hash(key: PrivateKey) -> str:
    return public_key_hash(key.public_key())


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _made(
    subject: str,
    key: PrivateKey,
    issuer: str,
    signer: PrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
    digest: Any = None,
) -> bytes:
    builder = x509.CertificateBuilder(
        _named(issuer), _named(subject), key.public_key(), 1, LONG_AGO, LONG_AGO
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    if digest is None and not isinstance(signer, ed25519.Ed25519PrivateKey):
        digest = hashes.SHA256()
    return _der(builder.sign(signer, digest))


def _ca(length: int | None = None) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca=True, path_length=length), True


IDENTITY, DEVICE = _key(), _key()
IDENTITY_CERTIFICATE = certs.self_signed(IDENTITY, 1)
DEVICE_DER = _der(
    certs.signed_leaf(DEVICE.public_key(), IDENTITY_CERTIFICATE, IDENTITY, serial=2, now=NOW)
)
IDENTITY_DER = _der(IDENTITY_CERTIFICATE)


def test_a_device_proves_itself_and_its_identity() -> None:
    assert certs.verified_keys(DEVICE_DER, [IDENTITY_DER]) == [_hash(DEVICE), _hash(IDENTITY)]


def test_an_identity_alone_proves_itself() -> None:
    assert certs.verified_keys(IDENTITY_DER, []) == [_hash(IDENTITY)]
    assert certs.verified_keys(IDENTITY_DER, [IDENTITY_DER]) == [_hash(IDENTITY)]


def test_an_appended_certificate_of_somebody_else_proves_nothing() -> None:
    mallory = _key()
    mine = _der(certs.self_signed(mallory, 3))
    assert certs.verified_keys(mine, [IDENTITY_DER, DEVICE_DER]) == [_hash(mallory)]


def test_a_certificate_that_only_names_an_issuer_proves_nothing() -> None:
    mallory = _key()
    named = _made(
        "mallory", mallory, IDENTITY_CERTIFICATE.subject.rdns[0].rfc4514_string(), mallory
    )
    forged = x509.CertificateBuilder(
        IDENTITY_CERTIFICATE.subject, _named("m"), mallory.public_key(), 1, LONG_AGO, LONG_AGO
    ).sign(mallory, hashes.SHA256())
    for leaf in (named, _der(forged)):
        assert certs.verified_keys(leaf, [IDENTITY_DER]) == [_hash(mallory)]


@given(st.permutations([0, 1, 2, 3]), st.binary(max_size=40))
def test_the_order_and_company_of_appended_certificates_does_not_matter(
    order: list[int], junk: bytes
) -> None:
    stranger = _der(certs.self_signed(KEYS[0], 9))
    shown = [IDENTITY_DER, stranger, junk, DEVICE_DER]
    found = certs.verified_keys(DEVICE_DER, [shown[one] for one in order])
    assert found == [_hash(DEVICE), _hash(IDENTITY)]


KEYS = [_key() for _ in range(5)]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=6))
def test_only_signers_of_the_leaf_are_ever_proven(links: list[tuple[int, int, bool]]) -> None:
    """In any heap of true certificates, whoever is found has signed, step by step, the leaf."""
    leaf = _made("0", KEYS[0], "1", KEYS[1])
    others = [
        _made(str(subject), KEYS[subject], str(issuer), KEYS[issuer], *([_ca()] if ca else []))
        for subject, issuer, ca in links
    ]
    found = certs.verified_keys(leaf, others)
    names = {_hash(key): number for number, key in enumerate(KEYS)}
    chain = [names[one] for one in found]
    assert chain[0] == 0
    signed = {(0, 1)} | {(subject, issuer) for subject, issuer, _ in links}
    assert all(pair in signed for pair in zip(chain, chain[1:], strict=False))
    assert all(any(link[0] == one and link[2] for link in links) for one in chain[1:])
    assert len(chain) <= 1 + certs.DEPTH


def test_an_issuer_has_to_be_a_ca() -> None:
    leaf = _made("leaf", DEVICE, "issuer", IDENTITY)
    plain = _made("issuer", IDENTITY, "issuer", IDENTITY)
    no_ca = x509.BasicConstraints(ca=False, path_length=None)
    not_ca = _made("issuer", IDENTITY, "issuer", IDENTITY, (no_ca, True))
    for issuer in (plain, not_ca):
        assert certs.verified_keys(leaf, [issuer]) == [_hash(DEVICE)]
    issuer = _made("issuer", IDENTITY, "issuer", IDENTITY, _ca())
    assert certs.verified_keys(leaf, [issuer]) == [_hash(DEVICE), _hash(IDENTITY)]


def test_an_issuer_whose_key_may_not_sign_certificates_proves_nothing() -> None:
    usage = certs._usage(signs_certificates=False)
    leaf = _made("leaf", DEVICE, "issuer", IDENTITY)
    issuer = _made("issuer", IDENTITY, "issuer", IDENTITY, _ca(), (usage, True))
    assert certs.verified_keys(leaf, [issuer]) == [_hash(DEVICE)]


def test_a_chain_ends_after_two_issuers() -> None:
    leaf = _made("0", KEYS[0], "1", KEYS[1])
    others = [
        _made(str(number), KEYS[number], str(number + 1), KEYS[(number + 1) % 5], _ca())
        for number in range(1, 5)
    ]
    assert certs.verified_keys(leaf, others) == [_hash(key) for key in KEYS[:3]]


def test_an_identity_of_ours_signs_leaves_only() -> None:
    below = _made(
        "below", KEYS[1], IDENTITY_CERTIFICATE.subject.rfc4514_string()[3:], IDENTITY, _ca()
    )
    leaf = _made("leaf", KEYS[0], "below", KEYS[1])
    assert certs.verified_keys(leaf, [below, IDENTITY_DER]) == [_hash(KEYS[0]), _hash(KEYS[1])]


def test_an_unknown_critical_extension_ends_the_chain() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    issuer = _made("issuer", IDENTITY, "issuer", IDENTITY, _ca())
    leaf = _made("leaf", DEVICE, "issuer", IDENTITY, (unknown, True))
    assert certs.verified_keys(leaf, [issuer]) == [_hash(DEVICE)]
    leaf = _made("leaf", DEVICE, "issuer", IDENTITY, (unknown, False))
    assert certs.verified_keys(leaf, [issuer]) == [_hash(DEVICE), _hash(IDENTITY)]


def test_dates_do_not_matter() -> None:
    expired = _made("leaf", DEVICE, "issuer", IDENTITY)
    assert x509.load_der_x509_certificate(expired).not_valid_after_utc < NOW
    issuer = _made("issuer", IDENTITY, "issuer", IDENTITY, _ca())
    assert len(certs.verified_keys(expired, [issuer])) == 2


def test_every_accepted_type_can_sign_every_other() -> None:
    signers: list[PrivateKey] = [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ]
    for signer in signers:
        identity = certs.self_signed(signer, 1)
        leaf = certs.signed_leaf(DEVICE.public_key(), identity, signer, serial=2, now=NOW)
        found = certs.verified_keys(_der(leaf), [_der(identity)])
        assert found == [_hash(DEVICE), _hash(signer)]


def test_a_leaf_of_another_key_type_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    with pytest.raises(KeyFormatError, match="P-256"):
        certs.verified_keys(_made("x", key, "x", key), [])


def test_a_version_1_certificate_is_refused() -> None:
    der = bytearray(_made("x", DEVICE, "x", DEVICE))
    # The version stands in the first member, [0] EXPLICIT INTEGER 2: without extensions, v1 is
    # the same certificate with a 0 in it.
    where = der.index(b"\xa0\x03\x02\x01\x02")
    der[where + 4] = 0
    with pytest.raises(KeyFormatError):
        certs.verified_keys(bytes(der), [])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_refused(junk: bytes) -> None:
    with pytest.raises(KeyFormatError):
        certs.verified_keys(junk, [])


def _damaged(der: bytes, where: int, by: int) -> bytes:
    return der[:where] + bytes([(der[where] + by) % 256]) + der[where + 1 :]


@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
@given(st.integers(0, len(DEVICE_DER) - 1), st.integers(1, 255))
@example(DEVICE_DER.index(b"\x02\x01\x02\x02\x01\x02") + 5, 254)  # Serial number 0.
def test_a_damaged_certificate_proves_an_identity_only_by_what_that_signed(
    where: int, by: int
) -> None:
    damaged = _damaged(DEVICE_DER, where, by)
    try:
        found = certs.verified_keys(damaged, [IDENTITY_DER])
    except KeyFormatError:
        return
    if _hash(IDENTITY) in found:
        _require_only_the_envelope_differs(damaged, DEVICE_DER)


def test_a_signature_written_another_way_proves_what_it_proved() -> None:
    # Zero bits at the end of a BIT STRING may be counted as unused: the same signature.
    ending_in_zero = next(der for der in _device_certificates() if der[-1] % 2 == 0)
    length = len(x509.load_der_x509_certificate(ending_in_zero).signature)
    rewritten = _damaged(ending_in_zero, len(ending_in_zero) - length - 1, 1)
    assert certs.verified_keys(rewritten, [IDENTITY_DER]) == [_hash(DEVICE), _hash(IDENTITY)]
    _require_only_the_envelope_differs(rewritten, ending_in_zero)


def _device_certificates() -> Iterator[bytes]:
    for serial in itertools.count(2):
        leaf = certs.signed_leaf(
            DEVICE.public_key(), IDENTITY_CERTIFICATE, IDENTITY, serial=serial, now=NOW
        )
        yield _der(leaf)


def _require_only_the_envelope_differs(one: bytes, other: bytes) -> None:
    read, expected = map(x509.load_der_x509_certificate, (one, other))
    assert read.tbs_certificate_bytes == expected.tbs_certificate_bytes
    assert read.signature == expected.signature


def test_our_certificates_name_nobody_and_hold_what_tls_clients_ask_for() -> None:
    device = x509.load_der_x509_certificate(DEVICE_DER)
    assert device.version is x509.Version.v3
    assert device.not_valid_before_utc < NOW < device.not_valid_after_utc
    assert device.subject.rfc4514_string() == f"CN={_hash(DEVICE)[:16]}"
    purposes = device.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {x509.OID_SERVER_AUTH, x509.OID_CLIENT_AUTH}
