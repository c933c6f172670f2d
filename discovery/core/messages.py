"""The bodies of the pairing's messages: JSON of at most 4 KiB, bytes as unpadded base64url.

What each message holds stands in FIELDS at the end, by the names of design/pairing.md.  A member
that is not named there is ignored; one that is missing or of another form refuses the message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from discovery.core import signed
from discovery.core.card import addresses
from discovery.core.commitment import NONCE, SID, decoded, encoded
from discovery.core.errors import MessageError

LARGEST: Final = 4096
LONGEST_NAME: Final = 64
"""Bytes of a name in a message."""


def write(**members: Any) -> bytes:
    """Return a body; its version is added."""
    plain = {
        name: encoded(value) if isinstance(value, bytes) else value
        for name, value in members.items()
    }
    return orjson.dumps({"v": 1, **plain})


def read(kind: str, body: bytes, longest: int = LARGEST) -> dict[str, Any]:
    """Return the members of a message of this kind; raises MessageError."""
    document = signed.parsed(body, longest)
    if document.get("v") != 1:
        raise MessageError
    return {name: reader(document.get(name)) for name, reader in FIELDS[kind].items()}


def cut(name: str) -> str:
    """Return a name as a message may carry it."""
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")


def _bytes(size: int) -> Callable[[object], bytes]:
    return lambda value: decoded(value, size)


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value.encode(errors="replace")) > LONGEST_NAME:
        raise MessageError
    if not value.isprintable():
        raise MessageError
    return value


def _card(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MessageError
    return value


def _keys(value: object) -> tuple[bytes, bytes] | None:
    """Read the two public keys that a new device asks to be signed."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise MessageError
    return decoded(value[0]), decoded(value[1])


def _certificates(value: object) -> tuple[bytes, bytes, bytes] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise MessageError
    return decoded(value[0]), decoded(value[1]), decoded(value[2])


def _state(value: object) -> str:
    if value not in ("waiting", "confirmed", "rejected", "expired"):
        raise MessageError
    return str(value)


def _flag(value: object) -> bool:
    return value is True


_sid, _thirty_two = _bytes(SID), _bytes(NONCE)
_who = {"id": _thirty_two, "name": _name, "addresses": addresses}

FIELDS: Final[Mapping[str, Mapping[str, Callable[[object], Any]]]] = {
    "start": {"sid": _sid, "commit": _thirty_two, **_who},
    "started": {"sid": _sid, "nR": _thirty_two, **_who},
    "reveal": {"sid": _sid, "nI": _thirty_two},
    # Whoever says "they don't match" tells the other side at once.
    "confirm": {"sid": _sid, "T": _thirty_two, "reject": _flag},
    "card": {"sid": _sid, "card": _card},
    "qr": {"sid": _sid, "proof": _thirty_two, "card": _card, "keys": _keys},
    "status": {"state": _state},
    "carded": {"card": _card, "certificates": _certificates},
}
