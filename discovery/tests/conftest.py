"""What the tests of pairing share: a clean table, and another hub that speaks for itself."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acl.core import certs
from acl.models import Principal
from discovery import models, store
from discovery.core import card as cards
from discovery.core import commitment as values
from discovery.core import messages

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class OurHub:
    """The hub under test."""

    api: Any
    key: str
    device_key: str

    def client(self, leaf: bytes, *others: bytes) -> Any:
        """Return somebody who calls it with this certificate."""
        return replace(self.api.owner, peer=(leaf, others), name="")


@pytest.fixture
def clean(api: Any, hub_identity: Any) -> Iterator[OurHub]:
    """The hub, with nobody met so far."""
    _empty()
    store.set_me("Ada", ["192.0.2.1:6984"], "desk")
    yield OurHub(api, hub_identity.key, hub_identity.device_key)
    _empty()


def _empty() -> None:
    ours = Principal.objects.filter(contact__isnull=False) | Principal.objects.filter(
        device__isnull=False
    )
    clients = Principal.objects.filter(client_of__isnull=False)
    pks = [one.pk for one in (*ours, *clients)]
    for model in (
        models.PairingRow,
        models.OfferRow,
        models.Arming,
        models.Introduction,
        models.Sighting,
        models.Me,
    ):
        model._default_manager.all().delete()
    Principal.objects.filter(pk__in=pks).delete()


@dataclass
class Peer:
    """Another hub, with an identity and a device key; it makes messages by itself."""

    name: str = "Bob"
    identity: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.device = ec.generate_private_key(ec.SECP256R1())
        self.client = ec.generate_private_key(ec.SECP256R1())
        issuer = certs.self_signed(self.identity, 7)
        leaf = certs.signed_leaf(self.device.public_key(), issuer, self.identity, serial=8, now=NOW)
        self.chain = (leaf.public_bytes(Encoding.DER), issuer.public_bytes(Encoding.DER))

    @property
    def key(self) -> str:
        return certs.public_key_hash(self.identity.public_key())

    @property
    def leaf(self) -> str:
        return certs.public_key_hash(self.device.public_key())

    @property
    def keys(self) -> list[str]:
        return [self.leaf, self.key]

    def card(self, **more: Any) -> dict[str, Any]:
        hub = cards.Hub(self.leaf, f"{self.name}'s hub", ("192.0.2.2:6984",))
        return cards.make(self.identity, self.name, [hub], changed="2026-01-01", **more)

    def spki(self, key: ec.EllipticCurvePrivateKey) -> str:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return values.encoded(public)

    def scan(self, secret: bytes, hub: Any, **more: Any) -> bytes:
        """The answer to a code of the hub `hub` (its identity)."""
        given: dict[str, Any] = {"sid": secrets.token_bytes(16), "card": self.card(), **more}
        k_s, k_d = values.decoded(self.leaf), values.decoded(hub.device_key)
        given.setdefault("proof", values.proof(secret, k_s, k_d, given["sid"]))
        return messages.write(**given)


@pytest.fixture
def bob() -> Peer:
    """Another person's hub."""
    return Peer()


@pytest.fixture
def eve() -> Peer:
    """Somebody else's."""
    return Peer("Eve")
