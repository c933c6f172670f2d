"""Keys as names: a public key's hash is who somebody is.

A principal is named by the SHA-256 of its key's SubjectPublicKeyInfo, never by its certificate,
which may be renewed (design/identity-and-tls.md).  The hash has two spellings:

- for machines: `sha256:` and 43 characters of base64url;
- for people: 52 characters of base32 and 4 check characters, in 8 groups of 7, as Syncthing shows
  device IDs (design/pairing.md, "Key texts a person can read").  Each quarter of 13 characters has
  its own Luhn check character (modulo 32), so that every single mistyped character is noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from acl.core.errors import KeyFormatError

PREFIX: Final = "sha256:"
_HASH = re.compile(r"[A-Za-z0-9_-]{43}")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_QUARTER: Final = 13
_GROUP: Final = 7
# People confuse these, and base32 has only the letters of each pair.
_SIGHT = str.maketrans("018", "OIB", " -\t\r\n")
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_RSA_BITS = range(2048, 16385)  # OpenSSL itself refuses larger keys.


def key_hash(spki_der: bytes) -> str:
    """Return the name of a key from its SubjectPublicKeyInfo: 43 characters of base64url."""
    return _encoded(hashlib.sha256(spki_der).digest())


def parse_key(text: str) -> str:
    """Return the key hash in `sha256:…`; raises KeyFormatError."""
    value = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or not is_key_hash(value):
        raise KeyFormatError(
            f"A key reads {PREFIX} and 43 characters of base64url; this one does not."
        )
    return value


def is_key_hash(value: str) -> bool:
    """Tell whether `value` is the one spelling of some key hash."""
    return _HASH.fullmatch(value) is not None and _encoded(_decoded(value)) == value


def parse_any(text: str) -> str:
    """Return the key hash in either spelling, for people; raises KeyFormatError."""
    text = text.strip()
    return parse_key(text) if text.startswith(PREFIX) else parse_key_text(text)


def key_text(key: str) -> str:
    """Return a key hash as a person reads it: 8 groups of 7 characters with dashes."""
    letters = base64.b32encode(_decoded(key)).decode().rstrip("=")
    checked = "".join(quarter + _check(quarter) for quarter in _cut(letters, _QUARTER))
    return "-".join(_cut(checked, _GROUP))


def short_key(key: str) -> str:
    """Return the first group of the key text, to tell keys apart at a glance; never to trust."""
    return base64.b32encode(_decoded(key)).decode()[:_GROUP]


def parse_key_text(text: str) -> str:
    """Return the key hash of what a person typed; raises KeyFormatError that says what is wrong.

    Case, spaces and dashes do not count; 0 is read as O, 1 as I, 8 as B.
    """
    letters = text.upper().translate(_SIGHT)
    if len(letters) != 4 * (_QUARTER + 1) or set(letters) - set(_LETTERS):
        raise KeyFormatError("A key text has 56 letters and digits (2 to 7), in 8 groups of 7.")
    return _encoded(_bytes_of("".join(_verified_quarters(letters))))


def _verified_quarters(letters: str) -> Iterator[str]:
    for number, part in enumerate(_cut(letters, _QUARTER + 1)):
        quarter, check = part[:-1], part[-1]
        if _check(quarter) != check:
            raise KeyFormatError(
                f"There is a typing error in group {2 * number + 1} or {2 * number + 2} of the key."
            )
        yield quarter


def _bytes_of(letters: str) -> bytes:
    digest = base64.b32decode(letters + "====")
    # 52 letters hold 260 bits: the last four must be zero, or two texts would name one key.
    if base64.b32encode(digest).decode().rstrip("=") != letters:
        raise KeyFormatError("There is a typing error in the last group of the key.")
    return digest


def _check(letters: str) -> str:
    """Return the Luhn check character, modulo 32 (Wikipedia, "Luhn mod N algorithm")."""
    total = 0
    for position, letter in enumerate(reversed(letters)):
        addend = _LETTERS.index(letter) * (2 - position % 2)
        total += addend // 32 + addend % 32
    return _LETTERS[-total % 32]


def _cut(text: str, size: int) -> Iterable[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _decoded(value: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(value + "=")
    except (binascii.Error, ValueError) as error:
        raise KeyFormatError from error


def accepted_key_type(public_key: object) -> bool:
    """Tell whether the key is P-256, P-384, Ed25519, or RSA of at least 2048 bits."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return isinstance(public_key.curve, _CURVES)
    if isinstance(public_key, rsa.RSAPublicKey):
        return public_key.key_size in _RSA_BITS
    return isinstance(public_key, ed25519.Ed25519PublicKey)
