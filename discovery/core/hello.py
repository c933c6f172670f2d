"""What hubs nearby say to each other at their announcement listeners, beside the announcements.

*Here*, by mutual TLS: where the sender can be reached, and by which certificate.  *Waiting*, to
anybody: that the sender's owner has just asked to compare codes with a hub nearby, under a name
that was drawn by lot for that.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final, NamedTuple

import orjson

from discovery.core.commitment import decoded, encoded
from discovery.core.errors import MessageError

HERE: Final = "/_thali/nearby/v1/here"
WAITING: Final = "/_thali/nearby/v1/waiting"
LARGEST: Final = 2048
NAME_BYTES: Final = 5

_NAME = re.compile(r"[A-Z2-7]{4}-[A-Z2-7]{4}")
_LONGEST_CERTIFICATE = 1024


class Here(NamedTuple):
    """Where a hub can be reached; `expires` is in milliseconds."""

    port: int
    certificate: bytes
    expires: int


def write_here(said: Here) -> bytes:
    """Return the message."""
    certificate = encoded(said.certificate)
    return orjson.dumps(
        {"v": 1, "port": said.port, "certificate": certificate, "expires": said.expires}
    )


def read_here(body: bytes) -> Here:
    """Return what a message says; raises MessageError."""
    said = _object(body)
    certificate = decoded(said.get("certificate"))
    if not 0 < len(certificate) <= _LONGEST_CERTIFICATE:
        raise MessageError
    expires = said.get("expires")
    if type(expires) is not int or not 0 < expires < 2**53:
        raise MessageError
    return Here(_port(said), certificate, expires)


def spelled(random: bytes) -> str:
    """Return a name for the time of one comparison, that a person can read out."""
    letters = base64.b32encode(random).decode()
    return f"{letters[:4]}-{letters[4:8]}"


def write_waiting(name: str, port: int) -> bytes:
    """Return the message; `port` is where the sender compares codes."""
    return orjson.dumps({"v": 1, "name": name, "port": port})


def read_waiting(body: bytes) -> tuple[str, int]:
    """Return the name and the port of a hub that waits; raises MessageError."""
    said = _object(body)
    name = said.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise MessageError
    return name, _port(said)


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body) if len(body) <= LARGEST else None
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or said.get("v") != 1:
        raise MessageError
    return said


def _port(said: dict[str, Any]) -> int:
    port = said.get("port")
    if type(port) is not int or not 0 < port < 65_536:
        raise MessageError
    return port
