"""Tokens of local applications, and the sessions that begin with one.

A token is 256 random bits: nobody finds one by trying, so no slow hash is needed.  Its SHA-256 is
kept, and looked up as it is: whoever sends a token cannot steer its digest, so how long the search
takes tells nothing.  All tokens begin alike, so that they are known for what they are in a text.

A session is the digest of its token and an end, under a MAC.  It is nowhere kept: it ends with its
token, and earlier by itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

PREFIX: Final = "thali_"
BYTES: Final = 32

_TOKEN = re.compile(rb"thali_[A-Za-z0-9_-]{43}")
_DIGEST, _END, _MAC = 32, 8, 32
_LONGEST_SESSION = 200


def spelled(random: bytes) -> str:
    """Return the token of 32 random bytes."""
    return PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")


def digest_of(secret: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def stands_in(text: bytes) -> bool:
    """Tell whether a text, such as a URL, holds a token."""
    return b"thali_" in text and _TOKEN.search(text) is not None


def of_authorization(header: str) -> str | None:
    """Return the secret that an Authorization header carries; None for one that carries none.

    It may be the password of Basic, under any name (RFC 7617), or a Bearer token (RFC 6750).
    """
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return pair.partition(":")[2] or None


def of_cookies(header: str) -> str | None:
    """Return the session that a Cookie header carries (RFC 6265, 4.2)."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == "AuthSession":
            return value or None
    return None


def session(digest: str, end: int, key: bytes) -> str:
    """Return a session of the token with this digest, which ends at `end` (Unix seconds)."""
    told = bytes.fromhex(digest) + end.to_bytes(_END, "big")
    return base64.urlsafe_b64encode(told + _mac(told, key)).decode()


def digest_of_session(text: str, now: float, key: bytes) -> str | None:
    """Return the digest of the token that the session began with; None if it has ended."""
    try:
        raw = base64.urlsafe_b64decode(text) if len(text) <= _LONGEST_SESSION else b""
    except (binascii.Error, ValueError):
        return None
    told, mac = raw[:-_MAC], raw[-_MAC:]
    if len(told) != _DIGEST + _END or not hmac.compare_digest(mac, _mac(told, key)):
        return None
    ended = int.from_bytes(told[_DIGEST:], "big") <= now
    return None if ended else told[:_DIGEST].hex()


def _mac(told: bytes, key: bytes) -> bytes:
    return hmac.digest(key, told, "sha256")
