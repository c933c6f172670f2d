"""The hub's own keys on disk: the identity, this device's key, and the owner's client key.

A person has one identity key; each device has its own, with a certificate that the identity
signed.  TLS presents the device's certificate and the identity's (design/identity-and-tls.md).

    identity.key  identity.crt     who the owner is; the one thing to keep a recovery of
    device.key    device.crt       what this hub shows; device.crt holds both certificates
    owner.key     owner.crt        what the owner's own programs show
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from acl import store
from acl.core import certs, recovery
from acl.core.certs import PrivateKey
from acl.core.errors import AlreadyThere, RefusedError

_LEAVES = ("device", "owner")


@dataclass(frozen=True, slots=True)
class Identity:
    """Hashes of our keys."""

    key: str
    device_key: str
    owner_key: str


def ensure(folder: Path, now: datetime.datetime) -> Identity:
    """Make the keys that are missing, note them as the owner's own, and return what they are."""
    with _alone(folder):
        if not (folder / "identity.crt").exists():
            _write_identity(folder, ec.generate_private_key(ec.SECP256R1()))
        for name in _LEAVES:
            if not (folder / f"{name}.crt").exists():
                _write_leaf(folder, name, now)
    found = load(folder)
    store.register_own(found.key, found.device_key, found.owner_key)
    return found


def load(folder: Path) -> Identity:
    """Return what our keys are; raises RefusedError where there are none yet."""
    try:
        changed = (folder / "owner.crt").stat().st_mtime_ns
    except FileNotFoundError:
        raise RefusedError(
            "This hub has no identity yet. Start it once: manage.py hub"
        ) from None
    return _load(folder, changed)


def export(folder: Path, passphrase: str) -> bytes:
    """Return the recovery file: the identity key under a passphrase.

    Raises KeyFormatError for a passphrase that is too short.
    """
    load(folder)
    return recovery.encrypted(
        _read_key(folder / "identity.key"),
        passphrase,
        salt=secrets.token_bytes(recovery.SALT_BYTES),
        iv=secrets.token_bytes(recovery.IV_BYTES),
    )


def import_(folder: Path, pem: bytes, passphrase: str, now: datetime.datetime) -> Identity:
    """Take the identity of a recovery file for ours, and sign this device's certificates anew.

    Raises KeyFormatError for a wrong passphrase, AlreadyThere where this hub has another identity.
    """
    key = recovery.decrypted(pem, passphrase)
    with _alone(folder):
        _refuse_another(folder, certs.public_key_hash(key.public_key()))
        _write_identity(folder, key)
        for name in _LEAVES:
            _write_leaf(folder, name, now)
    found = load(folder)
    store.register_own(found.key, found.device_key, found.owner_key)
    return found


def _refuse_another(folder: Path, key: str) -> None:
    if (folder / "identity.crt").exists() and _key_in(folder / "identity.crt") != key:
        raise AlreadyThere(
            "This hub has another identity already. Import into a hub with an empty data folder: "
            "set HUB_DATA to a new one."
        )


@functools.lru_cache(maxsize=8)
def _load(folder: Path, changed: int) -> Identity:
    return Identity(
        _key_in(folder / "identity.crt"),
        _key_in(folder / "device.crt"),
        _key_in(folder / "owner.crt"),
    )


def _key_in(path: Path) -> str:
    return certs.key_of(x509.load_pem_x509_certificates(path.read_bytes())[0])


def _read_key(path: Path) -> PrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, PrivateKey)
    return key


def _write_identity(folder: Path, key: PrivateKey) -> None:
    certificate = certs.self_signed(key, x509.random_serial_number())
    # The certificate last: where it is, the key is.
    write_private(folder / "identity.key", pem_of(key))
    write_private(folder / "identity.crt", certificate.public_bytes(Encoding.PEM))


def _write_leaf(folder: Path, name: str, now: datetime.datetime) -> None:
    """Write a key, kept where there is one, and its certificate with the identity's behind it."""
    key_path = folder / f"{name}.key"
    if not key_path.exists():
        write_private(key_path, pem_of(ec.generate_private_key(ec.SECP256R1())))
    issuer_text = (folder / "identity.crt").read_bytes()
    leaf = certs.signed_leaf(
        _read_key(key_path).public_key(),
        x509.load_pem_x509_certificate(issuer_text),
        _read_key(folder / "identity.key"),
        serial=x509.random_serial_number(),
        now=now,
    )
    write_private(folder / f"{name}.crt", leaf.public_bytes(Encoding.PEM) + issuer_text)


def pem_of(key: PrivateKey) -> bytes:
    """Return a private key as it lies on disk."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: all of it or nothing, also through a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making keys at the same time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "identity.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
