"""From what a connection shows to who is calling."""

from __future__ import annotations

import asyncio
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from acl import authentication, store
from acl.authentication import NOBODY, Caller, authenticate
from acl.core import certs, keys
from acl.core.certs import public_key_hash
from acl.models import Principal

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)

pytestmark = pytest.mark.usefixtures("acls")


class Person:
    """An identity with one device."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.device = ec.generate_private_key(ec.SECP256R1())
        self._own = certs.self_signed(self.key, 1)
        self._leaf = certs.signed_leaf(
            self.device.public_key(), self._own, self.key, serial=2, now=NOW
        )
        self.hash = public_key_hash(self.key.public_key())
        self.device_hash = public_key_hash(self.device.public_key())

    @property
    def identity_der(self) -> bytes:
        return _der(self._own)

    @property
    def device_der(self) -> bytes:
        return _der(self._leaf)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _caller(leaf: bytes | None, *others: bytes) -> Caller:
    return asyncio.run(authenticate(leaf, others))


def test_nobody_shows_no_certificate() -> None:
    assert _caller(None) == NOBODY
    assert not NOBODY.has_certificate


def test_an_unknown_certificate_is_a_strangers() -> None:
    anna = Person()
    caller = _caller(anna.device_der, anna.identity_der)
    assert caller.has_certificate
    assert (caller.principal_id, caller.name, caller.is_owner) == (None, "", False)
    assert caller.leaf_key == anna.device_hash


def test_a_long_chain_is_read_but_not_remembered() -> None:
    anna = Person()
    store.add_principal("anna", anna.hash)
    before = authentication._remembered_keys.cache_info().currsize
    appended = (anna.identity_der, *(bytes([n]) * 2_000 for n in range(8)))
    assert _caller(anna.device_der, *appended).name == "anna"
    assert authentication._remembered_keys.cache_info().currsize == before
    assert _caller(anna.device_der, anna.identity_der).name == "anna"
    assert authentication._remembered_keys.cache_info().currsize == before + 1


def test_bytes_that_are_no_certificate_prove_nothing() -> None:
    assert _caller(b"junk") == NOBODY


def test_a_device_of_a_friend_is_the_friend() -> None:
    anna = Person()
    known = store.add_principal("anna", anna.hash)
    expected = Caller(known.pk, "anna", anna.hash, anna.device_hash, False, True)
    assert _caller(anna.device_der, anna.identity_der) == expected


def test_a_device_that_does_not_show_its_identity_is_a_stranger() -> None:
    anna = Person()
    store.add_principal("anna", anna.hash)
    assert _caller(anna.device_der).principal_id is None


def test_appending_the_certificate_of_a_friend_does_not_make_one_the_friend() -> None:
    anna, mallory = Person(), Person()
    store.add_principal("anna", anna.hash)
    for leaf in (mallory.identity_der, mallory.device_der):
        for others in (
            [anna.identity_der],
            [mallory.identity_der, anna.identity_der],
            [anna.device_der, anna.identity_der],
        ):
            assert _caller(leaf, *others).principal_id is None


def test_a_leaf_that_is_known_goes_before_its_issuer() -> None:
    anna = Person()
    store.add_principal("anna", anna.hash)
    store.add_principal("anna's camera", anna.device_hash, "application")
    assert _caller(anna.device_der, anna.identity_der).name == "anna's camera"


def test_a_device_of_the_owner_is_the_owner() -> None:
    owner = Person()
    store.register_own(owner.hash, keys.key_hash(b"a"), keys.key_hash(b"b"))
    caller = _caller(owner.device_der, owner.identity_der)
    assert (caller.name, caller.is_owner, caller.leaf_key) == ("owner", True, owner.device_hash)
    assert _caller(owner.identity_der).is_owner


def test_a_revoked_device_is_a_stranger_though_the_owner_has_signed_it() -> None:
    owner = Person()
    store.register_own(owner.hash, owner.device_hash, keys.key_hash(b"b"))
    assert _caller(owner.device_der, owner.identity_der).is_owner
    store.remove_principal("this device")
    caller = _caller(owner.device_der, owner.identity_der)
    assert (caller.principal_id, caller.is_owner, caller.has_certificate) == (None, False, True)


def test_what_a_revoked_device_has_signed_is_a_strangers() -> None:
    owner, lost = Person(), Person()
    store.register_own(owner.hash, lost.hash, keys.key_hash(b"b"))
    assert _caller(lost.device_der, lost.identity_der).is_owner
    store.remove_principal("this device")
    assert _caller(lost.device_der, lost.identity_der).principal_id is None


def test_a_friend_is_known_from_the_next_request_on_and_forgotten_likewise() -> None:
    anna = Person()
    assert _caller(anna.identity_der).principal_id is None
    store.add_principal("anna", anna.hash)
    assert _caller(anna.identity_der).name == "anna"
    Principal.objects.all().delete()
    assert _caller(anna.identity_der).principal_id is None
