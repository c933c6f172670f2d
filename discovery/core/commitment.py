"""The values of pairing: commitment, transcript, the six digits, and the proof of a scanned code.

Commit, peer's nonce, reveal: whoever sits in the middle has to choose a nonce of its own before it
learns the one that it would have to fit, so of a million tries one succeeds, and each try is seen
(design/pairing.md, "Six-digit comparison").  `k…` are the 32 bytes of the SHA-256 of a TLS leaf
key, taken from the socket and never from a body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from discovery.core.errors import MessageError

SID: Final = 16
NONCE: Final = 32
SECRET: Final = 16
MODULUS: Final = 10**6

_VERSION = b"\x01"
_COMMIT = b"thali-pair-1/commit"
_TRANSCRIPT = b"thali-pair-1/transcript"
_DIGITS = b"thali-pair-1/sas"
_QR = b"thali-qr-1"
_QR_TRANSCRIPT = b"thali-qr-1/transcript"


def lp(*items: bytes) -> bytes:
    """Return the items in one, each after its length: no two lists give the same bytes."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def commitment(sid: bytes, k_i: bytes, k_r: bytes, n_i: bytes) -> bytes:
    """Return what the initiator sends before it sees the responder's nonce."""
    return hashlib.sha256(lp(_COMMIT, sid, k_i, k_r, n_i)).digest()


def transcript(
    sid: bytes, k_i: bytes, k_r: bytes, n_i: bytes, n_r: bytes, start: bytes, answer: bytes
) -> bytes:
    """Return the hash of all that was said; `start` and `answer` are the bytes of both bodies."""
    said = (hashlib.sha256(start).digest(), hashlib.sha256(answer).digest())
    return hashlib.sha256(lp(_TRANSCRIPT, _VERSION, sid, k_i, k_r, n_i, n_r, *said)).digest()


def digits(said: bytes, modulus: int = MODULUS) -> int:
    """Return the number that both people see for the transcript `said`."""
    derived = HKDF(hashes.SHA256(), 8, salt=None, info=_DIGITS).derive(said)
    return int.from_bytes(derived, "big") % modulus


def code(said: bytes) -> str:
    """Return the six digits as people compare them: two groups of three."""
    number = f"{digits(said):06}"
    return f"{number[:3]} {number[3:]}"


def proof(secret: bytes, k_s: bytes, k_d: bytes, sid: bytes) -> bytes:
    """Return what shows that the sender knows the secret of a code or invitation."""
    return hmac.digest(secret, lp(_QR, k_s, k_d, sid), "sha256")


def qr_transcript(sid: bytes, k_s: bytes, k_d: bytes, body: bytes) -> bytes:
    """Return the transcript of a scanned code or an invitation, for its six digits."""
    said = hashlib.sha256(body).digest()
    return hashlib.sha256(lp(_QR_TRANSCRIPT, _VERSION, sid, k_s, k_d, said)).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(one, other)


def encoded(value: bytes) -> str:
    """Return bytes as messages carry them: base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: object, size: int | None = None) -> bytes:
    """Return the bytes of a member; raises MessageError, also for another spelling or length."""
    if not isinstance(text, str):
        raise MessageError
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise MessageError from None
    if encoded(value) != text or (size is not None and len(value) != size):
        raise MessageError
    return value
