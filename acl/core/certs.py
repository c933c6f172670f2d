"""Certificates: which keys does a connection prove, and how ours are made.

A certificate is only an envelope for a key; its dates and names mean nothing here.  TLS proves
that the client holds the key of the leaf.  Every other certificate is *whatever the client
appended*, so an issuer counts only when its signature below it is verified: taking the last
certificate of a chain for an identity would let anyone be anyone whose certificate is public
(design/identity-and-tls.md, "Traps that were measured").
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from acl.core.errors import KeyFormatError
from acl.core.keys import accepted_key_type, key_hash

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

T = TypeVar("T", bound=x509.ExtensionType)

DEPTH: Final = 2
_MOST_OTHERS = 8
_LARGEST = 16_384
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CRITICAL_WE_KNOW = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
}
_VALID_FROM = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_YEARS = datetime.timedelta(days=3650)
_ONE_DAY = datetime.timedelta(days=1)
# RFC 5280, 4.1.2.5: the date of certificates that have no well-defined end.
_NO_END = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def parse(der: bytes) -> x509.Certificate:
    """Read a certificate that we can take: X.509 v3 with a key of an accepted type.

    Raises KeyFormatError.
    """
    if len(der) > _LARGEST:
        raise KeyFormatError("A certificate has at most 16 KiB.")
    try:
        certificate = x509.load_der_x509_certificate(der)
        version, key = certificate.version, certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise KeyFormatError("This is not a certificate that the hub can read.") from error
    if version is not x509.Version.v3:
        raise KeyFormatError("A certificate has to be X.509 version 3.")
    if not accepted_key_type(key):
        raise KeyFormatError("A key has to be P-256, P-384, Ed25519, or RSA of at least 2048 bits.")
    return certificate


def key_of(certificate: x509.Certificate) -> str:
    """Return the key hash of the certificate's key."""
    return public_key_hash(certificate.public_key())  # type: ignore[arg-type]


def public_key_hash(key: PublicKey) -> str:
    """Return the key hash of a public key."""
    return key_hash(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def verified_keys(leaf_der: bytes, others_der: Sequence[bytes]) -> list[str]:
    """Return the leaf's key hash, then those of its issuers as far as signatures prove them.

    `others_der` is what the peer appended, in any order, true or not.  Raises KeyFormatError
    when the leaf itself cannot be taken.
    """
    leaf = parse(leaf_der)
    candidates = _issuers_among(others_der)
    chain = [leaf]
    while len(chain) <= DEPTH and (issuer := _issuer_of(chain, candidates)) is not None:
        chain.append(issuer)
    return [key_of(certificate) for certificate in chain]


def _issuers_among(others_der: Sequence[bytes]) -> list[x509.Certificate]:
    found = []
    for der in others_der[:_MOST_OTHERS]:
        try:
            certificate = parse(der)
        except KeyFormatError:
            continue
        if _may_issue(certificate):
            found.append(certificate)
    return found


def _may_issue(certificate: x509.Certificate) -> bool:
    if not _understood(certificate):
        return False
    usage = _extension(certificate, x509.KeyUsage)
    constraints = _extension(certificate, x509.BasicConstraints)
    signs = usage is None or usage.key_cert_sign
    return constraints is not None and constraints.ca and signs


def _issuer_of(
    chain: Sequence[x509.Certificate], candidates: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    child = chain[-1]
    known = {key_of(certificate) for certificate in chain}
    for issuer in candidates:
        deep_enough = len(chain) - 1 <= _room_below(issuer)
        if deep_enough and key_of(issuer) not in known and _signed(child, issuer):
            return issuer
    return None


def _room_below(issuer: x509.Certificate) -> int:
    """Return how many other issuers may stand between this one and a leaf."""
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or constraints.path_length is None:
        return DEPTH
    return constraints.path_length


def _signed(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if not _understood(child) or not _strong(child):
            return False
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _strong(certificate: x509.Certificate) -> bool:
    algorithm = certificate.signature_hash_algorithm
    # Ed25519 names no hash of its own.
    return algorithm is None or isinstance(algorithm, _STRONG)


def _understood(certificate: x509.Certificate) -> bool:
    """Tell whether we know every extension that the issuer says must be known."""
    try:
        extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension):
        return False
    return all(one.oid in _CRITICAL_WE_KNOW for one in extensions if one.critical)


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def self_signed(key: PrivateKey, serial: int) -> x509.Certificate:
    """Return the certificate of an identity, which may sign leaves and nothing else.

    The name in it is neutral: whoever watches must not learn a person's name.
    """
    name = _name_of(key.public_key())
    builder = _builder(name, name, key.public_key(), serial, _VALID_FROM, _NO_END)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _sign(builder, key, key.public_key())


def signed_leaf(
    key: PublicKey,
    issuer: x509.Certificate,
    issuer_key: PrivateKey,
    *,
    serial: int,
    now: datetime.datetime,
) -> x509.Certificate:
    """Return the certificate of a device, signed by its identity."""
    start = now - _ONE_DAY  # Clocks differ.
    builder = _builder(issuer.subject, _name_of(key), key, serial, start, now + _YEARS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return _sign(builder, issuer_key, issuer_key.public_key())


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    key: PublicKey,
    serial: int,
    start: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=serial,
        not_valid_before=start,
        not_valid_after=end,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _sign(builder: x509.CertificateBuilder, key: PrivateKey, issuer: PublicKey) -> x509.Certificate:
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
    )
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest)


def _name_of(key: PublicKey) -> x509.Name:
    # OpenSSL finds an issuer by its name, so keys need different ones.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, public_key_hash(key)[:16])])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
