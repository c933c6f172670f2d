"""The keys that this hub has for Tor alone, in its data folder.

`onion.key` is the onion service's, so it is the address; `client.key` opens services that let in
contacts only.  Neither is the identity key, and tor sees no other (discovery/core/onion.py).
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from acl.identity import write_private
from discovery.core import onion

K = TypeVar("K", Ed25519PrivateKey, X25519PrivateKey)
_SERVICE, _CLIENT = "onion.key", "client.key"


class Keys(NamedTuple):
    """The private keys, and what others are told of them."""

    seed: bytes
    address: str
    client: bytes
    client_public: str


def folder(data: Path) -> Path:
    """Return the folder of all that is Tor's, made if there is none."""
    path = data / "tor"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def ensure(data: Path) -> Keys:
    """Return our keys; those that are missing are made."""
    with _locked(folder(data)) as place:
        service = _kept(place / _SERVICE, Ed25519PrivateKey)
        client = _kept(place / _CLIENT, X25519PrivateKey)
    return Keys(
        service.private_bytes_raw(),
        onion.address_of(service.public_key().public_bytes_raw()),
        client.private_bytes_raw(),
        onion.client_key(client.public_key().public_bytes_raw()),
    )


def renew(data: Path) -> Keys:
    """Make another address; the one before is gone for good."""
    with _locked(folder(data)) as place:
        (place / _SERVICE).unlink(missing_ok=True)
    return ensure(data)


def _kept(path: Path, kind: type[K]) -> K:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        made = kind.generate()
        write_private(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return made
    if not isinstance(key, kind):
        raise ValueError(f"{path} holds another kind of key.")
    return key


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[Path]:
    with (place / "keys.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield place
