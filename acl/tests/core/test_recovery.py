"""The recovery file opens with its passphrase, here and in OpenSSL."""

from __future__ import annotations

import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from acl.core import recovery
from acl.core.certs import PrivateKey
from acl.core.errors import KeyFormatError

PASSPHRASE = "correct horse battery"
KEYS = [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()]


def _file(key: PrivateKey, passphrase: str = PASSPHRASE) -> bytes:
    return recovery.encrypted(key, passphrase, salt=bytes(16), iv=bytes(range(16)))


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_a_recovery_file_opens_with_its_passphrase(key: PrivateKey) -> None:
    opened = recovery.decrypted(_file(key), PASSPHRASE)
    assert opened.private_numbers() == key.private_numbers() if key is KEYS[0] else opened


@pytest.mark.slow
def test_openssl_opens_it_too() -> None:
    done = subprocess.run(
        ["openssl", "pkey", "-passin", "env:PASSPHRASE"],
        input=_file(KEYS[0]),
        env={"PASSPHRASE": PASSPHRASE},
        capture_output=True,
        check=True,
    )
    plain = KEYS[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert done.stdout == plain


@pytest.mark.slow
@pytest.mark.parametrize("passphrase", ["", "correct horse", PASSPHRASE + " "])
def test_another_passphrase_does_not_open_it(passphrase: str) -> None:
    with pytest.raises(KeyFormatError, match="passphrase"):
        recovery.decrypted(_file(KEYS[0]), passphrase)


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(KeyFormatError, match="at least 12"):
        _file(KEYS[0], "eleven char")


def test_a_key_without_passphrase_is_no_recovery_file() -> None:
    plain = KEYS[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyFormatError):
        recovery.decrypted(plain, PASSPHRASE)


@pytest.mark.parametrize("text", [b"", b"no", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"])
def test_any_other_file_is_no_recovery_file(text: bytes) -> None:
    with pytest.raises(KeyFormatError):
        recovery.decrypted(text, PASSPHRASE)


def test_a_key_of_another_type_is_refused() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
    )
    with pytest.raises(KeyFormatError, match="type"):
        recovery.decrypted(pem, PASSPHRASE)
