"""Contact cards: what a person publishes about themselves; and groups: cards under one signature.

A card is signed by the identity that it describes, so it may come by any way.  It is worth what the
key in it is worth: a card of another key than the pinned one is refused, whatever it says.  A group
is signed by whoever publishes it; its cards are *introduced* by that person (design/pairing.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from acl.core.keys import is_key_hash
from discovery.core import signed, windows
from discovery.core.commitment import decoded
from discovery.core.errors import KeyChanged, MessageError
from discovery.core.onion import is_client_key

CARD: Final = "thali-card-1"
GROUP: Final = "thali-group-1"
LARGEST: Final = 3_584
"""Bytes of a card: it travels in a body of 4 KiB."""
LARGEST_GROUP: Final = 1_048_576
MOST_HUBS: Final = 6
MOST_ADDRESSES: Final = 8
_LONGEST_NAME = 64
_LONGEST_ADDRESS = 200
_MOST_CARDS = 1000


@dataclass(frozen=True)
class Hub:
    """One hub of a person: its device key hash and where it may be reached, the best first."""

    key: str
    name: str = ""
    addresses: tuple[str, ...] = ()
    priority: int = 0
    changed: str = ""
    beacon_key: str = ""
    """Its notification key (discovery/core/beacons.py): 43 characters of base64url, or empty."""
    beacon_until: int = 0
    """When that key ends, in milliseconds."""
    tor_key: str = ""
    """Lets it through to onion services that are for contacts only (discovery/core/onion.py)."""
    windows: str = ""
    """When it can be reached (discovery/core/windows.py), in UTC; empty: always."""

    def document(self) -> dict[str, Any]:
        """Return the entry of the card."""
        beacon = {"key": self.beacon_key, "until": self.beacon_until}
        return {
            **({"beacon": beacon} if self.beacon_key else {}),
            **({"tor_key": self.tor_key} if self.tor_key else {}),
            **({"windows": self.windows} if self.windows else {}),
            "key": self.key,
            "name": self.name,
            "addresses": list(self.addresses[:MOST_ADDRESSES]),
            "priority": self.priority,
            "changed": self.changed,
        }


@dataclass(frozen=True)
class Card:
    """A card that was verified.  `document` is all of it, unknown members too."""

    key: str
    name: str
    hubs: tuple[Hub, ...] = ()
    pet_name: str = ""
    messaging: Mapping[str, Any] = field(default_factory=dict)
    changed: str = ""
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where its hubs may be reached, the best first."""
        ranked = sorted(self.hubs, key=lambda hub: -hub.priority)
        return tuple(dict.fromkeys(address for hub in ranked for address in hub.addresses))


@dataclass(frozen=True)
class PublishedGroup:
    """A group that was verified: who has signed it, and the cards in it that are right."""

    key: str
    name: str
    cards: tuple[Card, ...]


def make(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    hubs: Sequence[Hub],
    *,
    changed: str,
    messaging: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a card, signed; `changed` is an ISO time.  Hubs that find no room are left out."""
    content = {**more, "type": CARD, "version": 1, "name": name, "changed": changed}
    if messaging:
        content["messaging"] = messaging
    for count in range(min(len(hubs), MOST_HUBS), -1, -1):
        content["hubs"] = [hub.document() for hub in hubs[:count]]
        document = signed.sign(content, key)
        if len(signed.canonical(document)) <= LARGEST:
            return document
    raise MessageError("This card is too large.")


def read(document: object, pinned: str | None = None) -> Card:
    """Return a card after checking it; raises MessageError, and KeyChanged for another key."""
    key = signed.verified(document)
    assert isinstance(document, dict)
    if document.get("type") != CARD or document.get("version") != 1:
        raise MessageError
    if pinned is not None and key != pinned:
        raise KeyChanged
    return Card(
        key,
        _text(document, "name", _LONGEST_NAME, required=True),
        tuple(_hub(entry) for entry in _list(document, "hubs", MOST_HUBS)),
        _text(document, "pet_name", _LONGEST_NAME),
        _messaging(document),
        _text(document, "changed", _LONGEST_NAME),
        document,
    )


def parse(text: str | bytes, pinned: str | None = None) -> Card:
    """Return the card in a JSON text; raises like `read`."""
    return read(signed.parsed(text, LARGEST), pinned)


def make_group(
    key: ec.EllipticCurvePrivateKey, name: str, cards: Sequence[Mapping[str, Any]], changed: str
) -> dict[str, Any]:
    """Return a group of cards, signed by whoever publishes it."""
    content = {"type": GROUP, "version": 1, "name": name, "changed": changed}
    return signed.sign({**content, "cards": list(cards)}, key)


def parse_group(text: str | bytes) -> PublishedGroup:
    """Return the group in a JSON text; a card in it that is not right is left out.

    Raises MessageError.
    """
    document = signed.parsed(text, LARGEST_GROUP)
    key = signed.verified(document)
    if document.get("type") != GROUP or document.get("version") != 1:
        raise MessageError
    found: dict[str, Card] = {}
    for entry in _list(document, "cards", _MOST_CARDS):
        try:
            card = read(entry)
        except MessageError:
            continue
        found.setdefault(card.key, card)
    return PublishedGroup(
        key, _text(document, "name", _LONGEST_NAME, required=True), tuple(found.values())
    )


def _hub(entry: object) -> Hub:
    if not isinstance(entry, dict):
        raise MessageError
    key, priority = entry.get("key"), entry.get("priority", 0)
    if not isinstance(key, str) or not is_key_hash(key) or not isinstance(priority, int):
        raise MessageError
    return Hub(
        key,
        _text(entry, "name", _LONGEST_NAME),
        addresses(entry.get("addresses", [])),
        priority,
        _text(entry, "changed", _LONGEST_NAME),
        *beacon(entry.get("beacon", {})),
        tor_key(entry.get("tor_key", "")),
        _text(entry, "windows", windows.LONGEST_TEXT),
    )


def windows_text(value: object) -> str:
    """Return the windows of a hub as it has published them; raises MessageError."""
    return _text({"windows": value}, "windows", windows.LONGEST_TEXT)


def tor_key(value: object) -> str:
    """Return the key of a hub for onion services, or an empty text; raises MessageError."""
    if value != "" and not is_client_key(value):
        raise MessageError
    return str(value)


def tor_keys(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield those keys of a card that was verified before."""
    for hub in document.get("hubs", ()):
        if key := hub.get("tor_key", ""):
            yield tor_key(key)


def beacon(value: object) -> tuple[str, int]:
    """Return a notification key and its end, empty where there is none; raises MessageError."""
    if not isinstance(value, dict):
        raise MessageError
    if not value:
        return "", 0
    key, until = value.get("key"), value.get("until")
    decoded(key, 32)
    if type(until) is not int or not 0 < until < 2**53:
        raise MessageError
    return str(key), until


def addresses(value: object) -> tuple[str, ...]:
    """Return a list of addresses in a message, as texts; raises MessageError."""
    if not isinstance(value, list) or len(value) > MOST_ADDRESSES:
        raise MessageError
    if not all(isinstance(one, str) and 0 < len(one) <= _LONGEST_ADDRESS for one in value):
        raise MessageError
    return tuple(value)


def _messaging(document: Mapping[str, Any]) -> Mapping[str, Any]:
    value = document.get("messaging", {})
    if not isinstance(value, dict):
        raise MessageError
    return value


def _list(document: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        raise MessageError
    return value


def _text(document: Mapping[str, Any], name: str, longest: int, *, required: bool = False) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise MessageError
    if required and not value.strip():
        raise MessageError
    return value
