"""Signed JSON: a document, its signer's key and a signature over the canonical form (RFC 8785).

The canonical form is of all members but `signature`, known and unknown: whoever reads a document
keeps all of it, and can hand it on.  ES256 (RFC 7518, 3.4): P-256, SHA-256, 64 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from acl.core.errors import KeyFormatError
from acl.core.keys import key_hash
from discovery.core.commitment import decoded, encoded
from discovery.core.errors import MessageError

_HALF: Final = 32
_ES256 = ec.ECDSA(hashes.SHA256())
_DEEPEST = 16


def sign(content: Mapping[str, Any], key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """Return `content` with the members `key` and `signature`; raises KeyFormatError."""
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFormatError("Only an identity key of type P-256 can sign a card.")
    document = {**content, "key": encoded(_spki(key.public_key()))}
    document.pop("signature", None)
    r, s = decode_dss_signature(key.sign(canonical(document), _ES256))
    return {**document, "signature": encoded(r.to_bytes(_HALF) + s.to_bytes(_HALF))}


def verified(document: object) -> str:
    """Return the key hash of whoever has signed the document; raises MessageError."""
    if not isinstance(document, dict):
        raise MessageError
    spki = decoded(document.get("key"))
    signature = decoded(document.get("signature"), 2 * _HALF)
    r, s = (int.from_bytes(half) for half in (signature[:_HALF], signature[_HALF:]))
    content = {name: value for name, value in document.items() if name != "signature"}
    try:
        _public_key(spki).verify(encode_dss_signature(r, s), canonical(content), _ES256)
    except (InvalidSignature, ValueError):
        raise MessageError("The signature of this card is wrong. Ask for it again.") from None
    return key_hash(spki)


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed; raises MessageError for what has no canonical form."""
    _check_depth(document, _DEEPEST)
    try:
        return rfc8785.dumps(dict(document))
    except (rfc8785.CanonicalizationError, UnicodeError):
        raise MessageError from None


def parsed(text: str | bytes, longest: int) -> dict[str, Any]:
    """Return the JSON object in `text`; raises MessageError."""
    try:
        document = orjson.loads(text) if len(text) <= longest else None
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise MessageError
    return document


def _public_key(spki: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        raise MessageError from None
    # One key has one name: another spelling of it would be somebody else.
    if not isinstance(key, ec.EllipticCurvePublicKey) or _spki(key) != spki:
        raise MessageError
    if not isinstance(key.curve, ec.SECP256R1):
        raise MessageError
    return key


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_depth(value: object, left: int) -> None:
    if left == 0:
        raise MessageError
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        for one in inner:  # type: ignore[attr-defined]
            _check_depth(one, left - 1)
