"""Onion services, as texts and decisions: addresses, what tor is told, and what it answers.

An onion address is the service's Ed25519 key (rend-spec-v3, "Encoding onion addresses"), so nobody
has to be asked what it means.  It is not the identity key: that one must not sign for tor, and the
address can be renewed without it (design/tor.md, "Separate keys").
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from discovery.core.errors import (
    AddressError,
    NobodyAtOnion,
    NotAuthorized,
    NotInTor,
    OnionsOnly,
    TorFailed,
    UnreachableError,
    WrongOnion,
)

PORT: Final = 6984
"""The port that a hub's onion service shows."""
MOST_CLIENTS: Final = 300
"""With 400 authorized clients tor says OK and publishes nothing (design/tor.md)."""

_VERSION = b"\x03"
_KEY_BYTES = 32
_CLIENT_KEY = re.compile(r"[A-Z2-7]{52}")
_PROGRESS = re.compile(r"PROGRESS=(\d{1,3})\b")
_SUMMARY = re.compile(r'SUMMARY="([^"]*)"')
_WARNING = re.compile(r'WARNING="([^"]*)"')
_ONION_HOST = re.compile(r"(?:.*\.)?onion\.?", re.IGNORECASE)
_LONGEST_PAUSE = 60.0


class State(StrEnum):
    """How far Tor is."""

    OFF = "off"
    MISSING = "missing"
    STARTING = "starting"
    CONNECTED = "connected"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    REACHABLE = "reachable"
    CLOSED = "closed"
    FAILED = "failed"


# -- addresses and keys ----------------------------------------------------------------------------


def address_of(public_key: bytes) -> str:
    """Return the onion address of an Ed25519 key, with “.onion”; raises AddressError."""
    if len(public_key) != _KEY_BYTES:
        raise AddressError
    whole = public_key + _checksum(public_key) + _VERSION
    return base64.b32encode(whole).decode().lower() + ".onion"


def key_of(address: str) -> bytes:
    """Return the key that an onion address is; raises AddressError, for a typing error too."""
    name = address.lower().removesuffix(".onion")
    try:
        whole = base64.b32decode(name.upper())
    except ValueError:
        raise AddressError from None
    if len(whole) != _KEY_BYTES + 3 or address_of(whole[:_KEY_BYTES]) != f"{name}.onion":
        raise AddressError("A letter of this onion address is wrong. Copy it again.")
    return whole[:_KEY_BYTES]


def _checksum(public_key: bytes) -> bytes:
    return hashlib.sha3_256(b".onion checksum" + public_key + _VERSION).digest()[:2]


def is_onion(host: str) -> bool:
    """Tell whether a name belongs to Tor, and so must never be asked of DNS (RFC 7686)."""
    return _ONION_HOST.fullmatch(host) is not None


def service_key(seed: bytes) -> str:
    """Return an Ed25519 private key as ADD_ONION takes it: hashed, and its bits set."""
    scalar = bytearray(hashlib.sha512(seed).digest())
    scalar[0] &= 248
    scalar[31] = scalar[31] & 63 | 64
    return f"ED25519-V3:{base64.b64encode(scalar).decode()}"


def client_key(public_key: bytes) -> str:
    """Return the public X25519 key of a client as cards and ADD_ONION carry it."""
    return base64.b32encode(public_key).decode().rstrip("=")


def is_client_key(text: object) -> bool:
    """Tell whether this is such a key."""
    return isinstance(text, str) and _CLIENT_KEY.fullmatch(text) is not None


# -- what tor is told ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Torrc:
    """What a tor of our own runs with; paths are texts."""

    data: str
    control: str
    socks: str
    log: str
    owner: int
    """The process whose end is tor's end."""
    onions_only: bool = True
    for_applications: bool = False
    more: Sequence[str] = field(default=())
    """Lines of the owner."""

    def text(self) -> str:
        """Return the file's text."""
        own = "ExtendedErrors OnionTrafficOnly" if self.onions_only else "ExtendedErrors"
        lines = [
            f"DataDirectory {_quoted(self.data)}",
            f"ControlSocket {_quoted(self.control)}",
            "CookieAuthentication 1",
            f"SocksPort unix:{_quoted(self.socks)} {own}",
            f"Log notice file {self.log}",
            f"__OwningControllerProcess {self.owner}",
            "SocksTimeout 60",
            "ClientOnly 1",
            "AvoidDiskWrites 1",
        ]
        if self.for_applications:
            # Each application has circuits of its own by its SOCKS user name, and without one by
            # where it goes; and none of them are the hub's.
            lines.append("SocksPort 127.0.0.1:auto IsolateDestAddr IsolateDestPort")
        return "\n".join([*lines, *self.more, ""])


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def add_onion(seed: bytes, target: str, clients: Iterable[str] | None) -> str:
    """Return the command that begins a service which leads to `target` (host:port).

    With `clients` only they can connect, by these public keys; None lets everybody.
    """
    flags, more = ["DiscardPK"], list[str]()
    if clients is not None:
        flags.append("V3Auth")
        more = [f"ClientAuthV3={key}" for key in sorted(set(clients))[:MOST_CLIENTS]]
    parts = ["ADD_ONION", service_key(seed), f"Flags={','.join(flags)}", f"Port={PORT},{target}"]
    return " ".join([*parts, *more])


def authorize(address: str, private_key: bytes) -> str:
    """Return the command by which tor can open a service that has authorized us."""
    name = address.removesuffix(".onion")
    return f"ONION_CLIENT_AUTH_ADD {name} x25519:{base64.b64encode(private_key).decode()}"


# -- what tor answers ------------------------------------------------------------------------------


class Bootstrap(NamedTuple):
    """How far tor is with getting into its network."""

    percent: int
    said: str


def bootstrap(reply: str) -> Bootstrap:
    """Return what `GETINFO status/bootstrap-phase` says; what is not understood is nothing yet."""
    percent = _PROGRESS.search(reply)
    said = _WARNING.search(reply) or _SUMMARY.search(reply)
    return Bootstrap(min(int(percent[1]), 100) if percent else 0, said[1] if said else "")


def listeners(reply: str) -> list[str]:
    """Return the addresses in `GETINFO net/listeners/socks`, as `host:port` or `unix:path`."""
    try:
        return shlex.split(reply)
    except ValueError:
        return []


class Uploads:
    """Whether a service's descriptor is where others look for it: every UPLOAD had its UPLOADED.

    After the first one alone a client may still be told that there is no such service.
    """

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._done: set[str] = set()
        self._failed: set[str] = set()

    def saw(self, action: str, directory: str) -> None:
        """Note an event of HS_DESC."""
        if action == "UPLOAD":
            self._begun.add(directory)
            self._done.discard(directory)
            self._failed.discard(directory)
        elif action == "UPLOADED":
            self._done.add(directory)
        elif action == "FAILED" and directory in self._begun - self._done:
            self._failed.add(directory)

    @property
    def are_complete(self) -> bool:
        """Whether the service is published: some took it, and nobody is still being asked."""
        return bool(self._done) and not self._begun - self._done - self._failed


def pause(failures: int) -> float:
    """Return how many seconds to wait before the next try, after so many that failed."""
    return min(_LONGEST_PAUSE, 2.0 ** min(failures, 10) / 2)


# -- what SOCKS answers ----------------------------------------------------------------------------

SOCKS_ERRORS: Final[Mapping[int, type[UnreachableError]]] = {
    0x02: OnionsOnly,
    0x05: NobodyAtOnion,
    0xF0: NotInTor,
    0xF4: NotAuthorized,
    0xF5: NotAuthorized,
    0xF6: WrongOnion,
}
"""Tor's answers to CONNECT with ExtendedErrors (tor's manual, SocksPort)."""


def socks_error(code: int) -> UnreachableError:
    """Return what an answer of SOCKS means to a person."""
    return SOCKS_ERRORS.get(code, TorFailed)()
