"""Taking an identity back from its recovery file, on a hub that has just made one of its own.

The hub first becomes a device of the recovered identity, as if another hub had signed it, and then
gets the key as well.  So it goes on without a new start, and a crash in between leaves a hub that
knows whose it is.
"""

from __future__ import annotations

import datetime
import secrets

from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from django.conf import settings

from acl import identity
from acl.core import certs, recovery
from acl.core.certs import PrivateKey
from acl.identity import DeviceCertificates, DeviceRequest, Identity
from discovery.signals import identity_adopted

LARGEST = 16_384
"""Bytes of a recovery file."""

_SERIAL_BITS = 63


def restore(pem: bytes, passphrase: str, now: datetime.datetime) -> Identity:
    """Give this hub the identity of a recovery file.

    Raises KeyFormatError for a wrong file or passphrase, RefusedError where the hub has friends.
    """
    folder = settings.HUB_DATA
    key = recovery.decrypted(pem, passphrase)
    if identity.load(folder).key != certs.public_key_hash(key.public_key()):
        identity.adopt(folder, _signed(identity.device_request(folder), key, now), now)
    ours = identity.import_(folder, pem, passphrase, now)
    identity_adopted.send(Identity, key=ours.key)
    return ours


def _signed(request: DeviceRequest, key: PrivateKey, now: datetime.datetime) -> DeviceCertificates:
    issuer = certs.self_signed(key, _serial())
    leaves = [
        certs.signed_leaf(_public_key(spki), issuer, key, serial=_serial(), now=now)
        for spki in (request.device, request.owner)
    ]
    return DeviceCertificates(*(one.public_bytes(Encoding.DER) for one in (issuer, *leaves)))


def _public_key(spki: bytes) -> certs.PublicKey:
    key = load_der_public_key(spki)
    assert isinstance(key, certs.PublicKey)
    return key


def _serial() -> int:
    return secrets.randbits(_SERIAL_BITS) | 1
