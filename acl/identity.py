"""Our own keys on disk: who this hub is.

The owner has one identity key.  Each device has a key of its own, whose certificate the identity
has signed; TLS shows that certificate and the identity's.  The owner's own client certificate is a
device as well (design/identity-and-tls.md, "Keys").  In the data folder stand

    identity.key  identity.crt    the identity, self-signed
    device.key    device.crt      this hub, and the identity below it
    owner.key     owner.crt       the owner's client certificate for the API, likewise

Each file is for the owner's eyes only and is replaced whole.  `ensure` makes what is missing and
signs anew what does not fit, so a hub that died half-way, or a recovered identity, is made whole
by the same steps.  A key that is there is never replaced.  An identity key that was lost is asked
for: a new one would make this hub a stranger to everybody.

A further hub of the same person has no identity key: it is a device whose certificates another hub
has signed.  `adopted.pem` holds them, and says that the key is elsewhere; the identity that the hub
had before is kept in `former.key`.
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
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from acl import store
from acl.core import certs, recovery
from acl.core.certs import PrivateKey
from acl.core.errors import AlreadyThere, KeyFormatError, RefusedError
from acl.core.keys import accepted_key_type

_SIGNED: Final = ("device", "owner")
_ADOPTED: Final = "adopted.pem"
_RENEW_BEFORE = datetime.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Identity:
    """The key hashes of the identity, of this hub, and of the owner's client certificate."""

    key: str
    device_key: str
    owner_key: str


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """The public keys (SubjectPublicKeyInfo, DER) of a hub that wants to be a device."""

    device: bytes
    owner: bytes


@dataclass(frozen=True, slots=True)
class DeviceCertificates:
    """What makes a hub a device of an identity (DER)."""

    identity: bytes
    device: bytes
    owner: bytes


def ensure(folder: Path, now: datetime.datetime) -> Identity:
    """Make this hub's keys and certificates where they are missing, and note them as principals.

    Two processes may do it at once.  Raises RefusedError for a key file that cannot be read, for
    an identity whose key was lost, and for tables that belong to another identity.
    """
    with _locked(folder):
        _require_key(folder)
        _note_adoption(folder)
        store.check_owner(_known_key(folder))
        _complete(folder, now)
        ours = load(folder)
        store.register_own(ours.key, ours.device_key, ours.owner_key)
    return ours


def load(folder: Path) -> Identity:
    """Return this hub's keys; raises RefusedError when it has none yet."""
    try:
        stamps = tuple(_stamp(folder / f"{name}.crt") for name in ("identity", *_SIGNED))
    except FileNotFoundError:
        raise RefusedError(
            "This hub has no identity yet. Start the hub once, or run: manage.py identity import"
        ) from None
    return _loaded(folder, stamps)


@functools.lru_cache(maxsize=8)
def _loaded(folder: Path, _: tuple[tuple[int, int], ...]) -> Identity:
    # The stamps are part of the cache's key: a changed file is read again.
    keys = [
        certs.key_of(_certificates(folder / f"{name}.crt")[0]) for name in ("identity", *_SIGNED)
    ]
    return Identity(*keys)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def export(folder: Path, passphrase: str) -> bytes:
    """Return the recovery file of the identity key (PEM); raises KeyFormatError, RefusedError.

    Whoever has it and the passphrase is the owner.
    """
    load(folder)
    _require_key(folder)
    key = _read_key(folder / "identity.key")
    salt, iv = (
        secrets.token_bytes(recovery.SALT_BYTES),
        secrets.token_bytes(recovery.IV_BYTES),
    )
    return recovery.encrypted(key, passphrase, salt=salt, iv=iv)


def import_(folder: Path, pem: bytes, passphrase: str, now: datetime.datetime) -> Identity:
    """Take the identity of a recovery file, and sign this hub's certificates with it.

    Raises AlreadyThere when the hub is somebody else already, KeyFormatError for a wrong file or
    passphrase.  Before the tables are made, only the files are: the hub's start does the rest.
    """
    key = recovery.decrypted(pem, passphrase)
    with _locked(folder):
        _require_same(folder, key)
        if store.is_set_up():
            store.check_owner(certs.public_key_hash(key.public_key()))
        path = folder / "identity.key"
        if not path.exists():
            write_private(path, pem_of(key))
        (folder / _ADOPTED).unlink(missing_ok=True)  # Now the key is here.
        _complete(folder, now)
        ours = load(folder)
        if store.is_set_up():
            store.register_own(ours.key, ours.device_key, ours.owner_key)
    return ours


def has_identity_key(folder: Path) -> bool:
    """Tell whether this hub can sign for its person; a device that was adopted cannot."""
    return (folder / "identity.key").exists()


def device_request(folder: Path) -> DeviceRequest:
    """Return the keys that another hub of the same person is to sign."""
    return DeviceRequest(*(_spki(_read_key(folder / f"{name}.key")) for name in _SIGNED))


def sign_device(folder: Path, request: DeviceRequest, now: datetime.datetime) -> DeviceCertificates:
    """Make certificates for another hub of this person.

    Both keys then act as the owner: whoever revokes that device has to revoke both.  Raises
    KeyFormatError, and RefusedError on a hub that has no identity key itself.
    """
    if not has_identity_key(folder):
        raise RefusedError(
            "Your identity key is on another of your devices. Add this one there, or import your "
            "recovery file here first: manage.py identity import"
        )
    key, issuer = _read_key(folder / "identity.key"), _certificates(folder / "identity.crt")[0]
    device, owner = (
        _der(certs.signed_leaf(_public_key(spki), issuer, key, serial=_serial(), now=now))
        for spki in (request.device, request.owner)
    )
    return DeviceCertificates(_der(issuer), device, owner)


def adopt(folder: Path, given: DeviceCertificates, now: datetime.datetime) -> Identity:
    """Make this hub a device of the identity that signed `given`.

    Raises KeyFormatError for certificates that are not of this hub's keys, RefusedError where this
    hub has friends already: they know it by the identity that it would give up.
    """
    with _locked(folder):
        _check_given(folder, given)
        store.check_friendless()
        ours = folder / "identity.key"
        if ours.exists() and certs.key_of(certs.parse(given.identity)) != _known_key(folder):
            write_private(folder / "former.key", ours.read_bytes())
            write_private(folder / _ADOPTED, _pem_of_ders(given))
        _note_adoption(folder)
        _complete(folder, now)
        ours_now = load(folder)
        store.register_own(ours_now.key, ours_now.device_key, ours_now.owner_key)
    return ours_now


def _check_given(folder: Path, given: DeviceCertificates) -> None:
    wanted = certs.key_of(certs.parse(given.identity))
    for name, der in zip(_SIGNED, (given.device, given.owner), strict=True):
        own = certs.public_key_hash(_read_key(folder / f"{name}.key").public_key())
        if certs.verified_keys(der, [given.identity]) != [own, wanted]:
            raise KeyFormatError("These certificates were not made for this hub.")


def _note_adoption(folder: Path) -> None:
    """Give up the identity that this hub had before it was adopted; a crash repeats it."""
    if not (folder / _ADOPTED).exists():
        return
    former = folder / "former.key"
    (folder / "identity.key").unlink(missing_ok=True)
    adopted = certs.key_of(_certificates(folder / _ADOPTED)[0])
    if former.exists() and store.is_set_up():
        store.replace_owner(certs.public_key_hash(_read_key(former).public_key()), adopted)


def _require_key(folder: Path) -> None:
    # The key is written before its certificate: no crash leaves the certificate alone.
    lost = (folder / "identity.crt").exists() and not (folder / "identity.key").exists()
    if lost and not (folder / _ADOPTED).exists():
        raise RefusedError(
            f"{folder / 'identity.key'} is missing. Put your copy of it back, or run: "
            "manage.py identity import"
        )


def _require_same(folder: Path, key: PrivateKey) -> None:
    if _known_key(folder) not in (None, certs.public_key_hash(key.public_key())):
        raise AlreadyThere(
            "This hub has another identity already. Import into a fresh data folder: set HUB_DATA."
        )


def _known_key(folder: Path) -> str | None:
    """Return who this hub is already: by its key, or by the certificate of a key that was lost."""
    key, certificate = folder / "identity.key", folder / "identity.crt"
    if (folder / _ADOPTED).exists():
        return certs.key_of(_certificates(folder / _ADOPTED)[0])
    if key.exists():
        return certs.public_key_hash(_read_key(key).public_key())
    return certs.key_of(_certificates(certificate)[0]) if certificate.exists() else None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "identity.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _complete(folder: Path, now: datetime.datetime) -> None:
    if (folder / _ADOPTED).exists():
        _put_adopted(folder)
    else:
        _sign_own(folder, now)


def _put_adopted(folder: Path) -> None:
    identity, device, owner = map(_pem, _certificates(folder / _ADOPTED))
    contents = {"identity": identity, "device": device + identity, "owner": owner + identity}
    for name, pem in contents.items():
        path = folder / f"{name}.crt"
        if not path.exists() or path.read_bytes() != pem:
            write_private(path, pem)


def _sign_own(folder: Path, now: datetime.datetime) -> None:
    key = _key(folder / "identity.key")
    path = folder / "identity.crt"
    if not _is_of(path, key):
        write_private(path, _pem(certs.self_signed(key, _serial())))
    issuer = _certificates(path)[0]
    for name in _SIGNED:
        leaf_key = _key(folder / f"{name}.key")
        path = folder / f"{name}.crt"
        if not _is_signed(path, leaf_key, issuer, now):
            leaf = certs.signed_leaf(leaf_key.public_key(), issuer, key, serial=_serial(), now=now)
            write_private(path, _pem(leaf) + _pem(issuer))


def _is_of(path: Path, key: PrivateKey) -> bool:
    """Tell whether the first certificate in `path` is of this key."""
    try:
        certificate = _certificates(path)[0]
    except (FileNotFoundError, RefusedError):
        return False
    return certs.key_of(certificate) == certs.public_key_hash(key.public_key())


def _is_signed(
    path: Path, key: PrivateKey, issuer: x509.Certificate, now: datetime.datetime
) -> bool:
    """Tell whether `path` holds a chain of this key up to this issuer, not near its end."""
    if not _is_of(path, key):
        return False
    leaf, *others = _certificates(path)
    if others != [issuer] or leaf.not_valid_after_utc - now < _RENEW_BEFORE:
        return False
    found = certs.verified_keys(_der(leaf), [_der(issuer)])
    return found[1:] == [certs.key_of(issuer)]


def _key(path: Path) -> PrivateKey:
    """Return the key in `path`, made if there is none."""
    if not path.exists():
        write_private(path, pem_of(ec.generate_private_key(ec.SECP256R1())))
    return _read_key(path)


def _read_key(path: Path) -> PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise RefusedError(
            f"{path} holds no private key. Put your copy of it back; do not delete it."
        ) from error
    return cast(PrivateKey, key)


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise RefusedError(
            f"{path} holds no certificate. Delete it: the hub makes a new one at its start."
        ) from error


def _public_key(spki: bytes) -> certs.PublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not accepted_key_type(key):
        raise KeyFormatError("This is not a public key that the hub can sign.")
    return cast(certs.PublicKey, key)


def _spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _pem_of_ders(given: DeviceCertificates) -> bytes:
    return b"".join(_pem(certs.parse(der)) for der in (given.identity, given.device, given.owner))


def _serial() -> int:
    return secrets.randbits(128) | 1


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def pem_of(key: PrivateKey) -> bytes:
    """Return a private key as it lies on disk."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path: Path, content: bytes) -> None:
    """Put `content` into `path` for the owner alone: a reader sees all of it or what was there."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
