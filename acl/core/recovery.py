"""The recovery file: the identity key under a passphrase, as encrypted PKCS#8.

`cryptography` writes PKCS#8 with PBKDF2 and 2,048 rounds only, which a graphics card tries
millions of times a second.  So the envelope is made here, with scrypt (RFC 7914, section 7.1) and
AES-256-CBC (RFC 8018, PBES2); `openssl pkey -in FILE` and `cryptography` both open it.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from acl.core.certs import PrivateKey
from acl.core.errors import KeyFormatError
from acl.core.keys import accepted_key_type

SHORTEST_PASSPHRASE: Final = 12
SALT_BYTES: Final = 16
IV_BYTES: Final = 16
# OWASP's figures for 16 MiB, the most memory that OpenSSL grants scrypt by itself.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 5

_SEQUENCE, _INTEGER, _OCTETS = b"\x30", b"\x02", b"\x04"
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")


def encrypted(key: PrivateKey, passphrase: str, *, salt: bytes, iv: bytes) -> bytes:
    """Return the PEM text of the recovery file; raises KeyFormatError for a short passphrase."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise KeyFormatError(f"A passphrase has at least {SHORTEST_PASSPHRASE} characters.")
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    secret = Scrypt(salt, 32, _COST, _BLOCK, _PARALLEL).derive(passphrase.encode())
    encryptor = Cipher(algorithms.AES256(secret), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(_padded(plain)) + encryptor.finalize()
    return _pem(_der(_SEQUENCE, _algorithm(salt, iv), _der(_OCTETS, sealed)))


def decrypted(pem: bytes, passphrase: str) -> PrivateKey:
    """Return the key in a recovery file; raises KeyFormatError."""
    try:
        key = load_pem_private_key(pem, passphrase.encode())
    except TypeError as error:
        raise KeyFormatError("This file is not under a passphrase: it is no recovery file.") from (
            error
        )
    except ValueError as error:
        raise KeyFormatError(
            "The passphrase is wrong, or this is no recovery file. Try again."
        ) from error
    kinds = (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)
    if not isinstance(key, kinds) or not accepted_key_type(key.public_key()):
        raise KeyFormatError("The key in this file is of a type that the hub does not take.")
    return key


def _algorithm(salt: bytes, iv: bytes) -> bytes:
    numbers = [_der(_INTEGER, _number(value)) for value in (_COST, _BLOCK, _PARALLEL)]
    derivation = _der(_SEQUENCE, _SCRYPT, _der(_SEQUENCE, _der(_OCTETS, salt), *numbers))
    encryption = _der(_SEQUENCE, _AES_256_CBC, _der(_OCTETS, iv))
    return _der(_SEQUENCE, _PBES2, _der(_SEQUENCE, derivation, encryption))


def _padded(plain: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    return padder.update(plain) + padder.finalize()


def _number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _der(tag: bytes, *parts: bytes) -> bytes:
    """Return one DER value (X.690, 8.1.3)."""
    body = b"".join(parts)
    if len(body) < 128:
        return tag + bytes([len(body)]) + body
    length = _number(len(body)).lstrip(b"\0")
    return tag + bytes([128 + len(length)]) + length + body


def _pem(der: bytes) -> bytes:
    lines = base64.encodebytes(der).replace(b"\n", b"")
    rows = [lines[start : start + 64] for start in range(0, len(lines), 64)]
    head, foot = b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"-----END ENCRYPTED PRIVATE KEY-----"
    return b"\n".join([head, *rows, foot, b""])
