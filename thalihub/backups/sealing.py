"""A stream of bytes under a passphrase, which who writes it need not know.

The passphrase wraps a private key (X25519) by scrypt (RFC 7914), once; this is the *lock*.  Each
file is sealed to the lock's public half, so a hub makes backups by itself and keeps nothing that
opens them: the lock stands in the file, and the file and the passphrase are all that is needed.

    b"THALI-BACKUP\\n"  length (4 bytes)  head (JSON: the lock, and the file's own public key)
    chunks of 64 KB, each under ChaCha20-Poly1305; the last one is marked, and may be shorter

The key of the chunks is derived from both keys and the whole head (HKDF, RFC 5869).  A chunk's
nonce is its number and whether it is the last one (the STREAM construction, Hoang et al. 2015): so
chunks that were swapped, left out, added or cut off at the end are noticed, each before its bytes
are used.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from acl.core.errors import RefusedError
from acl.core.recovery import SHORTEST_PASSPHRASE

SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
COST: Final = 2**16
"""Of scrypt: 64 MB of memory and a fifth of a second; a small server at home can do it."""

_MAGIC = b"THALI-BACKUP\n"
_FORMAT = 1
_LENGTH = struct.Struct(">I")
_CHUNK, _TAG = 64 * 1024, 16
_MOST_HEAD, _MOST_COST = 4096, 2**20

Write = Callable[[bytes], object]
Read = Callable[[int], bytes]


class NoBackup(RefusedError):
    """The file is something else."""

    reason = "This file is no backup of a hub. Name a file that “manage.py backup” has made."


class WrongPassphrase(RefusedError):
    """The passphrase does not open the file."""

    reason = "The passphrase is wrong. It is the one that was set when this backup was made."


class Damaged(RefusedError):
    """The file is not as it was written."""

    reason = "This backup is damaged or was cut off. Use another copy of it, or an older backup."


@dataclass(frozen=True, slots=True)
class Lock:
    """A public key, and its private half under a passphrase."""

    public: bytes
    salt: bytes
    cost: int
    sealed: bytes

    def as_text(self) -> str:
        """Return the lock as it is kept."""
        return json.dumps(
            {
                "public": _text(self.public),
                "salt": _text(self.salt),
                "cost": self.cost,
                "sealed": _text(self.sealed),
            }
        )


def lock_from(text: str) -> Lock:
    """Return the lock that `as_text` has kept; raises NoBackup."""
    return _lock(_object(text.encode()))


def new_lock(passphrase: str, *, private: bytes, salt: bytes, cost: int = COST) -> Lock:
    """Wrap the private key `private` under a passphrase; raises RefusedError for a short one."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise RefusedError(f"A passphrase has at least {SHORTEST_PASSPHRASE} characters.")
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    # The key comes from a fresh salt and is used once, so the nonce may be anything.
    sealed = _under(passphrase, salt, cost).encrypt(bytes(12), private, public)
    return Lock(public, salt, cost, sealed)


def unlocked(lock: Lock, passphrase: str) -> bytes:
    """Return the private key; raises WrongPassphrase."""
    try:
        cipher = _under(passphrase, lock.salt, lock.cost)
        return cipher.decrypt(bytes(12), lock.sealed, lock.public)
    except InvalidTag:
        raise WrongPassphrase from None


def _under(passphrase: str, salt: bytes, cost: int) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(Scrypt(salt, KEY_BYTES, cost, 8, 1).derive(passphrase.encode()))


class Sealer:
    """Writes one sealed file; `secret` is a private key for this file alone."""

    def __init__(self, write: Write, lock: Lock, secret: bytes) -> None:
        own = X25519PrivateKey.from_private_bytes(secret)
        head = json.dumps(
            {
                "format": _FORMAT,
                "lock": json.loads(lock.as_text()),
                "key": _text(own.public_key().public_bytes_raw()),
            }
        ).encode()
        shared = own.exchange(X25519PublicKey.from_public_bytes(lock.public))
        self.key = _derived(shared, head)
        """Opens this file alone."""
        self._write, self._cipher = write, ChaCha20Poly1305(self.key)
        self._number, self._waiting = 0, bytearray()
        write(_MAGIC + _LENGTH.pack(len(head)) + head)

    def write(self, data: bytes) -> None:
        """Seal `data`, once it fills a chunk."""
        self._waiting += data
        # The last chunk is marked, so one that is full waits until more has come.
        while len(self._waiting) > _CHUNK:
            self._seal(bytes(self._waiting[:_CHUNK]), is_last=False)
            del self._waiting[:_CHUNK]

    def close(self) -> None:
        """Seal what is left; without this the file cannot be opened."""
        self._seal(bytes(self._waiting), is_last=True)

    def _seal(self, chunk: bytes, is_last: bool) -> None:
        self._write(self._cipher.encrypt(_nonce(self._number, is_last), chunk, None))
        self._number += 1


class Opener:
    """Reads one sealed file; `lock` says what it is sealed to."""

    def __init__(self, read: Read) -> None:
        """Read the head; raises NoBackup."""
        self._read = read
        if read(len(_MAGIC)) != _MAGIC:
            raise NoBackup
        self._head = self._read_head()
        said = _object(self._head)
        if said.get("format") != _FORMAT:
            raise NoBackup("This backup was made by a newer hub. Update this one first.")
        self.lock = _lock(said.get("lock"))
        self._own = _bytes(said.get("key"), KEY_BYTES)

    def _read_head(self) -> bytes:
        raw = self._read(_LENGTH.size)
        if len(raw) < _LENGTH.size or _LENGTH.unpack(raw)[0] > _MOST_HEAD:
            raise NoBackup
        return self._read(_LENGTH.unpack(raw)[0])

    def key(self, private: bytes) -> bytes:
        """Return the key that opens this file, by the private key of its lock."""
        ours = X25519PrivateKey.from_private_bytes(private)
        return _derived(ours.exchange(X25519PublicKey.from_public_bytes(self._own)), self._head)

    def chunks(self, key: bytes) -> Iterator[bytes]:
        """Yield what was sealed, each piece after it was found whole; raises Damaged."""
        cipher, number = ChaCha20Poly1305(key), 0
        sealed = self._read(_CHUNK + _TAG)
        while True:
            following = self._read(_CHUNK + _TAG)
            try:
                yield cipher.decrypt(_nonce(number, not following), sealed, None)
            except InvalidTag:
                raise Damaged from None
            if not following:
                return
            sealed, number = following, number + 1


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _derived(shared: bytes, head: bytes) -> bytes:
    salt = hashlib.sha256(head).digest()
    return HKDF(SHA256(), KEY_BYTES, salt, b"thali hub backup").derive(shared)


def _lock(said: Any) -> Lock:
    if not isinstance(said, dict):
        raise NoBackup
    cost = said.get("cost")
    if not isinstance(cost, int) or not 2 <= cost <= _MOST_COST or cost & (cost - 1):
        raise NoBackup
    return Lock(
        _bytes(said.get("public"), KEY_BYTES),
        _bytes(said.get("salt"), SALT_BYTES),
        cost,
        _bytes(said.get("sealed"), KEY_BYTES + _TAG),
    )


def _object(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        raise NoBackup from None
    if not isinstance(said, dict):
        raise NoBackup
    return said


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: Any, length: int) -> bytes:
    try:
        found = base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise NoBackup from None
    if len(found) != length:
        raise NoBackup
    return found
